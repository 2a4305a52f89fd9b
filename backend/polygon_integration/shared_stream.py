"""Polygon's stream for all programs of a user on this machine: one connection a market.

The first program owns the connection and serves the others (`utils.stream_sharing`); when it ends,
another one takes over, and each asks by REST for what it missed meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import aclosing
from hashlib import blake2b
from typing import TYPE_CHECKING

from models.errors import TradingError
from models.events import Bar, Quote, TradeTick
from polygon_integration.channels import check_channels
from polygon_integration.options_stream import Gap, PolygonStream
from polygon_integration.stream_hub import PolygonHub, Wanted
from utils.feed import Feed, conflation_key
from utils.stream_sharing import Attachment, Lines, Place, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable
    from pathlib import Path

    from models.events import MarketEvent
    from polygon_integration.channels import Channel
    from polygon_integration.config import PolygonSettings
    from polygon_integration.options_stream import Heal
    from polygon_integration.stream_hub import PolygonListener
    from utils.sockets import SocketPatience

_log = logging.getLogger(__name__)

SERVICE = "Polygon's stream"
"""For sentences."""

LINES: Lines[Wanted] = Lines(SERVICE, Wanted, Bar | Quote | TradeTick)
"""What our programs tell each other of it."""


class SharedStream:
    """One market's stream for one listener, within one event loop.

    Args:
        settings: Where Polygon is and who we are.
        market: options, stocks or indices.
        patience: How long to wait.
        heal: Asked for what was missed after a loss; None leaves gaps to the flat files.
        folder: Where programs meet; in the state folder by default.

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
        folder: Path | None = None,
    ) -> None:
        key = blake2b(settings.key().encode(), digest_size=8).hexdigest()
        self._place = Place(SERVICE, f"{settings.stream_url}/{market} {key}", folder)
        self._settings = settings
        self._market = market
        self._patience = patience
        self._heal = heal
        self._wanted: tuple[Channel, ...] = ()
        self._hub: tuple[PolygonHub, PolygonListener] | None = None
        self._attachment: Attachment[Wanted] | None = None
        self._newest_ns = 0

    @property
    def watched(self) -> tuple[Channel, ...]:
        """What is subscribed to now."""
        return self._wanted

    async def watch(self, channels: Iterable[Channel]) -> None:
        """Subscribe to these channels in place of the present ones.

        Raises:
            DataError: A channel cannot be subscribed to, or there are too many.
        """
        self._wanted = tuple(dict.fromkeys(channels))
        check_channels(self._wanted)
        wanted = Wanted.of(self._wanted)
        if self._hub is not None:
            hub, listener = self._hub
            hub.change(listener, wanted)
        elif self._attachment is not None:
            await self._attachment.change(wanted)

    async def listen(self, channels: Iterable[Channel]) -> AsyncGenerator[MarketEvent, None]:
        """Yield events of these channels until the caller leaves; errors as of `PolygonStream`.

        Raises:
            Disconnected: The program that owns the connection does not answer.
        """
        await self.watch(channels)
        feed: Feed[MarketEvent] = Feed()
        running = asyncio.create_task(self._keep_hearing(feed))
        try:
            async for event in feed:
                yield event
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _keep_hearing(self, feed: Feed[MarketEvent]) -> None:
        """Hear from whoever owns the connection, or own it, until the stream ends."""
        healing: asyncio.Task[None] | None = None
        taken_over = False
        try:
            while True:
                with self._place.owned() as ours:
                    async with aclosing(self._own() if ours else self._attached()) as events:
                        async for event in events:
                            if taken_over:
                                taken_over, since = False, self._newest_ns
                                healing = asyncio.create_task(self._healed(feed, since))
                            self._newest_ns = max(self._newest_ns, event.time_ns)
                            key = conflation_key(event) if isinstance(event, Quote) else None
                            feed.put(event, key)
                    if ours:
                        feed.close()
                        return
                taken_over = True
        except TradingError as error:
            feed.close(error)
        finally:
            if healing is not None:
                healing.cancel()
                await asyncio.gather(healing, return_exceptions=True)

    async def _own(self) -> AsyncGenerator[MarketEvent, None]:
        """Own the connection: listen, and serve the other programs meanwhile."""
        stream = PolygonStream(
            self._settings, market=self._market, patience=self._patience, heal=self._heal
        )
        hub = PolygonHub(stream)
        listener = hub.join(Wanted.of(self._wanted))
        self._hub = hub, listener
        running = asyncio.create_task(hub.run())
        try:
            async with serving(self._place, LINES, hub):
                try:
                    while True:
                        yield await listener.hear()
                except StopAsyncIteration:
                    return
                finally:
                    hub.close()  # the others see the end, and one of them takes over
        finally:
            self._hub = None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _attached(self) -> AsyncGenerator[MarketEvent, None]:
        """Hear from the program that owns the connection."""
        self._attachment = Attachment(self._place, LINES, Wanted.of(self._wanted))
        try:
            async with aclosing(self._attachment.hear()) as events:
                async for event in events:
                    yield event
        finally:
            self._attachment = None

    async def _healed(self, feed: Feed[MarketEvent], since_ns: int) -> None:
        """Ask for what was told to nobody while the connection changed hands."""
        if self._heal is None or not since_ns:
            return
        try:
            missed = await self._heal(Gap(since_ns, self._wanted))
        except TradingError as error:
            _log.warning("what the stream missed is not to be had now: %s", error)
            return
        for event in missed:
            feed.put(event)


async def merged(*streams: AsyncIterator[MarketEvent]) -> AsyncGenerator[MarketEvent, None]:
    """Yield the events of several markets as they come; the first error ends all."""
    feed: Feed[MarketEvent] = Feed()

    async def pour(stream: AsyncIterator[MarketEvent]) -> None:
        try:
            async for event in stream:
                feed.put(event, conflation_key(event) if isinstance(event, Quote) else None)
        except TradingError as error:
            feed.close(error)

    tasks = [asyncio.create_task(pour(stream)) for stream in streams]
    ended = asyncio.gather(*tasks, return_exceptions=True)
    ended.add_done_callback(lambda _: feed.close())
    try:
        async for event in feed:
            yield event
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ended
