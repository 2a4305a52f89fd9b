"""Trading at Schwab, ready-made: the engine, one account there, its order journal, and their news.

```python
with TradingEngine(settings, strategy, options) as trading:
    trading.take_up(decisions_of_earlier_runs)
    trading.engine.start(to_ns(clock()))
    for event in trading.run(symbols):
        ...
```

Before the first event everything is squared: what the journals know, what Schwab says, and what
nobody can explain, which stops it. While it runs the account is compared again and again: what was
missed is booked, and after a difference that stays only what closes may leave. Orders leave in
threads (`sending`), through the risk gate, written to the account's order journal first
(`order_desk`).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from engine.cash import (
    CashFlow,
    flow_of,
    gross_before,
    gross_flow,
    sums_since,
    unexplained_cash,
)
from engine.core import Engine
from engine.desk import Names
from engine.observed import ObservedEngine
from engine.reconciliation import (
    SAME_TIME_NS,
    Baseline,
    Reconciled,
    Told,
    reconcile,
    trades_of_others,
)
from engine.risk_account import AccountReport
from models.decisions import Began, Ended
from models.errors import ConfigError
from models.events import OrderUpdate, Restraint, Settlement
from models.journal import Record
from schwab_integration.broker import SchwabBroker
from schwab_integration.limits import order_limiter
from schwab_integration.live_events import AccountSource, Checked, Deliveries, LiveEvents, Sources
from schwab_integration.order_desk import DeskTime
from schwab_integration.parse_accounts import terms_of
from schwab_integration.sending import SendingBroker
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import SchwabStream
from schwab_integration.trader import SchwabTrader
from utils.clock import to_ns, to_time, wall_clock
from utils.feed import conflation_key, plainly
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType

    from engine.cash import CashMove
    from engine.core import Gate
    from engine.observed import Observer
    from models.decisions import Decision
    from models.events import Event
    from models.order_groups import OrderTicket
    from models.order_terms import Mode
    from models.trading import AccountTerms
    from ports.strategy import Strategy
    from schwab_integration.config import SchwabSettings
    from utils.clock import Clock

LOOK_BACK = timedelta(days=60)
"""How far orders and fills are compared with Schwab's; further for an order that stands longer."""

RECOVER_S = 1.0
"""So long a run that begins waits for tickets of earlier programs to be found; a ticket that never
arrived takes longer to be sure of, and is settled while the run goes on."""

JUST_NOW = timedelta(minutes=2)
"""An order that another program entered so long ago says that it still trades."""

BOOKED_LATE = timedelta(days=7)
"""What becomes of an option may be listed so long after the time that it bears."""

CASH_LOOKS = 4
"""So often a run that begins looks at cash that is not explained."""

RECONCILIATION = "reconciliation"
"""Source of the restraint while account and journal differ."""


@dataclass(frozen=True, slots=True)
class TradingTerms:
    """How a run trades.

    Attributes:
        account_id: Hash of the account.
        mode: LIVE, or REHEARSAL at a simulator.
        run_id: Begins every client order id; another one each run.
        order_journal: File of the account's order journal.
        gate: What orders must pass.
        record: Takes each decision, before it is acted on.
        clock: The market's time.
        retirement: Whether the account is an IRA.
        option_level: 0 to 3.
        check_every_s: Wall seconds between two comparisons with the account.
        stopped: Says why nothing may leave now: the kill switch; an empty text lets it leave.
        observer: Is shown every event; None where nobody is.
    """

    account_id: str
    mode: Mode
    run_id: str
    order_journal: Path
    gate: Gate
    record: Callable[[Decision], None]
    clock: Clock = wall_clock
    retirement: bool = False
    option_level: int = 3
    check_every_s: float = 20.0
    stopped: Callable[[OrderTicket], str] | None = None
    observer: Observer | None = None


