"""The market's clock at every awkward hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.errors import ConfigError
from simulator.clock import MovableClock, market_clock, parse_start
from utils.market_calendar import NEW_YORK


class HandClock:
    """A wall clock that a test moves."""

    def __init__(self, start: datetime) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("wall", "start"),
    [
        pytest.param("2026-11-21T03:00", "2026-11-20T09:30", id="saturday-3-am"),
        pytest.param("2026-11-26T12:00", "2026-11-25T09:30", id="thanksgiving"),
        pytest.param("2026-11-23T09:29", "2026-11-20T09:30", id="monday-before-the-open"),
        pytest.param("2026-11-23T09:30", "2026-11-23T09:30", id="monday-at-the-open"),
        pytest.param("2026-11-23T12:34", "2026-11-23T12:34", id="in-a-session"),
        pytest.param("2026-11-23T16:00", "2026-11-23T09:30", id="at-the-close"),
        pytest.param("2026-12-24T12:59", "2026-12-24T12:59", id="24-december-open"),
        pytest.param("2026-12-24T13:00", "2026-12-24T09:30", id="24-december-closed"),
        pytest.param("2026-12-25T10:00", "2026-12-24T09:30", id="christmas"),
        pytest.param("2027-01-01T10:00", "2026-12-31T09:30", id="new-year"),
    ],
)
def test_now_is_the_session_or_a_replay_of_the_last(wall: str, start: str) -> None:
    assert parse_start("now", new_york(wall)) == new_york(start)


def test_a_time_without_zone_is_new_york() -> None:
    wall = new_york("2026-11-21")
    assert parse_start("2015-12-24T09:30", wall) == datetime(2015, 12, 24, 14, 30, tzinfo=UTC)
    assert parse_start("2015-07-01T09:30", wall) == datetime(2015, 7, 1, 13, 30, tzinfo=UTC)
    assert parse_start("2015-12-24T09:30Z", wall) == datetime(2015, 12, 24, 9, 30, tzinfo=UTC)
    assert parse_start(" 2015-12-24 ", wall) == datetime(2015, 12, 24, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "24.12.2015", "2015-02-30T10:00"])
def test_other_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="--clock must be"):
        parse_start(text, datetime.now(UTC))


@pytest.mark.parametrize(
    "text", ["1997-12-31T10:00", "2090-01-02", "9999-12-31T23:59", "0001-01-01T00:00+23:00"]
)
def test_a_time_outside_the_calendar_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="--clock must lie between 1998-02-01 and 2044-12-30"):
        parse_start(text, datetime.now(UTC))


@pytest.mark.parametrize(("speed", "minutes"), [(0, 0), (1, 10), (60, 600), (0.5, 5)])
def test_market_time_runs_at_its_speed(speed: float, minutes: float) -> None:
    wall = HandClock(datetime(2026, 11, 21, 8, 0, tzinfo=UTC))
    start = new_york("2015-12-24T09:30")
    clock = market_clock(start, speed, wall)
    assert clock() == start
    wall.time += timedelta(minutes=10)
    assert clock() == start + timedelta(minutes=minutes)
    assert clock().tzinfo is UTC


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_no_other_speed(speed: float) -> None:
    with pytest.raises(ConfigError, match="--speed"):
        market_clock(datetime.now(UTC), speed)


def test_a_moved_clock_goes_on_from_there_and_never_back() -> None:
    wall = HandClock(new_york("2026-11-20T09:00"))
    clock = MovableClock(market_clock(new_york("2026-11-20T12:00"), 0.0, wall))
    clock.move(new_york("2026-11-20T13:00"), 2.0)
    wall.time += timedelta(minutes=5)
    assert clock() == new_york("2026-11-20T13:10")
    clock.move(speed=0.0)
    wall.time += timedelta(minutes=5)
    assert (clock(), clock.speed) == (new_york("2026-11-20T13:10"), 0.0)
    with pytest.raises(ConfigError, match="never goes back"):
        clock.move(new_york("2026-11-20T13:09"))
    with pytest.raises(ConfigError, match="frozen"):
        clock.move(speed=-1.0)
    assert clock() == new_york("2026-11-20T13:10")


def test_a_held_clock_stands_until_it_is_released() -> None:
    wall = HandClock(new_york("2026-11-20T09:00"))
    clock = MovableClock(market_clock(new_york("2026-11-20T12:00"), 60.0, wall), held=True)
    wall.time += timedelta(minutes=5)
    assert (clock(), clock.speed, clock.held) == (new_york("2026-11-20T12:00"), 60.0, True)
    clock.move(new_york("2026-11-20T13:00"), 2.0)
    wall.time += timedelta(minutes=5)
    assert clock() == new_york("2026-11-20T13:00")
    clock.release()
    wall.time += timedelta(minutes=5)
    clock.release()
    assert (clock(), clock.held) == (new_york("2026-11-20T13:10"), False)
    clock.hold()
    wall.time += timedelta(minutes=5)
    assert clock() == new_york("2026-11-20T13:10")
