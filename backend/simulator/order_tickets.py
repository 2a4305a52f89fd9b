"""From the records of a client's order to the ticket that the engine takes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from models.order_groups import OneCancelsOther, OrderTicket, Trigger
from models.order_terms import (
    Mode,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)
from models.schwab_order_terms import Instruction, LinkBasis, Session, WireOrderType
from models.trading import Leg, Order, Trail
from simulator import trader_facts as facts
from simulator.order_forms import PRICED, STOPPED, TRAILING

if TYPE_CHECKING:
    from datetime import datetime

    from simulator.order_forms import LegForm, OrderForm
    from simulator.order_records import OrderRecord

_HOURS = {
    Session.NORMAL: TradingHours.REGULAR,
    Session.AM: TradingHours.PRE_MARKET,
    Session.PM: TradingHours.POST_MARKET,
    Session.SEAMLESS: TradingHours.EXTENDED,
}
_BUYS = frozenset(
    {
        Instruction.BUY,
        Instruction.BUY_TO_COVER,
        Instruction.BUY_TO_OPEN,
        Instruction.BUY_TO_CLOSE,
    }
)
_EFFECTS = {
    Instruction.BUY: PositionEffect.OPENING,
    Instruction.BUY_TO_OPEN: PositionEffect.OPENING,
    Instruction.SELL_TO_OPEN: PositionEffect.OPENING,
    Instruction.SELL_SHORT: PositionEffect.OPENING,
    Instruction.SELL: PositionEffect.CLOSING,
    Instruction.BUY_TO_COVER: PositionEffect.CLOSING,
    Instruction.BUY_TO_CLOSE: PositionEffect.CLOSING,
    Instruction.SELL_TO_CLOSE: PositionEffect.CLOSING,
}
_BASES = {
    LinkBasis.LAST: TrailBasis.LAST,
    LinkBasis.BID: TrailBasis.BID,
    LinkBasis.ASK: TrailBasis.ASK,
}


def side_of(instruction: Instruction) -> Side:
    """Return whether a leg buys or sells."""
    return Side.BUY if instruction in _BUYS else Side.SELL


def effect_of(instruction: Instruction) -> PositionEffect:
    """Return whether a leg opens or closes."""
    return _EFFECTS[instruction]


def to_ticket(record: OrderRecord, account_id: str, now: datetime) -> OrderTicket:
    """Return the engine's ticket of an order and all below it.

    Args:
        record: The uppermost order, with its client order ids.
        account_id: Hash of the account.
        now: Market time.

    Raises:
        ValueError: Its prices do not fit its type.
    """
    if record.form.is_pair:
        first, second = (_order(child, account_id, now) for child in record.children)
        return OneCancelsOther(orders=(first, second))
    order = _order(record, account_id, now)
    if not record.children:
        return order
    return Trigger(first=order, then=to_ticket(record.children[0], account_id, now))


def to_order(record: OrderRecord, account_id: str, now: datetime) -> Order:
    """Return the engine's order of one record, without those below it.

    Raises:
        ValueError: Its prices do not fit its type.
    """
    return _order(record, account_id, now)


def _order(record: OrderRecord, account_id: str, now: datetime) -> Order:
    form = record.form
    if (
        form.order_type is None
        or form.session is None
        or form.duration is None
        or form.quantity is None
    ):
        raise ValueError("an order needs orderType, session, duration and legs")
    quantity = form.quantity
    return Order(
        client_order_id=record.client_order_id,
        account_id=account_id,
        mode=Mode.REHEARSAL,
        legs=tuple(_leg(leg, quantity) for leg in form.legs),
        order_type=OrderType(form.order_type.value),
        time_in_force=TimeInForce(form.duration.value),
        hours=_HOURS[form.session],
        limit_price=_limit(form),
        stop_price=form.stop_price if form.order_type in STOPPED else None,
        trail=_trail(form),
        quantity=quantity,
        created_at=now,
    )


def _leg(leg: LegForm, units: Decimal) -> Leg:
    return Leg(
        symbol=leg.symbol,
        side=side_of(leg.instruction),
        quantity=leg.quantity / units,
        position_effect=effect_of(leg.instruction),
    )


def _limit(form: OrderForm) -> Decimal | None:
    if form.order_type not in PRICED or form.price is None:
        return None
    return -form.price if form.order_type is WireOrderType.NET_CREDIT else form.price


def _trail(form: OrderForm) -> Trail | None:
    if form.order_type not in TRAILING or form.stop_offset is None:
        return None
    limit_offset = None
    if form.order_type is WireOrderType.TRAILING_STOP_LIMIT:
        linked = form.price_basis is not None and form.price is not None
        limit_offset = form.price if linked else Decimal(facts.UNLINKED_TRAIL_LIMIT_OFFSET)
    return Trail(
        offset=form.stop_offset,
        unit=TrailUnit(form.stop_unit.value) if form.stop_unit else TrailUnit.VALUE,
        basis=_BASES.get(form.stop_basis, TrailBasis.MARK) if form.stop_basis else TrailBasis.MARK,
        limit_offset=limit_offset,
    )
