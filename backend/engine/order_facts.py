"""What the risk gate asks of an order again and again, worked out once for each of its states. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from engine.cover import left_uncovered
from engine.instruments import instrument_of
from models.order_terms import PositionEffect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.cover import Short
    from models.trading import Order

Units: TypeAlias = "dict[str, tuple[float, float]]"
"""Signed units and shares a unit, by symbol."""

Shape: TypeAlias = tuple[tuple[tuple[str, str, object], ...], object, object, object]

_MOST = 4_096
_CLOSING = PositionEffect.CLOSING


class OrderFacts(NamedTuple):
    """One order in plain numbers.

    Attributes:
        order: In the state that the others are of.
        units: What is left of it.
        underlyings: Of its legs.
        opens: Whether a leg is not marked as closing.
        shape: What makes two orders the same order twice.
        shorts: Of several legs: by underlying, the shorts that its own longs do not cover.
    """

    order: Order
    units: Units
    underlyings: frozenset[str]
    opens: bool
    shape: Shape
    shorts: Mapping[str, list[Short]]


class FactBook:
    """Facts of the orders that were asked about lately."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, OrderFacts] = {}

    def of(self, order: Order) -> OrderFacts:
        """Return the facts of an order as it is now."""
        known = self._known.get(order.client_order_id)
        if known is None or known.order is not order:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[order.client_order_id] = _facts(order)
        return known


def _facts(order: Order) -> OrderFacts:
    left = float(order.remaining_quantity)
    units = {
        leg.symbol: (float(leg.signed_quantity) * left, float(leg.multiplier)) for leg in order.legs
    }
    opens = any(leg.position_effect is not _CLOSING for leg in order.legs)
    underlyings = frozenset([instrument_of(symbol).underlying for symbol in units])
    shorts = {each: _shorts(units, each) for each in underlyings} if len(units) > 1 else {}
    return OrderFacts(order, units, underlyings, opens, shape_of(order), shorts)


def _shorts(units: Units, underlying: str) -> list[Short]:
    return left_uncovered(
        {
            symbol: count
            for symbol, (count, _) in units.items()
            if instrument_of(symbol).underlying == underlying
        }
    )


def shape_of(order: Order) -> Shape:
    """Return what makes two orders the same order twice."""
    legs = [(leg.symbol, leg.side, leg.quantity) for leg in order.legs]
    return tuple(sorted(legs)), order.quantity, order.limit_price, order.stop_price


def together(parts: Iterable[OrderFacts]) -> Units:
    """Return the units of several orders."""
    found: Units = {}
    for part in parts:
        if not found:
            found = dict(part.units)
            continue
        for symbol, (count, shares) in part.units.items():
            before = found.get(symbol)
            found[symbol] = (count + before[0] if before else count), shares
    return found
