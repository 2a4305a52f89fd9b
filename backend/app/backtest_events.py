"""Stored data as the events of a backtest, session by session, in the order of the market.

Minute data says how each minute ended; that is when it is told. A bar of the underlying comes first,
then its quote, then those of its contracts. The underlying's bid and offer are not stored beside
bars: they are taken to lie `spread` apart around the close, which the report says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.errors import DataError
from models.events import Bar, Quote
from models.tables import ORIGINS, SOURCES
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from models.events import Event
    from models.tables import Frame, Where
    from ports.store import Store
    from ports.strategy import Needs
    from utils.market_calendar import Session

MOST_CONTRACTS = 400
"""Contracts of one underlying and session that are replayed: those nearest to the money."""

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class StoredMarket:
    """Stored data of some sessions.

    Attributes:
        store: Where it lies.
        sessions: Those that have bars of every ticker, oldest first.
        source: Who made the rows.
        origin: Where they come from.
        spread: USD between bid and offer of an underlying.
    """

    store: Store
    sessions: tuple[Session, ...]
    source: str
    origin: str
    spread: float

    def events(self, needs: Needs, session: Session) -> Iterator[Event]:
        """Yield the events of one session.

        Raises:
            StoreError: The data cannot be read.
        """
        bars = {ticker: self._bars(ticker, session) for ticker in needs.symbols}
        quotes = [
            self._quotes(underlying, days, session, bars[underlying])
            for underlying, days in needs.chain_days.items()
        ]
        minutes = pl.concat(
            [frame.with_columns(symbol=pl.lit(name)) for name, frame in bars.items()]
        )
        yield from _merged(
            minutes.sort("ts", "symbol", maintain_order=True),
            pl.concat(quotes).sort("ts", "occ_symbol") if quotes else None,
            self.spread,
        )

    def _bars(self, ticker: str, session: Session) -> Frame:
        where: Where = {
            "underlying": ticker,
            "session": session.day,
            "interval": "1m",
            "source": self.source,
            "origin": self.origin,
        }
        columns = ["ts", "open", "high", "low", "close", "volume"]
        rows = self.store.read("equity_bars", where, columns)
        return rows.filter(pl.col("ts").is_between(session.open, session.close, closed="left"))

    def _quotes(self, underlying: str, days: int, session: Session, bars: Frame) -> Frame:
        where: Where = {
            "underlying": underlying,
            "session": session.day,
            "source": self.source,
            "origin": self.origin,
        }
        columns = ["ts", "occ_symbol", "expiration", "strike", "bid", "ask", "bid_size", "ask_size"]
        rows = self.store.read("option_quotes", where, columns)
        last = session.day + timedelta(days=days)
        rows = rows.filter(pl.col("expiration").is_between(session.day, last))
        return rows.join(_near_the_money(rows, bars, session.day), on="occ_symbol", how="semi")


def _near_the_money(rows: Frame, bars: Frame, day: date) -> Frame:
    """Return the contracts nearest to the money at the opening, which a trader would know then."""
    if bars.is_empty():
        return rows.select("occ_symbol").clear()
    spot = bars["open"].item(0)
    days = (pl.col("expiration") - pl.lit(day)).dt.total_days() + 1
    distance = (pl.col("strike").cast(pl.Float64) / spot).log().abs() / days.sqrt()
    contracts = rows.unique("occ_symbol").select("occ_symbol", distance=distance)
    return contracts.sort("distance", "occ_symbol").head(MOST_CONTRACTS)


def _merged(bars: Frame, quotes: Frame | None, spread: float) -> Iterator[Event]:
    """Yield minutes in order: at each one's end the bars, then the quotes that stood then."""
    waiting = _quote_events(quotes) if quotes is not None else iter(())
    quote = next(waiting, None)
    rows = zip(
        bars["symbol"], bars["ts"], *(bars[name] for name in ("open", "high", "low", "close", "volume")),
        strict=True,
    )  # fmt: skip
    for symbol, ts, opened, high, low, close, volume in rows:
        start_ns = to_ns(ts)
        end_ns = start_ns + MINUTE_S * 1_000_000_000
        while quote is not None and quote.time_ns < end_ns:
            yield quote
            quote = next(waiting, None)
        yield Bar(
            symbol=symbol, time_ns=start_ns, interval_s=MINUTE_S, open=opened, high=high, low=low,
            close=close, volume=volume,
        )  # fmt: skip
        half = spread / 2
        yield Quote(symbol=symbol, time_ns=end_ns, bid=close - half, ask=close + half, last=close)
    while quote is not None:
        yield quote
        quote = next(waiting, None)


def _quote_events(quotes: Frame) -> Iterator[Quote]:
    columns = ("occ_symbol", "bid", "ask", "bid_size", "ask_size")
    times = quotes["ts"].dt.epoch("ns")
    for time_ns, symbol, bid, ask, bid_size, ask_size in zip(
        times, *(quotes[name] for name in columns), strict=True
    ):
        yield Quote(
            symbol=symbol, time_ns=time_ns, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size
        )


def stored_market(
    store: Store, needs: Needs, sessions: Sequence[Session], spread: float
) -> StoredMarket:
    """Return the stored data that a strategy's backtest runs on.

    Of several sources the one with the most sessions counts, real ones before others.

    Raises:
        DataError: Nothing is stored of what it needs; the sentence says how to get it.
    """
    best: StoredMarket | None = None
    for origin in ORIGINS:
        for source in SOURCES:
            days = _days(store, needs, source, origin)
            found = tuple(each for each in sessions if each.day in days)
            if found and (best is None or len(found) > len(best.sessions)):
                best = StoredMarket(store, found, source, origin, spread)
    if best is None:
        ticker = needs.symbols[0]
        first, last = sessions[0].day, sessions[-1].day
        raise DataError(
            f"no minutes of {ticker} and its options from {first} to {last} are stored: get them by "
            f"`python main.py --ticker {ticker} --start {first} --end {last} --source polygon`"
        )
    return best


def _days(store: Store, needs: Needs, source: str, origin: str) -> set[date]:
    """Return the sessions of which everything that a strategy needs is stored."""
    days: set[date] | None = None
    wanted = [(ticker, "equity_bars_1m") for ticker in needs.symbols]
    wanted += [(underlying, "option_quotes_1m") for underlying in needs.chain_days]
    for ticker, dataset in wanted:
        rows = store.coverage(ticker, source=source, origin=origin)
        rows = rows.filter(pl.col("dataset") == dataset, pl.col("rows") > 0)
        have = set(rows["session"].to_list())
        days = have if days is None else days & have
    return days or set()
