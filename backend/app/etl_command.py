"""The pipeline as a command: plan from coverage, work through the ledger, say what is missing."""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from app import cli, request
from app.etl_pool import opened_workers
from app.etl_report import EtlReport, with_progress
from app.etl_service import Choice, OwnService, Service, opened_service
from app.etl_worker import CheckedLake, Place
from app.request import DEFAULT_EXPIRATIONS
from app.wiring import open_store, store_place
from clients.lake import Lake
from models.errors import ConfigError, DataError, TradingError
from models.tables import COVERAGE
from pipeline.datasets import DATASETS, DEFAULT_DATASETS, Windows, dataset
from pipeline.etl_events import RunStarted
from pipeline.ledger import Scope
from pipeline.plan import Window
from pipeline.planner import Plan, make_plan, wanted_partitions
from pipeline.runner import Assignment, Pace, Runner
from pipeline.runs import Run, RunRecord, this_process
from pipeline.synthetic_source import ORIGIN as SYNTHETIC_ORIGIN
from pipeline.synthetic_source import SYNTHETIC
from utils import market_calendar
from utils.clock import wall_clock
from utils.code_version import code_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date, datetime

    from clients.supabase_client import SupabaseClient
    from pipeline.etl_events import EtlEvent
    from pipeline.ledger import Ledger
    from pipeline.partition import Partition

DEFAULT_SESSIONS = 10
DEFAULT_TICKERS = ("QQQ", "SPY")
DEFAULT_WINDOW = (0, 0)
"""Expirations, in days ahead: those of the session's own day. The snapshot has all of 45 days."""

MOST_SESSIONS = 2520


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        tickers: Underlyings, each once.
        start: First day; None: ten sessions.
        end: Last day; None: the last session that is over.
        datasets: As `pipeline.datasets` names them.
        window: Expirations of the past of options, in days ahead of each session.
        choice: Whom to ask.
        executor: local, local:N or dask://HOST:PORT.
        lake: Folder or s3:// address; None for that of the settings.
        retry_failed: Whether dead letters are tried once more.
        crosscheck: Whether sources are compared.
        patience_s: Seconds that a service may be away.
        command: As it was typed.
        wanted: The partitions themselves, where they are no product of days, tickers and datasets.
    """

    tickers: tuple[str, ...] = DEFAULT_TICKERS
    start: date | None = None
    end: date | None = None
    datasets: tuple[str, ...] = DEFAULT_DATASETS
    window: tuple[int, int] = DEFAULT_WINDOW
    choice: Choice = field(default_factory=Choice)
    executor: str = "local"
    lake: str | None = None
    retry_failed: bool = False
    crosscheck: bool = True
    patience_s: float = 120.0
    command: str = ""
    wanted: tuple[Partition, ...] | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What the coordinator of a run works with.

    Attributes:
        asked: What a person asked for.
        store: The database.
        ledger: In the same database.
        lake: Where all rows go.
        service: Whom to ask.
        run_id: UUID.
    """

    asked: Asked
    store: SupabaseClient
    ledger: Ledger
    lake: Lake
    service: Service
    run_id: str

    @property
    def windows(self) -> Windows:
        """Expirations that are wanted."""
        return Windows(Window(*self.asked.window), Window(*DEFAULT_EXPIRATIONS))

    @property
    def is_simulated(self) -> bool:
        """Whether no real service is asked."""
        return self.service.origin != "live"

    def plan(self, *, again: bool = False) -> Plan:
        """Return what is wanted and what of it is whole by now.

        Args:
            again: Whether what was made up counts as missing, so that real rows are asked for.
        """
        asked, now = self.asked, self.service.now
        wanted = asked.wanted
        if wanted is None:
            days = sessions_of(asked, now)
            wanted = wanted_partitions(asked.datasets, asked.tickers, days, now)
        origins = list({self.service.origin, SYNTHETIC_ORIGIN})
        where = {"ticker": list(asked.tickers), "origin": origins}
        coverage = self.store.read(COVERAGE.name, where).filter(
            (pl.col("origin") == self.service.origin) | (pl.col("source") == SYNTHETIC)
        )
        made = {SYNTHETIC} if again else set()
        return make_plan(
            wanted,
            coverage,
            CheckedLake(self.lake),
            windows=self.windows,
            now=now,
            sources=[each for each in self.service.sources if each not in made],
        )

    def scope(self, wanted: Sequence[Partition]) -> Scope:
        """Return the scope that holds the wanted partitions."""
        days = [each.session for each in wanted]
        asked = self.asked
        return Scope(asked.datasets, asked.tickers, min(days), max(days), self.service.origin)


