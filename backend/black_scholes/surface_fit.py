"""Fit smiles to quoted volatilities, inside the spread and without arbitrage.

A small Levenberg-Marquardt search over free parameters, whose misfits are:

- of each quote, the distance from the middle in half-spreads: cheap inside the quote, dear outside
  of it, and growing ever more slowly far away, so that a stale quote bends no smile; quotes count
  by their vega, since that is what a misfit costs;
- where g(k) is negative on a grid that follows the smile's own width (butterfly);
- where total variance is above that of the next expiration at the same k (calendar).

It starts from the quasi-explicit reduction of De Marco and Zeliade (2009): for a given bend (m,
sigma) raw SVI is linear in its other three parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes._smile import CORE, add_ceiling, add_density, add_quotes
from black_scholes.surface import (
    Derivatives,
    Essvi,
    Smile,
    Svi,
    WingedSvi,
    density_factor,
    essvi_total_variance,
    ramp,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from black_scholes._jit import BoolArray, FloatArray

LEAST_QUOTES = 5
"""A smile cannot be told from fewer."""

_STEPS = 100
_LONGEST = 1.5  # step of a free parameter
_PATIENCE = 4  # steps of next to no gain
_TRIES = 10
_LEAST_HALF_SPREAD = 1e-4  # of volatility
_LEAST_WEIGHT = 0.02
_NEIGHBOURS = 4  # to each side, that a quote is compared with before it is believed
_STALE = 6.0  # half-spreads from its neighbours
_STALE_SHARE = 0.05  # and of the volatility
_MOST_STALE = 0.15  # of the quotes
_GUARD = 30.0  # how dear arbitrage is
_GRID = np.sinh(np.linspace(-4.4, 4.4, 61))  # +-40 widths, and 0.15 apart at the money
_PROOF = np.sinh(np.linspace(-7.0, 7.0, 1401))
_FAR_K = np.geomspace(0.15, 6.0, 12)
"""Beyond most quotes, where smiles must not cross either."""
_PROOF_MARGIN = 2e-4
_REPAIRS = 3
_FIRST_CEILING = 2.0  # how dear crossing is at first: too dear at once, and the search is stuck
_ZOOMS = 8
_NONE = np.empty(0)
_FIRST = (0.0, 0.0, 0.0)  # stands for the node before the first
_BEND = np.array([2, 3, 4])  # rho, m and sigma among the free parameters
_TETHER = 0.001
_STEEPEST = 1.9  # slope of a wing, under Lee's bound of 2
_RAMPS = np.array([0.4, 0.8, 1.3, 2.0, 3.0, 4.5, 7.0])  # widths from the money
_RAMP_WIDTH = 0.3


class QuotedSmile(NamedTuple):
    """Quoted volatilities of one expiration.

    Attributes:
        years: To expiration.
        k: ln(strike / forward), any order.
        bid: Volatility at the bid; 0 or NaN where nobody bids.
        ask: Volatility at the ask; rows without one are left out.
    """

    years: float
    k: FloatArray
    bid: FloatArray
    ask: FloatArray


class _Task(NamedTuple):
    """What a search needs to know."""

    years: float
    width: float  # of the smile: at-the-money volatility times the root of the years
    k: FloatArray
    middle: FloatArray
    half: FloatArray
    weight: FloatArray
    ceiling_k: FloatArray
    ceiling: FloatArray  # total variance that the smile must not go above


def fit_svi(quotes: QuotedSmile, *, above: Smile | None = None) -> Svi:
    """Return the raw SVI smile that passes through the quotes, free of butterfly arbitrage.

    Args:
        quotes: Of one expiration.
        above: Smile of a later expiration, which this one must not cross.

    Raises:
        ValueError: Fewer than five usable quotes.
    """
    task = _task(quotes, above)
    return _sound(task, np.empty(0)).core


def fit_winged(quotes: QuotedSmile, *, above: Smile | None = None) -> WingedSvi:
    """Return SVI with bends towards the wings, where the quotes reach and ask for them.

    Args:
        quotes: Of one expiration.
        above: Smile of a later expiration, which this one must not cross.

    Raises:
        ValueError: Fewer than five usable quotes.
    """
    task = _task(quotes, above)
    left, right = task.k.min() / task.width, task.k.max() / task.width
    at = np.concatenate([-_RAMPS[-left > _RAMPS], _RAMPS[right > _RAMPS]])
    return _sound(task, at * task.width)


def fit_smiles(quotes: Sequence[QuotedSmile]) -> list[WingedSvi]:
    """Return the smiles of a session's expirations, which do not cross each other.

    From the last to the first: quotes of a near expiration end before those of a far one, and
    where there are none a smile yields at no cost.

    Args:
        quotes: By rising expiration.

    Raises:
        ValueError: An expiration has fewer than five usable quotes.
    """
    smiles: list[WingedSvi] = []
    for each in reversed(quotes):
        smiles.append(fit_winged(each, above=smiles[-1] if smiles else None))
    return smiles[::-1]


def _task(quotes: QuotedSmile, above: Smile | None) -> _Task:
    bid = np.where(np.isnan(quotes.bid), 0.0, quotes.bid)
    kept = (quotes.ask > 0) & (quotes.ask >= bid) & np.isfinite(quotes.k)
    order = np.flatnonzero(kept)[np.argsort(quotes.k[kept], kind="stable")]
    k, bid, ask = quotes.k[order], bid[order], quotes.ask[order]
    middle = 0.5 * (bid + ask)
    half = np.maximum(0.5 * (ask - bid), _LEAST_HALF_SPREAD)
    steady = ~_is_stale(middle, half)
    k, middle, half = k[steady], middle[steady], half[steady]
    if k.size < LEAST_QUOTES:
        raise ValueError(f"a smile needs at least {LEAST_QUOTES} quotes")
    width = float(middle[np.argmin(np.abs(k))] * np.sqrt(quotes.years))
    weight = np.maximum(np.exp(-0.5 * (k / (middle * np.sqrt(quotes.years))) ** 2), _LEAST_WEIGHT)
    ceiling_k, ceiling = _NONE, _NONE
    if above is not None:
        ceiling_k = np.concatenate([_GRID * width, k[:: max(1, k.size // 40)], _FAR_K, -_FAR_K])
        ceiling = above.derivatives(ceiling_k).w
    return _Task(quotes.years, width, k, middle, half, weight, ceiling_k, ceiling)


def _is_stale(middle: FloatArray, half: FloatArray) -> BoolArray:
    """Return which quotes are far from the median of their neighbours.

    Where many are, strikes are too far apart to compare, and none is.
    """
    if middle.size <= 2 * _NEIGHBOURS:
        return np.zeros(middle.size, dtype=np.bool_)
    padded = np.pad(middle, _NEIGHBOURS, mode="reflect", reflect_type="odd")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    usual = np.median(around, axis=1)
    stale: BoolArray = np.abs(middle - usual) > np.maximum(_STALE * half, _STALE_SHARE * usual)
    return stale & bool(stale.mean() < _MOST_STALE)


def _svi(p: FloatArray, task: _Task) -> Svi:
    """Return the smile of five free parameters."""
    least = np.exp(np.clip(p[0], -40.0, 3.0)) * task.width**2
    b = np.exp(np.clip(p[1], -20.0, 2.0)) * task.width
    rho = np.tanh(np.clip(p[2], -3.0, 3.0))
    m = p[3] * task.width
    sigma = np.exp(np.clip(p[4], -1.6, 3.0)) * task.width
    a = least - b * sigma * np.sqrt(1.0 - rho**2)
    return Svi(float(a), float(b), float(rho), float(m), float(sigma), task.years)


def _free(smile: Svi, task: _Task) -> FloatArray:
    """Return the free parameters of a smile."""
    rho = float(np.clip(smile.rho, -0.95, 0.95))
    least = smile.a + smile.b * smile.sigma * np.sqrt(1.0 - rho**2)
    return np.array(
        [
            np.log(max(least / task.width**2, 1e-3)),
            np.log(smile.b / task.width),
            np.arctanh(rho),
            smile.m / task.width,
            np.log(smile.sigma / task.width),
        ]
    )


class _Misfits:
    """The sum of squared misfits of a smile, as a function of its free parameters.

    The parameters are the five of `_svi`, then the heights of the ramps in units of the width.
    """

    def __init__(self, task: _Task, at: FloatArray) -> None:
        self._task = task
        self._side = np.sign(at)
        self._grid = _GRID * task.width
        self.ceiling_guard = 0.0

        def ramps(k: FloatArray) -> Derivatives:
            found = ramp(k[:, None], at, self._side, _RAMP_WIDTH * task.width)
            return Derivatives(*(task.width * each for each in found))

        self._at_quotes = ramps(task.k).w
        self._on_grid = ramps(self._grid)
        self._at_ceiling = ramps(task.ceiling_k).w

    def __call__(self, p: FloatArray, guard: float) -> tuple[float, FloatArray, FloatArray]:
        """Return the sum, its Gauss-Newton matrix and its gradient.

        Args:
            p: Parameters.
            guard: How dear arbitrage is.
        """
        task = self._task
        a, b, rho, m, sigma, _ = _svi(p, task)
        least = a + b * sigma * np.sqrt(1.0 - rho**2)
        core = np.array([least, b, rho, m, sigma])
        normal, gradient, total = np.zeros((p.size, p.size)), np.zeros(p.size), np.zeros(1)
        shared = core, p[CORE:], task.width
        quotes = task.k, task.middle, task.half, task.weight
        sums = normal, gradient, total
        add_quotes(*shared, task.years, quotes, self._at_quotes, *sums)
        add_density(*shared, self._grid, tuple(self._on_grid), guard, *sums)
        add_ceiling(
            *shared, task.ceiling_k, task.ceiling, self._at_ceiling, self.ceiling_guard, *sums
        )
        normal += np.tril(normal, -1).T
        # Rough quotes leave the bend's place and width open: they stay near the money then.
        normal[_BEND, _BEND] += _TETHER
        gradient[_BEND] += _TETHER * p[_BEND]
        total += _TETHER * float(p[_BEND] @ p[_BEND])
        for side in (-1.0, 1.0):
            # Lee: the slope of a wing is at most 2.
            ramps = task.width * (self._side == side)
            end = b * (1.0 + side * rho)
            excess = guard * (end + float(ramps @ p[CORE:]) - _STEEPEST)
            if excess > 0.0:
                row = guard * np.concatenate(
                    [[0.0, end, b * side * (1.0 - rho**2), 0.0, 0.0], ramps]
                )
                total += excess**2
                normal += np.outer(row, row)
                gradient += excess * row
        return float(total[0]), normal, gradient


def _sound(task: _Task, at: FloatArray) -> WingedSvi:
    """Search, and search again with arbitrage made dearer, until there is none."""
    p = np.concatenate([_free(_quasi_explicit(task), task), np.zeros(at.size)])
    # Without the ceiling first: where it matters at all, the way there is short from the best fit.
    p = _search(_Misfits(task._replace(ceiling_k=_NONE, ceiling=_NONE), at), _GUARD, p)
    smile = _winged(p, at, task)
    misfits = _Misfits(task, at)
    for repair in range(_REPAIRS):
        if _is_sound(smile, task):
            return smile
        misfits.ceiling_guard = _FIRST_CEILING * 5.0**repair
        p = _search(misfits, _GUARD * 2.0**repair, p)
        smile = _winged(p, at, task)
    # What is left are traces in the wings: lower their ramps until they are gone.
    for share in np.linspace(1.0, 0.0, 41):
        lower = smile._replace(height=share * smile.height)
        if _is_sound(lower, task):
            return lower
    # One node of eSSVI has no butterflies whatever the quotes.
    theta, rho, psi = (np.array([x]) for x in _node(task, _FIRST))
    core = Essvi(np.array([task.years]), theta, rho, psi).smile(task.years)
    return smile._replace(core=core, height=0.0 * smile.height)


def _winged(p: FloatArray, at: FloatArray, task: _Task) -> WingedSvi:
    return WingedSvi(
        _svi(p, task), at, np.sign(at), task.width * p[CORE:], _RAMP_WIDTH * task.width
    )


def _is_sound(smile: WingedSvi, task: _Task) -> bool:
    below = bool(np.all(smile.total_variance(task.ceiling_k) <= task.ceiling))
    near_bend = smile.core.m + smile.core.sigma * _PROOF
    places = np.concatenate([_PROOF * task.width, near_bend])
    return below and bool(np.all(density_factor(smile, places) >= _PROOF_MARGIN))


def _search(misfits: _Misfits, guard: float, start: FloatArray) -> FloatArray:
    """Minimise the sum of squares by Levenberg and Marquardt's method; heights stay at least 0."""
    least = np.where(np.arange(start.size) < CORE, -np.inf, 0.0)
    here, damping, idle = start, 1e-2, 0
    cost, normal, gradient = misfits(here, guard)
    for _ in range(_STEPS):
        free = np.flatnonzero((here > least) | (gradient < 0.0))
        normal, gradient = normal[np.ix_(free, free)], gradient[free]
        diagonal = np.diag(normal) + 1e-12 * np.trace(normal) + 1e-9
        before = cost
        for _ in range(_TRIES):
            move = np.linalg.solve(normal + damping * np.diag(diagonal), -gradient)
            there = here.copy()
            there[free] += move * min(1.0, _LONGEST / max(float(np.abs(move).max()), _LONGEST))
            there = np.maximum(there, least)
            cost, next_normal, next_gradient = misfits(there, guard)
            if cost < before:
                here, damping = there, max(damping * 0.2, 1e-9)
                break
            damping *= 4.0
        idle = 0 if cost < before * (1.0 - 1e-3) else idle + 1
        if idle == _PATIENCE or not cost < before:
            break
        normal, gradient = next_normal, next_gradient
    return here


