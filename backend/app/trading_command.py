"""Trading as a command: put a session together, show it, and say what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from app import cli
from app.limits_file import read_limits
from app.live_orders import sign_off
from app.strategy_catalog import find_strategy, read_parameters
from app.trading_feed import open_feed
from app.trading_session import PaperAsked, Setup, paper_session
from app.trading_view import TradingView
from app.trading_words import coloured, gains_words, positions_table
from app.wiring import open_store, store_place
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.order_terms import OrderStatus

if TYPE_CHECKING:
    from pathlib import Path

    from app.trading_feed import Feed, FeedAsked
    from app.trading_session import TradingSession
    from ports.store import Store
    from ports.strategy import Parameters, Strategy


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


def _show(session: TradingSession, console: Console, *, as_json: bool) -> None:
    result = _result(session)
    if as_json:
        json.dump(result, sys.stdout)
        print()
        return
    engine, names = session.engine, session.engine.names
    held = engine.market.positions(engine.portfolio, names.account_id, names.mode, with_flat=True)
    console.print(positions_table(held.values()))
    if gains := session.mirror.attribution.days.values():
        console.print(gains_words(gains), soft_wrap=True)
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
