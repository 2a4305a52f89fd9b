"""The generator of option markets: no arbitrage, the right exercise, one answer in any order."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from black_scholes import american, calculator
from black_scholes.synthetic import market as markets
from black_scholes.synthetic.chains import OptionSession, option_session
from black_scholes.synthetic.checks import arbitrage
from black_scholes.synthetic.clock import all_sessions, session_numbers, variance_clock
from black_scholes.synthetic.contracts import contracts
from black_scholes.synthetic.ladders import listed
from black_scholes.synthetic.market import market_of
from black_scholes.synthetic.names import is_known
from black_scholes.synthetic.paths import daily_path
from black_scholes.synthetic.profiles import dividends_of
from black_scholes.synthetic.worth import STATE_ROWS, Worth
from black_scholes.synthetic_generator import (
    Part,
    Request,
    generate,
    session_parts,
    synthetic_market,
)
from models.errors import BadSymbol, DataError
from models.tables import TABLES, frame_schema

DAY = date(2026, 11, 20)
SESSIONS = 250 if os.environ.get("PROVE") else 4
MOMENTS = (0.0, 1.0, 30.0, 150.0, 209.0, 380.0, 389.9, 390.0, 400.0)
CHILD = """
import sys
sys.path.insert(0, {folder!r})
from test_synthetic_generator import digest_of
print(digest_of({number}))
"""
SMALL = Request(date(2026, 11, 18), DAY, 0, 10, 30)


def session_of(ticker: str = "QQQ", day: date = DAY, seed: int = 7) -> OptionSession:
    found = option_session(market_of(seed, ticker), session_numbers()[day])
    assert found is not None
    return found


def state(worth: Worth, name: str) -> np.ndarray:
    return np.asarray(worth.states[STATE_ROWS.index(name)])


def digest(parts: list[Part]) -> str:
    """Return a digest of every byte of the rows."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part.table.encode() + str(part.session).encode())
        floats = pl.selectors.float().reinterpret(signed=False)
        made.update(part.rows.with_columns(floats).write_csv().encode())
    return made.hexdigest()


def digest_of(number: int) -> str:
    return digest(list(session_parts(synthetic_market("QQQ", seed=3), SMALL, number)))