def _quasi_explicit(task: _Task) -> Svi:
    """Return the best smile over a grid of bends, each solved as a linear problem."""
    w = task.middle**2 * task.years
    # dw = 2 vol years dvol; a floor on the spread, since a rough start needs no more.
    weight = task.weight / (np.maximum(task.half, 0.02 * task.middle) * task.middle)
    weight /= weight.max() * task.width**2
    best, least_cost = Svi(task.width**2, 0.01, 0.0, 0.0, task.width, task.years), np.inf
    for m in task.width * np.array([-0.5, 0.0, 0.5, 1.2]):
        for sigma in task.width * np.array([0.3, 1.0, 3.0]):
            x = task.k - m
            matrix = np.stack([np.ones_like(x), x, np.sqrt(x * x + sigma**2)], axis=1)
            weighted = matrix * weight[:, None]
            normal = weighted.T @ weighted
            normal[np.diag_indices(3)] *= 1.0 + 1e-9
            level, lean, b = (float(c) for c in np.linalg.solve(normal, weighted.T @ (w * weight)))
            b = max(b, 1e-3 * task.width)
            lean = float(np.clip(lean, -0.9 * b, 0.9 * b))
            level = max(level, 1e-2 * task.width**2 - b * sigma * np.sqrt(1.0 - (lean / b) ** 2))
            cost = float(np.sum(((matrix @ [level, lean, b] - w) * weight) ** 2))
            if cost < least_cost:
                best = Svi(level, b, lean / b, float(m), float(sigma), task.years)
                least_cost = cost
    return best


