"""Live mode as a command: orders that leave, a dry run that only previews them, recordings."""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from app import cli
from app.dry_run import Previews
from app.live_orders import choose_account, signed_limits
from app.recording import Recorder
from app.replay import replay
from app.trading_command import play
from app.trading_feed import open_feed
from app.trading_session import LiveAsked, live_session, paper_session
from app.wiring import open_store
from models.errors import ConfigError
from models.order_terms import Mode, OrderStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.dry_run import Previewed
    from app.trading_command import TradingAsked


def run_live(asked: TradingAsked, record: Path | None, resolved: Sequence[str] = ()) -> int:
    """Trade one session with orders that leave, or as a dry run; return the exit status.

    Args:
        asked: The call.
        record: Where to record the session to; None does not.
        resolved: What a person says of orders that no rule settles, each `name=order id` or
            `name=none`.

    Raises:
        TradingError: What a person must know.
    """
    if not asked.live.understood:
        if record:
            raise ConfigError(
                "--record is for sessions whose orders go to a broker: add "
                "--i-understand-live-orders"
            )
        return _dry_run(asked)
    limits = signed_limits(asked.limits)
    asked.check()
    answers = dict(_answer(each) for each in resolved)
    with ExitStack() as opened:
        recorder = opened.enter_context(Recorder(record)) if record else None
        feed = opened.enter_context(open_feed(asked.feed))
        store = opened.enter_context(open_store())
        account_id = choose_account(feed.settings, asked.paper.account)
        live = LiveAsked(account_id, Mode.LIVE, asked.live.accept_holdings, answers, asked.limits)
        print(
            f"LIVE ORDERS for account {account_id[:8]}... by limits {limits.digest[:12]}",
            file=sys.stderr,
        )
        setup = replace(
            asked.setup(feed, store),
            asked=asked.strategy,
            recorder=recorder,
        )
        session = opened.enter_context(live_session(setup, live))
        play(session, as_json=asked.json)
        if record:
            print(f"recorded to {record}: decisions {session.digest()}", file=sys.stderr)
    return cli.OK


def _answer(text: str) -> tuple[str, str | None]:
    """Read `name=order id`, or `name=none`.

    Raises:
        ConfigError: It is neither.
    """
    name, _, order_id = text.partition("=")
    if not name or not (order_id.isdigit() or order_id == "none"):
        raise ConfigError(f"--resolve {text} is no answer: give ORDER=ORDER_ID, or ORDER=none")
    return name, None if order_id == "none" else order_id


def _dry_run(asked: TradingAsked) -> int:
    """Show by previews what live mode would send, and send nothing; return the exit status."""
    asked.check()
    console = Console(stderr=asked.json)
    console.print(
        "DRY RUN: nothing is sent; each order is previewed and goes to a paper venue. Live orders "
        "need --i-understand-live-orders and --limits with a file that was signed off",
        soft_wrap=True,
    )
    with open_feed(asked.feed) as feed, open_store() as store:
        account_id = choose_account(feed.settings, asked.paper.account)

        def tell(answer: Previewed) -> None:
            console.print(f"preview of {answer.client_order_id}: {answer.words}", soft_wrap=True)

        name = f"dry-{account_id[:8]}-{secrets.token_hex(3)}"
        paper = replace(asked.paper, account=name)
        with (
            Previews(feed.settings, account_id, tell) as previews,
            paper_session(asked.setup(feed, store), paper, previews) as session,
        ):
            play(session, as_json=asked.json)
            previews.wait()
    return cli.OK


def run_replay(path: Path, mode: Mode, *, as_json: bool) -> int:
    """Play a recorded session again, and say what came of it; return the exit status.

    Raises:
        ConfigError: The file cannot be used.
        StoreError: The journal cannot be written.
    """
    if mode is Mode.LIVE:
        raise ConfigError("--replay plays a session again: --mode paper or --mode backtest")
    replayed = replay(path, mode)
    engine = replayed.engine
    states = [state.order.status for state in engine.book.states.values()]
    result = {
        "mode": mode,
        "recorded": replayed.beginning.mode,
        "strategy": engine.names.strategy,
        "events": engine.number,
        "orders": len(states),
        "filled": states.count(OrderStatus.FILLED),
        "realized_pnl": str(engine.portfolio.realized_pnl),
        "decisions": replayed.digest,
        "journal": str(replayed.journal or ""),
    }
    if as_json:
        json.dump(result, sys.stdout)
        print()
        return cli.OK
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in result.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
    return cli.OK
