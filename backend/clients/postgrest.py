"""The REST way to the database: PostgREST, as Supabase serves it below `/rest/v1`.

Bodies go out as plain JSON, because neither PostgREST nor the hosted gateway unpacks a compressed
request; answers come back with gzip where the gateway offers it. Each request is a transaction of
its own. https://docs.postgrest.org/en/v12/
"""

import base64
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
import polars as pl

from clients.conditions import Condition
from clients.migrations import migrations, paste_instructions
from clients.postgres_health import schema_problems
from clients.postgrest_query import beyond, filters, frame, request_body, selected
from clients.store_errors import LOST_RACE, TOO_MUCH, store_error
from clients.transport import Health
from models.errors import (
    ConfigError,
    ProviderError,
    SchemaMissing,
    StoreError,
    TradingError,
    Unavailable,
)
from models.tables import TABLES, Column, Table
from utils.http import HttpSession, Patience, Reply, Request, Service

_ROWS = 5_000
_BYTES = 3 * 2**20
_PAGE = 10_000
"""Rows asked for; the server returns as few as its own cap says, which is never relied upon."""

_SERVICE = "supabase"
_ANON = (
    "SUPABASE_KEY is the public (anon) key, which reads nothing and writes nothing: take the secret "
    "key, sb_secret_..., from the project's settings, API keys"
)


class _TooMuchError(StoreError):
    """The server gave up on a request; half of it may pass."""


