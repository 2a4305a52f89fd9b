"""What a role and a schema lack, asked by SQL."""

from psycopg import Connection

from clients.migrations import migrations
from clients.postgres_address import PostgresAddress
from clients.transport import Health
from models.tables import TABLES

# A comma in has_table_privilege means "any of", so each right is asked by itself.
_RIGHTS = """
select name, bool_and(has_table_privilege(place, wanted)), bool_or(row_security_active(place))
from unnest(%s::text[]) as name, to_regclass('public.' || quote_ident(name)) as place,
  unnest(array['select', 'insert', 'update']) as wanted
where place is not null
group by name
"""

_VERSION = """
select current_setting('server_version'), current_user,
  coalesce(has_function_privilege(to_regprocedure('public.options_schema_version()'), 'execute'),
    false)
"""


def health(session: Connection[tuple[object, ...]], address: PostgresAddress) -> Health:
    """Return what a connected role finds.

    Raises:
        psycopg.Error: The server failed.
    """
    server, role, may_ask = session.execute(_VERSION).fetchone() or ("", "", False)
    schema = None
    if may_ask:
        found = session.execute("select public.options_schema_version()").fetchone()
        schema = str(found[0]) if found and found[0] else None
    tables = session.execute(_RIGHTS, (list(TABLES),)).fetchall()
    problems = [*schema_problems(schema, known=len(tables) == len(TABLES) and not may_ask)]
    denied = sorted(str(name) for name, may, _ in tables if not may)
    hidden = sorted(str(name) for name, may, filtered in tables if may and filtered)
    if denied:
        problems.append(
            f"the role {role} may not read and write {_some(denied)}: use the owner's URL"
        )
    if hidden:
        problems.append(
            f"row-level security hides the rows of {_some(hidden)} from the role {role}: "
            "use the owner's URL"
        )
    return Health("sql", address.place, str(server), schema, tuple(problems))


def schema_problems(schema: str | None, *, known: bool = False) -> list[str]:
    """Return what is wrong with a schema of this version.

    Args:
        schema: Newest migration of ours in the database, or None.
        known: All tables are there, and only the version cannot be asked.
    """
    newest = migrations()[-1].version
    if schema is None:
        if known:
            return []
        return ["the database lacks this program's tables: run `python scripts/migrate.py`"]
    if schema < newest:
        lag = f"the database has schema {schema} and this program needs {newest}"
        return [f"{lag}: run `python scripts/migrate.py`"]
    if schema > newest:
        lead = f"the database has schema {schema} and this program knows {newest} at most"
        return [f"{lead}: update this program"]
    return []


def _some(names: list[str]) -> str:
    """Return the first names and how many more there are."""
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more tables" if rest > 0 else "")
