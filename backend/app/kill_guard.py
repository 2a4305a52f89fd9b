"""The guard of a trading run: a process of its own that can stop it, whatever the run is doing.

    python -m app.kill_guard ACCOUNT DESCRIPTOR

It listens on a loopback port (`POST /kill`, `GET /state`; token, Host and Origin are checked), reads
the run's signals from a pipe into which the C level of the interpreter writes (a strategy that never
returns does not matter), and looks at the switch's file. When trading is stopped and the run does
not obey, it ends the run and does it in its place (`kill_command`). It ends with the run.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from app.kill_switch import KillSwitch, killed_now, state_words
from app.publish import publish
from utils.paths import backend_folder, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_S = 0.1
_LARGEST_BODY = 4_096


def address_file(account_id: str) -> Path:
    """Return the file with address and token of an account's guard; its owner alone reads it."""
    return state_folder("kill") / f"{account_id}.guard"


@contextmanager
def guarded(account_id: str) -> Iterator[None]:
    """Have a guard beside the body; SIGUSR1 to this process throws the switch.

    To be entered by who holds the account's journal: an account has one guard, whose address stands
    in one file.
    """
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = signal.signal(signal.SIGUSR1, _by_the_guard)
    woken = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    guard = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "app.kill_guard", account_id, str(reads)],
        cwd=backend_folder(),
        pass_fds=(reads,),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reads)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGUSR1, before)
        os.close(writes)
        guard.wait()


def _by_the_guard(*_: object) -> None:
    """Do nothing: the interpreter has told the guard already."""


class _Asked(BaseHTTPRequestHandler):
    """One request."""

    server: _Server

    def do_GET(self) -> None:
        if self._admitted() and self.path == "/state":
            self._answer(HTTPStatus.OK, {"state": state_words(self.server.account_id)})

    def do_POST(self) -> None:
        if not self._admitted():
            return
        try:
            size = int(self.headers.get("Content-Length", "0"))
            wish = json.loads(self.rfile.read(size) or b"{}") if size <= _LARGEST_BODY else None
        except ValueError:
            wish = None
        if self.path != "/kill" or not isinstance(wish, dict):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": 'POST /kill with {"flatten": false}'})
            return
        reason = str(wish.get("reason") or "a person said so")[:200]
        killed = killed_now("http", reason, flatten=wish.get("flatten") is True)
        KillSwitch(self.server.account_id).engage(killed)
        self._answer(HTTPStatus.OK, {"state": state_words(self.server.account_id)})

    def _admitted(self) -> bool:
        """Refuse who is not on this machine, has not the token, or comes by a foreign page."""
        port = self.server.server_address[1]
        hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        given = self.headers.get("Authorization", "").encode()
        if self.headers.get("Host") not in hosts:
            self._answer(HTTPStatus.FORBIDDEN, {"error": "unknown Host"})
        elif origin is not None and origin not in {f"http://{host}" for host in hosts}:
            self._answer(HTTPStatus.FORBIDDEN, {"error": "foreign Origin"})
        elif not secrets.compare_digest(given, f"Bearer {self.server.token}".encode()):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "give the token"})
        else:
            return True
        return False

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing: the terminal is the run's."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, account_id: str) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.account_id = account_id
        self.token = secrets.token_urlsafe(32)


def watch(account_id: str, pipe: int) -> None:
    """Guard a run until it ends.

    Args:
        account_id: Of the run.
        pipe: Descriptor from which the run's signals are read; it ends with the run.
    """
    switch = KillSwitch(account_id)
    server = _Server(account_id)
    threading.Thread(target=server.serve_forever, args=(_LOOK_S,), daemon=True).start()
    file = address_file(account_id)
    address = {"url": f"http://127.0.0.1:{server.server_address[1]}", "token": server.token}
    file.touch(mode=0o600)
    publish(file, json.dumps(address).encode())
    file.chmod(0o600)
    handled = ""
    try:
        while True:
            ready, _, _ = select.select([pipe], [], [], _LOOK_S)
            signals = os.read(pipe, 64) if ready else b""
            if ready and not signals:
                return
            if signal.SIGUSR1 in signals:
                switch.engage(killed_now("signal", "SIGUSR1"))
            found = switch.engaged()
            if found is not None and found.at != handled:
                handled = found.at
                _carry_out(account_id)
    finally:
        file.unlink(missing_ok=True)
        server.shutdown()


def _carry_out(account_id: str) -> None:
    """See that a wish is carried out; what fails is said on the terminal."""
    from app.kill_command import carry_out  # noqa: PLC0415 - heavy, and mostly not needed
    from models.errors import TradingError  # noqa: PLC0415 - the same

    try:
        said = carry_out(account_id)
    except TradingError as error:
        said = f"not all that works is cancelled: {error}"
    print(f"kill switch: {said}", file=sys.stderr)


def main() -> int:
    """Guard the run that the arguments name; return the exit status."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with suppress(OSError):
        watch(sys.argv[1], int(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
