"""The early-exercise boundary and premium of American options, SIMD across options.

Andersen, Lake and Offengenden, "High performance American option pricing" (2016). A call is the put
with spot and strike, rate and yield exchanged (McDonald and Schroder 1998), so only puts with strike
1 are left. With tau the time to expiration, X = min(1, r/q) and B the boundary, L = ln(X/B) >= 0 and
its square is smooth in sqrt(tau): it is interpolated between Chebyshev nodes z = sqrt(tau/T), which
are the same for all options, so that interpolation is one small matrix. The equation solved at each
node is their "fixed point B",

    B(tau) = numerator/denominator,
    numerator = e^(-r tau) N(d-(tau, B)) + integral of r e^(-rt) N(d-(t, B(tau)/B(tau - t))) dt,

the denominator the same with q and d+, d±(t, x) = (ln x + (r - q ± vol²/2) t)/(vol sqrt(t)). The
substitution t = tau s² makes the integrands smooth for Gauss and Legendre. Densities are a
by-product of the normal distribution here, so Newton's step for a node costs nothing extra.
"""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import kernel, select
from black_scholes._math import exp, exp_and_less_one, log_ratio
from black_scholes._nodes import (
    add_point,
    add_value,
    close_node,
    couple,
    lag_weights,
    mix,
    open_node,
    relax,
    solve,
)
from black_scholes._premium import add_premium, close_premium, measure

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray

LANES = 64  # options that share a pass; their state stays in the first two caches
_LEAST_WIDTH = 1e-7  # vol sqrt(T) below which there is no diffusion to speak of


@kernel
def prepare(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    x: FloatArray,
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    log_x: FloatArray,
    live: FloatArray,
) -> None:
    """Turn rows into puts with strike 1; `live` is 1 where early exercise has a value."""
    for i in range(spot.size):
        call = is_call[i]
        own_rate = select(call, dividend_yield[i], rate[i])
        own_yield = select(call, rate[i], dividend_yield[i])
        width = vol[i] * np.sqrt(select(years[i] > 0.0, years[i], 0.0))
        total = spot[i] + strike[i] + abs(rate[i]) + abs(dividend_yield[i]) + width + years[i]
        good = (spot[i] > 0.0) & (strike[i] > 0.0) & (total < np.inf)
        good = good & (own_rate > 0.0) & (width > _LEAST_WIDTH)
        live[i] = select(good, 1.0, 0.0)
        ratio = select(call, strike[i] / spot[i], spot[i] / strike[i])
        x[i] = select(good, ratio, 1.0)
        t[i] = select(good, years[i], 1.0)
        r[i] = select(good, own_rate, 0.05)
        q[i] = select(good, own_yield, 0.0)
        v[i] = select(good, width, 0.2)
        above = q[i] > r[i]
        log_x[i] = select(above, log_ratio(r[i], select(above, q[i], 1.0)), 0.0)
    for i in range(spot.size, t.size):  # idle lanes of the last pass
        x[i], t[i], r[i], q[i], v[i], log_x[i], live[i] = 1.0, 1.0, 0.05, 0.0, 0.2, 0.0, 0.0


@kernel
def _guess(
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    log_x: FloatArray,
    z: float,
    own: FloatArray,
) -> None:
    """Seed L at one node: Bjerksund and Stensland (1993), for the mirrored call."""
    for i in range(t.size):
        tau = t[i] * z * z
        width = v[i] * z
        variance = v[i] * v[i] / t[i]
        tilt = 0.5 - (r[i] - q[i]) / variance
        root = np.sqrt(tilt * tilt + 2.0 * r[i] / variance)
        # Perpetual boundary beta/(beta - 1), beta = tilt - root < 0, without cancellation.
        beta = select(tilt > 0.0, -2.0 * r[i] / variance / (tilt + root), tilt - root)
        perpetual = beta / (beta - 1.0)
        start = exp(-log_x[i])
        gap = 1.0 / perpetual - start
        gap = select(gap > 1e-12 * start, gap, 1e-12 * start)
        fall = -((q[i] - r[i]) * tau + 2.0 * width) * start / gap
        _, less_one = exp_and_less_one(select(fall < 0.0, fall, 0.0))
        level = start - gap * less_one
        own[i] = log_ratio(level, start)


