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
from typing import TYPE_CHECKING, Protocol

import polars as pl

from models.errors import StoreError
from models.tables import DOWNLOAD_RUNS, frame_schema
from pipeline.events import Stored, Written

if TYPE_CHECKING:
    from ports.store import Store
    from utils.clock import Clock

_PROCESS = re.compile(r"process (\d+) of (.+)$")


@dataclass(frozen=True, slots=True)
class Run:
    """What names a run.

    Attributes:
        run_id: UUID.
        command: Arguments, without secrets.
    """

    run_id: str
    command: str


class Stamp(Protocol):
    """What the rows of a run are stamped with; a market says it of itself."""

    @property
    def source(self) -> str:
        """As in `models.tables.SOURCES`."""
        ...

    @property
    def origin(self) -> str:
        """As in `models.tables.ORIGINS`."""
        ...


class RunRecord:
    """One row of `download_runs`, written when the run begins and when it ends.

    Args:
        store: Where it stands.
        wall: The machine's time.
        run: What names it.
        stamp: Of the rows that it brings.
    """

    def __init__(self, store: Store, wall: Clock, run: Run, stamp: Stamp) -> None:
        self._store = store
        self._wall = wall
        self._run = run
        self._stamp = stamp
        self._started_at = wall()
        self._rows = 0
        self._partial = False

    def begin(self) -> None:
        """Write that the run has begun, and that others have ended whose process is gone."""
        self._end_the_killed()
        self._write("running", finished=False, error=this_process())

    def add(self, event: Stored | Written) -> None:
        """Count what was stored."""
        if isinstance(event, Written):
            self.count(event.changed)
        else:
            self.count(0, lacks=event.status in {"empty", "quarantined"})

    def count(self, rows: int, *, lacks: bool = False) -> None:
        """Count rows that were new or differed, and whether something was not to be had."""
        self._rows += rows
        self._partial |= lacks

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
        rows = self._store.read(DOWNLOAD_RUNS.name, {"status": "running"})
        killed = [text for text in rows["error"].drop_nulls().unique() if is_gone(text)]
        ended = rows.filter(pl.col("error").is_in(killed)).with_columns(
            status=pl.lit("interrupted"), error=pl.lit("its process was killed")
        )
        if not ended.is_empty():
            self._store.upsert(DOWNLOAD_RUNS.name, ended)

    def _write(self, status: str, *, finished: bool, error: str | None) -> None:
        row = {
            "run_id": self._run.run_id,
            "command": self._run.command,
            "started_at": self._started_at,
            "finished_at": self._wall() if finished else None,
            "status": status,
            "rows": self._rows,
            "error": error,
            "source": self._stamp.source,
            "origin": self._stamp.origin,
        }
        frame = pl.DataFrame([row], schema=frame_schema(DOWNLOAD_RUNS))
        self._store.upsert(DOWNLOAD_RUNS.name, frame)


def this_process() -> str:
    """Return what tells this process from others, also to other machines."""
    return f"process {os.getpid()} of {socket.gethostname()}"


def is_gone(text: str) -> bool:
    """Return whether a text ends with the name of a process of this machine that has ended."""
    found = _PROCESS.search(text)
    if found is None or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
