"""What a stream tells of a 0DTE session, as columns, and how it joins what REST told (pure).

REST is the better teller (it has counts, average prices and every trade), the stream the quicker
one: up to the moment at which REST was asked its rows stand, after it those of the stream do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.events import Bar, Quote, TradeTick
from models.symbols import OCC_LENGTH
from models.tables import EQUITY_BARS, OPTION_BARS, OPTION_QUOTES, OPTION_TRADES, frame_schema
from polygon_integration.config import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from models.events import MarketEvent
    from models.tables import Frame, Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_OF_MINUTE: Final = 60_000_000_000
_MINUTE: Final = timedelta(minutes=1)
_TABLES: Final = {
    "bars": OPTION_BARS,
    "trades": OPTION_TRADES,
    "quotes": OPTION_QUOTES,
    "underlying": EQUITY_BARS,
}
_SEQUENCE: Final = "sequence"


@dataclass(slots=True)
class Collector:
    """Gathers events until they are taken: of quotes the last of each minute, everything else whole.

    Attributes:
        ticker: Underlying.
        session: Exchange day.
        origin: Stamped on each row.
        price: Newest close of the underlying; None before the first.
        counts: Events of each dataset so far.
    """

    ticker: str
    session: date
    origin: str
    price: float | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_TABLES, 0))
    _bars: dict[tuple[str, int], Bar] = field(default_factory=dict)
    _trades: list[TradeTick] = field(default_factory=list)
    _quotes: dict[tuple[str, int], Quote] = field(default_factory=dict)

    def take(self, event: MarketEvent) -> None:
        """Take an event; what is neither bar of a minute, trade nor quote is passed over."""
        if isinstance(event, Bar) and event.interval_s == 60:
            self._bars[event.symbol, event.time_ns] = event
            of_option = len(event.symbol) == OCC_LENGTH
            self.counts["bars" if of_option else "underlying"] += 1
            if not of_option:
                self.price = event.close
        elif isinstance(event, TradeTick):
            self._trades.append(event)
            self.counts["trades"] += 1
        elif isinstance(event, Quote) and len(event.symbol) == OCC_LENGTH:
            minute_end = -(-event.time_ns // _NS_OF_MINUTE)
            self._quotes[event.symbol, minute_end] = event
            self.counts["quotes"] += 1

    def drain(self) -> dict[str, Frame]:
        """Return what came since the last call, dataset -> rows, and forget it."""
        options = [bar for bar in self._bars.values() if len(bar.symbol) == OCC_LENGTH]
        underlying = [bar for bar in self._bars.values() if len(bar.symbol) != OCC_LENGTH]
        rows = {
            "bars": [{"occ_symbol": bar.symbol} | _bar(bar) for bar in options],
            "underlying": [_bar(bar) for bar in underlying],
            "trades": [_trade(trade, n) for n, trade in enumerate(self._trades)],
            "quotes": [_quote(quote, end) for (_, end), quote in self._quotes.items()],
        }
        self._bars, self._trades, self._quotes = {}, [], {}
        stamps = {
            "underlying": self.ticker,
            "session": self.session,
            "source": PROVIDER,
            "origin": self.origin,
        }
        return {
            name: pl.DataFrame([each | stamps for each in found], schema=_schema(_TABLES[name]))
            for name, found in rows.items()
            if found
        }


def _schema(table: Table) -> dict[str, pl.DataType]:
    return frame_schema(table)


def _bar(bar: Bar) -> dict[str, Any]:
    return {
        "ts": _moment(bar.time_ns),
        "interval": "1m",
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": round(bar.volume),
    }


def _trade(trade: TradeTick, number: int) -> dict[str, Any]:
    return {
        "ts": _moment(trade.time_ns),
        "occ_symbol": trade.symbol,
        _SEQUENCE: number,
        "price": trade.price,
        "size": round(trade.size),
        "conditions": ",".join(str(code) for code in trade.conditions) or None,
    }


def _quote(quote: Quote, minute_end: int) -> dict[str, Any]:
    return {
        "ts": _moment(minute_end * _NS_OF_MINUTE),
        "occ_symbol": quote.symbol,
        "bid": quote.bid,
        "ask": quote.ask,
        "bid_size": quote.bid_size,
        "ask_size": quote.ask_size,
        "quote_at": _moment(quote.time_ns),
    }


def joined(dataset: str, known: Frame, live: Sequence[Frame], asked_at: datetime) -> Frame:
    """Return what is known of a dataset together with what the stream told, each row once.

    Args:
        dataset: bars, trades, quotes or underlying.
        known: By REST, or by an earlier call.
        live: Of the stream, oldest first.
        asked_at: Market time at which REST was asked.
    """
    news = pl.concat(live, how="diagonal") if live else None
    if news is None or news.is_empty():
        return known
    if dataset == "trades":
        return _trades(known, news)
    if dataset == "quotes":
        news = news.filter(pl.col("ts") > asked_at)
        both = pl.concat([known, news.select(_shared(known, news))], how="diagonal_relaxed")
        return (
            both.sort("quote_at").unique(["ts", "occ_symbol"], keep="last").sort("ts", "occ_symbol")
        )
    # The bar that was forming when REST was asked comes again, whole.
    news = news.filter(pl.col("ts") + _MINUTE > asked_at)
    key = ["ts", "occ_symbol"] if dataset == "bars" else ["ts"]
    both = pl.concat([known, news.select(_shared(known, news))], how="diagonal_relaxed")
    return both.unique(key, keep="last", maintain_order=True).sort(key)


def _trades(known: Frame, news: Frame) -> Frame:
    """Append trades that are newer than the newest known one of their contract.

    The stream has milliseconds: what shares the millisecond of the newest known trade is that one.
    """
    ends = known.group_by("occ_symbol").agg(
        _last=pl.col("ts").max(), _count=pl.col(_SEQUENCE).max()
    )
    later = (
        news.join(ends, on="occ_symbol", how="left", maintain_order="left")
        .filter(pl.col("_last").is_null() | (pl.col("ts") > pl.col("_last")))
        .with_columns(
            (
                pl.col("_count").fill_null(0)
                + pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("occ_symbol")
            ).alias(_SEQUENCE)
        )
    )
    both = pl.concat([known, later.select(_shared(known, later))], how="diagonal_relaxed")
    return both.sort("ts", "occ_symbol", _SEQUENCE)


def _shared(known: Frame, news: Frame) -> list[str]:
    return [name for name in known.columns if name in news.columns]


def _moment(time_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_ns // 1000)
