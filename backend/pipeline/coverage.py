"""Rows of coverage: what is stored of one dataset, ticker and session, and a hash of its content.

The hash depends on the content alone: not on the order of the rows, on who wrote them, in which
run, or on which machine. That of chain snapshots is a sum over the snapshots, so that one more is
added without reading those that are covered already.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.tables import COVERAGE, OPTION_QUOTES, Frame, Scalar, Table, frame_schema

if TYPE_CHECKING:
    from datetime import date, datetime

_NULL = b"\x00null"
_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class Content:
    """What is stored of a part.

    Attributes:
        rows: Their number.
        total: Sum of the hashes of its groups, modulo 2^256.
        newest_at: `ts` of the newest row.
    """

    rows: int = 0
    total: int = 0
    newest_at: datetime | None = None

    @property
    def content_hash(self) -> str:
        """The hash as coverage spells it, hexadecimal."""
        return f"{self.total:064x}"

    def plus(self, table: Table, rows: Frame) -> Content:
        """Return the content with further rows, of groups that it does not have yet.

        Args:
            table: Whose rows they are; all its columns are hashed.
            rows: Columns of the table, in any order, as a store returns them.
        """
        if rows.is_empty():
            return self
        snapshots = table.name == OPTION_QUOTES.name
        whole = rows.select(table.column_names)
        groups = whole.partition_by("ts") if snapshots else [whole]
        total = sum(int.from_bytes(_digest(table, group)) for group in groups)
        times = [self.newest_at, *rows["ts"].unique()] if "ts" in rows.columns else []
        newest_at = max(filter(None, times), default=None)
        return Content(self.rows + rows.height, (self.total + total) % _MODULUS, newest_at)


def content_hash(table: Table, rows: Frame) -> str:
    """Return the hash of rows as stored, hexadecimal, whatever their order.

    The SHA-256 of all rows; of chain snapshots the sum of those of each snapshot, modulo 2^256.

    Args:
        table: Whose rows they are; all its columns are hashed.
        rows: Columns of the table, in any order, as a store returns them.
    """
    return Content().plus(table, rows).content_hash


def partial_hash(table: Table, rows: Frame) -> str:
    """Return the hash of rows on their way, hexadecimal: of those columns that they have by now.

    Args:
        table: Where they are to go.
        rows: Some columns of the table, its key at least, in any order.
    """
    known = [name for name in table.column_names if name in rows.columns]
    return _digest(table, rows.select(known)).hex()


def _digest(table: Table, rows: Frame) -> bytes:
    ordered = rows.sort(table.key)
    digest = hashlib.sha256(f"{table.name}:{ordered.height}".encode())
    for series in ordered:
        digest.update(f"\x00{series.name}\x00".encode())
        digest.update(_bytes(series))
    return digest.digest()


def _bytes(series: pl.Series) -> bytes:
    """Return the content of a column in one form for each value: nulls apart, -0.0 as 0.0."""
    nulls = _NULL + series.is_null().to_numpy().tobytes() if series.null_count() else b""
    if series.dtype.is_float():
        # Adding 0.0 turns -0.0 into 0.0, which a database may do as well.
        return (series.fill_null(0.0).to_numpy() + 0.0).tobytes() + nulls
    if series.dtype.is_integer():
        return series.cast(pl.Int64).fill_null(0).to_numpy().tobytes() + nulls
    if series.dtype.is_temporal():
        return series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().tobytes() + nulls
    texts = series.cast(pl.String).fill_null("").to_list()
    return "\x1f".join(texts).encode() + nulls


@dataclass(frozen=True, slots=True)
class Part:
    """What one row of coverage speaks of.

    Attributes:
        table: The table that holds the rows.
        ticker: Underlying.
        dataset: As `pipeline.plan` names it.
        session: Exchange day, of weekly bars the first one of the week.
        source: As in `models.tables.SOURCES`.
        origin: As in `models.tables.ORIGINS`.
    """

    table: Table
    ticker: str
    dataset: str
    session: date
    source: str
    origin: str

    @property
    def where(self) -> dict[str, Scalar]:
        """The condition that finds its rows in the table."""
        found: dict[str, Scalar] = {
            "underlying": self.ticker,
            "session": self.session,
            "source": self.source,
            "origin": self.origin,
        }
        if "interval" in self.table.column_names:
            found["interval"] = self.dataset.rpartition("_")[2]
        return found


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a part is covered.

    Attributes:
        status: complete, partial, empty or quarantined.
        missing: Rows that the calendar expects and the source did not send.
        asked_at: Market time of the newest answer.
        scope: Which part was asked for, where the dataset has parts.
        expected: Rows that the calendar expects; None where it expects no number.
        checks: Rule -> times that it was broken, as JSON; None where the pipeline did not judge.
    """

    status: str
    missing: int
    asked_at: datetime
    scope: str | None = None
    expected: int | None = None
    checks: str | None = None


def covered_content(coverage: Frame, part: Part) -> Content:
    """Return the content of a part that coverage vouches for.

    Args:
        coverage: Rows of `COVERAGE` of the part's ticker, source and origin.
        part: Of which table, dataset and session.
    """
    of_part = (pl.col("dataset") == part.dataset) & (pl.col("session") == part.session)
    for rows, text, newest_at in (
        coverage.filter(of_part).select("rows", "content_hash", "newest_at").iter_rows()
    ):
        return Content(rows, int(text or "0", 16), newest_at)
    return Content()


def coverage_row(part: Part, stored: Content, mark: Mark, *, checked_at: datetime) -> Frame:
    """Return one row of `COVERAGE`.

    Args:
        part: What it speaks of.
        stored: All that is stored of it.
        mark: How far it is covered.
        checked_at: Wall time.
    """
    row = {
        "ticker": part.ticker,
        "dataset": part.dataset,
        "session": part.session,
        "rows": stored.rows,
        "content_hash": stored.content_hash,
        "newest_at": stored.newest_at,
        "checked_at": checked_at,
        "source": part.source,
        "origin": part.origin,
        **asdict(mark),
    }
    return pl.DataFrame([row], schema=frame_schema(COVERAGE))
