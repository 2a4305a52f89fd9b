"""Keeping the database small: what is old moves to the lake, and comes back when it is asked for.

The database holds the newest sessions whole, older ones at every so many minutes, still older ones
not at all; the lake holds everything. Nothing is removed before the lake was read back and has it,
row by row: a run that is killed anywhere leaves rows in both places, and the next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import polars as pl

from models.errors import StoreError
from models.tables import RETENTION, frame_schema
from pipeline.coverage import Part
from pipeline.datasets import DAILY, DATASETS, MINUTE_QUOTES, OPTION_MINUTES
from pipeline.load import is_snapshot
from pipeline.plan import CHAIN_DATASET, MINUTES_DATASET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from models.tables import Frame, Where
    from pipeline.datasets import Dataset
    from ports.store import RemovingStore
    from utils.clock import Clock


class Kept(StrEnum):
    """What the database keeps of a part."""

    ALL = "all"
    THINNED = "thinned"
    NONE = "none"


_ORDER: Final = tuple(Kept)
_THINNED_KINDS: Final = frozenset({MINUTE_QUOTES, OPTION_MINUTES})
"""Of other datasets each row counts: they stay whole until they go."""

_OURS: Final = {CHAIN_DATASET: is_snapshot(), MINUTES_DATASET: ~is_snapshot()}
"""Which rows of their common table are a dataset's own."""

_KEY: Final = RETENTION.key

WHOLE: Final = "complete"
"""The status of coverage that allows a part to be moved: of others more is still to come."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long the database keeps what.

    Attributes:
        whole: The newest sessions that stay as they are.
        thinned: The newest sessions of which something stays.
        every: Minutes between the rows that stay of thinned ones: 390 is a multiple.
    """

    whole: int = 60
    thinned: int = 250
    every: int = 15


@dataclass(frozen=True, slots=True)
class Step:
    """One part to move.

    Attributes:
        part: Which.
        what: Its dataset.
        keep: What the database is to keep of it.
    """

    part: Part
    what: Dataset
    keep: Kept


class Moved(NamedTuple):
    """What became of a step.

    Attributes:
        step: Which.
        archived: Rows that the lake lacked and has now.
        removed: Rows that left the database.
        restored: Rows that came back into it.
    """

    step: Step
    archived: int = 0
    removed: int = 0
    restored: int = 0


class Archive(Protocol):
    """The lake, a file a part."""

    def rows(self, what: Dataset, part: Part) -> Frame | None:
        """Return a part's rows, with the columns of its table, or None where there is no file."""
        ...

    def replace(self, what: Dataset, part: Part, rows: Frame) -> None:
        """Replace a part's file, safe from a power cut when it returns.

        Raises:
            StoreError: The place does not take it.
        """
        ...


def steps(coverage: Frame, moved: Frame, sessions: Sequence[date], policy: Policy) -> list[Step]:
    """Return what a policy wants moved and was not yet, oldest first.

    Args:
        coverage: Rows of `COVERAGE`.
        moved: Rows of `RETENTION`.
        sessions: Exchange days, oldest first, the newest one last; those before the first are
            older than any limit.
        policy: What to keep.
    """
    done = {tuple(row[:-1]): Kept(row[-1]) for row in moved.select(*_KEY, "kept").iter_rows()}
    found = []
    for row in coverage.filter(pl.col("status") == WHOLE).iter_rows(named=True):
        what = DATASETS.get(row["dataset"])
        if what is None or what.kind == DAILY:
            continue
        keep = _wanted(what, row["session"], sessions, policy)
        key = tuple(row[name] for name in _KEY)
        if _ORDER.index(keep) > _ORDER.index(done.get(key, Kept.ALL)):
            found.append(_step(row, keep))
    return sorted(found, key=lambda step: (step.part.session, step.part.ticker, step.what.name))


def _wanted(what: Dataset, session: date, sessions: Sequence[date], policy: Policy) -> Kept:
    if session not in sessions[-policy.thinned :]:
        return Kept.NONE
    if what.kind in _THINNED_KINDS and session not in sessions[-policy.whole :]:
        return Kept.THINNED
    return Kept.ALL


def move(
    wanted: Iterable[Step], store: RemovingStore, archive: Archive, policy: Policy, clock: Clock
) -> Iterator[Moved]:
    """Move parts, and tell of each when it is done.

    Raises:
        StoreError: Database or lake do not do their part; what was removed is in the lake.
    """
    for step in wanted:
        rows, shared = _stored(store, step)
        archived = _archive(archive, step, rows)
        removed = sum(
            store.remove(step.what.table.name, each) for each in _going(step, rows, shared, policy)
        )
        _note(store, step.part, step.keep, removed, clock)
        yield Moved(step, archived, removed)


