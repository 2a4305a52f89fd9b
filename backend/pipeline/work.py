"""What a worker does with the partitions that it is given: ask, transform, enrich, judge, load, cover.

Sources are asked in order until one gives the whole partition. Where another one has it too and
costs one request, it is asked as well, and what differs is a finding. The data is written first, the
row of coverage that vouches for it last; a worker that is killed between leaves rows that the next
one writes again, the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import polars as pl

from models.errors import DataError, StoreError, TradingError
from models.tables import COVERAGE, QUALITY_FINDINGS, SPLITS, frame_schema
from pipeline import stages
from pipeline.activity import read_activity
from pipeline.attempt import Attempt, Watch, candidate, with_natural_gaps
from pipeline.coverage import Mark, Part, covered_content
from pipeline.crosscheck import difference
from pipeline.datasets import BARS, CHAIN, DAILY, MINUTE_QUOTES, TRADES, dataset
from pipeline.events import Stored, Written
from pipeline.history import beside_snapshots
from pipeline.load import Piece, is_snapshot, load, store_contracts, store_rate
from pipeline.outcome import (
    AWAY,
    COMPLETE,
    NEVER,
    NOTHING,
    PARTIAL,
    Outcome,
    failed,
    retry_of,
    sentence,
)
from pipeline.partition import COVERED, LOAD, Partition
from pipeline.session_job import finding_rows
from pipeline.synthetic_source import SYNTHETIC, forget_made, made_part
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from models.tables import Frame, Scalar
    from pipeline.attempt import Candidate
    from pipeline.datasets import Dataset
    from pipeline.plan import Window
    from pipeline.quality import Finding
    from pipeline.sources import PartSource
    from pipeline.stages import Extracted
    from ports.store import RemovingStore
    from utils.clock import Clock


class LakeDoor(Protocol):
    """Where the lake takes partitions."""

    def publish(self, what: Dataset, part: Part, rows: Frame, *, made_from: str) -> None:
        """Replace a partition's file by these rows.

        Raises:
            StoreError: The place does not take it.
        """
        ...

    def remove(self, what: Dataset, part: Part) -> None:
        """Remove a partition's file, if there is one: what was made up gives way to what is real."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker works with.

    Attributes:
        store: The database.
        lake: Where all rows go.
        sources: Whom to ask, the best first.
        origin: Of their rows.
        wall: The machine's time.
    """

    store: RemovingStore
    lake: LakeDoor
    sources: tuple[PartSource, ...]
    origin: str
    wall: Clock


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is asked for.

    Attributes:
        partitions: Of one dataset and ticker, oldest first, one at least.
        window: Expirations, in days ahead of each session.
        crosscheck: Whether to compare sources where that costs one request.
    """

    partitions: tuple[Partition, ...]
    window: Window
    crosscheck: bool = True

    @property
    def what(self) -> Dataset:
        """The dataset."""
        return dataset(self.partitions[0].dataset)

    @property
    def ticker(self) -> str:
        """The underlying."""
        return self.partitions[0].ticker


def run(order: Order, bench: Bench) -> list[Outcome]:
    """Bring partitions into store and lake, as far as the sources have them.

    A failure of a source or of the store is an outcome and no error.
    """
    attempts = {each.session: Attempt(each) for each in order.partitions}
    try:
        for source in bench.sources:
            _ask(source, attempts, order, bench)
    except StoreError as error:
        return [failed(each, error) for each in order.partitions]
    if order.crosscheck and order.what.kind in {BARS, DAILY}:
        for source in bench.sources:
            _compare(source, attempts, order)
    return _all_loaded(list(attempts.values()), order, bench)


def _all_loaded(attempts: Sequence[Attempt], order: Order, bench: Bench) -> list[Outcome]:
    """Load one after the other; once the store refuses, the rest is not tried."""
    outcomes: list[Outcome] = []
    for attempt in attempts:
        try:
            outcomes.append(_loaded(attempt, order, bench))
        except StoreError as error:
            left = attempts[len(outcomes) :]
            return [*outcomes, *(failed(each.partition, error) for each in left)]
    return outcomes


