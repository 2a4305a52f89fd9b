"""The journal: what is to be done is written here, durably, before it is done.

One JSON line a record, appended and never changed:

    {"seq":12,"record":{"type":"intent",...},"hash":"<64 hexadecimal digits>"}

The hash is SHA-256 over the hash of the line before and everything of this line that stands before
`,"hash"`, so that no record can be changed, dropped or moved without breaking the chain. Beside the
journal stands `<name>.head` with the number and hash of its newest record, signed with the key of
`journal_key`: it shows when records were cut off the end, or the whole chain written anew. Who puts
back an older journal together with its older head is found by check-points that are kept elsewhere,
as in the database.

A record is on the disk when `append` returns (`fdatasync`); the head is written after it and may
lag behind it by what one power cut loses, never run ahead.

```
python -m utils.transaction_logger verify FILE     # chain and end mark; names the first bad record
python -m utils.transaction_logger seal FILE       # sign what is there, once a person has checked it
```
"""

import fcntl
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, get_args

import msgspec

from models.errors import JournalDamaged, StoreError
from models.journal import Opened
from utils.clock import Clock, wall_clock
from utils.code_version import code_version
from utils.journal_chain import (
    HASH,
    TRAILER,
    Checkpoint,
    Fault,
    Head,
    Verdict,
    chain_of,
    head_path,
    link_of,
    prefix_of,
    read_head,
    verdict_of,
    verify,
)
from utils.journal_key import journal_key, signature_of

_log = logging.getLogger(__name__)

_HEAD_BYTES = 320
_SYNC = getattr(os, "fdatasync", os.fsync)  # macOS has the second only

R = TypeVar("R", bound=msgspec.Struct)


