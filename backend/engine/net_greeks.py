"""Greeks of all that is held together, from the newest quotes of each underlying's chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.symbols import OCC_LENGTH
from models.trading import underlying_of

if TYPE_CHECKING:
    from engine.market import Market
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
    """Return the greeks of what is held, or None where nothing is.

    Shares count as delta one. An option that has no volatility now (a side is missing, or it lies
    below its intrinsic value) counts as nothing.

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
        units = np.array([held.get(name, 0.0) for name in chain.occ_symbol])
        values = (chain.delta, chain.gamma, chain.theta_per_day, chain.vega_per_point)
        total += [float(np.nansum(units * each)) for each in values]
    return NetGreeks(*total.tolist())
