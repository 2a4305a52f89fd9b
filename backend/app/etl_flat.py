"""Polygon's flat files as a source of the pipeline: a day file into the lake, a ticker's rows out of it.

The file holds all underlyings; those of the run are taken from it at once, and the next ticker finds
its rows in the lake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from app.flat_backfill import Job, store_day
from clients.lake import Lake
from models.errors import DataError, NotFound, TradingError
from models.tables import frame_schema
from pipeline.datasets import BARS, DAILY, OPTION_MINUTES, TRADES, dataset
from pipeline.plan import Window, bars_dataset
from pipeline.sources import dividends_of, session_bars
from pipeline.stages import Extracted
from polygon_integration.config import PROVIDER
from polygon_integration.flat_datasets import dataset as flat_dataset
from polygon_integration.s3_bulk_downloader import State, due_at
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from models.tables import Frame
    from pipeline.datasets import Dataset
    from ports.market_data import HistoricOptions, MarketData

FLAT_FILES: Final = "flat_files"
"""Name of the source; its rows are Polygon's."""

_FILES: Final = {
    BARS: "stock_minute_aggs",
    DAILY: "stock_day_aggs",
    OPTION_MINUTES: "minute_aggs",
    TRADES: "trades",
}
_TERMS = ("occ_symbol", "root", "expiration", "strike", "right")


class FlatSource:
    """Day files; implements `pipeline.sources.PartSource`.

    Args:
        job: What all days have in common: address, keys, lake, underlyings of the run.
        market: Tells the underlying's minutes, by which options are priced; without one the files
            of stocks do.
        history: Tells dividends; None knows none.
    """

    name = FLAT_FILES
    source = PROVIDER
    made_from = "flat_file"

    def __init__(
        self, job: Job, market: MarketData | None, history: HistoricOptions | None
    ) -> None:
        self._job, self._market, self._history = job, market, history
        self._lake = Lake.open(job.lake)

    def lacks(self, what: Dataset, session: date) -> str | None:
        """Return why it does not have a dataset of a session, as the port says."""
        if what.kind not in _FILES:
            return f"there are no flat files of {what.name}"
        now, due = self._job.clock()(), due_at(session)
        return (
            None if due <= now else f"its file of {session} is published at {due:%m-%d %H:%M} UTC"
        )

    def extract(
        self, what: Dataset, ticker: str, sessions: Sequence[date], window: Window
    ) -> dict[date, Extracted]:
        """Fetch day files and return a ticker's rows, as the port says."""
        return {day: self._day(what, ticker, day, window) for day in sessions}

    def _day(self, what: Dataset, ticker: str, day: date, window: Window) -> Extracted:
        file = flat_dataset(_FILES[what.kind])
        named = tuple(sorted({ticker, *self._job.underlyings}))
        job = msgspec.structs.replace(
            self._job, dataset=_FILES[what.kind], day=day, underlyings=named
        )
        asked_at = job.clock()()
        done = store_day(job)
        if done.state is not State.AVAILABLE:
            raise DataError(done.sentence or f"{self.name} has no {file.prefix} of {day}")
        try:
            rows = self._lake.read(
                file.table, underlyings=[ticker], first=day, last=day, origin=job.origin
            )
        except NotFound:
            raise DataError(f"its file of {day} has no row of {ticker}") from None
        if what.kind in {BARS, DAILY}:
            return Extracted(PROVIDER, self.made_from, asked_at, _bars(what, rows, day))
        return self._options(what, ticker, day, _of_window(rows, day, window), asked_at=asked_at)

    def _options(
        self, what: Dataset, ticker: str, day: date, rows: Frame, *, asked_at: datetime
    ) -> Extracted:
        if what.kind == TRADES:
            return Extracted(PROVIDER, self.made_from, asked_at, _trades(what, rows))
        terms = rows.select(_TERMS).unique("occ_symbol", maintain_order=True)
        bars = (
            session_bars(self._market, ticker, day) if self._market else self._minutes(ticker, day)
        )
        return Extracted(
            PROVIDER,
            self.made_from,
            asked_at,
            _as_table(what, rows.with_columns(interval=pl.lit("1m"))),
            contracts=terms.with_columns(exercise_style=pl.lit(None, pl.String)),
            bars=bars,
            dividends=tuple(dividends_of(self._history, ticker, day) if self._history else ()),
        )

    def _minutes(self, ticker: str, day: date) -> Frame | None:
        """Return the underlying's minutes by the stocks' own file, None where that lacks them."""
        try:
            return self._day(dataset(bars_dataset("1m")), ticker, day, Window()).rows
        except TradingError:  # options without a price of their underlying stay unpriced
            return None


def _of_window(rows: Frame, day: date, window: Window) -> Frame:
    """Return the options of a window, adjusted contracts left out: no model prices them."""
    ahead = (pl.col("expiration") - pl.lit(day)).dt.total_days()
    inside = ahead.is_between(window.first, window.last)
    return rows.filter(inside & ~pl.col("root").str.contains(r"\d"))


def _bars(what: Dataset, rows: Frame, day: date) -> Frame:
    """Return bars of the underlying; a day's bar begins when its session opens."""
    interval = what.name.rpartition("_")[2]
    if what.kind == DAILY:
        opened = market_calendar.session(day).open
        rows = rows.with_columns(ts=pl.lit(opened).dt.convert_time_zone("UTC"))
    return _as_table(what, rows.with_columns(interval=pl.lit(interval)))


def _trades(what: Dataset, rows: Frame) -> Frame:
    """Return trades, numbered within contract and session as those by REST."""
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("occ_symbol")
    return _as_table(
        what, rows.sort("occ_symbol", "ts", "occurrence").with_columns(sequence=number)
    )


def _as_table(what: Dataset, rows: Frame) -> Frame:
    schema = frame_schema(what.table)
    sizes = [pl.col(name).round() for name in ("volume", "size") if name in rows.columns]
    whole = rows.with_columns(sizes)
    return whole.select(
        pl.col(name).cast(kind) for name, kind in schema.items() if name in rows.columns
    )
