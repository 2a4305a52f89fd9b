import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from models.errors import JournalDamaged, StoreError
from models.journal import Acknowledged, Intent, Opened, Record, Refused
from utils.journal_chain import verify
from utils.journal_key import journal_key
from utils.paths import backend_folder
from utils.transaction_logger import Disk, TransactionLogger, seal

SUBJECT = "A" * 64
RECORDS = 10_000 if os.environ.get("PROVE") else 60
FLIPS = 600 if os.environ.get("PROVE") else 400


def journal(path: Path, disk: Disk | None = None, subject: str = SUBJECT) -> TransactionLogger:
    return TransactionLogger(path, Record, subject=subject, disk=disk)


def refused(number: int) -> Refused:
    return Refused(at_ns=number, ticket_id=f"t{number}", reason='no "money"\nat all: é')


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "journal.jsonl"
    with journal(path) as log:
        assert log.append(refused(1), refused(2)) == 2
        assert log.append(Acknowledged(at_ns=3, ticket_id="t3", order_ids={"t3": "77"})) == 3
    with journal(path) as log:
        records = list(log.read())
    assert [type(record) for record in records] == [Opened, Refused, Refused, Acknowledged, Opened]
    assert records[1:3] == [refused(1), refused(2)]
    assert isinstance(records[0], Opened)
    assert "+" in records[0].code
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert verify(path).fault is None


def test_a_second_program_is_told_so_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with journal(path), pytest.raises(StoreError, match=rf"process {os.getpid()}.*end it first"):
        journal(path)
    journal(path).close()


def test_a_journal_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal(path).close()
    with pytest.raises(StoreError, match="another account"):
        journal(path, subject="B" * 64)


