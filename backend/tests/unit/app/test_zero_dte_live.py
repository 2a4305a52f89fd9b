"""How what a stream tells joins what REST told: nothing twice, nothing lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from app.zero_dte_live import Collector, joined
from models.events import Bar, Quote, TradeTick
from models.tables import OPTION_BARS, OPTION_QUOTES, OPTION_TRADES, frame_schema

DAY = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CALL, PUT = "QQQ   261120C00600000", "QQQ   261120P00600000"
ASKED = OPEN + timedelta(minutes=5, seconds=30)


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000_000


def collector() -> Collector:
    return Collector("QQQ", DAY, "simulator")


def bar(symbol: str, minute: int, close: float, seconds: int = 60) -> Bar:
    start = ns(OPEN + timedelta(minutes=minute))
    prices = {"open": 1.0, "high": 9.0, "low": 0.5, "close": close}
    return Bar(symbol=symbol, time_ns=start, interval_s=seconds, volume=7.0, **prices)


def quote(symbol: str, second: int, bid: float) -> Quote:
    at = ns(OPEN + timedelta(seconds=second))
    return Quote(symbol=symbol, time_ns=at, bid=bid, ask=bid + 1, bid_size=1, ask_size=2)


def trade(symbol: str, second: int, price: float) -> TradeTick:
    at = ns(OPEN + timedelta(seconds=second))
    return TradeTick(symbol=symbol, time_ns=at, price=price, size=3.0, conditions=(209,))


def test_events_become_rows_of_their_tables() -> None:
    found = collector()
    for event in (
        bar("QQQ", 0, 600.0),
        bar(CALL, 0, 1.0),
        bar(CALL, 0, 2.0),  # sent again: it replaces
        bar(CALL, 0, 3.0, seconds=1),
        trade(CALL, 1, 1.5),
        quote(CALL, 1, 1.0),
        quote(CALL, 59, 2.0),
        quote(CALL, 61, 3.0),
        quote("QQQ", 1, 600.0),
    ):
        found.take(event)
    rows = found.drain()
    assert found.price == 600.0
    assert rows["bars"]["close"].to_list() == [2.0]
    assert rows["underlying"]["close"].to_list() == [600.0]
    assert rows["trades"].select("price", "size", "conditions").row(0) == (1.5, 3, "209")
    assert rows["quotes"]["bid"].to_list() == [2.0, 3.0]
    assert rows["quotes"]["ts"].to_list() == [OPEN + timedelta(minutes=n) for n in (1, 2)]
    for name, table in (("bars", OPTION_BARS), ("trades", OPTION_TRADES)):
        assert rows[name].schema == frame_schema(table)
    assert found.drain() == {}


def test_rest_stands_until_it_was_asked_and_the_stream_after() -> None:
    known = collector()
    for minute in range(6):  # REST's last one was still forming
        known.take(bar(CALL, minute, 1.0))
    live = collector()
    for minute in (3, 4, 5, 6):
        live.take(bar(CALL, minute, 2.0))
    both = joined("bars", known.drain()["bars"], [live.drain()["bars"]], ASKED)
    assert both["close"].to_list() == [1.0] * 5 + [2.0, 2.0]
    assert joined("bars", both, [], ASKED).equals(both)


def test_trades_are_counted_on_and_none_comes_twice() -> None:
    known, live = collector(), collector()
    for second in (1, 2, 3):
        known.take(trade(CALL, second, 1.0))
    rest = known.drain()["trades"].with_columns(sequence=pl.int_range(1, 4, dtype=pl.Int64))
    for second in (2, 3, 4, 4):
        live.take(trade(CALL, second, 2.0))
    live.take(trade(PUT, 2, 5.0))
    first = live.drain()["trades"]
    both = joined("trades", rest, [first], ASKED)
    calls = both.filter(occ_symbol=CALL)
    assert calls["sequence"].to_list() == [1, 2, 3, 4, 5]
    assert calls["price"].to_list() == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert both.filter(occ_symbol=PUT)["sequence"].to_list() == [1]
    assert joined("trades", both, [first], ASKED).equals(both)


def test_of_a_minutes_quotes_the_last_counts_whoever_told_it() -> None:
    columns = ["occ_symbol", "ts", "bid", "ask", "bid_size", "ask_size", "quote_at"]
    rest = pl.DataFrame(
        [
            (CALL, OPEN + timedelta(minutes=5), 1.0, 2.0, 1, 1, OPEN + timedelta(seconds=299)),
            (CALL, OPEN + timedelta(minutes=6), 1.1, 2.0, 1, 1, OPEN + timedelta(seconds=325)),
        ],
        schema={name: frame_schema(OPTION_QUOTES)[name] for name in columns},
        orient="row",
    )
    live = collector()
    for second, bid in ((290, 8.0), (331, 1.2), (359, 1.3), (361, 1.4)):
        live.take(quote(CALL, second, bid))
    both = joined("quotes", rest, [live.drain()["quotes"]], ASKED)
    assert both["bid"].to_list() == [1.0, 1.3, 1.4]
