"""Bars of the generated world, complete ones and those that are forming."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.minutes import MINUTE, SessionMinutes, regular_minutes, session_minutes
from black_scholes.synthetic.schema import TIME
from simulator.world import BAR_SCHEMA
from utils.market_calendar import NEW_YORK, session_until

if TYPE_CHECKING:
    from datetime import date, datetime

    from black_scholes.synthetic.draws import Floats

_DAY = timedelta(days=1)


class Bar(NamedTuple):
    """One bar: prices in USD, volume in shares."""

    open: float
    high: float
    low: float
    close: float
    volume: int


@lru_cache(maxsize=65_536)
def daily_bar(seed: int, ticker: str, number: int) -> Bar:
    """Return the bar of a whole regular session."""
    bars = regular_minutes(seed, ticker, number)
    return Bar(
        float(bars.open[0]),
        float(bars.high.max()),
        float(bars.low.min()),
        float(bars.close[-1]),
        int(bars.volume.sum()),
    )


def bar_until(seed: int, ticker: str, number: int, now: datetime) -> Bar | None:
    """Return the bar of a regular session so far, or None before it opens."""
    hours = all_sessions()[number]
    if now >= hours.close:
        return daily_bar(seed, ticker, number)
    if now <= hours.open:
        return None
    minutes = session_minutes(seed, ticker, number)
    first, until = minutes.regular.start, minutes.position(now)
    whole = slice(first, int(until))
    rows = [Bar(*row) for row in zip(*(column[whole] for column in minutes.bars[:5]), strict=True)]
    forming = _forming(minutes, until)
    rows += [] if forming is None else [forming]
    return Bar(
        float(rows[0].open),
        float(max(row.high for row in rows)),
        float(min(row.low for row in rows)),
        float(rows[-1].close),
        int(sum(row.volume for row in rows)),
    )


def volume_until(minutes: SessionMinutes, position: float) -> int:
    """Return the shares traded until a position, extended hours included."""
    whole = int(minutes.bars.volume[: int(position)].sum())
    forming = _forming(minutes, position)
    return whole + (0 if forming is None else forming.volume)


def daily_frame(seed: int, ticker: str, first: date, end: datetime) -> pl.DataFrame:
    """Return the daily bars of sessions from `first` on, as they stand at `end`, with `day`."""
    days: list[date] = []
    starts: list[datetime] = []
    rows: list[Bar] = []
    for number in session_range(first, end.astimezone(NEW_YORK).date()):
        bar = bar_until(seed, ticker, number, end)
        if bar is not None:
            days.append(all_sessions()[number].day)
            starts.append(all_sessions()[number].open)
            rows.append(bar)
    return pl.DataFrame(
        {
            "day": pl.Series(days, dtype=pl.Date),
            "ts": pl.Series(starts, dtype=TIME),
            **dict(zip(Bar._fields, zip(*rows, strict=True) if rows else [[]] * 5, strict=True)),
        },
        schema={"day": pl.Date(), **BAR_SCHEMA},
    )


def minute_frame(seed: int, ticker: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the minute bars that start in [start, end), as they stand at `end`."""
    first, last = (each.astimezone(NEW_YORK).date() for each in (start, end))
    frames = [pl.DataFrame(schema=BAR_SCHEMA)]
    for number in session_range(first, last):
        minutes = session_minutes(seed, ticker, number)
        if minutes.start < end and minutes.end > start:
            frames.append(_session_frame(minutes, start, end))
    return pl.concat(frames)


def session_range(first: date, last: date) -> range:
    """Return the numbers of the sessions in [first, last], as far as the calendar goes."""
    known = all_sessions()
    if last < known[0].day or first > known[-1].day:
        return range(0)
    start = session_numbers()[session_until(max(first, known[0].day)).day]
    if known[start].day < first:
        start += 1
    return range(start, session_numbers()[session_until(min(last, known[-1].day)).day] + 1)


def _session_frame(minutes: SessionMinutes, start: datetime, end: datetime) -> pl.DataFrame:
    position = minutes.position(end)
    begin = max(-(-(start - minutes.start) // MINUTE), 0)
    rows = np.flatnonzero(minutes.bars.traded[: int(position)])
    rows = rows[rows >= begin]
    columns = {
        name: np.asarray(minutes.bars[place])[rows] for place, name in enumerate(Bar._fields)
    }
    forming = _forming(minutes, position)
    if forming is not None and int(position) >= begin:
        rows = np.append(rows, int(position))
        columns = {name: np.append(columns[name], getattr(forming, name)) for name in columns}
    starts = pl.Series("ts", np.full(len(rows), minutes.start.timestamp()) + rows * 60)
    stamps = (starts * 1_000_000).cast(pl.Int64).cast(TIME)
    return pl.DataFrame({"ts": stamps, **columns}, schema=BAR_SCHEMA)


def _forming(minutes: SessionMinutes, position: float) -> Bar | None:
    """Return the bar of the minute that a position lies in, or None where it has none yet."""
    minute, bars = int(position), minutes.bars
    part = position - minute
    if part <= 0 or minute >= len(bars.close) or not bars.traded[minute]:
        return None
    visited = np.array([each for each in (1 / 3, 2 / 3) if each < part] + [part])
    prices: Floats = np.append(bars.open[minute], minutes.prices(minute + visited))
    return Bar(
        float(prices[0]),
        float(prices.max()),
        float(prices.min()),
        float(prices[-1]),
        int(bars.volume[minute] * part),
    )
