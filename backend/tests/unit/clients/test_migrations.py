"""The migrations make exactly the tables of models/tables.py, for the service role alone."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copytree
from typing import Any, Protocol

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import migrations
from clients.embedded_postgres import start, stop
from clients.local_rest import make_roles
from clients.migrations import migrate, paste_instructions, paste_script, pending, split_statements
from models.errors import ConfigError, SchemaMissing, StoreError
from models.tables import ORIGINS, SOURCES, TABLES, Kind, Table
from scripts.install_test_tools import Tools
from utils.paths import backend_folder

MAJORS = (18, 17, 15)
PARTITIONED = [name for name, table in TABLES.items() if table.partition]
VERSIONS = [migration.version for migration in migrations.migrations()]


class Databases(Protocol):
    def fresh(self, major: int = 18, *, migrated: bool = True) -> AbstractContextManager[str]: ...


def ask(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=MAJORS, ids=lambda major: f"pg{major}", scope="module")
def migrated(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    with databases.fresh(request.param) as dsn:
        ask(dsn, "select ensure_month_partitions('option_quotes', '2026-11-30', '2026-12-01')")
        yield dsn


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    with databases.fresh(migrated=False) as dsn:
        yield dsn


@pytest.fixture
def roleless(tmp_path: Path) -> Iterator[str]:
    """A server that never heard of Supabase's roles, on loopback."""
    folder = tmp_path / ("long" * 25)
    yield start(folder, settings={"fsync": "off", "shared_buffers": "32MB"}).dsn
    stop(folder)


COLUMNS = """
select attname, format_type(atttypid, atttypmod), attnotnull
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
"""
KEY = """
select attname, attcollation = 'pg_catalog."C"'::regcollation or attcollation = 0
from pg_index, unnest(indkey) with ordinality as part(attnum, place), pg_attribute a
where indrelid = %s::regclass and indisprimary and attrelid = indrelid and a.attnum = part.attnum
order by place
"""


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_each_table_is_as_the_models_say(migrated: str, table: Table) -> None:
    expected = [(c.name, c.kind.value, not c.nullable) for c in table.columns]
    assert ask(migrated, COLUMNS, table.name) == expected
    assert ask(migrated, KEY, table.name) == [(name, True) for name in table.key]
    cut = ask(migrated, "select pg_get_partkeydef(%s::regclass)", table.name)
    assert cut == [(f"RANGE ({table.partition})" if table.partition else None,)]


def test_there_is_no_other_table(migrated: str) -> None:
    names = "select relname from pg_class where relnamespace = 'public'::regnamespace"
    tables = {name for (name,) in ask(migrated, f"{names} and relkind in ('r', 'p')")}
    months = {"option_quotes_2026_11", "option_quotes_2026_12"}
    assert tables == TABLES.keys() | {f"{name}_default" for name in PARTITIONED} | months


def test_row_level_security_is_on_everywhere_and_no_policy_opens_it(migrated: str) -> None:
    relations = "from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r','p')"
    assert ask(migrated, f"select relname {relations} and not relrowsecurity") == []
    assert ask(migrated, "select * from pg_policies") == []


RIGHTS = """
select distinct grantee, privilege_type from information_schema.table_privileges
where table_schema = 'public' and grantee in ('anon', 'authenticated', 'service_role', 'PUBLIC')
  and table_name = any(%s)
"""


def test_the_public_roles_have_no_right_and_the_service_role_has_what_it_needs(
    migrated: str,
) -> None:
    everything = [*TABLES, "option_quotes_2026_11", "option_bars_default"]
    service = {right for who, right in ask(migrated, RIGHTS, everything) if who == "service_role"}
    assert {who for who, _ in ask(migrated, RIGHTS, everything)} == {"service_role"}
    assert service >= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    callable_by = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and has_function_privilege(%s, oid, 'execute') order by 1"
    )
    assert ask(migrated, callable_by, "anon") == ask(migrated, callable_by, "authenticated") == []
    allowed = [("ensure_month_partitions",), ("options_schema_version",)]
    assert ask(migrated, callable_by, "service_role") == allowed


