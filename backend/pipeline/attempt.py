"""One partition as one source has it, through the pure stages, each timed and hashed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from models.errors import DataError, TradingError
from pipeline import stages
from pipeline.coverage import partial_hash
from pipeline.crosscheck import minutes_make_the_day
from pipeline.datasets import BARS, dataset
from pipeline.ledger import StageRow
from pipeline.outcome import AGAIN, AWAY, NEVER
from pipeline.partition import DONE, ENRICH, EXTRACT, FAILED, QUALITY, TRANSFORM
from pipeline.plan import bars_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.tables import Frame
    from pipeline.partition import Partition
    from pipeline.plan import Window
    from pipeline.quality import Finding
    from pipeline.sources import PartSource
    from pipeline.stages import Extracted, Judged
    from utils.clock import Clock


@dataclass(frozen=True, slots=True)
class Candidate:
    """A partition as one source has it, ready to be loaded.

    Attributes:
        name: Of the source.
        sent: What came.
        judged: Its rows, and what they lack.
        stages: What each stage came to.
    """

    name: str
    sent: Extracted
    judged: Judged
    stages: tuple[StageRow, ...]

    @property
    def lacking(self) -> tuple[bool, bool, int]:
        """What it lacks: the smaller, the better."""
        rows = self.judged.checked.accepted.height
        return (self.judged.lack is not None, rows == 0, len(self.judged.missing))


@dataclass(slots=True)
class Attempt:
    """What is known of one partition so far.

    Attributes:
        partition: Which.
        best: The candidate that lacks least.
        lacks: Source -> why it does not give the whole.
        retries: What the failures mean for another attempt.
        differences: Where sources disagree.
    """

    partition: Partition
    best: Candidate | None = None
    lacks: dict[str, str] = field(default_factory=dict)
    retries: set[str] = field(default_factory=set)
    differences: tuple[Finding, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.best is not None and self.best.judged.lack is None

    @property
    def retry(self) -> str:
        """What another attempt could bring."""
        return next((each for each in (AWAY, AGAIN) if each in self.retries), NEVER)

    @property
    def reason(self) -> str:
        """What every source said, in one sentence."""
        parts = (why if source in why else f"{source}: {why}" for source, why in self.lacks.items())
        return "; ".join(parts) or "no source is configured for it"

    def miss(self, source: str, why: str, retry: str) -> None:
        """Note why a source does not give the whole."""
        self.lacks[source] = why
        self.retries.add(retry)

    def take(self, candidate: Candidate) -> None:
        """Keep the better of two."""
        if candidate.judged.lack:
            self.miss(candidate.name, candidate.judged.lack, AGAIN)
        if self.best is None or candidate.lacking < self.best.lacking:
            self.best = candidate


class Watch:
    """Writes down what each stage came to.

    Args:
        partition: Whose.
        source: Who was asked.
        wall: The machine's time.
    """

    def __init__(self, partition: Partition, source: str, wall: Clock) -> None:
        self.rows: list[StageRow] = []
        self._partition, self._source, self._wall = partition, source, wall

    def timed(self, stage: str, rows_in: int, step: Callable[[], Frame]) -> Frame:
        """Run a stage and write down what it came to."""
        began = time.monotonic()
        rows = step()
        self.add(stage, rows_in, rows, time.monotonic() - began)
        return rows

    def add(
        self, stage: str, rows_in: int, rows: Frame, seconds: float, *, rejected: int = 0
    ) -> None:
        """Write down what a stage came to."""
        table = dataset(self._partition.dataset).table
        known = set(table.key) <= set(rows.columns)
        self.rows.append(
            StageRow(
                stage=stage,
                status=DONE,
                source=self._source,
                rows_in=rows_in,
                rows_out=rows.height,
                rows_rejected=rejected,
                content_hash=partial_hash(table, rows) if known else None,
                seconds=round(seconds, 6),
                finished_at=self._wall(),
            )
        )

    def fail(self, stage: str) -> None:
        """Write down where it ended."""
        self.rows.append(StageRow(stage, FAILED, self._source, 0, 0, 0, None, 0.0, self._wall()))


def candidate(
    partition: Partition, source: PartSource, sent: Extracted, *, seconds: float, wall: Clock
) -> Candidate:
    """Take what a source sent of a partition through the pure stages.

    Args:
        partition: Which.
        source: Who sent it.
        sent: What came.
        seconds: How long the source took.
        wall: The machine's time.

    Raises:
        DataError: What it sent cannot be read.
    """
    watch = Watch(partition, source.name, wall)
    watch.add(EXTRACT, sent.rows.height, sent.rows, seconds)
    try:
        plain = watch.timed(TRANSFORM, sent.rows.height, lambda: stages.transform(partition, sent))
        began = time.monotonic()
        rich = stages.enrich(partition, sent, plain)
        watch.add(ENRICH, plain.height, rich.rows, time.monotonic() - began)
        began = time.monotonic()
        judged = stages.judge(partition, sent, rich)
    except pl.exceptions.PolarsError as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"what it sent cannot be read ({first})") from None
    took, rejected = time.monotonic() - began, judged.checked.rejected.height
    watch.add(QUALITY, rich.rows.height, judged.checked.accepted, took, rejected=rejected)
    return Candidate(source.name, sent, judged, tuple(watch.rows))


def with_natural_gaps(
    found: Candidate, partition: Partition, source: PartSource, window: Window
) -> Candidate:
    """Return a candidate whose missing minutes are no lack where they had no trade.

    That is so where the minutes that came hold the volume of the day, by the same source's daily bar.
    """
    if dataset(partition.dataset).kind != BARS or not (found.judged.lack and found.judged.missing):
        return found
    daily = dataset(bars_dataset("1d"))
    try:
        sent = source.extract(daily, partition.ticker, [partition.session], window)
    except TradingError:  # then nothing is proved
        return found
    day = stages.transform(replace(partition, dataset=daily.name), sent[partition.session])
    if not minutes_make_the_day(found.judged.checked.accepted, day):
        return found
    return replace(found, judged=replace(found.judged, lack=None))
