"""`python main.py`, end to end: what it stores, what it leaves alone, what it prints."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from models.tables import EQUITY_BARS, OPTION_QUOTES
from pipeline.coverage import content_hash
from utils.market_calendar import NEW_YORK, session, sessions_back

if TYPE_CHECKING:
    from tests.integration.conftest import Bench

FRIDAY = session(date(2026, 11, 20))


def test_five_sessions_and_a_chain_are_stored_and_a_second_run_downloads_nothing(
    bench: Bench,
) -> None:
    arguments = ("--days", "5", "--clock", "2026-11-20T16:00", "--expirations", "0-10")
    first = bench.main(*arguments)
    assert (first.status, first.err) == (0, "")
    days = [each.day.isoformat() for each in sessions_back(FRIDAY.close, 5)]
    assert first.object["sessions"] == days
    assert (first.object["source"], first.object["origin"]) == ("schwab", "simulator")
    bars = first.dataset("QQQ", "equity_bars_1m")
    chain = first.dataset("QQQ", "option_quotes")
    assert bars["statuses"] == {"complete": 5}
    assert bars["missing"] == 0
    assert bars["rows"] == bars["changed"] == bench.count("equity_bars") > 5 * 390
    assert chain["rows"] == chain["changed"] == bench.count("option_quotes") > 500

    quotes = bench.read("option_quotes")
    assert quotes["ts"].unique().to_list() == [FRIDAY.close]
    assert quotes["session"].unique().to_list() == [FRIDAY.day]
    alive = quotes.filter(pl.col("expiration") > FRIDAY.day)
    solved = alive.filter(implied_volatility_status="ok")
    assert solved.height > 0.5 * alive.height
    assert (
        solved.select("delta", "gamma", "vega_per_point", "forward")
        .null_count()
        .sum_horizontal()[0]
        == 0
    )
    near = solved.filter((pl.col("strike") / pl.col("underlying_price")).log().abs() < 0.02)
    assert (near["implied_volatility"] - near["source_implied_volatility"]).abs().median() < 0.01

    (summary,) = first.object["chains"]
    assert (summary["ticker"], summary["contracts"]) == ("QQQ", quotes.height)
    assert summary["priced"] == solved.height
    assert summary["priced"] + sum(summary["unpriced"].values()) == summary["contracts"]
    assert [term["dte"] for term in summary["terms"]] == [3, 7, 10]
    assert all(0.05 < term["atm_volatility"] < 0.5 for term in summary["terms"])

    before = bench.content()
    again = bench.main(*arguments)
    assert again.status == 0
    assert again.object["chains"] == first.object["chains"]
    for dataset in again.object["datasets"]:
        assert dataset["kept"] == dataset["sessions"]
        assert dataset["changed"] == 0
    assert [dataset["rows"] for dataset in again.object["datasets"]] == [
        dataset["rows"] for dataset in first.object["datasets"]
    ]
    assert bench.content() == before
    runs = bench.read("download_runs")
    assert runs["status"].to_list() == ["complete", "complete"]
    assert sorted(runs["rows"]) == [0, bars["rows"] + chain["rows"]]


def test_coverage_tells_what_is_stored(friday: Bench) -> None:
    assert friday.main("--days", "2", "--expirations", "0-3").status == 0
    coverage = friday.read("coverage")
    assert coverage.height == 3
    for row in coverage.iter_rows(named=True):
        table = OPTION_QUOTES if row["dataset"] == "option_quotes" else EQUITY_BARS
        rows = friday.read(table.name, session=row["session"])
        assert row["rows"] == rows.height
        assert row["content_hash"] == content_hash(table, rows)
        assert row["newest_at"] == rows["ts"].max()
        assert row["status"] == "complete"


def test_the_table_is_for_people_and_no_bar_is_drawn_into_a_pipe(friday: Bench) -> None:
    done = friday.run("main.py", "--days", "1", "--expirations", "0-3")
    assert (done.status, done.err) == (0, "")
    words = ("QQQ", "equity_bars_1m", "complete", "origin simulator", "data lies in", "ATM vol")
    for word in words:
        assert word in done.out
    assert "\x1b" not in done.out


def test_several_tickers_and_another_interval(friday: Bench) -> None:
    arguments = ("--ticker", "spy", "$SPX", "--days", "2", "--interval", "30m", "--no-options")
    done = friday.main(*arguments)
    assert done.status == 0
    assert {each["ticker"] for each in done.object["datasets"]} == {"SPY", "SPX"}
    regular = friday.read("equity_bars", underlying="SPX", session=FRIDAY.day)
    assert regular["ts"].to_list() == [FRIDAY.open + timedelta(minutes=30 * n) for n in range(13)]


def test_help_is_quick_and_says_where_the_data_lies(bench: Bench) -> None:
    started = datetime.now(UTC)
    done = bench.run("main.py", "--help")
    assert (datetime.now(UTC) - started).total_seconds() < 2  # 0.1 s on an idle machine
    assert done.status == 0
    assert "--stop-database" in done.out
    assert "OPTIONS_HOME" in done.out
    imported = bench.run("-X", "importtime", "main.py", "--help").err
    heavy = ("polars", "numpy", "numba", "pandas", "psycopg", "httpx2", "pydantic", "rich")
    assert not [name for name in heavy if f"| {name}\n" in imported.replace("|  ", "| ")]


@pytest.mark.parametrize(
    ("clock", "newest"),
    [
        ("2026-11-21T03:00", date(2026, 11, 20)),  # a Saturday night
        ("2025-11-27T12:00", date(2025, 11, 26)),  # Thanksgiving
        ("2025-12-24T11:00", date(2025, 12, 24)),  # an early close, still open
        ("2025-12-24T15:00", date(2025, 12, 24)),  # the same, over
    ],
)
def test_any_hour_has_a_market(bench: Bench, clock: str, newest: date) -> None:
    done = bench.main("--days", "2", "--clock", clock, "--expirations", "0-3")
    assert (done.status, done.err) == (0, "")
    assert done.object["sessions"][-1] == newest.isoformat()
    now = datetime.fromisoformat(clock).replace(tzinfo=NEW_YORK)
    over = now >= session(newest).close
    coverage = bench.read("coverage")
    statuses = dict(coverage.select("dataset", "status").rows())
    assert coverage.filter(session=newest)["status"].unique().to_list() == [
        "complete" if over else "partial"
    ]
    assert statuses["option_quotes"] == ("complete" if over else "partial")
    bars = bench.read("equity_bars", session=newest)
    assert bars["ts"].max() < min(now, session(newest).close + timedelta(hours=4))  # type: ignore[operator]
    assert coverage["missing"].sum() == 0


def test_an_open_session_is_extended_by_the_next_run(bench: Bench) -> None:
    def run(clock: str) -> dict[str, Any]:
        done = bench.main("--days", "1", "--no-options", "--clock", clock)
        assert done.status == 0
        return done.dataset("QQQ", "equity_bars_1m")

    first = run("2026-11-20T10:00")
    assert first["statuses"] == {"partial": 1}
    second = run("2026-11-20T10:30")
    assert second["changed"] == second["rows"] - first["rows"] == 30
    last = run("2026-11-21T03:00")
    assert last["statuses"] == {"complete": 1}
    assert last["missing"] == 0
