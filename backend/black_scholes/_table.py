"""The loop behind `exercise_table`: premiums from boundaries that are interpolated, not solved for."""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._boundary import LANES, prepare
from black_scholes._jit import kernel, select
from black_scholes._math import log_ratio
from black_scholes._nodes import mix
from black_scholes._premium import add_premium, close_premium, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._jit import BoolArray, FloatArray


@kernel
def _locate(
    t: FloatArray,
    v: FloatArray,
    grid: FloatArray,
    counts: NDArray[np.int64],
    offset: FloatArray,
    start: NDArray[np.int64],
    shares: FloatArray,
) -> None:
    """Find each lane's cell: linear in ln(years), cubic in ln(vol)."""
    last_time, last_vol = counts[0] - 1.0, counts[1] - 1.0
    for i in range(t.size):
        row = (log_ratio(t[i], 1.0) - grid[0]) * grid[1]
        row = select(row > 0.0, row, 0.0)
        row = select(row < last_time, row, last_time)
        time = np.floor(select(row < last_time - 1.0, row, last_time - 1.0))
        place = (log_ratio(v[i] / np.sqrt(t[i]), 1.0) - grid[2]) * grid[3]
        place = select(place > 0.0, place, 0.0)
        place = select(place < last_vol, place, last_vol)
        cell = np.floor(select(place > 1.0, place, 1.0))
        cell = select(cell < last_vol - 2.0, cell, last_vol - 2.0)
        f = place - cell
        later = row - time
        start[i] = int(offset[i] + time * (last_vol + 1.0) + cell - 1.0)
        shares[0, i] = 1.0 - later
        shares[1, i] = later
        shares[2, i] = -f * (f - 1.0) * (f - 2.0) / 6.0
        shares[3, i] = (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0
        shares[4, i] = -(f + 1.0) * f * (f - 2.0) / 2.0
        shares[5, i] = (f + 1.0) * f * (f - 1.0) / 6.0


@kernel
def _read(
    table: FloatArray,
    step: int,
    start: NDArray[np.int64],
    shares: FloatArray,
    v: FloatArray,
    own: FloatArray,
) -> None:
    """Fill L at one node from its table of L/(vol sqrt(T))."""
    s0, s1, s2 = shares[0], shares[1], shares[2]
    s3, s4, s5 = shares[3], shares[4], shares[5]
    for i in range(own.size):
        a = start[i]
        b = a + step
        now = s2[i] * table[a] + s3[i] * table[a + 1] + s4[i] * table[a + 2] + s5[i] * table[a + 3]
        then = s2[i] * table[b] + s3[i] * table[b + 1] + s4[i] * table[b + 2] + s5[i] * table[b + 3]
        size = (s0[i] * now + s1[i] * then) * v[i]
        own[i] = select(size > 0.0, size, 0.0)


@kernel
def table_block(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    vol: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
    table: FloatArray,
    grid: FloatArray,
    counts: NDArray[np.int64],
    end_points: FloatArray,
    end_weights: FloatArray,
    end_mixing: FloatArray,
    premium: FloatArray,
    delta: FloatArray,
    gamma: FloatArray,
    boundary: FloatArray,
) -> None:
    """Fill premiums, their delta and gamma, and boundaries.

    Args:
        spot: Options, like the next six.
        strike: Dollars.
        years: To expiration.
        rate: Continuous.
        vol: A year.
        dividend_yield: Continuous.
        is_call: True for calls.
        table: (nodes, 2 x times x volatilities) of L/(vol sqrt(T)): puts, then calls.
        grid: First ln(years), 1/step, first ln(vol), 1/step.
        counts: Numbers of times and of volatilities.
        end_points: As in `_boundary.premium_block`, like what follows.
        end_weights: Weights.
        end_mixing: Interpolation.
        premium: To fill, dollars, like the next three.
        delta: Of the premium.
        gamma: Of the premium.
        boundary: Spot at which exercise is due now.
    """
    n = table.shape[0]
    calls = float(counts[0] * counts[1])
    state = np.empty((7, LANES))
    sizes = np.empty((n, LANES))
    start_cell = np.empty(LANES, dtype=np.int64)
    shares = np.empty((6, LANES))
    point = np.empty(LANES)
    measures = np.empty((3, LANES))
    offset = np.zeros(LANES)
    result = np.empty((3, LANES))
    for start in range(0, spot.size, LANES):
        stop = min(start + LANES, spot.size)
        x, t, r, q = state[0], state[1], state[2], state[3]
        v, log_x, live = state[4], state[5], state[6]
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
            for i in range(start, stop):
                offset[i - start] = calls if is_call[i] else 0.0
            _locate(t, v, grid, counts, offset, start_cell, shares)
            for j in range(n):
                _read(table[j], counts[1], start_cell, shares, v, sizes[j])
            measure(x, v, log_x, measures)
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
                    measures[0],
                    measures[1],
                    measures[2],
                    result[0],
                    result[1],
                    result[2],
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
            result[0],
            result[1],
            result[2],
            premium[start:stop],
            delta[start:stop],
            gamma[start:stop],
            boundary[start:stop],
        )
