"""Real commands in real processes, against a real database and a real simulator."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
import pytest

from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.tables import COVERAGE, MARKET_TABLES, QUARANTINE, TABLES
from pipeline.coverage import content_hash
from tests.in_process import run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKEND = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def dataset(self, ticker: str, dataset: str) -> dict[str, Any]:
        (found,) = (
            each
            for each in self.object["datasets"]
            if (each["ticker"], each["dataset"]) == (ticker, dataset)
        )
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Bench:
    """A database of its own, the commands that work on it, and a look into it."""

    dsn: str
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=BACKEND,
            env=os.environ | {"SUPABASE_DB_URL": self.dsn} | self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> Done:
        child = self.start(*arguments, **environment)
        out, err = child.communicate(timeout=280)
        return Done(child.returncode, out, err)

    def here(self, script: str, *arguments: str, **environment: str) -> Done:
        """Run a command that ends early, in this process."""
        own = {"SUPABASE_DB_URL": self.dsn} | self.environment | environment
        return Done(*run_here(script, *arguments, **own))

    def main(self, *arguments: str, **environment: str) -> Done:
        return self.run("main.py", "--json", *arguments, **environment)

    def read(self, table: str, **where: Any) -> pl.DataFrame:
        settings = SupabaseSettings(_env_file=None, supabase_db_url=self.dsn)
        with SupabaseClient.from_settings(settings) as store:
            return store.read(table, where)

    def content(self) -> dict[str, str]:
        """Hash of every table of market data, of its coverage and its quarantine."""
        frames = {
            name: self.read(name) for name in {*MARKET_TABLES, COVERAGE.name, QUARANTINE.name}
        }
        frames[COVERAGE.name] = frames[COVERAGE.name].with_columns(
            checked_at=pl.lit(None, pl.Datetime("us", "UTC"))
        )
        return {name: content_hash(TABLES[name], frame) for name, frame in frames.items()}

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def count(self, table: str) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(f"select count(*) from {table}").fetchone()
        assert row
        return int(row[0])


@pytest.fixture
def bench(databases: Any) -> Iterator[Bench]:
    """A fresh migrated database and the default settings."""
    with databases.fresh() as dsn:
        yield Bench(dsn)


@pytest.fixture
def bare() -> Bench:
    """Commands without a database, for what goes wrong before one is needed."""
    return Bench("postgresql://postgres@127.0.0.1:9/postgres")


@contextlib.contextmanager
def started_simulator(*arguments: str) -> Iterator[dict[str, Any]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--auto-approve", *arguments],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)
        child.stdout.close()


@pytest.fixture(scope="module")
def simulator() -> Iterator[dict[str, Any]]:
    """What a simulator says that stands still at the close of Friday, 20 November 2026."""
    with started_simulator("--clock", "2026-11-20T16:00", "--speed", "0") as status:
        yield status


@pytest.fixture(scope="module")
def moving() -> Iterator[dict[str, str]]:
    """The environment of a simulator whose Friday morning goes by thirty times too fast."""
    with started_simulator("--clock", "2026-11-20T10:00", "--speed", "30") as status:
        yield {"SIMULATOR_URL": status["http"]}


@pytest.fixture(scope="module")
def whole_run(
    databases: Any, simulator: dict[str, Any]
) -> Callable[..., tuple[dict[str, str], float]]:
    """Run a command undisturbed; return the content that it leaves and the seconds it takes."""

    def run(*arguments: str) -> tuple[dict[str, str], float]:
        for _ in range(2):  # the first one compiles what is to be compiled
            with databases.fresh() as dsn:
                bench = Bench(dsn, {"SIMULATOR_URL": simulator["http"]})
                started = time.monotonic()
                done = bench.main(*arguments)
                seconds = time.monotonic() - started
                assert done.status == 0, done.err
                content = bench.content()
        return content, seconds

    return run


@pytest.fixture
def friday(bench: Bench, simulator: dict[str, Any]) -> Bench:
    """A bench whose commands use the simulator that stands still."""
    return Bench(bench.dsn, {"SIMULATOR_URL": simulator["http"]})
