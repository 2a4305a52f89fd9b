"""One connection of a stream for all programs of a user on this machine.

Services allow one connection a user and end the older one when another program signs in. So the
first program takes a lock file, owns the connection and serves the others over a Unix socket; both
lie in the state folder (0700), the socket has mode 0600. When the owner ends, the system gives up its
lock, and one of those who were attached takes over.

On the socket, each line is JSON: first the listener's `Hello`, and another one whenever it wants
something else; in the other direction what it gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from models.errors import (
    AuthError,
    ConfigError,
    DataError,
    Disconnected,
    StreamError,
    SubscriptionRefused,
    TokenExpired,
    TradingError,
)
from utils.paths import socket_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from pathlib import Path

S = TypeVar("S")
"""A subscription: a msgspec Struct."""
S_contra = TypeVar("S_contra", contravariant=True)
L = TypeVar("L")
"""A listener."""

VERSION = 1
"""Of the lines on the socket: programs of different versions do not talk to each other."""

ALIVE_S = 5.0
"""An owner says so often that it lives, whatever the market does."""

SILENCE_S = 30.0
"""An owner that says nothing for so long hangs."""

ATTACH_S = 15.0
"""So long an owner may take from its lock to its socket."""

_LAST_WORDS_S = 1.0
_LONGEST_LINE = 16 * 1024 * 1024
_LONGEST_PATH = 100
"""A Unix socket's path has room for 107 bytes."""


class Hello(msgspec.Struct, Generic[S], frozen=True):
    """What a listener wants: its first line, and each later one.

    Attributes:
        subscription: What it wants.
        version: Of its program.
    """

    subscription: S
    version: int = VERSION


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """Nothing happened, but the owner lives."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The stream ends with an error.

    Attributes:
        kind: Name of the error's class.
        message: Its sentence.
        code: Of a refused subscription.
    """

    kind: str
    message: str
    code: int = 0


class Heard(Protocol):
    """One who listens."""

    async def hear(self) -> msgspec.Struct:
        """Return the next event; StopAsyncIteration at the end, a `TradingError` when it failed."""
        ...


class Room(Protocol[S_contra, L]):
    """Who owns a connection and lets others listen to it."""

    def join(self, subscription: S_contra) -> L:
        """Take a listener in; a `TradingError` refuses it."""
        ...

    def change(self, listener: L, subscription: S_contra) -> None:
        """Let a listener want something else; a `TradingError` refuses that."""
        ...

    def leave(self, listener: L) -> None:
        """Let a listener go."""
        ...


class Lines(Generic[S]):
    """What is spoken on the socket of one service.

    Args:
        service: For sentences, as "Schwab's streamer".
        subscription: Type of what a listener wants.
        events: Type, or union of types, of what it gets: tagged msgspec Structs.
    """

    def __init__(self, service: str, subscription: type[S], events: Any) -> None:
        self.service = service
        hello: Any = Hello
        self.hello: msgspec.json.Decoder[Hello[S]] = msgspec.json.Decoder(hello[subscription])
        self.told: msgspec.json.Decoder[Any] = msgspec.json.Decoder(events | Alive | Failed)


_KINDS: dict[str, type[TradingError]] = {
    kind.__name__: kind
    for kind in (AuthError, ConfigError, DataError, Disconnected, StreamError, TokenExpired)
}


class Place:
    """Where the programs of one user of one service meet.

    Attributes:
        lock: The lock file; it holds the owner's process id.
        socket: The owner's Unix socket.

    Args:
        service: For sentences.
        who: The service's address and its user, in any form; it is hashed.
        folder: For lock and socket; `streams` in the state folder by default, or a short stand-in.

    Raises:
        ConfigError: The given folder's path is too long for a Unix socket.
    """

    def __init__(self, service: str, who: str, folder: Path | None = None) -> None:
        self.service = service
        name = blake2b(who.encode(), digest_size=8).hexdigest()
        longest = _LONGEST_PATH - len(f"/{name}.sock")
        home = folder or socket_folder("streams", longest=longest)
        self.lock = home / f"{name}.lock"
        self.socket = home / f"{name}.sock"
        if len(os.fsencode(self.socket)) > _LONGEST_PATH:
            raise ConfigError(f"{home} is too long a path for a Unix socket: give a shorter one")

    def owner(self) -> str:
        """Return the owner's process id as text, for a sentence."""
        with contextlib.suppress(OSError):
            return self.lock.read_text(encoding="ascii").strip() or "unknown"
        return "unknown"

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Try to become the owner; yield whether that worked. The lock ends with the block."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield True
        finally:
            os.close(descriptor)


