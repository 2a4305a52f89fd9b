"""One paper account: its orders, fills, positions and cash. No I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.fees import FeeSchedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal

    from models.events import OrderUpdate, Quote
    from models.order_groups import OrderTicket
    from models.order_terms import Mode
    from models.trading import AccountTerms, Balances, Order, OrderPreview, Position, Trade


class PaperAccount:
    """One account: place, cancel, replace, see quotes and time, ask."""

    def __init__(
        self,
        terms: AccountTerms,
        cash: Decimal,
        *,
        mode: Mode,
        order_ids: Callable[[], int],
        fees: FeeSchedule | None = None,
    ) -> None:
        self.terms = terms
        self.mode = mode
        self._fees = fees or FeeSchedule()
        self._order_ids = order_ids
        self._cash = cash

    def place(self, ticket: OrderTicket, now_ns: int) -> list[OrderUpdate]:
        """Take a ticket: SUBMITTED, then what became of it at once (REJECTED, WORKING, fills).

        Raises:
            OrderRejected: Malformed, as Schwab's 400: nothing was taken.
        """
        raise NotImplementedError

    def cancel(self, order_id: str, now_ns: int) -> list[OrderUpdate]:
        """Cancel; OrderRejected where there is nothing to cancel."""
        raise NotImplementedError

    def replace(self, order_id: str, order: Order, now_ns: int) -> list[OrderUpdate]:
        """Put another order in its place; its quantity is the whole, fills of the old counted."""
        raise NotImplementedError

    def on_quote(self, quote: Quote) -> list[OrderUpdate]:
        """See a quote."""
        raise NotImplementedError

    def on_time(self, now_ns: int) -> list[OrderUpdate]:
        """Let time pass: activation, expiry of orders, expiration of options, settlement."""
        raise NotImplementedError

    def preview(self, ticket: OrderTicket, now_ns: int) -> OrderPreview:
        """Return what would become of a ticket."""
        raise NotImplementedError

    def symbols(self) -> set[str]:
        """Return whose quotes the account needs: of working orders, holdings, underlyings."""
        raise NotImplementedError

    def orders(self, since: datetime | None = None) -> list[Order]:
        """Return orders in their newest state, oldest first."""
        raise NotImplementedError

    def fills(self, since: datetime | None = None) -> list[Trade]:
        """Return fills, oldest first."""
        raise NotImplementedError

    def positions(self) -> list[Position]:
        """Return what is held, at the newest marks."""
        raise NotImplementedError

    def balances(self, now_ns: int) -> Balances:
        """Return the balances at the newest marks."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as a plain value of JSON's types."""
        raise NotImplementedError

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a state."""
        raise NotImplementedError
