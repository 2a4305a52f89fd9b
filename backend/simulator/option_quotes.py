"""From what a contract is worth to what is bid and asked for it: tick grid, spreads, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.symbols import INDICES
from simulator.draws import Floats, digest, normals, uniforms
from simulator.profiles import KNOWN, is_fund_or_index, profile_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.option_terms import Worth

_BOUNDARY = 3.0
"""Price at which ticks get coarser, USD (Penny Interval Program and the rules before it)."""

_ALL_PENNIES = frozenset({"QQQ", "SPY", "IWM"})

_EPSILON = 1e-9

_DEEP = 0.035
"""How deep in the money spreads are wide even on the last day, as a part of the spot."""

_LIQUID = 1.5e6
"""Contracts a session in the nearest expiration, above which spreads get no narrower."""


class Quotes(NamedTuple):
    """Bid and ask of contracts, USD; a bid of 0 means that nobody bids."""

    bid: Floats
    ask: Floats


def ticks(ticker: str) -> tuple[float, float]:
    """Return the tick of an option price below 3 dollars, and from there on."""
    if ticker in _ALL_PENNIES:
        return 0.01, 0.01
    if ticker in INDICES or ticker not in KNOWN:
        return 0.05, 0.10
    return 0.01, 0.05


def quotes(
    ticker: str, names: NDArray[np.int64], worths: Worth, minutes_open: Floats, opened: int
) -> Quotes:
    """Return the market in contracts.

    The spread has a floor of a tick, grows with the price, is wide in the money (where hedging
    costs the underlying's own spread and few trade), in the first minutes and in thin classes.

    Args:
        ticker: Underlying.
        names: What tells the contracts apart.
        worths: What they are worth.
        minutes_open: Minutes since the open, one a contract.
        opened: The session's number, for differences between sessions.
    """
    small, large = ticks(ticker)
    thin = min(max((_LIQUID / max(profile_of(ticker).contracts, 1.0)) ** 0.28, 0.8), 9.0)
    depth = np.where(worths.terms.is_call, 1, -1) * (worths.spot - worths.terms.strike)
    inside = np.clip((depth / (worths.width + _DEEP * worths.spot) - 0.2) / 0.75, 0.0, 1.0) ** 1.3
    extrinsic = np.maximum(worths.price - np.maximum(depth, 0.0), 0.0)
    if is_fund_or_index(ticker):
        # Market makers leave the far expirations of funds nearly alone.
        far = 1 + 6 * np.clip((worths.terms.years - 0.3) / 0.4, 0.0, 1.0)
        base = small + thin * (0.006 * far * extrinsic + 0.0042 * inside * worths.spot)
    else:
        base = small + thin * (0.015 * extrinsic + 0.0052 * inside * worths.spot)
    early = 1 + 2.0 * np.exp(-np.maximum(minutes_open, 0.0) / 6)
    moody = np.exp(0.35 * normals(digest("spread", ticker), names, opened))
    # The market leans: the theoretical price is not its exact middle.
    lean = uniforms(digest("lean", ticker), names, minutes_open.astype(np.int64))
    spread = np.maximum(base * early * moody, small)
    low, high = (
        worths.price - spread * (0.3 + 0.4 * lean),
        worths.price + spread * (0.7 - 0.4 * lean),
    )
    bid = np.maximum(_on_grid(low, small, large, np.floor), 0.0)
    ask = np.maximum(_on_grid(high, small, large, np.ceil), small)
    return Quotes(bid, np.maximum(ask, bid + np.where(bid >= _BOUNDARY, large, small)))


def sizes(
    ticker: str, names: NDArray[np.int64], minute: NDArray[np.int64], price: Floats, side: str
) -> Floats:
    """Return contracts offered on a side; 0 where the price is 0. Cheap options stand deep."""
    usual = 2.2 + 0.15 * np.log10(max(profile_of(ticker).contracts, 10.0))
    cheap = np.clip(1.6 - 0.5 * np.log1p(price), -0.8, 1.6)
    draws = normals(digest("size", ticker, side), names, minute)
    return np.where(price > 0, np.floor(np.exp(usual + cheap + 0.8 * draws)) + 1, 0.0)


def _on_grid(price: Floats, small: float, large: float, rounding: np.ufunc) -> Floats:
    """Return prices rounded to the tick grid; an error of float64 does not move a tick."""
    sign = 1 if rounding is np.floor else -1
    tick = np.where(price >= _BOUNDARY, large, small)
    return np.asarray(np.round(rounding(price / tick + sign * _EPSILON) * tick, 2))
