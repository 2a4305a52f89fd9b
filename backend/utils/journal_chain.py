"""The chain of a journal's lines: how each is linked to the one before, and checking it.

A line is `{"seq":12,"record":{...},"hash":"<64 hexadecimal digits>"}`; its hash is SHA-256 over the
hash of the line before and everything of this line that stands before `,"hash"`. The head beside
the journal holds number and hash of the newest record, signed (`journal_key`): a check-point that
moves with the journal. Copies of it that are kept elsewhere, as the database's, show when journal
and head were put back together to an older state.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from models.errors import StoreError
from utils.journal_key import signature_of

GENESIS: Final = "0" * 64
"""What the first line is linked to."""

HASH: Final = b',"hash":"'
TRAILER: Final = len(HASH) + 64 + 2
"""Length of a line's end: the hash, a quote and a brace."""


class Head(msgspec.Struct, frozen=True):
    """The end mark of a journal: its newest record, signed.

    Attributes:
        seq: Number of the record.
        hash: Its hash.
        pid: Of the program that wrote it.
        signature: See `journal_key.signature_of`.
    """

    seq: int
    hash: str
    pid: int
    signature: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a journal's record was known to be once, kept elsewhere.

    Attributes:
        seq: Number of the record.
        digest: Its hash.
    """

    seq: int
    digest: str


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


def verify(path: Path, key: bytes | None = None, checkpoints: Sequence[Checkpoint] = ()) -> Verdict:
    """Check a journal from its first record to its last, without changing it.

    Args:
        path: The file.
        key: Of the end mark's signature; None does not check that.
        checkpoints: What some of its records were known to be.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"the journal {path} cannot be read: {error.strerror}") from None
    return compared(data, verdict_of(data, read_head(head_path(path)), key), checkpoints)


def compared(data: bytes, found: Verdict, checkpoints: Sequence[Checkpoint]) -> Verdict:
    """Return what a journal is worth beside what its records once were; a broken one as it is."""
    if found.fault is not None:
        return found
    for point in sorted(checkpoints, key=lambda each: each.seq):
        if point.seq >= found.records:
            missing = f"{point.seq + 1 - found.records} record(s) are missing from the end"
            return _faulty(found, f"cut off here, since a check-point: {missing}")
        start = nth_line(data, point.seq)
        end = data.find(b"\n", start)
        if data[end - 66 : end - 2].decode() != point.digest:
            reason = "it, or one before it, is not what it was at a check-point"
            return Verdict(point.seq, start, found.digest, Fault(point.seq, start, reason))
    return found


def nth_line(data: bytes, number: int) -> int:
    """Return where a line begins, counted from 0."""
    start = 0
    for _ in range(number):
        start = data.find(b"\n", start) + 1
    return start


def verdict_of(data: bytes, head: Head | None, key: bytes | None = None) -> Verdict:
    """Return what a journal's bytes are worth beside its end mark.

    Args:
        data: Of the journal.
        head: Its end mark; None where there is none.
        key: Of the end mark's signature; None does not check that.
    """
    found = chain_of(data)
    if found.fault is None and head and key and not _signed(head, key):
        return _faulty(found, "the end mark is not signed by this key", seq=max(head.seq, 0))
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


def _signed(head: Head, key: bytes) -> bool:
    return hmac.compare_digest(
        head.signature.encode(), signature_of(key, head.seq, head.hash).encode()
    )


def _faulty(found: Verdict, reason: str, seq: int | None = None) -> Verdict:
    fault = Fault(found.records if seq is None else seq, found.good_bytes, reason)
    return Verdict(found.records, found.good_bytes, found.digest, fault)


def chain_of(data: bytes, digest: str = GENESIS, seq: int = 0) -> Verdict:
    """Walk the chain; an unfinished record at the very end is torn, anything else bad a fault.

    Args:
        data: Whole lines, and perhaps an unfinished one.
        digest: Hash of the line before them.
        seq: Number of the first of them.
    """
    offset = 0
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
    body, trailer = line[:-TRAILER], line[-TRAILER:]
    if not (trailer.startswith(HASH) and trailer.endswith(b'"}')):
        return "it is not a record"
    if trailer[len(HASH) : -2] != link_of(digest, body).encode():
        return "it was changed, or stands in another place than it was written to"
    if not body.startswith(prefix_of(seq)):
        return "its number is wrong"
    return None


def _torn(rest: bytes) -> bool:
    """Whether what follows the good records is one unfinished write: no line in it is whole."""
    return not any(
        line[-TRAILER:].startswith(HASH) and line.endswith(b'"}') for line in rest.split(b"\n")
    )


def prefix_of(seq: int) -> bytes:
    """Return how the line of a record begins."""
    return b'{"seq":%d,"record":' % seq


def link_of(digest: str, body: bytes) -> str:
    """Return the hash of a line: of the hash before it and its body."""
    return hashlib.sha256(digest.encode() + body).hexdigest()


def head_path(path: Path) -> Path:
    """Return where a journal's end mark stands."""
    return path.with_name(f"{path.name}.head")


def read_head(path: Path) -> Head | None:
    """Return a journal's end mark, or None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
