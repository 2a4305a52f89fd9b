"""Old rows move to the lake, thinned or whole, and come back as they were; a kill loses nothing."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from app.retention_command import LakeArchive
from clients.lake import Lake
from clients.lake_place import LocalPlace
from models.errors import StoreError
from models.tables import COVERAGE, EQUITY_BARS, OPTION_QUOTES, frame_schema
from pipeline.retention import Kept, Policy, move, restore, steps, steps_back

if TYPE_CHECKING:
    from pathlib import Path

    from models.tables import Frame, Table

DAYS = [date(2026, 11, day) for day in (2, 3, 4, 5, 6)]
POLICY = Policy(whole=1, thinned=3, every=15)
NOW = datetime(2026, 11, 7, tzinfo=UTC)


def of(table: Table, rows: list[dict[str, Any]]) -> Frame:
    stamp = {"source": "polygon", "origin": "simulator"}
    schema = frame_schema(table)
    return pl.DataFrame(
        [dict.fromkeys(schema) | row | stamp for row in rows], schema=schema, orient="row"
    )


def quotes(day: date, *, snapshot: bool = False) -> Frame:
    """Return two contracts at each of 60 minutes, or at one moment with open interest."""
    first = datetime(day.year, day.month, day.day, 15, 0, tzinfo=UTC)
    moments = (
        [first + timedelta(minutes=7)]
        if snapshot
        else [first + timedelta(minutes=n) for n in range(60)]
    )
    return of(
        OPTION_QUOTES,
        [
            {
                "ts": ts,
                "occ_symbol": f"QQQ   261218C0060{strike}000",
                "underlying": "QQQ",
                "session": day,
                "expiration": date(2026, 12, 18),
                "strike": 600.0 + strike,
                "right": "C",
                "bid": 1.0 + ts.minute / 7,
                "ask": 2.0 + ts.minute / 7,
                "open_interest": 9 if snapshot else None,
            }
            for ts in moments
            for strike in ((5, 6) if snapshot else (1, 2))
        ],
    )


def bars(day: date) -> Frame:
    first = datetime(day.year, day.month, day.day, 15, 0, tzinfo=UTC)
    return of(
        EQUITY_BARS,
        [
            {
                "ts": first + timedelta(minutes=n),
                "underlying": "QQQ",
                "interval": "1m",
                "session": day,
                **dict.fromkeys(("open", "high", "low", "close"), 600.0 + n),
                "volume": n,
            }
            for n in range(60)
        ],
    )


class Desk:
    """A store with five sessions of three datasets, and a lake."""

    def __init__(self, store: Any, folder: Path) -> None:
        self.store, self.archive = store, LakeArchive(Lake(LocalPlace(folder)))
        for day in DAYS:
            store.upsert("option_quotes", quotes(day))
            store.upsert("option_quotes", quotes(day, snapshot=True))
            store.upsert("equity_bars", bars(day))
            for dataset in ("option_quotes_1m", "option_quotes", "equity_bars_1m"):
                self.cover(dataset, day, "complete")

    def cover(self, dataset: str, day: date, status: str) -> None:
        row = {
            "ticker": "QQQ",
            "dataset": dataset,
            "session": day,
            "status": status,
            "rows": 1,
            "missing": 0,
            "content_hash": "0",
            "checked_at": NOW,
        }
        self.store.upsert("coverage", of(COVERAGE, [row]))

    def steps(self, policy: Policy = POLICY) -> Any:
        moved = self.store.read("retention")
        return steps(self.store.read("coverage"), moved, DAYS, policy)

    def move(self) -> list[Any]:
        return list(move(self.steps(), self.store, self.archive, POLICY, lambda: NOW))

    def counts(self, table: str, **where: Any) -> list[int]:
        return [self.store.read(table, {"session": day, **where}).height for day in DAYS]


@pytest.fixture
def desk(store: Any, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path)


def test_the_oldest_go_the_older_are_thinned_the_newest_stay(desk: Desk) -> None:
    before = {name: desk.store.read(name) for name in ("option_quotes", "equity_bars")}
    done = desk.move()
    # A snapshot of two contracts at 15:07, beside two that are quoted in each minute.
    assert desk.counts("option_quotes") == [0, 0, 2 + 2 * 4, 2 + 2 * 4, 2 + 2 * 60]
    assert desk.counts("equity_bars") == [0, 0, 60, 60, 60]
    assert {each.step.keep for each in done} == {Kept.NONE, Kept.THINNED}
    assert desk.move() == [], "a second run has nothing to do"

    assert sum(each.removed for each in done) == 2 * (122 + 60) + 2 * 2 * 56
    back = list(
        restore(steps_back(desk.store.read("retention")), desk.store, desk.archive, lambda: NOW)
    )
    assert {each.step.keep for each in back} == {Kept.ALL}
    for name, rows in before.items():
        assert desk.store.read(name).sort(rows.columns[:2]).equals(rows.sort(rows.columns[:2]))
    assert steps_back(desk.store.read("retention")) == []


def test_what_is_not_complete_stays(desk: Desk) -> None:
    desk.cover("equity_bars_1m", DAYS[0], "partial")
    desk.move()
    assert desk.counts("equity_bars") == [60, 0, 60, 60, 60]


def test_rows_that_the_lake_has_otherwise_are_completed_there(desk: Desk) -> None:
    """The lake has a stale half of a session: it is whole before anything is removed."""
    (step,) = [one for one in desk.steps() if one.what.name == "equity_bars_1m"][:1]
    stale = bars(DAYS[0])[:30].with_columns(close=pl.lit(1.0))
    desk.archive.replace(step.what, step.part, stale)
    desk.move()
    found = desk.archive.rows(step.what, step.part)
    assert found is not None
    assert found.sort("ts").equals(bars(DAYS[0]))


def test_nothing_is_removed_that_the_lake_does_not_show(desk: Desk) -> None:
    class Forgetful(LakeArchive):
        def replace(self, what: Any, part: Any, rows: Frame) -> None:
            super().replace(what, part, rows[1:])

    desk.archive = Forgetful(desk.archive._lake)
    before = desk.store.read("equity_bars")
    with pytest.raises(StoreError, match="nothing was removed"):
        desk.move()
    assert desk.store.read("equity_bars").equals(before)
    assert desk.store.read("retention").is_empty()


@pytest.mark.parametrize("seed", range(8))
def test_a_kill_at_any_write_loses_nothing(desk: Desk, seed: int) -> None:
    before = {name: desk.store.read(name) for name in ("option_quotes", "equity_bars")}
    left = random.Random(seed).randrange(14)

    def crash(_table: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    desk.store.before_write = crash
    with pytest.raises(KeyboardInterrupt):
        desk.move()
    desk.store.before_write = lambda _table: None
    desk.move()
    assert desk.counts("equity_bars") == [0, 0, 60, 60, 60]
    list(restore(steps_back(desk.store.read("retention")), desk.store, desk.archive, lambda: NOW))
    for name, rows in before.items():
        assert desk.store.read(name).sort(rows.columns[:2]).equals(rows.sort(rows.columns[:2]))


def test_a_lake_that_lacks_a_part_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.move()
    other = LakeArchive(Lake(LocalPlace(tmp_path / "other")))
    with pytest.raises(StoreError, match=r"the lake has no .* which was moved there"):
        list(restore(steps_back(desk.store.read("retention")), desk.store, other, lambda: NOW))
