"""Option closes and expirations against real chains and the rules of the exchanges."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import DataError
from utils.market_calendar import (
    NEW_YORK,
    expirations,
    is_session,
    last_trading_session,
    listed_expirations,
    option_close,
    session,
    settlement_of,
    third_friday,
)

DATA = Path(__file__).parents[2] / "data"

# Expirations that stood in real chains: root, day of the chain, dates. The first three are the
# market files of 2014 and 2015, the others chains of July and August 2026.
CHAINS = {
    ("TWX", "2014-06-05"): "2014-06-21 2014-07-19 2014-10-18 2015-01-17 2016-01-15",
    ("AAPL", "2014-06-05"): (
        "2014-06-06 2014-06-13 2014-06-21 2014-06-27 2014-07-03 2014-07-11 2014-07-19 2014-07-25 "
        "2014-08-16 2014-10-18 2015-01-17 2015-04-17 2016-01-15"
    ),
    ("GOOG", "2015-12-24"): (
        "2015-12-24 2015-12-31 2016-01-08 2016-01-15 2016-01-22 2016-01-29 2016-02-05 2016-02-19 "
        "2016-03-18 2016-06-17 2017-01-20 2018-01-19"
    ),
    ("QQQ", "2026-07-14"): (
        "2026-07-14 2026-07-15 2026-07-16 2026-07-17 2026-07-20 2026-07-21 2026-07-22 2026-07-23 "
        "2026-07-24 2026-07-31 2026-08-07 2026-08-14 2026-08-21 2026-08-28 2026-08-31 2026-09-18 "
        "2026-09-30 2026-10-16 2026-12-18 2026-12-31 2027-01-15 2027-02-19 2027-03-19 2027-03-31 "
        "2027-06-17 2027-06-30 2027-09-17 2027-12-17 2028-01-21 2028-06-16 2028-12-15"
    ),
    ("AAPL", "2026-07-15"): (
        "2026-07-15 2026-07-17 2026-07-20 2026-07-22 2026-07-24 2026-07-31 2026-08-07 2026-08-14 "
        "2026-08-21 2026-08-28 2026-09-18 2026-10-16 2026-11-20 2026-12-18 2027-01-15 2027-02-19 "
        "2027-03-19 2027-06-17 2027-09-17 2027-12-17 2028-01-21 2028-03-17 2028-12-15"
    ),
    ("TSLA", "2026-08-22"): (
        "2026-08-24 2026-08-26 2026-08-28 2026-09-04 2026-09-11 2026-09-18 2026-09-25 2026-10-02 "
        "2026-10-16 2026-11-20 2026-12-18 2027-01-15 2027-02-19 2027-03-19 2027-06-17 2027-09-17 "
        "2027-12-17 2028-01-21 2028-06-16 2028-12-15"
    ),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def days_of(root: str, first: str, last: str) -> list[str]:
    found = expirations(root, date.fromisoformat(first), date.fromisoformat(last))
    return [f"{each.day} {each.kind}" for each in found]


@pytest.mark.parametrize(
    ("root", "day", "expiring", "close"),
    [
        ("AAPL", "2026-11-20", False, "16:00"),
        ("QQQ", "2026-11-20", False, "16:15"),
        ("QQQ", "2026-11-20", True, "16:00"),
        ("SPXW", "2026-11-20", False, "16:15"),
        ("SPXW", "2026-11-20", True, "16:00"),
        ("SPX", "2026-11-19", True, "16:15"),
        ("TLT", "2026-11-20", False, "16:00"),
        ("AAPL", "2026-12-24", False, "13:00"),
        ("SPY", "2026-12-24", False, "13:15"),
        ("SPXW", "2026-12-24", False, "13:15"),
        ("SPXW", "2026-12-24", True, "13:00"),
        ("GOOG", "2015-12-24", True, "13:00"),
        ("UNKNOWN", "2026-11-27", False, "13:00"),
    ],
)
def test_option_close(root: str, day: str, *, expiring: bool, close: str) -> None:
    found = option_close(root, date.fromisoformat(day), expiring=expiring)
    assert found == at(f"{day} {close}")


def test_options_have_no_close_on_a_holiday() -> None:
    with pytest.raises(DataError, match="not a session"):
        option_close("SPY", date(2026, 12, 25))


def test_last_trading_session() -> None:
    assert last_trading_session("SPX", date(2026, 11, 20)).day == date(2026, 11, 19)
    assert last_trading_session("SPXW", date(2026, 11, 20)).day == date(2026, 11, 20)
    assert last_trading_session("AAPL", date(2014, 6, 21)).day == date(2014, 6, 20)
    assert last_trading_session("SPX", date(2014, 6, 21)).day == date(2014, 6, 20)


@pytest.mark.parametrize(("root", "settlement"), [("SPX", "AM"), ("SPXW", "PM"), ("QQQ", "PM")])
def test_settlement(root: str, settlement: str) -> None:
    assert settlement_of(root) == settlement
    found = expirations(root, date(2026, 11, 1), date(2026, 11, 30))
    assert {each.settlement for each in found} == {settlement}


@pytest.mark.parametrize(("root", "day"), CHAINS)
def test_rules_make_every_expiration_of_real_chains(root: str, day: str) -> None:
    real = {date.fromisoformat(text) for text in CHAINS[root, day].split()}
    made = {each.day for each in expirations(root, min(real), max(real))}
    assert real <= made


def test_kinds_are_those_that_schwab_sends() -> None:
    reply = json.loads((DATA / "schwab_captured" / "expiration_chain.json").read_text())
    real = {each["expirationDate"]: each["expirationType"] for each in reply["expirationList"]}
    made = expirations("SPY", date(2025, 7, 20), date(2027, 12, 31))
    kinds = {str(each.day): each.kind for each in made}
    assert {day: kinds.get(day) for day in real} == real


@pytest.mark.parametrize(
    ("root", "day"), [pair for pair in CHAINS if pair[1] > "2026"], ids=lambda value: value
)
def test_listed_expirations_are_nearly_those_of_a_real_chain(root: str, day: str) -> None:
    on = date.fromisoformat(day)
    listed = {each.day for each in listed_expirations(root, on)}
    # AAPL lists Wednesdays only where no earnings fall, so its first day is not compared.
    real = {date.fromisoformat(text) for text in CHAINS[root, day].split()}
    assert len(listed ^ real) <= 4, sorted(listed ^ real)


def test_thirty_sessions_of_qqq_have_a_contract_that_expires_today() -> None:
    for day in ("2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"):
        on = date.fromisoformat(day)
        assert listed_expirations("QQQ", on)[0].day == on


@pytest.mark.parametrize(
    ("year", "month", "expiry"),
    [
        (2019, 4, "2019-04-18"),  # Good Friday
        (2025, 4, "2025-04-17"),  # Good Friday 18 April is the third Friday
        (2022, 4, "2022-04-14"),
        (2026, 6, "2026-06-18"),  # Juneteenth
        (2027, 6, "2027-06-17"),  # Juneteenth observed
        (2024, 3, "2024-03-15"),
    ],
)
def test_monthlies_move_to_thursday_on_a_holiday(year: int, month: int, expiry: str) -> None:
    for root in ("SPY", "AAPL", "SPX"):
        found = expirations(root, date(year, month, 1), date(year, month, 28))
        standard = [str(each.day) for each in found if each.kind == "S"]
        assert standard == [expiry]


def test_monthlies_carried_saturdays_until_2015() -> None:
    assert "2015-01-17 S" in days_of("AAPL", "2015-01-01", "2015-01-31")
    assert "2015-01-16 W" not in days_of("AAPL", "2015-01-01", "2015-01-31")
    assert "2015-02-20 S" in days_of("AAPL", "2015-02-01", "2015-02-28")


def test_dailies_began_on_their_dates() -> None:
    week = ("2022-11-07", "2022-11-11")
    assert days_of("QQQ", *week) == ["2022-11-07 W", "2022-11-09 W", "2022-11-11 W"]
    assert days_of("QQQ", "2022-11-28", "2022-12-02") == [
        "2022-11-28 W",
        "2022-11-29 W",
        "2022-11-30 W",
        "2022-12-01 W",
        "2022-12-02 W",
    ]
    assert days_of("QQQ", "2020-02-03", "2020-02-07") == ["2020-02-07 W"]
    assert days_of("SPY", "2020-02-03", "2020-02-07") == [
        "2020-02-03 W",
        "2020-02-05 W",
        "2020-02-07 W",
    ]
    assert days_of("SPXW", "2021-01-04", "2021-01-08") == [
        "2021-01-04 W",
        "2021-01-06 W",
        "2021-01-08 W",
    ]
    assert days_of("QQQ", "2009-02-02", "2009-02-13") == []


def test_every_session_is_an_expiration_of_the_daily_classes() -> None:
    for root in ("SPY", "QQQ", "SPXW"):
        found = expirations(root, date(2023, 1, 1), date(2026, 12, 31))
        every = [date(2023, 1, 1) + timedelta(days=n) for n in range(365 * 4 + 1)]
        assert [each.day for each in found] == [day for day in every if is_session(day)]


def test_holidays_move_weeklies() -> None:
    # Friday 3 July 2026 is a holiday: Thursday. Monday 20 January 2020 was one: SPY's went Tuesday.
    assert "2026-07-02 W" in days_of("MSFT", "2026-06-29", "2026-07-03")
    assert days_of("SPY", "2020-01-20", "2020-01-24") == [
        "2020-01-21 W",
        "2020-01-22 W",
        "2020-01-24 W",
    ]


def test_quarter_and_month_ends() -> None:
    assert "2026-06-30 Q" in days_of("QQQ", "2026-06-01", "2026-06-30")
    assert "2024-03-28 Q" in days_of("SPY", "2024-03-01", "2024-03-31")  # before Good Friday
    assert "2026-08-31 M" in days_of("QQQ", "2026-08-01", "2026-08-31")
    assert "2026-06-30 Q" not in days_of("AAPL", "2026-06-01", "2026-06-30")


def test_index_roots() -> None:
    assert days_of("SPX", "2026-11-01", "2026-12-31") == ["2026-11-20 S", "2026-12-18 S"]
    assert "2026-11-20 W" in days_of("SPXW", "2026-11-01", "2026-11-30")
    assert days_of("VIX", "2026-11-01", "2027-01-31") == [
        "2026-11-18 S",
        "2026-12-16 S",
        "2027-01-20 S",
    ]


def test_leaps_reach_three_januaries() -> None:
    listed = [each.day for each in listed_expirations("QQQ", date(2026, 11, 20))]
    assert date(2028, 1, 21) in listed
    assert date(2029, 1, 19) in listed


def test_every_expiration_since_2015_is_a_session_and_none_is_doubled() -> None:
    for root in ("SPY", "SPX", "SPXW", "IWM", "KO", "NVDA"):
        found = [each.day for each in expirations(root, date(2015, 2, 1), date(2044, 12, 31))]
        assert found == sorted(set(found))
        assert all(session(day) for day in found)


@pytest.mark.parametrize("year", range(1998, 2046))
def test_third_fridays(year: int) -> None:
    for month in range(1, 13):
        day = third_friday(year, month)
        assert day.weekday() == 4
        assert 15 <= day.day <= 21
