"""A backtest as a command: over which stored sessions, and where its report is."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from app import cli
from app.backtest import BacktestTerms, run_backtest
from app.backtest_events import MINUTE_S, MOST_CONTRACTS, stored_market
from app.backtest_report import figures, write_report
from app.wiring import open_store
from models.errors import ConfigError, DataError
from utils.market_calendar import sessions
from utils.paths import state_folder

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from app.backtest import BacktestResult
    from app.backtest_events import StoredMarket
    from app.trading_command import TradingAsked
    from utils.market_calendar import Session


@dataclass(frozen=True, slots=True)
class BacktestAsked:
    """Which stored data a backtest runs on.

    Attributes:
        start: First day.
        end: Last day.
        spread: USD between bid and offer of an underlying, of which bars alone are stored.
        out: Folder of the report; None for one in the state folder.
    """

    start: date | None
    end: date | None
    spread: float
    out: Path | None


def run_backtest_command(asked: TradingAsked, wanted: BacktestAsked) -> int:
    """Run a strategy over stored sessions, and write its report; return the exit status.

    Args:
        asked: The call.
        wanted: Its days.

    Raises:
        TradingError: What a person must know.
    """
    strategy, parameters = asked.strategy_made()
    gate = asked.gate(MINUTE_S)
    sessions = _sessions(wanted)
    console = Console(stderr=asked.json)
    with open_store() as store:
        market = stored_market(store, strategy.needs(), sessions, wanted.spread)
        console.print(
            f"{len(market.sessions)} of {len(sessions)} sessions are stored ({market.source}, "
            f"{market.origin})"
        )
        terms = BacktestTerms(asked.paper.cash, asked.paper.rules, parameters)
        running = run_backtest(strategy, market, gate, terms)
        progress = track(
            running, "backtest", total=len(market.sessions), console=console, transient=True
        )
        result = [result for _, result in progress][-1]
    folder = wanted.out or _report_folder(result)
    page = write_report(folder, result, _assumptions(market))
    _show_backtest(result, page, console, as_json=asked.json)
    return cli.OK if len(market.sessions) == len(sessions) else cli.PARTIAL


def _sessions(wanted: BacktestAsked) -> list[Session]:
    if wanted.start is None:
        raise ConfigError("a backtest needs its days: add --start 2015-12-24 and perhaps --end")
    end = wanted.end or wanted.start
    if end < wanted.start:
        raise ConfigError(f"--start {wanted.start} is after --end {end}")
    try:
        found = sessions(wanted.start, end)
    except DataError as error:
        raise ConfigError(str(error)) from None
    if not found:
        raise ConfigError(
            f"the exchange was closed from {wanted.start} to {end}: no session to test"
        )
    return found


def _report_folder(result: BacktestResult) -> Path:
    names, days = result.engine.names, result.market.sessions
    name = f"{names.strategy}-{result.ticker}-{days[0].day}-{days[-1].day}"
    return state_folder("backtests", name)


def _assumptions(market: StoredMarket) -> list[str]:
    return [
        f"Of the underlying bars are stored: its quotes lie {market.spread:g} USD wide around closes.",
        "Quotes are those of minutes: limits on their age count minutes as seconds.",
        f"The {MOST_CONTRACTS} contracts nearest to the money at the opening are replayed.",
    ]


def _show_backtest(result: BacktestResult, page: Path, console: Console, *, as_json: bool) -> None:
    found = figures(result)
    if as_json:
        json.dump({each.name: each.value for each in found} | {"report": str(page)}, sys.stdout)
        print()
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in found:
        table.add_row(each.name, Text(each.value, _TONES[each.tone]))
    console.print(table)
    console.print(f"report: {page}", soft_wrap=True, style="dim")


_TONES = {"good": "green", "bad": "red", "": ""}
