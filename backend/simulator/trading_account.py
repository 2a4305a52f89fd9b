"""One account of the simulated broker: the engine's account, and its orders as clients see them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.fees import FeeSchedule
from engine.ledger import settled_cash
from engine.margin import shares_maintenance
from engine.means import cash_rules, claim, cost_prices, held_by_underlying
from engine.paper import PaperAccount
from models.order_terms import Mode, OrderStatus
from models.symbols import OCC_LENGTH
from simulator.account_morning import Morning
from simulator.order_bookings import OrderBook
from simulator.order_records import (
    Activity,
    EventKind,
    OrderRecord,
    settle_pair,
    take_place,
)
from simulator.order_tickets import to_order, to_ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from models.events import Fill, OrderUpdate
    from models.trading import OrderPreview, Position
    from simulator.order_forms import OrderForm
    from simulator.users import AccountSeed

_ZERO = Decimal(0)
_ENDS = {
    OrderStatus.CANCELED: EventKind.CANCELED,
    OrderStatus.REPLACED: EventKind.REPLACED,
    OrderStatus.REJECTED: EventKind.REJECTED,
    OrderStatus.DENIED: EventKind.REJECTED,
    OrderStatus.EXPIRED: EventKind.EXPIRED,
}
_NOT_YET_ACCEPTED = frozenset({OrderStatus.SUBMITTED, OrderStatus.REJECTED, OrderStatus.DENIED})
_AT_A_VENUE = frozenset({OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to an order, before it is told to anyone."""

    record: OrderRecord
    kind: EventKind
    time_ns: int
    activity: Activity | None = None
    other_id: int | None = None
    client_canceled: bool = False


