"""What the trading benchmarks share: an engine on paper, its journal without fsync, seeded quotes."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.core import Engine
from engine.desk import Names
from engine.paper import PaperAccount, PaperBroker
from models.order_terms import AccountKind, Mode
from models.trading import AccountTerms
from utils.clock import to_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.core import Denial, Gate
    from engine.fees import FeeSchedule
    from models.decisions import Decision
    from models.tables import Frame
    from ports.strategy import Strategy

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "engine"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "test_trading"))

from ema_quotes import EXPECTED, columns
from risk_world import LOOSE, World, option

__all__ = ["EXPECTED", "LOOSE", "World", "ema_frame", "on_paper", "option", "seconds_of"]

ACCOUNT = "benchmark"


class OpenGate:
    """Lets everything pass, where peers have no gate either."""

    def check(self, *_: Any) -> Denial | None:
        """Return None."""
        return None


def ema_frame(number: int) -> Frame:
    """Return quotes of the EMA cross as columns."""
    names = ("time_ns", "bid", "ask", "bid_size", "ask_size")
    return pl.DataFrame(dict(zip(names, columns(number), strict=True)))


def on_paper(
    strategy: Strategy,
    record: Callable[[Decision], None],
    *,
    gate: Gate | None = None,
    fees: FeeSchedule | None = None,
    start_ns: int,
) -> Engine:
    """Return an engine on a paper account with ten million dollars, begun."""
    ids = count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        Decimal(10_000_000),
        mode=Mode.BACKTEST,
        order_ids=lambda: next(ids),
        fees=fees,
    )
    broker = PaperBroker(account, lambda: to_time(engine.market.now_ns))
    names = Names(ACCOUNT, Mode.BACKTEST, strategy.name, "b")
    engine = Engine(strategy, broker, gate=gate or OpenGate(), record=record, names=names)
    engine.start(start_ns)
    return engine


def seconds_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began
