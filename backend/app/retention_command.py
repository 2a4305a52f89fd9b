"""Moving old rows from the database to the lake and back, as a command."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.progress import track

from app import cli
from app.report import plain_table
from app.wiring import open_store, store_place
from clients.lake import Lake, LakeFile
from models.errors import ConfigError, NotFound
from models.tables import COVERAGE, RETENTION, Range, frame_schema
from pipeline.retention import Kept, Policy, move, restore, steps, steps_back
from utils import market_calendar
from utils.clock import wall_clock

if TYPE_CHECKING:
    from datetime import date

    from models.tables import Frame, Where
    from pipeline.coverage import Part
    from pipeline.datasets import Dataset
    from pipeline.retention import Moved, Step

_MADE_FROM = "rest"
_WORDS = {Kept.ALL: "back in the database", Kept.THINNED: "thinned", Kept.NONE: "lake alone"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        tickers: Underlyings; none means all.
        start: First session; None for the oldest.
        end: Last session; None for the newest.
        policy: What the database keeps.
        lake: Folder or s3:// address; None for that of the settings.
        dry_run: Whether to tell what would be moved, and move nothing.
        restore: Whether to bring rows back instead.
    """

    tickers: tuple[str, ...]
    start: date | None
    end: date | None
    policy: Policy
    lake: str | None
    dry_run: bool
    restore: bool

    @property
    def where(self) -> Where:
        """The rows of coverage that it is about."""
        after = None if self.end is None else self.end.fromordinal(self.end.toordinal() + 1)
        days: Where = {"session": Range(self.start, after)}
        return {**days, "ticker": list(self.tickers)} if self.tickers else days


class LakeArchive:
    """The pipeline's files of the lake, read and replaced a part at a time.

    Args:
        lake: Where they lie.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def rows(self, what: Dataset, part: Part) -> Frame | None:
        """Return a part's rows, with the columns of its table, or None where there is no file."""
        try:
            found = self._lake.scan(
                what.lake_table,
                underlyings=[part.ticker],
                first=part.session,
                last=part.session,
                origin=part.origin,
            )
        except NotFound:
            return None
        rows = found.filter(pl.col("source") == part.source).collect()
        if rows.is_empty():
            return None
        schema = frame_schema(what.table)
        return rows.select(pl.col(name).cast(kind) for name, kind in schema.items())

    def replace(self, what: Dataset, part: Part, rows: Frame) -> None:
        """Replace a part's file."""
        file = LakeFile(what.lake_table, part.ticker, part.session, part.source, part.origin)
        self._lake.replace(file, rows, sort_key=what.sort_key, made_from=_MADE_FROM)


def run_retention(asked: Asked, *, as_json: bool) -> int:
    """Do what was asked for, show it, and return the exit status.

    Raises:
        TradingError: Something that a person must know.
    """
    policy = asked.policy
    if not 0 < policy.whole <= policy.thinned or not 1 <= policy.every <= 390:
        raise ConfigError(
            "--whole and --thinned count sessions, at least 1 and the first not above the second, "
            "and --every counts minutes, from 1 to 390"
        )
    lake = Lake.open(asked.lake)
    archive = LakeArchive(lake)
    with open_store() as store:
        moved = store.read(RETENTION.name, asked.where)
        if asked.restore:
            wanted = steps_back(moved)
            running = restore(wanted, store, archive, wall_clock)
        else:
            recent = market_calendar.sessions_back(wall_clock(), policy.thinned)
            coverage = store.read(COVERAGE.name, asked.where)
            wanted = steps(coverage, moved, [each.day for each in recent], policy)
            running = move(wanted, store, archive, policy, wall_clock)
        done = [] if asked.dry_run else list(_with_progress(running, len(wanted)))
    found = _as_object(wanted, done, asked) | {"place": store_place(), "lake": lake.place.shown}
    if as_json:
        print(json.dumps(found))
    else:
        _show(Console(), wanted, found)
    return cli.OK


def _with_progress(running: Any, count: int) -> Any:
    """Pass on what was moved, with a bar on a terminal and none in a pipe."""
    console = Console(stderr=True)
    return track(running, "moving", count, console=console, disable=not console.is_terminal)


def _as_object(wanted: list[Step], done: list[Moved], asked: Asked) -> dict[str, Any]:
    return {
        "dry_run": asked.dry_run,
        "parts": [
            {
                "ticker": step.part.ticker,
                "dataset": step.what.name,
                "session": str(step.part.session),
                "source": step.part.source,
                "origin": step.part.origin,
                "keep": step.keep.value,
            }
            for step in wanted
        ],
        "archived": sum(each.archived for each in done),
        "removed": sum(each.removed for each in done),
        "restored": sum(each.restored for each in done),
    }


def _show(console: Console, wanted: list[Step], found: dict[str, Any]) -> None:
    if not wanted:
        console.print("Nothing to move: the database keeps what it is to keep.")
        return
    counts = Counter((step.part.ticker, step.what.name, step.keep) for step in wanted)
    table = plain_table("To move" if found["dry_run"] else "Moved")
    for heading in ("ticker", "dataset", "to", "sessions", "from", "to session"):
        table.add_column(heading)
    for (ticker, dataset, keep), count in sorted(counts.items()):
        days = [
            step.part.session
            for step in wanted
            if (step.part.ticker, step.what.name, step.keep) == (ticker, dataset, keep)
        ]
        cells = (ticker, dataset, _WORDS[keep], f"{count:,}", str(min(days)), str(max(days)))
        table.add_row(*cells)
    console.print(table)
    if found["dry_run"]:
        console.print("A dry run: nothing was moved.")
    else:
        for name in ("archived", "removed", "restored"):
            console.print(f"rows {name:9} {found[name]:,}")
    console.print(f"database      {found['place']}\nlake          {found['lake']}")
