"""What a quote implies: volatility and greeks of contracts, as chains show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from black_scholes import calculator
from black_scholes.implied_vol import implied_volatility

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Bools: TypeAlias = "NDArray[np.bool_]"

_DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Terms:
    """What contracts promise, and at which rates their promises are discounted; one row a contract.

    Attributes:
        strike: USD.
        years: Calendar time to expiration.
        is_call: True for calls.
        american: True where exercise is possible before the last day.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
    """

    strike: Floats
    years: Floats
    is_call: Bools
    american: Bools
    rate: float
    dividend_yield: Floats | float


def quoted_vol(terms: Terms, spot: float, mark: Floats) -> Floats:
    """Return the volatility that each mark implies, NaN where it implies none."""
    return implied_volatility(
        mark,
        spot,
        terms.strike,
        terms.years,
        terms.rate,
        terms.dividend_yield,
        is_call=terms.is_call,
    ).vol


def greeks_frame(terms: Terms, spot: Floats | float, vol: Floats) -> pl.DataFrame:
    """Return iv, delta, gamma, theta, vega and rho as `CHAIN_SCHEMA` has them.

    All are null where the volatility is NaN or no time is left.
    """
    raw = calculator.greeks(
        spot,
        terms.strike,
        terms.years,
        terms.rate,
        vol,
        terms.dividend_yield,
        is_call=terms.is_call,
    )
    known = np.isfinite(vol) & (terms.years > 0)
    columns = {
        "iv": vol,
        "delta": raw.delta,
        "gamma": raw.gamma,
        "theta": raw.theta / _DAYS_A_YEAR,
        "vega": raw.vega / 100,
        "rho": raw.rho / 100,
    }
    shown = {name: np.where(known, values, np.nan) for name, values in columns.items()}
    return pl.DataFrame(shown).fill_nan(None)
