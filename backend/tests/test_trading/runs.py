"""Live runs as forks of one program that has imported everything; see `starter.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from live_bench import BACKEND, LiveBench

if TYPE_CHECKING:
    from collections.abc import Iterator


class Starter:
    """The program that forks runs, one at a time."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "starter.py")],
            cwd=BACKEND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._run: int | None = None
        self._line()

    def _line(self) -> str:
        assert self._child.stdout
        line = self._child.stdout.readline()
        assert line, "the starter has ended"
        return line.strip()

    def start(self, bench: LiveBench, arguments: list[str], err: Path, at: Any = None) -> int:
        """Fork a run, and return its process id.

        Args:
            bench: Whose.
            arguments: Of the command.
            err: Takes its standard error.
            at: Where it is killed: number of the request to a journal's disk, and before, torn or
                after.
        """
        asked = {
            "arguments": arguments, "variables": bench.variables(), "err": str(err), "at": at,
        }  # fmt: skip
        assert self._child.stdin
        self._child.stdin.write(json.dumps(asked) + "\n")
        self._child.stdin.flush()
        self._run = int(self._line())
        return self._run

    def wait(self) -> int:
        """Return the exit status of the run, once it has ended."""
        status = int(self._line())
        self._run = None
        return status

    def close(self) -> None:
        """End what still runs."""
        if self._run is not None:
            with suppress(ProcessLookupError):  # it has ended by itself, which a test will say
                os.kill(self._run, signal.SIGKILL)
        self._child.communicate()


@contextmanager
def started() -> Iterator[Starter]:
    starter = Starter()
    try:
        yield starter
    finally:
        starter.close()


def until_said(err: Path, words: str, seconds: float = 90.0) -> float | None:
    """Return the seconds until a run says something; None where it ends or takes too long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if err.exists() and words in err.read_text():
            return time.monotonic() - began
        time.sleep(0.005)
    return None