@asynccontextmanager
async def serving(place: Place, lines: Lines[S], room: Room[S, Any]) -> AsyncIterator[None]:
    """Serve other programs over the Unix socket for the time of the block.

    Args:
        place: Owned by us.
        lines: What is spoken.
        room: Takes listeners in.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            serving_now.add(task)
            task.add_done_callback(serving_now.discard)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _serve(reader, writer, lines, room)
        await _close(writer)

    serving_now: set[asyncio.Task[None]] = set()
    place.socket.unlink(missing_ok=True)  # of an owner that was killed; the lock is ours
    server = await asyncio.start_unix_server(serve, place.socket, limit=_LONGEST_LINE)
    place.socket.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        place.socket.unlink(missing_ok=True)
        await _finish(serving_now)


async def _finish(serving_now: set[asyncio.Task[None]]) -> None:
    """Let the last words go out, then end whoever is still served."""
    if serving_now:
        await asyncio.wait(serving_now, timeout=_LAST_WORDS_S)
    for task in serving_now:
        task.cancel()
    await asyncio.gather(*serving_now, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await writer.wait_closed()


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    lines: Lines[S],
    room: Room[S, Any],
) -> None:
    try:
        listener = room.join(_wanted(await reader.readline(), lines))
    except TradingError as error:
        await _write(writer, _failed(error))
        return
    asking = asyncio.create_task(_hear_changes(reader, lines, room, listener))
    telling = asyncio.create_task(_tell(listener, writer))
    try:
        await asyncio.wait({asking, telling}, return_when=asyncio.FIRST_COMPLETED)
        if asking.done() and (refusal := asking.result()):
            await _write(writer, _failed(refusal))
    finally:
        room.leave(listener)
        for task in (asking, telling):
            task.cancel()
        await asyncio.gather(asking, telling, return_exceptions=True)


def _wanted(line: bytes, lines: Lines[S]) -> S:
    try:
        hello = lines.hello.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StreamError("this is no greeting") from None
    if hello.version != VERSION:
        raise StreamError(f"another version of this program owns {lines.service}: stop it first")
    return hello.subscription


async def _hear_changes(
    reader: asyncio.StreamReader, lines: Lines[S], room: Room[S, Any], listener: object
) -> TradingError | None:
    """Let a listener want something else, until it goes; return why that was refused, if it was."""
    try:
        while line := await reader.readline():
            room.change(listener, _wanted(line, lines))
    except TradingError as error:
        return error
    except ConnectionError:
        return None
    return None


async def _tell(listener: Heard, writer: asyncio.StreamWriter) -> None:
    """Write what the listener hears; while its program does not read, its feed conflates."""
    alive = asyncio.create_task(_say_alive(writer))
    try:
        while True:
            await _write(writer, await listener.hear())
    except StopAsyncIteration:
        return
    except TradingError as error:
        await _write(writer, _failed(error))
    finally:
        alive.cancel()


async def _say_alive(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(msgspec.json.encode(Alive()) + b"\n")
        await asyncio.sleep(ALIVE_S)


async def _write(writer: asyncio.StreamWriter, line: msgspec.Struct) -> None:
    writer.write(msgspec.json.encode(line) + b"\n")
    await writer.drain()


def _failed(error: TradingError) -> Failed:
    return Failed(type(error).__name__, str(error), getattr(error, "code", 0))


class Attachment(Generic[S]):
    """A place at another program's connection.

    Args:
        place: Where that program is.
        lines: What is spoken.
        subscription: What is wanted.
    """

    def __init__(self, place: Place, lines: Lines[S], subscription: S) -> None:
        self._place = place
        self._lines = lines
        self._subscription = subscription
        self._writer: asyncio.StreamWriter | None = None

    async def change(self, subscription: S) -> None:
        """Want something else."""
        self._subscription = subscription
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):
                await _write(self._writer, Hello(subscription))

    async def hear(self) -> AsyncGenerator[Any, None]:
        """Yield what the owner tells, until it ends; then somebody must take over.

        Raises:
            Disconnected: The owner does not answer.
            TradingError: What the owner's stream ended with.
        """
        opened = await _attach(self._place)
        if opened is None:
            return
        reader, writer = opened
        try:
            with contextlib.suppress(ConnectionError):
                await _write(writer, Hello(self._subscription))
            self._writer = writer
            while line := await _line(self._place, reader):
                told = self._lines.told.decode(line)
                if isinstance(told, Failed):
                    raise _error(told)
                if not isinstance(told, Alive):
                    yield told
        finally:
            self._writer = None
            await _close(writer)


async def _line(place: Place, reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(SILENCE_S):
            line = await reader.readline()
    except TimeoutError:
        raise _hangs(place) from None
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""  # the last one of an owner that was killed


async def _attach(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Connect to the owner; None when there is none any more."""
    deadline = asyncio.get_running_loop().time() + ATTACH_S
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(OSError):
            return await asyncio.open_unix_connection(place.socket, limit=_LONGEST_LINE)
        with place.owned() as free:
            if free:
                return None
        await asyncio.sleep(0.05)
    raise _hangs(place)


def _hangs(place: Place) -> Disconnected:
    return Disconnected(
        f"process {place.owner()} of ours owns the connection to {place.service} and does not "
        "answer: stop it, since one connection a user is allowed"
    )


def _error(told: Failed) -> TradingError:
    if told.kind == SubscriptionRefused.__name__:
        return SubscriptionRefused(told.message, code=told.code)
    return _KINDS.get(told.kind, StreamError)(told.message)
