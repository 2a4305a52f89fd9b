"""Rows as PostgreSQL's binary COPY, packed from whole columns.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". A tuple is a 16-bit
count of fields, then per field a 32-bit length and that many bytes in network order, -1 for null.
Each slice of the frame becomes one array of fixed-width records, as wide as its widest values; what
a null or a shorter text leaves unused is then cut out by one boolean mask, so that nulls cost no
loop over rows. A field's bytes are what the type's `recv` function of the server reads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from models.tables import Kind

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""Signature, flags and length of the header's extension."""

TRAILER = b"\xff\xff"
"""A tuple of -1 fields ends the data."""

_ROWS = 16_384
_BYTES = 16 * 2**20
_NARROW = 64
"""Widths up to here are looked up in a table of all prefixes; it grows with their square."""
_EPOCH_DAYS = 10_957
"""Days from 1970-01-01 to 2000-01-01, where PostgreSQL's dates begin."""
_EPOCH_US = _EPOCH_DAYS * 86_400_000_000

_Array: TypeAlias = np.ndarray[tuple[int], np.dtype[np.generic]]


@dataclass(frozen=True, slots=True)
class _Field:
    """One column of one slice.

    Attributes:
        body: Big-endian values, or void records for text and money; one a row.
        sizes: Bytes of each row's value where they are not all the body's width; -1 is null.
    """

    body: _Array
    sizes: np.ndarray[tuple[int], np.dtype[np.int32]] | None


def packed(rows: pl.DataFrame, kinds: list[Kind]) -> Iterator[memoryview]:
    """Yield the header, the rows and the trailer, a few megabytes at a time.

    Args:
        rows: Columns in the order of the COPY statement, with the types of `frame_schema`.
        kinds: Kind of each column.
    """
    yield memoryview(HEADER)
    for part in rows.iter_slices(_ROWS):
        yield from _packed_slice(part, kinds)
    yield memoryview(TRAILER)


def _packed_slice(part: pl.DataFrame, kinds: list[Kind]) -> Iterator[memoryview]:
    """Pack one slice, cut in halves while one very long text would blow up every record."""
    texts = [_longest(column) for column in part if column.dtype == pl.String]
    if part.height > 1 and part.height * sum(texts) > _BYTES:
        half = part.height // 2
        yield from _packed_slice(part[:half], kinds)
        yield from _packed_slice(part[half:], kinds)
        return
    fields = [_FIELD[kind](column) for kind, column in zip(kinds, part.iter_columns(), strict=True)]
    yield _tuples(part.height, fields).data


def _longest(column: pl.Series) -> int:
    longest = column.str.len_bytes().max()
    return longest if isinstance(longest, int) else 0


def _tuples(rows: int, fields: list[_Field]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    layout: list[tuple[str, str | np.dtype[np.generic]]] = [("fields", ">i2")]
    for index, field in enumerate(fields):
        layout += [(f"size{index}", ">i4"), (f"body{index}", field.body.dtype)]
    records = np.empty(rows, np.dtype(layout))
    records["fields"] = len(fields)
    for index, field in enumerate(fields):
        records[f"size{index}"] = field.body.itemsize if field.sizes is None else field.sizes
        records[f"body{index}"] = field.body
    content = records.view(np.uint8)
    if all(field.sizes is None for field in fields):
        return content
    return content[_kept(records.dtype, rows, fields)]


def _kept(
    layout: np.dtype[np.void], rows: int, fields: list[_Field]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each byte of the records whether it belongs to the data."""
    kept = np.ones(rows * layout.itemsize, np.bool_)
    view = kept.view(layout)
    for index, field in enumerate(fields):
        if field.sizes is None:
            continue
        view[f"body{index}"] = _prefixes(field.sizes, field.body.dtype)
    return kept


def _prefixes(
    sizes: np.ndarray[tuple[int], np.dtype[np.int32]], dtype: np.dtype[np.generic]
) -> _Array:
    """Return for each size a value whose first bytes, so many, are 1 and whose others are 0."""
    wanted = np.maximum(sizes, 0)
    width = dtype.itemsize
    if width > _NARROW:
        return (np.arange(width) < wanted[:, None]).view(dtype)[:, 0]
    table: _Array = (np.arange(width) < np.arange(width + 1)[:, None]).view(dtype)[:, 0]
    return table[wanted]


def _fixed(column: pl.Series, body: _Array) -> _Field:
    if not column.null_count():
        return _Field(body, None)
    sizes = np.where(column.is_not_null().to_numpy(), np.int32(body.itemsize), np.int32(-1))
    return _Field(body, sizes)


def _number(dtype: str) -> Callable[[pl.Series], _Field]:
    return lambda column: _fixed(column, column.fill_null(0).to_numpy().astype(dtype))


def _boolean(column: pl.Series) -> _Field:
    return _fixed(column, column.fill_null(value=False).cast(pl.UInt8).to_numpy())


def _date(column: pl.Series) -> _Field:
    days = column.to_physical().fill_null(0).to_numpy() - _EPOCH_DAYS
    return _fixed(column, days.astype(">i4"))


def _timestamp(column: pl.Series) -> _Field:
    microseconds = column.to_physical().fill_null(0).to_numpy() - _EPOCH_US
    return _fixed(column, microseconds.astype(">i8"))


def _money(column: pl.Series) -> _Field:
    """Pack `Decimal(18, 6)` as five base-10000 digits, three before the point.

    The server drops leading and trailing zeros itself (`numeric_recv`).
    """
    scaled = column.to_physical().fill_null(0).cast(pl.Int64).to_numpy()
    whole, fraction = np.divmod(np.abs(scaled), 1_000_000)
    digits = np.empty((len(scaled), 9), ">i2")
    digits[:, 0] = 5
    digits[:, 1] = 2
    digits[:, 2] = np.where(scaled < 0, 0x4000, 0)
    digits[:, 3] = 6
    digits[:, 4] = whole // 100_000_000
    digits[:, 5] = whole // 10_000 % 10_000
    digits[:, 6] = whole % 10_000
    digits[:, 7] = fraction // 100
    digits[:, 8] = fraction % 100 * 100
    return _fixed(column, digits.view("V18")[:, 0])


def _text(column: pl.Series) -> _Field:
    sizes = column.str.len_bytes().cast(pl.Int32).fill_null(-1).to_numpy()
    width = max(int(sizes.max()), 1)
    joined = np.frombuffer(column.str.join("").item().encode(), np.uint8)
    if int(sizes.min()) == width:
        return _Field(joined.view(f"V{width}"), None)
    padded = np.zeros((len(sizes), width), np.uint8)
    padded[np.arange(width) < sizes[:, None]] = joined
    return _Field(padded.view(f"V{width}")[:, 0], sizes)


def _json(column: pl.Series) -> _Field:
    """Pack text as `jsonb`: the format's version, 1, then the text."""
    return _text("\x01" + column)


_FIELD: dict[Kind, Callable[[pl.Series], _Field]] = {
    Kind.TEXT: _text,
    Kind.BOOL: _boolean,
    Kind.SMALLINT: _number(">i2"),
    Kind.INT: _number(">i4"),
    Kind.BIGINT: _number(">i8"),
    Kind.FLOAT: _number(">f8"),
    Kind.MONEY: _money,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.JSON: _json,
}