def fit_essvi(quotes: Sequence[QuotedSmile]) -> Essvi:
    """Return the eSSVI surface of a session, free of butterfly and calendar arbitrage.

    Expiration by expiration (Corbetta, Cohort, Laachir and Martini 2019): given the node before,
    the conditions for no arbitrage are an interval for psi at each theta and rho, and the best
    point of a grid over (theta, rho, psi) is refined a few times. Misfits are of volatility, so
    that a wide quote is followed as far as its middle goes.

    Args:
        quotes: By rising expiration.

    Raises:
        ValueError: There is no expiration, or one has fewer than five usable quotes.
    """
    if not quotes:
        raise ValueError("a surface needs at least one expiration")
    nodes = [_FIRST]
    for each in quotes:
        nodes.append(_node(_task(each, None), nodes[-1]))
    theta, rho, psi = np.array(nodes[1:]).T
    return Essvi(np.array([each.years for each in quotes]), theta, rho, psi)


def _node(task: _Task, before: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return theta, rho and psi of the best smile that may follow the one before."""
    target = task.middle
    # A stale or wide quote counts less; one tick more or less on a narrow one does not matter.
    weight = (task.weight / np.maximum(task.half, 0.01 * target)) ** 2
    centre = np.array([0.0, -0.3, 0.5])
    reach = np.array([0.15, 0.65, 0.5])
    best, least_cost = (task.width**2, 0.0, task.width), np.inf
    for _ in range(_ZOOMS):
        axes = [
            c + r * np.linspace(-1.0, 1.0, n)
            for c, r, n in zip(centre, reach, (5, 9, 9), strict=True)
        ]
        log_theta, rho, share = (x.ravel() for x in np.meshgrid(*axes, indexing="ij"))
        rho, share = np.clip(rho, -0.98, 0.98), np.clip(share, 0.0, 1.0)
        theta = np.maximum(task.width**2 * np.exp(log_theta), before[0] * (1.0 + 1e-6))
        low, high = _psi_bounds(theta, rho, before)
        psi = low + share * (high - low)
        w = essvi_total_variance(task.k, theta[:, None], rho[:, None], psi[:, None])
        cost = (np.sqrt(w / task.years) - target) ** 2 @ weight
        cost = np.where(low <= high, cost, np.inf)
        i = int(np.argmin(cost))
        if cost[i] < least_cost:
            least_cost = float(cost[i])
            best = float(theta[i]), float(rho[i]), float(psi[i])
            centre = np.array([log_theta[i], rho[i], share[i]])
        reach *= 0.45
    return best


def _psi_bounds(
    theta: FloatArray, rho: FloatArray, before: tuple[float, float, float]
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest psi without arbitrage, see `Essvi.violations`."""
    steep = 1.0 + np.abs(rho)
    high = np.minimum(3.9 / steep, np.sqrt(4.0 * theta / steep))
    if before[0] == 0.0:
        return 1e-3 * high, high
    last_theta, last_rho, last_psi = before
    low = last_psi * np.maximum((1.0 + last_rho) / (1.0 + rho), (1.0 - last_rho) / (1.0 - rho))
    return low, np.minimum(high, last_psi * theta / last_theta)