class TradingAccount:
    """One account.

    Attributes:
        login: Its owner.
        seed: What it began with.
        paper: The engine's account.
        orders: Records by id, oldest first.
        book: Activities and transactions.
        morning: How it stood when the day began.
    """

    def __init__(
        self,
        login: str,
        seed: AccountSeed,
        *,
        order_ids: Callable[[], int],
        activity_ids: Callable[[], int],
        seconds: Callable[[], float],
    ) -> None:
        self.login = login
        self.seed = seed
        self.orders: dict[int, OrderRecord] = {}
        self.morning = Morning(seed.cash)
        self.book = OrderBook(FeeSchedule(), activity_ids)
        self._order_ids = order_ids
        self._seconds = seconds
        self._by_client: dict[str, OrderRecord] = {}
        self._live: dict[int, OrderRecord] = {}
        self._reserved: deque[int] = deque()
        self.paper = PaperAccount(
            seed.terms, seed.cash, mode=Mode.REHEARSAL, order_ids=self._next_id, fees=self.book.fees
        )

    @property
    def hash(self) -> str:
        """What the API calls the account by."""
        return self.seed.hash

    def roots(self) -> list[OrderRecord]:
        """Return the uppermost orders, oldest first."""
        return [record for record in self.orders.values() if record.parent is None]

    def symbols(self) -> set[str]:
        """Return whose quotes the account needs."""
        return self.paper.symbols()

    def has_live_orders(self) -> bool:
        """Tell whether any order can still change."""
        return bool(self._live)

    def place(
        self, form: OrderForm, now: datetime, now_ns: int, rejection: str | None
    ) -> tuple[OrderRecord, list[Happening]]:
        """Take an order and all below it.

        Args:
            form: What the client asked for.
            now: Market time.
            now_ns: The same in nanoseconds.
            rejection: Why the broker will not have it; None for the engine to judge.

        Returns:
            The uppermost record, and what happened, in order.

        Raises:
            ValueError: The order is malformed: nothing was taken.
            OrderRejected: The engine finds the same.
        """
        record = self._new_record(form, now_ns, None)
        ticket = to_ticket(record, self.hash, now)
        happenings = [Happening(each, EventKind.CREATED, now_ns) for each in record.walk()]
        if rejection is not None:
            self._enter(record)
            happenings += self._reject(record, rejection, now_ns)
            return record, happenings
        self._reserved.extend(each.order_id for each in record.walk() if not each.form.is_pair)
        try:
            updates = self.paper.place(ticket, now_ns)
        finally:
            self._reserved.clear()
        self._enter(record)
        return record, happenings + self.apply(updates)

    def replace(
        self, old: OrderRecord, form: OrderForm, now: datetime, now_ns: int
    ) -> tuple[OrderRecord, list[Happening]]:
        """Put another order in the place of one.

        A single order takes the old one's place among parent and children; what the old one filled
        is taken off its quantity. Several orders are placed after the old ones are cancelled.

        Raises:
            ValueError: The order is malformed: nothing changed.
            OrderRejected: The engine finds the same, or the old order is at its end.
        """
        record = self._new_record(form, now_ns, None)
        record.replaces = old.order_id
        to_ticket(record, self.hash, now)  # a malformed order changes nothing
        created = [
            Happening(each, EventKind.CREATED, now_ns, other_id=each.replaces)
            for each in record.walk()
        ]
        if old.form.is_pair or record.children:
            return record, created + self._cancel_and_place(old, record, now, now_ns)
        self._reserved.append(record.order_id)
        self._by_client[record.client_order_id] = record
        try:
            updates = self.paper.replace(
                str(old.order_id), to_order(record, self.hash, now), now_ns
            )
        except Exception:
            del self._by_client[record.client_order_id]
            raise
        finally:
            self._reserved.clear()
        old.replaced_by = record.order_id
        take_place(old, record)
        self._enter(record)
        return record, created + self.apply(updates)

    def cancel(self, record: OrderRecord, now_ns: int) -> list[Happening]:
        """Cancel an order and all below it that lives.

        Raises:
            OrderRejected: The engine has nothing to cancel.
        """
        updates: list[OrderUpdate] = []
        for each in record.walk():
            if not each.form.is_pair and not each.status.terminal:
                updates += self.paper.cancel(str(each.order_id), now_ns)
                self._take_states(updates)
        return self.apply(updates, client_canceled=True)

    def preview(self, form: OrderForm, now: datetime, now_ns: int) -> OrderPreview:
        """Return what the engine would make of an order.

        Raises:
            ValueError: The order is malformed.
            OrderRejected: The engine finds the same.
        """
        record = self._new_record(form, now_ns, None, numbered=False)
        return self.paper.preview(to_ticket(record, self.hash, now), now_ns)

    def positions(self) -> Sequence[Position]:
        """Return what is held, at the newest marks."""
        return [held for held in self.paper.positions() if held.signed_quantity]

    def unsettled(self, now_ns: int) -> Decimal:
        """Return cash of trades that settle later, USD."""
        return self.paper.state.cash - settled_cash(self.paper.state, now_ns)

    def settled_quantity(self, position: Position) -> Decimal:
        """Return what of a holding was there when the day began, short negative."""
        morning = self.morning.quantities.get(position.symbol, _ZERO)
        now = position.signed_quantity
        if morning * now <= 0:
            return _ZERO
        return morning if abs(morning) < abs(now) else now

    def requirement_of(self, position: Position) -> Decimal:
        """Return what a position requires to be kept, USD.

        Options on one underlying require something together: it is told of the first short one.
        """
        terms, state = self.seed.terms, self.paper.state
        if position.symbol == position.underlying:
            value = position.market_value or position.cost_basis
            return shares_maintenance(value, cash_rules=cash_rules(terms))
        held = held_by_underlying(state)[position.underlying]
        shorts = [
            symbol for symbol, units in held.items() if units < 0 and len(symbol) == OCC_LENGTH
        ]
        if not shorts or min(shorts) != position.symbol:
            return _ZERO
        found = claim(state, terms, position.underlying, held, cost_prices(state))
        return found.requirement.amount

    def apply(
        self, updates: Iterable[OrderUpdate], *, client_canceled: bool = False
    ) -> list[Happening]:
        """Book the engine's updates and return what happened, in order."""
        happened: list[Happening] = []
        for update in updates:
            record = self._record_of(update)
            if record is not None:
                happened += self._apply(record, update, client_canceled)
        self.book.expire(self.paper.state.expired)
        self._look_again()
        return happened

    def _apply(
        self, record: OrderRecord, update: OrderUpdate, client_canceled: bool
    ) -> Iterator[Happening]:
        status = update.status
        if record.closed_ns is not None:
            return
        if not record.accepted and status not in _NOT_YET_ACCEPTED:
            record.accepted = True
            yield Happening(record, EventKind.ACCEPTED, update.time_ns)
        if status in _AT_A_VENUE and not record.routed:
            record.routed = True
            yield Happening(record, EventKind.WORKING, update.time_ns)
        record.status = status
        for fills in _executions(update.fills):
            activity = self.book.fill(record, fills, update.time_ns)
            if status is OrderStatus.FILLED and record.remaining <= 0:
                record.closed_ns = update.time_ns
            yield Happening(record, EventKind.FILLED, update.time_ns, activity)
        if status.terminal:
            record.closed_ns = update.time_ns
            record.reason = update.reason
        if status in _ENDS:
            yield Happening(
                record,
                _ENDS[status],
                update.time_ns,
                self.book.end(record, update.time_ns),
                record.replaced_by,
                client_canceled,
            )

    def _look_again(self) -> None:
        """Bring what only the engine knows of living orders up to date, and forget ended ones."""
        for record in list(self._live.values()):
            if record.form.is_pair:
                settle_pair(record)
            else:
                kept = self.paper.kept(str(record.order_id))
                if kept is not None:
                    record.opens_ns, record.triggered = kept.open_ns, kept.triggered
            if record.closed_ns is not None:
                del self._live[record.order_id]

    def _take_states(self, updates: Iterable[OrderUpdate]) -> None:
        """Know already which orders a first update of several has ended."""
        for update in updates:
            record = self._record_of(update)
            if record is not None:
                record.status = update.status

    def _cancel_and_place(
        self, old: OrderRecord, record: OrderRecord, now: datetime, now_ns: int
    ) -> list[Happening]:
        old.replaced_by = record.order_id
        happened = self.cancel(old, now_ns)
        for each in old.walk():
            if each.status is OrderStatus.CANCELED:
                each.status = OrderStatus.REPLACED
        self._reserved.extend(each.order_id for each in record.walk() if not each.form.is_pair)
        try:
            updates = self.paper.place(to_ticket(record, self.hash, now), now_ns)
        finally:
            self._reserved.clear()
        self._enter(record)
        return happened + self.apply(updates)

    def _reject(self, record: OrderRecord, reason: str, now_ns: int) -> list[Happening]:
        happened = []
        for each in record.walk():
            each.status, each.reason, each.closed_ns = OrderStatus.REJECTED, reason, now_ns
            self._live.pop(each.order_id, None)
            happened.append(Happening(each, EventKind.REJECTED, now_ns))
        return happened

    def _new_record(
        self, form: OrderForm, now_ns: int, parent: OrderRecord | None, *, numbered: bool = True
    ) -> OrderRecord:
        order_id = self._order_ids() if numbered else 0
        name = f"{self.seed.number}-{order_id}" if numbered else "preview"
        record = OrderRecord(
            order_id=order_id,
            account_number=self.seed.number,
            form=form,
            client_order_id=name,
            entered_ns=now_ns,
            placed_s=self._seconds(),
            parent=parent,
        )
        record.children = [
            self._new_record(child, now_ns, record, numbered=numbered) for child in form.children
        ]
        for place, child in enumerate(record.children):
            if not numbered:
                child.client_order_id = f"{name}-{place}"
        return record

    def _enter(self, record: OrderRecord) -> None:
        for each in record.walk():
            if each.order_id in self.orders:
                continue
            self.orders[each.order_id] = each
            self._live[each.order_id] = each
            self._by_client[each.client_order_id] = each

    def _record_of(self, update: OrderUpdate) -> OrderRecord | None:
        if update.client_order_id is not None:
            found = self._by_client.get(update.client_order_id)
            if found is not None:
                return found
        return self.orders.get(int(update.order_id)) if update.order_id else None

    def _next_id(self) -> int:
        return self._reserved.popleft() if self._reserved else self._order_ids()


def _executions(fills: Sequence[Fill]) -> Iterator[list[Fill]]:
    """Group the fills of an update into executions: in each a leg trades once."""
    group: list[Fill] = []
    for fill in fills:
        if any(fill.symbol == other.symbol for other in group):
            yield group
            group = []
        group.append(fill)
    if group:
        yield group
