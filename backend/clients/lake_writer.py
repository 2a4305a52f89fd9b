"""Replacing partitions of a lake: rows are staged while they come, and published at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl

from clients.lake_encoding import ROW_GROUP, ZSTD_LEVEL, encode, ordered
from clients.lake_place import disk_error
from clients.lake_shared import SHARING_ROWS, UNDERLYINGS, SharedFile
from models.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date
    from types import TracebackType

    from clients.lake_place import Place
    from models.tables import Frame

MADE_FROM: Final = ("synthetic", "stream", "rest", "flat_file")
"""How rows were come by, the less complete first: a later one replaces an earlier one."""

SHARED: Final = "_shared"
"""Folder of the files that many underlyings share, and their name among the underlyings."""

_STAGED_ROWS = 1_000_000
_ENCODERS = 3  # of small files most of the time is waiting for others
_PENDING = 6


@dataclass(frozen=True, slots=True)
class Partition:
    """What a write replaces: everything that one source and origin have of a table's session.

    Attributes:
        table: Of the lake.
        session: Exchange day.
        source: Who made the rows.
        origin: Where they come from.
        made_from: As in `MADE_FROM`.
        sort_key: Order of the rows; the symbol's column is in it.
        detail: What is not as exact as in a flat file, for people.
    """

    table: str
    session: date
    source: str
    origin: str
    made_from: str
    sort_key: tuple[str, ...]
    detail: str = ""

    def key(self, underlying: str) -> str:
        """Return the key of an underlying's file, or, of `SHARED`, of the one that many share."""
        return partition_key(self.table, underlying, self.session, self.source, self.origin)


def partition_key(table: str, underlying: str, session: date, source: str, origin: str) -> str:
    """Return the key of the one file that a source and origin have of a partition."""
    folder = SHARED if underlying == SHARED else f"underlying={underlying}"
    return f"{table}/{folder}/session={session}/{source}-{origin}.parquet"


def made_from(place: Place, key: Callable[[str], str], underlying: str) -> str | None:
    """Return how the rows of an underlying in a partition were come by; None where there are none.

    Args:
        place: Of the lake.
        key: Gives the key of an underlying's file of the partition, or of `SHARED`.
        underlying: Whose.
    """
    for name in (underlying, SHARED):
        if not place.exists(key(name)):
            continue
        there = place.metadata(key(name))
        if underlying in there.get(UNDERLYINGS, underlying).split(","):
            return there.get("made_from", MADE_FROM[0])
    return None


@dataclass(slots=True)
class _Staged:
    """What has come of one underlying."""

    pending: list[Frame] = field(default_factory=list)
    rows: int = 0
    total: int = 0
    files: list[Future[Path]] = field(default_factory=list)


