"""What the quotes of a chain say about volatility, expiration by expiration.

Forward and rate of each expiration come from put-call parity, freed of the early-exercise premium
where the options are American: a first fit gives volatilities, these give premiums, the second fit
is on the quotes less the premiums. The volatilities of bid and ask are then those that the options'
own exercise style implies, so that calls and puts of a strike agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import american, calculator
from black_scholes.implied_vol import implied_volatility
from black_scholes.parity import ParityForward, forward_from_parity
from black_scholes.surface_fit import LEAST_QUOTES, QuotedSmile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._jit import BoolArray, FloatArray

_ROUNDS = 2
"""Of parity fits after the first. The premium hardly moves with what a third one would change."""

_SPOT_ERROR = 0.003
"""Relative: how late a vendor's spot is beside its option quotes."""

_YIELD, _YIELD_ERROR = 0.01, 0.02
"""Expected dividend yield less cost of borrowing, and the standard error of that expectation."""

_IN_MONEY = 0.75

_TIGHT, _TIGHTEST = 2.0, 6
"""Pairs count whose spreads are at most so many times those of the pair of that rank."""

_TIMING_ERROR = 2e-4
"""Relative: how far the spot moves between the quotes of two expirations."""


class ChainQuotes(NamedTuple):
    """One snapshot of a chain, as arrays of one length.

    Attributes:
        expiration: Any number that is the same for all contracts of one expiration, and rises.
        years: To expiration.
        strike: Dollars.
        is_call: True for calls.
        bid: Dollars; NaN where nobody bids.
        ask: Dollars; NaN where nobody offers.
    """

    expiration: NDArray[np.int64]
    years: FloatArray
    strike: FloatArray
    is_call: BoolArray
    bid: FloatArray
    ask: FloatArray


class ChainVols(NamedTuple):
    """Volatilities of a chain, one a contract, NaN where there is none.

    Attributes:
        forward: Of the contract's expiration, dollars.
        spot: That its quotes were made on, dollars: the forward brought back to now.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year, cost of borrowing included; one for the whole chain.
        k: ln(strike / forward).
        bid: At the bid, 0 where nobody bids.
        mid: At (bid + ask)/2.
        ask: At the ask.
        delta: At the middle of the volatilities, European.
        vega: Dollars per 1.00 of volatility, European.
    """

    forward: FloatArray
    spot: FloatArray
    rate: FloatArray
    dividend_yield: float
    k: FloatArray
    bid: FloatArray
    mid: FloatArray
    ask: FloatArray
    delta: FloatArray
    vega: FloatArray


