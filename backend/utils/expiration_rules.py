"""Which expirations an option root has, by the exchanges' listing rules.

`expirations` gives every one that the rules ever make, `listed_expirations` those that stand in a
chain on a given day. The first days in the tables are those of the exchanges' rule approvals
(Federal Register 86 FR 22082 for Monday and Wednesday QQQ, 86 FR 56308 for IWM, 87 FR 68769 for
Tuesday and Thursday SPY and QQQ) and announcements, right to about two weeks.

Import from `utils.market_calendar`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

from models.symbols import Settlement, settlement_of
from utils.market_sessions import FIRST_DAY, LAST_DAY, is_session, next_session, session_until

ExpirationKind: TypeAlias = Literal["S", "W", "M", "Q"]
"""S: standard, third Friday; W: weekly or daily; M: last session of a month; Q: of a quarter."""

_MONDAY, _TUESDAY, _WEDNESDAY, _THURSDAY, _FRIDAY = range(5)

_WEEKLIES_SINCE = date(2010, 6, 4)
_QUARTERLIES_SINCE = date(2006, 9, 29)
_FRIDAY_DATED_SINCE = date(2015, 2, 1)

_SeriesByWeekday: TypeAlias = Mapping[int, date]

_WEEKLY: _SeriesByWeekday = {_FRIDAY: _WEEKLIES_SINCE}
_INDEX_DAILY: _SeriesByWeekday = {
    _FRIDAY: date(2010, 12, 10),
    _WEDNESDAY: date(2016, 3, 2),
    _MONDAY: date(2016, 8, 22),
    _TUESDAY: date(2022, 4, 26),
    _THURSDAY: date(2022, 5, 19),
}
_MEGA_CAP: _SeriesByWeekday = {
    _FRIDAY: _WEEKLIES_SINCE,
    _MONDAY: date(2026, 2, 2),
    _WEDNESDAY: date(2026, 2, 4),
}
_WEEKDAYS: Mapping[str, _SeriesByWeekday] = {
    "SPXW": _INDEX_DAILY,
    "XSP": _INDEX_DAILY,
    "SPY": {
        _FRIDAY: _WEEKLIES_SINCE,
        _WEDNESDAY: date(2016, 9, 7),
        _MONDAY: date(2018, 2, 26),
        _TUESDAY: date(2022, 11, 15),
        _THURSDAY: date(2022, 11, 17),
    },
    "QQQ": {
        _FRIDAY: _WEEKLIES_SINCE,
        _MONDAY: date(2021, 5, 3),
        _WEDNESDAY: date(2021, 5, 5),
        _TUESDAY: date(2022, 11, 15),
        _THURSDAY: date(2022, 11, 17),
    },
    "IWM": {
        _FRIDAY: _WEEKLIES_SINCE,
        _MONDAY: date(2021, 10, 11),
        _WEDNESDAY: date(2021, 10, 13),
        _TUESDAY: date(2024, 5, 14),
        _THURSDAY: date(2024, 5, 16),
    },
    **dict.fromkeys(
        ("AAPL", "AMZN", "AVGO", "GOOGL", "IBIT", "META", "MSFT", "NVDA", "TSLA"), _MEGA_CAP
    ),
}
"""First expiration of each weekday's series; roots not named have Fridays."""

_MONTH_ENDS_SINCE: Mapping[str, date] = {
    "SPXW": date(2014, 7, 31),
    "XSP": date(2014, 7, 31),
    "SPY": date(2023, 8, 31),
    "QQQ": date(2023, 8, 31),
    "IWM": date(2023, 8, 31),
}
_QUARTERLY_ROOTS = frozenset({"SPY", "QQQ", "IWM", "DIA", "SPXW", "XSP", "XLE", "XLF"})
_STANDARD_ONLY = frozenset({"SPX", "NDX", "RUT", "MRUT", "DJX", "OEX", "XEO", "VIX"})
_WEEKLY_ONLY = frozenset({"SPXW", "NDXP", "RUTW"})
"""Roots without standard expirations: their third Fridays are PM-settled weeklies."""

_LONGEST = timedelta(days=900)


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


