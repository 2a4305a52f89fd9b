"""`scripts/download_0dte_options.py`: bare, recorded, past days, killed, live, bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
import pytest

from models.errors import NotEntitled
from models.tables import EQUITY_BARS, OPTION_BARS, OPTION_QUOTES, OPTION_TRADES
from polygon_integration.market_data import PolygonMarketData
from tests.in_process import run_here
from tests.integration.conftest import started_simulator
from utils.market_calendar import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Bench

BACKEND = Path(__file__).resolve().parents[2]
SCRIPT = "scripts/download_0dte_options.py"
DATA = BACKEND / "simulator" / "data"
FRIDAY, EVE = date(2026, 11, 20), date(2015, 12, 24)
FILES = {"contracts", "underlying", "bars", "trades", "quotes"}
PATIENCE_S = 280.0
KILLS = 50 if os.environ.get("PROVE") else 3

Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(BACKEND / SCRIPT), *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the script in an empty folder, with no database to be found."""

    def once(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        home = {"OPTIONS_HOME": str(tmp_path / "home")}
        (tmp_path / "here").mkdir(exist_ok=True)
        child = started(tmp_path / "here", *arguments, **(home | environment))
        out, err = child.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess([], child.returncode, out, err)

    return once


@pytest.fixture(scope="module")
def morning() -> Iterator[dict[str, Any]]:
    """A simulator that stands still ten minutes after Friday's open."""
    with started_simulator("--clock", "2026-11-20T09:40", "--speed", "0") as status:
        yield status


def study(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "study.json").read_bytes())
    return found


def frames(folder: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in FILES}


def test_bare_it_leaves_a_study_of_qqq(run: Run, tmp_path: Path, morning: dict[str, Any]) -> None:
    done = run(SIMULATOR_URL=morning["http"])
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "here" / "0dte_qqq_2026-11-20"
    names = {each.name for each in folder.iterdir()}
    assert names == {f"{name}.parquet" for name in FILES} | {"study.json"}
    found = frames(folder)
    contracts = found["contracts"]
    assert contracts["expiration"].unique().to_list() == [FRIDAY]
    assert contracts.height > 500
    assert contracts["open_interest"].null_count() == 0
    tables = {"underlying": EQUITY_BARS, "bars": OPTION_BARS, "trades": OPTION_TRADES}
    for name, table in (tables | {"quotes": OPTION_QUOTES}).items():
        assert found[name].columns == list(table.column_names)
        assert found[name].height > 0
        assert found[name]["origin"].unique().to_list() == ["simulator"]
        assert found[name].select(table.key).is_duplicated().sum() == 0
        assert name in done.stdout
    assert found["quotes"]["occ_symbol"].n_unique() == contracts.height
    spot = found["underlying"]["close"].last()
    at_the_money = (
        found["bars"]
        .join(contracts.select("occ_symbol", "strike"), on="occ_symbol")
        .filter((pl.col("strike") / spot - 1).abs() < 0.003)
    )
    assert at_the_money.height > 20
    assert at_the_money["implied_volatility"].is_between(0.02, 1.0).all()
    assert at_the_money["delta"].abs().is_between(0.02, 0.98).all()
    volume = found["trades"].group_by("occ_symbol").agg(pl.col("size").sum())
    assert volume["size"].sum() >= found["bars"]["volume"].sum()


def test_a_recorded_session_equals_its_files(run: Run, tmp_path: Path) -> None:
    arguments = ("--ticker", "GOOG", "--date", str(EVE), "--out", "goog")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "POLYGON_API_KEY is not set: using the simulator\n"
    folder = tmp_path / "here" / "goog"
    found = frames(folder)
    assert found["contracts"].height == 176
    quotes = pl.read_parquet(DATA / f"goog_options_quotes_{EVE}.parquet").filter(expiration=EVE)
    sides = {"bid": "bid_close", "ask": "ask_close"}
    file = quotes.select(pl.col("ts") + timedelta(minutes=1), occ_symbol="symbol", **sides)
    order = ["ts", "occ_symbol"]
    assert found["quotes"].select(file.columns).sort(order).equals(file.sort(order))
    bars = pl.read_parquet(DATA / f"goog_options_trades_{EVE}.parquet")
    regular = bars.filter(
        pl.col("symbol").is_in(found["contracts"]["occ_symbol"].to_list()),
        pl.col("ts") < session(EVE).close,
    )
    prices = ["ts", "open", "high", "low", "close", "volume"]
    wanted = regular.select("symbol", *prices).rename({"symbol": "occ_symbol"})
    assert found["bars"].select(wanted.columns).sort(order).equals(wanted.sort(order))
    assert study(folder)["settled"]

    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    again = run(*arguments)
    assert again.returncode == 0
    assert "kept" in again.stdout
    after = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} <= {"study.json"}


