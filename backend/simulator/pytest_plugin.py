"""A pytest plugin: anybody's bot against the simulated market, in any test suite.

    def test_my_bot(simulated_hosts):
        client = schwab.auth.client_from_token_file(*simulated_hosts.schwab_py)
        assert client.get_quote("QQQ").json()["QQQ"]["quote"]["bidPrice"] > 0

`market_simulator` is a running simulator, one a test process; `simulated_hosts` is the same, and for
the length of one test the real services' names lead to it in this process. The ini option
`simulator_options` holds the simulator's arguments, `--clock 2026-11-20T10:00 --speed 0` for example.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.status import Status

_STOP_TIMEOUT_S = 20
_ASK_TIMEOUT_S = 20


class MarketSimulator:
    """A running simulator.

    Attributes:
        status: Addresses, demo app, demo user and the market's time at its start.
        token_file: A ready token of the demo user as schwab-py and schwaby keep theirs.
    """

    def __init__(self, status: Status, folder: Path) -> None:
        from simulator.launch import write_token  # noqa: PLC0415 - pytest starts without it

        self.status = status
        self.token_file = write_token(status, folder)

    @property
    def schwab_py(self) -> tuple[str, str, str]:
        """The arguments of schwab-py's `client_from_token_file`."""
        return str(self.token_file), self.status.app_key, self.status.app_secret

    def environment(self, *, by_proxy: bool = False) -> dict[str, str]:
        """Return the environment in which a program of any kind finds the simulator.

        Args:
            by_proxy: For a program that is not in Python; `simulator_options` needs `--proxy-port`.
        """
        from simulator.launch import environment_for  # noqa: PLC0415 - as above

        return environment_for(self.status, self.token_file, os.environ, by_proxy=by_proxy)

    def sign_in_by_pages(self, url: str, user: str = "", password: str = "") -> str:
        """Go through the login pages; return the address that the browser ends at.

        Args:
            url: The authorization address that the client made.
            user: Whom to sign in; the demo user when empty.
            password: Theirs.

        Raises:
            AuthError: The pages refuse.
        """
        from simulator.visitor import sign_in_by_pages  # noqa: PLC0415 - as above

        who = (user, password) if user else (self.status.user, self.status.password)
        return sign_in_by_pages(url, *who)

    def fault(self, **fault: Any) -> Any:
        """Ask for a fault, as docs/simulator.md lists them: `target=`, `fault=`, `count=` ...

        Returns:
            The simulator's answer.
        """
        return self._admin("POST", "/simulator/faults", fault)

    def clear_faults(self) -> None:
        """End all faults."""
        self._admin("DELETE", "/simulator/faults")

    def move_clock(self, **clock: Any) -> Any:
        """Move the market's clock: `now="2026-11-20T15:59"`, `speed=0`, or `held=True`.

        A market that is held stands until somebody streams quotes.
        """
        return self._admin("POST", "/simulator/clock", clock)

    def _admin(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        headers = {"X-Simulator-Admin": self.status.admin_token, "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.status.http}{path}", body, headers, method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=_ASK_TIMEOUT_S) as reply:
            said = reply.read()
        return json.loads(said) if said else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(
        "simulator_options", "arguments of the simulated market", default="--requests-per-minute 0"
    )


@pytest.fixture(scope="session")
def market_simulator(pytestconfig: pytest.Config) -> Iterator[MarketSimulator]:
    """A running simulator that approves each sign-in at once; ends with the tests."""
    with running(shlex.split(pytestconfig.getini("simulator_options"))) as simulator:
        yield simulator


@pytest.fixture
def simulated_hosts(
    market_simulator: MarketSimulator, monkeypatch: pytest.MonkeyPatch
) -> MarketSimulator:
    """The real services' names lead to the simulator in this process; armed faults are cleared."""
    from simulator.redirect import simulator_redirection as redirection  # noqa: PLC0415 - as above

    environment = market_simulator.environment()
    for name, text in environment.items():
        if os.environ.get(name) != text and name != "PYTHONPATH":
            monkeypatch.setenv(name, text)
    to = redirection.targets(environment["SIMULATOR_HOSTS"])
    monkeypatch.setattr(socket, "getaddrinfo", redirection.resolver(socket.getaddrinfo, to))
    for name in ("connect", "connect_ex"):
        replacement = redirection.connector(getattr(socket.socket, name), to)
        monkeypatch.setattr(socket.socket, name, replacement)
    truster = redirection.truster(
        ssl.SSLContext.load_verify_locations, environment["SSL_CERT_FILE"]
    )
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", truster)
    market_simulator.clear_faults()
    return market_simulator


@contextmanager
def running(arguments: list[str]) -> Iterator[MarketSimulator]:
    """Run a simulator in a process of its own, which ends with the block and with this process.

    Args:
        arguments: Those of `python -m simulator`, over a free port and approval at once.

    Raises:
        RuntimeError: It does not start; the text is its own.
    """
    import msgspec  # noqa: PLC0415 - as above

    from simulator.status import Status  # noqa: PLC0415 - as above

    command = [sys.executable, "-m", "simulator", "--port", "0", "--auto-approve", *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="simulator-") as folder,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--parent-pid", str(os.getpid())],
            stdout=subprocess.PIPE,
            stderr=said,
            env=os.environ | {"PYTHONPATH": _backend_on_path()},
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                process.wait(_STOP_TIMEOUT_S)
                said.seek(0)
                raise RuntimeError(f"the simulator does not start: {said.read().decode().strip()}")
            yield MarketSimulator(msgspec.json.decode(line, type=Status), Path(folder))
        finally:
            process.terminate()
            process.wait(_STOP_TIMEOUT_S)


def _backend_on_path() -> str:
    """Return a PYTHONPATH with which the package is found from any folder."""
    own = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH", ""))))
