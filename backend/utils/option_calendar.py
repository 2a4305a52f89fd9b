"""When options trade and expire, by rules and dated tables.

Equity options close with the stock market. Options on indices and on a list of exchange-traded
funds trade 15 minutes longer, also after an early close; a contract that expires on the day stops
with the stock market. Where sources disagree the earlier time stands here.

Import from `utils.market_calendar`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, TypeAlias

from utils.market_sessions import (
    FIRST_DAY,
    LAST_DAY,
    Session,
    is_session,
    next_session,
    session,
    session_until,
)

Settlement: TypeAlias = Literal["AM", "PM"]
"""AM: at the opening prices of the expiration day; PM: at the close."""

ExpirationKind: TypeAlias = Literal["S", "W", "M", "Q"]
"""S: standard, third Friday; W: weekly or daily; M: last session of a month; Q: of a quarter."""

LATE_MINUTES = timedelta(minutes=15)
"""How much longer the late classes trade."""

_EVER = date(1998, 1, 1)

_LATE_INDICES = frozenset(
    {"SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "MRUT", "DJX", "OEX", "XEO", "VIX", "VIXW"}
)

# fmt: off
_LATE_FUNDS = frozenset({
    "DBA", "DBB", "DBC", "DBO", "DIA", "EEM", "EFA", "IWM", "IWN", "IWO", "IWV", "KBE", "KRE",
    "MDY", "MOO", "OEF", "QQQ", "SLX", "SPY", "SVXY", "UNG", "UUP", "UVXY", "VIXM", "VIXY", "VXX",
    "VXZ", "XHB", "XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY", "XME", "XRT",
})
# fmt: on

LATE_CLOSES: tuple[tuple[date, frozenset[str]], ...] = (
    (_EVER, _LATE_INDICES),
    (_EVER, _LATE_FUNDS),
)
"""Option roots that trade 15 minutes longer, each set with the first day of the rule. Funds that
some brokers list and others do not (FXI, IYR, LQD, TLT) are left out: 16:00."""

AM_SETTLED = frozenset({"SPX", "NDX", "RUT", "MRUT", "DJX", "VIX", "VIXW"})
"""Roots whose contracts settle at the opening of their expiration day."""

_MONDAY, _TUESDAY, _WEDNESDAY, _THURSDAY, _FRIDAY = range(5)

_WEEKLIES_SINCE = date(2010, 6, 4)
_QUARTERLIES_SINCE = date(2006, 9, 29)
_FRIDAY_EXPIRATIONS_SINCE = date(2015, 2, 1)

_SPXW_DAYS = {
    _FRIDAY: date(2010, 12, 10),
    _WEDNESDAY: date(2016, 3, 2),
    _MONDAY: date(2016, 8, 22),
    _TUESDAY: date(2022, 4, 26),
    _THURSDAY: date(2022, 5, 19),
}
_DAILY_SINCE: dict[str, dict[int, date]] = {
    "SPXW": _SPXW_DAYS,
    "XSP": _SPXW_DAYS,
    "SPY": {
        _FRIDAY: _WEEKLIES_SINCE,
        _WEDNESDAY: date(2016, 9, 7),
        _MONDAY: date(2018, 2, 26),
        _TUESDAY: date(2022, 11, 22),
        _THURSDAY: date(2022, 11, 25),
    },
    "QQQ": {
        _FRIDAY: _WEEKLIES_SINCE,
        _WEDNESDAY: date(2017, 1, 11),
        _MONDAY: date(2018, 5, 14),
        _TUESDAY: date(2022, 11, 22),
        _THURSDAY: date(2022, 11, 25),
    },
    "IWM": {
        _FRIDAY: _WEEKLIES_SINCE,
        _WEDNESDAY: date(2017, 1, 11),
        _MONDAY: date(2018, 5, 14),
        _TUESDAY: date(2024, 5, 21),
        _THURSDAY: date(2024, 5, 23),
    },
}
"""First expiration of each weekday's series, to about a week."""

_WEEKLY = {_FRIDAY: _WEEKLIES_SINCE}
_MONTH_END_SINCE = {"SPXW": date(2014, 7, 31), "XSP": date(2014, 7, 31), "SPY": date(2022, 11, 30)}
_QUARTERLY_ROOTS = frozenset({"SPY", "QQQ", "IWM", "DIA", "SPXW", "XSP", "XLE", "XLF"})
_NO_WEEKLIES = frozenset({"SPX", "NDX", "RUT", "VIX", "DJX", "OEX"})


@dataclass(frozen=True, slots=True, order=True)
class Expiration:
    """One expiration of an option root.

    Attributes:
        day: The expiration date that the contract's symbol carries.
        kind: S, W, M or Q.
        settlement: AM or PM.
    """

    day: date
    kind: ExpirationKind
    settlement: Settlement