def chain_vols(
    quotes: ChainQuotes,
    spot: float,
    *,
    rate: float = 0.04,
    rate_error: float = 0.01,
    american_style: bool = True,
) -> ChainVols:
    """Return forwards, rates and volatilities of a chain.

    Args:
        quotes: The chain; contracts that have expired get NaN.
        spot: Of the underlying, dollars.
        rate: Expected rate, continuous.
        rate_error: Standard error of that expectation.
        american_style: Whether the options may be exercised early.
    """
    premium = np.zeros_like(quotes.strike)
    for last in (False,) * _ROUNDS + (True,):
        forward, discount_rate, forward_error = _parity_of_all(quotes, premium, rate, rate_error)
        carry = _common_yield(quotes.years, spot, forward, discount_rate, forward_error)
        synchronous = forward * np.exp((carry - discount_rate) * quotes.years)
        terms = (synchronous, quotes.strike, quotes.years, discount_rate)
        if last or not american_style:
            break
        mid = 0.5 * (quotes.bid + quotes.ask)
        vol = _vols(mid, terms, carry, quotes.is_call, american_style=True)
        early = american.price(*terms, vol, carry, is_call=quotes.is_call)
        premium = early - calculator.price(*terms, vol, carry, is_call=quotes.is_call)
    low, middle, high = (
        _vols(price, terms, carry, quotes.is_call, american_style=american_style)
        for price in (quotes.bid, 0.5 * (quotes.bid + quotes.ask), quotes.ask)
    )
    low = np.where(np.isnan(quotes.bid) & ~np.isnan(high), 0.0, low)
    found = calculator.greeks(
        *terms,
        np.where(np.isnan(middle), 0.5 * (low + high), middle),
        carry,
        is_call=quotes.is_call,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        k = np.log(quotes.strike / forward)
    return ChainVols(
        forward, synchronous, discount_rate, carry, k, low, middle, high, found.delta, found.vega
    )


def _vols(
    price: FloatArray,
    terms: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    carry: float,
    is_call: BoolArray,
    *,
    american_style: bool,
) -> FloatArray:
    invert = american.implied_volatility if american_style else implied_volatility
    return invert(price, *terms, carry, is_call=is_call).vol


def _parity_of_all(
    quotes: ChainQuotes, premium: FloatArray, rate: float, rate_error: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return forward, rate and the forward's error of each contract's expiration."""
    found = np.full((3, quotes.strike.size), math.nan)
    for expiration in np.unique(quotes.expiration):
        of_it = quotes.expiration == expiration
        fit = _parity(quotes, of_it, premium, rate, rate_error)
        found[:, of_it] = np.array([[fit.forward], [fit.rate], [fit.forward_error]])
    return found[0], found[1], found[2]


def _common_yield(
    years: FloatArray,
    spot: float,
    forward: FloatArray,
    rate: FloatArray,
    forward_error: FloatArray,
) -> float:
    """Return the yield on which the forwards of all expirations agree best.

    ln F - r T = ln S - q T: a line through the expirations. The vendor's spot may be minutes older
    or younger than the quotes, which would be a huge yield in a near expiration; so it counts no
    more than its error allows.
    """
    _, first = np.unique(years, return_index=True)
    first = first[(years[first] > 0) & np.isfinite(forward[first])]
    t = years[first]
    height = np.log(forward[first] / spot) - rate[first] * t
    error = np.hypot(forward_error[first] / forward[first], _TIMING_ERROR)
    # Two more observations: what is expected of ln S and of q.
    matrix = np.concatenate(
        [
            np.stack([np.ones_like(t), -t], axis=1) / error[:, None],
            [[1.0 / _SPOT_ERROR, 0.0], [0.0, 1.0 / _YIELD_ERROR]],
        ]
    )
    right = np.concatenate([height / error, [0.0, _YIELD / _YIELD_ERROR]])
    solution, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    return float(solution[1])


def _parity(
    quotes: ChainQuotes, of_it: BoolArray, premium: FloatArray, rate: float, rate_error: float
) -> ParityForward:
    calls = np.flatnonzero(of_it & quotes.is_call)
    puts = np.flatnonzero(of_it & ~quotes.is_call)
    _, left, right = np.intersect1d(quotes.strike[calls], quotes.strike[puts], return_indices=True)
    call, put = calls[left], puts[right]
    width = (quotes.ask - quotes.bid)[call] + (quotes.ask - quotes.bid)[put]
    known = np.sort(width[width >= 0])
    if known.size > _TIGHTEST:
        # Deep in the money quotes are wide and lean to one side: together they would outvote the
        # few pairs that know.
        tight = width <= _TIGHT * known[_TIGHTEST - 1]
        call, put = call[tight], put[tight]
    return forward_from_parity(
        quotes.strike[call],
        quotes.bid[call],
        quotes.ask[call],
        quotes.bid[put],
        quotes.ask[put],
        float(quotes.years[of_it][0]),
        rate=rate,
        rate_error=rate_error,
        premium=premium[call] - premium[put],
    )


def quoted_smiles(quotes: ChainQuotes, vols: ChainVols) -> dict[int, QuotedSmile]:
    """Return what a smile of each expiration is to be fitted to, by rising expiration.

    Out of the money options, and those in the money as far as their delta is below 0.75. An
    expiration with fewer usable quotes than a smile needs is left out.
    """
    out = np.where(quotes.is_call, vols.k > 0.0, vols.k <= 0.0) | (np.abs(vols.delta) < _IN_MONEY)
    kept = out & (vols.ask > 0.0) & (vols.ask >= vols.bid) & (quotes.years > 0.0)
    found: dict[int, QuotedSmile] = {}
    for expiration in np.unique(quotes.expiration):
        rows = kept & (quotes.expiration == expiration)
        if np.sum(rows) >= LEAST_QUOTES:
            found[int(expiration)] = QuotedSmile(
                float(quotes.years[rows][0]), vols.k[rows], vols.bid[rows], vols.ask[rows]
            )
    return found
