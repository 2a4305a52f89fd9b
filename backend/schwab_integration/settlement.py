"""Whether a ticket whose answer was lost stands at the broker: fingerprints and the rule. Pure.

Schwab's orders carry no id of ours. What was sent is found again by its fingerprint (legs with
instruction and quantity, type, session, duration, prices) among the orders of the account that
nobody has claimed, entered while it was under way. The rule:

- One such order: that is it (FOUND).
- None, in `ABSENT_LISTS` complete lists, the last of them `ABSENT_AFTER_S` after the answer was
  lost: it never arrived (ABSENT). This holds only where the broker has not said that it
  took the order, and where no equal order was entered at another time, which a wrong clock on
  either side would explain.
- Anything else that is not clear `ASK_AFTER_S` after the loss is a person's to say (ASK): several
  equal orders, lists that do not come, a taken order that no list shows.

What the rule cannot see: a gateway that holds a request back for longer than `ABSENT_AFTER_S` and
passes it on afterwards. Such an order is found by later lists, claimed by its ticket and reported.

A person's own order with equal terms: one that a list showed before the ticket left is never taken
for ours, nor is one that was entered before or after the time under way. One entered by hand while
the ticket was under way is told apart by Schwab's `tag`, which names the program that entered an
order, where the tags differ: then the person is asked, unless exactly one of several carries ours.
Without tags, and if our own order never arrived, the person's order is taken for ours; both wanted
the same, and the account holds no more than one of them. Of a ticket that an ended program left
behind, the time under way ends `ANSWERED_WITHIN` after it left: an equal order that was entered
later is asked about, since a person who saw the program dead may have entered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import permutations
from typing import TYPE_CHECKING, Final

from models.order_groups import OneCancelsOther, OrderTicket, Trigger
from models.order_terms import OrderType
from models.schwab_order_terms import OrderStrategy
from models.trading import Order
from schwab_integration.decoding import moment
from schwab_integration.orders import to_wire

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from schwab_integration.orders import WireOrder
    from schwab_integration.trader_replies import ReportedOrder

ENTERED_EARLY: Final = timedelta(seconds=5)
"""The broker's clock may be this far behind ours; its times of entry have whole seconds."""

ENTERED_LATE: Final = timedelta(seconds=30)
"""An order may be entered this long after its answer was lost, by a slow gateway or a clock ahead
of ours."""

ANSWERED_WITHIN: Final = timedelta(minutes=2)
"""The longest that a program which ended can have waited: for a token, then for the answer."""

ABSENT_LISTS: Final = 4
"""So many complete lists must lack an order before it is said never to have arrived."""

ABSENT_AFTER_S: Final = 8.0
"""The last of them this many seconds after its answer was lost."""

ASK_AFTER_S: Final = 9.0
"""What is not settled so many seconds after the loss is put to a person."""

LOOK_AT_S: Final = (0.5, 1.5, 3.0, 5.0, 8.0, 9.0)
"""When to look, seconds after the loss; then every `LOOK_EVERY_S`."""

LOOK_EVERY_S: Final = 5.0

_PRICED: Final = frozenset(
    {
        OrderType.LIMIT,
        OrderType.STOP_LIMIT,
        OrderType.LIMIT_ON_CLOSE,
        OrderType.NET_DEBIT,
        OrderType.NET_CREDIT,
        OrderType.NET_ZERO,
    }
)
_STOPPED: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_TRAILING: Final = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})


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


class Judgement(StrEnum):
    """What is known of a ticket after a list."""

    FOUND = "found"
    ABSENT = "absent"
    WAIT = "wait"
    ASK = "ask"


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


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A ticket that nobody knows about.

    Attributes:
        ticket: What was sent.
        shape: Its fingerprint.
        sent_at: Just before it left, by our clock.
        lost_at: When its answer was given up.
        elapsed_s: Seconds since then, by a clock that nobody sets.
        accepted: The broker said that it took it.
        lists: Complete lists since then that lack it.
    """

    ticket: OrderTicket
    shape: Shape
    sent_at: datetime
    lost_at: datetime
    elapsed_s: float
    accepted: bool
    lists: int


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
    if kind in _TRAILING:
        unit, basis = order.stop_price_link_type, order.stop_price_link_basis
        trail = (_exact(order.stop_price_offset), str(unit), str(basis))
    return Fingerprint(
        legs=tuple(legs),
        order_type=kind,
        session=str(order.session or "NORMAL"),
        duration=str(order.duration or "DAY"),
        price=_exact(order.price) if kind in _PRICED else None,
        stop=_exact(order.stop_price) if kind in _STOPPED else None,
        trail=trail,
    )


def _exact(value: Decimal | str | None) -> Decimal:
    return abs(Decimal(value or 0)).normalize()


def match(ticket: OrderTicket, shape: Shape, reported: ReportedOrder) -> Found | None:
    """Return the ids of a ticket's orders in a reported order, or None if it is another."""
    if shape_of(reported) != shape:
        return None
    order_ids = _ids(ticket, shape, reported)
    if order_ids is None:
        return None
    root_id = None if reported.order_id is None else str(reported.order_id)
    group_id = root_id if root_id not in order_ids.values() else None
    return Found(order_ids, group_id, reported)


