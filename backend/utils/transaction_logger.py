"""The journal: what is to be done is written here, durably, before it is done.

One JSON line a record, appended and never changed:

    {"seq":12,"record":{"type":"intent",...},"hash":"<64 hexadecimal digits>"}

The hash is SHA-256 over the hash of the line before and everything of this line that stands before
`,"hash"`, so that no record can be changed, dropped or moved without breaking the chain. Beside the
journal stands `<name>.head` with the number and hash of its newest record: it shows when whole
records were cut off the end. Whoever rewrites both files leaves no trace, since there is no key:
the chain shows accidents and careless hands, not a forger.

A record is on the disk when `append` returns (`fdatasync`); the head is written after it and may
lag behind it by what one power cut loses, never run ahead.
"""

import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, get_args

import msgspec

from models.errors import StoreError
from models.journal import Opened
from utils.clock import Clock, wall_clock
from utils.code_version import code_version

_log = logging.getLogger(__name__)

_GENESIS = "0" * 64
_HASH = b',"hash":"'
_TRAILER = len(_HASH) + 64 + 2  # the hash, a quote and a brace
_HEAD_BYTES = 160
_SYNC = getattr(os, "fdatasync", os.fsync)  # macOS has the second only

R = TypeVar("R", bound=msgspec.Struct)


class _Line(msgspec.Struct, Generic[R], frozen=True):
    seq: int
    record: R


class _Head(msgspec.Struct, frozen=True):
    seq: int
    hash: str
    pid: int


@dataclass(frozen=True, slots=True)
class Disk:
    """How bytes reach the disk; tests hand in one that fails.

    Attributes:
        write: (descriptor, bytes) -> how many were written.
        sync: Returns when the descriptor's data are durable.
    """

    write: Callable[[int, bytes], int] = os.write
    sync: Callable[[int], None] = _SYNC


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong with a journal.

    Attributes:
        seq: Number of the record at fault, counted from 0.
        offset: Where it begins in the file, bytes.
        reason: What is wrong.
    """

    seq: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a journal is worth.

    Attributes:
        records: How many good records it begins with.
        good_bytes: Where they end.
        digest: Hash of the last of them.
        fault: The first bad record, or None.
        torn_bytes: Length of a last record that was never finished; no fault.
    """

    records: int
    good_bytes: int
    digest: str
    fault: Fault | None = None
    torn_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TornTail:
    """A last record that was never finished and was put aside when the journal was opened.

    Attributes:
        seq: The number that it would have had.
        size: Bytes.
        kept_in: Where the bytes lie now.
    """

    seq: int
    size: int
    kept_in: Path


