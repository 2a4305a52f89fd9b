"""Each rule of a session on a planted case that it finds, all of them silent on sound quotes."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from black_scholes import american
from models.options import OptionChain
from models.tables import QUARANTINE, SPLITS, frame_schema
from pipeline.activity import Activity
from pipeline.day_rules import day_context
from pipeline.quality import Checked
from pipeline.session_context import clock_context
from pipeline.session_enrich import enrich_session
from pipeline.session_rules import Beside, judge_session, quote_rules, rules_of
from utils import market_calendar

FRIDAY = market_calendar.session(date(2026, 11, 20))
NEAR, FAR = date(2026, 12, 4), date(2026, 12, 18)
MINUTES = 390
STRIKES = np.arange(92.0, 109.0, 2.0)


def sound(every: int = 30) -> pl.DataFrame:
    """Quotes of a session: two expirations, flat 30 %, a spot that climbs a cent a minute."""
    minutes = np.arange(every, MINUTES + 1, every)
    keys = [
        (minute, day, strike, right)
        for minute in minutes.tolist()
        for day in (NEAR, FAR)
        for strike in STRIKES.tolist()
        for right in "CP"
    ]
    minute, day, strike, right = (list(column) for column in zip(*keys, strict=True))
    ts = [FRIDAY.open + timedelta(minutes=m) for m in minute]
    spot = 98.0 + 0.01 * np.array(minute)
    years = market_calendar.year_fractions(
        np.array([int(t.timestamp()) * 10**9 for t in ts]), np.array(day, "datetime64[D]")
    )
    is_call = np.array(right) == "C"
    worth = american.price(spot, strike, years, 0.04, 0.3, 0.01, is_call=is_call)
    return pl.DataFrame(
        {
            "ts": ts,
            "occ_symbol": [f"QQQ   {d:%y%m%d}{r}{int(k * 1000):08d}" for _, d, k, r in keys],
            "expiration": day,
            "strike": strike,
            "right": right,
            "bid": np.round(worth, 2) - 0.01,
            "ask": np.round(worth, 2) + 0.01,
            "underlying_price": spot,
            "volume": 10 * np.array(minute),
            "open_interest": 500,
        }
    ).with_columns(
        pl.col("ts").dt.cast_time_unit("us"),
        quote_at=pl.col("ts").dt.cast_time_unit("us"),
        underlying=pl.lit("QQQ"),
        session=pl.lit(FRIDAY.day),
        source=pl.lit("polygon"),
        origin=pl.lit("simulator"),
    )


def judged(quotes: pl.DataFrame, **beside: Any) -> Checked:
    chain = OptionChain("QQQ", FRIDAY.close, 0.0, 0.04, 0.01, quotes, quotes.head(0))
    priced = enrich_session(chain, quotes).quotes
    return judge_session("QQQ", FRIDAY, priced, Beside(**beside))


def counts(checked: Checked) -> dict[str, int]:
    return {each.rule: each.count for each in checked.findings}


AT = FRIDAY.open + timedelta(minutes=120)
TARGET = (pl.col("ts") == AT) & (pl.col("expiration") == NEAR)


def where(strike: float, right: str, at: pl.Expr = TARGET) -> pl.Expr:
    return at & (pl.col("strike") == strike) & (pl.col("right") == right)


def change(quotes: pl.DataFrame, at: pl.Expr, **values: float | pl.Expr | None) -> pl.DataFrame:
    return quotes.with_columns(
        pl.when(at).then(value).otherwise(name).alias(name) for name, value in values.items()
    )


def raised(by: float) -> dict[str, pl.Expr]:
    return {"bid": pl.col("bid") + by, "ask": pl.col("ask") + by}


def frozen_case(quotes: pl.DataFrame) -> pl.DataFrame:
    """A call deep in the money that stands for the first two hours while the spot climbs 90 cents."""
    early = (pl.col("ts") <= AT) & (pl.col("expiration") == NEAR)
    first = quotes.filter(where(96.0, "C", early)).row(0, named=True)
    return change(quotes, where(96.0, "C", early), bid=first["bid"], ask=first["ask"])


CASES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], int]] = {
    "negative_time_value": (
        lambda q: change(q, where(92.0, "C"), **raised(-0.9)),
        1,
    ),
    # The pair's call is 60 cents too dear: both of its options are named.
    "parity": (lambda q: change(q, where(98.0, "C"), **raised(0.6)), 2),
    "butterfly": (lambda q: change(q, where(98.0, "C"), **raised(0.6)), 1),
    "calendar": (lambda q: change(q, where(108.0, "C"), bid=2.0, ask=2.02), 1),
    "frozen": (frozen_case, 3),
    "off_surface": (lambda q: change(q, where(104.0, "C"), **raised(0.4)), 1),
    "off_hours": (
        lambda q: change(q, where(98.0, "C"), ts=pl.col("ts") + pl.duration(hours=8)),
        1,
    ),
    "strikes_off": (
        lambda q: q.with_columns(underlying_price=pl.col("underlying_price") / 7), 1
    ),
    "volume_fell": (lambda q: change(q, where(98.0, "C"), volume=5), 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return sound()


def test_sound_quotes_break_no_rule(clean: pl.DataFrame) -> None:
    checked = judged(clean, smile_volatility=pl.Series([0.3] * clean.height))
    assert checked.findings == ()
    assert checked.rejected.is_empty()
    assert checked.accepted.height == clean.height
    assert checked.accepted["flags"].null_count() == clean.height


@pytest.mark.parametrize("rule", CASES)
def test_a_planted_case_is_found_and_nowhere_else(clean: pl.DataFrame, rule: str) -> None:
    plant, expected = CASES[rule]
    checked = judged(plant(clean), smile_volatility=pl.Series([0.3] * clean.height))
    found = {each.rule: each for each in checked.findings}
    assert found[rule].count == expected
    assert found[rule].samples
    assert found[rule].reason
    if found[rule].verdict == "quarantine":
        assert checked.rejected.height == expected
        assert checked.rejected["rule"].unique().to_list() == [rule]
        assert set(checked.rejected.columns) == set(frame_schema(QUARANTINE))
    elif rule in {each.name for each in quote_rules(FRIDAY)}:
        flagged = checked.accepted.filter(pl.col("flags").str.contains(rule))
        assert flagged.height == expected
        assert sum(found[rule].by_minute.values()) == expected


def minutes_of(quotes: pl.DataFrame) -> pl.DataFrame:
    return sound(1).filter(pl.col("strike") == 98, pl.col("expiration") == NEAR)


def test_minutes_without_a_quote_or_a_bar_are_found() -> None:
    every = minutes_of(sound(1))
    bars = pl.DataFrame(
        {"ts": [FRIDAY.open + timedelta(minutes=n) for n in range(MINUTES) if n not in {10, 11}]}
    ).with_columns(pl.col("ts").dt.cast_time_unit("us"), volume=pl.lit(100))
    gone = {FRIDAY.open + timedelta(minutes=n) for n in (50, 51, 52)}
    some = every.filter(~pl.col("ts").is_in(list(gone)))
    found = {each.rule: each for each in judged(some, bars=bars).findings}
    assert set(found["no_quotes"].by_minute) == gone
    assert found["no_bar"].count == 2
    assert found["no_bar"].rows == MINUTES
    whole = {each.rule for each in judged(every).findings}
    assert "no_quotes" not in whole
    # A few snapshots leave minutes out on purpose.
    assert "no_quotes" not in counts(judged(sound()))


def bars_at(hours: int, volume: int = 100) -> pl.DataFrame:
    start = FRIDAY.open - timedelta(minutes=60) + timedelta(hours=hours)
    times = [start + timedelta(minutes=n) for n in range(MINUTES + 90)]
    inside = [60 <= n < 60 + MINUTES for n in range(len(times))]
    return pl.DataFrame(
        {"ts": times, "volume": [volume if x else volume // 20 for x in inside]}
    ).with_columns(pl.col("ts").dt.cast_time_unit("us"))


@pytest.mark.parametrize(("hours", "wrong"), [(0, False), (-1, True), (1, True), (4, True)])
def test_a_clock_in_the_wrong_zone_is_told(clean: pl.DataFrame, hours: int, wrong: bool) -> None:
    found = counts(judged(clean, bars=bars_at(hours)))
    assert ("wrong_zone" in found) == wrong
    if wrong:
        assert clock_context(FRIDAY, bars_at(hours))["_hours"][0] == -hours


def test_one_late_print_is_no_wrong_zone(clean: pl.DataFrame) -> None:
    late = pl.DataFrame({"ts": [FRIDAY.close + timedelta(minutes=9)], "volume": [20_000]})
    bars = pl.concat([bars_at(0), late.with_columns(pl.col("ts").dt.cast_time_unit("us"))])
    assert "wrong_zone" not in counts(judged(clean, bars=bars))
    assert clock_context(FRIDAY, bars.head(0)).is_empty()


def test_open_interest_that_jumps_beyond_the_volume_before(clean: pl.DataFrame) -> None:
    symbols = clean["occ_symbol"].unique().sort()
    before = pl.DataFrame({"occ_symbol": symbols, "volume": 200, "open_interest": 350})
    assert "open_interest_jump" not in counts(judged(clean, activity=Activity(before=before)))
    odd = before.with_columns(
        open_interest=pl.when(pl.int_range(pl.len()) < 3).then(250).otherwise("open_interest")
    )
    assert counts(judged(clean, activity=Activity(before=odd)))["open_interest_jump"] == 3


def test_volume_that_is_not_the_sum_of_the_trades(clean: pl.DataFrame) -> None:
    symbols = clean["occ_symbol"].unique().sort()
    trades = pl.DataFrame({"occ_symbol": symbols, "size": 10 * MINUTES})
    assert "volume_against_trades" not in counts(judged(clean, activity=Activity(trades=trades)))
    odd = trades.with_columns(size=pl.when(pl.int_range(pl.len()) == 0).then(7).otherwise("size"))
    assert counts(judged(clean, activity=Activity(trades=odd)))["volume_against_trades"] == 1


def daily(*closes: float) -> pl.DataFrame:
    days = market_calendar.sessions_back(FRIDAY.close, len(closes))
    return pl.DataFrame({"session": [each.day for each in days], "open": closes, "close": closes})


def split_on(day: date, ratio: float) -> pl.DataFrame:
    row = {"underlying": "QQQ", "ex_date": day, "split_from": 1, "split_to": ratio}
    return pl.DataFrame(
        [row | {"source": "polygon", "origin": "simulator"}], schema=frame_schema(SPLITS),
        strict=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("closes", "split", "rule"),
    [
        ((700.0, 701.0, 100.5), None, "split_unknown"),
        ((700.0, 701.0, 100.5), 7.0, None),
        ((10.0, 10.0, 80.5), None, "night_jump"),
        ((10.0, 10.0, 100.5), None, "split_unknown"),  # a merger of ten
        ((100.0, 101.0, 100.5), 7.0, "split_unseen"),
        ((100.0, 101.0, 93.0), None, None),
    ],
)
def test_days_that_look_split(
    clean: pl.DataFrame, closes: tuple[float, ...], split: float | None, rule: str | None
) -> None:
    days = daily(*closes)
    splits = split_on(days["session"][-1], split) if split else None
    found = set(counts(judged(clean, daily=days, splits=splits)))
    assert found & {"split_unknown", "split_unseen", "night_jump"} == ({rule} if rule else set())
    assert day_context(days, splits).height == len(closes)


def test_every_rule_has_a_name_of_its_own_and_a_sentence(clean: pl.DataFrame) -> None:
    empty = clean.head(0)
    beside = Beside(bars=bars_at(0), daily=daily(1.0, 1.0), activity=Activity(before=empty))
    rules = rules_of(beside, FRIDAY)
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names)
    assert all(rule.reason[0].islower() and not rule.reason.endswith(".") for rule in rules)
    assert {rule.severity for rule in rules} == {"info", "warning", "error"}


def test_a_session_without_quotes_is_judged_by_its_minutes() -> None:
    checked = judge_session("QQQ", FRIDAY, pl.DataFrame(schema=priced_schema()), Beside())
    assert checked.accepted.is_empty()
    assert checked.findings == ()


def priced_schema() -> dict[str, pl.DataType]:
    from models.tables import OPTION_QUOTES  # noqa: PLC0415 - this one use

    return frame_schema(OPTION_QUOTES)
