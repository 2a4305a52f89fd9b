"""The journal of a backtest: its decisions as a chain of lines, equal for equal runs byte by byte.

The lines are those of every journal (`utils.journal_chain`), so that the same tools read and check
them. Nothing is waited for on the way to the disk: a backtest that is lost is run again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import msgspec

from utils.journal_chain import GENESIS, HASH, link_of, prefix_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from models.decisions import Decision


class BacktestJournal:
    """A file of decisions; it takes its name when the run has ended well.

    Attributes:
        digest: Hash of the newest line, and so of all before it.
        count: Lines so far.
    """

    def __init__(self, path: Path) -> None:
        """Begin a file beside its later name.

        Raises:
            OSError: It cannot be written.
        """
        self.digest = GENESIS
        self.count = 0
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._file = self._draft.open("wb", buffering=1 << 20)
        self._encode = msgspec.json.Encoder(decimal_format="string").encode

    def record(self, decision: Decision) -> None:
        """Add a decision."""
        body = prefix_of(self.count) + self._encode(decision)
        self.digest = link_of(self.digest, body)
        self._file.write(body + HASH + self.digest.encode() + b'"}\n')
        self.count += 1

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End: the file appears whole, or not at all."""
        self._file.close()
        if kind is None:
            self._draft.replace(self._path)
        else:
            self._draft.unlink()
