"""Stored data as the events of a backtest, session by session, in the order of the market.

Minute data says how each minute ended; that is when it is told. A bar of the underlying comes first,
then its quote, then those of its contracts. The underlying's bid and offer are not stored beside
bars: they are taken to lie `spread` apart around the close, which the report says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from models.errors import DataError
from models.events import Bar, Quote, QuoteRun
from models.tables import ORIGINS, SOURCES
from ports.broker import NEVER
from utils.clock import to_ns
from utils.quote_runs import quote_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from models.tables import Frame, Where
    from ports.store import Store
    from ports.strategy import Needs
    from utils.market_calendar import Session

MOST_CONTRACTS = 400
"""Contracts of one underlying and session that are replayed: those nearest to the money."""

MINUTE_S = 60

Minute: TypeAlias = "Sequence[Bar | Quote | QuoteRun]"
"""What a minute brings, in order, all of it told at the minute's end."""


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

    def minutes(self, needs: Needs, session: Session) -> Iterator[Minute]:
        """Yield the events of one session, minute by minute.

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
        options = None
        if quotes:
            named = {"occ_symbol": "symbol"}
            options = pl.concat(quotes).sort("ts", "occ_symbol").rename(named)
            options = options.with_columns(time_ns=pl.col("ts").dt.epoch("ns"))
        yield from _minutes(minutes.sort("ts", "symbol", maintain_order=True), options, self.spread)

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


def _minutes(bars: Frame, quotes: Frame | None, spread: float) -> Iterator[Minute]:
    """Yield minutes in order: at each one's end the bars, then the quotes that stood then.

    Quotes after the last bar are told with it.
    """
    runs = _Runs(quotes)
    half = spread / 2
    names = ("symbol", "open", "high", "low", "close", "volume")
    minute: Minute = []
    for (ts,), rows in bars.group_by("ts", maintain_order=True):
        if minute:
            yield minute
        start_ns = to_ns(ts)
        end_ns = start_ns + MINUTE_S * 1_000_000_000
        events: list[Bar | Quote | QuoteRun] = list(runs.before(end_ns))
        for symbol, *prices in zip(*(rows[name] for name in names), strict=True):
            opened, high, low, close, volume = prices
            events += (
                Bar(
                    symbol=symbol, time_ns=start_ns, interval_s=MINUTE_S, open=opened, high=high,
                    low=low, close=close, volume=volume,
                ),
                Quote(symbol, end_ns, close - half, close + half, last=close),
            )  # fmt: skip
        minute = [*events, *runs.before(end_ns + 1)]
    if last := [*minute, *runs.before(NEVER)]:
        yield last


class _Runs:
    """Quotes of contracts, in runs, as far as time has come."""

    def __init__(self, quotes: Frame | None) -> None:
        self._quotes = quotes
        self._times = None if quotes is None else quotes["time_ns"].to_numpy()
        self._taken = 0

    def before(self, time_ns: int) -> Iterator[QuoteRun]:
        """Yield the quotes that were not yielded before and are earlier than a time."""
        if self._quotes is None or self._times is None:
            return
        first, self._taken = self._taken, int(np.searchsorted(self._times, time_ns))
        yield from quote_runs(self._quotes[first : self._taken])


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
