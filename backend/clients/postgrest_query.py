"""Conditions, pages and rows in PostgREST's own spelling.

https://docs.postgrest.org/en/v12/references/api/tables_views.html
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Any

import msgspec
import polars as pl

from clients.conditions import Between, Condition, IsNull, OneOf
from clients.rows import empty_frame
from models.errors import StoreError
from models.tables import Column, Kind, Scalar, Table

_VALUES = 100
"""Values of one list in one request: a URL of more than some 8 kB is refused on the way."""

_AS_TEXT = frozenset({Kind.MONEY, Kind.JSON})
"""Read as text: a JSON number would lose digits, and a frame holds JSON as text."""


def request_body(table: Table, rows: pl.DataFrame) -> bytes:
    """Return rows as a JSON list of objects; money as text, JSON as it is.

    Raises:
        StoreError: A text in a JSON column is not JSON.
    """
    raw = [c.name for c in table.columns if c.kind is Kind.JSON and c.name in rows.columns]
    records = rows.to_dicts()
    for name in raw:
        for record in records:
            record[name] = _raw_json(f"{table.name}.{name}", record[name])
    return msgspec.json.encode(records)


def _raw_json(where: str, text: str | None) -> msgspec.Raw | None:
    if text is None:
        return None
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise StoreError(f"{where} holds a text that is not JSON") from None
    return msgspec.Raw(text.encode())


def filters(conditions: Sequence[Condition]) -> Iterator[list[str]]:
    """Yield the terms of as many requests as keep each URL short; their answers do not overlap."""
    yield from map(list, product(*(_terms(condition) for condition in conditions)))


def _terms(condition: Condition) -> list[str]:
    """Return alternatives, one for each request."""
    name = condition.column.name
    if isinstance(condition, IsNull):
        return [f"{name}.is.null"]
    if isinstance(condition, OneOf):
        quoted = [_quoted(value) for value in condition.values]
        lists = [quoted[start : start + _VALUES] for start in range(0, len(quoted), _VALUES)]
        return [f"{name}.in.({','.join(values)})" for values in lists]
    return [",".join(_bounds(condition))] if _bounds(condition) else [f"{name}.not.is.null"]


def _bounds(condition: Between) -> list[str]:
    name = condition.column.name
    sides = (("gte", condition.start), ("lt", condition.end))
    return [f"{name}.{sign}.{_quoted(value)}" for sign, value in sides if value is not None]


def _quoted(value: Scalar) -> str:
    """Return a value in quotes, inside which only quotes and backslashes mean something."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def beyond(key: Sequence[str], last: Mapping[str, Any]) -> list[str]:
    """Return the terms for rows whose key is above that of `last`.

    The first one says nothing new, but it is the one that an index can begin at.
    """
    steps = []
    for depth, name in enumerate(key):
        ties = [f"{tie}.eq.{_quoted(last[tie])}" for tie in key[:depth]]
        steps.append(f"and({','.join([*ties, f'{name}.gt.{_quoted(last[name])}'])})")
    return [f"{key[0]}.gte.{_quoted(last[key[0]])}", f"or({','.join(steps)})"]


def selected(columns: Sequence[Column]) -> str:
    """Return the list for `select=`."""
    return ",".join(
        f"{column.name}::text" if column.kind in _AS_TEXT else column.name for column in columns
    )


def frame(
    records: Sequence[Mapping[str, Any]], table: Table, columns: Sequence[Column]
) -> pl.DataFrame:
    """Return decoded JSON objects as a frame with the types of `frame_schema`."""
    empty = empty_frame(table, columns)
    texts = _AS_TEXT | {Kind.TIMESTAMP, Kind.DATE}
    wire = {c.name: pl.String() if c.kind in texts else empty.schema[c.name] for c in columns}
    found = pl.DataFrame(records, schema=wire)
    times = [
        pl.col(c.name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC")
        for c in columns
        if c.kind is Kind.TIMESTAMP
    ]
    days = [pl.col(c.name).str.to_date("%Y-%m-%d") for c in columns if c.kind is Kind.DATE]
    return found.with_columns(*times, *days).cast(empty.schema)
