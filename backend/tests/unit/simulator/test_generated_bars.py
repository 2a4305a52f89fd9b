"""Bars and quotes of the generated world: sane, consistent, and like those of real markets."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.paths import daily_path
from black_scholes.synthetic.profiles import ANCHOR, profile_of
from simulator.generated import GeneratedWorld
from simulator.world import BAR_SCHEMA
from utils.market_calendar import NEW_YORK, session, sessions

FRIDAY = date(2026, 11, 20)
TICKERS = ("QQQ", "SPX", "AAPL", "BRK.B", "ABC")
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def world() -> GeneratedWorld:
    return GeneratedWorld(7)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def whole_day(day: date) -> tuple[datetime, datetime]:
    start = new_york(day.isoformat())
    return start, start + timedelta(days=1)


@pytest.mark.parametrize("ticker", TICKERS)
def test_minutes_are_sane(world: GeneratedWorld, ticker: str) -> None:
    bars = world.bars(ticker, *whole_day(FRIDAY), "1m")
    prices = bars.select("open", "high", "low", "close").to_numpy()
    hours = session(FRIDAY)
    regular = bars.filter(pl.col("ts").is_between(hours.open, hours.close, closed="left"))
    assert bars.schema == pl.Schema(BAR_SCHEMA)
    assert bars["ts"].is_sorted()
    assert bars["ts"].is_unique().all()
    assert regular.height == 390
    assert (bars["high"] >= bars.select(pl.max_horizontal("open", "close")).to_series()).all()
    assert (bars["low"] <= bars.select(pl.min_horizontal("open", "close")).to_series()).all()
    assert np.array_equal(prices, np.round(prices, 2))
    assert prices.min() > 0
    assert (bars["volume"] > 0).all() == (ticker != "SPX")


def test_thin_tickers_lack_minutes_before_and_after_the_session(world: GeneratedWorld) -> None:
    thick = world.bars("QQQ", *whole_day(FRIDAY), "1m").height
    thin = world.bars("BRK.B", *whole_day(FRIDAY), "1m").height
    index = world.bars("SPX", *whole_day(FRIDAY), "1m").height
    assert 700 < thick <= 780
    assert 390 < thin < 700
    assert index == 390


@pytest.mark.parametrize("ticker", TICKERS)
def test_daily_bars_are_their_regular_minutes(world: GeneratedWorld, ticker: str) -> None:
    start, end = new_york("2026-11-16"), new_york("2026-11-28")
    hours = sessions(date(2026, 11, 16), date(2026, 11, 27))
    minutes = world.bars(ticker, start, end, "1m")
    made = [
        minutes.filter(pl.col("ts").is_between(each.open, each.close, closed="left")).select(
            pl.col("ts").first(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        for each in hours
    ]
    daily = world.bars(ticker, start, end, "1d")
    assert_frame_equal(daily, pl.concat(made), check_exact=True)
    assert daily.height == 9  # Thanksgiving is none, the day after closes early


def test_weeks_and_months_are_their_days(world: GeneratedWorld) -> None:
    start, end = new_york("2026-09-01"), new_york("2026-11-01")
    daily = world.bars("QQQ", start, end, "1d")
    monthly = world.bars("QQQ", start, end, "1mo")
    weekly = world.bars("QQQ", new_york("2026-09-08"), end, "1w")
    assert monthly.height == 2
    assert monthly["volume"].sum() == daily["volume"].sum()
    assert monthly["high"].max() == daily["high"].max()
    assert weekly["ts"].dt.convert_time_zone("America/New_York").dt.weekday().max() == 2
    last_week = daily.filter(pl.col("ts") >= weekly["ts"][-1])
    assert weekly["close"][-1] == last_week["close"][-1]
    assert weekly["low"][-1] == last_week["low"].min()


def test_an_early_close_has_210_minutes_and_a_short_evening(world: GeneratedWorld) -> None:
    bars = world.bars("QQQ", *whole_day(date(2015, 12, 24)), "1m")
    hours = session(date(2015, 12, 24))
    regular = bars.filter(pl.col("ts").is_between(hours.open, hours.close, closed="left"))
    assert regular.height == 210
    assert bars["ts"].max() < new_york("2015-12-24T17:00")


@pytest.mark.parametrize("day", [date(2026, 11, 21), date(2026, 11, 26), date(2026, 12, 25)])
def test_closed_days_have_no_bars(world: GeneratedWorld, day: date) -> None:
    for interval in ("1m", "1d"):
        assert world.bars("QQQ", *whole_day(day), interval).is_empty()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 14 * 3600), st.sampled_from(("QQQ", "ABC", "SPX")), st.sampled_from((7, 8)))
def test_what_is_known_grows_and_never_changes(second: int, ticker: str, seed: int) -> None:
    world = GeneratedWorld(seed)
    start, end = whole_day(FRIDAY)
    now = new_york("2026-11-20T06:30") + timedelta(seconds=second)
    whole, known = world.bars(ticker, start, end, "1m"), world.bars(ticker, start, now, "1m")
    over = known.filter(pl.col("ts") + MINUTE <= now)
    assert_frame_equal(over, whole[: over.height], check_exact=True)
    assert known.height - over.height in {0, 1}
    if known.height > over.height:
        forming, final = known.row(-1, named=True), whole.row(over.height, named=True)
        assert forming["ts"] == final["ts"]
        assert forming["open"] == final["open"]
        assert final["low"] <= forming["low"] <= forming["close"] <= forming["high"]
        assert forming["high"] <= final["high"]
        assert forming["volume"] <= final["volume"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 14 * 3600), st.sampled_from(TICKERS))
@example(second=8700, ticker="QQQ")  # a minute has just ended
@example(second=1801, ticker="BRK.B")  # the pre-market is open and nothing has traded yet
def test_the_quote_agrees_with_the_bars(second: int, ticker: str) -> None:
    world, now = GeneratedWorld(7), new_york("2026-11-20T06:30") + timedelta(seconds=second)
    quote = world.quote(ticker, now)
    assert quote is not None
    assert quote.quote_at <= now
    assert quote.trade_at <= now
    known = world.bars(ticker, now - timedelta(days=3), now, "1m")
    assert quote.last == known["close"][-1]
    daily = world.bars(ticker, now - timedelta(days=3), now, "1d")
    hours = session(FRIDAY)
    if now > hours.open:
        (bar,) = daily.filter(pl.col("ts") == hours.open).iter_rows(named=True)
        assert (quote.open, quote.high, quote.low) == (bar["open"], bar["high"], bar["low"])
        assert quote.regular_last == bar["close"]
        assert quote.volume >= bar["volume"]
        assert quote.close == daily["close"][-2]
    if quote.bid is not None and quote.ask is not None:
        assert 0 < quote.bid < quote.ask
        assert quote.bid <= quote.last <= quote.ask
        assert quote.mark == pytest.approx((quote.bid + quote.ask) / 2)
    assert quote.low_52_week <= quote.last * 1.05
    assert quote.high_52_week >= quote.last * 0.95


def test_levels_and_turnover_are_those_of_the_profile(world: GeneratedWorld) -> None:
    bars = world.bars("QQQ", new_york("2025-11-21"), new_york("2025-11-22"), "1d")
    year = world.bars("QQQ", new_york("2025-01-01"), new_york("2026-01-01"), "1d")
    returns = np.diff(np.log(year["close"].to_numpy()))
    assert bars["close"].to_list() == [600.0]
    assert 20e6 < year["volume"].median() < 120e6
    assert 0.08 < returns.std() * math.sqrt(252) < 0.45


def test_an_index_moves_as_its_fund(world: GeneratedWorld) -> None:
    start, end = new_york("2026-10-01"), new_york("2026-11-01")
    index = world.bars("SPX", start, end, "1d")["close"].to_numpy()
    fund = world.bars("SPY", start, end, "1d")["close"].to_numpy()
    other = world.bars("QQQ", start, end, "1d")["close"].to_numpy()
    moves = [np.diff(np.log(each)) for each in (index, fund, other)]
    assert np.allclose(moves[0], moves[1], atol=3e-5)
    assert np.corrcoef(moves[1], moves[2])[0, 1] > 0.8


def test_sessions_are_busy_and_wild_at_both_ends(world: GeneratedWorld) -> None:
    days = [each for each in sessions(date(2026, 6, 1), date(2026, 9, 1)) if not each.early_close]
    bars = [world.bars("QQQ", each.open, each.close, "1m") for each in days]
    volume = np.mean([each["volume"].to_numpy() / each["volume"].sum() for each in bars], axis=0)
    move = np.mean(
        [np.abs(np.log(each["close"] / each["open"]).to_numpy()) for each in bars], axis=0
    )
    middle = slice(150, 270)
    assert volume[:30].sum() / 30 > 1.8 * volume[middle].mean()
    assert volume[-30:].sum() / 30 > 1.3 * volume[middle].mean()
    assert volume[0] > 5 * volume[middle].mean()
    assert move[:15].mean() > 1.6 * move[middle].mean()


def test_minute_returns_have_the_statistics_of_real_ones(world: GeneratedWorld) -> None:
    """Bounds around five real sessions each of QQQ, SPY and AAPL."""
    figures = []
    for each in sessions(date(2026, 6, 1), date(2026, 8, 14)):
        bars = world.bars("QQQ", each.open, each.close, "1m")
        returns = np.diff(np.log(bars["close"].to_numpy()))
        reach = ((bars["high"] - bars["low"]) / bars["close"]).mean() / returns.std()
        clustering = np.corrcoef(np.abs(returns[1:]), np.abs(returns[:-1]))[0, 1]
        memory = np.corrcoef(returns[1:], returns[:-1])[0, 1]
        tails = ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2
        figures.append((reach, clustering, memory, tails))
    reach, clustering, memory, tails = np.mean(figures, axis=0)
    assert 0.9 < reach < 1.4
    assert 0.08 < clustering < 0.4
    assert abs(memory) < 0.1
    assert 4 < tails < 15


def test_a_gap_lies_between_close_and_open(world: GeneratedWorld) -> None:
    year = world.bars("QQQ", new_york("2025-06-01"), new_york("2026-06-01"), "1d")
    close, opened = year["close"].to_numpy(), year["open"].to_numpy()
    gaps, moves = np.log(opened[1:] / close[:-1]), np.log(close / opened)
    assert 0.1 < gaps.var() / (gaps.var() + moves.var()) < 0.4


def test_volatility_is_clustered_and_rises_when_prices_fall() -> None:
    path = daily_path(7, "QQQ")
    returns, change = np.diff(path.close), np.diff(np.log(path.vol))
    assert np.corrcoef(np.abs(returns[1:]), np.abs(returns[:-1]))[0, 1] > 0.08
    # The volatility of a session's beginning answers to the session before.
    assert np.corrcoef(returns[:-1], change[1:])[0, 1] < -0.4
    assert 0.7 < returns.std() * math.sqrt(252) / profile_of("QQQ").vol < 1.4


def test_paths_meet_their_level_on_the_anchor_day() -> None:
    for seed in (1, 2):
        for ticker in TICKERS:
            close = daily_path(seed, ticker).close[session_numbers()[ANCHOR]]
            assert math.exp(close) == pytest.approx(profile_of(ticker).level)


def test_unknown_tickers(world: GeneratedWorld) -> None:
    now = new_york("2026-11-20T11:00")
    for ticker in ("ZZZZZ", "NOSUCH", "XXXXX", "TOOLONG", "qqq", "Q2", "", "VIX", "$SPX"):
        assert world.instrument(ticker) is None
        assert world.quote(ticker, now) is None
        assert world.bars(ticker, now - MINUTE, now, "1m").schema == pl.Schema(BAR_SCHEMA)
        assert world.chain(ticker, now, FRIDAY, FRIDAY).is_empty()


def test_instruments(world: GeneratedWorld) -> None:
    fund, company, made_up = (world.instrument(each) for each in ("QQQ", "AAPL", "ABC"))
    index = world.instrument("SPX")
    assert fund is not None
    assert company is not None
    assert made_up is not None
    assert index is not None
    assert (fund.asset_type, company.asset_type, index.asset_type) == ("ETF", "EQUITY", "INDEX")
    due = fund.next_dividend(FRIDAY)
    assert due is not None
    assert due.ex_date == date(2026, 12, 21)
    assert 0.5 < due.amount < 1.2
    assert len(made_up.cusip) == 9
    assert index.cusip == ""
    assert list(world.tickers()) == sorted(world.tickers())
    assert all(world.instrument(each) is not None for each in world.tickers())


def test_the_interest_rate_is_near_4_percent(world: GeneratedWorld) -> None:
    rates = [world.interest_rate(each.open) for each in all_sessions()[::50]]
    assert 0.035 < min(rates) < max(rates) < 0.045


def test_the_default_start_is_now_or_the_last_session(world: GeneratedWorld) -> None:
    saturday, open_hours = new_york("2026-11-21T03:00"), new_york("2026-11-20T10:00")
    assert world.default_start(saturday) == new_york("2026-11-20T09:30")
    assert world.default_start(open_hours) == open_hours


def test_the_ends_of_the_calendar(world: GeneratedWorld) -> None:
    assert world.quote("QQQ", new_york("1998-01-02T12:00")) is None
    first = world.bars("QQQ", new_york("1990-01-01"), new_york("1998-01-07"), "1d")
    assert first.height == 3
    assert world.bars("QQQ", new_york("1990-01-01"), new_york("1995-01-01"), "1m").is_empty()
    assert world.quote("QQQ", new_york("2045-12-29T12:00")) is not None
