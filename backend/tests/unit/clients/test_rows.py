"""What a frame must be before it is written."""

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from clients.rows import conformed
from models.tables import RATES, frame_schema

KEYS = st.tuples(
    st.dates(), st.sampled_from("abB"), st.sampled_from(["schwab", "polygon"]), st.just("live")
)


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    names = ("session", "name", "source", "origin", "rate")
    schema = frame_schema(RATES)
    return pl.DataFrame(rows, schema={name: schema[name] for name in names}, orient="row")


@given(st.lists(KEYS, min_size=1, max_size=30))
def test_rows_come_by_key_and_the_last_of_equals_stays(keys: list[tuple[Any, ...]]) -> None:
    rows = [(*key, float(number)) for number, key in enumerate(keys)]
    found = conformed(RATES, frame(rows))
    last = {key: float(number) for number, key in enumerate(keys)}
    kept = [(*row[:2], *row[3:], row[2]) for row in found.rows()]
    assert kept == [(*key, last[key]) for key in sorted(last)]


@given(st.lists(KEYS, min_size=1, max_size=30))
def test_once_is_as_good_as_twice(keys: list[tuple[Any, ...]]) -> None:
    once = conformed(RATES, frame([(*key, 1.0) for key in keys]))
    assert conformed(RATES, once).equals(once)
