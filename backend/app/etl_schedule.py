"""When the pipeline runs by itself: at one time of the day, on days on which the market was open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from models.errors import ConfigError
from utils.market_calendar import is_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.clock import Clock

_MOST_DAYS = 14
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One time of the day.

    Attributes:
        at: Wall time in the zone.
        zone: Where.
    """

    at: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Return the schedule that a text names, as "18:30 America/New_York".

        Raises:
            ConfigError: It names none.
        """
        clock, _, zone = text.strip().partition(" ")
        try:
            at = datetime.strptime(clock, "%H:%M").time()  # noqa: DTZ007 - a time of day alone
            return cls(at, ZoneInfo(zone.strip() or "America/New_York"))
        except (ValueError, ZoneInfoNotFoundError, OSError):
            raise ConfigError(
                f"--schedule {text!r} is no time of a day: write it as '18:30 America/New_York'"
            ) from None

    def after(self, now: datetime) -> datetime:
        """Return the next time after `now` on a day with a session, UTC.

        A time that the clocks skip in spring is the one an hour later.
        """
        day = now.astimezone(self.zone).date()
        for ahead in range(_MOST_DAYS):
            date = day + timedelta(days=ahead)
            moment = datetime.combine(date, self.at, self.zone).astimezone(UTC)
            if moment > now and is_session(date):
                return moment
        raise ConfigError("the calendar knows no session within two weeks: update this program")

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.at:%H:%M} {self.zone.key}"


def repeat(
    schedule: Schedule, run: Callable[[], None], clock: Clock, pause: Callable[[float], None]
) -> NoReturn:
    """Run at each of a schedule's times, for ever; one that comes while a run goes on is left out.

    Args:
        schedule: When.
        run: Does it; its own errors are its own.
        clock: Wall time; looked at once a minute, so that a machine that slept is not late for long.
        pause: Waits so many seconds.
    """
    while True:
        due = schedule.after(clock())
        while (left := (due - clock()).total_seconds()) > 0:
            pause(min(left, _LONGEST_PAUSE_S))
        run()