def test_only_known_sources_and_origins_are_stored(migrated: str) -> None:
    insert = "insert into rates values ('2026-11-20', 'x', 0.04, %s, %s)"
    for source, origin in itertools.product(SOURCES, ORIGINS):
        ask(migrated, insert, source, origin)
    for source, origin in (("yahoo", "live"), ("schwab", "made up")):
        with pytest.raises(psycopg.errors.CheckViolation):
            ask(migrated, insert, source, origin)


def test_every_market_table_checks_source_and_origin(migrated: str) -> None:
    checks = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass"
    for name, table in TABLES.items():
        text = " ".join(row[0] for row in ask(migrated, f"{checks} and contype = 'c'", name))
        for column, allowed in (("source", SOURCES), ("origin", ORIGINS), ("right", "CP")):
            if (name, column) == ("ledger_stages", "source"):
                continue  # who was asked: flat files are one of them
            if column in table.column_names:
                assert all(f"'{value}'" in text for value in allowed), (name, column)


def test_the_schema_tells_its_version(migrated: str) -> None:
    assert ask(migrated, "select options_schema_version()") == [(VERSIONS[-1],)]
    assert pending(migrated) == []
    assert migrate(migrated) == []


def quote_at(table: str) -> str:
    """Return an insert of a row at a time, which is its one parameter."""
    values = {Kind.TEXT: "'x'", Kind.DATE: "'2026-11-30'"}
    row = {c.name: values.get(c.kind, "1") for c in TABLES[table].columns if not c.nullable}
    row |= {"ts": "%s", "source": "'schwab'", "origin": "'live'"}
    row |= {"right": "'C'"} if "right" in row else {}
    names = ", ".join(f'"{name}"' for name in row)
    return f"insert into {table} ({names}) values ({', '.join(row.values())})"


@pytest.mark.parametrize("table", PARTITIONED)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_the_first_of_a_month_is_caught_and_moved_to_its_month(
    databases: Databases, table: str, zone: str
) -> None:
    with databases.fresh() as dsn:
        for ts in ("2026-11-30 23:59:59.999999Z", "2026-12-01Z", "2027-01-01Z"):
            ask(dsn, quote_at(table), ts)
        where = (
            f"select tableoid::regclass::text, to_char(ts at time zone 'UTC', 'MM-DD') from {table}"
        )
        assert {part for part, _ in ask(dsn, where)} == {f"{table}_default"}
        make = f"set timezone = '{zone}'; select ensure_month_partitions('{table}', %s, %s)"
        make = make.replace("%s, %s", "'2026-11-30 20:00Z', '2026-12-01 00:00Z'")
        ask(dsn, make)
        assert sorted(ask(dsn, where)) == [
            (f"{table}_2026_11", "11-30"),
            (f"{table}_2026_12", "12-01"),
            (f"{table}_default", "01-01"),
        ]
        ask(dsn, make)
        assert ask(dsn, f"select count(*) from {table}") == [(3,)]


def test_partitions_may_be_made_while_others_write(databases: Databases) -> None:
    rounds = 20
    with databases.fresh() as dsn:

        def write(writer: int) -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                insert = quote_at("equity_quotes").replace("'x'", f"'W{writer}'", 1).encode()
                for month in range(rounds):
                    ts = f"{2020 + month // 12}-{month % 12 + 1:02}-15Z"
                    connection.execute(insert, (ts,))

        def make(_: int) -> int:
            made = "select ensure_month_partitions('equity_quotes', '2020-01-01', '2021-08-31')"
            return int(ask(dsn, made)[0][0])

        with ThreadPoolExecutor(6) as pool:
            writers = [pool.submit(write, number) for number in range(4)]
            makers = [pool.submit(make, number) for number in range(2)]
        for writer in writers:
            writer.result()
        assert sum(maker.result() for maker in makers) == rounds
        assert ask(dsn, "select count(*) from equity_quotes") == [(4 * rounds,)]
        assert ask(dsn, "select count(*) from equity_quotes_default") == [(0,)]


def test_partitions_are_refused_for_what_has_none(migrated: str) -> None:
    for table in ("rates", "nowhere", "pg_class", 'x"; drop table rates; --'):
        with pytest.raises(psycopg.errors.WrongObjectType):
            ask(migrated, "select ensure_month_partitions(%s, now(), now())", table)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ask(migrated, "select ensure_month_partitions('option_bars', '1900-01-01', now())")


