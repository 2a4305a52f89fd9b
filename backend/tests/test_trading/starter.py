"""Starts `trading_main.py` again and again, and kills it where it is told: after so many writes.

A program of its own: everything is imported once, each run is a fork that goes through the command
as if it had been started anew. What the disk is asked is counted in the fork, from outside the
product: the n-th request ends the process, by SIGKILL, before, in the midst of, or after it.

Of each line of JSON on standard input: arguments, variables, err (file), at (or null).
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app.trading_command  # noqa: F401 - imported once for all runs
import trading_main
import utils.transaction_logger
from app import cli


class Killer:
    """Ends the process at the n-th request to a journal's disk.

    Args:
        at: Number of the request, from 0.
        where: before, torn (a write is half done), or after.
    """

    def __init__(self, at: int, where: str) -> None:
        self._left = at
        self._where = where
        self._lock = threading.Lock()

    def write(self, file: int, data: bytes) -> int:
        with self._lock:
            if self._left == 0 and self._where == "torn":
                os.write(file, data[: len(data) // 2])
            self._meet("before", "torn")
            written = os.write(file, data)
            self._meet("after")
            self._left -= 1
        return written

    def sync(self, file: int) -> None:
        with self._lock:
            self._meet("before", "torn")
            os.fdatasync(file)
            self._meet("after")
            self._left -= 1

    def _meet(self, *where: str) -> None:
        if self._left == 0 and self._where in where:
            os.kill(os.getpid(), signal.SIGKILL)


def run(arguments: list[str], at: list[object] | None) -> int:
    """Run the command, in the fork."""
    if at is not None:
        killer = Killer(int(str(at[0])), str(at[1]))
        disk = utils.transaction_logger.Disk
        made = functools.partial(disk, write=killer.write, sync=killer.sync)
        utils.transaction_logger.Disk = made  # type: ignore[misc, assignment]
    return cli.run(trading_main.parser(), trading_main.command, arguments)


def main() -> None:
    """Serve until standard input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(asked["variables"])
            err = os.open(asked["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDWR)
            for target, source in ((0, null), (1, null), (2, err)):
                os.dup2(source, target)
            status = 70
            try:
                status = run(asked["arguments"], asked["at"])
            finally:
                os._exit(status)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
