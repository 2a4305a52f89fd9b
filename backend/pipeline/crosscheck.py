"""Two sources of the same bars, compared: where they disagree by more than a trade's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.quality import Finding

if TYPE_CHECKING:
    from models.tables import Frame

TOLERANCE: Final = 0.002
"""Relative difference of two closes that is no finding.

Services leave out different kinds of trades, so that closes of the same minute differ by some cents;
0.2 % is ten times that of a liquid fund and far below what a wrong price or a missed split shows."""

NO_TRADE: Final = 0.98
"""Share of a day's volume that its minutes hold when those without a bar had no trade."""


def difference(rows: Frame, others: Frame, other: str) -> tuple[Finding, ...]:
    """Return where the bars of one session disagree with another source's.

    Args:
        rows: Bars that are stored: ts and close.
        others: Bars of the other source: ts and close.
        other: Its name.
    """
    both = rows.select("ts", "close").join(others.select("ts", _other="close"), on="ts")
    off = both.select(((pl.col("_other") - pl.col("close")) / pl.col("close")).abs()).to_series()
    wrong = off.filter(off > TOLERANCE)
    found = []
    if wrong.len():
        most = float(wrong.max())  # type: ignore[arg-type] # of floats, and there are some
        reason = f"{other}'s close is off by more than {TOLERANCE:.1%}, by {most:.2%} at most"
        found.append(Finding("disagrees", "flag", wrong.len(), reason))
    more = others.join(rows, on="ts", how="anti").height
    if more:
        reason = f"{other} has bars of minutes that are not stored"
        found.append(Finding("other_has_more", "flag", more, reason))
    return tuple(found)


def minutes_make_the_day(minutes: Frame, day: Frame) -> bool:
    """Return whether minutes hold the volume of their day: those that are missing had no trade.

    Args:
        minutes: Minute bars of a session: volume.
        day: Its daily bar: volume; perhaps no row.
    """
    whole = int(day["volume"].sum())
    return whole > 0 and int(minutes["volume"].sum()) >= NO_TRADE * whole