class TradingEngine:
    """One strategy on one account at Schwab."""

    def __init__(self, settings: SchwabSettings, strategy: Strategy, terms: TradingTerms) -> None:
        """Put a run together; entering the block opens it.

        Args:
            settings: Of the app.
            strategy: What decides.
            terms: How it trades.
        """
        self._settings = settings
        self._terms = terms
        self._strategy = strategy
        self._open = ExitStack()
        self._deliveries = Deliveries()
        self._baseline = Baseline(0, {})
        self._state = 0
        self._doubts: list[str] = []
        self.report: AccountReport | None = None
        """What Schwab says of the account's day trades, once it was asked."""
        self._settled: dict[str, Decimal] = {}
        self._differed = False
        self._cash_differs = False

    def __enter__(self) -> Self:
        """Open account, journal and stream.

        Raises:
            TradingError: Schwab does not let us in, or another program trades this account.
        """
        terms = self._terms
        with ExitStack() as opened:
            trader = opened.enter_context(SchwabTrader(self._settings, clock=terms.clock))
            journal: TransactionLogger[Any] = opened.enter_context(
                TransactionLogger(
                    terms.order_journal, Record, subject=terms.account_id, clock=terms.clock
                )
            )
            self._stream = SchwabStream(self._settings)
            opened.callback(self._stream.close)
            self._schwab = SchwabBroker(
                trader,
                self._account_terms(trader),
                journal,
                mode=terms.mode,
                limiter=order_limiter(self._settings, terms.account_id),
                times=DeskTime(clock=terms.clock),
                updates=lambda: self._stream.listen(activity=True),
                stopped=terms.stopped,
            )
            broker = SendingBroker(self._schwab, self._deliveries.put, terms.clock)
            opened.callback(broker.close)
            self.broker = broker
            names = Names(terms.account_id, terms.mode, self._strategy.name, terms.run_id)
            make = partial(ObservedEngine, terms.observer) if terms.observer else Engine
            self.engine = make(
                self._strategy, broker, gate=terms.gate, record=terms.record, names=names
            )
            self.engine.market.now_ns = to_ns(terms.clock())
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _account_terms(self, trader: SchwabTrader) -> AccountTerms:
        wanted = self._terms.account_id
        numbers = {each.hash_value: each.account_number for each in trader.account_numbers()}
        for account in trader.accounts():
            reported = account.securities_account
            if reported.account_number == numbers.get(wanted):
                trips = reported.round_trips
                self.report = AccountReport(
                    None if trips is None else int(trips),
                    reported.is_day_trader,
                    to_ns(self._terms.clock()),
                )
                return terms_of(
                    account,
                    account_id=wanted,
                    retirement=self._terms.retirement,
                    option_level=self._terms.option_level,
                )
        raise ConfigError(
            f"this sign-in has no account {wanted[:8]}...: name one of those that "
            "`python sys_testing/token_diagnostics.py` lists"
        )

    def questions(self) -> dict[str, str]:
        """Return client order id -> what a person has to say about an order that is unknown."""
        return self._schwab.questions()

    def resolve(self, client_order_id: str, order_id: str | None) -> None:
        """Take a person's word for an order that no rule settles, before `take_up`.

        Args:
            client_order_id: Ours.
            order_id: The broker's; None: it is not there.

        Raises:
            OrderRejected: It waits for no answer, or the named order has other legs.
            TradingError: The named order cannot be looked at.
        """
        self._schwab.resolve(client_order_id, order_id)

    def take_up(self, past: Iterable[Decision], *, accept_holdings: bool = False) -> Reconciled:
        """Rebuild from the journal, and square it with Schwab; to be called once, before `run`.

        Args:
            past: What earlier runs decided and heard, oldest first.
            accept_holdings: What the account holds beside ours needs no explanation, nor does its
                cash while this run goes on.

        Returns:
            What was found; with differences in it nothing may be traded.

        Raises:
            TradingError: Schwab does not answer.
        """
        decisions = list(past)
        engine = self.engine
        engine.resume(decisions)
        ended = [each.settlement for each in decisions if isinstance(each, Ended)]
        self._settled = {each.settlement_id: each.quantity for each in ended}
        began = [each for each in decisions if isinstance(each, Began)]
        baseline = None
        if began and not accept_holdings:
            last = decisions.index(began[-1])
            gross = gross_before(decisions[:last])
            baseline = Baseline(
                began[-1].at_ns, began[-1].others, began[-1].seen, began[-1].cash, gross
            )
        told, found = self._squared(baseline, RECOVER_S)
        if self._schwab.recovering and (found.differences or self._company()):
            told, found = self._squared(baseline, float("inf"))
        if not accept_holdings:
            self._refuse_company()
        engine.hear([*found.updates, *self._book(found.settled)])
        if baseline is not None:
            found.differences.extend(self._cash_at_the_beginning(baseline, told))
        cash = None if accept_holdings else told.cash  # a person's word counts for the whole run
        self._baseline = Baseline(
            engine.market.now_ns, found.others, found.seen, cash, gross_flow(engine.portfolio)
        )
        self.broker.balances()  # known from here on: no look at them waits for an answer
        return found

    def _squared(self, baseline: Baseline | None, within_s: float) -> tuple[Told, Reconciled]:
        """Settle lost tickets, for a while, and compare with what Schwab says then."""
        engine = self.engine
        engine.hear(self._schwab.recover(within_s))
        # What was refused is in the order journal alone, if the program ended before it was heard.
        working = [order.client_order_id for order in engine.book.working()]
        engine.hear(self._schwab.states(working))
        start = to_time(engine.market.now_ns) - LOOK_BACK
        since = self._since(start)
        told = Told(
            self._schwab.orders(since),
            self._schwab.fills(since),
            self._schwab.positions(),
            left=self._schwab.own_orders(),
            settlements=self._schwab.settlements(start),
            cash=self._schwab.balances().cash,
        )
        now_ns = engine.market.now_ns
        found = reconcile(engine.book, self._held(), told, now_ns, baseline, booked=self._settled)
        return told, found

    def _cash_at_the_beginning(self, baseline: Baseline, told: Told) -> Sequence[str]:
        """Return what the cash has that nothing explains; an order may fill while it is asked for."""
        said: Sequence[str] = ()
        for _ in range(CASH_LOOKS):
            said = self._cash_difference(baseline, told)
            if not said:
                break
            since = to_time(baseline.at_ns - 2 * SAME_TIME_NS)
            told = told._replace(
                cash=self._schwab.balances().cash, moves=self._schwab.cash_moves(since)
            )
        return said

    def _cash_difference(self, baseline: Baseline, told: Told) -> Sequence[str]:
        """Return what the broker's cash has more or less than trades and transactions explain."""
        if baseline.cash is None or told.cash is None:
            return ()
        strange = flow_of(trades_of_others(baseline, told, self.engine.book))
        gross = gross_flow(self.engine.portfolio) - baseline.gross + strange.gross
        flow = CashFlow(gross, flow_of(told.fills).most_fees)
        moved = sums_since(told.moves, baseline.at_ns) if told.moves else ()
        over = unexplained_cash(baseline.cash, told.cash, flow, moved)
        if not over:
            return ()
        more = "more" if over > 0 else "less"
        return (f"the cash is {abs(over):,.2f} USD {more} than trades and transactions explain",)

    def _book(self, settled: Sequence[Settlement]) -> Sequence[Settlement]:
        """Remember which part of settlements is ours, and return it."""
        self._settled |= {each.settlement_id: each.quantity for each in settled}
        return settled

    def _company(self) -> Sequence[str]:
        """Return orders that another program has entered just now."""
        if self._schwab.questions():
            return ()  # one of them may be our own: a person is asked about it already
        return self._schwab.entered_by_a_program(to_time(self.engine.market.now_ns) - JUST_NOW)

    def _refuse_company(self) -> None:
        """Refuse to trade beside another program.

        Raises:
            ConfigError: One has entered an order just now that this journal does not know.
        """
        orders = self._company()
        if orders:
            raise ConfigError(
                f"the order {orders[-1]} was entered within the last {JUST_NOW.seconds // 60} "
                "minutes by a program, and this journal does not know it: another program trades "
                "this account, perhaps on another machine; end it and wait, or, if there is none, "
                "add --accept-holdings"
            )

    def _since(self, at: datetime) -> datetime:
        """Return from when on orders are asked for: that time, or the oldest order that works."""
        return min([at, *(order.created_at for order in self.engine.book.working())])

    def _held(self) -> dict[str, Decimal]:
        return {name: each.quantity for name, each in self.engine.portfolio.holdings.items()}

    def run(self, symbols: tuple[str, ...]) -> Iterator[Event]:
        """Trade on these symbols, and yield each event when it has had its effect.

        It goes on until the caller leaves it.

        Raises:
            StoreError: A journal cannot be written: nothing leaves any more.
            TradingError: The stream has ended for good.
        """
        wanted = Subscription(symbols=symbols, heartbeats=True)
        account = AccountSource(
            self.broker.listen, self._ask, lambda: self._state, self._terms.check_every_s
        )
        sources = Sources(lambda: self._stream.hear(wanted), self._terms.clock, account)
        heard = LiveEvents(sources, self._deliveries)
        with plainly(heard.hear, key=conflation_key) as events:
            for event in events:
                if isinstance(event, BaseException):
                    raise event
                for each in self._compared(event) if isinstance(event, Checked) else (event,):
                    self._turn()
                    self.engine.on(each)
                    self._state += isinstance(each, OrderUpdate | Settlement)
                    yield each

    def _turn(self) -> None:
        """Show newer balances between two events, if there are any."""
        balances = self.broker.turn()
        if balances is not None and self._terms.observer is not None:
            self._terms.observer.hear_balances(balances)

    def _ask(self) -> Told:
        """Ask what the account holds, and which orders and fills it has since the run began.

        What differs may have expired or been assigned: from then on the transactions are asked for
        too.
        """
        since = self._since(to_time(self._baseline.at_ns)) - 2 * timedelta(
            microseconds=SAME_TIME_NS // 1000
        )
        left = self._schwab.own_orders()
        orders, fills = self._schwab.orders_and_fills(since)
        gone: Sequence[Settlement] = ()
        if self._differed:
            gone = self._schwab.settlements(to_time(self._baseline.at_ns) - BOOKED_LATE)
        moves: Sequence[CashMove] = ()
        if self._cash_differs:
            moves = self._schwab.cash_moves(to_time(self._baseline.at_ns - 2 * SAME_TIME_NS))
        cash, held = self._schwab.balances().cash, self._schwab.positions()
        return Told(orders, fills, held, left, gone, cash, moves)

    def _compared(self, checked: Checked) -> Sequence[Event]:
        """Return what comes of a comparison with the account while the run goes on.

        News that overtook it make it worthless: the next one tells. A difference counts when two
        of them in a row show it.
        """
        engine = self.engine
        if checked.state != self._state or engine.book.awaited:
            return ()
        now_ns = engine.market.now_ns
        found = reconcile(
            engine.book,
            self._held(),
            checked.told,
            now_ns,
            self._baseline,
            booked=self._settled,
        )
        missed: list[Event] = [each for each in found.updates if each.order_id is not None]
        missed += self._book(found.settled)
        differences = found.differences
        if not (missed or differences):  # else the next comparison tells
            differences = [*self._cash_difference(self._baseline, checked.told)]
            self._cash_differs = bool(differences)
        stays = [each for each in differences if each in self._doubts]
        self._doubts = differences
        self._differed |= bool(found.differences)
        stands = engine.restraints.get(RECONCILIATION)
        if stays and not stands:
            said = "journal and broker differ in what nobody can explain: " + "; ".join(stays)
            return (*missed, Restraint(time_ns=now_ns, source=RECONCILIATION, reason=said))
        if stands and not differences:
            return (*missed, Restraint(time_ns=now_ns, source=RECONCILIATION, reason=""))
        return missed
