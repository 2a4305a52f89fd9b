"""What ends the process: SIGTERM, SIGINT, or the end of its parent."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARENT_POLL_S = 0.5


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """While the block runs, let SIGTERM and SIGINT set the event that it gets."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def end_of(pid: int) -> None:
    """Wait until a process is gone; a dead one that nobody has buried counts as gone."""
    if not hasattr(os, "pidfd_open"):
        while _is_alive(pid):  # noqa: ASYNC110 - nothing tells us but asking
            await asyncio.sleep(_PARENT_POLL_S)
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
