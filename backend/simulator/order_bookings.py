"""The books of an account as clients see them: activities of orders, and their transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from engine.fees import FeeParts, FillTerms, product_of
from models.order_terms import OrderStatus
from models.schwab_order_terms import ExecutionType
from models.symbols import OCC_LENGTH
from simulator import trader_facts as facts
from simulator.order_records import Activity, ActivityLeg
from simulator.order_tickets import side_of
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from engine.fees import FeeSchedule
    from engine.paper_state import Expired
    from models.events import Fill
    from simulator.order_forms import LegForm
    from simulator.order_records import OrderRecord


@dataclass(frozen=True, slots=True)
class Booking:
    """One leg of one execution, as the transactions show it.

    Attributes:
        transaction_id: Unique.
        record: Whose execution.
        activity: The execution.
        leg: The leg's part of it.
        form: The leg.
    """

    transaction_id: int
    record: OrderRecord
    activity: Activity
    leg: ActivityLeg
    form: LegForm


@dataclass(frozen=True, slots=True)
class Removal:
    """An option that left an account at its expiration, as the transactions show it.

    Attributes:
        transaction_id: Unique.
        delivery_id: Of the trade of the shares that came or went; None where none did.
        expired: What became of it.
    """

    transaction_id: int
    delivery_id: int | None
    expired: Expired


class OrderBook:
    """Activities of all orders of an account, what they cost, and what became of its options.

    Attributes:
        fees: What trades cost, as the engine charges it.
        bookings: Executions by leg, oldest first.
        removals: Options that expired, oldest first.
    """

    def __init__(self, fees: FeeSchedule, activity_ids: Callable[[], int]) -> None:
        self.fees = fees
        self.bookings: list[Booking] = []
        self.removals: list[Removal] = []
        self._activity_ids = activity_ids

    def fill(self, record: OrderRecord, fills: Sequence[Fill], at: int) -> Activity:
        """Book one execution, each leg once, and return it."""
        units = record.form.quantity or Decimal(1)
        numbers = {leg.symbol: place for place, leg in enumerate(record.form.legs)}
        done = Decimal(0)
        legs = []
        for fill in fills:
            place = numbers[fill.symbol]
            form = record.form.legs[place]
            done = fill.quantity * units / form.quantity
            legs.append(
                ActivityLeg(
                    place + 1,
                    fill.quantity,
                    fill.price,
                    self._fee_parts(record, form, fill, at),
                    self._activity_ids(),
                )
            )
        record.filled += done
        activity = Activity(
            self._activity_ids(), ExecutionType.FILL, done, record.remaining, at, tuple(legs)
        )
        record.activities.append(activity)
        for leg in legs:
            if leg.transaction_id is not None:
                form = record.form.legs[leg.leg_id - 1]
                self.bookings.append(Booking(leg.transaction_id, record, activity, leg, form))
        return activity

    def end(self, record: OrderRecord, at: int) -> Activity | None:
        """Book how an order's unfilled rest ends and return it; a rejection has no activity."""
        if record.status in {OrderStatus.REJECTED, OrderStatus.DENIED}:
            return None
        if record.status is OrderStatus.EXPIRED and not facts.EXPIRED_HAS_ACTIVITY:
            return None
        units = record.form.quantity or Decimal(1)
        rest = record.remaining
        legs = tuple(
            ActivityLeg(place + 1, leg.quantity * rest / units, Decimal(0))
            for place, leg in enumerate(record.form.legs)
        )
        activity = Activity(
            self._activity_ids(), ExecutionType.CANCELED, rest, Decimal(0), at, legs
        )
        record.activities.append(activity)
        return activity

    def expire(self, ended: Sequence[Expired]) -> None:
        """Book what became of options, of which the oldest may be booked already."""
        for expired in ended[len(self.removals) :]:
            transaction_id = self._activity_ids()
            delivery_id = self._activity_ids() if expired.shares else None
            self.removals.append(Removal(transaction_id, delivery_id, expired))

    def _fee_parts(self, record: OrderRecord, form: LegForm, fill: Fill, at: int) -> FeeParts:
        """Return a fill's fees by kind: what the leg owes so far less what it was charged."""
        day = _new_york_day(at)
        before = [
            (leg.quantity, leg.price)
            for activity in record.activities
            for leg in activity.legs
            if leg.fees is not None and record.form.legs[leg.leg_id - 1] is form
        ]
        return _parts_less(
            self._owed(form, [*before, (fill.quantity, fill.price)], day),
            self._owed(form, before, day),
        )

    def _owed(
        self, form: LegForm, executions: Sequence[tuple[Decimal, Decimal]], day: date
    ) -> FeeParts:
        multiplier = Decimal(100 if len(form.symbol) == OCC_LENGTH else 1)
        root = form.symbol[:6].rstrip() if len(form.symbol) == OCC_LENGTH else form.symbol
        total = FeeParts()
        for quantity, price in executions:
            terms = FillTerms(
                product_of(form.symbol),
                root,
                side_of(form.instruction),
                quantity,
                price,
                multiplier,
            )
            part = self.fees.exact(terms, day)
            total = FeeParts(
                *(one + other for one, other in zip(astuple(total), astuple(part), strict=True))
            )
        return total.rounded()


def _parts_less(parts: FeeParts, before: FeeParts) -> FeeParts:
    return FeeParts(*(new - old for new, old in zip(astuple(parts), astuple(before), strict=True)))


def _new_york_day(at: int) -> date:
    return datetime.fromtimestamp(at / 1e9, UTC).astimezone(NEW_YORK).date()
