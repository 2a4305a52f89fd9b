"""What expires or is assigned while nobody looks is explained when a run begins again."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest
from pydantic import SecretStr

from engine.order_book import OrderBook
from engine.reconciliation import Baseline, Told, reconcile
from models.decisions import Began
from models.events import Settlement
from models.order_terms import Mode, PositionEffect, Side
from models.trading import Leg, Order, Position
from ports.strategy import Needs, Strategy
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.orders import to_wire
from schwab_integration.queries import ChainQuery
from schwab_integration.trader import SchwabTrader
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from simulator.pytest_plugin import running
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from pathlib import Path

PUT = "QQQ   261120P00700000"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=NEW_YORK)
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=NEW_YORK)
D = Decimal


def gone(
    quantity: int, outcome: str = "worthless", *, name: str = "schwab-1", shares: int = 0
) -> Settlement:
    return Settlement(
        settlement_id=name,
        symbol=PUT,
        quantity=D(quantity),
        outcome=outcome,
        time_ns=to_ns(NOON),
        shares=D(shares),
    )


def held(**units: int) -> tuple[Position, ...]:
    names = {"put": PUT, "shares": "QQQ"}
    return tuple(
        Position(
            account_id="a",
            mode=Mode.LIVE,
            symbol=names[name],
            underlying="QQQ",
            signed_quantity=D(count),
            average_price=D(1),
            multiplier=D(100 if name == "put" else 1),
            realized_pnl=D(0),
            updated_at=NOON,
        )
        for name, count in units.items()
    )


def compared(ours: int, told: Told, baseline: Baseline, **booked: Decimal) -> Any:
    own = {PUT: D(ours)} if ours else {}
    named = {name.replace("_", "-"): units for name, units in booked.items()}
    return reconcile(OrderBook(), own, told, to_ns(MONDAY), baseline, booked=named)


def test_ours_is_booked_and_the_rest_explains_the_rest() -> None:
    """Five short puts are assigned, three of them ours: 500 shares come."""
    told = Told([], [], held(shares=500), settlements=[gone(-5, "assigned", shares=500)])
    found = compared(-3, told, Baseline(0, {PUT: D(-2)}))
    assert found.differences == []
    (own,) = found.settled
    assert (own.quantity, own.shares) == (-3, 300)
    assert found.others == {"QQQ": 200}
    assert found.seen == ("schwab-1",)


def test_what_is_booked_already_is_not_booked_again() -> None:
    """The tracker holds the 300 shares by now; what was others' is in the baseline or explained."""
    told = Told([], [], held(shares=500), settlements=[gone(-5, "assigned", shares=500)])
    own = {"QQQ": D(300)}
    for baseline in (
        Baseline(0, {PUT: D(-2)}),
        Baseline(0, {"QQQ": D(200)}, ("schwab-1",)),
    ):
        booked = {"schwab-1": D(-3)}
        found = reconcile(OrderBook(), own, told, to_ns(MONDAY), baseline, booked=booked)
        assert (found.settled, found.differences) == ([], [])


def test_what_nobody_explains_stays_a_difference() -> None:
    assert compared(-3, Told([], [], ()), Baseline(0, {})).differences
    other_way = Told([], [], (), settlements=[gone(3)])
    assert compared(-3, other_way, Baseline(0, {})).differences


def test_a_part_leaves_early() -> None:
    """Two of three short puts are assigned; the third stays."""
    told = Told([], [], held(put=-1, shares=200), settlements=[gone(-2, "assigned", shares=200)])
    found = compared(-3, told, Baseline(0, {}))
    assert found.differences == []
    assert [each.quantity for each in found.settled] == [-2]


class Idle(Strategy):
    """A strategy that wants nothing."""

    name = "idle"

    def needs(self) -> Needs:
        return Needs(("QQQ",), {})


@pytest.fixture
def away(tmp_path: Path) -> Any:
    """A simulated Schwab at noon, and a way to take an account up there."""
    market = ["--clock", "2026-11-20T12:00", "--speed", "0", "--requests-per-minute", "0"]
    with running(market) as simulator:
        status = simulator.status
        settings = SchwabSettings(
            _env_file=None,
            app_key=SecretStr(status.app_key),
            app_secret=SecretStr(status.app_secret),
            callback_url=status.callback_url,
            base_url=status.schwab,
            token_file=tmp_path / "token.json",
        )
        reply = httpx2.get(authorization_url(settings, state="s"), trust_env=False)
        exchange_code(settings, code_of_redirect(reply.headers["location"], state="s"))
        yield simulator, settings


def test_a_put_that_is_exercised_over_the_weekend_stops_nothing(away: Any, tmp_path: Path) -> None:
    simulator, settings = away
    with SchwabClient(settings) as client:
        day = date(2026, 11, 20)
        query = ChainQuery(symbol="QQQ", contract_type="PUT", from_date=day, to_date=day)
        chain = client.chain(query).contracts.sort("strike")
        spot = client.quote("QQQ").quote.bid_price
    deep = chain.filter(chain["strike"] > spot * 1.05)["occ_symbol"][0]
    order = Order(
        client_order_id="by-hand",
        account_id="a",
        mode=Mode.LIVE,
        strategy="none",
        underlying="QQQ",
        order_type="MARKET",
        quantity=D(1),
        legs=(
            Leg(
                symbol=deep,
                side=Side.BUY,
                position_effect=PositionEffect.OPENING,
                quantity=D(1),
            ),
        ),
        created_at=NOON,
    )
    with SchwabTrader(settings, clock=lambda: NOON) as trader:
        account = trader.account_numbers()[0].hash_value
        trader.place(account, to_wire(order))

    def take_up(now: datetime, past: list[Began]) -> Any:
        terms = TradingTerms(
            account_id=account,
            mode=Mode.REHEARSAL,
            run_id="r",
            order_journal=tmp_path / "orders.jsonl",
            gate=lambda *_: None,
            record=lambda _: None,
            clock=lambda: now,
        )
        with TradingEngine(settings, Idle(), terms) as trading:
            return trading.take_up(past, accept_holdings=not past)

    first = take_up(NOON, [])
    assert first.others == {deep: 1}
    began = Began(
        event=0,
        at_ns=to_ns(NOON),
        strategy="idle",
        mode=Mode.REHEARSAL,
        parameters=msgspec.Raw(b"{}"),
        limits=msgspec.Raw(b"{}"),
        others=first.others,
        seen=first.seen,
    )
    simulator.move_clock(now="2026-11-23T10:00")
    later = MONDAY + timedelta(seconds=1)
    second = take_up(later, [began])
    assert second.differences == []
    assert second.others == {"QQQ": -100}
