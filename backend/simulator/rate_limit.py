"""Schwab's request limits: so many calls in any stretch of wall time, counted by a key."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 60.0


class RateLimit:
    """A sliding window a key.

    Attributes:
        limit: Calls in any `window_s` seconds; 0 means no limit.
        window_s: Length of the window.
    """

    def __init__(
        self, limit: int, monotonic: Callable[[], float], window_s: float = WINDOW_S
    ) -> None:
        self.limit = limit
        self.window_s = window_s
        self._monotonic = monotonic
        self._taken: dict[str, deque[float]] = {}

    def wait_for(self, key: str) -> float:
        """Count one call of this key.

        Returns:
            0 when it may go on; else the seconds until it might, and it is not counted.
        """
        if not self.limit:
            return 0.0
        now = self._monotonic()
        taken = self._taken.setdefault(key, deque())
        while taken and now - taken[0] >= self.window_s:
            taken.popleft()
        if len(taken) >= self.limit:
            return self.window_s - (now - taken[0])
        taken.append(now)
        return 0.0
