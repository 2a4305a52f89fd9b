"""Instruments and orders in the words of people who trade them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.options import OptionContract
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import OrderType, Side, TrailUnit
from models.symbols import OCC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from models.order_groups import OrderTicket
    from models.trading import Leg, Order

_UNITS = {TrailUnit.VALUE: "", TrailUnit.PERCENT: " %", TrailUnit.TICK: " ticks"}


def instrument(symbol: str) -> str:
    """Return an instrument for people: `QQQ 20 Nov 600 P`."""
    if len(symbol) != OCC_LENGTH:
        return symbol
    contract = OptionContract.from_occ(symbol)
    strike = f"{contract.strike.normalize():f}"
    return f"{contract.root} {contract.expiration:%d %b} {strike} {contract.right}"


def price(value: Decimal) -> str:
    """Return a price in cents, or as fine as it is."""
    return f"{value:.2f}" if value == round(value, 2) else f"{value.normalize():f}"


def price_words(order: Order) -> str:
    """Return at what price an order trades: `for a credit of 0.42`, `at 601.50 or better`."""
    words = _limit(order.limit_price, len(order.legs))
    if order.order_type in {OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE}:
        words += " on the close"
    if order.stop_price is not None:
        words += f", once the market is at {price(order.stop_price)}"
    if order.trail is not None:
        words += f", trailing by {order.trail.offset.normalize():f}{_UNITS[order.trail.unit]}"
    return words


def order_words(order: Order) -> str:
    """Return an order for people: `sell 2 QQQ 27 Nov 765/768 P vertical for a credit of 0.40`.

    Packages that have a usual name are called by it, sold where they bring a credit; others are
    told leg by leg.
    """
    return f"{_legs(order.legs, order.quantity)} {price_words(order)}"


def ticket_words(ticket: OrderTicket) -> str:
    """Return what is given to a broker in one piece."""
    if isinstance(ticket, Trigger):
        return f"{order_words(ticket.first)}; once filled: {ticket_words(ticket.then)}"
    if isinstance(ticket, OneCancelsOther):
        return " or else ".join(order_words(each) for each in ticket.orders)
    return order_words(ticket)


def _number(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"


def _legs(legs: Sequence[Leg], quantity: Decimal) -> str:
    known = _package(legs) if len(legs) in {2, 4} else None
    if known is not None:
        side, name = known
        return f"{side.lower()} {_number(quantity)} {name}"
    return ", ".join(
        f"{leg.side.lower()} {_number(leg.quantity * quantity)} {instrument(leg.symbol)}"
        for leg in legs
    )


def _limit(limit: Decimal | None, legs: int) -> str:
    if limit is None:
        return "at the market"
    if legs == 1:
        return f"at {price(limit)}"
    if not limit:
        return "even"
    return f"for a {'credit' if limit < 0 else 'debit'} of {price(abs(limit))}"


def _package(legs: Sequence[Leg]) -> tuple[Side, str] | None:
    """Return side and name of a vertical or an iron condor; None where the legs are something else."""
    if any(len(leg.symbol) != OCC_LENGTH or leg.quantity != 1 for leg in legs):
        return None
    parts = sorted(
        ((OptionContract.from_occ(leg.symbol), leg.side) for leg in legs),
        key=lambda part: (part[0].right == "C", part[0].strike),
    )
    if len({(contract.root, contract.expiration) for contract, _ in parts}) != 1:
        return None
    rights = "".join(contract.right for contract, _ in parts)
    sides = "".join(side[0] for _, side in parts)
    strikes = [_number(contract.strike) for contract, _ in parts]
    first = parts[0][0]
    series = f"{first.root} {first.expiration:%d %b}"
    if rights in {"PP", "CC"} and sides in {"BS", "SB"}:
        # Of calls the lower strike is worth more, of puts the higher one.
        bought = (sides == "BS") == (rights == "CC")
        side = Side.BUY if bought else Side.SELL
        return side, f"{series} {'/'.join(strikes)} {rights[0]} vertical"
    if rights == "PPCC" and sides in {"BSSB", "SBBS"}:
        side = Side.SELL if sides == "BSSB" else Side.BUY
        puts, calls = "/".join(strikes[:2]), "/".join(strikes[2:])
        return side, f"{series} {puts} P {calls} C iron condor"
    return None
