"""What a person asks the main job for, and how the command line spells it.

Nothing heavy is imported here: `--help` needs this module.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from models.errors import ConfigError

MOST_SESSIONS = 2520
"""Ten years of them."""

DEFAULT_DAYS = 5
"""Sessions, where nothing is said."""

DEFAULT_EXPIRATIONS = (0, 45)
"""Of a chain snapshot, in days ahead."""

MOST_DAYS_AHEAD = 1500
"""Beyond the farthest expiration that is listed."""

MOST_MINUTES = 1440
"""A day of them."""

_TICKER = re.compile(r"\$?[A-Z]{1,6}([./][A-Z])?")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the main job.

    Attributes:
        tickers: Underlyings, as SPX or BRK.B, each once.
        days: Number of sessions; None where first and last day are given.
        start: First day; None counts sessions back.
        end: Last day; None means up to now.
        interval: As in `pipeline.plan.INTERVALS`.
        expirations: First and last expiration in calendar days ahead; None for no options.
        source: auto, schwab, polygon or simulator.
        history: Expirations of the minute quotes of past sessions, where the source knows them
            and first and last day are given; None for none.
        clock: Market time of a simulator of our own; None leaves it to the program.
        seed: Of the simulator's generated world; None for its default.
    """

    tickers: tuple[str, ...]
    days: int | None
    start: date | None
    end: date | None
    interval: str
    expirations: tuple[int, int] | None
    source: str
    clock: datetime | None
    seed: int | None
    history: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse days that contradict each other."""
        if self.start and self.days:
            raise ConfigError("--days and --start exclude each other: give one of them")
        if self.start and self.end and self.start > self.end:
            raise ConfigError(f"--start {self.start} is after --end {self.end}")


def ticker(text: str) -> str:
    """Read a ticker: `qqq` is QQQ, `$SPX` is SPX, `BRK/B` is BRK.B."""
    upper = text.strip().upper()
    if not _TICKER.fullmatch(upper):
        raise argparse.ArgumentTypeError(f"{text!r} is no ticker: give one as QQQ, SPX or BRK.B")
    return upper.removeprefix("$").replace("/", ".")


def days(text: str) -> int:
    """Read a number of sessions."""
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= MOST_SESSIONS:
        message = f"{text!r} sessions cannot be asked for: give 1 to {MOST_SESSIONS}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def day(text: str) -> date:
    """Read a day as 2015-12-24."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no day: give one as 2015-12-24"
        raise argparse.ArgumentTypeError(message) from None


def moment(text: str) -> datetime:
    """Read a time as 2015-12-24T10:00, New York's where no zone is given."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time: give one as 2015-12-24T10:00 (New York)"
        raise argparse.ArgumentTypeError(message) from None
    return read if read.tzinfo else read.replace(tzinfo=ZoneInfo("America/New_York"))


def expirations(text: str) -> tuple[int, int]:
    """Read a span of days ahead as 0-45."""
    found = re.fullmatch(r"(\d{1,4})-(\d{1,4})", text)
    first, last = (int(part) for part in found.groups()) if found else (1, 0)
    if not first <= last <= MOST_DAYS_AHEAD:
        message = f"{text!r} is no span of days ahead: give one as 0-45, at most {MOST_DAYS_AHEAD}"
        raise argparse.ArgumentTypeError(message)
    return first, last


def port(text: str) -> int:
    """Read a port; 0 takes any free one."""
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give one from 0 to 65535")
    return int(text)


def minutes(text: str) -> float:
    """Read a number of minutes, as 2 or 0.5."""
    try:
        read = float(text)
    except ValueError:
        read = -1.0
    if not 0 <= read <= MOST_MINUTES:
        message = f"{text!r} is no number of minutes: give 0 to {MOST_MINUTES}"
        raise argparse.ArgumentTypeError(message)
    return read