def third_friday(year: int, month: int) -> date:
    """Return the third Friday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def expirations(root: str, first: date, last: date) -> list[Expiration]:
    """Return every expiration of a root in [first, last] that the listing rules make, in order.

    Standard contracts expire on the third Friday (until January 2015 their symbols carried the
    Saturday after it), on Thursday when that Friday is a holiday; those of VIX on the Wednesday 30
    days before the third Friday of the next month. Weeklies expire on Fridays, those of the daily
    classes on more weekdays, each since the date in this module's table; a Monday holiday moves its
    series to the next session, any other holiday to the previous one. Where several rules make one
    day, the kind is the first that fits of: S, Q, W on a Friday, M, W.

    Args:
        root: Option root. An unknown one is treated as a stock with weeklies.
        first: First day, included.
        last: Last day, included.

    Returns:
        None in the first and last weeks of the years that the calendar knows, nor outside them.
    """
    return list(_expirations(root, first, last))


@lru_cache(maxsize=512)
def _expirations(root: str, first: date, last: date) -> tuple[Expiration, ...]:
    # A rule's nominal day may lie outside [first, last] while a holiday moves it inside.
    days = _days(first - timedelta(days=7), last + timedelta(days=7))
    rules: tuple[tuple[ExpirationKind, list[date]], ...] = (
        ("W", _weeklies(root, [day for day in days if day.weekday() != _FRIDAY])),
        ("M", _month_ends(root, days)),
        ("W", _weeklies(root, [day for day in days if day.weekday() == _FRIDAY])),
        ("Q", _quarter_ends(root, days)),
        ("S", _standards(root, days)),
    )
    kinds: dict[date, ExpirationKind] = {}
    for kind, found in rules:
        kinds |= dict.fromkeys(found, kind)
    settlement = settlement_of(root)
    return tuple(
        Expiration(day, kind, settlement)
        for day, kind in sorted(kinds.items())
        if first <= day <= last
    )


def listed_expirations(root: str, on: date) -> list[Expiration]:
    """Return the expirations that a chain of this root shows on a day, in order.

    An approximation of what exchanges list, measured on real chains of SPY (2025), QQQ, AAPL and
    TSLA (2026): series of Monday to Thursday for this and the next week, Fridays 45 days ahead,
    month ends 60, quarter ends 366; every month's standard contract 250 days ahead, those of the
    quarterly months 540, and the long ones of June 730, January 850 and December 900 days.

    Args:
        root: Option root.
        on: The day; an expiration of the day itself is included.
    """
    return [
        each for each in expirations(root, on, on + _LONGEST) if each.day - on <= _ahead(each, on)
    ]


def _ahead(expiration: Expiration, on: date) -> timedelta:
    """Return how long before its day an expiration is listed."""
    day = expiration.day
    friday = third_friday(day.year, day.month)
    match expiration.kind:
        case "Q":
            days = 366
        case "M":
            days = 60
        case "W" if day != session_until(friday).day:
            days = 45 if _is_friday_series(day) else _to_next_friday(on)
        case _:
            days = {1: 850, 6: 730, 12: 900, 3: 540, 9: 540}.get(day.month, 250)
    return timedelta(days=days)


def _is_friday_series(day: date) -> bool:
    """Return whether a day is a Friday, or the session before a Friday without session."""
    friday = day + timedelta(days=_FRIDAY - day.weekday())
    return session_until(friday).day == day


def _to_next_friday(on: date) -> int:
    """Return the days to the Friday of the next week; a weekend belongs to the week it precedes."""
    return (_FRIDAY - on.weekday()) % 7 + 7


def _days(first: date, last: date) -> list[date]:
    """Return the days of [first, last] whose neighbouring weeks the calendar knows."""
    start = max(first, FIRST_DAY + timedelta(days=7))
    end = min(last, LAST_DAY - timedelta(days=60))
    return [start + timedelta(days=offset) for offset in range((end - start).days + 1)]


def _weeklies(root: str, days: list[date]) -> list[date]:
    if root in _STANDARD_ONLY:
        return []
    since = _WEEKDAYS.get(root, _WEEKLY)
    return [
        _moved(day)
        for day in days
        if day >= since.get(day.weekday(), LAST_DAY) and not _is_saturday_dated(root, day)
    ]


def _moved(day: date) -> date:
    """Return the session that a weekday's series expires on when the day is a holiday."""
    if is_session(day):
        return day
    return next_session(day).day if day.weekday() == _MONDAY else session_until(day).day


def _is_saturday_dated(root: str, day: date) -> bool:
    """Return whether the contracts of this Friday are standard ones whose symbols say Saturday."""
    return root not in _WEEKLY_ONLY and day < _FRIDAY_DATED_SINCE and _is_third_friday(day)


def _is_third_friday(day: date) -> bool:
    return day == third_friday(day.year, day.month)


def _standards(root: str, days: list[date]) -> list[date]:
    if root in _WEEKLY_ONLY:
        return []
    if root == "VIX":
        fridays = [day + timedelta(days=30) for day in days if day.weekday() == _WEDNESDAY]
        nominal = [day - timedelta(days=30) for day in fridays if _is_third_friday(day)]
        return [session_until(day).day for day in nominal]
    return [
        day + timedelta(days=1) if _is_saturday_dated(root, day) else session_until(day).day
        for day in days
        if _is_third_friday(day)
    ]


def _month_ends(root: str, days: list[date]) -> list[date]:
    since = _MONTH_ENDS_SINCE.get(root, LAST_DAY)
    return [day for day in _last_sessions(days) if day >= since]


def _quarter_ends(root: str, days: list[date]) -> list[date]:
    if root not in _QUARTERLY_ROOTS:
        return []
    return [day for day in _last_sessions(days) if day.month % 3 == 0 and day >= _QUARTERLIES_SINCE]


def _last_sessions(days: list[date]) -> list[date]:
    """Return the last session of each month whose last day is among the days."""
    return [session_until(day).day for day in days if (day + timedelta(days=1)).day == 1]
