"""A run that is killed or interrupted leaves a database that the next run completes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Bench

KILLS = 50 if os.environ.get("PROVE") else 3
ARGUMENTS = ("--ticker", "QQQ", "SPY", "--days", "3", "--expirations", "0-3")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def whole(whole_run: Callable[..., tuple[dict[str, str], float]]) -> tuple[dict[str, str], float]:
    """Content that an undisturbed run leaves, and the seconds that it takes."""
    return whole_run(*ARGUMENTS)


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_9_at_a_random_moment(
    friday: Bench, whole: tuple[dict[str, str], float], number: int
) -> None:
    content, seconds = whole
    # One moment in each slice of a run, so that a few kills reach all of its phases.
    share = (number + random.random()) / KILLS
    child = friday.start("main.py", "--json", *ARGUMENTS)
    try:
        child.wait(share * seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    child.communicate()
    done = friday.main(*ARGUMENTS)
    assert done.status == 0, done.err
    assert friday.content() == content, f"killed after {share:.2f} of {seconds:.1f} s"
    assert "running" not in friday.read("download_runs")["status"].to_list()


def test_ctrl_c_ends_with_130_and_the_next_run_continues(
    friday: Bench, whole: tuple[dict[str, str], float]
) -> None:
    child = friday.start("main.py", "--json", *ARGUMENTS)
    until(lambda: friday.count("coverage") > 0, "the first row of coverage")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130, err
    assert out == ""
    assert err.strip().splitlines() == [
        "interrupted: what is stored is whole, the next run continues"
    ]
    assert friday.read("download_runs")["status"].to_list() == ["interrupted"]
    done = friday.main(*ARGUMENTS)
    assert done.status == 0
    assert sum(each["kept"] for each in done.object["datasets"]) > 0
    assert friday.content() == whole[0]


def test_a_killed_run_leaves_no_simulator_behind(bench: Bench) -> None:
    child = bench.start("main.py", "--json", "--days", "5", "--clock", "2026-11-20T16:00")
    until(lambda: children_of(child.pid), "a simulator of its own")
    (simulator,) = children_of(child.pid)
    child.kill()
    child.communicate()
    until(lambda: not is_alive(simulator), "its end")


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and nobody has buried it yet


def until(happens: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
