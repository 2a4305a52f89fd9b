"""The file that underlyings with few rows share: one for each table and session.

A day of the whole market has 4,500 underlyings, nearly all of them with a few hundred rows. A file
for each would cost a millisecond to write and to open, and a year of them a million files. So a
write of the whole market gives those their place in one file, sorted by underlying: reading one of
them touches one row group.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from clients.lake_encoding import ROW_GROUP, RowGroups, encode, ordered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.tables import Frame

SHARING_ROWS: Final = 8192
"""An underlying with more rows in a session has a file of its own."""

UNDERLYINGS: Final = "underlyings"
"""What the file's metadata name its underlyings by; commas between them."""

_PENDING = 3


@dataclass(slots=True)
class SharedFile:
    """Takes the rows of one underlying after the other, and writes row groups as they fill.

    Attributes:
        path: Where it is staged.
        sort_key: Order of the rows of one underlying.
        metadata: Of the file.
        names: The underlyings that it has.
    """

    path: Path
    sort_key: tuple[str, ...]
    metadata: dict[str, str]
    names: set[str] = field(default_factory=set)
    _batch: list[Frame] = field(default_factory=list)
    _rows: int = 0
    _is_disordered: bool = False
    _groups: RowGroups | None = None
    _waiting: list[Future[None]] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "share"))

    def add(self, underlying: str, frames: Sequence[Frame]) -> None:
        """Take rows of an underlying; it may come again, which costs one more sort at the end."""
        self._is_disordered |= underlying in self.names
        self.names.add(underlying)
        name = pl.lit(underlying).alias("underlying")
        self._batch += [rows.with_columns(name) for rows in frames]
        self._rows += sum(rows.height for rows in frames)
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._rows = self._batch, [], 0
        while len(self._waiting) >= _PENDING:
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(self._write, batch))

    def _write(self, batch: list[Frame]) -> None:
        rows = ordered(pl.concat(batch), self._order)
        if self._groups is None:
            self._groups = RowGroups(self.path, rows, self.metadata)
        self._groups.write(rows)

    @property
    def _order(self) -> tuple[str, ...]:
        return ("underlying", *(name for name in self.sort_key if name != "underlying"))

    def finished(self) -> Path | None:
        """Write what is left; return the file, or None where no underlying came.

        Raises:
            OSError: The disk does not take it.
        """
        if self._batch:
            self._flush()
        while self._waiting:
            self._waiting.pop(0).result()
        if self._groups is None:
            return None
        named = {UNDERLYINGS: ",".join(sorted(self.names))}
        self._groups.close(named)
        self._groups = None
        if not self._is_disordered:
            return self.path
        whole = self.path.with_suffix(".whole.parquet")
        rows = ordered(pl.read_parquet(self.path, memory_map=False), self._order)
        encode(rows, whole, self.metadata | named)
        return whole

    def close(self) -> None:
        """Stop; what is staged is no good."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._groups is not None:
            self._groups.close({})
            self._groups = None
