"""The one clock: whoever needs 'now' is handed a `Clock`, the wall's or the market's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current time, aware, in UTC."""


def wall_clock() -> datetime:
    """Return the machine's time, aware, in UTC."""
    return datetime.now(UTC)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(moment: datetime) -> int:
    """Return a moment in ns since 1970, UTC, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def to_time(time_ns: int) -> datetime:
    """Return ns since 1970 as a moment, aware, in UTC, to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_ns // 1_000)
