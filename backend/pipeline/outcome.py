"""What became of a partition in one attempt, in plain values that travel between machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import (
    AuthError,
    BadSymbol,
    NotEntitled,
    NotFound,
    RateLimited,
    StoreError,
    TradingError,
    Unavailable,
)

if TYPE_CHECKING:
    from pipeline.ledger import StageRow
    from pipeline.partition import Partition
    from pipeline.quality import Finding

AWAY, AGAIN, NEVER = "away", "again", "never"
"""What a failure means: a service is away, another attempt may help, or none will."""

COMPLETE, PARTIAL, NOTHING = "complete", "partial", "nothing"
"""What is stored after an attempt: all of it, some of it, none of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a partition.

    Attributes:
        partition: Which.
        status: complete, partial or nothing.
        source: Whose rows were stored, or None.
        rows: Rows that are stored of it.
        changed: Rows that were new or differed.
        missing: Regular minutes that the stored rows lack.
        quarantined: Rows kept out.
        findings: Rules that were broken, differences between sources among them.
        stages: What each stage came to.
        reason: What is missing and why; None where nothing is.
        retry: away, again or never, where something is missing.
    """

    partition: Partition
    status: str
    source: str | None = None
    rows: int = 0
    changed: int = 0
    missing: int = 0
    quarantined: int = 0
    findings: tuple[Finding, ...] = ()
    stages: tuple[StageRow, ...] = ()
    reason: str | None = None
    retry: str = AGAIN


def retry_of(error: TradingError) -> str:
    """Return what a failure means for another attempt."""
    if isinstance(error, Unavailable | RateLimited | StoreError):
        return AWAY
    if isinstance(error, AuthError | NotFound | NotEntitled | BadSymbol):
        return NEVER
    return AGAIN


def failed(partition: Partition, error: TradingError) -> Outcome:
    """Return the outcome of a partition whose attempt an error ended."""
    return Outcome(partition, NOTHING, reason=sentence(error), retry=retry_of(error))


def sentence(error: BaseException) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split())