def test_open_interest_of_a_past_day_needs_a_stored_snapshot(
    run: Run, tmp_path: Path, friday: Bench, simulator: dict[str, Any]
) -> None:
    past = ("--ticker", "AAPL", "--date", "2026-11-18", "--out", "aapl")
    at = {"SIMULATOR_URL": simulator["http"]}
    done = run(*past, **at)
    assert done.returncode == 4
    contracts = pl.read_parquet(tmp_path / "here" / "aapl" / "contracts.parquet")
    assert contracts["open_interest"].null_count() == contracts.height == 66
    assert "nothing was ever stored" in study(tmp_path / "here" / "aapl")["open_interest"]

    some = contracts["occ_symbol"].head(60)
    snapshot = pl.read_parquet(tmp_path / "here" / "aapl" / "quotes.parquet").filter(
        pl.col("ts") == pl.col("ts").max(), pl.col("occ_symbol").is_in(some.to_list())
    )
    wednesday = session(date(2026, 11, 18)).close
    stored = snapshot.with_columns(
        open_interest=pl.int_range(100, 100 + pl.len(), dtype=pl.Int64),
        ts=pl.lit(wednesday + timedelta(minutes=1)),
    )
    with_store(friday, stored)
    done = run(*past[:-1], "with", SUPABASE_DB_URL=friday.dsn, **at)
    assert done.returncode == 4
    told = pl.read_parquet(tmp_path / "here" / "with" / "contracts.parquet")
    assert told["open_interest"].count() == 60
    assert "6 of 66" in done.stdout.replace("\n", " ")


def with_store(bench: Bench, rows: pl.DataFrame) -> None:
    from clients.supabase_client import SupabaseClient, SupabaseSettings  # noqa: PLC0415

    settings = SupabaseSettings(_env_file=None, supabase_db_url=bench.dsn)
    with SupabaseClient.from_settings(settings) as store:
        store.upsert("option_quotes", rows)


def test_into_the_database_too(run: Run, bench: Bench, morning: dict[str, Any]) -> None:
    arguments = ("--ticker", "AAPL", "--store", "--out", "aapl")
    at = {"SIMULATOR_URL": morning["http"], "SUPABASE_DB_URL": bench.dsn}
    assert run(*arguments, **at).returncode == 0
    counts = {
        name: bench.count(name)
        for name in ("option_contracts", "option_bars", "option_trades", "option_quotes")
    }
    assert all(counts.values()), counts
    assert bench.read("option_bars")["implied_volatility"].count() > 0
    before = bench.content()
    assert run(*arguments, **at).returncode == 0
    assert bench.content() == before


def test_killed_anywhere_the_next_run_ends_equal(
    run: Run, tmp_path: Path, simulator: dict[str, Any]
) -> None:
    arguments = ("--ticker", "AAPL", "--date", "2026-11-18")
    at = {"SIMULATOR_URL": simulator["http"], "OPTIONS_HOME": str(tmp_path / "home")}
    began = time.monotonic()
    assert run(*arguments, "--out", "whole", **at).returncode == 4
    seconds = time.monotonic() - began
    whole = frames(tmp_path / "here" / "whole")
    folder = tmp_path / "here" / "killed"
    for number in range(KILLS):
        child = started(tmp_path / "here", *arguments, "--out", "killed", **at)
        try:
            child.wait((number + random.random()) / KILLS * seconds)
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
        for file in folder.glob("*.parquet"):
            assert pl.read_parquet(file).equals(whole[file.stem])
    assert run(*arguments, "--out", "killed", **at).returncode == 4
    found = frames(folder)
    assert all(found[name].equals(whole[name]) for name in FILES)
    assert {each.name for each in folder.iterdir()} == {f"{n}.parquet" for n in FILES} | {
        "study.json"
    }


def test_following_until_the_close(run: Run, tmp_path: Path) -> None:
    with started_simulator("--clock", "2026-11-20T15:58:30", "--speed", "10") as simulator:
        at = {"SIMULATOR_URL": simulator["http"]}
        done = run("--ticker", "TWX", "--follow", "--out", "live", **at)
        assert done.returncode == 0, done.stderr
        rest = run("--ticker", "TWX", "--out", "rest", "--date", str(FRIDAY), **at)
        assert rest.returncode == 0, rest.stderr
    live, asked = frames(tmp_path / "here" / "live"), frames(tmp_path / "here" / "rest")
    assert not list((tmp_path / "here" / "live").glob(".*"))
    key, prices = ["ts", "occ_symbol"], ["open", "high", "low", "close", "volume"]
    same = ["ts", "occ_symbol", *prices]
    assert live["bars"].select(same).sort(key).equals(asked["bars"].select(same).sort(key))
    missed = asked["quotes"].join(live["quotes"], on=key, how="anti")
    assert missed.is_empty()
    assert live["trades"].select("occ_symbol", "sequence").is_duplicated().sum() == 0
    assert abs(live["trades"].height - asked["trades"].height) <= 0.002 * asked["trades"].height
    assert live["underlying"]["ts"].max() >= session(FRIDAY).close - timedelta(minutes=1)


