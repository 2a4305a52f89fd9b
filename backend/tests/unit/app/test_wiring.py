"""Which source, which market time, which sessions: for any wall time and any wish."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from app import wiring
from app.request import Asked
from models.errors import ConfigError
from utils.market_calendar import NEW_YORK, extended_hours, session


def asked(**changes: Any) -> Asked:
    plain: dict[str, Any] = {
        "tickers": ("QQQ",),
        "days": None,
        "start": None,
        "end": None,
        "interval": "1m",
        "expirations": (0, 45),
        "source": "simulator",
        "clock": None,
        "seed": None,
    }
    return Asked(**(plain | changes))


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("wall", "market", "running"),
    [
        ("2026-11-21T03:00", "2026-11-20T16:00", False),  # Saturday
        ("2026-11-26T12:00", "2026-11-25T16:00", False),  # Thanksgiving
        ("2026-11-27T12:59", "2026-11-27T12:59", True),  # the half day after it
        ("2026-11-27T13:00", "2026-11-27T13:00", False),
        ("2026-12-24T12:00", "2026-12-24T12:00", True),
        ("2026-12-24T15:00", "2026-12-24T13:00", False),
        ("2026-12-25T12:00", "2026-12-24T13:00", False),
        ("2026-11-23T09:29", "2026-11-20T16:00", False),  # before the open
        ("2026-11-23T09:30", "2026-11-23T09:30", True),
        ("2026-11-23T18:00", "2026-11-23T16:00", False),
    ],
)
def test_market_time_of_a_simulator_of_our_own(wall: str, market: str, running: bool) -> None:
    with wiring.open_source(asked(), lambda: new_york(wall)) as source:
        assert source.clock() == new_york(market)
        assert source.market.origin == "simulator"
        assert len(source.sessions) == 5
        assert source.sessions[-1].day == new_york(market).date()
    start, speed = wiring.own_clock(asked(), new_york(wall))
    assert (start, speed > 0) == (new_york(market), running)


def test_recorded_days_are_replayed_whole() -> None:
    wish = asked(tickers=("GOOG",), start=date(2015, 12, 23), end=date(2015, 12, 24))
    with wiring.open_source(wish) as source:
        assert source.market.origin == "recorded"
        assert source.clock() == extended_hours(session(date(2015, 12, 24)))[1]
        assert [each.day.day for each in source.sessions] == [23, 24]


@pytest.mark.parametrize(
    "changes",
    [
        {"tickers": ("GOOG", "QQQ")},  # one of them is not recorded
        {"tickers": ("GOOG",), "end": date(2015, 12, 28), "start": date(2015, 12, 22)},
        {"tickers": ("GOOG",), "seed": 3},  # a seed is a wish for the generated world
    ],
)
def test_everything_else_is_generated(changes: dict[str, Any]) -> None:
    days = {"start": date(2015, 12, 23), "end": date(2015, 12, 24)}
    with wiring.open_source(asked(**(days | changes))) as source:
        assert source.market.origin == "simulator"


def test_a_clock_among_recorded_days_chooses_them() -> None:
    wish = asked(tickers=("GOOG",), days=2, clock=new_york("2015-12-24T10:00"))
    with wiring.open_source(wish) as source:
        assert source.market.origin == "recorded"
        assert source.clock() == new_york("2015-12-24T10:00")


def test_an_index_is_found_among_the_recorded() -> None:
    wish = asked(tickers=("SPX",), start=date(2021, 1, 4), end=date(2021, 1, 4))
    with wiring.open_source(wish) as source:
        assert source.market.origin == "recorded"


NOW = datetime(2026, 11, 20, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "first", "last", "count"),
    [
        ({}, "2026-11-16", "2026-11-20", 5),
        ({"days": 1}, "2026-11-20", "2026-11-20", 1),
        ({"days": 2, "end": date(2026, 11, 15)}, "2026-11-12", "2026-11-13", 2),
        ({"days": 1, "end": date(2030, 1, 1)}, "2026-11-20", "2026-11-20", 1),
        ({"start": date(2026, 11, 14)}, "2026-11-16", "2026-11-20", 5),
        ({"start": date(2026, 11, 19), "end": date(2026, 12, 31)}, "2026-11-19", "2026-11-20", 2),
    ],
)
def test_sessions_that_are_asked_for(
    changes: dict[str, Any], first: str, last: str, count: int
) -> None:
    found = wiring.sessions_of(asked(**changes), NOW)
    days = [each.day.isoformat() for each in found]
    assert (days[0], days[-1], len(days)) == (first, last, count)


@pytest.mark.parametrize(
    "changes",
    [
        {"start": date(2026, 11, 21)},
        {"start": date(2026, 11, 14), "end": date(2026, 11, 15)},
        {"start": date(1990, 1, 1)},
        {"end": date(1990, 1, 1)},
        {"start": date(2000, 1, 1)},
    ],
)
def test_sessions_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        wiring.sessions_of(asked(**changes), NOW)


def test_days_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="after --end"):
        asked(start=date(2026, 1, 2), end=date(2026, 1, 1))
    with pytest.raises(ConfigError, match="exclude each other"):
        asked(start=date(2026, 1, 2), days=3)
