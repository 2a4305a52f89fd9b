"""What the quality rules found in a stored session, as a command: a table, a page, JSON beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app import cli
from app.findings_page import ODD, SessionFindings, render
from app.publish import publish
from app.wiring import open_store, store_place
from models.errors import ConfigError
from models.options import OptionChain
from models.tables import (
    COVERAGE,
    DIVIDENDS,
    EXPIRATION_FIGURES,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    QUALITY_FINDINGS,
    QUARANTINE,
    SESSION_FIGURES,
)
from pipeline.coverage import Part
from pipeline.dividends import dividends_after
from pipeline.load import is_snapshot
from pipeline.plan import CHAIN_DATASET, MINUTES_DATASET
from utils import market_calendar
from utils.paths import state_folder

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from clients.supabase_client import SupabaseClient
    from models.tables import Frame, Scalar

_STYLES = {"error": "red", "warning": "yellow", "info": "dim"}


def show_quality(
    ticker: str, session: date | None, *, again: bool, as_json: bool, html: Path | None
) -> int:
    """Print what the rules found in a session and write its page; judge it first if nobody has.

    Args:
        ticker: Underlying.
        session: Exchange day; None for the newest that has option quotes.
        again: Judge what is stored, whatever was found before.
        as_json: One JSON object instead of a table.
        html: Where the page goes; None means into the state folder.

    Returns:
        Exit status: 0 when no rule of severity error was broken, else 4.

    Raises:
        TradingError: Something that a person must know.
    """
    with open_store() as store:
        part = _part(store, ticker, session)
        if again or store.read(QUALITY_FINDINGS.name, _where(part)).is_empty():
            _judge(store, part)
        found = _read(store, part)
    place = store_place()
    path = html or state_folder() / f"quality_{ticker}_{part.session}.html"
    beside = path.with_suffix(".json")
    try:
        publish(path, render(found, place=place).encode())
        publish(beside, json.dumps(found.as_object(), indent=1).encode())
    except OSError as error:
        raise ConfigError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    if as_json:
        print(json.dumps(found.as_object() | {"place": place, "html": str(path)}))
    else:
        _show(found, path)
    return cli.PARTIAL if found.counted("error") else cli.OK


def _part(store: SupabaseClient, ticker: str, session: date | None) -> Part:
    """Return the session of option quotes that is asked for: of minutes, else of snapshots."""
    datasets = [MINUTES_DATASET, CHAIN_DATASET]
    covered = store.read(COVERAGE.name, {"ticker": ticker, "dataset": datasets})
    covered = covered.filter(pl.col("rows") > 0)
    if session is not None:
        covered = covered.filter(pl.col("session") == session)
    if covered.is_empty():
        when = f" of {session}" if session else ""
        raise ConfigError(
            f"no option quotes of {ticker}{when} are stored: python main.py --source polygon "
            f"--ticker {ticker} --start {session or 'DATE'} stores them"
        )
    # Of a session minutes tell more than snapshots.
    newest = covered.sort("session", pl.col("dataset") == MINUTES_DATASET)[-1].row(0, named=True)
    return Part(
        OPTION_QUOTES,
        ticker,
        newest["dataset"],
        newest["session"],
        newest["source"],
        newest["origin"],
    )


def _where(part: Part) -> dict[str, str | date]:
    return {
        "ticker": part.ticker,
        "dataset": part.dataset,
        "session": part.session,
        "source": part.source,
        "origin": part.origin,
    }


def _judge(store: SupabaseClient, part: Part) -> None:
    """Judge what is stored of a session, and store figures and findings.

    The quotes stay as they are, with the flags of the run that stored them: coverage vouches for them.
    """
    from pipeline.enrich import FIGURES  # noqa: PLC0415 - numba: 0.6 s
    from pipeline.session_enrich import enrich_session  # noqa: PLC0415 - as above
    from pipeline.session_job import read_surroundings, work_session  # noqa: PLC0415 - as above

    session = market_calendar.session(part.session)
    quotes = _quotes(store, part).drop(*FIGURES, "implied_volatility_status", "flags")
    stamp = {"underlying": part.ticker, "source": part.source, "origin": part.origin}
    contracts = store.read(OPTION_CONTRACTS.name, stamp)
    chain = OptionChain(part.ticker, session.close, 0.0, None, None, quotes, contracts)
    paid = dividends_after(store.read(DIVIDENDS.name, stamp), part.session)
    around = read_surroundings(store, part)
    worked = work_session(part, session, enrich_session(chain, quotes, paid), around)
    for table, rows in worked.tables.items():
        store.upsert(table, rows)


def _quotes(store: SupabaseClient, part: Part) -> Frame:
    """Return the stored quotes of a part: those of minutes alone, or the snapshots."""
    rows = store.read(OPTION_QUOTES.name, part.where)
    snapshots = part.dataset == CHAIN_DATASET
    return rows.filter(is_snapshot() if snapshots else ~is_snapshot())


def _read(store: SupabaseClient, part: Part) -> SessionFindings:
    """Return what is stored of a judged session."""
    keys: dict[str, Scalar] = {
        "underlying": part.ticker,
        "session": part.session,
        "source": part.source,
        "origin": part.origin,
    }
    figures = store.read(SESSION_FIGURES.name, keys)
    expirations = store.read(EXPIRATION_FIGURES.name, keys)
    flags = store.read(OPTION_QUOTES.name, part.where, ["ts", "flags"])
    quotes = pl.DataFrame(schema=dict.fromkeys(OPTION_QUOTES.column_names, pl.Null))
    if expirations.height:
        moment = _oddest(expirations, flags)
        quotes = store.read(OPTION_QUOTES.name, part.where | {"ts": moment})
    kept_out = store.read(
        QUARANTINE.name, {"table_name": OPTION_QUOTES.name, **_quarantined(part)}, ["rule"]
    )
    return SessionFindings(
        part.ticker,
        part.dataset,
        part.session,
        part.source,
        part.origin,
        store.read(QUALITY_FINDINGS.name, _where(part)),
        figures.row(0, named=True) if figures.height else {},
        expirations,
        quotes,
        (flags.height, flags.height - flags["flags"].null_count(), kept_out.height),
    )


def _oddest(expirations: Frame, flags: Frame) -> datetime:
    """Return the moment of the fits at which most quotes are odd, of equals the last."""
    odd = flags.filter(pl.col("flags").str.contains(ODD)).group_by("ts").len()
    moments = expirations.select("ts").unique().join(odd, on="ts", how="left")
    ordered = moments.sort(pl.col("len").fill_null(0), "ts")
    moment: datetime = ordered["ts"][-1]
    return moment


def _quarantined(part: Part) -> dict[str, str | date]:
    where = _where(part)
    del where["dataset"]
    return where


def _show(found: SessionFindings, path: Path) -> None:
    console = Console()
    accepted, flagged, kept_out = found.rows
    table = Table(
        title=f"{found.ticker} {found.session}, {found.dataset}, {found.source}, {found.origin}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        header_style="dim",
        caption=f"{accepted:,} rows stored, {flagged:,} of them flagged, {kept_out:,} kept out",
        caption_justify="left",
    )
    for name in ("rule", "severity", "times", "what is wrong"):
        table.add_column(name, justify="right" if name == "times" else "left")
    for each in found.broken:
        style = _STYLES[each["severity"]]
        table.add_row(
            each["rule"], f"[{style}]{each['severity']}[/]", f"{each['count']:,}", each["reason"]
        )
    console.print(table)
    silent = found.findings.filter(pl.col("count") == 0).height
    console.print(f"{silent} rules found nothing")
    console.print(f"page in {path}", soft_wrap=True)
