"""The orders of one run, each in its newest state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.order_groups import orders_of
from utils.order_state import OrderState, apply

if TYPE_CHECKING:
    from models.events import Fill, OrderUpdate
    from models.order_groups import OrderTicket
    from models.trading import Order


class OrderBook:
    """Orders by client order id; updates are joined to them whatever their order."""

    def __init__(self) -> None:
        """Begin without orders."""
        self.states: dict[str, OrderState] = {}
        self._owners: dict[str, str] = {}
        self._working: dict[str, None] = {}
        self._successors: dict[str, str] = {}
        self.awaited: set[str] = set()
        """Orders of which an answer is on its way: to their submission, or to their cancel."""

    def add(self, ticket: OrderTicket, replaces: str | None = None) -> None:
        """Take the orders of a ticket in, before it leaves.

        Args:
            ticket: The orders.
            replaces: Client order id of the order whose place they take.
        """
        if replaces is not None:
            self._successors[replaces] = orders_of(ticket)[0].client_order_id
        for order in orders_of(ticket):
            self.states[order.client_order_id] = OrderState(order)
            self._working[order.client_order_id] = None
        self.awaited.add(orders_of(ticket)[0].client_order_id)

    def apply(self, update: OrderUpdate) -> tuple[str, tuple[Fill, ...]] | None:
        """Join an update, and return whose it is with the executions that are new.

        Returns:
            None of an order that is not of this run, or where the update tells nothing new.
        """
        name = update.client_order_id or self._owners.get(update.order_id or "")
        state = self.states.get(name or "")
        if name is None or state is None:
            return None
        if update.order_id is not None:
            self._owners[update.order_id] = name
        after = apply(state, update)
        fills = update.fills
        if state.fills:
            fills = tuple(each for each in fills if each.execution_id not in state.fills)
        changed = after.order is not state.order or bool(fills)
        self.states[name] = after
        if after.order.status.terminal:
            self._working.pop(name, None)
        if after.order.status.terminal or update.order_id is not None:
            self.awaited.discard(name)
        return (name, fills) if changed else None

    def too_large(self, name: str) -> str | None:
        """Return the order that took another one's place and may trade more than was wanted.

        Both together may fill what was wanted and not more: fills of the old order that cross its
        replacement count against the new one.

        Args:
            name: Client order id of an order of which there is news.

        Returns:
            Client order id of the one to cancel; None where nothing can be too much.
        """
        successor = self._successors.get(name)
        if successor is None:
            return None
        old, new = self.states[name].order, self.states[successor].order
        crossed = old.filled_quantity > 0 and not new.status.terminal
        return successor if crossed and new.filled_quantity < new.quantity else None

    def order(self, client_order_id: str) -> Order | None:
        """Return an order, or None where there is none of this id."""
        state = self.states.get(client_order_id)
        return None if state is None else state.order

    def working(self) -> list[Order]:
        """Return the orders that have not ended, oldest first."""
        return [self.states[name].order for name in self._working]