def test_concurrent_migrations_apply_each_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty] * 4))
    assert sorted(itertools.chain(*applied)) == VERSIONS
    recorded = ask(empty, "select version from supabase_migrations.schema_migrations order by 1")
    assert [version for (version,) in recorded] == VERSIONS


def test_a_database_without_supabases_roles_is_migrated_and_closed_later(roleless: str) -> None:
    assert migrate(roleless) == VERSIONS
    make_roles(roleless)
    assert {who for who, _ in ask(roleless, RIGHTS, list(TABLES))} == {"service_role"}


def test_an_owner_who_is_no_superuser_may_migrate_as_on_the_hosted_service(empty: str) -> None:
    role = f"owner_{os.getpid()}"
    name = psycopg.conninfo.conninfo_to_dict(empty)["dbname"]
    ask(empty, f"create role {role} login password 'secret-word'")
    ask(empty, f"alter database {name} owner to {role}")
    theirs = psycopg.conninfo.make_conninfo(empty, user=role, password="secret-word")
    assert migrate(theirs) == VERSIONS
    ask(theirs, quote_at("option_quotes"), "2026-11-02Z")
    assert ask(theirs, "select ensure_month_partitions('option_quotes', now(), now())") == [(1,)]
    assert ask(theirs, "select options_schema_version()") == [(VERSIONS[-1],)]
    assert {who for who, _ in ask(theirs, RIGHTS, list(TABLES))} <= {"service_role"}


def test_a_failing_migration_leaves_no_trace(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "20260101000000_options_good.sql").write_text("create table good (n int);")
    (tmp_path / "20260102000000_options_bad.sql").write_text(
        "create table half (n int); create table good (n int);"
    )
    monkeypatch.setattr(migrations, "migrations", lambda read=migrations.migrations: read(tmp_path))
    with pytest.raises(StoreError, match=r'^the database refuses: relation "good" already exists$'):
        migrate(empty)
    assert ask(empty, "select to_regclass('good') is null, to_regclass('half') is null") == [
        (False, True)
    ]
    assert [migration.version for migration in pending(empty)] == ["20260102000000"]


def test_a_newer_schema_is_refused_and_strangers_are_not(empty: str) -> None:
    migrate(empty)
    record = "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)"
    ask(empty, record, "29990101000000", "somebody_elses")
    assert migrate(empty) == []
    ask(empty, record, "29990101000001", "options_of_the_future")
    for look in (pending, migrate):
        with pytest.raises(SchemaMissing, match="update this program") as caught:
            look(empty)
        assert caught.value.migration == "29990101000001"


def test_a_record_of_an_old_command_line_is_read(empty: str) -> None:
    ask(
        empty,
        "create schema supabase_migrations;"
        "create table supabase_migrations.schema_migrations (version text primary key)",
    )
    ask(empty, "insert into supabase_migrations.schema_migrations values ('20200101000000')")
    assert migrate(empty) == VERSIONS


def test_who_may_not_and_who_is_not_there_get_a_sentence(empty: str) -> None:
    role = f"reader_{os.getpid()}"
    ask(empty, f"create role {role} login password 'secret-word'")
    theirs = psycopg.conninfo.make_conninfo(empty, user=role, password="secret-word")
    with pytest.raises(StoreError, match=r"may not do this .* use the owner's URL"):
        migrate(theirs)
    with pytest.raises(StoreError) as caught:
        migrate("postgresql://me:secret-word@127.0.0.1:1/nowhere")
    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="in the clear"):
        migrate("postgresql://me:secret-word@db.example.com/postgres?sslmode=disable")


def test_pasting_does_what_migrating_does(databases: Databases, empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(paste_script().encode())
    with databases.fresh(migrated=False) as other:
        migrate(other)
        assert snapshot(empty) == snapshot(other)
    assert pending(empty) == []
    assert "create table public.rates" in paste_script(after="")
    assert "create table public.rates" not in paste_script(after=VERSIONS[0])


def test_the_way_to_paste_is_told() -> None:
    told = paste_instructions("https://abcdefgh.supabase.co")
    assert "https://supabase.com/dashboard/project/abcdefgh/sql/new" in told
    assert "python scripts/migrate.py --print" in told
    assert "its SQL editor" in paste_instructions("http://127.0.0.1:54321")


PIECES = ["select 1", "';' ''", '";"', "$$;$$", "$a$;$$;$a$", "-- ;\n", "/* ; */", "x", " ", "\n"]


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1).map(" ".join), max_size=5))
def test_statements_are_split_at_their_own_semicolons_only(statements: list[str]) -> None:
    expected = [statement.strip() for statement in statements if statement.strip()]
    joined = "\n;".join(statements)  # the line ends a comment that is last
    assert list(split_statements(joined)) == expected


