"""The chain of a market at an instant, put together from contracts, worth, flow and quotes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes.synthetic.contracts import YEAR_MINUTES, Contracts, contracts
from black_scholes.synthetic.draws import Floats, digest, uniforms
from black_scholes.synthetic.flow import flow
from black_scholes.synthetic.market import Market, since_1970
from black_scholes.synthetic.pricing import Terms, greeks_frame
from black_scholes.synthetic.quotes import Quotes, moods, quotes
from black_scholes.synthetic.schema import CHAIN_SCHEMA, TIME
from black_scholes.synthetic.worth import SessionValues, Worth, picked, whole

if TYPE_CHECKING:
    from datetime import date, datetime

    from numpy.typing import NDArray

    from black_scholes.synthetic.minutes import SessionMinutes

_MARK_MINUTES = 30.0
"""Every so many minutes a contract's last trade counts for the high and low of its day; between
these moments only the first and the newest trade do."""

_STALE_MINUTES = 0.4


class Trades(NamedTuple):
    """Trades of a session: number of the contract, minutes since 1970 UTC, USD, contracts."""

    row: NDArray[np.int64]
    at: Floats
    price: Floats
    size: NDArray[np.int64]


class OptionSession:
    """The options of an underlying in one session.

    Args:
        market: Of the underlying.
        number: The session's number in `clock.all_sessions`.
        those: All contracts that are listed in it.
    """

    def __init__(self, market: Market, number: int, those: Contracts) -> None:
        self.market, self.ticker, self.number = market, market.ticker, number
        self.contracts, self.rows = those, whole(those)
        self.minutes: SessionMinutes = market.minutes(number)
        self.flow = flow(market, self.minutes, those)
        self.values = SessionValues(market, number, self.minutes, those.terms)
        self.moods = moods(market.ticker, those.names, number)
        self.opens = since_1970(self.minutes.start) + float(self.minutes.regular.start)
        self.stops = those.terms.stops[those.group]

    def market_at(self, at: Floats | float) -> tuple[Worth, Quotes]:
        """Return what all contracts are worth, and their market.

        Args:
            at: Minutes since 1970 UTC; contracts that have stopped stand as they did then.
        """
        worth = self.values.worth(self.rows, np.minimum(at, self.contracts.terms.stops))
        return worth, quotes(self.market.spreads, self.rows, worth, self.moods)

    def at(self, now: datetime, rows: NDArray[np.int64] | None = None) -> pl.DataFrame:
        """Return contracts as they stand at `now`, or at their last moment before it.

        Columns of `CHAIN_SCHEMA`; `last`, `last_size`, `trade_at` and `close` know this session
        alone.

        Args:
            now: Aware.
            rows: Numbers of the contracts, rising; all of them when None.
        """
        if rows is None:
            rows = np.arange(len(self.stops))
        at = since_1970(now)
        instants = np.minimum(at, self.stops[rows])
        worth, market = self.market_at(at)
        columns: dict[str, Floats] = {
            "bid": market.bid[rows],
            "ask": market.ask[rows],
            "mark": (market.bid + market.ask)[rows] / 2,
            "bid_size": market.bid_size[rows],
            "ask_size": market.ask_size[rows],
            "quote_at": self._quoted(instants, rows),
            "open_interest": self.flow.open_interest[rows].astype(np.float64),
            **self._trades(instants, rows),
        }
        figures = self.figures(worth, at, rows)
        parts = self.contracts.frame[rows], _typed(columns), figures
        return pl.concat(parts, how="horizontal")

    def figures(self, worth: Worth, at: float, rows: NDArray[np.int64]) -> pl.DataFrame:
        """Return volatility and greeks of contracts, at the yield that gives each forward.

        Args:
            worth: Of all contracts at this instant.
            at: Minutes since 1970 UTC.
            rows: Numbers of the contracts.
        """
        group, those = self.contracts.group[rows], self.contracts
        spot, forward, discount, years = worth.states[:4]
        instants = np.minimum(at, those.terms.stops)
        years_left = np.maximum(those.terms.expires - instants, 0.0) / YEAR_MINUTES
        carry = -np.log(forward * discount / spot) / years
        terms = Terms(
            those.strike[rows],
            years_left[group],
            those.is_call[rows],
            those.terms.american[group] > 0,
            float(those.terms.rate[0]),
            carry[group],
        )
        return greeks_frame(terms, spot[group], worth.vol[rows])

    def volume_at(self, at: float, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the contracts that have traded until an instant, minutes since 1970 UTC."""
        instants = np.minimum(at, self.stops[rows])
        return self.flow.rows(rows).volume_of(self._done(instants, rows))

    def market_of(self, rows: NDArray[np.int64], at: Floats) -> Quotes:
        """Return the market of contracts at instants, pair by pair.

        Args:
            rows: Numbers of the contracts.
            at: Minutes since 1970 UTC, one for each row; a contract that has stopped stands as it
                did then.
        """
        those = picked(self.contracts, rows)
        worth = self.values.worth(those, np.minimum(at, self.stops[rows]))
        return quotes(self.market.spreads, those, worth, self.moods.rows(rows))

    def all_trades(self, rows: NDArray[np.int64]) -> Trades:
        """Return every trade of the session in these contracts, contract by contract."""
        trades = self.flow.trades[rows]
        which = np.repeat(rows, trades)
        begin = np.cumsum(trades) - trades
        count = np.arange(len(which)) - np.repeat(begin, trades) + 1
        activity = self.flow.rows(which)
        times = activity.time_of(count) * (self.stops - self.opens)[which] + self.opens
        size = activity.volume_of(count) - activity.volume_of(count - 1)
        return Trades(which, times, self._trade_prices(which, times, count), size)

    def _quoted(self, instants: Floats, rows: NDArray[np.int64]) -> Floats:
        """Return when each quote was made: a moment ago, longer where little trades."""
        minute = instants.astype(np.int64)
        draw = uniforms(digest("stale", self.ticker), self.contracts.names[rows], minute)
        age = _STALE_MINUTES * draw**3 / (1 + self.flow.trades[rows] / 50)
        return np.maximum(instants - age, np.minimum(self.opens, instants))

    def _done(self, instants: Floats, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many trades there have been until each instant."""
        activity = self.flow.rows(rows)
        day = self.stops[rows] - self.opens
        done = activity.done(np.clip((instants - self.opens) / day, 0.0, 1.0))
        return np.where(activity.trades > 0, done, 0)

    def _trades(self, instants: Floats, rows: NDArray[np.int64]) -> dict[str, Floats]:
        """Return what has traded until each instant; NaN where nothing has."""
        done = self._done(instants, rows)
        some = np.flatnonzero(done)
        columns = {name: np.full(len(done), np.nan) for name in _TRADE_COLUMNS}
        columns["volume"] = self.flow.rows(rows).volume_of(done).astype(np.float64)
        if len(some):
            for name, values in self._prints(rows[some], done[some]).items():
                columns[name][some] = values
        return columns

    def _prints(self, rows: NDArray[np.int64], done: NDArray[np.int64]) -> dict[str, Floats]:
        """Return the newest trade of these contracts, and open, high and low of their day so far."""
        activity = self.flow.rows(rows)
        day = (self.stops - self.opens)[rows]
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
        those = picked(self.contracts, flat)
        worth = self.values.worth(those, times.ravel())
        market = quotes(self.market.spreads, those, worth, self.moods.rows(flat))
        draw = uniforms(
            digest("aggressor", self.ticker), self.contracts.names[flat], trades.ravel()
        )
        paid = np.where((draw < 0.45) & (market.bid > 0), market.bid, market.ask)
        return paid.reshape(times.shape)


_TRADE_COLUMNS = ("open", "high", "low", "last", "last_size", "trade_at")


@lru_cache(maxsize=32)
def option_session(market: Market, number: int) -> OptionSession | None:
    """Return the options of a session, or None if there are none."""
    those = contracts(market, number)
    return None if those is None else OptionSession(market, number, those)


@lru_cache(maxsize=32)
def _final(market: Market, number: int) -> pl.DataFrame:
    """Return how contracts ended a session: mark, last trade, its size and time."""
    found = option_session(market, number) if number > 0 else None
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


def chain(market: Market, number: int, now: datetime, window: tuple[date, date]) -> pl.DataFrame:
    """Return the chain of a session at an instant, as `CHAIN_SCHEMA`.

    A contract that has not traded yet shows the last trade of the session before, if it had one.

    Args:
        market: Of the underlying.
        number: The session's number.
        now: The instant, at or after the session's open; after its end the chain stays as it was.
        window: First and last expiration.
    """
    found = option_session(market, number)
    if found is None:
        return pl.DataFrame(schema=CHAIN_SCHEMA)
    expiration = found.contracts.frame["expiration"]
    rows = expiration.is_between(*window).arg_true().to_numpy().astype(np.int64)
    frame = found.at(now, rows).join(
        _final(market, number - 1), on="occ_symbol", how="left", maintain_order="left"
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
