"""The kill switch as a person throws it: by file, signal, HTTP and command, with 200 orders at work.

Prints, for each way, the seconds until the last cancel was sent; at most 2 in the simulator.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from utils.journal_chain import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Bench

ORDERS = 200
LIMITS = """
max_open_orders: 1000
max_orders_per_s: 1000
max_orders_per_minute: 100000
max_attempts_per_minute: 100000
max_underlying_age_s: 60
"""
STRATEGY = Path(__file__).with_name("many_orders.py")
BACKEND = Path(__file__).resolve().parents[2]
BAR_S = 2.0 if os.environ.get("PROVE") else 10.0
"""Of a quiet machine, and of one that runs other tests at the same time."""


class Run:
    """A paper session with 200 orders at work."""

    def __init__(self, bench: Bench, home: Path) -> None:
        self.bench, self.home = bench, home
        (home / "limits.yaml").write_text(LIMITS)
        self.hang_file = home / "hang"
        self.read = self.counted = 0
        self.known: list[dict[str, Any]] = []
        self.state: dict[str, str] = {}
        self.journal = home / "journals" / "many.jsonl"
        self.said = (home / "said.txt").open("w")  # a pipe that nobody reads would fill up
        self.child = subprocess.Popen(
            [
                sys.executable, "trading_main.py", "--account", "many",
                "--strategy", str(STRATEGY), "--param", f"hang_file={self.hang_file}",
                "--limits", str(home / "limits.yaml"), "--json",
                "--clock", "2026-11-20T12:00", "--speed", "1",
            ],
            cwd=BACKEND,
            env=os.environ | {"SUPABASE_DB_URL": bench.dsn, "OPTIONS_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.said,
        )  # fmt: skip

    def command(self, *arguments: str) -> Any:
        return self.bench.run("trading_main.py", *arguments, OPTIONS_HOME=str(self.home))

    def records(self) -> list[dict[str, Any]]:
        """Return all records of the journal; what was read before is not read again."""
        if self.journal.exists():
            with self.journal.open("rb") as file:
                file.seek(self.read)
                whole = file.read().rpartition(b"\n")[0]
            self.read += len(whole) + bool(whole)
            self.known += [json.loads(line)["record"] for line in whole.splitlines()]
        return self.known

    def wait_for(self, what: Callable[[], bool], seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, "it did not come"
            assert self.child.poll() is None, (self.home / "said.txt").read_text()[-2000:]
            time.sleep(0.02)

    def working(self) -> int:
        """Return how many orders work, by the journal."""
        records = self.records()
        for record in records[self.counted :]:
            if record["type"] == "heard":
                update = record["update"]
                self.state[update["client_order_id"]] = update["status"]
        self.counted = len(records)
        return sum(each == "WORKING" for each in self.state.values())

    def done(self) -> dict[str, Any]:
        file = self.home / "kill" / "many.done"
        return dict(json.loads(file.read_text())) if file.exists() else {"at": ""}

    def stopped_within(self, throw: Callable[[], object]) -> float:
        """Throw the switch with all orders at work; return the seconds until the last cancel."""
        self.wait_for(lambda: self.working() == ORDERS)
        before = self.done()["at"]
        begun = time.monotonic()
        throw()
        self.wait_for(lambda: self.done()["at"] != before, 30)
        took = time.monotonic() - begun
        assert self.done()["cancelled"] == ORDERS
        self.wait_for(lambda: self.working() == 0, 30)  # the venue confirms each a little later
        return took

    def guard(self) -> dict[str, str]:
        file = self.home / "kill" / "many.guard"
        self.wait_for(file.exists)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        return dict(json.loads(file.read_text()))

    def post(self, url: str, token: str, body: bytes = b"{}", **headers: str) -> int:
        wanted = {"Authorization": f"Bearer {token}"} | headers
        request = urllib.request.Request(url, body, wanted)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture
def run(bench: Bench, tmp_path: Path) -> Iterator[Run]:
    started = Run(bench, tmp_path)
    try:
        yield started
    finally:
        started.child.kill()
        started.child.wait()
        started.said.close()


def test_four_ways_to_stop_and_a_strategy_that_hangs(run: Run) -> None:
    took: dict[str, float] = {}
    took["file"] = run.stopped_within((run.home / "KILL").touch)
    refused = run.command("--mode", "paper", "--account", "many")
    assert refused.status == 2
    assert "trading of many is stopped by file" in refused.err
    assert run.command("--resume-trading").status == 0

    pid = run.child.pid
    took["signal"] = run.stopped_within(lambda: os.kill(pid, signal.SIGUSR1))
    state = run.command("--kill-state", "--account", "many")
    assert "many: STOPPED by signal" in state.out
    assert "200 orders were cancelled" in state.out
    assert run.command("--resume-trading", "--account", "many").status == 0

    guard = run.guard()
    kill, token = guard["url"] + "/kill", guard["token"]
    assert run.post(kill, "wrong") == 401
    assert run.post(kill, token, Origin="http://example.com") == 403
    assert run.post(kill, token, Host="example.com") == 403
    assert run.post(kill, token, b"[1]") == 400
    assert run.post(kill, token, b"x" * 5_000) == 400
    took["HTTP"] = run.stopped_within(lambda: run.post(kill, token))
    assert run.command("--resume-trading", "--account", "many").status == 0

    took["command"] = run.stopped_within(lambda: run.command("--kill", "--account", "many"))
    assert run.command("--resume-trading", "--account", "many").status == 0

    limits = run.home / "limits.yaml"
    run.wait_for(lambda: run.working() == ORDERS)
    limits.write_text(LIMITS + "max_loss: 3000\n")
    run.wait_for(lambda: any(each["type"] == "limits" for each in run.records()))
    limits.write_text(LIMITS + "max_loss: 2000\n")
    run.wait_for(
        lambda: [e["taken"] for e in run.records() if e["type"] == "limits"] == [False, True]
    )

    print(", ".join(f"{way} {seconds:.2f} s" for way, seconds in took.items()))
    records = run.records()
    _nothing_leaves_while_stopped(records)
    halts = [each for each in records if each["type"] == "halted" and each["reason"]]
    assert [each["by"] for each in halts] == ["file", "signal", "http", "command"]
    assert max(took.values()) <= BAR_S, took

    # The strategy hangs in a loop of its own: the command ends it, and cancels in its place.
    run.hang_file.touch()
    run.wait_for(run.home.joinpath("hangs").exists)
    done = run.command("--kill", "--account", "many")
    assert done.status == 0, done.err
    assert "stopped, 200 orders cancelled" in done.out
    assert run.child.wait(10) == -signal.SIGKILL
    # Command and guard may both do it; one of them does, and says so.
    said = done.out + (run.home / "said.txt").read_text()
    assert f"(process {pid}) did not answer and was ended; stopped, 200 orders" in said
    assert run.working() == 0
    assert verify(run.journal).fault is None
    _nothing_leaves_while_stopped(run.records())
    assert not (run.home / "kill" / "many.guard").exists()


def _nothing_leaves_while_stopped(records: list[dict[str, Any]]) -> None:
    stopped = False
    for record in records:
        if record["type"] == "halted":
            stopped = bool(record["reason"])
        assert not (stopped and record["type"] == "intended"), "an order left after the switch"


def test_a_switch_that_nobody_threw_is_not_taken_back(bench: Bench, tmp_path: Path) -> None:
    done = bench.run("trading_main.py", "--resume-trading", OPTIONS_HOME=str(tmp_path))
    assert (done.status, done.err) == (2, "trading of ALL is not stopped\n")
    done = bench.run("trading_main.py", "--kill", "--account", "x", OPTIONS_HOME=str(tmp_path))
    assert done.status == 2
    assert "names no account that has traded here" in done.err
