"""The heat map of what is stored: one HTML file without anything from outside.

Each series is drawn as a calendar, a column for each week and a row for each weekday, so that holes
and holidays are seen at once. The SVG is inline, colours follow the reader's light or dark theme.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from utils.market_calendar import NEW_YORK, is_session

if TYPE_CHECKING:
    from app.data_status import Cell, DataStatus

_PITCH = 17  # of a cell and the gap beside it, in pixels
_LEFT = 34  # room for the weekdays' names
_TOP = 20  # room for the months' names
_LEAST_WEEKS = 26
_MOST_WEEKS = 130
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")

LEGEND = (
    ("full", "complete"),
    ("most", "complete, under 5 % gaps"),
    ("some", "complete, more gaps"),
    ("partial", "partial so far"),
    ("bad", "all rows quarantined"),
    ("empty", "the source had nothing"),
    ("hole", "not stored"),
)
"""Style of a cell and what it means."""


@dataclass(frozen=True, slots=True)
class Square:
    """One day of a calendar.

    Attributes:
        x: Left edge, pixels.
        y: Top edge, pixels.
        style: As in `LEGEND`, or none for a session outside what is stored, off for a holiday.
        text: Tooltip.
    """

    x: int
    y: int
    style: str
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word beside a calendar, at its baseline."""

    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """A series as it is drawn.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        origin: Where the rows come from.
        figures: (number, what it counts), for the head.
        squares: Days.
        labels: Names of months and weekdays.
        width: Pixels.
        height: Pixels.
        cells: The stored sessions, newest first, for the table below.
    """

    ticker: str
    dataset: str
    origin: str
    figures: tuple[tuple[str, str], ...]
    squares: tuple[Square, ...]
    labels: tuple[Label, ...]
    width: int
    height: int
    cells: tuple[Cell, ...]


def style_of(cell: Cell) -> str:
    """Return the style of a stored session, as in `LEGEND`."""
    if cell.status == "complete":
        return "full" if not cell.missing else "most" if cell.share >= 0.95 else "some"
    return {"partial": "partial", "quarantined": "bad", "empty": "empty"}.get(cell.status, "hole")


def calendar(series: tuple[str, str, str, str], cells: list[Cell]) -> Calendar:
    """Lay one series out.

    Args:
        series: Ticker, dataset, source and origin.
        cells: Its sessions, oldest first.
    """
    ticker, dataset, source, origin = series
    last = cells[-1].session
    end = _monday(last)
    stored_weeks = (end - _monday(cells[0].session)).days // 7 + 1
    weeks = min(max(stored_weeks, _LEAST_WEEKS), _MOST_WEEKS)
    first = end - timedelta(weeks=weeks - 1)
    by_day = {cell.session: cell for cell in cells}
    days = [first + timedelta(weeks=w, days=d) for w in range(weeks) for d in range(5)]
    complete = sum(cell.whole for cell in cells)
    return Calendar(
        ticker=ticker,
        dataset=dataset,
        origin=f"{source}, {origin}",
        figures=(
            (f"{complete}/{len(cells)}", "sessions complete"),
            (f"{sum(cell.rows for cell in cells):,}", "rows"),
            (f"{sum(cell.missing for cell in cells):,}", "gaps"),
        ),
        squares=tuple(_square(day, first, by_day.get(day)) for day in days if day <= last),
        labels=(*_months(first, weeks), *_weekdays()),
        width=_LEFT + weeks * _PITCH,
        height=_TOP + 5 * _PITCH,
        cells=tuple(reversed(cells)),
    )


def _square(day: date, first: date, cell: Cell | None) -> Square:
    x = _LEFT + (day - first).days // 7 * _PITCH
    y = _TOP + day.weekday() * _PITCH
    name = f"{day:%a %Y-%m-%d}"
    if cell is None:
        return Square(x, y, *(("none", name) if is_session(day) else ("off", f"{name}: closed")))
    newest = f", newest {_new_york(cell.newest_at)}" if cell.newest_at else ""
    text = f"{name}: {cell.status}, {cell.rows:,} rows, {cell.missing:,} gaps{newest}"
    return Square(x, y, style_of(cell), text)


def _months(first: date, weeks: int) -> list[Label]:
    labels: list[Label] = []
    shown = 0
    for week in range(weeks):
        day = first + timedelta(weeks=week)
        starts = week == 0 or day.month != (day - timedelta(weeks=1)).month
        # A name needs the room of three weeks.
        if starts and (not labels or week - shown >= 3):
            text = f"{day:%b %Y}" if day.month == 1 or not labels else f"{day:%b}"
            labels.append(Label(_LEFT + week * _PITCH, _TOP - 8, text))
            shown = week + 1 if len(text) > 3 else week
    return labels


def _weekdays() -> list[Label]:
    return [Label(0, _TOP + n * _PITCH + 11, _WEEKDAYS[n]) for n in (0, 2, 4)]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _new_york(moment: datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%H:%M}"


def render(status: DataStatus, *, place: str, made_at: datetime) -> str:
    """Return the page.

    Args:
        status: What is stored.
        place: Where the data lies, without user or password.
        made_at: Wall time.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("heat_map.html").render(
        calendars=[calendar(series, cells) for series, cells in status.series.items()],
        complete=status.complete,
        legend=LEGEND,
        place=place,
        made_at=f"{made_at:%Y-%m-%d %H:%M} UTC",
        time_of=_new_york,
    )
