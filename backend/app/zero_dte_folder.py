"""The folder of one 0DTE study: finished files, and the parts that a broken download goes on from.

`contracts`, `underlying`, `bars`, `trades` and `quotes` are Parquet files; `study.json` says what
they are and comes last. Parts lie in `.parts` until then, each whole or not there.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from app.publish import publish, publish_rows
from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from models.tables import Frame

DATASETS: Final = ("contracts", "underlying", "bars", "trades", "quotes")
"""Files of a study, in the order in which they are told."""

CONTRACTS_A_PART: Final = 25


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds.

    Attributes:
        ticker: Underlying.
        day: The session, and the contracts' last day.
        source: polygon.
        origin: live, simulator or recorded.
        asked_at: Market time of the newest data.
        settled: Whether the session was over then: nothing more will come.
        contracts: How many expire.
        open_interest: Why some of it is missing; empty where all is there.
        missing: Dataset -> why it is not there.
    """

    ticker: str
    day: str
    source: str
    origin: str
    asked_at: str
    settled: bool
    contracts: int
    open_interest: str = ""
    missing: dict[str, str] = {}


class StudyFolder:
    """Files of one study.

    Args:
        path: The folder; made when the first file is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = path / ".parts"

    def file(self, dataset: str) -> Path:
        """Return the place of a dataset's file."""
        return self.path / f"{dataset}.parquet"

    def make(self, ticker: str, day: date, origin: str) -> Study | None:
        """Make the folder if need be; return the study that it holds already.

        Raises:
            ConfigError: It holds another study, or is no folder.
            OSError: It cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file: --out names a folder")
        self._parts.mkdir(parents=True, exist_ok=True)
        try:
            text = (self.path / "study.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            known = msgspec.json.decode(text, type=Study)
        except msgspec.DecodeError:
            return None
        if (known.ticker, known.day, known.origin) != (ticker, str(day), origin):
            raise ConfigError(
                f"{self.path} holds {known.ticker} of {known.day} ({known.origin}): give another "
                "folder by --out"
            )
        return known

    def finish(self, study: Study) -> None:
        """Say what the files are, and let the parts go."""
        publish(self.path / "study.json", msgspec.json.format(msgspec.json.encode(study)) + b"\n")
        shutil.rmtree(self._parts, ignore_errors=True)

    def keep_parts_of(self, symbols: Sequence[str], asked_at: datetime | None) -> None:
        """Forget parts that were fetched for other contracts or at another time.

        Args:
            symbols: Contracts, in order.
            asked_at: Market time of an open session; None where it is over.
        """
        text = "\n".join([str(asked_at), str(CONTRACTS_A_PART), *symbols])
        wanted = hashlib.sha256(text.encode()).hexdigest().encode()
        mark = self._parts / "of"
        if not mark.exists() or mark.read_bytes() != wanted:
            for part in self._parts.glob("*.parquet"):
                part.unlink()
            publish(mark, wanted)

    def part(self, dataset: str, number: int) -> Frame | None:
        """Return a part that an earlier run fetched, or None."""
        path = self._parts / f"{dataset}-{number:05d}.parquet"
        return pl.read_parquet(path) if path.exists() else None

    def put_part(self, dataset: str, number: int, rows: Frame) -> None:
        """Keep a part."""
        publish_rows(self._parts / f"{dataset}-{number:05d}.parquet", rows)

    def put(self, dataset: str, rows: Frame) -> None:
        """Publish a dataset's file."""
        publish_rows(self.file(dataset), rows)

    def drop(self, dataset: str) -> None:
        """Remove a file that an earlier run left of what is not to be had now."""
        self.file(dataset).unlink(missing_ok=True)

    def live(self) -> Iterator[tuple[Path, Frame]]:
        """Yield what the stream told and no finished file holds yet, oldest first."""
        for path in sorted(self._live.glob("*.parquet")):
            yield path, pl.read_parquet(path)

    def put_live(self, dataset: str, rows: Frame, time_ns: int) -> None:
        """Keep events of the stream."""
        self._live.mkdir(exist_ok=True)
        publish_rows(self._live / f"{dataset}-{time_ns:020d}.parquet", rows)

    def drop_live(self, paths: Sequence[Path]) -> None:
        """Let events go that a finished file holds now."""
        for path in paths:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # others came meanwhile
            self._live.rmdir()

    @property
    def _live(self) -> Path:
        return self.path / ".live"
