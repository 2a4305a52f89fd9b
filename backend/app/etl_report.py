"""What a run of the pipeline came to: gathered from its events and from coverage at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.report import plain_table
from pipeline.etl_events import Claimed, PartitionDone, RunStarted, Waiting
from pipeline.partition import WAITING
from pipeline.quality import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.etl_service import Service
    from pipeline.etl_events import EtlEvent
    from pipeline.ledger import DeadLetter
    from pipeline.partition import Partition
    from pipeline.planner import Plan


DEAD_LETTER: Final = "dead letter"
"""Verdict on a partition that was given up."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A partition that is not whole at the end.

    Attributes:
        partition: Which.
        verdict: dead letter, or waiting.
        attempts: Times begun; 0 where it is not known.
        stage: Where it failed last.
        reason: What is missing and why.
    """

    partition: Partition
    verdict: str
    attempts: int
    stage: str
    reason: str


class EtlReport:
    """Gathers the events of a run.

    Args:
        service: Who was asked.
        before: The plan at its start.
    """

    def __init__(self, service: Service, before: Plan) -> None:
        self.service, self.before = service, before
        self.after = before
        self.lacking: list[Lack] = []
        self.findings: dict[tuple[str, str], Finding] = {}
        self.outcomes: dict[Partition, PartitionDone] = {}
        self.run_id = ""
        self._changed = 0

    def add(self, event: EtlEvent) -> None:
        """Take in one event."""
        if isinstance(event, RunStarted):
            self.run_id = event.run_id
        if isinstance(event, PartitionDone):
            self.outcomes[event.outcome.partition] = event
            self._changed += event.outcome.changed
            for found in event.outcome.findings:
                self._add_finding(event.outcome.partition.dataset, found)

    def take_changed(self) -> int:
        """Return the rows that changed since it was asked last."""
        changed, self._changed = self._changed, 0
        return changed

    def close(self, after: Plan, dead: Sequence[DeadLetter], reasons: dict[Partition, str]) -> None:
        """Take in what coverage and the ledger say at the end.

        Args:
            after: What is whole by now.
            dead: What was given up, in this run or an earlier one.
            reasons: Why what still waits failed last.
        """
        self.after = after
        given_up = {each.partition: each for each in dead}
        for partition in after.todo:
            if letter := given_up.get(partition):
                lack = Lack(partition, DEAD_LETTER, letter.attempts, letter.stage, letter.error)
            else:
                why = reasons.get(partition, "another run holds it, or this one was not given it")
                lack = Lack(partition, WAITING, 0, "extract", why)
            self.lacking.append(lack)

    def _add_finding(self, dataset: str, found: Finding) -> None:
        before = self.findings.get((dataset, found.rule))
        count = found.count + (before.count if before else 0)
        self.findings[dataset, found.rule] = Finding(found.rule, found.verdict, count, found.reason)

    def as_object(self, *, seconds: float, place: str, lake: str) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return {
            "status": "partial" if self.lacking else "complete",
            "run_id": self.run_id,
            "origin": self.service.origin,
            "sources": list(self.service.names),
            "service": self.service.described,
            "wanted": len(self.after.wanted),
            "whole_before": len(self.before.covered),
            "whole": len(self.after.covered),
            "datasets": self._rows(),
            "lacking": [
                _plain(each.partition)
                | {name: value for name, value in asdict(each).items() if name != "partition"}
                for each in self.lacking
            ],
            "findings": [
                {"dataset": dataset} | asdict(found)
                for (dataset, _), found in sorted(self.findings.items())
            ],
            "seconds": round(seconds, 2),
            "place": place,
            "lake": lake,
        }

    def _rows(self) -> list[dict[str, Any]]:
        """Return one row for each dataset and ticker."""
        groups: dict[tuple[str, str], list[Partition]] = {}
        for each in self.after.wanted:
            groups.setdefault((each.dataset, each.ticker), []).append(each)
        found = []
        for (dataset, ticker), partitions in groups.items():
            rows = [self.after.covered[each] for each in partitions if each in self.after.covered]
            found.append(
                {
                    "dataset": dataset,
                    "ticker": ticker,
                    "sessions": len(partitions),
                    "whole": len(rows),
                    "kept": sum(each in self.before.covered for each in partitions),
                    "rows": sum(row["rows"] for row in rows),
                    "missing": sum(row["missing"] for row in rows),
                    "sources": sorted({row["source"] for row in rows}),
                }
            )
        return found

    def show(self, console: Console, *, seconds: float, place: str, lake: str) -> None:
        """Print the report for a person."""
        if not self.before.todo:
            console.print(f"nothing to do: all {len(self.before.wanted)} partitions are whole")
        elif not self.outcomes and all(each.verdict == DEAD_LETTER for each in self.lacking):
            whole, given_up = len(self.after.covered), len(self.lacking)
            console.print(f"nothing to do: {whole} partitions are whole, {given_up} were given up")
        console.print(self._table())
        if self.findings:
            console.print(self._finding_table())
        if self.lacking:
            console.print(self._lack_table())
        days = [each.session for each in self.after.wanted]
        lines = [
            ("sessions", f"{len(set(days))}, {min(days)} to {max(days)}"),
            ("asked", f"{', '.join(self.service.names)} ({self.service.described})"),
            ("origin", self.service.origin),
            ("took", f"{seconds:.1f} s"),
            ("database", place),
            ("lake", lake),
        ]
        if any(each.verdict != WAITING for each in self.lacking):
            lines.append(("again", "dead letters are tried once more by --retry-failed"))
        grid = Table.grid(padding=(0, 2))
        for name, value in lines:
            grid.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
        console.print(grid)

    def _table(self) -> Table:
        table = plain_table("Partitions")
        for name in ("ticker", "dataset"):
            table.add_column(name, no_wrap=True)
        for name in ("sessions", "whole", "kept", "rows", "gaps"):
            table.add_column(name, justify="right")
        table.add_column("source")
        for row in self._rows():
            whole, sessions = row["whole"], row["sessions"]
            table.add_row(
                row["ticker"],
                row["dataset"],
                str(sessions),
                Text(f"{100 * whole // sessions} %", "green" if whole == sessions else "red"),
                str(row["kept"]),
                f"{row['rows']:,}",
                f"{row['missing']:,}",
                ", ".join(row["sources"]),
            )
        return table

    def _finding_table(self) -> Table:
        table = plain_table("Found in new rows")
        for name in ("dataset", "rule", "verdict"):
            table.add_column(name, no_wrap=True)
        table.add_column("count", justify="right")
        table.add_column("reason", overflow="fold")
        for (dataset, _), found in sorted(self.findings.items()):
            table.add_row(dataset, found.rule, found.verdict, f"{found.count:,}", found.reason)
        return table

    def _lack_table(self) -> Table:
        table = plain_table(f"Not to be had: {len(self.lacking)} partitions")
        for name in ("ticker", "dataset", "session", "verdict"):
            table.add_column(name, no_wrap=True)
        table.add_column("reason", overflow="fold")
        for each in self.lacking:
            partition = each.partition
            table.add_row(
                partition.ticker,
                partition.dataset,
                str(partition.session),
                Text(each.verdict, "red"),
                each.reason,
            )
        return table


def _plain(partition: Partition) -> dict[str, str]:
    return {
        "dataset": partition.dataset,
        "ticker": partition.ticker,
        "session": partition.session.isoformat(),
    }


def with_progress(events: Iterator[EtlEvent], report: EtlReport) -> Iterator[EtlEvent]:
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
        task = progress.add_task("planning", total=len(report.before.todo))
        for event in events:
            if isinstance(event, Claimed):
                first = event.partitions[0]
                more = f" and {len(event.partitions) - 1} more" if event.partitions[1:] else ""
                progress.update(task, description=f"{first}{more}")
            elif isinstance(event, PartitionDone) and event.status != WAITING:
                progress.advance(task)
            elif isinstance(event, Waiting):
                progress.update(task, description=f"waiting {event.seconds:.0f} s")
            yield event
