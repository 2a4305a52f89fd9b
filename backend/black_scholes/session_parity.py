"""Forwards of one expiration in every minute of a session, from its own quotes, all at once.

`parity` solves for forward and rate of one moment. Over a session the rate of an expiration stands
still, so that a few moments tell it; what is left per minute is a place on a line, C - P = D (F - K),
and the minutes are the rows of a matrix. Which pairs count, and how much, is as in `chain_smiles`:
those with time value and narrow spreads, weighted by the spreads, outliers by Huber's rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from black_scholes._jit import BoolArray, FloatArray

_LEAST_SPREAD = 0.01  # dollars: a locked quote is no perfect one
_NEAR = 0.2  # of the best pair's time value
_TIGHT = 2.0  # times the spread of the pair of rank _ENOUGH
_ENOUGH = 6
_HUBER = 1.5
_ROUNDS = 6


class PairedQuotes(NamedTuple):
    """Quotes of one expiration: matrices with a row a minute and a column a strike, NaN where none.

    Attributes:
        strike: Dollars, one a column.
        call_bid: Dollars.
        call_ask: Dollars.
        put_bid: Dollars.
        put_ask: Dollars.
    """

    strike: FloatArray
    call_bid: FloatArray
    call_ask: FloatArray
    put_bid: FloatArray
    put_ask: FloatArray

    @property
    def call_mid(self) -> FloatArray:
        """Middle of the calls, dollars."""
        return 0.5 * (self.call_bid + self.call_ask)

    @property
    def put_mid(self) -> FloatArray:
        """Middle of the puts, dollars."""
        return 0.5 * (self.put_bid + self.put_ask)


class Forwards(NamedTuple):
    """One a minute.

    Attributes:
        forward: Dollars; NaN where no pair has both quotes.
        error: Standard error of it, dollars, from the quoted spreads.
        misfit: Weighted root mean square of the pairs' gaps, in half-spreads.
        pairs: Number of strikes used.
    """

    forward: FloatArray
    error: FloatArray
    misfit: FloatArray
    pairs: FloatArray


def usable_pairs(quotes: PairedQuotes) -> BoolArray:
    """Return which pairs of a minute tell its forward.

    Both sides of both must be there and not crossed, their time value at least a fifth of the
    best pair's, their spreads at most twice those of the sixth narrowest pair.
    """
    call_bid, call_ask, put_bid, put_ask = quotes[1:]
    with np.errstate(invalid="ignore"):
        sound = (call_bid > 0) & (put_bid > 0) & (call_ask >= call_bid) & (put_ask >= put_bid)
    value = np.where(sound, np.minimum(quotes.call_mid, quotes.put_mid), -np.inf)
    near = sound & (value >= _NEAR * value.max(axis=1, keepdims=True, initial=0.0))
    # Far in the money an American option is worth its intrinsic value whatever the rate.
    near = np.where(near.sum(axis=1, keepdims=True) >= _ENOUGH, near, sound)
    width = np.where(near, call_ask - call_bid + put_ask - put_bid, np.inf)
    if width.shape[1] > _ENOUGH:
        limit = np.partition(width, _ENOUGH - 1, axis=1)[:, _ENOUGH - 1]
        near &= width <= _TIGHT * np.maximum(limit, _LEAST_SPREAD)[:, None]
    usable: BoolArray = near
    return usable


def session_forwards(
    quotes: PairedQuotes,
    usable: BoolArray,
    discount: ArrayLike,
    premium: ArrayLike = 0.0,
) -> Forwards:
    """Return the forward of each minute.

    Args:
        quotes: Of one expiration.
        usable: Pairs that count, as `usable_pairs` names them.
        discount: Value today of a dollar at expiration, one a minute.
        premium: Early-exercise premium of the call less that of the put, dollars, one a pair.
    """
    worth = np.broadcast_to(np.asarray(discount, np.float64), usable.shape[:1])[:, None]
    gap = quotes.call_mid - quotes.put_mid - np.asarray(premium, np.float64)
    place = np.where(usable, quotes.strike + gap / worth, 0.0)
    half = 0.5 * (quotes.call_ask - quotes.call_bid + quotes.put_ask - quotes.put_bid)
    half = np.where(usable, np.maximum(half, _LEAST_SPREAD) / worth, np.inf)
    known = usable & np.isfinite(place)
    place = np.where(known, place, 0.0)
    weight = np.where(known, 1.0 / half**2, 0.0)
    pull = np.ones_like(weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        forward = _median(place, known)
        for _ in range(_ROUNDS):
            misfit = np.where(known, np.abs(place - forward[:, None]) / half, 0.0)
            pull = np.minimum(1.0, _HUBER / np.maximum(misfit, _HUBER))
            total = (weight * pull).sum(axis=1)
            forward = (weight * pull * place).sum(axis=1) / total
        count = known.sum(axis=1)
        spread = np.sqrt((known * pull * misfit**2).sum(axis=1) / (known * pull).sum(axis=1))
        return Forwards(forward, 1.0 / np.sqrt(total), spread, count.astype(np.float64))


def _median(place: FloatArray, known: BoolArray) -> FloatArray:
    """Return the median of the known places of each row, NaN without one."""
    ordered = np.sort(np.where(known, place, np.inf), axis=1)
    count = known.sum(axis=1)
    rows = np.arange(len(ordered))
    low = ordered[rows, np.maximum(count - 1, 0) // 2]
    high = ordered[rows, np.minimum(count // 2, ordered.shape[1] - 1)]
    return np.where(count > 0, 0.5 * (low + high), np.nan)
