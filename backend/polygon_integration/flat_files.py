"""A flat file, compressed, to typed rows: all of it, or a few underlyings of it.

The files are sorted by ticker, so of a few underlyings whole blocks are passed over by their first
and last line. Every block is inflated all the same: checksum, length, order of the blocks and of
samples inside them are checked, and blocks that are passed over are searched for tickers that
should not be there. A file that is not sorted is read again, every line of it.

    with DayFile.open(path) as file: ...
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from polygon_integration.flat_blocks import BLOCK_BYTES, LONGEST_LINE, Block, blocks
from polygon_integration.flat_parse import TICKER, BadLine, Parser, Run, wanted_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from io import RawIOBase

    from polygon_integration.flat_datasets import FlatDataset

PIECE_BYTES: Final = 16 << 20
"""Lines that are parsed at once; memory is a small multiple of it."""

FILTERED_BYTES: Final = 1 << 21
"""The same where most of the file is passed over: parsing keeps up with the inflating."""

_SEARCHED = 4
"""Up to so many tickers are searched for in the blocks that are passed over."""

_SAMPLE = 1 << 16


class Unsorted(Exception):
    """Blocks were passed over by an order that the file does not have."""


@dataclass(slots=True)
class Reading:
    """What became of one pass through a file; complete when the iterator has ended.

    Attributes:
        lines: Of the whole file, without the header.
        parsed: Lines that were parsed.
        rows: Rows that were yielded.
        is_sorted: Whether the order of tickers held.
        bad: Lines that were kept out.
    """

    lines: int = 0
    parsed: int = 0
    rows: int = 0
    is_sorted: bool = True
    bad: list[BadLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DayFile:
    """One flat file and what is wanted of it.

    Attributes:
        name: For errors.
        dataset: What it holds.
        source: Who made the rows.
        origin: Where they come from: live, simulator or recorded.
        underlyings: Those wanted; empty for all.
    """

    name: str
    dataset: FlatDataset
    source: str = "polygon"
    origin: str = "live"
    underlyings: tuple[str, ...] = ()

    def runs(self, opened: Callable[[], IO[bytes] | RawIOBase], reading: Reading) -> Iterator[Run]:
        """Yield the rows, each run of an underlying in the file's order.

        An underlying comes more than once where its lines do not stand together, or are many.
        Nothing may be published before the iterator has ended: only then is the file known to be
        whole. When a file turns out not to be sorted, what was yielded is void: `Unsorted` is
        raised, and `reading.is_sorted` is False; call again with the same `reading`, and every
        line is parsed.

        Args:
            opened: Gives the compressed bytes from their start.
            reading: Filled while reading; a new one for each file.

        Raises:
            DataError: The file is truncated or damaged, or its header has changed.
            Unsorted: As above.
        """
        reading.lines = reading.parsed = reading.rows = 0
        parser = Parser(self.dataset, self.source, self.origin)
        reading.bad = parser.bad
        wanted = frozenset(self.underlyings)
        with (
            opened() as source,
            closing(_pieces(self, source, parser, reading)) as pieces,
            ThreadPoolExecutor(1, "parse") as pool,
        ):
            for runs in _ahead(pool, parser, pieces):
                for run in runs:
                    if not wanted or run.underlying in wanted:
                        reading.rows += run.rows.height
                        yield run


def _ahead(
    pool: ThreadPoolExecutor, parser: Parser, pieces: Iterator[_Piece | None]
) -> Iterator[list[Run]]:
    """Parse pieces while later ones are collected; hand each on as soon as it is parsed.

    Up to `PIECE_BYTES` of text wait, one piece at the least, so that a few underlyings are parsed
    while the rest of the file is inflated.
    """
    waiting: deque[tuple[_Piece, Future[list[Run]]]] = deque()
    size = 0
    for piece in pieces:
        if piece is not None:
            waiting.append((piece, pool.submit(piece.parse, parser)))
            size += len(piece.text)
        while waiting and ((len(waiting) > 1 and size > PIECE_BYTES) or waiting[0][1].done()):
            oldest, parsed = waiting.popleft()
            size -= len(oldest.text)
            yield parsed.result()
    for _, parsed in waiting:
        yield parsed.result()


@dataclass(frozen=True, slots=True)
class _Piece:
    text: bytes
    first_line: int
    lines: int
    is_last: bool

    def parse(self, parser: Parser) -> list[Run]:
        runs = list(parser.runs(self.text, self.first_line, self.lines))
        return [replace(run, is_last=True) for run in runs] if self.is_last else runs


@dataclass(slots=True)
class _Collected:
    """Neighbouring blocks that are to be parsed together."""

    texts: list[bytes] = field(default_factory=list)
    size: int = 0
    first_line: int = 0
    lines: int = 0

    def add(self, block: Block) -> None:
        if not self.texts:
            self.first_line = block.first_line
        self.texts.append(block.text)
        self.size += block.end - block.begin
        self.lines += block.lines

    def taken(self, *, is_last: bool = False) -> _Piece:
        piece = _Piece(b"".join(self.texts), self.first_line, self.lines, is_last)
        self.texts, self.size, self.lines = [], 0, 0
        return piece


def _pieces(
    file: DayFile, source: IO[bytes] | RawIOBase, parser: Parser, reading: Reading
) -> Generator[_Piece | None, None, None]:
    """Yield what is to be parsed, and None for a block that is passed over."""
    skipping = _Skipping(wanted_roots(file.underlyings, file.dataset), file.dataset)
    with closing(blocks(source, file.name)) as all_blocks:
        parser.read_header(next(all_blocks).text, file.name)
        by_order = skipping.active and next(iter(parser.schema)) == TICKER and reading.is_sorted
        collected = _Collected()
        for block in all_blocks:
            reading.lines += block.lines
            if by_order and not skipping.wants(block):
                if skipping.is_broken:
                    reading.is_sorted = False
                    raise Unsorted(file.name)
                yield collected.taken(is_last=True) if collected.texts else None
                continue
            if collected.size >= (FILTERED_BYTES if by_order else PIECE_BYTES):
                yield collected.taken()  # only now it is known not to be the last
            reading.parsed += block.lines
            collected.add(block)
        if collected.texts:
            yield collected.taken()


class _Skipping:
    """Tells by a block's first and last ticker whether it can hold what is wanted.

    Args:
        beginnings: How the wanted tickers begin; nothing is passed over where there are none.
        dataset: What the file holds.
    """

    def __init__(self, beginnings: Sequence[str], dataset: FlatDataset) -> None:
        # A root is followed by a digit: that of the year, or of an adjusted contract.
        tails = (b"0", b":") if dataset.options else (b"", b"\x00")
        names = [name.encode() for name in beginnings]
        self._ranges = [(name + tails[0], name + tails[1]) for name in names]
        self._names = names if len(names) <= _SEARCHED else []
        self._last = b""
        # Fresh memory for every block would cost more than the comparisons.
        self._scratch = np.empty((2, LONGEST_LINE + BLOCK_BYTES), np.bool_)
        self.is_broken = False

    @property
    def active(self) -> bool:
        return bool(self._ranges)

    def wants(self, block: Block) -> bool:
        """Return whether a block must be parsed; a break of the order is noted."""
        first, last = block.first_ticker, block.last_ticker
        self.is_broken = first < self._last or last < first
        self._last = last
        if self.is_broken:
            return False
        if any(first < high and last >= low for low, high in self._ranges):
            return True
        self.is_broken = not _in_order(block) or any(
            self._holds(block, name, bounds)
            for name, bounds in zip(self._names, self._ranges, strict=False)
        )
        return False

    def _holds(self, block: Block, name: bytes, bounds: tuple[bytes, bytes]) -> bool:
        """Return whether a wanted ticker stands where the order says that there is none.

        A letter of it that stands nowhere in the block is enough to tell. Else letter by letter
        behind all line ends at once, the last one first: mostly it is enough.
        """
        count = len(block.line_ends) - len(name) - 1
        if count <= 0 or any(block.buffer.find(each, block.begin, block.end) < 0 for each in name):
            return False
        octets, (found, equal) = block.octets, self._scratch[:, :count]
        before = block.line_ends[:count]
        for place in range(len(name) - 1, -1, -1):
            np.equal(octets[place + 1 : place + 1 + count], name[place], out=equal)
            np.logical_and(before, equal, out=found)
            if not found.any():
                return False
            before = found
        starts = np.flatnonzero(found) + 1 + block.begin
        return any(bounds[0] <= block.ticker_at(int(start)) < bounds[1] for start in starts)


def _in_order(block: Block) -> bool:
    """Return whether samples of a block's tickers rise."""
    before = b""
    for place in range(block.begin, block.end, _SAMPLE):
        begin = block.buffer.find(b"\n", place, block.end) + 1
        if not begin or begin >= block.end:
            return True
        ticker = block.ticker_at(begin)
        if ticker < before:
            return False
        before = ticker
    return True
