"""The house's orders as Schwab's Trader API wants them. Pure.

Prices leave as exact decimal texts in the instrument's tick; what Schwab would refuse is refused
here with a sentence, before anything leaves. `requestedDestination` is never sent: it gives 400.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - used at run time by callers' annotations
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from models.errors import DataError
from models.options import schwab_ticker
from models.order_groups import OneCancelsOther, OrderTicket, Trigger
from models.order_terms import (
    AssetType,
    OrderType,
    PositionEffect,
    Side,
    TradingHours,
)
from models.schwab_order_terms import (
    TRAIL_LIMIT_BASIS,
    ComplexStrategy,
    Duration,
    Instruction,
    LinkBasis,
    LinkType,
    OrderStrategy,
    Session,
    WireAsset,
    WireOrderType,
)
from schwab_integration.complex_strategies import strategy_of
from schwab_integration.ticks import KNOWN_CLASSES, TickClass, check_price, price_text

if TYPE_CHECKING:
    from models.trading import Leg, Order, Trail

SESSION_OF: Final[Mapping[TradingHours, Session]] = {
    TradingHours.REGULAR: Session.NORMAL,
    TradingHours.PRE_MARKET: Session.AM,
    TradingHours.POST_MARKET: Session.PM,
    TradingHours.EXTENDED: Session.SEAMLESS,
}
"""Parts of the day, here and there."""

INSTRUCTION_OF: Final[Mapping[tuple[AssetType, Side, PositionEffect], Instruction]] = {
    (AssetType.EQUITY, Side.BUY, PositionEffect.OPENING): Instruction.BUY,
    (AssetType.EQUITY, Side.SELL, PositionEffect.CLOSING): Instruction.SELL,
    (AssetType.EQUITY, Side.SELL, PositionEffect.OPENING): Instruction.SELL_SHORT,
    (AssetType.EQUITY, Side.BUY, PositionEffect.CLOSING): Instruction.BUY_TO_COVER,
    (AssetType.OPTION, Side.BUY, PositionEffect.OPENING): Instruction.BUY_TO_OPEN,
    (AssetType.OPTION, Side.SELL, PositionEffect.OPENING): Instruction.SELL_TO_OPEN,
    (AssetType.OPTION, Side.BUY, PositionEffect.CLOSING): Instruction.BUY_TO_CLOSE,
    (AssetType.OPTION, Side.SELL, PositionEffect.CLOSING): Instruction.SELL_TO_CLOSE,
}
"""What a leg does, here and there."""

WITH_LIMIT: Final = frozenset(
    {
        OrderType.LIMIT,
        OrderType.STOP_LIMIT,
        OrderType.LIMIT_ON_CLOSE,
        OrderType.NET_DEBIT,
        OrderType.NET_CREDIT,
        OrderType.NET_ZERO,
    }
)
"""Types whose `price` is a limit."""

WITH_STOP: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
"""Types with a `stopPrice`."""

WITH_TRAIL: Final = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})
"""Types with a `stopPriceOffset`."""


class WireInstrument(msgspec.Struct, frozen=True, rename="camel"):
    """What a leg trades, as sent."""

    symbol: str
    asset_type: WireAsset


class WireLeg(msgspec.Struct, frozen=True, rename="camel"):
    """A leg as sent; `quantity` counts contracts or shares of the whole order."""

    instruction: Instruction
    quantity: Decimal
    instrument: WireInstrument


class WireOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An order as sent: `orderStrategyType` always, the rest where it applies."""

    order_strategy_type: OrderStrategy
    order_type: WireOrderType | None = None
    session: Session | None = None
    duration: Duration | None = None
    complex_order_strategy_type: ComplexStrategy | None = None
    quantity: Decimal | None = None
    price: str | None = None
    price_link_basis: LinkBasis | None = None
    price_link_type: LinkType | None = None
    stop_price: str | None = None
    stop_price_link_basis: LinkBasis | None = None
    stop_price_link_type: LinkType | None = None
    stop_price_offset: str | None = None
    order_leg_collection: tuple[WireLeg, ...] = ()
    child_order_strategies: tuple[WireOrder, ...] = ()


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def to_json(wire: WireOrder) -> bytes:
    """Return the body of a request: prices as texts, quantities as numbers."""
    return _ENCODER.encode(wire)


