"""The Store over Supabase, or over any Postgres: by SQL, by REST, or on the embedded server.

```
with SupabaseClient.from_settings() as store:
    store.upsert("equity_bars", bars)
    store.read("equity_bars", {"underlying": "QQQ", "session": Range(first, last)})
```
"""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import polars as pl
from pydantic import AliasChoices, Field, SecretStr

from clients import embedded_postgres, migrations
from clients.conditions import conditions
from clients.ledger import PostgresLedger
from clients.postgres import PostgresTransport
from clients.postgres_address import postgres_address
from clients.postgrest import PostgrestTransport
from clients.rows import chosen_columns, conformed, table_named
from clients.transport import Health, Transport
from models.errors import ConfigError, StoreError
from models.tables import COVERAGE, Where
from pipeline.ledger import Ledger
from utils.clock import Clock
from utils.settings import Settings, load

__all__ = ["Health", "SupabaseClient", "SupabaseSettings"]


class SupabaseSettings(Settings):
    """Where the database is. Nothing set: the embedded server.

    Attributes:
        supabase_db_url: Postgres URL of a Supabase project or of any Postgres, password included.
        supabase_url: A project's `https://<project>.supabase.co`.
        supabase_key: Its secret key (`sb_secret_...`) or the older service_role key.
    """

    supabase_db_url: SecretStr | None = None
    supabase_url: str | None = None
    supabase_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "supabase_key", "supabase_secret_key", "supabase_service_role_key"
        ),
    )


class SupabaseClient:
    """Implements `ports.Store`. Threads may share it.

    Args:
        transport: The way to the database.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def from_settings(cls, settings: SupabaseSettings | None = None) -> Self:
        """Return a client of the database that the settings name.

        A database URL wins over URL and key; with neither, the embedded server is started if need
        be and brought to this program's schema.

        Args:
            settings: Read from the environment and `.env` when None.

        Raises:
            ConfigError: A setting is wrong, or one of URL and key is missing.
            StoreError: The embedded server cannot be started.
        """
        settings = settings or load(SupabaseSettings)
        if settings.supabase_db_url:
            url = settings.supabase_db_url.get_secret_value()
            return cls(PostgresTransport(postgres_address(url)))
        if settings.supabase_url and settings.supabase_key:
            key = settings.supabase_key.get_secret_value()
            return cls(PostgrestTransport(settings.supabase_url, key))
        if settings.supabase_url or settings.supabase_key:
            missing = "SUPABASE_KEY" if settings.supabase_url else "SUPABASE_URL"
            message = f"{missing} is not set, and the other half of it is: set both, or neither"
            raise ConfigError(message)
        server = embedded_postgres.start()
        migrations.migrate(server.dsn)
        return cls(PostgresTransport(postgres_address(server.dsn)))

    def upsert(self, table: str, rows: pl.DataFrame, *, expect_empty: bool = False) -> int:
        """Write rows by key, in one transaction; an equal row is left untouched.

        Over REST each request is a transaction: some thousand rows.

        Args:
            table: Name of the table.
            rows: Columns of the table, in any order; nullable columns may be left out: they are
                null in a new row and stay as they are in a stored one. NaN is stored as null. Of
                several rows with one key the last counts.
            expect_empty: None of the keys is stored, by all that is known: a faster way, which
                falls back on the ordinary one when that turns out wrong.

        Returns:
            Rows that were new or differed.

        Raises:
            SchemaMissing: The database lacks a migration.
            StoreError: The rows do not fit the table, or the database failed or refused.
        """
        known = table_named(table)
        return self._transport.upsert(known, conformed(known, rows), expect_empty=expect_empty)

    def read(
        self, table: str, where: Where | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the rows that match, ordered by key, with the types of `frame_schema`.

        Over REST a long answer is read in pages: a row that is written meanwhile may be in it or
        not.

        Args:
            table: Name of the table.
            where: Conditions, all of which must hold; None takes every row.
            columns: Columns to return, in this order; None returns all.

        Raises:
            SchemaMissing: The database lacks a migration.
            StoreError: The table or a column is unknown, or the database failed or refused.
        """
        known = table_named(table)
        return self._transport.read(known, conditions(known, where), chosen_columns(known, columns))

    def remove(self, table: str, where: Where) -> int:
        """Remove the rows that match; over SQL all of them, or none where it fails.

        Args:
            table: Name of the table.
            where: Conditions, all of which must hold; at least one.

        Returns:
            How many were there.

        Raises:
            SchemaMissing: The database lacks a migration.
            StoreError: No condition is given, the table or a column is unknown, or the database
                failed or refused.
        """
        known = table_named(table)
        if not where:
            raise StoreError(f"say which rows of {table} are to be removed: none is named")
        return self._transport.remove(known, conditions(known, where))

    def newest(self, table: str, symbol: str, *, source: str, origin: str) -> datetime | None:
        """Return the newest `ts` stored for an underlying, or None.

        Raises:
            SchemaMissing: The database lacks a migration.
            StoreError: The table has no times of underlyings, or the database failed or refused.
        """
        known = table_named(table)
        if known.key[0] != "ts" or "underlying" not in known.column_names:
            raise StoreError(f"table {table} is not one of times and underlyings")
        where: Where = {"underlying": symbol, "source": source, "origin": origin}
        found = self._transport.read(
            known, conditions(known, where), (known.column("ts"),), newest=1
        )
        return found["ts"].max() if found.height else None  # type: ignore[return-value]

    def coverage(self, ticker: str, *, source: str, origin: str) -> pl.DataFrame:
        """Return the coverage rows of a ticker, ordered by dataset and session.

        Raises:
            SchemaMissing: The database lacks a migration.
            StoreError: The database failed or refused.
        """
        where: Where = {"ticker": ticker, "source": source, "origin": origin}
        return self.read(COVERAGE.name, where)

    def ledger(self, *, code_version: str, clock: Clock | None = None) -> Ledger:
        """Return the pipeline's ledger in this database.

        Args:
            code_version: Of this program; stamped on what it claims.
            clock: Instead of the database's own, which all machines share.

        Raises:
            ConfigError: The database is reached by REST, which can claim nothing.
        """
        if not isinstance(self._transport, PostgresTransport):
            message = (
                "the pipeline claims its work by SQL, which SUPABASE_URL and SUPABASE_KEY do not "
                "give: set SUPABASE_DB_URL to the project's Postgres URL"
            )
            raise ConfigError(message)
        return PostgresLedger(self._transport, code_version=code_version, clock=clock)

    def health(self) -> Health:
        """Look at the connection, the rights and the schema; what is wrong stands in the report."""
        return self._transport.health()

    def close(self) -> None:
        """Close the connections. The embedded server goes on running."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
