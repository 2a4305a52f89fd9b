"""The market's calendar in one place: sessions, option hours, expirations, DTE, year fractions.

Sessions come from `utils.market_sessions`, option closes from `utils.option_calendar`, expirations
from `utils.expiration_rules`; they are re-exported here, and this is the module to import. Day
counts:

- `year_fraction` and `year_fractions`: calendar time from the moment to the contract's last moment
  (16:00 New York, the early close of a half day, the opening of AM-settled contracts) over 365
  days. Minutes count, seconds too: a contract of today has a fraction until it stops.
- `trading_year_fraction`: minutes of regular sessions over 252 x 390.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.symbols import Settlement, settlement_of
from utils.expiration_rules import (
    Expiration,
    ExpirationKind,
    expirations,
    listed_expirations,
    third_friday,
)
from utils.market_sessions import (
    FIRST_DAY,
    LAST_DAY,
    NEW_YORK,
    REGULAR_MINUTES,
    Session,
    extended_hours,
    is_session,
    last_session,
    minutes,
    new_york,
    next_session,
    previous_session,
    schedule,
    session,
    session_until,
    sessions,
    sessions_back,
)
from utils.option_calendar import last_trading_session, option_close

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FIRST_DAY",
    "LAST_DAY",
    "NEW_YORK",
    "REGULAR_MINUTES",
    "Expiration",
    "ExpirationKind",
    "Session",
    "Settlement",
    "dte",
    "expirations",
    "expiry_moment",
    "extended_hours",
    "is_session",
    "last_session",
    "last_trading_session",
    "listed_expirations",
    "minutes",
    "new_york",
    "next_session",
    "option_close",
    "previous_session",
    "session",
    "session_until",
    "sessions",
    "sessions_back",
    "settlement_of",
    "third_friday",
    "trading_year_fraction",
    "year_fraction",
    "year_fractions",
]

MINUTES_A_YEAR = 525_600
"""Calendar minutes of a 365-day year."""

SESSIONS_A_YEAR = 252
"""Sessions of a trading year."""

_YEAR_NS = MINUTES_A_YEAR * 60 * 1_000_000_000


def dte(now: datetime, expiration: date) -> int:
    """Return the calendar days from the New York date of `now` to the expiration.

    Args:
        now: Aware time.
        expiration: Expiration date; a past one gives a negative number.
    """
    return (expiration - now.astimezone(NEW_YORK).date()).days


def expiry_moment(expiration: date, *, root: str = "") -> datetime:
    """Return the moment up to which time is counted for an expiration, UTC.

    It is the close of the stock market on the expiration day (16:00 New York, 13:00 on a half
    day), or of the session before it where the market is closed on that day; of roots that settle
    AM, the opening of the expiration day.

    Raises:
        DataError: The date is outside the years that the calendar knows.
    """
    found = session_until(expiration)
    return found.open if settlement_of(root) == "AM" and found.day == expiration else found.close


def year_fraction(now: datetime, expiration: date, *, root: str = "") -> float:
    """Return the calendar time from `now` to an expiration in years of 525,600 minutes.

    Args:
        now: Aware time.
        expiration: Expiration date.
        root: Option root; matters for those that settle AM.

    Returns:
        0 once the contract has stopped.

    Raises:
        DataError: The date is outside the years that the calendar knows.
    """
    left = expiry_moment(expiration, root=root) - now
    return max(left / timedelta(minutes=MINUTES_A_YEAR), 0.0)


def year_fractions(
    ts: NDArray[np.int64],
    expirations: NDArray[np.datetime64],
    *,
    am_settled: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return `year_fraction` of many rows at once.

    Args:
        ts: Times, nanoseconds since 1970 UTC; one for all or one a row.
        expirations: Expiration dates, datetime64[D], one a row.
        am_settled: Rows that settle at the opening; None means none of them.

    Returns:
        Years, one a row, 0 where the contract has stopped, NaN where a date is missing or outside
        the years that the calendar knows.
    """
    known = schedule()
    days = np.asarray(expirations, dtype="datetime64[D]")
    number = np.searchsorted(known.days_d, days, side="right") - 1
    inside = (days >= known.days_d[0]) & (days <= np.datetime64(LAST_DAY))
    number = np.where(inside, number, 0)
    end = known.closes_ns[number]
    if am_settled is not None:
        opens = np.asarray(am_settled) & (known.days_d[number] == days)
        end = np.where(opens, known.opens_ns[number], end)
    left = np.maximum(end - np.asarray(ts, dtype=np.int64), 0)
    return np.where(inside, left / _YEAR_NS, np.nan)


def trading_year_fraction(now: datetime, expiration: date, *, root: str = "") -> float:
    """Return the minutes of regular sessions from `now` to an expiration over 252 x 390.

    Args:
        now: Aware time.
        expiration: Expiration date.
        root: Option root; matters for those that settle AM.

    Raises:
        DataError: A date is outside the years that the calendar knows.
    """
    end = expiry_moment(expiration, root=root)
    if now >= end:
        return 0.0
    spans = (
        min(each.close, end) - max(each.open, now)
        for each in sessions(now.astimezone(NEW_YORK).date(), expiration)
        if each.close > now and each.open < end
    )
    left = sum(spans, timedelta())
    return left / timedelta(minutes=SESSIONS_A_YEAR * REGULAR_MINUTES)
