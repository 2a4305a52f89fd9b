"""`scripts/standalone_qqq_download.py`: one file out, bare and with arguments, bad input, killed."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
import pytest

from app.publish import check_target, publish, publish_rows
from models.errors import ConfigError
from models.tables import EQUITY_BARS
from tests.in_process import run_here

if TYPE_CHECKING:
    from collections.abc import Callable

BACKEND = Path(__file__).resolve().parents[2]
SCRIPT = "scripts/standalone_qqq_download.py"
Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    nowhere = {"SUPABASE_DB_URL": "postgresql://postgres@127.0.0.1:9/postgres"}
    return subprocess.Popen(
        [sys.executable, str(BACKEND / SCRIPT), *arguments],
        cwd=folder,
        env=os.environ | nowhere | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def run(tmp_path: Path, simulator: dict[str, Any]) -> Run:
    """Run the script in an empty folder against the simulator that stands still."""

    def once(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        at = {"SIMULATOR_URL": simulator["http"]} | environment
        child = started(tmp_path, *arguments, **at)
        out, err = child.communicate(timeout=60)
        return subprocess.CompletedProcess([], child.returncode, out, err)

    return once


def test_bare_it_leaves_five_sessions_of_qqq(run: Run, tmp_path: Path) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = tmp_path.iterdir()
    assert file.name == "qqq_1m_2026-11-20.parquet"
    assert file.name in done.stdout
    rows = pl.read_parquet(file)
    assert rows.columns == list(EQUITY_BARS.column_names)
    assert rows["session"].n_unique() == 5
    assert rows["ts"].is_sorted()
    assert rows.height > 5 * 390
    assert rows["origin"].unique().to_list() == ["simulator"]


def test_csv_days_and_interval_by_polygon(run: Run, tmp_path: Path) -> None:
    done = run(
        *("--out", "spy.csv", "--ticker", "SPY", "--days", "2", "--interval", "5m"),
        *("--source", "polygon"),
    )
    assert done.returncode == 0, done.stderr
    rows = pl.read_csv(tmp_path / "spy.csv", try_parse_dates=True)
    assert rows["interval"].unique().to_list() == ["5m"]
    assert rows["source"].unique().to_list() == ["polygon"]
    assert rows["session"].unique().sort().to_list() == [date(2026, 11, 19), date(2026, 11, 20)]
    assert [each.name for each in tmp_path.iterdir()] == ["spy.csv"]


def test_polygon_is_the_source_where_its_key_is_set(
    run: Run, tmp_path: Path, simulator: dict[str, Any]
) -> None:
    keys = {"MASSIVE_API_KEY": simulator["polygon_key"], "POLYGON_BASE_URL": simulator["http"]}
    done = run("--days", "1", POLYGON_REQUESTS_PER_MINUTE="1000", **keys)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    assert pl.read_parquet(file)["source"].unique().to_list() == ["polygon"]


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["--days", "0"], 2, "sessions"),
        (["--start", "2035-01-02"], 2, "in the future"),
        (["--start", "2026-11-20", "--end", "2026-11-19"], 2, "after --end"),
        (["--ticker", "NOSUCH"], 2, "NOSUCH"),
        (["--ticker", "NOSUCH", "--source", "polygon"], 2, "NOSUCH"),
        (["--out", "qqq.xlsx"], 2, ".parquet or .csv"),
        (["--out", "nowhere/qqq.csv"], 2, "nowhere"),
        (["--interval", "2m"], 2, "invalid choice"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    tmp_path: Path, simulator: dict[str, Any], arguments: list[str], status: int, word: str
) -> None:
    done = run_here(SCRIPT, *arguments, folder=tmp_path, SIMULATOR_URL=simulator["http"])
    assert (done.status, done.out) == (status, "")
    (sentence,) = done.err.strip().splitlines()
    assert word in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key(run: Run, tmp_path: Path, simulator: dict[str, Any]) -> None:
    done = run(POLYGON_API_KEY="wrong-key", POLYGON_BASE_URL=simulator["http"])
    assert done.returncode == 2
    assert "Unknown API Key" in done.stderr
    assert "wrong-key" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_holiday_is_no_error(run: Run, tmp_path: Path) -> None:
    done = run("--start", "2025-12-25", "--end", "2025-12-25")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the exchange was closed on 2025-12-25" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_moment_the_file_is_old_or_new(
    run: Run, tmp_path: Path, simulator: dict[str, Any]
) -> None:
    file = tmp_path / "qqq.parquet"
    assert run("--out", file.name, "--days", "1").returncode == 0
    old = file.read_bytes()
    began = time.monotonic()
    assert run("--out", "new.parquet", "--days", "2").returncode == 0
    seconds = time.monotonic() - began
    whole = (tmp_path / "new.parquet").read_bytes()
    for number in range(3):
        child = started(
            tmp_path, "--out", file.name, "--days", "2", SIMULATOR_URL=simulator["http"]
        )
        try:
            child.wait((number + random.random()) / 3 * seconds)
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
        assert file.read_bytes() in {old, whole}
    assert run("--out", file.name, "--days", "2").returncode == 0
    assert {each.name for each in tmp_path.iterdir()} == {"qqq.parquet", "new.parquet"}
    assert file.read_bytes() == whole


def test_help_is_quick() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(BACKEND / SCRIPT), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "exit status" in done.stdout
    assert time.monotonic() - began < 2  # 0.1 s where nothing else runs


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.parquet"
    publish_rows(file, pl.DataFrame({"n": [1]}))
    (tmp_path / ".rows.parquet.killed.part").write_bytes(b"half")

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        publish(file, b"new")
    assert caught.value.filename == str(file)
    assert [each.name for each in tmp_path.iterdir()] == ["rows.parquet"]
    assert pl.read_parquet(file)["n"].to_list() == [1]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "out.csv"
    folder.mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        check_target(folder)
