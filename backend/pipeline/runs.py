"""The record of a run in `download_runs`.

While a run lasts, its column `error` names the process, so that the next run can tell a run that
goes on from one that was killed.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.errors import StoreError
from models.tables import DOWNLOAD_RUNS, frame_schema
from pipeline.events import Stored, Written

if TYPE_CHECKING:
    from pipeline.load import Desk

_PROCESS = re.compile(r"process (\d+) of (.+)")


@dataclass(frozen=True, slots=True)
class Run:
    """What names a run.

    Attributes:
        run_id: UUID.
        command: Arguments, without secrets.
    """

    run_id: str
    command: str


class RunRecord:
    """One row of `download_runs`, written when the run begins and when it ends.

    Args:
        desk: Market, store and clocks.
        run: What names it.
    """

    def __init__(self, desk: Desk, run: Run) -> None:
        self._desk = desk
        self._run = run
        self._started_at = desk.wall()
        self._rows = 0
        self._partial = False

    def begin(self) -> None:
        """Write that the run has begun, and that others have ended whose process is gone."""
        self._end_the_killed()
        self._write("running", finished=False, error=_process(os.getpid()))

    def add(self, event: Stored | Written) -> None:
        """Count what was stored."""
        if isinstance(event, Written):
            self._rows += event.changed
        else:
            self._partial |= event.status in {"empty", "quarantined"}

    def finish(self) -> None:
        """Write that the run has ended, with everything it could get."""
        self._write("partial" if self._partial else "complete", finished=True, error=None)

    def abandon(self, status: str, error: str | None = None) -> None:
        """Write why a run did not end as it should, if the database still takes it.

        Args:
            status: failed or interrupted.
            error: One sentence.
        """
        # The reason may be the database itself; the error that says so must not be hidden.
        with suppress(StoreError):
            self._write(status, finished=True, error=error)

    def _end_the_killed(self) -> None:
        """Mark runs of this machine that were killed; when that was, nobody knows."""
        rows = self._desk.store.read(DOWNLOAD_RUNS.name, {"status": "running"})
        killed = [
            text
            for text in rows["error"].drop_nulls().unique()
            if (found := _PROCESS.fullmatch(text)) and _is_gone(*found.groups())
        ]
        ended = rows.filter(pl.col("error").is_in(killed)).with_columns(
            status=pl.lit("interrupted"), error=pl.lit("its process was killed")
        )
        if not ended.is_empty():
            self._desk.store.upsert(DOWNLOAD_RUNS.name, ended)

    def _write(self, status: str, *, finished: bool, error: str | None) -> None:
        row = {
            "run_id": self._run.run_id,
            "command": self._run.command,
            "started_at": self._started_at,
            "finished_at": self._desk.wall() if finished else None,
            "status": status,
            "rows": self._rows,
            "error": error,
            "source": self._desk.market.source,
            "origin": self._desk.market.origin,
        }
        frame = pl.DataFrame([row], schema=frame_schema(DOWNLOAD_RUNS))
        self._desk.store.upsert(DOWNLOAD_RUNS.name, frame)


def _process(number: int) -> str:
    return f"process {number} of {socket.gethostname()}"


def _is_gone(number: str, host: str) -> bool:
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
