"""An HTTP CONNECT listener: the way to the simulator for programs in any language.

`HTTPS_PROXY=http://127.0.0.1:PORT` makes nearly every HTTP library ask it for a tunnel to
`host:443`. Names of the services that the simulator stands in for lead to its HTTPS port; every other
name is refused with a sentence, so that a program under test reaches nothing real.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from simulator.hosts import REAL_HOSTS

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

_HEAD_LIMIT = 16 * 1024
_HEAD_TIMEOUT_S = 10.0
_PIECE = 64 * 1024


@contextlib.asynccontextmanager
async def connect_listener(held: socket.socket, https_port: int) -> AsyncIterator[None]:
    """Answer CONNECT requests on a bound socket while the block runs.

    Args:
        held: Bound and listening.
        https_port: Where the allowed names lead to, on the same address.
    """
    address = held.getsockname()[0]
    open_tunnels: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as one
        open_tunnels.add(task)
        try:
            await _visit(reader, writer, address, https_port)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # the visitor hung up, or says nothing that can be answered
        finally:
            open_tunnels.discard(task)
            writer.close()

    server = await asyncio.start_server(visited, sock=held, limit=_HEAD_LIMIT)
    try:
        yield
    finally:
        server.close()
        for task in open_tunnels:
            task.cancel()
        await asyncio.gather(*open_tunnels, return_exceptions=True)


async def _visit(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, https_port: int
) -> None:
    async with asyncio.timeout(_HEAD_TIMEOUT_S):
        head = await reader.readuntil(b"\r\n\r\n")
    problem = _problem(head)
    if problem:
        writer.write(_refusal(*problem))
        await writer.drain()
        return
    to_reader, to_writer = await asyncio.open_connection(address, https_port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(reader, to_writer))
            both.create_task(_pass_on(to_reader, writer))
    except* OSError:
        pass  # one side reset the connection: so do we
    finally:
        to_writer.close()


def _problem(head: bytes) -> tuple[int, str] | None:
    """Return status and sentence of a request that gets no tunnel."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return 400, "This is no HTTP request."
    method, target, _ = words
    if method != "CONNECT":
        return 405, "The simulator's proxy makes tunnels (CONNECT) and nothing else."
    host, _, port = target.rpartition(":")
    if host.lower().rstrip(".") in REAL_HOSTS and port == "443":
        return None
    shown = target if len(target) < 100 and target.isprintable() else "this place"
    return 403, (
        f"The simulator does not stand in for {shown}, and lets nothing through to the real world: "
        f"it answers for {', '.join(REAL_HOSTS)} on port 443."
    )


def _refusal(status: int, sentence: str) -> bytes:
    body = f"{sentence}\n".encode()
    head = (
        f"HTTP/1.1 {status} Refused by the simulator\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()
