"""The one clock."""

from datetime import UTC, datetime, timedelta

from utils.clock import Clock, wall_clock


def test_the_wall_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = wall_clock()
    assert now.tzinfo == UTC
    assert before <= now <= before + timedelta(minutes=1)


def test_any_function_that_tells_a_time_is_a_clock() -> None:
    frozen: Clock = lambda: datetime(2015, 12, 24, 14, 30, tzinfo=UTC)  # noqa: E731
    assert frozen() == frozen()
