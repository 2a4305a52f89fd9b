"""What the product asks of a database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from models.tables import Frame, Where


class Store(Protocol):
    """A database of the tables in `models.tables`.

    Every method raises `StoreError` (or one of its kinds) when the database fails.
    """

    def upsert(self, table: str, rows: Frame, *, expect_empty: bool = False) -> int:
        """Write rows by key, in one transaction; an equal row is left untouched.

        Args:
            table: Name of the table.
            rows: Columns of the table, in any order; nullable columns may be left out.
            expect_empty: Coverage proves that none of the keys is stored: a faster way, which
                falls back on the ordinary one when that turns out wrong.

        Returns:
            Rows that were new or differed.
        """
        ...

    def read(
        self, table: str, where: Where | None = None, columns: Sequence[str] | None = None
    ) -> Frame:
        """Return the rows that match, ordered by key, with the types of `frame_schema`."""
        ...

    def newest(self, table: str, symbol: str, *, source: str, origin: str) -> datetime | None:
        """Return the newest `ts` stored for an underlying, or None."""
        ...

    def coverage(self, ticker: str, *, source: str, origin: str) -> Frame:
        """Return the coverage rows of a ticker, ordered by dataset and session."""
        ...


class RemovingStore(Store, Protocol):
    """A database from which rows can be taken."""

    def remove(self, table: str, where: Where) -> int:
        """Remove the rows that match, and return how many were there."""
        ...
