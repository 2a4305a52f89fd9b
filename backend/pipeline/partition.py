"""The unit of the pipeline's work: one dataset of one ticker in one session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

EXTRACT, TRANSFORM, ENRICH = "extract", "transform", "enrich"
QUALITY, LOAD, COVERED = "quality", "load", "covered"
"""Stages, as `models.tables.STAGES` orders them."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One dataset of one ticker in one session.

    Attributes:
        dataset: As `pipeline.datasets` names it.
        ticker: Underlying.
        session: Exchange day.
    """

    dataset: str
    ticker: str
    session: date

    def __str__(self) -> str:
        return f"{self.ticker} {self.dataset} {self.session}"


WAITING, LEASED, DONE, FAILED = "waiting", "leased", "done", "failed"
"""States of a partition in the ledger."""

LEASE_S: Final = 60.0
"""How long a claim lasts without a sign of life, seconds."""
