"""American options on a grid: cash dividends at known dates, and rates of any sign.

Crank and Nicolson's scheme in ln(spot), after four implicit quarter steps that damp the kink
(Rannacher 1984); early exercise by Brennan and Schwartz's elimination (1977) which solves each step
exactly for one exercise region, from the side of exercise on. At an ex-date the value before is
the value after at spot less cash, or the payoff. Calls are mirrored so that exercise lies at the
low end of the grid for all options, and options share a pass, one per SIMD lane.
"""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import kernel

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray

LANES = 16
_STEPS, _PRECISE_STEPS = 128, 512
_NODES, _PRECISE_NODES = 321, 1281
_WIDTHS = 6.0  # standard deviations from spot to each end of the grid


@kernel
def _payoff(
    low: FloatArray, h: FloatArray, side: FloatArray, strike: FloatArray, payoff: FloatArray
) -> None:
    """Fill exercise values; the row of node i holds spot exp(low + i h) in each lane."""
    for node in range(payoff.shape[0]):
        row = payoff[node]
        for i in range(row.size):
            row[i] = max(side[i] * (np.exp(low[i] + node * h[i]) - strike[i]), 0.0)


@kernel
def _smooth(
    low: FloatArray, h: FloatArray, side: FloatArray, strike: FloatArray, value: FloatArray
) -> None:
    """Replace the payoff by its mean over each cell: the kink then costs no order of accuracy."""
    for i in range(low.size):
        edge = np.log(strike[i])
        for node in range(value.shape[0]):
            middle = low[i] + node * h[i]
            reach = 0.5 * abs(h[i])
            if abs(middle - edge) < reach:
                a = edge if side[i] > 0 else middle - reach
                b = middle + reach if side[i] > 0 else edge
                area = np.exp(b) - np.exp(a) - strike[i] * (b - a)
                value[node, i] = side[i] * area / (2.0 * reach)


@kernel
def _factor(
    diagonal: FloatArray, below: FloatArray, above: FloatArray, inverse: FloatArray
) -> None:
    """Eliminate the upper diagonal from the far end: each row then hangs on the one below it."""
    last = inverse.shape[0] - 1
    for i in range(diagonal.size):
        inverse[last, i] = 1.0
    for node in range(last - 1, 0, -1):
        row, next_row = inverse[node], inverse[node + 1]
        for i in range(diagonal.size):
            bound = 0.0 if node + 1 == last else below[i]
            row[i] = 1.0 / (diagonal[i] - above[i] * bound * next_row[i])


@kernel
def _advance(
    value: FloatArray,
    payoff: FloatArray,
    right: FloatArray,
    inverse: FloatArray,
    coefficients: FloatArray,
    explicit: float,
    early: bool,
) -> None:
    """Make one time step; `coefficients` are the implicit rows' below, diagonal, above, and L's."""
    last = value.shape[0] - 1
    below, above = coefficients[0], coefficients[2]
    down, centre, up = coefficients[3], coefficients[4], coefficients[5]
    for i in range(below.size):
        right[last, i] = value[last, i]
    for node in range(last - 1, 0, -1):
        v0, v1, v2 = value[node - 1], value[node], value[node + 1]
        target, next_right, next_inverse = right[node], right[node + 1], inverse[node + 1]
        for i in range(below.size):
            known = v1[i] + explicit * (down[i] * v0[i] + centre[i] * v1[i] + up[i] * v2[i])
            target[i] = known - above[i] * next_right[i] * next_inverse[i]
    for node in range(1, last):
        target, previous, floor = value[node], value[node - 1], payoff[node]
        source, factor = right[node], inverse[node]
        for i in range(below.size):
            solved = (source[i] - below[i] * previous[i]) * factor[i]
            target[i] = max(solved, floor[i]) if early else solved


