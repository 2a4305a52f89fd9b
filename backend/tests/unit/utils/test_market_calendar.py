"""The calendar against the market-hours table of an independent origin, and against known traps."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError
from utils.market_calendar import (
    FIRST_DAY,
    LAST_DAY,
    NEW_YORK,
    dte,
    expiry_moment,
    extended_hours,
    is_session,
    last_session,
    minutes,
    next_session,
    previous_session,
    session,
    session_until,
    sessions,
    sessions_back,
    trading_year_fraction,
    year_fraction,
    year_fractions,
)

HOURS = Path(__file__).parents[2] / "data" / "calendar" / "us_market_hours.json"
FIRST, LAST = date(1998, 1, 1), date(2027, 12, 31)

# The table's list of early closes starts in November 1999 and lacks the last day of that year; the
# exchange's own history has these three (13:00 each).
EARLY_CLOSES_MISSING_IN_TABLE = {date(1998, 11, 27), date(1998, 12, 24), date(1999, 12, 31)}
# A Sunday in the table.
NO_SESSION_IN_TABLE = {date(2017, 12, 24)}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def day_of(text: str) -> date:
    month, day, year = map(int, text.split("/"))
    return date(year, month, day)


def table() -> tuple[set[date], dict[date, str]]:
    entry = json.loads(HOURS.read_text())["entries"]["Equity-usa-[*]"]
    closes = {day_of(text): close for text, close in entry["earlyCloses"].items()}
    return {day_of(text) for text in entry["holidays"]}, closes


def test_sessions_are_those_of_the_market_hours_table() -> None:
    holidays, _ = table()
    days = (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))
    expected = [day for day in days if day.weekday() < 5 and day not in holidays]
    assert [each.day for each in sessions(FIRST, LAST)] == expected


def test_closes_are_those_of_the_market_hours_table() -> None:
    _, closes = table()
    for each in sessions(FIRST, LAST):
        early = each.day in closes or each.day in EARLY_CLOSES_MISSING_IN_TABLE
        assert each.open == at(f"{each.day} 09:30"), each
        assert each.close == at(f"{each.day} {'13:00' if early else '16:00'}"), each
        assert each.early_close == early, each
    known = {day for day in closes if FIRST <= day <= LAST} - NO_SESSION_IN_TABLE
    assert all(session(day).early_close for day in known)
    assert set(closes.values()) == {"13:00:00"}


@pytest.mark.parametrize("year", [2009, 2012, 2015, 2018, 2019, 2020, 2024, 2025, 2026])
def test_christmas_eve_on_a_weekday_closes_at_one(year: int) -> None:
    eve = session(date(year, 12, 24))
    assert eve.early_close
    assert eve.close == at(f"{year}-12-24 13:00")
    assert eve.regular_minutes == 210


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2001, 9, 11), "attacks"),
        (date(2001, 9, 14), "attacks"),
        (date(2004, 6, 11), "Reagan"),
        (date(2012, 10, 29), "hurricane"),
        (date(2018, 12, 5), "Bush"),
        (date(2022, 6, 20), "Juneteenth observed"),
        (date(2025, 1, 9), "Carter"),
        (date(2025, 4, 18), "Good Friday"),
        (date(2027, 6, 18), "Juneteenth observed on a Friday"),
        (date(2026, 11, 22), "Sunday"),
    ],
)
def test_closed_days(day: date, why: str) -> None:
    assert not is_session(day), why
    with pytest.raises(DataError, match=f"{day} is not a session"):
        session(day)


def test_new_year_on_a_saturday_closes_no_friday() -> None:
    assert is_session(date(2021, 12, 31))
    assert is_session(date(2010, 12, 31))


def test_leaps_and_generated_decades_are_inside_the_horizon() -> None:
    assert is_session(date(2028, 12, 15))
    assert session(date(2030, 1, 18)).close == at("2030-01-18 16:00")
    assert session(date(2029, 12, 24)).early_close
    assert LAST_DAY.year - 2026 >= 10


@pytest.mark.parametrize("day", [FIRST_DAY - timedelta(days=1), LAST_DAY + timedelta(days=1)])
def test_outside_the_horizon_is_an_error_and_no_wrong_answer(day: date) -> None:
    for ask in (is_session, session, next_session, session_until):
        with pytest.raises(DataError, match="outside the calendar"):
            ask(day)
    with pytest.raises(DataError, match="outside the calendar"):
        sessions(day, day)
    with pytest.raises(DataError, match="outside the calendar"):
        last_session(datetime.combine(day, datetime.min.time(), NEW_YORK))


def test_the_ends_of_the_horizon() -> None:
    with pytest.raises(DataError, match="no session after"):
        next_session(LAST_DAY)
    with pytest.raises(DataError, match="no session until"):
        session_until(FIRST_DAY)
    with pytest.raises(DataError, match="before 1998"):
        sessions_back(at("1998-01-05 10:00"), 3)


def test_daylight_saving_changes_shift_the_open_in_utc() -> None:
    assert session(date(2024, 3, 8)).open == datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    assert session(date(2024, 3, 11)).open == datetime(2024, 3, 11, 13, 30, tzinfo=UTC)
    assert session(date(2024, 11, 1)).close == datetime(2024, 11, 1, 20, 0, tzinfo=UTC)
    assert session(date(2024, 11, 4)).close == datetime(2024, 11, 4, 21, 0, tzinfo=UTC)
    # Before 2007 the change came on the first Sunday of April.
    assert session(date(2006, 3, 31)).open.hour == 14
    assert session(date(2006, 4, 3)).open.hour == 13


@pytest.mark.parametrize(
    ("day", "count", "last"),
    [("2024-07-03", 210, "16:59"), ("2024-07-05", 390, "19:59"), ("2015-12-24", 210, "17:59")],
)
def test_minutes_of_a_session(day: str, count: int, last: str) -> None:
    found = minutes(session(date.fromisoformat(day)))
    assert found.dtype == np.dtype("datetime64[ns]")
    assert len(found) == count
    assert found[-1] == np.datetime64(f"{day}T{last}", "ns")
    assert np.all(np.diff(found) == np.timedelta64(60, "s"))


def test_extended_hours() -> None:
    full, half = session(date(2024, 7, 5)), session(date(2024, 7, 3))
    assert extended_hours(full) == (at("2024-07-05 07:00"), at("2024-07-05 20:00"))
    assert extended_hours(half) == (at("2024-07-03 07:00"), at("2024-07-03 17:00"))


@pytest.mark.parametrize(
    ("now", "opened", "closed"),
    [
        ("2026-11-21 03:00", date(2026, 11, 20), date(2026, 11, 20)),  # Saturday night
        ("2026-11-23 09:29:59", date(2026, 11, 20), date(2026, 11, 20)),
        ("2026-11-23 09:30", date(2026, 11, 23), date(2026, 11, 20)),
        ("2026-11-23 15:59:59", date(2026, 11, 23), date(2026, 11, 20)),
        ("2026-11-23 16:00", date(2026, 11, 23), date(2026, 11, 23)),
        ("2026-11-26 12:00", date(2026, 11, 25), date(2026, 11, 25)),  # Thanksgiving
        ("2026-12-24 12:59", date(2026, 12, 24), date(2026, 12, 23)),
        ("2026-12-24 13:00", date(2026, 12, 24), date(2026, 12, 24)),
        ("2026-12-25 12:00", date(2026, 12, 24), date(2026, 12, 24)),
    ],
)
def test_newest_session(now: str, opened: date, closed: date) -> None:
    assert last_session(at(now)).day == opened
    assert last_session(at(now), complete=True).day == closed


def test_sessions_back_over_a_holiday() -> None:
    found = sessions_back(at("2026-11-30 08:00"), 5, complete=True)
    assert [each.day.day for each in found] == [20, 23, 24, 25, 27]
    with pytest.raises(ValueError, match="at least 1"):
        sessions_back(at("2026-11-30 08:00"), 0)


def test_neighbours_of_a_holiday_and_of_a_session() -> None:
    assert next_session(date(2026, 11, 26)).day == date(2026, 11, 27)
    assert previous_session(date(2026, 11, 26)).day == date(2026, 11, 25)
    assert next_session(date(2026, 11, 27)).day == date(2026, 11, 30)
    assert previous_session(date(2026, 11, 27)).day == date(2026, 11, 25)
    assert session_until(date(2026, 11, 27)).day == date(2026, 11, 27)


def test_a_lookup_is_cheap() -> None:
    session(date(2024, 7, 3))  # reads the schedule
    started = time.process_time()
    for _ in range(20_000):
        session(date(2024, 7, 3))
    assert time.process_time() - started < 0.5


def test_dte_counts_new_york_days() -> None:
    assert dte(at("2026-11-20 23:59"), date(2026, 11, 20)) == 0
    assert dte(datetime(2026, 11, 21, 4, 30, tzinfo=UTC), date(2026, 11, 20)) == 0
    assert dte(at("2026-11-20 12:00"), date(2026, 12, 18)) == 28
    assert dte(at("2026-11-20 12:00"), date(2026, 11, 19)) == -1


def test_year_fraction_to_the_minute_on_the_last_day() -> None:
    day = date(2026, 11, 20)
    assert year_fraction(at("2026-11-20 15:00"), day) == pytest.approx(60 / 525_600, rel=1e-12)
    assert year_fraction(at("2026-11-20 15:59:30"), day) == pytest.approx(0.5 / 525_600, rel=1e-9)
    assert year_fraction(at("2026-11-20 16:00"), day) == 0
    assert year_fraction(at("2026-11-23 09:30"), day) == 0


def test_the_last_moment_of_contracts() -> None:
    assert expiry_moment(date(2015, 12, 24)) == at("2015-12-24 13:00")
    assert expiry_moment(date(2014, 6, 21)) == at("2014-06-20 16:00")  # dated Saturday
    assert expiry_moment(date(2026, 11, 20), root="SPX") == at("2026-11-20 09:30")
    assert expiry_moment(date(2026, 11, 20), root="SPXW") == at("2026-11-20 16:00")


def test_year_fraction_counts_the_hour_that_daylight_saving_gives() -> None:
    fraction = year_fraction(at("2024-11-01 16:00"), date(2024, 11, 4))
    assert fraction == pytest.approx((3 * 24 + 1) * 60 / 525_600, rel=1e-12)


def test_trading_year_fraction() -> None:
    last = date(2026, 11, 27)
    assert trading_year_fraction(at("2026-11-25 15:00"), last) == pytest.approx(
        (60 + 210) / (252 * 390), rel=1e-12
    )
    assert trading_year_fraction(at("2026-11-26 15:00"), last) == pytest.approx(
        210 / (252 * 390), rel=1e-12
    )
    assert trading_year_fraction(at("2026-11-27 13:00"), last) == 0
    year = trading_year_fraction(at("2025-01-01 00:00"), date(2025, 12, 31))
    assert year == pytest.approx(250 / 252, abs=0.01)


def test_trading_year_fraction_of_am_settled_contracts_ends_the_evening_before() -> None:
    now = at("2026-11-19 15:00")
    left = trading_year_fraction(now, date(2026, 11, 20), root="SPX")
    assert left == pytest.approx(60 / (252 * 390), rel=1e-12)


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1998, 1, 10), datetime(2045, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
            st.integers(-400, 1500),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_many_year_fractions_equal_one_by_one(rows: list[tuple[datetime, int, bool]]) -> None:
    dates = [
        min(max(now.date() + timedelta(days=days), FIRST_DAY + timedelta(days=2)), LAST_DAY)
        for now, days, _ in rows
    ]
    ns = [round((now - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000 for now, _, _ in rows]  # fmt: skip
    am = np.array([flag for _, _, flag in rows])
    found = year_fractions(np.array(ns), np.array(dates, "datetime64[D]"), am_settled=am)
    for (now, _, flag), day, fraction in zip(rows, dates, found, strict=True):
        expected = year_fraction(now, day, root="SPX" if flag else "SPXW")
        assert fraction == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_year_fractions_of_dates_that_nobody_knows_are_nan() -> None:
    days = np.array(["NaT", "1997-12-31", "2046-01-02", "2026-11-20"], "datetime64[D]")
    found = year_fractions(np.array([0]), days)
    assert np.isnan(found).tolist() == [True, True, True, False]
