"""A backtest: the engine over stored sessions, with its worth and greeks measured on the way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.attribution import Attribution
from engine.core import Engine
from engine.desk import Names
from engine.expiry_desk import ExpiryDesk
from engine.matching import TOUCH, MatchRules
from engine.net_greeks import NetGreeks, net_greeks
from engine.paper import PaperAccount, PaperBroker
from engine.risk import RiskGate
from models.decisions import Denied, Ended, Heard, Signalled
from models.options import OptionContract
from models.order_terms import AccountKind, Mode, Side
from models.symbols import OCC_LENGTH
from models.trading import AccountTerms
from ports.strategy import Parameters
from utils.clock import to_ns, to_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.backtest_events import StoredMarket
    from engine.core import Gate
    from models.decisions import Decision
    from models.events import Fill, Settlement
    from ports.strategy import Strategy
    from utils.market_calendar import Session

ACCOUNT = "backtest"

GREEKS_EVERY = 5
"""Minutes between two looks at the greeks of what is held, and at where the gain came from."""


class BacktestTerms(NamedTuple):
    """How a backtest trades.

    Attributes:
        cash: USD in the account.
        rules: How its orders fill.
        parameters: The strategy's, for the report.
    """

    cash: Decimal
    rules: MatchRules = TOUCH
    parameters: Parameters = Parameters()


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
        closed_ns: Last fill, or the end of the last option.
        fills: All of them, in order.
        ended: What became of options that were held to their end.
        gained: USD realised, fees paid.
    """

    opened_ns: int
    closed_ns: int
    fills: tuple[Fill, ...]
    ended: tuple[Settlement, ...]
    gained: Decimal


@dataclass
class BacktestResult:
    """What came of a backtest.

    Attributes:
        engine: In its last state.
        market: What it ran on.
        ticker: The strategy's first.
        terms: How it traded.
        samples: One a minute.
        trips: Oldest first.
        decisions: All of them.
        open_since_ns: First fill of what is still held; None where nothing is.
        attribution: Where each session's gain came from.
    """

    engine: Engine
    market: StoredMarket
    ticker: str
    terms: BacktestTerms
    samples: list[Sample] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    open_since_ns: int | None = None
    attribution: Attribution = field(default_factory=Attribution)

    @property
    def denied(self) -> list[Denied]:
        """What the risk gate refused."""
        return [each for each in self.decisions if isinstance(each, Denied)]

    @property
    def signals(self) -> list[Signalled]:
        """What the strategy wanted."""
        return [each for each in self.decisions if isinstance(each, Signalled)]


def run_backtest(
    strategy: Strategy, market: StoredMarket, gate: Gate, terms: BacktestTerms
) -> Iterator[tuple[Session, BacktestResult]]:
    """Run a strategy over stored sessions; yield the result so far after each session.

    Equal data gives equal decisions: the run's names are fixed.

    Args:
        strategy: What decides.
        market: What is replayed.
        gate: What orders must pass.
        terms: How it trades.

    Raises:
        StoreError: The data cannot be read.
    """
    engine, result = _engine(strategy, market, gate, terms)
    needs = strategy.needs()
    follow = _Follower(engine, needs.symbols[0], result)
    for number, session in enumerate(market.sessions):
        if number == 0:
            engine.start(to_ns(session.open))
        for minute in market.minutes(needs, session):
            engine.run(minute)
            follow.minute()
        follow.end_session()
        yield session, result
    engine.finish()


def _engine(
    strategy: Strategy, market: StoredMarket, gate: Gate, terms: BacktestTerms
) -> tuple[Engine, BacktestResult]:
    ids = itertools.count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        terms.cash,
        mode=Mode.BACKTEST,
        order_ids=lambda: next(ids),
        rules=terms.rules,
    )
    decisions: list[Decision] = []
    broker = PaperBroker(account, lambda: to_time(engine.market.now_ns))
    names = Names(ACCOUNT, Mode.BACKTEST, strategy.name, "b")
    engine = Engine(strategy, broker, gate=gate, record=decisions.append, names=names)
    if isinstance(gate, RiskGate):
        engine.overseer = ExpiryDesk(gate)
    ticker = strategy.needs().symbols[0]
    return engine, BacktestResult(engine, market, ticker, terms, decisions=decisions)


class _Follower:
    """Measures a run as it goes."""

    def __init__(self, engine: Engine, ticker: str, result: BacktestResult) -> None:
        self._engine = engine
        self._ticker = ticker
        self._result = result
        self._read = 0
        self._open: list[Fill] = []
        self._ended: list[Settlement] = []
        self._held: dict[str, Decimal] = {}

    def minute(self) -> None:
        """Measure the run as it stands; nothing before the first quote."""
        self._take_news()
        engine = self._engine
        quote = engine.market.quotes.get(self._ticker)
        if quote is None or quote.last is None:
            return
        sample = Sample(engine.market.now_ns, float(engine.worth()), quote.last)
        if len(self._result.samples) % GREEKS_EVERY == 0:
            sample = sample._replace(greeks=net_greeks(engine.market, engine.portfolio))
            self._result.attribution.step(engine.market, engine.portfolio)
        self._result.samples.append(sample)

    def end_session(self) -> None:
        """Attribute the last minutes to the session in which they were."""
        self._result.attribution.step(self._engine.market, self._engine.portfolio)

    def _take_news(self) -> None:
        decisions = self._result.decisions
        for decision in decisions[self._read :]:
            if isinstance(decision, Heard):
                for fill in decision.update.fills:
                    self._open.append(fill)
                    self._change({fill.symbol: _signed(fill)}, fill.time_ns)
            elif isinstance(decision, Ended):
                ended = decision.settlement
                self._ended.append(ended)
                gone = {ended.symbol: -ended.quantity}
                if ended.shares:
                    gone[OptionContract.from_occ(ended.symbol).underlying] = ended.shares
                self._change(gone, ended.time_ns)
        self._read = len(decisions)

    def _change(self, units: dict[str, Decimal], at_ns: int) -> None:
        """Take what was traded, or what ended, into the round trip that is open."""
        for symbol, signed in units.items():
            after = self._held.pop(symbol, Decimal(0)) + signed
            if after:
                self._held[symbol] = after
        if not self._held:
            gained = sum((_cash_flow(each) for each in self._open), Decimal(0))
            gained += sum((_paid(each) for each in self._ended), Decimal(0))
            first = self._open[0].time_ns
            self._result.trips.append(
                RoundTrip(first, at_ns, tuple(self._open), tuple(self._ended), gained)
            )
            self._open, self._ended = [], []
        self._result.open_since_ns = self._open[0].time_ns if self._open else None


def _signed(fill: Fill) -> Decimal:
    return fill.quantity if fill.side is Side.BUY else -fill.quantity


def _cash_flow(fill: Fill) -> Decimal:
    units = 100 if len(fill.symbol) == OCC_LENGTH else 1
    return -_signed(fill) * fill.price * units - fill.fees


def _paid(ended: Settlement) -> Decimal:
    """Return USD that the end of an option brought: its value in cash, or shares at the strike."""
    if not ended.shares:
        return ended.quantity * ended.cash
    return -ended.shares * OptionContract.from_occ(ended.symbol).strike
