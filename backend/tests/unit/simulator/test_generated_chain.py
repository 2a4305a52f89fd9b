"""Option chains of the generated world: no arbitrage, real ladders and ticks, plausible habits."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from black_scholes.synthetic.chains import option_session
from black_scholes.synthetic.checks import arbitrage
from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.ladders import listed
from black_scholes.synthetic.market import market_of, since_1970
from black_scholes.synthetic.moving_surface import surface_of
from black_scholes.synthetic.profiles import profile_of
from black_scholes.synthetic.quotes import ticks
from black_scholes.synthetic.schema import CHAIN_SCHEMA
from black_scholes.synthetic.worth import STATE_ROWS, Rows, Worth
from simulator.generated import GeneratedWorld
from utils.market_calendar import NEW_YORK, dte, session, sessions

if TYPE_CHECKING:
    from black_scholes.synthetic.contracts import Contracts

SEED = 7
FRIDAY = date(2026, 11, 20)
FAR = date(2029, 12, 31)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


NOON = new_york("2026-11-20T12:00")


@pytest.fixture(scope="module")
def world() -> GeneratedWorld:
    return GeneratedWorld(SEED)


@pytest.fixture(scope="module")
def chain(world: GeneratedWorld) -> pl.DataFrame:
    return world.chain("QQQ", NOON, FRIDAY, FRIDAY + timedelta(days=45))


class Theory(NamedTuple):
    """All contracts of a session and what they are worth at an instant of it."""

    those: Contracts
    rows: Rows
    worth: Worth


def theory(ticker: str, now: datetime) -> Theory:
    session_of = option_session(
        market_of(SEED, ticker), session_numbers()[now.astimezone(NEW_YORK).date()]
    )
    assert session_of is not None
    worth, _ = session_of.market_at(since_1970(now))
    return Theory(session_of.contracts, session_of.rows, worth)


INSTANTS = st.builds(
    lambda day, minute: session(day).open + timedelta(minutes=minute),
    st.sampled_from([each.day for each in sessions(date(2016, 1, 4), date(2026, 11, 20))][::17]),
    st.integers(1, 209),
)


@settings(max_examples=25, deadline=None)
@given(INSTANTS, st.sampled_from(("QQQ", "SPX", "TSLA", "ABC")))
def test_theoretical_prices_have_no_arbitrage(now: datetime, ticker: str) -> None:
    found = theory(ticker, now)
    for rule, broken in arbitrage(found.rows, found.worth).items():
        assert broken.count == 0, (rule, broken)


@settings(max_examples=25, deadline=None)
@given(INSTANTS, st.sampled_from(("QQQ", "SPX", "TSLA", "ABC")))
def test_total_variance_rises_with_the_expiration(now: datetime, ticker: str) -> None:
    found = theory(ticker, now)
    states = dict(zip(STATE_ROWS, found.worth.states, strict=True))
    log_moneyness = np.linspace(-1.5, 1.5, 61)
    surface = surface_of(ticker)
    order = np.argsort([each.settles - 0.78 * each.opening for each in found.those.expirations])
    slices = []
    for group in order:
        row = found.rows.first[group]
        theta = states["theta"][group]
        slices.append(surface.total_variance(np.array(theta), log_moneyness))
        # The quoted volatility is the surface's.
        k = np.log(found.those.strike[row] / states["forward"][group])
        own = surface.total_variance(np.array(theta), k)
        variance = found.worth.vol[row] ** 2 * states["years"][group]
        assert variance == pytest.approx(float(own))
    assert (np.diff(np.stack(slices), axis=0) >= -1e-12).all()


@pytest.mark.parametrize("ticker", ["QQQ", "AAPL"])
def test_the_density_is_positive_on_a_dense_grid(ticker: str) -> None:
    """Gatheral and Jacquier's g(k) >= 0, from minutes to years."""
    surface, k = surface_of(ticker), np.linspace(-3, 3, 20_001)
    for theta in np.geomspace(1e-9, 1.0, 40):
        x = k * min(1.0, 20 * np.sqrt(theta))
        w = surface.total_variance(np.array(theta), x)
        first = np.gradient(w, x, edge_order=2)
        second = np.gradient(first, x, edge_order=2)
        g = (1 - x * first / (2 * w)) ** 2 - first**2 / 4 * (1 / w + 0.25) + second / 2
        assert g[5:-5].min() > -1e-4
        assert np.abs(first).max() < 2  # Lee's bound on the wings


