"""The 0DTE download as a command: where from, what of it is there already, files, a table."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app import cli
from app.polygon_place import Simulated, open_polygon
from app.publish import size_of
from app.study_lake import put_in_lake
from app.wiring import closed_days, open_store, store_place
from app.zero_dte_folder import DATASETS, StudyFolder
from app.zero_dte_study import download_study, expiring, newest_day
from clients.lake import Lake
from models.errors import ConfigError
from models.tables import (
    EQUITY_BARS,
    OPTION_BARS,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    OPTION_TRADES,
    frame_schema,
)
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from app.polygon_place import PolygonPlace
    from app.zero_dte_folder import Study
    from app.zero_dte_study import Whole
    from clients.supabase_client import SupabaseClient
    from models.tables import Frame

_REQUESTS = 3
"""A contract: bars, trades, quotes."""

_SLOW_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        ticker: Underlying.
        day: The session; None for the newest one with expirations.
        out: Folder; None names it after ticker and day.
        store: Whether the rows go to the database too.
        lake: Folder or s3:// address of a lake that the rows go to as well; empty means that of the
            settings, None means none.
        follow: Whether to go on with the stream.
        seconds: How long to follow; None until the close, or Ctrl-C.
        clock: Market time of a simulator of our own.
        seed: Of its world.
    """

    ticker: str
    day: date | None
    out: Path | None
    store: bool
    lake: str | None
    follow: bool
    seconds: float | None
    clock: datetime | None
    seed: int | None

    @property
    def kept_elsewhere(self) -> bool:
        """Whether the rows go anywhere but to the folder."""
        return self.store or self.lake is not None


def run_zero_dte(asked: Asked) -> int:
    """Download a study, and follow its session if asked to; return the exit status.

    Raises:
        TradingError: Something that a person must know.
        OSError: A file cannot be written.
    """
    closed = closed_days(asked.day, asked.day)
    if closed:
        print(closed)
        return cli.OK
    simulated = Simulated(asked.ticker, asked.day, asked.clock, asked.seed, asked.follow)
    with open_polygon(simulated) as place:
        if place.note:
            print(place.note, file=sys.stderr)
        day, contracts = _wanted(place, asked)
        if contracts.is_empty():
            print(f"no option of {asked.ticker} expires on {day}: nothing to download")
            return cli.PARTIAL
        name = f"0dte_{asked.ticker.lower().replace('.', '_')}_{day}"
        folder = StudyFolder((asked.out or Path(name)).expanduser())
        known = folder.make(asked.ticker, day, place.origin)
        if asked.follow:
            from app.zero_dte_follow import follow  # noqa: PLC0415 - the other half

            return follow(place, asked, day, contracts, folder)
        if known and not asked.kept_elsewhere and _is_whole(folder, known, place.clock()):
            folder.finish(known)
            show(folder, known, place, "kept: there is nothing new")
            return cli.PARTIAL if known.open_interest else cli.OK
        return _download(place, asked, day, contracts, folder)


def _is_whole(folder: StudyFolder, known: Study, now: datetime) -> bool:
    """Return whether there is nothing to ask: the session is over, or no time has passed."""
    still = known.asked_at == now.replace(microsecond=0).isoformat()
    there = all(folder.file(dataset).exists() for dataset in DATASETS)
    return (known.settled or still) and there and not known.missing


def _wanted(place: PolygonPlace, asked: Asked) -> tuple[date, Frame]:
    now = place.clock()
    if asked.day is None and not asked.follow:
        return newest_day(place, asked.ticker)
    day = asked.day or market_calendar.last_session(now).day
    if market_calendar.session(day).open > now:
        raise ConfigError(f"the session of {day} has not opened yet (it is {_new_york(now)})")
    return day, expiring(place, asked.ticker, day)


def _download(
    place: PolygonPlace, asked: Asked, day: date, contracts: Frame, folder: StudyFolder
) -> int:
    started = time.monotonic()
    warn_of_limit(place, contracts.height)
    with shown_progress() as progress:
        whole = download_study(
            place, asked.ticker, day, contracts, folder=folder, progress=progress
        )
    study = write(folder, whole, asked.ticker, place.origin)
    if not study.missing:  # then REST has all that a stream told before
        folder.drop_live([path for path, _ in folder.live()])
    told = list(kept_elsewhere(asked, place, whole, made_from="rest"))
    show(folder, study, place, f"took {time.monotonic() - started:.1f} s")
    print(*told, sep="\n", end="\n" if told else "")
    return cli.PARTIAL if study.missing or study.open_interest else cli.OK


def write(folder: StudyFolder, whole: Whole, ticker: str, origin: str) -> Study:
    """Publish all files of a study, one by one, and say last what they are.

    Raises:
        OSError: The disk is full, or the like; what was there before stays.
    """
    folder.put("contracts", whole.contracts)
    folder.put("underlying", whole.underlying)
    for dataset in ("bars", "trades", "quotes"):
        if dataset in whole.frames:
            folder.put(dataset, whole.frames[dataset])
        else:
            folder.drop(dataset)
    study = whole.study(ticker, origin)
    folder.finish(study)
    return study


