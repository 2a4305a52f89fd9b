"""The loopback ports of the simulator, and how they are served."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

import uvicorn

from models.errors import ConfigError
from simulator.transports import ReachableProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp

    from simulator.tls import Trust

HOST = "127.0.0.1"

_HIGHEST_PORT = 65535


class PortServer(uvicorn.Server):
    """One port's server; signals are taken by `stop_signals` for both.

    Attributes:
        ready: Set when it answers.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def config_of(application: ASGIApp, secured_by: Trust | None = None) -> uvicorn.Config:
    """Return how a port is served: over TLS where it is secured."""
    files: dict[str, Any] = (
        {"ssl_certfile": secured_by.leaf, "ssl_keyfile": secured_by.leaf_key} if secured_by else {}
    )
    config = uvicorn.Config(
        application,
        http=ReachableProtocol,
        ws="websockets-sansio",
        ws_ping_interval=None,  # the streamer's heartbeats tell who lives
        date_header=False,  # FaultGate writes it
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,  # requests that are being answered are finished
        **files,
    )
    config.load()  # here, where a failure is told; a server that never gets ready is waited for
    return config


def bound_ports(port: int, https_port: int | None) -> tuple[socket.socket, socket.socket]:
    """Return the bound sockets of HTTP and HTTPS.

    Args:
        port: Of HTTP; 0 takes any free one.
        https_port: Of HTTPS; None takes the next after `port`, or any free one where `port` is 0
            or the last.

    Raises:
        ConfigError: One is taken or cannot be used; then none stays bound.
    """
    secure_port = https_port
    if secure_port is None:
        secure_port = port + 1 if 0 < port < _HIGHEST_PORT else 0
    with contextlib.ExitStack() as bound:
        plain = bound.enter_context(_bound(port, "--port"))
        secure = bound.enter_context(_bound(secure_port, "--https-port"))
        bound.pop_all()  # nothing failed: they stay open
    return plain, secure


def bound_proxy(port: int | None, others: Iterable[socket.socket]) -> socket.socket | None:
    """Return the bound socket of the proxy; None where there is to be none.

    Raises:
        ConfigError: The port is taken or cannot be used; then the others are closed as well.
    """
    if port is None:
        return None
    try:
        return _bound(port, "--proxy-port")
    except ConfigError:
        for held in others:
            held.close()
        raise


def _bound(port: int, option: str) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's delay off: 40 ms less for each reply.
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
        held.listen(128)
    except OSError as error:
        held.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
        raise ConfigError(
            f"Port {port} {why}: choose another with {option}, or 0 for any."
        ) from None
    return held
