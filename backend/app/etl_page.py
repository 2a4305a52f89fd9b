"""The pipeline's page: runs, partitions, failures and speed, from the ledger. One HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import polars as pl

from models.tables import DOWNLOAD_RUNS, LEDGER, LEDGER_STAGES
from pipeline.partition import DONE, FAILED

if TYPE_CHECKING:
    from datetime import date, datetime

    from models.tables import Frame
    from ports.store import Store

MOST_RUNS: Final = 20
MOST_SESSIONS: Final = 60
_PITCH = 15
_LEFT = 190
_STAGES: Final = ("extract", "transform", "enrich", "quality", "load", "covered")
_STYLES: Final = {DONE: "done", FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """What the ledger says.

    Attributes:
        partitions: Rows of `LEDGER`.
        stages: Rows of `LEDGER_STAGES`.
        runs: The newest runs of the pipeline, rows of `DOWNLOAD_RUNS`, the newest first.
    """

    partitions: Frame
    stages: Frame
    runs: Frame

    @classmethod
    def of(cls, store: Store) -> PipelineStatus:
        """Read the status.

        Raises:
            StoreError: The database fails.
        """
        runs = store.read(DOWNLOAD_RUNS.name)
        ours = runs.filter(pl.col("run_id").is_in(_run_ids(store).implode()))
        return cls(
            store.read(LEDGER.name),
            store.read(LEDGER_STAGES.name),
            ours.sort("started_at", descending=True)[:MOST_RUNS],
        )

    @property
    def counts(self) -> dict[str, int]:
        """Partitions by status: done, waiting, leased, failed."""
        found = self.partitions.group_by("status").len().sort("status")
        return dict(found.iter_rows())

    @property
    def dead(self) -> Frame:
        """Partitions that were given up, with their reasons."""
        return self.partitions.filter(pl.col("status") == FAILED).sort("session", "ticker")

    def speed(self) -> list[dict[str, Any]]:
        """Return for each stage its partitions, seconds and rows a second, of all runs together."""
        found = self.stages.group_by("stage").agg(
            pl.len().alias("partitions"),
            pl.col("seconds").sum(),
            pl.col("rows_out").sum().alias("rows"),
            pl.col("rows_rejected").sum().alias("rejected"),
        )
        rows = {row["stage"]: row for row in found.iter_rows(named=True)}
        return [rows[stage] for stage in _STAGES if stage in rows]

    def as_object(self) -> dict[str, Any]:
        """Return the status as one JSON object."""
        return {
            "partitions": self.counts,
            "dead_letters": [
                {
                    "dataset": row["dataset"],
                    "ticker": row["ticker"],
                    "session": str(row["session"]),
                    "origin": row["origin"],
                    "attempts": row["attempts"],
                    "error": row["error"],
                }
                for row in self.dead.iter_rows(named=True)
            ],
            "stages": self.speed(),
        }


def _run_ids(store: Store) -> pl.Series:
    """Return the runs that worked on partitions: downloads of other commands are not the page's."""
    ids = store.read(LEDGER_STAGES.name, columns=["run_id"])["run_id"].unique()
    commands = store.read(DOWNLOAD_RUNS.name, columns=["run_id", "command"])
    own = commands.filter(pl.col("command").str.starts_with("etl_pipeline.py"))["run_id"]
    return pl.concat([ids, own]).unique()


def render(
    status: PipelineStatus, *, place: str, made_at: datetime, coming: datetime | None
) -> str:
    """Return the page.

    Args:
        status: What the ledger says.
        place: Where the data lies, without user or password.
        made_at: Wall time.
        coming: When the next run is due; None where none is scheduled.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    speed = status.speed()
    longest = max((row["seconds"] for row in speed), default=0.0) or 1.0
    return environment.get_template("etl.html").render(
        counts=status.counts,
        total=status.partitions.height,
        grid=_grid(status.partitions),
        runs=[_run(row) for row in status.runs.iter_rows(named=True)],
        dead=list(status.dead.iter_rows(named=True)),
        speed=[row | {"share": row["seconds"] / longest} for row in speed],
        place=place,
        made_at=f"{made_at:%Y-%m-%d %H:%M} UTC",
        coming=None if coming is None else f"{coming:%Y-%m-%d %H:%M} UTC",
    )


def _grid(partitions: Frame) -> dict[str, Any]:
    """Lay the partitions out: a row for each ticker and dataset, a column for each session."""
    days: list[date] = partitions["session"].unique().sort().to_list()[-MOST_SESSIONS:]
    column = {day: number for number, day in enumerate(days)}
    shown = partitions.filter(pl.col("session").is_in(days))
    series = shown.select("ticker", "dataset", "origin").unique().sort("ticker", "dataset").rows()
    line = {key: number for number, key in enumerate(series)}
    squares = []
    for row in shown.iter_rows(named=True):
        x = _LEFT + column[row["session"]] * _PITCH
        y = 20 + line[row["ticker"], row["dataset"], row["origin"]] * _PITCH
        text = f"{row['ticker']} {row['dataset']} {row['session']}: {row['status']}"
        text += f", {row['error']}" if row["error"] else ""
        squares.append((x, y, _STYLES.get(row["status"], "waiting"), text))
    months = [
        (_LEFT + number * _PITCH, f"{day:%d %b}")
        for number, day in enumerate(days)
        if number % 5 == 0
    ]
    return {
        "squares": squares,
        "labels": [
            (20 + number * _PITCH + 11, f"{key[0]} {key[1]}") for key, number in line.items()
        ],
        "months": months,
        "width": _LEFT + max(len(days), 1) * _PITCH + 40,
        "height": 24 + len(line) * _PITCH,
    }


def _run(row: dict[str, Any]) -> dict[str, Any]:
    seconds = None
    if row["finished_at"] is not None:
        seconds = (row["finished_at"] - row["started_at"]).total_seconds()
    return row | {
        "seconds": seconds,
        "started": f"{row['started_at']:%Y-%m-%d %H:%M:%S}",
        "rate": row["rows"] / seconds if seconds else None,
    }
