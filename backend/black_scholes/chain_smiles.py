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
    from numpy.typing import ArrayLike, NDArray

    from black_scholes._jit import BoolArray, FloatArray

_ROUNDS = 3
"""Of parity fits after the first. The premium hardly moves with what a fourth one would change."""

_FIRM = 0.001
"""Standard error of the rate while the premiums are not known."""

_SPOT_ERROR = 0.003
"""Relative: how late a vendor's spot is beside its option quotes."""

EXPECTED_YIELD = (0.01, 0.02)
"""Expected dividend yield less cost of borrowing, and the standard error of that expectation."""

_IN_MONEY = 0.75

_NEAR = 0.2
"""Pairs count whose option out of the money is worth that part of the one at the money."""

_TIGHT = 2.0
"""Of these, pairs whose spreads are at most so many times those of the pair of rank `_ENOUGH`."""

_ENOUGH = 6

_DOUBT = 0.25
"""Of an early-exercise premium: how far it may be off while the rate is being found."""

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


class ChainCarry(NamedTuple):
    """What the contracts of a chain stand on, one value a contract.

    Attributes:
        forward: Of the contract's expiration by put-call parity, dollars; NaN without pairs.
        spot: That its quotes were made on, dollars: the forward brought back to now.
        rate: Continuous, a year; NaN without pairs.
        dividend_yield: Continuous, a year, cost of borrowing included: what is paid out before
            expiration, spread over the time to it, and one residual for the whole chain.
        forward_error: Standard error of the forward, dollars.
        misfit: Of the pairs, in half-spreads.
        common_spot: On which all expirations agree best, dollars.
    """

    forward: FloatArray
    spot: FloatArray
    rate: FloatArray
    dividend_yield: FloatArray
    forward_error: FloatArray
    misfit: FloatArray
    common_spot: float


class ChainVols(NamedTuple):
    """Volatilities of a chain, one a contract, NaN where there is none.

    Attributes:
        forward: Of the contract's expiration, dollars.
        spot: That its quotes were made on, dollars: the forward brought back to now.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year, cost of borrowing included.
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
    dividend_yield: FloatArray
    k: FloatArray
    bid: FloatArray
    mid: FloatArray
    ask: FloatArray
    delta: FloatArray
    vega: FloatArray


def chain_carry(  # noqa: PLR0913 - what is expected, one by one
    quotes: ChainQuotes,
    spot: float,
    *,
    rate: float = 0.04,
    rate_error: float = 0.01,
    expected_yield: tuple[float, float] = EXPECTED_YIELD,
    paid_out: ArrayLike = 0.0,
    american_style: bool = True,
) -> ChainCarry:
    """Return forwards, rates and yields of a chain.

    Args:
        quotes: The chain; contracts that have expired get NaN.
        spot: Of the underlying, dollars.
        rate: Expected rate, continuous.
        rate_error: Standard error of that expectation.
        expected_yield: Expected yield less cost of borrowing beyond `paid_out`, continuous, and
            its standard error.
        paid_out: -ln(1 - share of the spot that is paid out before expiration), one a contract.
        american_style: Whether the options may be exercised early.
    """
    premium = np.zeros_like(quotes.strike)
    paid = np.broadcast_to(np.asarray(paid_out, np.float64), quotes.strike.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        paid_a_year = np.where(quotes.years > 0, paid / quotes.years, 0.0)
    # Premiums that are not subtracted yet would be taken for a rate.
    error = min(_FIRM, rate_error) if american_style else rate_error
    for last in (False,) * _ROUNDS + (True,):
        forward, discount_rate, forward_error, misfit = _parity_of_all(quotes, premium, rate, error)
        height = np.log(forward / spot) - discount_rate * quotes.years + paid
        residual, offset = _common_line(
            quotes.years, height, forward_error / forward, expected_yield
        )
        carry = paid_a_year + residual
        synchronous = forward * np.exp((carry - discount_rate) * quotes.years)
        if last or not american_style:
            break
        terms = (synchronous, quotes.strike, quotes.years, discount_rate)
        mid = 0.5 * (quotes.bid + quotes.ask)
        vol = _vols(mid, terms, carry, quotes.is_call, american_style=True)
        vol = _of_out_of_money(vol, quotes, forward)
        early = american.price(*terms, vol, carry, is_call=quotes.is_call)
        premium = early - calculator.price(*terms, vol, carry, is_call=quotes.is_call)
        error = rate_error
    return ChainCarry(
        forward,
        synchronous,
        discount_rate,
        carry,
        forward_error,
        misfit,
        spot * math.exp(offset),
    )


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
    found = chain_carry(
        quotes, spot, rate=rate, rate_error=rate_error, american_style=american_style
    )
    forward, carry = found.forward, found.dividend_yield
    terms = (found.spot, quotes.strike, quotes.years, found.rate)
    low, middle, high = (
        _vols(price, terms, carry, quotes.is_call, american_style=american_style)
        for price in (quotes.bid, 0.5 * (quotes.bid + quotes.ask), quotes.ask)
    )
    low = np.where(np.isnan(quotes.bid) & ~np.isnan(high), 0.0, low)
    european = calculator.greeks(
        *terms,
        np.where(np.isnan(middle), 0.5 * (low + high), middle),
        carry,
        is_call=quotes.is_call,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        k = np.log(quotes.strike / forward)
    return ChainVols(
        forward,
        found.spot,
        found.rate,
        carry,
        k,
        low,
        middle,
        high,
        european.delta,
        european.vega,
    )


def _vols(
    price: FloatArray,
    terms: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    carry: FloatArray,
    is_call: BoolArray,
    *,
    american_style: bool,
) -> FloatArray:
    invert = american.implied_volatility if american_style else implied_volatility
    return invert(price, *terms, carry, is_call=is_call).vol


def pairs(quotes: ChainQuotes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of calls, and of the puts of the same expiration and strike."""
    key = quotes.expiration * 10**8 + np.round(quotes.strike * 1000.0).astype(np.int64)
    calls, puts = np.flatnonzero(quotes.is_call), np.flatnonzero(~quotes.is_call)
    _, left, right = np.intersect1d(key[calls], key[puts], return_indices=True)
    return calls[left], puts[right]


