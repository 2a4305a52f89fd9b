"""Each quality rule, on rows that break it and on rows that do not."""

import json
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tables import EQUITY_BARS, OPTION_QUOTES, frame_schema
from pipeline import plan, quality
from utils import market_calendar

FRIDAY = market_calendar.session(date(2026, 11, 20))
SLOT = plan.slots([FRIDAY], "1m")[0]

Row = dict[str, Any]


def bars(changes: dict[int, Row] | None = None, count: int = 30) -> pl.DataFrame:
    base = {
        "underlying": "QQQ",
        "interval": "1m",
        "session": FRIDAY.day,
        "open": 100.0,
        "high": 100.2,
        "low": 99.9,
        "close": 100.1,
        "volume": 10,
        "source": "schwab",
        "origin": "simulator",
    }
    rows = [
        base | {"ts": FRIDAY.open + timedelta(minutes=n)} | (changes or {}).get(n, {})
        for n in range(count)
    ]
    return pl.DataFrame(rows, schema=frame_schema(EQUITY_BARS))


def check_bars(rows: pl.DataFrame, now: datetime | None = None) -> quality.Checked:
    rules = quality.bar_rules(
        EQUITY_BARS, start=pl.lit(SLOT.start), end=pl.lit(SLOT.end), step=SLOT.step
    )
    expected = SLOT.expected(now) if now else None
    return quality.check(EQUITY_BARS, rows, rules, ticker="QQQ", expected=expected)


def quotes(*changes: Row) -> pl.DataFrame:
    base = {
        "ts": FRIDAY.close - timedelta(hours=1),
        "quote_at": FRIDAY.close - timedelta(hours=1),
        "underlying": "QQQ",
        "session": FRIDAY.day,
        "expiration": date(2026, 12, 18),
        "right": "C",
        "underlying_price": 100.0,
        "bid": 5.0,
        "ask": 5.1,
        "source": "schwab",
        "origin": "simulator",
    }
    rows = []
    for number, change in enumerate(changes):
        row = base | {"strike": 100.0 + number} | change
        strike, right = round(row["strike"] * 1000), row["right"]
        symbol = f"QQQ   {row['expiration']:%y%m%d}{right}{strike:08d}"
        rows.append({"occ_symbol": symbol} | row)
    return pl.DataFrame(rows, schema=frame_schema(OPTION_QUOTES))


def check_chain(rows: pl.DataFrame, **options: Any) -> quality.Checked:
    rules = quality.chain_rules(OPTION_QUOTES, **({"open_session": True} | options))
    return quality.check(OPTION_QUOTES, rows, rules, ticker="QQQ")


def counts(checked: quality.Checked) -> dict[str, int]:
    return {finding.rule: finding.count for finding in checked.findings}


def test_sound_bars_pass() -> None:
    checked = check_bars(bars(), FRIDAY.open + timedelta(minutes=30))
    assert (checked.accepted.height, checked.rejected.height, checked.findings) == (30, 0, ())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"close": None}, "no_price"),
        ({"open": float("nan")}, "no_price"),
        ({"low": 0.0}, "no_price"),
        ({"high": -1.0}, "no_price"),
        ({"high": 100.05}, "ohlc"),
        ({"low": 100.05}, "ohlc"),
        ({"volume": -1}, "negative_volume"),
        ({"ts": SLOT.start - timedelta(minutes=1)}, "off_hours"),
        ({"ts": SLOT.end}, "off_hours"),
        ({"ts": FRIDAY.open}, "duplicate"),
    ],
)
def test_a_bad_bar_is_quarantined_with_its_reason(change: Row, rule: str) -> None:
    checked = check_bars(bars({3: change}))
    assert checked.accepted.height == 29
    row = checked.rejected.row(0, named=True)
    assert (row["rule"], row["table_name"], row["ticker"]) == (rule, "equity_bars", "QQQ")
    assert counts(checked)[rule] == 1
    assert json.loads(row["row"])["underlying"] == "QQQ"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"volume": 0}, "no_volume"),
        ({"ts": FRIDAY.open + timedelta(minutes=3, seconds=7)}, "off_grid"),
        ({"high": 108.0}, "outlier"),
        ({"low": 92.0}, "outlier"),
        ({"open": 110.0, "high": 110.0, "low": 110.0, "close": 110.0}, "outlier"),
    ],
)
def test_a_doubtful_bar_is_flagged_and_kept(change: Row, rule: str) -> None:
    checked = check_bars(bars({15: change}))
    assert checked.accepted.height == 30
    assert counts(checked) == {rule: 1}
    assert checked.flagged == 1


def test_a_real_jump_is_no_outlier() -> None:
    up = {"open": 110.0, "high": 110.2, "low": 109.9, "close": 110.1}
    checked = check_bars(bars(dict.fromkeys(range(15, 30), up)))
    assert counts(checked).get("outlier", 0) <= 2 * 5  # the windows that straddle it at most
    assert checked.accepted.height == 30