def test_put_call_parity_of_european_options_is_exact() -> None:
    found = theory("SPX", NOON)
    _, forward, discount = found.worth.states[:3, found.those.group]
    gap = found.worth.price[::2] - found.worth.price[1::2]
    value = (discount * (forward - found.those.strike))[::2]
    assert np.abs(gap - value).max() < 1e-8


def test_quoted_parity_holds_within_the_spreads(chain: pl.DataFrame, world: GeneratedWorld) -> None:
    """American options: S - PV(D) - K <= C - P <= S - K e^(-rT)."""
    quote = world.quote("QQQ", NOON)
    assert quote is not None
    keys = ["expiration", "strike"]
    calls = chain.filter(pl.col("right") == "C").select(*keys, "bid", "ask")
    puts = chain.filter(pl.col("right") == "P").select(*keys, put_bid="bid", put_ask="ask")
    near = calls.join(puts, on=keys).filter((pl.col("strike") / quote.last - 1).abs() < 0.02)
    years = np.array([(each - FRIDAY).days + 4 / 24 for each in near["expiration"]]) / 365
    rate, dividends = world.interest_rate(NOON), profile_of("QQQ").dividend_yield
    most = quote.last - near["strike"] * np.exp(-rate * years)
    least = quote.last * (1 - dividends * years) - near["strike"]
    assert (near["bid"] - near["put_ask"] <= most + 0.02).all()
    assert (near["ask"] - near["put_bid"] >= least - dividends * quote.last / 4 - 0.02).all()


@pytest.mark.parametrize("ticker", ["QQQ", "SPX", "AAPL", "ABC"])
def test_every_price_is_on_the_tick_grid(world: GeneratedWorld, ticker: str) -> None:
    frame = world.chain(ticker, NOON, FRIDAY, FAR)
    small, large = ticks(ticker)
    for side in ("bid", "ask", "last", "high", "low", "open"):
        prices = frame[side].drop_nulls().to_numpy()
        tick = np.where(prices < 3, small, large)
        assert np.abs(prices / tick - np.round(prices / tick)).max() < 1e-6, side
        assert prices.min() >= small


def test_ticks() -> None:
    assert ticks("QQQ") == (0.01, 0.01)
    assert ticks("AAPL") == (0.01, 0.05)
    assert ticks("SPX") == ticks("ABC") == (0.05, 0.10)


@settings(max_examples=15, deadline=None)
@given(INSTANTS, st.sampled_from(("QQQ", "SPX", "AAPL", "ABC")))
def test_rows_are_sane(now: datetime, ticker: str) -> None:
    world = GeneratedWorld(SEED)
    day = now.astimezone(NEW_YORK).date()
    frame = world.chain(ticker, now, day, day + timedelta(days=60))
    bid, ask, volume = frame["bid"], frame["ask"], frame["volume"]
    assert frame.schema == pl.Schema(CHAIN_SCHEMA)
    assert frame["occ_symbol"].is_unique().all()
    assert frame["occ_symbol"].str.len_bytes().eq(21).all()
    assert frame.equals(frame.sort("expiration", "root", "strike", "right"))
    assert (bid.drop_nulls() > 0).all()
    assert ask.null_count() == 0
    assert (bid.fill_null(0.0) < ask).all()
    assert (frame["bid_size"].eq(0) == bid.is_null()).all()
    assert (frame["ask_size"] > 0).all()
    assert frame["mark"].equals((bid.fill_null(0.0) + ask) / 2)
    assert (volume >= 0).all()
    traded = frame.filter(pl.col("volume") > 0)
    assert traded["high"].null_count() == 0
    assert (traded["low"] <= traded["last"]).all()
    assert (traded["last"] <= traded["high"]).all()
    assert (traded["last_size"] <= traded["volume"]).all()
    assert (frame["trade_at"].drop_nulls() <= now).all()
    assert (frame["quote_at"] <= now).all()
    assert (traded["trade_at"] > session(day).open).all()
    assert frame.filter(pl.col("volume") == 0)["high"].null_count() == frame.height - traded.height
    assert frame["delta"].is_between(-1, 1).all()
    assert (frame["gamma"] >= 0).all()
    assert (frame["vega"] >= 0).all()


