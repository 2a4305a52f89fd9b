"""Request limits shared by all programs of one user, with a share kept for what must not wait.

The file holds when the newest requests left. It is locked while it is read and written, so that two
programs together keep the limit that the service counts. A request is entered when it may leave at
once; who has to wait holds no place and asks again, so that a killed program leaves nothing behind
but the requests that it sent. The lock goes with its process, and an entry counts only once the
number behind it is written: a kill at any moment leaves a file that is right.

Times are the machine's monotonic clock, which all its programs share and which nobody sets. After a
restart of the machine the entries are moved by the wall clock's difference.
"""

import fcntl
import logging
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigError, RateLimited

_log = logging.getLogger(__name__)

_MAGIC = b"limits01"
_BOOT = slice(8, 24)
_SAVED = struct.Struct("<dd")  # wall and monotonic seconds of the newest entry
_SAVED_AT = 24
_DOUBLE = struct.Struct("<d")
_CLOSED_AT = 40
_COUNT = struct.Struct("<q")
_COUNTS_AT = 48
_RINGS_AT = 64

_CAPACITY = 16384
"""Requests that a file remembers, of each kind; a limit may not be higher."""

_RING_BYTES = _DOUBLE.size * _CAPACITY
_SIZE = _RINGS_AT + 2 * _RING_BYTES
_ALL, _ORDINARY = 0, 1
_LEAST_WAIT_S = 0.001
_LONGEST_CLOSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """At most so many requests in any stretch of time.

    Attributes:
        limit: Requests, 0 to 16,384.
        period_s: Length of the stretch, seconds.
        reserved: How many of them only urgent requests may use.
    """

    limit: int
    period_s: float
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class MachineTime:
    """The machine's time; tests hand in their own.

    Attributes:
        clock: Monotonic seconds, the same for all programs.
        wall: Seconds since 1970, to move the entries when the machine was started anew.
        sleep: Waits.
    """

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class SharedRateLimiter:
    """Limits of one service, kept together by all threads and programs that name the same file.

    Args:
        path: The file; made with mode 0600, its folder with 0700.
        windows: All of them hold at once.
        provider: Name of the service, for errors.
        longest_wait_s: A wait beyond it is refused instead of slept.
        machine: Its time.

    Raises:
        ConfigError: A limit is out of range, or the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        windows: Sequence[Window],
        *,
        provider: str,
        longest_wait_s: float = 65.0,
        machine: MachineTime | None = None,
    ) -> None:
        for window in windows:
            if not 0 <= window.reserved <= window.limit <= _CAPACITY:
                message = (
                    f"a limit is 0 to {_CAPACITY} requests, of which not more than all are "
                    f"reserved: {window.limit} with {window.reserved} reserved is none"
                )
                raise ConfigError(message)
        self.path = path
        self._windows = tuple(windows)
        self._provider = provider
        self._longest_wait_s = longest_wait_s
        self._machine = machine or MachineTime()
        self._open()

    def acquire(self, *, urgent: bool = False) -> float:
        """Wait for a turn.

        Args:
            urgent: It may use what is reserved: a cancel, or an order that closes a position.

        Returns:
            Seconds waited.

        Raises:
            RateLimited: The turn would come later than the longest wait.
        """
        waited = 0.0
        while (wait := self.try_acquire(urgent=urgent)) > 0:
            waited += self.pause(wait, waited)
        return waited

    def pause(self, wait: float, waited: float = 0.0) -> float:
        """Sleep until it is time to ask again.

        Args:
            wait: What `try_acquire` said.
            waited: Seconds waited already.

        Returns:
            Seconds slept.

        Raises:
            RateLimited: Together they are longer than the longest wait.
        """
        if waited + wait > self._longest_wait_s:
            raise RateLimited(
                self._sentence(wait),
                provider=self._provider,
                status=None,
                retry_after_s=None if wait == float("inf") else wait,
            )
        slept = max(wait, _LEAST_WAIT_S)
        self._machine.sleep(slept)
        return slept

    def try_acquire(self, *, urgent: bool = False) -> float:
        """Take a turn if there is one now.

        Returns:
            0 when the request may leave; else seconds after which to ask again.
        """
        with self._locked():
            now = self._machine.clock()
            wait = self._wait(now, urgent=urgent)
            if wait > 0:
                return wait
            self._enter(_ALL, now)
            if not urgent:
                self._enter(_ORDINARY, now)
            return 0.0

    def close_for(self, seconds: float) -> None:
        """Let nobody through for a while, in any program: the service said that it is enough."""
        with self._locked():
            until = max(self._closed_until(), self._machine.clock() + seconds)
            _DOUBLE.pack_into(self._map, _CLOSED_AT, until)

    def _wait(self, now: float, *, urgent: bool) -> float:
        free = self._closed_until()
        for window in self._windows:
            free = max(free, self._free_at(_ALL, window.limit, window.period_s))
            if not urgent:
                ordinary = window.limit - window.reserved
                free = max(free, self._free_at(_ORDINARY, ordinary, window.period_s))
        return max(0.0, free - now)

    def _free_at(self, ring: int, limit: int, period: float) -> float:
        """Return when a window has room for one more."""
        if limit == 0:
            return float("inf")
        count = self._count(ring)
        if count < limit:
            return float("-inf")
        return self._stamp(ring, count - limit) + period

    def _sentence(self, wait: float) -> str:
        parts = [f"{window.limit} in {window.period_s:g} s" for window in self._windows]
        limits = f"our own limit for {self._provider} ({', '.join(parts)})"
        if wait == float("inf"):
            return f"{limits} allows none of these requests"
        return f"{limits} is used up: the next request may leave in {wait:.0f} s"

    def _count(self, ring: int) -> int:
        found: int = _COUNT.unpack_from(self._map, _COUNTS_AT + _COUNT.size * ring)[0]
        return found

    def _closed_until(self) -> float:
        found: float = _DOUBLE.unpack_from(self._map, _CLOSED_AT)[0]
        return found

    def _stamp(self, ring: int, number: int) -> float:
        found: float = _DOUBLE.unpack_from(self._map, _place(ring, number))[0]
        return found

    def _enter(self, ring: int, now: float) -> None:
        """Write the time, then the number that makes it count."""
        count = self._count(ring)
        _SAVED.pack_into(self._map, _SAVED_AT, self._machine.wall(), now)
        _DOUBLE.pack_into(self._map, _place(ring, count), now)
        _COUNT.pack_into(self._map, _COUNTS_AT + _COUNT.size * ring, count + 1)

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._file)
            with self._locked_file():
                if os.fstat(self._file).st_size < _SIZE:
                    os.ftruncate(self._file, _SIZE)
                self._map = mmap.mmap(self._file, _SIZE)
                self._renew()
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be used: {error.strerror}") from None

    def _renew(self) -> None:
        """Begin a new file, or move the entries of one that the machine's last run wrote."""
        now, wall, boot = self._machine.clock(), self._machine.wall(), _boot()
        saved_wall, saved = _SAVED.unpack_from(self._map, _SAVED_AT)
        if self._map[: len(_MAGIC)] != _MAGIC:
            _DOUBLE.pack_into(self._map, _CLOSED_AT, float("-inf"))
        elif self._map[_BOOT] != boot or saved > now:
            self._move(now - max(0.0, wall - saved_wall) - saved)
            closed = min(self._closed_until(), now + _LONGEST_CLOSE_S)
            _DOUBLE.pack_into(self._map, _CLOSED_AT, closed)
        else:
            return
        _SAVED.pack_into(self._map, _SAVED_AT, wall, now)
        self._map[_BOOT] = boot
        self._map[: len(_MAGIC)] = _MAGIC

    def _move(self, shift: float) -> None:
        _log.info("%s: the machine was started anew, entries are moved by %.0f s", self.path, shift)
        for ring in (_ALL, _ORDINARY):
            count = self._count(ring)
            for number in range(max(0, count - _CAPACITY), count):
                stamp = self._stamp(ring, number) + shift
                _DOUBLE.pack_into(self._map, _place(ring, number), stamp)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._pid != os.getpid():  # a forked child shares its parent's lock: it takes its own
            self._open()
        with self._lock, self._locked_file():
            yield

    @contextmanager
    def _locked_file(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _place(ring: int, number: int) -> int:
    return _RINGS_AT + ring * _RING_BYTES + _DOUBLE.size * (number % _CAPACITY)


def _boot() -> bytes:
    """Return 16 bytes that change when the machine is started anew; zeros where none are told."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return bytes(16)
    return bytes.fromhex(text.strip().replace("-", ""))
