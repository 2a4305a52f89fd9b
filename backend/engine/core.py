"""The engine: one event in, decisions out. No I/O, no clock, no chance.

Of each event, in this order: timers that are due come first, each at its own time; the venue sees
the event (a simulated one fills); updates are booked; the strategy sees it; what it asked for goes
through the risk gate, into the decision journal and to the broker. Equal events give equal
decisions, in backtest, paper and live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from pydantic import TypeAdapter

from engine.desk import EngineDesk, Names
from engine.market import Market
from engine.order_book import OrderBook
from models.decisions import CancelAsked, Denied, Ended, Heard, Intended, Signalled
from models.errors import OrderRejected, OrderUnknown, RiskDenied
from models.events import Bar, OrderUpdate, Quote, Settlement, TradeTick
from models.order_groups import OrderTicket, orders_of
from models.order_terms import OrderStatus
from ports.strategy import Strategy
from utils.portfolio_tracker import PortfolioTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from engine.desk import Wish
    from models.decisions import Decision
    from models.events import Event, News
    from ports.broker import Broker

_tickets: TypeAdapter[OrderTicket] = TypeAdapter(OrderTicket)
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
        self.market = Market()
        self.book = OrderBook()
        self.portfolio = PortfolioTracker()
        self.number = 0
        self._record = record
        self._desk = EngineDesk(names, self.market, self.book, self.portfolio)
        self._wishes = self._desk.wishes
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
                self.book.add(_tickets.validate_json(bytes(decision.ticket)))
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
        """Return USD that the run has gained: realised, and open at the newest marks."""
        held = self.portfolio.holdings.items()
        marks = {
            name: mark for name, each in held if each.quantity and (mark := self.market.mark(name))
        }
        return self.portfolio.realized_pnl + self.portfolio.unrealized_pnl(marks)

    def start(self, now_ns: int) -> None:
        """Begin at a time of the market."""
        self.market.now_ns = now_ns
        self.strategy.desk = self._desk
        self.strategy.start()
        self._settle()

    def run(self, events: Iterable[Event]) -> None:
        """Take events until there are no more."""
        on = self.on
        for event in events:
            on(event)

    def on(self, event: Event) -> None:
        """Take one event."""
        self.number += 1
        market = self.market
        if type(event) is Quote:
            time_ns = event.time_ns
            if time_ns > market.now_ns:
                if time_ns >= self._desk.due_ns:
                    self._call_timers(time_ns)
                market.now_ns = time_ns
            market.quotes[event.symbol] = event
            updates = self.broker.observe(event)
            if updates:
                self._book(updates)
            if self._on_quote is not None:
                self._on_quote(event)
        else:
            self._on_other(event)
        if self._wishes:
            self._settle()

    def finish(self) -> None:
        """End: the strategy hears it; what it asks for now does not leave."""
        self.strategy.stop()
        self._wishes.clear()

    def _on_other(self, event: Event) -> None:
        time_ns = event.time_ns + (event.interval_s * 10**9 if isinstance(event, Bar) else 0)
        if time_ns > self.market.now_ns:
            if time_ns >= self._desk.due_ns:
                self._call_timers(time_ns)
            self.market.now_ns = time_ns
        if isinstance(event, OrderUpdate | Settlement):
            self._book([event])
            return
        if updates := self.broker.observe(event):
            self._book(updates)
        if isinstance(event, Bar):
            if self._on_bar is not None:
                self._on_bar(event)
        elif isinstance(event, TradeTick) and self._on_trade is not None:
            self._on_trade(event)

    def _call_timers(self, until_ns: int) -> None:
        """Call what is due up to a time, each at its own."""
        while self._desk.due_ns <= until_ns:
            at_ns, name = self._desk.take_timer()
            self.market.now_ns = max(self.market.now_ns, at_ns)
            self.strategy.on_timer(name)
            if self._wishes:
                self._settle()

    def _settle(self) -> None:
        """Act on what the strategy asked for, and on what it asks on hearing the answers."""
        wishes = self._wishes
        while wishes:
            wish = wishes.pop(0)
            if wish.ticket is None:
                self._cancel(wish.target or "", self.names.strategy)
            else:
                self._send(wish, wish.ticket)

    def _send(self, wish: Wish, ticket: OrderTicket) -> None:
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
        denial = self.gate.check(ticket, self, wish.target)
        if denial is not None:
            self._deny(ticket, denial)
            return
        self._record(
            Intended(
                event=self.number,
                at_ns=at_ns,
                ticket_id=ticket_id,
                ticket=msgspec.Raw(ticket.model_dump_json().encode()),
                replaces=wish.target,
            )
        )
        self.book.add(ticket)
        try:
            updates = self._to_broker(ticket, wish.target)
        except OrderRejected as error:
            updates = self._said(ticket, OrderStatus.REJECTED, error.reason)
        except OrderUnknown as error:
            updates = self._said(ticket, OrderStatus.UNKNOWN, str(error))
        except RiskDenied as error:
            updates = self._said(ticket, OrderStatus.DENIED, str(error))
        self._book(updates)

    def _to_broker(self, ticket: OrderTicket, replaces: str | None) -> list[OrderUpdate]:
        if replaces is None:
            return self.broker.submit(ticket)
        old = self.book.order(replaces)
        if old is None or old.order_id is None:
            reason = f"the order {replaces} does not stand at the broker"
            raise OrderRejected(f"order refused: {reason}", reason=reason)
        return self.broker.replace(old.order_id, orders_of(ticket)[0])

    def _cancel(self, client_order_id: str, by: str) -> None:
        order = self.book.order(client_order_id)
        if order is None or order.order_id is None or order.status.terminal:
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
        told = msgspec.structs.replace(update, client_order_id=name, fills=fills)
        self._record(Heard(event=self.number, at_ns=self.market.now_ns, update=told))
        return told

    def _end(self, settlement: Settlement) -> Settlement | None:
        """Book what became of options; those that others hold are not ours to book."""
        if not self.portfolio.settle(settlement):
            return None
        self._record(Ended(event=self.number, at_ns=self.market.now_ns, settlement=settlement))
        return settlement
