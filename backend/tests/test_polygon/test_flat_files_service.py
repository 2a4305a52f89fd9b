"""The flat files of the simulator, fetched as from the vendor: states, resume, faults, plans."""

import hashlib
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from models.errors import AuthError, ConfigError, ProviderError, StoreError, Unavailable
from polygon_integration import s3_bulk_downloader as s3
from polygon_integration.config import PolygonSettings
from polygon_integration.s3_bulk_downloader import FlatFiles, Remote, State, Transfer
from simulator.s3_files import PLANS

BACKEND = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 21, tzinfo=UTC)
DAY = date(2026, 11, 18)


@pytest.fixture(scope="module")
def simulator() -> Iterator[dict[str, Any]]:
    """A simulator that stands still at 16:00 of Friday, 20 November 2026."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulator",
            "--port",
            "0",
            "--clock",
            "2026-11-20T16:00",
            "--speed",
            "0",
        ],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


@pytest.fixture
def files(simulator: dict[str, Any]) -> Callable[..., FlatFiles]:
    def make(access: str = "SIMULATORADVANCED", secret: str | None = None) -> FlatFiles:
        settings = PolygonSettings(
            s3_access_key=SecretStr(access),
            s3_secret_key=SecretStr(secret or PLANS[access].secret),
            s3_endpoint=simulator["s3"],
        )
        return FlatFiles(settings, lambda: NOW)

    return make


@pytest.fixture
def fault(simulator: dict[str, Any]) -> Iterator[Callable[..., None]]:
    def ask(method: str, body: dict[str, Any] | None = None) -> None:
        request = urllib.request.Request(
            f"{simulator['http']}/simulator/faults",
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={"X-Simulator-Admin": simulator["admin_token"]},
        )
        urllib.request.urlopen(request, timeout=10).close()

    yield lambda **body: ask("POST", body)
    ask("DELETE")


@pytest.mark.parametrize(
    ("access", "name", "day", "state", "words"),
    [
        ("SIMULATORADVANCED", "minute_aggs", DAY, State.AVAILABLE, "is there"),
        ("SIMULATORADVANCED", "minute_aggs", date(2026, 11, 20), State.NOT_YET, "2026-11-21 11:00"),
        ("SIMULATORADVANCED", "minute_aggs", date(2026, 12, 1), State.NOT_YET, "future"),
        ("SIMULATORADVANCED", "minute_aggs", date(2026, 11, 14), State.HOLIDAY, "no session"),
        ("SIMULATORADVANCED", "minute_aggs", date(2026, 7, 3), State.HOLIDAY, "no session"),
        ("SIMULATORADVANCED", "minute_aggs", date(2018, 10, 12), State.MISSING, "missing"),
        ("SIMULATORADVANCED", "quotes", date(2019, 10, 14), State.MISSING, "begins in 2022"),
        ("SIMULATORADVANCED", "stock_trades", DAY, State.MISSING, "missing"),
        ("SIMULATORDEVELOPER", "trades", DAY, State.AVAILABLE, "is there"),
        ("SIMULATORDEVELOPER", "quotes", DAY, State.NOT_IN_PLAN, "plan"),
        ("SIMULATORSTARTER", "trades", DAY, State.NOT_IN_PLAN, "plan"),
        ("SIMULATORSTARTER", "minute_aggs", date(2024, 1, 3), State.NOT_IN_PLAN, "old"),
        ("SIMULATORBASIC", "day_aggs", DAY, State.NOT_IN_PLAN, "plan"),
    ],
)
def test_why_a_file_cannot_be_had(
    files: Callable[..., FlatFiles], access: str, name: str, day: date, state: State, words: str
) -> None:
    found = files(access).look(name, day)
    assert found.state is state
    assert words in found.sentence
    assert "\n" not in found.sentence


def test_throttling_is_told_apart(
    files: Callable[..., FlatFiles], fault: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_FIRST_WAIT_S", 0.001)
    fault(target="s3.head", fault="status", status=503, count=2)
    assert files().look("minute_aggs", DAY).state is State.AVAILABLE
    fault(target="s3.head", fault="status", status=429)
    assert files().look("minute_aggs", DAY).state is State.THROTTLED


@pytest.mark.parametrize("pair", [("SIMULATORADVANCED", "no-secret"), ("NOBODY", "no-secret")])
def test_wrong_keys_are_told_without_them(
    files: Callable[..., FlatFiles], pair: tuple[str, str]
) -> None:
    with pytest.raises(AuthError, match="POLYGON_S3_ACCESS_KEY") as told:
        files(*pair).look("minute_aggs", DAY)
    assert "no-secret" not in str(told.value)
    assert "NOBODY" not in str(told.value)


def test_keys_that_are_missing_are_named() -> None:
    settings = PolygonSettings(s3_access_key=SecretStr(""), s3_secret_key=SecretStr(""))
    with pytest.raises(ConfigError, match="POLYGON_S3_ACCESS_KEY"):
        FlatFiles(settings, lambda: NOW)


def test_a_service_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_FIRST_WAIT_S", 0.001)
    settings = PolygonSettings(
        s3_access_key=SecretStr("a"), s3_secret_key=SecretStr("b"), s3_endpoint="http://127.0.0.1:9"
    )
    with pytest.raises(Unavailable, match="cannot be reached"):
        FlatFiles(settings, lambda: NOW).look("minute_aggs", DAY)


def test_everybody_may_list(files: Callable[..., FlatFiles]) -> None:
    found = files("SIMULATORBASIC").listed("quotes", date(2026, 9, 28), date(2026, 11, 20))
    assert min(found) == date(2026, 9, 28)
    assert max(found) == date(2026, 11, 19)
    assert found[DAY] == files().look("quotes", DAY).remote


def test_a_download_is_what_was_listed(files: Callable[..., FlatFiles], tmp_path: Path) -> None:
    remote = files().look("minute_aggs", DAY).remote
    assert remote
    goal = files().download(remote, tmp_path)
    assert goal.name == "2026-11-18.csv.gz"
    assert goal.stat().st_size == remote.size
    assert [path.name for path in tmp_path.iterdir()] == [goal.name]


@pytest.mark.parametrize("kind", ["half_body", "reset"])
def test_a_transfer_survives_what_breaks_it(
    files: Callable[..., FlatFiles],
    fault: Callable[..., None],
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(s3, "RANGE_BYTES", 50_000)
    remote = files().look("minute_aggs", DAY).remote
    assert remote
    whole = files().download(remote, tmp_path / "whole").read_bytes()
    fault(target="s3.get", fault=kind, count=3)
    assert files().download(remote, tmp_path / "broken").read_bytes() == whole


CONTENT = bytes(range(256)) * 400


def remote_of(content: bytes = CONTENT, etag: str = '"1"') -> Remote:
    return Remote("a/b.csv.gz", len(content), etag, NOW)


class Service:
    """Hands out ranges, and breaks after so many."""

    def __init__(self, content: bytes = CONTENT, most: int = 10_000) -> None:
        self.content, self.most = content, most
        self.asked: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def __call__(self, _remote: Remote, begin: int, end: int) -> bytes:
        with self._lock:
            self.asked.append((begin, end))
            if len(self.asked) > self.most:
                raise Unavailable("gone", provider="polygon")
        return self.content[begin:end]


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "RANGE_BYTES", 1000)


@pytest.mark.usefixtures("small_ranges")
def test_a_broken_transfer_goes_on_where_it_ended(tmp_path: Path) -> None:
    with (
        Transfer(remote_of(), tmp_path, Service(most=30)) as first,
        pytest.raises(Unavailable),
    ):
        first.readall()
    again = Service()
    with Transfer(remote_of(), tmp_path, again) as second:
        assert second.resumed >= 20_000
        assert second.readall() == CONTENT
        second.publish(tmp_path / "b.csv.gz")
    assert min(again.asked)[0] == second.resumed or not again.asked
    assert hashlib.sha256((tmp_path / "b.csv.gz").read_bytes()).digest() == (
        hashlib.sha256(CONTENT).digest()
    )


@pytest.mark.usefixtures("small_ranges")
def test_a_file_that_was_replaced_is_begun_anew(tmp_path: Path) -> None:
    with Transfer(remote_of(), tmp_path, Service(most=30)) as first, pytest.raises(Unavailable):
        first.readall()
    other = CONTENT[::-1]
    with Transfer(remote_of(etag='"2"'), tmp_path, Service(other)) as second:
        assert second.resumed == 0
        assert second.readall() == other


@pytest.mark.usefixtures("small_ranges")
def test_what_is_not_whole_is_not_published(tmp_path: Path) -> None:
    with Transfer(remote_of(), tmp_path, Service()) as transfer:
        transfer.read(500)
        with pytest.raises(StoreError, match="size"):
            transfer.publish(tmp_path / "b.csv.gz")
    assert not (tmp_path / "b.csv.gz").exists()


@pytest.mark.usefixtures("small_ranges")
def test_few_ranges_are_in_flight(tmp_path: Path) -> None:
    service = Service()
    with Transfer(remote_of(), tmp_path, service) as transfer:
        transfer.read(10)
    assert len(service.asked) <= s3.AT_ONCE


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Transfer(remote_of(), tmp_path / "file", Service())


def test_a_range_of_a_replaced_object_is_no_part_of_it(
    files: Callable[..., FlatFiles], tmp_path: Path
) -> None:
    remote = files().look("minute_aggs", DAY).remote
    assert remote
    stale = Remote(remote.key, remote.size, '"another"', remote.modified)
    with pytest.raises(ProviderError, match="replaced"):
        files().download(stale, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a_b.csv.gz.part").symlink_to("/dev/full")
    with (
        Transfer(remote_of(), tmp_path, Service()) as transfer,
        pytest.raises(StoreError, match="the disk is full"),
    ):
        transfer.readall()


@pytest.mark.usefixtures("small_ranges")
def test_fewer_ranges_where_the_service_throttles(tmp_path: Path) -> None:
    service = Service()
    with Transfer(remote_of(), tmp_path, service, lambda: 1) as transfer:
        transfer.read(10)
    assert len(service.asked) == 1
