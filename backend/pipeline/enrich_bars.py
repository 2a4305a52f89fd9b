"""Implied volatility and greeks of option bars: of the close, at the end of the bar.

A bar's close is a trade, made at the bid, at the ask or between, some time within the bar: its
volatility is rougher than that of a quote's mid, and no forward comes from such prices. The
underlying stands where its own bar of that minute closed; the rate is the default one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from black_scholes import american, calculator
from black_scholes.implied_vol import implied_volatility
from models.symbols import exercise_style_of
from pipeline.enrich import DEFAULT_RATE
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.tables import Frame
    from pipeline.dividends import CashDividend

FIGURES: Final = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_point")
"""Columns of `OPTION_BARS` that `enrich_bars` computes; null where they do not exist."""

_DAYS_A_YEAR = 365.0
_LEAST_PREMIUM = 1e-3  # dollars of early-exercise premium that the greeks shall know of
_MOST_PAID_OUT = 0.9  # share of the spot


def enrich_bars(
    bars: Frame,
    contracts: Frame,
    spot: Frame,
    dividends: Sequence[CashDividend] = (),
    *,
    rate: float = DEFAULT_RATE,
) -> Frame:
    """Return bars with volatility of the close and greeks, in the order they came.

    Args:
        bars: Rows of `OPTION_BARS` of one minute each.
        contracts: Rows of `OPTION_CONTRACTS`: expiration, strike, right, root, exercise_style.
        spot: ts (end of a minute, UTC) and underlying_price, oldest first.
        dividends: Cash dividends after the session, as known.
        rate: Continuous, a year.
    """
    if bars.is_empty():
        return bars.with_columns(pl.lit(None, pl.Float64).alias(name) for name in FIGURES)
    terms = contracts.select(
        "occ_symbol", "expiration", "strike", "right", "root", "exercise_style"
    )
    rows = (
        bars.drop(FIGURES, strict=False)
        .with_row_index("_row")
        .with_columns(_end=pl.col("ts") + pl.duration(minutes=1))
        .sort("_end", "_row")
        .join_asof(spot.select(_end="ts", _spot="underlying_price"), on="_end")
        .join(terms, on="occ_symbol", how="left")
        .sort("_row")
    )
    american_style = _american(rows)
    figures = {name: np.full(rows.height, math.nan) for name in FIGURES}
    for american_one in (False, True):
        at = np.flatnonzero(american_style == american_one)
        if at.size:
            for name, values in _figures(rows[at], dividends, rate, american_one).items():
                figures[name][at] = values
    return bars.drop(FIGURES, strict=False).with_columns(
        pl.Series(name, values, nan_to_null=True) for name, values in figures.items()
    )


def _american(rows: Frame) -> NDArray[np.bool_]:
    roots = rows["root"].unique().drop_nulls()
    usual = {root: exercise_style_of(root) for root in roots}
    guess = pl.col("root").replace_strict(usual, default="A", return_dtype=pl.String)
    style = rows.select(pl.coalesce("exercise_style", guess)).to_series()
    return (style == "A").to_numpy()


def _figures(
    rows: Frame, dividends: Sequence[CashDividend], rate: float, american_style: bool
) -> dict[str, NDArray[np.float64]]:
    spot = rows["_spot"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    strike, is_call = rows["strike"].to_numpy(), (rows["right"] == "C").to_numpy()
    years = _years(rows)
    alive = years > 0
    price = np.where(alive, rows["close"].to_numpy(), math.nan)
    paid = _paid_out(rows, dividends, spot, rate)
    dividend_yield = np.divide(paid, years, out=np.zeros_like(paid), where=alive)
    terms = (spot, strike, years, np.full(rows.height, rate))
    invert = american.implied_volatility if american_style else implied_volatility
    vol = invert(price, *terms, dividend_yield, is_call=is_call).vol
    greeks = calculator.greeks(*terms, vol, dividend_yield, is_call=is_call)
    early = np.flatnonzero(american_style & (price - greeks.price > _LEAST_PREMIUM))
    if early.size:
        some = (column[early] for column in (*terms, vol, dividend_yield))
        for whole, part in zip(greeks, american.greeks(*some, is_call=is_call[early]), strict=True):
            whole[early] = part
    return {
        "implied_volatility": vol,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta_per_day": greeks.theta / _DAYS_A_YEAR,
        "vega_per_point": greeks.vega / 100.0,
    }


def _years(rows: Frame) -> NDArray[np.float64]:
    am_roots = [
        root
        for root in rows["root"].unique().drop_nulls()
        if market_calendar.settlement_of(root) == "AM"
    ]
    return market_calendar.year_fractions(
        rows["_end"].dt.timestamp("ns").to_numpy(),
        rows["expiration"].to_numpy().astype("datetime64[D]"),
        am_settled=rows["root"].is_in(am_roots).fill_null(value=False).to_numpy(),
    )


def _paid_out(
    rows: Frame, dividends: Sequence[CashDividend], spot: NDArray[np.float64], rate: float
) -> NDArray[np.float64]:
    """Return -ln(1 - share of the spot that is paid out before expiration) of each row."""
    share = np.zeros(rows.height)
    today = rows["session"].to_numpy().astype("datetime64[D]")
    for ex_date, cash in dividends:
        days = (np.datetime64(ex_date) - today).astype(np.int64)
        worth = cash * np.exp(-rate * days / _DAYS_A_YEAR) / spot
        counts = (rows["expiration"] >= ex_date).fill_null(value=False).to_numpy() & (days > 0)
        share += np.where(counts, worth, 0.0)
    return -np.log1p(-np.minimum(share, _MOST_PAID_OUT))
