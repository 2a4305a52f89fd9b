"""Filling gaps: what the calendar has between the first and the last session that is stored."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from app import cli
from app.etl_command import Asked, Desk, opened_desk, run_pipeline
from app.executors import local_workers
from app.report import plain_table
from models.tables import COVERAGE, LEDGER_STAGES
from pipeline.cost import Cost, costs, seconds_a_partition
from pipeline.datasets import DATASETS, dataset
from pipeline.partition import Partition
from pipeline.plan import Window
from pipeline.planner import settled_at
from polygon_integration.config import PROVIDER as POLYGON
from polygon_integration.config import PolygonSettings
from schwab_integration.config import PROVIDER as SCHWAB
from schwab_integration.config import SchwabSettings
from utils import market_calendar
from utils.settings import load

if TYPE_CHECKING:
    from datetime import date, datetime

    from models.tables import Frame

_NOTHING = "nothing is stored yet: python etl_pipeline.py begins"


def run_backfill(asked: Asked, *, as_json: bool, dry_run: bool) -> int:
    """Fill the gaps of what is stored, or say what that would cost; return the exit status.

    Args:
        asked: Tickers and datasets narrow what is stored, where given; days do too.
        as_json: One JSON object instead of tables.
        dry_run: Whether to show the plan alone.

    Raises:
        TradingError: Something that a person must know.
    """
    with opened_desk(asked) as (desk, _):
        where = {"origin": desk.service.origin}
        coverage = desk.store.read(COVERAGE.name, where)
        wanted = stored_range(asked, coverage, desk.service.now)
        if not wanted:
            print(json.dumps({"status": "complete", "wanted": 0}) if as_json else _NOTHING)
            return cli.OK
        own = _narrowed(asked, wanted, coverage)
        if dry_run:
            _show_plan(replace(desk, asked=own), as_json=as_json)
            return cli.OK
    return run_pipeline(own, as_json=as_json)


def stored_range(asked: Asked, coverage: Frame, now: datetime) -> tuple[Partition, ...]:
    """Return every partition between the first and the last session of each stored series.

    Args:
        asked: Tickers, datasets and days that narrow it; without any, all that is stored.
        coverage: Rows of `COVERAGE` of one origin.
        now: Market time.
    """
    days: dict[tuple[str, str], list[date]] = defaultdict(list)
    for name, ticker, day in coverage.select("dataset", "ticker", "session").iter_rows():
        what = DATASETS.get(name)
        if what is None or not what.is_past:  # a chain of the past is not to be had
            continue
        if (name in asked.datasets) and (not asked.tickers or ticker in asked.tickers):
            days[name, ticker].append(day)
    found = []
    for (name, ticker), stored in sorted(days.items()):
        first, last = asked.start or min(stored), asked.end or max(stored)
        if first > last:
            continue
        found += [
            Partition(name, ticker, each.day)
            for each in market_calendar.sessions(first, last)
            if settled_at(dataset(name), each.day) <= now
        ]
    return tuple(found)


def _narrowed(asked: Asked, wanted: tuple[Partition, ...], coverage: Frame) -> Asked:
    """Return what is asked for: the wanted partitions, with the options that are stored of them."""
    scopes = coverage.filter(pl.col("dataset").is_in([each.dataset for each in wanted]))["scope"]
    common = scopes.drop_nulls().mode().sort().to_list()
    first, last = (int(part) for part in common[0].split("-")) if common else asked.window
    return replace(
        asked,
        wanted=wanted,
        window=(first, last),
        tickers=tuple(dict.fromkeys(each.ticker for each in wanted)),
        datasets=tuple(dict.fromkeys(each.dataset for each in wanted)),
    )


def _show_plan(desk: Desk, *, as_json: bool) -> None:
    todo = desk.plan().todo
    limits = {
        SCHWAB: load(SchwabSettings).requests_per_minute,
        POLYGON: load(PolygonSettings).requests_per_minute,
    }
    if desk.is_simulated:
        limits[POLYGON] = 100_000
    known = desk.store.read(LEDGER_STAGES.name, {"status": "done", "origin": desk.service.origin})
    found = costs(
        todo,
        sources=desk.service.sources,
        per_minute=limits,
        window=Window(*desk.asked.window),
        known=seconds_a_partition(known),
        workers=local_workers(desk.asked.executor) or 1,
    )
    if as_json:
        days = [asdict(each) | {"session": each.session.isoformat()} for each in todo]
        print(json.dumps({"todo": days, "costs": [asdict(each) for each in found]}))
        return
    _print_costs(found, desk)


def _print_costs(found: list[Cost], desk: Desk) -> None:
    console = Console()
    if not found:
        console.print("nothing to do: there is no gap in what is stored")
        return
    table = plain_table("To be done")
    for name in ("ticker", "dataset"):
        table.add_column(name, no_wrap=True)
    for name in ("sessions", "calls", "minutes"):
        table.add_column(name, justify="right")
    for each in found:
        asked = ", ".join(f"{source} {count:,}" for source, count in each.calls.items())
        table.add_row(each.ticker, each.dataset, str(each.partitions), asked, f"{each.minutes:.1f}")
    console.print(table)
    total = sum(each.minutes for each in found)
    calls = sum(sum(each.calls.values()) for each in found)
    console.print(
        f"about {calls:,} calls and {total:.1f} minutes; nothing was asked ({desk.service.described})"
    )
