"""Which options are listed: expirations by how long before they are listed, strikes by a ladder.

An expiration's strikes follow the closes since it was listed: each session's close adds the strikes
around it, and none ever goes. So the ladder of a session is a range on a fixed grid, found from the
lowest and highest close of the listing window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.profiles import profile_of
from models.symbols import INDICES, roots_of_underlying
from utils.market_calendar import FIRST_DAY, expirations, last_trading_session, next_session

if TYPE_CHECKING:
    from datetime import date

    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.market import Market
    from utils.market_calendar import Expiration

_LONGEST = 930
_FINE_DAYS = 35

_UPWARD = 0.75
"""How far ladders reach upward, over how far they reach down."""

_DOLLAR_FUNDS = frozenset({"SPY", "QQQ", "IWM", "DIA"})

_STEPS = (
    (25.0, 0.5, 1.0),
    (100.0, 1.0, 5.0),
    (200.0, 2.5, 5.0),
    (1_000.0, 2.5, 10.0),
    (2_500.0, 5.0, 25.0),
    (10_000.0, 5.0, 50.0),
    (math.inf, 25.0, 100.0),
)
"""Up to which price: step near the money, step of the wide ladder, USD."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One expiration as it is listed in a session.

    Attributes:
        root: Option root.
        expiration: Its day, kind and settlement.
        last_session: Number of the last session in which it trades.
        settles: Number of the session whose prices settle it.
        opening: Whether it settles at that session's opening, not at its close.
        lead: Calendar days before the expiration at which it was listed.
        strikes: USD, ascending.
    """

    root: str
    expiration: Expiration
    last_session: int
    settles: int
    opening: bool
    lead: int
    strikes: Floats


@lru_cache(maxsize=256)
def listed(market: Market, number: int) -> tuple[Listed, ...]:
    """Return all expirations of a market that trade in a session, by day, with their strikes."""
    ticker = market.ticker
    day = all_sessions()[number].day
    found = []
    for root in roots_of_underlying(ticker):
        for each in _expirations(root, day):
            lead = _lead(ticker, each)
            last = last_trading_session(root, each.day).day
            if (each.day - day).days >= lead or last < day:
                continue
            numbers = session_numbers()
            opening = each.settlement == "AM" and each.day in numbers
            settles = numbers[each.day if opening else last]
            strikes = _strikes(market, each, lead, number)
            found.append(Listed(root, each, numbers[last], settles, opening, lead, strikes))
    return tuple(sorted(found, key=lambda each: (each.expiration.day, each.root)))


@lru_cache(maxsize=256)
def _expirations(root: str, day: date) -> tuple[Expiration, ...]:
    return tuple(expirations(root, day, day + timedelta(days=_LONGEST)))


def _lead(ticker: str, expiration: Expiration) -> int:
    """Return how many days before its end an expiration is listed, as the exchanges do about now."""
    if expiration.kind == "Q":
        return 370
    if expiration.kind == "M":
        return 62
    if expiration.kind == "W":
        return 46 if expiration.day.weekday() == 4 else 10
    if expiration.day.month == 1:
        return _LONGEST
    if expiration.day.month % 3 == 0:
        return 900 if ticker in _DOLLAR_FUNDS and expiration.day.month % 6 == 0 else 560
    return 105


def _strikes(market: Market, expiration: Expiration, lead: int, number: int) -> Floats:
    """Return the strikes of an expiration in a session: a fine ladder inside a wide one."""
    listing = _first_session(expiration.day - timedelta(days=lead))
    ticker, closes = market.ticker, market.path.close
    vol = profile_of(ticker).vol
    fine, wide = _steps(ticker, math.exp(closes[listing - 1]))
    reach = min(
        max(4.5 * vol * math.sqrt(lead / 365), 0.22), 0.65 if expiration.kind == "S" else 0.4
    )
    strikes = _grid(closes[listing - 1 : number], wide, reach)
    if lead > 2 * _FINE_DAYS:  # long-dated: the fine ladder is added in the last weeks
        listing = _first_session(expiration.day - timedelta(days=_FINE_DAYS))
    if number >= listing:
        near = min(max(1.7 * vol * math.sqrt(min(lead, 46) / 365), 0.055), 0.14)
        strikes = np.union1d(strikes, _grid(closes[listing - 1 : number], fine, near))
    return strikes


def _first_session(day: date) -> int:
    """Return the number of the first session after a day, but not that of the very first one."""
    return max(session_numbers()[next_session(max(day, FIRST_DAY)).day], 1)


def _grid(log_closes: Floats, step: float, reach: float) -> Floats:
    """Return the multiples of a step that lie within a relative reach below any close, or above."""
    lowest = math.exp(log_closes.min()) * (1 - reach)
    highest = math.exp(log_closes.max()) * (1 + _UPWARD * reach)
    first = max(math.ceil(lowest / step), 1)
    return np.asarray(np.arange(first, math.floor(highest / step) + 1) * step, dtype=np.float64)


def _steps(ticker: str, price: float) -> tuple[float, float]:
    """Return the steps near the money and of the wide ladder at this price, USD."""
    if ticker in _DOLLAR_FUNDS:
        return 1.0, 5.0
    if ticker in INDICES and price < 10_000:
        return (5.0, 25.0) if price > 1_000 else (1.0, 5.0)
    return next((fine, wide) for limit, fine, wide in _STEPS if price <= limit)