@kernel
def _seed(
    state: FloatArray,
    nodes: FloatArray,
    points: FloatArray,
    weights: FloatArray,
    lanes: FloatArray,
    weight_up: FloatArray,
    weight_down: FloatArray,
) -> None:
    """Guess the boundary, and fill what the quadrature needs in every sweep."""
    t, r, q, v, log_x = state[1], state[2], state[3], state[4], state[5]
    for j in range(nodes.size):
        _guess(t, r, q, v, log_x, nodes[j], lanes[j])
        for k in range(points.size):
            lag_weights(
                t, r, q, nodes[j], points[k], weights[k], weight_up[j, k], weight_down[j, k]
            )


@kernel
def _relax_all(
    state: FloatArray,
    nodes: FloatArray,
    points: FloatArray,
    mixing: FloatArray,
    weight_up: FloatArray,
    weight_down: FloatArray,
    sums: FloatArray,
    point: FloatArray,
    lanes: FloatArray,
) -> None:
    """Make one sweep in the manner of Gauss and Seidel: slow, but it comes near from anywhere."""
    t, r, q, v, log_x = state[1], state[2], state[3], state[4], state[5]
    up, down, up_slope, down_slope = sums[0], sums[1], sums[2], sums[3]
    for j in range(nodes.size):
        own = lanes[j]
        open_node(t, r, q, v, log_x, nodes[j], own, up, down, up_slope, down_slope)
        for k in range(points.size):
            mix(mixing[j, k], lanes, point)
            add_value(
                t,
                r,
                q,
                v,
                nodes[j] * points[k],
                point,
                own,
                weight_up[j, k],
                weight_down[j, k],
                up,
                down,
            )
        relax(log_x, up, down, up_slope, down_slope, own)


@kernel
def _newton(
    state: FloatArray,
    nodes: FloatArray,
    points: FloatArray,
    mixing: FloatArray,
    weight_up: FloatArray,
    weight_down: FloatArray,
    sums: FloatArray,
    pulls: FloatArray,
    matrix: FloatArray,
    miss: FloatArray,
    point: FloatArray,
    lanes: FloatArray,
) -> None:
    """Make one step of Newton in all nodes at once: near the boundary errors are squared."""
    t, r, q, v, log_x = state[1], state[2], state[3], state[4], state[5]
    up, down, up_slope, down_slope = sums[0], sums[1], sums[2], sums[3]
    matrix[:, :, :] = 0.0
    for j in range(nodes.size):
        own, cells = lanes[j], matrix[j]
        open_node(t, r, q, v, log_x, nodes[j], own, up, down, up_slope, down_slope)
        for k in range(points.size):
            mix(mixing[j, k], lanes, point)
            add_point(
                t,
                r,
                q,
                v,
                nodes[j] * points[k],
                point,
                own,
                weight_up[j, k],
                weight_down[j, k],
                up,
                down,
                up_slope,
                down_slope,
                pulls[0, k],
                pulls[1, k],
            )
        close_node(log_x, own, up, down, up_slope, down_slope, miss[j], cells[j])
        for k in range(points.size):
            couple(up, down, pulls[0, k], pulls[1, k], mixing[j, k], lanes, cells, point)
    solve(matrix, miss, lanes, point)


