"""Where work runs: processes of this machine, or the workers of a Dask cluster; the same functions."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DEFAULT_WORKERS = 4

_WATCH_S = 0.2
_LOCAL = re.compile(r"local(?::(\d{1,3}))?")


def local_workers(named: str) -> int | None:
    """Return how many processes of this machine a name asks for; None where it names a cluster.

    Args:
        named: local, local:N, or dask://HOST:PORT.

    Raises:
        ConfigError: It is none of them.
    """
    if found := _LOCAL.fullmatch(named):
        number = int(found[1]) if found[1] else min(os.cpu_count() or 1, MOST_DEFAULT_WORKERS)
        if number:
            return number
    elif named.startswith("dask://"):
        return None
    raise ConfigError(f"--executor {named}: give local, local:2 or dask://HOST:PORT")


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C back while the block runs: workers that it starts never get any.

    A worker inherits what is held back; otherwise one that is still importing would answer Ctrl-C
    with a trace before its initializer can say that it is not for it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool whose processes end with this one and leave Ctrl-C to it."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, context, initializer=end_with_parent, initargs=(os.getpid(),)
    )


def end_children() -> None:
    """End the processes of our pools: nobody waits for hours of work that nobody wants."""
    for child in multiprocessing.active_children():
        child.terminate()


@contextmanager
def opened_executor(named: str, workers: int) -> Iterator[Executor]:
    """Open the executor of a name.

    Args:
        named: local, local:N, or dask://HOST:PORT.
        workers: Processes of the local one.

    Raises:
        ConfigError: It is none of them, the extra is missing, or no scheduler answers.
    """
    if local_workers(named) is not None:
        with process_pool(workers) as pool:
            try:
                yield pool
            except BaseException:
                end_children()
                raise
        return
    with dask_executor(named.removeprefix("dask://")) as (executor, _):
        yield executor


@contextmanager
def dask_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """Open a cluster's executor; with it comes how many tasks its workers take at a time.

    Args:
        address: HOST:PORT of the scheduler.

    Raises:
        ConfigError: The extra is missing, or no scheduler answers.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        raise ConfigError("a cluster needs the extra: pip install -e '.[cluster]'") from None
    try:
        client = Client(  # type: ignore[no-untyped-call]
            f"tcp://{address}", timeout="10s"
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        threads = sum(client.nthreads().values())  # type: ignore[no-untyped-call]
        yield client.get_executor(retries=2), threads  # type: ignore[no-untyped-call]


def end_with_parent(parent: int) -> None:
    """Let a worker end when the command that started it is gone, and leave Ctrl-C to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