def kept_elsewhere(
    asked: Asked, place: PolygonPlace, whole: Whole, *, made_from: str
) -> Iterator[str]:
    """Put a study into the database and the lake, as asked; yield what to say of it.

    Args:
        asked: The call.
        place: Where the study comes from.
        whole: The study.
        made_from: rest, or stream where some of it came so.

    Raises:
        StoreError: The database or the lake fails.
    """
    if asked.store:
        store_whole(whole)
        yield f"stored in {store_place()}"
    if asked.lake is not None:
        lake = Lake.open(asked.lake or None)
        yield f"stored in the lake at {lake.place.shown}"
        yield from put_in_lake(lake, asked.ticker, place.origin, whole, made_from=made_from)


def store_whole(whole: Whole) -> None:
    """Put a study into the database, by key: what a wider download stored of it is not narrowed.

    Quotes that the database has are left alone: their figures may come from the whole chain.

    Raises:
        StoreError: The database fails.
    """
    names = list(frame_schema(OPTION_CONTRACTS))
    with open_store() as store:
        store.upsert(OPTION_CONTRACTS.name, whole.contracts.select(names))
        store.upsert(EQUITY_BARS.name, whole.underlying)
        for dataset, table in (("bars", OPTION_BARS), ("trades", OPTION_TRADES)):
            if dataset in whole.frames:
                store.upsert(table.name, whole.frames[dataset])
        if "quotes" in whole.frames:
            store.upsert(OPTION_QUOTES.name, _new_quotes(store, whole.frames["quotes"]))


def _new_quotes(store: SupabaseClient, quotes: Frame) -> Frame:
    if quotes.is_empty():
        return quotes
    key = list(OPTION_QUOTES.key)
    first = quotes.row(0, named=True)
    where = {name: first[name] for name in ("underlying", "session", "source", "origin")}
    stored = store.read(OPTION_QUOTES.name, where, [*key, "open_interest", "volume", "quote_at"])
    return quotes.join(stored, on=key, how="anti")


def warn_of_limit(place: PolygonPlace, contracts: int) -> None:
    """Say how long it takes where the plan allows few requests a minute."""
    minutes = _REQUESTS * contracts / place.settings.requests_per_minute
    if minutes > _SLOW_MINUTES:
        print(
            f"{_REQUESTS * contracts:,} requests at {place.settings.requests_per_minute} a minute "
            f"take {minutes:,.0f} minutes: set POLYGON_REQUESTS_PER_MINUTE to what your plan "
            "allows; Ctrl-C keeps what has come",
            file=sys.stderr,
        )


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on a terminal, and nothing in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown as progress:
        task = progress.add_task("contracts", total=None)

        def tell(dataset: str, done: int, count: int) -> None:
            progress.update(task, description=dataset, completed=done, total=count)

        yield tell


def show(folder: StudyFolder, study: Study, place: PolygonPlace, last: str) -> None:
    """Print what the folder holds."""
    table = Table(
        title=f"{study.ticker}, expiring {study.day}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        header_style="dim",
        padding=0,
    )
    table.add_column("file", no_wrap=True)
    for name in ("rows", "contracts", "first", "last", "priced", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for dataset in DATASETS:
        if folder.file(dataset).exists():
            table.add_row(*_line(folder, dataset))
    console = Console()
    console.print(table)
    grid = Table.grid(padding=(0, 2))
    for name, value in _facts(folder, study, place, last):
        grid.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
    console.print(grid)


def _line(folder: StudyFolder, dataset: str) -> tuple[str, ...]:
    path = folder.file(dataset)
    rows = pl.read_parquet(path)
    first = last = contracts = priced = ""
    if "ts" in rows.columns and rows.height:
        first, last = (f"{_at(rows['ts'].min()):%H:%M}", f"{_at(rows['ts'].max()):%H:%M}")
    if "occ_symbol" in rows.columns:
        contracts = f"{rows['occ_symbol'].n_unique():,}"
    if "implied_volatility" in rows.columns and rows.height:
        priced = f"{rows['implied_volatility'].count() / rows.height:.0%}"
    return path.name, f"{rows.height:,}", contracts, first, last, priced, size_of(path)


def _facts(
    folder: StudyFolder, study: Study, place: PolygonPlace, last: str
) -> Iterator[tuple[str, str]]:
    contracts = pl.read_parquet(folder.file("contracts"), columns=["open_interest"])
    known = contracts["open_interest"].count()
    reason = f" ({study.open_interest})" if study.open_interest else ""
    yield "open interest", f"{known:,} of {contracts.height:,} contracts{reason}"
    for dataset, why in study.missing.items():
        yield f"no {dataset}", why
    yield "source", f"{study.source}, origin {study.origin} ({place.described})"
    asked_at = datetime.fromisoformat(study.asked_at).astimezone(NEW_YORK)
    state = "the session is over"
    if asked_at < market_calendar.session(asked_at.date()).close and not study.settled:
        state = "the session goes on: run it again after it"
    elif not study.settled:
        state = "the session has just ended: what comes late is not in it"
    yield "market time", f"{asked_at:%Y-%m-%d %H:%M} New York, {state}"
    yield "folder", f"{folder.path} ({last})"


def _at(moment: object) -> datetime:
    return moment.astimezone(NEW_YORK)  # type: ignore[attr-defined, no-any-return]


def _new_york(moment: datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
