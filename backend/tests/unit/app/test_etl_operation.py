"""The pipeline without anyone watching: its times, figures, health, page, logs and notices."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from app import cli
from app.etl_metrics import EtlMetrics
from app.etl_operation import Watch, operate
from app.etl_page import PipelineStatus, render
from app.etl_schedule import Schedule, repeat
from app.etl_serve import Health, application, serving
from models.errors import ConfigError, Unavailable
from models.tables import DOWNLOAD_RUNS, LEDGER, LEDGER_STAGES, Frame, Table, frame_schema
from pipeline.etl_events import PartitionDone, RunEnded, RunStarted, StageDone
from pipeline.ledger import StageRow
from pipeline.outcome import COMPLETE, Outcome
from pipeline.partition import Partition
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = Partition("equity_bars_1m", "QQQ", date(2026, 11, 20))
LOST = Partition("option_quotes_1m", "SPY", date(2026, 11, 23))


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-25 12:00", "2026-11-25 18:30"),
        ("2026-11-25 18:30", "2026-11-27 18:30"),  # Thanksgiving is between
        ("2026-11-27 20:00", "2026-11-30 18:30"),
    ],
)
def test_it_runs_on_days_of_the_market_alone(now: str, due: str) -> None:
    schedule = Schedule.parse("18:30 America/New_York")
    found = schedule.after(datetime.fromisoformat(now).replace(tzinfo=NEW_YORK))
    assert found == datetime.fromisoformat(due).replace(tzinfo=NEW_YORK)
    assert str(schedule) == "18:30 America/New_York"


def test_a_time_that_the_clocks_skip_comes_an_hour_later() -> None:
    schedule = Schedule.parse("02:30 Europe/Berlin")
    found = schedule.after(datetime(2026, 3, 27, 12, 0, tzinfo=UTC))
    assert found == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "25:00", "18:30 Mars/Base", "half past six", "18:30 ../etc"])
def test_what_is_no_time_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="18:30 America/New_York"):
        Schedule.parse(text)


def test_it_waits_for_each_time_and_leaves_out_those_that_pass_while_it_runs() -> None:
    now = datetime(2026, 11, 23, 12, 0, tzinfo=NEW_YORK)
    runs: list[datetime] = []

    def pause(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    def run() -> None:
        nonlocal now
        runs.append(now)
        now += timedelta(hours=30)
        if len(runs) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeat(Schedule.parse("18:30"), run, lambda: now, pause)
    assert [f"{each:%a %H:%M}" for each in runs] == ["Mon 18:30", "Wed 18:30"]


def events() -> list[Any]:
    row = StageRow(
        "load", "done", "polygon", 5, 5, 0, None, 0.25, datetime(2026, 11, 23, tzinfo=UTC)
    )
    good = Outcome(GOOD, COMPLETE, source="polygon", rows=5, changed=5, stages=(row,))
    bad = Outcome(LOST, "nothing", reason="the plan does not include it")
    return [
        RunStarted("r-1", 2, 0, 0),
        StageDone("r-1", GOOD, row),
        PartitionDone("r-1", good, 1, "done", 0.5),
        PartitionDone("r-1", bad, 3, "failed", 0.5),
        RunEnded("r-1", 1, 1, 0),
    ]


def test_figures_are_told_as_prometheus_reads_them() -> None:
    metrics = EtlMetrics()
    for event in events():
        metrics.see(event)
    metrics.end("partial", datetime(2026, 11, 23, tzinfo=UTC))
    told = metrics.text().decode()
    assert 'etl_partitions_total{dataset="equity_bars_1m",status="done"} 1.0' in told
    assert 'etl_partitions_total{dataset="option_quotes_1m",status="failed"} 1.0' in told
    assert 'etl_rows_changed_total{dataset="equity_bars_1m"} 5.0' in told
    assert 'etl_stage_seconds_sum{stage="load"} 0.25' in told
    assert 'etl_partitions_lacking{why="failed"} 1.0' in told
    assert 'etl_runs_total{status="partial"} 1.0' in told
    assert "etl_running 0.0" in told


def asked(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if host:
        request.add_header("Host", host)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_is_served_to_this_machine_alone() -> None:
    health = Health()
    with serving(application(EtlMetrics(), health, lambda: "<p>page</p>"), 0) as port:
        assert asked(port, "/") == (200, "<p>page</p>")
        assert asked(port, "/metrics")[0] == 200
        assert asked(port, "/health")[0] == 200
        assert asked(port, "/", host="evil.example")[0] == 400
        health.last_status, health.last_error = "failed", "the disk is full"
        status, body = asked(port, "/health")
        assert (status, json.loads(body)["last_error"]) == (503, "the disk is full")
        with (
            pytest.raises(ConfigError, match="cannot be used"),
            serving(application(EtlMetrics(), health, lambda: ""), port),
        ):
            pass


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's
def test_who_is_named_hears_of_what_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch, serve: Any, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    told = serve(lambda _: answer(200, b"{}"))
    address = told.url.replace("http://", "json://") + "/?secret=hush"
    monkeypatch.setenv("PIPELINE_NOTIFY_URLS", address)

    def run(see: Callable[[Any], None]) -> int:
        for event in events():
            see(event)
        return cli.PARTIAL

    with caplog.at_level(logging.INFO, "pipeline"):
        assert operate(run, schedule=None, port=None) == cli.PARTIAL
    (received,) = told.received
    assert "gave up 1 partitions" in received.body.decode()
    assert "the plan does not include it" in received.body.decode()
    lines = [record for record in caplog.records if record.name == "pipeline"]
    assert {record.run_id for record in lines} == {"r-1"}  # type: ignore[attr-defined]
    assert "hush" not in caplog.text

    def broken(_see: Callable[[Any], None]) -> int:
        raise Unavailable("schwab is away", provider="schwab", retryable=True)

    with pytest.raises(Unavailable):
        operate(broken, schedule=None, port=None)
    assert "schwab is away" in told.received[1].body.decode()


def test_a_failed_run_of_a_schedule_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = 0

    def run(_see: Callable[[Any], None]) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("schwab is away", provider="schwab", retryable=True)
        raise KeyboardInterrupt

    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def pause(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    monkeypatch.setattr("app.etl_operation.wall_clock", lambda: now)
    with pytest.raises(KeyboardInterrupt):
        operate(run, schedule=Schedule.parse("18:30"), port=None, pause=pause)
    said = capsys.readouterr().err
    assert "schwab is away" in said
    assert "next run 2026-11-24 23:30 UTC" in said


def of(table: Table, *rows: dict[str, Any]) -> Frame:
    schema = frame_schema(table)
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema, orient="row")


def test_the_page_shows_partitions_reasons_speed_and_runs() -> None:
    at = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    whole = {"dataset": "equity_bars_1m", "ticker": "QQQ", "session": GOOD.session}
    lost = {"dataset": "option_quotes_1m", "ticker": "SPY", "session": LOST.session}
    common = {"origin": "simulator", "attempts": 3, "stage": "extract"}
    status = PipelineStatus(
        of(
            LEDGER,
            whole | common | {"status": "done"},
            lost | common | {"status": "failed", "error": "<b>not</b> in the plan"},
        ),
        of(
            LEDGER_STAGES,
            whole | common | {"stage": "load", "seconds": 0.5, "rows_out": 100, "rows_rejected": 0},
        ),
        of(
            DOWNLOAD_RUNS,
            {
                "run_id": "r-1",
                "command": "etl_pipeline.py",
                "started_at": at,
                "finished_at": at + timedelta(seconds=10),
                "status": "partial",
                "rows": 100,
            },
        ),
    )
    page = render(status, place="embedded", made_at=at, coming=at)
    assert "1 of 2 partitions whole" in page
    assert "&lt;b&gt;not&lt;/b&gt; in the plan" in page
    assert page.count("<rect") == 2
    assert "next run 2026-11-23 23:30 UTC" in page
    assert ">200</td>" in page  # rows a second of the load
    assert status.as_object()["partitions"] == {"done": 1, "failed": 1}
    none = PipelineStatus(
        *(frame.clear() for frame in (status.partitions, status.stages, status.runs))
    )
    assert "No run has been here yet" in render(none, place="x", made_at=at, coming=None)


def test_what_a_watch_has_seen_of_an_earlier_run_is_forgotten() -> None:
    watch = Watch(EtlMetrics(), Health())
    for event in [*events(), RunStarted("r-2", 1, 1, 0)]:
        watch.see(event)
    assert watch.given_up == []
    assert watch.health.run_id == "r-2"
