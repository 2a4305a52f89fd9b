"""At most so many requests in any window of time, shared by threads."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from models.errors import ConfigError


class Limiter(Protocol):
    """Lets requests through one after the other: `RateLimiter`, or one that programs share."""

    def acquire(self) -> float:
        """Wait for a turn and return the seconds waited."""
        ...

    def close_for(self, seconds: float) -> None:
        """Let nobody through for a while."""
        ...


class RateLimiter:
    """At most `limit` requests in any window of `period_s`, shared by threads.

    A window that slides, rather than a bucket that refills: a full bucket and its refill let
    nearly twice the limit through in the first window.

    Args:
        limit: Requests in a window, 1 or more.
        period_s: Length of a window, seconds.
        clock: Monotonic seconds.
        sleep: Waits.

    Raises:
        ConfigError: The limit is less than 1.
    """

    def __init__(
        self,
        limit: int,
        period_s: float = 60.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if limit < 1:
            message = f"a rate limit is at least 1 request, not {limit}"
            raise ConfigError(message)
        self._period = period_s
        self._clock = clock
        self._sleep = sleep
        self._starts: deque[float] = deque([float("-inf")] * limit, maxlen=limit)
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Wait for a turn.

        Returns:
            Seconds waited.
        """
        with self._lock:
            now = self._clock()
            turn = max(now, self._starts[0] + self._period, self._closed_until)
            self._starts.append(turn)
        if turn > now:
            self._sleep(turn - now)
        return turn - now

    def close_for(self, seconds: float) -> None:
        """Let nobody through for a while: the service said that its limit is reached."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)
