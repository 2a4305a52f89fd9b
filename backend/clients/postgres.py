"""The SQL way to the database: psycopg, binary COPY in, CSV COPY out.

Everything runs in single transactions and leaves no state in the session, so that it works through
a transaction pooler as well. https://www.psycopg.org/psycopg3/docs/
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import TypeVar

import polars as pl
import psycopg
from psycopg import sql
from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation
from psycopg_pool import ConnectionPool, PoolTimeout

from clients.conditions import Condition, OneOf
from clients.migrations import migrations
from clients.pgcopy import packed
from clients.postgres_address import PostgresAddress
from clients.postgres_health import health
from clients.postgres_sql import STAGE, Merge, copy_in, copy_out, delete, frame, insert, merge
from clients.rows import empty_frame
from clients.store_errors import store_error
from clients.transport import Health
from models.errors import StoreError
from models.tables import Column, Table

_Connection = psycopg.Connection[tuple[object, ...]]

_BEGIN = (
    "set local statement_timeout = '10min'; set local timezone = 'UTC'; set local work_mem = '64MB'"
)
"""The hosted roles' own time limit is seconds, meant for web pages. All end with the transaction."""

_RACES = 5
_FEW = 32
"""So many rows go in by one statement, which takes 1 ms for an order where the stage takes 13."""
_PART = 32_768
"""Rows merged at a time: small enough for the caches of client and server."""

_T = TypeVar("_T")

_REASONS = (
    ("password authentication failed", "it refuses the user or the password"),
    ("no password supplied", "it wants a password and the URL has none"),
    ("tenant or user not found", "the pooler does not know the user: it is postgres.<project>"),
    ("does not support ssl", "it does not offer TLS, which everything but this machine must"),
    ("certificate verify failed", "its TLS certificate is not trusted"),
    ("root certificate file", "the root certificate of sslmode=verify-full is not there"),
    ("refused", "the connection was refused"),
    ("no such file", "no server listens on the socket"),
    ("timeout expired", "it did not answer in time"),
    ("timed out", "it did not answer in time"),
    ("could not translate host name", "the host name is unknown"),
    ("failed to resolve host", "the host name is unknown"),
    ("name or service not known", "the host name is unknown"),
    ("network is unreachable", "the network is unreachable (IPv6 only? take the pooler's URL)"),
    ("too many", "it has no connection left"),
    ("starting up", "it is still starting"),
    ("does not exist", "the user or the database does not exist"),
    ("ssl", "the TLS handshake failed"),
)
"""Signs in libpq's text, which has no codes; the text itself may name more than it should."""


class _LostRaceError(StoreError):
    """Another transaction was in the way; the same one may pass now."""


class PostgresTransport:
    """Reads and writes by SQL. Threads may share it.

    Args:
        address: Where and how to connect; nothing is connected before the first use.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._opened = False
        self._months: set[tuple[str, date]] = set()
        # A server that went away is our error to tell, once.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        self._pool: ConnectionPool[_Connection] = ConnectionPool(
            kwargs=address.arguments,
            min_size=0,
            max_size=4,
            open=False,
            timeout=15.0,
            max_idle=60.0,
            check=ConnectionPool.check_connection,
            name="store",
        )

    def upsert(self, table: Table, rows: pl.DataFrame, *, expect_empty: bool) -> int:
        """Write rows in one transaction; see `Transport.upsert`.

        Raises:
            StoreError: The database failed or refused; nothing was written.
        """
        if rows.is_empty():
            return 0
        for _ in range(_RACES - 1):
            with suppress(_LostRaceError):
                return self._upserted(table, rows, expect_empty=expect_empty)
        return self._upserted(table, rows, expect_empty=expect_empty)

    def _upserted(self, table: Table, rows: pl.DataFrame, *, expect_empty: bool) -> int:
        self._make_months(table, rows)
        with self.transaction() as session:
            if rows.height <= _FEW:
                return _inserted_few(session, table, rows)
            if expect_empty and _copied_new(
                session, table, rows.columns, _ahead(_blocks(table, rows))
            ):
                return rows.height
            return _merged(session, table, rows)

    def read(
        self,
        table: Table,
        conditions: Sequence[Condition],
        columns: Sequence[Column],
        *,
        newest: int | None = None,
    ) -> pl.DataFrame:
        """Return columns of the rows that match; see `Transport.read`."""
        if any(isinstance(one, OneOf) and not one.values for one in conditions):
            return empty_frame(table, columns)
        query = copy_out(table, conditions, columns, newest)
        with self.transaction() as session, session.cursor().copy(query) as copy:
            return frame(b"".join(copy), table, columns)

    def remove(self, table: Table, conditions: Sequence[Condition]) -> int:
        """Remove rows in one transaction; see `Transport.remove`."""
        if any(isinstance(one, OneOf) and not one.values for one in conditions):
            return 0
        with self.transaction() as session:
            return session.execute(delete(table, conditions), prepare=False).rowcount

    def health(self) -> Health:
        """Look at the connection, the role and the schema."""
        try:
            with self.transaction() as session:
                return health(session, self.address)
        except StoreError as error:
            return Health("sql", self.address.place, problems=(str(error),))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[_Connection]:
        """Lend a connection in a transaction, and translate its errors.

        Raises:
            StoreError: The database failed or refused; nothing was written.
        """
        try:
            self._open()
            with self._pool.connection() as session:
                session.execute(_BEGIN)
                yield session
        except (DeadlockDetected, SerializationFailure) as error:
            raise _LostRaceError(str(self._translated(error))) from None
        except PoolTimeout:
            self._connect_once()
            raise StoreError(f"{self._server} has no connection left for us") from None
        except psycopg.Error as error:
            raise self._translated(error) from None

    @property
    def _server(self) -> str:
        return f"the database at {self.address.place}"

    def _open(self) -> None:
        """Open the pool after one connection of our own: the pool would wait instead of telling."""
        with self._lock:
            if not self._opened:
                self._connect_once()
                self._pool.open()
                self._opened = True

    def _connect_once(self) -> None:
        try:
            psycopg.connect(**self.address.arguments).close()
        except psycopg.Error as error:
            text = str(error).lower()
            reason = next((words for sign, words in _REASONS if sign in text), "it fails")
            raise StoreError(f"{self._server} cannot be reached: {reason}") from None

    def _translated(self, error: psycopg.Error) -> StoreError:
        if error.sqlstate:
            return self._translated_code(error.sqlstate, error.diag.message_primary or "")
        if isinstance(error, psycopg.DataError):  # psycopg's own, before anything is sent
            return self._translated_code("22000", str(error))
        return self._translated_code("08006")

    def _translated_code(self, code: str, said: str = "") -> StoreError:
        return store_error(code, said, newest_migration=migrations()[-1].version)

    def _make_months(self, table: Table, rows: pl.DataFrame) -> None:
        """Make the monthly partitions that the rows need, in a transaction of its own.

        It locks the default partition, which a long load must not.
        """
        if table.partition is None:
            return
        months = rows[table.partition].dt.truncate("1mo").dt.date().unique()
        wanted = [month for month in months if (table.name, month) not in self._months]
        if not wanted:
            return
        with self.transaction() as session:
            starts = [datetime(month.year, month.month, 1, tzinfo=UTC) for month in wanted]
            session.execute(
                "select public.ensure_month_partitions(%s, month, month)"
                " from unnest(%s::timestamptz[]) as month",
                (table.name, starts),
            )
        self._months.update((table.name, month) for month in wanted)


def _ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Make the next item while the server takes this one."""
    with ThreadPoolExecutor(1, "pack") as worker:
        pending = worker.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = worker.submit(next, items, None)
            yield item


