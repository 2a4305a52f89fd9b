"""What a download tells while it runs; whoever iterates over it decides what to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pipeline.chain_summary import ChainSummary

if TYPE_CHECKING:
    from datetime import date, datetime

    from pipeline.quality import Finding


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan stands.

    Attributes:
        now: Market time.
        steps: Replies that will be asked for and stored.
    """

    now: datetime
    steps: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A part was stored by an earlier run and is left alone.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        session: Exchange day.
        status: As coverage states it.
        rows: Rows stored.
        missing: Rows that the calendar expects and the source did not send.
    """

    ticker: str
    dataset: str
    session: date
    status: str
    rows: int
    missing: int


@dataclass(frozen=True, slots=True)
class Fetching:
    """One reply is being asked for.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        sessions: Exchange days of the reply.
    """

    ticker: str
    dataset: str
    sessions: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """One reply was written; `Stored` events of its parts follow.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        changed: Rows that were new or differed.
    """

    ticker: str
    dataset: str
    changed: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A part was checked, stored and marked as covered.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        session: Exchange day.
        status: complete, partial, empty or quarantined.
        rows: Rows that are stored of it now.
        missing: Rows that the calendar expects and the source did not send.
        quarantined: Rows that were kept out.
        findings: Rules that were broken.
    """

    ticker: str
    dataset: str
    session: date
    status: str
    rows: int
    missing: int
    quarantined: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class StepDone:
    """One of the planned steps is done."""


Event: TypeAlias = Planned | Kept | Fetching | Written | Stored | StepDone | ChainSummary
"""Anything that `pipeline.download.download` yields."""
