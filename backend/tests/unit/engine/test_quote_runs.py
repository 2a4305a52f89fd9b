"""Quotes in runs, one by one, or shown to a venue that waits for everything: the same decisions."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pytest

from engine.core import Engine
from engine.desk import Names
from engine.paper import PaperAccount, PaperBroker
from models.errors import DataError
from models.events import Quote, QuoteRun
from models.order_terms import AccountKind, Mode, OrderType, Side
from models.trading import AccountTerms, Leg
from ports.broker import Watch
from ports.strategy import Needs, Strategy
from utils.clock import to_time
from utils.quote_runs import RUN, quote_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from models.decisions import Decision
    from models.events import Event

ACCOUNT = "A" * 64
OPEN_NS = 1_700_058_600_000_000_000
SYMBOLS = ("QQQ", "SPY", "QQQ   231115C00400000", "QQQ   231115C00405000")
SECOND = 1_000_000_000


class Wild(Strategy):
    """Trades, rests, cancels and sets timers by chance: by the same chance where it sees the same."""

    name = "wild"

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.heard: list[object] = []

    def needs(self) -> Needs:
        return Needs(("QQQ", "SPY"))

    def start(self) -> None:
        self.desk.call_every(977, "look")

    def on_quote(self, quote: Quote) -> None:
        self.heard.append((self.desk.now_ns, quote.symbol, self.desk.quote("QQQ")))
        if self.chance.random() < 0.02:
            self._act(quote)

    def on_timer(self, name: str) -> None:
        self.heard.append((name, self.desk.now_ns, self.desk.quote("SPY")))

    def _act(self, quote: Quote) -> None:
        kind = self.chance.choice(("market", "limit", "stop", "cancel", "timer"))
        leg = Leg(symbol=quote.symbol, side=self.chance.choice((Side.BUY, Side.SELL)))
        if kind == "market":
            self.desk.open([leg], self.chance.randint(1, 3))
        elif kind == "limit":
            away = Decimal(self.chance.randint(-5, 5)) / 100
            self.desk.open([leg], 2, limit_price=Decimal(str(quote.bid)) + away)
        elif kind == "stop":
            self.desk.place(
                self.desk.order(
                    legs=(leg,), order_type=OrderType.STOP, stop_price=Decimal(str(quote.ask)),
                    quantity=Decimal(1),
                )
            )  # fmt: skip
        elif kind == "timer":
            self.desk.call_at(to_time(quote.time_ns + self.chance.randint(-5, 60) * SECOND), "once")
        elif orders := self.desk.orders():
            self.desk.cancel(self.chance.choice(orders).client_order_id)


class AllSymbols:
    """Has every symbol in it."""

    __contains__ = staticmethod(lambda _: True)
    __len__ = staticmethod(lambda: 1)
    __iter__ = staticmethod(lambda: iter(()))


class Curious(PaperBroker):
    """Wants to be shown everything."""

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:
        super().watch(quotes)
        return Watch(AllSymbols(), 0)


def decisions(
    events: list[Event] | list[QuoteRun], seed: int, kind: type[PaperBroker] = PaperBroker
) -> tuple[list[bytes], list[object], int]:
    ids = count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        Decimal(10_000_000),
        mode=Mode.BACKTEST,
        order_ids=lambda: next(ids),
    )
    made: list[Engine] = []
    broker = kind(account, lambda: to_time(made[0].market.now_ns))
    told: list[Decision] = []
    strategy = Wild(seed)
    gate = type("Open", (), {"check": staticmethod(lambda *_: None)})()
    names = Names(ACCOUNT, Mode.BACKTEST, "wild", "r")
    made.append(Engine(strategy, broker, gate=gate, record=told.append, names=names))
    made[0].start(OPEN_NS)
    made[0].run(events)
    made[0].finish()
    encode = msgspec.json.Encoder(decimal_format="string").encode
    return [encode(each) for each in told], strategy.heard, made[0].number


def walk(seed: int) -> list[Quote]:
    """Return a session's quotes of all symbols, past the options' end."""
    chance = random.Random(seed)
    at_ns, cents = OPEN_NS, dict(zip(SYMBOLS, (40_000, 45_000, 300, 120), strict=True))
    found = []
    for _ in range(1_500):
        at_ns += chance.randint(0, 36) * SECOND
        symbol = chance.choice(SYMBOLS)
        cents[symbol] = max(5, cents[symbol] + chance.randint(-3, 3))
        bid, ask = cents[symbol] / 100, (cents[symbol] + 2) / 100
        sizes = chance.randint(1, 4), chance.randint(1, 4)
        found.append(Quote(symbol, at_ns, bid, ask, *sizes, ask))
    return found


def in_runs(quotes: list[Quote], seed: int) -> Iterator[QuoteRun]:
    chance, rest = random.Random(seed), list(quotes)
    while rest:
        size = chance.randint(1, 200)
        yield QuoteRun(rest[:size])
        rest = rest[size:]


@pytest.mark.parametrize("seed", range(6))
def test_runs_single_quotes_and_a_venue_that_sees_all_give_the_same_decisions(seed: int) -> None:
    quotes = walk(seed)
    one_by_one = decisions(quotes, seed)
    assert len(one_by_one[0]) > 50
    assert decisions(list(in_runs(quotes, seed)), seed) == one_by_one
    assert decisions(quotes, seed, Curious) == one_by_one


def test_a_run_that_begins_before_the_newest_event_does_not_turn_time_back() -> None:
    quotes = walk(1)
    late = [QuoteRun(quotes[:100]), QuoteRun(quotes[50:])]
    single = [*quotes[:100], *quotes[50:]]
    assert decisions(late, 1) == decisions(single, 1)


def test_columns_become_runs_of_quotes() -> None:
    size = RUN + 5
    frame = pl.DataFrame(
        {
            "time_ns": range(size),
            "symbol": ["QQQ"] * size,
            "bid": [None, *[1.0] * (size - 1)],
            "ask": [2.0] * size,
            "bid_size": [3] * size,
            "ask_size": [4] * size,
        },
        schema_overrides={"time_ns": pl.Int64},
    )
    runs = list(quote_runs(frame))
    assert [len(run.quotes) for run in runs] == [RUN, 5]
    assert runs[0].quotes[0] == Quote("QQQ", 0, None, 2.0, 3, 4)
    assert runs[1].quotes[-1] == Quote("QQQ", size - 1, 1.0, 2.0, 3, 4)
    assert list(quote_runs(frame.drop("symbol"), "QQQ")) == runs
    with pytest.raises(DataError, match="in the order of their times"):
        list(quote_runs(frame.reverse()))
