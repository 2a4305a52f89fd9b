"""Who listens to one connection of Polygon's, and who gets what: each what it asked for, never more.

Bars and trades reach every listener; of quotes a listener that is slow gets the newest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from models.errors import TradingError
from models.events import Bar, Quote, TradeTick
from polygon_integration.channels import EVERY, Channel, check_channels
from utils.feed import Feed, conflation_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.events import MarketEvent
    from polygon_integration.channels import Kind
    from polygon_integration.options_stream import PolygonStream


class Wanted(msgspec.Struct, frozen=True):
    """What a listener wants.

    Attributes:
        channels: Each (kind, symbol).
    """

    channels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, channels: Iterable[Channel]) -> Wanted:
        """Return what stands for channels."""
        return cls(tuple((channel.kind, channel.symbol) for channel in channels))

    def read(self) -> tuple[Channel, ...]:
        """Return the channels.

        Raises:
            DataError: One cannot be subscribed to, or there are too many.
        """
        found = tuple(Channel(kind, symbol) for kind, symbol in self.channels)  # type: ignore[arg-type] # checked next
        check_channels(found)
        return found


class PolygonListener:
    """One who listens.

    Attributes:
        channels: What it asked for.
        feed: What it has not heard yet.
    """

    def __init__(self, channels: Iterable[Channel]) -> None:
        self.channels = tuple(dict.fromkeys(channels))
        self.feed: Feed[MarketEvent] = Feed()

    async def hear(self) -> MarketEvent:
        """Return the next event.

        Raises:
            StopAsyncIteration: The stream has ended.
            TradingError: It has failed.
        """
        return await anext(self.feed)


class PolygonHub:
    """Hands the events of one connection to its listeners; a `utils.stream_sharing.Room`.

    Args:
        stream: The connection, which nobody else uses.
    """

    def __init__(self, stream: PolygonStream) -> None:
        self._stream = stream
        self._listeners: list[PolygonListener] = []
        self._by_channel: dict[tuple[str, str], list[PolygonListener]] = {}
        self._changed = asyncio.Event()

    def join(self, subscription: Wanted) -> PolygonListener:
        """Take a listener in.

        Raises:
            DataError: A channel cannot be subscribed to, or the connection would have too many.
        """
        listener = PolygonListener(subscription.read())
        self._index([*self._listeners, listener])
        return listener

    def change(self, listener: PolygonListener, subscription: Wanted) -> None:
        """Let a listener want something else.

        Raises:
            DataError: A channel cannot be subscribed to, or the connection would have too many.
        """
        before, listener.channels = listener.channels, subscription.read()
        try:
            self._index(self._listeners)
        except TradingError:
            listener.channels = before
            raise

    def leave(self, listener: PolygonListener) -> None:
        """Let a listener go."""
        self._index([each for each in self._listeners if each is not listener])

    def close(self, error: BaseException | None = None) -> None:
        """End every listener's feed."""
        for listener in self._listeners:
            listener.feed.close(error)

    async def run(self) -> None:
        """Keep the connection; its end, good or bad, is every listener's."""
        watching = asyncio.create_task(self._keep_watching())
        try:
            async for event in self._stream.listen(self._union(self._listeners)):
                self._tell(event)
        except TradingError as error:
            self.close(error)
        else:
            self.close()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _keep_watching(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._stream.watch(self._union(self._listeners))

    @staticmethod
    def _union(listeners: Iterable[PolygonListener]) -> list[Channel]:
        return list(dict.fromkeys(each for one in listeners for each in one.channels))

    def _index(self, listeners: list[PolygonListener]) -> None:
        check_channels(self._union(listeners))
        self._listeners = listeners
        self._by_channel = {}
        for listener in listeners:
            for channel in listener.channels:
                key = channel.kind, channel.symbol
                self._by_channel.setdefault(key, []).append(listener)
        self._changed.set()

    def _tell(self, event: MarketEvent) -> None:
        kind = _kind_of(event)
        if kind is None:
            return
        key = conflation_key(event) if isinstance(event, Quote) else None
        named = self._by_channel.get((kind, event.symbol), [])  # type: ignore[union-attr] # has a kind
        for listener in named:
            listener.feed.put(event, key)
        for listener in self._by_channel.get((kind, EVERY), []):
            if listener not in named:
                listener.feed.put(event, key)


_SECOND_S: Final = 1


def _kind_of(event: MarketEvent) -> Kind | None:
    """Return the channel kind that tells such events."""
    if isinstance(event, TradeTick):
        return "T"
    if isinstance(event, Bar):
        return "A" if event.interval_s == _SECOND_S else "AM"
    if not isinstance(event, Quote):
        return None
    if event.mark is not None:
        return "FMV"
    return "Q" if event.last is None else "V"