def _of_out_of_money(vol: FloatArray, quotes: ChainQuotes, forward: FloatArray) -> FloatArray:
    """Return volatilities with those in the money replaced by their partners'.

    Deep in the money the price is all intrinsic value and tells nothing of the premium.
    """
    call, put = pairs(quotes)
    call_is_out = quotes.strike[call] > forward[call]
    known = np.where(call_is_out, vol[call], vol[put])
    result = vol.copy()
    result[call] = known
    result[put] = known
    return result


def _parity_of_all(
    quotes: ChainQuotes, premium: FloatArray, rate: float, rate_error: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return forward, rate, the forward's error and misfit of each contract's expiration."""
    found = np.full((4, quotes.strike.size), math.nan)
    for expiration in np.unique(quotes.expiration):
        of_it = quotes.expiration == expiration
        fit = _parity(quotes, of_it, premium, rate, rate_error)
        found[:, of_it] = np.array([[fit.forward], [fit.rate], [fit.forward_error], [fit.misfit]])
    forward, discount_rate, error, misfit = found
    return forward, discount_rate, error, misfit


def _common_line(
    years: FloatArray, height: FloatArray, error: FloatArray, expected: tuple[float, float]
) -> tuple[float, float]:
    """Return the yield and the relative error of the spot on which all expirations agree best.

    ln F - r T = ln S - q T: a line through the expirations. The vendor's spot may be minutes older
    or younger than the quotes, which would be a huge yield in a near expiration; so it counts no
    more than its error allows.

    Args:
        years: To expiration, one a contract.
        height: ln F - r T - ln S, with the spot as the vendor states it.
        error: Relative, of the forwards.
        expected: Yield and its standard error.
    """
    _, first = np.unique(years, return_index=True)
    first = first[(years[first] > 0) & np.isfinite(height[first])]
    t = years[first]
    deviation = np.hypot(error[first], _TIMING_ERROR)
    # Two more observations: what is expected of ln S and of q.
    matrix = np.concatenate(
        [
            np.stack([np.ones_like(t), -t], axis=1) / deviation[:, None],
            [[1.0 / _SPOT_ERROR, 0.0], [0.0, 1.0 / expected[1]]],
        ]
    )
    right = np.concatenate([height[first] / deviation, [0.0, expected[0] / expected[1]]])
    solution, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    return float(solution[1]), float(solution[0])


def _parity(
    quotes: ChainQuotes, of_it: BoolArray, premium: FloatArray, rate: float, rate_error: float
) -> ParityForward:
    calls = np.flatnonzero(of_it & quotes.is_call)
    puts = np.flatnonzero(of_it & ~quotes.is_call)
    _, left, right = np.intersect1d(quotes.strike[calls], quotes.strike[puts], return_indices=True)
    call, put = calls[left], puts[right]
    mid = 0.5 * (quotes.bid + quotes.ask)
    time_value = np.minimum(mid[call], mid[put])
    near = time_value >= _NEAR * np.max(time_value, initial=0.0, where=np.isfinite(time_value))
    if near.sum() >= _ENOUGH:
        # Far in the money an American option is worth its intrinsic value whatever the rate.
        call, put = call[near], put[near]
    width = (quotes.ask - quotes.bid)[call] + (quotes.ask - quotes.bid)[put]
    known = np.sort(width[width >= 0])
    if known.size > _ENOUGH:
        # Quotes in the money are wide and lean to one side: together they would outvote the few
        # pairs that know.
        tight = width <= _TIGHT * known[_ENOUGH - 1]
        call, put = call[tight], put[tight]
    # A premium is known no better than the rate it was computed at; else rate and premium would
    # confirm each other. The doubt widens the quote in the money, which has the premium.
    doubt = _DOUBT * (np.abs(premium[call]) + np.abs(premium[put]))
    on_call = np.where(quotes.bid[call] > quotes.bid[put], doubt, 0.0)
    on_put = doubt - on_call
    return forward_from_parity(
        quotes.strike[call],
        quotes.bid[call] - on_call,
        quotes.ask[call] + on_call,
        quotes.bid[put] - on_put,
        quotes.ask[put] + on_put,
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
