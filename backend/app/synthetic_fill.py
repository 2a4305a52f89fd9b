"""Filling what no source has of a period with made options: priced, judged, covered, in the lake too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from app import cli
from app.etl_command import Asked, run_pipeline
from app.etl_service import Choice
from app.wiring import open_store
from models.errors import ConfigError
from models.tables import COVERAGE
from pipeline.datasets import TRADES_DATASET
from pipeline.partition import Partition
from pipeline.plan import MINUTES_DATASET, bars_dataset
from pipeline.synthetic_source import SYNTHETIC

if TYPE_CHECKING:
    from datetime import date

    from models.tables import Frame

BARS: Final = bars_dataset("1m")


@dataclass(frozen=True, slots=True)
class Period:
    """What is to be filled.

    Attributes:
        ticker: Underlying.
        start: First day; None: the first with stored minute bars.
        end: Last day; None: the last with them.
        window: Expirations, in days ahead of each session.
        trades: Whether every trade is made too.
        command: As it was typed.
    """

    ticker: str
    start: date | None
    end: date | None
    window: tuple[int, int]
    trades: bool
    command: str


def run_fill(period: Period) -> int:
    """Make every session of a period that has stored bars and no options; return the exit status.

    Raises:
        ConfigError: No bars are stored.
        TradingError: Something that a person must know.
    """
    with open_store() as store:
        coverage = store.read(COVERAGE.name, {"ticker": period.ticker})
    wanted = gaps(period, coverage)
    if not wanted:
        print("nothing to fill: options of every session with stored bars are there")
        return cli.OK
    asked = Asked(
        tickers=(period.ticker,),
        datasets=tuple(dict.fromkeys(each.dataset for each in wanted)),
        window=period.window,
        choice=Choice(SYNTHETIC),
        retry_failed=True,
        command=period.command,
        wanted=wanted,
    )
    return run_pipeline(asked, as_json=False)


def gaps(period: Period, coverage: Frame) -> tuple[Partition, ...]:
    """Return the sessions of a period whose bars are stored and whose options are not.

    Args:
        period: What is to be filled.
        coverage: Rows of `COVERAGE` of its ticker.

    Raises:
        ConfigError: No bars are stored.
    """
    stored = coverage.filter((pl.col("rows") > 0) & (pl.col("dataset") == BARS))
    days = stored.filter(pl.col("source") != SYNTHETIC)["session"].unique().sort().to_list()
    first = period.start or min(days, default=None)
    last = period.end or max(days, default=None)
    inside = [day for day in days if first and last and first <= day <= last]
    if not inside:
        raise ConfigError(
            f"no minute bars of {period.ticker} are stored of these days, from which options could "
            f"be made: python etl_pipeline.py --tickers {period.ticker} --datasets {BARS} gets them"
        )
    names = (MINUTES_DATASET, *([TRADES_DATASET] if period.trades else []))
    there = set(coverage.filter(pl.col("rows") > 0).select("dataset", "session").iter_rows())
    return tuple(
        Partition(name, period.ticker, day)
        for name in names
        for day in inside
        if (name, day) not in there
    )
