"""The two commands as processes: faults, gaps, clusters, kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clients.lake import Lake
from models.tables import COVERAGE
from tests.in_process import run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.test_etl.conftest import Commands, Market

FULL = bool(os.environ.get("PROVE"))
KILLS = 95 if FULL else 5
"""In the gate five; `make prove` makes them a hundred."""

BACKEND = Path(__file__).resolve().parents[2]
SHORT = ("--start", "2026-11-18", "--datasets", "equity_bars_1m,equity_bars_1d,option_quotes")
BARS = ("--datasets", "equity_bars_1m,equity_bars_1d")
SPREAD = SHORT[:2] if FULL else SHORT
"""What two Dask workers do: at full size the minute quotes of options too."""

PATIENCE_S = 120.0
SCHWAB, POLYGON = "schwab.market_data.pricehistory", "polygon.rest.aggs"


@pytest.fixture(scope="module")
def whole(make_commands: Callable[[], Commands]) -> tuple[dict[str, str], float]:
    """Content that an undisturbed run leaves, and the seconds that it takes."""
    commands = make_commands()
    began = time.monotonic()
    done = commands.etl(*SHORT)
    assert done.status == 0, done.err
    assert done.object["whole"] == done.object["wanted"] == 14
    return commands.content(), time.monotonic() - began


def test_twelve_faults_leave_exactly_what_no_source_has(commands: Commands, market: Market) -> None:
    sorts = ("empty", "gap", "renamed")
    lost = ("2026-11-12", "2026-11-16", "2026-11-19")
    market.fault(SCHWAB, "empty", match={"query": "*symbol=SPY*frequencyType=minute*"})
    market.fault(POLYGON, "empty", count=1, match={"path": "*/SPY/range/1/minute/*"})
    for kind, day in zip(sorts, lost, strict=True):
        market.fault(POLYGON, kind, match={"path": f"*/SPY/range/1/minute/{day}/{day}"})
    market.fault(SCHWAB, "status", status=503, count=2)
    for kind in ("reset", "half_body", "stale", "disagree"):
        market.fault(SCHWAB, kind, count=1, match={"query": "*symbol=QQQ*"})
    market.fault(POLYGON, "status", status=429, retry_after_s=0.1, count=1)
    market.fault("s3", "status", status=404)
    datasets = () if FULL else BARS
    done = commands.etl(*datasets, executor="local:2")
    assert done.status == 4, done.err
    assert [fired > 0 for fired in market.fired()] == [True] * 12
    wanted = {("SPY", "equity_bars_1m", day) for day in lost}
    if FULL:  # minute quotes are priced by the same bars, which cannot be read there
        wanted.add(("SPY", "option_quotes_1m", lost[sorts.index("renamed")]))
    assert set(done.lacking) == wanted
    assert all(len(reason) > 30 for reason in done.lacking.values()), done.lacking
    assert done.object["whole"] == done.object["wanted"] - len(wanted)
    stored = Lake.open(commands.lake).read("checked_equity_bars_1m", underlyings=["QQQ"])
    assert stored["session"].n_unique() == 10

    again = commands.etl(*datasets)
    assert (again.status, set(again.lacking)) == (4, wanted)
    assert again.object["whole_before"] == again.object["whole"]
    assert again.cpu_s < 5  # alone on a machine that is also its time

    market.clear()
    last = commands.etl(*datasets, "--retry-failed")
    assert (last.status, last.lacking) == (0, {})


def test_a_backfill_finds_and_fills_planted_gaps(commands: Commands) -> None:
    assert commands.run("scripts/auto_backfill.py").object["wanted"] == 0
    assert commands.etl(*SHORT[:2], *BARS).status == 0
    content = commands.content()
    with commands.store() as store:
        gaps = store.read(COVERAGE.name, {"dataset": "equity_bars_1m", "ticker": "QQQ"})
    middle = sorted(gaps["session"].to_list())[1]
    execute(
        commands.dsn, f"delete from equity_bars where underlying = 'QQQ' and session = '{middle}'"
    )
    execute(commands.dsn, f"delete from coverage where ticker = 'QQQ' and session = '{middle}'")
    (lost,) = commands.lake.glob(f"checked_equity_bars_1d/*SPY/*{middle}/*.parquet")
    lost.unlink()
    plan = commands.run("scripts/auto_backfill.py", "--dry-run").object
    found = {(each["ticker"], each["dataset"], each["session"]) for each in plan["todo"]}
    day = middle.isoformat()
    assert found == {
        ("QQQ", "equity_bars_1m", day),
        ("QQQ", "equity_bars_1d", day),
        ("SPY", "equity_bars_1d", day),
    }
    assert all(sum(each["calls"].values()) == 2 for each in plan["costs"])
    filled = commands.run("scripts/auto_backfill.py", "--executor", "local:1")
    assert filled.status == 0, filled.err
    assert filled.object["whole"] - filled.object["whole_before"] == 3
    assert commands.content() == content


def test_two_dask_workers_give_the_same_content(
    commands: Commands,
    whole: tuple[dict[str, str], float],
    make_commands: Callable[[], Commands],
    tmp_path: Path,
) -> None:
    with cluster(commands, tmp_path) as address:
        done = commands.etl(*SPREAD, executor=address)
    assert done.status == 0, done.err
    content = whole[0]
    if SPREAD != SHORT:
        alone = make_commands()
        assert alone.etl(*SPREAD).status == 0
        content = alone.content()
    assert commands.content() == content
    with commands.store() as store:
        rows = store.read(COVERAGE.name)
    print(f"{rows.height} partitions, {rows['rows'].sum():,} rows, {len(content)} hashes are equal")


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_9_at_a_random_moment(
    commands: Commands, whole: tuple[dict[str, str], float], number: int
) -> None:
    content, seconds = whole
    # One moment in each slice of a run, so that a few kills reach all of its phases.
    share = (number + random.random()) / KILLS
    child = commands.start("etl_pipeline.py", "--executor", "local:1", *SHORT)
    try:
        child.wait(share * seconds)
    except subprocess.TimeoutExpired:
        victims = [child.pid] if number % 2 else children_of(child.pid) or [child.pid]
        for victim in victims:  # the run itself, or what it started
            os.kill(victim, signal.SIGKILL)
    child.communicate(timeout=PATIENCE_S)
    done = commands.etl(*SHORT)
    assert done.status == 0, done.err
    assert commands.content() == content, f"killed after {share:.2f} of {seconds:.1f} s"
    with commands.store() as store:
        assert set(store.read("ledger")["status"]) == {"done"}
        assert "running" not in store.read("download_runs")["status"].to_list()


def test_ctrl_c_ends_with_130_and_gives_back_what_it_held(
    commands: Commands, whole: tuple[dict[str, str], float]
) -> None:
    child = commands.start("etl_pipeline.py", "--executor", "local:1", *SHORT)
    with commands.store() as store:
        until(lambda: "leased" in store.read("ledger")["status"].to_list(), "a claim")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE_S)
        assert (child.returncode, out) == (130, ""), err
        assert err.strip() == "interrupted: what is stored is whole, the next run continues"
        assert "leased" not in store.read("ledger")["status"].to_list()
    assert commands.etl(*SHORT).status == 0
    assert commands.content() == whole[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--executor", "spark"), "local, local:2 or dask://HOST:PORT"),
        (("--executor", "dask://127.0.0.1:9"), "no Dask scheduler answers"),
        (("--datasets", "stocks"), "there is no dataset 'stocks'"),
        (("--tickers", "Q!"), "'Q!' is no ticker"),
        (("--start", "2026-11-20", "--end", "2026-11-19"), "is after --end"),
        (("--start", "2026-11-21", "--end", "2026-11-22"), "no session from"),
    ],
)
def test_bad_input_is_one_sentence(
    commands: Commands, arguments: tuple[str, ...], words: str
) -> None:
    own = commands.environment | {"SUPABASE_DB_URL": commands.dsn}
    done = run_here("etl_pipeline.py", "--json", *arguments, **own)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def execute(dsn: str, statement: str) -> None:
    import psycopg  # noqa: PLC0415 - these two uses

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def cluster(commands: Commands, folder: Path) -> Iterator[str]:
    """A Dask scheduler and two workers on this machine."""
    environment = os.environ | commands.environment | {"SUPABASE_DB_URL": commands.dsn}
    known = folder / "scheduler.json"
    at = ["--scheduler-file", str(known), "--no-dashboard"]
    started = []

    def start(module: str, *arguments: str) -> None:
        words = [sys.executable, "-m", f"distributed.cli.{module}", *at, *arguments]
        started.append(
            subprocess.Popen(words, cwd=BACKEND, env=environment, stderr=subprocess.DEVNULL)
        )

    try:
        start("dask_scheduler", "--port", "0", "--host", "127.0.0.1")
        until(known.exists, "the scheduler")
        for number in (1, 2):
            own = ("--local-directory", str(folder / str(number)), "--no-nanny", "--nthreads", "1")
            start("dask_worker", *own)
        address = json.loads(known.read_bytes())["address"]
        yield address.replace("tcp://", "dask://")
    finally:
        for child in started:
            child.kill()
        for child in started:
            child.wait()


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def until(happens: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
