"""What `SupabaseClient` asks of a way to the database: SQL or REST."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from clients.conditions import Condition
from models.tables import Column, Frame, Table


@dataclass(frozen=True, slots=True)
class Health:
    """What a look at the database found.

    Attributes:
        transport: "sql" or "rest".
        place: Host, port and database, or the URL; no user, no key.
        server: Version of the server as it states it, "" when it cannot be asked.
        schema: Newest migration of this program that the database has, or None.
        problems: One sentence each: what is wrong and how to mend it.
    """

    transport: str
    place: str
    server: str = ""
    schema: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the client can read and write everything."""
        return not self.problems


class Transport(Protocol):
    """A way to the database. Each method raises `StoreError` when the database fails."""

    def upsert(self, table: Table, rows: Frame, *, expect_empty: bool) -> int:
        """Write rows that `clients.rows.conformed` made, and return how many were new or differed.

        Columns that the rows lack are null in a new row and stay as they are in a stored one.
        """
        ...

    def read(
        self,
        table: Table,
        conditions: Sequence[Condition],
        columns: Sequence[Column],
        *,
        newest: int | None = None,
    ) -> Frame:
        """Return these columns of the rows that match, ordered by key.

        With `newest`, at most so many rows, those whose key is highest, from the highest down.
        """
        ...

    def remove(self, table: Table, conditions: Sequence[Condition]) -> int:
        """Remove the rows that match, at least one condition given, and return how many."""
        ...

    def health(self) -> Health:
        """Look at the connection, the role and the schema; an error becomes a problem."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
