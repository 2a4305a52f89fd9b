"""Whether a PostgreSQL server is alive, read from its pid file, the process table and its socket."""

import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from clients.postgres_binaries import run
from models.errors import StoreError

DEFAULT_PORT = 5432
PATIENCE_S = 60.0
"""Seconds to wait for a server to get ready, or to stop."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says."""

    pid: int
    port: int
    socket_folder: str
    address: str
    ready: bool


def running(place: Path) -> Postmaster | None:
    """Return the living server of a folder, once it is ready; None when there is none.

    Raises:
        StoreError: It lives and does not answer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        postmaster = read_pid_file(place)
        if postmaster is None or not alive(postmaster.pid, place / "data"):
            return None
        if postmaster.ready and _answers(postmaster):
            return postmaster
        if time.monotonic() > deadline:
            raise StoreError(f"the database server (process {postmaster.pid}) does not get ready")
        time.sleep(0.02)


def read_pid_file(place: Path) -> Postmaster | None:
    """Read the server's own pid file.

    Lines: process number, data folder, start time, port, socket folder, address, shared memory,
    state (source: PostgreSQL, src/include/utils/pidfile.h).
    """
    try:
        lines = (place / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return None
    lines += [""] * (8 - len(lines))
    port = int(lines[3]) if lines[3].strip().isdigit() else DEFAULT_PORT
    return Postmaster(
        int(lines[0]), port, lines[4].strip(), lines[5].strip(), lines[7].strip() == "ready"
    )


def _answers(postmaster: Postmaster) -> bool:
    """Tell whether the server takes connections: one that was just killed may not be gone yet.

    It is asked whether it speaks TLS (SSLRequest: length 8, code 80877103), which it answers by one
    byte before it asks who we are (source: PostgreSQL, "Message Formats"). Takes about 1 ms.
    """
    where: str | tuple[str, int] = f"{postmaster.socket_folder}/.s.PGSQL.{postmaster.port}"
    family = socket.AF_UNIX
    if postmaster.address:
        where, family = (postmaster.address, postmaster.port), socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(where)
            connection.sendall(struct.pack("!ii", 8, 80877103))
            return bool(connection.recv(1))
        except OSError:
            return False


def alive(pid: int, data: Path) -> bool:
    """Tell whether a process is the living server of a data folder.

    A killed server stays a zombie where nobody waits for it (a container whose first process does
    not reap), and `kill(pid, 0)`, pg_ctl and PostgreSQL itself take a zombie for alive. After a
    restart of the machine its number may belong to a stranger.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists() and _alive_by_ps(pid)
    name, _, rest = stat.partition("(")[2].rpartition(")")
    if rest.split()[0] in "ZX" or name != "postgres":
        return False
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except PermissionError:
        return True  # another user's: PostgreSQL itself will refuse to start beside it
    except (FileNotFoundError, ProcessLookupError):
        return False


def _alive_by_ps(pid: int) -> bool:
    """Tell the same on a system without /proc."""
    state, _, command = run(["ps", "-o", "stat=,comm=", "-p", str(pid)]).stdout.partition(" ")
    return bool(state) and not state.startswith("Z") and command.strip().endswith("postgres")
