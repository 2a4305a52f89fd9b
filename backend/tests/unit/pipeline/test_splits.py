"""Bars in the shares of their own day, and of another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import NotEntitled
from pipeline.splits import SplitBook, as_traded, in_shares_of

if TYPE_CHECKING:
    from models.tables import Frame

DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19)]
NOON = datetime(2026, 11, 19, 17, tzinfo=UTC)


def bars(closes: list[float], volumes: list[int]) -> Frame:
    return pl.DataFrame(
        {
            "session": DAYS,
            **dict.fromkeys(("open", "high", "low", "close"), closes),
            "volume": volumes,
        }
    )


def splits(*rows: tuple[date, float, float]) -> Frame:
    return pl.DataFrame(rows, schema=["ex_date", "split_from", "split_to"], orient="row")


TWO = splits((DAYS[1], 1.0, 2.0), (DAYS[3], 1.0, 4.0), (date(2026, 12, 1), 1.0, 10.0))
ADJUSTED = bars([10.0, 10.0, 10.0, 10.0], [800, 800, 800, 800])
TRADED = bars([80.0, 40.0, 40.0, 10.0], [100, 200, 200, 800])


def test_there_and_back() -> None:
    assert_frame_equal(as_traded(ADJUSTED, TWO, NOON), TRADED)
    assert_frame_equal(in_shares_of(DAYS[3], TRADED, TWO), ADJUSTED)
    until_wednesday = in_shares_of(DAYS[2], TRADED, TWO)["close"].to_list()
    assert until_wednesday == [40.0, 40.0, 40.0, 10.0]


def test_without_splits_nothing_changes() -> None:
    assert as_traded(ADJUSTED, splits().clear(), NOON) is ADJUSTED
    merged = splits((DAYS[3], 10.0, 1.0))
    assert as_traded(ADJUSTED, merged, NOON)["close"].to_list() == [1.0, 1.0, 1.0, 10.0]


class History:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, date, date]] = []

    def splits(self, ticker: str, first: date, last: date) -> Frame:
        if ticker == "NO":
            raise NotEntitled("not in the plan", provider="polygon")
        self.asked.append((ticker, first, last))
        return TWO


def test_a_book_asks_once_a_day() -> None:
    history: Any = History()
    now = [NOON]
    book = SplitBook(history, lambda: now[0], DAYS[0])
    assert book.of("KO") is book.of("KO")
    now[0] = datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert book.of("KO") is not None
    assert history.asked == [("KO", DAYS[0], DAYS[3]), ("KO", DAYS[0], date(2026, 11, 20))]
    assert book.of("NO") is None


@pytest.mark.parametrize("shape", ["empty", "floats"])
def test_kinds_stay(shape: str) -> None:
    some = TRADED.clear() if shape == "empty" else TRADED.with_columns(pl.col("volume").cast(float))
    assert as_traded(some, TWO, NOON).schema == some.schema
