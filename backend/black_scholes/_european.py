"""Loops over European options: price, greeks and higher greeks, SIMD across options.

With S' = S e^(-qT), K' = K e^(-rT), v = vol sqrt(T), d1,2 = ln(S'/K')/v ± v/2 and Mills' ratio m:
S' n(d1) = K' n(d2) =: a, hence S' N(-|d1|) = a m(|d1|) and K' N(-|d2|) = a m(|d2|). One exponential
serves both tails, and the out-of-the-money price a (m(-d1) - m(-d2)) keeps its digits where
S' N(d1) - K' N(d2) has lost them all. The option in the money follows by put-call parity.
"""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import inline, kernel, select
from black_scholes._math import INV_SQRT_2PI, exp, exp_and_less_one, log_ratio, mills

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray

_TINY = 1e-200  # stands for v = 0: every d but 0 becomes huge, and nothing overflows
_LEAST = 1e-290  # below it numbers are close to losing bits (subnormal)


@inline
def _is_valid(
    spot: float, strike: float, years: float, rate: float, vol: float, carry: float
) -> bool:
    total = spot + strike + years + abs(rate) + vol + abs(carry)
    return (spot > _LEAST) & (strike > _LEAST) & (years >= 0.0) & (vol >= 0.0) & (total < np.inf)


@inline
def _tail(d: float, density: float) -> float:
    """Return N(d) from n(d), accurate in the lower tail."""
    below = density * mills(abs(d))
    return select(d < 0.0, below, 1.0 - below)


@inline
def _state(
    spot: float, strike: float, years: float, rate: float, vol: float, dividend_yield: float
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """Return sqrt(T), v, S', K', S' - K', ln(S'/K'), 1/(S v), d1, d2, a."""
    root = np.sqrt(years)
    v = vol * root
    carry, carry_less_one = exp_and_less_one(-dividend_yield * years)
    discount, discount_less_one = exp_and_less_one(-rate * years)
    spot_now = spot * carry
    strike_now = strike * discount
    # S' - K' without the rounding of S' and K'.
    difference = (spot - strike) + (spot * carry_less_one - strike * discount_less_one)
    moneyness = log_ratio(spot, strike) + (rate - dividend_yield) * years
    inverse = 1.0 / (spot * select(v > _TINY, v, _TINY))
    middle = moneyness * (spot * inverse)
    d1 = middle + 0.5 * v
    d2 = middle - 0.5 * v
    a = spot_now * (INV_SQRT_2PI * exp(-0.5 * (d1 * d1)))
    return root, v, spot_now, strike_now, difference, moneyness, inverse, d1, d2, a


@inline
def _value(
    spot_now: float,
    strike_now: float,
    difference: float,
    moneyness: float,
    d1: float,
    a: float,
    tails: tuple[float, float, float],
    is_call: bool,
) -> float:
    """Return the price from the terms of `_state` and (m(|d1|), m(|d2|), d2)."""
    m1, m2, d2 = tails
    call_is_out = moneyness <= 0.0
    near = select(call_is_out, d1, -d2)
    m_near = select(call_is_out, m1, m2)
    m_far = select(call_is_out, m2, m1)
    base = select(call_is_out, spot_now, strike_now)
    out = select(near <= 0.0, a * (m_near - m_far), base - a * (m_near + m_far))
    out = select(out > 0.0, out, 0.0)
    inner = select(is_call, difference, -difference)
    return out + select(is_call == call_is_out, 0.0, inner)


@inline
def european_price(
    spot: float,
    strike: float,
    years: float,
    rate: float,
    vol: float,
    dividend_yield: float,
    is_call: bool,
) -> float:
    """Return the price of one option, NaN if an input makes no sense."""
    _, _, spot_now, strike_now, difference, moneyness, _, d1, d2, a = _state(
        spot, strike, years, rate, vol, dividend_yield
    )
    tails = mills(abs(d1)), mills(abs(d2)), d2
    value = _value(spot_now, strike_now, difference, moneyness, d1, a, tails, is_call)
    valid = _is_valid(spot, strike, years, rate, vol, dividend_yield)
    return select(valid, value, np.nan)


@kernel
def price_block(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    price: FloatArray,
) -> None:
    """Fill price; all arrays have one length."""
    for i in range(price.size):
        price[i] = european_price(
            spot[i], strike[i], years[i], rate[i], vol[i], dividend_yield[i], is_call[i]
        )


@kernel
def greeks_block(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    price: FloatArray,
    delta: FloatArray,
    gamma: FloatArray,
    theta: FloatArray,
    vega: FloatArray,
    rho: FloatArray,
) -> None:
    """Fill price and five greeks; all arrays have one length."""
    for i in range(price.size):
        s, t, r, q, call = spot[i], years[i], rate[i], dividend_yield[i], is_call[i]
        root, v, spot_now, strike_now, difference, moneyness, inverse, d1, d2, a = _state(
            s, strike[i], t, r, vol[i], q
        )
        m1 = mills(abs(d1))
        m2 = mills(abs(d2))
        value = _value(spot_now, strike_now, difference, moneyness, d1, a, (m1, m2, d2), call)
        sign = select(call, 1.0, -1.0)
        # S' N(±d1) and K' N(±d2), from whichever tail is the small one.
        held = select(sign * d1 < 0.0, a * m1, spot_now - a * m1)
        owed = select(sign * d2 < 0.0, a * m2, strike_now - a * m2)
        decay = select(v > _TINY, 0.5 * (a * s) * (vol[i] * vol[i]) * inverse, 0.0)
        drift = sign * (q * held - r * owed)
        valid = _is_valid(s, strike[i], t, r, vol[i], q)
        price[i] = select(valid, value, np.nan)
        delta[i] = select(valid, sign * (held / s), np.nan)
        gamma[i] = select(valid, select(v > _TINY, (a / s) * inverse, 0.0), np.nan)
        theta[i] = select(valid, select(t > 0.0, drift - decay, 0.0), np.nan)
        vega[i] = select(valid, a * root, np.nan)
        rho[i] = select(valid, sign * (t * owed), np.nan)


@kernel
def higher_block(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    vanna: FloatArray,
    volga: FloatArray,
    charm: FloatArray,
    speed: FloatArray,
) -> None:
    """Fill four higher greeks; all arrays have one length."""
    for i in range(vanna.size):
        s, t, r, q, call = spot[i], years[i], rate[i], dividend_yield[i], is_call[i]
        root, v, spot_now, _, _, _, inverse, d1, d2, a = _state(s, strike[i], t, r, vol[i], q)
        m1 = mills(abs(d1))
        sign = select(call, 1.0, -1.0)
        held = select(sign * d1 < 0.0, a * m1, spot_now - a * m1)
        wide = v > _TINY
        density = a / s  # e^(-qT) n(d1)
        per_vol = select(wide, s * root * inverse, 0.0)  # 1/vol
        valid = _is_valid(s, strike[i], t, r, vol[i], q)
        drift = (r - q) * s * inverse - 0.5 * d2 / select(t > 0.0, t, 1.0)
        vanna[i] = select(valid, select(wide, -density * d2 * per_vol, 0.0), np.nan)
        volga[i] = select(valid, select(wide, a * root * (d1 * d2) * per_vol, 0.0), np.nan)
        charm[i] = select(valid, select(wide, sign * q * (held / s) - density * drift, 0.0), np.nan)
        speed[i] = select(
            valid, select(wide, -(density * inverse) * (1.0 + d1 * s * inverse) / s, 0.0), np.nan
        )