@pytest.mark.parametrize("ticker", ["QQQ", "SPX", "TWX"])
def test_no_arbitrage_before_rounding_and_a_tick_after(ticker: str) -> None:
    last = session_numbers()[DAY]
    step = max(250 // SESSIONS, 1) if ticker == "QQQ" else 60
    checked = 0
    for number in range(last - 249, last + 1, step):
        session = option_session(market_of(7, ticker), number)
        assert session is not None
        tick = float(session.market.spreads.cost[4])
        for minute in MOMENTS:
            worth, quotes = session.market_at(session.opens + minute)
            for rule, broken in arbitrage(session.rows, worth).items():
                assert broken.count == 0, (all_sessions()[number].day, minute, rule, broken)
                checked += broken.points
            rounded = np.round(worth.price / tick) * tick
            allowed = arbitrage(session.rows, worth, rounded, tolerance=tick + 1e-6)
            allowed.pop("bounds")
            assert sum(each.count for each in allowed.values()) == 0
            assert (quotes.bid <= worth.price + 1e-9).all()
            assert (quotes.ask >= worth.price - 1e-9).all()
            assert (quotes.bid < quotes.ask).all()
    assert checked > 10_000


def test_european_worth_is_that_of_the_calculator() -> None:
    session = session_of("SPX")
    worth, _ = session.market_at(session.opens + 100)
    group = session.contracts.group
    spot, forward = state(worth, "spot")[group], state(worth, "forward")[group]
    years, discount = state(worth, "years")[group], state(worth, "discount")[group]
    rate = -np.log(discount) / years
    expected = calculator.price(
        spot,
        session.rows.strike,
        years,
        rate,
        worth.vol,
        rate - np.log(forward / spot) / years,
        is_call=session.rows.is_call,
    )
    # Opening-settled and other contracts alike; repairs of rounding aside they are one formula.
    assert np.abs(worth.price - expected).max() < 1e-7


def test_american_puts_are_worth_what_the_american_module_says() -> None:
    session = session_of()
    worth, _ = session.market_at(session.opens + 150)
    group, rows = session.contracts.group, session.rows
    k = np.log(rows.strike / state(worth, "forward")[group])
    width = np.sqrt(state(worth, "theta"))[group]
    some = np.flatnonzero(~rows.is_call & (np.abs(k) < 2.5 * width))[::7]
    group = group[some]
    years, spot = state(worth, "years")[group], state(worth, "spot")[group]
    rate = -np.log(state(worth, "discount")[group]) / years
    carry = rate - np.log(state(worth, "forward")[group] / spot) / years
    arguments = (spot, rows.strike[some], years, rate, worth.vol[some], carry)
    expected = american.price(*arguments, is_call=False)
    european = calculator.price(*arguments, is_call=False)
    gap = np.abs(worth.price[some] - expected)
    assert (expected - european).max() > 1.0  # the premium is not small
    assert np.median(gap) < 0.002
    assert np.quantile(gap, 0.9) < 0.03
    assert (gap / np.maximum(expected, 1.0)).max() < 0.005
    assert (worth.price[some] >= european - 1e-3).all()


def test_a_call_is_exercised_just_before_the_dividend_and_never_without() -> None:
    """Deep calls that expire soon after an ex-date are worth their exercise before it."""
    ex_date = next(each for each in dividends_of("SPY") if each.ex_date > date(2026, 12, 1)).ex_date
    number = session_numbers()[ex_date] - 1
    session = option_session(market_of(7, "SPY"), number)
    assert session is not None
    worth, _ = session.market_at(session.opens + 380)
    spot = state(worth, "spot")[0]
    deep = session.rows.is_call & (session.rows.strike < 0.85 * spot)
    expiration = session.contracts.frame["expiration"].to_numpy()
    soon = (
        deep
        & (expiration > np.datetime64(ex_date))
        & (expiration < np.datetime64(ex_date + timedelta(days=7)))
    )
    assert soon.sum() > 5
    assert np.abs(worth.price[soon] - (spot - session.rows.strike[soon])).max() < 0.05
    group = session.contracts.group[soon]
    held = (state(worth, "discount") * state(worth, "forward"))[group] - session.rows.strike[
        soon
    ] * state(worth, "discount")[group]
    assert (worth.price[soon] > held + 0.5).all()


def test_prices_fall_by_the_dividend_and_options_know_it() -> None:
    paid = next(each for each in dividends_of("QQQ") if each.ex_date > date(2026, 1, 1))
    number = session_numbers()[paid.ex_date]
    path, plain = daily_path(7, "QQQ"), daily_path(7, "SPX")
    assert path.gap[number] < 0.05
    assert plain.gap[number] != path.gap[number]
    found = contracts(market_of(7, "QQQ"), number - 1)
    assert found is not None
    assert (found.terms.last_cash[found.terms.clock > 0][-1] > 0).all()
    assert found.terms.last_cash[0] == 0.0  # expires before the ex-date


def test_the_clock_of_variance_knows_nights_weekends_and_events() -> None:
    fund, company = variance_clock("QQQ"), variance_clock("AAPL")
    numbers = session_numbers()
    monday, tuesday = numbers[date(2026, 11, 16)], numbers[date(2026, 11, 17)]
    assert fund.night[monday] > fund.night[tuesday]
    assert (fund.night + fund.hours).mean() == pytest.approx(1.0)
    assert company.night.max() > 10 * np.median(company.night)  # earnings
    assert fund.night.max() < 4 * np.median(fund.night)
    decision = numbers[date(2026, 9, 16)]
    assert fund.hours[decision] > 1.3 * np.median(fund.hours)


def test_an_event_stands_in_the_term_structure() -> None:
    """The expiration after a company's earnings has a higher volatility than the one before."""
    clock = variance_clock("AAPL")
    report = next(
        number
        for number in range(session_numbers()[date(2026, 6, 1)], len(clock.night))
        if clock.night[number] > 5 * np.median(clock.night)
    )
    session = option_session(market_of(7, "AAPL"), report - 5)
    assert session is not None
    worth, _ = session.market_at(session.opens + 60)
    vol = np.sqrt(state(worth, "theta") / state(worth, "years"))
    settles = np.array([each.settles for each in session.contracts.expirations])
    assert vol[settles >= report][0] > 1.3 * vol[settles < report][-1]


def test_quotes_widen_at_the_open_and_every_price_is_on_the_grid() -> None:
    session = session_of()
    spreads = {}
    for minute in (0.5, 120.0):
        _, quotes = session.market_at(session.opens + minute)
        spreads[minute] = np.mean(quotes.ask - quotes.bid)
        for side in (quotes.bid, quotes.ask):
            assert np.abs(side * 100 - np.round(side * 100)).max() < 1e-9
        assert ((quotes.bid_size > 0) == (quotes.bid > 0)).all()
        assert (quotes.ask_size > 0).all()
    assert spreads[0.5] > 1.5 * spreads[120.0]


def test_ladders_follow_the_spot_and_nothing_vanishes() -> None:
    market = market_of(7, "QQQ")
    known: dict[tuple[str, date], set[float]] = {}
    last = session_numbers()[DAY]
    for number in range(last - 40, last + 1):
        for each in listed(market, number):
            strikes = set(each.strikes.tolist())
            assert known.get((each.root, each.expiration.day), set()) <= strikes
            known[each.root, each.expiration.day] = strikes


def test_rows_have_the_types_of_their_tables() -> None:
    parts = list(generate(synthetic_market("QQQ"), Request(DAY, DAY, 0, 3, 45, trades=True)))
    assert {part.table for part in parts} == {
        "option_contracts",
        "equity_bars",
        "option_trades",
        "option_quotes",
    }
    for part in parts:
        table = TABLES[part.table]
        assert part.rows.schema == pl.Schema(frame_schema(table))
        assert part.rows.select(table.key).is_duplicated().sum() == 0
        for column in table.columns:
            assert column.nullable or part.rows[column.name].null_count() == 0, column.name
        assert part.rows["source"].unique().to_list() == ["synthetic"]
        assert part.rows["origin"].unique().to_list() == ["simulator"]
    rows = {part.table: part.rows for part in parts}
    last = rows["option_quotes"].filter(pl.col("ts") == pl.col("ts").max())
    traded = rows["option_trades"].group_by("occ_symbol").agg(pl.col("size").sum())
    both = last.join(traded, on="occ_symbol")
    assert both.height > 100
    assert (both["volume"] == both["size"]).all()
    quoted = rows["option_quotes"]["expiration"]
    assert ((quoted - DAY).dt.total_days() <= 3).all()


def test_late_sessions_and_early_closes() -> None:
    def stops(ticker: str, day: date) -> datetime:
        last = list(generate(synthetic_market(ticker), Request(day, day, 0, 30, 15)))[-1]
        found = last.rows["ts"].max()
        assert isinstance(found, datetime)
        return found

    assert stops("QQQ", DAY) == datetime(2026, 11, 20, 21, 15, tzinfo=UTC)
    assert stops("AAPL", DAY) == datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    assert stops("QQQ", date(2026, 11, 27)) == datetime(2026, 11, 27, 18, 15, tzinfo=UTC)


def test_the_same_bytes_again_in_another_order_and_in_parallel() -> None:
    numbers = SMALL.sessions()
    here = {number: digest_of(number) for number in numbers}
    for module_cache in (markets.market_of, option_session, contracts, listed, daily_path):
        module_cache.cache_clear()
    again = {number: digest_of(number) for number in reversed(numbers)}
    assert again == here
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD.format(folder=str(Path(__file__).parent), number=number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in numbers[:2]
    ]
    apart = [child.communicate(timeout=120)[0].strip() for child in children]
    assert apart == [here[number] for number in numbers[:2]]
    other = list(session_parts(synthetic_market("QQQ", seed=4), SMALL, numbers[0]))
    assert digest(other) != here[numbers[0]]


def test_pieces_stay_small_however_long_the_request() -> None:
    request = Request(date(2020, 1, 2), DAY, 0, 60, 1)
    pieces = generate(synthetic_market("QQQ"), request)
    heights = [next(pieces).rows.height for _ in range(8)]
    assert max(heights) <= 260_000


def bars_of(day: date, change: dict[str, float] | None = None) -> pl.DataFrame:
    hours = all_sessions()[session_numbers()[day]]
    close = 500 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 4e-4, 390))).round(2)
    rows = pl.DataFrame(
        {
            "ts": [hours.open + timedelta(minutes=each) for each in range(390)],
            "open": np.concatenate([[500.0], close[:-1]]),
            "high": np.maximum(np.concatenate([[500.0], close[:-1]]), close) + 0.05,
            "low": np.minimum(np.concatenate([[500.0], close[:-1]]), close) - 0.05,
            "close": close,
            "volume": np.full(390, 1000),
        }
    )
    return rows.with_columns(pl.lit(value).alias(name) for name, value in (change or {}).items())


