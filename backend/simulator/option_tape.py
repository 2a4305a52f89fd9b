"""What an options exchange publishes of one session: every trade, each minute's quote and bar.

Polygon's REST API, its stream and its flat files are three views of one tape. The generated world
knows every trade; of a recorded session the files have bars of minutes, and no single trade is
made up for it.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from black_scholes.synthetic.chains import option_session
from black_scholes.synthetic.clock import session_numbers
from black_scholes.synthetic.draws import digest, uniforms
from black_scholes.synthetic.market import market_of, since_1970
from black_scholes.synthetic.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from numpy.typing import NDArray

    from black_scholes.synthetic.chains import OptionSession

TRADES: dict[str, pl.DataType] = {
    "occ_symbol": pl.String(),
    "ts": TIME,
    "price": pl.Float64(),
    "size": pl.Int64(),
    "exchange": pl.Int32(),
    "condition": pl.Int32(),
}
"""Columns of `OptionTape.trades`: exchange and condition are Polygon's codes."""

QUOTES: dict[str, pl.DataType] = {
    "occ_symbol": pl.String(),
    "ts": TIME,
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "bid_size": pl.Int64(),
    "ask_size": pl.Int64(),
}
"""Columns of `OptionTape.quotes`: a null price means that nobody stands on that side."""

MINUTES: dict[str, pl.DataType] = {
    "occ_symbol": pl.String(),
    "ts": TIME,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Int64(),
    "vwap": pl.Float64(),
    "trades": pl.Int32(),
}
"""Columns of `OptionTape.minutes`: ts is the bar's start; vwap and trades are null where only the
bars are known."""

EXCHANGES = (302, 303, 304, 309, 312, 316, 323)
"""Some of Polygon's codes of option exchanges."""

CONDITIONS = (209, 209, 209, 227, 233)
"""Of trades: automatic execution mostly, some in single- and multi-leg auctions."""

_MINUTE_MS = 60_000


