"""What the Polygon plan allows, as a command: a table, or one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app import cli
from app.polygon_place import Simulated, open_polygon
from models.errors import NotFound
from polygon_integration.client import PolygonClient
from polygon_integration.plan import (
    Calls,
    Verdict,
    ask_flat_files,
    ask_rest,
    ask_stream,
    told_limit,
)
from polygon_integration.s3_bulk_downloader import FlatFiles
from utils.http import Patience
from utils.market_calendar import NEW_YORK
from utils.rate_limit import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.polygon_place import PolygonPlace
    from polygon_integration.plan import Finding

_COLOURS = {Verdict.IN_PLAN: "green", Verdict.NOT_IN_PLAN: "red"}
_UNKNOWN = frozenset({Verdict.THROTTLED, Verdict.UNREACHABLE})
_ALL_AT_ONCE = 100_000  # the service's own limit is what is looked for
_PATIENCE = Patience(attempts=1)


def check_plan(ticker: str, *, stream: bool, as_json: bool) -> int:
    """Ask for each kind of data once, and print what the plan allows.

    Args:
        ticker: An underlying with options.
        stream: Whether to try the channels of the stream too.
        as_json: One JSON object instead of a table.

    Returns:
        Exit status: 0 when everything was told, 4 when something could not be found out.

    Raises:
        TradingError: Something that a person must know.
    """
    with open_polygon(Simulated(ticker, None, None, None, moving=stream)) as place:
        if place.note and not as_json:
            print(place.note, file=sys.stderr)
        calls = Calls()
        found = list(_asked(place, ticker, calls, stream=stream))
        has_files = bool(place.settings.s3_access_key.get_secret_value())
        limit = told_limit(calls, place.settings.requests_per_minute)
        now = f"{place.clock().astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
        facts = {
            "requests": limit,
            "flat files": "" if has_files else "POLYGON_S3_ACCESS_KEY is not set: not asked",
            "stream": "" if stream else "not asked: add --stream (it takes the key's connection)",
            "source": f"{place.described}, origin {place.origin}",
            "market time": now,
        }
    if as_json:
        print(json.dumps({"findings": [asdict(each) for each in found], **facts}))
    else:
        _show(found, facts)
    return cli.PARTIAL if any(each.verdict in _UNKNOWN for each in found) else cli.OK


def _asked(place: PolygonPlace, ticker: str, calls: Calls, *, stream: bool) -> Iterator[Finding]:
    limiter = RateLimiter(_ALL_AT_ONCE)
    with PolygonClient(place.settings, limiter=limiter, patience=_PATIENCE) as client:
        yield from ask_rest(client, ticker, place.clock(), calls, wait=_wait)
    if place.settings.s3_access_key.get_secret_value():
        yield from ask_flat_files(FlatFiles(place.settings, place.clock), place.clock())
    if stream:
        yield from asyncio.run(ask_stream(place.settings, _contract(place, ticker)))


def _contract(place: PolygonPlace, ticker: str) -> str:
    """Return a contract that lives today.

    Raises:
        NotFound: There is none.
    """
    today = place.clock().astimezone(NEW_YORK).date()
    page = next(place.client.contracts(ticker, as_of=today, first=today))
    symbols = page.frame["occ_symbol"].to_list()
    if not symbols:
        raise NotFound(f"{ticker} has no options on {today}", provider="polygon")
    return str(symbols[0])


def _wait(seconds: float) -> None:
    print(
        f"the minute's requests are used up: going on in {seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(seconds)


def _show(found: list[Finding], facts: dict[str, str]) -> None:
    table = Table(box=SIMPLE_HEAD, header_style="dim", padding=(0, 1))
    for name in ("service", "data", "plan"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    before = ""
    for each in found:
        shown = each.service if each.service != before else ""
        colour = _COLOURS.get(each.verdict, "yellow")
        before = each.service
        table.add_row(shown, each.name, f"[{colour}]{each.verdict}[/]", each.sentence)
    console = Console()
    console.print(table)
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value:
            grid.add_row(f"[dim]{name}[/]", value)
    console.print(grid)
