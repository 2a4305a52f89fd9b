"""The rules on daily bars: splits that are known, that nobody told, and jumps that are none.

Bars are as they were traded, so that a split shows as a jump over night.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipeline.quality import Rule

if TYPE_CHECKING:
    from models.tables import Frame

SPLITS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 25.0, 1.5, 1.25)
"""Ratios at which shares are split, and, turned over, merged."""

_SPLIT_ROOM = 0.08  # of a split day's own move, relative; half of it for ratios below 2
_NIGHT = 0.25  # of the logarithm of a price

DAY_RULES = (
    Rule(
        "split_unknown",
        pl.col("_split_like").is_not_null() & pl.col("_split").is_null(),
        "the price jumps over night as by a split, and none is known",
        severity="error",
    ),
    Rule(
        "night_jump",
        (pl.col("_jump").log().abs() > _NIGHT)
        & pl.col("_split_like").is_null()
        & pl.col("_split").is_null(),
        "the price jumps over night by more than a quarter, which is no split",
    ),
    Rule(
        "split_unseen",
        pl.col("_split").is_not_null() & ((pl.col("_jump") / pl.col("_split")).log().abs() > 0.3),
        "a split is known, and the price does not show it: it may be adjusted already",
    ),
)
"""On daily bars, in the columns of `day_context`."""

SPLIT_DAY = Rule(
    "split_day",
    pl.col("_split").is_not_null(),
    "shares were split before this session: prices before and after are those that were traded",
    severity="info",
)
"""On the one daily bar of a session, in the columns of `day_context`."""


def day_context(daily: Frame, splits: Frame | None) -> Frame:
    """Return daily bars with the jump over night, the nearest split, and the one that is known.

    Args:
        daily: Daily bars as the source sends them, oldest first: session, open, close.
        splits: Rows of `SPLITS`; None knows of none.

    Returns:
        The same rows with `_jump` (close before over open), `_split_like` (the ratio of a split
        that the jump looks like, else null) and `_split` (new shares for an old one, else null).
    """
    days = daily.sort("session").with_columns(_jump=pl.col("close").shift(1) / pl.col("open"))
    jump = days["_jump"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    ratios = np.array([*SPLITS, *(1 / each for each in SPLITS)])
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(np.log(jump[:, None] / ratios))
    nearest = np.argmin(np.nan_to_num(off, nan=np.inf), axis=1)
    small = np.abs(np.log(ratios[nearest])) < np.log(2.0)
    room = np.where(small, _SPLIT_ROOM / 2, _SPLIT_ROOM)
    close = np.take_along_axis(off, nearest[:, None], axis=1)[:, 0] < room
    like = np.where(close, ratios[nearest], math.nan)
    known = pl.DataFrame(schema={"session": pl.Date(), "_split": pl.Float64()})
    if splits is not None and splits.height:
        ratio = pl.col("split_to").cast(pl.Float64) / pl.col("split_from").cast(pl.Float64)
        known = splits.select(session="ex_date", _split=ratio)
    return days.with_columns(_split_like=pl.Series(like, nan_to_null=True)).join(
        known, on="session", how="left", maintain_order="left"
    )
