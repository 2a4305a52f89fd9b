"""What is stored, as a command: a table on the screen, a heat map in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import cli
from app.data_status import Cell, DataStatus
from app.heat_map import render
from app.wiring import open_store, store_place
from models.errors import ConfigError
from utils.clock import wall_clock
from utils.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

_STYLES = {"complete": "green", "partial": "yellow"}


def show_status(tickers: Sequence[str], *, sessions: int, as_json: bool, html: Path | None) -> int:
    """Print coverage and write its heat map.

    Args:
        tickers: Underlyings; none means all.
        sessions: How many sessions the table shows, from the newest back.
        as_json: One JSON object instead of tables.
        html: Where the heat map goes; None means into the state folder.

    Returns:
        Exit status: 0 when everything stored is complete, 4 when something is missing.

    Raises:
        TradingError: Something that a person must know.
    """
    with open_store() as store:
        status = DataStatus.of(store, tickers)
    place = store_place()
    path = html or state_folder() / "data_status.html"
    _write(path, render(status, place=place, made_at=wall_clock()))
    if as_json:
        print(json.dumps(status.as_object() | {"place": place, "html": str(path)}))
    else:
        _show(status, sessions, place=place, path=path)
    return cli.OK if status.complete else cli.PARTIAL


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _show(status: DataStatus, sessions: int, *, place: str, path: Path) -> None:
    console = Console()
    if not status.series:
        console.print("nothing is stored yet: python main.py --ticker QQQ --days 5")
    groups = dict.fromkeys((s.ticker, s.source, s.origin) for s in status.series)
    for ticker, source, origin in groups:
        series = {
            each.dataset: cells
            for each, cells in status.series.items()
            if (each.ticker, each.source, each.origin) == (ticker, source, origin)
        }
        console.print(_table(f"{ticker}, {source}, {origin}", series, sessions))
    console.print(f"data lies in {place}", soft_wrap=True)
    console.print(f"heat map in {path}", soft_wrap=True)


def _table(title: str, series: dict[str, list[Cell]], sessions: int) -> Table:
    """Return the newest sessions of a ticker: a row for each, a column for each dataset."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, header_style="dim"
    )
    table.add_column("session", no_wrap=True)
    for dataset in series:
        table.add_column(dataset)
    by_day: dict[date, dict[str, Cell]] = {}
    for dataset, cells in series.items():
        for cell in cells:
            by_day.setdefault(cell.session, {})[dataset] = cell
    days = sorted(by_day)
    for day in days[-sessions:]:
        table.add_row(f"{day:%a %Y-%m-%d}", *(_cell_text(by_day[day].get(d)) for d in series))
    if len(days) > sessions:
        table.caption = f"{len(days) - sessions} older sessions: --sessions {len(days)} shows them"
    return table


def _cell_text(cell: Cell | None) -> Text:
    if cell is None:
        return Text("")
    text = Text(cell.status, _STYLES.get(cell.status, "red"))
    if cell.rows:
        text.append(f" {cell.rows:,} rows", "default")
    if cell.missing:
        of = f" of {cell.expected:,}" if cell.expected else ""
        text.append(f", {cell.missing:,}{of} missing", "yellow")
    if found := sum(1 for count in (cell.checks or {}).values() if count):
        text.append(f", {found} {'rule' if found == 1 else 'rules'} broken", "dim")
    return text