def test_a_market_through_bars_has_their_prices() -> None:
    bars = bars_of(DAY)
    market = synthetic_market("QQQ", bars=bars.filter(pl.col("ts").dt.minute() != 17))
    parts = list(generate(market, Request(DAY, DAY, 0, 30, 1)))
    quotes = pl.concat(part.rows for part in parts if part.table == "option_quotes")
    spot = quotes.group_by("ts").agg(pl.col("underlying_price").first()).sort("ts")
    made = spot.join(
        bars.select((pl.col("ts") + timedelta(minutes=1)).alias("ts"), "close"), on="ts"
    ).filter(pl.col("ts").dt.minute() != 18)
    assert made.height > 370
    assert (made["underlying_price"] - made["close"]).abs().max() < 1e-6  # type: ignore[operator]
    near = quotes.filter((pl.col("strike") / pl.col("underlying_price") - 1).abs() < 0.01)
    assert near.height > 1_000
    realized = math.sqrt(float((bars["close"].log().diff() ** 2).sum()) * 252 / 0.78)
    assert near["implied_volatility"].median() == pytest.approx(realized, rel=0.5)
    session = option_session(market, session_numbers()[DAY])
    assert session is not None
    worth, _ = session.market_at(session.opens + 200)
    assert all(each.count == 0 for each in arbitrage(session.rows, worth).values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"close": -1.0}, "not above zero"),
        ({"open": 0.0}, "not above zero"),
        ({"low": math.nan}, "not above zero"),
        ({"high": 1.0}, "below its low"),
    ],
)
def test_bars_that_cannot_be_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        synthetic_market("QQQ", bars=bars_of(DAY, change))


def test_other_bad_input() -> None:
    assert is_known("QQQ")
    for ticker in ("NOSUCH", "DJI", "lower", "VIX"):
        with pytest.raises(BadSymbol, match=ticker):
            synthetic_market(ticker)
    with pytest.raises(DataError, match="lack the columns volume"):
        synthetic_market("QQQ", bars=bars_of(DAY).drop("volume"))
    with pytest.raises(DataError, match="no minute of a regular session"):
        synthetic_market("QQQ", bars=bars_of(DAY).clear())
    with pytest.raises(DataError, match="no session"):
        next(generate(synthetic_market("QQQ"), Request(date(2026, 11, 21), date(2026, 11, 22))))
    with pytest.raises(DataError, match="have no minute of 2026-11-19"):
        list(
            generate(
                synthetic_market("QQQ", bars=bars_of(DAY)),
                Request(date(2026, 11, 19), date(2026, 11, 19)),
            )
        )
