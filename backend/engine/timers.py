"""The times at which a strategy wants to be called, in their order."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from ports.broker import NEVER


class Timer(NamedTuple):
    """A call that a strategy wants.

    Attributes:
        at_ns: When, market time.
        name: What it is told.
        step_ns: Distance of a regular one; 0 of one that comes once.
    """

    at_ns: int
    name: str
    step_ns: int = 0


class Timers:
    """Timers by time; of two at the same time the one that was set first is called first.

    Attributes:
        due_ns: When the next one is due; `NEVER` without any.
    """

    def __init__(self) -> None:
        """Begin without timers."""
        self.due_ns = NEVER
        self._waiting: list[tuple[int, int, Timer]] = []
        self._count = 0

    def put(self, timer: Timer) -> None:
        """Add a timer."""
        self._count += 1
        heapq.heappush(self._waiting, (timer.at_ns, self._count, timer))
        self.due_ns = self._waiting[0][0]

    def take(self) -> Timer:
        """Take the timer that is due next; a regular one is set again."""
        timer = heapq.heappop(self._waiting)[2]
        self.due_ns = self._waiting[0][0] if self._waiting else NEVER
        if timer.step_ns:
            self.put(timer._replace(at_ns=timer.at_ns + timer.step_ns))
        return timer
