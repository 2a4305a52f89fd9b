"""The engine: one event in, decisions out. No I/O, no clock, no chance.

Of each event, in this order: timers that are due come first, each at its own time; the venue sees
the event (a simulated one fills); updates are booked; the strategy sees it; what it asked for goes
through the risk gate, into the decision journal and to the broker. Equal events give equal
decisions, in backtest, paper and live.

Quotes that come as one run are taken without asking at each whether a timer or the venue is due:
where nothing can be before the run's end that is known beforehand. The decisions are the same.
"""

from __future__ import annotations

from decimal import Decimal
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from engine.desk import EngineDesk, Names, Wish
from engine.market import Market
from engine.order_book import OrderBook
from engine.timers import Timer, Timers
from models.decisions import (
    Alarmed,
    CancelAsked,
    Denied,
    Ended,
    Halted,
    Heard,
    Intended,
    Restrained,
    Signalled,
)
from models.errors import OrderRejected, OrderUnknown, RiskDenied
from models.events import Bar, Halt, OrderUpdate, Quote, QuoteRun, Restraint, Settlement, TradeTick
from models.order_groups import OrderTicket, orders_of, read_ticket, write_ticket
from models.order_terms import OrderStatus, PositionEffect
from ports.strategy import Strategy
from utils.portfolio_tracker import PortfolioTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from models.decisions import Decision
    from models.events import Event, News
    from models.trading import Order
    from ports.broker import Broker

_json = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


class Denial(NamedTuple):
    """Why a ticket may not leave.

    Attributes:
        rule: Code of the rule.
        limit: What it allows.
        value: What the ticket would have made of it.
        message: One sentence.
    """

    rule: str
    limit: str
    value: str
    message: str


class Gate(Protocol):
    """What stands between a strategy and the broker."""

    def check(self, ticket: OrderTicket, engine: Engine, replaces: str | None) -> Denial | None:
        """Return why a ticket may not leave, or None; one that may is counted as gone.

        Args:
            ticket: What is to leave.
            engine: The run.
            replaces: Client order id of the order whose place it takes.
        """
        ...


class Overseer(Protocol):
    """What looks after a run beside its strategy: at regular times, and when it is halted."""

    every_s: float
    """Market seconds between two looks."""

    def look(self, engine: Engine) -> None:
        """Look at the run, and ask by `engine.desk` for what is due."""
        ...

    def halt(self, engine: Engine, told: Halt) -> None:
        """Stop everything: cancel what works, close what is held if that is wanted; or go on."""
        ...


OVERSEER = "-overseer"
"""Name of the overseer's timer."""


