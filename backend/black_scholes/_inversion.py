"""The loop that turns option prices into volatilities, SIMD across options.

Work is done on the option out of the money, by parity. With v = vol sqrt(T), k = |ln(S'/K')|,
h = k/v, t = v/2 and Mills' ratio m, its price over sqrt(S'K') is

    b(v) = n(0) exp(-(h² + t²)/2) D(v),   D = m(h - t) - m(h + t),   (ln b)' = 1/D

so that one step on ln b costs two Mills' ratios, one logarithm and one exponential. Seed: the lower
bound L3 of Choi, Huh and Su, "Tighter 'uniform bounds for Black-Scholes implied volatility' and the
applications to root-finding" (2023). Steps: Householder's of fourth order, as in Jaeckel, "Let's be
rational" (2015). Three of them reach the rounding of the price; the few rows that are not there
then go on one by one.
"""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import inline, kernel, select
from black_scholes._math import LOG_SQRT_2PI, SQRT_2PI, exp, exp_and_less_one, log_ratio, mills

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._jit import BoolArray, FloatArray

# The codes of implied_vol.Status.
OK, BELOW_INTRINSIC, ABOVE_BOUND, NO_TIME_VALUE, MISSING, EXPIRED, UNRESOLVED = range(7)

_BLOCK = 512
_EPSILON = 2.220446049250313e-16
_LEAST = 1e-290
_SUBNORMAL = 1e-300  # the ratio of a smaller price to spot may have lost digits
_WINITZKI = 0.147  # of the approximation of the inverse error function that suffices for a seed
_BASE = 2.0 / (np.pi * _WINITZKI)
# A row counts as solved when its last step was so small that the next, its fourth power, is nothing.
_SETTLED = 1e-4
_HIDDEN = 1e-3  # relative uncertainty from which on the price's rounding hides the volatility


@inline
def _seed(c: float, k: float, excess: float) -> float:
    """Return the bound L3 of v for c = price/min(S', K'), excess = e^k - 1."""
    below_half = (2.0 * c * c + (2.0 * c - 1.0) * excess) / (2.0 * (2.0 * c + excess))
    both = 4.0 * c * (c + 1.0 + excess) * (1.0 - c) * (c + excess)
    both = both / ((2.0 * c + excess) * (2.0 * c + excess))  # 4 p (1 - p)
    logarithm = log_ratio(select(both > _LEAST, both, _LEAST), 1.0)
    shifted = _BASE + 0.5 * logarithm
    lift = select(logarithm < 0.0, -logarithm, 0.0) / _WINITZKI
    root = np.sqrt(shifted * shifted + lift)
    square = select(shifted > 0.0, lift / (root + shifted), root - shifted)
    size = np.sqrt(2.0 * square)
    size = select(abs(below_half) < 1e-4, SQRT_2PI * abs(below_half), size)
    reach = np.sqrt(size * size + 2.0 * k)
    v = select(below_half < 0.0, 2.0 * k / (reach + size), reach + size)
    return select(v > _LEAST, v, _LEAST)


@inline
def _difference(v: float, k: float, upper: bool) -> tuple[float, float, float, float, float]:
    """Return D, h, t, m(|h - t|) and m(h + t).

    Where the price is more than half its bound, `upper`, its distance from the bound says more:
    it is n(0) exp(-(h² + t²)/2) |D| with D = -(m(t - h) + m(h + t)), and its (ln)' is 1/D too.
    """
    h = k / v
    t = 0.5 * v
    near = h - t
    m_near = mills(abs(near))
    m_far = mills(h + t)
    reflected = SQRT_2PI * exp(0.5 * (near * near)) - m_near
    below = near < 0.0
    plain = select(below, reflected, m_near) - m_far
    plain = select(plain > _LEAST, plain, _LEAST)
    return select(upper, -(select(below, m_near, reflected) + m_far), plain), h, t, m_near, m_far


@inline
def _step(v: float, k: float, target: float, upper: bool) -> float:
    """Return Householder's step of fourth order on ln b(v) = target."""
    d, h, t, _, _ = _difference(v, k, upper)
    slope = 1.0 / d
    miss = target - (log_ratio(abs(d), 1.0) - 0.5 * (h * h + t * t) - LOG_SQRT_2PI)
    newton = miss * d
    ratio = h * h / v
    second = ratio - 0.5 * t  # b''/b'
    gamma = second - slope
    third = second * second - 3.0 * ratio / v - 0.25  # b'''/b'
    delta = third + slope * (2.0 * slope - 3.0 * second)
    step = newton * (1.0 + 0.5 * gamma * newton) / (1.0 + newton * (gamma + delta * newton / 6.0))
    return select(step > -0.5 * v, step, -0.5 * v)


@kernel
def _advance(
    v: FloatArray, k: FloatArray, target: FloatArray, upper: BoolArray, moved: FloatArray
) -> None:
    """Make one step in each row."""
    for i in range(v.size):
        step = _step(v[i], k[i], target[i], upper[i])
        moved[i] = abs(step) / v[i]
        v[i] = v[i] + step