def steps_back(moved: Frame) -> list[Step]:
    """Return the parts that are not whole in the database, to be restored, oldest first.

    Args:
        moved: Rows of `RETENTION`.
    """
    away = moved.filter(pl.col("kept") != Kept.ALL.value).sort("session", "ticker", "dataset")
    return [_step(row, Kept.ALL) for row in away.iter_rows(named=True)]


def restore(
    wanted: Iterable[Step], store: RemovingStore, archive: Archive, clock: Clock
) -> Iterator[Moved]:
    """Bring parts back into the database as they were, and tell of each when it is done.

    Raises:
        StoreError: The lake lacks a part, or database or lake fail.
    """
    for step in wanted:
        rows = archive.rows(step.what, step.part)
        if rows is None:
            raise StoreError(
                f"the lake has no {step.what.name} of {step.part.ticker} of {step.part.session}, "
                "which was moved there: name the lake that has it by --lake"
            )
        restored = store.upsert(step.what.table.name, rows)
        _note(store, step.part, Kept.ALL, 0, clock)
        yield Moved(step, restored=restored)


def all_of(store: RemovingStore, what: Dataset, part: Part) -> Iterator[Where]:
    """Yield the conditions that find a part's rows, those of a dataset beside it left out.

    Raises:
        StoreError: The database failed.
    """
    step = Step(part, what, Kept.NONE)
    rows, shared = _stored(store, step)
    if rows.height:
        yield from _going(step, rows, shared, Policy())


def _step(row: Mapping[str, Any], keep: Kept) -> Step:
    what = DATASETS[row["dataset"]]
    return Step(Part(what.table, **{name: row[name] for name in _KEY}), what, keep)


def _stored(store: RemovingStore, step: Step) -> tuple[Frame, pl.Series]:
    """Return the rows of a part, and the times at which another part has rows beside them."""
    rows = store.read(step.what.table.name, step.part.where)
    is_ours = _OURS.get(step.what.name, pl.lit(value=True))
    return rows.filter(is_ours), rows.filter(~is_ours)["ts"].unique()


def _archive(archive: Archive, step: Step, rows: Frame) -> int:
    """See to it that the lake has all rows, as they are; return how many it lacked.

    Raises:
        StoreError: It does not have them, though it took them.
    """
    there = archive.rows(step.what, step.part)
    lacking = _lacking(rows, there)
    if lacking.is_empty():
        return 0
    key = list(step.what.table.key)
    whole = rows if there is None else pl.concat([there.join(rows, on=key, how="anti"), rows])
    archive.replace(step.what, step.part, whole)
    if not _lacking(rows, archive.rows(step.what, step.part)).is_empty():
        raise StoreError(
            f"the lake did not keep {step.what.name} of {step.part.ticker} of {step.part.session} "
            "as it was given: nothing was removed from the database"
        )
    return lacking.height


def _lacking(rows: Frame, there: Frame | None) -> Frame:
    if there is None:
        return rows
    return rows.join(there, on=rows.columns, how="anti", nulls_equal=True)


def _going(step: Step, rows: Frame, shared: pl.Series, policy: Policy) -> Iterator[Where]:
    """Yield the conditions of what leaves the database."""
    goes = rows["ts"].unique().sort()
    if step.keep is Kept.THINNED:
        goes = goes.filter(goes.dt.epoch("s") // 60 % policy.every != 0)
    elif shared.is_empty():
        yield step.part.where  # all of it: no list of times is needed
        return
    both = goes.is_in(shared.implode())
    yield {**step.part.where, "ts": goes.filter(~both).to_list()}
    for ts in goes.filter(both).to_list():  # a snapshot and a minute of the same time: seldom
        symbols = rows.filter(pl.col("ts") == ts)["occ_symbol"].to_list()
        yield {**step.part.where, "ts": ts, "occ_symbol": symbols}


def _note(store: RemovingStore, part: Part, kept: Kept, removed: int, clock: Clock) -> None:
    row = {
        "ticker": part.ticker,
        "dataset": part.dataset,
        "session": part.session,
        "kept": kept.value,
        "rows_removed": removed,
        "moved_at": clock(),
        "source": part.source,
        "origin": part.origin,
    }
    store.upsert(RETENTION.name, pl.DataFrame([row], schema=frame_schema(RETENTION)))