def test_a_chain_of_45_days_is_large_and_quick(world: GeneratedWorld) -> None:
    last = FRIDAY + timedelta(days=45)
    assert 4_000 < world.chain("QQQ", NOON, FRIDAY, last).height < 6_000
    seconds = []
    for minute in range(1, 4):
        began = time.process_time()
        world.chain("QQQ", NOON + timedelta(minutes=minute), FRIDAY, last)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.5


def test_expirations_are_those_of_the_calendar(chain: pl.DataFrame) -> None:
    kinds = dict(chain.select("expiration", "expiration_type").unique().iter_rows())
    assert kinds[FRIDAY] == "S"
    assert kinds[date(2026, 11, 23)] == "W"
    assert date(2026, 11, 26) not in kinds  # Thanksgiving
    assert kinds[date(2026, 12, 18)] == "S"
    assert kinds[date(2026, 12, 31)] == "Q"
    assert chain["settlement"].unique().to_list() == ["PM"]
    assert chain["exercise_style"].unique().to_list() == ["A"]


def test_index_roots(world: GeneratedWorld) -> None:
    frame = world.chain("SPX", NOON, date(2026, 12, 18), date(2026, 12, 18))
    roots = dict(frame.select("root", "settlement").unique().iter_rows())
    assert roots == {"SPX": "AM", "SPXW": "PM"}
    assert frame["exercise_style"].unique().to_list() == ["E"]
    # The opening comes first: less time, less value at the same strike.
    both = frame.filter(pl.col("root") == "SPX").join(
        frame.filter(pl.col("root") == "SPXW"), on=["strike", "right"]
    )
    near = both.filter(pl.col("delta").abs().is_between(0.2, 0.8))
    assert near.height > 20
    assert (near["mark"] < near["mark_right"]).mean() > 0.95


def test_strikes_never_vanish_while_they_are_listed() -> None:
    number = session_numbers()[FRIDAY]
    known: dict[tuple[str, date], set[float]] = {}
    for each in range(number - 60, number + 1):
        for found in listed(market_of(SEED, "QQQ"), each):
            key = (found.root, found.expiration.day)
            strikes = set(found.strikes.tolist())
            assert known.get(key, set()) <= strikes
            known[key] = strikes


def test_ladders_are_dollar_steps_near_the_money_and_wider_away(chain: pl.DataFrame) -> None:
    spot = chain.filter(pl.col("delta") > 0.5)["strike"].max()
    assert isinstance(spot, float)
    for day in (date(2026, 11, 23), date(2026, 12, 4), date(2026, 12, 18)):
        strikes = chain.filter(pl.col("expiration") == day)["strike"].unique().sort()
        near = strikes.filter((strikes - spot).abs() < 20)
        assert near.diff().drop_nulls().unique().to_list() == [1.0]
        assert strikes.diff().max() == 5.0
        assert strikes.min() < 0.85 * spot  # type: ignore[operator]


def test_the_smile_leans_and_is_steepest_on_the_last_day(chain: pl.DataFrame) -> None:
    def vol(day: date, delta: float) -> float:
        rows = chain.filter((pl.col("expiration") == day) & (pl.col("right") == "P"))
        return float(rows.sort((pl.col("delta") - delta).abs())["iv"][0])

    skews = []
    for day in (FRIDAY, date(2026, 11, 27), date(2026, 12, 18)):
        put, middle, call = vol(day, -0.1), vol(day, -0.5), vol(day, -0.9)
        assert put > call > 0.8 * middle
        skews.append(put - middle)
    assert skews[0] > skews[2]
    assert 0.08 < vol(date(2026, 12, 18), -0.5) < 0.5


