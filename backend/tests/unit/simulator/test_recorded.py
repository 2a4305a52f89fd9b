"""The recorded world tells what the files hold, and nothing before its time."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from black_scholes.synthetic.schema import CHAIN_SCHEMA
from models.errors import ConfigError, DataError
from simulator.recorded import SHIPPED, RecordedWorld
from simulator.world import BAR_SCHEMA
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from pathlib import Path

EVER = date(1998, 1, 1)
NEVER = date(2045, 12, 31)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def world() -> RecordedWorld:
    return RecordedWorld()


@pytest.fixture(scope="module")
def goog_quotes() -> pl.DataFrame:
    return pl.read_parquet(SHIPPED / "goog_options_quotes_2015-12-24.parquet")


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def whole_day(day: str) -> tuple[datetime, datetime]:
    start = new_york(day)
    return start, start + timedelta(days=1)


@pytest.mark.parametrize(
    ("ticker", "day", "file"),
    [
        ("GOOG", "2015-12-23", "goog_equity_trades_2015-12-23"),
        ("GOOG", "2015-12-24", "goog_equity_trades_2015-12-24"),
        ("GOOG", "2015-12-28", "goog_equity_trades_2015-12-28"),
        ("SPY", "2013-10-09", "spy_equity_trades_2013-10-09"),
        ("SPY", "2023-08-03", "spy_equity_trades_2023-08-03"),
        ("TWX", "2014-06-05", "twx_equity_trades_2014-06-05"),
        ("SPX", "2021-01-04", "spx_index_2021-01-04"),
    ],
)
def test_minute_bars_are_the_rows_of_the_file(
    world: RecordedWorld, ticker: str, day: str, file: str
) -> None:
    start, end = whole_day(day)
    expected = pl.read_parquet(SHIPPED / f"{file}.parquet")
    assert_frame_equal(world.bars(ticker, start, end, "1m"), expected, check_exact=True)


def test_an_early_close_leaves_no_regular_minute_after_13_00(world: RecordedWorld) -> None:
    start, end = whole_day("2015-12-24")
    bars = world.bars("GOOG", start, end, "1m")
    opened, closed = new_york("2015-12-24T09:30"), new_york("2015-12-24T13:00")
    regular = bars.filter(pl.col("ts").is_between(opened, closed, closed="left"))
    daily = world.bars("GOOG", start, end, "1d")
    assert regular["ts"].max() == new_york("2015-12-24T12:59")
    assert bars.height > regular.height
    assert daily["ts"].to_list() == [opened]


def test_daily_bars_are_those_of_the_file(world: RecordedWorld) -> None:
    start, end = new_york("2015-12-01"), new_york("2016-01-01")
    file = pl.read_parquet(SHIPPED / "goog_equity_daily.parquet")
    expected = file.filter(pl.col("date").is_between(date(2015, 12, 1), date(2015, 12, 31)))
    bars = world.bars("GOOG", start, end, "1d")
    local_day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    found = bars.select(local_day.alias("date"), *expected.columns[1:])
    assert_frame_equal(found, expected, check_exact=True)


def test_a_session_without_a_daily_row_is_made_of_its_regular_minutes(world: RecordedWorld) -> None:
    start, end = whole_day("2014-06-05")
    minutes = world.bars("TWX", start, end, "1m")
    opened, closed = new_york("2014-06-05T09:30"), new_york("2014-06-05T16:00")
    regular = minutes.filter(pl.col("ts").is_between(opened, closed, closed="left"))
    (bar,) = world.bars("TWX", start, end, "1d").iter_rows(named=True)
    assert bar["volume"] == regular["volume"].sum()
    assert (bar["open"], bar["close"]) == (regular["open"][0], regular["close"][-1])
    assert (bar["high"], bar["low"]) == (regular["high"].max(), regular["low"].min())


def test_nothing_is_known_before_its_time(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T11:00:30")
    minutes = world.bars("GOOG", new_york("2015-12-24"), now, "1m")
    (forming,) = world.bars("GOOG", new_york("2015-12-24"), now, "1d").iter_rows(named=True)
    opened = new_york("2015-12-24T09:30")
    regular = minutes.filter(pl.col("ts") >= opened)
    assert minutes["ts"].max() == new_york("2015-12-24T10:59")
    assert forming["volume"] == regular["volume"].sum()
    assert forming["close"] == regular["close"][-1]
    assert world.bars("GOOG", new_york("2015-12-24"), opened, "1d").is_empty()


def test_weekly_and_monthly_bars_hold_their_days(world: RecordedWorld) -> None:
    start, end = new_york("2015-11-30"), new_york("2016-01-01")
    daily = world.bars("GOOG", start, end, "1d")
    weekly = world.bars("GOOG", start, end, "1w")
    monthly = world.bars("GOOG", start, end, "1mo")
    assert weekly.height == 5
    assert weekly["volume"].sum() == daily["volume"].sum()
    assert weekly["high"].max() == daily["high"].max()
    assert monthly["ts"].to_list() == [new_york("2015-12-01T09:30")]
    assert monthly["volume"].sum() == daily["volume"][1:].sum()


@pytest.mark.parametrize("clock", ["09:31", "10:00", "11:37", "12:59", "13:01"])
def test_the_chain_is_the_row_of_the_last_minute_or_the_newest_before(
    world: RecordedWorld, goog_quotes: pl.DataFrame, clock: str
) -> None:
    now = new_york(f"2015-12-24T{clock}")
    expected = (
        goog_quotes.filter(pl.col("ts") <= now - MINUTE)
        .group_by("symbol")
        .agg(pl.all().sort_by("ts").last())
        .select(
            pl.col("symbol").alias("occ_symbol"),
            pl.col("bid_close").alias("bid"),
            pl.col("ask_close").alias("ask"),
            "bid_size",
            "ask_size",
            (pl.col("ts") + MINUTE).alias("quote_at"),
        )
        .sort("occ_symbol")
    )
    chain = world.chain("GOOG", now, EVER, NEVER)
    shown = chain.filter(pl.col("quote_at").is_not_null()).select(expected.columns)
    assert_frame_equal(shown.sort("occ_symbol"), expected, check_exact=True)
    assert chain.schema == pl.Schema(CHAIN_SCHEMA)
    assert chain.height == goog_quotes["symbol"].n_unique()


def test_a_missing_side_stays_missing(world: RecordedWorld) -> None:
    chain = world.chain("GOOG", new_york("2015-12-24T11:00"), EVER, NEVER)
    no_bid = chain.filter(pl.col("bid").is_null() & pl.col("quote_at").is_not_null())
    assert no_bid.height > 500
    assert no_bid["iv"].null_count() == no_bid.height
    assert chain.filter(pl.col("ask").is_null())["mark"].null_count() > 0


def test_volume_and_last_trade_grow_with_the_trades_file(world: RecordedWorld) -> None:
    trades = pl.read_parquet(SHIPPED / "goog_options_trades_2015-12-24.parquet")
    for clock in ("10:00", "12:00", "13:00"):
        now = new_york(f"2015-12-24T{clock}")
        known = trades.filter(pl.col("ts") + MINUTE <= now)
        chain = world.chain("GOOG", now, EVER, NEVER)
        assert chain["volume"].sum() == known["volume"].sum()
        newest = known.filter(pl.col("symbol") == known["symbol"][-1])
        row = chain.row(by_predicate=pl.col("occ_symbol") == known["symbol"][-1], named=True)
        assert row["last"] == newest["close"][-1]
        assert row["high"] == newest["high"].max()
        assert row["trade_at"] == newest["ts"][-1] + MINUTE


def test_open_interest_is_that_of_its_file(world: RecordedWorld) -> None:
    file = pl.read_parquet(SHIPPED / "goog_options_open_interest_2015-12-24.parquet")
    chain = world.chain("GOOG", new_york("2015-12-24T10:00"), EVER, NEVER)
    assert chain["open_interest"].sum() == file["open_interest"].sum()
    assert chain["open_interest"].null_count() == chain.height - file.height


def test_figures_are_plausible_near_the_money(world: RecordedWorld) -> None:
    chain = world.chain("GOOG", new_york("2015-12-24T11:00"), date(2016, 1, 15), date(2016, 1, 15))
    near = chain.filter(pl.col("strike").is_between(730, 770) & pl.col("iv").is_not_null())
    calls, puts = near.filter(pl.col("right") == "C"), near.filter(pl.col("right") == "P")
    assert near["iv"].is_between(0.12, 0.30).all()
    assert calls["delta"].is_between(0.1, 0.9).all()
    assert puts["delta"].is_between(-0.9, -0.1).all()
    assert (near["theta"] < 0).all()
    assert (near["vega"] > 0).all()


def test_expired_contracts_are_gone_and_the_filter_works(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T10:00")
    week = world.chain("GOOG", now, date(2015, 12, 24), date(2015, 12, 31))
    assert week["expiration"].unique().sort().to_list() == [date(2015, 12, 24), date(2015, 12, 31)]
    monday = world.chain("GOOG", new_york("2015-12-28T08:00"), EVER, NEVER)
    assert monday["expiration"].min() == date(2015, 12, 31)
    assert world.chain("GOOG", new_york("2016-01-04T10:00"), EVER, NEVER).is_empty()


def test_before_the_first_minute_contracts_have_no_quote(world: RecordedWorld) -> None:
    chain = world.chain("GOOG", new_york("2015-12-24T09:30"), EVER, NEVER)
    assert chain.height == 2192
    assert chain["bid"].null_count() == chain.height
    assert chain["volume"].sum() == 0


def test_the_quote_shows_the_last_complete_minute(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T11:00")
    row = pl.read_parquet(SHIPPED / "goog_equity_quotes_2015-12-24.parquet").filter(
        pl.col("ts") <= now - MINUTE
    )[-1]
    quote = world.quote("GOOG", now)
    assert quote is not None
    assert (quote.bid, quote.ask) == (row["bid_close"][0], row["ask_close"][0])
    assert quote.quote_at == row["ts"][0] + MINUTE
    assert quote.close == 750.31
    assert quote.open == 749.55
    assert quote.trade_at <= now


def test_the_quote_of_a_session_with_daily_bars_alone(world: RecordedWorld) -> None:
    quote = world.quote("GOOG", new_york("2016-01-04T20:00"))
    assert quote is not None
    assert (quote.bid, quote.ask) == (None, None)
    assert quote.last == 741.84
    assert quote.close == 758.88


def test_an_index_without_a_file_takes_its_level_from_parity(world: RecordedWorld) -> None:
    quote = world.quote("SPX", new_york("2021-01-06T10:00"))
    assert quote is not None
    assert 3700 < quote.last < 3800
    assert world.quote("SPX", new_york("2021-01-05T10:00")) is None  # no file of that session
    assert world.quote("SPX", new_york("2019-01-07T10:00")) is None


def test_names_and_dividends(world: RecordedWorld) -> None:
    spy = world.instrument("SPY")
    assert spy is not None
    paid = spy.last_dividend(date(2020, 7, 1))
    assert paid is not None
    assert paid.ex_date == date(2020, 6, 19)
    assert paid.amount == pytest.approx(1.366, abs=0.001)
    assert world.instrument("MSFT") is None
    assert world.tickers() == ["GOOG", "SPX", "SPY", "TWX"]


def test_times_may_come_in_any_zone(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T11:00")
    local = now.astimezone(NEW_YORK)
    assert world.quote("GOOG", local) == world.quote("GOOG", now)
    assert world.chain("GOOG", local, EVER, NEVER).equals(world.chain("GOOG", now, EVER, NEVER))
    day = timedelta(days=1)
    assert world.bars("GOOG", local - day, local, "1m").equals(
        world.bars("GOOG", now - day, now, "1m")
    )


def test_unknown_tickers_are_empty(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T11:00")
    assert world.quote("MSFT", now) is None
    assert world.chain("MSFT", now, EVER, NEVER).schema == pl.Schema(CHAIN_SCHEMA)
    assert world.bars("MSFT", now - MINUTE, now, "1m").schema == pl.Schema(BAR_SCHEMA)


def test_the_default_start_is_the_session_with_the_chain(world: RecordedWorld) -> None:
    assert world.default_start(datetime(2026, 1, 1, tzinfo=UTC)) == new_york("2015-12-24T09:30")


def test_the_rate_is_half_a_point_below_the_discount_rate(world: RecordedWorld) -> None:
    assert world.interest_rate(new_york("2015-12-24T11:00")) == pytest.approx(0.005, abs=1e-4)
    assert world.interest_rate(new_york("1999-01-04T11:00")) == 0.0


def test_a_chain_is_a_slice(world: RecordedWorld) -> None:
    now = new_york("2015-12-24T11:00")
    world.chain("GOOG", now, EVER, NEVER)
    seconds = []
    for minute in range(9):
        began = time.process_time()
        world.chain("GOOG", now + minute * MINUTE, EVER, NEVER)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.02


def test_another_folder(tmp_path: Path) -> None:
    for name in ("twx_equity_trades_2014-06-05", "twx_options_quotes_2014-06-05"):
        shutil.copy(SHIPPED / f"{name}.parquet", tmp_path)
    world = RecordedWorld(tmp_path)
    assert world.tickers() == ["TWX"]
    assert world.chain("TWX", new_york("2014-06-05T12:00"), EVER, NEVER).height > 100
    assert world.default_start(datetime.now(UTC)) == new_york("2014-06-05T09:30")


def test_a_folder_of_daily_bars_alone(tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "spy_equity_daily.parquet", tmp_path)
    world = RecordedWorld(tmp_path)
    assert world.default_start(datetime.now(UTC)) == new_york("2021-03-31T09:30")
    assert world.interest_rate(datetime.now(UTC)) == 0.0


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        RecordedWorld(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no market data"):
        RecordedWorld(tmp_path)
    (tmp_path / "abc_equity_trades_2020-01-02.parquet").write_bytes(b"not parquet")
    broken = RecordedWorld(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        broken.quote("ABC", new_york("2020-01-02T12:00"))
    pl.DataFrame({"ts": [1]}).write_parquet(tmp_path / "abc_equity_trades_2020-01-02.parquet")
    with pytest.raises(DataError, match="lacks the columns close"):
        RecordedWorld(tmp_path).quote("ABC", new_york("2020-01-02T12:00"))


def test_bad_names_and_tables(tmp_path: Path) -> None:
    odd = tmp_path / "abc_equity_trades_2020-02-30.parquet"
    odd.write_bytes(b"")
    with pytest.raises(ConfigError, match="a day that there is not"):
        RecordedWorld(tmp_path)
    odd.rename(tmp_path / "abc_equity_daily.parquet")
    (tmp_path / "us_policy_rate.csv").write_text("DATE,X\n2003-01-09,much\n")
    (tmp_path / "abc_factor_file.csv").write_text("20031,1,1,1\n")
    broken = RecordedWorld(tmp_path)
    with pytest.raises(DataError, match=r"us_policy_rate\.csv cannot be read"):
        broken.interest_rate(datetime.now(UTC))
    with pytest.raises(DataError, match=r"abc_factor_file\.csv cannot be read"):
        broken.instrument("ABC")
