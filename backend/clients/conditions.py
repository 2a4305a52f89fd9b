"""A `Where` as a list of checked conditions, the same for SQL and for REST."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from models.errors import StoreError
from models.tables import Column, Kind, Range, Scalar, Table, Where


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column has no value."""

    column: Column


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column equals one of these values; of none when there are none."""

    column: Column
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """`start <= column < end`; None leaves a side open."""

    column: Column
    start: Scalar | None
    end: Scalar | None


Condition: TypeAlias = IsNull | OneOf | Between


def conditions(table: Table, where: Where | None) -> list[Condition]:
    """Return what a `Where` demands.

    Raises:
        StoreError: It names a column that the table lacks, or a value of the wrong type.
    """
    return [_condition(table, name, wanted) for name, wanted in (where or {}).items()]


def _condition(
    table: Table, name: str, wanted: Scalar | Sequence[Scalar] | Range[Scalar] | None
) -> Condition:
    if name not in table.column_names:
        raise StoreError(f"table {table.name} has no column {name}")
    column = table.column(name)
    if wanted is None:
        return IsNull(column)
    if isinstance(wanted, Range):
        start, end = (
            None if value is None else _value(table, column, value)
            for value in (wanted.start, wanted.end)
        )
        return Between(column, start, end)
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        values = {_value(table, column, value): None for value in wanted}
        return OneOf(column, tuple(values))
    return OneOf(column, (_value(table, column, wanted),))


def _value(table: Table, column: Column, value: Scalar) -> Scalar:
    """Return a value that means the same to every server: times in UTC, days not mixed with them."""
    if isinstance(value, datetime):
        if column.kind is not Kind.TIMESTAMP or value.tzinfo is None:
            raise StoreError(
                f"{table.name}.{column.name} cannot be compared with the time {value}: "
                "a time needs a zone, and a day is a date"
            )
        return value.astimezone(UTC)
    if isinstance(value, date) and column.kind is Kind.TIMESTAMP:
        return datetime.combine(value, time(), UTC)
    return value
