"""Daily bars into weekly and monthly ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from simulator.world import BAR_SCHEMA

if TYPE_CHECKING:
    from datetime import datetime

DAILY_EVERY = {"1d": "1d", "1w": "1w", "1mo": "1mo"}
"""Intervals made of daily bars, with Polars' name of the period. Weeks begin on Monday."""

OHLCV = (
    pl.col("open").first(),
    pl.col("high").max(),
    pl.col("low").min(),
    pl.col("close").last(),
    pl.col("volume").sum(),
)
"""How bars make a longer bar."""


def empty_bars() -> pl.DataFrame:
    """Return no bars, with the columns of `BAR_SCHEMA`."""
    return pl.DataFrame(schema=BAR_SCHEMA)


def periods(daily: pl.DataFrame, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
    """Return the bars of an interval that start in [start, end).

    Args:
        daily: Columns `day` and those of `BAR_SCHEMA`, oldest first, nothing after `end`.
        start: First bar start.
        end: End of the range.
        interval: "1d", "1w" or "1mo".

    Returns:
        A longer bar begins at the open of its first session and holds all its days until `end`.
    """
    bars = (
        daily.group_by(pl.col("day").dt.truncate(DAILY_EVERY[interval]), maintain_order=True)
        .agg(pl.col("ts").first(), *OHLCV)
        .select(*BAR_SCHEMA)
    )
    return bars.filter(pl.col("ts").is_between(start, end, closed="left"))
