"""Greeks of all that is held together, from the newest quotes of each underlying's chain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.symbols import OCC_LENGTH
from models.trading import underlying_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.market import Market
    from ports.strategy import ChainView
    from utils.portfolio_tracker import PortfolioTracker


class NetGreeks(NamedTuple):
    """Greeks of all that is held together.

    Attributes:
        delta: Shares that it moves like.
        gamma: Change of delta a USD.
        theta_per_day: USD a calendar day.
        vega_per_point: USD a point of volatility.
    """

    delta: float
    gamma: float
    theta_per_day: float
    vega_per_point: float


def net_greeks(market: Market, portfolio: PortfolioTracker) -> NetGreeks | None:
    """Return the greeks of what is held, or None where nothing is, or where nobody knows them.

    Shares count as delta one. An option that has no volatility now (a side is missing, or it lies
    below its intrinsic value) counts as its neighbours say: interpolated between the nearest strikes
    of its expiration and right that have one. Where there are none, nobody knows.

    Args:
        market: Has the chains.
        portfolio: What is held.
    """
    held = {
        name: float(each.quantity * each.multiplier)
        for name, each in portfolio.holdings.items()
        if each.quantity
    }
    if not held:
        return None
    shares = sum(units for name, units in held.items() if len(name) != OCC_LENGTH)
    total = np.array([shares, 0.0, 0.0, 0.0])
    for underlying in sorted({underlying_of(name) for name in held if len(name) == OCC_LENGTH}):
        chain = market.chain(underlying)
        rows = {name: row for row, name in enumerate(chain.occ_symbol) if name in held}
        own = [
            name for name in held if len(name) == OCC_LENGTH and underlying_of(name) == underlying
        ]
        if len(rows) < len(own):
            return None
        for name, row in rows.items():
            total += held[name] * _greeks(chain, row)
    return NetGreeks(*total.tolist()) if np.isfinite(total).all() else None


def _greeks(chain: ChainView, row: int) -> NDArray[np.float64]:
    """Return delta, gamma, theta and vega of one contract, its own or those of its neighbours."""
    columns = (chain.delta, chain.gamma, chain.theta_per_day, chain.vega_per_point)
    own = np.array([each[row] for each in columns])
    if np.isfinite(own).all():
        return own
    series = (chain.expiration == chain.expiration[row]) & (chain.is_call == chain.is_call[row])
    known = np.flatnonzero(series & np.isfinite(chain.delta))
    if not known.size:
        return np.full(4, math.nan)
    known = known[np.argsort(chain.strike[known])]
    at, strikes = chain.strike[row], chain.strike[known]
    return np.array([np.interp(at, strikes, each[known]) for each in columns])
