"""A running simulator whose market stands still, and clients of its streamer over real sockets."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKEND = Path(__file__).resolve().parents[3]
PATIENCE_S = 15.0


@dataclass(frozen=True)
class Simulator:
    """What a running simulator said of itself, and how to ask for more."""

    said: dict[str, Any]

    @property
    def http(self) -> str:
        return str(self.said["http"])

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Simulator-Admin": self.said["admin_token"]}
        url = f"{self.http}/simulator/{path}"
        reply = requests.request(method, url, json=body, headers=headers, timeout=PATIENCE_S)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def fault(self, target: str, fault: str, **terms: Any) -> int:
        armed = self.admin("POST", "faults", {"target": target, "fault": fault, **terms})
        return int(armed["id"])

    def fired(self) -> dict[str, int]:
        return {one["fault"]["fault"]: one["fired"] for one in self.admin("GET", "faults")}

    def tokens(self, user: str = "demo") -> dict[str, Any]:
        code = self.code(user)
        reply = self.grant(grant_type="authorization_code", code=code)
        assert reply.status_code == 200, reply.text
        granted: dict[str, Any] = reply.json()
        return granted

    def code(self, user: str = "demo") -> str:
        query = {"client_id": self.said["app_key"], "redirect_uri": self.said["callback_url"]}
        headers = {"X-Simulator-Admin": self.said["admin_token"], "X-Simulator-User": user}
        url = f"{self.http}/v1/oauth/authorize?{urlencode(query)}"
        reply = requests.get(url, headers=headers, allow_redirects=False, timeout=PATIENCE_S)
        return parse_qs(urlsplit(reply.headers["location"]).query)["code"][0]

    def grant(self, **form: str) -> requests.Response:
        basic = b64encode(f"{self.said['app_key']}:{self.said['app_secret']}".encode()).decode()
        return requests.post(
            f"{self.http}/v1/oauth/token",
            data={"redirect_uri": self.said["callback_url"], **form},
            headers={"Authorization": f"Basic {basic}"},
            timeout=PATIENCE_S,
        )

    def get(self, path: str, token: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.http}{path}", headers=headers, timeout=PATIENCE_S, **options)


class Client:
    """One connection; `take` waits for the next frame that fits."""

    def __init__(self, socket: ClientConnection, token: str) -> None:
        self.socket = socket
        self.token = token
        self.count = 0

    def ask(self, service: str, command: str, **parameters: str) -> dict[str, Any]:
        self.send(service, command, **parameters)
        content: dict[str, Any] = self.take("response")[0]["content"]
        return content

    def send(self, service: str, command: str, **parameters: str) -> None:
        self.count += 1
        request = {
            "requestid": str(self.count),
            "service": service,
            "command": command,
            "SchwabClientCorrelId": "test",
            "parameters": parameters,
        }
        self.socket.send(json.dumps({"requests": [request]}))

    def login(self) -> dict[str, Any]:
        return self.ask("ADMIN", "LOGIN", Authorization=self.token)

    def raw(self, kind: str, patience_s: float = PATIENCE_S) -> str:
        end = time.monotonic() + patience_s
        while True:
            frame = self.socket.recv(timeout=max(end - time.monotonic(), 0.01))
            assert isinstance(frame, str)
            if frame.startswith(f'{{"{kind}"'):
                return frame

    def take(self, kind: str, patience_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.raw(kind, patience_s))[kind]
        return found

    def data(self, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        return self.take("data", patience_s)[0]

    def take_last(self, kind: str) -> list[dict[str, Any]]:
        """Read to the end of the connection and return the last of its frames of a kind."""
        last: list[dict[str, Any]] = []
        end = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ConnectionClosed):
            while True:
                last = self.take(kind, end - time.monotonic())
        return last

    def closed(self) -> ConnectionClosed:
        """Read to the end of the connection and return how it ended."""
        with pytest.raises(ConnectionClosed) as ended:
            self.raw("nothing of the kind")
        return ended.value


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Simulator]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--auto-approve", *arguments]
    with subprocess.Popen(command, cwd=BACKEND, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        try:
            yield Simulator(json.loads(child.stdout.readline()))
        finally:
            child.terminate()
            child.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def started() -> Iterator[Simulator]:
    """At noon of Friday, 20 November 2026."""
    options = ("--clock", "2026-11-20T12:00", "--speed", "0", "--requests-per-minute", "0")
    with running(*options) as simulator:
        yield simulator


@pytest.fixture
def simulator(started: Simulator) -> Iterator[Simulator]:
    """The same, with no fault armed before and after."""
    yield started
    started.admin("DELETE", "faults")


@pytest.fixture
def run() -> Callable[..., contextlib.AbstractContextManager[Simulator]]:
    """Run a simulator of the test's own."""
    return running


@pytest.fixture
def opened(simulator: Simulator) -> Iterator[Callable[..., Client]]:
    """Open connections that end with the test."""
    with contextlib.ExitStack() as stack:

        def open_one(user: str = "demo", url: str | None = None, **options: Any) -> Client:
            token = simulator.tokens(user)["access_token"]
            socket = stack.enter_context(connect(url or simulator.said["streamer"], **options))
            return Client(socket, token)

        yield open_one


@pytest.fixture
def client(opened: Callable[..., Client]) -> Client:
    """A connection of the demo user, signed in."""
    one = opened()
    assert one.login()["code"] == 0
    return one