def test_spreads_are_wider_in_the_money_and_at_the_open(world: GeneratedWorld) -> None:
    day = date(2026, 12, 4)

    def spread(now: datetime, low: float, high: float) -> float:
        frame = world.chain("QQQ", now, day, day).filter(
            pl.col("delta").abs().is_between(low, high)
        )
        return float((frame["ask"] - frame["bid"].fill_null(0.0)).median())  # type: ignore[arg-type]

    noon, opening = NOON, new_york("2026-11-20T09:31")
    assert spread(noon, 0.0, 0.1) <= spread(noon, 0.3, 0.6) < spread(noon, 0.9, 1.0)
    assert spread(opening, 0.3, 0.6) > 1.5 * spread(noon, 0.3, 0.6)


def test_far_wings_have_no_bid(chain: pl.DataFrame) -> None:
    today = chain.filter(pl.col("expiration") == FRIDAY)
    later = chain.filter(pl.col("expiration") == date(2026, 12, 11))
    assert 0.2 < today["bid"].is_null().mean() < 0.65  # type: ignore[operator]
    assert later["bid"].is_null().mean() < 0.1  # type: ignore[operator]
    assert chain.filter(pl.col("bid").is_null())["ask"].median() < 0.05  # type: ignore[operator]


def test_volume_gathers_near_the_money_and_today(chain: pl.DataFrame) -> None:
    total = chain["volume"].sum()
    today = chain.filter(pl.col("expiration") == FRIDAY)
    near = today.filter(pl.col("delta").abs().is_between(0.1, 0.9))
    is_round = pl.col("strike") % 10 == 0
    assert 1e6 < total < 2e7
    assert today["volume"].sum() > 0.5 * total
    assert near["volume"].sum() > 0.5 * today["volume"].sum()
    sums = near.group_by(is_round).agg(pl.col("volume").mean()).sort("strike")["volume"]
    assert sums[1] > 1.2 * sums[0]


def test_volume_grows_and_open_interest_stays(world: GeneratedWorld) -> None:
    columns = ["occ_symbol", "volume", "open_interest", "open", "close", "trade_at"]
    last = FRIDAY + timedelta(days=14)
    before = world.chain("QQQ", new_york("2026-11-20T09:30"), FRIDAY, last).select(columns)
    assert before["volume"].sum() == 0
    for clock in ("09:31", "10:15", "12:00", "15:59", "16:15", "19:00"):
        frame = world.chain("QQQ", new_york(f"2026-11-20T{clock}"), FRIDAY, last).select(columns)
        assert (frame["volume"] >= before["volume"]).all()
        assert (frame["open_interest"] == before["open_interest"]).all()
        assert frame["close"].equals(before["close"])
        both = before["open"].is_not_null()
        assert frame["open"].filter(both).equals(before["open"].filter(both))
        before = frame


def test_open_interest_builds_up_and_standard_expirations_have_most(chain: pl.DataFrame) -> None:
    held = dict(chain.group_by("expiration").agg(pl.col("open_interest").sum()).iter_rows())
    assert held[FRIDAY] > 3 * held[date(2026, 11, 27)]
    assert held[date(2026, 11, 27)] > held[date(2026, 12, 11)]
    assert held[date(2026, 12, 18)] > 5 * held[date(2026, 12, 11)]


def test_the_previous_close_is_how_the_session_before_ended(world: GeneratedWorld) -> None:
    last = FRIDAY + timedelta(days=7)
    ended = world.chain("QQQ", new_york("2026-11-19T20:00"), FRIDAY, last)
    begun = world.chain("QQQ", new_york("2026-11-20T09:30"), FRIDAY, last)
    both = begun.join(ended, on="occ_symbol", suffix="_before")
    assert both.height > 1_000
    assert both["close"].equals(both["mark_before"].alias("close"))
    traded = both.filter(pl.col("volume_before") > 0)
    assert traded.height > 1_000
    assert traded["last"].equals(traded["last_before"].alias("last"))
    assert traded["trade_at"].equals(traded["trade_at_before"].alias("trade_at"))


