"""Runs that meet each other, a lost database, a full disk, a clock that jumps, dead workers."""

from __future__ import annotations

import os
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from app.etl_worker import CheckedLake
from clients import embedded_postgres
from clients.lake import Lake
from clients.migrations import migrate
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.errors import ConfigError, StoreError
from pipeline.etl_events import PartitionDone, RunEnded
from pipeline.ledger import Scope, pause_s
from pipeline.partition import LEASE_S, Partition
from tests.test_etl.conftest import Wall

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.ledger import Claim, Ledger
    from pipeline.outcome import Outcome
    from pipeline.work import Order
    from tests.test_etl.conftest import Etl

WEEK = tuple(date(2026, 11, day) for day in (16, 17, 18, 19, 20))


def ended(events: list[Any]) -> RunEnded:
    assert isinstance(events[-1], RunEnded)
    return events[-1]


def test_a_second_run_finds_nothing_to_do(etl: Etl) -> None:
    wanted = etl.partitions(*WEEK)
    assert ended(etl.run(wanted)).done == 5
    content = etl.content()
    assert etl.todo(wanted) == ()
    assert ended(etl.run(wanted)).done == 0
    assert etl.content() == content


def test_two_runs_at_once_share_the_work(etl: Etl) -> None:
    wanted = etl.partitions(*WEEK, tickers=("QQQ", "SPY", "IWM", "AAPL"), dataset="equity_bars_1d")
    wanted += etl.partitions(*WEEK, tickers=("QQQ", "SPY", "IWM", "AAPL"))
    beside = replace(etl, time=Wall())
    runners = [beside.runner(wanted) for _ in range(2)]

    def done(number: int) -> list[Any]:
        with closing(runners[number].run()) as events:
            return list(events)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(done, range(2))
    assert ended(one).done + ended(other).done == len(wanted)
    told = [each.outcome.partition for each in (*one, *other) if isinstance(each, PartitionDone)]
    assert sorted(told) == sorted(wanted)  # each once
    assert etl.todo(wanted) == ()


def test_what_a_dead_process_held_is_taken_over_at_once(etl: Etl) -> None:
    wanted = etl.partitions(*WEEK)
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    ledger.enqueue(wanted, "simulator")
    gone = f"a process 4194303 of {os.uname().nodename}"
    held = ledger.claim(etl.scope(wanted), gone, "a", [10])
    assert len(held) == 5
    assert ended(etl.run(wanted)).done == 5
    assert etl.time.waited <= 1


def test_what_another_machine_held_is_taken_over_when_its_lease_lapses(etl: Etl) -> None:
    wanted = etl.partitions(*WEEK)
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    ledger.enqueue(wanted, "simulator")
    held = ledger.claim(etl.scope(wanted), "a process 1 of elsewhere", "a", [10])
    assert len(held) == 5
    assert ended(etl.run(wanted)).done == 5
    assert LEASE_S - 1 < etl.time.waited < LEASE_S + 5


def test_what_is_judged_beside_others_comes_after_them(etl: Etl) -> None:
    names = ("option_trades", "option_quotes_1m", "option_quotes", "equity_bars_1m")
    wanted = tuple(Partition(name, "QQQ", WEEK[-1]) for name in names)
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    ledger.enqueue(wanted, "simulator")
    scope, most = etl.scope(wanted), [10] * 4

    def claimed() -> list[str]:
        found = ledger.claim(scope, "me", "a", most)
        taken.extend(found)
        return [each.partition.dataset for each in found]

    taken: list[Claim] = []
    assert [claimed(), claimed(), claimed()] == [["equity_bars_1m"], ["option_quotes"], []]
    ledger.finish(taken[0], "simulator", "me", [])
    assert claimed() == []
    ledger.postpone(taken[1], "simulator", "me", [], error="nobody has it", pause_s=None)
    assert [claimed(), claimed()] == [["option_quotes_1m"], ["option_trades"]]
    alone = (
        Partition("option_trades", "SPY", WEEK[-1]),
        Partition("option_quotes", "SPY", WEEK[-1]),
    )
    ledger.enqueue(alone, "simulator")  # another run's chain is not waited for
    (only,) = ledger.claim(etl.scope(alone[:1]), "me", "a", [10])
    assert only.partition == alone[0]


