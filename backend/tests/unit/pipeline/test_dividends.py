"""Dividends to come, from what a source states."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from models.tables import UNDERLYINGS, frame_schema
from pipeline.dividends import expected_dividends

TODAY = date(2026, 11, 20)


def underlying(**facts: Any) -> pl.DataFrame:
    return pl.DataFrame([{"underlying": "QQQ"} | facts], schema=frame_schema(UNDERLYINGS))


def stated(first: date, amount: float | None = 2.8, frequency: int | None = 4) -> pl.DataFrame:
    return underlying(
        next_dividend_ex_date=first, dividend_amount=amount, dividend_frequency=frequency
    )


def test_the_rhythm_goes_on() -> None:
    found = expected_dividends(stated(date(2026, 12, 31)), "QQQ", TODAY)
    days = [each.ex_date for each in found]
    assert days[:3] == [date(2026, 12, 31), date(2027, 3, 31), date(2027, 6, 30)]
    assert {each.cash for each in found} == {0.7}
    assert len(found) == 12


@pytest.mark.parametrize("first", [date(2026, 9, 21), date(2024, 3, 21), TODAY])
def test_a_date_that_is_over_moves_on_by_whole_periods(first: date) -> None:
    found = expected_dividends(stated(first), "QQQ", TODAY)
    assert found[0].ex_date > TODAY
    assert (found[0].ex_date - TODAY).days <= 93
    assert (found[0].ex_date.month - first.month) % 3 == 0


@pytest.mark.parametrize(
    "rows",
    [
        underlying(),
        stated(date(2026, 12, 21), amount=None),
        stated(date(2026, 12, 21), frequency=None),
        stated(date(2026, 12, 21), frequency=0),
        stated(date(2026, 12, 21), amount=0.0),
    ],
)
def test_without_date_amount_and_frequency_none_is_known(rows: pl.DataFrame) -> None:
    assert expected_dividends(rows, "QQQ", TODAY) == []
    assert expected_dividends(rows, "SPY", TODAY) == []
