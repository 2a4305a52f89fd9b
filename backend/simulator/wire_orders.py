"""Orders as the wire shows them: key order, types and states of the captured replies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.order_terms import OrderStatus
from models.schwab_order_terms import Duration, WireStatus
from simulator import trader_facts as facts
from simulator.market_prices import NANOSECONDS, nanoseconds
from simulator.order_forms import STOPPED, TRAILING
from simulator.order_instruments import instrument_id, is_option, ordered
from simulator.order_rules import schwab_words
from simulator.order_tickets import effect_of

if TYPE_CHECKING:
    from decimal import Decimal

    from simulator.market_prices import Prices
    from simulator.order_forms import OrderForm
    from simulator.order_records import Activity, OrderRecord

_PLAIN = {
    OrderStatus.PENDING_CANCEL: WireStatus.PENDING_CANCEL,
    OrderStatus.PENDING_REPLACE: WireStatus.PENDING_REPLACE,
    OrderStatus.FILLED: WireStatus.FILLED,
    OrderStatus.CANCELED: WireStatus.CANCELED,
    OrderStatus.REPLACED: WireStatus.REPLACED,
    OrderStatus.REJECTED: WireStatus.REJECTED,
    OrderStatus.DENIED: WireStatus.REJECTED,
    OrderStatus.EXPIRED: WireStatus.EXPIRED,
}
_STOPS = STOPPED | TRAILING


def wire_time(at: int) -> str:
    """Return a time as orders carry it, as 2024-10-18T19:59:00+0000."""
    moment = datetime.fromtimestamp(at // NANOSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}+0000"


def wire_status(record: OrderRecord, now: datetime, seconds: float) -> WireStatus:
    """Return the state of an order in Schwab's words.

    Args:
        record: The order.
        now: Market time.
        seconds: Wall time of the clock that `OrderRecord.placed_s` was read from.
    """
    if record.form.is_pair:
        return _pair_status(record, now, seconds)
    return _PLAIN.get(record.status) or _living_status(record, now, seconds)


def _living_status(record: OrderRecord, now: datetime, seconds: float) -> WireStatus:
    trigger = record.trigger()
    if trigger is not None and trigger.status is not OrderStatus.FILLED:
        return WireStatus.AWAITING_PARENT_ORDER
    wait_ns = record.opens_ns - nanoseconds(now)
    if wait_ns > 0:
        soon = wait_ns <= facts.QUEUED_BEFORE_OPEN_S * NANOSECONDS
        return WireStatus.QUEUED if soon else WireStatus.PENDING_ACTIVATION
    if seconds - record.placed_s < facts.ACKNOWLEDGE_S:
        return WireStatus.PENDING_ACKNOWLEDGEMENT
    if record.form.order_type in _STOPS and not record.triggered:
        return WireStatus.AWAITING_STOP_CONDITION
    return WireStatus.WORKING


def order_object(
    record: OrderRecord, prices: Prices, now: datetime, seconds: float
) -> dict[str, Any]:
    """Return an order with all below it as the wire shows it.

    Args:
        record: The order.
        prices: Where instruments are named.
        now: Market time.
        seconds: Wall time, as in `wire_status`.
    """
    status = wire_status(record, now, seconds)
    changeable = not record.status.terminal
    shown = _terms(record, prices) | {
        "orderStrategyType": record.form.strategy.value,
        "orderId": record.order_id,
        "cancelable": changeable,
        "editable": changeable and not record.form.is_pair,
        "status": status.value,
        "enteredTime": wire_time(record.entered_ns),
    }
    if record.closed_ns is not None:
        shown["closeTime"] = wire_time(record.closed_ns)
    shown["tag"] = facts.ORDER_TAG
    shown["accountNumber"] = int(record.account_number)
    if record.activities:
        shown["orderActivityCollection"] = [_activity(each, record) for each in record.activities]
    if record.children:
        shown["childOrderStrategies"] = [
            order_object(child, prices, now, seconds) for child in record.children
        ]
    if record.reason and record.status in {OrderStatus.REJECTED, OrderStatus.DENIED}:
        shown["statusDescription"] = schwab_words(record.reason)
    return shown


def _terms(record: OrderRecord, prices: Prices) -> dict[str, Any]:
    form = record.form
    if (
        form.session is None
        or form.duration is None
        or form.order_type is None
        or form.quantity is None
        or form.complex_strategy is None
    ):
        return {}
    head: dict[str, Any] = {
        "session": form.session.value,
        "duration": form.duration.value,
        "orderType": form.order_type.value,
    }
    if form.duration is Duration.GOOD_TILL_CANCEL:
        days = facts.GOOD_TILL_CANCEL_DAYS * 86_400 * NANOSECONDS
        head["cancelTime"] = wire_time(record.entered_ns + days)
    open_units = 0.0 if record.status.terminal else float(record.remaining)
    return (
        head
        | {
            "complexOrderStrategyType": form.complex_strategy.value,
            "quantity": float(form.quantity),
            "filledQuantity": float(record.filled),
            "remainingQuantity": open_units,
            "requestedDestination": "AUTO",
            "destinationLinkName": _route(record),
        }
        | _prices(form)
        | {
            "orderLegCollection": [
                {
                    "orderLegType": leg.asset.value,
                    "legId": place,
                    "instrument": ordered(leg.symbol, prices),
                    "instruction": leg.instruction.value,
                    "positionEffect": effect_of(leg.instruction).value,
                    "quantity": float(leg.quantity),
                }
                for place, leg in enumerate(form.legs, 1)
            ]
        }
        | _words({"specialInstruction": form.special_instruction})
    )


def _prices(form: OrderForm) -> dict[str, Any]:
    return (
        _numbers({"stopPrice": form.stop_price})
        | _words(
            {
                "stopPriceLinkBasis": form.stop_basis and form.stop_basis.value,
                "stopPriceLinkType": form.stop_unit and form.stop_unit.value,
            }
        )
        | _numbers({"stopPriceOffset": form.stop_offset})
        | _words({"stopType": form.stop_type})
        | _words(
            {
                "priceLinkBasis": form.price_basis and form.price_basis.value,
                "priceLinkType": form.price_unit and form.price_unit.value,
            }
        )
        | _numbers({"price": form.price})
        | _words({"taxLotMethod": form.tax_lot_method})
    )


def _numbers(values: dict[str, Decimal | None]) -> dict[str, Any]:
    return {name: float(value) for name, value in values.items() if value is not None}


def _words(values: dict[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _route(record: OrderRecord) -> str:
    if record.form.destination:
        return record.form.destination
    if record.routed and all(is_option(leg.symbol) for leg in record.form.legs):
        return facts.ROUTES[record.order_id % len(facts.ROUTES)]
    return facts.UNROUTED


def _activity(activity: Activity, record: OrderRecord) -> dict[str, Any]:
    return {
        "activityType": "EXECUTION",
        "activityId": activity.activity_id,
        "executionType": activity.kind.value,
        "quantity": float(activity.quantity),
        "orderRemainingQuantity": float(activity.remaining),
        "executionLegs": [
            {
                "legId": leg.leg_id,
                "quantity": float(leg.quantity),
                "mismarkedQuantity": 0.0,
                "price": float(leg.price),
                "time": wire_time(activity.time_ns),
                "instrumentId": instrument_id(record.form.legs[leg.leg_id - 1].symbol),
            }
            for leg in activity.legs
        ],
    }


def _pair_status(record: OrderRecord, now: datetime, seconds: float) -> WireStatus:
    """Return the state of an OCO's node: that of its filled child, else of its first living one."""
    states = [wire_status(child, now, seconds) for child in record.children]
    if WireStatus.FILLED in states:
        return WireStatus.FILLED
    living = [
        state
        for state, child in zip(states, record.children, strict=True)
        if not child.status.terminal
    ]
    return (living or states)[0]
