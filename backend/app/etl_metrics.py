"""Figures of the pipeline for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipeline.etl_events import PartitionDone, RunEnded, RunStarted, StageDone, Waiting

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.etl_events import EtlEvent

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300)


class EtlMetrics:
    """Counts what a pipeline tells; a scrape may come in any thread."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.registry = CollectorRegistry()
        self._partitions = Counter(
            "etl_partitions",
            "Attempts at partitions that ended, by what came of them",
            ("dataset", "status"),
            registry=self.registry,
        )
        self._rows = Counter(
            "etl_rows_changed",
            "Rows that were new or differed",
            ("dataset",),
            registry=self.registry,
        )
        self._rejected = Counter(
            "etl_rows_quarantined", "Rows kept out", ("dataset",), registry=self.registry
        )
        self._stages = Histogram(
            "etl_stage_seconds",
            "How long a stage of a partition took",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._runs = Counter("etl_runs", "Runs that ended", ("status",), registry=self.registry)
        self._running = Gauge("etl_running", "Whether a run goes on", registry=self.registry)
        self._left = Gauge(
            "etl_partitions_lacking",
            "Partitions that the newest run left behind, by why",
            ("why",),
            registry=self.registry,
        )
        self._waits = Counter(
            "etl_waiting_seconds", "Seconds in which nothing could be done", registry=self.registry
        )
        self._ended = Gauge(
            "etl_last_run_timestamp_seconds",
            "When the newest run of each status ended",
            ("status",),
            registry=self.registry,
        )

    def see(self, event: EtlEvent) -> None:
        """Count one event."""
        if isinstance(event, RunStarted):
            self._running.set(1)
        elif isinstance(event, StageDone):
            self._stages.labels(event.row.stage).observe(event.row.seconds)
        elif isinstance(event, PartitionDone):
            name = event.outcome.partition.dataset
            self._partitions.labels(name, event.status).inc()
            self._rows.labels(name).inc(event.outcome.changed)
            self._rejected.labels(name).inc(event.outcome.quarantined)
        elif isinstance(event, Waiting):
            self._waits.inc(event.seconds)
        elif isinstance(event, RunEnded):
            self._left.labels("failed").set(event.failed)
            self._left.labels("waiting").set(event.waiting)

    def end(self, status: str, at: datetime) -> None:
        """Count a run that is over: complete, partial or failed."""
        self._running.set(0)
        self._runs.labels(status).inc()
        self._ended.labels(status).set(at.timestamp())

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self.registry)
