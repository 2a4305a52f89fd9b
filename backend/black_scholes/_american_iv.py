"""Implied volatility of American options, on top of `_american.solve` and the European inversion.

The price less the early-exercise premium is a European price. So the volatility is a fixed point of
vol -> inverse(price - premium(vol)), and as the premium hardly moves with volatility, a secant on
that function is there after about three solutions. Rows that it cannot serve, deep in the money,
are bisected.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from black_scholes import _american, _european, _inversion
from black_scholes.implied_vol import ImpliedVolatility

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from black_scholes._american import Cash, Rows
    from black_scholes._jit import FloatArray

_START = 0.3
_SECANTS = 8
_BISECTIONS = 60
_CLOSE = 1e-7  # relative width of a bracket that is closed
STEEPEST = 0.9  # slope of the image from which on the secant is not trusted
_SETTLED = 1e-9  # relative
_MOST = 10.0  # 1000 % volatility
_LEAST = 1e-4
# Error of a premium as a share of it, exceeded by one in a hundred options when measured.
_ERROR, _PRECISE_ERROR = 5e-3, 1e-4
_NOISE = 1e-14  # error of any price as a share of spot and strike
_GAIN_NOISE = 5e-8  # error of a vanishing premium as a share of the intrinsic value
_FUZZ = 1e-12  # share of spot and strike below which time value is rounding
HIDDEN = 0.1  # relative uncertainty from which on a volatility is no statement


def solve(price: FloatArray, rows: Rows, dividends: Cash, *, precise: bool) -> ImpliedVolatility:
    """Invert prices; `rows.vol` is ignored.

    Args:
        price: Dollars, flat.
        rows: The options.
        dividends: Cash dividends to come.
        precise: Whether to use the precise scheme.
    """
    vol, uncertainty, status = european_iv(price, rows)
    status = classify(price, rows, status, dividends)
    open_rows = status == _inversion.OK
    if open_rows.any():
        some = rows.at(open_rows)
        quoted = price[open_rows]
        found, slope = _search(quoted, some, vol[open_rows], dividends, precise=precise)
        vol[open_rows] = found
        european = np.empty(quoted.size)
        _european.price_block(*some._replace(vol=found), european)
        error = price_error(quoted, quoted - european, some, precise=precise)
        slope = np.where(slope > 0, slope, np.nan)
        uncertainty[open_rows] = error / slope
        unsure = ~(uncertainty[open_rows] < HIDDEN * found)
        status[open_rows] = np.where(unsure, _inversion.UNRESOLVED, _inversion.OK)
    vol[status != _inversion.OK] = np.nan
    return ImpliedVolatility(vol, uncertainty, status)


def classify(
    price: FloatArray, rows: Rows, european: NDArray[np.int8], dividends: Cash
) -> NDArray[np.int8]:
    """Return status codes before any search: OK where there may be a volatility.

    Args:
        price: Dollars, flat.
        rows: The options.
        european: Codes of the European inversion: missing and expired rows are the same.
        dividends: Cash dividends to come.
    """
    judged = (european == _inversion.MISSING) | (european == _inversion.EXPIRED)
    with np.errstate(invalid="ignore"):
        floor = _american.least_value(rows, dividends)
        fuzz = np.where(floor > 0, _FUZZ * (rows.spot + rows.strike), 0.0)
        bound = np.where(rows.is_call, rows.spot, rows.strike)
        status = np.where(judged, european, _inversion.OK).astype(np.int8)
        for code, applies in (
            (_inversion.ABOVE_BOUND, price >= bound),
            (_inversion.NO_TIME_VALUE, price <= floor + fuzz),
            (_inversion.BELOW_INTRINSIC, price < floor - fuzz),
        ):
            status[applies & ~judged] = code
    return status


def price_error(price: FloatArray, premium: FloatArray, rows: Rows, *, precise: bool) -> FloatArray:
    """Return what a price of this package may be off by, dollars; NaN for a price of NaN."""
    share = _PRECISE_ERROR if precise else _ERROR
    noise = _NOISE * (rows.spot + rows.strike) + _GAIN_NOISE * rows.intrinsic
    return np.maximum(share * np.abs(premium), noise) + 0.0 * price


def european_iv(price: FloatArray, rows: Rows) -> tuple[FloatArray, FloatArray, NDArray[np.int8]]:
    """Invert prices as if the options were European."""
    vol, uncertainty = np.empty(price.size), np.empty(price.size)
    status = np.empty(price.size, dtype=np.int8)
    market = (rows.spot, rows.strike, rows.years, rows.rate, rows.dividend_yield)
    _inversion.invert_block(price, *market, rows.is_call, vol, uncertainty, status)
    return vol, uncertainty, status


def _search(
    price: FloatArray, rows: Rows, start: FloatArray, dividends: Cash, *, precise: bool
) -> tuple[FloatArray, FloatArray]:
    """Return volatilities and vegas, NaN where none was found."""
    size = price.size
    found, slope = np.full(size, np.nan), np.full(size, np.nan)
    x = np.where(np.isfinite(start), start, _START)
    last_x, last_y = np.full(size, np.nan), np.full(size, np.nan)
    active = np.arange(size)
    for _ in range(_SECANTS):
        if not active.size:
            break
        here = x[active]
        some = rows.at(active)._replace(vol=here)
        y, vega = _image(price[active], some, dividends, precise=precise)
        before_x, before_y = last_x[active], last_y[active]
        with np.errstate(all="ignore"):
            steepness = (y - before_y) / (here - before_x)
            steepness = np.where(np.isfinite(steepness), steepness, 0.0)
            following = here + (y - here) / (1.0 - steepness)
        done = np.abs(y - here) <= _SETTLED * here
        found[active[done]] = y[done]
        slope[active[done]] = (vega * (1.0 - steepness))[done]
        lost = ~((following > _LEAST) & (following < _MOST) & (steepness < STEEPEST))
        last_x[active], last_y[active], x[active] = here, y, following
        active = active[~done & ~lost]
    rest = np.flatnonzero(~(np.isfinite(found) & (slope > 0)))
    if rest.size:

        def worth(some: Rows) -> FloatArray:
            return _american.solve(some, dividends, precise=precise).price

        found[rest], slope[rest] = bisect(price[rest], rows.at(rest), worth, (_LEAST, _MOST))
    return found, slope


def _image(
    price: FloatArray, rows: Rows, dividends: Cash, *, precise: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the European volatilities of price - premium(vol), and European vegas at vol."""
    greeks = [np.empty(price.size) for _ in range(6)]
    _european.greeks_block(*rows, *greeks)
    american = _american.solve(rows, dividends, precise=precise).price
    vol, _, _ = european_iv(price - (american - greeks[0]), rows)
    return vol, greeks[4]


def bisect(
    price: FloatArray,
    rows: Rows,
    worth: Callable[[Rows], FloatArray],
    vols: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """Return volatilities and vegas of rows whose volatility may lie anywhere; NaN if it does not.

    Args:
        price: Dollars, flat.
        rows: The options; their volatility is ignored.
        worth: Prices rows.
        vols: The range to search.
    """

    def miss(vol: FloatArray) -> FloatArray:
        return worth(rows._replace(vol=vol)) - price

    low, high = (np.full(price.size, vol) for vol in vols)
    bracketed = (miss(low) <= 0) & (miss(high) >= 0)
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        above = miss(middle) > 0
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
        if (high - low <= _CLOSE * low).all():
            break
    vol = np.where(bracketed, 0.5 * (low + high), np.nan)
    middle = np.where(bracketed, vol, math.sqrt(vols[0] * vols[1]))
    step = 1e-4 * middle
    return vol, (miss(middle + step) - miss(middle - step)) / (2.0 * step)
