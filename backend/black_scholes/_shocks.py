"""The loops that price a whole book under shocks of its underlyings, for the risk gate.

Rates and dividends are left out: the volatility is that of the same price by the same formula, so
that they cancel but for what they change between two prices of the underlying. The loops over
instruments have no branches, so that they are vectorised.
"""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._european import _state, _tail, european_price
from black_scholes._inversion import _seed, _step
from black_scholes._jit import kernel, select
from black_scholes._math import log_ratio

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray

_YEAR_NS = 525_600 * 60e9
_SESSIONS = 252.0
_SHARES, _CALL = 0.0, 1.0
_STEPS = 3


@kernel
def _volatilities(
    book: FloatArray, prices: FloatArray, years: FloatArray, work: FloatArray, vol: FloatArray
) -> None:
    """Fill the volatility of each price, NaN where it has none; `work` has three rows."""
    upper = np.empty(vol.size, dtype=np.bool_)
    v, k, target = work[0], work[1], work[2]
    for i in range(vol.size):
        price, spot, strike = prices[0, i], prices[1, i], book[1, i]
        signed = select(book[0, i] == _CALL, spot - strike, strike - spot)
        base = select(spot < strike, spot, strike)
        c = (price - select(signed > 0.0, signed, 0.0)) / base
        good = (book[0, i] != _SHARES) & (c > 1e-12) & (c < 1.0 - 1e-9) & (years[i] > 0.0)
        good &= spot > 0.0
        vol[i] = select(good, 0.0, np.nan)
        c = select(good, c, 0.1)
        k[i] = select(good, abs(log_ratio(spot, strike)), 0.1)
        v[i] = _seed(c, k[i], select(good, abs(signed) / base, 0.1))
        upper[i] = c > 0.5
        target[i] = log_ratio(select(c > 0.5, 1.0 - c, c), 1.0) - 0.5 * k[i]
    for _ in range(_STEPS):
        for i in range(vol.size):
            v[i] = v[i] + _step(v[i], k[i], target[i], upper[i])
    for i in range(vol.size):
        vol[i] += v[i] / np.sqrt(select(years[i] > 0.0, years[i], 1.0))


@kernel
def _sigmas(
    book: FloatArray, prices: FloatArray, least: float, vol: FloatArray, sigma: FloatArray
) -> None:
    """Fill sigmas of a day from the instruments nearest to the money; those without get it."""
    nearest = np.full(sigma.size, np.inf)
    at_money = np.zeros(sigma.size)
    for i in range(vol.size):
        number = int(book[4, i])
        away = abs(prices[1, i] / book[1, i] - 1.0) if vol[i] > 0.0 else np.inf
        if away < nearest[number]:
            nearest[number] = away
            at_money[number] = vol[i]
    for g in range(sigma.size):
        sigma[g] = max(at_money[g] / np.sqrt(_SESSIONS), least)
    for i in range(vol.size):
        # Without any volatility an option moves like what it is worth if exercised now.
        if not vol[i] > 0.0:
            vol[i] = at_money[int(book[4, i])]


@kernel
def _worths(
    book: FloatArray,
    spots: FloatArray,
    years: FloatArray,
    vol: FloatArray,
    calls: BoolArray,
    worth: FloatArray,
) -> None:
    """Fill what each instrument is worth, USD a share."""
    kind, strike = book[0], book[1]
    for i in range(vol.size):
        option = european_price(spots[i], strike[i], years[i], 0.0, vol[i], 0.0, calls[i])
        worth[i] = select(kind[i] == _SHARES, spots[i], option)


@kernel
def _greeks(
    book: FloatArray,
    spots: FloatArray,
    years: FloatArray,
    vol: FloatArray,
    calls: BoolArray,
    figures: FloatArray,
) -> None:
    """Fill delta, gamma, vega and theta of each instrument, in the units of `shock_block`."""
    for i in range(vol.size):
        spot = spots[i]
        root, _, _, _, _, _, inverse, d1, _, a = _state(
            spot, book[1, i], years[i], 0.0, vol[i], 0.0
        )
        alive = (vol[i] > 0.0) & (years[i] > 0.0) & (book[0, i] != _SHARES)
        held = _tail(d1, a / spot) - select(calls[i], 0.0, 1.0)
        figures[0, i] = select(book[0, i] == _SHARES, 1.0, held) * spot
        figures[1, i] = select(alive, a * inverse * spot * 0.01, 0.0)
        figures[2, i] = select(alive, a * root / 100.0, 0.0)
        figures[3, i] = select(alive, -0.5 * (a * spot) * (vol[i] * vol[i]) * inverse / 365.0, 0.0)


@kernel
def shock_block(
    book: FloatArray,
    prices: FloatArray,
    units: FloatArray,
    moves: FloatArray,
    now_ns: float,
    least_sigma: float,
    vol: FloatArray,
    sigma: FloatArray,
    totals: FloatArray,
) -> None:
    """Fill volatilities by instrument, sigmas by underlying, and totals by set of holdings.

    Args:
        book: Kind (0 shares, 1 call, 2 put), strike, expiry (ns), shares a unit, number of the
            underlying: five rows, a column for each instrument. The strike of shares is any
            positive number.
        prices: The instrument's and the underlying's price, two rows, USD; NaN where there is none.
        units: Units held, one row for each set of holdings.
        moves: A multiple of sigma and a fraction, one row for each shock; both add.
        now_ns: Time.
        least_sigma: Of a day.
        vol: Out, a year, by instrument.
        sigma: Out, of a day, by number of the underlying.
        totals: Out: delta, gamma of 1 %, vega of a point, theta of a day, then the change of each
            shock; USD, one row for each set.
    """
    n = vol.size
    work = np.empty((3, n))
    years, spots = np.empty(n), np.empty(n)
    calls = np.empty(n, dtype=np.bool_)
    figures = np.zeros((4 + moves.shape[0], n))
    for i in range(n):
        left = (book[2, i] - now_ns) / _YEAR_NS
        years[i] = select(left > 0.0, left, 0.0)
        spots[i] = select(prices[1, i] > 0.0, prices[1, i], 1.0)
        calls[i] = book[0, i] == _CALL
    _volatilities(book, prices, years, work, vol)
    _sigmas(book, prices, least_sigma, vol, sigma)
    _greeks(book, spots, years, vol, calls, figures)
    moved, before = work[0], work[1]
    _worths(book, spots, years, vol, calls, before)
    for j in range(moves.shape[0]):
        for i in range(n):
            factor = 1.0 + moves[j, 0] * sigma[int(book[4, i])] + moves[j, 1]
            moved[i] = spots[i] * select(factor > 1e-6, factor, 1e-6)
        _worths(book, moved, years, vol, calls, figures[4 + j])
        for i in range(n):
            figures[4 + j, i] -= before[i]
    for u in range(totals.shape[0]):
        for j in range(totals.shape[1]):
            total = 0.0
            for i in range(n):
                known = prices[1, i] > 0.0
                total += select(known, units[u, i] * book[3, i] * figures[j, i], 0.0)
            totals[u, j] = total
