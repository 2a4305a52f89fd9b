"""What both transports demand of a frame before it is written: columns, types, keys, order."""

from collections.abc import Sequence

import polars as pl

from models.errors import StoreError
from models.tables import TABLES, Column, Kind, Table, frame_schema

_WHOLE = frozenset({Kind.SMALLINT, Kind.INT, Kind.BIGINT})


def table_named(name: str) -> Table:
    """Return the table of this name.

    Raises:
        StoreError: There is none.
    """
    if name not in TABLES:
        raise StoreError(f"there is no table {name}: models/tables.py lists them")
    return TABLES[name]


def chosen_columns(table: Table, names: Sequence[str] | None) -> tuple[Column, ...]:
    """Return the columns of these names, in this order; None means all.

    Raises:
        StoreError: The table lacks one, or none is named.
    """
    if names is None:
        return table.columns
    if not names:
        raise StoreError(f"no column of table {table.name} is asked for")
    for name in names:
        if name not in table.column_names:
            raise StoreError(f"table {table.name} has no column {name}")
    return tuple(table.column(name) for name in names)


def empty_frame(table: Table, columns: Sequence[Column]) -> pl.DataFrame:
    """Return no rows of these columns, with the types of `frame_schema`."""
    schema = frame_schema(table)
    return pl.DataFrame(schema={column.name: schema[column.name] for column in columns})


def conformed(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as the database takes them.

    The columns are those of the table, in its order, with the types of `frame_schema`; nullable
    columns that are left out stay out. NaN and a JSON null become null: over REST they are the
    same. Rows are ordered by key, which loads
    twice as fast and keeps two writers from deadlock, and of several rows with one key only the
    last is kept.

    Raises:
        StoreError: A column is unknown, absent, of the wrong type, or lacks a value.
    """
    for name in rows.columns:
        if name not in table.column_names:
            raise StoreError(f"table {table.name} has no column {name}")
    for column in table.columns:
        if not column.nullable and column.name not in rows.columns:
            raise StoreError(f"rows for table {table.name} lack the column {column.name}")
    columns = [column for column in table.columns if column.name in rows.columns]
    schema = frame_schema(table)
    typed = pl.DataFrame(
        [_typed(table, column, rows[column.name], schema[column.name]) for column in columns]
    )
    return _ordered(typed, table.key)


def _typed(table: Table, column: Column, values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return a column in its table's type, with nulls only where it may have them."""
    where = f"{table.name}.{column.name}"
    if values.dtype != dtype:
        values = _cast(where, column.kind, values, dtype)
    if column.kind is Kind.FLOAT:
        if values.is_infinite().any():
            raise StoreError(f"{where} holds an infinite number: leave it null")
        values = values.fill_nan(None)
    if column.kind is Kind.JSON:
        values = values.set(values.str.strip_chars() == "null", None)
    if not column.nullable and values.null_count():
        raise StoreError(f"{where} has {values.null_count()} rows without a value and needs one")
    return values


def _cast(where: str, kind: Kind, values: pl.Series, dtype: pl.DataType) -> pl.Series:
    given = values.dtype
    if kind is Kind.TIMESTAMP and isinstance(given, pl.Datetime) and given.time_zone is None:
        raise StoreError(f"{where} holds times without a zone: make them UTC")
    if kind is Kind.TIMESTAMP and given.is_numeric():
        raise StoreError(f"{where} holds numbers, which have no unit: make them times in UTC")
    if kind is Kind.DATE and isinstance(given, pl.Datetime):
        raise StoreError(f"{where} holds times, whose day depends on the zone: make them days")
    if kind is Kind.JSON and given != pl.Null:
        raise StoreError(f"{where} holds {given}: give JSON as text")
    try:
        cast_values = values.cast(dtype)
        exact = given.is_decimal() or (given.is_float() and kind in _WHOLE)
        if exact and not (cast_values.cast(given) == values).all():
            raise StoreError(f"{where} holds digits that {kind.value} would lose: round them first")
    except pl.exceptions.PolarsError:
        raise StoreError(f"{where} holds {given} that is not {kind.value}") from None
    return cast_values


def _ordered(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    if _ascends(rows, key):
        return rows
    ordered = rows.sort(key, maintain_order=True)
    differs = pl.any_horizontal(pl.col(name) != pl.col(name).shift(-1) for name in key)
    return ordered.filter(differs.fill_null(value=True))


def _ascends(rows: pl.DataFrame, key: tuple[str, ...]) -> bool:
    """Say whether each key is above the one before, looking at no more columns than decide it."""
    tied = pl.repeat(value=True, n=max(rows.height - 1, 0), dtype=pl.Boolean, eager=True)
    for name in key:
        before, after = rows[name][:-1], rows[name][1:]
        if (tied & (after < before)).any():
            return False
        tied = tied & (after == before)
        if not tied.any():
            return True
    return rows.height < 2
