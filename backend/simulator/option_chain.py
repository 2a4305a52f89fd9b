"""The generated world's option chain at an instant, put together from terms, flow and quotes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from simulator.draws import Floats, digest, uniforms
from simulator.intraday import SessionMinutes, session_minutes
from simulator.option_flow import flow
from simulator.option_quotes import Quotes, quotes, sizes
from simulator.option_terms import Contracts, contracts, since_1970, worth
from simulator.pricing import greeks_frame
from simulator.world import CHAIN_SCHEMA, TIME

if TYPE_CHECKING:
    from datetime import date, datetime

    from numpy.typing import NDArray

_MARK_MINUTES = 30.0
"""Every so many minutes a contract's last trade counts for the high and low of its day; between
these moments only the first and the newest trade do."""

_STALE_MINUTES = 0.4


class OptionSession:
    """The options of some expirations of a ticker in one session.

    Args:
        seed: The world's.
        ticker: Underlying.
        number: The session's number in `simulator.daily_path.all_sessions`.
        those: Its contracts in these expirations.
    """

    def __init__(self, seed: int, ticker: str, number: int, those: Contracts) -> None:
        self.seed, self.ticker, self.number = seed, ticker, number
        self.contracts = those
        self.minutes: SessionMinutes = session_minutes(seed, ticker, number)
        self.flow = flow(seed, ticker, self.minutes, those)
        self.opens = since_1970(self.minutes.start) + float(self.minutes.regular.start)

    def at(self, now: datetime) -> pl.DataFrame:
        """Return the contracts as they stand at `now`, or at their last moment before it.

        Columns of `CHAIN_SCHEMA`; `last`, `last_size`, `trade_at` and `close` know this session
        alone.
        """
        those = self.contracts
        instants = np.minimum(since_1970(now), those.stops)
        worths = worth(self.seed, self.ticker, self.minutes, those, instants)
        market = self._quotes(those, instants)
        minute = instants.astype(np.int64)
        columns: dict[str, Floats] = {
            "bid": market.bid,
            "ask": market.ask,
            "mark": (market.bid + market.ask) / 2,
            "bid_size": sizes(self.ticker, those.names, minute, market.bid, "bid"),
            "ask_size": sizes(self.ticker, those.names, minute, market.ask, "ask"),
            "quote_at": self._quoted(instants, minute),
            "open_interest": self.flow.open_interest.astype(np.float64),
            **self._trades(instants),
        }
        figures = greeks_frame(worths.terms, worths.spot, worths.vol)
        return pl.concat([those.frame, _typed(columns), figures], how="horizontal")

    def _quotes(self, those: Contracts, instants: Floats) -> Quotes:
        worths = worth(self.seed, self.ticker, self.minutes, those, instants)
        return quotes(self.ticker, those.names, worths, instants - self.opens, self.number)

    def _quoted(self, instants: Floats, minute: NDArray[np.int64]) -> Floats:
        """Return when each quote was made: a moment ago, longer where little trades."""
        draw = uniforms(digest("stale", self.ticker), self.contracts.names, minute)
        age = _STALE_MINUTES * draw**3 / (1 + self.flow.trades / 50)
        return np.maximum(instants - age, np.minimum(self.opens, instants))

    def _trades(self, instants: Floats) -> dict[str, Floats]:
        """Return what has traded until each instant; NaN where nothing has."""
        those, activity = self.contracts, self.flow
        day = those.stops - self.opens
        done = activity.done(np.clip((instants - self.opens) / day, 0.0, 1.0))
        done = np.where(activity.trades > 0, done, 0)
        rows = np.flatnonzero(done)
        columns = {name: np.full(len(done), np.nan) for name in _TRADE_COLUMNS}
        columns["volume"] = activity.volume_of(done).astype(np.float64)
        if len(rows):
            for name, values in self._prints(rows, done[rows]).items():
                columns[name][rows] = values
        return columns

    def _prints(self, rows: NDArray[np.int64], done: NDArray[np.int64]) -> dict[str, Floats]:
        """Return the newest trade of these contracts, and open, high and low of their day so far."""
        activity = self.flow.rows(rows)
        day = (self.contracts.stops - self.opens)[rows]
        marks = np.arange(_MARK_MINUTES, float(day.max()), _MARK_MINUTES)
        counts = np.stack([activity.done(np.minimum(mark / day, 1.0)) for mark in marks])
        wanted = np.vstack((np.ones_like(done), done, np.clip(counts, 1, done)))
        times = np.stack([activity.time_of(trade) for trade in wanted]) * day + self.opens
        price = self._trade_prices(np.broadcast_to(rows, wanted.shape), times, wanted)
        before = activity.volume_of(done - 1)
        return {
            "open": price[0],
            "last": price[1],
            "high": price.max(axis=0),
            "low": price.min(axis=0),
            "last_size": (activity.volume_of(done) - before).astype(np.float64),
            "trade_at": times[1],
        }

    def _trade_prices(
        self, rows: NDArray[np.int64], times: Floats, trades: NDArray[np.int64]
    ) -> Floats:
        """Return at which price trades were made: at the bid, at the ask or between."""
        flat = rows.ravel()
        those = self.contracts.rows(flat)
        market = self._quotes(those, times.ravel())
        draw = uniforms(digest("aggressor", self.ticker), those.names, trades.ravel())
        paid = np.where((draw < 0.45) & (market.bid > 0), market.bid, market.ask)
        return paid.reshape(times.shape)


_TRADE_COLUMNS = ("open", "high", "low", "last", "last_size", "trade_at")


@lru_cache(maxsize=32)
def option_session(
    seed: int, ticker: str, number: int, first: date, last: date
) -> OptionSession | None:
    """Return the options of a session that expire in [first, last], or None if there are none."""
    those = contracts(seed, ticker, number, first, last)
    return None if those is None else OptionSession(seed, ticker, number, those)


@lru_cache(maxsize=32)
def _final(seed: int, ticker: str, number: int, first: date, last: date) -> pl.DataFrame:
    """Return how contracts ended a session: mark, last trade, its size and time."""
    found = option_session(seed, ticker, number, first, last) if number > 0 else None
    if found is None:
        names = ("occ_symbol", "mark", "last", "last_size", "trade_at")
        return pl.DataFrame(schema={name: CHAIN_SCHEMA[name] for name in names}).rename(_BEFORE)
    return found.at(found.minutes.end).select(*_BEFORE).rename(_BEFORE)


_BEFORE = {
    "occ_symbol": "occ_symbol",
    "mark": "close",
    "last": "last_before",
    "last_size": "last_size_before",
    "trade_at": "trade_at_before",
}


def chain(
    seed: int, ticker: str, number: int, now: datetime, window: tuple[date, date]
) -> pl.DataFrame:
    """Return the chain of a session at an instant, as `CHAIN_SCHEMA`.

    A contract that has not traded yet shows the last trade of the session before, if it had one.

    Args:
        seed: The world's.
        ticker: Underlying.
        number: The session's number.
        now: The instant, at or after the session's open; after its end the chain stays as it was.
        window: First and last expiration.
    """
    found = option_session(seed, ticker, number, *window)
    if found is None:
        return pl.DataFrame(schema=CHAIN_SCHEMA)
    frame = found.at(now).join(
        _final(seed, ticker, number - 1, *window),
        on="occ_symbol",
        how="left",
        maintain_order="left",
    )
    return frame.with_columns(
        pl.col(name).fill_null(pl.col(f"{name}_before"))
        for name in ("last", "last_size", "trade_at")
    ).select(*CHAIN_SCHEMA)


def _typed(columns: dict[str, Floats]) -> pl.DataFrame:
    """Return columns in the types of `CHAIN_SCHEMA`: NaN is null, times become moments."""
    frame = pl.DataFrame(columns).fill_nan(None)
    times = ("quote_at", "trade_at")
    return frame.with_columns(
        *((pl.col(name) * 60_000).round().cast(pl.Int64).cast(pl.Datetime("ms")) for name in times)
    ).with_columns(
        pl.when(pl.col("bid") > 0).then("bid"),
        *(pl.col(name).dt.replace_time_zone("UTC").cast(TIME) for name in times),
        *(
            pl.col(name).cast(pl.Int64)
            for name in ("bid_size", "ask_size", "last_size", "volume", "open_interest")
        ),
    )
