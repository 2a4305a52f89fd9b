"""Whatever is done to a journal is found, and the first bad record is named.

`make prove` flips each bit of a file of 10,000 records; `make test` each bit of a small one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING

import pytest

from models.errors import ConfigError, JournalDamaged
from models.journal import Record, Refused
from utils.journal_chain import GENESIS, chain_of, head_path, read_head, verify
from utils.journal_key import journal_key, key_path, read_key
from utils.paths import backend_folder
from utils.transaction_logger import Disk, TransactionLogger, read_journal, seal

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 10_000 if os.environ.get("PROVE") else 25
SEED = random.SystemRandom().randrange(10**6) if os.environ.get("PROVE") else 10
SUBJECT = "A" * 64


def refused(number: int) -> Refused:
    return Refused(at_ns=number, ticket_id=f"t{number}", reason='no "money"\nat all: é')


def written(path: Path, count: int) -> Path:
    with TransactionLogger(
        path, Record, subject=SUBJECT, disk=Disk(sync=lambda _: None)
    ) as journal:
        for number in range(1, count):
            journal.append(refused(number))
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("tamper") / "journal.jsonl", RECORDS)


def starts_of(data: bytes) -> list[int]:
    return [0] + [at + 1 for at, byte in enumerate(data[:-1]) if byte == 0x0A]


def copied(long: Path, folder: Path, data: bytes) -> Path:
    path = folder / "journal.jsonl"
    path.write_bytes(data)
    head_path(path).write_bytes(head_path(long).read_bytes())
    return path


def test_each_flipped_bit_is_found_and_named(long: Path, tmp_path: Path) -> None:
    """Lines before the flip are good whatever follows, so the walk begins at the line before it."""
    data = long.read_bytes()
    starts = [*starts_of(data), len(data)]
    flips = missed = 0
    digest = GENESIS
    for number in range(RECORDS - 2):
        start, end = starts[number], starts[number + 1]
        rest = bytearray(data[start : starts[number + 2]])
        for at in range(end - start):
            for bit in range(8):
                rest[at] ^= 1 << bit
                fault = chain_of(bytes(rest), digest, number).fault
                missed += fault is None or (fault.seq, fault.offset) != (number, 0)
                rest[at] ^= 1 << bit
                flips += 1
        digest = data[end - 67 : end - 3].decode()
    # The last two lines by the whole file and its end mark, which tells a torn end from a changed one.
    for at in range(starts[RECORDS - 2], len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            found = verify(copied(long, tmp_path, bytes(changed))).fault
            number = bisect_right(starts, at) - 1
            missed += found is None or (found.seq, found.offset) != (number, starts[number])
            flips += 1
    print(
        f"seed {SEED}: {flips:,} bits of {RECORDS:,} records flipped, {missed} not found or misplaced"
    )
    assert flips == len(data) * 8
    assert missed == 0


def test_each_flipped_bit_of_the_end_mark_is_found(long: Path, tmp_path: Path) -> None:
    key, mark = journal_key(), head_path(long).read_bytes()
    meaning = read_head(head_path(long))
    path = copied(long, tmp_path, long.read_bytes())
    missed = 0
    for at in range(len(mark.rstrip())):
        for bit in range(8):
            changed = bytearray(mark)
            changed[at] ^= 1 << bit
            head_path(path).write_bytes(changed)
            read = read_head(head_path(path))
            same = read is not None and meaning is not None
            if same and (read.seq, read.hash, read.signature) == (
                meaning.seq,
                meaning.hash,
                meaning.signature,
            ):
                continue  # the process id: it says nothing of the records
            missed += verify(path, key).fault is None
    assert missed == 0


def test_dropped_moved_doubled_and_cut_records_are_found(long: Path, tmp_path: Path) -> None:
    data = long.read_bytes()
    lines, starts = data.splitlines(keepends=True), starts_of(data)
    choose = random.Random(SEED)
    cases = {"dropped": 0, "swapped": 0, "doubled": 0, "cut at a record": 0, "cut anywhere": 0}
    for _ in range(40):
        at = choose.randrange(1, RECORDS - 1)
        changed = {
            "dropped": (lines[:at] + lines[at + 1 :], at),
            "swapped": ([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], at),
            "doubled": ([*lines[:at], lines[at - 1], *lines[at:]], at),
            "cut at a record": (lines[:at], at),
        }
        for name, (those, record) in changed.items():
            fault = verify(copied(long, tmp_path, b"".join(those))).fault
            assert fault is not None, name
            assert (fault.seq, fault.offset) == (record, starts[record]), name
            cases[name] += 1
        cut = choose.randrange(1, len(data))
        fault = verify(copied(long, tmp_path, data[:cut])).fault
        assert fault is not None
        assert fault.seq == bisect_right(starts, cut) - 1
        cases["cut anywhere"] += 1
    print(f"seed {SEED}: {cases}: all found")


def forged(path: Path, keep: int, key: bytes) -> None:
    """Cut a journal off, or write it anew, and sign its end: what somebody with a key can do."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]))
    seal(path, key)


