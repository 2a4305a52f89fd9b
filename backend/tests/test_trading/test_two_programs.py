"""Two programs on one account: the second one refuses, by the lock or by what the broker shows."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them

from live_bench import LIVE, live_bench
from runs import started, until_said

if TYPE_CHECKING:
    from live_bench import LiveBench

PROVE = bool(os.environ.get("PROVE"))
TIMES = 100 if PROVE else 2
REFUSED_S = 1.0
CHURN = str(Path(__file__).parent / "churn.py")
LIMITS = "max_orders_per_s: 1000\nmax_orders_per_minute: 100000\nleast_sign_in_hours: 0\n"


@pytest.mark.timeout(900)
def test_the_second_program_refuses(databases: Any, tmp_path: Path) -> None:
    market = ("--clock", "2026-11-20T11:00", "--speed", "1")
    with (
        databases.fresh() as dsn,
        databases.fresh() as other_dsn,
        live_bench(market, tmp_path, dsn) as bench,
        started() as first,
        started() as second,
    ):
        limits = bench.signed_limits(LIMITS)
        arguments = [*LIVE, "--account", "001", "--limits", limits, "--strategy", CHURN]
        arguments += ["--param", "every_s=1"]
        err = tmp_path / "first.err"
        running = first.start(bench, arguments, err)

        def refused(by: LiveBench, words: str) -> float:
            said = tmp_path / "second.err"
            said.unlink(missing_ok=True)
            began = time.monotonic()
            second.start(by, arguments, said)
            status = second.wait()
            took = time.monotonic() - began
            assert status == 2, said.read_text()
            assert words in said.read_text()
            assert len(said.read_text().splitlines()) <= 2, "one sentence"
            return took

        try:
            assert until_said(err, "filled: bought") is not None, err.read_text()
            (guard,) = (tmp_path / "kill").glob("*.guard")
            address = guard.read_text()
            by_lock = [refused(bench, "trades this account") for _ in range(TIMES)]
            # Another machine, as far as files and databases go, whose limits are signed off too.
            elsewhere = replace(bench, home=tmp_path / "elsewhere", dsn=other_dsn)
            elsewhere.home.mkdir()
            arguments[arguments.index(limits)] = elsewhere.signed_limits(LIMITS)
            by_broker = refused(elsewhere, "was entered within the last 2 minutes")
            assert guard.read_text() == address, "the first one's kill switch is where it was"
        finally:
            os.kill(running, signal.SIGKILL)
            first.wait()
    print(
        f"{TIMES} second programs refused by the lock after {max(by_lock):.2f} s at most, one in "
        f"another home by the broker's orders after {by_broker:.2f} s"
    )
    if PROVE:  # the gate's machine does other work beside it
        assert max(*by_lock, by_broker) <= REFUSED_S