class _Line(msgspec.Struct, Generic[R], frozen=True):
    seq: int
    record: R


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
        key: Signs the end mark; that of OPTIONS_HOME unless given.

    Raises:
        JournalDamaged: It is damaged; the sentence names the first bad record.
        StoreError: Another program has it open, it is about something else, or the disk refuses.
        ConfigError: The key cannot be used.
    """

    def __init__(  # noqa: PLR0913 - what a journal is made of
        self,
        path: Path,
        records: Any,
        *,
        subject: str,
        clock: Clock = wall_clock,
        disk: Disk | None = None,
        key: bytes | None = None,
    ) -> None:
        self.path = path
        self._key = key or journal_key()
        self.torn: TornTail | None = None
        """What was cut off when it was opened, or None."""
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._broken: str | None = None
        self._decoder = _decoder(records)
        self._encoder = msgspec.json.Encoder(decimal_format="string")
        self._file = self._open()
        try:
            self._head = os.open(head_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                data = file.read(self._size)
        except OSError as error:
            raise StoreError(f"the journal {self.path} cannot be read: {error.strerror}") from None
        yield from _records(self._decoder, data, self.path)

    def checkpoint(self) -> Checkpoint:
        """Return the newest record's number and hash, to be kept elsewhere."""
        with self._lock:
            return Checkpoint(self._seq - 1, self._digest)

    def check(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Compare with what its records once were.

        Raises:
            JournalDamaged: A record that was there is missing, or another one.
        """
        fault = verify(self.path, checkpoints=checkpoints).fault
        if fault is not None:
            raise _damaged(self.path, fault)

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
        head = read_head(head_path(self.path))
        owner = f" (process {head.pid})" if head else ""
        return (
            f"another program{owner} trades this account and has the journal {self.path} open: "
            "end it first, since two of them would double orders"
        )

    def _recover(self) -> None:
        """Find the end of the journal; put an unfinished record aside."""
        data = self.path.read_bytes()
        found = verdict_of(data, read_head(head_path(self.path)), self._key)
        if found.fault is not None:
            raise _damaged(self.path, found.fault)
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
            body = prefix_of(seq) + self._encoder.encode(record)
            digest = link_of(digest, body)
            lines += body + HASH + digest.encode() + b'"}\n'
            seq += 1
        try:
            _write_all(self._disk.write, self._file, bytes(lines))
            self._disk.sync(self._file)
        except OSError as error:
            raise self._halt(error) from None
        except BaseException:  # interrupted, by Ctrl-C perhaps
            self._drop_unfinished()
            raise
        self._seq, self._digest, self._size = seq, digest, self._size + len(lines)
        self._mark()
        return seq - 1

    def _halt(self, error: OSError) -> StoreError:
        """Write nothing more: after a failed write or sync, what the disk holds is uncertain."""
        self._drop_unfinished()
        self._broken = f"{error.strerror or error}; mend the disk and start again"
        message = f"the journal {self.path} cannot be written: {self._broken}"
        return StoreError(message)

    def _drop_unfinished(self) -> None:
        """Cut off what was not finished: it never was, and nothing may stand behind it."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError as error:
            self._broken = f"an unfinished record cannot be cut off ({error.strerror})"
            _log.warning("the journal %s keeps a torn end: %s", self.path, error.strerror)

    def _mark(self) -> None:
        """Say where the journal ends. A lost mark is harmless: it may lag behind."""
        try:
            os.pwrite(self._head, _end_mark(self._key, self._seq - 1, self._digest), 0)
        except OSError as error:
            _log.warning("the end mark of %s cannot be written: %s", self.path, error.strerror)


def read_journal(
    path: Path, records: Any, *, key: bytes | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield number and record of a journal that another program may have open, once it is checked.

    Args:
        path: The file.
        records: As of `TransactionLogger`.
        key: Of its end mark; None does not check the signature.

    Raises:
        JournalDamaged: It is damaged.
        StoreError: It cannot be read, or a record is of no known type.
    """
    verdict = verify(path, key)
    if verdict.fault is not None:
        raise _damaged(path, verdict.fault)
    with path.open("rb") as file:
        data = file.read(verdict.good_bytes)
    yield from enumerate(_records(_decoder(records), data, path))


def _decoder(records: Any) -> msgspec.json.Decoder[Any]:
    line: Any = _Line
    return msgspec.json.Decoder(line[reduce(or_, get_args(records) or (records,), Opened)])


def _records(decoder: msgspec.json.Decoder[Any], data: bytes, path: Path) -> Iterator[Any]:
    for number, line in enumerate(data.splitlines()):
        try:
            yield decoder.decode(line[:-TRAILER] + b"}").record
        except msgspec.DecodeError as error:
            message = f"record {number} of the journal {path} is of no known type: {error}"
            raise StoreError(message) from None


def _damaged(path: Path, fault: Fault) -> JournalDamaged:
    return JournalDamaged(
        f"the journal {path} is damaged: record {fault.seq} at byte {fault.offset}: {fault.reason}; "
        "nothing was changed: compare it with the broker's order list, then move it away, or sign "
        f"what is left by `python -m utils.transaction_logger seal {path}`",
        seq=fault.seq,
        offset=fault.offset,
    )


def _end_mark(key: bytes, seq: int, digest: str) -> bytes:
    mark = msgspec.json.encode(Head(seq, digest, os.getpid(), signature_of(key, seq, digest)))
    return mark.ljust(_HEAD_BYTES - 1) + b"\n"


def seal(path: Path, key: bytes) -> Verdict:
    """Sign a journal's end as it is, once a person has compared it with the broker.

    Raises:
        JournalDamaged: Its chain is broken: that is not mended by a signature.
        StoreError: It cannot be read or marked, or has no record.
    """
    try:
        found = chain_of(path.read_bytes())
    except OSError as error:
        raise StoreError(f"the journal {path} cannot be read: {error.strerror}") from None
    if found.fault is not None:
        raise _damaged(path, found.fault)
    if not found.records:
        raise StoreError(f"the journal {path} has no record: there is nothing to sign")
    head = head_path(path)
    fresh = head.with_name(f"{head.name}.new")
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(os.write, file, _end_mark(key, found.records - 1, found.digest))
            os.fsync(file)
        finally:
            os.close(file)
        fresh.replace(head)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"the end mark {head} cannot be written: {error.strerror}") from None
    return found


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


if __name__ == "__main__":
    from utils.journal_command import main

    sys.exit(main())
