"""The simulator's memory of an order: what was asked for, what became of it, and its activity."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from models.order_terms import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.fees import FeeParts
    from models.schwab_order_terms import ExecutionType
    from simulator.order_forms import OrderForm


@dataclass(frozen=True, slots=True)
class ActivityLeg:
    """What one leg did in one activity.

    Attributes:
        leg_id: From 1.
        quantity: Contracts or shares.
        price: USD; 0 of a cancellation.
        fees: What was charged; None of a cancellation.
        transaction_id: Of the transaction that books it; None of a cancellation.
    """

    leg_id: int
    quantity: Decimal
    price: Decimal
    fees: FeeParts | None = None
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One execution, or the end of what was not executed.

    Attributes:
        activity_id: Unique.
        kind: FILL or CANCELED.
        quantity: Units.
        remaining: Units open afterwards.
        time_ns: Market time.
        legs: In the order of execution.
    """

    activity_id: int
    kind: ExecutionType
    quantity: Decimal
    remaining: Decimal
    time_ns: int
    legs: tuple[ActivityLeg, ...]


@dataclass(slots=True)
class OrderRecord:
    """One order of an account, or the node of an OCO.

    Attributes:
        order_id: Thirteen digits.
        account_number: Eight digits.
        form: What was asked for.
        client_order_id: Ours towards the engine; empty of an OCO's node.
        entered_ns: Market time of entry.
        placed_s: Wall seconds of entry, of a clock that only rises.
        status: The engine's.
        filled: Units.
        closed_ns: Market time of its end; None while it lives.
        reason: Why it was rejected or expired.
        accepted: Whether the broker took it.
        routed: Whether it has been at a venue.
        opens_ns: Market time from which it may trade; 0 while it waits for a parent.
        triggered: Whether its stop was touched.
        parent: The order above it; None of the uppermost.
        children: Those below it.
        activities: In order.
        replaces: Id of the order in whose place it stands.
        replaced_by: Id of the order that stands in its place.
    """

    order_id: int
    account_number: str
    form: OrderForm
    client_order_id: str
    entered_ns: int
    placed_s: float
    status: OrderStatus = OrderStatus.SUBMITTED
    filled: Decimal = Decimal(0)
    closed_ns: int | None = None
    reason: str = ""
    accepted: bool = False
    routed: bool = False
    opens_ns: int = 0
    triggered: bool = False
    parent: OrderRecord | None = None
    children: list[OrderRecord] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    replaces: int | None = None
    replaced_by: int | None = None

    @property
    def remaining(self) -> Decimal:
        """Units not filled yet."""
        return (self.form.quantity or Decimal(0)) - self.filled

    def walk(self) -> Iterator[OrderRecord]:
        """Yield this order and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def trigger(self) -> OrderRecord | None:
        """Return the order whose fill lets this one work; None where there is none."""
        above = self.parent
        while above is not None and above.form.is_pair:
            above = above.parent
        return above


def take_place(old: OrderRecord, new: OrderRecord) -> None:
    """Hang a replacement where the old order hung, and take off what that one filled."""
    new.parent, old.parent = old.parent, None
    if new.parent is not None:
        twins = new.parent.children
        new.parent.children = [new if each is old else each for each in twins]
    new.children, old.children = old.children, []
    for child in new.children:
        child.parent = new
    units = new.form.quantity
    if old.filled and units:
        rest = units - old.filled
        legs = tuple(
            dataclasses.replace(leg, quantity=leg.quantity * rest / units) for leg in new.form.legs
        )
        new.form = dataclasses.replace(new.form, quantity=rest, legs=legs)


def settle_pair(record: OrderRecord) -> None:
    """Give an OCO's node the state that its children have together."""
    states = [child.status for child in record.children]
    ended = all(state.terminal for state in states)
    if ended:
        record.closed_ns = max(child.closed_ns or 0 for child in record.children)
        record.status = OrderStatus.FILLED if OrderStatus.FILLED in states else states[0]
    elif OrderStatus.WORKING in states or OrderStatus.PARTIALLY_FILLED in states:
        record.status = OrderStatus.WORKING
    else:
        record.status = states[0]


class EventKind(StrEnum):
    """What happened to an order, in the words of the exchange."""

    CREATED = "created"
    """It is there; `other_id` names the order that it is to replace."""
    ACCEPTED = "accepted"
    """The broker takes it; it may still wait for its session, a parent or a stop."""
    WORKING = "working"
    """It stands at a venue."""
    FILLED = "filled"
    """One execution, of all or of a part: `activity` tells which."""
    CANCELED = "canceled"
    """Its owner or its sibling ended it; `activity` tells the quantity."""
    REPLACED = "replaced"
    """Another stands in its place: `other_id`."""
    REJECTED = "rejected"
    """The broker does not take it; the order tells why."""
    EXPIRED = "expired"
    """Its time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent:
    """One event of one order, in the order in which they happen.

    Attributes:
        login: Whose account.
        account_number: Eight digits.
        order_id: Of the order.
        kind: What happened.
        time_ns: Market time.
        order: The order afterwards, as the wire shows it.
        record: The same as the exchange keeps it; it goes on changing.
        activity: Of FILLED and of ends at a venue; else None.
        other_id: Of CREATED and REPLACED: the other order of a replacement.
        client_canceled: Of CANCELED: whether the client asked, not a sibling's fill.
    """

    login: str
    account_number: str
    order_id: int
    kind: EventKind
    time_ns: int
    order: dict[str, Any]
    record: OrderRecord
    activity: Activity | None = None
    other_id: int | None = None
    client_canceled: bool = False
