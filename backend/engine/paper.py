"""The paper broker: `PaperAccount` behind the port that real brokers have.

It is told of the market through `observe`, inside the engine's loop, and answers at once; equal
events therefore give equal updates.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from engine.account import PaperAccount
from models.events import Bar, OrderUpdate, Quote, Settlement
from models.order_groups import orders_of
from ports.broker import NEVER, Watch
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from models.events import Event, News
    from models.order_groups import OrderTicket
    from models.trading import Balances, Order, OrderPreview, Position, Trade

__all__ = ["PaperAccount", "PaperBroker"]


class PaperBroker:
    """A `ports.Broker` over one paper account."""

    def __init__(self, account: PaperAccount, clock: Callable[[], datetime]) -> None:
        """Stand in front of an account.

        Args:
            account: It keeps everything.
            clock: Gives the market's time, aware.
        """
        self.account = account
        self._clock = clock
        self._listeners: list[Listener] = []
        self._market: Mapping[str, Quote] = {}
        self._watch = Watch()
        self._settlements_told = 0

    @property
    def account_id(self) -> str:
        """Hash of the account."""
        return self.account.terms.account_id

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Place a ticket; the updates tell how far it came at once.

        Raises:
            OrderRejected: It is malformed; nothing was taken.
        """
        self._look(leg.symbol for order in orders_of(ticket) for leg in order.legs)
        return self._tell(self.account.place(ticket, self._now_ns()))

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        """Cancel an order.

        Raises:
            OrderRejected: There is no such order, or it has ended.
        """
        self._look()
        return self._tell(self.account.cancel(order_id, self._now_ns()))

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Put another order in the place of one that works.

        Raises:
            OrderRejected: It cannot be replaced, or the new one is malformed.
        """
        self._look(leg.symbol for leg in order.legs)
        return self._tell(self.account.replace(order_id, order, self._now_ns()))

    def preview(self, ticket: OrderTicket) -> OrderPreview:
        """Return what would become of a ticket, which is not placed."""
        self._look(leg.symbol for order in orders_of(ticket) for leg in order.legs)
        return self.account.preview(ticket, self._now_ns())

    def observe(self, event: Event) -> Sequence[News]:
        """Let the venue see the market: quotes fill, other events let time pass."""
        self._look()
        if type(event) is Quote:
            updates = self._tell(self.account.on_quote(event))
        elif isinstance(event, OrderUpdate | Settlement):
            return ()
        else:
            # A bar is known when it ends: its start says nothing of now.
            ends_ns = event.interval_s * 1_000_000_000 if isinstance(event, Bar) else 0
            updates = self._tell(self.account.on_time(event.time_ns + ends_ns))
        if len(self.account.state.expired) > self._settlements_told:
            return [*updates, *self._settlements()]
        return updates

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:
        """Return what the account must be shown: what its orders and its expired options wait for."""
        self._market = quotes
        self._renew()
        return self._watch

    def _renew(self) -> None:
        """Say anew what the account waits for; settlements that were not told yet are due at once."""
        self._watch.symbols = self.account.awaited()
        untold = len(self.account.state.expired) > self._settlements_told
        due_ns = self.account.next_ns()
        self._watch.due_ns = 0 if untold else NEVER if due_ns is None else due_ns

    def _look(self, symbols: Iterable[str] = ()) -> None:
        """Let the account see the newest quotes of what concerns it, before it is asked anything.

        Args:
            symbols: Of what it is asked about, beside what it holds and has orders for.
        """
        known, taken = self.account.state.quotes, self.account.state.taken
        for symbol in self.account.symbols(symbols):
            newest = self._market.get(symbol)
            if newest is not None and newest is not known.get(symbol):
                known[symbol] = newest
                taken.pop(symbol, None)

    def _settlements(self) -> list[Settlement]:
        """Return what became of options since the last time."""
        ended = self.account.state.expired
        first, self._settlements_told = self._settlements_told, len(ended)
        self._renew()
        return [
            Settlement(
                settlement_id=f"{self.account_id}-{number}",
                symbol=each.symbol,
                quantity=Decimal(each.quantity),
                outcome=each.outcome,
                cash=each.cash / each.quantity if each.outcome == "cash" else Decimal(0),
                shares=Decimal(each.shares),
                time_ns=each.time_ns,
            )
            for number, each in enumerate(ended[first:], first + 1)
        ]

    def orders(self, since: datetime) -> Sequence[Order]:
        """Return the orders entered since then, each in its newest state, oldest first."""
        return self.account.orders(since)

    def fills(self, since: datetime) -> Sequence[Trade]:
        """Return the fills since then, oldest first, each execution once."""
        return self.account.fills(since)

    def positions(self) -> Sequence[Position]:
        """Return what the account holds."""
        self._look()
        return self.account.positions()

    def balances(self) -> Balances:
        """Return the account's balances."""
        self._look()
        return self.account.balances(self._now_ns())

    def listen(self) -> Listener:
        """Return an iterator of the updates from now on, the same that the calls return.

        It ends when there is none left and can be iterated again when there are: a simulated
        venue cannot wait, since it moves only when it is called.
        """
        listener = Listener()
        self._listeners.append(listener)
        return listener

    def _now_ns(self) -> int:
        return to_ns(self._clock())

    def _tell(self, updates: list[OrderUpdate]) -> list[OrderUpdate]:
        if updates:
            for listener in self._listeners:
                listener.waiting.extend(updates)
        self._renew()
        return updates


class Listener:
    """Updates that one listener has not taken yet."""

    def __init__(self) -> None:
        self.waiting: deque[OrderUpdate] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OrderUpdate:
        if not self.waiting:
            raise StopAsyncIteration
        return self.waiting.popleft()


if TYPE_CHECKING:
    from ports.broker import Broker

    def _is_a_broker(broker: PaperBroker) -> Broker:
        """Have mypy prove that the paper broker is one."""
        return broker
