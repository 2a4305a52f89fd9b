"""The pipeline without anyone watching: at its times, with figures, a page, logs and notices."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app import cli
from app.etl_metrics import EtlMetrics
from app.etl_page import PipelineStatus, render
from app.etl_schedule import Schedule, repeat
from app.etl_serve import HOST, Health, application, serving
from app.wiring import open_store, store_place
from models.errors import TradingError
from pipeline.etl_events import PartitionDone, RunEnded, RunStarted, StageDone, Waiting
from pipeline.partition import FAILED
from utils.clock import wall_clock
from utils.logs import redact
from utils.notifier import Level, Notifier
from utils.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.etl_events import EtlEvent

    Run = Callable[[Callable[[EtlEvent], None]], int]

_log = logging.getLogger("pipeline")
_STATUS = {cli.OK: "complete", cli.PARTIAL: "partial"}
_MOST_LINES = 10


class NotifySettings(Settings):
    """Whom the pipeline tells.

    Attributes:
        pipeline_notify_urls: Addresses in Apprise's notation, separated by blanks; they hold
            secrets.
    """

    pipeline_notify_urls: SecretStr = SecretStr("")


@dataclass(slots=True)
class Watch:
    """Takes in what a run tells: figures, logs, and what a person is to hear of.

    Attributes:
        metrics: Figures.
        health: How the pipeline is.
        given_up: A sentence for each partition that the run gave up.
    """

    metrics: EtlMetrics
    health: Health
    given_up: list[str] = field(default_factory=list)

    def see(self, event: EtlEvent) -> None:
        """Take in one event."""
        self.metrics.see(event)
        if isinstance(event, RunStarted):
            with self.health.lock:
                self.health.run_id = event.run_id
            self.given_up.clear()
        if isinstance(event, PartitionDone) and event.status == FAILED:
            self.given_up.append(f"{event.outcome.partition}: {event.outcome.reason}")
        _log.info("%s", type(event).__name__, extra=_facts(event))


def operate(
    run: Run,
    *,
    schedule: Schedule | None,
    port: int | None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Run the pipeline once, or at each of a schedule's times, and serve its page meanwhile.

    Args:
        run: Runs it, tells its events, and returns its exit status.
        schedule: When; None for once, now.
        port: Of the page on this machine; None for none, 0 for any free one.
        pause: Waits so many seconds.

    Returns:
        The exit status of the one run; with a schedule or a page it goes on until Ctrl-C.

    Raises:
        TradingError: The one run failed, or a setting is wrong.
    """
    notifier = _notifier()
    watch = Watch(EtlMetrics(), Health())
    with ExitStack() as stack:
        if port is not None:
            app = application(watch.metrics, watch.health, lambda: _page(watch.health))
            address = f"http://{HOST}:{stack.enter_context(serving(app, port))}"
            print(f"page {address}/, figures {address}/metrics, {address}/health", file=sys.stderr)
        if schedule is not None:
            _announce(schedule, watch.health)
            repeat(schedule, lambda: _patiently(run, watch, notifier, schedule), wall_clock, pause)
        status = _once(run, watch, notifier)
        while port is not None:
            pause(60.0)
        return status


def _announce(schedule: Schedule, health: Health) -> None:
    with health.lock:
        health.coming = schedule.after(wall_clock())
        coming = health.coming
    print(f"next run {coming:%Y-%m-%d %H:%M} UTC ({schedule})", file=sys.stderr)


def _patiently(run: Run, watch: Watch, notifier: Notifier | None, schedule: Schedule) -> None:
    """Run; what went wrong was said, and the next time comes all the same."""
    try:
        _once(run, watch, notifier)
    except TradingError as error:
        print(redact(str(error)), file=sys.stderr)
    _announce(schedule, watch.health)


def _once(run: Run, watch: Watch, notifier: Notifier | None) -> int:
    """Run once, and tell figures, health, log and people how it ended."""
    try:
        status = run(watch.see)
    except TradingError as error:
        _end(watch, "failed", redact(str(error)))
        _notify(notifier, "The pipeline failed", redact(str(error)), Level.FAILURE)
        raise
    _end(watch, _STATUS[status], None)
    if watch.given_up:
        lines = watch.given_up[:_MOST_LINES]
        lines += [f"... and {len(watch.given_up) - len(lines)} more"] * (
            len(watch.given_up) > len(lines)
        )
        title = f"The pipeline gave up {len(watch.given_up)} partitions"
        _notify(notifier, title, "\n".join(lines), Level.WARNING)
    return status


def _end(watch: Watch, status: str, error: str | None) -> None:
    now = wall_clock()
    watch.metrics.end(status, now)
    with watch.health.lock:
        watch.health.last_status, watch.health.last_error = status, error
        watch.health.last_ended = now
        run_id = watch.health.run_id
    # What went wrong is a person's to read as one sentence, which the command says itself.
    _log.info("run %s", status, extra={"run_id": run_id, "error": error or ""})


def _notifier() -> Notifier | None:
    """Return who is told, or None.

    Raises:
        ConfigError: An address is malformed, or Apprise is not installed.
    """
    urls = load(NotifySettings).pipeline_notify_urls.get_secret_value().split()
    return Notifier(urls, "PIPELINE_NOTIFY_URLS") if urls else None


def _notify(notifier: Notifier | None, title: str, text: str, level: Level) -> None:
    if notifier is None:
        return
    try:
        notifier.send(title, text, level)
    except TradingError as error:
        _log.warning("nobody could be told: %s", error)


def _page(health: Health) -> str:
    with open_store() as store:
        status = PipelineStatus.of(store)
    return render(status, place=store_place(), made_at=wall_clock(), coming=health.coming)


def _facts(event: EtlEvent) -> dict[str, object]:
    """Return what a line of the log says beside the name of an event."""
    facts: dict[str, object] = {"run_id": event.run_id}
    if isinstance(event, StageDone):
        row = event.row
        return facts | {
            "partition": str(event.partition),
            "stage": row.stage,
            "status": row.status,
            "rows": row.rows_out,
            "seconds": round(row.seconds, 3),
        }
    if isinstance(event, PartitionDone):
        return facts | {
            "partition": str(event.outcome.partition),
            "status": event.status,
            "rows": event.outcome.rows,
            "reason": event.outcome.reason or "",
        }
    if isinstance(event, RunStarted | RunEnded | Waiting):
        names = [name for name in event.__slots__ if name != "run_id"]
        return facts | {name: getattr(event, name) for name in names}
    return facts | {"partitions": ", ".join(map(str, event.partitions))}
