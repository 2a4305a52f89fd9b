"""What the journal says of an account's orders: a state that is built record by record.

The broker's adapter writes each record to the journal and then gives it to `OrderBook.apply`; a
program that starts gives it all records of the file. Both ways lead to the same state, so that a
crash loses nothing that was written.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from models.events import OrderUpdate
from models.journal import (
    Acknowledged,
    Asked,
    Evidence,
    Intent,
    Outcome,
    Record,
    Refused,
    Settled,
    Unknown,
    Updated,
)
from models.order_groups import OrderTicket, orders_of, read_ticket
from models.order_terms import OrderStatus
from models.trading import Order
from schwab_integration.fingerprints import Shape, ids_within, shape_of
from schwab_integration.orders import to_wire
from schwab_integration.trader_replies import ReportedOrder
from utils.order_state import OrderState, apply

EXECUTIONS_WITHIN: Final = timedelta(days=3)
"""So long after the last news of a filled order its executions are asked for."""


class TicketState(StrEnum):
    """What is known of a ticket.

    SENT: on its way, or the program ended before the answer. UNKNOWN: the answer was lost. ASKED:
    a person has to say. STANDS: the broker has it. REFUSED, ABSENT: it has not.
    """

    SENT = "sent"
    UNKNOWN = "unknown"
    ASKED = "asked"
    STANDS = "stands"
    REFUSED = "refused"
    ABSENT = "absent"

    @property
    def open(self) -> bool:
        """Whether nobody knows if the broker has it."""
        return self in {TicketState.SENT, TicketState.UNKNOWN, TicketState.ASKED}


@dataclass(slots=True)
class Ticket:
    """One ticket and what is known of it.

    Attributes:
        ticket_id: Client order id of its first order.
        ticket: What was sent.
        shape: Its fingerprint.
        sent_ns: Just before it left.
        replaces: The broker's id of the order whose place it takes.
        state: What is known of it.
        lost_ns: When its answer was given up.
        accepted: The broker said that it took it, but not under which id.
        question: What a person was asked.
        absent_by: What said that the broker does not have it.
    """

    ticket_id: str
    ticket: OrderTicket
    shape: Shape
    sent_ns: int
    replaces: str | None = None
    state: TicketState = TicketState.SENT
    lost_ns: int = 0
    accepted: bool = False
    question: str = ""
    absent_by: Evidence | None = None


@dataclass(slots=True)
class OrderBook:
    """All tickets of one account, their orders and who owns which broker id.

    Attributes:
        tickets: By ticket id.
        orders: State of each order of ours, by client order id.
        owners: The broker's id -> client order id; a group's id -> that of its first order.
        own_tags: Schwab's tags of orders that are certainly ours.
    """

    tickets: dict[str, Ticket] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    own_tags: set[str] = field(default_factory=set)
    _open: dict[str, Ticket] = field(default_factory=dict)

    def open_tickets(self) -> list[Ticket]:
        """Return the tickets of which nobody knows whether they stand, oldest first."""
        return [ticket for ticket in self._open.values() if ticket.state.open]

    def unfinished(self, now: datetime) -> list[Order]:
        """Return the orders of which the broker's list may have news.

        Those that are not over, and those that are filled but whose executions are not all told: a
        stream tells of a fill before the list does, and the list alone names executions.
        """
        return [
            state.order
            for state in list(self.orders.values())
            if state.order.order_id is not None
            and (not state.order.status.terminal or _lacks_executions(state, now))
        ]

    def apply(self, record: Record) -> None:
        """Take one record in."""
        match record:
            case Intent():
                self._intend(record)
            case Unknown():
                ticket = self.tickets[record.ticket_id]
                ticket.state, ticket.lost_ns = TicketState.UNKNOWN, record.at_ns
                ticket.accepted = ticket.accepted or record.accepted
                self._tell(ticket, OrderStatus.UNKNOWN, record.at_ns)
            case Asked():
                ticket = self.tickets[record.ticket_id]
                ticket.state, ticket.question = TicketState.ASKED, record.question
            case Refused():
                self._end(record.ticket_id, TicketState.REFUSED, record.at_ns, record.reason)
            case Acknowledged() | Settled(outcome=Outcome.ACCEPTED):
                self._claim(record)
            case Settled():
                reason = f"it never arrived ({record.by})"
                self.tickets[record.ticket_id].absent_by = record.by
                self._end(record.ticket_id, TicketState.ABSENT, record.at_ns, reason)
            case Updated():
                self._update(record.update)

    def claimed(self, reported: ReportedOrder) -> bool:
        """Whether a reported order, its group or one of its children belongs to an order of ours."""
        return any(order_id in self.owners for order_id in ids_within(reported))

    def order_id(self, client_order_id: str) -> str | None:
        """Return the broker's id of an order of ours, or None."""
        state = self.orders.get(client_order_id)
        return state.order.order_id if state else None

    def _intend(self, record: Intent) -> None:
        ticket = read_ticket(bytes(record.ticket))
        entry = Ticket(
            record.ticket_id, ticket, shape_of(to_wire(ticket)), record.at_ns, record.replaces
        )
        self.tickets[record.ticket_id] = self._open[record.ticket_id] = entry
        for order in orders_of(ticket):
            self.orders[order.client_order_id] = OrderState(order, said=order.status)

    def _claim(self, record: Acknowledged | Settled) -> None:
        ticket = self.tickets[record.ticket_id]
        ticket.state = TicketState.STANDS
        self._open.pop(record.ticket_id, None)
        for client_order_id, order_id in record.order_ids.items():
            self.owners[order_id] = client_order_id
            order = self.orders[client_order_id].order
            stands = order.model_copy(
                update={"order_id": order_id, "status": OrderStatus.SUBMITTED}
            )
            self.orders[client_order_id] = OrderState(stands, said=OrderStatus.SUBMITTED)
        if isinstance(record, Acknowledged) and record.tag is not None:
            self.own_tags.add(record.tag)
        if record.group_id is not None:
            self.owners[record.group_id] = record.ticket_id

    def _end(self, ticket_id: str, state: TicketState, at_ns: int, reason: str) -> None:
        ticket = self.tickets[ticket_id]
        ticket.state = state
        self._open.pop(ticket_id, None)
        self._tell(ticket, OrderStatus.REJECTED, at_ns, reason)

    def _tell(self, ticket: Ticket, status: OrderStatus, at_ns: int, reason: str = "") -> None:
        for order in orders_of(ticket.ticket):
            self._update(
                OrderUpdate(
                    order_id=None,
                    client_order_id=order.client_order_id,
                    status=status,
                    time_ns=at_ns,
                    reason=reason,
                )
            )

    def _update(self, update: OrderUpdate) -> None:
        if update.client_order_id in self.orders:
            state = self.orders[update.client_order_id]
            self.orders[update.client_order_id] = apply(state, update)


def _lacks_executions(state: OrderState, now: datetime) -> bool:
    """Whether executions of what is filled are still to come, and not too old to be listed."""
    order = state.order
    told = sum(fill.quantity for fill in state.fills.values())
    filled = order.filled_quantity * sum(leg.quantity for leg in order.legs)
    return told < filled and now - order.updated_at < EXECUTIONS_WITHIN
