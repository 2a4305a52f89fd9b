import threading

import pytest

from models.errors import ConfigError
from utils.rate_limit import RateLimiter


class FakeTime:
    """A monotonic clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_no_window_holds_more_than_the_limit() -> None:
    time = FakeTime()
    limiter = RateLimiter(120, clock=time.clock, sleep=time.sleep)
    starts = []
    for _ in range(500):
        limiter.acquire()
        starts.append(time.now)
    assert starts[119] == 1000.0
    for first, after in zip(starts, starts[120:], strict=False):
        assert after - first >= 60.0 - 1e-9
    assert starts[-1] == pytest.approx(1000 + 60 * 4)


def test_the_limiter_is_shared_by_threads() -> None:
    waited: list[float] = []
    limiter = RateLimiter(10, clock=lambda: 0.0, sleep=waited.append)
    threads = [
        threading.Thread(target=lambda: [limiter.acquire() for _ in range(10)]) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waited) == [60.0] * 10 + [120.0] * 10 + [180.0] * 10 + [240.0] * 10


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(ConfigError):
        RateLimiter(0)
