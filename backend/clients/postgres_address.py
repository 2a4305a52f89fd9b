"""How to connect to a Postgres URL: TLS wherever it is not local, and what a pooler forbids."""

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from models.errors import ConfigError

_TRANSACTION_POOLER_PORT = "6543"
"""Of Supabase's pooler: each transaction may run on another server connection, so that prepared
statements are forbidden. https://supabase.com/docs/guides/database/connecting-to-postgres"""

_ENCRYPTED = ("require", "verify-ca", "verify-full")
_FOREIGN = frozenset({"pgbouncer", "connection_limit", "pool_timeout", "supa"})
"""Parameters that other programs put into the same URL and libpq refuses."""

_HINT = "set it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %-escapes in the password"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where and how to connect.

    Attributes:
        arguments: For `psycopg.connect`; they hold the password.
        place: Host, port and database, to be shown.
        transaction_pooler: Prepared statements and session state are forbidden.
        local: The server is on this machine.
    """

    arguments: dict[str, Any] = field(repr=False)
    place: str
    transaction_pooler: bool
    local: bool


def postgres_address(url: str) -> PostgresAddress:
    """Return how to connect to a URL or `key=value` text.

    TLS: whatever is not local gets `sslmode=require`, or `verify-full` when a root certificate is
    named (`sslrootcert` or `PGSSLROOTCERT`).

    Raises:
        ConfigError: The text is no address, or asks for a remote server without TLS.
    """
    given = _parsed(url)
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", "")
    port = given.get("port") or os.environ.get("PGPORT", "5432")
    local = all(_is_local(name) for name in [*host.split(","), given.get("hostaddr") or ""])
    if not local:
        given["sslmode"] = _remote_sslmode(host, given)
    pooled = _TRANSACTION_POOLER_PORT in port.split(",")
    arguments: dict[str, Any] = {"connect_timeout": "10", "application_name": "options-backend"}
    arguments |= {"hostaddr": ""} | given  # else libpq takes PGHOSTADDR, whatever the host
    if pooled:
        arguments["prepare_threshold"] = None
    shown = host if host and not host.startswith("/") else "this machine"
    place = f"{shown}:{port}/{given.get('dbname') or 'postgres'}"
    return PostgresAddress(arguments, place, pooled, local)


def _parsed(url: str) -> dict[str, Any]:
    """Return the parameters of an address; the parser's own words would show the password."""
    try:
        return {k: str(v) for k, v in conninfo_to_dict(_without_foreign(url)).items() if v}
    except (psycopg.ProgrammingError, ValueError, UnicodeError):
        raise ConfigError(f"SUPABASE_DB_URL is not a Postgres address: {_HINT}") from None


def _without_foreign(url: str) -> str:
    """Return the URL without parameters that are none of libpq's."""
    place, mark, query = url.partition("?")
    if not mark or "://" not in place:
        return url
    pairs = [pair for pair in query.split("&") if pair.partition("=")[0] not in _FOREIGN]
    return f"{place}?{'&'.join(pairs)}"


def _remote_sslmode(host: str, given: dict[str, Any]) -> str:
    mode = given.get("sslmode")
    if mode in _ENCRYPTED:
        return str(mode)
    if mode is not None:
        raise ConfigError(
            f"SUPABASE_DB_URL says sslmode={mode}, which would send the password to {host} in the "
            "clear: take it out, or say sslmode=require"
        )
    has_root = given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    return "verify-full" if has_root else "require"


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
