"""The venue of a recorded session: what it told is among the events, so it only takes requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from models.errors import OrderRejected
from models.events import OrderUpdate
from models.order_groups import orders_of
from models.order_terms import OrderStatus
from ports.broker import Watch
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from models.events import Event, News, Quote
    from models.order_groups import OrderTicket
    from models.trading import Balances, Order, OrderPreview, Position, Trade


class RecordedVenue:
    """A `ports.Broker` that says SUBMITTED; everything else is heard from the recording.

    Args:
        account_id: Hash or name of the account.
        balances: Of the account when the session began.
        clock: The market's time.
    """

    def __init__(self, account_id: str, balances: Balances, clock: Callable[[], datetime]) -> None:
        self._account_id = account_id
        self._balances = balances
        self._clock = clock

    @property
    def account_id(self) -> str:
        """Hash or name of the account."""
        return self._account_id

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Take a ticket; the recording tells what became of it."""
        return [
            OrderUpdate(
                order_id=None,
                client_order_id=order.client_order_id,
                status=OrderStatus.SUBMITTED,
                time_ns=to_ns(self._clock()),
            )
            for order in orders_of(ticket)
        ]

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:  # noqa: ARG002 - the port's
        """Take an order in the place of another one."""
        return self.submit(order)

    def cancel(self, order_id: str) -> list[OrderUpdate]:  # noqa: ARG002 - the port's
        """Take a cancel."""
        return []

    def preview(self, ticket: OrderTicket) -> OrderPreview:
        """Refuse: a recording knows what was asked then, and nothing else."""
        self._refuse(f"a preview of {orders_of(ticket)[0].client_order_id}")

    def observe(self, event: Event) -> Sequence[News]:  # noqa: ARG002 - the port's
        """Return nothing: its news are events."""
        return ()

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:  # noqa: ARG002 - the port's
        """Return an empty list: it needs to be shown nothing."""
        return Watch()

    def orders(self, since: datetime) -> Sequence[Order]:
        """Refuse, as `preview`."""
        self._refuse(f"its orders since {since}")

    def fills(self, since: datetime) -> Sequence[Trade]:
        """Refuse, as `preview`."""
        self._refuse(f"its fills since {since}")

    def positions(self) -> Sequence[Position]:
        """Refuse, as `preview`."""
        self._refuse("its positions")

    def balances(self) -> Balances:
        """Return the balances that were shown last."""
        return self._balances

    def show(self, balances: Balances) -> None:
        """Take newer balances, as the session did at this point."""
        self._balances = balances

    def listen(self) -> AsyncIterator[OrderUpdate]:
        """Refuse: its news are events."""
        self._refuse("news beside its events")

    def _refuse(self, what: str) -> NoReturn:
        reason = f"a recorded session cannot tell {what}"
        raise OrderRejected(reason, reason=reason)


if TYPE_CHECKING:
    from ports.broker import Broker

    def _is_a_broker(venue: RecordedVenue) -> Broker:
        """Have mypy prove that this is one."""
        return venue
