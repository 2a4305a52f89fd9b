"""Fixtures for the whole suite: a scripted HTTP server on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import pytest


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


App: TypeAlias = Callable[[Received], Answer]


class ScriptedServer:
    """Answers each request by calling `app`; `received` keeps what came."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.received: list[Received] = []
        self.over = threading.Event()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                outer._answer(self)

            do_GET = do_POST = answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self._server.block_on_close = False
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
        wire.send_response(answer.status)
        for name, value in answer.headers.items():
            wire.send_header(name, value)
        wire.send_header("content-length", str(len(answer.body)))
        wire.end_headers()
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