def _ids(ticket: OrderTicket, shape: Shape, reported: ReportedOrder) -> dict[str, str] | None:
    """Return client order id -> broker's id of a ticket that has the reported order's shape."""
    children = reported.child_order_strategies
    if isinstance(ticket, OneCancelsOther):
        return _pair(ticket.orders, children)
    first = ticket.first if isinstance(ticket, Trigger) else ticket
    if reported.order_id is None:
        return None
    own = {first.client_order_id: str(reported.order_id)}
    if isinstance(ticket, Trigger):
        then = _ids(ticket.then, shape.children[0], children[0])
        return None if then is None else own | then
    return own


def _pair(orders: tuple[Order, ...], children: tuple[ReportedOrder, ...]) -> dict[str, str] | None:
    """Find which of two children is which; of two equal ones the first is the first."""
    for chosen in permutations(children):
        if all(_same(order, child) for order, child in zip(orders, chosen, strict=True)):
            return {
                order.client_order_id: str(child.order_id)
                for order, child in zip(orders, chosen, strict=True)
            }
    return None


def _same(order: Order, child: ReportedOrder) -> bool:
    return child.order_id is not None and shape_of(to_wire(order)) == shape_of(child)


def ids_within(reported: ReportedOrder) -> Iterable[str]:
    """Yield the broker's ids of an order, its group and its children."""
    if reported.order_id is not None:
        yield str(reported.order_id)
    for child in reported.child_order_strategies:
        yield from ids_within(child)


def candidates(
    under_way: UnderWay, listed: Iterable[ReportedOrder], taken: Collection[str]
) -> list[Found]:
    """Return the listed orders that may be a ticket, whenever they were entered.

    Args:
        under_way: The ticket.
        listed: The broker's orders.
        taken: Ids that are claimed, or were seen before the ticket left.
    """
    found = []
    for reported in listed:
        if any(order_id in taken for order_id in ids_within(reported)):
            continue
        if (matched := match(under_way.ticket, under_way.shape, reported)) is not None:
            found.append(matched)
    return found


def judge(
    under_way: UnderWay, found: Collection[Found], own_tags: Collection[str]
) -> tuple[Judgement, Found | None]:
    """Say what is known of a ticket; see the rule above.

    Args:
        under_way: The ticket, the list at hand counted in `lists` if it lacks the ticket.
        found: Its `candidates`.
        own_tags: Tags of orders that are certainly ours; none where Schwab sends none.
    """
    in_time = [one for one in found if _in_time(under_way, one.root)]
    likely = [one for one in in_time if _tagged(one, own_tags)]
    if len(likely) == 1 and (len(in_time) == 1 or likely[0].root.tag in own_tags):
        return Judgement.FOUND, likely[0]
    proven = under_way.lists >= ABSENT_LISTS and under_way.elapsed_s >= ABSENT_AFTER_S
    if not found and proven and not under_way.accepted:
        return Judgement.ABSENT, None
    if under_way.elapsed_s >= ASK_AFTER_S or len(likely) > 1:
        return Judgement.ASK, None
    return Judgement.WAIT, None


def _in_time(under_way: UnderWay, root: ReportedOrder) -> bool:
    entered = entered_at(root)
    if entered is None:
        return True
    first = under_way.sent_at - ENTERED_EARLY
    return first <= entered <= under_way.lost_at + ENTERED_LATE


def _tagged(found: Found, own_tags: Collection[str]) -> bool:
    """Whether nothing speaks against an order's being ours."""
    return not own_tags or found.root.tag is None or found.root.tag in own_tags


def entered_at(reported: ReportedOrder) -> datetime | None:
    """Return when an order was entered; of a group the first time that it or a child names."""
    times = [moment(reported.entered_time)]
    times += [entered_at(child) for child in reported.child_order_strategies]
    named = [time.astimezone(UTC) for time in times if time is not None]
    return min(named, default=None)


def next_look_s(elapsed_s: float) -> float:
    """Return when to look next, seconds after the loss."""
    for at in LOOK_AT_S:
        if at > elapsed_s:
            return at
    return elapsed_s + LOOK_EVERY_S


def question(ticket: OrderTicket, found: Collection[Found]) -> str:
    """Return what a person is asked about a ticket that no rule settles."""
    first = ticket
    while not isinstance(first, Order):
        first = first.first if isinstance(first, Trigger) else first.orders[0]
    said = f"whether the order {first.client_order_id} stands at Schwab cannot be told"
    if len(found) > 1:
        ids = ", ".join(one.group_id or next(iter(one.order_ids.values())) for one in found)
        said += f": {len(found)} orders have its terms ({ids})"
    elif found:
        one = found[0] if isinstance(found, list) else next(iter(found))
        only = one.group_id or next(iter(one.order_ids.values()))
        said += f": the order {only} has its terms, but seems to be entered by somebody else"
    return (
        f"{said}; look at Schwab's order list, then say which one it is, or that it is none: "
        f"resolve({first.client_order_id!r}, order id or None)"
    )