def verify(path: Path) -> Verdict:
    """Check a journal from its first record to its last, without changing it.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"the journal {path} cannot be read: {error.strerror}") from None
    return _verdict(data, _read_head(_head_path(path)))


def _verdict(data: bytes, head: _Head | None) -> Verdict:
    found = _chain(data)
    known = head.seq + 1 if head else 0
    if found.fault is None and found.records < known:
        missing = f"{known - found.records} record(s) are missing from the end"
        return _faulty(found, f"cut off here: {missing}")
    if found.fault is None and found.records == known and head and found.digest != head.hash:
        last = max(found.records - 1, 0)
        return _faulty(found, "the end mark names another record", seq=last)
    if head is None and found.fault is None and found.records > 1:
        return _faulty(found, "the end mark is missing: records may have been cut off here")
    return found


def _faulty(found: Verdict, reason: str, seq: int | None = None) -> Verdict:
    fault = Fault(found.records if seq is None else seq, found.good_bytes, reason)
    return Verdict(found.records, found.good_bytes, found.digest, fault)


def _chain(data: bytes) -> Verdict:
    """Walk the chain; an unfinished record at the very end is torn, anything else bad a fault."""
    digest, seq, offset = _GENESIS, 0, 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        line = data[offset:] if end < 0 else data[offset:end]
        reason = "it has no end" if end < 0 else _wrong(line, seq, digest)
        if reason is None:
            digest = line[-66:-2].decode()
            offset, seq = end + 1, seq + 1
        elif _torn(data[offset:]):
            return Verdict(seq, offset, digest, torn_bytes=len(data) - offset)
        else:
            return Verdict(seq, offset, digest, Fault(seq, offset, reason))
    return Verdict(seq, offset, digest)


def _wrong(line: bytes, seq: int, digest: str) -> str | None:
    body, trailer = line[:-_TRAILER], line[-_TRAILER:]
    if not (trailer.startswith(_HASH) and trailer.endswith(b'"}')):
        return "it is not a record"
    if trailer[len(_HASH) : -2] != _link(digest, body).encode():
        return "it was changed, or stands in another place than it was written to"
    if not body.startswith(_prefix(seq)):
        return "its number is wrong"
    return None


def _torn(rest: bytes) -> bool:
    """Whether what follows the good records is one unfinished write: no line in it is whole."""
    return not any(
        line[-_TRAILER:].startswith(_HASH) and line.endswith(b'"}') for line in rest.split(b"\n")
    )


def _prefix(seq: int) -> bytes:
    return b'{"seq":%d,"record":' % seq


def _link(digest: str, body: bytes) -> str:
    return hashlib.sha256(digest.encode() + body).hexdigest()


def _head_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.head")


def _read_head(path: Path) -> _Head | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Head)
    except (OSError, msgspec.DecodeError):
        return None


class TransactionLogger(Generic[R]):
    """An append-only journal of typed records in one file, owned by one program at a time.

    Threads may share it. After a write has failed, nothing more is written: what the disk holds is
    uncertain until the journal is opened anew, and whoever asks to append gets a `StoreError`.

    Args:
        path: The file; made with mode 0600, its folder with 0700.
        records: The union of the records' types, tagged msgspec Structs (`models.journal.Record`);
            `Opened` is added.
        subject: What it is about; a journal of another subject is refused.
        clock: For the time of opening.
        disk: How bytes reach the disk.

    Raises:
        StoreError: Another program has it open, it is damaged (the sentence names the first bad
            record), it is about something else, or the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        records: Any,
        *,
        subject: str,
        clock: Clock = wall_clock,
        disk: Disk | None = None,
    ) -> None:
        self.path = path
        self.torn: TornTail | None = None
        """What was cut off when it was opened, or None."""
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._broken: str | None = None
        members = get_args(records) or (records,)
        line: Any = _Line
        self._decoder = msgspec.json.Decoder(line[reduce(or_, members, Opened)])
        self._encoder = msgspec.json.Encoder(decimal_format="string")
        self._file = self._open()
        try:
            self._head = os.open(_head_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._recover()
            self._check_subject(subject)
            opened = Opened(
                at_ns=int(clock().timestamp() * 1e9),
                subject=subject,
                code=code_version(),
                pid=os.getpid(),
            )
            self._append([opened])
            os.fsync(self._head)
            _sync_folder(path.parent)
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"the journal {path} cannot be opened: {error.strerror}") from None
        except BaseException:
            os.close(self._file)
            raise

    @property
    def count(self) -> int:
        """How many records it holds."""
        return self._seq

    def append(self, *records: R) -> int:
        """Write records, in one piece, and return when they are on the disk.

        Returns:
            The number of the last of them.

        Raises:
            StoreError: They may not be there; nothing more is written before it is opened anew.
        """
        with self._lock:
            return self._append(list(records))

    def read(self) -> Iterator[R | Opened]:
        """Yield all records from the first on, those of earlier programs included.

        Raises:
            StoreError: The file cannot be read, or a record is of no known type.
        """
        try:
            with self.path.open("rb") as file:
                lines = file.read(self._size).splitlines()
        except OSError as error:
            raise StoreError(f"the journal {self.path} cannot be read: {error.strerror}") from None
        for number, line in enumerate(lines):
            try:
                yield self._decoder.decode(line[:-_TRAILER] + b"}").record
            except msgspec.DecodeError as error:
                message = f"record {number} of the journal {self.path} is of no known type: {error}"
                raise StoreError(message) from None

    def close(self) -> None:
        """Give the journal free for other programs."""
        with self._lock:
            if self._broken != "it is closed":
                self._broken = "it is closed"
                os.close(self._head)
                os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            file = os.open(self.path, flags, 0o600)
        except OSError as error:
            message = f"the journal {self.path} cannot be opened: {error.strerror}"
            raise StoreError(message) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(file, 0o600)
        except BlockingIOError:
            os.close(file)
            raise StoreError(self._owned()) from None
        except OSError as error:
            os.close(file)
            message = f"the journal {self.path} cannot be locked: {error.strerror}"
            raise StoreError(message) from None
        return file

    def _owned(self) -> str:
        head = _read_head(_head_path(self.path))
        owner = f" (process {head.pid})" if head else ""
        return (
            f"another program{owner} trades this account and has the journal {self.path} open: "
            "end it first, since two of them would double orders"
        )

    def _recover(self) -> None:
        """Find the end of the journal; put an unfinished record aside."""
        data = self.path.read_bytes()
        head = _read_head(_head_path(self.path))
        found = _verdict(data, head) if head else _chain(data)
        if found.fault is not None:
            raise StoreError(
                f"the journal {self.path} is damaged: record {found.fault.seq} at byte "
                f"{found.fault.offset}: {found.fault.reason}; compare it with the broker's order "
                "list and move it away before trading on"
            )
        if head is None and found.records > 1:
            _log.warning("the journal %s has lost its end mark: is its end missing?", self.path)
        self._seq, self._size, self._digest = found.records, found.good_bytes, found.digest
        if found.torn_bytes:
            self.torn = self._put_aside(data[found.good_bytes :])

    def _put_aside(self, tail: bytes) -> TornTail:
        aside = self.path.with_name(f"{self.path.name}.torn-{self._seq}")
        number = 0
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.torn-{self._seq}-{number}")
        kept = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(os.write, kept, tail)
            os.fsync(kept)
        finally:
            os.close(kept)
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        _log.warning(
            "the journal %s ended in %d bytes of a record that was never finished: kept in %s",
            self.path,
            len(tail),
            aside,
        )
        return TornTail(self._seq, len(tail), aside)

    def _check_subject(self, subject: str) -> None:
        if not self._seq:
            return
        first = next(self.read())
        if not isinstance(first, Opened) or first.subject != subject:
            raise StoreError(f"the journal {self.path} is about another account: name another file")

    def _append(self, records: list[Any]) -> int:
        if self._broken:
            raise StoreError(f"nothing can be written to the journal {self.path}: {self._broken}")
        lines = bytearray()
        seq, digest = self._seq, self._digest
        for record in records:
            body = _prefix(seq) + self._encoder.encode(record)
            digest = _link(digest, body)
            lines += body + _HASH + digest.encode() + b'"}\n'
            seq += 1
        try:
            _write_all(self._disk.write, self._file, bytes(lines))
            self._disk.sync(self._file)
        except OSError as error:
            raise self._halt(error) from None
        self._seq, self._digest, self._size = seq, digest, self._size + len(lines)
        self._mark()
        return seq - 1

    def _halt(self, error: OSError) -> StoreError:
        """Write nothing more: after a failed write or sync, what the disk holds is uncertain."""
        self._broken = f"{error.strerror or error}; mend the disk and start again"
        try:
            os.ftruncate(self._file, self._size)  # best effort: what was not finished never was
        except OSError as second:
            _log.warning("the journal %s keeps a torn end: %s", self.path, second.strerror)
        message = f"the journal {self.path} cannot be written: {self._broken}"
        return StoreError(message)

    def _mark(self) -> None:
        """Say where the journal ends. A lost mark is harmless: it may lag behind."""
        mark = msgspec.json.encode(_Head(self._seq - 1, self._digest, os.getpid()))
        try:
            os.pwrite(self._head, mark.ljust(_HEAD_BYTES - 1) + b"\n", 0)
        except OSError as error:
            _log.warning("the end mark of %s cannot be written: %s", self.path, error.strerror)


def _write_all(write: Callable[[int, bytes], int], file: int, data: bytes) -> None:
    while data:
        data = data[write(file, data) :]


def _sync_folder(folder: Path) -> None:
    """Make the files' names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
