"""A running simulator whose market stands still, and plain requests to its Polygon REST."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

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
