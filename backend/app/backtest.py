"""A backtest: the engine over stored sessions, with its worth and greeks measured on the way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.core import Engine
from engine.desk import Names
from engine.expiry_desk import ExpiryDesk
from engine.matching import TOUCH
from engine.net_greeks import NetGreeks, net_greeks
from engine.paper import PaperAccount, PaperBroker
from engine.risk import RiskGate
from models.decisions import Denied, Heard, Signalled
from models.order_terms import AccountKind, Mode, Side
from models.symbols import OCC_LENGTH
from models.trading import AccountTerms
from utils.clock import to_ns, to_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.backtest_events import StoredMarket
    from engine.core import Gate
    from models.decisions import Decision
    from models.events import Fill
    from ports.strategy import Strategy
    from utils.market_calendar import Session

ACCOUNT = "backtest"

_GREEKS_EVERY = 5
"""Minutes between two looks at the greeks of what is held."""


class Sample(NamedTuple):
    """The state of a run at the end of a minute.

    Attributes:
        time_ns: When.
        worth: USD gained since the beginning.
        spot: USD of the strategy's first ticker.
        greeks: Of what is held; None where nothing is, or it was not looked at.
    """

    time_ns: int
    worth: float
    spot: float
    greeks: NetGreeks | None = None


class RoundTrip(NamedTuple):
    """From holding nothing to holding nothing again.

    Attributes:
        opened_ns: First fill.
        closed_ns: Last fill.
        fills: All of them, in order.
        gained: USD realised, fees paid.
    """

    opened_ns: int
    closed_ns: int
    fills: tuple[Fill, ...]
    gained: Decimal


@dataclass
class BacktestResult:
    """What came of a backtest.

    Attributes:
        engine: In its last state.
        market: What it ran on.
        ticker: The strategy's first.
        cash: USD at the beginning.
        samples: One a minute.
        trips: Oldest first.
        decisions: All of them.
        open_since_ns: First fill of what is still held; None where nothing is.
    """

    engine: Engine
    market: StoredMarket
    ticker: str
    cash: Decimal
    samples: list[Sample] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    open_since_ns: int | None = None

    @property
    def denied(self) -> list[Denied]:
        """What the risk gate refused."""
        return [each for each in self.decisions if isinstance(each, Denied)]

    @property
    def signals(self) -> list[Signalled]:
        """What the strategy wanted."""
        return [each for each in self.decisions if isinstance(each, Signalled)]


def run_backtest(
    strategy: Strategy, market: StoredMarket, gate: Gate, cash: Decimal
) -> Iterator[tuple[Session, BacktestResult]]:
    """Run a strategy over stored sessions; yield the result so far after each session.

    Equal data gives equal decisions: the run's names are fixed.

    Args:
        strategy: What decides.
        market: What is replayed.
        gate: What orders must pass.
        cash: USD in the account.

    Raises:
        StoreError: The data cannot be read.
    """
    engine, result = _engine(strategy, market, gate, cash)
    needs = strategy.needs()
    follow = _Follower(engine, needs.symbols[0], result)
    for number, session in enumerate(market.sessions):
        if number == 0:
            engine.start(to_ns(session.open))
        for minute in market.minutes(needs, session):
            engine.run(minute)
            follow.minute()
        yield session, result
    engine.finish()


def _engine(
    strategy: Strategy, market: StoredMarket, gate: Gate, cash: Decimal
) -> tuple[Engine, BacktestResult]:
    ids = itertools.count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        cash,
        mode=Mode.BACKTEST,
        order_ids=lambda: next(ids),
        rules=TOUCH,
    )
    decisions: list[Decision] = []
    broker = PaperBroker(account, lambda: to_time(engine.market.now_ns))
    names = Names(ACCOUNT, Mode.BACKTEST, strategy.name, "b")
    engine = Engine(strategy, broker, gate=gate, record=decisions.append, names=names)
    if isinstance(gate, RiskGate):
        engine.overseer = ExpiryDesk(gate)
    ticker = strategy.needs().symbols[0]
    return engine, BacktestResult(engine, market, ticker, cash, decisions=decisions)


class _Follower:
    """Measures a run as it goes."""

    def __init__(self, engine: Engine, ticker: str, result: BacktestResult) -> None:
        self._engine = engine
        self._ticker = ticker
        self._result = result
        self._read = 0
        self._open: list[Fill] = []
        self._held: dict[str, Decimal] = {}
        self._realised = Decimal(0)

    def minute(self) -> None:
        """Measure the run as it stands; nothing before the first quote."""
        self._take_fills()
        engine = self._engine
        quote = engine.market.quotes.get(self._ticker)
        if quote is None or quote.last is None:
            return
        sample = Sample(engine.market.now_ns, float(engine.worth()), quote.last)
        if len(self._result.samples) % _GREEKS_EVERY == 0:
            sample = sample._replace(greeks=net_greeks(engine.market, engine.portfolio))
        self._result.samples.append(sample)

    def _take_fills(self) -> None:
        decisions = self._result.decisions
        for decision in decisions[self._read :]:
            for fill in decision.update.fills if isinstance(decision, Heard) else ():
                self._take(fill)
        self._read = len(decisions)

    def _take(self, fill: Fill) -> None:
        """Take a fill into the round trip that is open."""
        self._open.append(fill)
        after = self._held.pop(fill.symbol, Decimal(0)) + _signed(fill)
        if after:
            self._held[fill.symbol] = after
        if not self._held:
            gained = sum((_cash_flow(each) for each in self._open), Decimal(0))
            first = self._open[0].time_ns
            self._result.trips.append(RoundTrip(first, fill.time_ns, tuple(self._open), gained))
            self._open = []
        self._result.open_since_ns = self._open[0].time_ns if self._open else None


def _signed(fill: Fill) -> Decimal:
    return fill.quantity if fill.side is Side.BUY else -fill.quantity


def _cash_flow(fill: Fill) -> Decimal:
    units = 100 if len(fill.symbol) == OCC_LENGTH else 1
    return -_signed(fill) * fill.price * units - fill.fees
