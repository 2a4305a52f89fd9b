"""Bars of one ticker into one file, without a database."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import cli
from app.publish import check_target, publish_rows, size_of
from app.wiring import closed_days, configured_source, open_source
from models.tables import EQUITY_BARS, frame_schema
from pipeline import plan
from pipeline.download import check_bars
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from app.request import Asked
    from app.wiring import Source
    from models.tables import Frame


@dataclass(frozen=True, slots=True)
class _Bars:
    """What came.

    Attributes:
        rows: Columns of `EQUITY_BARS`, by time.
        missing: Regular bars that the source did not send.
        rejected: Rows that broke a rule and were left out.
        empty: Sessions without a bar.
    """

    rows: Frame
    missing: int
    rejected: int
    empty: tuple[str, ...]


def run_standalone(asked: Asked, out: Path | None) -> int:
    """Download bars, write the file, and print what is in it; return the exit status.

    Args:
        asked: One ticker, days, interval, source.
        out: The file; None names it after ticker, interval and last session.

    Raises:
        TradingError: Something that a person must know.
        OSError: The file cannot be written.
    """
    started = time.monotonic()
    closed = closed_days(asked.start, asked.end)
    if closed:
        print(closed)
        return cli.OK
    if out:
        check_target(out)
    with open_source(asked) as source:
        if source.note:
            print(source.note, file=sys.stderr)
        found = _download(asked, source)
        (ticker,) = asked.tickers
        last = source.sessions[-1].day
        path = out or Path(f"{ticker.lower().replace('.', '_')}_{asked.interval}_{last}.parquet")
        check_target(path)
        if not found.rows.is_empty():
            publish_rows(path, found.rows)
        _show(found, source, path, time.monotonic() - started)
    return cli.PARTIAL if found.empty else cli.OK


def source_of(name: str) -> str:
    """Return the source that `auto` means here: Schwab, else Polygon, else the simulator."""
    return configured_source() if name == "auto" else name


def _download(asked: Asked, source: Source) -> _Bars:
    now = source.clock()
    (ticker,) = asked.tickers
    pieces, missing, rejected = [pl.DataFrame(schema=frame_schema(EQUITY_BARS))], 0, 0
    empty = []
    slots = [slot for slot in plan.slots(source.sessions, asked.interval) if slot.start < now]
    for group in plan.requests(slots):
        until = max(slot.until(now) for slot in group)
        if until <= group[0].start:
            continue
        reply = source.market.bars(ticker, group[0].start, until, asked.interval)
        for slot in group:
            checked = check_bars(ticker, slot, reply, now)
            pieces.append(checked.accepted)
            missing += checked.missing
            rejected += checked.rejected.height
            if checked.accepted.is_empty():
                empty.append(str(slot.session))
    rows = pl.concat(pieces, how="diagonal").sort("ts")
    return _Bars(rows, missing, rejected, tuple(empty))


def _show(found: _Bars, source: Source, path: Path, seconds: float) -> None:
    rows = found.rows
    first, last = rows["ts"].min(), rows["ts"].max()
    span = "" if first is None else f", {_new_york(first)} to {_new_york(last)} New York"
    lines = [
        ("file", f"{path} ({size_of(path)})" if rows.height else "none: there is not one bar"),
        ("rows", f"{rows.height:,}{span}"),
        ("sessions", f"{len(source.sessions)}"),
        ("gaps", f"{found.missing:,} regular bars that the source does not have"),
        (
            "source",
            f"{source.market.source}, origin {source.market.origin} ({source.described})",
        ),
        ("took", f"{seconds:.1f} s"),
    ]
    if found.rejected:
        lines.insert(3, ("left out", f"{found.rejected:,} bars that cannot be right"))
    if found.empty:
        lines.insert(3, ("without bars", ", ".join(found.empty)))
    grid = Table.grid(padding=(0, 2))
    for name, value in lines:
        grid.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
    Console().print(grid)


def _new_york(moment: object) -> str:
    return f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"  # type: ignore[attr-defined]
