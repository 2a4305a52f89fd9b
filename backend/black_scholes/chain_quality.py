"""How good a chain is, in figures: its own consistency, and its likeness to another.

The groups of figures, one dataclass each: parity (and the American bounds), static arbitrage
(convexity, vertical, calendar, of the quotes and of the smiles fitted to them), the smile (re-fit
error, skew, wings, term structure), the quotes themselves (ticks, spreads, zero bids, locked,
crossed, intrinsic bounds), and, for snapshots in sequence, the dynamics. `compare` sets two chains
side by side. Everything takes arrays; a chain of 10,000 contracts takes well under a second once
its volatilities are known (`chain_smiles.chain_vols`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.chain_smiles import ChainQuotes, ChainVols, chain_vols, pairs, quoted_smiles
from black_scholes.surface import butterfly, calendar, vertical
from black_scholes.surface_fit import fit_essvi, fit_smiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from black_scholes._jit import BoolArray, FloatArray
    from black_scholes.surface import Essvi, WingedSvi

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
_DUST = 1e-9
_SPOT_DOUBT = 3e-4  # how far the spot may be from the one that forwards tell, relative
_SMILE_REACH = 1.3  # at-the-money widths from the money over which a smile is judged
_WING = 2.0  # widths from the money at which wing slopes are read


class Count(NamedTuple):
    """How often a rule is broken: times, of so many looked at, and the worst breach in dollars."""

    broken: int
    of: int
    worst: float

    @property
    def share(self) -> float:
        """Part that is broken, 0 where nothing was looked at."""
        return self.broken / self.of if self.of else 0.0


def _count(slack: FloatArray, tolerance: float | FloatArray = _DUST) -> Count:
    """Count the rows whose slack is below zero by more than a tolerance; NaN rows are left out."""
    known = np.isfinite(slack)
    breach = np.where(known, -slack, 0.0)
    return Count(
        int(np.sum(breach > tolerance)), int(known.sum()), float(np.max(breach, initial=0.0))
    )


@dataclass(frozen=True, slots=True)
class Parity:
    """Calls against puts.

    Attributes:
        within: Part of the pairs near the money whose gap is at most their half-spreads.
        median_gap: Median |C - P - D (F - K)| of these pairs less early exercise, in half-spreads.
        american: Pairs that leave S e^(-qT) - K <= C - P <= S - K e^(-rT), by their mids and
            beyond their half-spreads.
    """

    within: float
    median_gap: float
    american: Count


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """Static arbitrage.

    Attributes:
        convexity: Mids of three neighbouring strikes, beyond one tick, dollars.
        vertical_quotes: Bid of a spread above its width, or ask below 0: money at the quotes.
        butterfly: Of the smiles fitted to the quotes, g(k) below 0.
        calendar: Of the fitted smiles, total variance that falls.
        vertical: Of the fitted smiles, digitals outside 0 to 1.
    """

    convexity: Count
    vertical_quotes: Count
    butterfly: Count
    calendar: Count
    vertical: Count


class SmilePoint(NamedTuple):
    """One expiration's smile in a few numbers; volatilities, 0.20 = 20 %.

    Attributes:
        years: To expiration.
        at_money: Volatility at the forward.
        skew: Of the 25-delta put less that of the 25-delta call.
        wings: Slopes of total variance, left and right, two widths from the money; Lee: below 2.
        error: Root mean square of the eSSVI re-fit to the mids.
        quotes: Number that were fitted.
    """

    years: float
    at_money: float
    skew: float
    wings: tuple[float, float]
    error: float
    quotes: int


@dataclass(frozen=True, slots=True)
class QuoteFigures:
    """The quotes themselves, as parts of all contracts.

    Attributes:
        zero_bids: Nobody bids.
        on_tick: Of the quoted prices, those on the tick grid.
        locked: Bid equal to ask.
        crossed: Bid above ask.
        outside: Mids below intrinsic value or above the underlying (the strike, for puts), beyond
            the half-spread.
    """

    zero_bids: float
    on_tick: float
    locked: float
    crossed: float
    outside: Count


@dataclass(frozen=True, slots=True)
class ChainQuality:
    """All figures of one chain.

    Attributes:
        contracts: Rows with some quote.
        parity: Calls against puts.
        arbitrage: Static arbitrage.
        smiles: By rising expiration; those with enough quotes.
        quotes: The quotes themselves.
        fits: The smiles that were fitted, in the order of `smiles`.
        surface: eSSVI over all of them.
    """

    contracts: int
    parity: Parity
    arbitrage: Arbitrage
    smiles: tuple[SmilePoint, ...]
    quotes: QuoteFigures
    fits: tuple[WingedSvi, ...]
    surface: Essvi

    @property
    def refit_error(self) -> float:
        """Root mean square over all expirations of the re-fit error, weighted by their quotes."""
        weights = np.array([point.quotes for point in self.smiles], dtype=np.float64)
        errors = np.array([point.error for point in self.smiles])
        return float(np.sqrt(np.sum(weights * errors**2) / np.sum(weights)))


def chain_quality(
    quotes: ChainQuotes,
    spot: float,
    *,
    penny: bool,
    vols: ChainVols | None = None,
    american_style: bool = True,
) -> ChainQuality:
    """Return all figures of one chain.

    Args:
        quotes: The chain.
        spot: Of the underlying, dollars.
        penny: Whether prices of 3 dollars and above are quoted in cents (SPY, QQQ, IWM).
        vols: What `chain_vols` says of it, if that is known already.
        american_style: Whether the options may be exercised early.

    Raises:
        ValueError: No expiration has enough quotes for a smile.
    """
    vols = vols or chain_vols(quotes, spot, american_style=american_style)
    smiles = list(quoted_smiles(quotes, vols).values())
    fits, surface = fit_smiles(smiles), fit_essvi(smiles)
    points = []
    for smile, fit, theta in zip(smiles, fits, surface.theta, strict=True):
        width = float(np.sqrt(theta))
        near = (np.abs(smile.k) < _SMILE_REACH * width) & (smile.bid > 0.0)
        middle = 0.5 * (smile.bid + smile.ask)[near]
        gap = _without_stale(surface.vol(smile.k[near], smile.years) - middle)
        slopes = fit.derivatives(np.array([-_WING, _WING]) * width).slope
        points.append(
            SmilePoint(
                smile.years,
                float(fit.vol(0.0)),
                _skew(fit),
                (float(-slopes[0]), float(slopes[1])),
                float(np.sqrt(np.mean(gap**2))) if gap.size else 0.0,
                int(gap.size),
            )
        )
    return ChainQuality(
        contracts=int(np.sum(quotes.ask > 0)),
        parity=parity_figures(quotes, vols),
        arbitrage=_arbitrage(quotes, fits, penny=penny),
        smiles=tuple(points),
        quotes=quote_figures(quotes, spot, penny=penny),
        fits=tuple(fits),
        surface=surface,
    )


def _without_stale(gap: FloatArray) -> FloatArray:
    """Leave out what no smile could follow: more than ten times the usual gap."""
    return gap[np.abs(gap) <= 10.0 * np.median(np.abs(gap)) + 0.002] if gap.size else gap


def _skew(fit: WingedSvi) -> float:
    """Return vol of the 25-delta put less that of the 25-delta call, by the fitted smile."""
    width = float(np.sqrt(fit.total_variance(0.0)))
    k = np.linspace(-2.5, 2.5, 501) * width
    v = np.sqrt(fit.total_variance(k))
    d1 = -k / v + 0.5 * v
    quartile = 0.6744897501960817  # N(-0.674) = 0.25
    # Delta of a put -0.25 where d1 = 0.674, of a call 0.25 where d1 = -0.674; d1 falls with k.
    put, call = np.interp([-quartile, quartile], -d1, k)
    return float(fit.vol(put) - fit.vol(call))


def parity_figures(quotes: ChainQuotes, vols: ChainVols) -> Parity:
    """Return how calls and puts agree.

    The gap of American options is that of the volatilities that their own exercise style implies:
    C - P less both early-exercise premiums is D (F - K) just when calls and puts have one
    volatility.
    """
    call, put = pairs(quotes)
    near = np.abs(vols.delta[call]) > 0.1
    near &= (np.abs(vols.delta[call]) < 0.9) & (vols.bid[call] > 0) & (vols.bid[put] > 0)
    gap = np.abs(vols.mid[call] - vols.mid[put])[near]
    half = 0.5 * ((vols.ask - vols.bid)[call] + (vols.ask - vols.bid)[put])[near]
    known = np.isfinite(gap) & (half > 0)
    relative = gap[known] / half[known]
    mid = 0.5 * (quotes.bid + quotes.ask)
    difference = mid[call] - mid[put]
    strike, years = quotes.strike[call], quotes.years[call]
    spot, rate, carry = vols.spot[call], vols.rate[call], vols.dividend_yield[call]
    half_spreads = 0.5 * ((quotes.ask - quotes.bid)[call] + (quotes.ask - quotes.bid)[put])
    low = spot * np.exp(-np.maximum(carry, 0.0) * years) - strike
    high = spot * np.exp(-np.minimum(carry, 0.0) * years) - strike * np.exp(-rate * years)
    slack = np.minimum(difference - low, high - difference) + half_spreads + _SPOT_DOUBT * spot
    return Parity(
        within=float(np.mean(relative <= 1.0)) if relative.size else 1.0,
        median_gap=float(np.median(relative)) if relative.size else 0.0,
        american=_count(slack),
    )


def _arbitrage(quotes: ChainQuotes, fits: Sequence[WingedSvi], *, penny: bool) -> Arbitrage:
    convex, spreads = _by_neighbours(quotes, penny=penny)
    reach = max(float(np.sqrt(fit.total_variance(0.0))) for fit in fits)
    k = np.linspace(-6.0, 6.0, 1201) * reach
    flies = [butterfly(fit, k) for fit in fits]
    digitals = [vertical(fit, k) for fit in fits]
    crossing = calendar(fits, k)
    return Arbitrage(
        convexity=convex,
        vertical_quotes=spreads,
        butterfly=Count(
            sum(x.count for x in flies), sum(x.points for x in flies), max(x.worst for x in flies)
        ),
        calendar=Count(crossing.count, crossing.points, crossing.worst),
        vertical=Count(
            sum(x.count for x in digitals),
            sum(x.points for x in digitals),
            max(x.worst for x in digitals),
        ),
    )


def _by_neighbours(quotes: ChainQuotes, *, penny: bool) -> tuple[Count, Count]:
    """Return convexity of mids and money at the quotes, over neighbouring strikes.

    A mid of a contract without a bid is no price, so it takes no part.
    """
    order = np.lexsort((quotes.strike, quotes.is_call, quotes.expiration))
    order = order[(quotes.bid[order] > 0) & (quotes.ask[order] >= quotes.bid[order])]
    group = quotes.expiration[order] * 2 + quotes.is_call[order]
    strike, bid, ask = (x[order] for x in (quotes.strike, quotes.bid, quotes.ask))
    sign = np.where(quotes.is_call[order], 1.0, -1.0)
    mid = 0.5 * (bid + ask)
    same = group[2:] == group[:-2]
    left, right = np.diff(strike)[:-1], np.diff(strike)[1:]
    inner = (right * mid[:-2] + left * mid[2:]) / np.where(same, left + right, 1.0)
    tick = tick_of(mid[1:-1], penny=penny)
    bend = np.where(same, inner - mid[1:-1] + tick, np.nan)
    pair = group[1:] == group[:-1]
    # Buy the dearer strike (the lower of calls, the higher of puts) at its ask, sell the other at
    # its bid: costs at least nothing. The other way round: brings at most the width.
    is_call = sign[1:] > 0
    dear_bid, dear_ask = (np.where(is_call, x[:-1], x[1:]) for x in (bid, ask))
    cheap_bid, cheap_ask = (np.where(is_call, x[1:], x[:-1]) for x in (bid, ask))
    slack = np.minimum(dear_ask - cheap_bid, np.diff(strike) - (dear_bid - cheap_ask))
    return _count(bend), _count(np.where(pair, slack, np.nan))


def tick_of(price: FloatArray, *, penny: bool) -> FloatArray:
    """Return the tick in dollars: a cent below 3 dollars, above it a cent or five.

    The Penny Interval Program of 2020; classes outside of it quote in 5 and 10 cents.

    Args:
        price: Dollars.
        penny: Whether the class is quoted in cents at all prices.
    """
    return np.where(penny | (price < 3.0), 0.01, 0.05)


def quote_figures(quotes: ChainQuotes, spot: float, *, penny: bool) -> QuoteFigures:
    """Return the figures of the quotes themselves.

    Args:
        quotes: The chain.
        spot: Of the underlying, dollars.
        penny: See `tick_of`.
    """
    listed = quotes.ask > 0
    bid, ask = quotes.bid[listed], quotes.ask[listed]
    has_bid = bid > 0
    prices = np.concatenate([bid[has_bid], ask])
    ticks = prices / tick_of(prices, penny=penny)
    both, strike, call = has_bid, quotes.strike[listed], quotes.is_call[listed]
    mid, half = 0.5 * (bid + ask), 0.5 * (ask - bid)
    intrinsic = np.maximum(np.where(call, spot - strike, strike - spot), 0.0)
    bound = np.where(call, spot, strike)
    slack = np.where(both, np.minimum(mid - intrinsic, bound - mid) + half, np.nan)
    return QuoteFigures(
        zero_bids=float(np.mean(~has_bid)),
        on_tick=float(np.mean(np.abs(ticks - np.round(ticks)) < 1e-6)),
        locked=float(np.mean(bid == ask)),
        crossed=float(np.mean(bid > ask)),
        outside=_count(slack),
    )


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


def last_prints_off_intrinsic(
    last: FloatArray, strike: FloatArray, is_call: BoolArray, settlement: float, *, tolerance: float
) -> Count:
    """Return the last prices at the close of an expiration that are not its intrinsic value.

    Args:
        last: Last trade or mid of each expiring contract at the close, dollars; NaN if none.
        strike: Dollars.
        is_call: True for calls.
        settlement: Closing price of the underlying, dollars.
        tolerance: Dollars that count as the same.
    """
    intrinsic = np.maximum(np.where(is_call, settlement - strike, strike - settlement), 0.0)
    return _count(tolerance - np.abs(last - intrinsic))
