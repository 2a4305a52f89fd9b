"""Volatility and greeks of bars: known truth comes back, and what has none is null."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from black_scholes import american, calculator
from models.tables import OPTION_BARS, frame_schema
from pipeline.dividends import CashDividend, dividends_after
from pipeline.enrich_bars import FIGURES, enrich_bars
from utils.market_calendar import year_fraction

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
SPOT, RATE, VOL = 600.0, 0.04, 0.25


def contract(root: str, expiration: date, strike: float, right: str, style: str | None) -> dict:
    symbol = f"{root:6}{expiration:%y%m%d}{right}{round(strike * 1000):08d}"
    return {
        "occ_symbol": symbol,
        "root": root,
        "expiration": expiration,
        "strike": strike,
        "right": right,
        "exercise_style": style,
    }


def bars(closes: dict[str, float], start: datetime = NOON) -> pl.DataFrame:
    rows = [
        {"ts": start, "occ_symbol": symbol, "interval": "1m", "session": DAY, "close": close}
        for symbol, close in closes.items()
    ]
    return pl.DataFrame(rows, schema=frame_schema(OPTION_BARS))


def spot(at: datetime = NOON) -> pl.DataFrame:
    moment = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {"ts": [at + timedelta(minutes=1)], "underlying_price": [SPOT]},
        schema={"ts": moment, "underlying_price": pl.Float64()},
    )


@pytest.mark.parametrize("root", ["QQQ", "SPXW"])
def test_known_volatilities_come_back(root: str) -> None:
    listed = [
        contract(root, expiration, strike, right, None)
        for expiration in (DAY, date(2026, 12, 18))
        for strike, right in ((596.0, "P"), (600.0, "C"), (600.0, "P"), (604.0, "C"))
    ]
    contracts = pl.DataFrame(listed)
    at = NOON + timedelta(minutes=1)
    years = np.array([year_fraction(at, each["expiration"], root=root) for each in listed])
    strikes = contracts["strike"].to_numpy()
    is_call = (contracts["right"] == "C").to_numpy()
    priced = american.price if root == "QQQ" else calculator.price
    closes = priced(SPOT, strikes, years, RATE, VOL, 0.0, is_call=is_call)
    rows = bars(dict(zip(contracts["occ_symbol"], closes, strict=True)))
    found = enrich_bars(rows, contracts, spot(), rate=RATE)
    assert found.drop(FIGURES).equals(rows.drop(FIGURES))
    assert np.allclose(found["implied_volatility"].to_numpy(), VOL, atol=2e-4)
    assert (found["gamma"] > 0).all()
    assert (found["theta_per_day"] < 0).all()
    assert ((found["delta"] > 0) == pl.Series(is_call)).all()


def test_what_has_no_volatility_is_null() -> None:
    expired = contract("QQQ", date(2026, 11, 19), 600.0, "C", "A")
    worthless = contract("QQQ", DAY, 500.0, "C", "A")
    unknown = "QQQ   261120C00601000"
    rows = bars({expired["occ_symbol"]: 1.0, worthless["occ_symbol"]: 50.0, unknown: 1.0})
    found = enrich_bars(rows, pl.DataFrame([expired, worthless]), spot())
    assert found.select(FIGURES).null_count().row(0) == (3,) * len(FIGURES)
    before_any_price = spot(NOON + timedelta(hours=1))
    near = contract("QQQ", DAY, 600.0, "C", "A")
    alone = enrich_bars(bars({near["occ_symbol"]: 1.0}), pl.DataFrame([near]), before_any_price)
    assert alone["implied_volatility"].to_list() == [None]


def test_no_bars() -> None:
    none = bars({}).drop(FIGURES)
    found = enrich_bars(none, pl.DataFrame([contract("QQQ", DAY, 600.0, "C", "A")]), spot())
    assert found.is_empty()
    assert set(FIGURES) <= set(found.columns)


def test_a_dividend_before_the_expiration_lowers_the_spot() -> None:
    far = contract("QQQ", date(2026, 12, 18), 600.0, "C", "E")
    rows, contracts = bars({far["occ_symbol"]: 15.0}), pl.DataFrame([far])
    paying = enrich_bars(rows, contracts, spot(), [CashDividend(date(2026, 12, 1), 3.0)])
    later = enrich_bars(rows, contracts, spot(), [CashDividend(date(2026, 12, 21), 3.0)])
    none = enrich_bars(rows, contracts, spot())
    assert paying["implied_volatility"].item() > none["implied_volatility"].item() + 0.01
    assert later.equals(none)


def paid(*days: date, amount: float = 0.7) -> pl.DataFrame:
    return pl.DataFrame(
        {"ex_date": list(days), "amount": [amount] * len(days)},
        schema={"ex_date": pl.Date(), "amount": pl.Float64()},
    )


def test_dividends_that_were_paid_since_are_known_and_the_rhythm_goes_on() -> None:
    days = [date(2025, 12, 22), date(2026, 3, 23), date(2026, 6, 22), date(2026, 9, 21)]
    found = dividends_after(paid(*days), date(2026, 4, 1))
    assert [each.ex_date for each in found[:4]] == [
        date(2026, 6, 22),
        date(2026, 9, 21),
        date(2026, 12, 21),
        date(2027, 3, 21),
    ]
    assert found[-1].ex_date <= date(2029, 4, 1)
    assert {each.cash for each in found} == {0.7}


def test_dividends_that_ended_long_ago_are_not_expected_again() -> None:
    assert dividends_after(paid(date(2020, 3, 1)), date(2026, 4, 1)) == []
    assert dividends_after(paid(), date(2026, 4, 1)) == []
