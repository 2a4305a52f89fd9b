"""The default database: a PostgreSQL server of our own, started on demand and left running.

    python -m clients.embedded_postgres start|stop|status

One server serves every command of a user; a lock file keeps concurrent starts apart. It listens on
a Unix socket in its own folder (mode 0700), or on loopback TCP where that path is too long for a
socket, and asks for a random password that stands in a file of mode 0600. Killing a client, or the
server itself, at any moment loses nothing that was committed: the next `start` mends it.

The folder holds `data/` (the cluster), `password` (in the form of a .pgpass file), `server.log`,
`lock` and the socket.
"""

import argparse
import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from clients.postgres_binaries import Binaries, RunAs, choose, run, run_as
from clients.postmaster import DEFAULT_PORT, PATIENCE_S, Postmaster, alive, read_pid_file, running
from models.errors import StoreError, TradingError
from utils.paths import state_folder

_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
_LOG_LIMIT = 10_000_000
_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "unix_socket_permissions": "0700",
    "log_min_error_statement": "panic",  # a statement may hold an account's figures
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server.

    Attributes:
        dsn: Connection URL of the database `postgres`, password included; never print it.
        folder: Folder of the server.
        pid: Process number of the postmaster.
        major: Major version of PostgreSQL.
    """

    dsn: str = field(repr=False)
    folder: Path
    pid: int
    major: int


def start(
    folder: Path | None = None,
    *,
    binaries: Binaries | None = None,
    settings: Mapping[str, str] | None = None,
) -> EmbeddedPostgres:
    """Return the running server; make and start it first if need be (about a second when new).

    Args:
        folder: Folder of the server; `<state>/postgres` when None.
        binaries: PostgreSQL to use; by default that of the database, or the preferred one.
        settings: More server settings, taken up when the server is started.

    Raises:
        StoreError: It cannot be started: no PostgreSQL, a full disk, a folder of somebody else.
    """
    with _locked(folder) as place:
        postmaster = running(place)
        if postmaster is None:
            for left in place.glob("making-*"):  # of a start that was killed
                shutil.rmtree(left, ignore_errors=True)
            data = place / "data"
            owner = data.stat().st_uid if data.exists() else None
            if owner is not None:
                binaries = binaries or choose(_major(place))
            binaries = binaries or choose()
            way = run_as(owner)
            if owner is None:
                _create(place, binaries, way)
            elif owner != way.owner:
                _take_over(data, way.owner)
            postmaster = _launch(place, binaries, way, _SETTINGS | dict(settings or {}))
        return _server(place, postmaster)


def stop(folder: Path | None = None) -> bool:
    """Stop the server; open transactions are rolled back.

    Args:
        folder: Folder of the server; `<state>/postgres` when None.

    Returns:
        Whether it was running.

    Raises:
        StoreError: It does not stop, or belongs to another user.
    """
    with _locked(folder) as place:
        postmaster = running(place)
        if postmaster is None:
            return False
        os.kill(postmaster.pid, signal.SIGINT)  # "fast": do not wait for clients
        deadline = time.monotonic() + PATIENCE_S
        while alive(postmaster.pid, place / "data"):
            if time.monotonic() > deadline:
                raise StoreError(f"the database server (process {postmaster.pid}) does not stop")
            time.sleep(0.02)
        return True


def status(folder: Path | None = None) -> EmbeddedPostgres | None:
    """Return the server if it is running.

    Raises:
        StoreError: Its folder cannot be read.
    """
    with _locked(folder) as place:
        postmaster = running(place)
        return None if postmaster is None else _server(place, postmaster)


@contextlib.contextmanager
def _locked(folder: Path | None) -> Iterator[Path]:
    """Hold the lock of a server's folder, and say in one sentence what the disk refuses."""
    name = str(folder) if folder else "the folder for this program's data"
    try:
        place = (folder or state_folder("postgres")).absolute()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(place)
        with (place / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield place
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"{Path(error.cmd[0]).name} takes over {error.timeout:.0f} s") from None
    except OSError as error:
        raise StoreError(_refusal(name, error.errno == errno.ENOSPC, error.strerror)) from error


def _refusal(folder: str, full: bool, reason: str | None) -> str:
    if full:
        return f"the disk that holds {folder} is full: free some space, or set OPTIONS_HOME"
    return f"{folder} cannot be used ({reason}): mend its permissions, or set OPTIONS_HOME"


def _major(place: Path) -> int:
    return int((place / "data" / "PG_VERSION").read_text(encoding="ascii"))


def _server(place: Path, postmaster: Postmaster) -> EmbeddedPostgres:
    password = _password(place)
    if postmaster.address:
        where = f"{postmaster.address}:{postmaster.port}/postgres?sslmode=disable"
    else:
        host = quote(postmaster.socket_folder, safe="")
        where = f"/postgres?host={host}&port={postmaster.port}"
    dsn = f"postgresql://postgres:{password}@{where}"
    return EmbeddedPostgres(dsn, place, postmaster.pid, _major(place))


