"""One WebSocket that connects again by itself: timeouts, a watch on silence, errors translated once.

Nothing here knows a provider: what is sent after connecting (a sign-in, subscriptions) is the
`session` that the adapter hands in. It is run again on every new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from models.errors import (
    AuthError,
    ConfigError,
    Disconnected,
    RateLimited,
    TradingError,
    Unavailable,
)
from utils.logs import quiet_http

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

_log = logging.getLogger(__name__)

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits some seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect.

    Attributes:
        url: `ws://` or `wss://`; keys do not belong into it.
        provider: Its name, for errors.
        ca_file: PEM file of the only certificate authorities to trust; None trusts the usual.
        headers: Sent with the handshake.
        most_bytes: A longer message ends the connection.
    """

    url: str
    provider: str
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    most_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SocketPatience:
    """How long to wait, in seconds.

    Attributes:
        connect_s: For a connection, its handshake included.
        send_s: Until the network takes a message.
        silence_s: A connection that says nothing for so long is given up, ping or no ping.
        first_wait_s: Wait before the second attempt; doubles each time, and half of it is random.
        longest_wait_s: No wait is longer.
        attempts: Failures in a row that are borne; None bears any number.
    """

    connect_s: float = 10.0
    send_s: float = 10.0
    silence_s: float = 30.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    attempts: int | None = None


