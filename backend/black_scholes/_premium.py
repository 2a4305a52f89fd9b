"""The early-exercise premium as an integral along a known boundary; see `_boundary`.

premium = integral over t from 0 to T of r K e^(-rt) N(-d2) - q S e^(-qt) N(-d1), where d1 and d2 are
taken between spot and the boundary at time to expiration T - t, and t = T s².
"""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import kernel, select
from black_scholes._math import exp, log_ratio
from black_scholes._nodes import normal

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray


@kernel
def measure(x: FloatArray, v: FloatArray, log_x: FloatArray, measures: FloatArray) -> None:
    """Fill ln(spot/X), 1/v and 1/spot, once for all points of the premium's quadrature."""
    distance, per_width, per_spot = measures[0], measures[1], measures[2]
    for i in range(x.size):
        distance[i] = log_ratio(x[i], 1.0) - log_x[i]
        per_width[i] = 1.0 / v[i]
        per_spot[i] = 1.0 / x[i]


@kernel
def add_premium(
    x: FloatArray,
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    s: float,
    weight: float,
    mixed: FloatArray,
    distance: FloatArray,
    per_width: FloatArray,
    per_spot: FloatArray,
    value: FloatArray,
    slope: FloatArray,
    bend: FloatArray,
) -> None:
    """Add one quadrature point to the premium and to its derivatives by spot."""
    square, factor, per_s = s * s, 2.0 * s * weight, 1.0 / s
    for i in range(x.size):
        lag = t[i] * square
        size = np.sqrt(select(mixed[i] > 0.0, mixed[i], 0.0))
        inverse = per_width[i] * per_s
        middle = (distance[i] + size + (r[i] - q[i]) * lag) * inverse
        half = 0.5 * (v[i] * s)
        d2 = middle - half
        d1 = middle + half
        low, low_density = normal(-d2)
        high, high_density = normal(-d1)
        share = factor * t[i]
        up = r[i] * share * exp(-r[i] * lag)
        down = q[i] * share * exp(-q[i] * lag)
        steep = inverse * per_spot[i]
        value[i] += up * low - down * (x[i] * high)
        slope[i] += down * (high_density * inverse - high) - up * (low_density * steep)
        bend[i] += steep * (
            up * low_density * (d2 * inverse + 1.0) * per_spot[i]
            - down * high_density * (d1 * inverse - 1.0)
        )


@kernel
def close_premium(
    spot: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    x: FloatArray,
    log_x: FloatArray,
    live: FloatArray,
    last: FloatArray,
    value: FloatArray,
    slope: FloatArray,
    bend: FloatArray,
    premium: FloatArray,
    delta: FloatArray,
    gamma: FloatArray,
    boundary: FloatArray,
) -> None:
    """Turn puts of strike 1 back into rows."""
    for i in range(spot.size):
        call = is_call[i]
        alive = live[i] > 0.0
        edge = exp(log_x[i] - last[i])
        gain = select(value[i] > 0.0, value[i], 0.0)
        premium[i] = select(alive, gain * select(call, spot[i], strike[i]), 0.0)
        delta[i] = select(alive, select(call, value[i] - x[i] * slope[i], slope[i]), 0.0)
        curve = select(call, x[i] * x[i] * bend[i] / spot[i], bend[i] / strike[i])
        gamma[i] = select(alive, curve, 0.0)
        level = select(call, strike[i] / edge, strike[i] * edge)
        boundary[i] = select(alive, level, np.nan)
