"""What is missing: the calendar says what there should be, coverage says what is stored.

A *slot* is what one row of coverage speaks of: the bars of one session (or of one week). A slot is
asked again until the source was asked past its end; an open session is asked up to the last
finished bar, and the next run extends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.tables import Frame
    from utils.market_calendar import Session

MINUTES = {"1m": 1, "5m": 5, "10m": 10, "15m": 15, "30m": 30}
"""Minutes of each intraday interval."""

INTERVALS = (*MINUTES, "1d", "1w")
"""Every interval that can be asked for."""

CHAIN_DATASET = "option_quotes"
"""Name that coverage gives to chain snapshots."""

MINUTES_DATASET = "option_quotes_1m"
"""Name that coverage gives to the quotes that end the minutes of a past session."""

AFTER_CLOSE = timedelta(minutes=15)
"""How long after its close a session's quotes may be stamped: index options and some funds trade on,
and the last minute ends after the bell."""

_SESSIONS_A_REQUEST = 10  # minute bars: Schwab serves ten days in one reply
_SLOTS_A_REQUEST = 250


def bars_dataset(interval: str) -> str:
    """Return the name that coverage gives to bars of this interval."""
    return f"equity_bars_{interval}"


@dataclass(frozen=True, slots=True)
class Slot:
    """The bars that one row of coverage speaks of.

    Attributes:
        session: The session, of a week its first one.
        interval: As in `INTERVALS`.
        start: First moment that is asked for, UTC: the pre-market's opening of intraday bars.
        settled: End of regular trading: from then on the slot counts as complete.
        end: Nothing comes after it, UTC: the post-market's close of intraday bars.
    """

    session: date
    interval: str
    start: datetime
    settled: datetime
    end: datetime

    @property
    def step(self) -> timedelta:
        """Distance between the starts of its bars, or a day where it holds one bar."""
        return timedelta(minutes=MINUTES.get(self.interval, 24 * 60))

    def until(self, now: datetime) -> datetime:
        """Return the end of the last bar that is finished at `now`; `start` where there is none."""
        if now >= self.end:
            return self.end
        if self.interval not in MINUTES or now <= self.start:
            return self.start
        return self.start + (now - self.start) // self.step * self.step

    def expected(self, now: datetime) -> pl.Series:
        """Return the starts of the regular bars that are finished at `now`, UTC."""
        until = self.until(now)
        if self.interval not in MINUTES:
            starts = [self.start] if until > self.start else []
            return pl.Series("ts", starts, pl.Datetime("us", "UTC"))
        step = MINUTES[self.interval]
        minutes = market_calendar.minutes(market_calendar.session(self.session))[::step]
        end = np.datetime64(until.replace(tzinfo=None), "ns")
        done = minutes[minutes + np.timedelta64(step, "m") <= end].astype("datetime64[us]")
        return pl.Series("ts", done).dt.replace_time_zone("UTC")


def slots(sessions: Sequence[Session], interval: str) -> list[Slot]:
    """Return what bars of these sessions consist of, oldest first.

    Args:
        sessions: Oldest first, each once.
        interval: As in `INTERVALS`; a week is whole, even where only one of its days is asked for.
    """
    if interval == "1w":
        mondays = {each.day - timedelta(days=each.day.weekday()) for each in sessions}
        return [_week(monday) for monday in sorted(mondays)]
    if interval == "1d":
        return [Slot(each.day, "1d", each.open, each.close, each.close) for each in sessions]
    return [_intraday(each, interval) for each in sessions]


def _intraday(session: Session, interval: str) -> Slot:
    # From midnight: some venues trade before the brokers' pre-market opens at 07:00.
    midnight = market_calendar.new_york(session.day, time())
    _, end = market_calendar.extended_hours(session)
    return Slot(session.day, interval, midnight, session.close, end)


def _week(monday: date) -> Slot:
    days = market_calendar.sessions(monday, monday + timedelta(days=6))
    return Slot(days[0].day, "1w", days[0].open, days[-1].close, days[-1].close)


def asked_until(coverage: Frame, dataset: str) -> dict[date, datetime]:
    """Return for each session the market time up to which its source was asked.

    Args:
        coverage: Rows of `COVERAGE` of one ticker, source and origin.
        dataset: As `bars_dataset` or `CHAIN_DATASET` name it.
    """
    rows = coverage.filter(
        (pl.col("dataset") == dataset)
        & pl.col("asked_at").is_not_null()
        # An answer without a sound row is asked again: the source may have it by now.
        & ~pl.col("status").is_in(["empty", "quarantined"])
    )
    return dict(rows.select("session", "asked_at").iter_rows())


def missing_slots(wanted: Iterable[Slot], coverage: Frame, now: datetime) -> list[Slot]:
    """Return the slots that have finished bars which the source was not asked for yet.

    Args:
        wanted: Slots of one interval.
        coverage: Rows of `COVERAGE` of one ticker, source and origin.
        now: Market time.
    """
    todo = []
    asked: dict[date, datetime] | None = None
    for slot in wanted:
        if asked is None:
            asked = asked_until(coverage, bars_dataset(slot.interval))
        until = slot.until(now)
        if until > slot.start and asked.get(slot.session, slot.start) < until:
            todo.append(slot)
    return todo


def requests(todo: Sequence[Slot]) -> list[list[Slot]]:
    """Group slots into requests, so that one reply is not too large.

    Slots that are far from each other are not joined: what lies between them is stored already.
    """
    groups: list[list[Slot]] = []
    for slot in todo:
        limit = _SESSIONS_A_REQUEST if slot.interval in MINUTES else _SLOTS_A_REQUEST
        near = groups and slot.session - groups[-1][-1].session <= timedelta(days=10)
        if near and len(groups[-1]) < limit:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return groups


@dataclass(frozen=True, slots=True)
class Window:
    """Expirations from `first` to `last` calendar days ahead, both included."""

    first: int = 0
    last: int = 45

    @property
    def scope(self) -> str:
        """As coverage spells it: 0-45."""
        return f"{self.first}-{self.last}"

    def within(self, scope: str | None) -> bool:
        """Return whether a scope of coverage includes this window."""
        if not scope:
            return False
        first, _, last = scope.partition("-")
        return int(first) <= self.first and self.last <= int(last)

    def spanning(self, scope: str | None) -> Window:
        """Return the smallest window that holds this one and a scope of coverage."""
        if not scope:
            return self
        first, _, last = scope.partition("-")
        return Window(min(self.first, int(first)), max(self.last, int(last)))


def snapshot_time(now: datetime) -> datetime:
    """Return the time that stamps a chain asked for at `now`: market time, cut to the second."""
    return now.replace(microsecond=0)


def chain_is_stored(coverage: Frame, session: Session, window: Window, now: datetime) -> bool:
    """Return whether the newest snapshot of a session leaves nothing to ask at `now`.

    That is so when it was taken at this very moment, or when the session was over by then: quotes
    do not move until the next one opens.

    Args:
        coverage: Rows of `COVERAGE` of one ticker, source and origin.
        session: The newest session that has opened at `now`.
        window: The expirations that are asked for.
        now: Market time.
    """
    rows = coverage.filter(
        (pl.col("dataset") == CHAIN_DATASET) & (pl.col("session") == session.day)
    )
    if rows.is_empty():
        return False
    row = rows.row(0, named=True)
    asked_at: datetime | None = row["asked_at"]
    if (
        asked_at is None
        or row["status"] in {"empty", "quarantined"}
        or not window.within(row["scope"])
    ):
        return False
    moment = snapshot_time(now)
    return asked_at == moment or (asked_at >= session.close and moment >= session.close)
