"""A command's file run inside this process: what wrong input prints, without starting Python anew.

The whole file runs, as `python FILE` would run it. For calls that end early: what starts servers,
changes signals or is to be killed needs a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKEND = Path(__file__).resolve().parents[1]


class Said(NamedTuple):
    """What a command's end left: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


def run_here(script: str, *arguments: str, folder: Path = BACKEND, **environment: str) -> Said:
    """Run a file below `backend/` as the main program, in this process.

    Args:
        script: Its path below `backend/`.
        arguments: Of its command line.
        folder: Where it runs.
        environment: Beside what is set already.
    """
    out, err = io.StringIO(), io.StringIO()
    path = BACKEND / script
    with (
        mock.patch.object(sys, "argv", [str(path), *arguments]),
        mock.patch.object(sys, "stdin", io.StringIO()),
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(folder),
        _logging_as_it_was(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            status = end.code
        else:
            status = 0
    assert isinstance(status, int), f"{script} ended with {status!r}"
    return Said(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """A command sends the logs of its process to its own standard error; give them back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
