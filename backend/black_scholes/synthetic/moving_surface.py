"""The implied-volatility surface and how it moves, free of arbitrage at every instant.

The surface is eSSVI (`black_scholes.surface`) whose shape depends on the at-the-money total
variance theta alone: psi(theta) and rho(theta). If theta rises with the expiration, psi (1 +- rho)
rises with theta, psi / theta falls and psi^2 (1 + |rho|) <= 4 theta, then no butterfly and no
calendar spread pays, whatever the level of volatility and whatever the time. In units of its own
width a smile steepens as its expiration nears, so that one of today is the steepest in strike.

theta is the sum, over the clock of variance until expiration, of a part that stays and a part that
goes with the square of today's volatility; events on the way are more clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.surface import EssviNodes, essvi_total_variance
from black_scholes.synthetic.clock import SESSIONS_A_YEAR
from black_scholes.synthetic.names import is_fund_or_index
from black_scholes.synthetic.paths import LEVERAGE, PERSISTENCE, VOL_OF_VOL
from black_scholes.synthetic.profiles import profile_of

if TYPE_CHECKING:
    from black_scholes.synthetic.clock import VarianceClock
    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.paths import DailyPath

REVERSION = -math.log(PERSISTENCE) * SESSIONS_A_YEAR
"""How fast volatility returns to its mean, a year."""

_PREMIUM = 0.97
"""Implied over expected volatility of the near days."""

_LONG_PREMIUM = 1.12
"""Implied over expected volatility in the long run."""

_LEAST_SESSIONS = 1e-4
_SESSIONS = np.concatenate([[0.0], np.geomspace(1e-3, 2000.0, 160)])
_THETAS = np.geomspace(1e-8, 8.0, 160)


class MovingSurface(NamedTuple):
    """A surface for every volatility and every time.

    Attributes:
        sessions: Grid of the clock of variance until expiration, from 0.
        staying: Total variance until then that stays.
        moving: Total variance until then per square of volatility.
        theta: Grid of at-the-money total variance.
        psi: Width of the smile there.
        lean: rho psi there.
    """

    sessions: Floats
    staying: Floats
    moving: Floats
    theta: Floats
    psi: Floats
    lean: Floats

    def at(self, vol: Floats, sessions_left: Floats) -> EssviNodes:
        """Return the smiles.

        Args:
            vol: Volatility at the moment, a year.
            sessions_left: On the clock of variance, until expiration.
        """
        left = np.maximum(sessions_left, _LEAST_SESSIONS)
        theta = np.interp(left, self.sessions, self.staying)
        theta = theta + vol**2 * np.interp(left, self.sessions, self.moving)
        return self.smile(theta)

    def smile(self, theta: Floats) -> EssviNodes:
        """Return the smiles with this at-the-money total variance."""
        psi = np.interp(theta, self.theta, self.psi)
        rho = np.interp(theta, self.theta, self.lean) / psi
        below = theta < self.theta[0]
        psi = np.where(below, self.psi[0] * np.sqrt(theta / self.theta[0]), psi)
        return EssviNodes(np.asarray(theta), np.asarray(rho), np.asarray(psi))

    def total_variance(self, theta: Floats, log_moneyness: Floats) -> Floats:
        """Return total implied variance at ln(strike / forward)."""
        return essvi_total_variance(log_moneyness, *self.smile(theta))


def surface_of(ticker: str) -> MovingSurface:
    """Return the surface of a ticker; its constants are those of QQQ and AAPL chains of 2026.

    SSVI: psi = eta sqrt(theta / (1 + fade theta)); volatility reverts to its mean.
    """
    fund = is_fund_or_index(ticker)
    rho, eta, fade = (-0.49, 1.4, 18.0) if fund else (-0.22, 1.6, 15.0)
    psi = eta * np.sqrt(_THETAS / (1 + fade * _THETAS))
    years = _SESSIONS / SESSIONS_A_YEAR
    fading = -np.expm1(-REVERSION * years) / REVERSION
    mean = (_LONG_PREMIUM * profile_of(ticker).vol) ** 2
    return MovingSurface(
        _SESSIONS, mean * (years - fading), _PREMIUM**2 * fading, _THETAS, psi, rho * psi
    )


def vol_at(
    path: DailyPath, clock: VarianceClock, number: int, log_price: Floats, elapsed: Floats
) -> Floats:
    """Return the volatility at instants of a session, a year.

    Between a session's beginning and its end it goes to the next session's, by the same rule that
    the daily path has: up when the price falls.

    Args:
        path: Of the underlying.
        clock: Of the underlying.
        number: The session's number.
        log_price: Logarithm of the price at each instant.
        elapsed: Part of the session's variance that has passed at each instant.
    """
    before = path.close[number - 1] if number else path.open[0]
    counts = (clock.night[number] + clock.hours[number]) / SESSIONS_A_YEAR
    usual = path.vol[number] * math.sqrt(counts)
    moved = VOL_OF_VOL * LEVERAGE * (log_price - before) / usual
    slow = (PERSISTENCE - 1) * path.vol_state[number] + path.vol_shock[number]
    return np.asarray(path.vol[number] * np.exp(moved + slow * elapsed))