class Engine:
    """One strategy, one account, one loop."""

    def __init__(
        self,
        strategy: Strategy,
        broker: Broker,
        *,
        gate: Gate,
        record: Callable[[Decision], None],
        names: Names,
    ) -> None:
        """Put a run together; `start` begins it.

        Args:
            strategy: What decides.
            broker: Where its orders go.
            gate: What they must pass.
            record: Takes each decision, before it is acted on.
            names: Stamped on every order.
        """
        self.strategy = strategy
        self.broker = broker
        self.gate = gate
        self.names = names
        self.overseer: Overseer | None = None
        """Looks after the run beside the strategy; to be set before `start`."""
        self.market = Market()
        self.book = OrderBook()
        self.portfolio = PortfolioTracker()
        self.number = 0
        self.restraints: dict[str, str] = {}
        """Why only what closes may leave at present: who says so -> one sentence."""
        self._to_cancel: dict[str, str] = {}
        self._afterwards: dict[str, Wish] = {}
        self._record = record
        self._timers = Timers()
        self._watch = broker.watch(self.market.quotes)
        self.desk = EngineDesk(names, self.market, self.book, self.portfolio)
        self._wishes = self.desk.wishes
        kind = type(strategy)
        # A handler that is not overridden is not called: most strategies need few of them.
        self._on_quote = strategy.on_quote if kind.on_quote is not Strategy.on_quote else None
        self._on_trade = strategy.on_trade if kind.on_trade is not Strategy.on_trade else None
        self._on_bar = strategy.on_bar if kind.on_bar is not Strategy.on_bar else None

    def resume(self, decisions: Iterable[Decision]) -> None:
        """Take up what earlier runs of the account decided and heard, before `start`.

        Orders and holdings are then as they were; the strategy finds them on its desk.
        """
        for decision in decisions:
            if isinstance(decision, Intended):
                self.book.add(read_ticket(bytes(decision.ticket)), decision.replaces)
            elif isinstance(decision, Heard) and (news := self.book.apply(decision.update)):
                for fill in news[1]:
                    self.portfolio.book(fill)
            elif isinstance(decision, Ended):
                self.portfolio.settle(decision.settlement)

    def hear(self, updates: Sequence[News]) -> None:
        """Book news that came beside the events: of a reconciliation, before `start`."""
        for update in updates:
            self._note(update)

    def worth(self) -> Decimal:
        """Return USD that the run has gained: realised, and open at the newest marks, all fees paid."""
        held = self.portfolio.holdings.items()
        marks = {
            name: mark for name, each in held if each.quantity and (mark := self.market.mark(name))
        }
        fees = sum((lot.fees for _, each in held for lot in each.lots), Decimal(0))
        return self.portfolio.realized_pnl + self.portfolio.unrealized_pnl(marks) - fees

    def start(self, now_ns: int) -> None:
        """Begin at a time of the market."""
        self.market.now_ns = now_ns
        self.strategy.desk = self.desk
        self.strategy.start()
        if self.overseer is not None:
            step_ns = round(self.overseer.every_s * 1e9)
            self._timers.put(Timer(now_ns + step_ns, OVERSEER, step_ns))
        self._settle()

    def alarm(self, code: str, symbol: str, message: str) -> None:
        """Tell a person, by the journal, of something to look at now."""
        self._record(
            Alarmed(
                event=self.number,
                at_ns=self.market.now_ns,
                code=code,
                symbol=symbol,
                message=message,
            )
        )

    def run(self, events: Iterable[Event | QuoteRun]) -> None:
        """Take events, or runs of quotes, until there are no more."""
        for event in events:
            if isinstance(event, QuoteRun):
                self._on_run(event.quotes)
            else:
                self.on(event)

    def on(self, event: Event) -> None:
        """Take one event."""
        self.number += 1
        if type(event) is Quote:
            self._pass_time(event.time_ns)
            self._show(event)
            if self._on_quote is not None:
                self._on_quote(event)
        else:
            self._on_other(event)
        if self._wishes:
            self._settle()

    def _on_run(self, quotes: list[Quote]) -> None:
        """Take the quotes of a run: as many as possible at once, the others one by one."""
        rest = iter(quotes)
        if quotes and quotes[0].time_ns >= self.market.now_ns:
            while length_hint(rest) and self._quiet(quotes[-1].time_ns):
                self._rush(rest)
                if self._wishes:
                    self._settle()
        for quote in rest:
            self.on(quote)

    def _quiet(self, until_ns: int) -> bool:
        """Return whether up to a time nothing is due but what a strategy does on quotes."""
        watch = self._watch
        return not watch.symbols and until_ns < watch.due_ns and until_ns < self._timers.due_ns

    def _rush(self, rest: Iterator[Quote]) -> None:
        """Take quotes of a list of which nobody else must be shown any, until one sets off a wish."""
        market, wishes, on_quote = self.market, self._wishes, self._on_quote
        newest = market.quotes
        left = length_hint(rest)
        if on_quote is None:
            for quote in rest:
                newest[quote.symbol] = quote
                market.now_ns = quote.time_ns
        else:
            for quote in rest:
                newest[quote.symbol] = quote
                market.now_ns = quote.time_ns
                on_quote(quote)
                if wishes:
                    break
        self.number += left - length_hint(rest)  # exact: it is a list's iterator

    def _pass_time(self, time_ns: int) -> None:
        """Let the market's time move on, if it does, and call the timers that become due."""
        if time_ns > self.market.now_ns:
            if time_ns >= self._timers.due_ns:
                self._call_timers(time_ns)
            self.market.now_ns = time_ns

    def _show(self, quote: Quote) -> None:
        """Show a quote to the venue, where it waits for it, and keep it as the newest."""
        symbol, watch = quote.symbol, self._watch
        updates: Sequence[News] = ()
        if symbol in watch.symbols or quote.time_ns >= watch.due_ns:
            updates = self.broker.observe(quote)
        self.market.quotes[symbol] = quote
        if updates:
            self._book(updates)

    def finish(self) -> None:
        """End: the strategy hears it; what it asks for now does not leave."""
        self.strategy.stop()
        self._wishes.clear()

    def _on_other(self, event: Event) -> None:
        time_ns = event.time_ns + (event.interval_s * 10**9 if isinstance(event, Bar) else 0)
        self._pass_time(time_ns)
        if isinstance(event, OrderUpdate | Settlement):
            self._book([event])
            return
        if isinstance(event, Restraint):
            self._restrain(event)
            return
        if isinstance(event, Halt):
            self._halt(event)
            return
        if time_ns >= self._watch.due_ns and (updates := self.broker.observe(event)):
            self._book(updates)
        if isinstance(event, Bar):
            if self._on_bar is not None:
                self._on_bar(event)
        elif isinstance(event, TradeTick) and self._on_trade is not None:
            self._on_trade(event)

    def _call_timers(self, until_ns: int) -> None:
        """Call what is due up to a time, each at its own."""
        while self._timers.due_ns <= until_ns:
            timer = self._timers.take()
            self.market.now_ns = max(self.market.now_ns, timer.at_ns)
            if timer.name == OVERSEER and self.overseer is not None:
                self.overseer.look(self)
            else:
                self.strategy.on_timer(timer.name)
            if self._wishes:
                self._settle()

    def _settle(self) -> None:
        """Act on what the strategy asked for, and on what it asks on hearing the answers."""
        wishes = self._wishes
        while wishes:
            wish = wishes.pop(0)
            if isinstance(wish, Timer):
                self._timers.put(wish)
            elif wish.ticket is None:
                self.cancel(wish.target or "", self.names.strategy)
            else:
                self._send(wish, wish.ticket)

    def _restrain(self, told: Restraint) -> None:
        """Let only what closes leave from now on, or all again."""
        if self.restraints.get(told.source, "") == told.reason:
            return
        self._record(
            Restrained(
                event=self.number, at_ns=self.market.now_ns, source=told.source, reason=told.reason
            )
        )
        if told.reason:
            self.restraints[told.source] = told.reason
        else:
            del self.restraints[told.source]

    def _halt(self, told: Halt) -> None:
        """Forget what was asked for, and let the overseer stop the run, or let it go on."""
        self._record(
            Halted(
                event=self.number,
                at_ns=self.market.now_ns,
                by=told.by,
                reason=told.reason,
                flatten=told.flatten,
            )
        )
        if told.reason:
            self._wishes.clear()
            self._afterwards.clear()
        if self.overseer is not None:
            self.overseer.halt(self, told)

    def _send(self, wish: Wish, ticket: OrderTicket) -> None:
        if wish.target is not None and self._partly_filled(wish.target):
            # How much a replacement may trade depends on what the old order fills meanwhile: only
            # when it has ended, that is known.
            self._afterwards[wish.target] = wish
            self.cancel(wish.target, self.names.strategy)
            return
        first = orders_of(ticket)[0]
        ticket_id, at_ns = first.client_order_id, self.market.now_ns
        if wish.action is not None:
            self._record(
                Signalled(
                    event=self.number,
                    at_ns=at_ns,
                    signal_id=ticket_id,
                    strategy=self.names.strategy,
                    symbol=first.legs[0].symbol,
                    action=wish.action,
                    why=msgspec.Raw(_json(wish.why or {})),
                )
            )
        denial = self._restrained(ticket) or self.gate.check(ticket, self, wish.target)
        if denial is not None:
            self._deny(ticket, denial)
            return
        self._record(
            Intended(
                event=self.number,
                at_ns=at_ns,
                ticket_id=ticket_id,
                ticket=msgspec.Raw(write_ticket(ticket)),
                replaces=wish.target,
            )
        )
        self.book.add(ticket, wish.target)
        try:
            updates = self._to_broker(ticket, wish.target)
        except OrderRejected as error:
            updates = self._said(ticket, OrderStatus.REJECTED, error.reason)
        except OrderUnknown as error:
            updates = self._said(ticket, OrderStatus.UNKNOWN, str(error))
        except RiskDenied as error:
            updates = self._said(ticket, OrderStatus.DENIED, str(error))
        self._book(updates)

    def _restrained(self, ticket: OrderTicket) -> Denial | None:
        """Return why a ticket that opens anything may not leave at present, or None."""
        if not self.restraints:
            return None
        legs = [leg for order in orders_of(ticket) for leg in order.legs]
        if all(leg.position_effect is PositionEffect.CLOSING for leg in legs):
            return None
        said = "; ".join(self.restraints.values())
        return Denial("closing_only", "closing only", "opening", f"nothing is opened now: {said}")

    def _partly_filled(self, client_order_id: str) -> bool:
        order = self.book.order(client_order_id)
        return order is not None and bool(order.filled_quantity) and not order.status.terminal

    def _to_broker(self, ticket: OrderTicket, replaces: str | None) -> list[OrderUpdate]:
        if replaces is None:
            return self.broker.submit(ticket)
        old = self.book.order(replaces)
        if old is None or old.order_id is None:
            reason = f"the order {replaces} does not stand at the broker"
            raise OrderRejected(f"order refused: {reason}", reason=reason)
        return self.broker.replace(old.order_id, orders_of(ticket)[0])

    def cancel(self, client_order_id: str, by: str) -> None:
        """Have an order cancelled now, or as soon as the broker has named it.

        Args:
            client_order_id: Which.
            by: Who wants it, for the journal.
        """
        order = self.book.order(client_order_id)
        if order is None or order.status.terminal:
            return
        if order.order_id is None:  # it is on its way: as soon as the broker names it
            self._to_cancel[client_order_id] = by
            return
        self._record(
            CancelAsked(
                event=self.number,
                at_ns=self.market.now_ns,
                client_order_id=client_order_id,
                by=by,
            )
        )
        self.book.awaited.add(client_order_id)
        try:
            updates = self.broker.cancel(order.order_id)
        except OrderRejected:
            return  # it ended first, and its update tells how
        self._book(updates)

    def _deny(self, ticket: OrderTicket, denial: Denial) -> None:
        self._record(
            Denied(
                event=self.number,
                at_ns=self.market.now_ns,
                ticket_id=orders_of(ticket)[0].client_order_id,
                rule=denial.rule,
                limit=denial.limit,
                value=denial.value,
                message=denial.message,
            )
        )
        for update in self._said(ticket, OrderStatus.DENIED, denial.message):
            self.strategy.on_update(update)

    def _said(self, ticket: OrderTicket, status: OrderStatus, reason: str) -> list[OrderUpdate]:
        """Return what is known of a ticket's orders from us alone."""
        return [
            OrderUpdate(
                order_id=None,
                client_order_id=order.client_order_id,
                status=status,
                time_ns=self.market.now_ns,
                reason=reason,
            )
            for order in orders_of(ticket)
        ]

    def _book(self, updates: Sequence[News]) -> None:
        """Book news; the strategy hears each that tells something new."""
        for update in updates:
            told = self._note(update)
            if isinstance(told, OrderUpdate):
                self.strategy.on_update(told)
            elif told is not None:
                self.strategy.on_settlement(told)

    def _note(self, update: News) -> News | None:
        """Book one piece of news, and return what is new of it, or None."""
        if isinstance(update, Settlement):
            return self._end(update)
        news = self.book.apply(update)
        if news is None:
            return None
        name, fills = news
        for fill in fills:
            self.portfolio.book(fill)
        told = update
        if update.client_order_id != name or fills != update.fills:
            told = msgspec.structs.replace(update, client_order_id=name, fills=fills)
        self._record(Heard(event=self.number, at_ns=self.market.now_ns, update=told))
        if self._to_cancel or self._afterwards or fills:
            self._follow(name)
        return told

    def _follow(self, name: str) -> None:
        """Do what waited for the news of an order; cut what would trade more than was wanted."""
        order = self.book.states[name].order
        if order.status.terminal:
            self._to_cancel.pop(name, None)
            if (wish := self._afterwards.pop(name, None)) is not None:
                self._replace_rest(wish, order)
        elif order.order_id is not None and name in self._to_cancel:
            self._wishes.append(Wish(None, None, name))
            del self._to_cancel[name]
        if (successor := self.book.too_large(name)) is not None:
            self._wishes.append(Wish(None, None, successor))

    def _replace_rest(self, wish: Wish, old: Order) -> None:
        """Ask for what an order that has ended left unfilled of the order in its place."""
        new = orders_of(wish.ticket)[0] if wish.ticket is not None else old
        rest = new.quantity - old.filled_quantity
        if rest > 0:
            ticket = new.model_copy(update={"quantity": rest})
            self._wishes.append(Wish(wish.action, ticket, None, wish.why))

    def _end(self, settlement: Settlement) -> Settlement | None:
        """Book what became of options; those that others hold are not ours to book."""
        if not self.portfolio.settle(settlement):
            return None
        self._record(Ended(event=self.number, at_ns=self.market.now_ns, settlement=settlement))
        return settlement
