"""Where tickets leave for Schwab, each at most once, and where lost answers are settled.

Before a ticket leaves, its intent is in the journal; what came of it follows. Whatever happens in
between (a lost answer, a missing or wrong `Location`, a killed program), the ticket is looked for
among the broker's own orders, by the rule of `settlement`, and never sent again. While one of two
equal tickets is not settled, the other does not leave; and a broker's id belongs to one order.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from models.errors import OrderRejected, OrderUnknown, RiskDenied, TradingError
from models.events import OrderUpdate
from models.journal import (
    Acknowledged,
    Asked,
    Evidence,
    Intent,
    Opened,
    Outcome,
    Record,
    Refused,
    Settled,
    Unknown,
    Updated,
)
from models.order_groups import OrderTicket, orders_of
from models.order_terms import Mode
from models.trading import Order
from schwab_integration import settlement
from schwab_integration.fingerprints import Found, Shape, match, match_legs, shape_of
from schwab_integration.lookups import Lookups
from schwab_integration.order_book import OrderBook, Ticket, TicketState
from schwab_integration.order_news import ns_of, number, rejected, time_of, updates_of
from schwab_integration.orders import WireOrder, to_wire
from schwab_integration.settlement import Judgement
from schwab_integration.trader_replies import PlacedOrder, ReportedOrder
from utils.clock import Clock, wall_clock
from utils.shared_limit import SharedRateLimiter
from utils.transaction_logger import TransactionLogger

_log = logging.getLogger(__name__)

MARGIN: Final = timedelta(minutes=10)
"""Lists are asked for this much wider than the times in question, for clocks that differ."""


class Trader(Protocol):
    """What is needed of `SchwabTrader`."""

    def orders(
        self, account_hash: str, entered_from: datetime, entered_to: datetime
    ) -> Sequence[ReportedOrder]:
        """Return the account's orders entered in that time, all of them."""
        ...

    def order(self, account_hash: str, order_id: int) -> ReportedOrder:
        """Return one order."""
        ...

    def place(self, account_hash: str, wire: WireOrder) -> PlacedOrder:
        """Place an order, once."""
        ...

    def replace(self, account_hash: str, order_id: int, wire: WireOrder) -> PlacedOrder:
        """Put another order in the place of one, once."""
        ...

    def cancel(self, account_hash: str, order_id: int) -> None:
        """Ask to cancel an order, once."""
        ...


