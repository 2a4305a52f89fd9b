"""What a run of the pipeline tells while it goes on; whoever iterates decides what to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pipeline.ledger import StageRow
    from pipeline.outcome import Outcome
    from pipeline.partition import Partition


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The plan stands and is queued.

    Attributes:
        run_id: UUID.
        wanted: Partitions that were asked for.
        covered: Those of them that are whole already.
        dead: Those that were given up earlier and are left alone.
    """

    run_id: str
    wanted: int
    covered: int
    dead: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Partitions were handed to a worker.

    Attributes:
        run_id: UUID.
        partitions: Of one dataset and ticker.
    """

    run_id: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage of a partition ended.

    Attributes:
        run_id: UUID.
        partition: Which.
        row: Stage, status, source, rows in and out, seconds.
    """

    run_id: str
    partition: Partition
    row: StageRow


@dataclass(frozen=True, slots=True)
class PartitionDone:
    """An attempt at a partition ended.

    Attributes:
        run_id: UUID.
        outcome: What is stored, and what is missing and why.
        attempts: Times begun, this one included.
        status: done, waiting (it is tried again) or failed (a dead letter).
        seconds: From the claim to the end; partitions of one request share them.
    """

    run_id: str
    outcome: Outcome
    attempts: int
    status: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing can be done for a while.

    Attributes:
        run_id: UUID.
        seconds: How long.
        waiting: Partitions that wait for their next attempt.
        leased: Partitions that another run works on.
    """

    run_id: str
    seconds: float
    waiting: int
    leased: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Nothing is left that this run can do.

    Attributes:
        run_id: UUID.
        done: Partitions that it completed.
        failed: Partitions that it gave up.
        waiting: Partitions whose service stayed away; the next run goes on with them.
    """

    run_id: str
    done: int
    failed: int
    waiting: int


EtlEvent: TypeAlias = RunStarted | Claimed | StageDone | PartitionDone | Waiting | RunEnded
"""Anything that `pipeline.runner.Runner` yields."""