@contextmanager
def opened_desk(asked: Asked) -> Iterator[tuple[Desk, Service | OwnService]]:
    """Open database, ledger and lake, and find out whom to ask; nobody is asked yet.

    Raises:
        TradingError: One of them cannot be used.
    """
    with opened_service(asked.choice) as opened, open_store() as store:
        service = opened.expected if isinstance(opened, OwnService) else opened
        ledger = store.ledger(code_version=code_version())
        yield Desk(asked, store, ledger, Lake.open(asked.lake), service, str(uuid.uuid4())), opened


def run_pipeline(
    asked: Asked, *, as_json: bool, see: Callable[[EtlEvent], None] | None = None
) -> int:
    """Make complete what was asked for, as far as it is to be had; return the exit status.

    Args:
        asked: What.
        as_json: One JSON object instead of tables.
        see: Is told each event.

    Raises:
        TradingError: Something that a person must know.
    """
    began = time.monotonic()
    with opened_desk(asked) as (desk, opened):
        for note in desk.service.notes:
            print(note, file=sys.stderr)
        report, ledger = EtlReport(desk.service, desk.plan(again=asked.retry_failed)), desk.ledger
        with _recorded(desk) as record:
            for event in with_progress(_events(desk, opened, report.before), report):
                report.add(event)
                if see is not None:
                    see(event)
                record.count(report.take_changed())
            after = desk.plan()
            scope = desk.scope(after.wanted) if after.wanted else None
            report.close(
                after,
                ledger.dead_letters(scope) if scope else [],
                ledger.reasons(scope) if scope else {},
            )
            record.count(0, lacks=bool(report.lacking))
        seconds, place = time.monotonic() - began, store_place()
        if as_json:
            print(
                json.dumps(
                    report.as_object(seconds=seconds, place=place, lake=desk.lake.place.shown)
                )
            )
        else:
            report.show(Console(), seconds=seconds, place=place, lake=desk.lake.place.shown)
    return cli.PARTIAL if report.lacking else cli.OK


def _events(desk: Desk, opened: Service | OwnService, plan: Plan) -> Iterator[EtlEvent]:
    """Queue what is missing, work through it, and tell."""
    if not plan.wanted:
        raise ConfigError("nothing that was asked for is over yet: name earlier days by --start")
    ledger, origin, scope = desk.ledger, desk.service.origin, desk.scope(plan.wanted)
    ledger.settle(tuple(plan.covered), origin)
    ledger.enqueue(plan.todo, origin)
    if desk.asked.retry_failed:
        ledger.revive(scope)
    dead = ledger.dead_letters(scope)
    yield RunStarted(desk.run_id, len(plan.wanted), len(plan.covered), len(dead))
    orders = len(plan.todo) - len(dead)
    if orders <= 0:
        return
    started = opened.started() if isinstance(opened, OwnService) else opened
    place = Place(started, str(desk.lake.place.shown), desk.asked.tickers)
    owner = f"{desk.run_id} {this_process()}"
    about = Assignment(desk.run_id, owner, scope, desk.windows, desk.asked.crosscheck)
    with opened_workers(desk.asked.executor, place, orders) as workers:
        runner = Runner(ledger, workers, about, Pace(desk.asked.patience_s))
        runner.free_the_dead()
        with closing(runner.run()) as events:
            yield from events


