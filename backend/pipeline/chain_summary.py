"""What a trader looks for first in a chain: spot, volatility by term, skew, and what is not priced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from datetime import date, datetime

    from models.tables import Frame

COLUMNS = (
    "ts",
    "expiration",
    "strike",
    "right",
    "underlying_price",
    "year_fraction",
    "forward",
    "implied_volatility",
    "implied_volatility_status",
    "delta",
)
"""Columns of `OPTION_QUOTES` that a summary needs."""

_TERMS = (0, 7, 30)  # calendar days: the nearest expiration of each
_QUARTER = 0.25


@dataclass(frozen=True, slots=True)
class Term:
    """The smile of one expiration in two figures.

    Attributes:
        expiration: Its day.
        dte: Calendar days to it.
        atm_volatility: At the forward, 0.20 = 20 %, between the options out of the money on both
            sides of it; None where one side has none.
        skew_25_delta: Volatility of the 25-delta put less that of the 25-delta call, 0.01 = one
            volatility point; None where the quotes do not reach so far.
    """

    expiration: date
    dte: int
    atm_volatility: float | None
    skew_25_delta: float | None


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """One snapshot of a chain.

    Attributes:
        ticker: Underlying.
        at: Time of the snapshot.
        spot: Dollars.
        contracts: Rows.
        priced: Rows with an implied volatility.
        unpriced: Status -> rows, of the others, most frequent first.
        terms: The nearest expiration, and those nearest to a week and a month.
    """

    ticker: str
    at: datetime
    spot: float | None
    contracts: int
    priced: int
    unpriced: dict[str, int]
    terms: tuple[Term, ...]


def summarise(ticker: str, quotes: Frame) -> ChainSummary:
    """Return the summary of one snapshot.

    Args:
        ticker: Underlying.
        quotes: Its enriched rows of `OPTION_QUOTES`, one at least; `COLUMNS` suffice.
    """
    at: datetime = quotes["ts"][0]
    today = at.astimezone(NEW_YORK).date()
    status = quotes["implied_volatility_status"].fill_null("unknown")
    counts = dict(
        status.value_counts().sort(["count", status.name], descending=[True, False]).rows()
    )
    priced = counts.pop("ok", 0)
    alive = quotes.filter(pl.col("year_fraction") > 0)
    out = (pl.col("right") == "C") == (pl.col("strike") >= pl.col("forward"))
    smiles = alive.filter(out, pl.col("implied_volatility").is_not_null()).sort("strike")
    days = {day: (day - today).days for day in alive["expiration"].unique().sort()}
    wanted = {min(days, key=lambda day: abs(days[day] - term)) for term in _TERMS if days}
    terms = (
        Term(day, days[day], *_figures(smiles.filter(expiration=day))) for day in sorted(wanted)
    )
    spot = quotes["underlying_price"][0]
    return ChainSummary(ticker, at, spot, quotes.height, priced, counts, tuple(terms))


def _figures(smile: Frame) -> tuple[float | None, float | None]:
    """Return volatility at the forward and 25-delta skew of options out of the money."""
    puts, calls = (smile.filter(right=right) for right in "PC")
    if puts.is_empty() or calls.is_empty():
        return None, None
    k = np.log(smile["strike"].to_numpy() / smile["forward"].to_numpy())
    at_the_money = float(np.interp(0.0, k, smile["implied_volatility"].to_numpy()))
    skew = _at_quarter(puts) - _at_quarter(calls)
    return at_the_money, skew if math.isfinite(skew) else None


def _at_quarter(side: Frame) -> float:
    """Return the volatility at a delta of 0.25, NaN beyond the quotes."""
    rows = side.select(pl.col("delta").abs(), "implied_volatility").drop_nulls().sort("delta")
    delta, vol = rows["delta"].to_numpy(), rows["implied_volatility"].to_numpy()
    if not delta.size:
        return math.nan
    return float(np.interp(_QUARTER, delta, vol, left=math.nan, right=math.nan))