def _ask(source: PartSource, attempts: Mapping[date, Attempt], order: Order, bench: Bench) -> None:
    """Ask one source for what is not whole yet."""
    able = []
    for day, attempt in attempts.items():
        if attempt.is_whole or (source.source == SYNTHETIC and not _may_be_made(attempt)):
            continue
        if why := source.lacks(order.what, day):
            attempt.miss(source.name, why, NEVER)
        else:
            able.append(day)
    if not able:
        return
    began = time.monotonic()
    try:
        sent = source.extract(order.what, order.ticker, able, order.window)
    except StoreError:  # ours, not the source's
        raise
    except TradingError as error:
        for day in able:
            attempts[day].miss(source.name, sentence(error), retry_of(error))
        return
    seconds = (time.monotonic() - began) / len(able)
    for day in able:
        attempt = attempts[day]
        try:
            known = _with_activity(sent[day], attempt.partition, bench)
            found = candidate(attempt.partition, source, known, seconds=seconds, wall=bench.wall)
        except DataError as error:
            attempt.miss(source.name, sentence(error), retry_of(error))
            continue
        attempt.take(with_natural_gaps(found, attempt.partition, source, order.window))


def _with_activity(sent: Extracted, partition: Partition, bench: Bench) -> Extracted:
    """Return what a source sent of options, with what is stored of their contracts."""
    what = dataset(partition.dataset)
    if what.kind not in {CHAIN, MINUTE_QUOTES, TRADES}:
        return sent
    activity = read_activity(bench.store, _part(partition, sent, bench))
    if what.kind == MINUTE_QUOTES:  # trades come after them, and are judged themselves
        activity = replace(activity, trades=None)
    return replace(sent, activity=activity)


def _part(partition: Partition, sent: Extracted, bench: Bench) -> Part:
    return Part(
        dataset(partition.dataset).table,
        partition.ticker,
        partition.dataset,
        partition.session,
        sent.source,
        sent.origin or bench.origin,
    )


def _may_be_made(attempt: Attempt) -> bool:
    """Return whether rows may be made up: none beside real ones, none while a service is away."""
    has_rows = attempt.best is not None and attempt.best.judged.checked.accepted.height > 0
    return not has_rows and AWAY not in attempt.retries


def _compare(source: PartSource, attempts: Mapping[date, Attempt], order: Order) -> None:
    """Ask another source for what is whole, and note where it disagrees.

    One that does not answer, or that lacks rows itself, proves nothing against what is stored.
    """
    days = [
        day
        for day, attempt in attempts.items()
        if attempt.best is not None
        and attempt.best.judged.checked.accepted.height
        and attempt.best.name != source.name
        and source.made_from == "rest"
        and source.name not in attempt.lacks
        and source.lacks(order.what, day) is None
    ]
    if not days:
        return
    try:
        sent = source.extract(order.what, order.ticker, days, order.window)
        for day in days:
            attempt = attempts[day]
            others = stages.transform(attempt.partition, sent[day])
            if attempt.best is not None:
                rows = attempt.best.judged.checked.accepted
                attempt.differences += difference(rows, others, source.name)
    except (TradingError, pl.exceptions.PolarsError):
        return


def _loaded(attempt: Attempt, order: Order, bench: Bench) -> Outcome:
    """Store the best that came, mark it as covered, and say what is missing."""
    best = attempt.best
    if best is None or best.judged.checked.accepted.is_empty():
        rows = best.stages if best else ()
        rejected = best.judged.checked.rejected.height if best else 0
        return Outcome(
            attempt.partition,
            NOTHING,
            quarantined=rejected,
            stages=rows,
            reason=attempt.reason,
            retry=attempt.retry,
        )
    return _stored(attempt, best, order, bench)


