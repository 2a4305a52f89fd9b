"""Trading as a command: put a session together, show it, and say what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from app import cli
from app.strategy_catalog import find_strategy, make_strategy, read_parameters
from app.trading_feed import open_feed
from app.trading_session import PaperAsked, paper_session
from app.trading_view import TradingView
from app.trading_words import coloured, positions_table
from app.wiring import open_store, store_place
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.order_terms import OrderStatus

if TYPE_CHECKING:
    from pathlib import Path

    from app.trading_feed import FeedAsked
    from app.trading_session import TradingSession


@dataclass(frozen=True, slots=True)
class TradingAsked:
    """One call of the command.

    Attributes:
        ticker: Handed to the strategy as its symbol.
        strategy: Name, or path of a file.
        pairs: Parameters, each `name=value`.
        parameters: YAML file of parameters.
        limits: YAML file of risk limits.
        paper: Which paper account.
        feed: Which market.
        json: One JSON object at the end instead of tables.
    """

    ticker: str
    strategy: str
    pairs: tuple[str, ...]
    parameters: Path | None
    limits: Path | None
    paper: PaperAsked
    feed: FeedAsked
    json: bool


def run_paper(asked: TradingAsked) -> int:
    """Trade one session on paper; return the exit status.

    Raises:
        TradingError: What a person must know.
    """
    kind = find_strategy(asked.strategy)
    parameters = read_parameters(kind, asked.parameters, asked.pairs, symbol=asked.ticker)
    strategy = make_strategy(kind, parameters)
    console = Console(stderr=asked.json)
    with (
        open_feed(asked.feed) as feed,
        open_store() as store,
        paper_session(
            strategy, feed, store, RiskGate(RiskLimits(), feed.speed), asked.paper
        ) as session,
    ):
        console.print(f"{feed.described}: {len(session.symbols)} instruments", soft_wrap=True)
        for note in session.notes:
            console.print(note, style="dim")
        with TradingView(session, console) as view:
            for _ in session.run(view.say):
                view.tick()
        session.finish()
        _show(session, console, as_json=asked.json)
    return cli.OK


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
