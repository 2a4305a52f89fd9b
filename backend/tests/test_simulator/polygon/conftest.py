"""A running simulator whose market stands still, and plain requests to its Polygon REST."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKEND = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Simulator:
    """What a running simulator said of itself, and how to ask for more."""

    said: dict[str, Any]

    @property
    def http(self) -> str:
        return str(self.said["http"])

    @property
    def stream(self) -> str:
        return self.http.replace("http", "ws", 1)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Simulator-Admin": self.said["admin_token"]}
        url = f"{self.http}/simulator/{path}"
        reply = requests.request(method, url, json=body, headers=headers, timeout=PATIENCE_S)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def fault(self, target: str, fault: str, **terms: Any) -> int:
        armed = self.admin("POST", "faults", {"target": target, "fault": fault, **terms})
        return int(armed["id"])

    def get(self, path: str, key: str | None = None, **query: str) -> requests.Response:
        """Ask with the key of the largest plan, or another; `path` may be a whole address."""
        url = path if path.startswith("http") else f"{self.http}{path}"
        headers = {"Authorization": f"Bearer {key or self.said['polygon_key']}"}
        return requests.get(url, params=query, headers=headers, timeout=PATIENCE_S)

    def told(self, path: str, **query: str) -> Any:
        """Ask and return what a good reply says."""
        reply = self.get(path, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def rows(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Ask for all pages and return their rows."""
        found: list[dict[str, Any]] = []
        reply = self.told(path, **query)
        while True:
            found += reply.get("results", [])
            if "next_url" not in reply:
                return found
            reply = self.told(reply["next_url"])


class Socket:
    """One connection; everything that came is kept in `statuses` and `events`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.statuses: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.frames: list[str] = []

    def say(self, action: str, params: str) -> None:
        self.socket.send(json.dumps({"action": action, "params": params}))

    def read(self, patience_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Read one frame."""
        frame = self.socket.recv(timeout=max(patience_s, 0.01))
        assert isinstance(frame, str)
        self.frames.append(frame)
        found: list[dict[str, Any]] = json.loads(frame)
        for one in found:
            if one["ev"] == "status":
                self.statuses.append((one["status"], one["message"]))
            else:
                self.events.append(one)
        return found

    def until(self, enough: Callable[[Socket], Any]) -> None:
        """Read until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not enough(self):
            self.read(end - time.monotonic())

    def answers(self, action: str, params: str) -> list[tuple[str, str]]:
        """Ask, and return the statuses until those of a channel that nobody knows."""
        before = len(self.statuses)
        self.say(action, params)
        self.say("subscribe", "X.END")
        self.until(lambda one: any("X.END" in words for _, words in one.statuses[before:]))
        return [status for status in self.statuses[before:] if "X.END" not in status[1]]

    def closed(self) -> ConnectionClosed:
        """Read to the end of the connection and return how it ended."""
        end = time.monotonic() + PATIENCE_S
        try:
            while True:
                self.read(end - time.monotonic())
        except ConnectionClosed as ended:
            return ended


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


@pytest.fixture(scope="module")
def started_moving() -> Iterator[Simulator]:
    """A minute a second, from ten o'clock of the same day."""
    options = ("--clock", "2026-11-20T10:00", "--speed", "60", "--requests-per-minute", "0")
    with running(*options) as simulator:
        yield simulator


@pytest.fixture
def moving(started_moving: Simulator) -> Iterator[Simulator]:
    """The same, with no fault armed before and after."""
    yield started_moving
    started_moving.admin("DELETE", "faults")


@pytest.fixture
def run() -> Callable[..., contextlib.AbstractContextManager[Simulator]]:
    """Run a simulator of the test's own."""
    return running


@pytest.fixture
def opened() -> Iterator[Callable[..., Socket]]:
    """Open connections that end with the test."""
    with contextlib.ExitStack() as stack:

        def open_one(
            simulator: Simulator, market: str = "options", key: str | None = "", **options: Any
        ) -> Socket:
            url = f"{simulator.stream}/{market}"
            one = Socket(stack.enter_context(connect(url, close_timeout=1, **options)))
            one.read()
            if key is not None:
                one.say("auth", key or simulator.said["polygon_key"])
                one.read()
            return one

        yield open_one
