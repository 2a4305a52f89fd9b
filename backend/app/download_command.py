"""The main job as a command: open source and database, run, show."""

from __future__ import annotations

import json
import sys
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app import cli
from app.report import Report
from app.wiring import Source, open_source, open_store, store_place
from pipeline.download import Request, download
from pipeline.events import Fetching, Planned, StepDone
from pipeline.load import Desk
from pipeline.plan import Window
from pipeline.runs import Run
from utils.clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.request import Asked
    from pipeline.events import Event


def run_download(asked: Asked, *, command: str, as_json: bool) -> int:
    """Download what is missing, and print what it came to.

    Args:
        asked: What a person asked for.
        command: How, for the record.
        as_json: One JSON object instead of a table.

    Returns:
        Exit status.

    Raises:
        TradingError: Something that a person must know.
    """
    started = time.monotonic()
    report = Report()
    with open_source(asked) as source, open_store() as store:
        if source.note:
            print(source.note, file=sys.stderr)
        desk = Desk(source.market, store, source.clock, wall_clock, source.history)
        run = Run(str(uuid.uuid4()), command)
        with closing(download(_request(asked, source), desk, run)) as events:
            for event in _with_progress(events):
                report.add(event)
        seconds, place = time.monotonic() - started, store_place()
        if as_json:
            print(json.dumps(report.as_object(source, seconds=seconds, place=place)))
        else:
            report.show(Console(), source, seconds=seconds, place=place)
    return cli.PARTIAL if report.partial else cli.OK


def stop_database() -> int:
    """Stop the embedded server.

    Raises:
        StoreError: It does not stop.
    """
    from clients import embedded_postgres  # noqa: PLC0415 - this one use

    print("the database is stopped" if embedded_postgres.stop() else "the database was not running")
    return cli.OK


def _request(asked: Asked, source: Source) -> Request:
    window = Window(*asked.expirations) if asked.expirations else None
    history = Window(*asked.history) if asked.history and source.history else None
    return Request(asked.tickers, source.sessions, asked.interval, window, history)


def _with_progress(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on, with a bar on a terminal and none in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("planning", total=None)
        for event in events:
            if isinstance(event, Planned):
                progress.update(task, total=event.steps)
            elif isinstance(event, Fetching):
                progress.update(task, description=f"{event.ticker} {event.dataset}")
            elif isinstance(event, StepDone):
                progress.advance(task)
            yield event