@kernel
def _prepare(
    price: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    v: FloatArray,
    k: FloatArray,
    target: FloatArray,
    upper: BoolArray,
    spot_now: FloatArray,
    strike_now: FloatArray,
    state: FloatArray,
) -> None:
    """Normalise rows and seed v; `state` says which rows have a solution."""
    for i in range(price.size):
        total = price[i] + spot[i] + strike[i] + years[i] + abs(rate[i]) + abs(dividend_yield[i])
        present = (total < np.inf) & (spot[i] > _LEAST) & (strike[i] > _LEAST)
        carry, carry_less_one = exp_and_less_one(-dividend_yield[i] * years[i])
        discount, discount_less_one = exp_and_less_one(-rate[i] * years[i])
        s = spot[i] * carry
        x = strike[i] * discount
        moneyness = log_ratio(spot[i], strike[i]) + (rate[i] - dividend_yield[i]) * years[i]
        in_money = is_call[i] == (moneyness > 0.0)
        # S' - K' in two parts, so that the time value is not lost in the rounding of S' and K'.
        today = spot[i] - strike[i]
        later = spot[i] * carry_less_one - strike[i] * discount_less_one
        sign = select(is_call[i], 1.0, -1.0)
        inner = (price[i] - sign * today) - sign * later
        value = select(in_money, inner, price[i])
        gap = abs(today + later)
        fuzz = select(in_money, _EPSILON * (price[i] + abs(later)), _SUBNORMAL)
        base = select(moneyness > 0.0, x, s)
        code = select(value <= fuzz, 1.0 * NO_TIME_VALUE, 1.0 * OK)
        code = select(value < -fuzz, 1.0 * BELOW_INTRINSIC, code)
        code = select(price[i] >= select(is_call[i], s, x), 1.0 * ABOVE_BOUND, code)
        code = select(years[i] <= 0.0, 1.0 * EXPIRED, code)
        code = select(present, code, 1.0 * MISSING)
        good = code == 0.0
        c = select(good, value / base, 0.1)
        c = select(c < 1.0 - 1e-16, c, 1.0 - 1e-16)
        k[i] = select(good, abs(moneyness), 0.1)
        v[i] = _seed(c, k[i], select(good, gap / base, 0.1))
        upper[i] = c > 0.5
        target[i] = log_ratio(select(c > 0.5, 1.0 - c, c), 1.0) - 0.5 * k[i]
        spot_now[i] = s
        strike_now[i] = x
        state[i] = code


@kernel
def _finish(
    price: FloatArray,
    years: FloatArray,
    is_call: BoolArray,
    v: FloatArray,
    k: FloatArray,
    spot_now: FloatArray,
    strike_now: FloatArray,
    moved: FloatArray,
    state: FloatArray,
    vol: FloatArray,
    uncertainty: FloatArray,
    status: NDArray[np.int8],
) -> None:
    """Turn v into volatility, with eps·max(price, |delta| S)/vega as its uncertainty."""
    for i in range(price.size):
        s = spot_now[i]
        x = strike_now[i]
        _, h, t, m_near, m_far = _difference(v[i], k[i], False)
        root = np.sqrt(select(years[i] > 0.0, years[i], 1.0))
        a = np.sqrt(s) * np.sqrt(x) * exp(-0.5 * (h * h + t * t) - LOG_SQRT_2PI)
        # The option out of the money is a call where S' < K': its d1 is -(h - t), a put's h + t.
        call_is_out = s < x
        out_tail = select(call_is_out, select(h > t, a * m_near, s - a * m_near), a * m_far)
        held = select(is_call[i] == call_is_out, out_tail, s - out_tail)
        scale = select(price[i] > held, price[i], held)
        unsure = _EPSILON * scale / (a * root)
        sigma = v[i] / root
        good = state[i] == 0.0
        hidden = good & ((unsure > _HIDDEN * sigma) | (moved[i] > _SETTLED))
        code = select(hidden, 1.0 * UNRESOLVED, state[i])
        vol[i] = select(code == 0.0, sigma, np.nan)
        uncertainty[i] = select(good, unsure, np.nan)
        status[i] = np.int8(code)


@kernel
def invert_block(
    price: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    vol: FloatArray,
    uncertainty: FloatArray,
    status: NDArray[np.int8],
) -> None:
    """Fill volatility, its uncertainty and the status code; all arrays have one length."""
    scratch = np.empty((7, _BLOCK))
    sides = np.empty(_BLOCK, dtype=np.bool_)
    for start in range(0, price.size, _BLOCK):
        stop = min(start + _BLOCK, price.size)
        n = stop - start
        v, k, target = scratch[0, :n], scratch[1, :n], scratch[2, :n]
        upper = sides[:n]
        spot_now, strike_now = scratch[3, :n], scratch[4, :n]
        state, moved = scratch[5, :n], scratch[6, :n]
        _prepare(
            price[start:stop],
            spot[start:stop],
            strike[start:stop],
            years[start:stop],
            rate[start:stop],
            dividend_yield[start:stop],
            is_call[start:stop],
            v,
            k,
            target,
            upper,
            spot_now,
            strike_now,
            state,
        )
        for _ in range(3):
            _advance(v, k, target, upper, moved)
        for i in range(n):
            turn = 0
            while moved[i] > _SETTLED and turn < 30:
                step = _step(v[i], k[i], target[i], upper[i])
                moved[i] = abs(step) / v[i]
                v[i] += step
                turn += 1
        _finish(
            price[start:stop],
            years[start:stop],
            is_call[start:stop],
            v,
            k,
            spot_now,
            strike_now,
            moved,
            state,
            vol[start:stop],
            uncertainty[start:stop],
            status[start:stop],
        )
