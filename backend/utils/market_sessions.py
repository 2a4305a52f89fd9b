"""Sessions of the New York stock market: days, opens, closes, early closes.

The facts are those of the XNYS calendar of `exchange_calendars` (holidays, special closings, early
closes; its rules also give the years to come). They are read once into plain tuples, so that a
lookup in a loop is a dictionary access or a bisection and no pandas object.

Import from `utils.market_calendar`, which gathers this module with expirations and year fractions.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from models.errors import DataError
from utils.session_table import session_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NEW_YORK = ZoneInfo("America/New_York")
"""Zone of the market's wall clock."""

FIRST_DAY = date(1998, 1, 1)
"""First day that this calendar knows."""

LAST_DAY = date(2045, 12, 31)
"""Last day that this calendar knows: fixed, so that the same question has the same answer on every
day, and far enough for the longest LEAPS of any session that is simulated."""

REGULAR_MINUTES = 390
"""Minutes of a full session."""

_PREMARKET_OPEN = time(7, 0)
_POSTMARKET_CLOSE = time(20, 0)
_POSTMARKET_CLOSE_EARLY = time(17, 0)
_FULL_CLOSE = time(16, 0)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day.

    Attributes:
        day: The exchange day, New York.
        open: First moment of the regular session, UTC.
        close: End of the regular session, UTC.
        early_close: Whether it ends before 16:00 New York.
    """

    day: date
    open: datetime
    close: datetime
    early_close: bool

    @property
    def regular_minutes(self) -> int:
        """Minutes of the regular session: 390, or 210 when it closes at 13:00."""
        return int((self.close - self.open).total_seconds()) // 60


@dataclass(frozen=True, slots=True)
class Schedule:
    """All sessions, oldest first, and the columns that lookups search.

    Attributes:
        sessions: The sessions.
        index: Position of each session by its day.
        days: Days of the sessions, in order.
        opens: Opens of the sessions, in order, UTC.
        closes: Closes of the sessions, in order, UTC.
        days_d: `days` as datetime64[D].
        opens_ns: `opens` in nanoseconds since 1970, UTC.
        closes_ns: `closes` in nanoseconds since 1970, UTC.
    """

    sessions: tuple[Session, ...]
    index: Mapping[date, int]
    days: tuple[date, ...]
    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    days_d: NDArray[np.datetime64]
    opens_ns: NDArray[np.int64]
    closes_ns: NDArray[np.int64]


@cache
def schedule() -> Schedule:
    """Return all sessions from `FIRST_DAY` to `LAST_DAY`, read once a process."""
    days_d, opens_ns, closes_ns = session_table(FIRST_DAY, LAST_DAY)
    sessions = tuple(map(_session, days_d.tolist(), opens_ns.tolist(), closes_ns.tolist()))
    return Schedule(
        sessions=sessions,
        index={each.day: number for number, each in enumerate(sessions)},
        days=tuple(each.day for each in sessions),
        opens=tuple(each.open for each in sessions),
        closes=tuple(each.close for each in sessions),
        days_d=days_d,
        opens_ns=opens_ns,
        closes_ns=closes_ns,
    )


def _session(day: date, open_ns: int, close_ns: int) -> Session:
    close = datetime.fromtimestamp(close_ns // 1_000_000_000, UTC)
    return Session(
        day=day,
        open=datetime.fromtimestamp(open_ns // 1_000_000_000, UTC),
        close=close,
        early_close=close.astimezone(NEW_YORK).time() < _FULL_CLOSE,
    )


def new_york(day: date, at: time) -> datetime:
    """Return the moment of a New York wall-clock time on a day, in UTC."""
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)


def is_session(day: date) -> bool:
    """Return whether the stock market trades on this day.

    Raises:
        DataError: The day is outside the years that the calendar knows.
    """
    _check_known(day)
    return day in schedule().index


def session(day: date) -> Session:
    """Return the session of this day.

    Raises:
        DataError: The market is closed on it, or it is outside the years that the calendar knows.
    """
    _check_known(day)
    number = schedule().index.get(day)
    if number is None:
        raise DataError(f"{day:%A} {day} is not a session: the stock market is closed")
    return schedule().sessions[number]


def sessions(first: date, last: date) -> list[Session]:
    """Return the sessions of [first, last], both included, oldest first.

    Raises:
        DataError: A bound is outside the years that the calendar knows.
    """
    _check_known(first)
    _check_known(last)
    known = schedule()
    start, end = bisect_left(known.days, first), bisect_right(known.days, last)
    return list(known.sessions[start:end])


def last_session(now: datetime, *, complete: bool = False) -> Session:
    """Return the newest session that has opened at `now`.

    Args:
        now: Aware time.
        complete: Ask for the newest that has closed instead.

    Raises:
        DataError: `now` is outside the years that the calendar knows.
    """
    return sessions_back(now, 1, complete=complete)[0]


def sessions_back(now: datetime, count: int, *, complete: bool = False) -> list[Session]:
    """Return the newest `count` sessions that have opened at `now`, oldest first.

    Args:
        now: Aware time.
        count: How many, at least 1.
        complete: Ask for the newest that have closed instead.

    Raises:
        ValueError: `count` is less than 1.
        DataError: They reach outside the years that the calendar knows.
    """
    if count < 1:
        raise ValueError(f"count is {count} and must be at least 1")
    _check_known(now.astimezone(NEW_YORK).date())
    known = schedule()
    end = bisect_right(known.closes if complete else known.opens, now)
    if end < count:
        raise DataError(f"{count} sessions back from {now:%Y-%m-%d} is before {FIRST_DAY}")
    return list(known.sessions[end - count : end])


def next_session(day: date) -> Session:
    """Return the first session after this day.

    Raises:
        DataError: It is outside the years that the calendar knows.
    """
    _check_known(day)
    known = schedule()
    number = bisect_right(known.days, day)
    if number == len(known.days):
        raise DataError(f"the calendar knows no session after {day}")
    return known.sessions[number]


def previous_session(day: date) -> Session:
    """Return the last session before this day.

    Raises:
        DataError: It is outside the years that the calendar knows.
    """
    return session_until(day - timedelta(days=1))


def session_until(day: date) -> Session:
    """Return the session of this day, or the last one before it when the market is closed on it.

    Raises:
        DataError: It is outside the years that the calendar knows.
    """
    _check_known(day)
    known = schedule()
    number = bisect_right(known.days, day)
    if number == 0:
        raise DataError(f"the calendar knows no session until {day}")
    return known.sessions[number - 1]


def extended_hours(session: Session) -> tuple[datetime, datetime]:
    """Return open of the pre-market and close of the post-market, UTC, as Schwab offers them.

    They are 07:00 and 20:00 New York; after an early close the post-market ends at 17:00.
    """
    end = _POSTMARKET_CLOSE_EARLY if session.early_close else _POSTMARKET_CLOSE
    return new_york(session.day, _PREMARKET_OPEN), new_york(session.day, end)


def minutes(session: Session) -> NDArray[np.datetime64]:
    """Return the starts of the regular one-minute bars, UTC, datetime64[ns]: 390, or 210."""
    number = schedule().index[session.day]
    first = schedule().opens_ns[number]
    steps = np.arange(session.regular_minutes, dtype=np.int64) * 60_000_000_000
    return np.asarray(first + steps).view("datetime64[ns]")


def _check_known(day: date) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DataError(f"{day} is outside the calendar, which knows {FIRST_DAY} to {LAST_DAY}")
