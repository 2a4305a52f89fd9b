"""What the product asks of a broker."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from models.events import Event, News, OrderUpdate
from models.order_groups import OrderTicket
from models.trading import Balances, Order, OrderPreview, Position, Trade


class Broker(Protocol):
    """One account at a real or a simulated broker.

    What fails raises kinds of `TradingError`: `OrderRejected` where the broker refuses an order,
    `OrderUnknown` where its answer was lost (the order is then settled by looking it up, never by
    sending it again), `ProviderError` and `AuthError` where a question is not answered.
    """

    @property
    def account_id(self) -> str:
        """Hash of the account."""
        ...

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Send an order, or several that hang together, and return what is known at once.

        Every client order id is used once: a second submit of it is refused.
        """
        ...

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        """Ask to cancel; the order may still fill until an update says CANCELED."""
        ...

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Put another order in the place of one that works; the new one has its own id."""
        ...

    def preview(self, ticket: OrderTicket) -> OrderPreview:
        """Return what the broker would make of an order, which is not placed."""
        ...

    def observe(self, event: Event) -> Sequence[News]:
        """Let a simulated venue see the market; a real broker returns nothing."""
        ...

    def orders(self, since: datetime) -> Sequence[Order]:
        """Return the orders entered since then, each in its newest state, oldest first."""
        ...

    def fills(self, since: datetime) -> Sequence[Trade]:
        """Return the fills since then, oldest first, each execution once."""
        ...

    def positions(self) -> Sequence[Position]:
        """Return what the account holds."""
        ...

    def balances(self) -> Balances:
        """Return the account's balances."""
        ...

    def listen(self) -> AsyncIterator[OrderUpdate]:
        """Yield updates as they come; they may repeat and overtake each other."""
        ...
