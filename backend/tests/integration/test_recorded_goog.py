"""Real input: GOOG on 23 and 24 December 2015, stored as the files hold it."""

from __future__ import annotations

from datetime import date, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from utils.market_calendar import new_york, session

if TYPE_CHECKING:
    from tests.integration.conftest import Bench

DATA = Path(__file__).resolve().parents[2] / "simulator" / "data"
EVE = date(2015, 12, 24)
DAYS = ("--ticker", "GOOG", "--start", "2015-12-23", "--end", "2015-12-24")
CLOCKS = ("10:00", "11:17", "12:59")


def test_bars_and_chains_equal_the_files(bench: Bench) -> None:
    done = bench.main(*DAYS, "--no-options")
    assert (done.status, done.err, done.object["origin"]) == (0, "", "recorded")
    for day in (date(2015, 12, 23), EVE):
        assert_bars_equal_the_file(bench, day)
    eve = bench.read("equity_bars", session=EVE).filter(pl.col("ts") < session(EVE).close)
    assert eve.filter(pl.col("ts") >= session(EVE).open).height == 210
    coverage = bench.read("coverage")
    assert coverage.select("status", "missing").unique().rows() == [("complete", 0)]

    for clock in CLOCKS:
        done = bench.main(*DAYS, "--clock", f"{EVE}T{clock}", "--expirations", "0-800")
        assert (done.status, done.err) == (0, "")
        assert done.dataset("GOOG", "equity_bars_1m")["changed"] == 0
        assert_chain_equals_the_file(bench, clock)
    quotes = bench.read("option_quotes")
    assert quotes["ts"].n_unique() == 3
    assert quotes["session"].unique().to_list() == [EVE]
    assert quotes["origin"].unique().to_list() == ["recorded"]
    assert quotes.filter(implied_volatility_status="ok").height > 0.4 * quotes.height


def assert_bars_equal_the_file(bench: Bench, day: date) -> None:
    prices = ["ts", "open", "high", "low", "close", "volume"]
    file = pl.read_parquet(DATA / f"goog_equity_trades_{day}.parquet").sort("ts")
    assert bench.read("equity_bars", session=day).select(prices).equals(file.select(prices))


def assert_chain_equals_the_file(bench: Bench, clock: str) -> None:
    """A quote at a minute is the bar that ended with it, or the newest one before."""
    now = new_york(EVE, time.fromisoformat(clock))
    sides = {"occ_symbol": "symbol", "bid": "bid_close", "ask": "ask_close"}
    file = pl.read_parquet(DATA / f"goog_options_quotes_{EVE}.parquet").sort("ts")
    last_minute = now - timedelta(minutes=1)
    of_minute = file.filter(pl.col("ts") == last_minute).select(**sides).sort("occ_symbol")
    newest = file.filter(pl.col("ts") <= last_minute).unique("symbol", keep="last").select(**sides)
    stored = bench.read("option_quotes", ts=now).select(*sides).sort("occ_symbol")
    assert of_minute.height > 1000
    assert stored.join(of_minute, on="occ_symbol", how="semi").equals(of_minute)
    quoted = stored.filter(pl.any_horizontal(pl.col("bid", "ask").is_not_null()))
    known = newest.filter(pl.any_horizontal(pl.col("bid", "ask").is_not_null()))
    assert quoted.equals(known.sort("occ_symbol"))