class PostgrestTransport:
    """Reads and writes by REST. Threads may share it.

    Args:
        url: The project's URL.
        key: Its secret key: `sb_secret_...`, or the older service_role JWT.
        patience: How long to wait and how often to ask.

    Raises:
        ConfigError: The URL cannot be used, or would send the key in the clear.
    """

    def __init__(self, url: str, key: str, *, patience: Patience | None = None) -> None:
        self._url = url
        self._key = key
        self._months: set[tuple[str, date]] = set()
        self._lock = threading.Lock()
        headers = {"apikey": key, "accept": "application/json"}
        if not key.startswith("sb_"):  # a new key is no JWT, and is refused in this header
            headers["authorization"] = f"Bearer {key}"
        service = Service(_rest_url(url), _SERVICE, headers=headers, check=_meaning)
        self._http = HttpSession(service, patience=patience or Patience(read_s=90.0))

    def upsert(self, table: Table, rows: pl.DataFrame, *, expect_empty: bool) -> int:
        """Write rows in batches; see `Transport.upsert`. `expect_empty` changes nothing here.

        An equal row is left alone by the trigger `options_equal_rows`, and not counted.
        """
        del expect_empty
        self._make_months(table, rows)
        return sum(self._write(table, batch) for batch in rows.iter_slices(_ROWS) if batch.height)

    def read(
        self,
        table: Table,
        conditions: Sequence[Condition],
        columns: Sequence[Column],
        *,
        newest: int | None = None,
    ) -> pl.DataFrame:
        """Return columns of the rows that match; see `Transport.read`."""
        key = [table.column(name) for name in table.key]
        asked = tuple(dict.fromkeys([*key, *columns]))
        lists = list(filters(conditions))
        pages = (page for terms in lists for page in self._pages(table, terms, asked, newest))
        found = frame([record for page in pages for record in page], table, asked)
        if newest:
            found = found.sort(table.key, descending=True).head(newest)
        elif len(lists) > 1:
            found = found.sort(table.key)
        return found.select(column.name for column in columns)

    def remove(self, table: Table, conditions: Sequence[Condition]) -> int:
        """Remove rows, a request for each list of filters; see `Transport.remove`."""
        removed = 0
        for terms in filters(conditions):
            reply = self._send(
                "DELETE",
                table.name,
                params={"and": f"({','.join(terms)})"},
                prefer="return=minimal,count=exact",
            )
            _, _, total = reply.headers.get("content-range", "").partition("/")
            if not total.isdigit():
                raise self._stranger()
            removed += int(total)
        return removed

    def health(self) -> Health:
        """Look at the key, the schema and the rights."""
        problems: tuple[str, ...] = ()
        schema, server = None, ""
        try:
            if _is_public(self._key):
                return Health("rest", self._place, problems=(_ANON,))
            reply = self._send("GET", "rpc/options_schema_version")
            server = reply.headers.get("server", "")
            schema = self._decoded(reply, str | None)
            problems = tuple(schema_problems(schema)) or tuple(self._refusals())
        except SchemaMissing:
            problems = (paste_instructions(self._url),)
        except StoreError as error:
            problems = (str(error),)
        return Health("rest", self._place, server, schema, problems)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def _place(self) -> str:
        return urlsplit(self._url).netloc.rpartition("@")[2]

    def _refusals(self) -> Iterator[str]:
        """Write no rows into each table: what the role may not do is refused all the same."""
        for table in TABLES.values():
            try:
                self._post_rows(table, list(table.column_names), b"[]")
            except StoreError as error:
                yield f"table {table.name}: {error}"
                return

    def _write(self, table: Table, rows: pl.DataFrame) -> int:
        """Write one batch, in halves while it is too much for one request."""
        body = request_body(table, rows)
        if rows.height == 1 or len(body) <= _BYTES:
            try:
                return self._post_rows(table, rows.columns, body)
            except _TooMuchError:
                if rows.height == 1:
                    raise
        half = rows.height // 2
        return self._write(table, rows[:half]) + self._write(table, rows[half:])

    def _post_rows(self, table: Table, columns: Sequence[str], body: bytes) -> int:
        """Post rows and return how many the server wrote."""
        reply = self._send(
            "POST",
            table.name,
            params={"on_conflict": ",".join(table.key), "columns": ",".join(columns)},
            body=body,
            prefer="resolution=merge-duplicates,return=minimal,count=exact",
        )
        _, _, total = reply.headers.get("content-range", "").partition("/")
        if not total.isdigit():
            raise self._stranger()
        return int(total)

    def _decoded(self, reply: Reply, shape: Any) -> Any:
        try:
            return msgspec.json.decode(reply.body, type=shape)
        except msgspec.DecodeError:
            raise self._stranger() from None

    def _stranger(self) -> StoreError:
        return StoreError(f"{self._place} does not answer as PostgREST does: check SUPABASE_URL")

    def _pages(
        self, table: Table, terms: list[str], columns: Sequence[Column], newest: int | None
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield pages by key until one is empty, or the newest rows alone."""
        direction = "desc" if newest else "asc"
        params = {
            "select": selected(columns),
            "order": ",".join(f"{name}.{direction}" for name in table.key),
            "limit": str(newest or _PAGE),
        }
        after: list[str] = []
        while True:
            wanted = [*terms, *after]
            only = {"and": f"({','.join(wanted)})"} if wanted else {}
            reply = self._send("GET", table.name, params=params | only)
            page = self._decoded(reply, list[dict[str, Any]])
            if page:
                yield page
            if newest or not page:
                return
            after = beyond(table.key, page[-1])

    def _make_months(self, table: Table, rows: pl.DataFrame) -> None:
        """Make the monthly partitions that the rows need."""
        if table.partition is None or rows.is_empty():
            return
        months = rows[table.partition].dt.truncate("1mo").dt.date().unique()
        for month in months:
            if (table.name, month) in self._months:
                continue
            start = datetime(month.year, month.month, 1, tzinfo=UTC)
            asked = {"parent": table.name, "first_ts": start, "last_ts": start}
            self._send("POST", "rpc/ensure_month_partitions", body=msgspec.json.encode(asked))
            with self._lock:
                self._months.add((table.name, month))

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        prefer: str = "",
    ) -> Reply:
        """Ask; every request here reads, or is the same twice as once, and so may be repeated."""
        headers = {"content-type": "application/json"} if body is not None else {}
        if prefer:
            headers["prefer"] = prefer
        request = Request(method, path, params or {}, body, headers, retry=True)
        try:
            return self._http.send(request)
        except ProviderError as error:
            raise StoreError(f"{error}; what was written before stays") from None


def _rest_url(url: str) -> str:
    """Return where PostgREST answers, for a project's URL with or without `/rest/v1`."""
    parts = urlsplit(url.strip())
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError("SUPABASE_URL is not a URL: set it as https://<project>.supabase.co")
    if parts.scheme == "http" and not _is_local(host):
        raise ConfigError(
            f"SUPABASE_URL would send the key to {host} in the clear: begin it with https://"
        )
    path = parts.path.rstrip("/").removesuffix("/rest/v1")
    return f"{parts.scheme}://{parts.netloc}{path}/rest/v1/"


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(key: str) -> bool:
    """Say whether a key is meant for web pages, as far as it tells itself."""
    if key.startswith("sb_"):
        return key.startswith("sb_publishable_")
    try:
        claims = key.split(".")[1]
        padded = claims + "=" * (-len(claims) % 4)
        return bool(msgspec.json.decode(base64.urlsafe_b64decode(padded))["role"] == "anon")
    except (IndexError, KeyError, TypeError, ValueError):
        return False


def _meaning(what: str, reply: Reply) -> TradingError | None:
    """Return the error that a reply means.

    Source: PostgREST 12, "Errors": a JSON object with `code`, `message`, `details`, `hint`; its
    `details` may show a row and are left out.
    """
    if reply.status < 300:
        return None
    code, said = _code(reply)
    message = f"{_SERVICE} answered {reply.status} to {what}"
    if code in LOST_RACE or (reply.status in {502, 503, 504, 520, 522, 524} and code != "57014"):
        text = f"{message}: it is out of order, try again later"
        return Unavailable(text, provider=_SERVICE, status=reply.status, retryable=True)
    error = store_error(code, said, newest_migration=migrations()[-1].version)
    if code in TOO_MUCH:
        return _TooMuchError(str(error))
    return error


def _code(reply: Reply) -> tuple[str, str]:
    """Return code and message of an error body, or the status where there is none."""
    try:
        body = msgspec.json.decode(reply.body)
        said = str(body["message"])
        code = body.get("code") or ("PGRST301" if reply.status == 401 else reply.status)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return str(reply.status), f"HTTP status {reply.status}"
    return str(code), said