def test_contracts_end_at_their_own_close(world: GeneratedWorld) -> None:
    """Expiring ones at 16:00, others of a late class at 16:15, then the chain stands still."""
    window = (FRIDAY, FRIDAY + timedelta(days=7))
    at_16_00 = world.chain("QQQ", new_york("2026-11-20T16:00"), *window)
    at_16_10 = world.chain("QQQ", new_york("2026-11-20T16:10"), *window)
    evening = world.chain("QQQ", new_york("2026-11-20T19:00"), *window)
    night = world.chain("QQQ", new_york("2026-11-20T23:00"), *window)
    expiring = pl.col("expiration") == FRIDAY
    assert at_16_00.filter(expiring).equals(at_16_10.filter(expiring))
    assert not at_16_00.filter(~expiring).equals(at_16_10.filter(~expiring))
    assert evening.equals(night)
    assert at_16_10.filter(expiring)["iv"].null_count() == at_16_10.filter(expiring).height
    saturday = world.chain("QQQ", new_york("2026-11-21T03:00"), *window)
    assert saturday.equals(evening.filter(~expiring))


def test_at_expiration_only_intrinsic_value_is_left(world: GeneratedWorld) -> None:
    frame = world.chain("QQQ", new_york("2026-11-20T16:00"), FRIDAY, FRIDAY)
    quote = world.quote("QQQ", new_york("2026-11-20T16:00"))
    assert quote is not None
    sign = pl.when(pl.col("right") == "C").then(1).otherwise(-1)
    value = (sign * (quote.last - pl.col("strike"))).clip(0)
    gaps = frame.select(low=value - pl.col("bid").fill_null(0.0), high=pl.col("ask") - value)
    assert (gaps["low"] > -0.02).all()
    assert (gaps["high"] > -0.02).all()


def test_an_early_close_ends_options_early(world: GeneratedWorld) -> None:
    window = (date(2015, 12, 24), date(2016, 1, 15))
    closed = world.chain("QQQ", new_york("2015-12-24T13:15"), *window)
    later = world.chain("QQQ", new_york("2015-12-24T15:00"), *window)
    assert closed.height > 100
    assert closed.equals(later)
    assert closed["quote_at"].max() == new_york("2015-12-24T13:15")


def test_same_strike_volatility_answers_to_the_price(world: GeneratedWorld) -> None:
    day = date(2026, 12, 31)
    levels, spots = [], []
    for each in sessions(date(2026, 9, 1), date(2026, 11, 20)):
        now = each.open + timedelta(minutes=180)
        frame = world.chain("QQQ", now, day, day).filter(pl.col("right") == "C")
        quote = world.quote("QQQ", now)
        assert quote is not None
        at_the_money = frame.sort((pl.col("strike") - quote.last).abs())["iv"][0]
        levels.append(np.log(at_the_money))
        spots.append(np.log(quote.last))
    assert np.corrcoef(np.diff(spots), np.diff(levels))[0, 1] < -0.4


def test_indices_without_options(world: GeneratedWorld) -> None:
    assert world.chain("DJI", NOON, FRIDAY, FAR).is_empty()
    listing = world.instrument("DJI")
    assert listing is not None
    assert not listing.optionable


def test_the_ends_of_the_calendar(world: GeneratedWorld) -> None:
    for hours in (all_sessions()[1], all_sessions()[500], all_sessions()[-200]):
        now = hours.open + timedelta(minutes=30)
        for ticker in ("QQQ", "SPX"):
            frame = world.chain(ticker, now, date(1998, 1, 1), date(2100, 1, 1))
            assert frame.height > 0
            assert frame["occ_symbol"].null_count() == 0
            assert min(dte(now, each) for each in frame["expiration"].unique()) >= 0
    assert world.chain("QQQ", all_sessions()[0].open, FRIDAY, FAR).is_empty()
