"""Loops over smiles: digitals, and the sums from which `surface_fit` finds its next step."""

# ruff: noqa: PLR0913, PLR0917 - the sums have that many terms

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import inline, kernel, select
from black_scholes._math import INV_SQRT_2PI, exp, mills

if TYPE_CHECKING:
    from black_scholes._jit import FloatArray


@kernel
def digital(k: FloatArray, w: FloatArray, slope: FloatArray, value: FloatArray) -> None:
    """Fill value with -dC/dK of the undiscounted call; all arrays have one length.

    Args:
        k: ln(strike / forward).
        w: Total variance.
        slope: dw/dk.
        value: N(d2) - n(d2) slope / (2 sqrt(w)).
    """
    for i in range(value.size):
        v = np.sqrt(w[i])
        d2 = -k[i] / v - 0.5 * v
        density = INV_SQRT_2PI * exp(-0.5 * (d2 * d2))
        below = density * mills(abs(d2))
        cumulative = select(d2 < 0.0, below, 1.0 - below)
        value[i] = cumulative - density * slope[i] / (2.0 * v)


CENTRE_PULL = 0.15
"""Of a quote whose smile passes inside of it, against one that is missed."""
INSIDE = 0.85
"""Part of the half-spread that counts as inside."""
FAR = 1.5
"""Half-spreads beyond the quote from which on the pull grows slowly."""
MARGIN = 1e-3
"""Of g(k) and, relative, of total variance: keeps what lies between grid points sound."""
CORE = 5
"""Free parameters of raw SVI; those after them are heights of ramps."""


@inline
def _pull(distance: float) -> tuple[float, float]:
    """Return the misfit whose square is the loss of a quote, and its derivative.

    Args:
        distance: From the middle of the quote, in half-spreads.
    """
    size = abs(distance)
    inner = CENTRE_PULL * min(size, 1.0)
    outer = max(size - INSIDE, 0.0) / FAR
    misfit = np.sqrt(inner * inner + FAR * FAR * np.log1p(outer * outer))
    if misfit < 1e-12:
        return 0.0, CENTRE_PULL
    slope = FAR * outer / (1.0 + outer * outer)
    if size < 1.0:
        slope += CENTRE_PULL * inner
    if distance < 0.0:
        return -misfit, slope / misfit
    return misfit, slope / misfit


@kernel
def _add(row: FloatArray, misfit: float, normal: FloatArray, gradient: FloatArray) -> None:
    for i in range(row.size):
        if row[i] != 0.0:
            gradient[i] += row[i] * misfit
            for j in range(i + 1):
                normal[i, j] += row[i] * row[j]


@inline
def _fill(
    core: FloatArray,
    width: float,
    k: float,
    by: tuple[float, float, float],
    ramps: tuple[FloatArray, FloatArray, FloatArray],
    row: FloatArray,
) -> None:
    """Fill a row of the Jacobian, given the derivatives by w, dw/dk and d2w/dk2."""
    least, b, rho, m, sigma = core
    by_w, by_slope, by_curvature = by
    lean = np.sqrt(1.0 - rho * rho)
    x = k - m
    root = np.sqrt(x * x + sigma * sigma)
    bend = sigma * sigma / (root * root * root)
    tilt = rho + x / root
    row[0] = by_w * least
    row[1] = b * (by_w * (rho * x + root - sigma * lean) + by_slope * tilt + by_curvature * bend)
    row[2] = b * lean * lean * (by_w * (x + sigma * rho / lean) + by_slope)
    row[3] = (
        -b * width * (by_w * tilt + by_slope * bend - by_curvature * 3.0 * bend * x / (root * root))
    )
    row[4] = b * (
        by_w * sigma * (sigma / root - lean)
        - by_slope * bend * x
        + by_curvature * bend * (2.0 - 3.0 * sigma * sigma / (root * root))
    )
    for j in range(row.size - CORE):
        row[CORE + j] = by_w * ramps[0][j] + by_slope * ramps[1][j] + by_curvature * ramps[2][j]


