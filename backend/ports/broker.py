"""What the product asks of a broker."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from models.events import Event, News, OrderUpdate, Quote
from models.order_groups import OrderTicket
from models.trading import Balances, Order, OrderPreview, Position, Trade

NEVER = 2**63 - 1
"""A time that no market reaches, ns."""


@dataclass(slots=True)
class Watch:
    """Which events a venue must be shown; of the others it reads the newest quotes when it needs them.

    Attributes:
        symbols: Quotes of these.
        due_ns: Every event from this time on.
    """

    symbols: Collection[str] = frozenset()
    due_ns: int = NEVER


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

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:
        """Return what `observe` must be shown from now on; the venue keeps it up to date, in place.

        Args:
            quotes: Newest quote by symbol, kept by the caller: here the venue finds what it is not
                shown.
        """
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