def test_who_cuts_off_the_end_cannot_sign_it_without_the_key(long: Path, tmp_path: Path) -> None:
    path = copied(long, tmp_path, long.read_bytes())
    forged(path, RECORDS - 3, b"k" * 32)
    assert verify(path).fault is None  # the chain alone is whole
    fault = verify(path, journal_key()).fault
    assert fault is not None
    assert (fault.seq, fault.reason) == (RECORDS - 4, "the end mark is not signed by this key")
    with pytest.raises(JournalDamaged, match="not signed by this key"):
        TransactionLogger(path, Record, subject=SUBJECT)


def test_a_checkpoint_that_is_kept_elsewhere_shows_what_was_put_back(tmp_path: Path) -> None:
    """An older journal with its own good end mark, or one written anew by who has the key."""
    path = written(tmp_path / "journal.jsonl", 12)
    with TransactionLogger(path, Record, subject=SUBJECT) as journal:
        kept = journal.checkpoint()
        journal.check([kept])
    forged(path, 9, journal_key())
    assert verify(path, journal_key()).fault is None
    fault = verify(path, journal_key(), [kept]).fault
    assert fault is not None
    assert fault.seq == 9
    assert "4 record(s) are missing from the end" in fault.reason
    with TransactionLogger(path, Record, subject=SUBJECT) as journal:
        for number in range(5):
            journal.append(refused(100 + number))
        with pytest.raises(JournalDamaged, match=r"record 12 .* not what it was at a check-point"):
            journal.check([kept])


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert len(journal_key()) == 32
    assert journal_key() == read_key(key_path())
    assert key_path().stat().st_mode & 0o777 == 0o600
    open_to_all = tmp_path / "key"
    open_to_all.write_bytes(b"k" * 32)
    open_to_all.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others: chmod 600"):
        read_key(open_to_all)
    open_to_all.chmod(0o600)
    open_to_all.write_bytes(b"short")
    with pytest.raises(ConfigError, match="has 5 bytes, not 32"):
        read_key(open_to_all)


def test_a_journal_is_read_while_its_program_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with TransactionLogger(path, Record, subject=SUBJECT) as journal:
        journal.append(refused(1))
        numbers = [number for number, _ in read_journal(path, Record, key=journal_key())]
        assert numbers == [0, 1]
    path.write_bytes(path.read_bytes().replace(b"t1", b"t2"))
    with pytest.raises(JournalDamaged, match="record 1 at byte"):
        list(read_journal(path, Record))


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "utils.transaction_logger", *map(str, arguments)],
        cwd=backend_folder(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_verifier_says_good_and_names_the_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl", 5)
    digest = verify(path).digest
    done = command("verify", path, "--expect", f"4:{digest}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "good: 5 records; chain and signed end mark agree" in done.stdout
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"t2"', b'"t9"'))
    done = command("verify", path)
    at = starts_of(data)[2]
    assert done.returncode == 1
    assert f"DAMAGED: record 2 at byte {at}: it was changed" in done.stdout
    assert path.read_bytes() == data.replace(b'"t2"', b'"t9"')
    head_path(path).unlink()
    path.write_bytes(data)
    done = command("verify", path, "--chain-only")  # as the journal of a backtest
    assert (done.returncode, done.stdout.count("good: 5 records")) == (0, 1)
    done = command("verify", tmp_path / "none")
    assert done.returncode == 2
    assert done.stderr == f"there is no journal {tmp_path / 'none'}\n"
