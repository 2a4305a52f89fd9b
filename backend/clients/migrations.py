"""Brings a database to the schema of this program: plain SQL files, applied in order.

The files stand in `supabase/migrations/<version>_<name>.sql` and are recorded as the Supabase CLI
records them (`supabase_migrations.schema_migrations`), so `supabase db push` and this module may
take turns. Names begin with `options_`; others in the same database are none of our business.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from clients.postgres_address import postgres_address
from models.errors import SchemaMissing, StoreError
from utils.paths import backend_folder

_LOCK = 5_817_320_061_122  # any number, the same for all who migrate
_PREFIX = "options_"

# As the Supabase CLI makes it.
_SCHEMA = "create schema if not exists supabase_migrations"
_TABLE = """create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key
)"""
_COLUMNS = """alter table supabase_migrations.schema_migrations
  add column if not exists statements text[],
  add column if not exists name text"""
_INSERT = "insert into supabase_migrations.schema_migrations (version, name, statements)"
_RECORD = (_SCHEMA, _TABLE, _COLUMNS)

# What a semicolon may hide in: strings, names, dollar quotes, comments.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
      | --[^\n]* | /\*.*?\*/ | ;""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        version: Fourteen digits: when it was written.
        name: What it does.
        statements: Its SQL statements, without the semicolons.
    """

    version: str
    name: str
    statements: tuple[str, ...]


def migrations(folder: Path | None = None) -> list[Migration]:
    """Return the migrations of this program, oldest first.

    Args:
        folder: Where the files stand; `supabase/migrations` when None.

    Raises:
        StoreError: They are not there.
    """
    folder = folder or backend_folder() / "supabase" / "migrations"
    found = []
    for path in sorted(folder.glob("*.sql")):
        version, _, name = path.stem.partition("_")
        statements = tuple(split_statements(path.read_text(encoding="utf-8")))
        found.append(Migration(version, name, statements))
    if not found:
        raise StoreError(f"no migrations in {folder}: this program is not whole, install it anew")
    return found


def split_statements(text: str) -> Iterator[str]:
    """Yield the statements of an SQL text, trimmed, without their semicolons.

    Semicolons in strings, quoted names, dollar quotes and comments do not count; a comment belongs
    to the statement after it.
    """
    begin = 0
    for token in _TOKEN.finditer(text):
        if token.group() == ";":
            if statement := text[begin : token.start()].strip():
                yield statement
            begin = token.end()
    if rest := text[begin:].strip():
        yield rest


def pending(dsn: str) -> list[Migration]:
    """Return the migrations that a database lacks; nothing is changed.

    Args:
        dsn: Connection URL.

    Raises:
        ConfigError: The URL is malformed, or asks for a remote server without TLS.
        SchemaMissing: Its schema is newer than this program.
        StoreError: It cannot be reached or read.
    """
    try:
        with _connected(dsn) as connection:
            return _lacking(connection)
    except psycopg.Error as error:
        raise _translated(error) from error


def migrate(dsn: str) -> list[str]:
    """Apply what a database lacks, each migration in a transaction of its own.

    Concurrent calls wait for each other.

    Args:
        dsn: Connection URL of a role that may create tables in the schema `public`.

    Returns:
        Versions that this call applied, in order.

    Raises:
        ConfigError: The URL is malformed, or asks for a remote server without TLS.
        SchemaMissing: The database's schema is newer than this program.
        StoreError: It cannot be reached, or refuses a statement.
    """
    applied: list[str] = []
    try:
        with _connected(dsn) as connection:
            for migration in _lacking(connection):
                connection.commit()
                if _apply(connection, migration):
                    applied.append(migration.version)
    except psycopg.Error as error:
        raise _translated(error) from error
    return applied


def _connected(dsn: str) -> psycopg.Connection:
    """Connect as the store does (TLS where it is not local); poolers forbid prepared statements."""
    return psycopg.connect(**postgres_address(dsn).arguments | {"prepare_threshold": None})


def _lacking(connection: psycopg.Connection) -> list[Migration]:
    known = migrations()
    recorded = _recorded(connection)
    newest = known[-1].version
    for version, name in recorded.items():
        if version > newest and name.startswith(_PREFIX):
            raise SchemaMissing(
                f"the database has schema {version}, this program knows {newest} at most: "
                "update this program",
                migration=version,
            )
    return [migration for migration in known if migration.version not in recorded]


def _recorded(connection: psycopg.Connection) -> dict[str, str]:
    """Return the name of each version that the database has."""
    has_table = connection.execute(
        "select to_regclass('supabase_migrations.schema_migrations') is not null"
    ).fetchone()
    if has_table != (True,):
        return {}
    rows = connection.execute(
        "select version, coalesce(to_jsonb(record) ->> 'name', '')"  # old CLIs had no names
        " from supabase_migrations.schema_migrations record"
    )
    return dict(rows.fetchall())


def _apply(connection: psycopg.Connection, migration: Migration) -> bool:
    """Apply one migration unless somebody else just did; return whether we did."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("set local statement_timeout = '10min'")
        for statement in _RECORD:
            connection.execute(statement.encode())
        if migration.version in _recorded(connection):
            return False
        for statement in migration.statements:
            connection.execute(statement.encode())
        connection.execute(
            f"{_INSERT} values (%s, %s, %s)".encode(),
            (migration.version, migration.name, list(migration.statements)),
        )
    return True


def _translated(error: psycopg.Error) -> StoreError:
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    if error.sqlstate == "42501":
        return StoreError(f"the database role may not do this ({said}): use the owner's URL")
    return StoreError(f"the database refuses: {said}")


def paste_script(after: str = "") -> str:
    """Return one SQL text that does by hand what `migrate` does, the record included.

    Args:
        after: Newest version that the database has; "" for none.
    """
    parts = ["begin", *_RECORD]
    for migration in migrations():
        if migration.version > after:
            parts += migration.statements
            parts.append(_recording(migration))
    return ";\n\n".join([*parts, "commit"]) + ";\n"


def paste_instructions(supabase_url: str) -> str:
    """Return the sentence that says what to paste where, when only the REST interface is open.

    Args:
        supabase_url: The project's URL, as `https://<project>.supabase.co`.
    """
    host = urlsplit(supabase_url).hostname or ""
    project = host.partition(".")[0]
    hosted = host.endswith(".supabase.co")
    editor = (
        f"https://supabase.com/dashboard/project/{project}/sql/new" if hosted else "its SQL editor"
    )
    return (
        "the database lacks this program's tables and its REST interface cannot make them: run "
        f"`python scripts/migrate.py --print`, paste what it prints into {editor} and press Run, "
        "or set SUPABASE_DB_URL and run `python scripts/migrate.py`"
    )


def _recording(migration: Migration) -> str:
    statements = ", ".join(_quoted(statement) for statement in migration.statements)
    values = f"{_quoted(migration.version)}, {_quoted(migration.name)}, array[{statements}]"
    return f"{_INSERT} values ({values})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