def test_who_lost_a_lease_ends_nothing(etl: Etl) -> None:
    wanted = etl.partitions(WEEK[0])
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    ledger.enqueue(wanted, "simulator")
    (slow,) = ledger.claim(etl.scope(wanted), "slow", "a", [10])
    etl.time.pause(LEASE_S + 1)
    (quick,) = ledger.claim(etl.scope(wanted), "quick", "b", [10])
    ledger.postpone(slow, "simulator", "slow", [], error="too late", pause_s=None)
    assert ledger.dead_letters(etl.scope(wanted)) == []
    ledger.finish(quick, "simulator", "quick", [])
    assert ledger.open(etl.scope(wanted)).next_in_s is None


@pytest.mark.parametrize("by", [timedelta(days=-2), timedelta(days=2)])
def test_a_clock_that_jumps_stops_nothing(etl: Etl, by: timedelta) -> None:
    wanted = etl.partitions(*WEEK)
    jumps = iter([by, by])

    def jump(_order: Order) -> None:
        etl.time.now += next(jumps, timedelta(0))

    assert ended(etl.run(wanted, before=jump)).done == 5
    assert etl.time.waited < LEASE_S
    assert etl.todo(wanted) == ()


def test_a_full_lake_is_told_and_the_next_run_completes(etl: Etl, tmp_path: Path) -> None:
    wanted = etl.partitions(WEEK[0])

    full = tmp_path / "full"
    full.symlink_to("/dev/full")  # no folder can be made in it, as on a disk without room
    events = etl.run(wanted, patience_s=10.0, lake=CheckedLake(Lake.open(full / "lake")))
    assert (ended(events).done, ended(events).waiting) == (0, 1)
    assert etl.store.read("coverage").is_empty()
    reasons = etl.store.ledger(code_version="test").reasons(etl.scope(wanted))
    assert "cannot be written" in reasons[wanted[0]]
    assert ended(etl.run(wanted)).done == 1


def test_a_full_disk_under_the_database_is_told_and_the_next_run_completes(etl: Etl) -> None:
    wanted = etl.partitions(WEEK[0])
    with etl.store.ledger(code_version="test")._transport.transaction() as session:
        session.execute(
            "create function full_disk() returns trigger language plpgsql as $$ begin raise "
            "exception 'could not extend file: No space left on device' using errcode = '53100';"
            " end $$"
        )
        session.execute(
            "create trigger full_disk before insert on equity_bars "
            "for each statement execute function full_disk()"
        )
    events = etl.run(wanted, patience_s=10.0)
    assert ended(events).waiting == 1
    reasons = etl.store.ledger(code_version="test").reasons(etl.scope(wanted))
    assert "disk is full" in reasons[wanted[0]]
    with etl.store.ledger(code_version="test")._transport.transaction() as session:
        session.execute("drop trigger full_disk on equity_bars")
    assert ended(etl.run(wanted)).done == 1
    assert etl.todo(wanted) == ()


def test_a_database_that_is_started_anew_is_found_again(etl: Etl, tmp_path: Path) -> None:
    own = tmp_path / "pg"
    server = embedded_postgres.start(own)
    migrate(server.dsn)
    settings = SupabaseSettings(_env_file=None, supabase_db_url=server.dsn)
    orders: list[Order] = []

    def start_anew(order: Order) -> None:
        orders.append(order)
        embedded_postgres.stop(own)
        embedded_postgres.start(own)

    try:
        with SupabaseClient.from_settings(settings) as store:
            anew = replace(etl, store=store, bench=replace(etl.bench, store=store))
            wanted = anew.partitions(*WEEK)
            assert ended(anew.run(wanted, before=start_anew)).done == 5
            assert orders
            assert anew.todo(wanted) == ()
    finally:
        embedded_postgres.stop(own)


