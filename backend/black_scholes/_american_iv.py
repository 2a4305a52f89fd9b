"""Implied volatility of American options, on top of `_american.solve` and the European inversion.

The price less the early-exercise premium is a European price. So the volatility is a fixed point of
vol -> inverse(price - premium(vol)), and as the premium hardly moves with volatility, a secant on
that function is there after about three solutions. Rows that it cannot serve, deep in the money,
are bisected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes import _american, _european, _inversion
from black_scholes.implied_vol import ImpliedVolatility

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._american import Cash, Rows
    from black_scholes._jit import FloatArray

_START = 0.3
_SECANTS = 8
_BISECTIONS = 60
_SETTLED = 1e-9  # relative
_MOST = 10.0  # 1000 % volatility
_LEAST = 1e-4
# Error of a premium as a share of it, exceeded by one in a hundred options when measured.
_ERROR, _PRECISE_ERROR = 5e-3, 1e-4
_NOISE = 1e-14  # error of any price as a share of spot and strike
_FUZZ = 1e-12  # share of spot and strike below which time value is rounding
_HIDDEN = 0.1  # relative uncertainty from which on a volatility is no statement


def solve(price: FloatArray, rows: Rows, dividends: Cash, *, precise: bool) -> ImpliedVolatility:
    """Invert prices; `rows.vol` is ignored.

    Args:
        price: Dollars, flat.
        rows: The options.
        dividends: Cash dividends to come.
        precise: Whether to use the precise scheme.
    """
    vol, uncertainty, status = _european_iv(price, rows)
    judged = (status == _inversion.MISSING) | (status == _inversion.EXPIRED)
    floor = _american.least_value(rows, dividends)
    fuzz = np.where(floor > 0, _FUZZ * (rows.spot + rows.strike), 0.0)
    bound = np.where(rows.is_call, rows.spot, rows.strike)
    status = np.where(judged, status, _inversion.OK).astype(np.int8)
    for code, applies in (
        (_inversion.ABOVE_BOUND, price >= bound),
        (_inversion.NO_TIME_VALUE, price <= floor + fuzz),
        (_inversion.BELOW_INTRINSIC, price < floor - fuzz),
    ):
        status[applies & ~judged] = code
    open_rows = status == _inversion.OK
    if open_rows.any():
        some = rows.at(open_rows)
        quoted = price[open_rows]
        found, slope = _search(quoted, some, vol[open_rows], dividends, precise=precise)
        vol[open_rows] = found
        european = np.empty(quoted.size)
        _european.price_block(*some._replace(vol=found), european)
        error = (_PRECISE_ERROR if precise else _ERROR) * np.abs(quoted - european)
        slope = np.where(slope > 0, slope, np.nan)
        uncertainty[open_rows] = np.maximum(error, _NOISE * (some.spot + some.strike)) / slope
        unsure = ~(uncertainty[open_rows] < _HIDDEN * found)
        status[open_rows] = np.where(unsure, _inversion.UNRESOLVED, _inversion.OK)
    vol[status != _inversion.OK] = np.nan
    return ImpliedVolatility(vol, uncertainty, status)


def _european_iv(price: FloatArray, rows: Rows) -> tuple[FloatArray, FloatArray, NDArray[np.int8]]:
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
        lost = ~((following > _LEAST) & (following < _MOST) & (steepness < 1.0))
        last_x[active], last_y[active], x[active] = here, y, following
        active = active[~done & ~lost]
    rest = np.flatnonzero(~(np.isfinite(found) & (slope > 0)))
    if rest.size:
        found[rest], slope[rest] = _bisect(price[rest], rows.at(rest), dividends, precise=precise)
    return found, slope


def _image(
    price: FloatArray, rows: Rows, dividends: Cash, *, precise: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the European volatilities of price - premium(vol), and European vegas at vol."""
    greeks = [np.empty(price.size) for _ in range(6)]
    _european.greeks_block(*rows, *greeks)
    american = _american.solve(rows, dividends, precise=precise).price
    vol, _, _ = _european_iv(price - (american - greeks[0]), rows)
    return vol, greeks[4]


def _bisect(
    price: FloatArray, rows: Rows, dividends: Cash, *, precise: bool
) -> tuple[FloatArray, FloatArray]:
    """Return volatilities and vegas of rows whose volatility lies anywhere up to 1000 %."""

    def miss(vol: FloatArray) -> FloatArray:
        solved = _american.solve(rows._replace(vol=vol), dividends, precise=precise)
        return solved.price - price

    low, high = np.full(price.size, _LEAST), np.full(price.size, _MOST)
    bracketed = (miss(low) <= 0) & (miss(high) >= 0)
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        above = miss(middle) > 0
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
        if (high - low <= _SETTLED * low).all():
            break
    vol = np.where(bracketed, 0.5 * (low + high), np.nan)
    step = 1e-4 * np.where(bracketed, vol, 1.0)
    return vol, (miss(vol + step) - miss(vol - step)) / (2.0 * step)