@kernel
def premium_block(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    nodes: FloatArray,
    points: FloatArray,
    weights: FloatArray,
    mixing: FloatArray,
    end_points: FloatArray,
    end_weights: FloatArray,
    end_mixing: FloatArray,
    warm: int,
    sweeps: int,
    tolerance: float,
    premium: FloatArray,
    delta: FloatArray,
    gamma: FloatArray,
    boundary: FloatArray,
    sizes_out: FloatArray,
) -> None:
    """Fill the early-exercise premium, its delta and gamma, and the boundary today.

    Premium and derivatives are 0 where early exercise has no value, the boundary is NaN there.

    Args:
        spot: Options, like the next six.
        strike: Dollars.
        years: To expiration.
        rate: Continuous.
        vol: A year.
        dividend_yield: Continuous.
        is_call: True for calls.
        nodes: z of the collocation nodes, the last is 1.
        points: s of the inner quadrature.
        weights: Its weights, for s from 0 to 1.
        mixing: (nodes, points, nodes) interpolation of L² at z_j sqrt(1 - s²).
        end_points: s of the quadrature of the price.
        end_weights: Its weights.
        end_mixing: (end_points, nodes) interpolation of L² at sqrt(1 - s²).
        warm: Number of sweeps over the nodes one by one.
        sweeps: Most steps of Newton.
        tolerance: Relative change of L in a step from which on no further one is made.
        premium: To fill, dollars, like the next three.
        delta: Of the premium.
        gamma: Of the premium.
        boundary: Spot at which exercise is due now.
        sizes_out: (options, nodes) of L at the nodes, or (0, nodes) if not wanted.
    """
    n, m = nodes.size, points.size
    state = np.empty((7, LANES))
    sums = np.empty((4, LANES))
    pulls = np.empty((2, m, LANES))
    matrix = np.empty((n, n, LANES))
    miss = np.empty((n, LANES))
    sizes = np.empty((n, LANES))
    weight_up = np.empty((n, m, LANES))
    weight_down = np.empty((n, m, LANES))
    point = np.empty(LANES)
    result = np.empty((3, LANES))
    for start in range(0, spot.size, LANES):
        stop = min(start + LANES, spot.size)
        x, t, r, q = state[0], state[1], state[2], state[3]
        v, log_x, live = state[4], state[5], state[6]
        value, slope, bend = result[0], result[1], result[2]
        prepare(
            spot[start:stop],
            strike[start:stop],
            years[start:stop],
            rate[start:stop],
            vol[start:stop],
            dividend_yield[start:stop],
            is_call[start:stop],
            x,
            t,
            r,
            q,
            v,
            log_x,
            live,
        )
        result[:, :] = 0.0
        if live.max() > 0.0:
            _seed(state, nodes, points, weights, sizes, weight_up, weight_down)
            for _ in range(warm):
                _relax_all(state, nodes, points, mixing, weight_up, weight_down, sums, point, sizes)
            for _ in range(sweeps):
                _newton(
                    state,
                    nodes,
                    points,
                    mixing,
                    weight_up,
                    weight_down,
                    sums,
                    pulls,
                    matrix,
                    miss,
                    point,
                    sizes,
                )
                # Convergence is quadratic: what is left is about the square of this change.
                if point.max() < tolerance:
                    break
            measure(x, v, log_x, sums)
            for k in range(end_points.size):
                mix(end_mixing[k], sizes, point)
                add_premium(
                    x,
                    t,
                    r,
                    q,
                    v,
                    end_points[k],
                    end_weights[k],
                    point,
                    sums[0],
                    sums[1],
                    sums[2],
                    value,
                    slope,
                    bend,
                )
        else:
            sizes[:, :] = 0.0
        close_premium(
            spot[start:stop],
            strike[start:stop],
            is_call[start:stop],
            x,
            log_x,
            live,
            sizes[n - 1],
            value,
            slope,
            bend,
            premium[start:stop],
            delta[start:stop],
            gamma[start:stop],
            boundary[start:stop],
        )
        if sizes_out.shape[0] > 0:
            for j in range(n):
                sizes_out[start:stop, j] = sizes[j, : stop - start]