class PartitionWriter:
    """Stages rows of one session and publishes them, an underlying's file at a time, at the end.

    Used as a context; what was staged and not published goes away with it.

    Args:
        place: Of the lake.
        partition: What is replaced.
        staging: Folder of this machine for what is not published yet.
        sharing: Whether the whole market comes: underlyings with few rows share a file.
    """

    def __init__(
        self, place: Place, partition: Partition, staging: Path, *, sharing: bool = False
    ) -> None:
        self._place, self._partition, self._sharing = place, partition, sharing
        try:
            staging.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=".staged-", dir=staging))
        except OSError as error:
            raise disk_error(error, str(staging)) from None
        self._pool = ThreadPoolExecutor(_ENCODERS, "encode")
        self._staged: dict[str, _Staged] = defaultdict(_Staged)
        self._waiting: list[Future[Path]] = []
        self._count = 0
        self._current: str | None = None
        self._own = place.folders(partition.table) if sharing else frozenset()
        self._shared = self._sharer()

    def _sharer(self) -> SharedFile:
        path = self._folder / f"{SHARED}-{self._count}.parquet"
        return SharedFile(path, self._partition.sort_key, self._metadata)

    def add(self, underlying: str, rows: Frame, *, is_last: bool = False) -> None:
        """Stage further rows of an underlying.

        Args:
            underlying: Whose they are.
            rows: Further ones.
            is_last: Whether they are probably the last: then they are encoded at once, while
                others are waited for.

        Raises:
            StoreError: The disk is full.
        """
        if self._current not in {None, underlying}:
            self._flush(self._current)
        self._current = underlying
        staged = self._staged[underlying]
        staged.pending.append(rows)
        staged.rows += rows.height
        staged.total += rows.height
        # Bars are few and are sorted by time as a whole; ticks go to disk as they come.
        is_many = self._partition.sort_key[0] != "ts" and staged.rows >= _STAGED_ROWS
        if is_last or is_many:
            self._flush(underlying)

    def clear(self) -> None:
        """Forget what was staged."""
        self._wait()
        self._staged.clear()
        self._current = None
        self._shared.close()
        self._count += 1
        self._shared = self._sharer()

    def publish(self, gone: Iterable[str] = ()) -> dict[str, int]:
        """Publish every underlying's file in place of what was there.

        A file that was made from something better (`MADE_FROM`) stays. Of a whole market the file
        that many share goes where none shares it any more.

        Args:
            gone: Underlyings that had rows and have none now: their files go.

        Returns:
            Rows of each underlying.

        Raises:
            StoreError: The place does not take it.
        """
        self._flush(self._current)
        self._wait()
        for underlying, staged in self._staged.items():
            if staged.files and not self._is_better(underlying):
                path = self._merged([each.result() for each in staged.files])
                self._place.publish(path, self._partition.key(underlying))
        try:
            shared = self._shared.finished()
        except OSError as error:
            raise disk_error(error, str(self._folder)) from None
        if shared is not None:
            self._place.publish(shared, self._partition.key(SHARED))
        elif self._sharing:
            self._place.remove(self._partition.key(SHARED))
        for underlying in gone:
            if underlying not in self._staged and not self._is_better(underlying):
                self._place.remove(self._partition.key(underlying))
        return {underlying: staged.total for underlying, staged in self._staged.items()}

    def _is_better(self, underlying: str) -> bool:
        """Return whether what stands there is from a more complete kind of service."""
        rank = MADE_FROM.index(self._partition.made_from)
        if rank == len(MADE_FROM) - 1:
            return False
        there = made_from(self._place, self._partition.key, underlying)
        return there is not None and MADE_FROM.index(there) > rank

    def _shares(self, underlying: str) -> bool:
        """Return whether an underlying goes to the file that many share, so far as it has come."""
        staged = self._staged[underlying]
        if underlying in self._shared.names:
            return True
        if not self._sharing or staged.files or staged.total > SHARING_ROWS:
            return False
        # What has a file of its own, as it was asked for alone before, keeps it: that one is read.
        return f"underlying={underlying}" not in self._own or not self._place.exists(
            self._partition.key(underlying)
        )

    def _flush(self, underlying: str | None) -> None:
        if underlying is None or not self._staged[underlying].pending:
            return
        staged = self._staged[underlying]
        frames, staged.pending, staged.rows = staged.pending, [], 0
        if self._shares(underlying):
            self._share(underlying, frames)
            return
        self._count += 1
        path = self._folder / f"{self._count:06}.parquet"
        while len(self._waiting) >= _PENDING:
            self._waiting.pop(0).result()
        future = self._pool.submit(self._encode, underlying, frames, path)
        staged.files.append(future)
        self._waiting.append(future)

    def _share(self, underlying: str, frames: list[Frame]) -> None:
        try:
            self._shared.add(underlying, frames)
        except OSError as error:
            raise disk_error(error, str(self._folder)) from None

    def _wait(self) -> None:
        while self._waiting:
            self._waiting.pop(0).result()

    def _encode(self, underlying: str, frames: list[Frame], path: Path) -> Path:
        self._place.prepare(self._partition.key(underlying))
        rows = pl.concat(frames)
        frames.clear()  # what was sorted goes before it is encoded: memory is what counts
        rows = ordered(rows, self._partition.sort_key)
        try:
            encode(rows, path, self._metadata)
        except OSError as error:
            raise disk_error(error, str(self._folder)) from None
        except pl.exceptions.PolarsError as error:
            raise StoreError(f"{self._folder} cannot be written: {error}") from None
        return path

    @property
    def _metadata(self) -> dict[str, str]:
        detail = {"detail": self._partition.detail} if self._partition.detail else {}
        return {"made_from": self._partition.made_from} | detail

    @property
    def _format(self) -> dict[str, Any]:
        return {
            "compression": "zstd",
            "compression_level": ZSTD_LEVEL,
            "row_group_size": ROW_GROUP,
            "metadata": self._metadata,
        }

    def _merged(self, files: list[Path]) -> Path:
        """Return one file of all the files of an underlying, in order."""
        if len(files) == 1:
            return files[0]
        whole = files[0].with_suffix(".whole.parquet")
        symbol, ts = self._partition.sort_key
        try:
            numbered = "occurrence" in pl.read_parquet_schema(files[0])
            if symbol == "ts" or numbered or not _follow(files, symbol, ts):
                rows = pl.concat([pl.read_parquet(each, memory_map=False) for each in files])
                encode(ordered(rows, self._partition.sort_key), whole, self._metadata)
            else:
                pl.scan_parquet(files).sink_parquet(whole, maintain_order=True, **self._format)
        except OSError as error:
            raise disk_error(error, str(self._folder)) from None
        except pl.exceptions.PolarsError as error:
            raise StoreError(f"{self._folder} cannot be written: {error}") from None
        return whole

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._shared.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _follow(files: Sequence[Path], symbol: str, ts: str) -> bool:
    """Return whether each file begins where the one before it ends, or later."""
    before: tuple[object, ...] | None = None
    for path in files:
        lazy = pl.scan_parquet(path)
        names = [name for name in (symbol, ts) if name in lazy.collect_schema()]
        edges = pl.concat([lazy.select(names).head(1), lazy.select(names).tail(1)]).collect().rows()
        if before is not None and edges[0] < before:
            return False
        before = edges[-1]
    return True
