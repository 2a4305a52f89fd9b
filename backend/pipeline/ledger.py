"""The ledger: who works on which partition, how often it was tried, and why it failed.

It says nothing of what is stored: that is coverage's to say, which is written with the data. A lease
spares double work and guards nothing: two workers of one partition write the same rows by key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from pipeline.partition import Partition

BUDGET: Final = 3
"""Attempts at a partition before it becomes a dead letter."""

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0


def pause_s(attempts: int) -> float:
    """Return the seconds before the next attempt: 1, 4, 16, 64, 256, then 300.

    Args:
        attempts: Those that failed, one at least.
    """
    return min(_FIRST_PAUSE_S * 4.0 ** (attempts - 1), _LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which partitions a run is about.

    Attributes:
        datasets: As `pipeline.datasets` names them.
        tickers: Underlyings.
        first: First session.
        last: Last session.
        origin: live, simulator or recorded.
    """

    datasets: tuple[str, ...]
    tickers: tuple[str, ...]
    first: date
    last: date
    origin: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A partition that is ours until the lease lapses.

    Attributes:
        partition: Which.
        attempts: Times begun, this one included.
    """

    partition: Partition
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A partition that nobody tries again unless asked.

    Attributes:
        partition: Which.
        stage: Where it failed.
        attempts: Times begun.
        error: What is missing and why, one sentence.
        finished_at: When it was given up.
    """

    partition: Partition
    stage: str
    attempts: int
    error: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Open:
    """What a scope still has to do.

    Attributes:
        waiting: Partitions that nobody holds.
        leased: Partitions that somebody holds.
        next_in_s: Seconds until one may be claimed; None where none is open.
    """

    waiting: int
    leased: int
    next_in_s: float | None


@dataclass(frozen=True, slots=True)
class StageRow:
    """What one stage came to, as `LEDGER_STAGES` keeps it.

    Attributes:
        stage: As in `models.tables.STAGES`.
        status: done or failed.
        source: Who was asked.
        rows_in: Rows that came in.
        rows_out: Rows passed on.
        rows_rejected: Rows quarantined.
        content_hash: SHA-256 of the rows passed on.
        seconds: How long it took.
        finished_at: Wall time.
    """

    stage: str
    status: str
    source: str | None
    rows_in: int
    rows_out: int
    rows_rejected: int
    content_hash: str | None
    seconds: float
    finished_at: datetime


class Ledger(Protocol):
    """A ledger that many processes share; every method is one transaction.

    Every method raises `StoreError` when the database fails.
    """

    def enqueue(self, todo: Sequence[Partition], origin: str) -> None:
        """Queue partitions that are missing; those held by somebody or given up stay as they are."""
        ...

    def settle(self, covered: Sequence[Partition], origin: str) -> None:
        """Close what coverage vouches for, whoever stored it."""
        ...

    def revive(self, scope: Scope) -> None:
        """Queue dead letters once more."""
        ...

    def claim(self, scope: Scope, owner: str, run_id: str, most: Sequence[int]) -> list[Claim]:
        """Take partitions of one dataset and ticker, oldest first; none where none is to be had.

        Those that were tried before are taken one by one, so that a bad one spoils no others.

        Args:
            scope: Which may be taken.
            owner: Who takes them.
            run_id: For the record.
            most: Of each dataset of the scope, how many at a time.
        """
        ...

    def extend(self, owner: str) -> None:
        """Tell that the owner lives: its leases last on."""
        ...

    def finish(self, claim: Claim, origin: str, owner: str, stages: Sequence[StageRow]) -> None:
        """Close a partition that is covered, unless somebody else holds it by now."""
        ...

    def postpone(  # noqa: PLR0913 - whose, why, and when again
        self,
        claim: Claim,
        origin: str,
        owner: str,
        stages: Sequence[StageRow],
        *,
        error: str,
        pause_s: float | None,
        counts: bool = True,
    ) -> None:
        """Let a partition wait for its next attempt, unless somebody else holds it by now.

        Args:
            claim: Which.
            origin: Of the run.
            owner: Who held it.
            stages: What they came to, in order; the last one failed.
            error: What is missing and why, one sentence.
            pause_s: Seconds until the next attempt; None makes it a dead letter.
            counts: Whether the attempt counts; one at a service that is away does not.
        """
        ...

    def release(self, owner: str) -> None:
        """Give back what an owner holds, with the attempt: it was interrupted or killed."""
        ...

    def owners(self) -> list[str]:
        """Return who holds leases."""
        ...

    def open(self, scope: Scope) -> Open:
        """Return what is still to do."""
        ...

    def dead_letters(self, scope: Scope) -> list[DeadLetter]:
        """Return what was given up, in order."""
        ...

    def reasons(self, scope: Scope) -> dict[Partition, str]:
        """Return why partitions that still wait failed last."""
        ...
