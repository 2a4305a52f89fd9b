"""What is missing, by calendar and coverage."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from models.tables import COVERAGE, frame_schema
from pipeline import plan
from utils import market_calendar

FRIDAY = market_calendar.session(date(2026, 11, 20))
EVE = market_calendar.session(date(2015, 12, 24))


def coverage(*rows: dict[str, object]) -> pl.DataFrame:
    base = {
        "ticker": "QQQ",
        "dataset": "equity_bars_1m",
        "session": FRIDAY.day,
        "status": "complete",
        "rows": 1,
        "missing": 0,
        "content_hash": "",
        "checked_at": FRIDAY.close,
        "asked_at": FRIDAY.close,
        "source": "schwab",
        "origin": "simulator",
    }
    return pl.DataFrame([base | row for row in rows], schema=frame_schema(COVERAGE))


def test_an_intraday_slot_spans_the_day_up_to_the_end_of_the_post_market() -> None:
    slot = plan.slots([EVE], "1m")[0]
    assert slot.start == datetime(2015, 12, 24, 5, tzinfo=UTC)
    assert slot.settled == datetime(2015, 12, 24, 18, tzinfo=UTC)
    assert slot.end == datetime(2015, 12, 24, 22, tzinfo=UTC)
    assert slot.expected(slot.end).len() == 210


@pytest.mark.parametrize(("interval", "count"), [("1m", 390), ("5m", 78), ("30m", 13), ("1d", 1)])
def test_expected_bars_of_a_full_session(interval: str, count: int) -> None:
    slot = plan.slots([FRIDAY], interval)[0]
    assert slot.expected(FRIDAY.close).len() == count
    assert slot.expected(slot.start).len() == 0


def test_only_finished_bars_count() -> None:
    slot = plan.slots([FRIDAY], "5m")[0]
    now = FRIDAY.open + timedelta(minutes=14, seconds=59)
    assert slot.until(now) == FRIDAY.open + timedelta(minutes=10)
    assert slot.expected(now).to_list() == [FRIDAY.open, FRIDAY.open + timedelta(minutes=5)]


def test_a_week_is_one_slot_that_starts_with_its_first_session() -> None:
    days = market_calendar.sessions(date(2026, 9, 8), date(2026, 9, 18))
    first, second = plan.slots(days, "1w")
    assert (first.session, second.session) == (date(2026, 9, 8), date(2026, 9, 14))  # Labor Day
    assert first.settled.date() == date(2026, 9, 11)


def test_everything_is_missing_where_nothing_is_stored() -> None:
    days = market_calendar.sessions_back(FRIDAY.close, 5)
    todo = plan.missing_slots(plan.slots(days, "1m"), coverage(), FRIDAY.close)
    assert [slot.session for slot in todo] == [day.day for day in days]


@pytest.mark.parametrize(
    ("row", "minutes", "again"),
    [
        ({}, 0, False),
        ({}, 1, True),  # the post-market has begun
        ({"asked_at": FRIDAY.close + timedelta(hours=4)}, 10_000, False),
        ({"status": "empty"}, 0, True),
        ({"status": "quarantined"}, 0, True),
        ({"dataset": "equity_bars_5m"}, 0, True),
        ({"asked_at": None}, 0, True),
        ({"asked_at": FRIDAY.close - timedelta(minutes=30), "status": "partial"}, 0, True),
        ({"asked_at": FRIDAY.close - timedelta(minutes=30), "status": "partial"}, -30, False),
    ],
)
def test_what_is_asked_again(row: dict[str, object], minutes: int, again: bool) -> None:
    now = FRIDAY.close + timedelta(minutes=minutes)
    todo = plan.missing_slots(plan.slots([FRIDAY], "1m"), coverage(row), now)
    assert bool(todo) == again


def test_a_session_that_has_not_begun_is_not_asked_for() -> None:
    slots = plan.slots([FRIDAY], "1m")
    assert not plan.missing_slots(slots, coverage(), slots[0].start)
    assert plan.missing_slots(slots, coverage(), slots[0].start + timedelta(minutes=1))


def test_requests_are_cut_by_size_and_by_holes() -> None:
    days = market_calendar.sessions(date(2026, 1, 1), date(2026, 3, 31))
    holed = [day for day in days if day.day.month != 2]
    groups = plan.requests(plan.slots(holed, "1m"))
    assert max(len(group) for group in groups) == 10
    for group in groups:
        assert len({slot.session.month for slot in group}) == 1
    assert sum(len(group) for group in groups) == len(holed)


@pytest.mark.parametrize(
    ("row", "minutes", "stored"),
    [
        ({"status": "complete"}, 0, True),
        ({"status": "complete"}, 60 * 24, True),  # closed: nothing moves
        ({"asked_at": FRIDAY.close - timedelta(hours=1)}, 0, False),
        ({"asked_at": FRIDAY.close - timedelta(hours=1)}, -60, True),  # the very same moment
        ({"asked_at": FRIDAY.close - timedelta(hours=1)}, -61, False),
        ({"scope": "0-30"}, 0, False),
        ({"scope": "0-90"}, 0, True),
        ({"scope": None}, 0, False),
        ({"status": "empty"}, 0, False),
    ],
)
def test_when_a_chain_is_stored(row: dict[str, object], minutes: int, stored: bool) -> None:
    rows = coverage({"dataset": "option_quotes", "scope": "0-45"} | row)
    now = FRIDAY.close + timedelta(minutes=minutes)
    assert plan.chain_is_stored(rows, FRIDAY, plan.Window(0, 45), now) == stored


def test_a_snapshot_is_stamped_to_the_second() -> None:
    assert plan.snapshot_time(FRIDAY.close.replace(microsecond=999_999)) == FRIDAY.close
