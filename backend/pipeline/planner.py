"""What is to be done: what the calendar wants, less what coverage and the lake vouch for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline import plan
from pipeline.datasets import BARS, CHAIN, DAILY, dataset
from pipeline.partition import Partition
from pipeline.stages import LONE_GAPS, slot_of
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from models.tables import Frame
    from pipeline.datasets import Dataset, Windows
    from pipeline.plan import Window


class LakeView(Protocol):
    """What the lake has."""

    def has(self, what: Dataset, ticker: str, session: date, source: str, origin: str) -> bool:
        """Return whether a partition's file is there."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do.

    Attributes:
        wanted: Every partition that was asked for.
        covered: Row of coverage of each that is whole already.
    """

    wanted: tuple[Partition, ...]
    covered: dict[Partition, dict[str, Any]]

    @property
    def todo(self) -> tuple[Partition, ...]:
        """The rest, in order."""
        return tuple(each for each in self.wanted if each not in self.covered)


def wanted_partitions(
    datasets: Sequence[str], tickers: Sequence[str], sessions: Sequence[date], now: datetime
) -> tuple[Partition, ...]:
    """Return every partition of sessions that are over at `now`, and the chain of the present.

    Args:
        datasets: Their names.
        tickers: Underlyings.
        sessions: Exchange days, oldest first.
        now: Market time.
    """
    present = market_calendar.last_session(now).day
    found = []
    for name in datasets:
        what = dataset(name)
        days = (
            [day for day in sessions if settled_at(what, day) <= now] if what.is_past else [present]
        )
        found += [Partition(name, ticker, day) for ticker in tickers for day in days]
    return tuple(found)


def settled_at(what: Dataset, session: date) -> datetime:
    """Return when nothing more comes of a dataset's session, UTC."""
    if what.kind in {BARS, DAILY}:
        return slot_of(what, session).end
    if what.kind == CHAIN:
        return market_calendar.session(session).close
    return market_calendar.session(session).close + plan.AFTER_CLOSE


def make_plan(  # noqa: PLR0913 - what is wanted, and all that is known of it
    wanted: Sequence[Partition],
    coverage: Frame,
    lake: LakeView,
    *,
    windows: Windows,
    now: datetime,
    sources: Sequence[str],
) -> Plan:
    """Return what is whole of what is wanted, and so what is to be done.

    Args:
        wanted: As `wanted_partitions`.
        coverage: Rows of `COVERAGE` of the tickers and one origin.
        lake: What lies there.
        windows: Expirations that are wanted.
        now: Market time.
        sources: Whose rows count.
    """
    goals = set(wanted)
    covered: dict[Partition, dict[str, Any]] = {}
    for row in coverage.iter_rows(named=True):
        each = Partition(row["dataset"], row["ticker"], row["session"])
        if each not in goals or row["source"] not in sources:
            continue
        what = dataset(each.dataset)
        there = lake.has(what, each.ticker, each.session, row["source"], row["origin"])
        if there and is_whole(what, row, windows.of(what), now):
            covered[each] = row
    return Plan(tuple(wanted), covered)


def is_whole(what: Dataset, row: dict[str, Any], window: Window, now: datetime) -> bool:
    """Return whether a row of coverage leaves nothing to ask for.

    Args:
        what: Its dataset.
        row: Of `COVERAGE`, by column.
        window: Expirations that are wanted.
        now: Market time.
    """
    asked_at: datetime | None = row["asked_at"]
    if asked_at is None or (what.has_scope and not window.within(row["scope"])):
        return False
    if what.kind == CHAIN:  # one of an open session is partial: more can come
        enough = min(settled_at(what, row["session"]), plan.snapshot_time(now))
        return row["status"] in {"complete", "partial"} and asked_at >= enough
    if row["status"] != "complete":
        return False
    if asked_at < settled_at(what, row["session"]):
        return False
    # A download alone calls a session complete when it is over, whatever minutes it lacks.
    return row["checks"] is not None or row["missing"] <= LONE_GAPS * (row["rows"] + row["missing"])
