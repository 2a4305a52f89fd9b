"""The pipeline's parts in this process: a real database, a real lake, a simulator with faults."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
import uuid
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from app.etl_service import Service, opened_sources, simulated
from app.etl_worker import CheckedLake
from app.simulated_market import simulator_status
from clients.lake import Lake
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.errors import ConfigError
from models.tables import COVERAGE, MARKET_TABLES, QUARANTINE, TABLES
from pipeline.coverage import content_hash
from pipeline.datasets import Windows
from pipeline.ledger import Scope
from pipeline.partition import Partition
from pipeline.plan import Window
from pipeline.planner import make_plan
from pipeline.runner import Assignment, Pace, Runner
from pipeline.runs import this_process
from pipeline.sources import MarketSource
from pipeline.work import Bench, Order, run
from polygon_integration.client import PolygonClient
from polygon_integration.config import PolygonSettings
from polygon_integration.market_data import PolygonMarketData
from utils.clock import wall_clock
from utils.http import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.etl_events import EtlEvent
    from pipeline.outcome import Outcome
    from pipeline.sources import PartSource

BACKEND = Path(__file__).resolve().parents[2]
FRIDAY = date(2026, 11, 20)
BARS = "equity_bars_1m"
DAILY = "equity_bars_1d"


@dataclass(frozen=True)
class Market:
    """A running simulator whose clock stands still, and the faults of its replies."""

    status: dict[str, Any]

    def fault(self, target: str, kind: str, **options: Any) -> None:
        self._admin("POST", "/simulator/faults", {"target": target, "fault": kind} | options)

    def clear(self) -> None:
        self._admin("DELETE", "/simulator/faults")

    def move(self, now: str) -> None:
        """Move the market's clock on to a moment, New York."""
        self._admin("POST", "/simulator/clock", {"now": now})

    def fired(self) -> list[int]:
        return [each["fired"] for each in self._admin("GET", "/simulator/faults")]

    def _admin(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        headers = {
            "X-Simulator-Admin": self.status["admin_token"],
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(
            f"{self.status['http']}{path}", body, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.loads(reply.read() or b"null")


@pytest.fixture(scope="session")
def evening() -> Iterator[Market]:
    """A market that stands still when Friday, 20 November 2026 is wholly over."""
    with started() as market:
        yield market


@contextmanager
def started(*more: str) -> Iterator[Market]:
    """Start a simulator whose clock stands still at the end of 20 November 2026."""
    arguments = ("--clock", "2026-11-20T20:00", "--speed", "0", "--requests-per-minute", "0", *more)
    command = [sys.executable, "-m", "simulator", "--port", "0", "--auto-approve", *arguments]
    child = subprocess.Popen(command, cwd=BACKEND, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    try:
        yield Market(json.loads(child.stdout.readline()))
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


@pytest.fixture
def market(evening: Market) -> Iterator[Market]:
    yield evening
    evening.clear()


@pytest.fixture(scope="session")
def service(evening: Market) -> Service:
    return simulated(simulator_status(evening.status["http"]), "simulator")


@pytest.fixture(scope="session")
def sources(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PartSource, ...]]:
    with opened_sources(service, str(tmp_path_factory.mktemp("flat")), ("QQQ",)) as opened:
        yield opened


@pytest.fixture
def hasty(evening: Market) -> Iterator[tuple[PartSource, ...]]:
    """Polygon alone, by a client that asks once: the pipeline's own patience is what is tested."""
    settings = PolygonSettings(
        _env_file=None,
        api_key=SecretStr(evening.status["polygon_key"]),
        base_url=evening.status["polygon"],
        requests_per_minute=100_000,
    )
    client = PolygonClient(settings, patience=Patience(attempts=1))
    market = PolygonMarketData(client, origin="simulator", extended_hours=True)
    now = datetime(2026, 11, 21, 1, tzinfo=UTC)
    yield (MarketSource(market, market.history, lambda: now),)
    market.close()


class Serial:
    """Workers that do an order at once, in this process."""

    width = 1

    def __init__(self, bench: Bench, before: Callable[[Order], None] = lambda _order: None) -> None:
        self.bench, self.before = bench, before
        self.orders: list[Order] = []

    def submit(self, order: Order) -> Future[list[Outcome]]:
        self.orders.append(order)
        self.before(order)
        future: Future[list[Outcome]] = Future()
        future.set_result(run(order, self.bench))
        return future

    def renew(self) -> None:
        raise ConfigError("nobody dies here")


@dataclass
class Time:
    """A clock that a test moves; to wait is to move it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))
    waited: float = 0.0

    def clock(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pause(self, seconds: float) -> None:
        self.waited += seconds
        self.now += timedelta(seconds=seconds)


class Wall(Time):
    """The machine's clock: of runs beside each other, where one waits while another works."""

    def clock(self) -> datetime:
        return wall_clock()

    def seconds(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.05))


@dataclass
class Etl:
    """All that a run needs; each run is one of its own."""

    store: SupabaseClient
    bench: Bench
    lake: Lake
    time: Time

    def partitions(
        self, *days: date, dataset: str = BARS, tickers: Sequence[str] = ("QQQ",)
    ) -> tuple[Partition, ...]:
        return tuple(Partition(dataset, ticker, day) for ticker in tickers for day in days)

    def runner(
        self,
        wanted: Sequence[Partition],
        *,
        patience_s: float = 120.0,
        before: Callable[[Order], None] = lambda _order: None,
        **bench: Any,
    ) -> Runner:
        ledger = self.store.ledger(code_version="test", clock=self.time.clock)
        ledger.enqueue(self.todo(wanted), self.bench.origin)
        run_id = str(uuid.uuid4())
        about = Assignment(run_id, f"{run_id} {this_process()}", self.scope(wanted), WINDOWS)
        pace = Pace(patience_s, self.time.seconds, self.time.pause)
        return Runner(ledger, Serial(replace(self.bench, **bench), before), about, pace)

    def run(self, wanted: Sequence[Partition], **options: Any) -> list[EtlEvent]:
        with closing(self.runner(wanted, **options).run()) as events:
            return list(events)

    def todo(self, wanted: Sequence[Partition]) -> tuple[Partition, ...]:
        coverage = self.store.read(COVERAGE.name)
        plan = make_plan(
            wanted,
            coverage,
            CheckedLake(self.lake),
            windows=WINDOWS,
            now=datetime(2026, 11, 21, 1, tzinfo=UTC),
            sources=("schwab", "polygon"),
        )
        return plan.todo

    def scope(self, wanted: Sequence[Partition]) -> Scope:
        return Scope(
            tuple({each.dataset for each in wanted}),
            tuple({each.ticker for each in wanted}),
            min(each.session for each in wanted),
            max(each.session for each in wanted),
            self.bench.origin,
        )

    def dead(self, wanted: Sequence[Partition]) -> dict[Partition, str]:
        ledger = self.store.ledger(code_version="test", clock=self.time.clock)
        return {each.partition: each.error for each in ledger.dead_letters(self.scope(wanted))}

    def coverage(self, partition: Partition) -> dict[str, Any]:
        where = {
            "dataset": partition.dataset,
            "ticker": partition.ticker,
            "session": partition.session,
        }
        (row,) = self.store.read(COVERAGE.name, where).iter_rows(named=True)
        return row

    def content(self) -> dict[str, str]:
        """Hash of all market data in database and lake, without run ids, attempts and times."""
        return {**database_content(self.store), **lake_content(self.lake)}


WINDOWS = Windows(Window(0, 0), Window(0, 45))


def database_content(store: SupabaseClient) -> dict[str, str]:
    frames = {name: store.read(name) for name in {*MARKET_TABLES, QUARANTINE.name}}
    frames[COVERAGE.name] = frames[COVERAGE.name].with_columns(
        checked_at=frames[COVERAGE.name]["asked_at"]
    )
    return {name: content_hash(TABLES[name], frame) for name, frame in frames.items()}


def lake_content(lake: Lake) -> dict[str, str]:
    found = {}
    for file in lake.files():
        rows = lake.read(
            file.table, underlyings=[file.underlying], first=file.session, last=file.session
        )
        found[file.key] = str(rows.hash_rows(seed=1).to_list())
    return found


@pytest.fixture
def etl(
    databases: Any, sources: tuple[PartSource, ...], market: Market, tmp_path: Path
) -> Iterator[Etl]:
    with databases.fresh() as dsn:
        settings = SupabaseSettings(_env_file=None, supabase_db_url=dsn)
        with SupabaseClient.from_settings(settings) as store:
            lake = Lake.open(tmp_path / "lake")
            bench = Bench(store, CheckedLake(lake), sources, "simulator", wall_clock)
            yield Etl(store, bench, lake, Time())


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str
    cpu_s: float

    @property
    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def lacking(self) -> dict[tuple[str, str, str], str]:
        return {
            (each["ticker"], each["dataset"], each["session"]): each["reason"]
            for each in self.object["lacking"]
        }


@dataclass(frozen=True)
class Commands:
    """The commands in processes of their own, on one database and one lake."""

    dsn: str
    lake: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments, "--lake", str(self.lake), "--json"],
            cwd=BACKEND,
            env=os.environ | self.environment | {"SUPABASE_DB_URL": self.dsn},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Done:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child = self.start(*arguments)
        out, err = child.communicate(timeout=3000 if os.environ.get("PROVE") else 600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Done(child.returncode, out, err, cpu_s)

    def etl(self, *arguments: str, executor: str = "local:1") -> Done:
        return self.run("etl_pipeline.py", "--executor", executor, *arguments)

    @contextmanager
    def store(self) -> Iterator[SupabaseClient]:
        settings = SupabaseSettings(_env_file=None, supabase_db_url=self.dsn)
        with SupabaseClient.from_settings(settings) as opened:
            yield opened

    def content(self) -> dict[str, str]:
        with self.store() as store:
            return {**database_content(store), **lake_content(Lake.open(self.lake))}


@pytest.fixture(scope="module")
def make_commands(
    databases: Any, evening: Market, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Commands]]:
    """Make a database and a lake of their own, each time."""
    with ExitStack() as stack:

        def made() -> Commands:
            dsn = stack.enter_context(databases.fresh())
            lake = tmp_path_factory.mktemp("lake")
            return Commands(dsn, lake, {"SIMULATOR_URL": evening.status["http"]})

        yield made


@pytest.fixture
def commands(make_commands: Callable[[], Commands], market: Market) -> Commands:
    return make_commands()
