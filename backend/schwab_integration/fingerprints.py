"""The fingerprint of an order: by what it is known again among the broker's orders. Pure.

Schwab's orders carry no id of ours. Two orders are equal if legs (symbol, instruction, quantity),
type, session, duration and prices are the same, of the order and of all that hangs together with it
(`Shape`). They are alike if one order of each trades the same symbols and quantities, whatever its
other terms: such an order may be ours after a broker, or a person, has changed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations
from typing import TYPE_CHECKING

from models.order_groups import OneCancelsOther, Trigger
from models.schwab_order_terms import OrderStrategy
from schwab_integration.orders import WITH_LIMIT, WITH_STOP, WITH_TRAIL, to_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.order_groups import OrderTicket
    from models.trading import Order
    from schwab_integration.orders import WireOrder
    from schwab_integration.trader_replies import ReportedOrder


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What two equal orders have in common, in the words of the wire.

    Attributes:
        legs: Symbol, instruction and quantity of each, sorted.
        order_type: LIMIT, ...
        session: NORMAL, ...
        duration: DAY, ...
        price: USD without sign; None of types without a limit.
        stop: USD; None of types without a stop.
        trail: Offset, unit and basis of a trailing stop.
    """

    legs: tuple[tuple[str, str, Decimal], ...]
    order_type: str
    session: str
    duration: str
    price: Decimal | None = None
    stop: Decimal | None = None
    trail: tuple[Decimal, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The fingerprint of an order with all that hangs together with it.

    Attributes:
        strategy: SINGLE, OCO or TRIGGER.
        terms: Of its own order; None of OCO, which has none.
        children: Of OCO sorted, since it has no first.
    """

    strategy: str
    terms: Fingerprint | None
    children: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A ticket among the broker's orders.

    Attributes:
        order_ids: Client order id -> the broker's.
        group_id: The broker's id of the group itself, where it has one of its own.
        root: The order as reported, with its children.
    """

    order_ids: dict[str, str]
    group_id: str | None
    root: ReportedOrder


def shape_of(order: WireOrder | ReportedOrder) -> Shape:
    """Return the shape of an order as it is sent or as it is reported: equal if it is the same."""
    children = tuple(shape_of(child) for child in order.child_order_strategies)
    strategy = str(order.order_strategy_type or OrderStrategy.SINGLE)
    if strategy == OrderStrategy.OCO:
        children = tuple(sorted(children, key=repr))
    legs = order.order_leg_collection
    return Shape(strategy, fingerprint_of(order) if legs else None, children)


def fingerprint_of(order: WireOrder | ReportedOrder) -> Fingerprint:
    """Return the fingerprint of one order, without its children."""
    kind = str(order.order_type)
    legs = sorted(
        (leg.instrument.symbol or "", str(leg.instruction), _exact(leg.quantity))
        for leg in order.order_leg_collection
    )
    trail = None
    if kind in WITH_TRAIL:
        unit, basis = order.stop_price_link_type, order.stop_price_link_basis
        trail = (_exact(order.stop_price_offset), str(unit), str(basis))
    return Fingerprint(
        legs=tuple(legs),
        order_type=kind,
        session=str(order.session or "NORMAL"),
        duration=str(order.duration or "DAY"),
        price=_exact(order.price) if kind in WITH_LIMIT else None,
        stop=_exact(order.stop_price) if kind in WITH_STOP else None,
        trail=trail,
    )


def _exact(value: Decimal | str | None) -> Decimal:
    return abs(Decimal(value or 0)).normalize()


def match(ticket: OrderTicket, shape: Shape, reported: ReportedOrder) -> Found | None:
    """Return the ids of a ticket's orders in a reported order, or None if it is another."""
    return _found(ticket, reported) if shape_of(reported) == shape else None


def match_legs(ticket: OrderTicket, shape: Shape, reported: ReportedOrder) -> Found | None:
    """Return the ids of a ticket's orders in a reported one with the same legs and directions.

    Prices, type, duration and session may differ: whether it is the same order a person must say.
    """
    return _found(ticket, reported) if _bare(shape_of(reported)) == _bare(shape) else None


def alike(one: Shape, other: Shape) -> bool:
    """Whether one order of each trades the same symbols and quantities, whatever the rest.

    An order whose legs cannot be read may trade anything.
    """
    mine, theirs = _traded(one), _traded(other)
    return not (mine and theirs) or not mine.isdisjoint(theirs)


def _traded(shape: Shape) -> set[tuple[tuple[str, Decimal], ...]]:
    own = {
        tuple(sorted((symbol, quantity) for symbol, _, quantity in terms.legs))
        for terms in (shape.terms,)
        if terms is not None
    }
    return own.union(*(_traded(child) for child in shape.children))


def _bare(shape: Shape) -> Shape:
    """Return a shape of which only legs and directions are left."""
    children = tuple(_bare(child) for child in shape.children)
    if shape.strategy == OrderStrategy.OCO:
        children = tuple(sorted(children, key=repr))
    terms = shape.terms
    if terms is not None:
        legs = ((symbol, action[:3], quantity) for symbol, action, quantity in terms.legs)
        terms = Fingerprint(tuple(sorted(legs)), order_type="", session="", duration="")
    return Shape(shape.strategy, terms, children)


def _found(ticket: OrderTicket, reported: ReportedOrder) -> Found | None:
    order_ids = _ids(ticket, reported)
    if order_ids is None:
        return None
    root_id = None if reported.order_id is None else str(reported.order_id)
    group_id = root_id if root_id not in order_ids.values() else None
    return Found(order_ids, group_id, reported)


def _ids(ticket: OrderTicket, reported: ReportedOrder) -> dict[str, str] | None:
    """Return client order id -> broker's id of a ticket that has the reported order's legs."""
    children = reported.child_order_strategies
    if isinstance(ticket, OneCancelsOther):
        return _pair(ticket.orders, children)
    first = ticket.first if isinstance(ticket, Trigger) else ticket
    if reported.order_id is None:
        return None
    own = {first.client_order_id: str(reported.order_id)}
    if isinstance(ticket, Trigger):
        then = _ids(ticket.then, children[0])
        return None if then is None else own | then
    return own


def _pair(orders: tuple[Order, ...], children: tuple[ReportedOrder, ...]) -> dict[str, str] | None:
    """Find which of two children is which; of two equal ones the first is the first."""
    if any(child.order_id is None for child in children):
        return None
    sent = [shape_of(to_wire(order)) for order in orders]

    def fit(chosen: tuple[ReportedOrder, ...]) -> int:
        """Count the legs, and then the terms, that agree: where all agree nothing counts more."""
        told = [shape_of(child) for child in chosen]
        pairs = list(zip(sent, told, strict=True))
        legs = sum(_bare(one) == _bare(other) for one, other in pairs)
        return 3 * legs + sum(one == other for one, other in pairs)

    best = max(permutations(children), key=fit)
    names = [order.client_order_id for order in orders]
    return {name: str(child.order_id) for name, child in zip(names, best, strict=True)}


def ids_within(reported: ReportedOrder) -> Iterator[str]:
    """Yield the broker's ids of an order, its group and its children."""
    if reported.order_id is not None:
        yield str(reported.order_id)
    for child in reported.child_order_strategies:
        yield from ids_within(child)
