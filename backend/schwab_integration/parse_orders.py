"""Orders as Schwab reports them: bytes to structs, structs to the house's orders and fills. Pure.

Every order is kept as `ReportedOrder`, whatever its state and kind; what the house's models can
hold becomes an `Order`, and the rest is left to the caller as a sentence (`BadReply`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping  # noqa: TC003 - annotations of a dataclass
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from models.base import sentence
from models.order_groups import OneCancelsOther, OrderTicket, Trigger
from models.order_terms import (
    Mode,
    OrderStatus,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)
from models.schwab_order_terms import (
    ActivityType,
    ExecutionType,
    Instruction,
    OrderStrategy,
    WireAsset,
    WireStatus,
)
from models.trading import Leg, Order, Trade, Trail
from schwab_integration.decoding import Parsed, bad, exact, moment, parsed, parsed_list
from schwab_integration.orders import (
    INSTRUCTION_OF,
    SESSION_OF,
    WITH_LIMIT,
    WITH_STOP,
    WITH_TRAIL,
)
from schwab_integration.parse_accounts import multiplier_of, symbol_of
from schwab_integration.trader_replies import ExecutionLeg, OrderLeg, ReportedOrder
from utils.market_calendar import NEW_YORK

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

STATUS_OF: Final[Mapping[str, OrderStatus]] = {
    WireStatus.AWAITING_PARENT_ORDER: OrderStatus.WAITING,
    WireStatus.AWAITING_CONDITION: OrderStatus.WAITING,
    WireStatus.AWAITING_STOP_CONDITION: OrderStatus.WAITING,
    WireStatus.AWAITING_RELEASE_TIME: OrderStatus.WAITING,
    WireStatus.AWAITING_MANUAL_REVIEW: OrderStatus.WAITING,
    WireStatus.PENDING_ACTIVATION: OrderStatus.WAITING,
    WireStatus.NEW: OrderStatus.SUBMITTED,
    WireStatus.PENDING_ACKNOWLEDGEMENT: OrderStatus.SUBMITTED,
    WireStatus.ACCEPTED: OrderStatus.SUBMITTED,
    WireStatus.QUEUED: OrderStatus.SUBMITTED,
    WireStatus.WORKING: OrderStatus.WORKING,
    WireStatus.AWAITING_UR_OUT: OrderStatus.PENDING_CANCEL,
    WireStatus.PENDING_CANCEL: OrderStatus.PENDING_CANCEL,
    WireStatus.PENDING_RECALL: OrderStatus.PENDING_CANCEL,
    WireStatus.PENDING_REPLACE: OrderStatus.PENDING_REPLACE,
    WireStatus.REPLACED: OrderStatus.REPLACED,
    WireStatus.CANCELED: OrderStatus.CANCELED,
    WireStatus.REJECTED: OrderStatus.REJECTED,
    WireStatus.EXPIRED: OrderStatus.EXPIRED,
    WireStatus.FILLED: OrderStatus.FILLED,
    WireStatus.UNKNOWN: OrderStatus.UNKNOWN,
}
"""Schwab's states as ours; a state that is not here is UNKNOWN."""

