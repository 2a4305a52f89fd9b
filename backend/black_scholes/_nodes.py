"""One node of the early-exercise boundary: its equation, and Newton's steps; see `_boundary`.

All arrays are rows of SIMD lanes, one option in each. `own` is L at the node, `up` and `down` are
the numerator and the denominator of its equation, their slopes are derivatives by ln B.
"""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import inline, kernel, select
from black_scholes._math import INV_SQRT_2PI, exp, log_ratio, mills

if TYPE_CHECKING:
    from black_scholes._jit import FloatArray

_LEAST = 1e-290
_LEAST_SQUARE = 1e-24
_LEAST_SIZE = 1e-9


@inline
def normal(d: float) -> tuple[float, float]:
    """Return N(d) and n(d)."""
    density = INV_SQRT_2PI * exp(-0.5 * (d * d))
    tail = density * mills(abs(d))
    return select(d < 0.0, tail, 1.0 - tail), density


@kernel
def lag_weights(
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    z: float,
    s: float,
    weight: float,
    numerator: FloatArray,
    denominator: FloatArray,
) -> None:
    """Fill the parts of the integrands that do not depend on the boundary."""
    for i in range(t.size):
        tau = t[i] * z * z
        lag = tau * s * s
        measure = 2.0 * s * weight * tau
        numerator[i] = r[i] * measure * exp(-r[i] * lag)
        denominator[i] = q[i] * measure * exp(-q[i] * lag)


@kernel
def open_node(
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    log_x: FloatArray,
    z: float,
    own: FloatArray,
    up: FloatArray,
    down: FloatArray,
    up_slope: FloatArray,
    down_slope: FloatArray,
) -> None:
    """Begin a node's numerator and denominator with their terms outside the integrals."""
    for i in range(t.size):
        tau = t[i] * z * z
        width = v[i] * z
        inverse = 1.0 / width
        middle = (log_x[i] - own[i] + (r[i] - q[i]) * tau) * inverse
        low, low_density = normal(middle - 0.5 * width)
        high, high_density = normal(middle + 0.5 * width)
        discount = exp(-r[i] * tau)
        carry = exp(-q[i] * tau)
        up[i] = discount * low
        up_slope[i] = discount * low_density * inverse
        down[i] = carry * high
        down_slope[i] = carry * high_density * inverse


@kernel
def mix(row: FloatArray, lanes: FloatArray, mixed: FloatArray) -> None:
    """Interpolate L² at one point in all lanes from L at the nodes."""
    for i in range(mixed.size):
        mixed[i] = 0.0
    for node in range(row.size):
        factor = row[node]
        values = lanes[node]
        for i in range(mixed.size):
            mixed[i] += factor * (values[i] * values[i])


@kernel
def add_value(
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    zs: float,
    mixed: FloatArray,
    own: FloatArray,
    weight_up: FloatArray,
    weight_down: FloatArray,
    up: FloatArray,
    down: FloatArray,
) -> None:
    """Add one quadrature point to a node's integrals."""
    for i in range(t.size):
        width = v[i] * zs
        other = np.sqrt(select(mixed[i] > _LEAST_SQUARE, mixed[i], _LEAST_SQUARE))
        inverse = 1.0 / width
        middle = (other - own[i] + (r[i] - q[i]) * (t[i] * (zs * zs))) * inverse
        low, _ = normal(middle - 0.5 * width)
        high, _ = normal(middle + 0.5 * width)
        up[i] += weight_up[i] * low
        down[i] += weight_down[i] * high


@kernel
def relax(
    log_x: FloatArray,
    up: FloatArray,
    down: FloatArray,
    up_slope: FloatArray,
    down_slope: FloatArray,
    own: FloatArray,
) -> None:
    """Move one node to where its equation holds while the integrals stay."""
    for i in range(own.size):
        high = select(up[i] > _LEAST, up[i], _LEAST)
        low = select(down[i] > _LEAST, down[i], _LEAST)
        miss = log_x[i] - own[i] - log_ratio(high, low)
        bend = 1.0 - (up_slope[i] / high - down_slope[i] / low)
        moved = own[i] + miss / select(bend > 0.25, bend, 0.25)
        own[i] = select(moved > 0.25 * own[i], moved, 0.25 * own[i])


