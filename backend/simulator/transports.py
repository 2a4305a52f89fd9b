"""The sockets below the web application, for what a well-behaved server never does.

uvicorn hands the `state` of an ASGI scope from its protocol object to the application; ours puts the
connection's transport there, for HTTP requests and WebSockets alike.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Scope

_TRANSPORT = "transport"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FINAL_TEXT = 0x81
_LENGTH_16, _LENGTH_64 = 126, 127


class ReachableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, its transport reachable by `transport_of`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport in the state that every scope of this connection gets."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.app_state = {**self.app_state, _TRANSPORT: transport}


def transport_of(scope: Scope) -> asyncio.Transport:
    """Return the connection below a request or a WebSocket.

    Raises:
        KeyError: The scope is not from a server with `ReachableProtocol`.
    """
    return cast("asyncio.Transport", scope["state"][_TRANSPORT])


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that its peer sees a reset."""
    held = transport.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def half_frame(payload: bytes) -> bytes:
    """Return the head of a whole WebSocket frame of text, and the first half of it."""
    size = len(payload)
    if size < _LENGTH_16:
        head = struct.pack("!BB", _FINAL_TEXT, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _FINAL_TEXT, _LENGTH_16, size)
    else:
        head = struct.pack("!BBQ", _FINAL_TEXT, _LENGTH_64, size)
    return head + payload[: size // 2]
