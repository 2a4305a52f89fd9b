"""The bulk backfill as a command: days, workers, progress, what is missing, an audit."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from app import cli
from app.executors import interrupts_wait, local_workers, opened_executor
from app.flat_backfill import Done, Job, settings_job, simulated_job, store_day
from app.polygon_place import simulator_settings
from app.simulated_market import SimulatorOptions, running_simulator, simulator_status
from app.wiring import SimulatorSettings
from clients.lake import Lake
from models.errors import ConfigError, DataError, RateLimited, TradingError, Unavailable
from polygon_integration.config import PolygonSettings
from polygon_integration.flat_datasets import dataset
from polygon_integration.s3_bulk_downloader import State, due_at
from utils import market_calendar
from utils.clock import wall_clock
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from app.simulated_market import SimulatorStatus

DEFAULT_SESSIONS = 5
_PRICED = ("minute_aggs", "stock_minute_aggs")  # what --greeks prices, and by what
_GOOD = frozenset({State.AVAILABLE, State.HOLIDAY})


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        dataset: As minute_aggs.
        start: First day; None: five sessions.
        end: Last day; None: the last one whose file is due.
        underlyings: Some; none means all.
        lake: Folder or s3:// address; None for that of the settings.
        executor: local, local:N, or dask://HOST:PORT.
        workers: Processes of the local executor; None: one a core, four at most.
        audit: Whether to compare minutes with days instead of fetching.
        quiet: Whether to leave the progress bar away.
        greeks: Whether to price the minutes of options too.
    """

    dataset: str
    start: date | None = None
    end: date | None = None
    underlyings: tuple[str, ...] = ()
    lake: str | None = None
    executor: str = "local"
    workers: int | None = None
    audit: bool = False
    quiet: bool = False
    greeks: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """Whom to ask.

    Attributes:
        job: What all jobs have in common: address, keys, origin, market time.
        described: For people.
        now: Market time.
        rest: How to reach REST, which tells dividends; None without a key.
    """

    job: Job
    described: str
    now: datetime
    rest: PolygonSettings | None = None


def run_bulk(asked: Asked) -> int:
    """Store the day files that are missing; return the exit status.

    Raises:
        TradingError: Something that a person must know.
    """
    what = dataset(asked.dataset)
    if asked.audit:
        from app.flat_audit import audit  # noqa: PLC0415 - the other half of the command

        return audit(asked)
    if asked.greeks and (asked.dataset != _PRICED[0] or not asked.underlyings):
        raise ConfigError("--greeks prices --dataset minute_aggs of --underlyings that are named")
    with ExitStack() as stack:
        service = stack.enter_context(_service())
        days = wanted_days(asked, service.now)
        lake = Lake.open(asked.lake)
        print(f"{what.prefix}, {days[0]} to {days[-1]}, {_named(asked)}: {service.described}")
        common = msgspec.structs.replace(
            service.job,
            dataset=asked.dataset,
            underlyings=asked.underlyings,
            lake=str(lake.place.shown),
        )
        names = _PRICED if asked.greeks else (asked.dataset,)
        jobs = [
            msgspec.structs.replace(common, day=day, dataset=name) for name in names for day in days
        ]
        pool = stack.enter_context(opened_executor(asked.executor, _workers(asked, len(jobs))))
        began = time.monotonic()
        done, failed = _all(pool, jobs, quiet=asked.quiet)
        status = _told(done, failed, lake, time.monotonic() - began)
        if asked.greeks:
            stored = {each.day for each in done if each.state is State.AVAILABLE}
            status = max(status, _price(pool, asked, service, lake, sorted(stored)))
    return status


def _price(pool: Executor, asked: Asked, service: Service, lake: Lake, days: Sequence[date]) -> int:
    """Price the minutes of these sessions, and tell; return the exit status."""
    from app.lake_greeks import PricingJob, dividends, price_session, told  # noqa: PLC0415

    if not days:
        return cli.PARTIAL
    if service.rest is None:
        print("POLYGON_API_KEY is not set: priced without dividends")
    paid = {name: dividends(service.rest, name, days) for name in asked.underlyings}
    jobs = [
        PricingJob(name, day, service.job.origin, str(lake.place.shown), paid[name][day])
        for name in asked.underlyings
        for day in days
    ]
    with interrupts_wait():
        running = pool.map(price_session, jobs)
    done = list(running)
    print(*told(done), sep="\n")
    return cli.PARTIAL if any(each.sentence for each in done) else cli.OK


