"""What the journal says against what the broker says. Pure.

There comes of it: news that was missed, orders of others, differences that nobody can explain.

Absence from a list is no cancel: an order of ours that the broker took and no longer shows is a
difference, unless the broker is one whose lists are certain to be whole (a paper account).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from models.events import Fill, OrderUpdate
from models.order_terms import OrderStatus, Side
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.order_book import OrderBook
    from models.trading import Order, Position, Trade

_ZERO = Decimal(0)


class Reconciled(NamedTuple):
    """What came of it.

    Attributes:
        updates: News of our orders that we had missed, to be booked.
        external: Orders that others entered: labelled, and left alone.
        differences: What cannot be explained, a sentence each; trading does not begin with one.
    """

    updates: list[OrderUpdate]
    external: list[Order]
    differences: list[str]


class Told(NamedTuple):
    """What a broker says of an account.

    Attributes:
        orders: Those entered since the time that was asked for, newest state.
        fills: Executions since then.
        positions: What is held.
        whole: Whether an order that is not in the list certainly does not stand there.
    """

    orders: Sequence[Order]
    fills: Sequence[Trade]
    positions: Sequence[Position]
    whole: bool = False


def reconcile(
    book: OrderBook,
    held: Mapping[str, Decimal],
    told: Told,
    now_ns: int,
) -> Reconciled:
    """Compare a run's orders and holdings with what the broker says.

    Args:
        book: Our orders, as the journal has them.
        held: Our units by symbol, as the journal has them, short negative.
        told: What the broker says.
        now_ns: Stamped on the news.
    """
    fills: dict[str, list[Trade]] = {}
    for trade in told.fills:
        fills.setdefault(trade.client_order_id, []).append(trade)
    updates, external, seen = [], [], set()
    for order in told.orders:
        name = order.client_order_id
        state = book.states.get(name)
        if state is None:
            external.append(order)
            continue
        seen.add(name)
        missed = [each for each in fills.get(name, ()) if each.execution_id not in state.fills]
        if missed or order.status is not state.order.status or state.order.order_id is None:
            updates.append(_update(order, missed, now_ns))
    differences = []
    for order in book.working():
        if order.client_order_id in seen:
            continue
        if told.whole:
            updates.append(_never_there(order, now_ns))
        elif order.status is not OrderStatus.UNKNOWN:
            differences.append(
                f"order {order.client_order_id} ({order.order_id or 'no id'}) is "
                f"{order.status} here, and the broker does not show it"
            )
    differences += _holdings(held, updates, told, book)
    return Reconciled(updates, external, differences)


def _update(order: Order, missed: Iterable[Trade], now_ns: int) -> OrderUpdate:
    return OrderUpdate(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        status=order.status,
        time_ns=now_ns,
        filled_quantity=order.filled_quantity,
        fills=tuple(_fill(trade, now_ns) for trade in missed),
    )


def _fill(trade: Trade, now_ns: int) -> Fill:
    return Fill(
        execution_id=trade.execution_id,
        symbol=trade.symbol,
        side=Side.BUY if trade.signed_quantity > 0 else Side.SELL,
        quantity=abs(trade.signed_quantity),
        price=trade.price,
        time_ns=min(now_ns, to_ns(trade.ts)),
        fees=trade.fees,
    )


def _never_there(order: Order, now_ns: int) -> OrderUpdate:
    return OrderUpdate(
        order_id=None,
        client_order_id=order.client_order_id,
        status=OrderStatus.REJECTED,
        time_ns=now_ns,
        reason="it never reached the broker",
    )


def _holdings(
    held: Mapping[str, Decimal],
    updates: Iterable[OrderUpdate],
    told: Told,
    book: OrderBook,
) -> list[str]:
    """Return a sentence for each holding that fills, ours and others', do not explain."""
    expected = dict(held)
    for update in updates:
        for fill in update.fills:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            expected[fill.symbol] = expected.get(fill.symbol, _ZERO) + signed
    for trade in told.fills:
        if trade.client_order_id not in book.states:
            signed = trade.signed_quantity
            expected[trade.symbol] = expected.get(trade.symbol, _ZERO) + signed
    there = {each.symbol: each.signed_quantity for each in told.positions}
    return [
        f"{symbol}: the fills come to {expected.get(symbol, _ZERO)}, the broker holds "
        f"{there.get(symbol, _ZERO)}"
        for symbol in sorted({*expected, *there})
        if expected.get(symbol, _ZERO) != there.get(symbol, _ZERO)
    ]
