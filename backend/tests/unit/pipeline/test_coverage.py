"""The content hash."""

import random
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tables import EQUITY_BARS, OPTION_QUOTES, QUARANTINE, frame_schema
from pipeline.coverage import Content, content_hash

BASE = {
    "underlying": "QQQ",
    "interval": "1m",
    "session": datetime(2026, 11, 20, tzinfo=UTC).date(),
    "open": 1.0,
    "high": 1.0,
    "low": 1.0,
    "close": 1.0,
    "volume": 5,
    "vwap": None,
    "trades": None,
    "source": "schwab",
    "origin": "live",
}


def bars(count: int, **changes: object) -> pl.DataFrame:
    rows = [
        BASE | {"ts": datetime(2026, 11, 20, 15, n, tzinfo=UTC)} | changes for n in range(count)
    ]
    return pl.DataFrame(rows, schema=frame_schema(EQUITY_BARS))


@given(st.permutations(range(8)), st.permutations(range(len(EQUITY_BARS.columns))))
def test_order_of_rows_and_columns_is_irrelevant(rows: list[int], columns: list[int]) -> None:
    frame = bars(8)
    shuffled = frame[rows].select([frame.columns[n] for n in columns])
    assert content_hash(EQUITY_BARS, shuffled) == content_hash(EQUITY_BARS, frame)


def test_every_value_counts() -> None:
    frames = [
        bars(0),
        bars(1),
        bars(2),
        bars(2, vwap=0.0),
        bars(2, trades=0),
        bars(2, close=1.0000000000000002),
        bars(2, volume=6),
        bars(2, origin="recorded"),
        bars(2, underlying="QQ"),
    ]
    assert len({content_hash(EQUITY_BARS, frame) for frame in frames}) == len(frames)


def snapshot(minute: int, **changes: object) -> pl.DataFrame:
    rows = [
        {"ts": datetime(2026, 11, 20, 15, minute, tzinfo=UTC), "occ_symbol": f"QQQ {n}", "bid": n}
        | changes
        for n in range(3)
    ]
    return pl.DataFrame(rows, schema=frame_schema(OPTION_QUOTES))


@pytest.mark.parametrize("cut", range(1, 5))
def test_snapshots_may_be_added_one_by_one(cut: int) -> None:
    snapshots = [snapshot(n) for n in range(5)]
    whole = Content().plus(OPTION_QUOTES, pl.concat(snapshots))
    random.shuffle(snapshots)
    added = Content().plus(OPTION_QUOTES, pl.concat(snapshots[:cut]))
    for each in snapshots[cut:]:
        added = added.plus(OPTION_QUOTES, each)
    assert added == whole


def test_every_snapshot_counts() -> None:
    frames = [
        [snapshot(1)],
        [snapshot(1), snapshot(2)],
        [snapshot(1), snapshot(3)],
        [snapshot(1), snapshot(2, ask=1.0)],
        [snapshot(1, ask=1.0), snapshot(2)],
    ]
    hashes = {content_hash(OPTION_QUOTES, pl.concat(each)) for each in frames}
    assert len(hashes) == len(frames)


def test_a_zero_is_a_zero_whatever_its_sign() -> None:
    assert content_hash(EQUITY_BARS, bars(1, vwap=-0.0)) == content_hash(
        EQUITY_BARS, bars(1, vwap=0.0)
    )


def test_text_and_null_differ() -> None:
    row = dict.fromkeys(frame_schema(QUARANTINE), "") | {"session": BASE["session"]}
    empty = pl.DataFrame([row], schema=frame_schema(QUARANTINE))
    null = empty.with_columns(row=pl.lit(None, pl.String))
    assert content_hash(QUARANTINE, empty) != content_hash(QUARANTINE, null)