def wanted_days(asked: Asked, now: datetime) -> list[date]:
    """Return the days that were asked for, oldest first: of a range every one but weekends.

    Raises:
        ConfigError: There are none.
    """
    due = market_calendar.sessions_back(now, DEFAULT_SESSIONS + 2)
    due = [each for each in due if due_at(each.day) <= now]
    last = asked.end or due[-1].day
    if asked.start is None:
        return [each.day for each in due if each.day <= last][-DEFAULT_SESSIONS:] or [last]
    if asked.start > last:
        raise ConfigError(f"--start {asked.start} is after --end {last}")
    days = [asked.start + timedelta(n) for n in range((last - asked.start).days + 1)]
    weekdays = [day for day in days if day.weekday() < 5]
    if not weekdays:
        raise ConfigError(f"there is no weekday from {asked.start} to {last}")
    return weekdays


def _named(asked: Asked) -> str:
    return ", ".join(asked.underlyings) or "all underlyings"


@contextmanager
def _service() -> Iterator[Service]:
    """Polygon where its keys are set, else a running simulator, else one of our own."""
    settings = load(PolygonSettings)
    if settings.s3_access_key.get_secret_value():
        job = settings_job(settings)
        rest = settings if settings.api_key.get_secret_value() else None
        yield Service(job, settings.s3_endpoint, job.now or wall_clock(), rest)
        return
    url = load(SimulatorSettings).simulator_url
    if url:
        yield _simulated(simulator_status(url), f"simulator at {url}")
        return
    options = SimulatorOptions("generated", wall_clock(), 1.0)
    with running_simulator(options) as status:
        note = "simulator (no POLYGON_S3_ACCESS_KEY is set)"
        yield _simulated(status, note)


def _simulated(status: SimulatorStatus, described: str) -> Service:
    return Service(simulated_job(status), described, status.now, simulator_settings(status))


def _workers(asked: Asked, jobs: int) -> int:
    return min(asked.workers or local_workers(asked.executor) or 1, jobs)


def _all(
    pool: Executor, jobs: Sequence[Job], *, quiet: bool
) -> tuple[list[Done], list[tuple[Job, TradingError]]]:
    """Run all jobs; a failure that concerns one day does not stop the others."""
    from rich.console import Console  # noqa: PLC0415 - `--help` answers before it
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    done: list[Done] = []
    failed: list[tuple[Job, TradingError]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    ) as bar:
        task = bar.add_task("day files", total=len(jobs))
        with interrupts_wait():
            running: dict[Future[Done], Job] = {pool.submit(store_day, job): job for job in jobs}
        try:
            for future in as_completed(running):
                try:
                    done.append(future.result())
                except (DataError, Unavailable, RateLimited) as error:
                    failed.append((running[future], error))
                bar.advance(task)
        except BaseException:
            for future in running:
                future.cancel()
            raise
    return sorted(done, key=lambda each: each.day), failed


def _told(
    done: list[Done], failed: list[tuple[Job, TradingError]], lake: Lake, seconds: float
) -> int:
    stored = [each for each in done if each.state is State.AVAILABLE and not each.was_there]
    there = sum(each.was_there for each in done)
    rows, size = sum(each.rows for each in stored), sum(each.size for each in stored)
    for each in done:
        if each.sentence:
            print(each.sentence)
        if each.bad:
            print(f"{each.day}: {each.bad} bad lines were kept out; the ledger has them")
    read = [set(each.empty) for each in done if each.state is State.AVAILABLE]
    for name in sorted(set.intersection(*read)) if read else ():
        print(
            f"{name} has no row in any of {len(read)} day files: it did not trade, or was called "
            "otherwise then (renamed, delisted, not yet listed)"
        )
    for job, error in failed:
        print(f"{job.day}: {error}")
    print(
        f"{len(stored)} day files stored ({rows:,} rows from {size / 1e6:.1f} MB), {there} were there "
        f"already, in {lake.place.shown}, {seconds:.1f} s"
    )
    if failed:
        print("run the same command again: it goes on where this one ended")
        return cli.FAILED
    lacking = [each for each in done if each.state not in _GOOD]
    return cli.PARTIAL if lacking else cli.OK
