"""The whole job over fakes of the two ports: resumable, idempotent, honest about what it got."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from models.errors import NotFound, StoreError, TradingError, Unavailable
from models.tables import TABLES
from pipeline import plan
from pipeline.chain_summary import ChainSummary
from pipeline.coverage import content_hash
from pipeline.download import Request, download
from pipeline.events import Event, Fetching, Kept, Planned, Stored, Written
from pipeline.load import Desk
from pipeline.runs import Run
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Callable

FRIDAY = market_calendar.session(date(2026, 11, 20))
WINDOW = plan.Window(0, 7)


@dataclass
class Job:
    """One request run again and again against the same store."""

    store: Any
    market: Any
    wall: Callable[[], datetime]
    now: datetime = FRIDAY.close
    tickers: tuple[str, ...] = ("QQQ",)
    days: int = 2
    interval: str = "1m"
    window: plan.Window | None = WINDOW
    runs: int = field(default=0)

    def start(self) -> Any:
        self.runs += 1
        sessions = tuple(market_calendar.sessions_back(self.now, self.days))
        request = Request(self.tickers, sessions, self.interval, self.window)
        desk = Desk(self.market, self.store, lambda: self.now, self.wall)
        return download(request, desk, Run(f"run-{self.runs}", "test"))

    def run(self) -> list[Event]:
        self.market.asked.clear()
        return list(self.start())

    def stored(self) -> list[Stored]:
        return [event for event in self.run() if isinstance(event, Stored)]

    def content(self) -> dict[str, str]:
        hidden = {"download_runs"}
        frames = {
            name: frame.with_columns(checked_at=pl.lit(self.wall()))
            if name == "coverage"
            else frame
            for name, frame in self.store.frames.items()
            if name not in hidden
        }
        return {name: content_hash(TABLES[name], frame) for name, frame in frames.items()}

    def statuses(self) -> list[str]:
        return self.store.frames["download_runs"]["status"].to_list()


@pytest.fixture
def job(store: Any, market: Any, wall: Callable[[], datetime]) -> Job:
    return Job(store, market, wall)


def test_a_first_run_stores_bars_and_one_chain(job: Job) -> None:
    events = job.run()
    assert isinstance(events[0], Planned)
    assert events[0].steps == 2
    stored = [event for event in events if isinstance(event, Stored)]
    assert [(e.dataset, e.session.day, e.status) for e in stored] == [
        ("equity_bars_1m", 19, "complete"),
        ("equity_bars_1m", 20, "complete"),
        ("option_quotes", 20, "complete"),
    ]
    assert [e.rows for e in stored[:2]] == [13 * 60, 9 * 60]  # Friday up to its close
    quotes = job.store.frames["option_quotes"]
    assert stored[2].rows == quotes.height > 100
    out = (pl.col("right") == "C") == (pl.col("strike") >= 100)
    live = quotes.filter(out, pl.col("expiration") > FRIDAY.day, pl.col("bid").is_not_null())
    assert live["implied_volatility"].null_count() == 0
    assert live["implied_volatility"].median() == pytest.approx(0.2, abs=0.002)
    assert job.statuses() == ["complete"]
    rates = job.store.frames["rates"].row(0, named=True)
    assert (rates["name"], rates["rate"]) == ("schwab_chain", 0.04)


def test_coverage_speaks_of_what_is_stored(job: Job) -> None:
    job.run()
    for row in job.store.frames["coverage"].iter_rows(named=True):
        table = "option_quotes" if row["dataset"] == "option_quotes" else "equity_bars"
        rows = job.store.frames[table].filter(session=row["session"])
        assert row["rows"] == rows.height
        assert row["newest_at"] == rows["ts"].max()
        assert row["content_hash"] == content_hash(TABLES[table], rows)


def test_a_second_run_asks_for_nothing(job: Job) -> None:
    job.run()
    before = job.content()
    events = job.run()
    assert job.market.asked == []
    assert [type(event) for event in events] == [Planned, Kept, Kept, Kept, ChainSummary]
    assert sum(e.rows for e in events if isinstance(e, Kept)) == sum(
        job.store.frames["coverage"]["rows"]
    )
    assert job.content() == before


def test_only_what_is_missing_is_asked_for(job: Job) -> None:
    job.run()
    job.days = 4
    events = job.run()
    assert job.market.asked == ["underlyings QQQ", "bars QQQ 11-17 05:00 11-19 01:00 1m"]
    fetched = [event for event in events if isinstance(event, Fetching)]
    assert [day.day for day in fetched[0].sessions] == [17, 18]


def test_coverage_written_means_data_was_written_before(job: Job) -> None:
    job.run()
    tables = [table for table, _ in job.store.writes]
    for number, table in enumerate(tables):
        if table == "coverage":
            assert tables[number - 1] in {"equity_bars", "option_quotes", "quarantine"}


def test_new_parts_are_loaded_the_fast_way(job: Job) -> None:
    job.run()
    first = dict(job.store.writes)
    assert first["equity_bars"]
    assert first["option_quotes"]
    job.store.writes.clear()
    job.now += timedelta(hours=1)
    job.run()
    assert dict(job.store.writes)["equity_bars"] is False


def test_an_open_session_is_partial_and_is_extended(job: Job) -> None:
    job.now = FRIDAY.open + timedelta(minutes=10, seconds=30)
    stored = job.stored()
    assert [e.status for e in stored] == ["complete", "partial", "partial"]
    assert stored[1].rows == 150 + 10  # pre-market and ten finished minutes
    job.now += timedelta(minutes=5)
    events = job.run()
    bars = [e for e in events if isinstance(e, Stored | Written)][:2]
    assert isinstance(bars[0], Written)
    assert bars[0].changed == 5
    assert isinstance(bars[1], Stored)
    assert (bars[1].session.day, bars[1].rows) == (20, 165)
    assert job.store.frames["option_quotes"]["ts"].n_unique() == 2
    job.now = FRIDAY.close + timedelta(hours=50)
    assert [e.status for e in job.stored()] == ["complete", "complete"]


def test_the_way_to_a_complete_session_leaves_no_trace(job: Job, wall: Any) -> None:
    job.window = None
    for minutes in (-300, -20, 0, 500):
        job.now = FRIDAY.close + timedelta(minutes=minutes)
        job.run()
    other = Job(type(job.store)(), job.market, wall, now=job.now, window=None)
    other.run()
    strip = pl.exclude("updated_at")
    assert job.store.frames["equity_bars"].equals(other.store.frames["equity_bars"])
    assert job.store.frames["coverage"].equals(other.store.frames["coverage"])
    assert job.store.frames["underlyings"].select(strip).height == 1


def test_a_closed_market_gives_one_snapshot(job: Job) -> None:
    job.run()
    job.now = datetime(2026, 11, 21, 8, tzinfo=UTC)  # Saturday 03:00 New York
    job.run()
    assert not [line for line in job.market.asked if line.startswith("chain")]
    assert job.store.frames["option_quotes"]["ts"].n_unique() == 1


def test_a_wider_window_is_asked_for(job: Job) -> None:
    job.run()
    job.window = plan.Window(0, 30)
    stored = job.stored()
    assert [e.dataset for e in stored] == ["option_quotes"]
    assert job.stored() == []
    job.window = WINDOW
    assert job.stored() == []


def test_a_clock_set_back_adds_an_earlier_snapshot_once(job: Job) -> None:
    job.run()
    covered = job.store.frames["coverage"].filter(dataset="option_quotes")
    job.now = FRIDAY.open + timedelta(minutes=30)
    assert [e.dataset for e in job.stored()] == ["option_quotes"]
    assert job.stored() == []
    again = job.store.frames["coverage"].filter(dataset="option_quotes")
    kept = ["asked_at", "newest_at", "status", "scope"]
    assert again.select(kept).equals(covered.select(kept))
    assert again["rows"][0] == job.store.frames["option_quotes"].height


def test_the_hash_of_a_day_of_snapshots_is_that_of_all_its_rows(job: Job) -> None:
    """Each run reads back what is new alone; a run killed before its coverage is made good."""
    read_back = []
    read = job.store.read

    def listen(table: str, where: Any = None, columns: Any = None) -> Any:
        found = read(table, where, columns)
        if table == "option_quotes" and columns is None:
            read_back.append(found["ts"].n_unique())
        return found

    def fail(table: str) -> None:
        if table == "coverage":
            raise Killed

    job.store.read = listen
    for number in range(5):
        job.now = FRIDAY.open + timedelta(minutes=30 + number)
        killed = number == 2
        job.store.before_write = fail if killed else lambda _table: None
        job.interval = "1d"  # its bar comes at the close
        if killed:
            with pytest.raises(Killed):
                job.run()
        else:
            job.run()
    assert read_back == [1, 1, 1, 2, 1]
    rows = read("option_quotes")
    (covered,) = read("coverage", {"dataset": "option_quotes"}).iter_rows(named=True)
    assert rows["ts"].n_unique() == 5
    assert covered["rows"] == rows.height
    assert covered["newest_at"] == rows["ts"].max()
    assert covered["content_hash"] == content_hash(TABLES["option_quotes"], rows)


def test_a_contract_keeps_the_day_it_was_first_seen(job: Job) -> None:
    job.now = FRIDAY.close - timedelta(days=1)
    job.run()
    job.now = FRIDAY.close
    job.run()
    first = dict(job.store.frames["option_contracts"].select("expiration", "first_seen").rows())
    assert first[date(2026, 11, 23)] == date(2026, 11, 19)
    assert first[date(2026, 11, 27)] == date(2026, 11, 20)


def test_bad_rows_go_to_quarantine_and_the_rest_is_stored(job: Job) -> None:
    ts = FRIDAY.open + timedelta(minutes=7)
    job.market.mend_bars = lambda rows: rows.with_columns(
        close=pl.when(pl.col("ts") == ts).then(-1.0).otherwise("close")
    )
    job.market.mend_quotes = lambda rows: pl.concat([rows, rows.head(2)])
    stored = job.stored()
    assert [e.quarantined for e in stored] == [0, 1, 2]
    assert stored[1].missing == 1
    rules = job.store.frames["quarantine"]["rule"].to_list()
    assert sorted(rules) == ["duplicate", "duplicate", "no_price"]
    assert job.store.frames["quarantine"]["session"].unique().to_list() == [FRIDAY.day]


def test_a_session_without_bars_is_empty_and_asked_again(job: Job) -> None:
    job.market.without_bars = {date(2026, 11, 19)}
    stored = job.stored()
    assert (stored[0].status, stored[0].missing, stored[0].rows) == ("empty", 390, 0)
    assert job.statuses() == ["partial"]
    job.market.without_bars.clear()
    assert [(e.session.day, e.status) for e in job.stored()] == [(19, "complete")]
    assert job.statuses() == ["partial", "complete"]


def test_a_session_of_bad_rows_is_quarantined(job: Job) -> None:
    job.market.mend_bars = lambda rows: rows.with_columns(close=pl.lit(-1.0))
    assert [e.status for e in job.stored()] == ["quarantined", "quarantined", "complete"]


def test_an_unknown_ticker_stops_the_run_before_anything_is_stored(job: Job) -> None:
    job.tickers = ("QQQ", "ZZZZZ")
    with pytest.raises(NotFound, match="ZZZZZ"):
        job.run()
    assert job.store.frames["equity_bars"].is_empty()
    record = job.store.frames["download_runs"].row(0, named=True)
    assert (record["status"], record["error"]) == ("failed", "ZZZZZ: no such ticker")


def test_several_tickers_are_kept_apart(job: Job) -> None:
    job.tickers = ("QQQ", "SPY")
    job.run()
    assert job.market.asked[0] == "underlyings QQQ,SPY"
    counts = job.store.frames["equity_bars"]["underlying"].value_counts()
    assert counts["count"].n_unique() == 1


@pytest.mark.parametrize(("interval", "rows"), [("5m", 156 + 108), ("1d", 2), ("1w", 1)])
def test_other_intervals(job: Job, interval: str, rows: int) -> None:
    job.interval, job.window = interval, None
    stored = job.stored()
    assert sum(e.rows for e in stored) == rows
    assert {e.status for e in stored} == {"complete"}
    assert {e.missing for e in stored} == {0}
    assert job.stored() == []


def test_leaving_early_is_recorded_as_interrupted(job: Job) -> None:
    with closing(job.start()) as events:
        for event in events:
            if isinstance(event, Stored):
                break
    assert job.statuses() == ["interrupted"]
    job.run()
    assert job.statuses() == ["interrupted", "complete"]


def test_a_failing_source_is_recorded(job: Job) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("schwab is out of order", provider="schwab")

    job.market.option_chain = fail
    with pytest.raises(Unavailable):
        job.run()
    assert job.statuses() == ["failed"]
    assert job.store.frames["equity_bars"].height == 13 * 60 + 9 * 60  # nothing stored is lost


def test_a_failing_database_is_not_hidden_by_its_own_record(job: Job) -> None:
    def fail(table: str) -> None:
        if table != "download_runs" or job.store.writes:
            raise StoreError("the disk is full")

    job.store.before_write = fail
    with pytest.raises(StoreError, match="disk is full"):
        job.run()


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


@pytest.mark.parametrize("fatal", range(1, 14))
def test_a_run_killed_before_any_write_is_completed_to_the_same_content(
    job: Job, wall: Any, fatal: int
) -> None:
    whole = Job(type(job.store)(), job.market, wall)
    whole.run()
    writes = 0

    def count(_table: str) -> None:
        nonlocal writes
        writes += 1
        if writes == fatal:
            raise Killed

    job.store.before_write = count
    try:
        job.run()
    except Killed:
        job.store.before_write = lambda _table: None
        job.run()
    assert job.content() == whole.content()


def test_a_killed_run_is_marked_by_the_next_one_and_a_living_one_is_not(job: Job) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    processes = [f"process {gone.pid} of {host}", f"process {os.getppid()} of {host}"]
    processes += [f"process {gone.pid} of elsewhere", None]
    begun = {"command": "main.py", "started_at": job.wall(), "status": "running", "rows": 0}
    begun |= {"source": "schwab", "origin": "simulator"}
    rows = [begun | {"run_id": str(n), "error": text} for n, text in enumerate(processes)]
    job.store.upsert("download_runs", pl.DataFrame(rows, infer_schema_length=None))
    job.run()
    runs = job.store.frames["download_runs"].sort("run_id")
    assert runs["status"].to_list() == ["interrupted", *["running"] * 3, "complete"]
    assert runs["error"][0] == "its process was killed"
    assert runs["error"][-1] is None


def test_every_error_of_a_run_is_one_of_ours(job: Job) -> None:
    job.tickers = ("ZZZZZ",)
    with pytest.raises(TradingError):
        job.run()