def settlement_of(root: str) -> Settlement:
    """Return how contracts of this option root settle."""
    return "AM" if root in AM_SETTLED else "PM"


def option_close(root: str, day: date, *, expiring: bool = False) -> datetime:
    """Return when options of this root stop trading on a session, UTC.

    Args:
        root: Option root, as SPXW or QQQ.
        day: A session.
        expiring: Ask for contracts whose last trading day this is.

    Raises:
        DataError: The day is no session.
    """
    close = session(day).close
    late = any(day >= since and root in roots for since, roots in LATE_CLOSES)
    if not late or (expiring and settlement_of(root) == "PM"):
        return close
    return close + LATE_MINUTES


def last_trading_session(root: str, expiration: date) -> Session:
    """Return the last session in which contracts of this expiration trade.

    AM-settled contracts stop on the session before their expiration day; an expiration on a day
    without session (standard ones were dated Saturday until 2015) means the session before it.

    Raises:
        DataError: The date is outside the years that the calendar knows.
    """
    if settlement_of(root) == "AM" and is_session(expiration):
        return session_until(expiration - timedelta(days=1))
    return session_until(expiration)


def third_friday(year: int, month: int) -> date:
    """Return the third Friday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def expirations(root: str, first: date, last: date) -> list[Expiration]:
    """Return every expiration of a root in [first, last] that the listing rules make, in order.

    Standard contracts expire on the third Friday (until January 2015 their symbols carried the
    Saturday after it), on Thursday when that Friday is a holiday. Weeklies expire on Fridays,
    those of the daily classes on more weekdays, each since the date in this module's table; a
    Monday holiday moves its series to the next session, any other holiday to the previous one. Of
    two rules for one day the one named first in S, Q, M, W gives the kind.

    Args:
        root: Option root. An unknown one is treated as a stock with weeklies.
        first: First day, included.
        last: Last day, included.

    Returns:
        None in the first and last week of the years that the calendar knows, nor outside them.
    """
    # A rule's nominal day may lie outside [first, last] while a holiday moves it inside.
    start = max(first - timedelta(days=7), FIRST_DAY + timedelta(days=7))
    end = min(last + timedelta(days=7), LAST_DAY - timedelta(days=7))
    days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    kinds: dict[date, ExpirationKind] = {}
    for kind, found in (
        ("W", _weeklies(root, days)),
        ("M", _month_ends(root, days)),
        ("Q", _quarter_ends(root, days)),
        ("S", _standards(root, days)),
    ):
        kinds |= dict.fromkeys(found, kind)  # type: ignore[arg-type]
    settlement = settlement_of(root)
    return [
        Expiration(day, kind, settlement)
        for day, kind in sorted(kinds.items())
        if first <= day <= last
    ]


def _standards(root: str, days: list[date]) -> list[date]:
    if root == "SPXW":
        return []
    fridays = [day for day in days if _is_third_friday(day)]
    return [
        session_until(day).day if day >= _FRIDAY_EXPIRATIONS_SINCE else day + timedelta(days=1)
        for day in fridays
    ]


def _weeklies(root: str, days: list[date]) -> list[date]:
    if root in _NO_WEEKLIES:
        return []
    since = _DAILY_SINCE.get(root, _WEEKLY)
    return [
        _moved(day)
        for day in days
        if day.weekday() in since and day >= since[day.weekday()] and not _saturday_dated(root, day)
    ]


def _saturday_dated(root: str, day: date) -> bool:
    """Return whether the contracts of this day are standard ones whose symbols say Saturday."""
    return root != "SPXW" and day < _FRIDAY_EXPIRATIONS_SINCE and _is_third_friday(day)


def _is_third_friday(day: date) -> bool:
    return day == third_friday(day.year, day.month)


def _moved(day: date) -> date:
    """Return the session that a weekday's series expires on when the day is a holiday."""
    if is_session(day):
        return day
    return next_session(day).day if day.weekday() == _MONDAY else session_until(day).day


def _month_ends(root: str, days: list[date]) -> list[date]:
    since = _MONTH_END_SINCE.get(root)
    return [day for day in _last_sessions(days) if since is not None and day >= since]


def _quarter_ends(root: str, days: list[date]) -> list[date]:
    if root not in _QUARTERLY_ROOTS:
        return []
    return [day for day in _last_sessions(days) if day.month % 3 == 0 and day >= _QUARTERLIES_SINCE]


def _last_sessions(days: list[date]) -> list[date]:
    """Return the last session of each month whose last day is among the days."""
    return [session_until(day).day for day in days if (day + timedelta(days=1)).day == 1]
