"""The pipeline as a command, against a real database and a simulator with faults on demand."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from clients.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Bench, Done

BARS = ("--datasets", "equity_bars_1m,equity_bars_1d")


@dataclass(frozen=True)
class Market:
    """A running simulator whose clock stands still, and the faults of its replies."""

    status: dict[str, Any]

    def fault(self, target: str, kind: str, **options: Any) -> None:
        self._admin("POST", "/simulator/faults", {"target": target, "fault": kind} | options)

    def clear(self) -> None:
        self._admin("DELETE", "/simulator/faults")

    def fired(self) -> int:
        return sum(each["fired"] for each in self._admin("GET", "/simulator/faults")["faults"])

    def _admin(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        headers = {
            "X-Simulator-Admin": self.status["admin_token"],
            "Content-Type": "application/json",
        }
        url = f"{self.status['http']}{path}"
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.loads(reply.read() or b"null")


@pytest.fixture(scope="module")
def evening(start_simulator: Callable[..., Any]) -> Iterator[Market]:
    """A market that stands still when Friday, 20 November 2026 is wholly over."""
    arguments = ("--clock", "2026-11-20T20:00", "--speed", "0", "--requests-per-minute", "0")
    with start_simulator(*arguments) as status:
        yield Market(status)


@pytest.fixture
def market(evening: Market) -> Iterator[Market]:
    yield evening
    evening.clear()


@dataclass(frozen=True)
class Etl:
    bench: Bench
    lake: Path

    def run(self, *arguments: str, executor: str = "local:1") -> Done:
        own = ("--lake", str(self.lake), "--executor", executor, "--json", *arguments)
        return self.bench.run("etl_pipeline.py", *own)

    def lake_rows(self, table: str) -> int:
        return Lake.open(self.lake).read(table).height


@pytest.fixture
def etl(bench: Bench, market: Market, tmp_path: Path) -> Etl:
    environment = {"SIMULATOR_URL": market.status["http"]}
    return Etl(replace(bench, environment=environment), tmp_path / "lake")


def lacking(done: Done) -> set[tuple[str, str, str]]:
    found = done.object["lacking"]
    return {(each["ticker"], each["dataset"], each["session"]) for each in found}


def test_two_tickers_go_into_database_and_lake_and_again_is_nothing(etl: Etl) -> None:
    first = etl.run(*BARS, "--start", "2026-11-17")
    assert first.status == 0, first.err
    assert (first.object["wanted"], first.object["whole"]) == (16, 16)
    stored = etl.bench.read("equity_bars", interval="1m")
    assert stored["session"].n_unique() == 4
    assert etl.lake_rows("checked_equity_bars_1m") == stored.height
    ledger = etl.bench.read("ledger")
    assert ledger["status"].to_list() == ["done"] * 16
    stages = etl.bench.read("ledger_stages", stage="covered")
    assert stages["rows_out"].sum() == etl.bench.count("equity_bars")

    again = etl.run(*BARS, "--start", "2026-11-17")
    assert again.status == 0
    assert again.object["whole_before"] == 16
    assert etl.bench.read("ledger").equals(ledger)
