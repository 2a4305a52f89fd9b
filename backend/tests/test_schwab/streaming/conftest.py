"""A scripted streamer on a real WebSocket, and streams of ours that listen to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from schwab_integration.streaming import SchwabStream
from schwab_integration.trader_replies import StreamerTerms
from utils.sockets import SocketPatience

if TYPE_CHECKING:
    from schwab_integration.config import SchwabSettings

QUICK = SocketPatience(silence_s=20, first_wait_s=0.01, longest_wait_s=0.05, attempts=8)

Script = Callable[[dict[str, Any], int], "tuple[int, str] | list[bytes | None] | None"]
"""(request, number of the connection) -> code and words, or frames to send (None closes), or None
for success."""


class FakeStreamer:
    """Answers as Schwab's streamer; remembers what it was asked.

    Attributes:
        requests: Every request, with the number of its connection under "connection".
    """

    def __init__(self, script: Script | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.script = script
        self.connections: list[ServerConnection] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, ping_interval=None)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        number = len(self.connections)
        try:
            async for text in connection:
                for request in json.loads(text)["requests"]:
                    self.requests.append(request | {"connection": number})
                    self._news.set()
                    await self._answer(connection, request, number)
        except ConnectionClosed:
            return

    async def _answer(
        self, connection: ServerConnection, request: dict[str, Any], number: int
    ) -> None:
        scripted = self.script(request, number) if self.script else None
        if isinstance(scripted, list):
            for frame in scripted:
                if frame is None:
                    await connection.close(1000)
                    return
                await connection.send(frame.decode())
            return
        code, words = scripted or (0, f"{request['command']} command succeeded")
        await connection.send(response(request, code, words).decode())
        if code == 3:
            await connection.close(1000)

    async def tell(self, *frames: bytes) -> None:
        for frame in frames:
            await self.connections[-1].send(frame.decode())

    async def asked(self, count: int, command: str | None = None) -> list[dict[str, Any]]:
        """Return the requests of a kind once there are so many."""
        async with asyncio.timeout(20):
            while True:
                found = [r for r in self.requests if command in {None, r["command"]}]
                if len(found) >= count:
                    return found
                self._news.clear()
                await self._news.wait()


def response(request: dict[str, Any], code: int = 0, words: str = "") -> bytes:
    content = {"code": code, "msg": words}
    told = {name: request[name] for name in ("service", "command", "requestid")}
    return json.dumps({"response": [{**told, "timestamp": 1, "content": content}]}).encode()


def data(service: str, timestamp: int, *items: dict[str, Any]) -> bytes:
    batch = {"service": service, "timestamp": timestamp, "command": "SUBS", "content": list(items)}
    return json.dumps({"data": [batch]}).encode()


class Wire:
    """Frames as the streamer writes them."""

    data = staticmethod(data)
    response = staticmethod(response)

    @staticmethod
    def notice(code: int, words: str = "") -> bytes:
        content = {"code": code, "msg": words}
        return json.dumps(
            {"notify": [{"service": "ADMIN", "timestamp": 1, "content": content}]}
        ).encode()

    @staticmethod
    def heartbeat(ms: int = 1_795_201_200_000) -> bytes:
        return json.dumps({"notify": [{"heartbeat": str(ms)}]}).encode()


class Tokens:
    """Access tokens without a network."""

    def __init__(self) -> None:
        self.given = "token-1"
        self.rejected: list[str] = []

    def access_token(self) -> str:
        return self.given

    def renew(self, rejected: str) -> str:
        self.rejected.append(rejected)
        self.given = f"token-{len(self.rejected) + 1}"
        return self.given


@pytest.fixture
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
def streamer() -> type[FakeStreamer]:
    return FakeStreamer


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def meeting() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    folder = tempfile.mkdtemp(prefix="st-", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def make_stream(
    make_settings: Callable[..., SchwabSettings], tokens: Tokens, meeting: Path
) -> Callable[..., SchwabStream]:
    def make(url: str, **more: Any) -> SchwabStream:
        terms = StreamerTerms(
            streamer_socket_url=url,
            schwab_client_customer_id="C" * 64,
            schwab_client_correl_id="correl",
            schwab_client_channel="N9",
            schwab_client_function_id="APIAPP",
        )
        given: dict[str, Any] = {"auth": tokens, "terms": lambda: terms, "folder": meeting}
        return SchwabStream(make_settings(), patience=more.pop("patience", QUICK), **(given | more))

    return make
