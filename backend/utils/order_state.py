"""How updates of one order come together, whatever their order and however often they come. Pure.

A broker tells of an order by polling and by a stream, which overtake each other and repeat
themselves. `apply` joins what is told so that the same updates end in the same state in any order:

- The filled quantity only grows. What is filled to its quantity is FILLED, whatever else was told.
- A terminal state is never left for a working one. Of two terminal states FILLED wins, then
  REPLACED, CANCELED, EXPIRED, REJECTED, DENIED. A fill that comes late, after CANCELED or another
  end, is booked (the late-fill rule): the quantity grows, and FILLED follows when it is complete.
- Among states that are not terminal the newest counts by the update's time; at equal times the one
  that is further on: SUBMITTED becomes UNKNOWN when its answer is lost. What is only said by us (NEW, SUBMITTED, UNKNOWN) yields to what the broker
  says, whatever the times.
- Each execution is booked once, by its id.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec

from models.events import Fill, OrderUpdate
from models.order_terms import OrderStatus
from models.trading import Order
from utils.clock import to_time

_ZERO = Decimal(0)
_NOTHING: Mapping[str, Fill] = {}

_RANK = {
    OrderStatus.NEW: 0,
    OrderStatus.UNKNOWN: 1,
    OrderStatus.SUBMITTED: 2,
    OrderStatus.WAITING: 3,
    OrderStatus.WORKING: 4,
    OrderStatus.PENDING_REPLACE: 5,
    OrderStatus.PENDING_CANCEL: 6,
    OrderStatus.DENIED: 7,
    OrderStatus.REJECTED: 8,
    OrderStatus.EXPIRED: 9,
    OrderStatus.CANCELED: 10,
    OrderStatus.REPLACED: 11,
    OrderStatus.FILLED: 12,
}
_FILLED, _PARTLY, _WORKING = (
    OrderStatus.FILLED,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.WORKING,
)
_OURS, _BROKERS, _FINAL = 0, 1, 2
_SAID_BY_US = frozenset({OrderStatus.NEW, OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})


class OrderState(msgspec.Struct, frozen=True, gc=False):
    """An order, and what is needed to join the next update to it.

    Attributes:
        order: In its newest state.
        said: The state as it was told; the order's own follows from it and the filled quantity.
        said_ns: Time of the update that told it.
        fills: Executions by id, each booked once.
        reason: The broker's words of its end.
    """

    order: Order
    said: OrderStatus = OrderStatus.NEW
    said_ns: int = 0
    fills: Mapping[str, Fill] = _NOTHING
    reason: str = ""


def apply(state: OrderState, update: OrderUpdate) -> OrderState:
    """Return the state after an update; an equal state where it tells nothing new.

    An update of another order changes nothing: the caller finds the order by its id.
    """
    order, fills = state.order, state.fills
    if update.fills:
        fills = {**{fill.execution_id: fill for fill in update.fills}, **fills}
    filled = order.filled_quantity
    if (told := _told(order, update)) > filled:
        filled = min(order.quantity, told)
    said = state.said, state.said_ns, state.reason
    new = (
        _WORKING if update.status is _PARTLY else update.status,
        update.time_ns,
        update.reason,
    )
    if _key(new) > _key(said):
        said = new
    order_id = order.order_id or update.order_id
    status = _status(said[0], filled, order.quantity)
    heard = max(order.updated_at, _moment(update.time_ns))
    if (
        status is not order.status
        or filled != order.filled_quantity
        or heard != order.updated_at
        or order_id != order.order_id
    ):
        order = order.changed(
            order_id=order_id, status=status, filled_quantity=filled, updated_at=heard
        )
    return OrderState(order, said[0], said[1], fills, said[2])


@lru_cache(maxsize=16)
def _moment(time_ns: int) -> datetime:
    """Return the moment of an update; most updates of one order have the same."""
    return to_time(time_ns)


def _told(order: Order, update: OrderUpdate) -> Decimal:
    """Return the filled quantity that an update tells."""
    if update.status is _FILLED:
        return order.quantity
    return update.filled_quantity or _ZERO


def _status(said: OrderStatus, filled: Decimal, quantity: Decimal) -> OrderStatus:
    if filled:
        if filled == quantity:
            return _FILLED
        if said is _WORKING:
            return _PARTLY
    return said


def _key(said: tuple[OrderStatus, int, str]) -> tuple[int, int, int, str]:
    """Return what decides which of two states counts: the higher key."""
    status, said_ns, reason = said
    rank = _RANK[status]
    if status.terminal:
        return (_FINAL, rank, said_ns, reason)
    if status in _SAID_BY_US:
        return (_OURS, said_ns, rank, reason)
    return (_BROKERS, said_ns, rank, reason)
