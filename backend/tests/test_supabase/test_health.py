"""What `health()` notices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from clients.migrations import migrations
from clients.supabase_client import SupabaseClient, SupabaseSettings
from clients.transport import Health

NEWEST = migrations()[-1].version


def sql_health(dsn: str) -> Health:
    with SupabaseClient.from_settings(SupabaseSettings(supabase_db_url=dsn)) as store:
        return store.health()


def rest_health(url: str, key: str) -> Health:
    settings = SupabaseSettings(supabase_url=url, supabase_key=key)
    with SupabaseClient.from_settings(settings) as store:
        return store.health()


@contextmanager
def recorded(dsn: str, *, add: str = "", remove: str = "") -> Iterator[None]:
    """Change the record of migrations for the block."""
    table = "supabase_migrations.schema_migrations"
    with psycopg.connect(dsn, autocommit=True) as connection:
        kept = connection.execute(
            f"delete from {table} where version = %s returning version, name", (remove,)
        ).fetchall()
        if add:
            connection.execute(
                f"insert into {table} (version, name) values (%s, 'options_x')", (add,)
            )
        yield
        connection.execute(f"delete from {table} where version = %s", (add,))
        for row in kept:
            connection.execute(f"insert into {table} (version, name) values (%s, %s)", row)


@pytest.fixture
def visitor(database: str) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A role without rights, and the owner's connection."""
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create role visitor login password 'visiting'")
        yield make_conninfo(database, user="visitor", password="visiting"), owner
        owner.execute("drop owned by visitor")
        owner.execute("drop role visitor")


def test_the_owner_is_well(database: str) -> None:
    report = sql_health(database)
    assert report.ok
    assert report.schema == NEWEST
    assert report.server[0].isdigit()


def test_a_role_without_rights(visitor: tuple[str, psycopg.Connection[Any]]) -> None:
    report = sql_health(visitor[0])
    assert not report.ok
    assert any("the role visitor may not read and write" in words for words in report.problems)


def test_a_role_from_whom_rows_are_hidden(visitor: tuple[str, psycopg.Connection[Any]]) -> None:
    dsn, owner = visitor
    owner.execute("grant select, insert, update on all tables in schema public to visitor")
    report = sql_health(dsn)
    assert [words for words in report.problems if "row-level security hides" in words]


def test_a_database_without_our_tables(databases: Any) -> None:
    with databases.fresh(migrated=False) as dsn:
        report = sql_health(dsn)
        assert report.schema is None
        assert any("scripts/migrate.py" in words for words in report.problems)


def test_an_older_and_a_newer_schema(database: str) -> None:
    with recorded(database, remove=NEWEST):
        assert f"needs {NEWEST}" in sql_health(database).problems[0]
    with recorded(database, add="29990101000000"):
        assert "update this program" in sql_health(database).problems[0]


def test_secret_keys_are_well(rest: Any) -> None:
    for key in (rest.secret_key, rest.service_role_key):
        report = rest_health(rest.url, key)
        assert report.ok, report.problems
        assert report.schema == NEWEST


def test_public_keys_are_noticed(rest: Any) -> None:
    for key in (rest.publishable_key, rest.anon_key):
        report = rest_health(rest.url, key)
        assert "public (anon) key" in report.problems[0]
        assert key not in str(report)


def test_a_role_that_lost_its_rights_is_noticed(rest: Any, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("revoke insert on public.positions from service_role")
        report = rest_health(rest.url, rest.secret_key)
        owner.execute("grant insert on public.positions to service_role")
    assert len(report.problems) == 1
    assert "positions" in report.problems[0]


def test_a_wrong_key_is_refused(rest: Any) -> None:
    for key in ("sb_secret_wrong", "no.such.jwt"):
        report = rest_health(rest.url, key)
        assert "refuses the key" in report.problems[0]
        assert key not in str(report)


def test_a_newer_schema_is_noticed_over_rest(rest: Any, database: str) -> None:
    with recorded(database, add="29990101000000"):
        assert "update this program" in rest_health(rest.url, rest.secret_key).problems[0]