class Flaky:
    """A ledger whose database is away for some calls."""

    def __init__(self, ledger: Ledger, away: int) -> None:
        self._ledger, self.away = ledger, away

    def __getattr__(self, name: str) -> Any:
        if self.away:
            self.away -= 1
            raise StoreError("the database is starting up")
        return getattr(self._ledger, name)


def test_a_database_that_is_away_is_waited_for_as_long_as_the_patience_lasts(etl: Etl) -> None:
    wanted = etl.partitions(WEEK[0], dataset="equity_bars_1d")
    runner = etl.runner(wanted)
    runner._ledger = Flaky(runner._ledger, 10)
    with closing(runner.run()) as events:
        assert ended(list(events)).done == 1
    runner = etl.runner(wanted, patience_s=1.0)
    runner._ledger = Flaky(runner._ledger, 1000)
    with closing(runner.run()) as events, pytest.raises(StoreError, match="starting up"):
        list(events)


def test_a_worker_that_dies_costs_an_attempt_and_the_rest_goes_on(etl: Etl) -> None:
    wanted = etl.partitions(WEEK[0], dataset="equity_bars_1d")
    runner = etl.runner(wanted)
    workers = runner._workers
    whole = workers.submit
    orders: list[Order] = []
    renewed: list[bool] = []

    def submit(order: Order) -> Future[list[Outcome]]:
        orders.append(order)
        if len(orders) == 1:  # dies at work
            future: Future[list[Outcome]] = Future()
            future.set_exception(BrokenExecutor("a child was killed"))
            return future
        if len(orders) == 2:  # as a broken pool does, until it is replaced
            raise BrokenExecutor("the pool is broken")
        return whole(order)

    workers.submit = submit  # type: ignore[method-assign]
    workers.renew = lambda: renewed.append(True)  # type: ignore[method-assign]
    with closing(runner.run()) as events:
        told = [each for each in events if isinstance(each, PartitionDone)]
    assert [each.status for each in told] == ["waiting", "done"]
    assert told[0].outcome.reason == "its worker died: out of memory, or killed"
    assert renewed == [True]


def test_whoever_leaves_early_gives_back_what_it_held(etl: Etl) -> None:
    wanted = etl.partitions(*WEEK)
    with closing(etl.runner(wanted).run()) as events:
        next(events)
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    assert ledger.owners() == []
    again = ledger.claim(etl.scope(wanted), "next", "b", [10])
    assert [claim.attempts for claim in again] == [1] * 5  # the interrupted attempt does not count


def test_the_ledger_needs_sql(rest: Any) -> None:
    settings = SupabaseSettings(_env_file=None, supabase_url=rest.url, supabase_key=rest.secret_key)
    with (
        SupabaseClient.from_settings(settings) as store,
        pytest.raises(ConfigError, match="SUPABASE_DB_URL"),
    ):
        store.ledger(code_version="test")


def test_pauses_grow_to_five_minutes() -> None:
    assert [pause_s(attempts) for attempts in range(1, 7)] == [1, 4, 16, 64, 256, 300]


def test_the_ledger_is_the_databases_own_in_time(database: str) -> None:
    settings = SupabaseSettings(_env_file=None, supabase_db_url=database)
    with SupabaseClient.from_settings(settings) as store, psycopg.connect(database) as look:
        ledger = store.ledger(code_version="test")
        ledger.enqueue([Partition("equity_bars_1m", "QQQ", WEEK[0])], "live")
        scope = Scope(("equity_bars_1m",), ("QQQ",), WEEK[0], WEEK[0], "live")
        assert len(ledger.claim(scope, "me", "run", [10])) == 1
        row = look.execute("select lease_until - now() from ledger").fetchone()
    assert row
    assert timedelta(seconds=LEASE_S - 30) < row[0] <= timedelta(seconds=LEASE_S)