CATALOG = """
select 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
  attcollation::regcollation::text
from pg_attribute join pg_class on pg_class.oid = attrelid
where relnamespace = any(%(schemas)s::regnamespace[]) and attnum > 0
union all select 'relation', oid::regclass::text, relkind::text, pg_get_partkeydef(oid),
  relrowsecurity, pg_get_expr(relpartbound, oid)
from pg_class where relnamespace = any(%(schemas)s::regnamespace[])
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), true, ''
from pg_constraint where connamespace = any(%(schemas)s::regnamespace[])
union all select 'index', indrelid::regclass::text, '', pg_get_indexdef(indexrelid), true, ''
from pg_index join pg_class on pg_class.oid = indexrelid
where relnamespace = any(%(schemas)s::regnamespace[])
union all select 'function', proname, proacl::text, pg_get_functiondef(oid), true, ''
from pg_proc where pronamespace = any(%(schemas)s::regnamespace[])
union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), true, ''
from pg_trigger
union all select 'rights', table_name, grantee, privilege_type, true, ''
from information_schema.table_privileges where table_schema = 'public'
order by 1, 2, 3, 4
"""
RECORD = "select version, name, statements from supabase_migrations.schema_migrations order by 1"


def snapshot(dsn: str) -> list[tuple[Any, ...]]:
    """Return all that the migrations made, the record included."""
    with psycopg.connect(dsn) as connection:
        schemas = {"schemas": ["public", "supabase_migrations"]}
        return [*connection.execute(CATALOG.encode(), schemas), *connection.execute(RECORD)]


@pytest.fixture
def push(tmp_path: Path, test_tools: Tools) -> Callable[[str], str]:
    """Run `supabase db push` of our migrations onto a URL; it writes only below a copy."""
    copytree(backend_folder() / "supabase", tmp_path / "project" / "supabase")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    environment |= {"SUPABASE_TELEMETRY_DISABLED": "1"}

    def run(dsn: str) -> str:
        line = [str(test_tools.supabase), "db", "push", "--db-url", dsn, "--yes"]
        line += ["--workdir", str(tmp_path / "project")]
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_the_supabase_command_line_makes_and_records_the_same(
    roleless: str, push: Callable[[str], str]
) -> None:
    ask_outside(roleless, "create database theirs", "create database ours")
    theirs, ours = (roleless.replace("/postgres?", f"/{name}?") for name in ("theirs", "ours"))
    make_roles(theirs)
    make_roles(ours)
    assert "Finished" in push(theirs)
    assert migrate(ours) == VERSIONS
    assert snapshot(theirs) == snapshot(ours)
    assert pending(theirs) == migrate(theirs) == []
    assert "up to date" in push(ours)


def ask_outside(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/migrate.py", *arguments],
        cwd=backend_folder(),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_migrates_any_url(empty: str) -> None:
    url = {"SUPABASE_DB_URL": empty}
    missing = script("--check", **url)
    assert (missing.returncode, missing.stdout.split()[0]) == (1, f"{VERSIONS[0]}_options_tables")
    assert script(empty).stdout.split()[1::2] == VERSIONS
    assert script(**url).stdout == "nothing to do\n"
    assert script("--check", empty).stdout == "nothing is missing\n"


def test_the_command_prints_what_to_paste_where_no_database_is_open() -> None:
    assert script("--print").stdout == paste_script()
    told = script(SUPABASE_URL="https://abcdefgh.supabase.co", SUPABASE_KEY="sb_secret_x")
    assert (told.returncode, told.stdout) == (1, "")
    assert "/abcdefgh/sql/new" in told.stderr


def test_the_command_migrates_the_embedded_database(options_home: Path) -> None:
    assert script(OPTIONS_HOME=str(options_home)).stdout.split()[1::2] == VERSIONS