def _password(place: Path) -> str:
    try:
        line = (place / "password").read_text(encoding="ascii")
    except FileNotFoundError:
        raise StoreError(
            f"{place / 'password'} is gone: put it back, or move {place} away to begin anew"
        ) from None
    return line.strip().rpartition(":")[2]


def _create(place: Path, binaries: Binaries, way: RunAs) -> None:
    """Make the cluster beside its final place and move it there when it is whole."""
    password = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="making-", dir=place) as making:
        new = Path(making)
        _write_secret(new / "password", password)
        _write_secret(place / "password", f"*:*:*:postgres:{password}\n")
        command = [*way.prefix, str(binaries.folder / "initdb"), f"--pgdata={new / 'data'}"]
        command += ["--username=postgres", f"--pwfile={new / 'password'}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        made = run(command)
        if made.returncode:
            raise StoreError(_complaint(place, made.stderr))
        with (new / "data" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude_if_exists = 'options.conf'\n")
        (new / "data").rename(place / "data")


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _take_over(data: Path, owner: int) -> None:
    """Give the cluster, and nothing else, to the user whom the server will run as."""
    if os.geteuid() != 0:
        raise StoreError(
            f"{data} belongs to user {data.stat().st_uid}: set OPTIONS_HOME to a folder of your own"
        )
    for path in (data, *data.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)


def _launch(place: Path, binaries: Binaries, way: RunAs, settings: Mapping[str, str]) -> Postmaster:
    """Start the server and wait until it answers."""
    log = place / "server.log"
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(place / "server.log.1")
    data = place / "data"
    command = [*way.prefix, str(binaries.folder / "pg_ctl"), "start", f"--pgdata={data}", "--wait"]
    command += [f"--timeout={PATIENCE_S:.0f}", "--silent", f"--log={log}"]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _remove_stale_locks(place)
        _configure(data / "options.conf", dict(settings) | _address(place))
        begin = log.stat().st_size if log.exists() else 0
        started = run(command, timeout=2 * PATIENCE_S)
        postmaster = running(place)
        if started.returncode == 0 and postmaster is not None:
            return postmaster
        said = _tail(log, begin)
        # A killed postmaster's children need a moment to notice; a free port may be taken.
        passing = ("is still in use", "already in use", "could not create any TCP/IP sockets")
        if time.monotonic() > deadline or not any(words in said for words in passing):
            raise StoreError(_complaint(place, said or started.stderr))
        time.sleep(0.1)


def _tail(log: Path, begin: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")


def _complaint(place: Path, said: str) -> str:
    """Make one sentence of what a PostgreSQL program wrote."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return _refusal(str(place), full=True, reason=None)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    worst = [line for line in lines if "FATAL:" in line or "error:" in line] or lines[-1:]
    words = worst[0].rpartition("FATAL:")[2].strip() if worst else "no reason given"
    return f"the database server does not start ({words}): see {place / 'server.log'}"


def _address(place: Path) -> dict[str, str]:
    """Return the settings that say where the server listens: its own folder if that can be.

    A socket's path is short, and in lists of folders and hosts a comma or quote would end it.
    """
    path = os.fsencode(place / f".s.PGSQL.{DEFAULT_PORT}")
    if len(path) <= _LONGEST_SOCKET_PATH and not set(b',"') & set(path):
        port, address, folder = DEFAULT_PORT, "", f'"{place}"'
    else:
        port, address, folder = _free_port(), "127.0.0.1", ""
    return {"port": f"{port}", "listen_addresses": address, "unix_socket_directories": folder}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _configure(path: Path, settings: Mapping[str, str]) -> None:
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    lines = [f"{name} = '{value}'\n" for name, value in quoted.items()]
    path.write_text("# written at each start\n" + "".join(lines), encoding="utf-8")


def _remove_stale_locks(place: Path) -> None:
    """Remove the lock files of a dead server, which PostgreSQL may take for a living one."""
    postmaster = read_pid_file(place)
    if postmaster is not None and alive(postmaster.pid, place / "data"):
        return
    (place / "data" / "postmaster.pid").unlink(missing_ok=True)
    for lock in place.glob(".s.PGSQL.*.lock"):
        lock.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start, stop or show the server; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m clients.embedded_postgres", description="The default database server."
    )
    parser.add_argument("command", choices=("start", "stop", "status"))
    command = parser.parse_args(arguments).command
    try:
        if command == "stop":
            sys.stdout.write("stopped\n" if stop() else "not running\n")
            return 0
        server = start() if command == "start" else status()
    except TradingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{_described(server) if server else 'not running'}\n")
    return 0


def _described(server: EmbeddedPostgres) -> str:
    address = server.dsn.partition("@")[2]
    passfile = quote(str(server.folder / "password"), safe="")
    connect = f"postgresql://postgres@{address}&passfile={passfile}"
    return f"PostgreSQL {server.major} is running, process {server.pid}\npsql '{connect}'"


if __name__ == "__main__":
    sys.exit(main())
