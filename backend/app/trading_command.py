"""Trading as a command: put a session together, show it, and say what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from app import cli
from app.backtest import run_backtest
from app.backtest_events import MINUTE_S, MOST_CONTRACTS, stored_market
from app.backtest_report import figures, write_report
from app.limits_file import read_limits
from app.live_orders import sign_off
from app.strategy_catalog import find_strategy, read_parameters
from app.trading_feed import open_feed
from app.trading_session import PaperAsked, Setup, paper_session
from app.trading_view import TradingView
from app.trading_words import coloured, positions_table
from app.wiring import open_store, store_place
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.errors import ConfigError, DataError
from models.order_terms import OrderStatus
from utils.market_calendar import sessions
from utils.paths import state_folder

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from app.backtest import BacktestResult
    from app.backtest_events import StoredMarket
    from app.trading_feed import Feed, FeedAsked
    from app.trading_session import TradingSession
    from ports.store import Store
    from ports.strategy import Parameters, Strategy
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


@dataclass(frozen=True, slots=True)
class LiveWish:
    """What a person says to live orders.

    Attributes:
        understood: They are meant.
        accept_holdings: What the account holds beside ours is taken as given.
    """

    understood: bool = False
    accept_holdings: bool = False


@dataclass(frozen=True, slots=True)
class TradingAsked:
    """One call of the command.

    Attributes:
        ticker: Handed to the strategy as its symbol.
        strategy: Name, or path of a file.
        pairs: Parameters, each `name=value`.
        parameters: YAML file of parameters.
        limits: YAML file of risk limits.
        paper: Which paper account; the name is that of the live one in live mode.
        live: Whether orders really leave.
        feed: Which market.
        backtest: Which stored data.
        json: One JSON object at the end instead of tables.
    """

    ticker: str
    strategy: str
    pairs: tuple[str, ...]
    parameters: Path | None
    limits: Path | None
    paper: PaperAsked
    live: LiveWish
    feed: FeedAsked
    backtest: BacktestAsked
    json: bool

    def strategy_made(self) -> tuple[Strategy, Parameters]:
        """Return the strategy with its parameters.

        Raises:
            ConfigError: There is no such strategy or parameter.
        """
        kind = find_strategy(self.strategy)
        given = read_parameters(kind, self.parameters, self.pairs, symbol=self.ticker)
        return kind(given), given

    def check(self) -> None:
        """Refuse what is wrong before anything is started.

        Raises:
            ConfigError: Strategy, parameters or limits cannot be used.
        """
        self.strategy_made()
        self.gate(1.0)

    def setup(self, feed: Feed, store: Store) -> Setup:
        """Return what a session is made of."""
        strategy, parameters = self.strategy_made()
        return Setup(strategy, parameters, self.gate(feed.speed), feed, store)

    def gate(self, speed: float) -> RiskGate:
        """Return the risk gate.

        Args:
            speed: Market seconds between two pieces of news that a live feed brings every second.

        Raises:
            ConfigError: The file of limits cannot be used.
        """
        limits = read_limits(self.limits).limits if self.limits else RiskLimits()
        return RiskGate(limits, speed)


def run_paper(asked: TradingAsked) -> int:
    """Trade one session on paper; return the exit status.

    Raises:
        TradingError: What a person must know.
    """
    asked.check()
    with (
        open_feed(asked.feed) as feed,
        open_store() as store,
        paper_session(asked.setup(feed, store), asked.paper) as session,
    ):
        play(session, as_json=asked.json)
    return cli.OK


def run_sign_off(path: Path) -> int:
    """Show limits, and remember that a person trades by them; return the exit status.

    Raises:
        ConfigError: The file cannot be used.
    """
    read = sign_off(path)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in read.limits.model_dump().items():
        table.add_row(name, str(value))
    console = Console()
    console.print(table)
    console.print(f"signed off: {path}, SHA-256 {read.digest[:12]}...", soft_wrap=True)
    return cli.OK


def play(session: TradingSession, *, as_json: bool) -> None:
    """Run a session to its end, and show it."""
    console = Console(stderr=as_json)
    console.print(f"{session.feed.described}: {len(session.symbols)} instruments", soft_wrap=True)
    for note in session.notes:
        console.print(note, style="dim", soft_wrap=True)
    with TradingView(session, console) as view:
        for _ in session.run(view.say):
            view.tick()
    session.finish()
    _show(session, console, as_json=as_json)


def run_backtest_command(asked: TradingAsked) -> int:
    """Run a strategy over stored sessions, and write its report; return the exit status.

    Raises:
        TradingError: What a person must know.
    """
    strategy, _ = asked.strategy_made()
    gate = asked.gate(MINUTE_S)
    sessions = _sessions(asked.backtest)
    console = Console(stderr=asked.json)
    with open_store() as store:
        market = stored_market(store, strategy.needs(), sessions, asked.backtest.spread)
        console.print(
            f"{len(market.sessions)} of {len(sessions)} sessions are stored ({market.source}, "
            f"{market.origin})"
        )
        running = run_backtest(strategy, market, gate, asked.paper.cash)
        progress = track(
            running, "backtest", total=len(market.sessions), console=console, transient=True
        )
        result = [result for _, result in progress][-1]
    folder = asked.backtest.out or _report_folder(result)
    page = write_report(folder, result, _assumptions(market))
    _show_backtest(result, page, console, as_json=asked.json)
    return cli.OK if len(market.sessions) == len(sessions) else cli.PARTIAL


def _sessions(asked: BacktestAsked) -> list[Session]:
    if asked.start is None:
        raise ConfigError("a backtest needs its days: add --start 2015-12-24 and perhaps --end")
    end = asked.end or asked.start
    if end < asked.start:
        raise ConfigError(f"--start {asked.start} is after --end {end}")
    try:
        found = sessions(asked.start, end)
    except DataError as error:
        raise ConfigError(str(error)) from None
    if not found:
        raise ConfigError(
            f"the exchange was closed from {asked.start} to {end}: no session to test"
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


def _show(session: TradingSession, console: Console, *, as_json: bool) -> None:
    result = _result(session)
    if as_json:
        json.dump(result, sys.stdout)
        print()
        return
    engine, names = session.engine, session.engine.names
    held = engine.market.positions(engine.portfolio, names.account_id, names.mode, with_flat=True)
    console.print(positions_table(held.values()))
    console.print(
        f"{result['orders']} orders, {result['filled']} filled, {result['denied']} denied; fees "
        f"{result['fees']} USD; result ",
        coloured(engine.worth()),
        " USD",
        sep="",
    )
    console.print(f"journal: {result['journal']}", soft_wrap=True, style="dim")
    console.print(
        f"orders, trades, positions and balances of account {names.account_id}: {store_place()}",
        soft_wrap=True,
        style="dim",
    )


def _result(session: TradingSession) -> dict[str, Any]:
    engine = session.engine
    states = [state.order.status for state in engine.book.states.values()]
    holdings = engine.portfolio.holdings.values()
    return {
        "mode": engine.names.mode,
        "strategy": engine.names.strategy,
        "account_id": engine.names.account_id,
        "market": session.feed.described,
        "origin": session.feed.origin,
        "events": engine.number,
        "orders": len(states),
        "filled": states.count(OrderStatus.FILLED),
        "denied": session.books.denied,
        "fees": str(sum((each.fees for each in holdings), start=0)),
        "realized_pnl": str(engine.portfolio.realized_pnl),
        "result": str(engine.worth()),
        "open_positions": sum(1 for each in holdings if each.quantity),
        "journal": str(session.books.journal.path),
    }
