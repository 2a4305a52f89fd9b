"""Generated prices from session to session: closes, overnight gaps, volatility.

The path of a ticker covers every session that the calendar knows and stands at the profile's level
on the anchor day; one pass over some 12,000 sessions takes a few milliseconds and is kept. The
numbers of a session come from its calendar day, so that they do not shift when the calendar's
beginning does.

Model: log volatility reverts to its mean (a month's half-life) and rises when prices fall; a
session's variance is split between the gap before it and its regular hours by the clock of
variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from black_scholes.synthetic.clock import (
    SESSIONS_A_YEAR,
    all_sessions,
    session_numbers,
    variance_clock,
)
from black_scholes.synthetic.draws import Floats, stream
from black_scholes.synthetic.profiles import ANCHOR, dividends_of, profile_of
from utils.market_calendar import FIRST_DAY, LAST_DAY

PERSISTENCE = 0.975
"""What is left of a deviation of log volatility after a session."""

VOL_OF_VOL = 0.075
"""Standard deviation of log volatility's move in a session."""

LEVERAGE = -0.65
"""Correlation of that move with the price's move."""


@dataclass(frozen=True, slots=True, eq=False)
class DailyPath:
    """A ticker's sessions, by their number in `clock.all_sessions`.

    Attributes:
        vol: Volatility at the beginning of the session, a year.
        vol_state: Logarithm of `vol` over its long-run mean.
        vol_shock: The part of the session's move of `vol_state` that no price explains.
        turnover: Logarithm of the session's turnover over its usual one.
        gap: Log move from the previous close to the open.
        open: Logarithm of the open.
        close: Logarithm of the close.
    """

    vol: Floats
    vol_state: Floats
    vol_shock: Floats
    turnover: Floats
    gap: Floats
    open: Floats
    close: Floats


@lru_cache(maxsize=256)
def daily_path(seed: int, ticker: str) -> DailyPath:
    """Return the path of a ticker; that of an index is the path of the fund that drives it."""
    profile = profile_of(ticker)
    moves, shocks, turnover, gaps = _normals(seed, profile.driver or ticker, profile.market).T
    clock = variance_clock(profile.driver or ticker)
    total = np.sqrt(clock.night) * gaps + np.sqrt(clock.hours) * moves
    total /= np.sqrt(clock.night + clock.hours)  # volatility answers to how unusual a move was
    shock = VOL_OF_VOL * math.sqrt(1 - LEVERAGE**2) * shocks
    state = _reverting(VOL_OF_VOL * LEVERAGE * total + shock)
    spread = VOL_OF_VOL**2 / (1 - PERSISTENCE**2)
    vol = profile.vol * np.exp(state - spread / 2)
    daily = vol / math.sqrt(SESSIONS_A_YEAR)
    gap = np.sqrt(clock.night) * daily * gaps
    regular = np.sqrt(clock.hours) * daily * moves + profile.drift / SESSIONS_A_YEAR
    close = np.cumsum(gap + regular)
    close += math.log(profile.level) - close[session_numbers()[ANCHOR]]
    gap -= _ex_dividend(ticker, close)
    close = np.cumsum(gap + regular)
    close += math.log(profile.level) - close[session_numbers()[ANCHOR]]
    return DailyPath(
        vol=vol,
        vol_state=state,
        vol_shock=shock,
        turnover=0.22 * turnover + 0.25 * (np.abs(total) - 0.8) + 0.5 * state,
        gap=gap,
        open=close - regular,
        close=close,
    )


def _ex_dividend(ticker: str, log_close: Floats) -> Floats:
    """Return how much the price falls before each session because a dividend leaves it."""
    falls = np.zeros_like(log_close)
    for dividend in dividends_of(ticker):
        number = session_numbers().get(dividend.ex_date, 0)
        if number:
            falls[number] = math.log1p(dividend.amount / math.exp(log_close[number - 1]))
    return falls


def _normals(seed: int, ticker: str, market: float) -> Floats:
    """Return four normal numbers a session, correlated with the market's."""
    own, common = _by_day(seed, ticker), _by_day(seed, "")
    return market * common + math.sqrt(1 - market**2) * own


@lru_cache(maxsize=8)
def _by_day(seed: int, ticker: str) -> Floats:
    numbers = stream(seed, "daily", ticker).standard_normal(((LAST_DAY - FIRST_DAY).days + 1, 4))
    return numbers[[(each.day - FIRST_DAY).days for each in all_sessions()]]


def _reverting(moves: Floats) -> Floats:
    """Return the state before each move: it starts at 0 and loses part of itself each session."""
    state, found = 0.0, []
    for move in moves.tolist():
        found.append(state)
        state = PERSISTENCE * state + move
    return np.array(found)
