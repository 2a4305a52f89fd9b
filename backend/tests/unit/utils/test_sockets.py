"""The reconnecting WebSocket against real servers: what each failure is called."""

import asyncio
import http
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from models.errors import (
    AuthError,
    ConfigError,
    Disconnected,
    RateLimited,
    TradingError,
    Unavailable,
)
from utils.sockets import Endpoint, Socket, SocketPatience, keep_connected, opened

SECRET = "s3cret-key"
QUICK = SocketPatience(
    connect_s=5, silence_s=0.3, first_wait_s=0.001, longest_wait_s=0.002, attempts=4
)


def endpoint(server: Server, scheme: str = "ws", **more: Any) -> Endpoint:
    port = server.sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {SECRET}"}
    return Endpoint(f"{scheme}://127.0.0.1:{port}/feed", "acme", headers=headers, **more)


async def use(where: Endpoint, session: Callable[[Socket], Awaitable[None]], **more: Any) -> None:
    async def here() -> Endpoint:
        return where

    async with asyncio.timeout(20):
        await keep_connected(here, session, **({"patience": QUICK} | more))


async def receive(connection: Socket) -> None:
    await connection.receive()


async def echo(connection: ServerConnection) -> None:
    async for text in connection:
        await connection.send(text)


def test_messages_go_both_ways_as_bytes() -> None:
    async def session(connection: Socket) -> None:
        await connection.send(b'{"a":1}')
        assert await connection.receive() == b'{"a":1}'

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            await use(endpoint(server), session)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthError), (403, AuthError), (429, RateLimited), (503, Disconnected)],
)
def test_a_refused_handshake(status: int, error: type[TradingError]) -> None:
    asked = 0

    def refuse(connection: ServerConnection, _request: Any) -> Any:
        nonlocal asked
        asked += 1
        return connection.respond(http.HTTPStatus(status), "no")

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
            with pytest.raises(error, match=str(status)) as caught:
                await use(endpoint(server), receive)
            assert SECRET not in str(caught.value)

    asyncio.run(run())
    assert asked == (1 if error is AuthError else 4)


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        where = Endpoint(f"ws://127.0.0.1:{held.getsockname()[1]}", "acme")
        with pytest.raises(Disconnected, match="refused"):
            asyncio.run(use(where, receive))


@pytest.mark.parametrize("url", ["", "http://x", "ws://", "wss:///x", "ws://[x", "nonsense"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="ws://"):
        asyncio.run(use(Endpoint(url, "acme"), receive))


def test_an_unreadable_certificate_file(tmp_path: Path) -> None:
    where = Endpoint("wss://127.0.0.1:1", "acme", ca_file=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"none\.pem"):
        asyncio.run(use(where, receive))


def test_a_certificate_that_is_not_trusted_is_not_tried_again(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def session(connection: Socket) -> None:
        await connection.send("x")
        await connection.receive()

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
            with pytest.raises(Unavailable, match="not trusted"):
                await use(endpoint(server, "wss"), session)
            await use(endpoint(server, "wss", ca_file=certificate), session)

    asyncio.run(run())


def test_silence_is_a_lost_connection_although_pings_are_answered() -> None:
    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, ping_interval=0.05) as server:
            with pytest.raises(Disconnected, match=r"silent for 0\.3 s"):
                await use(endpoint(server), receive)

    asyncio.run(run())


def test_waits_grow_and_a_session_that_stood_begins_them_anew() -> None:
    waits: list[float] = []
    sessions = 0

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def session(connection: Socket) -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 4:
            connection.prove()
        if sessions == 7:
            return
        await connection.receive()

    async def close(connection: ServerConnection) -> None:
        await connection.close(1011, SECRET)

    async def run() -> None:
        async with serve(close, "127.0.0.1", 0) as server:
            patience = SocketPatience(first_wait_s=1, longest_wait_s=3)
            losses: list[TradingError] = []
            more: dict[str, Any] = {"sleep": sleep, "on_loss": losses.append}
            await use(endpoint(server), session, patience=patience, **more)
            assert len(losses) == 6
            assert all("code 1011" in str(loss) for loss in losses)
            assert SECRET not in "".join(map(str, losses))

    asyncio.run(run())
    for wait, doubled in zip(waits, [1, 2, 3, 1, 2, 3], strict=True):
        assert doubled / 2 <= wait <= doubled


def test_what_no_new_connection_mends_is_not_tried_again() -> None:
    asked = 0

    async def session(_connection: Socket) -> None:
        nonlocal asked
        asked += 1
        raise AuthError("no")

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            with pytest.raises(AuthError):
                await use(endpoint(server), session)

    asyncio.run(run())
    assert asked == 1


def test_a_message_too_long_ends_the_connection() -> None:
    async def long(connection: ServerConnection) -> None:
        await connection.send("x" * 2000)
        await connection.wait_closed()

    async def run() -> None:
        async with serve(long, "127.0.0.1", 0) as server:
            with pytest.raises(Disconnected):
                async with opened(endpoint(server, most_bytes=1000), QUICK) as connection:
                    await connection.receive()

    asyncio.run(run())


def test_no_header_in_what_a_log_may_show() -> None:
    assert SECRET not in repr(Endpoint("ws://x", "acme", headers={"key": SECRET}))
