"""The packed rows are byte for byte what a plain loop over rows makes."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from clients.pgcopy import HEADER, TRAILER, packed
from models.tables import Kind

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

KINDS = {
    "text": Kind.TEXT,
    "flag": Kind.BOOL,
    "small": Kind.SMALLINT,
    "int": Kind.INT,
    "big": Kind.BIGINT,
    "float": Kind.FLOAT,
    "day": Kind.DATE,
    "ts": Kind.TIMESTAMP,
    "json": Kind.JSON,
}
SCHEMA = {
    "text": pl.String(),
    "flag": pl.Boolean(),
    "small": pl.Int16(),
    "int": pl.Int32(),
    "big": pl.Int64(),
    "float": pl.Float64(),
    "day": pl.Date(),
    "ts": pl.Datetime("us", "UTC"),
    "json": pl.String(),
}


def microseconds(value: datetime) -> int:
    delta = value - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


PLAIN: dict[str, Callable[[Any], bytes]] = {
    "text": lambda value: value.encode(),
    "flag": lambda value: struct.pack(">?", value),
    "small": lambda value: struct.pack(">h", value),
    "int": lambda value: struct.pack(">i", value),
    "big": lambda value: struct.pack(">q", value),
    "float": lambda value: struct.pack(">d", value),
    "day": lambda value: struct.pack(">i", (value - EPOCH.date()).days),
    "ts": lambda value: struct.pack(">q", microseconds(value)),
    "json": lambda value: b"\x01" + value.encode(),
}

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "flag": st.booleans(),
    "small": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "day": st.dates(date(1800, 1, 1), date(2300, 1, 1)),
    "ts": st.datetimes(datetime(1800, 1, 1), datetime(2300, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds have no zone
    "json": st.sampled_from(["{}", '{"é": [1, null]}', "[1.5]"]),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}),
    min_size=1,
    max_size=12,
)


def plainly(rows: list[dict[str, Any]]) -> bytes:
    packed_rows = [HEADER]
    for row in rows:
        packed_rows.append(struct.pack(">h", len(row)))
        for name in rows[0]:
            value = row[name]
            body = b"" if value is None else PLAIN[name](value)
            packed_rows.append(struct.pack(">i", -1 if value is None else len(body)) + body)
    return b"".join([*packed_rows, TRAILER])


def by_columns(rows: list[dict[str, Any]]) -> bytes:
    frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in rows[0]})
    return b"".join(packed(frame, [KINDS[name] for name in rows[0]]))


@given(ROWS)
def test_as_a_loop_over_rows_makes_it(rows: list[dict[str, Any]]) -> None:
    assert by_columns(rows) == plainly(rows)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_very_long_texts_among_short_ones(sizes: list[int]) -> None:
    rows = [{"text": "x" * (size**12), "int": size} for size in sizes]
    assert by_columns(rows) == plainly(rows)


def test_many_slices() -> None:
    rows = [{"text": str(n), "big": None if n % 3 else n} for n in range(40_000)]
    assert by_columns(rows) == plainly(rows)


@given(st.lists(st.none() | st.integers(-(10**18) + 1, 10**18 - 1), min_size=1))
def test_money_has_five_digits_of_ten_thousand(units: list[int | None]) -> None:
    """https://github.com/postgres/postgres, `numeric_recv`: digits, weight, sign, scale."""
    values = [None if unit is None else Decimal(unit).scaleb(-6) for unit in units]
    frame = pl.DataFrame({"price": values}, schema={"price": pl.Decimal(18, 6)})
    data = b"".join(packed(frame, [Kind.MONEY]))[len(HEADER) : -len(TRAILER)]
    for value in values:
        size = struct.unpack(">hi", data[:6])[1]
        data = data[6:]
        if value is None:
            assert size == -1
            continue
        count, weight, sign, scale, *digits = struct.unpack(">4h5h", data[:size])
        data = data[size:]
        assert (size, count, scale) == (18, 5, 6)
        whole = sum(
            Decimal(digit) * Decimal(10_000) ** (weight - place)
            for place, digit in enumerate(digits)
        )
        assert (-whole if sign else whole) == value
    assert not data