@dataclass(frozen=True, slots=True)
class DeskTime:
    """The desk's time; tests hand in their own.

    Attributes:
        clock: Wall time, for the journal and to compare with times of entry.
        monotonic: Seconds, for the rule: nobody sets it.
        sleep: Waits.
    """

    clock: Clock = wall_clock
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class OrderDesk:
    """One account's tickets: sent once, journaled, settled. Threads may share it.

    Args:
        trader: Speaks to Schwab.
        account_id: Hash of the account.
        journal: The account's journal; it is read, and what is open in it is settled before
            anything else leaves.
        mode: Stamped on fills.
        limiter: Of the account's order requests; None does not limit.
        times: Clocks.
    """

    def __init__(  # noqa: PLR0913 - each is a part that others hand in
        self,
        trader: Trader,
        account_id: str,
        journal: TransactionLogger[Record],
        *,
        mode: Mode,
        limiter: SharedRateLimiter | None = None,
        times: DeskTime | None = None,
    ) -> None:
        self.book = OrderBook()
        self._trader = trader
        self._account_id = account_id
        self._journal = journal
        self._mode = mode
        self._limiter = limiter
        self._times = times or DeskTime()
        self._changed = threading.Condition(threading.RLock())
        self._lookups = Lookups(self.book, self._times.monotonic)
        self._in_flight: set[str] = set()
        self._signs: dict[int | None, object] = {}
        self._backlog: list[OrderUpdate] = []
        for record in journal.read():
            if not isinstance(record, Opened):
                self.book.apply(record)
        self._reopen()

    def send(
        self,
        ticket: OrderTicket,
        *,
        urgent: bool = False,
        replaces: str | None = None,
    ) -> list[OrderUpdate]:
        """Send a ticket, once, and return what is known of its orders.

        Args:
            ticket: What to send.
            urgent: It may use the reserve of requests.
            replaces: The broker's id of the order whose place it takes.

        Raises:
            RiskDenied: An equal ticket is not settled, or a client order id was used before.
            DataError: Schwab would refuse it.
            StoreError: The journal cannot be written: nothing was sent.
            OrderRejected: Schwab refuses it.
            OrderUnknown: Its answer was lost: `settle` looks it up.
            TradingError: It certainly did not arrive.
        """
        wire = to_wire(ticket)
        if self._recovering:
            self._backlog += self.recover()
        entry = self._enter(ticket, wire, urgent=urgent, replaces=replaces)
        try:
            return self._acknowledge(entry, self._once(entry, wire))
        finally:
            with self._changed:
                self._in_flight.discard(entry.ticket_id)
                self._changed.notify_all()

    def settle(self) -> list[OrderUpdate]:
        """Look for the tickets whose answer was lost, where it is time to, and say what is new.

        News that was kept meanwhile, of any order, comes first.
        """
        with self._changed:
            due = self._lookups.due(self._unknown())
            updates, self._backlog = self._backlog, []
        if not due:
            return updates
        listed = self._list(min(time_of(ticket.sent_ns) for ticket in due))
        with self._changed:
            for ticket in due:
                if ticket.state in {TicketState.UNKNOWN, TicketState.ASKED}:
                    updates += self._judge(ticket, listed)
            return updates + (self._notice(listed) if listed is not None else [])

    def recover(self) -> list[OrderUpdate]:
        """Settle what is unknown, or hand it to a person, before anything else leaves."""
        updates: list[OrderUpdate] = []
        while waiting := [t for t in self._unknown() if t.state is TicketState.UNKNOWN]:
            updates += self.settle()
            pause = self._lookups.next_look_s([t for t in waiting if t.state.open])
            if pause:
                self._times.sleep(pause)
        self._recovering = False
        return updates

    def next_look_s(self) -> float | None:
        """Return the seconds until `settle` has something to do, or None if nothing is unknown."""
        with self._changed:
            return self._lookups.next_look_s(self._unknown())

    def questions(self) -> dict[str, str]:
        """Return client order id -> what a person is asked about its ticket."""
        with self._changed:
            open_ones = self.book.open_tickets()
        return {t.ticket_id: t.question for t in open_ones if t.state is TicketState.ASKED}

    def resolve(self, client_order_id: str, order_id: str | None) -> list[OrderUpdate]:
        """Take a person's word for a ticket that is not settled.

        Args:
            client_order_id: Of any of its orders.
            order_id: The broker's id of the order (of a group: of the group or its parent), or
                None: it is not there. Its price, type, duration and session may be others than
                were sent; its legs and their directions may not.

        Raises:
            OrderRejected: It is settled already, or the named order is another's or has other
                legs.
            TradingError: The named order cannot be looked at.
        """
        ticket = self._ticket_of(client_order_id)
        if order_id is None:
            with self._changed:
                return self._settle(ticket, Outcome.ABSENT, Evidence.USER)
        reported = self._trader.order(self._account_id, number(order_id))
        with self._changed:
            found = match_legs(ticket.ticket, ticket.shape, reported)
            if found is None or self.book.claimed(reported):
                why = "has other legs" if found is None else "belongs to another order of ours"
                raise rejected(f"the order {order_id} {why}: it is not {client_order_id}")
            return self._settle(ticket, Outcome.ACCEPTED, Evidence.USER, found)

    def see(self, listed: Sequence[ReportedOrder]) -> list[OrderUpdate]:
        """Take the broker's list in and return what is new of our orders."""
        with self._changed:
            return self._notice(listed)

    def present(self, client_order_id: str) -> OrderUpdate:
        """Return an order's newest state, without executions."""
        with self._changed:
            return self._present(client_order_id)

    def keep(self, updates: Sequence[OrderUpdate]) -> None:
        """Keep news that nobody could be told of yet: the next `settle` says it."""
        with self._changed:
            self._backlog += updates

    def hear(self, update: OrderUpdate) -> list[OrderUpdate]:
        """Take an update of a stream in; return it, named, if it is of our order and new.

        Its executions are left to the list, which names them otherwise: each is booked once.
        """
        with self._changed:
            client_order_id = self.book.owners.get(update.order_id or "")
            if client_order_id is None or self.book.order_id(client_order_id) != update.order_id:
                return []  # a group's own id belongs to its first order, its news does not
            named = msgspec.structs.replace(update, client_order_id=client_order_id, fills=())
            return self._merge([named])

    def _reopen(self) -> None:
        """Take up what earlier programs left open, and what they said to be absent just now."""
        for ticket in self.book.open_tickets():
            if ticket.state is TicketState.SENT:
                self._lose(ticket, "the program ended before the answer came")
            else:
                self._lookups.lost(ticket.ticket_id)
        self._recovering = bool(self.book.open_tickets())
        self._lookups.reopen(self._now_ns())

    def _enter(
        self, ticket: OrderTicket, wire: WireOrder, *, urgent: bool, replaces: str | None
    ) -> Ticket:
        """Write the intent, once the ticket may leave; afterwards it must."""
        shape = shape_of(wire)
        ticket_id = orders_of(ticket)[0].client_order_id
        waited = 0.0
        while True:
            with self._changed:
                self._check_new(ticket)
                self._await_twin(shape)
                self._check_new(ticket)  # another thread may have used a name meanwhile
                wait = self._limiter.try_acquire(urgent=urgent) if self._limiter else 0.0
                if wait <= 0:
                    raw = msgspec.Raw(ticket.model_dump_json().encode())
                    self._lookups.sent(ticket_id)
                    self._in_flight.add(ticket_id)
                    self._write(
                        Intent(
                            at_ns=self._now_ns(),
                            ticket_id=ticket_id,
                            ticket=raw,
                            replaces=replaces,
                        )
                    )
                    return self.book.tickets[ticket_id]
            if self._limiter:
                waited += self._limiter.pause(wait, waited)

    def _check_new(self, ticket: OrderTicket) -> None:
        names = [order.client_order_id for order in orders_of(ticket)]
        used = [name for name in names if name in self.book.orders or names.count(name) > 1]
        if used:
            message = f"the client order id {used[0]} was used before: give each order its own"
            raise RiskDenied(message, rule="client_order_id", limit="once", value=used[0])

    def _await_twin(self, shape: Shape) -> None:
        """Let no ticket leave beside an equal one that is on its way or unknown."""
        while twins := [t for t in self.book.open_tickets() if t.shape == shape]:
            lost = [twin for twin in twins if twin.ticket_id not in self._in_flight]
            if lost:
                twin = lost[0]
                message = (
                    f"whether the equal order {twin.ticket_id} stands at Schwab is not known yet: "
                    "this one was not sent, so that it is not doubled"
                )
                raise RiskDenied(message, rule="twin", limit="1", value=twin.ticket_id)
            self._changed.wait()

    def _once(self, entry: Ticket, wire: WireOrder) -> PlacedOrder:
        """Send what is journaled; write down what came of it where that is not acceptance."""
        try:
            if entry.replaces is None:
                return self._trader.place(self._account_id, wire)
            return self._trader.replace(self._account_id, number(entry.replaces), wire)
        except OrderUnknown as error:
            self._lose(entry, str(error))
            raise
        except TradingError as error:
            reason = error.reason if isinstance(error, OrderRejected) else str(error)
            self._write(Refused(at_ns=self._now_ns(), ticket_id=entry.ticket_id, reason=reason))
            raise
        except BaseException:
            self._lose(entry, "the program was interrupted before the answer came")
            raise

    def _acknowledge(self, ticket: Ticket, placed: PlacedOrder) -> list[OrderUpdate]:
        """Look at the order that `Location` names; look for it where it names none or another."""
        reported = None
        if placed.order_id is not None:
            try:
                reported = self._trader.order(self._account_id, placed.order_id)
            except TradingError as error:
                _log.info("the order %s cannot be looked at yet: %s", placed.order_id, error)
            except BaseException:
                reason = "the program was interrupted before it looked at the order that was taken"
                self._lose(ticket, reason, accepted=True)
                raise
        with self._changed:
            if reported is not None and not self.book.claimed(reported):
                found = match(ticket.ticket, ticket.shape, reported)
                if found is not None:
                    return self._claim(
                        Acknowledged(
                            at_ns=self._now_ns(),
                            ticket_id=ticket.ticket_id,
                            order_ids=found.order_ids,
                            group_id=found.group_id,
                            tag=reported.tag,
                        ),
                        found,
                    )
        reason = "Schwab took it, but did not name the order, or named another one"
        self._lose(ticket, reason, accepted=True)
        listed = self._list(time_of(ticket.sent_ns))
        with self._changed:
            updates = self._judge(ticket, listed)
            if ticket.state is TicketState.STANDS:
                return updates
            self._backlog += updates
        message = f"{reason}: {ticket.ticket_id} is looked up, do not send it again"
        raise OrderUnknown(message)

    def _lose(self, ticket: Ticket, reason: str, *, accepted: bool = False) -> None:
        with self._changed:
            self._write(
                Unknown(
                    at_ns=self._now_ns(),
                    ticket_id=ticket.ticket_id,
                    reason=reason,
                    accepted=accepted,
                )
            )
            self._lookups.lost(ticket.ticket_id)

    def _list(self, since: datetime) -> Sequence[ReportedOrder] | None:
        """Return the broker's orders since a time, or None where it does not answer."""
        now = self._times.clock()
        try:
            return self._trader.orders(self._account_id, since - MARGIN, now + MARGIN)
        except TradingError as error:
            _log.warning("lost orders cannot be looked up: %s", error)
            return None

    def _judge(self, ticket: Ticket, listed: Sequence[ReportedOrder] | None) -> list[OrderUpdate]:
        judgement, one, found = self._lookups.judge(ticket, listed)
        if judgement is Judgement.FOUND and one is not None:
            return self._settle(ticket, Outcome.ACCEPTED, Evidence.LOOKUP, one)
        if judgement is Judgement.ABSENT:
            self._lookups.absent(ticket.ticket_id)
            return self._settle(ticket, Outcome.ABSENT, Evidence.RULE)
        if judgement is Judgement.ASK and ticket.state is not TicketState.ASKED:
            return self._ask(ticket, settlement.question(ticket.ticket, found))
        return []

    def _settle(
        self, ticket: Ticket, outcome: Outcome, by: Evidence, found: Found | None = None
    ) -> list[OrderUpdate]:
        record = Settled(
            at_ns=self._now_ns(),
            ticket_id=ticket.ticket_id,
            outcome=outcome,
            by=by,
            order_ids=found.order_ids if found else {},
            group_id=found.group_id if found else None,
        )
        _log.warning("the order %s is settled: %s, by %s", ticket.ticket_id, outcome, by)
        if found is not None:
            return self._claim(record, found)
        self._write(record)
        return self._told(ticket)

    def _ask(self, ticket: Ticket, question: str) -> list[OrderUpdate]:
        _log.error("%s", question)
        at_ns = self._now_ns()
        self._write(Asked(at_ns=at_ns, ticket_id=ticket.ticket_id, question=question))
        return [msgspec.structs.replace(update, reason=question) for update in self._told(ticket)]

    def _claim(self, record: Acknowledged | Settled, found: Found) -> list[OrderUpdate]:
        """Write which ids are ours, and what the order's state is, in one piece."""
        self._write(record)
        return self._merge(self._updates_of(found.root)) or self._told(
            self.book.tickets[record.ticket_id]
        )

    def _told(self, ticket: Ticket) -> list[OrderUpdate]:
        """Return the newest state of a ticket's orders."""
        return [self._present(order.client_order_id) for order in orders_of(ticket.ticket)]

    def _present(self, client_order_id: str) -> OrderUpdate:
        state = self.book.orders[client_order_id]
        return OrderUpdate(
            order_id=state.order.order_id,
            client_order_id=client_order_id,
            status=state.order.status,
            time_ns=self._now_ns(),
            filled_quantity=state.order.filled_quantity,
            reason=state.reason,
        )

    def _notice(self, listed: Sequence[ReportedOrder]) -> list[OrderUpdate]:
        """Take a list in: news of our orders, orders of others, orders that arrived late."""
        updates, news = [], []
        for ticket, found in self._lookups.late(listed):
            _log.error("the order %s arrived late: it stands after all", ticket.ticket_id)
            updates += self._settle(ticket, Outcome.ACCEPTED, Evidence.LOOKUP, found)
        for root in listed:
            if not self.book.claimed(root):
                self._lookups.seen(root)
                continue
            sign = _sign(root)
            if self._signs.get(root.order_id) != sign:
                self._signs[root.order_id] = sign
                news += self._updates_of(root)
        return updates + self._merge(news)

    def _updates_of(self, root: ReportedOrder) -> list[OrderUpdate]:
        return updates_of(
            root,
            self.book.owners,
            account_id=self._account_id,
            mode=self._mode,
            now_ns=self._now_ns(),
        )

    def _merge(self, updates: Sequence[OrderUpdate]) -> list[OrderUpdate]:
        """Book what is new and return it; executions that were told before are left out."""
        new, records = [], []
        for update in updates:
            before = self.book.orders[update.client_order_id or ""]
            fills = tuple(one for one in update.fills if one.execution_id not in before.fills)
            news = msgspec.structs.replace(update, fills=fills)
            record = Updated(at_ns=self._now_ns(), update=news)
            self.book.apply(record)
            after = self.book.orders[update.client_order_id or ""]
            if _changed(before.order, after.order) or fills:
                records.append(record)
                new.append(news)
        if records:
            self._journal.append(*records)
        return new

    def _unknown(self) -> list[Ticket]:
        return [t for t in self.book.open_tickets() if t.state is not TicketState.SENT]

    def _ticket_of(self, client_order_id: str) -> Ticket:
        with self._changed:
            for ticket in self._unknown():
                names = [order.client_order_id for order in orders_of(ticket.ticket)]
                if client_order_id in names:
                    return ticket
        raise rejected(f"the order {client_order_id} is not waiting to be settled")

    def _write(self, record: Record) -> None:
        with self._changed:
            self._journal.append(record)
            self.book.apply(record)
            self._changed.notify_all()

    def _now_ns(self) -> int:
        return ns_of(self._times.clock())


def _sign(root: ReportedOrder) -> tuple[object, ...]:
    """Return what changes when there is news of an order or its children."""
    children = tuple(_sign(child) for child in root.child_order_strategies)
    executions = len(root.order_activity_collection)
    return (root.status, root.filled_quantity, executions, root.status_description, children)


def _changed(before: Order, after: Order) -> bool:
    """Whether an update told something new of an order."""
    return (before.status, before.filled_quantity, before.order_id) != (
        after.status,
        after.filled_quantity,
        after.order_id,
    )
