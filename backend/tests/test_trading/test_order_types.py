"""Each kind of order in each mode: over stored minutes, on paper, and live at a simulated Schwab.

One strategy asks for it by its desk, and cancels what still works a while later; what becomes of it
is the same in all three.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them
sys.path.append(str(Path(__file__).parents[1] / "unit" / "app"))

from late_desk import OpenGate
from live_bench import LiveBench, live_bench
from stored_day import DAYS, market_of, stored_day

from app.backtest import BacktestTerms, run_backtest
from app.trading_books import KeptPaperBroker, open_paper_account
from engine.core import Engine
from engine.desk import Names
from engine.matching import TOUCH
from models import spreads
from models.errors import OrderRejected
from models.events import Heartbeat, Quote
from models.order_terms import Mode, OrderStatus, OrderType, PositionEffect, Side, TrailUnit
from models.trading import Leg, Trail
from ports.strategy import Needs, Strategy
from schwab_integration.client import SchwabClient
from schwab_integration.market_data import SchwabMarketData
from schwab_integration.trader import SchwabTrader
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from utils.clock import to_ns, to_time
from utils.market_calendar import new_york

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.order_groups import OrderTicket
    from models.trading import Order

D = Decimal
QQQ = Leg(symbol="QQQ", side=Side.BUY, position_effect=PositionEffect.OPENING)
SOLD = QQQ.model_copy(update={"side": Side.SELL, "position_effect": PositionEffect.CLOSING})
KINDS = {
    "market": ["FILLED"],
    "limit": ["FILLED"],
    "stop": ["CANCELED"],
    "stop limit": ["CANCELED"],
    "trailing stop": ["CANCELED"],
    "package": ["FILLED"],
    "pair": ["CANCELED", "CANCELED"],
    "bracket": ["FILLED", "CANCELED", "CANCELED"],
}
"""What becomes of its orders; what ends CANCELED has worked, and nobody else ended it."""


class Asks(Strategy):
    """Asks for one ticket, and cancels what is left of it at the third look after that."""

    name = "asks"

    def __init__(self, kind: str, near: tuple[str, str] | None = None) -> None:
        self.kind = kind
        self.near = near
        self.looks = 0
        self.worked: set[str] = set()

    def needs(self) -> Needs:
        return Needs(("QQQ",), {"QQQ": 0})

    def start(self) -> None:
        self.desk.call_every(120, "look")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        self.looks += 1
        if self.looks == 2:
            self.desk.place(self.ticket())
        elif self.looks == 5:
            self.worked = {each.client_order_id for each in self.desk.orders()}
            for each in self.worked:
                with suppress(OrderRejected):  # the other one of a pair has taken it along
                    self.desk.cancel(each)

    def ticket(self) -> OrderTicket:
        if self.kind == "package":
            low, high = self.near or self._near()
            debit = {"order_type": OrderType.NET_DEBIT, "limit_price": D(5)}
            legs = [
                each.model_copy(update={"position_effect": PositionEffect.OPENING})
                for each in spreads.vertical(buy=low, sell=high)
            ]
            return self._order(tuple(legs), **debit)
        far = {"order_type": OrderType.LIMIT, "limit_price": D(1)}
        stop = {"order_type": OrderType.STOP, "stop_price": D(5000)}
        market = {"order_type": OrderType.MARKET}
        if self.kind == "pair":
            return spreads.one_cancels_other(
                self._order((QQQ,), **far), self._order((QQQ,), **stop)
            )
        if self.kind == "bracket":
            return spreads.bracket(
                self._order((QQQ,), **market),
                take_profit=self._order((SOLD,), order_type=OrderType.LIMIT, limit_price=D(5000)),
                stop_loss=self._order((SOLD,), order_type=OrderType.STOP, stop_price=D(1)),
            )
        single: dict[str, dict[str, Any]] = {
            "market": market,
            "limit": far | {"limit_price": D(2000)},
            "stop": stop,
            "stop limit": stop | {"order_type": OrderType.STOP_LIMIT, "limit_price": D(5001)},
            "trailing stop": {
                "order_type": OrderType.TRAILING_STOP,
                "trail": Trail(offset=D(50), unit=TrailUnit.PERCENT),
            },
        }
        return self._order((QQQ,), **single[self.kind])

    def _order(self, legs: tuple[Leg, ...], **terms: Any) -> Order:
        return self.desk.order(legs=legs, quantity=1, **terms)

    def _near(self) -> tuple[str, str]:
        calls = [each for each in self.desk.chain("QQQ").occ_symbol if each[12] == "C"]
        return calls[len(calls) // 2], calls[len(calls) // 2 + 2]


def check(kind: str, engine: Engine) -> None:
    strategy = engine.strategy
    assert isinstance(strategy, Asks)
    states = engine.book.states
    ends = [state.order.status.value for state in states.values()]
    assert ends == KINDS[kind], [state.reason for state in states.values()]
    canceled = {name for name, s in states.items() if s.order.status is OrderStatus.CANCELED}
    assert canceled == strategy.worked
    held = sum(abs(each.quantity) for each in engine.portfolio.holdings.values())
    assert held == (2 if kind == "package" else ends.count("FILLED"))


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_backtest(kind: str) -> None:
    frames = {
        name: each.filter(each["session"] == DAYS[0])[: 25 if name == "equity_bars" else 25 * 38]
        for name, each in stored_day().items()
    }
    gate: Any = OpenGate()
    running = run_backtest(Asks(kind), market_of(frames), gate, BacktestTerms(D(100_000)))
    check(kind, next(running)[1].engine)


@pytest.mark.parametrize("kind", KINDS)
def test_on_paper(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    start_ns = to_ns(new_york(DAYS[0], clock(10)))
    venue = open_paper_account("types", Mode.PAPER, D(100_000), TOUCH)
    broker = KeptPaperBroker(venue, lambda: to_time(engine.market.now_ns), lambda _: "")
    names = Names("types", Mode.PAPER, "asks", "p")
    day = f"{DAYS[0]:%y%m%d}"
    low, high = f"QQQ   {day}C00600000", f"QQQ   {day}C00605000"
    engine = Engine(
        Asks(kind, (low, high)), broker, gate=OpenGate(), record=lambda _: None, names=names
    )
    engine.start(start_ns)
    for minute in range(20):
        for symbol, mid in (("QQQ", 600.0), (low, 4.0), (high, 1.5)):
            now_ns = start_ns + minute * 60 * 10**9
            engine.on(Quote(symbol, now_ns, mid - 0.01, mid + 0.01, 100, 100, mid))
    check(kind, engine)
    assert (tmp_path / "journals" / "types.account.json").exists()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBench]:
    home = tmp_path_factory.mktemp("types")
    with live_bench(("--clock", "2026-11-20T10:00", "--speed", "0"), home, "") as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_live(kind: str, bench: LiveBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    now = datetime.fromisoformat(bench.simulator.move_clock()["now"]).astimezone(UTC)
    with SchwabTrader(bench.settings) as api:
        account = api.account_numbers()[0].hash_value
    strategy = Asks(kind, _quoted(bench, now) if kind == "package" else None)
    terms = TradingTerms(
        account_id=account,
        mode=Mode.LIVE,
        run_id=f"t{list(KINDS).index(kind)}",
        order_journal=tmp_path / "orders.jsonl",
        gate=OpenGate(),
        record=lambda _: None,
        clock=lambda: now,
    )
    with TradingEngine(bench.settings, strategy, terms) as trading:
        engine = trading.engine
        trading.take_up([], accept_holdings=True)
        engine.start(to_ns(now))
        for _ in range(12):
            now += timedelta(seconds=60)
            bench.simulator.move_clock(now=f"{now:%Y-%m-%dT%H:%M:%S}+00:00")
            engine.on(Heartbeat(time_ns=to_ns(now)))
            hear(trading)
            acknowledged(trading)
        check(kind, engine)


def hear(trading: TradingEngine) -> None:
    """Hand in what the broker's threads have answered, until nothing is awaited."""
    until = time.monotonic() + 20
    waiting = trading._deliveries._waiting
    while waiting or (trading.engine.book.awaited and time.monotonic() < until):
        while waiting:
            news = waiting.pop(0)
            assert not isinstance(news, BaseException), news
            trading.engine.on(news)
        time.sleep(0.001)


def acknowledged(trading: TradingEngine) -> None:
    """Poll until the broker has acknowledged every order: that takes it half a second."""
    until = time.monotonic() + 20
    submitted = True
    while submitted and time.monotonic() < until:
        for update in trading._schwab.poll():
            trading.engine.on(update)
        working = trading.engine.book.working()
        submitted = any(each.status is OrderStatus.SUBMITTED for each in working)


def _quoted(bench: LiveBench, now: datetime) -> tuple[str, str]:
    market = SchwabMarketData(SchwabClient(bench.settings))
    try:
        chain = market.option_chain("QQQ", now.date(), now.date(), now=now)
    finally:
        market.close()
    calls = chain.contracts.filter(chain.contracts["right"] == "C").sort("strike")
    near = [row for row in calls.iter_rows(named=True) if row["strike"] > chain.underlying_price]
    return near[0]["occ_symbol"], near[2]["occ_symbol"]
