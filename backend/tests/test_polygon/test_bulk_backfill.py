"""The bulk backfill as it is run: processes, kills, a Dask cluster, bad input, an audit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from app.flat_audit import compare
from app.flat_backfill import Stored, ledger_key, read_entry, simulated_job, store_day
from app.simulated_market import simulator_status
from clients.lake import Lake, Partition
from clients.lake_writer import SHARED
from polygon_integration.flat_datasets import dataset
from tests.in_process import run_here

BACKEND = Path(__file__).parents[2]
SCRIPT = "scripts/bulk_backfill_options.py"
KILLS = 50 if os.environ.get("PROVE") else 5
WEEK = ("--start", "2026-11-16", "--end", "2026-11-19")


@pytest.fixture(scope="module")
def simulator() -> Iterator[dict[str, Any]]:
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulator",
            "--port",
            "0",
            "--clock",
            "2026-11-20T16:00",
            "--speed",
            "0",
        ],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


class Bench:
    """A home with a lake of its own, and the command that fills it."""

    def __init__(self, home: Path, simulator: dict[str, Any]) -> None:
        self.home, self.lake = home, Lake.open(home / "lake")
        self.environment = os.environ | {
            "OPTIONS_HOME": str(home),
            "SIMULATOR_URL": simulator["http"],
            "LAKE": str(home / "lake"),
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, "--quiet", *arguments],
            cwd=BACKEND,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        child = self.start(*arguments, **environment)
        out, err = child.communicate(timeout=200)
        return child.returncode, out, err

    def content(self) -> dict[str, pl.DataFrame]:
        """Every file of the lake: its rows."""
        return {
            file.key: pl.read_parquet(self.home / "lake" / file.key) for file in self.lake.files()
        }


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, simulator: dict[str, Any]
) -> tuple[Bench, float]:
    """A lake that was filled undisturbed, and the seconds that it took."""
    bench = Bench(tmp_path_factory.mktemp("whole"), simulator)
    seconds = 0.0
    for _ in range(2):  # the first time the simulator makes the files
        shutil.rmtree(bench.home / "lake", ignore_errors=True)
        began = time.monotonic()
        status, out, err = bench.run(*WEEK)
        seconds = time.monotonic() - began
        assert (status, err) == (0, ""), out
    return bench, seconds


def same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    return one.keys() == other.keys() and all(one[key].equals(other[key]) for key in one)


def test_a_week_of_two_underlyings(whole: tuple[Bench, float]) -> None:
    bench = whole[0]
    files = bench.lake.files()
    assert {file.underlying for file in files} == {"QQQ", "SPY"}
    assert {file.session.day for file in files} == {16, 17, 18, 19}
    assert {file.origin for file in files} == {"simulator"}
    entry = read_entry(bench.lake, dataset("minute_aggs"), date(2026, 11, 18), "simulator")
    assert entry
    rows = bench.lake.read(
        "option_bars_1m", underlyings=["QQQ"], first=date(2026, 11, 18), last=date(2026, 11, 18)
    )
    assert entry.underlyings["QQQ"].rows == rows.height
    assert entry.underlyings["QQQ"].volume == rows["volume"].sum()
    assert rows["ts"].is_sorted()


def test_killed_anywhere_it_ends_with_the_same(
    whole: tuple[Bench, float], simulator: dict[str, Any], tmp_path: Path
) -> None:
    undisturbed, seconds = whole[0].content(), whole[1]
    chance = random.Random(11)
    for number in range(KILLS):
        bench = Bench(tmp_path / str(number), simulator)
        child = bench.start(*WEEK)
        time.sleep(chance.uniform(0.2, 1.0) * seconds)
        os.killpg(child.pid, signal.SIGKILL) if number % 2 else child.kill()
        child.communicate()
        for file in bench.lake.files():  # nothing half-written is visible
            assert undisturbed[file.key].equals(
                pl.read_parquet(tmp_path / str(number) / "lake" / file.key)
            )
        status, out, err = bench.run(*WEEK)
        assert (status, err) == (0, ""), out
        assert same(bench.content(), undisturbed)
        assert not list((bench.home / "parts").glob("*.part"))


def test_ctrl_c_is_one_sentence(
    whole: tuple[Bench, float], simulator: dict[str, Any], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, simulator)
    child = bench.start(*WEEK)
    assert child.stdout
    child.stdout.readline()  # it has begun, and its handlers are in place
    time.sleep(0.5 * whole[1])
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err.count("\n")) in {(130, 1), (0, 0)}, out + err
    assert "Traceback" not in err


def test_again_nothing_is_fetched_and_more_is_added(
    whole: tuple[Bench, float], simulator: dict[str, Any], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, simulator)
    shutil.copytree(whole[0].home / "lake", tmp_path / "lake")
    assert "0 day files stored" in bench.run(*WEEK)[1]
    status, out, _ = bench.run(*WEEK, "--underlyings", "QQQ,XSP")
    assert (status, "4 day files stored" in out) == (0, True)
    assert {file.underlying for file in bench.lake.files()} == {"QQQ", "SPY", "XSP"}
    day = date(2026, 11, 18)
    status, out, _ = bench.run("--start", str(day), "--end", str(day), "--underlyings", "all")
    assert (status, "1 day files stored" in out) == (0, True)
    entry = read_entry(bench.lake, dataset("minute_aggs"), day, "simulator")
    assert entry
    assert entry.is_whole
    found = bench.lake.scan("option_bars_1m", first=day, last=day).group_by("underlying").len()
    counts = {name: stored.rows for name, stored in entry.underlyings.items()}
    assert dict(found.collect().rows()) == counts
    shared = [file for file in bench.lake.files(first=day, last=day) if file.underlying == SHARED]
    assert {"QQQ", "SPY", "XSP"} | bench.lake.shared_by(shared[0]) == counts.keys()


def test_two_dask_workers_give_the_same_lake(
    whole: tuple[Bench, float], simulator: dict[str, Any], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, simulator)
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "distributed.cli.dask_scheduler",
                "--port",
                "0",
                "--no-dashboard",
                "--scheduler-file",
                str(tmp_path / "scheduler.json"),
                "--host",
                "127.0.0.1",
            ],
            cwd=BACKEND,
            env=bench.environment,
            stderr=subprocess.DEVNULL,
        )
    ]
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "scheduler.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for number in range(2):
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1"]
            worker += ["--scheduler-file", str(tmp_path / "scheduler.json"), "--no-dashboard"]
            worker += ["--local-directory", str(tmp_path / f"worker{number}"), "--no-nanny"]
            children.append(
                subprocess.Popen(
                    worker, cwd=BACKEND, env=bench.environment, stderr=subprocess.DEVNULL
                )
            )
        address = json.loads((tmp_path / "scheduler.json").read_bytes())["address"]
        dask = address.replace("tcp://", "dask://")
        status, out, err = bench.run(*WEEK, "--executor", dask)
        assert status == 0, out + err
        assert same(bench.content(), whole[0].content())
    finally:
        for child in children:
            child.kill()  # what they keep is in this test's folder; a goodbye may take long
        for child in children:
            child.wait()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--start", "2026-11-26", "--end", "2026-11-26"), 4, "future"),
        (("--start", "2026-07-03", "--end", "2026-07-03"), 0, "no session"),
        (("--start", "2026-11-20", "--end", "2026-11-20"), 4, "2026-11-21 11:00 in New York"),
        (("--dataset", "minutes"), 2, "minute_aggs"),
        (("--executor", "spark://here"), 2, "dask://HOST:PORT"),
        (("--start", "2026-11-19", "--end", "2026-11-18"), 2, "after"),
        (("--start", "2026-11-21", "--end", "2026-11-22"), 2, "no weekday"),
    ],
)
def test_bad_input(
    simulator: dict[str, Any], tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    bench = Bench(tmp_path, simulator)
    got, out, err = run_here(SCRIPT, "--quiet", *arguments, **bench.environment)
    assert got == status, out + err
    assert words in out + err
    assert "Traceback" not in out + err


def test_a_file_that_the_vendor_replaced_renews_all_that_came_of_it(
    simulator: dict[str, Any], tmp_path: Path
) -> None:
    """An earlier edition is planted: other rows of QQQ, and an underlying that the new one lacks."""
    day, lake = date(2026, 11, 18), Lake.open(tmp_path / "lake")
    job = msgspec.structs.replace(
        simulated_job(simulator_status(simulator["http"])),
        dataset="minute_aggs",
        day=day,
        lake=str(tmp_path / "lake"),
    )
    what = dataset("minute_aggs")
    for underlyings in (("QQQ", "XSP"), ()):  # some of the file, and the whole of it
        job = msgspec.structs.replace(job, underlyings=underlyings)
        store_day(job)
        entry = read_entry(lake, what, day, job.origin)
        assert entry is not None
        truth = lake.read(what.table, underlyings=["QQQ"])
        partition = Partition(what.table, day, "polygon", job.origin, "flat_file", what.sort_key)
        with lake.replacing(partition) as writer:
            own = truth.drop("underlying", "session")
            writer.add("QQQ", own.head(5))
            writer.add("FB", own.head(3))
            writer.publish()
        old = msgspec.structs.replace(
            entry, etag="earlier", underlyings=entry.underlyings | {"FB": Stored(3)}
        )
        lake.place.write(ledger_key(what, day, job.origin), msgspec.json.encode(old))
        done = store_day(job)
        assert not done.was_there
        assert lake.read(what.table, underlyings=["QQQ"]).equals(truth)
        assert "FB" not in {file.underlying for file in lake.files(what.table)}
        renewed = read_entry(lake, what, day, job.origin)
        assert renewed is not None
        assert renewed.etag == entry.etag


def test_a_ticker_that_nobody_lists_any_more(simulator: dict[str, Any], tmp_path: Path) -> None:
    one_day = ("--start", "2026-11-18", "--end", "2026-11-18")
    for _ in range(2):  # stored, and then from the ledger
        status, out, _ = Bench(tmp_path, simulator).run(*one_day, "--underlyings", "QQQ,FB")
        assert (status, "FB has no row in any of 1 day files" in out) == (0, True)
        assert "QQQ has no row" not in out


def test_wrong_keys(simulator: dict[str, Any], tmp_path: Path) -> None:
    status, _, err = Bench(tmp_path, simulator).run(
        *WEEK,
        POLYGON_S3_ACCESS_KEY="SIMULATORADVANCED",
        POLYGON_S3_SECRET_KEY="a-secret-of-mine",
        POLYGON_S3_ENDPOINT=simulator["s3"],
    )
    assert status == 2
    assert err.count("\n") == 1
    assert "POLYGON_S3_SECRET_KEY" in err
    assert "a-secret-of-mine" not in err


def test_a_plan_without_options(simulator: dict[str, Any], tmp_path: Path) -> None:
    status, out, _ = Bench(tmp_path, simulator).run(
        *("--start", "2026-11-18", "--end", "2026-11-18"),
        POLYGON_S3_ACCESS_KEY="SIMULATORBASIC",
        POLYGON_S3_SECRET_KEY="basic-secret-of-the-simulator",
        POLYGON_S3_ENDPOINT=simulator["s3"],
    )
    assert (status, "plan does not include" in out) == (4, True)


def test_an_audit_tells_no_trade_from_missing(
    whole: tuple[Bench, float], simulator: dict[str, Any], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, simulator)
    shutil.copytree(whole[0].home / "lake", tmp_path / "lake")
    assert bench.run(*WEEK, "--dataset", "day_aggs")[0] == 0
    status, out, err = bench.run("--audit")
    assert (status, err) == (0, "")
    assert "0 lack something" in out
    path = next((tmp_path / "lake").rglob("option_bars_1m/underlying=QQQ/*/*.parquet"))
    rows = pl.read_parquet(path)
    rows.slice(1).write_parquet(path, metadata={"made_from": "flat_file"})
    status, out, _ = bench.run("--audit")
    assert status == 4
    assert "1 lack something" in out
    assert rows["occ_symbol"][0] in out


def test_sums_decide() -> None:
    minutes = pl.LazyFrame(
        {
            "occ_symbol": ["A", "A", "B"],
            "session": [1, 1, 1],
            "ts": pl.Series([0, 300_000, 0]).cast(pl.Datetime("ms")),
            "volume": [1.0, 2.0, 5.0],
            "trades": [1, 1, 2],
        }
    )
    days = pl.LazyFrame(
        {"occ_symbol": ["A", "B"], "session": [1, 1], "volume": [3.0, 6.0], "trades": [2, 3]}
    )
    found = compare(minutes, days, "occ_symbol")
    assert (found.contracts, found.whole) == (2, 1)
    assert found.gaps == 4
    assert found.missing["occ_symbol"].to_list() == ["B"]
