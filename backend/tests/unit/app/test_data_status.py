"""Coverage as a status, a table and a heat map."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from app.data_status import NOT_STORED, Cell, DataStatus, Series
from app.heat_map import calendar, render, style_of
from app.request import day, expirations, moment, ticker
from models.tables import COVERAGE, frame_schema
from utils.market_calendar import session, sessions

QQQ = Series("QQQ", "equity_bars_1m", "schwab", "simulator")


def coverage(*rows: dict[str, Any]) -> pl.DataFrame:
    base = {
        "ticker": "QQQ",
        "dataset": "equity_bars_1m",
        "session": date(2026, 11, 20),
        "status": "complete",
        "rows": 780,
        "missing": 0,
        "content_hash": "",
        "newest_at": session(date(2026, 11, 20)).close,
        "checked_at": datetime(2026, 11, 22, tzinfo=UTC),
        "source": "schwab",
        "origin": "simulator",
    }
    return pl.DataFrame([base | row for row in rows], schema=frame_schema(COVERAGE))


def test_nothing_stored_is_not_complete() -> None:
    status = DataStatus(coverage())
    assert not status.complete
    assert status.as_object() == {"status": "partial", "series": []}


def test_a_hole_between_two_sessions_is_seen() -> None:
    rows = coverage({"session": date(2026, 11, 17)}, {"session": date(2026, 11, 20)})
    status = DataStatus(rows)
    assert [cell.status for cell in status.series[QQQ]] == [
        "complete",
        NOT_STORED,
        NOT_STORED,
        "complete",
    ]
    assert not status.complete


def test_a_holiday_is_no_hole_and_a_chain_of_the_past_is_none_either() -> None:
    rows = coverage(
        {"session": date(2026, 11, 25)},
        {"session": date(2026, 11, 27)},
        {"session": date(2026, 11, 16), "dataset": "option_quotes"},
        {"session": date(2026, 11, 20), "dataset": "option_quotes"},
    )
    status = DataStatus(rows)
    assert status.complete
    assert [len(cells) for cells in status.series.values()] == [2, 2]


@pytest.mark.parametrize(
    ("status", "missing", "style"),
    [
        ("complete", 0, "full"),
        ("complete", 19, "most"),
        ("complete", 20, "some"),
        ("partial", 0, "partial"),
        ("quarantined", 0, "bad"),
        ("empty", 390, "empty"),
        (NOT_STORED, 0, "hole"),
    ],
)
def test_each_state_has_its_look(status: str, missing: int, style: str) -> None:
    cell = Cell(date(2026, 11, 20), status, 780, missing, 390)
    assert style_of(cell) == style


def test_origins_are_never_mixed() -> None:
    status = DataStatus(coverage({}, {"origin": "live", "rows": 1}))
    assert {series.origin: cells[0].rows for series, cells in status.series.items()} == {
        "live": 1,
        "simulator": 780,
    }


def test_the_calendar_places_each_session_by_week_and_weekday() -> None:
    days = sessions(date(2026, 1, 2), date(2026, 11, 20))
    cells = [Cell(each.day, "complete", 780) for each in days]
    drawn = calendar(QQQ, cells)
    full = [square for square in drawn.squares if square.style == "full"]
    assert len(full) == len(cells)
    assert len({(square.x, square.y) for square in drawn.squares}) == len(drawn.squares)
    fridays = {square.y for square in full if square.text.startswith("Fri")}
    assert len(fridays) == 1
    off = [square.text for square in drawn.squares if square.style == "off"]
    assert "Fri 2026-07-03: closed" in off


def test_the_page_needs_nothing_from_outside_and_escapes_what_it_shows() -> None:
    status = DataStatus(coverage({}, {"ticker": "<b>X</b>"}))
    page = render(status, place="<script>", made_at=datetime(2026, 11, 22, tzinfo=UTC))
    assert "<b>X</b>" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for outside in ("http://", "https://", "@import", "url("):
        assert outside not in page
    assert page.count("<title>") > 100


def test_the_object_is_json() -> None:
    found = json.loads(json.dumps(DataStatus(coverage({"missing": 3})).as_object()))
    assert found["series"][0]["sessions"][0]["missing"] == 3


def test_spellings_of_the_command_line() -> None:
    assert ticker(" $spx ") == "SPX"
    assert ticker("brk/b") == "BRK.B"
    assert day("2015-12-24") == date(2015, 12, 24)
    assert moment("2015-12-24T10:00") == datetime(2015, 12, 24, 15, tzinfo=UTC)
    assert moment("2015-12-24T10:00+00:00") == datetime(2015, 12, 24, 10, tzinfo=UTC)
    assert expirations("0-45") == (0, 45)
