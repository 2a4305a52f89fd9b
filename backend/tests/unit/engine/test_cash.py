"""Cash that trades, fees and the broker's transactions explain, and cash that nothing does."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.cash import CashFlow, CashMove, flow_of, gross_before, sums_since, unexplained_cash
from models.decisions import Ended, Heard
from models.events import Fill, OrderUpdate, Settlement
from models.order_terms import Mode, OrderStatus, Side
from models.trading import Trade

D = Decimal
CALL = "QQQ   261120C00600000"
AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
SECOND = 1_000_000_000


def trade(symbol: str, signed: int, price: str) -> Trade:
    return Trade(
        execution_id="x",
        client_order_id="c",
        account_id="hash",
        mode=Mode.LIVE,
        symbol=symbol,
        session=AT.date(),
        ts=AT,
        signed_quantity=D(signed),
        price=D(price),
    )


def test_trades_move_their_price_times_their_size() -> None:
    flow = flow_of([trade("QQQ", 100, "600.10"), trade(CALL, -2, "3.25")])
    assert flow.gross == D(-60010) + D(650)
    assert flow.most_fees == D("12.002") + D(4) + 2 * D("0.05")


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("40640.00", "0"),  # nobody has charged yet
        ("40638.66", "0"),  # two contracts' fees
        ("40623.90", "0"),  # all that fees can be
        ("40623.88", "-16.12"),
        ("40640.01", "0"),
        ("40640.02", "0.02"),
        ("41640.00", "1000"),
    ],
)
def test_fees_explain_what_is_missing_up_to_their_most(now: str, over: str) -> None:
    flow = CashFlow(D(-59_360), D("16.10"))
    assert unexplained_cash(D(100_000), D(now), flow) == D(over)


def test_the_brokers_transactions_explain_the_rest() -> None:
    at = 1_000 * SECOND
    moves = [
        CashMove(at - 30 * SECOND, D(5)),  # may be in the cash of the beginning already
        CashMove(at + 30 * SECOND, D(-1)),
        CashMove(at + 90 * SECOND, D(1_000)),
    ]
    assert sums_since(moves, at) == [D(1_004), D(999), D(1_000)]
    for now in (1_104, 1_099, 1_100):
        assert unexplained_cash(D(100), D(now), CashFlow(), sums_since(moves, at)) == 0
    assert unexplained_cash(D(100), D(1_098), CashFlow(), sums_since(moves, at)) == D(998)


def test_what_a_journal_booked_counts_without_fees() -> None:
    fill: dict[str, Any] = {"quantity": D(1), "time_ns": 1, "fees": D("0.66")}
    bought = Fill(execution_id="1", symbol=CALL, side=Side.BUY, price=D(2), **fill)
    update = OrderUpdate(
        order_id="7", client_order_id="c", status=OrderStatus.FILLED, time_ns=1, fills=(bought,)
    )
    heard = Heard(event=1, at_ns=1, update=update)
    ended = Ended(
        event=2,
        at_ns=2,
        settlement=Settlement(
            settlement_id="s", symbol=CALL, quantity=D(1), outcome="cash", cash=D(350), time_ns=2
        ),
    )
    assert gross_before([heard]) == D(-200)
    assert gross_before([heard, ended, heard]) == D(150)