def test_ctrl_c_and_kill_9_while_following(run: Run, tmp_path: Path) -> None:
    with started_simulator("--clock", "2026-11-20T09:40", "--speed", "1") as simulator:
        at = {"SIMULATOR_URL": simulator["http"], "OPTIONS_HOME": str(tmp_path / "home")}
        arguments = ("--ticker", "TWX", "--follow", "--out", "live")
        folder = tmp_path / "here" / "live"
        folder.parent.mkdir()

        child = started(folder.parent, *arguments, **at)
        until(lambda: list((folder / ".live").glob("quotes-*.parquet")), "quotes of the stream")
        child.kill()
        child.communicate()
        assert not (folder / "study.json").exists() or frames(folder)

        child = started(folder.parent, *arguments, **at)
        until((folder / "study.json").exists, "the study")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 130, err
        assert err.strip().splitlines()[-1].startswith("interrupted: what is stored is whole")
        assert "Traceback" not in err
        assert "quotes.parquet" in out
        assert frames(folder)["quotes"].height > 0
        assert not list(folder.glob(".live/*"))


def until(happens: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["--date", "2035-01-02"], 2, "in the future"),
        (["--date", "tomorrow"], 2, "is no day"),
        (["--ticker", "NOSUCH"], 2, "renamed or delisted"),
        (["--ticker", "QQQ; drop"], 2, "is no ticker"),
        (["--seconds", "-1"], 2, "number of seconds"),
        (["--clock", "2026-11-20T10:00"], 2, "SIMULATOR_URL"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, morning: dict[str, Any], arguments: list[str], status: int, word: str
) -> None:
    done = run_here(SCRIPT, *arguments, folder=tmp_path, SIMULATOR_URL=morning["http"])
    assert (done.status, done.out) == (status, "")
    (sentence,) = done.err.strip().splitlines()
    assert word in sentence
    assert list(tmp_path.iterdir()) == []


def test_days_without_anything_are_no_error(run: Run, simulator: dict[str, Any]) -> None:
    at = {"SIMULATOR_URL": simulator["http"]}
    holiday = run("--date", "2025-12-25", **at)
    assert (holiday.returncode, holiday.stderr) == (0, "")
    assert "the exchange was closed on 2025-12-25" in holiday.stdout
    nothing = run("--ticker", "GOOG", "--date", "2026-11-18", **at)
    assert nothing.returncode == 4
    assert "no option of GOOG expires on 2026-11-18" in nothing.stdout


def test_keys_and_plans(run: Run, tmp_path: Path, morning: dict[str, Any]) -> None:
    at = {"POLYGON_BASE_URL": morning["http"], "POLYGON_REQUESTS_PER_MINUTE": "90000"}
    wrong = run(**at, POLYGON_API_KEY="wrong-key")
    assert wrong.returncode == 2
    assert "Unknown API Key" in wrong.stderr
    assert "wrong-key" not in wrong.stderr

    starter = run(
        "--ticker", "TWX", "--out", "twx", **at, POLYGON_API_KEY="SimulatorPolygonKeyStarter"
    )
    assert starter.returncode == 4, starter.stderr
    folder = tmp_path / "here" / "twx"
    assert {each.stem for each in folder.glob("*.parquet")} == {"contracts", "underlying", "bars"}
    assert set(study(folder)["missing"]) == {"trades", "quotes"}
    assert "plan does not include" in starter.stdout


def test_a_folder_of_another_study_is_not_touched(
    run: Run, tmp_path: Path, morning: dict[str, Any]
) -> None:
    folder = tmp_path / "here" / "mine"
    folder.mkdir(parents=True)
    other = {"ticker": "SPY", "day": "2026-11-19", "source": "polygon", "origin": "live"}
    other |= {"asked_at": "2026-11-19T21:00:00+00:00"}
    text = json.dumps(other | {"settled": True, "contracts": 1})
    (folder / "study.json").write_text(text)
    done = run("--out", "mine", SIMULATOR_URL=morning["http"])
    assert done.returncode == 2
    assert "holds SPY of 2026-11-19" in done.stderr
    assert (folder / "study.json").read_text() == text


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


def test_a_plan_of_options_without_one_of_stocks(
    tmp_path: Path, morning: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> pl.DataFrame:
        raise NotEntitled("your Polygon plan does not include QQQ", provider="polygon", status=403)

    monkeypatch.setattr(PolygonMarketData, "bars", refused)
    done = run_here(
        SCRIPT, "--ticker", "TWX", "--out", "twx", folder=tmp_path,
        SIMULATOR_URL=morning["http"], OPTIONS_HOME=str(tmp_path / "home"),
    )  # fmt: skip
    assert done.status == 4, done.err
    found = frames(tmp_path / "twx")
    assert found["underlying"].is_empty()
    assert found["bars"].height > 0
    assert found["bars"]["implied_volatility"].null_count() == found["bars"].height
    assert found["quotes"].height > 0
    assert set(study(tmp_path / "twx")["missing"]) == {"underlying"}
    assert "no underlying" in done.out