def test_gaps_are_counted_against_the_calendar() -> None:
    rows = bars().filter(~pl.col("ts").is_in([FRIDAY.open, FRIDAY.open + timedelta(minutes=9)]))
    checked = check_bars(rows, FRIDAY.open + timedelta(minutes=30))
    assert checked.missing == 2
    assert check_bars(rows, FRIDAY.close).missing == 362
    assert check_bars(bars(count=0), FRIDAY.close).missing == 390


def test_a_sound_quote_passes() -> None:
    checked = check_chain(quotes({}))
    assert checked.findings == ()
    assert checked.accepted["flags"].to_list() == [None]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"bid": -0.01}, "bad_price"),
        ({"ask": 0.0, "bid": None}, "bad_price"),
        ({"expiration": date(2026, 11, 19)}, "expired"),
        ({"occ_symbol": "QQQ   261218C00099000"}, "bad_symbol"),
        ({"occ_symbol": "QQQ   261218P00100000"}, "bad_symbol"),
        ({"occ_symbol": "QQQ261218C00100000"}, "bad_symbol"),
    ],
)
def test_a_bad_quote_is_quarantined(change: Row, rule: str) -> None:
    checked = check_chain(quotes(change, {"strike": 150.0, "bid": 0.01, "ask": 0.02}))
    assert checked.rejected["rule"].to_list() == [rule]
    assert checked.accepted.height == 1


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"bid": None, "ask": 0.05}, "no_bid"),
        ({"bid": 0.0, "ask": 0.05}, "no_bid"),
        ({"ask": None}, "no_ask"),
        ({"bid": 5.2}, "crossed"),
        ({"bid": 5.1}, "locked"),
        ({"bid": 2.0}, "wide"),
        ({"strike": 90.0, "bid": 9.0, "ask": 9.5}, "below_intrinsic"),
        ({"strike": 110.0, "right": "P", "bid": 9.0, "ask": 9.5}, "below_intrinsic"),
        ({"quote_at": FRIDAY.close - timedelta(hours=2)}, "stale"),
    ],
)
def test_a_doubtful_quote_is_flagged_and_kept(change: Row, flag: str) -> None:
    checked = check_chain(quotes(change))
    assert checked.accepted["flags"].to_list() == [flag]
    assert counts(checked) == {flag: 1}


def test_a_european_put_may_be_worth_less_than_its_intrinsic_value() -> None:
    year = {"expiration": date(2027, 12, 17), "right": "P", "strike": 110.0}
    rows = quotes(year | {"bid": 6.0, "ask": 6.5})
    assert counts(check_chain(rows, rate=0.04)) == {}
    assert counts(check_chain(rows)) == {"below_intrinsic": 1}


@pytest.mark.parametrize(("right", "bids"), [("C", (5.0, 5.3)), ("P", (5.3, 5.0))])
def test_strikes_out_of_order_are_flagged(right: str, bids: tuple[float, float]) -> None:
    rows = quotes(*({"right": right, "bid": bid, "ask": bid + 0.1} for bid in bids))
    assert counts(check_chain(rows)) == {"strike_order": 1}
    rows = quotes(*({"right": right, "bid": bid, "ask": bid + 0.1} for bid in reversed(bids)))
    assert counts(check_chain(rows)) == {}


def test_no_quote_is_stale_after_the_close() -> None:
    rows = quotes({"quote_at": FRIDAY.close - timedelta(hours=2)})
    assert counts(check_chain(rows, open_session=False)) == {}


def test_a_row_can_carry_several_flags() -> None:
    rows = quotes({"bid": None, "ask": 9.0, "strike": 90.0})
    assert check_chain(rows).accepted["flags"].to_list() == ["no_bid,below_intrinsic"]


def test_the_first_broken_rule_names_the_reason() -> None:
    rows = quotes({"bid": -1.0, "expiration": date(2026, 11, 19)})
    checked = check_chain(rows)
    assert checked.rejected["rule"].to_list() == ["bad_price"]
    assert counts(checked) == {"bad_price": 1, "expired": 1}


def test_equal_bad_rows_are_quarantined_once() -> None:
    rows = bars({n: {"ts": FRIDAY.open, "volume": 1} for n in range(1, 4)})
    assert check_bars(rows).rejected.height == 1


price = st.none() | st.just(float("nan")) | st.floats(-1, 200)


@given(st.lists(st.tuples(price, price, price, price, st.integers(-1, 50)), max_size=12))
def test_every_row_is_accepted_or_quarantined(rows: list[tuple[Any, ...]]) -> None:
    names = ("open", "high", "low", "close", "volume")
    frame = bars({n: dict(zip(names, row, strict=True)) for n, row in enumerate(rows)}, len(rows))
    checked = check_bars(frame)
    barred = checked.rejected.height
    assert checked.accepted.height + barred == frame.height
    sound = checked.accepted
    assert sound.filter(pl.col("high") < pl.col("low")).is_empty()
    assert sound.select(pl.min_horizontal("open", "high", "low", "close") > 0).to_series().all()


def test_quarantine_is_deterministic() -> None:
    rows = bars({3: {"close": None}})
    assert check_bars(rows).rejected.equals(check_bars(rows).rejected)
