"""A local Supabase interface: PostgREST before a Postgres database, behind a small gateway.

Like the hosted service it answers below `/rest/v1`, takes the old keys (JWT with a role in it) and
the new ones (`sb_publishable_...`, `sb_secret_...`), returns at most 1,000 rows a request, ends slow
statements by role, and knows the roles `anon`, `authenticated` and `service_role`.

Sources: PostgREST 12 configuration reference; Supabase, "Understanding API keys" and "Timeouts".
"""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from models.errors import StoreError

MAX_ROWS = 1000
"""Rows that one reply holds at most, as on the hosted service."""

_READY_S = 20.0
_HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "apikey"}
_BAD_KEY = {"message": "Invalid API key", "hint": "Double check your API key."}
_NO_KEY = {
    "message": "No API key found in request",
    "hint": "No `apikey` request header was found.",
}


def make_roles(dsn: str) -> None:
    """Make the roles of the hosted service, and give them what they have there.

    Tables that exist already are closed again, because that depends on the roles.

    Args:
        dsn: Connection URL of a superuser.

    Raises:
        StoreError: The database refuses.
    """
    password = sql.Literal(_authenticator_password(dsn))
    roles = {
        "anon": sql.SQL("nologin noinherit"),
        "authenticated": sql.SQL("nologin noinherit"),
        "service_role": sql.SQL("nologin noinherit bypassrls"),
        "authenticator": sql.SQL("login noinherit password {}").format(password),
    }
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("select pg_advisory_xact_lock(hashtext('options.make_roles'))")
            known = {row[0] for row in connection.execute("select rolname from pg_roles")}
            for name in roles.keys() - known:
                statement = sql.SQL("create role {} {}").format(sql.Identifier(name), roles[name])
                connection.execute(statement)
            connection.execute(_RIGHTS)
    except psycopg.Error as error:
        raise StoreError(f"the roles of the REST interface cannot be made: {error}") from error


_RIGHTS = """
grant anon, authenticated, service_role to authenticator;
alter role authenticator set statement_timeout = '8s';
alter role anon set statement_timeout = '3s';
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public
  grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public
  grant all on functions to anon, authenticated, service_role;
do $$
declare
  found record;
begin
  if to_regproc('public.options_close_table') is null then
    return;
  end if;
  for found in
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
  loop
    perform public.options_close_table(found.relname);
  end loop;
  grant execute on function
    public.ensure_month_partitions(text, timestamptz, timestamptz), public.options_schema_version()
    to service_role;
end
$$;
"""


class LocalRest:
    """A running interface; use it as a context manager.

    Attributes:
        url: What SUPABASE_URL would be.
        secret_key: New key of the service role, `sb_secret_...`.
        publishable_key: New key of the role `anon`, `sb_publishable_...`.
        service_role_key: Old key of the service role, a JWT.
        anon_key: Old key of the role `anon`, a JWT.
    """

    def __init__(self, dsn: str, program: Path, *, port: int = 0) -> None:
        """Start it.

        Args:
            dsn: Connection URL of a superuser of the database to serve; see `make_roles`.
            program: The PostgREST program.
            port: Port on 127.0.0.1; 0 takes a free one.

        Raises:
            StoreError: PostgREST does not get ready, or the port is in use.
        """
        jwt_secret = secrets.token_urlsafe(32)
        self.secret_key = f"sb_secret_{secrets.token_urlsafe(24)}"
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(24)}"
        self.service_role_key = _jwt("service_role", jwt_secret)
        self.anon_key = _jwt("anon", jwt_secret)
        upstream, admin = _free_ports(2)
        self._postgrest = _start_postgrest(dsn, program, jwt_secret, upstream, admin)
        try:
            self._gateway = _Gateway(port, upstream, self._tokens())
        except OSError as error:
            self._end_postgrest()
            raise StoreError(f"port {port} cannot be used: {error.strerror}") from error
        self.url = f"http://127.0.0.1:{self._gateway.server_port}"
        self._thread = threading.Thread(
            target=self._gateway.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        try:
            _wait_until_ready(self._postgrest, admin)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Stop answering."""
        self._gateway.shutdown()
        self._gateway.server_close()
        self._thread.join()
        self._end_postgrest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tokens(self) -> dict[str, str]:
        """Return the JWT that PostgREST is shown for each key."""
        return {
            self.secret_key: self.service_role_key,
            self.publishable_key: self.anon_key,
            self.service_role_key: self.service_role_key,
            self.anon_key: self.anon_key,
        }

    def _end_postgrest(self) -> None:
        self._postgrest.send_signal(signal.SIGTERM)
        try:
            self._postgrest.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._postgrest.kill()
            self._postgrest.wait()


class _Gateway(ThreadingHTTPServer):
    """Checks the key, swaps it for a role's JWT, and passes the request on."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, upstream: int, tokens: dict[str, str]) -> None:
        self.upstream = upstream
        self.tokens = tokens
        super().__init__(("127.0.0.1", port), _Passing)


class _Passing(BaseHTTPRequestHandler):
    """One client connection, with one connection to PostgREST behind it."""

    server: _Gateway
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=120)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        key = self.headers.get("apikey", "")
        if not self.path.startswith("/rest/v1/"):
            return self._answer(404, {}, b'{"message":"no Route matched with those values"}')
        if key not in self.server.tokens:
            return self._answer(401, {}, json.dumps(_BAD_KEY if key else _NO_KEY).encode())
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
        given = (self.headers.get("authorization") or "").removeprefix("Bearer ").strip() or key
        headers["Authorization"] = f"Bearer {self.server.tokens.get(given, given)}"
        path = self.path.removeprefix("/rest/v1")
        self._upstream.request(self.command, path, body or None, headers)
        reply = self._upstream.getresponse()
        passed = {n: v for n, v in reply.getheaders() if n.lower() not in _HOP_BY_HOP}
        return self._answer(reply.status, passed, reply.read())

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_OPTIONS = pass_on  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Write no log: a request's path may hold an account."""

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if "gzip" in self.headers.get("accept-encoding", "") and len(body) > 1024:
            body = gzip.compress(body, 1)
            headers = headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        self.send_response_only(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _jwt(role: str, secret: str) -> str:
    """Return a token of ten years signed by HS256 (RFC 7519)."""
    claims = {"iss": "local", "role": role, "exp": int(time.time()) + 315_360_000}
    parts = [
        _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signed = ".".join(parts)
    signature = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _authenticator_password(dsn: str) -> str:
    """Return the password of PostgREST's own role: the same for all who know the superuser's."""
    known = psycopg.conninfo.conninfo_to_dict(dsn).get("password") or ""
    return hmac.new(str(known).encode(), b"authenticator", hashlib.sha256).hexdigest()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _start_postgrest(
    dsn: str, program: Path, jwt_secret: str, port: int, admin: int
) -> subprocess.Popen[bytes]:
    password = _authenticator_password(dsn)
    own = psycopg.conninfo.make_conninfo(dsn, user="authenticator", password=password)
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PGRST_DB_URI": own,
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
        "PGRST_DB_POOL": "5",
        "PGRST_JWT_SECRET": jwt_secret,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
        "PGRST_ADMIN_SERVER_PORT": str(admin),
        "PGRST_LOG_LEVEL": "crit",
    }
    ends_with_us = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen(  # noqa: S603 - the caller names the program
        [*ends_with_us, str(program)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_until_ready(postgrest: subprocess.Popen[bytes], admin: int) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and postgrest.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(0.02)
    raise StoreError(
        "PostgREST does not get ready: does its role `authenticator` reach the database?"
    )
