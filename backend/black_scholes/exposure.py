"""Gamma exposure, its flip and walls, and max pain: what open interest says of a chain.

Sign convention: dealers are long the calls and short the puts that others hold, so that a call adds
and a put takes away. Exposure is what dealers must trade of the underlying, in dollars, for a move
of 1 %: gamma x open interest x multiplier x spot^2 x 0.01. With a positive sum they sell into a
rise and buy into a fall; below the flip it is the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import calculator

if TYPE_CHECKING:
    from black_scholes._jit import BoolArray, FloatArray

_REACH = np.linspace(0.85, 1.15, 121)  # spots at which the whole chain is looked at again


class HeldOptions(NamedTuple):
    """Contracts of a chain at one moment, arrays of one length.

    Attributes:
        strike: Dollars.
        years: To expiration.
        is_call: True for calls.
        vol: Implied volatility; NaN leaves the contract out of exposures.
        gamma: Per dollar of spot squared; NaN the same.
        open_interest: Contracts.
        multiplier: Shares a contract.
    """

    strike: FloatArray
    years: FloatArray
    is_call: BoolArray
    vol: FloatArray
    gamma: FloatArray
    open_interest: FloatArray
    multiplier: FloatArray


def gamma_exposure(held: HeldOptions, spot: float) -> FloatArray:
    """Return the exposure of each contract, dollars for a move of 1 %, puts below 0.

    Args:
        held: The chain.
        spot: Dollars.
    """
    size = held.open_interest * held.multiplier * spot**2 * 0.01
    signed: FloatArray = np.where(held.is_call, size, -size) * np.nan_to_num(held.gamma)
    return signed


def gamma_flip(held: HeldOptions, spot: float) -> float:
    """Return the spot nearest to today's at which the whole exposure changes its sign.

    Volatilities stay with their strikes, gammas are European, rates are left out.

    Args:
        held: The chain.
        spot: Dollars.

    Returns:
        Dollars; NaN where it does not change within 15 %.
    """
    known = np.isfinite(held.vol) & (held.years > 0) & (held.open_interest > 0)
    if not known.any():
        return float("nan")
    strike, years, is_call, vol = (x[known] for x in held[:4])
    size = (held.open_interest * held.multiplier)[known] * np.where(is_call, 1.0, -1.0)
    places = _REACH * spot
    gamma = calculator.greeks(places[:, None], strike, years, 0.0, vol, is_call=is_call).gamma
    total = (gamma @ size) * places**2
    turns = np.flatnonzero(total[1:] * total[:-1] < 0)
    if not turns.size:
        return float("nan")
    share = total[turns] / (total[turns] - total[turns + 1])
    flips = places[turns] + share * (places[turns + 1] - places[turns])
    return float(flips[np.argmin(np.abs(flips - spot))])


def max_pain(strike: FloatArray, is_call: BoolArray, open_interest: FloatArray) -> float:
    """Return the strike at which the holders of one expiration's options get the least.

    Args:
        strike: Dollars, one a contract.
        is_call: True for calls.
        open_interest: Contracts.

    Returns:
        Dollars; the lowest of equals, NaN without open interest.
    """
    if not (open_interest > 0).any():
        return float("nan")
    places = np.unique(strike)
    value = np.where(is_call, places[:, None] - strike, strike - places[:, None])
    paid = np.maximum(value, 0.0) @ open_interest
    return float(places[np.argmin(paid)])