@inline
def _variance(core: FloatArray, heights: FloatArray, k: float, ramps: FloatArray) -> float:
    least, b, rho, m, sigma = core
    x = k - m
    root = np.sqrt(x * x + sigma * sigma)
    w: float = least + b * (rho * x + root - sigma * np.sqrt(1.0 - rho * rho))
    for j in range(heights.size):
        w += heights[j] * ramps[j]
    return w


@kernel
def add_quotes(
    core: FloatArray,
    heights: FloatArray,
    width: float,
    years: float,
    quotes: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    ramps: FloatArray,
    normal: FloatArray,
    gradient: FloatArray,
    total: FloatArray,
) -> None:
    """Add the misfits of quotes to the Gauss-Newton matrix and the gradient.

    Args:
        core: Least total variance, b, rho, m, sigma of raw SVI. Its free parameters are the
            logarithm of the first, ln b, artanh rho, m / width, ln sigma.
        heights: Of the ramps, the remaining parameters.
        width: Of the smile.
        years: To expiration.
        quotes: ln(strike / forward), middle, half-spread (volatilities) and weight.
        ramps: Ramps of height 1 there, one a column.
        normal: Square; its lower half is filled.
        gradient: One number a parameter.
        total: One number, the sum of the squared misfits.
    """
    k, middle, half, weight = quotes
    row = np.zeros(gradient.size)
    for i in range(k.size):
        vol = np.sqrt(_variance(core, heights, k[i], ramps[i]) / years)
        pulled, slope = _pull((vol - middle[i]) / half[i])
        misfit = weight[i] * pulled
        by_w = weight[i] * slope / (half[i] * 2.0 * vol * years)
        _fill(core, width, k[i], (by_w, 0.0, 0.0), (ramps[i], ramps[i], ramps[i]), row)
        total[0] += misfit * misfit
        _add(row, misfit, normal, gradient)


@kernel
def add_ceiling(
    core: FloatArray,
    heights: FloatArray,
    width: float,
    k: FloatArray,
    ceiling: FloatArray,
    ramps: FloatArray,
    guard: float,
    normal: FloatArray,
    gradient: FloatArray,
    total: FloatArray,
) -> None:
    """Add how far total variance is above a ceiling; arguments as for `add_quotes`."""
    row = np.zeros(gradient.size)
    for i in range(k.size):
        gap = _variance(core, heights, k[i], ramps[i]) / ceiling[i] - 1.0 + MARGIN
        if gap > 0.0:
            by = (guard / ceiling[i], 0.0, 0.0)
            _fill(core, width, k[i], by, (ramps[i], ramps[i], ramps[i]), row)
            total[0] += (guard * gap) ** 2
            _add(row, guard * gap, normal, gradient)


@kernel
def add_density(
    core: FloatArray,
    heights: FloatArray,
    width: float,
    k: FloatArray,
    ramps: tuple[FloatArray, FloatArray, FloatArray],
    guard: float,
    normal: FloatArray,
    gradient: FloatArray,
    total: FloatArray,
) -> None:
    """Add how far g(k) is below zero; `ramps` with first and second derivative."""
    _, b, rho, m, sigma = core
    row = np.zeros(gradient.size)
    for i in range(k.size):
        root = np.sqrt((k[i] - m) ** 2 + sigma * sigma)
        w = _variance(core, heights, k[i], ramps[0][i])
        slope = b * (rho + (k[i] - m) / root)
        curvature = b * sigma * sigma / (root * root * root)
        for j in range(heights.size):
            slope += heights[j] * ramps[1][i, j]
            curvature += heights[j] * ramps[2][i, j]
        tilt = 1.0 - 0.5 * k[i] * slope / w
        g = tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
        if g < MARGIN:
            by = (
                guard * (tilt * k[i] * slope + 0.25 * slope * slope) / (w * w),
                -guard * (tilt * k[i] / w + 0.5 * slope * (1.0 / w + 0.25)),
                0.5 * guard,
            )
            _fill(core, width, k[i], by, (ramps[0][i], ramps[1][i], ramps[2][i]), row)
            misfit = guard * (g - MARGIN)
            total[0] += misfit * misfit
            _add(row, misfit, normal, gradient)
