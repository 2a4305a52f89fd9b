"""Lost answers over real sockets: the simulator takes orders, and its replies do not arrive.

A smaller sibling of the ten thousand orders; all orders have one of three terms.
"""

import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from models import spreads
from models.errors import OrderRejected, OrderUnknown, RiskDenied
from models.journal import Record, Unknown
from models.order_terms import AccountKind, Mode, OrderStatus, Side
from models.trading import AccountTerms
from schwab_integration.broker import SchwabBroker
from schwab_integration.config import SchwabSettings
from schwab_integration.limits import order_limiter
from schwab_integration.order_venue import DeskTime
from schwab_integration.trader import SchwabTrader
from utils.transaction_logger import TransactionLogger

WANTED = 110 if os.environ.get("PROVE") else 30
NOW = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)


def arm(simulator: dict[str, Any], **fault: Any) -> None:
    httpx2.post(
        f"{simulator['schwab']}/simulator/faults",
        json=fault,
        headers={"X-Simulator-Admin": simulator["admin_token"]},
        trust_env=False,
    ).raise_for_status()


@pytest.mark.timeout(600)
def test_no_order_is_doubled_over_sockets(
    simulator: dict[str, Any], signed_in: SchwabSettings, tmp_path: Path
) -> None:
    settings = signed_in
    arm(simulator, target="schwab.trader.place", fault="lost_reply", rate=0.2)
    chance = random.Random(3)
    path = tmp_path / "journal.jsonl"
    with (
        SchwabTrader(settings, clock=lambda: NOW) as trader,
        TransactionLogger(path, Record, subject="x") as journal,
    ):
        account = trader.account_numbers()[0].hash_value
        broker = SchwabBroker(
            trader,
            AccountTerms(account_id=account, kind=AccountKind.MARGIN),
            journal,
            mode=Mode.REHEARSAL,
            limiter=order_limiter(settings, account),
            times=DeskTime(clock=lambda: NOW),
        )
        for number in range(WANTED):
            terms = spreads.Terms(
                client_order_id=f"o{number}",
                account_id=account,
                mode=Mode.REHEARSAL,
                created_at=NOW,
            )
            order = spreads.order(
                terms,
                [spreads.leg("QQQ", Side.BUY)],
                limit_price=Decimal("100.00") + chance.randrange(3),
            )
            while f"o{number}" not in broker.own_orders():
                try:
                    broker.submit(order)
                except RiskDenied:  # its twin is not settled
                    broker.recover()
                except OrderUnknown:
                    break
        broker.recover()
        assert broker.questions() == {}
        own = broker.own_orders()
        day = timedelta(days=1)
        ledger = [str(one.order_id) for one in trader.orders(account, NOW - day, NOW + day)]
        lost = [record for record in journal.read() if isinstance(record, Unknown)]
        with pytest.raises(OrderRejected):
            broker.cancel("1")
    assert len(lost) >= WANTED // 10
    assert len(ledger) == WANTED
    assert sorted(ledger) == sorted(order.order_id or "" for order in own.values())
    assert {order.status for order in own.values()} <= {OrderStatus.WORKING, OrderStatus.SUBMITTED}
