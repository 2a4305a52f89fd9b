"""The market's clock: when the simulated market thinks it is.

OAuth lifetimes, rate limits and heartbeats do not use it: they stay on wall time.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from models.errors import ConfigError
from utils.clock import Clock, wall_clock
from utils.market_calendar import FIRST_DAY, LAST_DAY, NEW_YORK, last_session

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = "now"

_BEHIND: ContextVar[timedelta] = ContextVar("behind", default=timedelta())
"""How late the market's clock is for the request that is being answered: a fault."""

EARLIEST = FIRST_DAY + timedelta(days=31)
"""First day of a simulation: some of what is asked looks back ten sessions."""

LATEST = LAST_DAY - timedelta(days=366)
"""Last day: market hours are told a year ahead."""


@dataclass(frozen=True, slots=True)
class MarketClock:
    """Market time = start + (wall time - wall time at start) * speed. Call it to read it.

    Attributes:
        start: Market time at the beginning, aware, in UTC.
        speed: Market seconds a wall second; 0 stands still.
        wall: The clock that drives it.
        wall_start: What `wall` showed at the beginning.
    """

    start: datetime
    speed: float
    wall: Clock
    wall_start: datetime

    def __call__(self) -> datetime:
        """Return the market's time, aware, in UTC."""
        return self.start + (self.wall() - self.wall_start) * self.speed


class MovableClock:
    """A market clock that can be moved on and run at another speed; it never goes back.

    Args:
        clock: How it runs until it is told otherwise.
        held: It stands until it is released.
    """

    def __init__(self, clock: MarketClock, *, held: bool = False) -> None:
        self._clock = clock
        self._speed = clock.speed
        self.held = False
        """Whether it stands until it is released."""
        if held:
            self.hold()

    def __call__(self) -> datetime:
        """Return the market's time, aware, in UTC; within `behind` an earlier one."""
        return self._clock() - _BEHIND.get()

    @property
    def speed(self) -> float:
        """Market seconds a wall second; of one that is held, once it is released."""
        return self._speed

    def hold(self) -> None:
        """Stand until `release`."""
        self.held = True
        self._clock = market_clock(self._clock(), 0.0, self._clock.wall)

    def release(self) -> None:
        """Go on, if it was held."""
        if self.held:
            self.held = False
            self._clock = market_clock(self._clock(), self._speed, self._clock.wall)

    def move(self, to: datetime | None = None, speed: float | None = None) -> None:
        """Go on from another time, at another speed, or both.

        Args:
            to: Market time, aware; None for the present one.
            speed: Market seconds a wall second, 0 or more; None for the present one.

        Raises:
            ConfigError: The time lies before the market's present, or the speed is no speed.
        """
        now = self._clock()
        if to is not None and to < now:
            raise ConfigError(f"The market's clock never goes back: it shows {now.isoformat()}.")
        kept = self._speed if speed is None else speed
        moved = market_clock(to or now, kept, self._clock.wall)
        self._clock = market_clock(moved.start, 0.0, moved.wall) if self.held else moved
        self._speed = kept


@contextmanager
def behind(by: timedelta) -> Iterator[None]:
    """Let movable clocks show an earlier time to whatever is called in the block, and to nobody else."""
    token = _BEHIND.set(by)
    try:
        yield
    finally:
        _BEHIND.reset(token)


def market_clock(start: datetime, speed: float = 1.0, wall: Clock = wall_clock) -> MarketClock:
    """Start a market clock now.

    Args:
        start: Market time to begin at, aware.
        speed: Market seconds a wall second, 0 or more.
        wall: The clock that drives it.

    Raises:
        ConfigError: The speed is negative or not a number.
    """
    if not (math.isfinite(speed) and speed >= 0):
        raise ConfigError(f"--speed must be 0 (frozen) or a positive number, not {speed}.")
    return MarketClock(start.astimezone(UTC), speed, wall, wall())


def parse_start(text: str, now: datetime) -> datetime:
    """Read the market time at which a simulation begins.

    Args:
        text: `now`, or an ISO time as 2015-12-24T09:30; without a zone it is New York's, and a
            date alone is that day's midnight.
        now: The wall's time, aware.

    Returns:
        Aware time in UTC. For `now`: the wall's time while a regular session is open, else the
        open of the last complete session, which is then replayed.

    Raises:
        ConfigError: The text is neither, or outside `EARLIEST` to `LATEST`.
    """
    if text.strip().lower() == NOW:
        return _present(now)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"--clock must be 'now' or a time as 2015-12-24T09:30 (New York), not {text!r}."
        ) from None
    if not EARLIEST <= moment.date() <= LATEST:
        raise ConfigError(f"--clock must lie between {EARLIEST} and {LATEST}, not {text!r}.")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=NEW_YORK)
    return moment.astimezone(UTC)


def _present(now: datetime) -> datetime:
    newest = last_session(now)
    if newest.open <= now < newest.close:
        return now.astimezone(UTC)
    return last_session(now, complete=True).open
