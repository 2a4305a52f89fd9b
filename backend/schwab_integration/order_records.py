"""An account's journal and order book, written together, and the news that follow from them.

Whatever changes an order of ours goes through here: it is written to the journal and applied to the
book in one piece, and what is new for who listens comes back, each piece of news once.
"""

import threading
from collections.abc import Sequence

import msgspec

from models.events import OrderUpdate
from models.journal import Acknowledged, Opened, Record, Settled, Updated
from models.order_groups import orders_of
from models.order_terms import Mode
from models.trading import Order
from schwab_integration.fingerprints import Found
from schwab_integration.order_book import OrderBook, Ticket
from schwab_integration.order_news import ns_of, updates_of
from schwab_integration.trader_replies import ReportedOrder
from utils.clock import Clock
from utils.order_state import OrderState, apply
from utils.transaction_logger import TransactionLogger


class OrderRecords:
    """What is known of one account's orders. Threads share it under `changed`.

    Args:
        account_id: Hash of the account.
        journal: The account's journal; it is read.
        mode: Stamped on fills.
        clock: Wall time.

    Attributes:
        account_id: Hash of the account.
        book: The state that the journal's records lead to.
        changed: Held while it is read or changed; notified after each record.
    """

    def __init__(
        self, account_id: str, journal: TransactionLogger[Record], *, mode: Mode, clock: Clock
    ) -> None:
        self.account_id = account_id
        self.book = OrderBook()
        self.changed = threading.Condition(threading.RLock())
        self._journal = journal
        self._mode = mode
        self._clock = clock
        self._signs: dict[int | None, object] = {}
        self._kept: list[OrderUpdate] = []
        for record in journal.read():
            if not isinstance(record, Opened):
                self.book.apply(record)

    def now_ns(self) -> int:
        """Return wall time in nanoseconds, for records."""
        return ns_of(self._clock())

    def write(self, record: Record) -> None:
        """Write a record, then take it in.

        Raises:
            StoreError: The journal cannot be written.
        """
        with self.changed:
            self._journal.append(record)
            self.book.apply(record)
            self.changed.notify_all()

    def claim(self, record: Acknowledged | Settled, found: Found) -> list[OrderUpdate]:
        """Write which ids are ours, and what the order's state is, and return the state."""
        with self.changed:
            self.write(record)
            told = self._merge(self._updates_of(found.root))
            return told or self.told(self.book.tickets[record.ticket_id])

    def news_of(self, listed: Sequence[ReportedOrder]) -> list[OrderUpdate]:
        """Take what the broker lists of our orders in, and return what is new."""
        with self.changed:
            news, signs = [], {}
            for root in listed:
                sign = _sign(root)
                if self.book.claimed(root) and self._signs.get(root.order_id) != sign:
                    signs[root.order_id] = sign
                    news += self._updates_of(root)
            new = self._merge(news)
            self._signs |= signs  # not before: what was interrupted is read again
            return new

    def hear(self, update: OrderUpdate) -> list[OrderUpdate]:
        """Take an update of a stream in; return it, named, if it is of our order and new.

        Its executions are left to the list, which names them otherwise: each is booked once.
        """
        with self.changed:
            client_order_id = self.book.owners.get(update.order_id or "")
            if client_order_id is None or self.book.order_id(client_order_id) != update.order_id:
                return []  # a group's own id belongs to its first order, its news does not
            named = msgspec.structs.replace(update, client_order_id=client_order_id, fills=())
            return self._merge([named])

    def told(self, ticket: Ticket) -> list[OrderUpdate]:
        """Return the newest state of a ticket's orders, without executions."""
        return [self.present(order.client_order_id) for order in orders_of(ticket.ticket)]

    def present(self, client_order_id: str) -> OrderUpdate:
        """Return an order's newest state, without executions."""
        with self.changed:
            state = self.book.orders[client_order_id]
            return OrderUpdate(
                order_id=state.order.order_id,
                client_order_id=client_order_id,
                status=state.order.status,
                time_ns=self.now_ns(),
                filled_quantity=state.order.filled_quantity,
                reason=state.reason,
            )

    def keep(self, updates: Sequence[OrderUpdate]) -> None:
        """Keep news that nobody could be told of yet."""
        with self.changed:
            self._kept += updates

    def take(self) -> list[OrderUpdate]:
        """Return the news that were kept: whoever takes them tells them."""
        with self.changed:
            kept, self._kept = self._kept, []
            return kept

    def _updates_of(self, root: ReportedOrder) -> list[OrderUpdate]:
        return updates_of(
            root,
            self.book.owners,
            account_id=self.account_id,
            mode=self._mode,
            now_ns=self.now_ns(),
        )

    def _merge(self, updates: Sequence[OrderUpdate]) -> list[OrderUpdate]:
        """Book what is new and return it; executions that were told before are left out."""
        states: dict[str, OrderState] = {}
        new = []
        for update in updates:
            name = update.client_order_id or ""
            before = states.get(name) or self.book.orders[name]
            fills = tuple(one for one in update.fills if one.execution_id not in before.fills)
            news = msgspec.structs.replace(update, fills=fills)
            states[name] = after = apply(before, news)
            if _changed(before.order, after.order) or fills:
                new.append(news)
        if new:
            at_ns = self.now_ns()
            records = [Updated(at_ns=at_ns, update=update) for update in new]
            self._journal.append(*records)
            for record in records:
                self.book.apply(record)
        return new


def _sign(root: ReportedOrder) -> tuple[object, ...]:
    """Return what changes when there is news of an order or its children."""
    children = tuple(_sign(child) for child in root.child_order_strategies)
    executions = len(root.order_activity_collection)
    return (root.status, root.filled_quantity, executions, root.status_description, children)


def _changed(before: Order, after: Order) -> bool:
    """Whether an update told something new of an order."""
    return (before.status, before.filled_quantity, before.order_id) != (
        after.status,
        after.filled_quantity,
        after.order_id,
    )
