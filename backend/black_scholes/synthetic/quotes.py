"""From what a contract is worth to what is bid and asked for it: tick grid, spreads, sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes._market import quote_block
from black_scholes.synthetic.draws import Floats, digest, normals, uniforms, words
from black_scholes.synthetic.names import is_fund_or_index
from black_scholes.synthetic.profiles import KNOWN, profile_of
from models.symbols import INDICES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes.synthetic.worth import Rows, Worth

_ALL_PENNIES = frozenset({"QQQ", "SPY", "IWM"})

_LIQUID = 1.5e6
"""Contracts a session in the nearest expiration, above which spreads get no narrower."""

OPENING_WIDTH = 2.0
"""How much wider spreads are in the first minute, and in which minutes that fades."""

OPENING_MINUTES = 6.0


class SpreadModel(NamedTuple):
    """How wide markets are.

    Attributes:
        cost: Of making a market, as `_market.quote_block`.
        edges: Inner edges of the buckets of |delta|; of no size where `cost` is used.
        tenors: Inner edges of the buckets of days to expiration.
        quantiles: Spreads in USD: tenor bucket, delta bucket, quantile.
    """

    cost: Floats
    edges: Floats
    tenors: Floats
    quantiles: Floats


class Quotes(NamedTuple):
    """A market in contracts, USD and contracts; a bid of 0 means that nobody bids."""

    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats


def ticks(ticker: str) -> tuple[float, float]:
    """Return the tick of an option price below 3 dollars, and from there on."""
    if ticker in _ALL_PENNIES:
        return 0.01, 0.01
    if ticker in INDICES or ticker not in KNOWN:
        return 0.05, 0.10
    return 0.01, 0.05


def spreads_of(ticker: str) -> SpreadModel:
    """Return the spreads of a ticker.

    They have a floor of a tick, grow with the price, are wide in the money (where hedging costs the
    underlying's own spread and few trade), in far expirations of funds and in thin classes.
    """
    contracts = max(profile_of(ticker).contracts, 10.0)
    thin = min(max((_LIQUID / contracts) ** 0.28, 0.8), 9.0)
    extrinsic, inside, far = (
        (0.006, 0.0042, 6.0) if is_fund_or_index(ticker) else (0.015, 0.0052, 0.0)
    )
    usual_size = 2.2 + 0.15 * math.log10(contracts)
    cost = np.array([thin * extrinsic, thin * inside, far, *ticks(ticker), usual_size])
    return SpreadModel(cost, np.empty(0), np.empty(0), np.empty((0, 0, 0)))


class Moods(NamedTuple):
    """What makes each contract's market its own in a session, one row a contract."""

    names: NDArray[np.uint64]
    mood: Floats
    luck: Floats

    def rows(self, keep: NDArray[np.int64]) -> Moods:
        """Return some of the rows."""
        return Moods(self.names[keep], self.mood[keep], self.luck[keep])


def moods(ticker: str, names: NDArray[np.int64], number: int) -> Moods:
    """Return the moods of contracts in a session.

    Args:
        ticker: Underlying.
        names: Integers that tell the contracts apart.
        number: The session's.
    """
    return Moods(
        words(digest("lean", ticker), names),
        np.exp(0.35 * normals(digest("spread", ticker), names, number)),
        uniforms(digest("luck", ticker), names, number),
    )


def quotes(model: SpreadModel, rows: Rows, worth: Worth, those: Moods) -> Quotes:
    """Return the market in contracts: what they are worth lies between bid and ask.

    Args:
        model: How wide markets are.
        rows: The contracts.
        worth: What they are worth.
        those: Their moods.
    """
    found = Quotes(*(np.empty(len(rows.strike)) for _ in Quotes._fields))
    tenor = np.searchsorted(model.tenors, worth.states[3] * 365).astype(np.float64)
    quote_block(
        rows.first,
        those.names,
        rows.strike,
        rows.is_call,
        worth.states,
        worth.price,
        worth.delta,
        those.mood,
        those.luck,
        model.cost,
        model.edges,
        model.quantiles,
        tenor,
        *found,
    )
    return found
