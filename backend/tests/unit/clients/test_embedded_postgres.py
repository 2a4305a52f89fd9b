"""The default database survives what happens to it: races, kills, other users, full disks."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from clients import embedded_postgres
from clients.embedded_postgres import start, status, stop
from clients.postgres_binaries import Binaries, binaries, choose, installed
from models.errors import StoreError
from scripts.install_test_tools import Tools

PROVE = os.environ.get("PROVE") == "1"
ROOT = os.geteuid() == 0
AS_NOBODY = [
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),  # to reach this clone
]
IN_MOUNTS_OF_ITS_OWN = ["unshare", "--mount", "--map-root-user"]


@pytest.fixture
def home(options_home: Path) -> Path:
    return options_home


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "pg"
    yield place
    if place.exists():
        with contextlib.suppress(StoreError):  # a test may have left no server at all
            stop(place)


@pytest.fixture
def open_clone() -> None:
    """Say it plainly where user nobody cannot reach the programs: access(2) heeds no capability."""
    closed = [str(each) for each in Path(sys.prefix).parents if not each.stat().st_mode & 0o001]
    assert not closed, f"as root, these tests need folders open to other users: chmod o+x {closed}"


def command(word: str, *, prefix: tuple[str, ...] = (), **environment: str) -> list[str]:
    variables = [f"{name}={value}" for name, value in environment.items()]
    program = [sys.executable, "-m", "clients.embedded_postgres", word]
    return [*prefix, "env", *variables, *program]


def run(word: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    line = command(word, OPTIONS_HOME=str(home), **environment)
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def query(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def works(prefix: list[str]) -> bool:
    found = shutil.which(prefix[0]) is not None
    line = [*prefix, sys.executable, "--version"]
    return found and subprocess.run(line, capture_output=True, check=False).returncode == 0


def test_it_starts_answers_stays_and_stops(folder: Path) -> None:
    assert status(folder) is None
    server = start(folder)
    assert server.major == 18
    assert query(server.dsn, "show server_version_num") == "180006"
    assert start(folder) == server == status(folder)
    assert stop(folder)
    assert not stop(folder)
    assert status(folder) is None


def test_it_is_durable_private_and_in_utc(folder: Path) -> None:
    dsn = start(folder).dsn
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "password_encryption": "scram-sha-256",
    }
    assert {name: query(dsn, f"show {name}") for name in expected} == expected


def test_data_outlives_a_stop_and_settings_are_taken_up_at_a_start(folder: Path) -> None:
    dsn = start(folder).dsn
    query(dsn, "create table kept as select 7 as seven")
    stop(folder)
    again = start(folder, settings={"work_mem": "7MB"})
    assert again.dsn == dsn
    assert query(dsn, "select seven from kept") == 7
    assert query(dsn, "show work_mem") == "7MB"


def test_concurrent_starts_give_one_server(home: Path) -> None:
    line = command("start", OPTIONS_HOME=str(home))
    starts = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = [process.communicate(timeout=60)[0] for process in starts]
    assert [process.returncode for process in starts] == [0] * 5
    assert len(set(said)) == 1
    assert stop(home / "postgres")


def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    server = start(folder)
    query(server.dsn, "create table kept as select 7 as seven")
    for _ in range(20 if PROVE else 2):
        os.kill(server.pid, signal.SIGKILL)  # here it stays a zombie: nobody waits for it
        killed, server = server, start(folder)
        assert server.pid != killed.pid
        assert query(server.dsn, "select seven from kept") == 7


def test_a_killed_servers_busy_children_never_share_the_data_with_a_new_one(folder: Path) -> None:
    server = start(folder)
    query(server.dsn, "create table kept (n int)")
    busy = psycopg.connect(server.dsn)
    child = busy.info.backend_pid
    os.kill(child, signal.SIGSTOP)  # it cannot notice that its server dies
    os.kill(server.pid, signal.SIGKILL)
    script = "import sys; from pathlib import Path; from clients import embedded_postgres;"
    script += "embedded_postgres.start(Path(sys.argv[1]))"
    waiting = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    log = folder / "server.log"
    until(lambda: "is still in use" in log.read_text())
    assert waiting.poll() is None
    os.kill(child, signal.SIGKILL)
    assert waiting.wait(timeout=30) == 0
    busy.close()
    assert query(start(folder).dsn, "select count(*) from kept") == 0


def test_a_strangers_process_number_is_not_taken_for_the_server(folder: Path) -> None:
    server = start(folder)
    stop(folder)
    stranger = f"{os.getpid()}\n{folder / 'data'}\n0\n5432\n{folder}\n\n 1 2\nready   \n"
    (folder / "data" / "postmaster.pid").write_text(stranger)
    (folder / ".s.PGSQL.5432.lock").write_text(stranger)
    assert status(folder) is None
    assert not stop(folder)
    assert query(start(folder).dsn, "select 1") == 1
    assert start(folder).pid not in {server.pid, os.getpid()}


def test_a_client_killed_at_any_moment_leaves_a_database_that_starts(home: Path) -> None:
    moments = random.Random(7)
    for _ in range(50 if PROVE else 5):
        client = subprocess.Popen(command("start", OPTIONS_HOME=str(home)))
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(moments.uniform(0.05, 0.9))
        client.kill()
        client.wait()
    folder = home / "postgres"
    assert query(start(folder).dsn, "select 1") == 1

    def clean() -> bool:  # once the initdb of a killed client has ended, too
        return stop(folder) and start(folder).major == 18 and not list(folder.glob("making-*"))

    until(clean)


def test_no_folder_is_opened_and_secrets_are_private(tmp_path: Path) -> None:
    above = tmp_path / "private"
    above.mkdir(mode=0o700)
    before = above.stat()
    folder = above / "pg"
    start(folder)
    stop(folder)
    after = above.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "data").stat().st_mode & 0o777 == 0o700
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert (folder / "server.log").stat().st_mode & 0o077 == 0


def test_nobody_enters_without_the_password(folder: Path) -> None:
    dsn = start(folder).dsn
    password = dsn.split(":")[2].partition("@")[0]
    assert len(password) == 32
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(dsn.replace(password, "wrong"), "select 1")
    assert password not in repr(start(folder))


def test_the_users_settings_for_other_servers_do_not_matter(home: Path) -> None:
    others = {"PGPORT": "1", "PGHOST": "nowhere", "PGUSER": "me", "PGDATA": "/nowhere"}
    others |= {"PGPASSWORD": "theirs", "PGSSLMODE": "require", "LC_ALL": "C.UTF-8"}
    assert run("start", home, **others).returncode == 0
    dsn = start(home / "postgres").dsn
    script = "import psycopg, sys; psycopg.connect(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", script, dsn], env=os.environ | others, check=True)
    assert stop(home / "postgres")


def test_where_a_socket_path_is_too_long_it_listens_on_loopback(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    server = start(folder)
    assert "@127.0.0.1:" in server.dsn
    assert query(server.dsn, "show listen_addresses") == "127.0.0.1"
    assert query(server.dsn, "show unix_socket_directories") == ""
    assert stop(folder)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "o'neil, data & co %41 Ж"
    assert query(start(folder).dsn, "select 1") == 1
    assert stop(folder)


def test_the_database_keeps_its_major_version(folder: Path) -> None:
    assert start(folder, binaries=choose(17)).major == 17
    stop(folder)
    assert start(folder).major == 17


def test_all_majors_are_found_or_named(test_tools: Tools) -> None:
    assert [found.major for found in installed()][:2] == [18, 17]
    assert binaries(test_tools.postgres_15).major == 15
    with pytest.raises(StoreError, match="PostgreSQL 9, which made this database, is not"):
        choose(9)


def test_the_command_line_shows_no_password(home: Path) -> None:
    assert run("status", home).stdout == "not running\n"
    said = run("start", home).stdout
    password = (home / "postgres" / "password").read_text().strip().rpartition(":")[2]
    assert said.startswith("PostgreSQL 18 is running, process ")
    assert password not in said
    url = said.split("'")[1]
    assert query(url, "select 1") == 1
    assert run("status", home).stdout == said
    assert run("stop", home).stdout == "stopped\n"
    assert run("stop", home).stdout == "not running\n"


def test_a_lost_password_is_said(folder: Path) -> None:
    start(folder)
    (folder / "password").rename(folder / "elsewhere")
    with pytest.raises(StoreError, match=r"password is gone: put it back, or move .* away"):
        start(folder)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used \(Not a directory\)"):
        start(tmp_path / "file" / "pg")
    failed = run("start", Path("/proc/nowhere"))
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "set OPTIONS_HOME" in failed.stderr


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    complaint = "initdb: error: could not write to file: No space left on device"
    (programs / "initdb").write_text(f"#!/bin/sh\necho '{complaint}' >&2\nexit 1\n")
    (programs / "initdb").chmod(0o755)
    with pytest.raises(StoreError, match=r"^the disk that holds .*pg is full: free some space"):
        start(folder, binaries=Binaries(programs, 18))
    assert {path.name for path in folder.iterdir()} == {"lock", "password"}
    assert query(start(folder).dsn, "select 1") == 1


if works(IN_MOUNTS_OF_ITS_OWN):  # where the system lets us mount a small disk

    @pytest.mark.parametrize(
        ("size", "before"),
        [
            ("100k", ""),
            ("20m", ""),
            ("70m", "{start} && {stop} && dd if=/dev/zero of={home}/filling bs=64k 2>/dev/null;"),
        ],
        ids=["no cluster", "half a cluster", "a whole cluster"],
    )
    def test_a_disk_that_is_really_full_is_one_sentence(home: Path, size: str, before: str) -> None:
        home.mkdir()
        lines = {
            word: " ".join(command(word, OPTIONS_HOME=str(home))) for word in ("start", "stop")
        }
        script = f"mount -t tmpfs -o size={size} none {home} && {before} exec {lines['start']}"
        line = [*IN_MOUNTS_OF_ITS_OWN, "sh", "-c", script.format(home=home, **lines)]
        failed = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert failed.returncode == 1
        assert failed.stderr.startswith("the disk that holds ")
        assert failed.stderr.count("\n") == 1


if ROOT:  # an ordinary user cannot become another

    @pytest.mark.usefixtures("open_clone")
    def test_it_works_as_another_user(home: Path) -> None:
        home.mkdir()
        os.chown(home, 65534, 65534)
        line = command("start", prefix=tuple(AS_NOBODY), OPTIONS_HOME=str(home))
        assert subprocess.run(line, check=False).returncode == 0
        folder = home / "postgres"
        assert (folder / "data").stat().st_uid == 65534
        assert query(start(folder).dsn, "select 1") == 1  # root shares that user's server
        assert stop(folder)
        assert query(start(folder).dsn, "select 1") == 1  # and starts it as that user
        assert (folder / "data").stat().st_uid == 65534
        assert subprocess.run([*line[:-1], "stop"], check=False).returncode == 0

    @pytest.mark.usefixtures("open_clone")
    def test_root_drops_to_nobody_where_namespaces_are_forbidden(
        home: Path, tmp_path: Path
    ) -> None:
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("setpriv", "true", "env"):
            (tools / name).symlink_to(shutil.which(name) or "")
        assert run("start", home, PATH=str(tools)).returncode == 0
        folder = home / "postgres"
        assert folder.stat().st_uid == 0
        assert (folder / "data").stat().st_uid == 65534
        first = start(folder)
        assert Path(f"/proc/{first.pid}").stat().st_uid == 65534
        query(first.dsn, "create table kept as select 7 as seven")
        os.kill(first.pid, signal.SIGKILL)
        assert query(start(folder).dsn, "select seven from kept") == 7
        assert stop(folder)

    def test_root_without_a_way_down_is_told(tmp_path: Path) -> None:
        failed = run("start", tmp_path / "home", PATH=str(tmp_path))
        assert failed.returncode == 1
        assert "neither unshare nor setpriv" in failed.stderr

    @pytest.mark.usefixtures("open_clone")
    def test_a_cluster_of_root_is_handed_over_where_namespaces_are_forbidden(
        home: Path,
        tmp_path: Path,
    ) -> None:
        assert run("start", home).returncode == 0
        assert run("stop", home).returncode == 0
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("setpriv", "true", "env"):
            (tools / name).symlink_to(shutil.which(name) or "")
        assert run("start", home, PATH=str(tools)).returncode == 0
        folder = home / "postgres"
        owners = {path.lstat().st_uid for path in (folder / "data").rglob("*")}
        assert owners == {65534}
        assert {folder.stat().st_uid, (folder / "password").stat().st_uid} == {0}
        assert stop(folder)


def test_the_log_does_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(folder)
    stop(folder)
    monkeypatch.setattr(embedded_postgres, "_LOG_LIMIT", 10)
    start(folder)
    assert (folder / "server.log.1").exists()