@contextmanager
def _recorded(desk: Desk) -> Iterator[RunRecord]:
    """Keep a row of `download_runs` about the run."""
    run = Run(desk.run_id, desk.asked.command)
    record = RunRecord(desk.store, wall_clock, run, _Stamp(desk.service))
    record.begin()
    try:
        yield record
    except (KeyboardInterrupt, GeneratorExit):
        record.abandon("interrupted")
        raise
    except TradingError as error:
        record.abandon("failed", str(error))
        raise
    record.finish()


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A run of several sources is stamped with the first one."""

    service: Service

    @property
    def source(self) -> str:
        return self.service.sources[0]

    @property
    def origin(self) -> str:
        return self.service.origin


def sessions_of(asked: Asked, now: datetime) -> list[date]:
    """Return the exchange days that a person asked for, of those that are over, oldest first.

    Args:
        asked: First and last day, or neither.
        now: Market time.

    Raises:
        ConfigError: There are none, or too many, or they are not in the calendar.
    """
    try:
        if asked.start is None:
            until = now if asked.end is None else min(now, _end_of(asked.end))
            found = market_calendar.sessions_back(until, DEFAULT_SESSIONS + 1)
        else:
            last = min(asked.end or now.date(), now.date())
            found = market_calendar.sessions(asked.start, last) if asked.start <= last else []
    except DataError as error:
        raise ConfigError(str(error)) from None
    over = [each.day for each in found if market_calendar.extended_hours(each)[1] <= now]
    if asked.start is None:
        over = over[-DEFAULT_SESSIONS:]
    if len(over) > MOST_SESSIONS:
        raise ConfigError(f"{len(over)} sessions are too many: {MOST_SESSIONS} at most")
    if not over:
        raise ConfigError(f"no session from {asked.start} to {asked.end or now.date()} is over yet")
    return over


def _end_of(day: date) -> datetime:
    return market_calendar.extended_hours(market_calendar.session_until(day))[1]


def asked_of(arguments: argparse.Namespace, command: str, *, all_stored: bool = False) -> Asked:
    """Return what the arguments of the command line ask for.

    Args:
        arguments: As the parsers of `etl_pipeline.py` and `scripts/auto_backfill.py` make them.
        command: As it was typed.
        all_stored: Whether no tickers or datasets means all that are stored.

    Raises:
        ConfigError: Something is wrong with them.
    """
    if arguments.start and arguments.end and arguments.start > arguments.end:
        raise ConfigError(f"--start {arguments.start} is after --end {arguments.end}")
    tickers = () if all_stored and arguments.tickers is None else _tickers(arguments.tickers)
    usual = tuple(DATASETS) if all_stored else DEFAULT_DATASETS
    return Asked(
        tickers=tickers,
        start=arguments.start,
        end=arguments.end,
        datasets=_datasets(arguments.datasets, usual),
        window=getattr(arguments, "expirations", DEFAULT_WINDOW),
        choice=Choice(
            arguments.source, arguments.clock, arguments.seed, synthetic=arguments.synthetic
        ),
        executor=arguments.executor,
        lake=arguments.lake,
        retry_failed=arguments.retry_failed,
        crosscheck=not arguments.no_crosscheck,
        patience_s=60.0 * arguments.patience,
        command=command,
    )


def _tickers(text: str) -> tuple[str, ...]:
    try:
        named = [request.ticker(each) for each in text.split(",") if each.strip()]
    except argparse.ArgumentTypeError as error:
        raise ConfigError(str(error)) from None
    if not named:
        raise ConfigError("--tickers names none: give some, as QQQ,SPY")
    return tuple(dict.fromkeys(named))


def _datasets(text: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    names = [each.strip() for each in (text or "").split(",") if each.strip()]
    return tuple(dict.fromkeys(dataset(name).name for name in names)) or usual
