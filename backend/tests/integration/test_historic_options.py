"""Minute quotes of a past session by Polygon: equal to the recorded file, resumable, limited."""

from __future__ import annotations

import json
import random
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from models.tables import OPTION_QUOTES
from pipeline.coverage import content_hash

if TYPE_CHECKING:
    from tests.integration.conftest import Bench

DATA = Path(__file__).resolve().parents[2] / "simulator" / "data"
EVE = date(2015, 12, 24)
COMMAND = ("--ticker", "GOOG", "--start", str(EVE), "--end", str(EVE), "--source", "polygon")
NEAR = ("--expirations", "0-8")


def test_the_session_equals_the_file(bench: Bench) -> None:
    done = bench.main(*COMMAND)
    assert (done.status, done.err) == (0, "POLYGON_API_KEY is not set: using the simulator\n")
    assert done.dataset("GOOG", "option_quotes_1m")["rows"] == 275_552
    assert (done.object["source"], done.object["origin"]) == ("polygon", "recorded")

    stored = bench.read("option_quotes")
    assert stored.height == 275_552
    assert_equals_the_file(stored)
    assert stored["session"].unique().to_list() == [EVE]
    solved = stored.filter(implied_volatility_status="ok")
    assert solved.height > 0.5 * stored.height
    assert solved.select("delta", "gamma", "forward").null_count().sum_horizontal().item() == 0
    assert stored.filter(pl.col("implied_volatility_status").is_null()).is_empty()

    assert bench.count("option_contracts") == stored["occ_symbol"].n_unique() == 2192
    file = pl.read_parquet(DATA / f"goog_equity_trades_{EVE}.parquet").sort("ts")
    prices = ["ts", "open", "high", "low", "close", "volume"]
    assert bench.read("equity_bars").select(prices).equals(file.select(prices))

    (row,) = bench.read("coverage", dataset="option_quotes_1m").rows(named=True)
    assert (row["status"], row["rows"]) == ("complete", 275_552)
    assert row["content_hash"] == content_hash(OPTION_QUOTES, stored)

    before = bench.content()
    again = bench.main(*COMMAND)
    assert again.status == 0
    assert again.dataset("GOOG", "option_quotes_1m")["kept"] == 1
    assert bench.content() == before


def assert_equals_the_file(stored: pl.DataFrame) -> None:
    """Prices and sizes at each minute's end; a side that nobody takes has neither."""
    file = pl.read_parquet(DATA / f"goog_options_quotes_{EVE}.parquet").select(
        pl.col("ts") + timedelta(minutes=1),
        occ_symbol="symbol",
        bid="bid_close",
        ask="ask_close",
        bid_size=pl.when(pl.col("bid_close").is_not_null()).then("bid_size").cast(pl.Int32),
        ask_size=pl.when(pl.col("ask_close").is_not_null()).then("ask_size").cast(pl.Int32),
    )
    order = ["ts", "occ_symbol"]
    assert stored.select(file.columns).sort(order).equals(file.sort(order))


def test_a_killed_run_is_completed_by_the_next(bench: Bench, databases: object) -> None:
    whole = bench.main(*COMMAND, *NEAR)
    assert whole.status == 0, whole.err
    content = bench.content()
    for share in (random.uniform(0.2, 0.6), random.uniform(0.6, 1.0)):
        with databases.fresh() as dsn:  # type: ignore[attr-defined]
            other = type(bench)(dsn)
            child = other.start("main.py", "--json", *COMMAND, *NEAR)
            try:
                child.wait(share * whole.object["seconds"])
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            done = other.main(*COMMAND, *NEAR)
            assert done.status == 0, done.err
            assert other.content() == content, f"killed after {share:.2f} of a run"


def test_a_wider_window_asks_for_the_rest(bench: Bench) -> None:
    narrow = bench.main(*COMMAND, "--expirations", "0-0")
    assert narrow.dataset("GOOG", "option_quotes_1m")["rows"] == 21_902
    wide = bench.main(*COMMAND, *NEAR)
    assert wide.dataset("GOOG", "option_quotes_1m")["rows"] == 21_902 + 22_857
    assert bench.read("coverage", dataset="option_quotes_1m")["scope"].to_list() == ["0-8"]
    told = bench.run("sys_testing/check_data_quality.py", "--ticker", "GOOG", "--json")
    assert told.status == 0, told.err
    report = told.object
    assert report["rows"]["accepted"] == 21_902 + 22_857
    stored_rows = bench.read("option_quotes")
    counts = {each["rule"]: each["count"] for each in report["findings"]}
    assert counts["no_bid"] == stored_rows["bid"].null_count() > 1000
    assert counts["no_quotes"] == counts["wrong_zone"] == counts["crossed"] == 0
    assert report["figures"]["realized_volatility"] > 0.02
    figures = bench.read("expiration_figures")
    assert figures["expiration"].n_unique() >= 2
    assert bench.count("session_figures") == 1
    page = Path(report["html"])
    assert "GOOG" in page.read_text(encoding="utf-8")
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["counts"]["error"] == 0
    kept = bench.main(*COMMAND, "--expirations", "7-8")
    assert kept.dataset("GOOG", "option_quotes_1m")["kept"] == 1


@pytest.mark.parametrize("extra", [(), ("--expirations", "0-800")])
def test_what_is_too_much_for_rest_names_the_flat_files(
    friday: Bench, extra: tuple[str, ...]
) -> None:
    done = friday.main("--source", "polygon", "--start", "2026-11-16", *extra)
    assert (done.status, done.out) == (2, "")
    (sentence,) = done.err.strip().splitlines()
    assert "bulk_backfill_options.py" in sentence
    assert "--expirations" in sentence
    assert friday.count("equity_bars") == 0
