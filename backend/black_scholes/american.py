"""Price, greeks and implied volatility of American options, with yields or cash dividends.

Arguments are those of `calculator` (units, broadcasting, NaN rows), plus:

- `dividends`: cash dividends of the one underlying as (years to the ex-date, dollars). Rows that
  expire before the first ex-date do not notice them. Spot falls by the cash at the ex-date and
  diffuses in between (the "spot model"); `dividend_yield` should then be 0 or what is left of it.
- `precise`: errors around 1e-5 dollars instead of up to 0.04 cent, for a tenfold cost.

An American price is the European one plus the early-exercise premium, and the premium is solved for
only where there can be one: not for calls without dividend, nor for puts at rates of 0.
"""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from black_scholes import _american, _american_iv
from black_scholes._batch import Batch
from black_scholes.calculator import Greeks
from black_scholes.implied_vol import ImpliedVolatility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from black_scholes._jit import FloatArray

_VOL_BUMP = 1e-3  # relative
_RATE_BUMP = 1e-4


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
    dividends: Sequence[tuple[float, float]] = (),
    precise: bool = False,
) -> FloatArray:
    """Return prices in dollars (Andersen, Lake and Offengenden 2016; a grid for cash dividends).

    Raises:
        ValueError: The arguments do not broadcast, or a dividend is not a positive amount.
    """
    batch = Batch((spot, strike, years, rate, vol, dividend_yield), is_call)
    rows = _american.Rows(*batch.full_columns())
    return _american.solve(rows, _future(dividends), precise=precise).price.reshape(batch.shape)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
    dividends: Sequence[tuple[float, float]] = (),
    precise: bool = False,
) -> Greeks:
    """Return price, delta, gamma, theta, vega and rho, in the units of `calculator.greeks`.

    Theta follows from the Black-Scholes equation while the option is worth holding, and is 0, like
    vega and rho, where exercise is due. Vega and rho are central differences of whole solutions.

    Raises:
        ValueError: The arguments do not broadcast, or a dividend is not a positive amount.
    """
    batch = Batch((spot, strike, years, rate, vol, dividend_yield), is_call)
    rows = _american.Rows(*batch.full_columns())
    cash = _future(dividends)

    def slope(name: str, up: FloatArray, down: FloatArray) -> FloatArray:
        ends: list[dict[str, Any]] = [{name: up}, {name: down}]
        high, low = (
            _american.solve(rows._replace(**end), cash, precise=precise).price for end in ends
        )
        return (high - low) / (up - down)

    now = _american.solve(rows, cash, precise=precise)
    with np.errstate(invalid="ignore", over="ignore"):
        drift = rows.rate * now.price - (rows.rate - rows.dividend_yield) * rows.spot * now.delta
        theta = drift - 0.5 * (rows.vol * rows.spot) ** 2 * now.gamma
        step = np.maximum(_VOL_BUMP * rows.vol, 1e-9)
        vega = slope("vol", rows.vol + step, np.maximum(rows.vol - step, 0.0))
        rho = slope("rate", rows.rate + _RATE_BUMP, rows.rate - _RATE_BUMP)
    alive = now.held & (rows.years > 0)
    changes = (np.where(np.isnan(now.price) | alive, x, 0.0) for x in (theta, vega, rho))
    columns = (now.price, now.delta, now.gamma, *changes)
    return Greeks(*(column.reshape(batch.shape) for column in columns))


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
    dividends: Sequence[tuple[float, float]] = (),
    precise: bool = False,
) -> ImpliedVolatility:
    """Return the volatilities at which American options have these prices.

    Where exercise is due now the price is the intrinsic value at every lower volatility too: such
    rows say NO_TIME_VALUE. The uncertainty contains the error of this module's own prices.

    Raises:
        ValueError: The arguments do not broadcast, or a dividend is not a positive amount.
    """
    batch = Batch((price, spot, strike, years, rate, dividend_yield), is_call)
    quoted, spots, strikes, times, rates, yields, calls = batch.full_columns()
    unknown = np.full(batch.size, np.nan)
    rows = _american.Rows(spots, strikes, times, rates, unknown, yields, calls)
    found = _american_iv.solve(quoted, rows, _future(dividends), precise=precise)
    return ImpliedVolatility(
        found.vol.reshape(batch.shape),
        found.uncertainty.reshape(batch.shape),
        found.status.reshape(batch.shape),
    )


def exercise_boundary(
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
) -> FloatArray:
    """Return the spot, in dollars, from which on exercise is due now, in the precise scheme.

    A call is exercised at or above it, a put at or below it. Where exercise before expiration never
    pays, and where an argument makes no sense, the result is NaN.

    Raises:
        ValueError: The arguments do not broadcast.
    """
    batch = Batch((strike, strike, years, rate, vol, dividend_yield), is_call)
    return _american.boundary(_american.Rows(*batch.full_columns())).reshape(batch.shape)


def _future(dividends: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the dividends to come, by date.

    Raises:
        ValueError: An entry is not a finite time and a finite amount that is not negative.
    """
    for years, cash in dividends:
        if not (math.isfinite(years) and math.isfinite(cash) and cash >= 0):
            raise ValueError(f"a dividend is (years, dollars >= 0), not ({years}, {cash})")
    return tuple(sorted((years, cash) for years, cash in dividends if years > 0 and cash > 0))
