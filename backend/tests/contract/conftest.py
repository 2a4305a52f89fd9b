"""The stores that the contract suite runs over, each on a fresh migrated database."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.tables import TABLES

STORES = ("sql_18", "sql_17", "rest_secret", "rest_jwt")


@dataclass(frozen=True)
class Stored:
    """A store and a look behind it.

    Attributes:
        store: What is tested.
        dsn: The database behind it, as its owner.
        kind: "sql" or "rest".
    """

    store: SupabaseClient
    dsn: str
    kind: str

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def versions(self, table: str) -> list[tuple[Any, ...]]:
        """Return where each row lies and which transaction wrote it."""
        return self.ask(f"select tableoid, ctid, xmin from public.{table} order by 1, 2")


@pytest.fixture(scope="module", params=STORES)
def connected(request: pytest.FixtureRequest) -> Iterator[Stored]:
    kind, _, which = request.param.partition("_")
    dsn = request.getfixturevalue("database_17" if which == "17" else "database")
    values = {"supabase_db_url": dsn}
    if kind == "rest":
        rest = request.getfixturevalue("rest")
        key = rest.secret_key if which == "secret" else rest.service_role_key
        values = {"supabase_url": rest.url, "supabase_key": key}
    with SupabaseClient.from_settings(SupabaseSettings(**values)) as store:
        yield Stored(store, dsn, kind)


@pytest.fixture
def stored(connected: Stored) -> Stored:
    """A store whose tables are empty."""
    with psycopg.connect(connected.dsn, autocommit=True) as connection:
        connection.execute(f"truncate {', '.join(f'public.{name}' for name in TABLES)}")
    return connected
