"""Implied volatility of European options: no wrong number, and a reason where there is none."""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import _inversion
from black_scholes._batch import Batch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from black_scholes._jit import FloatArray


class Status(IntEnum):
    """Why a row has a volatility, or has none."""

    OK = _inversion.OK
    BELOW_INTRINSIC = _inversion.BELOW_INTRINSIC
    """The price is less than the discounted intrinsic value: arbitrage, or a stale quote."""
    ABOVE_BOUND = _inversion.ABOVE_BOUND
    """The price is at least S e^(-qT) (call) or K e^(-rT) (put): no volatility is high enough."""
    NO_TIME_VALUE = _inversion.NO_TIME_VALUE
    """The price is the intrinsic value, as far as a float64 can tell (0 out of the money)."""
    MISSING = _inversion.MISSING
    """An input is NaN or infinite, or spot or strike is not positive."""
    EXPIRED = _inversion.EXPIRED
    """No time is left to expiration."""
    UNRESOLVED = _inversion.UNRESOLVED
    """The rounding of the price to a float64 leaves the volatility open by more than 0.1 %."""


class ImpliedVolatility(NamedTuple):
    """Volatilities with their error bars and reasons.

    Attributes:
        vol: 0.20 = 20 %, NaN where `status` is not OK.
        uncertainty: What one unit in the last place of the price (or of the spot, times delta) is
            worth in volatility: eps·max(price, |delta| S)/vega. Given for UNRESOLVED rows too.
        status: Codes of `Status`, as int8.
    """

    vol: FloatArray
    uncertainty: FloatArray
    status: NDArray[np.int8]


class QuotedVolatility(NamedTuple):
    """Implied volatilities of the two sides of a quote and of its middle.

    Attributes:
        bid: At the bid.
        mid: At (bid + ask)/2.
        ask: At the ask.
    """

    bid: ImpliedVolatility
    mid: ImpliedVolatility
    ask: ImpliedVolatility


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
) -> ImpliedVolatility:
    """Return the volatilities at which the Black-Scholes-Merton formula gives these prices.

    Rows are independent: one that has no solution says why and disturbs no other.

    Args:
        price: Dollars.
        spot: Dollars.
        strike: Dollars.
        years: To expiration.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
        is_call: True for calls.

    Raises:
        ValueError: The arguments do not broadcast.
    """
    batch = Batch((price, spot, strike, years, rate, dividend_yield), is_call)
    vol, uncertainty = np.empty(batch.size), np.empty(batch.size)
    status = np.empty(batch.size, dtype=np.int8)
    batch.run(_inversion.invert_block, (vol, uncertainty, status))
    shape = batch.shape
    return ImpliedVolatility(vol.reshape(shape), uncertainty.reshape(shape), status.reshape(shape))


def quoted_volatility(
    bid: ArrayLike,
    ask: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
) -> QuotedVolatility:
    """Return volatilities at bid, mid and ask; at a crossed quote the mid is MISSING.

    Args:
        bid: Dollars; 0 where nobody bids (its row then says NO_TIME_VALUE).
        ask: Dollars.
        spot: Dollars.
        strike: Dollars.
        years: To expiration.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
        is_call: True for calls.

    Raises:
        ValueError: The arguments do not broadcast.
    """
    low, high = np.asarray(bid, dtype=np.float64), np.asarray(ask, dtype=np.float64)
    middle = np.where(low <= high, 0.5 * (low + high), np.nan)
    sides = (
        implied_volatility(x, spot, strike, years, rate, dividend_yield, is_call=is_call)
        for x in (low, middle, high)
    )
    return QuotedVolatility(*sides)
