"""Statements of the SQL way, and the rows that come back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

import polars as pl
from psycopg import sql

from clients.conditions import Condition, IsNull, OneOf
from clients.rows import empty_frame
from models.tables import Column, Kind, Scalar, Table

STAGE = sql.Identifier("pg_temp", "options_stage")
"""Temporary table that rows are copied into before they are merged."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The steps of a write through the stage.

    Those that look into the table want the least and the greatest value of the key's first column
    among the rows, so that no more of a large table is read than that range.

    Attributes:
        make_stage: Makes the stage, for this transaction, unless it is there.
        find_any: Finds a row whose key is in the rows' range; wants the first and the last key too.
        insert_new: Inserts the rows whose key is new, and fails when another writer is faster.
        upsert_rest: Inserts what is still new and updates what differs, whoever else writes.
        empty_stage: Makes room for the next rows.
    """

    make_stage: sql.Composed
    find_any: sql.Composed
    insert_new: sql.Composed
    upsert_rest: sql.Composed
    empty_stage: sql.Composed


def merge(table: Table, columns: Sequence[str]) -> Merge:
    """Return the statements that merge these columns into a table."""
    others = [name for name in columns if name not in table.key]
    parts = {
        "table": sql.Identifier("public", table.name),
        "stage": STAGE,
        "columns": _list(columns),
        "staged": _list(columns, "s"),
        "key": _list(table.key),
        "first": sql.Identifier("t", table.key[0]),
        "key_first": sql.Identifier(table.key[0]),
        "marks": sql.SQL(", ").join([sql.SQL("%s")] * len(table.key)),
        "same_key": sql.SQL(" and ").join(_equal("t.{0} = s.{0}", table.key)),
        "differs": _differs(others, "s"),
        "action": _action(others),
    }
    return Merge(
        sql.SQL(
            "create temporary table if not exists options_stage on commit drop as"
            " select {columns} from {table} with no data"
        ).format(**parts),
        sql.SQL(
            "select from {table} where {key_first} between %s and %s"
            " and ({key}) >= ({marks}) and ({key}) <= ({marks}) limit 1"
        ).format(**parts),
        sql.SQL(
            "insert into {table} ({columns}) select {staged} from {stage} s"
            " where not exists (select from {table} t where {first} between %s and %s"
            " and {same_key})"
        ).format(**parts),
        sql.SQL(
            "insert into {table} as t ({columns}) select {staged} from {stage} s"
            " where not exists (select from {table} t where {first} between %s and %s"
            " and {same_key} and not ({differs}))"
            " on conflict ({key}) do {action}"
        ).format(**parts),
        sql.SQL("truncate {stage}").format(**parts),
    )


def insert(table: Table, columns: Sequence[str], rows: int) -> sql.Composed:
    """Return the statement that merges a few rows, given as one parameter a value, row by row."""
    row = sql.SQL("({})").format(sql.SQL(", ").join([sql.SQL("%s")] * len(columns)))
    return sql.SQL("insert into {} as t ({}) values {} on conflict ({}) do {}").format(
        sql.Identifier("public", table.name),
        _list(columns),
        sql.SQL(", ").join([row] * rows),
        _list(table.key),
        _action([name for name in columns if name not in table.key]),
    )


def _action(others: Sequence[str]) -> sql.Composable:
    """Return what to do with a stored row of the same key: update it where it differs."""
    if not others:
        return sql.SQL("nothing")
    return sql.SQL("update set {} where {}").format(
        sql.SQL(", ").join(_equal("{0} = excluded.{0}", others)), _differs(others, "excluded")
    )


def _differs(others: Sequence[str], given: str) -> sql.Composable:
    """Return whether the stored row, t, differs from a given one in any of these columns."""
    if not others:
        return sql.SQL("false")
    return sql.SQL("({}) is distinct from ({})").format(_list(others, "t"), _list(others, given))


def copy_in(target: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
    """Return the statement that takes binary rows of these columns."""
    return sql.SQL("copy {} ({}) from stdin (format binary)").format(target, _list(columns))


def copy_out(
    table: Table, conditions: Sequence[Condition], columns: Sequence[Column], newest: int | None
) -> sql.Composed:
    """Return the statement that sends rows as `frame` reads them; see `Transport.read`."""
    wanted = [term for condition in conditions for term in _terms(condition)]
    order = sql.SQL(" desc, " if newest else ", ").join(sql.Identifier(name) for name in table.key)
    return sql.SQL(
        "copy (select {} from {}{}{} order by {}{}) to stdout (format csv, header)"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("{} as {}").format(_shown(column), sql.Identifier(column.name))
            for column in columns
        ),
        sql.Identifier("public", table.name),
        sql.SQL(" where " if wanted else ""),
        sql.SQL(" and ").join(wanted),
        order,
        sql.SQL(" desc limit {}").format(sql.Literal(newest)) if newest else sql.SQL(""),
    )


def delete(table: Table, conditions: Sequence[Condition]) -> sql.Composed:
    """Return the statement that removes the rows that match; see `Transport.remove`."""
    wanted = [term for condition in conditions for term in _terms(condition)]
    return sql.SQL("delete from {} where {}").format(
        sql.Identifier("public", table.name), sql.SQL(" and ").join(wanted)
    )


def _list(names: Sequence[str], prefix: str = "") -> sql.Composed:
    """Return `"a", "b"`, or `p."a", p."b"`."""
    parts = (prefix,) if prefix else ()
    return sql.SQL(", ").join(sql.Identifier(*parts, name) for name in names)


def _equal(template: LiteralString, names: Sequence[str]) -> Iterator[sql.Composed]:
    return (sql.SQL(template).format(sql.Identifier(name)) for name in names)


def _terms(condition: Condition) -> Iterator[sql.Composed]:
    name = sql.Identifier(condition.column.name)
    if isinstance(condition, IsNull):
        yield sql.SQL("{} is null").format(name)
    elif isinstance(condition, OneOf):
        values = sql.SQL(", ").join(_literal(condition.column, one) for one in condition.values)
        yield sql.SQL("{} in ({})").format(name, values)
    else:
        yield sql.SQL("{} is not null").format(name)
        for sign, value in ((">=", condition.start), ("<", condition.end)):
            if value is not None:
                limit = _literal(condition.column, value)
                yield sql.SQL("{} {} {}").format(name, sql.SQL(sign), limit)


def _literal(column: Column, value: Scalar) -> sql.Composed:
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.kind.value))


def _shown(column: Column) -> sql.Composed:
    """Return what to select: times and days as numbers, which are exact and quick to read."""
    name = sql.Identifier(column.name)
    if column.kind is Kind.TIMESTAMP:
        return sql.SQL("(date_part('epoch', {}) * 1000000)::bigint").format(name)
    if column.kind is Kind.DATE:
        return sql.SQL("{} - date '1970-01-01'").format(name)
    if column.kind is Kind.BOOL:
        return sql.SQL("{}::text").format(name)
    return sql.SQL("{}").format(name)


def frame(data: bytes, table: Table, columns: Sequence[Column]) -> pl.DataFrame:
    """Return what `copy_out` sent, with the types of `frame_schema`."""
    empty = empty_frame(table, columns)
    as_sent: dict[Kind, pl.DataType] = {Kind.TIMESTAMP: pl.Int64(), Kind.DATE: pl.Int32()}
    schema = {c.name: as_sent.get(c.kind, empty.schema[c.name]) for c in columns}
    # The header keeps a text's own byte order mark, which is dropped at the start of a file.
    return pl.read_csv(data, has_header=True, schema=schema).cast(empty.schema)
