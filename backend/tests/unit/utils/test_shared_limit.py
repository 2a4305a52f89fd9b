import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError, RateLimited
from utils.paths import backend_folder
from utils.shared_limit import MachineTime, SharedRateLimiter, Window


class FakeTime:
    def __init__(self) -> None:
        self.now = 1000.0
        self.offset = 1.7e9

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def machine(self) -> MachineTime:
        return MachineTime(self.clock, self.wall, self.sleep)


def limiter(
    path: Path, fake: FakeTime, *windows: Window, longest: float = 1e9
) -> SharedRateLimiter:
    return SharedRateLimiter(
        path, windows, provider="schwab", longest_wait_s=longest, machine=fake.machine
    )


def most_in_any(times: list[float], period: float) -> int:
    return max(
        sum(1 for other in times if start <= other < start + period - 1e-9) for start in times
    )


def test_two_limiters_of_one_file_keep_one_limit(tmp_path: Path) -> None:
    fake = FakeTime()
    both = [limiter(tmp_path / "limit", fake, Window(120, 60.0)) for _ in range(2)]
    starts = []
    for number in range(500):
        both[number % 2].acquire()
        starts.append(fake.now)
    assert starts[119] == 1000.0
    assert most_in_any(starts, 60.0) == 120
    assert starts[-1] == pytest.approx(1000 + 60 * 4)


def test_the_reserve_is_for_urgent_requests_alone(tmp_path: Path) -> None:
    fake = FakeTime()
    limit = limiter(tmp_path / "limit", fake, Window(10, 60.0, reserved=3))
    assert [limit.try_acquire() for _ in range(8)] == [0.0] * 7 + [60.0]
    assert [limit.try_acquire(urgent=True) for _ in range(4)] == [0.0] * 3 + [60.0]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), min_size=1, max_size=80))
def test_no_window_ever_holds_more(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[bool, float]]
) -> None:
    fake = FakeTime()
    path = tmp_path_factory.mktemp("limit") / "limit"
    limit = limiter(path, fake, Window(6, 60.0, reserved=2), Window(15, 300.0, reserved=4))
    everything, ordinary = [], []
    for urgent, pause in requests:
        fake.now += pause
        limit.acquire(urgent=urgent)
        everything.append(fake.now)
        if not urgent:
            ordinary.append(fake.now)
    assert most_in_any(everything, 60.0) <= 6
    assert most_in_any(everything, 300.0) <= 15
    assert not ordinary or most_in_any(ordinary, 60.0) <= 4
    assert not ordinary or most_in_any(ordinary, 300.0) <= 11


def test_a_wait_that_is_too_long_is_refused_in_one_sentence(tmp_path: Path) -> None:
    fake = FakeTime()
    limit = limiter(tmp_path / "limit", fake, Window(1, 3600.0), longest=65.0)
    limit.acquire()
    with pytest.raises(
        RateLimited, match=r"our own limit for schwab.*may leave in 3600 s"
    ) as error:
        limit.acquire()
    assert error.value.retry_after_s == 3600.0


def test_a_limit_of_zero_lets_nothing_through(tmp_path: Path) -> None:
    with pytest.raises(RateLimited, match="allows none"):
        limiter(tmp_path / "limit", FakeTime(), Window(0, 60.0)).acquire(urgent=True)


@pytest.mark.parametrize("window", [Window(-1, 60.0), Window(10, 60.0, 11), Window(20_000, 60.0)])
def test_limits_out_of_range_are_refused(tmp_path: Path, window: Window) -> None:
    with pytest.raises(ConfigError, match="a limit is 0 to"):
        limiter(tmp_path / "limit", FakeTime(), window)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        limiter(tmp_path / "file" / "limit", FakeTime(), Window(1, 60.0))


def test_closing_holds_for_the_others_too(tmp_path: Path) -> None:
    fake = FakeTime()
    one, other = (limiter(tmp_path / "limit", fake, Window(10, 60.0)) for _ in range(2))
    one.close_for(20.0)
    assert other.try_acquire(urgent=True) == 20.0


def test_the_entries_outlive_a_restart_of_the_machine(tmp_path: Path) -> None:
    fake = FakeTime()
    limit = limiter(tmp_path / "limit", fake, Window(5, 86_400.0))
    for _ in range(5):
        limit.acquire()
    fake.now, fake.offset = 10.0, fake.offset + 1000.0 + 3600.0 - 10.0  # an hour later, up for 10 s
    again = limiter(tmp_path / "limit", fake, Window(5, 86_400.0))
    assert again.try_acquire() == pytest.approx(86_400.0 - 3600.0, abs=1.0)


PROGRAM = """
    import sys, time
    from pathlib import Path
    from utils.shared_limit import SharedRateLimiter, Window
    limit = SharedRateLimiter(Path(sys.argv[1]), [Window(20, 0.5)], provider="x")
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        limit.acquire()
        print(time.monotonic(), flush=True)
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)],
        cwd=backend_folder(),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_real_programs_together_keep_the_limit_though_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "limit"
    programs = [start(path) for _ in range(3)]
    assert programs[0].stdout is not None
    for _ in range(random.Random(1).randrange(3, 8)):
        programs[0].stdout.readline()
    programs[0].send_signal(signal.SIGKILL)
    rest = [program.communicate()[0].split() for program in programs]
    times = sorted(float(text) for lines in rest for text in lines)
    # The print comes a moment after the turn, so a window is judged a little shorter than it is.
    assert most_in_any(times, 0.4) <= 20
    assert len(times) > 60  # 20 in each half second, two seconds long, by those who live


def test_a_forked_child_takes_its_own_lock(tmp_path: Path) -> None:
    path = tmp_path / "limit"
    limit = SharedRateLimiter(path, [Window(40, 3600.0)], provider="x")
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            taken = sum(limit.try_acquire() == 0 for _ in range(30))
            os._exit(taken)
        children.append(child)
    taken = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sum(taken) == 40
    assert limit.try_acquire() > 0


def test_a_turn_costs_little(tmp_path: Path) -> None:
    limit = SharedRateLimiter(tmp_path / "limit", [Window(16_000, 3600.0)], provider="x")
    start = time.process_time()
    for _ in range(1000):
        limit.acquire()
    assert (time.process_time() - start) / 1000 < 200e-6  # measured: 7 us
