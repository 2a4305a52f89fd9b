"""Who listens to a stream, and who gets what: each what it asked for, never more.

A listener that is slow gets the newest quote, book and screen of each symbol, and every order update
and every bar.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeAlias

from models.events import Book, Gap, OrderUpdate, Screen, StreamEvent
from models.schwab_fields import Service
from schwab_integration.stream_activity import ActivityReader
from schwab_integration.stream_requests import ACTIVITY_KEY, Keys, Subscription, union
from schwab_integration.stream_state import QuoteState, key_of
from utils.feed import Feed, conflation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.errors import StreamError
    from models.events import Bar
    from schwab_integration.stream_connection import StreamConnection
    from schwab_integration.stream_decode import Updates

Told: TypeAlias = StreamEvent | QuoteState
"""A quote is made of its state when it is heard, not when it changes."""


class Listener:
    """One who listens.

    Attributes:
        subscription: What it asked for.
        keys: The same as the streamer's keys.
        feed: What it has not heard yet.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.keys = subscription.keys()
        self.feed: Feed[Told] = Feed()

    async def hear(self) -> StreamEvent:
        """Return the next event.

        Raises:
            StopAsyncIteration: The stream has ended.
            TradingError: It has failed.
        """
        told = await anext(self.feed)
        return told.quote() if isinstance(told, QuoteState) else told


class Hub:
    """Hands the updates of one connection to its listeners.

    Attributes:
        activity: Reads the account's messages.
        connection: Told what all listeners together want, whenever that changes.

    Args:
        connect: Makes the connection, which hands its updates to this hub.
    """

    def __init__(self, connect: Callable[[Hub], StreamConnection]) -> None:
        self.activity = ActivityReader()
        self.connection = connect(self)
        self._listeners: list[Listener] = []
        self._by_key: dict[tuple[Service, str], list[Listener]] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    async def run(self) -> None:
        """Keep the connection; its end, good or bad, is every listener's."""
        running = asyncio.create_task(self.connection.run())
        try:
            await asyncio.wait([running])
            self.close(running.exception())
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def join(self, subscription: Subscription) -> Listener:
        """Add a listener; it hears at once what is known of its symbols.

        Raises:
            ConfigError: Nothing is wanted, or a symbol cannot be sent.
        """
        listener = Listener(subscription)
        self._listeners.append(listener)
        self._index()
        self._tell_known(listener, listener.keys)
        return listener

    def change(self, listener: Listener, subscription: Subscription) -> None:
        """Let a listener want something else; it hears at once what is known of what is new.

        Raises:
            ConfigError: Nothing is wanted, or a symbol cannot be sent.
        """
        before, keys = listener.keys, subscription.keys()
        listener.subscription, listener.keys = subscription, keys
        self._index()
        new = {service: keys[service] - before.get(service, set()) for service in keys}
        self._tell_known(listener, new)

    def _tell_known(self, listener: Listener, keys: Keys) -> None:
        for service, names in keys.items():
            for key in sorted(names):
                state = self.connection.decoder.state(service, key)
                if state:
                    listener.feed.put(state, state)

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners.remove(listener)
        self._index()

    def close(self, error: BaseException | None) -> None:
        """End every feed."""
        for listener in self._listeners:
            listener.feed.close(error)

    def resumed(self) -> None:
        """Tell those who listen to their orders that some updates may be missing."""
        for listener in self._listeners:
            if listener.subscription.activity:
                listener.feed.put(Gap(time_ns=time.time_ns()), Gap)

    def refuse(self, service: Service, keys: Sequence[str], error: StreamError) -> None:
        """End the feeds of those who asked for what is not to be had."""
        for listener in list(self._listeners):
            wanted = listener.keys.get(service, set())
            if wanted and (not keys or not wanted.isdisjoint(keys)):
                listener.feed.close(error)

    def tell(self, updates: Updates) -> None:
        """Hand out what one frame told."""
        for state in updates.quotes:
            for listener in self._by_key.get((state.service, state.fields["key"]), ()):
                listener.feed.put(state, state)
        whole: list[Bar | Book | Screen] = [*updates.bars, *updates.books, *updates.screens]
        for event in whole:
            self._tell(_where(event), event)
        for message in updates.activity:
            for update in self.activity.read(message):
                self._tell((Service.ACCT_ACTIVITY, ACTIVITY_KEY), update)
        if updates.heartbeat:
            for listener in self._listeners:
                if listener.subscription.heartbeats:
                    listener.feed.put(updates.heartbeat, type(updates.heartbeat))

    def _tell(self, where: tuple[Service, str], event: Bar | Book | Screen | OrderUpdate) -> None:
        for listener in self._by_key.get(where, ()):
            listener.feed.put(event, conflation_key(event))

    def _index(self) -> None:
        self._by_key = {}
        for listener in self._listeners:
            for service, keys in listener.keys.items():
                for key in keys:
                    self._by_key.setdefault((service, key), []).append(listener)
        self.connection.want(union(listener.keys for listener in self._listeners))


def _where(event: Bar | Book | Screen) -> tuple[Service, str]:
    """Return which service told an event, and of which key."""
    if isinstance(event, Screen):
        option = event.key.startswith("OPTION")
        return (Service.SCREENER_OPTION if option else Service.SCREENER_EQUITY), event.key
    if isinstance(event, Book):
        service = Service(event.venue)
        return service, key_of(service, event.symbol)
    future = event.symbol.startswith("/")
    service = Service.CHART_FUTURES if future else Service.CHART_EQUITY
    return service, key_of(service, event.symbol)
