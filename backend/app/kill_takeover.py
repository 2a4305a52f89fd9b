"""An account is taken up from its journals to be stopped, since nobody else does it.

What works is cancelled at the broker, the most dangerous orders first, within its request limits,
and what is held is closed if that is wanted; all of it is in the account's journal.
"""

from __future__ import annotations

import secrets
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from app.kill_switch import KillSwitch
from app.trading_books import KeptPaperBroker, open_books, open_paper_account
from app.trading_feed import schwab_clock
from engine.core import Engine
from engine.desk import Names
from engine.expiry_desk import ExpiryDesk
from engine.limits import RiskLimits
from engine.matching import MatchRules
from engine.risk import RiskGate
from models.errors import ConfigError
from models.events import Halt
from models.order_terms import Mode
from ports.strategy import Needs, Strategy
from schwab_integration.config import SchwabSettings
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from utils.clock import to_time
from utils.paths import state_folder
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.kill_switch import Killed

_LONGEST_S = 60.0
"""How long cancels and closings at the broker are waited for."""


class _Idle(Strategy):
    """Wants nothing: the account is only taken up to be stopped."""

    name = "kill_switch"

    def needs(self) -> Needs:
        return Needs(())


def take_over(account_id: str, found: Killed) -> int:
    """Take an account up, stop it and return how many orders were cancelled.

    Raises:
        TradingError: A journal cannot be used, or the broker does not answer.
    """
    if (state_folder("journals") / f"{account_id}.orders.jsonl").exists():
        return _stop_live(account_id, found)
    if not (state_folder("journals") / f"{account_id}.jsonl").exists():
        return 0
    with open_books(account_id, Mode.PAPER) as books:
        # Nobody is there for whom time would go on: orders and cancels take none.
        venue = open_paper_account(account_id, Mode.PAPER, Decimal(0), MatchRules())
        gate = RiskGate(RiskLimits())
        broker = KeptPaperBroker(
            venue, lambda: to_time(engine.market.now_ns), KillSwitch(account_id).refusal
        )
        names = Names(account_id, Mode.PAPER, _Idle.name, f"k-{secrets.token_hex(3)}")
        engine = Engine(_Idle(), broker, gate=gate, record=books.record, names=names)
        engine.resume(books.decisions())
        engine.market.now_ns = venue.state.now_ns
        engine.market.quotes.update(venue.state.quotes)
        return _halt(engine, gate, found, lambda: None)


def _stop_live(account_id: str, found: Killed) -> int:
    settings = load(SchwabSettings)
    settings.credentials()
    clock, speed = schwab_clock(settings)
    gate = RiskGate(RiskLimits(), speed)
    with open_books(account_id, Mode.LIVE) as books:
        terms = TradingTerms(
            account_id=account_id,
            mode=Mode.LIVE,
            run_id=f"k-{secrets.token_hex(3)}",
            order_journal=state_folder("journals") / f"{account_id}.orders.jsonl",
            gate=gate,
            record=books.record,
            clock=clock,
            stopped=KillSwitch(account_id).refusal,
        )
        with TradingEngine(settings, _Idle(), terms) as trading:
            trading.take_up(books.decisions(), accept_holdings=True)
            engine = trading.engine
            concerned = {s for s, each in engine.portfolio.holdings.items() if each.quantity}
            concerned |= {leg.symbol for order in engine.book.working() for leg in order.legs}

            def wait() -> None:
                until = time.monotonic() + _LONGEST_S
                for _ in trading.run(tuple(sorted(concerned))):
                    open_still = found.flatten and any(
                        each.quantity for each in engine.portfolio.holdings.values()
                    )
                    if not engine.book.working() and not open_still:
                        return
                    if time.monotonic() > until:
                        raise ConfigError(
                            f"{len(engine.book.working())} orders still work after "
                            f"{_LONGEST_S:g} s: cancel them at the broker"
                        )

            return _halt(engine, gate, found, wait)


def _halt(engine: Engine, gate: RiskGate, found: Killed, wait: Callable[[], None]) -> int:
    """Stop a run that was taken up; return how many orders worked."""
    engine.overseer = ExpiryDesk(gate)
    engine.start(engine.market.now_ns)
    working = len(engine.book.working())
    now_ns = engine.market.now_ns
    engine.on(Halt(time_ns=now_ns, by=found.by, reason=found.reason, flatten=found.flatten))
    if working or (found.flatten and engine.portfolio.holdings):
        wait()
    return working