_HOURS_OF: Final[Mapping[str, TradingHours]] = {wire: ours for ours, wire in SESSION_OF.items()}
_ACTION_OF: Final[Mapping[str, tuple[Side, PositionEffect]]] = {
    **{wire: (side, effect) for (_, side, effect), wire in INSTRUCTION_OF.items()},
    Instruction.SELL_SHORT_EXEMPT: (Side.SELL, PositionEffect.OPENING),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """What an order's reply does not say of it.

    Attributes:
        account_id: Hash of the account.
        mode: Stamped on orders and fills.
        client_order_id: Reported order -> our id of it.
        strategy: Reported order -> name of the strategy.
        at: Stands where an order names no time of entry.
    """

    account_id: str
    mode: Mode
    client_order_id: Callable[[ReportedOrder], str] = lambda order: f"schwab-{order.order_id}"
    strategy: Callable[[ReportedOrder], str] = lambda _: "manual"
    at: datetime = _EPOCH


def parse_orders(body: bytes) -> Parsed[list[ReportedOrder]]:
    """Return the reply to `/orders` or `/accounts/{hash}/orders`, as sent.

    A field whose value is of a wrong kind is left out and counted: an order of somebody else must
    not hide ours.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed_list(body, ReportedOrder, "orders", tolerant=True)


def parse_order(body: bytes) -> Parsed[ReportedOrder]:
    """Return the reply to `/accounts/{hash}/orders/{orderId}`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed(body, ReportedOrder, "order")


def orders_within(order: ReportedOrder) -> Iterator[ReportedOrder]:
    """Yield an order that has legs and those among its descendants, in the wire's order."""
    if order.order_leg_collection:
        yield order
    for child in order.child_order_strategies:
        yield from orders_within(child)


def ticket_of(reported: ReportedOrder, owner: Owner) -> OrderTicket:
    """Return an order with all that hangs together with it.

    Raises:
        BadReply: It is of a kind that the house's models cannot hold.
    """
    children = tuple(ticket_of(child, owner) for child in reported.child_order_strategies)
    try:
        if reported.order_strategy_type == OrderStrategy.OCO:
            return OneCancelsOther.model_validate({"orders": children})
        if reported.order_strategy_type == OrderStrategy.TRIGGER and len(children) == 1:
            return Trigger(first=order_of(reported, owner), then=children[0])
    except ValidationError as error:
        raise bad("order", sentence(error), "childOrderStrategies") from None
    if children:
        kind = reported.order_strategy_type
        message = f"{kind} of {len(children)} children"
        raise bad("order", message, "childOrderStrategies")
    return order_of(reported, owner)


def order_of(reported: ReportedOrder, owner: Owner) -> Order:
    """Return an order in its newest state, without its children.

    Raises:
        BadReply: It is of a kind that the house's models cannot hold: a fund, an exercise.
    """
    try:
        return _order(reported, owner)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise bad("order", sentence(error), field) from None
    except ArithmeticError:
        raise bad("order", "a number beyond reason") from None


def status_of(reported: ReportedOrder) -> OrderStatus:
    """Return an order's state: NEW of a request, UNKNOWN of a state that nobody documented."""
    if reported.status is None:
        return OrderStatus.NEW
    status = STATUS_OF.get(reported.status, OrderStatus.UNKNOWN)
    filled, quantity = reported.filled_quantity, reported.quantity
    if not filled or status is not OrderStatus.WORKING:
        return status
    return OrderStatus.FILLED if filled == quantity else OrderStatus.PARTIALLY_FILLED


def fills_of(reported: ReportedOrder, owner: Owner) -> list[Trade]:
    """Return the fills of an order and of its descendants, in the wire's order.

    An execution that reports a cancellation is none. Execution ids are made of order, activity and
    leg, so that the same fill has the same id in every reply.

    Raises:
        BadReply: A fill names no leg of the order, or a price or quantity that none can have.
    """
    found: list[Trade] = []
    for order in orders_within(reported):
        legs = {leg.leg_id or n: leg for n, leg in enumerate(order.order_leg_collection, 1)}
        seen: Counter[str] = Counter()
        for activity in order.order_activity_collection:
            if not is_fill(activity.activity_type, activity.execution_type):
                continue
            for part in activity.execution_legs:
                leg = legs.get(part.leg_id or 1)
                if leg is None:
                    raise bad("order", f"a fill of leg {part.leg_id}", "executionLegs.legId")
                base = f"{order.order_id}.{activity.activity_id or part.time}.{part.leg_id or 1}"
                seen[base] += 1
                execution_id = base if seen[base] == 1 else f"{base}.{seen[base]}"
                found.append(_trade(order, leg, part, execution_id, owner))
    return found


def is_fill(activity_type: str | None, execution_type: str | None) -> bool:
    """Say whether an activity of an order traded something; the wire may leave out the types."""
    if activity_type not in {ActivityType.EXECUTION, None}:
        return False
    return execution_type in {ExecutionType.FILL, None}


def _trade(
    order: ReportedOrder, leg: OrderLeg, part: ExecutionLeg, execution_id: str, owner: Owner
) -> Trade:
    side, _ = _action(leg)
    at = moment(part.time) or moment(order.close_time) or owner.at
    try:
        count = exact(part.quantity, "executionLegs.quantity", "order")
        return Trade(
            execution_id=execution_id,
            client_order_id=owner.client_order_id(order),
            order_id=str(order.order_id),
            account_id=owner.account_id,
            mode=owner.mode,
            symbol=symbol_of(leg.instrument),
            session=at.astimezone(NEW_YORK).date(),
            ts=at,
            signed_quantity=count if side is Side.BUY else -count,
            price=exact(part.price, "executionLegs.price", "order"),
            multiplier=multiplier_of(leg.instrument),
        )
    except (ValidationError, ArithmeticError) as error:
        text = sentence(error) if isinstance(error, ValidationError) else "a number beyond reason"
        raise bad("order", text, "executionLegs") from None


def _order(reported: ReportedOrder, owner: Owner) -> Order:
    kind = _known(OrderType.__members__, reported.order_type, "orderType")
    order_type = OrderType(kind)
    units = _units(reported)
    filled = exact(reported.filled_quantity or Decimal(0), "filledQuantity", "order")
    status = status_of(reported)
    if status is OrderStatus.FILLED or filled >= units:
        status, filled = OrderStatus.FILLED, units
    created = moment(reported.entered_time) or owner.at
    return Order(
        client_order_id=owner.client_order_id(reported),
        order_id=None if reported.order_id is None else str(reported.order_id),
        account_id=owner.account_id,
        mode=owner.mode,
        strategy=owner.strategy(reported),
        legs=tuple(_leg(leg, units) for leg in reported.order_leg_collection),
        order_type=order_type,
        time_in_force=TimeInForce(
            _known(TimeInForce.__members__, reported.duration or TimeInForce.DAY, "duration")
        ),
        hours=_HOURS_OF[_known(_HOURS_OF, reported.session or "NORMAL", "session")],
        limit_price=_limit(reported, order_type),
        stop_price=_price(reported.stop_price, "stopPrice") if order_type in WITH_STOP else None,
        trail=_trail(reported, order_type) if order_type in WITH_TRAIL else None,
        quantity=units,
        filled_quantity=filled,
        status=status,
        created_at=created,
        updated_at=max(created, moment(reported.close_time) or created),
    )


def _units(reported: ReportedOrder) -> Decimal:
    """Return the units of an order; a request may leave them out, of a single leg they are its."""
    if reported.quantity is not None:
        return exact(reported.quantity, "quantity", "order")
    if len(reported.order_leg_collection) == 1:
        only = reported.order_leg_collection[0]
        return exact(only.quantity, "orderLegCollection.quantity", "order")
    return Decimal(1)


def _leg(leg: OrderLeg, units: Decimal) -> Leg:
    asset = leg.instrument.asset_type or leg.order_leg_type
    if asset not in {WireAsset.EQUITY, WireAsset.OPTION, WireAsset.COLLECTIVE_INVESTMENT}:
        raise bad("order", f"a leg of {asset}", "orderLegCollection.instrument.assetType")
    side, effect = _action(leg)
    total = exact(leg.quantity, "orderLegCollection.quantity", "order")
    return Leg(
        symbol=symbol_of(leg.instrument),
        side=side,
        quantity=exact(total / units, "orderLegCollection.quantity", "order"),
        position_effect=effect,
        multiplier=multiplier_of(leg.instrument),
    )


def _action(leg: OrderLeg) -> tuple[Side, PositionEffect]:
    return _ACTION_OF[_known(_ACTION_OF, leg.instruction, "orderLegCollection.instruction")]


def _limit(reported: ReportedOrder, order_type: OrderType) -> Decimal | None:
    if order_type not in WITH_LIMIT or (
        order_type is OrderType.NET_ZERO and reported.price is None
    ):
        return None
    price = _price(reported.price, "price")
    return -abs(price) if order_type is OrderType.NET_CREDIT else price


def _trail(reported: ReportedOrder, order_type: OrderType) -> Trail:
    limited = order_type is OrderType.TRAILING_STOP_LIMIT
    unit = reported.stop_price_link_type or TrailUnit.VALUE
    basis = reported.stop_price_link_basis or TrailBasis.MARK
    return Trail(
        offset=_price(reported.stop_price_offset, "stopPriceOffset"),
        unit=TrailUnit(_known(TrailUnit.__members__, unit, "stopPriceLinkType")),
        basis=TrailBasis(_known(TrailBasis.__members__, basis, "stopPriceLinkBasis")),
        limit_offset=_price(reported.price, "price") if limited else None,
    )


def _price(value: Decimal | None, field: str) -> Decimal:
    return exact(value, field, "order")


def _known(words: Mapping[str, object], word: str | None, field: str) -> str:
    """Return a word that the house has too.

    Raises:
        BadReply: It has none.
    """
    if word not in words:
        raise bad("order", f"{word!r} is not among {', '.join(words)}", field)
    return str(word)
