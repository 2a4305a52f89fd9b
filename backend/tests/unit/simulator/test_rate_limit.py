"""Calls in any 60 seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.rate_limit import WINDOW_S, RateLimit


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_calls_over_the_limit_wait_for_the_oldest_to_leave_the_window() -> None:
    time = Time()
    limit = RateLimit(120, time)
    assert [limit.wait_for("app") for _ in range(120)] == [0.0] * 120
    time.now += 20
    assert limit.wait_for("app") == 40.0
    time.now += 40
    assert limit.wait_for("app") == 0.0


def test_apps_do_not_share_a_limit() -> None:
    limit = RateLimit(1, Time())
    assert limit.wait_for("one") == 0.0
    assert limit.wait_for("two") == 0.0
    assert limit.wait_for("one") == WINDOW_S


def test_zero_means_no_limit() -> None:
    limit = RateLimit(0, Time())
    assert {limit.wait_for("app") for _ in range(1000)} == {0.0}


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 20))
def test_no_window_ever_holds_more_than_the_limit(steps: list[float], most: int) -> None:
    time = Time()
    limit = RateLimit(most, time)
    allowed = []
    for step in steps:
        time.now += step
        wait = limit.wait_for("app")
        if wait == 0:
            allowed.append(time.now)
        else:
            assert 0 < wait <= WINDOW_S
            time.now += wait + 1e-6  # floats add up with dust
            assert limit.wait_for("app") == 0
            allowed.append(time.now)
    for place, moment in enumerate(allowed):
        assert sum(1 for other in allowed[place:] if other - moment < WINDOW_S - 1e-3) <= most