@kernel
def _jump(
    cash: float,
    low: FloatArray,
    h: FloatArray,
    side: FloatArray,
    strike: FloatArray,
    value: FloatArray,
    payoff: FloatArray,
    before: FloatArray,
) -> None:
    """Carry values over an ex-date, backwards in time: cubic interpolation at spot less cash."""
    last = value.shape[0] - 1
    for node in range(last + 1):
        for i in range(low.size):
            left = np.exp(low[i] + node * h[i]) - cash
            if left <= 0.0:
                moved = strike[i] if side[i] < 0 else 0.0
            else:
                place = (np.log(left) - low[i]) / h[i]
                if place <= 0.0 or place >= last:
                    # Outside the grid nothing is uncertain any more.
                    moved = max(side[i] * (left - strike[i]), 0.0)
                else:
                    at = min(max(int(place), 1), last - 2)
                    f = place - at
                    moved = (
                        -f * (f - 1.0) * (f - 2.0) / 6.0 * value[at - 1, i]
                        + (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0 * value[at, i]
                        - (f + 1.0) * f * (f - 2.0) / 2.0 * value[at + 1, i]
                        + (f + 1.0) * f * (f - 1.0) / 6.0 * value[at + 2, i]
                    )
            before[node, i] = max(moved, payoff[node, i])
    value[:, :] = before


@kernel
def _set_step(
    coefficients: FloatArray,
    diagonal: FloatArray,
    inverse: FloatArray,
    dt: FloatArray,
    implicit: float,
    rate: FloatArray,
    drift: FloatArray,
    variance: FloatArray,
    h: FloatArray,
) -> None:
    """Fill dt L, the implicit matrix 1 - implicit dt L, and its factors."""
    for i in range(dt.size):
        diffusion = 0.5 * variance[i] / (h[i] * h[i])
        slope = 0.5 * drift[i] / h[i]
        coefficients[3, i] = dt[i] * (diffusion - slope)
        coefficients[4, i] = -dt[i] * (2.0 * diffusion + rate[i])
        coefficients[5, i] = dt[i] * (diffusion + slope)
        coefficients[0, i] = -implicit * coefficients[3, i]
        diagonal[i] = 1.0 - implicit * coefficients[4, i]
        coefficients[2, i] = -implicit * coefficients[5, i]
    _factor(diagonal, coefficients[0], coefficients[2], inverse)


@kernel
def _pass(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    side: FloatArray,
    ex_dates: FloatArray,
    cash: FloatArray,
    steps: int,
    nodes: int,
    widths: float,
    early: bool,
    out: FloatArray,
) -> None:
    """Solve options that see the same dividends, and fill price, delta and gamma."""
    lanes = spot.size
    value = np.empty((nodes, lanes))
    payoff = np.empty((nodes, lanes))
    work = np.empty((nodes, lanes))
    inverse = np.empty((nodes, lanes))
    coefficients = np.empty((6, lanes))
    diagonal = np.empty(lanes)
    variance = vol * vol
    drift = rate - dividend_yield - 0.5 * variance
    paid = cash.sum()
    reach = widths * vol * np.sqrt(years) + np.abs(drift) * years + 1.5 * paid / spot
    reach = np.maximum(reach, 1.25 * np.abs(np.log(strike / spot)) + 0.25 * reach)
    half = (nodes - 1) // 2
    # The exercise side is node 0: low spots for puts, high spots for calls.
    h = -side * reach / half
    low = np.log(spot) - half * h
    _payoff(low, h, side, strike, payoff)
    value[:, :] = payoff
    _smooth(low, h, side, strike, value)
    for segment in range(cash.size, -1, -1):
        begin = ex_dates[segment - 1] if segment > 0 else 0.0
        ends_with_payoff = segment == cash.size
        span = (years if ends_with_payoff else np.full(lanes, ex_dates[segment])) - begin
        share = span.max() / years.max()
        count = max(int(np.ceil(steps * share)), 8)
        dt = span / count
        # Four quarter steps, fully implicit, replace the first step after each kink.
        _set_step(coefficients, diagonal, inverse, 0.25 * dt, 1.0, rate, drift, variance, h)
        for _ in range(4):
            _advance(value, payoff, work, inverse, coefficients, 0.0, early)
        _set_step(coefficients, diagonal, inverse, dt, 0.5, rate, drift, variance, h)
        for _ in range(count - 1):
            _advance(value, payoff, work, inverse, coefficients, 0.5, early)
        if segment > 0:
            _jump(cash[segment - 1], low, h, side, strike, value, payoff, work)
    for i in range(lanes):
        first = (value[half + 1, i] - value[half - 1, i]) / (2.0 * h[i])
        second = value[half + 1, i] - 2.0 * value[half, i] + value[half - 1, i]
        out[0, i] = value[half, i]
        out[1, i] = first / spot[i]
        out[2, i] = (second / (h[i] * h[i]) - first) / (spot[i] * spot[i])


def solve(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    dividends: tuple[tuple[float, float], ...],
    *,
    precise: bool,
    early: bool = True,
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return price, delta, gamma and whether to hold, for flat columns.

    Args:
        spot: Dollars, like strike.
        strike: Dollars.
        years: To expiration.
        rate: Continuous, of any sign.
        vol: A year.
        dividend_yield: Continuous, of any sign.
        is_call: True for calls.
        dividends: (years, dollars) by date; those after an option's end do not touch it.
        precise: Whether to use four times as many steps and nodes.
        early: Whether exercise before expiration is allowed.
    """
    ex_dates = np.array([when for when, _ in dividends], dtype=np.float64)
    cash = np.array([amount for _, amount in dividends], dtype=np.float64)
    steps, nodes = (_PRECISE_STEPS, _PRECISE_NODES) if precise else (_STEPS, _NODES)
    out = np.empty((3, spot.size))
    side = np.where(is_call, 1.0, -1.0)
    seen = np.searchsorted(ex_dates, years, side="left")
    # Options with like grids share a pass; `seen` must be the same for all of them.
    order = np.lexsort((years, seen))
    columns = [x[order] for x in (spot, strike, years, rate, vol, dividend_yield, side)]
    # A grid needs some width: at volatility 0 nothing diffuses, nor does it at this one.
    columns[4] = np.maximum(columns[4], 1e-3)
    start = 0
    while start < spot.size:
        count = int(seen[order[start]])
        stop = min(start + LANES, int(np.searchsorted(seen[order], count, side="right")))
        part = np.empty((3, stop - start))
        _pass(
            *(np.ascontiguousarray(x[start:stop]) for x in columns),
            ex_dates[:count],
            cash[:count],
            steps,
            nodes,
            _WIDTHS,
            early,
            part,
        )
        out[:, order[start:stop]] = part
        start = stop
    payoff = np.maximum(side * (spot - strike), 0.0)
    held = (out[0] > payoff * (1.0 + 1e-12)) | (payoff == 0.0)
    return out[0], out[1], out[2], held
