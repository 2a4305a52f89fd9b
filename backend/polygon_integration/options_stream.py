"""Polygon's live stream: trades, quotes, bars and fair values of options and their underlyings.

The service allows one connection a market and evicts the older of two, so an eviction is named and
never fought. Bars and trades are never dropped; of quotes a slow listener gets the newest.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from models.errors import AuthError, Disconnected, StreamError, SubscriptionRefused, TradingError
from models.events import MarketEvent, Quote
from polygon_integration.channels import Channel, check_channels
from polygon_integration.config import PROVIDER, PolygonSettings
from polygon_integration.refusals import KEYS
from polygon_integration.stream_decode import Status, StreamReader
from utils.feed import Feed, conflation_key
from utils.sockets import Endpoint, Socket, SocketPatience, keep_connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

_log = logging.getLogger(__name__)

MARKETS: Final = ("options", "stocks", "indices")
"""Each is a connection of its own."""

CHANNELS_A_MESSAGE: Final = 200
"""Subscriptions in one message; nobody documents a limit."""

SILENCE_S: Final = 180.0
"""A market can be quiet for minutes before the open; pings tell that the line stands."""

NOT_ENTITLED_CODE: Final = 403
"""Code of a `SubscriptionRefused`: the wire has words alone."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which the stream was lost.

    Attributes:
        start_ns: Time of the newest event before it, UTC.
        channels: What was subscribed to.
    """

    start_ns: int
    channels: tuple[Channel, ...]


Heal: TypeAlias = "Callable[[Gap], Awaitable[Sequence[MarketEvent]]]"
"""Fetches what a gap lacks, by other means."""


class PolygonStream:
    """One connection to one market, within one event loop.

    Args:
        settings: Where Polygon is and who we are.
        market: options, stocks or indices.
        patience: How long to wait.
        heal: Asked for what was missed after each loss; None leaves gaps to the flat files.

    Attributes:
        reader: Counts messages that could not be used.
        losses: Connections lost so far.

    Raises:
        ConfigError: The key is missing.
    """

    def __init__(
        self,
        settings: PolygonSettings,
        *,
        market: str = "options",
        patience: SocketPatience | None = None,
        heal: Heal | None = None,
    ) -> None:
        self._key = settings.key()
        url = f"{settings.stream_url}/{market}"
        self._endpoint = Endpoint(url, PROVIDER, ca_file=settings.ca_file)
        self._market = market
        self._patience = patience or SocketPatience(silence_s=SILENCE_S)
        self._heal = heal
        self._wanted: dict[Channel, None] = {}
        self._socket: Socket | None = None
        self._feed: Feed[MarketEvent] = Feed()
        self._newest_ns = 0
        self.reader = StreamReader()
        self.losses = 0

    async def listen(self, channels: Iterable[Channel]) -> AsyncIterator[MarketEvent]:
        """Yield events of these channels, through lost connections, until the caller leaves.

        A bar that is sent again replaces the one of the same start.

        Raises:
            DataError: A channel cannot be subscribed to, or there are too many.
            AuthError: The key is not accepted.
            SubscriptionRefused: The plan does not include a channel.
            StreamError: Another program of the same key has taken the connection.
        """
        await self.watch(channels)
        running = asyncio.create_task(self._run())
        try:
            async for event in self._feed:
                yield event
        finally:
            running.cancel()
            await asyncio.wait([running])

    @property
    def watched(self) -> tuple[Channel, ...]:
        """What is subscribed to now."""
        return tuple(self._wanted)

    async def watch(self, channels: Iterable[Channel]) -> None:
        """Subscribe to these channels in place of the present ones; what stays is not touched.

        Raises:
            DataError: A channel cannot be subscribed to, or there are too many.
        """
        wanted = dict.fromkeys(channels)
        check_channels(list(wanted))
        gone = [channel for channel in self._wanted if channel not in wanted]
        new = [channel for channel in wanted if channel not in self._wanted]
        self._wanted = wanted
        if self._socket:
            try:
                await _ask(self._socket, "unsubscribe", gone)
                await _ask(self._socket, "subscribe", new)
            except Disconnected:
                _log.info("the connection went while subscribing; the next one gets it all")

    async def _run(self) -> None:
        try:
            await keep_connected(
                self._where, self._session, patience=self._patience, on_loss=self._lost
            )
        except TradingError as error:
            self._feed.close(error)

    async def _where(self) -> Endpoint:
        return self._endpoint

    def _lost(self, _error: TradingError) -> None:
        self.losses += 1

    async def _session(self, socket: Socket) -> None:
        await self._signed_in(socket)
        await _ask(socket, "subscribe", list(self._wanted))
        socket.prove()
        self._socket = socket
        healing = asyncio.create_task(self._healed()) if self.losses else None
        try:
            while True:
                self._take(await socket.receive())
        finally:
            self._socket = None
            if healing:
                healing.cancel()

    async def _signed_in(self, socket: Socket) -> None:
        """Wait for the greeting, send the key, wait for the answer.

        Raises:
            AuthError: The key is not accepted.
        """
        await self._status(socket)
        await socket.send(msgspec.json.encode({"action": "auth", "params": self._key}))
        answer = await self._status(socket)
        if answer.status == "auth_failed":
            raise AuthError(f"Polygon's stream does not accept the API key: set {KEYS}")
        self._notice(answer)
        if answer.status != "auth_success":
            raise Disconnected(f"Polygon's stream answered {answer.status} to the sign-in")

    async def _status(self, socket: Socket) -> Status:
        """Return the next status; data that overtakes it is kept."""
        while True:
            found: Status | None = None
            for event in self.reader.read(await socket.receive()):
                if isinstance(event, Status) and found is None:
                    found = event
                else:
                    self._keep(event)
            if found:
                return found

    def _take(self, frame: bytes) -> None:
        for event in self.reader.read(frame):
            self._keep(event)

    def _keep(self, event: MarketEvent | Status) -> None:
        if isinstance(event, Status):
            self._notice(event)
            return
        self._newest_ns = max(self._newest_ns, event.time_ns)
        self._feed.put(event, conflation_key(event) if isinstance(event, Quote) else None)

    def _notice(self, status: Status) -> None:
        """Act on what the server says.

        Raises:
            StreamError: Another program has the connection now.
            SubscriptionRefused: The plan does not include a channel.
        """
        if status.status == "max_connections":
            raise StreamError(
                f"another program with the same key has taken Polygon's {self._market} stream: "
                "stop it, or let this one read from it"
            )
        if status.status == "error" and "authorized" in status.message.lower():
            raise SubscriptionRefused(
                f"your Polygon plan does not include what was subscribed to: {status.message}",
                code=NOT_ENTITLED_CODE,
            )
        if status.status in {"error", "slow_consumer", "force_disconnect", "auth_timeout"}:
            _log.warning("Polygon's stream says %s: %s", status.status, status.message)

    async def _healed(self) -> None:
        if not (self._heal and self._newest_ns):
            return
        try:
            missed = await self._heal(Gap(self._newest_ns, tuple(self._wanted)))
        except TradingError as error:
            _log.warning("what the stream missed is not to be had now: %s", error)
            return
        for event in missed:
            self._feed.put(event)


async def _ask(socket: Socket, action: str, channels: Sequence[Channel]) -> None:
    for n in range(0, len(channels), CHANNELS_A_MESSAGE):
        params = ",".join(channel.text for channel in channels[n : n + CHANNELS_A_MESSAGE])
        await socket.send(msgspec.json.encode({"action": action, "params": params}))
