"""`scripts/generate_synthetic_options.py` as people run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from black_scholes.synthetic_generator import VERSION
from models.tables import OPTION_QUOTES, frame_schema

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, Done

SCRIPT = "scripts/generate_synthetic_options.py"
QQQ = Path(__file__).parents[1] / "data" / "chains" / "qqq_chain_2026-07-14T1555ET.json.gz"


def make(bench: Bench, *arguments: str) -> Done:
    return bench.run(SCRIPT, *arguments)


def test_bare_it_fills_the_database_and_again_changes_nothing(bench: Bench) -> None:
    done = make(bench)
    assert done.status == 0, done.err
    assert "source synthetic, origin simulator" in done.out
    keys = ["ts", "occ_symbol", "source", "origin", "bid", "ask"]
    rows = bench.read("option_quotes").select(keys)
    assert rows.height > 100_000
    assert rows["source"].unique().to_list() == ["synthetic"]
    assert rows["ts"].n_unique() > 40
    again = make(bench)
    assert again.status == 0, again.err
    assert bench.read("option_quotes").select(keys).equals(rows)
    runs = bench.read("download_runs")
    assert runs["status"].to_list() == ["complete", "complete"]
    assert all(f"# generator={VERSION} seed=7" in each for each in runs["command"])


def test_a_file_with_its_report(bench: Bench, tmp_path: Path) -> None:
    day = ["--start", "2026-07-14", "--end", "2026-07-14", "--interval", "30m", "--dte", "0-20"]
    files = []
    for name in ("one", "two"):
        path, page = tmp_path / f"{name}.parquet", tmp_path / f"{name}.html"
        done = make(
            bench, *day, "--seed", "3", "--out", str(path), "--calibrate", str(QQQ),
            "--report", str(page),
        )  # fmt: skip
        assert done.status == 0, done.err
        assert "quality page" in done.out
        assert "<html" in page.read_text()
        assert json.loads(page.with_suffix(".json").read_text())
        files.append(path)
    frame = pl.read_parquet(files[0])
    assert frame.schema == pl.Schema(frame_schema(OPTION_QUOTES))
    assert frame.equals(pl.read_parquet(files[1]))
    metadata = pl.read_parquet_metadata(files[0])
    assert (metadata["generator"], metadata["seed"]) == (str(VERSION), "3")
    assert not list(tmp_path.glob("*.part"))
    contracts = pl.read_parquet(tmp_path / "one.option_contracts.parquet")
    assert set(frame["occ_symbol"]) == set(contracts["occ_symbol"])


def test_stored_bars_and_a_users_bars(bench: Bench, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    lines = [
        f"2026-07-14T{13 + (30 + each) // 60:02d}:{(30 + each) % 60:02d}:00Z,"
        f"500,500.5,499.5,500.2,1000"
        for each in range(390)
    ]
    bars.write_text("ts,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    out = tmp_path / "quotes.parquet"
    day = ["--start", "2026-07-14", "--end", "2026-07-14", "--interval", "30m", "--out", str(out)]
    done = make(bench, *day, "--bars", str(bars))
    assert done.status == 0, done.err
    assert pl.read_parquet(out)["underlying_price"].is_between(499.4, 500.6).all()
    lacking = make(bench, *day, "--bars", "stored")
    assert lacking.status == 2
    assert "no 1m bars of QQQ are stored" in lacking.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "x"], "'x' is no whole number"),
        (["--start", "2026-07-15", "--end", "2026-07-14"], "is after --end"),
        (["--ticker", "NOSUCH"], "NOSUCH is no ticker"),
        (["--ticker", "12"], "is no ticker"),
        (["--out", "lake"], "--fill stores in the lake"),
        (["--out", "quotes.csv"], "ends in .parquet"),
        (["--out", "/no/such/folder/x.parquet", "--dte", "0-1"], "there is no folder"),
        (["--dte", "5-1"], "no span of days"),
        (["--report"], "name one by --calibrate"),
        (["--calibrate", "/no/such/file"], "is no file and no TICKER/"),
        (["--calibrate", "QQQ/2026-07-14"], "no chains of QQQ/2026-07-14 are stored"),
        (["--start", "2026-07-18", "--end", "2026-07-19"], "there is no session"),
    ],
)
def test_bad_input_is_one_sentence(bench: Bench, arguments: list[str], words: str) -> None:
    done = bench.here(SCRIPT, *arguments)
    assert done.status == 2, done.err
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert done.out == ""


def test_bad_files_are_one_sentence(bench: Bench, tmp_path: Path) -> None:
    bars, chain = tmp_path / "bars.csv", tmp_path / "chain.json"
    bars.write_text("ts,open,high,low,close,volume\n2026-07-14T13:30:00Z,7,7,7,-7,1\n")
    quote = {"symbol": "QQQ260721C00720000", "bid": 0, "ask": 1.2}
    chain.write_text(
        json.dumps(
            {
                "symbol": "QQQ",
                "updated": "2026-07-14T15:55:00-04:00",
                "underlyingPrice": 720.0,
                "quotes": [quote],
            }
        )
    )
    for arguments, words in (
        (["--bars", str(bars)], "a price that is not above zero"),
        (["--calibrate", str(chain)], "no bid prices: one side is missing"),
    ):
        done = make(bench, "--out", str(tmp_path / "x.parquet"), *arguments)
        assert done.status == 2
        assert words in done.err
        assert "Traceback" not in done.err