@pytest.mark.parametrize("when", ["write", "sync"])
def test_an_interrupted_append_leaves_a_whole_chain(tmp_path: Path, when: str) -> None:
    """Ctrl-C in the middle of a write; other threads, or what follows, write on."""
    path = tmp_path / "journal.jsonl"
    armed: list[bool] = []

    def write(file: int, data: bytes) -> int:
        if armed and when == "write":
            armed.clear()
            os.write(file, data[: len(data) // 2])
            raise KeyboardInterrupt
        return os.write(file, data)

    def sync(file: int) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt
        os.fsync(file)

    with journal(path, Disk(write, sync)) as log:
        log.append(refused(1))
        armed.append(True)
        with pytest.raises(KeyboardInterrupt):
            log.append(refused(2))
        log.append(refused(3))
        assert list(log.read())[1:] == [refused(1), refused(3)]
    assert verify(path).fault is None
    assert verify(path).torn_bytes == 0


def test_an_unfinished_record_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with journal(path) as log:
        log.append(refused(1))
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"seq":2,"record":{"type":"refu')
    assert verify(path).fault is None
    assert verify(path).torn_bytes == 31
    with journal(path) as log:
        assert log.torn is not None
        assert log.torn.seq == 2
        assert log.torn.kept_in.read_bytes() == b'{"seq":2,"record":{"type":"refu'
        assert log.torn.kept_in.stat().st_mode & 0o777 == 0o600
        log.append(refused(3))
    assert path.read_bytes().startswith(whole)
    assert verify(path).fault is None


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with journal(path, Disk(sync=lambda _: None)) as log:
        for number in range(1, RECORDS):
            log.append(refused(number))
    return path


def damaged(long: Path, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    path = folder / "journal.jsonl"
    path.write_bytes(change(long.read_bytes()))
    (folder / "journal.jsonl.head").write_bytes((long.parent / "journal.jsonl.head").read_bytes())
    return path


def test_every_flipped_bit_is_found_and_named(long: Path, tmp_path: Path) -> None:
    data = long.read_bytes()
    choose = random.Random(4)
    starts = [0] + [at + 1 for at, byte in enumerate(data) if byte == 0x0A]
    for _ in range(FLIPS):
        at, bit = choose.randrange(len(data)), choose.randrange(8)
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        verdict = verify(damaged(long, tmp_path, lambda _, new=bytes(changed): new))
        record = max(number for number, start in enumerate(starts) if start <= at)
        assert verdict.fault is not None
        assert verdict.fault.seq == record
        assert verdict.fault.offset == starts[record]


@pytest.mark.parametrize(
    ("change", "record"),
    [
        (lambda lines: lines[:20] + lines[21:], 20),
        (lambda lines: [*lines[:20], lines[21], lines[20], *lines[22:]], 20),
        (lambda lines: [*lines[:20], lines[19], *lines[20:]], 20),
        (lambda lines: lines[1:], 0),
        (lambda lines: lines[:-1], -1),
        (lambda lines: lines[:10], 10),
        (lambda _: [], 0),
    ],
)
def test_dropped_moved_and_cut_records_are_found(
    long: Path,
    tmp_path: Path,
    change: Callable[[list[bytes]], list[bytes]],
    record: int,
) -> None:
    path = damaged(long, tmp_path, lambda data: b"".join(change(data.splitlines(keepends=True))))
    fault = verify(path).fault
    assert fault is not None
    assert fault.seq == record % RECORDS
    with pytest.raises(StoreError, match=rf"damaged: record {record % RECORDS} at byte"):
        journal(path)


def test_a_missing_end_mark_is_a_fault_of_the_file(long: Path, tmp_path: Path) -> None:
    path = damaged(long, tmp_path, lambda data: data)
    (tmp_path / "journal.jsonl.head").unlink()
    fault = verify(path).fault
    assert fault is not None
    assert "end mark is missing" in fault.reason
    with pytest.raises(JournalDamaged, match="the end mark is missing"):
        journal(path)
    assert seal(path, journal_key()).records == RECORDS
    journal(path).close()
    assert verify(path, journal_key()).fault is None


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("where", ["write", "sync", "middle"])
def test_after_a_failed_write_nothing_is_written(tmp_path: Path, error: int, where: str) -> None:
    path = tmp_path / "journal.jsonl"
    fail = False

    def write(file: int, data: bytes) -> int:
        if fail and where == "middle" and len(data) > 40:
            return os.write(file, data[:40])
        if fail and where != "sync":
            raise OSError(error, os.strerror(error))
        return os.write(file, data)

    def sync(file: int) -> None:
        if fail and where == "sync":
            raise OSError(error, os.strerror(error))

    log = journal(path, Disk(write, sync))
    log.append(refused(1))
    before = path.read_bytes()
    fail = True
    with pytest.raises(StoreError, match=rf"cannot be written: {os.strerror(error)}"):
        log.append(refused(2))
    fail = False
    with pytest.raises(StoreError, match="nothing can be written"):
        log.append(refused(3))
    log.close()
    assert path.read_bytes() == before
    with journal(path) as log:
        assert log.torn is None
        assert log.append(refused(4)) == 3


def test_a_real_full_disk_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = """
        import resource, signal, sys
        from pathlib import Path
        from models.errors import JournalDamaged, StoreError
        from models.journal import Record, Refused
        from utils.transaction_logger import TransactionLogger
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
        log = TransactionLogger(Path(sys.argv[1]), Record, subject="A" * 64)
        try:
            for number in range(1000):
                log.append(Refused(at_ns=number, ticket_id="t", reason="x" * 100))
                print(number)
        except StoreError as error:
            print(error, file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        cwd=backend_folder(),
        capture_output=True,
        text=True,
        check=True,
    )
    promised = done.stdout.split()
    assert len(promised) > 5
    assert "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    with journal(path) as log:
        kept = [record for record in log.read() if isinstance(record, Refused)]
    assert [str(record.at_ns) for record in kept] == promised


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = """
        import sys
        from pathlib import Path
        from models.journal import Record, Refused
        from utils.transaction_logger import TransactionLogger
        log = TransactionLogger(Path(sys.argv[1]), Record, subject="A" * 64)
        for number in range(10**6):
            log.append(Refused(at_ns=number, ticket_id="t", reason="x" * 100))
            print(number, flush=True)
    """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        cwd=backend_folder(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    for _ in range(50):
        running.stdout.readline()
    running.send_signal(signal.SIGKILL)
    promised = 49 + len(running.stdout.read().splitlines())
    running.wait()
    running.stdout.close()
    with journal(path) as log:
        kept = [record for record in log.read() if isinstance(record, Refused)]
    assert len(kept) >= promised
    assert [record.at_ns for record in kept] == list(range(len(kept)))


def test_raw_json_passes_through(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ticket = msgspec.Raw(b'{"price":"1.10","legs":[{"symbol":"QQQ"}]}')
    with journal(path) as log:
        log.append(Intent(at_ns=1, ticket_id="a", ticket=ticket))
        found = [record for record in log.read() if isinstance(record, Intent)]
    assert bytes(found[0].ticket) == bytes(ticket)
