"""One recorded session of options, indexed so that the chain at a minute is a slice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes.synthetic.schema import TIME
from models.symbols import exercise_style_of, settlement_of
from utils.market_calendar import expirations

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

MINUTE = timedelta(minutes=1)
_MINUTE_US = 60_000_000

_KEYS = ("expiration", "root", "strike", "right")


class RecordedOptions:
    """All contracts of one option root in one session, and their newest row at each minute.

    Args:
        root: Option root.
        day: The session.
        quotes: Rows of the session's quotes file.
        trades: Rows of its trades file, if there is one.
        open_interest: Rows of its open-interest file, if there is one.
    """

    def __init__(
        self,
        root: str,
        day: date,
        quotes: pl.DataFrame,
        trades: pl.DataFrame | None,
        open_interest: pl.DataFrame | None,
    ) -> None:
        self.day = day
        files = [frame for frame in (quotes, trades, open_interest) if frame is not None]
        self.contracts = _contracts(root, files)
        self._quotes = quotes
        self._trades = trades
        self._open_interest = open_interest
        self._first_us, self._newest = _newest_rows(quotes, self.contracts["occ_symbol"])

    def at(self, now: datetime) -> pl.DataFrame:
        """Return every contract as the last complete minute before `now` shows it.

        Columns of `simulator.world.CHAIN_SCHEMA`, without the mark and the figures of a model.
        """
        frame = pl.concat([self.contracts, self._quotes_at(now)], how="horizontal")
        frame = frame.join(
            self._trades_until(now), on="occ_symbol", how="left", maintain_order="left"
        )
        if self._open_interest is None:
            frame = frame.with_columns(pl.lit(None, pl.Int64).alias("open_interest"))
        else:
            known = self._open_interest.select(
                pl.col("symbol").alias("occ_symbol"), "open_interest"
            )
            frame = frame.join(known, on="occ_symbol", how="left", maintain_order="left")
        return frame.with_columns(
            pl.col("volume").fill_null(0), pl.lit(None, pl.Float64).alias("close")
        )

    def _quotes_at(self, now: datetime) -> pl.DataFrame:
        # The row of bar start T - 1 min is complete at T; a later one is not.
        minute = (_microseconds(now) - self._first_us) // _MINUTE_US - 1
        if minute < 0:
            rows = np.full(self.contracts.height, -1)
        else:
            rows = self._newest[min(minute, len(self._newest) - 1)]
        found: pl.DataFrame = self._quotes.select(
            pl.col("bid_close").alias("bid"),
            pl.col("ask_close").alias("ask"),
            "bid_size",
            "ask_size",
            (pl.col("ts") + MINUTE).alias("quote_at"),
        )[np.maximum(rows, 0)]
        seen = pl.lit(pl.Series(rows >= 0))
        return found.select(pl.when(seen).then(pl.all()))

    def _trades_until(self, now: datetime) -> pl.DataFrame:
        if self._trades is None:
            return pl.DataFrame(schema=_TRADE_SCHEMA)
        return (
            self._trades.filter(pl.col("ts") + MINUTE <= now)
            .group_by(pl.col("symbol").alias("occ_symbol"))
            .agg(
                pl.col("close").last().alias("last"),
                pl.col("volume").last().alias("last_size"),
                pl.col("volume").sum(),
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                (pl.col("ts").last() + MINUTE).alias("trade_at"),
            )
        )


_TRADE_SCHEMA: dict[str, pl.DataType] = {
    "occ_symbol": pl.String(),
    "last": pl.Float64(),
    "last_size": pl.Int64(),
    "volume": pl.Int64(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "trade_at": TIME,
}


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _contracts(root: str, files: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the contracts that the files name, sorted, with what follows from root and date."""
    names = ("symbol", "expiration", "strike", "right")
    listed = pl.concat([frame.select(names) for frame in files]).unique("symbol")
    days = listed["expiration"].unique().sort().to_list()
    kinds = {each.day: each.kind for each in expirations(root, days[0], days[-1])}
    return (
        listed.rename({"symbol": "occ_symbol"})
        .with_columns(
            pl.lit(root).alias("root"),
            pl.lit(100.0).alias("multiplier"),
            pl.lit(exercise_style_of(root)).alias("exercise_style"),
            pl.lit(settlement_of(root)).alias("settlement"),
            pl.col("expiration")
            .replace_strict(kinds, default="W", return_dtype=pl.String)
            .alias("expiration_type"),
        )
        .sort(_KEYS)
    )


def _newest_rows(quotes: pl.DataFrame, symbols: pl.Series) -> tuple[int, NDArray[np.int32]]:
    """Return the first minute (microseconds since 1970) and, by minute and contract, the newest row.

    A row is a row number of `quotes`, -1 before the contract's first row of the session.
    """
    stamps = quotes["ts"].cast(pl.Int64).to_numpy()
    first = int(stamps[0])
    minute = (stamps - first) // _MINUTE_US
    column = quotes["symbol"].replace_strict(symbols, pl.Series(range(len(symbols)))).to_numpy()
    newest = np.full((int(minute[-1]) + 1, len(symbols)), -1, dtype=np.int32)
    newest[minute, column] = np.arange(quotes.height, dtype=np.int32)
    # Rows are in time order, so the newest until a minute is the largest row number until then.
    return first, np.maximum.accumulate(newest, axis=0)
