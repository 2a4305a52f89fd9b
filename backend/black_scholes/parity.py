"""Forward and discount factor of an expiration from its own quotes, by put-call parity.

C - P = D (F - K) holds for European options whatever the volatility (Stoll 1969). A line through the
pairs of one expiration therefore gives D and F without a guess at rates, dividends or borrowing
costs. For American options it holds near the money only, up to the early-exercise premium, which
the caller may subtract.
"""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from black_scholes._jit import BoolArray, FloatArray

_LEAST_SPREAD = 0.01  # dollars: a locked quote is no perfect one
_ROUNDS = 30
_HUBER = 1.5  # half-spreads of misfit from which on a pair's pull stops growing
_NEAR = 0.1  # |ln K/F| of the pairs that count, widened while there are too few
_ENOUGH = 6


class ParityForward(NamedTuple):
    """What the pairs of one expiration say.

    Attributes:
        forward: F, dollars; NaN if no pair has both quotes.
        discount: D, the value today of one dollar at expiration.
        rate: -ln(D)/years, continuous.
        forward_error: Standard error of `forward`, dollars, from the quoted spreads.
        misfit: Weighted root mean square of (C - P) - D (F - K), in half-spreads: about 1 or less
            where the quotes agree with each other.
        pairs: Number of strikes used.
    """

    forward: float
    discount: float
    rate: float
    forward_error: float
    misfit: float
    pairs: int

    def dividend_yield(self, spot: float, years: float) -> float:
        """Return the continuous yield, borrowing cost included, that carries spot to the forward."""
        return self.rate - math.log(self.forward / spot) / years


_NOTHING = ParityForward(math.nan, math.nan, math.nan, math.nan, math.nan, 0)


def forward_from_parity(
    strike: ArrayLike,
    call_bid: ArrayLike,
    call_ask: ArrayLike,
    put_bid: ArrayLike,
    put_ask: ArrayLike,
    years: float,
    *,
    rate: float = 0.04,
    rate_error: float = 0.02,
    premium: ArrayLike = 0.0,
) -> ParityForward:
    """Fit forward and discount factor of one expiration.

    Pairs are weighted by one over the squared sum of their half-spreads, outliers by Huber's rule.
    Hours before expiration quotes cannot tell D from 1; there the prior on the rate decides, while
    over months the quotes do.

    Args:
        strike: Dollars, one per pair.
        call_bid: Dollars; a pair with a missing, zero or crossed side is left out.
        call_ask: Dollars.
        put_bid: Dollars.
        put_ask: Dollars.
        years: To expiration, the same for all pairs.
        rate: Expected rate, continuous.
        rate_error: Standard error of that expectation; 0 fixes the rate.
        premium: Early-exercise premium of the call less that of the put, dollars, to be subtracted.

    Returns:
        The fit; NaN with 0 pairs where nothing can be fitted.

    Raises:
        ValueError: The arrays do not broadcast.
    """
    columns = np.broadcast_arrays(
        *(
            np.asarray(x, dtype=np.float64)
            for x in (strike, call_bid, call_ask, put_bid, put_ask, premium)
        )
    )
    k, cb, ca, pb, pa, extra = (np.ravel(x) for x in columns)
    sound: BoolArray = (cb > 0) & (pb > 0) & (ca >= cb) & (pa >= pb) & (k > 0)
    sound &= np.isfinite(k + ca + pa + extra)
    if not (years > 0 and sound.any()):
        return _NOTHING
    k, cb, ca, pb, pa, extra = (x[sound] for x in (k, cb, ca, pb, pa, extra))
    gap = 0.5 * (cb + ca) - 0.5 * (pb + pa) - extra
    error = np.maximum(0.5 * (ca - cb + pa - pb), _LEAST_SPREAD)
    near = _nearest(k, gap, error, math.exp(-rate * years))
    return _fit(k[near], gap[near], error[near], years, rate, rate_error)


def _nearest(k: FloatArray, gap: FloatArray, error: FloatArray, discount: float) -> BoolArray:
    """Return which pairs lie near the forward that the best-quoted half of them agrees on."""
    tight = error <= np.median(error)
    forward = float(np.median((k + gap / discount)[tight]))
    distance = np.abs(np.log(k / forward)) if forward > 0 else np.zeros_like(k)
    reach = max(_NEAR, float(np.sort(distance)[:_ENOUGH][-1]))
    near: BoolArray = distance <= reach
    return near


def _fit(
    k: FloatArray,
    gap: FloatArray,
    error: FloatArray,
    years: float,
    rate: float,
    rate_error: float,
) -> ParityForward:
    """Solve gap = D F - D K by iteratively reweighted least squares with a prior on D."""
    prior = math.exp(-rate * years)
    stiffness = 1.0 / max(rate_error * years * prior, 1e-9) ** 2
    centre = float(np.median(k))
    moneyness = centre - k
    pull = np.ones_like(k)
    level, discount, covariance = 0.0, prior, np.eye(2)
    for _ in range(_ROUNDS):
        weight = pull / error**2
        # Unknowns: D (F - centre), and D.
        normal = np.array(
            [
                [weight.sum(), (weight * moneyness).sum()],
                [(weight * moneyness).sum(), (weight * moneyness**2).sum() + stiffness],
            ]
        )
        right = np.array(
            [(weight * gap).sum(), (weight * moneyness * gap).sum() + stiffness * prior]
        )
        covariance = np.linalg.inv(normal)
        previous = level, discount
        level, discount = (float(x) for x in covariance @ right)
        misfit = np.abs(gap - level - discount * moneyness) / error
        pull = np.minimum(1.0, _HUBER / np.maximum(misfit, _HUBER))
        if abs(level - previous[0]) + abs(discount - previous[1]) * centre < 1e-9 * centre:
            break
    slope = np.array([1.0 / discount, -level / discount**2])
    return ParityForward(
        forward=centre + level / discount,
        discount=discount,
        rate=-math.log(discount) / years if discount > 0 else math.nan,
        forward_error=math.sqrt(float(slope @ covariance @ slope)),
        misfit=math.sqrt(float((pull * misfit**2).sum() / pull.sum())),
        pairs=int(k.size),
    )