def to_wire(
    ticket: OrderTicket, *, tick_classes: Mapping[str, TickClass] = KNOWN_CLASSES
) -> WireOrder:
    """Return an order, or several that hang together, as Schwab wants them.

    Args:
        ticket: What to send.
        tick_classes: Option root -> how its contracts are quoted, where it is known.

    Raises:
        DataError: Schwab would refuse it; the sentence says what and how to mend it.
    """
    if isinstance(ticket, OneCancelsOther):
        children = tuple(_single(order, tick_classes) for order in ticket.orders)
        return WireOrder(order_strategy_type=OrderStrategy.OCO, child_order_strategies=children)
    if isinstance(ticket, Trigger):
        return msgspec.structs.replace(
            _single(ticket.first, tick_classes),
            order_strategy_type=OrderStrategy.TRIGGER,
            child_order_strategies=(to_wire(ticket.then, tick_classes=tick_classes),),
        )
    return _single(ticket, tick_classes)


def _single(order: Order, classes: Mapping[str, TickClass]) -> WireOrder:
    _check_terms(order)
    several = len(order.legs) > 1
    limit = order.limit_price
    if limit is not None:
        check_price("limit_price", abs(limit), order.legs, classes)
    if order.stop_price is not None:
        check_price("stop_price", order.stop_price, order.legs, classes)
    wire = WireOrder(
        order_strategy_type=OrderStrategy.SINGLE,
        order_type=WireOrderType(order.order_type),
        session=SESSION_OF[order.hours],
        duration=Duration(order.time_in_force),
        complex_order_strategy_type=strategy_of(order.legs) if several else ComplexStrategy.NONE,
        quantity=order.quantity if several else None,
        price=None if limit is None else price_text(abs(limit)),
        stop_price=None if order.stop_price is None else price_text(order.stop_price),
        order_leg_collection=tuple(_leg(leg, order.quantity) for leg in order.legs),
    )
    return wire if order.trail is None else _trailing(wire, order.trail)


def _trailing(wire: WireOrder, trail: Trail) -> WireOrder:
    """Return an order with its trailing stop; see `TRAIL_LIMIT_BASIS` for its limit."""
    stop = msgspec.structs.replace(
        wire,
        stop_price_link_basis=LinkBasis(trail.basis),
        stop_price_link_type=LinkType(trail.unit),
        stop_price_offset=price_text(trail.offset),
    )
    if trail.limit_offset is None:
        return stop
    return msgspec.structs.replace(
        stop,
        price=price_text(trail.limit_offset),
        price_link_basis=TRAIL_LIMIT_BASIS,
        price_link_type=LinkType.VALUE,
    )


def _leg(leg: Leg, units: Decimal) -> WireLeg:
    option = leg.asset_type is AssetType.OPTION
    asset = WireAsset.OPTION if option else WireAsset.EQUITY
    symbol = leg.symbol if option else schwab_ticker(leg.symbol)
    total = leg.quantity * units
    if option and total != total.to_integral():
        message = f"options trade in whole contracts: {_plain(total)} of {leg.symbol} is none"
        raise DataError(message)
    if leg.position_effect is PositionEffect.AUTOMATIC:
        message = (
            f"the leg {leg.symbol} does not say whether it opens or closes a position, and Schwab "
            "wants to know: give position_effect OPENING or CLOSING"
        )
        raise DataError(message)
    instruction = INSTRUCTION_OF[leg.asset_type, leg.side, leg.position_effect]
    return WireLeg(instruction, _plain(total), WireInstrument(symbol, asset))


def _check_terms(order: Order) -> None:
    """Refuse what Schwab does not trade.

    Raises:
        DataError: With the sentence.
    """
    symbols = [leg.symbol for leg in order.legs if leg.asset_type is AssetType.EQUITY]
    for symbol in symbols:
        if schwab_ticker(symbol).startswith("$"):
            message = f"{symbol} is an index and cannot be traded itself, only its options can"
            raise DataError(message)
    if order.order_type is OrderType.TRAILING_STOP_LIMIT and order.trail is None:
        message = "a TRAILING_STOP_LIMIT needs a trail"
        raise DataError(message)


def _plain(number: Decimal) -> Decimal:
    """Return a number without zeros behind the point and without an exponent."""
    whole = number.to_integral_value()
    return whole.quantize(Decimal(1)) if whole == number else number.normalize()