def _stored(attempt: Attempt, best: Candidate, order: Order, bench: Bench) -> Outcome:
    partition, what = attempt.partition, order.what
    watch = Watch(partition, best.name, bench.wall)
    began = time.monotonic()
    part = _part(partition, best.sent, bench)
    if part.source != SYNTHETIC and what.has_scope:
        _replace_made(bench, what, made_part(part))
    store_contracts(bench.store, _contracts(best))
    if best.sent.splits is not None and best.sent.splits.height:
        bench.store.upsert(SPLITS.name, best.sent.splits)
    if best.sent.chain is not None:
        store_rate(bench.store, best.sent.chain, part)
    findings = (*best.judged.checked.findings, *attempt.differences)
    checked = best.judged.checked
    if what.kind == MINUTE_QUOTES:
        accepted = beside_snapshots(bench.store, checked.accepted, part.where)
        checked = type(checked)(accepted, checked.rejected, checked.findings)
    for table, rows in _beside(part, best, findings).items():
        bench.store.upsert(table, rows)
        if table == QUALITY_FINDINGS.name:
            _forget_older(bench.store, part, rows)
    _publish(bench, what, part, checked.accepted, best)
    mark = Mark(
        _status(part, what, best),
        len(best.judged.missing),
        best.sent.asked_at,
        order.window.scope if what.has_scope else None,
        best.judged.expected,
        stages.checks_of(findings),
    )
    if what.kind == TRADES:
        _make_room(bench.store, part, checked.accepted)
    written = list(load(bench.store, bench.wall, [Piece(part, checked, mark)], fresh=False))
    changed = sum(each.changed for each in written if isinstance(each, Written))
    (stored,) = (each for each in written if isinstance(each, Stored))
    watch.add(LOAD, checked.accepted.height, checked.accepted, time.monotonic() - began)
    watch.add(COVERED, stored.rows, checked.accepted, 0.0)
    lack = best.judged.lack
    return Outcome(
        partition,
        PARTIAL if lack else COMPLETE,
        source=best.name,
        rows=stored.rows,
        changed=changed,
        missing=mark.missing,
        quarantined=checked.rejected.height,
        findings=findings,
        stages=(*best.stages, *watch.rows),
        reason=attempt.reason if lack else None,
        retry=attempt.retry,
    )


def _replace_made(bench: Bench, what: Dataset, made: Part) -> None:
    """Take away what was made up of a partition, now that real rows are here."""
    known = bench.store.coverage(made.ticker, source=made.source, origin=made.origin)
    if covered_content(known, made).rows:
        bench.lake.remove(what, made)
        forget_made(bench.store, made)


def _beside(part: Part, best: Candidate, findings: Sequence[Finding]) -> dict[str, Frame]:
    """Return the rows of other tables that stand beside a partition's."""
    rows = finding_rows(part, best.judged.rules, findings)
    return {QUALITY_FINDINGS.name: rows} | dict(best.judged.tables)


def _make_room(store: RemovingStore, part: Part, trades: Frame) -> None:
    """Take away stored trades that an answer does not have: numbered by it, they join no other's.

    Coverage goes first, so that a run that is killed before it is written again is repeated.
    """
    keys = [each for each in part.table.key if each not in {"source", "origin"}]
    stored = store.read(part.table.name, part.where, keys)
    if stored.join(trades, on=keys, how="anti").is_empty():
        return
    stamp: dict[str, Scalar] = {"session": part.session, "source": part.source}
    named: dict[str, Scalar] = {"ticker": part.ticker, "dataset": part.dataset}
    store.remove(COVERAGE.name, named | stamp | {"origin": part.origin})
    store.remove(part.table.name, part.where)


def _forget_older(store: RemovingStore, part: Part, findings: Frame) -> None:
    """Remove findings of a part by rules that this judgement does not have: they speak of older rows."""
    stamp: dict[str, Scalar] = {
        "ticker": part.ticker,
        "dataset": part.dataset,
        "session": part.session,
        "source": part.source,
        "origin": part.origin,
    }
    stored = store.read(QUALITY_FINDINGS.name, stamp, ["rule"])["rule"]
    older = stored.filter(~stored.is_in(findings["rule"].implode())).to_list()
    if older:
        store.remove(QUALITY_FINDINGS.name, {**stamp, "rule": older})


def _status(part: Part, what: Dataset, best: Candidate) -> str:
    """Return what coverage says: a chain of an open session is never the last one."""
    is_open = (
        what.kind == CHAIN and best.sent.asked_at < market_calendar.session(part.session).close
    )
    return PARTIAL if best.judged.lack or is_open else COMPLETE


def _contracts(best: Candidate) -> Frame:
    """Return the contracts that are known in full; a flat file names them alone."""
    known = best.sent.contracts
    return pl.DataFrame() if known is None or "multiplier" not in known.columns else known


def _publish(bench: Bench, what: Dataset, part: Part, rows: Frame, best: Candidate) -> None:
    """Replace the partition's file in the lake; of snapshots it has all that were stored."""
    whole = stages.conformed(what, rows)
    if what.kind == CHAIN:
        stored = bench.store.read(what.table.name, part.where).filter(is_snapshot())
        schema = list(frame_schema(what.table))
        older = stored.join(whole.select("ts").unique(), on="ts", how="anti").select(schema)
        whole = pl.concat([older, whole])
    bench.lake.publish(what, part, whole, made_from=best.sent.made_from)
