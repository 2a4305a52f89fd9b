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

from clients.lake_place import disk_error
from models.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from types import TracebackType

    from clients.lake_place import Place
    from models.tables import Frame

MADE_FROM: Final = ("stream", "rest", "flat_file")
"""How rows were come by, the less complete first: a later one replaces an earlier one."""

ROW_GROUP: Final = 65_536
"""Rows; a minute of a large chain is in one of them, or two."""

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
    """

    table: str
    session: date
    source: str
    origin: str
    made_from: str
    sort_key: tuple[str, ...]

    def key(self, underlying: str) -> str:
        """Return the key of an underlying's file."""
        return partition_key(self.table, underlying, self.session, self.source, self.origin)


def partition_key(table: str, underlying: str, session: date, source: str, origin: str) -> str:
    """Return the key of the one file that a source and origin have of a partition."""
    return f"{table}/underlying={underlying}/session={session}/{source}-{origin}.parquet"


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
    """

    def __init__(self, place: Place, partition: Partition, staging: Path) -> None:
        self._place, self._partition = place, partition
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

    def publish(self) -> dict[str, int]:
        """Publish every underlying's file in place of what was there.

        A file that was made from something better (`MADE_FROM`) stays.

        Returns:
            Rows of each underlying.

        Raises:
            StoreError: The place does not take it.
        """
        self._flush(self._current)
        self._wait()
        rows = {}
        for underlying, staged in self._staged.items():
            key = self._partition.key(underlying)
            path = self._merged([each.result() for each in staged.files])
            rows[underlying] = staged.total
            if not self._is_better(key):
                self._place.publish(path, key)
        return rows

    def _is_better(self, key: str) -> bool:
        """Return whether what stands there is from a more complete kind of service."""
        rank = MADE_FROM.index(self._partition.made_from)
        if rank == len(MADE_FROM) - 1 or not self._place.exists(key):
            return False
        there = pl.read_parquet_metadata(self._place.url(key), storage_options=self._place.options)
        return MADE_FROM.index(there.get("made_from", MADE_FROM[0])) > rank

    def _flush(self, underlying: str | None) -> None:
        if underlying is None or not self._staged[underlying].pending:
            return
        staged = self._staged[underlying]
        frames, staged.pending, staged.rows = staged.pending, [], 0
        self._count += 1
        path = self._folder / f"{self._count:06}.parquet"
        while len(self._waiting) >= _PENDING:
            self._waiting.pop(0).result()
        future = self._pool.submit(self._encode, underlying, frames, path)
        staged.files.append(future)
        self._waiting.append(future)

    def _wait(self) -> None:
        while self._waiting:
            self._waiting.pop(0).result()

    def _encode(self, underlying: str, frames: list[Frame], path: Path) -> Path:
        self._place.prepare(self._partition.key(underlying))
        rows = frames[0] if len(frames) == 1 else pl.concat(frames)
        try:
            ordered(rows, self._partition.sort_key).write_parquet(path, **self._format)
        except OSError as error:
            raise disk_error(error, str(self._folder)) from None
        except pl.exceptions.PolarsError as error:
            raise StoreError(f"{self._folder} cannot be written: {error}") from None
        return path

    @property
    def _format(self) -> dict[str, Any]:
        return {
            "compression": "zstd",
            "compression_level": 1,
            "row_group_size": ROW_GROUP,
            "metadata": {"made_from": self._partition.made_from},
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
                ordered(rows, self._partition.sort_key).write_parquet(whole, **self._format)
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
        shutil.rmtree(self._folder, ignore_errors=True)


def ordered(rows: Frame, sort_key: Sequence[str]) -> Frame:
    """Return rows in the lake's order, with the number of those of one contract and time.

    Rows of one contract and time keep their order: it is all that tells two trades apart, and
    `occurrence` (from 0) says it.
    """
    first, second = sort_key
    symbol = second if first == "ts" else first
    if "occurrence" in rows.columns or "price" in rows.columns:
        rows = rows.drop("occurrence", strict=False).sort(sort_key, maintain_order=True)
        count = pl.int_range(pl.len(), dtype=pl.Int32).over(symbol, "ts").alias("occurrence")
        return rows.with_columns(count)
    if first == "ts":
        # By contract already, as the source sends them: one stable sort of numbers is enough.
        if symbol in rows.columns and not rows[symbol].is_sorted():
            return rows.sort(sort_key, maintain_order=True)
        return rows.sort("ts", maintain_order=True)
    return rows if _is_ordered(rows, symbol) else rows.sort(sort_key, maintain_order=True)


def _is_ordered(rows: Frame, symbol: str) -> bool:
    if symbol not in rows.columns:
        return rows["ts"].is_sorted()
    if not rows[symbol].is_sorted():
        return False
    later = pl.col("ts") >= pl.col("ts").shift(1)
    return bool(rows.select((later | (pl.col(symbol) != pl.col(symbol).shift(1))).all()).item())


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