def _blocks(table: Table, rows: pl.DataFrame) -> Iterator[memoryview]:
    return packed(rows, [table.column(name).kind for name in rows.columns])


def _copied_new(
    session: _Connection, table: Table, columns: Sequence[str], blocks: Iterable[memoryview]
) -> bool:
    """Copy rows straight into their table; return False, with nothing done, when one is there."""
    target = sql.Identifier("public", table.name)
    try:
        with session.transaction():
            _copied(session, target, columns, blocks)
    except UniqueViolation:
        return False
    return True


def _copied(
    session: _Connection,
    target: sql.Identifier,
    columns: Sequence[str],
    blocks: Iterable[memoryview],
) -> None:
    with session.cursor().copy(copy_in(target, columns)) as copy:
        for block in blocks:
            copy.write(block)


def _inserted_few(session: _Connection, table: Table, rows: pl.DataFrame) -> int:
    """Merge a few rows by one statement, and return how many were new or differed."""
    values = [value for row in rows.iter_rows() for value in row]
    statement = insert(table, rows.columns, rows.height)
    return session.execute(statement, values, prepare=False).rowcount


def _merged(session: _Connection, table: Table, rows: pl.DataFrame) -> int:
    """Merge the rows part by part, and return how many were new or differed.

    A part in whose range of keys nothing is stored is copied straight into the table, and so is
    one that follows a part of new rows alone, unless that fails. Otherwise it is staged. What is new
    then goes in by a plain insert, which takes half the time of one with `on conflict`; when another
    writer was faster, and for rows that differ, follows one that minds conflicts. After a part
    without a change the next one begins with the latter.
    """
    steps = merge(table, rows.columns)
    parts = ((part, list(_blocks(table, part))) for part in rows.iter_slices(_PART))
    written = 0
    share = 0.5
    for part, blocks in _ahead(parts):
        keys = part.select(table.key)
        first, last = keys.row(0), keys.row(-1)
        bounds = (first[0], last[0])
        found = session.execute(steps.find_any, (*bounds, *first, *last), prepare=False)
        likely_new = found.rowcount == 0 or share == 1.0
        if likely_new and _copied_new(session, table, rows.columns, blocks):
            count = part.height
        else:
            session.execute(steps.make_stage)
            _copied(session, STAGE, rows.columns, blocks)
            count = _inserted(session, steps, bounds) if share else 0
            if count < part.height:
                count += session.execute(steps.upsert_rest, bounds, prepare=False).rowcount
            session.execute(steps.empty_stage)
        share = count / part.height
        written += count
    return written


def _inserted(session: _Connection, steps: Merge, bounds: tuple[object, object]) -> int:
    """Insert the staged rows that are new, or none when another writer was faster with one."""
    try:
        with session.transaction():
            return session.execute(steps.insert_new, bounds, prepare=False).rowcount
    except UniqueViolation:
        return 0
