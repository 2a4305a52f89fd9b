"""The implied-volatility surface of the generated world, free of arbitrage at every instant.

Total variance follows SSVI (Gatheral and Jacquier 2014): with theta the at-the-money total variance
of an expiration and k the log of strike over forward,

    w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)),
    phi = eta / sqrt(theta (1 + fade theta)).

theta phi (1 + |rho|) < 4 and theta phi^2 (1 + |rho|) <= 4 rule out butterfly arbitrage (here the
second says eta^2 (1 + |rho|) <= 4); theta rising with the expiration, and theta phi rising no
faster, rule out calendar arbitrage. All hold by construction. In units of its own width a slice has
nearly the same shape at every near expiration, so one of today is the steepest in strike. The
constants are those of QQQ and AAPL chains of summer 2026.

Time to expiration runs on the clock of the price process: a session's hours count its share, the
night before a session the rest, weekends no more than a night.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.daily_path import (
    LEVERAGE,
    OVERNIGHT_SHARE,
    PERSISTENCE,
    SESSIONS_A_YEAR,
    VOL_OF_VOL,
    daily_path,
)
from simulator.profiles import is_fund_or_index, profile_of

if TYPE_CHECKING:
    from simulator.draws import Floats

_REVERSION = -math.log(PERSISTENCE) * SESSIONS_A_YEAR

_PREMIUM = 0.97
"""Implied over expected volatility of the near days."""

_LONG_PREMIUM = 1.12
"""Implied over expected volatility in the long run."""

_LEAST_SESSIONS = 1e-4


@dataclass(frozen=True, slots=True)
class Surface:
    """The smile's shape of a ticker, and the volatility that it fluctuates around.

    Attributes:
        rho: Lean of the smile; negative: puts are dearer.
        eta: How fast it rises away from the money at near expirations.
        fade: How much less it does at far ones.
        mean_vol: Long-run implied volatility, a year.
    """

    rho: float
    eta: float
    fade: float
    mean_vol: float

    def atm_variance(self, vol: Floats, sessions_left: Floats) -> Floats:
        """Return the at-the-money total variance.

        Args:
            vol: Volatility at the moment, a year.
            sessions_left: Of the price process's clock until expiration, as `sessions_left`.
        """
        years = np.maximum(sessions_left, _LEAST_SESSIONS) / SESSIONS_A_YEAR
        long_run, now = self.mean_vol**2, (_PREMIUM * vol) ** 2
        fading = -np.expm1(-_REVERSION * years) / _REVERSION
        return np.asarray(long_run * (years - fading) + now * fading)

    def total_variance(self, theta: Floats, log_moneyness: Floats) -> Floats:
        """Return total implied variance at ln(strike / forward)."""
        phi_k = self.eta / np.sqrt(theta * (1 + self.fade * theta)) * log_moneyness
        root = np.sqrt((phi_k + self.rho) ** 2 + 1 - self.rho**2)
        return np.asarray(theta / 2 * (1 + self.rho * phi_k + root))


def surface_of(ticker: str) -> Surface:
    """Return the surface of a ticker."""
    mean = _LONG_PREMIUM * profile_of(ticker).vol
    if is_fund_or_index(ticker):
        return Surface(rho=-0.49, eta=1.4, fade=18.0, mean_vol=mean)
    return Surface(rho=-0.22, eta=1.6, fade=15.0, mean_vol=mean)


def vol_at(seed: int, ticker: str, number: int, log_price: Floats, elapsed: Floats) -> Floats:
    """Return the volatility at instants of a session, a year.

    Between a session's beginning and its end it goes to the next session's, by the same rule that
    the daily path has: up when the price falls.

    Args:
        seed: The world's.
        ticker: Underlying.
        number: The session's number.
        log_price: Logarithm of the price at each instant.
        elapsed: Part of the session's variance that has passed at each instant.
    """
    path = daily_path(seed, ticker)
    before = path.close[number - 1] if number else path.open[0]
    daily = path.vol[number] / math.sqrt(SESSIONS_A_YEAR)
    moved = VOL_OF_VOL * LEVERAGE * (log_price - before) / daily
    slow = (PERSISTENCE - 1) * path.vol_state[number] + path.vol_shock[number]
    return np.asarray(path.vol[number] * np.exp(moved + slow * elapsed))


def sessions_left(number: int, elapsed: Floats, settles: Floats, *, opening: Floats) -> Floats:
    """Return the sessions of the price process's clock from instants until contracts settle.

    Args:
        number: The session of the instants.
        elapsed: Part of its variance that has passed at each instant.
        settles: Number of the session whose prices settle each contract.
        opening: 1.0 for contracts that settle at that session's opening, else 0.0.
    """
    regular = 1 - OVERNIGHT_SHARE
    left = regular * (1 - elapsed) + (settles - number) - regular * opening
    return np.maximum(left, 0.0)
