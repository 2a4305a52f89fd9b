"""Orders leave in threads of their own, so that a slow broker never stops who decides.

`submit` hands a ticket to a thread and says SUBMITTED; what comes of it is delivered later, as news.
Each ticket has a thread to itself as long as there are threads: an answer that hangs for 20 s holds
up no other order.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

from models.errors import OrderRejected, OrderUnknown, RiskDenied, StoreError, TradingError
from models.events import OrderUpdate
from models.order_groups import orders_of
from models.order_terms import OrderStatus
from ports.broker import Watch
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from models.events import Event, News, Quote
    from models.order_groups import OrderTicket
    from models.trading import Balances, Order, OrderPreview, Position, Trade
    from ports.broker import Broker
    from utils.clock import Clock

    Call = Callable[[], list[OrderUpdate]]

THREADS = 64
"""Requests for orders that may be on their way at the same time: Schwab takes 120 a minute, and one
that hangs is given up after half a minute."""

_BALANCES_S = 10.0
"""How old balances may be before they are asked for again."""


class SendingBroker:
    """A broker in front of another one, whose answers are delivered instead of waited for.

    Args:
        broker: The one that speaks to the market; threads share it.
        deliver: Takes news, or the error that ends trading, a mistake of ours included; called in
            any thread.
        clock: The market's time.
    """

    def __init__(
        self, broker: Broker, deliver: Callable[[News | BaseException], None], clock: Clock
    ) -> None:
        self._broker = broker
        self._deliver = deliver
        self._clock = clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="orders")
        self._lock = Lock()
        self._balances: tuple[float, Balances] | None = None
        self._shown: Balances | None = None
        self._asking = False

    @property
    def account_id(self) -> str:
        """Hash of the account."""
        return self._broker.account_id

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Let a ticket leave; it is SUBMITTED until its answer is delivered."""
        self._start(self._answer, ticket, lambda: self._broker.submit(ticket))
        return self._told(ticket, OrderStatus.SUBMITTED, "")

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Let an order leave that takes the place of another one."""
        self._start(self._answer, order, lambda: self._broker.replace(order_id, order))
        return self._told(order, OrderStatus.SUBMITTED, "")

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        """Let a cancel leave; what comes of it is delivered."""
        self._start(self._cancelled, order_id)
        return []

    def _start(self, call: Callable[..., None], *arguments: object) -> None:
        """Make a call in a thread; a mistake in it ends trading, it is not swallowed."""
        self._pool.submit(call, *arguments).add_done_callback(self._look_at)

    def _look_at(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._deliver(error)

    def _cancelled(self, order_id: str) -> None:
        """Send a cancel, in a thread of the pool, and deliver what comes of it."""
        try:
            updates = self._broker.cancel(order_id)
        except StoreError as error:
            self._deliver(error)
            return
        except TradingError as error:
            # The order stands as far as we know; whoever wanted the cancel hears that and may ask
            # again. If it is over already, that news counts for more than this.
            updates = [
                OrderUpdate(
                    order_id=order_id,
                    client_order_id=None,
                    status=OrderStatus.WORKING,
                    time_ns=to_ns(self._clock()),
                    reason=f"not cancelled: {error}",
                )
            ]
        for update in updates:
            self._deliver(update)

    def _answer(self, ticket: OrderTicket, call: Call) -> None:
        """Make a call, in a thread of the pool, and deliver what comes of it."""
        try:
            updates = call()
        except StoreError as error:
            self._deliver(error)  # the journal cannot be written: nothing may leave any more
            return
        except TradingError as error:
            updates = self._failed(ticket, error)
        for update in updates:
            self._deliver(update)

    def _failed(self, ticket: OrderTicket, error: TradingError) -> list[OrderUpdate]:
        status = OrderStatus.REJECTED  # it certainly did not arrive
        if isinstance(error, OrderUnknown):
            status = OrderStatus.UNKNOWN
        elif isinstance(error, RiskDenied):
            status = OrderStatus.DENIED
        reason = error.reason if isinstance(error, OrderRejected) else str(error)
        return self._told(ticket, status, reason)

    def _told(self, ticket: OrderTicket, status: OrderStatus, reason: str) -> list[OrderUpdate]:
        now_ns = to_ns(self._clock())
        return [
            OrderUpdate(
                order_id=None,
                client_order_id=order.client_order_id,
                status=status,
                time_ns=now_ns,
                reason=reason,
            )
            for order in orders_of(ticket)
        ]

    def observe(self, event: Event) -> Sequence[News]:  # noqa: ARG002 - the port's
        """Return nothing: the real market does not need to be shown."""
        return ()

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:  # noqa: ARG002 - the port's
        """Return an empty list: the real market does not need to be shown."""
        return Watch()

    def preview(self, ticket: OrderTicket) -> OrderPreview:
        """Return what the broker would make of a ticket; waits for the answer."""
        return self._broker.preview(ticket)

    def orders(self, since: datetime) -> Sequence[Order]:
        """Return the orders entered since then; waits for the answer, as the next two do."""
        return self._broker.orders(since)

    def fills(self, since: datetime) -> Sequence[Trade]:
        """Return the fills since then."""
        return self._broker.fills(since)

    def positions(self) -> Sequence[Position]:
        """Return what the account holds."""
        return self._broker.positions()

    def balances(self) -> Balances:
        """Return the balances that `turn` has shown last; newer ones are asked for meanwhile.

        Raises:
            TradingError: None were ever asked for, and they are not to be had.
        """
        with self._lock:
            known = self._balances
            stale = known is not None and time.monotonic() - known[0] > _BALANCES_S
            ask = stale and not self._asking
            self._asking = self._asking or ask
        if ask:
            self._start(self._renew_balances)
        if self._shown is None:
            self._shown = self._ask_balances()
        return self._shown

    def turn(self) -> Balances | None:
        """Show newer balances, if there are any, and return them.

        Whoever decides calls it between two events: what it sees never changes within one.
        """
        with self._lock:
            newest = self._balances[1] if self._balances is not None else None
        if newest is None or newest == self._shown:
            return None
        self._shown = newest
        return newest

    def _ask_balances(self) -> Balances:
        balances = self._broker.balances()
        with self._lock:
            self._balances = (time.monotonic(), balances)
        return balances

    def _renew_balances(self) -> None:
        try:
            self._ask_balances()
        except TradingError:
            return  # the old ones stand; the next look asks again
        finally:
            with self._lock:
                self._asking = False

    def listen(self) -> AsyncIterator[OrderUpdate]:
        """Yield the updates that the broker hears by itself."""
        return self._broker.listen()

    def close(self) -> None:
        """Wait for the answers that are on their way; no further ticket leaves."""
        self._pool.shutdown(wait=True, cancel_futures=True)


if TYPE_CHECKING:

    def _is_a_broker(broker: SendingBroker) -> Broker:
        """Have mypy prove that this is one."""
        return broker
