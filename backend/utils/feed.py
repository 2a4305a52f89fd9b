"""Between those who tell and those who listen: newest value per symbol, everything else kept.

A listener that is slow gets the newest quote of each symbol, and every order update and bar, in the
order in which they came; it never holds up whoever tells. `plainly` is the bridge from an
asynchronous stream to the plain iterator that the engine's loop eats.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from models.events import Book, Gap, Heartbeat, Quote, Screen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

T = TypeVar("T")


class Conflation(Generic[T]):
    """What waits to be heard. Not for threads by itself.

    Attributes:
        replaced: Values that a newer one of the same key replaced before anybody heard them.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, T] = OrderedDict()
        self._count = 0
        self.replaced = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, value: T, key: Hashable | None = None) -> None:
        """Add a value. With a key it replaces the one of the same key, keeping its turn."""
        if key is None:
            self._count += 1
            key = self._count
        elif key in self._waiting:
            self.replaced += 1
        self._waiting[key] = value

    def take(self) -> T:
        """Return the value that waits longest.

        Raises:
            KeyError: Nothing waits.
        """
        return self._waiting.popitem(last=False)[1]


def conflation_key(event: object) -> Hashable | None:
    """Return what a newer event replaces: its kind and symbol; None of what must not be lost."""
    if isinstance(event, Quote):
        return ("fair value" if event.is_fair_value else "quote", event.symbol)
    if isinstance(event, Book):
        return (event.venue, event.symbol)
    if isinstance(event, Screen):
        return ("screen", event.key)
    return type(event) if isinstance(event, Heartbeat | Gap) else None


class Feed(Generic[T]):
    """A conflating queue within one event loop: `async for value in feed`."""

    def __init__(self) -> None:
        self._waiting: Conflation[T] = Conflation()
        self._wake = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    @property
    def replaced(self) -> int:
        """Values that were replaced unheard."""
        return self._waiting.replaced

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, value: T, key: Hashable | None = None) -> None:
        """Add a value; see `Conflation.put`. After `close` it is ignored."""
        if not self._closed:
            self._waiting.put(value, key)
            self._wake.set()

    def close(self, error: BaseException | None = None) -> None:
        """End the feed once what waits is heard; with an error the listener gets that last."""
        if not self._closed:
            self._closed, self._error = True, error
            self._wake.set()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not len(self._waiting):
            if self._closed:
                if self._error:
                    raise self._error
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.take()


class _Mailbox(Generic[T]):
    """A conflating queue between threads."""

    def __init__(self) -> None:
        self._waiting: Conflation[T] = Conflation()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, value: T, key: Hashable | None) -> None:
        with self._changed:
            self._waiting.put(value, key)
            self._changed.notify()

    def close(self, error: BaseException | None) -> None:
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not len(self._waiting):
                if self._closed:
                    if self._error:
                        raise self._error
                    raise StopIteration
                self._changed.wait()
            return self._waiting.take()


@contextmanager
def plainly(
    listen: Callable[[], AsyncIterator[T]],
    *,
    key: Callable[[Any], Hashable | None] = conflation_key,
) -> Iterator[Iterator[T]]:
    """Run an asynchronous stream in a thread of its own and hand out a plain iterator of it.

    Whatever the stream raises, the iterator raises, after the last value before it. Leaving the
    block ends the stream.

    Args:
        listen: Opens the stream, within the thread's event loop.
        key: What a newer value replaces while it waits; None of what must not be lost.
    """
    mailbox: _Mailbox[T] = _Mailbox()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_pour(listen, mailbox, key))
    thread = threading.Thread(target=_run, args=(loop, task, mailbox), name="feed", daemon=True)
    thread.start()
    try:
        yield iter(mailbox)
    finally:
        with suppress(RuntimeError):  # the stream has ended by itself, and its loop with it
            loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], mailbox: _Mailbox[Any]) -> None:
    """Run the stream to its end and close the mailbox, so that nobody waits for ever."""
    try:
        loop.run_until_complete(asyncio.wait([task]))
        mailbox.close(None if task.cancelled() else task.exception())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _pour(
    listen: Callable[[], AsyncIterator[T]],
    mailbox: _Mailbox[T],
    key: Callable[[Any], Hashable | None],
) -> None:
    async for value in listen():
        mailbox.put(value, key(value))