@kernel
def add_point(
    t: FloatArray,
    r: FloatArray,
    q: FloatArray,
    v: FloatArray,
    zs: float,
    mixed: FloatArray,
    own: FloatArray,
    weight_up: FloatArray,
    weight_down: FloatArray,
    up: FloatArray,
    down: FloatArray,
    up_slope: FloatArray,
    down_slope: FloatArray,
    up_pull: FloatArray,
    down_pull: FloatArray,
) -> None:
    """Add one quadrature point to a node's integrals and to their derivatives by ln B.

    `up_pull`, `down_pull`: derivatives of this point's terms by L², times two.
    """
    for i in range(t.size):
        width = v[i] * zs
        other = np.sqrt(select(mixed[i] > _LEAST_SQUARE, mixed[i], _LEAST_SQUARE))
        inverse = 1.0 / width
        middle = (other - own[i] + (r[i] - q[i]) * (t[i] * (zs * zs))) * inverse
        low, low_density = normal(middle - 0.5 * width)
        high, high_density = normal(middle + 0.5 * width)
        low_slope = weight_up[i] * (low_density * inverse)
        high_slope = weight_down[i] * (high_density * inverse)
        per_other = select(mixed[i] > _LEAST_SQUARE, 1.0 / other, 0.0)
        up[i] += weight_up[i] * low
        down[i] += weight_down[i] * high
        up_slope[i] += low_slope
        down_slope[i] += high_slope
        up_pull[i] = low_slope * per_other
        down_pull[i] = high_slope * per_other


@kernel
def close_node(
    log_x: FloatArray,
    own: FloatArray,
    up: FloatArray,
    down: FloatArray,
    up_slope: FloatArray,
    down_slope: FloatArray,
    miss: FloatArray,
    diagonal: FloatArray,
) -> None:
    """Compute how far a node is from its equation, and the derivative of that by its own L.

    `up` and `down` are overwritten with their reciprocals.
    """
    for i in range(own.size):
        high = select(up[i] > _LEAST, up[i], _LEAST)
        low = select(down[i] > _LEAST, down[i], _LEAST)
        miss[i] = log_x[i] - own[i] - log_ratio(high, low)
        up[i] = 1.0 / high
        down[i] = 1.0 / low
        diagonal[i] = 1.0 - (up_slope[i] * up[i] - down_slope[i] * down[i])


@kernel
def couple(
    up: FloatArray,
    down: FloatArray,
    up_pull: FloatArray,
    down_pull: FloatArray,
    row: FloatArray,
    lanes: FloatArray,
    matrix: FloatArray,
    pull: FloatArray,
) -> None:
    """Add one quadrature point to a node's row of the Jacobian matrix."""
    for i in range(up.size):
        pull[i] = up_pull[i] * up[i] - down_pull[i] * down[i]
    for node in range(row.size):
        factor = row[node]
        values = lanes[node]
        cells = matrix[node]
        for i in range(up.size):
            cells[i] += factor * (pull[i] * values[i])


@kernel
def solve(matrix: FloatArray, miss: FloatArray, lanes: FloatArray, change: FloatArray) -> None:
    """Make Newton's step of all nodes: Gaussian elimination, one system per lane.

    `change` becomes the largest relative change of L in each lane.
    """
    change[:] = 0.0
    n = miss.shape[0]
    for pivot in range(n):
        top = matrix[pivot, pivot]
        for i in range(top.size):
            top[i] = 1.0 / top[i]
        for row in range(pivot + 1, n):
            _eliminate(top, matrix[row, pivot], matrix[pivot], matrix[row], pivot + 1)
            _take(matrix[row, pivot], miss[pivot], miss[row])
    for pivot in range(n - 1, -1, -1):
        for other in range(pivot + 1, n):
            _take(matrix[pivot, other], miss[other], miss[pivot])
        _move(matrix[pivot, pivot], miss[pivot], lanes[pivot], change)


@kernel
def _eliminate(
    inverse: FloatArray, factor: FloatArray, above: FloatArray, below: FloatArray, first: int
) -> None:
    for i in range(factor.size):
        factor[i] *= inverse[i]
    for column in range(first, above.shape[0]):
        _take(factor, above[column], below[column])


@kernel
def _take(factor: FloatArray, source: FloatArray, target: FloatArray) -> None:
    for i in range(target.size):
        target[i] -= factor[i] * source[i]


@kernel
def _move(inverse: FloatArray, miss: FloatArray, own: FloatArray, change: FloatArray) -> None:
    for i in range(own.size):
        miss[i] *= inverse[i]
        part = abs(miss[i]) / (own[i] + _LEAST_SIZE)
        change[i] = select(part > change[i], part, change[i])
        moved = own[i] + miss[i]
        own[i] = select(moved > 0.25 * own[i], moved, 0.25 * own[i])
