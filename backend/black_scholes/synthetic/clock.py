"""The clock of variance: which stretches of time move prices how much.

A usual session counts 1, of which the night before it has `OVERNIGHT_SHARE`. Days without a session
add a little to a night; a rate decision adds to a session, figures released before the open (jobs,
consumer prices) and a company's earnings add to a night. Prices move by this clock, and options are
worth by this clock what prices will move. Dates of events follow rules of the kind that the real
ones follow; they are not the real dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache

import numpy as np

from black_scholes.synthetic.draws import Floats, digest
from black_scholes.synthetic.names import is_fund_or_index
from utils.market_calendar import FIRST_DAY, LAST_DAY, Session, next_session, sessions

SESSIONS_A_YEAR = 252

OVERNIGHT_SHARE = 0.22
"""Part of a usual session's variance that falls between the previous close and its open."""

_CLOSED_DAY = 0.035
_RATE_DECISION, _JOBS, _PRICES = 0.45, 0.25, 0.4
_EARNINGS = 14.0
_DECISION_MONTHS = (1, 3, 5, 6, 7, 9, 11, 12)
_EARNINGS_MONTHS = (1, 4, 7, 10)


@cache
def all_sessions() -> tuple[Session, ...]:
    """Return every session that the calendar knows, oldest first; paths count along them."""
    return tuple(sessions(FIRST_DAY, LAST_DAY))


@cache
def session_numbers() -> dict[date, int]:
    """Return the number of each session in `all_sessions` by its day."""
    return {each.day: number for number, each in enumerate(all_sessions())}


@dataclass(frozen=True, slots=True, eq=False)
class VarianceClock:
    """The clock of an underlying, in usual sessions, by the number of the session.

    Attributes:
        night: What the time from the previous close to the open counts.
        hours: What the regular session counts.
        opens: The clock at the open.
        closes: The clock at the close.
    """

    night: Floats
    hours: Floats
    opens: Floats
    closes: Floats

    def at(self, number: int, elapsed: Floats) -> Floats:
        """Return the clock in a session, of whose variance a part has elapsed."""
        return np.asarray(self.opens[number] + self.hours[number] * elapsed)


@lru_cache(maxsize=512)
def variance_clock(ticker: str) -> VarianceClock:
    """Return the clock of an underlying."""
    shocks = None if is_fund_or_index(ticker) else digest("earnings", ticker) % 15
    return _clock(shocks)


@lru_cache(maxsize=20)
def _clock(earnings_shift: int | None) -> VarianceClock:
    """Return the clock of funds and indices (None), or of companies that report on a day."""
    days = [each.day for each in all_sessions()]
    between = np.diff([days[0].toordinal() - 1, *(day.toordinal() for day in days)])
    night = OVERNIGHT_SHARE + _CLOSED_DAY * np.minimum(between - 1.0, 4.0)
    hours = np.full(len(days), 1.0 - OVERNIGHT_SHARE)
    for year in range(days[0].year, days[-1].year + 1):
        for month in range(1, 13):
            _add(night, date(year, month, 1) + _to_weekday(date(year, month, 1), 4), _JOBS)
            _add(night, date(year, month, 11), _PRICES)
            if month in _DECISION_MONTHS:
                _add(
                    hours,
                    date(year, month, 15) + _to_weekday(date(year, month, 15), 2),
                    _RATE_DECISION,
                )
            if earnings_shift is not None and month in _EARNINGS_MONTHS:
                _add(night, date(year, month, 15) + timedelta(days=earnings_shift), _EARNINGS)
    scale = (night + hours).mean()
    night, hours = night / scale, hours / scale
    closes = np.cumsum(night + hours)
    return VarianceClock(night, hours, closes - hours, closes)


def _to_weekday(day: date, weekday: int) -> timedelta:
    return timedelta(days=(weekday - day.weekday()) % 7)


def _add(weights: Floats, day: date, extra: float) -> None:
    """Add to the first session on or after a day, if the calendar has it."""
    if FIRST_DAY <= day <= LAST_DAY - timedelta(days=7):
        number = session_numbers().get(next_session(day - timedelta(days=1)).day)
        if number is not None:
            weights[number] += extra
