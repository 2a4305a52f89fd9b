"""What a paper account takes in: the checks that Schwab answers with a 400, and the conversions."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.ledger import contract_of
from engine.paper_state import PaperLeg, PaperOrder
from engine.trading_hours import last_trade_ns
from models.errors import OrderRejected
from models.order_terms import OrderStatus, OrderType, PositionEffect, Side
from models.symbols import INDICES, OCC_LENGTH
from models.trading import Leg, Order, Trail
from utils.clock import to_time

if TYPE_CHECKING:
    from models.order_terms import Mode
    from models.trading import AccountTerms

_ON_CLOSE = frozenset({OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE})
_NEXT = Decimal("0.0001")
_CENT = Decimal("0.01")


def refuse(reason: str) -> OrderRejected:
    """Return the refusal of an order, with its sentence."""
    return OrderRejected(f"order refused: {reason}", reason=reason)


def check(order: Order, terms: AccountTerms, now_ns: int) -> None:
    """Refuse an order that is malformed: nothing of it is taken.

    Raises:
        OrderRejected: Another account's, fractional quantity, off tick, expired contract, an index
            as a share, on-close or stop order of an option package.
    """
    if order.account_id != terms.account_id:
        raise refuse("it names another account")
    if order.status is not OrderStatus.NEW or order.filled_quantity:
        raise refuse(f"it is {order.status} already")
    for quantity in (order.quantity, *(leg.quantity for leg in order.legs)):
        if quantity != int(quantity):
            raise refuse(f"quantity {quantity} is not whole")
    for price in (order.limit_price, order.stop_price):
        if price is not None:
            tick = _CENT if abs(price) >= 1 or _any_option(order) else _NEXT
            if price % tick:
                raise refuse(f"price {price} is not a multiple of {tick}")
    for leg in order.legs:
        _check_leg(leg, order, now_ns)


def _any_option(order: Order) -> bool:
    return any(len(leg.symbol) == OCC_LENGTH for leg in order.legs)


def _check_leg(leg: Leg, order: Order, now_ns: int) -> None:
    if leg.multiplier != int(leg.multiplier):
        raise refuse(f"multiplier {leg.multiplier} of {leg.symbol.strip()} is not whole")
    if len(leg.symbol) == OCC_LENGTH:
        if last_trade_ns(contract_of(leg.symbol)) <= now_ns:
            raise refuse(f"{leg.symbol} has expired")
        if order.order_type in _ON_CLOSE:
            raise refuse(f"{order.order_type} is for shares alone")
    elif leg.symbol in INDICES:
        raise refuse(f"{leg.symbol} is an index and cannot be traded")
    elif _any_option(order) and leg.quantity % 100:
        raise refuse("shares beside options are traded in hundreds for each unit")


def to_paper(order: Order, number: int, order_id: str, now_ns: int) -> PaperOrder:
    """Return what the venue keeps of an order."""
    trail = order.trail
    mixed = _any_option(order) and len(order.legs) > 1
    legs = [
        PaperLeg(
            symbol=leg.symbol,
            sign=1 if leg.side is Side.BUY else -1,
            ratio=int(leg.quantity),
            effect=leg.position_effect,
            multiplier=int(leg.multiplier),
            weight=_weight(leg, mixed=mixed),
        )
        for leg in order.legs
    ]
    return PaperOrder(
        number=number,
        order_id=order_id,
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        underlying=order.underlying,
        legs=legs,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        hours=order.hours,
        quantity=int(order.quantity),
        limit=order.limit_price,
        stop=order.stop_price,
        trail_offset=trail.offset if trail else None,
        trail_unit=trail.unit if trail else None,
        trail_basis=trail.basis if trail else None,
        trail_limit_offset=trail.limit_offset if trail else None,
        created_ns=now_ns,
        updated_ns=now_ns,
        status=OrderStatus.NEW,
    )


def _weight(leg: Leg, *, mixed: bool) -> int:
    hundreds = mixed and len(leg.symbol) != OCC_LENGTH
    return int(leg.quantity) // 100 if hundreds else int(leg.quantity)


def to_order(kept: PaperOrder, account_id: str, mode: Mode) -> Order:
    """Return an order of the venue as the model has it."""
    trail = None
    if kept.trail_offset is not None and kept.trail_unit and kept.trail_basis:
        trail = Trail(
            offset=kept.trail_offset,
            unit=kept.trail_unit,
            basis=kept.trail_basis,
            limit_offset=kept.trail_limit_offset,
        )
    stopped = kept.order_type in {OrderType.STOP, OrderType.STOP_LIMIT}
    return Order(
        client_order_id=kept.client_order_id,
        order_id=kept.order_id,
        account_id=account_id,
        mode=mode,
        strategy=kept.strategy,
        legs=tuple(
            Leg(
                symbol=leg.symbol,
                side=Side.BUY if leg.sign > 0 else Side.SELL,
                quantity=Decimal(leg.ratio),
                position_effect=PositionEffect(leg.effect),
                multiplier=Decimal(leg.multiplier),
            )
            for leg in kept.legs
        ),
        underlying=kept.underlying,
        order_type=kept.order_type,
        time_in_force=kept.time_in_force,
        hours=kept.hours,
        limit_price=None if trail else kept.limit,
        stop_price=kept.stop if stopped else None,
        trail=trail,
        quantity=Decimal(kept.quantity),
        filled_quantity=Decimal(kept.filled),
        status=kept.status,
        created_at=to_time(kept.created_ns),
        updated_at=to_time(kept.updated_ns),
    )
