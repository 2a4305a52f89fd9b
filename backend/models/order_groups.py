"""Orders that hang together: one cancels the other, one triggers the next, a bracket of both."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from pydantic import Field, TypeAdapter

from models.base import Model
from models.trading import Order


class OneCancelsOther(Model):
    """Orders that work at the same time; the first that fills cancels the rest."""

    orders: Annotated[tuple[Order, ...], Field(min_length=2, max_length=2)]
    """The two."""


class Trigger(Model):
    """An order whose fill lets another ticket work."""

    first: Order
    """What works at once."""

    then: OrderTicket
    """What waits for its fill: an order, a pair of which one cancels the other, or a chain."""


OrderTicket: TypeAlias = Order | OneCancelsOther | Trigger
"""What a broker is given in one piece. A bracket is a `Trigger` whose `then` is a
`OneCancelsOther`."""

Trigger.model_rebuild()
_tickets: TypeAdapter[OrderTicket] = TypeAdapter(OrderTicket)
_write = msgspec.json.Encoder(enc_hook=vars, decimal_format="string").encode


def orders_of(ticket: OrderTicket) -> tuple[Order, ...]:
    """Return all orders of a ticket, in the order in which they are written."""
    if type(ticket) is Order:  # nearly all are: an isinstance of pydantic's costs more
        return (ticket,)
    if isinstance(ticket, OneCancelsOther):
        return ticket.orders
    if isinstance(ticket, Trigger):
        return (ticket.first, *orders_of(ticket.then))
    return (ticket,)


def write_ticket(ticket: OrderTicket) -> bytes:
    """Return a ticket as the JSON that journals hold: that of its models, written much faster."""
    return _write(ticket)


def read_ticket(written: bytes) -> OrderTicket:
    """Return the ticket that a journal holds.

    Raises:
        ValueError: It is none.
    """
    return _tickets.validate_json(written)
