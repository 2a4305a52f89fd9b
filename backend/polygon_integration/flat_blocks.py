"""A compressed flat file as blocks of whole lines, inflated ahead in a thread of its own.

Nothing is kept but a few blocks in buffers that are used again, whatever the file's size. Checksum
and length of the gzip trailer are checked by the inflater; a file that ends before them is told.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

import numpy as np
from isal import isal_zlib

from models.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Generator
    from io import RawIOBase

    from numpy.typing import NDArray

BLOCK_BYTES: Final = 1 << 18
"""Large enough that Python's part does not count, small enough for the processor's caches."""

LONGEST_LINE: Final = 1 << 16
"""Bytes; the longest real ones have about 150."""

_BUFFERS = 8
_READ_BYTES = 1 << 17
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines of a file; its buffer is used again once the next block is asked for.

    Attributes:
        buffer: Where they lie.
        begin: Where the first of them begins.
        end: Behind the end of the last.
        line_ends: Which bytes from `begin` to `end` end a line.
        first_line: Number of the first of them in the file; the header is line 1.
        lines: How many they are.
    """

    buffer: bytearray
    begin: int
    end: int
    line_ends: NDArray[np.bool_]
    first_line: int
    lines: int

    @property
    def text(self) -> bytes:
        """A copy of the lines."""
        return bytes(memoryview(self.buffer)[self.begin : self.end])

    @property
    def octets(self) -> NDArray[np.uint8]:
        """The lines as numbers, not copied."""
        return np.frombuffer(self.buffer, np.uint8, self.end - self.begin, self.begin)

    def ticker_at(self, begin: int) -> bytes:
        """Return the text from a place of the buffer to the next comma."""
        return bytes(self.buffer[begin : max(self.buffer.find(b",", begin, self.end), begin)])

    @property
    def first_ticker(self) -> bytes:
        """Of the first line."""
        return self.ticker_at(self.begin)

    @property
    def last_ticker(self) -> bytes:
        """Of the last line."""
        before = self.buffer.rfind(b"\n", self.begin, self.end - 1)
        return self.ticker_at(max(before + 1, self.begin))


class _Inflater:
    """A thread that fills free buffers with text, from `LONGEST_LINE` on."""

    def __init__(self, source: IO[bytes] | RawIOBase) -> None:
        self._source = source
        self._stopped = False
        self.free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self.full: queue.SimpleQueue[tuple[bytearray, int] | Exception] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self.free.put(bytearray(LONGEST_LINE + BLOCK_BYTES))
        self._thread = threading.Thread(target=self._run, name="inflate", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            # What IGzipFile wraps, without its copy of every byte: a quarter of the processor's time.
            text = isal_zlib._GzipReader(  # noqa: SLF001
                cast("BinaryIO", self._source), _READ_BYTES
            )
            size = BLOCK_BYTES
            while size == BLOCK_BYTES and not self._stopped:
                buffer = self.free.get()
                size = self._fill(text, buffer)
                self.full.put((buffer, size))
        except Exception as error:  # noqa: BLE001 - it is raised again where the blocks are taken
            self.full.put(error)

    @staticmethod
    def _fill(text: isal_zlib._GzipReader, buffer: bytearray) -> int:
        room, size = memoryview(buffer)[LONGEST_LINE:], 0
        while size < BLOCK_BYTES:
            count = text.readinto(room[size:])
            if not count:
                break
            size += count
        return size

    def stop(self) -> None:
        self._stopped = True
        self.free.put(bytearray(LONGEST_LINE + BLOCK_BYTES))  # wakes it where it waits for one
        self._thread.join()


def blocks(source: IO[bytes] | RawIOBase, name: str) -> Generator[Block, None, None]:
    """Yield a gzip file's lines in blocks; the first block is the header alone.

    Args:
        source: The compressed bytes, from their start.
        name: For errors.

    Raises:
        DataError: The bytes are no gzip file, are damaged, end too early or hold no line.
    """
    inflater = _Inflater(source)
    try:
        yield from _blocks(inflater, name)
    finally:
        inflater.stop()


def _blocks(inflater: _Inflater, name: str) -> Generator[Block, None, None]:
    number, rest, size = 1, b"", BLOCK_BYTES
    ends = np.empty(LONGEST_LINE + BLOCK_BYTES, np.bool_)
    while size == BLOCK_BYTES:
        got = inflater.full.get()
        if isinstance(got, Exception):
            raise _told(got, name) from None
        buffer, size = got
        begin, stop = LONGEST_LINE - len(rest), LONGEST_LINE + size
        buffer[begin:LONGEST_LINE] = rest
        end = buffer.rfind(b"\n", begin, stop) + 1
        if size < BLOCK_BYTES and stop > max(end, begin):  # the last line has no end
            buffer[stop : stop + 1] = b"\n"
            end = stop = stop + 1
        rest = bytes(buffer[max(end, begin) : stop])
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{name} is no flat file: line {number} is too long")
        if number == 1 and end > begin:
            split = buffer.find(b"\n", begin, end) + 1
            yield _block(buffer, (begin, split), ends, 1)
            number, begin = 2, split
        if end > begin:
            block = _block(buffer, (begin, end), ends, number)
            yield block
            number += block.lines
        inflater.free.put(buffer)
    if number == 1:
        raise DataError(f"{name} is empty: not even a header")


def _block(
    buffer: bytearray, place: tuple[int, int], ends: NDArray[np.bool_], number: int
) -> Block:
    begin, end = place
    line_ends = ends[: end - begin]
    octets = np.frombuffer(buffer, np.uint8, end - begin, begin)
    np.equal(octets, _NEWLINE, out=line_ends)
    return Block(buffer, begin, end, line_ends, number, int(np.count_nonzero(line_ends)))


def _told(error: Exception, name: str) -> Exception:
    if isinstance(error, EOFError):
        return DataError(f"{name} is truncated: the compressed data end before their trailer")
    damage: type[Exception] = isal_zlib.error  # type: ignore[assignment] # typed as an instance
    if isinstance(error, damage) or (isinstance(error, OSError) and error.errno is None):
        return DataError(f"{name} is damaged: {error}")
    return error
