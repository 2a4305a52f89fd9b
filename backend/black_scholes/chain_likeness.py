"""How like another a chain is, in figures, and how a chain moves with its underlying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from black_scholes._jit import FloatArray
    from black_scholes.chain_quality import ChainQuality
    from black_scholes.chain_smiles import ChainQuotes, ChainVols

DELTA_BUCKETS: Mapping[str, tuple[float, float]] = {
    "wing": (0.0, 0.1),
    "out": (0.1, 0.35),
    "middle": (0.35, 0.65),
    "in": (0.65, 1.01),
}
"""|delta| from, to."""

DAY_BUCKETS: Mapping[str, tuple[float, float]] = {
    "0-1 d": (0.0, 1.5),
    "2-7 d": (1.5, 7.5),
    "8-30 d": (7.5, 30.5),
    "31-90 d": (30.5, 90.5),
    "91-365 d": (90.5, 365.5),
    "366+ d": (365.5, 1e5),
}
"""Calendar days to expiration from, to."""

LEAST_SAMPLE = 20
"""Contracts that a bucket must hold on both sides before its distributions are compared."""

_DAYS = 365.0

Buckets = dict[tuple[str, str], "FloatArray"]
"""Spreads in dollars by (delta bucket, day bucket)."""


def spreads_by_bucket(quotes: ChainQuotes, vols: ChainVols) -> Buckets:
    """Return the bid-ask spreads of each delta and day bucket in dollars, sorted.

    Args:
        quotes: The chain.
        vols: What `chain_vols` says of it.
    """
    spread = quotes.ask - quotes.bid
    size, days = np.abs(vols.delta), quotes.years * _DAYS
    found: Buckets = {}
    for delta_name, (low, high) in DELTA_BUCKETS.items():
        for day_name, (first, last) in DAY_BUCKETS.items():
            rows = (size >= low) & (size < high) & (days >= first) & (days < last)
            rows &= (quotes.bid > 0) & (spread >= 0)
            found[delta_name, day_name] = np.sort(spread[rows])
    return found


def ks_distance(left: FloatArray, right: FloatArray) -> float:
    """Return the greatest difference of two samples' distribution functions (Kolmogorov, Smirnov).

    Args:
        left: A sample, not empty.
        right: Another.

    Raises:
        ValueError: A sample is empty.
    """
    if not (left.size and right.size):
        raise ValueError("a distribution needs at least one number")
    places = np.concatenate([left, right])
    below = [
        np.searchsorted(np.sort(sample), places, side="right") / sample.size
        for sample in (left, right)
    ]
    return float(np.max(np.abs(below[0] - below[1])))


@dataclass(frozen=True, slots=True)
class Likeness:
    """One chain beside another, which is the standard.

    Attributes:
        spread_distance: KS distance of spreads by (delta bucket, day bucket), where both chains
            have enough contracts.
        skew_ratio: 25-delta skew over the standard's, by years to expiration of the standard.
        at_money_ratio: At-the-money volatility over the standard's, the same.
        zero_bids: Difference of the shares.
    """

    spread_distance: dict[tuple[str, str], float]
    skew_ratio: dict[float, float]
    at_money_ratio: dict[float, float]
    zero_bids: float

    @property
    def worst_spread_distance(self) -> float:
        """Of all buckets; 0 where none could be compared."""
        return max(self.spread_distance.values(), default=0.0)

    @property
    def median_skew_error(self) -> float:
        """Median over expirations of |skew / standard's - 1|."""
        return float(np.median(np.abs(np.array(list(self.skew_ratio.values())) - 1.0)))


def compare(
    quality: ChainQuality, spreads: Buckets, standard: ChainQuality, standard_spreads: Buckets
) -> Likeness:
    """Return how a chain differs from a standard.

    Args:
        quality: Of the chain.
        spreads: Of the chain, in the unit of the standard's.
        standard: The other chain's.
        standard_spreads: The other chain's.
    """
    distance = {
        bucket: ks_distance(sample, standard_spreads[bucket])
        for bucket, sample in spreads.items()
        if min(sample.size, standard_spreads[bucket].size) >= LEAST_SAMPLE
    }
    years = np.array([point.years for point in quality.smiles])
    skew = np.array([point.skew for point in quality.smiles])
    at_money = np.array([point.at_money for point in quality.smiles])
    reach = [
        point
        for point in standard.smiles
        if years[0] <= point.years <= years[-1] and point.quotes >= LEAST_SAMPLE
    ]
    return Likeness(
        spread_distance=distance,
        # Skew times the root of time changes little from one expiration to the next.
        skew_ratio={
            point.years: float(
                np.interp(point.years, years, skew * np.sqrt(years))
                / np.sqrt(point.years)
                / point.skew
            )
            for point in reach
            if point.skew != 0.0
        },
        at_money_ratio={
            point.years: float(np.interp(point.years, years, at_money) / point.at_money)
            for point in reach
        },
        zero_bids=quality.quotes.zero_bids - standard.quotes.zero_bids,
    )


@dataclass(frozen=True, slots=True)
class Dynamics:
    """A sequence of snapshots.

    Attributes:
        leverage: Change of at-the-money volatility per relative change of the spot (a fall of 1 %
            that lifts it by 1 point is -1).
        stickiness: Skew stickiness ratio: that leverage over the slope of the smile at the money;
            1 is sticky strike, 0 sticky delta.
        correlation: Of spot returns with changes of at-the-money volatility.
        snapshots: How many.
    """

    leverage: float
    stickiness: float
    correlation: float
    snapshots: int


def dynamics(spot: FloatArray, at_money: FloatArray, slope: FloatArray) -> Dynamics:
    """Return how volatility moves with the spot (Bergomi 2009).

    Args:
        spot: One a snapshot, dollars.
        at_money: Volatility at the forward of one expiration, at each snapshot.
        slope: Slope of that volatility by log-moneyness, at each snapshot.

    Raises:
        ValueError: Fewer than three snapshots, or the spot never moves.
    """
    returns = np.diff(np.log(spot))
    if returns.size < 2 or not returns.any():
        raise ValueError("dynamics need at least three snapshots and a spot that moves")
    changes = np.diff(at_money)
    leverage = float(returns @ changes / (returns @ returns))
    both = float(np.sqrt((returns @ returns) * (changes @ changes)))
    return Dynamics(
        leverage=leverage,
        stickiness=leverage / float(np.mean(slope)),
        correlation=float(returns @ changes) / both if both > 0 else 0.0,
        snapshots=int(spot.size),
    )