class OptionTape(Protocol):
    """The tape of one underlying's options in one session, sorted by contract and time."""

    @property
    def symbols(self) -> pl.Series:
        """OCC symbols of all listed contracts, sorted."""
        ...

    def trades(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return every trade of these contracts (all when None), as `TRADES`."""
        ...

    def quotes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the quote that ends each minute of these contracts, as `QUOTES`."""
        ...

    def quotes_at(self, symbols: Sequence[str], now: datetime) -> pl.DataFrame:
        """Return the quotes of these contracts as they stand at a moment, as `QUOTES`."""
        ...

    def minutes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the bars of minutes in which these contracts traded, as `MINUTES`."""
        ...


class GeneratedTape:
    """The tape of a generated session.

    Args:
        session: The session's options.
    """

    def __init__(self, session: OptionSession) -> None:
        self._session = session
        self._names = session.contracts.frame["occ_symbol"]
        self._sorted = self._names.arg_sort().to_numpy().astype(np.int64)
        self._row_of = {name: row for row, name in enumerate(self._names)}

    @property
    def symbols(self) -> pl.Series:
        """OCC symbols of all listed contracts, sorted."""
        return self._names.gather(self._sorted)

    def trades(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return every trade, each at the bid, at the ask or between, as the chain shows it."""
        return self._all_trades if symbols is None else self._trades(self._rows(symbols))

    @cached_property
    def _all_trades(self) -> pl.DataFrame:
        """A million trades, which each connection with `T.*` or `AM.*` asks for."""
        return self._trades(self._sorted)

    def _trades(self, rows: NDArray[np.int64]) -> pl.DataFrame:
        found = self._session.all_trades(rows)
        names = self._session.contracts.names[found.row]
        count = within_contract(found.row)
        venue = uniforms(digest("venue", self._session.ticker), names, count)
        kind = uniforms(digest("condition", self._session.ticker), names, count)
        return pl.DataFrame(  # sorted already: a contract's trades follow one another in time
            {
                "occ_symbol": self._names.gather(found.row),
                "ts": _moments(found.at),
                "price": found.price,
                "size": found.size,
                "exchange": np.array(EXCHANGES)[(venue * len(EXCHANGES)).astype(np.int64)],
                "condition": np.array(CONDITIONS)[(kind * len(CONDITIONS)).astype(np.int64)],
            },
            schema_overrides=TRADES,
        )

    def quotes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the quote at the end of each minute of the session, until a contract stops."""
        session, rows = self._session, self._rows(symbols)
        ends = session.opens + np.arange(1.0, float(session.stops.max() - session.opens) + 1)
        which, at = np.repeat(rows, len(ends)), np.tile(ends, len(rows))
        alive = at <= session.stops[which]
        return self._market(which[alive], at[alive])

    def quotes_at(self, symbols: Sequence[str], now: datetime) -> pl.DataFrame:
        """Return the quotes at a moment, each stamped with it; before the open there are none."""
        at = since_1970(now)
        rows = self._rows(symbols if at > self._session.opens else [])
        stopped = np.minimum(at, self._session.stops[rows])
        return self._market(rows, stopped)

    def _market(self, which: NDArray[np.int64], at: NDArray[np.float64]) -> pl.DataFrame:
        market = self._session.market_of(which, at)
        frame = pl.DataFrame(
            {
                "occ_symbol": self._names.gather(which),
                "ts": _moments(at),
                "bid": market.bid,
                "ask": market.ask,
                "bid_size": market.bid_size,
                "ask_size": market.ask_size,
            },
            schema_overrides=QUOTES,
        )
        return frame.with_columns(
            pl.when(pl.col("bid") > 0).then("bid"),
            pl.when(pl.col("bid") > 0).then("bid_size"),
        )

    def minutes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the bars that the trades make."""
        return self._all_minutes if symbols is None else minutes_of_trades(self.trades(symbols))

    @cached_property
    def _all_minutes(self) -> pl.DataFrame:
        return minutes_of_trades(self._all_trades)

    def _rows(self, symbols: Sequence[str] | None) -> NDArray[np.int64]:
        if symbols is None:
            return self._sorted
        listed = (self._row_of[name] for name in sorted(set(symbols)) if name in self._row_of)
        return np.fromiter(listed, np.int64)


NO_TRADE_BARS = pl.DataFrame(
    schema={"symbol": pl.String(), **{k: v for k, v in MINUTES.items() if k != "occ_symbol"}}
)
"""Of a recorded session without a file of trades."""


class RecordedTape:
    """The tape of a recorded session: bars and quotes of minutes, no single trades.

    Args:
        quotes: Rows of the session's quotes files.
        trades: Rows of its trades files, bars of minutes.
    """

    def __init__(self, quotes: pl.DataFrame, trades: pl.DataFrame) -> None:
        ends = quotes.select(
            pl.col("symbol").alias("occ_symbol"),
            (pl.col("ts") + pl.duration(minutes=1)).alias("ts"),
            pl.col("bid_close").alias("bid"),
            pl.col("ask_close").alias("ask"),
            "bid_size",
            "ask_size",
        )
        bars = trades.with_columns(
            pl.col("symbol").alias("occ_symbol"),
            pl.lit(None).alias("vwap"),
            pl.lit(None).alias("trades"),
        )
        self._quotes = _ByContract(_typed(ends, QUOTES))
        self._minutes = _ByContract(_typed(bars, MINUTES))

    @property
    def symbols(self) -> pl.Series:
        """OCC symbols of all contracts that the files name, sorted."""
        both = pl.concat([self._quotes.rows["occ_symbol"], self._minutes.rows["occ_symbol"]])
        return both.unique().sort()

    def trades(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return nothing: the files have no single trades."""
        del symbols
        return pl.DataFrame(schema=TRADES)

    def quotes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the quote that ends each minute of the files, stamped with the minute's end."""
        return self._quotes.of(symbols)

    def quotes_at(self, symbols: Sequence[str], now: datetime) -> pl.DataFrame:
        """Return the newest quote of the files, with the end of its minute."""
        known = self.quotes(symbols).filter(pl.col("ts") <= now)
        return known.group_by("occ_symbol", maintain_order=True).last()

    def minutes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the bars of the files."""
        return self._minutes.of(symbols)


class _ByContract:
    """Rows of contracts, from which those of a few are taken without a search.

    Args:
        rows: With the columns `occ_symbol` and `ts`.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows.sort("occ_symbol", "ts")
        spans = self.rows.group_by("occ_symbol", maintain_order=True).len("count")
        first = spans.with_columns(first=pl.col("count").cum_sum() - pl.col("count"))
        self._spans = {name: (start, count) for name, count, start in first.iter_rows()}

    def of(self, symbols: Sequence[str] | None) -> pl.DataFrame:
        """Return the rows of these contracts, all when None, sorted by contract and time."""
        if symbols is None:
            return self.rows
        some = (self._spans[name] for name in sorted(set(symbols)) if name in self._spans)
        return pl.concat([self.rows.clear(), *(self.rows.slice(*span) for span in some)])


def _typed(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


@lru_cache(maxsize=8)
def generated_tape(seed: int, ticker: str, day: date) -> GeneratedTape | None:
    """Return the tape of a generated session, or None where no options are listed."""
    session = option_session(market_of(seed, ticker), session_numbers()[day])
    return None if session is None else GeneratedTape(session)


def within_contract(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the entries of each contract 0, 1, 2 ...; equal rows must stand together."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    return np.arange(len(rows)) - np.repeat(starts, lengths)


def minutes_of_trades(trades: pl.DataFrame, every: str = "1m") -> pl.DataFrame:
    """Return the bars that trades make, as `MINUTES`; without trades there is no bar.

    Args:
        trades: As `TRADES`.
        every: Length of a bar.
    """
    value = (pl.col("price") * pl.col("size")).sum()
    frame = trades.group_by("occ_symbol", pl.col("ts").dt.truncate(every), maintain_order=True).agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("size").sum(),
        vwap=value / pl.col("size").sum(),
        trades=pl.len(),
    )
    return _typed(frame, MINUTES)


def _moments(minutes: NDArray[np.float64]) -> pl.Series:
    """Return minutes since 1970 UTC as moments, to the millisecond as the chain has them."""
    stamps = pl.Series(np.round(minutes * _MINUTE_MS).astype(np.int64))
    return stamps.cast(pl.Datetime("ms", "UTC")).cast(TIME)