class Socket:
    """One open connection."""

    def __init__(
        self, connection: ClientConnection, endpoint: Endpoint, patience: SocketPatience
    ) -> None:
        self._connection = connection
        self._provider = endpoint.provider
        self._patience = patience
        self.proved = False

    def prove(self) -> None:
        """Say that the session stands: the next failure is the first of a new row."""
        self.proved = True

    async def send(self, text: str | bytes) -> None:
        """Send one text message.

        Raises:
            Disconnected: The connection is gone, or takes nothing for `send_s`.
        """
        body = text if isinstance(text, str) else text.decode()
        try:
            async with asyncio.timeout(self._patience.send_s):
                await self._connection.send(body)
        except TimeoutError:
            message = f"the {self._provider} stream takes no messages any more"
            raise Disconnected(message) from None
        except ConnectionClosed as error:
            raise self._closed(error) from None

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            Disconnected: The connection is gone, or silent for `silence_s`.
        """
        try:
            async with asyncio.timeout(self._patience.silence_s):
                return await self._connection.recv(decode=False)
        except TimeoutError:
            message = (
                f"the {self._provider} stream was silent for {self._patience.silence_s:g} s, "
                "without a heartbeat"
            )
            raise Disconnected(message) from None
        except ConnectionClosed as error:
            raise self._closed(error) from None

    async def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(TimeoutError, WebSocketException, OSError):
            async with asyncio.timeout(self._patience.send_s):
                await self._connection.close()

    def _closed(self, error: ConnectionClosed) -> Disconnected:
        code = error.rcvd.code if error.rcvd else None
        how = f"with code {code}" if code else "without a word"
        return Disconnected(f"the {self._provider} stream's server closed the connection {how}")


Session: TypeAlias = Callable[[Socket], Awaitable[None]]
"""Uses an open connection; returns when it is no longer wanted."""


@asynccontextmanager
async def opened(
    endpoint: Endpoint, patience: SocketPatience | None = None
) -> AsyncIterator[Socket]:
    """Open one connection and close it at the end.

    Raises:
        ConfigError: The URL or the certificate file cannot be used.
        AuthError: The server refuses us in the handshake.
        RateLimited: The server has too many connections of ours.
        Unavailable: Asking again does not mend it, as a certificate that is not trusted.
        Disconnected: There was no connection to be had, now.
    """
    waits = patience or SocketPatience()
    connection = await _connected(endpoint, waits)
    socket = Socket(connection, endpoint, waits)
    try:
        yield socket
    finally:
        await socket.close()


async def keep_connected(
    where: Callable[[], Awaitable[Endpoint]],
    session: Session,
    *,
    patience: SocketPatience | None = None,
    sleep: Sleep = asyncio.sleep,
    on_loss: Callable[[TradingError], None] | None = None,
) -> None:
    """Connect, run the session, and do so again whenever the connection is lost.

    Args:
        where: Asked before each attempt, since addresses and sign-ins change.
        session: Returns to end it all.
        patience: How long to wait.
        sleep: Waits between attempts.
        on_loss: Told of each loss that is borne.

    Raises:
        TradingError: Whatever `where` or `session` raise that no new connection mends: all but
            `Disconnected` and a retryable `ProviderError`; those too after `attempts` in a row.
    """
    waits = patience or SocketPatience()
    failures = 0
    while True:
        socket: Socket | None = None
        try:
            async with opened(await where(), waits) as socket:
                return await session(socket)
        except TradingError as error:
            if not (isinstance(error, Disconnected) or getattr(error, "retryable", False)):
                raise
            failures = 1 if socket and socket.proved else failures + 1
            if waits.attempts is not None and failures >= waits.attempts:
                raise
            pause = _pause(waits, failures, getattr(error, "retry_after_s", None))
            _log.warning("%s; connecting again in %.1f s (attempt %d)", error, pause, failures)
            if on_loss:
                on_loss(error)
        await sleep(pause)


def _pause(waits: SocketPatience, failures: int, named: float | None) -> float:
    doubled = waits.first_wait_s * 2.0 ** min(failures - 1, 30)
    pause = min(doubled, waits.longest_wait_s) * (0.5 + random.random() / 2)  # noqa: S311 - spreads
    return max(pause, named or 0.0)


async def _connected(endpoint: Endpoint, patience: SocketPatience) -> ClientConnection:
    host = _host(endpoint)
    quiet_http()  # the library writes whole messages at DEBUG, a sign-in's token among them
    try:
        return await connect(
            endpoint.url,
            ssl=_trust(endpoint),
            open_timeout=patience.connect_s,
            close_timeout=patience.send_s,
            additional_headers=endpoint.headers,
            user_agent_header="options-backend",
            max_size=endpoint.most_bytes,
            proxy=None if _is_local(host) else True,
        )
    except InvalidURI:
        raise ConfigError(_bad_url(endpoint)) from None
    except InvalidStatus as error:
        raise _refusal(endpoint, error.response.status_code) from None
    except ssl.SSLCertVerificationError:
        message = (
            f"the {endpoint.provider} stream at {host} has a TLS certificate that is not trusted"
        )
        raise Unavailable(message, provider=endpoint.provider) from None
    except TimeoutError:
        raise _unreachable(endpoint, host, "it did not answer in time") from None
    except ConnectionRefusedError:
        raise _unreachable(endpoint, host, "the connection was refused") from None
    except (OSError, WebSocketException, EOFError):
        raise _unreachable(endpoint, host, "the connection broke") from None


def _unreachable(endpoint: Endpoint, host: str, why: str) -> Disconnected:
    return Disconnected(f"the {endpoint.provider} stream at {host} cannot be reached: {why}")


def _refusal(endpoint: Endpoint, status: int) -> TradingError:
    said = f"the {endpoint.provider} stream answered {status} to the handshake"
    if status in {401, 403}:
        return AuthError(f"{said}: it does not accept us")
    if status == 429:
        return RateLimited(f"{said}: too many connections", provider=endpoint.provider)
    return Disconnected(said)


def _bad_url(endpoint: Endpoint) -> str:
    return (
        f"the {endpoint.provider} stream's address must start with ws:// or wss:// and name a host"
    )


def _host(endpoint: Endpoint) -> str:
    try:
        parts = urlsplit(endpoint.url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"ws", "wss"}:
        raise ConfigError(_bad_url(endpoint))
    return host


def _is_local(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _trust(endpoint: Endpoint) -> ssl.SSLContext | None:
    if not endpoint.url.startswith("wss:"):
        return None
    try:
        return ssl.create_default_context(
            cafile=str(endpoint.ca_file) if endpoint.ca_file else None
        )
    except (OSError, ssl.SSLError):
        message = f"{endpoint.ca_file} is not a readable PEM file of certificate authorities"
        raise ConfigError(message) from None
