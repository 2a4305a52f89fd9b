"""The Trader API client against `python -m simulator`, a separate process on a real socket."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from models import spreads
from models.errors import NotFound, OrderRejected, OrderUnknown
from models.order_groups import OrderTicket
from models.order_terms import (
    AccountKind,
    Mode,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TrailUnit,
)
from models.spreads import Terms
from models.trading import Order, Trail
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.orders import to_wire
from schwab_integration.parse_accounts import balances_of, holdings_of, terms_of
from schwab_integration.parse_orders import Owner, fills_of, order_of, orders_within, ticket_of
from schwab_integration.parse_preview import preview_of
from schwab_integration.parse_transactions import fees_of
from schwab_integration.queries import ChainQuery
from schwab_integration.trader import SchwabTrader
from schwab_integration.trader_replies import ReportedOrder

CLOCK = "2026-11-19T12:30"
NOW = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)
FROM, TO = NOW - timedelta(days=1), NOW + timedelta(days=1)
NUMBERS = count(1)


@contextmanager
def running(home: Path, clock: str) -> Iterator[dict[str, Any]]:
    """Yield what a simulator says when it is ready; it ends with the block."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--clock", clock, "--speed", "0"]
    command += ["--auto-approve", "--parent-pid", str(os.getpid())]
    environment = {**os.environ, "OPTIONS_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline()) | {"home": home}
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running(tmp_path_factory.mktemp("simulator"), CLOCK) as ready:
        yield ready


@pytest.fixture(scope="module")
def settings(simulator: dict[str, Any]) -> SchwabSettings:
    return signed_in(simulator)


def signed_in(simulator: dict[str, Any]) -> SchwabSettings:
    """Return the settings of somebody who has signed in."""
    made = SchwabSettings(
        app_key=SecretStr(simulator["app_key"]),
        app_secret=SecretStr(simulator["app_secret"]),
        callback_url=simulator["callback_url"],
        base_url=simulator["schwab"],
        token_file=simulator["home"] / "schwab_token.json",
        requests_per_minute=10_000,
    )
    reply = httpx2.get(authorization_url(made, state="s-1"), trust_env=False)
    exchange_code(made, code_of_redirect(reply.headers["location"], state="s-1"))
    return made


@pytest.fixture(scope="module")
def trader(settings: SchwabSettings) -> Iterator[SchwabTrader]:
    with SchwabTrader(settings, clock=lambda: NOW) as made:
        yield made
        assert not made.unknown  # the simulator invents no field and no word


@pytest.fixture(scope="module")
def hashes(trader: SchwabTrader) -> dict[str, str]:
    """MARGIN and CASH -> the account's hash."""
    by_number = {one.account_number: one.hash_value for one in trader.account_numbers()}
    return {
        one.securities_account.type: by_number[one.securities_account.account_number]
        for one in trader.accounts()
    }


@pytest.fixture(scope="module")
def calls(settings: SchwabSettings) -> list[str]:
    """Calls on QQQ of one expiration, around the money, lowest strike first."""
    with SchwabClient(settings) as client:
        day = NOW.date() + timedelta(days=29)
        query = ChainQuery(
            symbol="QQQ",
            contract_type="CALL",
            strike_count=8,
            from_date=day - timedelta(days=6),
            to_date=day,
        )
        frame = client.chain(query).contracts.sort("expiration", "strike")
    last = frame["expiration"].max()
    return list(frame.filter(frame["expiration"] == last)["occ_symbol"])


def terms(account_hash: str, **more: Any) -> Terms:
    return Terms(
        client_order_id=f"c-{next(NUMBERS)}",
        account_id=account_hash,
        mode=Mode.REHEARSAL,
        created_at=NOW,
        **more,
    )


def owner(account_hash: str) -> Owner:
    return Owner(account_hash, Mode.REHEARSAL)


def placed(trader: SchwabTrader, account_hash: str, ticket: OrderTicket) -> ReportedOrder:
    found = trader.place(account_hash, to_wire(ticket)).order_id
    assert found is not None
    return trader.order(account_hash, found)


def test_accounts(trader: SchwabTrader, hashes: dict[str, str]) -> None:
    assert set(hashes) == {"MARGIN", "CASH"}
    account = trader.account(hashes["CASH"])
    balances = balances_of(account, account_id=hashes["CASH"], mode=Mode.REHEARSAL, at=NOW)
    assert balances.cash > 0
    assert terms_of(account, account_id=hashes["CASH"]).kind is AccountKind.CASH
    streamer = trader.user_preference().streamer_info[0]
    assert streamer.streamer_socket_url.startswith("ws")


def test_shares_are_bought(trader: SchwabTrader, hashes: dict[str, str]) -> None:
    mine = hashes["MARGIN"]
    order = spreads.order(terms(mine), [spreads.leg("QQQ", Side.BUY)], quantity=Decimal(3))
    reported = placed(trader, mine, order)
    assert order_of(reported, owner(mine)).status is OrderStatus.FILLED
    [fill] = fills_of(reported, owner(mine))
    assert (fill.symbol, fill.signed_quantity) == ("QQQ", Decimal(3))
    held = holdings_of(trader.account(mine), account_id=mine, mode=Mode.REHEARSAL, at=NOW)
    assert ("QQQ", Decimal(3)) in [(p.symbol, p.signed_quantity) for p in held.positions]
    trades = trader.transactions(mine, FROM, TO, ["TRADE"])
    booked = next(one for one in trades if one.order_id == reported.order_id)
    [item] = [item for item in booked.transfer_items if item.position_effect]
    assert booked.net_amount == (item.cost or 0) - sum(fees_of(booked).values(), Decimal(0))
    assert trader.transaction(mine, booked.activity_id) == booked


def test_a_resting_order_is_replaced_and_canceled(
    trader: SchwabTrader, hashes: dict[str, str], calls: list[str]
) -> None:
    mine = hashes["MARGIN"]
    lasting = {"time_in_force": TimeInForce.GOOD_TILL_CANCEL}
    cheap = spreads.order(
        terms(mine, **lasting), [spreads.leg(calls[0], Side.BUY)], limit_price=Decimal("0.01")
    )
    old = placed(trader, mine, cheap)
    assert not order_of(old, owner(mine)).status.terminal
    better = cheap.model_copy(update={"limit_price": Decimal("0.02")})
    new = trader.replace(mine, old.order_id or 0, to_wire(better)).order_id
    assert new not in {None, old.order_id}
    assert trader.order(mine, old.order_id or 0).status == "REPLACED"
    trader.cancel(mine, new or 0)
    canceled = trader.order(mine, new or 0)
    assert canceled.status == "CANCELED"
    assert fills_of(canceled, owner(mine)) == []
    with pytest.raises(OrderRejected, match="cannot be canceled"):
        trader.cancel(mine, new or 0)
    listed = {order.order_id for order in trader.orders(mine, FROM, TO)}
    assert {old.order_id, new} <= listed
    assert {old.order_id, new} <= {order.order_id for order in trader.all_orders(FROM, TO)}
    canceled_ones = trader.orders(mine, FROM, TO, status="CANCELED")
    assert {order.status for order in canceled_ones} == {"CANCELED"}


def test_each_spread_is_read_as_it_was_sent(
    trader: SchwabTrader, hashes: dict[str, str], calls: list[str]
) -> None:
    mine = hashes["MARGIN"]
    packages = [
        spreads.vertical(buy=calls[0], sell=calls[1]),
        spreads.back_ratio(buy=calls[1], sell=calls[0]),
        spreads.butterfly(calls[:3]),
        spreads.condor(calls[:4]),
        spreads.covered_call(calls[4]),
    ]
    for legs in packages:
        order = spreads.order(terms(mine), legs, quantity=Decimal(2), limit_price=Decimal("0.01"))
        reported = placed(trader, mine, order)
        read = order_of(reported, owner(mine))
        assert read.legs == order.legs
        assert (read.quantity, read.limit_price) == (order.quantity, order.limit_price)
        assert reported.complex_order_strategy_type == to_wire(order).complex_order_strategy_type
        preview = preview_of(trader.preview(mine, to_wire(order)))
        assert preview.commission > 0


TYPES: dict[OrderType, dict[str, Any]] = {
    OrderType.LIMIT: {"limit_price": Decimal("100.25")},
    OrderType.STOP: {"stop_price": Decimal(5000)},
    OrderType.STOP_LIMIT: {"stop_price": Decimal(5000), "limit_price": Decimal(5010)},
    OrderType.TRAILING_STOP: {"trail": Trail(offset=Decimal(20), unit=TrailUnit.PERCENT)},
    OrderType.TRAILING_STOP_LIMIT: {
        "trail": Trail(offset=Decimal("2.50"), limit_offset=Decimal("0.25"))
    },
    OrderType.MARKET_ON_CLOSE: {},
    OrderType.LIMIT_ON_CLOSE: {"limit_price": Decimal("100.25")},
}


@pytest.mark.parametrize("order_type", TYPES)
def test_each_type_is_read_as_it_was_sent(
    trader: SchwabTrader, hashes: dict[str, str], order_type: OrderType
) -> None:
    mine = hashes["MARGIN"]
    order = Order(
        **terms(mine).model_dump(),
        legs=(spreads.leg("QQQ", Side.BUY),),
        order_type=order_type,
        quantity=Decimal(2),
        **TYPES[order_type],
    )
    read = order_of(placed(trader, mine, order), owner(mine))
    for name in ("legs", "order_type", "limit_price", "stop_price", "trail", "quantity"):
        assert getattr(read, name) == getattr(order, name), name
    assert not read.status.terminal


def test_a_bracket_and_a_pair(
    trader: SchwabTrader, hashes: dict[str, str], calls: list[str]
) -> None:
    mine = hashes["MARGIN"]
    entry = spreads.order(
        terms(mine), [spreads.leg(calls[0], Side.BUY)], limit_price=Decimal("0.01")
    )
    target = spreads.closing_order(entry, "c-t", limit_price=Decimal(500))
    stop = spreads.closing_order(entry, "c-s", stop_price=Decimal("0.01"))
    ticket = spreads.bracket(entry, take_profit=target, stop_loss=stop)
    reported = placed(trader, mine, ticket)
    found = list(orders_within(reported))
    assert [order_of(one, owner(mine)).status for one in found[1:]] == [OrderStatus.WAITING] * 2
    assert type(ticket_of(reported, owner(mine))) is type(ticket)
    trader.cancel(mine, reported.order_id or 0)


def test_bad_input(trader: SchwabTrader, hashes: dict[str, str], calls: list[str]) -> None:
    mine = hashes["MARGIN"]
    order = spreads.order(terms(mine), [spreads.leg(calls[0], Side.BUY)])
    wire = to_wire(order)
    with pytest.raises(NotFound, match=r"the account \.\.\.FFFF"):
        trader.account("F" * 64)
    with pytest.raises(NotFound, match=r"an order for the account \.\.\.FFFF"):
        trader.place("F" * 64, wire)
    with pytest.raises(NotFound, match=r"the order 7 of the account"):
        trader.order(mine, 7)
    with pytest.raises(NotFound, match=r"the order 7 of the account"):
        trader.cancel(mine, 7)
    nobody = spreads.order(terms(mine), [spreads.leg("NOSUCH", Side.BUY)])
    assert_refused(trader, mine, nobody, "NOSUCH")
    strike = calls[0][:-8] + "00000500"
    assert_refused(trader, mine, spreads.order(terms(mine), [spreads.leg(strike, Side.BUY)]), "")


def assert_refused(trader: SchwabTrader, mine: str, ticket: OrderTicket, word: str) -> None:
    """An order for what does not exist is refused at once, or rejected a moment later."""
    try:
        reported = placed(trader, mine, ticket)
    except OrderRejected as error:
        said = error.reason
    else:
        assert reported.status == "REJECTED"
        said = reported.status_description or ""
    assert word in said
    assert said


def test_a_closed_market_lets_orders_wait(tmp_path: Path) -> None:
    evening = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    with (
        running(tmp_path, "2026-11-19T18:30") as ready,
        SchwabTrader(signed_in(ready), clock=lambda: evening) as trader,
    ):
        mine = trader.account_numbers()[0].hash_value
        order = spreads.order(terms(mine), [spreads.leg("QQQ", Side.BUY)])
        reported = placed(trader, mine, order)
        assert order_of(reported, owner(mine)).status is OrderStatus.WAITING


@pytest.mark.parametrize("write", ["place", "replace", "cancel"])
def test_a_reply_that_is_lost_after_the_order_was_taken(
    simulator: dict[str, Any], trader: SchwabTrader, hashes: dict[str, str], write: str
) -> None:
    mine = hashes["CASH"]
    order = spreads.order(
        terms(mine), [spreads.leg("QQQ", Side.BUY)], limit_price=Decimal("123.45")
    )
    old = placed(trader, mine, order).order_id or 0
    before = len(trader.orders(mine, FROM, TO))
    lose_replies(simulator, write)
    writes: dict[str, Callable[[], Any]] = {
        "place": lambda: trader.place(mine, to_wire(order)),
        "replace": lambda: trader.replace(mine, old, to_wire(order)),
        "cancel": lambda: trader.cancel(mine, old),
    }
    with pytest.raises(OrderUnknown, match="look it up, do not repeat"):
        writes[write]()
    assert len(trader.orders(mine, FROM, TO)) == before + (write != "cancel")
    over = {"place": "WORKING", "replace": "REPLACED", "cancel": "CANCELED"}
    deadline = time.monotonic() + 10  # a new order is acknowledged a moment later
    while trader.order(mine, old).status != over[write] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert trader.order(mine, old).status == over[write]


def lose_replies(simulator: dict[str, Any], write: str) -> None:
    """Let the simulator keep its next reply to such a request to itself."""
    reply = httpx2.post(
        f"{simulator['http']}/simulator/faults",
        headers={"x-simulator-admin": simulator["admin_token"]},
        json={"target": f"schwab.trader.{write}", "fault": "lost_reply", "count": 1},
        trust_env=False,
    )
    assert reply.is_success, reply.text
