"""How good a chain is, in figures: its own consistency.

The groups of figures, one dataclass each: parity (and the American bounds), static arbitrage
(convexity, vertical, calendar, of the quotes and of the smiles fitted to them), the smile (re-fit
error, skew, wings, term structure), and the quotes themselves (ticks, zero bids, locked, crossed,
intrinsic bounds, last prints). `chain_likeness` sets two chains, or snapshots of one, side by side.
Everything takes arrays; a chain of 10,000 contracts takes well under a second once its volatilities
are known (`chain_smiles.chain_vols`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.chain_smiles import ChainQuotes, ChainVols, chain_vols, pairs, quoted_smiles
from black_scholes.surface import butterfly, calendar, vertical
from black_scholes.surface_fit import fit_essvi, fit_smiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from black_scholes._jit import BoolArray, FloatArray
    from black_scholes.surface import Essvi, WingedSvi

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
                skew_25_delta(fit),
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


def skew_25_delta(fit: WingedSvi) -> float:
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
