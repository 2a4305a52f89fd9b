"""One day file into the lake, and the ledger of what was stored: what workers of a backfill do.

The ledger has one small file for each dataset, session and origin in the lake itself: which object
(ETag, size) gave how many rows, volume and transactions of each underlying. It is written after the
data; a run that is killed between the two stores the same rows once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from app.simulated_market import SimulatorStatus, simulator_status
from clients.lake import LEDGER, Lake, Partition
from models.errors import DataError, TradingError
from polygon_integration.config import PROVIDER, PolygonSettings
from polygon_integration.flat_datasets import FlatDataset, dataset
from polygon_integration.flat_files import DayFile, Reading, Unsorted
from polygon_integration.s3_bulk_downloader import FlatFiles, State
from simulator.clock import market_clock
from utils.clock import wall_clock
from utils.paths import state_folder
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.tables import Frame
    from polygon_integration.s3_bulk_downloader import Remote, Transfer
    from utils.clock import Clock

_KEPT_BAD_LINES = 1000


class Stored(msgspec.Struct, frozen=True):
    """What the ledger says of one underlying.

    Attributes:
        rows: In the lake.
        volume: Their sum, contracts or shares; 0 of quotes.
        transactions: Their sum; of trades their number; 0 of quotes.
    """

    rows: int = 0
    volume: float = 0.0
    transactions: int = 0


class BadLine(msgspec.Struct, frozen=True):
    """A line that was kept out: its number in the file, why, and how it begins."""

    number: int
    reason: str
    text: str


class Entry(msgspec.Struct, frozen=True):
    """One file of the ledger.

    Attributes:
        key: Of the object.
        etag: Of the object.
        size: Of the object, bytes.
        lines: Of its text, without the header.
        is_sorted: Whether it was in order.
        is_whole: Whether every underlying of it is stored.
        underlyings: What is stored.
        bad_lines: How many lines were kept out of those that were parsed.
        quarantine: The first of them.
    """

    key: str
    etag: str
    size: int
    lines: int
    is_sorted: bool
    is_whole: bool
    underlyings: dict[str, Stored]
    bad_lines: int = 0
    quarantine: list[BadLine] = []

    def is_of(self, remote: Remote) -> bool:
        """Return whether it speaks of exactly this object."""
        return (self.key, self.etag, self.size) == (remote.key, remote.etag, remote.size)


class Job(msgspec.Struct, frozen=True):
    """One day file to store; plain values, so that another process or machine can do it.

    Attributes:
        dataset: As minute_aggs.
        day: Of the file.
        underlyings: Some; none means all of the file.
        lake: Of `Lake.open`; None for that of the settings.
        origin: live, simulator or recorded.
        endpoint: Of the flat files.
        bucket: Of the flat files.
        access_key: Of the flat files; None takes that of the worker's settings.
        secret_key: The same.
        now: Market time where it is not the wall's: of a simulator.
        speed: Market seconds a second there.
        at: The wall's time when it was `now` there.
    """

    dataset: str
    day: date
    underlyings: tuple[str, ...]
    lake: str | None
    origin: str
    endpoint: str
    bucket: str
    access_key: str | None = None
    secret_key: str | None = None
    now: datetime | None = None
    speed: float = 1.0
    at: datetime | None = None

    def clock(self) -> Clock:
        """Return the market's clock."""
        if self.now is None:
            return wall_clock
        passed = (wall_clock() - self.at) * self.speed if self.at else timedelta(0)
        return market_clock(self.now + passed, self.speed)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job.

    Attributes:
        day: Of the file.
        state: As `polygon_integration.s3_bulk_downloader.State`.
        sentence: For a person, where something is to be said.
        rows: Stored now.
        size: Bytes that were read, compressed.
        bad: Lines that were kept out.
        was_there: Whether the lake had it all.
        empty: Underlyings that were asked for and of which the file has no row.
    """

    day: date
    state: State
    sentence: str = ""
    rows: int = 0
    size: int = 0
    bad: int = 0
    was_there: bool = False
    empty: tuple[str, ...] = ()


def settings_job(settings: PolygonSettings) -> Job:
    """Return what all jobs at the service of the settings have in common.

    A simulator at their address says so: its rows are never live.

    Raises:
        ConfigError: Half of the keys is missing.
    """
    settings.s3_credentials()
    job = Job("", date.min, (), None, "live", settings.s3_endpoint, settings.s3_bucket)
    if settings.s3_endpoint == PolygonSettings.model_fields["s3_endpoint"].default:
        return job
    try:
        status = simulator_status(settings.s3_endpoint)
    except TradingError:
        return job
    return _at_market_time(job, status)


def simulated_job(status: SimulatorStatus) -> Job:
    """Return what all jobs at a running simulator have in common."""
    job = Job("", date.min, (), None, status.origin, status.s3, status.s3_bucket)
    return msgspec.structs.replace(
        _at_market_time(job, status),
        access_key=status.s3_access_key,
        secret_key=status.s3_secret_key,
    )


def _at_market_time(job: Job, status: SimulatorStatus) -> Job:
    return msgspec.structs.replace(
        job, origin=status.origin, now=status.now, speed=status.speed, at=wall_clock()
    )


def ledger_key(what: FlatDataset, day: date, origin: str) -> str:
    """Return where the ledger speaks of a day."""
    return f"{LEDGER}/{what.table}/{PROVIDER}-{origin}/{day}.json"


def read_entry(lake: Lake, what: FlatDataset, day: date, origin: str) -> Entry | None:
    """Return what the ledger says of a day, or None.

    Raises:
        DataError: The ledger's file is no such thing.
    """
    content = lake.place.read(key := ledger_key(what, day, origin))
    try:
        return None if content is None else msgspec.json.decode(content, type=Entry)
    except msgspec.MsgspecError:
        raise DataError(
            f"{key} of the lake at {lake.place.shown} cannot be read: remove it"
        ) from None


def store_day(job: Job) -> Done:
    """Store a day file: what is missing of it, from the part that is here already.

    Raises:
        TradingError: Something that concerns all days: keys, the disk, the lake.
    """
    lake, what = Lake.open(job.lake), dataset(job.dataset)
    files = _files(job)
    known = read_entry(lake, what, job.day, job.origin)
    found = files.look(job.dataset, job.day)
    if found.remote is None:
        return Done(job.day, found.state, found.sentence)
    before = known if known and known.is_of(found.remote) else None
    missing = job.underlyings
    if known is not None and before is None:  # replaced by the vendor: so is all that came of it
        missing = () if known.is_whole else tuple({*missing, *known.underlyings} if missing else ())
    if before is not None:
        missing = tuple(name for name in job.underlyings if name not in before.underlyings)
        if before.is_whole or (job.underlyings and not missing):
            return Done(
                job.day, State.AVAILABLE, was_there=True, empty=_empty(job, before.underlyings)
            )
    gone = (
        [] if known is None or before else [n for n, had in known.underlyings.items() if had.rows]
    )
    day = _Day(lake, what, files, job, found.remote)
    try:
        reading, stored = day.store(missing, gone)
    except DataError:  # what lies here may be at fault: once more, from the service
        day.discard()
        reading, stored = day.store(missing, gone)
    lake.place.settle()
    entry = _entry(found.remote, reading, stored, before, is_whole=not missing)
    lake.place.write(ledger_key(what, job.day, job.origin), msgspec.json.encode(entry))
    day.discard()
    rows = sum(each.rows for each in stored.values())
    return Done(
        job.day,
        State.AVAILABLE,
        rows=rows,
        size=found.remote.size,
        bad=len(reading.bad),
        empty=_empty(job, entry.underlyings),
    )


def _empty(job: Job, stored: dict[str, Stored]) -> tuple[str, ...]:
    return tuple(name for name in job.underlyings if not stored.get(name, Stored()).rows)


@dataclass(frozen=True, slots=True)
class _Day:
    """One object on its way into the lake."""

    lake: Lake
    what: FlatDataset
    files: FlatFiles
    job: Job
    remote: Remote

    @property
    def folder(self) -> Path:
        return state_folder("parts")

    def store(
        self, underlyings: tuple[str, ...], before: Sequence[str]
    ) -> tuple[Reading, dict[str, Stored]]:
        """Replace the partitions of some underlyings, or of all, by what the object has.

        Args:
            underlyings: Some; none means all.
            before: Underlyings of which an earlier edition of the object had rows.

        Raises:
            DataError: The object is damaged, or its header has changed.
            ProviderError: The service failed.
            StoreError: The disk or the lake failed.
        """
        file = DayFile(
            self.remote.key, self.what, PROVIDER, self.job.origin, underlyings=underlyings
        )
        partition = Partition(
            self.what.table,
            self.job.day,
            PROVIDER,
            self.job.origin,
            "flat_file",
            self.what.sort_key,
        )
        reading = Reading()
        with self.lake.replacing(partition, sharing=not underlyings) as writer:
            while True:
                stored = dict.fromkeys(underlyings, Stored())
                try:
                    for run in file.runs(self._opened, reading):
                        writer.add(run.underlying, run.rows, is_last=run.is_last)
                        known = stored.get(run.underlying, Stored())
                        stored[run.underlying] = _plus(known, run.rows, self.what)
                except Unsorted:
                    writer.clear()
                    continue
                writer.publish(before)
                return reading, stored

    def _opened(self) -> Transfer:
        return self.files.open(self.remote, self.folder)

    def discard(self) -> None:
        """Remove what was fetched: it is in the lake, or it is no good."""
        with self._opened() as transfer:
            transfer.discard()


def _plus(known: Stored, rows: Frame, what: FlatDataset) -> Stored:
    if what.kind == "quotes":
        return Stored(known.rows + rows.height)
    column = "volume" if what.kind == "bars" else "size"
    trades = int(rows["trades"].sum()) if what.kind == "bars" else rows.height
    return Stored(
        known.rows + rows.height,
        known.volume + float(rows[column].sum()),
        known.transactions + trades,
    )


def _entry(
    remote: Remote,
    reading: Reading,
    stored: dict[str, Stored],
    before: Entry | None,
    *,
    is_whole: bool,
) -> Entry:
    bad = [BadLine(line.number, line.reason, line.text) for line in reading.bad]
    return Entry(
        key=remote.key,
        etag=remote.etag,
        size=remote.size,
        lines=reading.lines,
        is_sorted=reading.is_sorted,
        is_whole=is_whole,
        underlyings=dict(sorted(((before.underlyings if before else {}) | stored).items())),
        bad_lines=len(bad) + (before.bad_lines if before else 0),
        quarantine=[*(before.quarantine if before else []), *bad][:_KEPT_BAD_LINES],
    )


def _files(job: Job) -> FlatFiles:
    settings = load(
        PolygonSettings,
        s3_endpoint=job.endpoint,
        s3_bucket=job.bucket,
        s3_access_key=job.access_key,
        s3_secret_key=job.secret_key,
    )
    return FlatFiles(settings, job.clock())
