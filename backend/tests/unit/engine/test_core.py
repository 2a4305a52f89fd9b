"""The engine's loop: what it decides of events, in which order, and that it does so again."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest
from ema_quotes import EXPECTED, columns, quotes

from engine.core import Denial, Engine
from engine.desk import Names
from engine.fees import NoFees
from engine.paper import PaperAccount, PaperBroker
from models.decisions import Decision, Denied, Heard, Intended, Signalled
from models.errors import OrderRejected
from models.events import Heartbeat, OrderUpdate, Quote
from models.order_terms import AccountKind, Mode, OrderStatus, Side
from models.trading import AccountTerms, Leg
from ports.strategy import Needs, Strategy
from strategies.ema_cross import EmaCross, EmaCrossParameters
from utils.clock import to_time
from utils.quote_runs import quote_runs

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "A" * 64
BUY = Leg(symbol="QQQ", side=Side.BUY)
OPEN_NS = 1_700_058_600_000_000_000
SECOND = 1_000_000_000


class OpenGate:
    """Lets everything pass: the rules are not the matter here."""

    check = staticmethod(lambda *_: None)


class ShutGate:
    """Lets nothing pass."""

    check = staticmethod(lambda *_: Denial("shut", "0", "1", "nothing may leave"))


def engine_of(strategy: Strategy, record: Callable[[Decision], None], gate: Any = None) -> Engine:
    ids = count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        Decimal(10_000_000),
        mode=Mode.BACKTEST,
        order_ids=lambda: next(ids),
        fees=NoFees(),
    )
    made: list[Engine] = []
    broker = PaperBroker(account, lambda: to_time(made[0].market.now_ns))
    names = Names(ACCOUNT, Mode.BACKTEST, strategy.name, "run")
    made.append(Engine(strategy, broker, gate=gate or OpenGate(), record=record, names=names))
    return made[0]


ORDERS = {
    (1_000_000, 1_000, 10_000): "e35d95b0f4ca2bd286e37c0efbc8e665e7a05a9a60be1e0ffb5393033c7b67ba",
    (1_000_000, 100, 1_000): "705aff9ab4abe1cb07a40dcfebd6b3ef8769d2f6b89c1648b9c0438e7c621406",
    (200_000, 10, 50): "cadd5f2171ace14c5168de1a4ae6f1e390d4f1790585789049efbd5f7ac730c3",
}
"""SHA-256 of the list of orders: when each filled, on which side, and at which price."""


@pytest.mark.parametrize("case", EXPECTED)
def test_the_ema_cross_earns_what_other_engines_say(case: tuple[int, int, int]) -> None:
    number, fast, slow = case
    names = ("time_ns", "bid", "ask", "bid_size", "ask_size")
    frame = pl.DataFrame(dict(zip(names, columns(number), strict=True)))
    records: list[Decision] = []
    engine = engine_of(EmaCross(EmaCrossParameters(fast=fast, slow=slow)), records.append)
    engine.start(OPEN_NS - 1)
    engine.run(quote_runs(frame, "QQQ"))
    engine.finish()
    orders = sum(isinstance(each, Intended) for each in records)
    assert (orders, engine.portfolio.realized_pnl) == EXPECTED[case]
    assert engine.portfolio.quantity("QQQ") == (100 if orders % 2 else 0)
    assert engine.number == number
    lines = [
        f"{fill.time_ns} {fill.side} {fill.quantity} {fill.price}"
        for each in records
        if isinstance(each, Heard)
        for fill in each.update.fills
    ]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == ORDERS[case]


def test_equal_events_give_equal_records_byte_by_byte() -> None:
    def journal() -> bytes:
        lines: list[bytes] = []
        encode = msgspec.json.Encoder().encode
        strategy = EmaCross(EmaCrossParameters(fast=10, slow=50))
        engine = engine_of(strategy, lambda each: lines.append(encode(each)))
        engine.start(OPEN_NS)
        engine.run(quotes(5_000))
        return b"\n".join(lines)

    assert journal() == journal()


class Scripted(Strategy):
    """Writes down what it hears, and acts at the quotes that it is told."""

    name = "scripted"

    def __init__(self, acts: dict[int, Callable[[Scripted], object]]) -> None:
        self.acts = acts
        self.seen = 0
        self.heard: list[Any] = []

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:
        self.seen += 1
        self.heard.append(("quote", quote.time_ns))
        if act := self.acts.get(self.seen):
            act(self)

    def on_timer(self, name: str) -> None:
        self.heard.append((name, self.desk.now_ns))

    def on_update(self, update: OrderUpdate) -> None:
        self.heard.append((update.status, update.client_order_id))


def quote(second: int, bid: float = 99.99, ask: float = 100.01) -> Quote:
    return Quote(
        symbol="QQQ",
        time_ns=OPEN_NS + second * SECOND,
        bid=bid,
        ask=ask,
        bid_size=500,
        ask_size=500,
    )


def buy(strategy: Scripted) -> None:
    strategy.desk.open([Leg(symbol="QQQ", side=Side.BUY)], 10, why={"because": 1})


def test_an_order_leaves_after_the_handler_and_its_news_come_in_order() -> None:
    records: list[Decision] = []
    strategy = Scripted({2: buy})
    engine = engine_of(strategy, records.append)
    engine.start(OPEN_NS)
    engine.run([quote(1), quote(2), quote(3)])
    assert [each for each in strategy.heard if each[0] != "quote"] == [
        (OrderStatus.SUBMITTED, "run-1"),
        (OrderStatus.WORKING, "run-1"),
        (OrderStatus.FILLED, "run-1"),
    ]
    assert [type(each) for each in records] == [Signalled, Intended, Heard, Heard, Heard]
    assert {each.event for each in records} == {2}
    signal = records[0]
    assert isinstance(signal, Signalled)
    assert bytes(signal.why) == b'{"because":1}'
    assert engine.portfolio.quantity("QQQ") == 10
    assert engine.portfolio.cash_flow == Decimal("-1000.10")


def test_what_the_gate_denies_does_not_reach_the_broker() -> None:
    records: list[Decision] = []
    strategy = Scripted({1: buy})
    engine = engine_of(strategy, records.append, ShutGate())
    engine.start(OPEN_NS)
    engine.run([quote(1), quote(2)])
    assert [type(each) for each in records] == [Signalled, Denied]
    assert (OrderStatus.DENIED, "run-1") in strategy.heard
    assert not engine.portfolio.holdings
    assert not engine.broker.orders(to_time(0))


def test_timers_come_at_their_own_time_and_before_the_event_that_passes_them() -> None:
    strategy = Scripted({})
    engine = engine_of(strategy, [].append)
    engine.start(OPEN_NS)
    strategy.desk.call_every(2, "tick")
    strategy.desk.call_at(to_time(OPEN_NS + 3 * SECOND), "once")
    engine.run([quote(1), Heartbeat(time_ns=OPEN_NS + 5 * SECOND), quote(5)])
    assert strategy.heard == [
        ("quote", OPEN_NS + SECOND),
        ("tick", OPEN_NS + 2 * SECOND),
        ("once", OPEN_NS + 3 * SECOND),
        ("tick", OPEN_NS + 4 * SECOND),
        ("quote", OPEN_NS + 5 * SECOND),
    ]


def test_a_working_order_is_replaced_and_canceled() -> None:
    def limit(strategy: Scripted) -> None:
        leg = Leg(symbol="QQQ", side=Side.BUY)
        strategy.desk.open([leg], 10, limit_price=Decimal("99.00"))

    def raise_it(strategy: Scripted) -> None:
        strategy.desk.replace("run-1", Decimal("99.50"))

    def cancel(strategy: Scripted) -> None:
        strategy.desk.cancel("run-2")

    strategy = Scripted({1: limit, 2: raise_it, 3: cancel})
    engine = engine_of(strategy, [].append)
    engine.start(OPEN_NS)
    engine.run([quote(1), quote(2), quote(3)])
    states = {name: state.order.status for name, state in engine.book.states.items()}
    assert states == {"run-1": OrderStatus.REPLACED, "run-2": OrderStatus.CANCELED}
    assert not engine.book.working()


def test_what_is_asked_for_at_the_end_does_not_leave() -> None:
    class Last(Scripted):
        def stop(self) -> None:
            buy(self)

    records: list[Decision] = []
    engine = engine_of(Last({}), records.append)
    engine.start(OPEN_NS)
    engine.run([quote(1)])
    engine.finish()
    assert not records


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            lambda desk: desk.open([], 1),
            r"order refused: Order\.legs: ",
        ),
        (
            lambda desk: desk.open([BUY], 0),
            r"order refused: Order\.quantity: .*greater than 0",
        ),
        (
            lambda desk: desk.close([BUY], 1, limit_price=Decimal(-3)),
            "order refused: Order: limit_price does not fit LIMIT",
        ),
        (
            lambda desk: desk.order(legs=(BUY,), order_type="STOP", quantity=1),
            "order refused: Order: stop_price does not fit STOP",
        ),
    ],
)
def test_what_makes_no_order_is_refused_in_one_sentence(
    asked: Callable[[Any], object], sentence: str
) -> None:
    engine = engine_of(Scripted({}), lambda _: None)
    engine.start(OPEN_NS)
    with pytest.raises(OrderRejected, match=sentence) as found:
        asked(engine.strategy.desk)
    assert "\n" not in str(found.value)
    assert not engine.desk.wishes
    assert (
        engine.desk.order(legs=(BUY,), order_type="MARKET", quantity=1).client_order_id == "run-1"
    )
