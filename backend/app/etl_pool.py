"""The workers of a run, behind one seam: processes of this machine, or a Dask cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.etl_worker import Place, run_order
from app.executors import (
    dask_executor,
    end_children,
    interrupts_wait,
    local_workers,
    process_pool,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future, ProcessPoolExecutor

    from pipeline.outcome import Outcome
    from pipeline.work import Order

_AHEAD = 1
"""Orders that wait beside those under way, so that no worker idles while the ledger is asked."""


class LocalWorkers:
    """Processes of this machine; implements `pipeline.runner.Workers`.

    Args:
        place: Where they find everything.
        count: How many.
    """

    def __init__(self, place: Place, count: int) -> None:
        self._place, self._count = place, count
        self._pool: ProcessPoolExecutor = process_pool(count)

    @property
    def width(self) -> int:
        """Orders under way at a time."""
        return self._count + _AHEAD

    def submit(self, order: Order) -> Future[list[Outcome]]:
        """Begin an order."""
        with interrupts_wait():
            return self._pool.submit(run_order, self._place, order)

    def renew(self) -> None:
        """Start new processes: the pool ends itself when one of them dies."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = process_pool(self._count)

    def close(self, *, at_once: bool) -> None:
        """End the processes; at once, or when they have nothing left to do."""
        if at_once:
            end_children()
        self._pool.shutdown(wait=not at_once, cancel_futures=True)


class ClusterWorkers:
    """Workers of a Dask cluster; implements `pipeline.runner.Workers`.

    Args:
        place: Where they find everything.
        executor: Of the cluster.
        threads: Tasks that its workers take at a time.
    """

    def __init__(self, place: Place, executor: Executor, threads: int) -> None:
        self._place, self._executor, self._threads = place, executor, threads

    @property
    def width(self) -> int:
        """Orders under way at a time."""
        return max(self._threads, 1) + _AHEAD

    def submit(self, order: Order) -> Future[list[Outcome]]:
        """Begin an order."""
        return self._executor.submit(run_order, self._place, order)

    def renew(self) -> None:
        """Do nothing: the cluster starts its own workers anew."""


@contextmanager
def opened_workers(
    named: str, place: Place, orders: int
) -> Iterator[LocalWorkers | ClusterWorkers]:
    """Open the workers of a name.

    Args:
        named: local, local:N, or dask://HOST:PORT.
        place: Where they find everything.
        orders: How many there can be at most: no more processes are started.

    Raises:
        ConfigError: The name is none of these, or no scheduler answers.
    """
    count = local_workers(named)
    if count is None:
        with dask_executor(named.removeprefix("dask://")) as (executor, threads):
            yield ClusterWorkers(place, executor, threads)
        return
    workers = LocalWorkers(place, max(1, min(count, orders)))
    try:
        yield workers
    except BaseException:
        workers.close(at_once=True)
        raise
    workers.close(at_once=False)
