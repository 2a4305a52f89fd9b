"""Which of Schwab's named strategies several legs are: `complexOrderStrategyType`. Pure.

The name tells Schwab how to judge and route the package; CUSTOM always fits. Names go by rights,
expirations, order of strikes and ratios, not by the distance of strikes: a butterfly with unequal
wings is a BUTTERFLY, one with unequal ratios an UNBALANCED_BUTTERFLY. An iron butterfly counts as
an IRON_CONDOR, for which Schwab has no name of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from models.options import OptionContract
from models.order_terms import AssetType, PositionEffect, Side
from models.schwab_order_terms import ComplexStrategy
from models.trading import Leg


@dataclass(frozen=True, slots=True)
class _Part:
    """An option leg with its contract's terms."""

    underlying: str
    expiration: date
    strike: Decimal
    right: str
    bought: bool
    quantity: Decimal
    opening: bool


_Rule = Callable[[Sequence[_Part]], ComplexStrategy | None]


def strategy_of(legs: Sequence[Leg]) -> ComplexStrategy:
    """Return the name of a package; NONE of a single leg, CUSTOM of what has no name."""
    if len(legs) == 1:
        return ComplexStrategy.NONE
    shares = [leg for leg in legs if leg.asset_type is AssetType.EQUITY]
    parts = sorted(
        (_part(leg) for leg in legs if leg.asset_type is AssetType.OPTION),
        key=lambda part: (part.strike, part.right == "C", part.expiration),
    )
    if len({leg.underlying for leg in legs}) > 1 or len(shares) > 1:
        return ComplexStrategy.CUSTOM
    if shares:
        return _with_stock(shares[0], parts) or ComplexStrategy.CUSTOM
    rule = _RULES.get(len(parts))
    return (rule(parts) if rule else None) or ComplexStrategy.CUSTOM


def _part(leg: Leg) -> _Part:
    contract = OptionContract.from_occ(leg.symbol)
    return _Part(
        contract.underlying,
        contract.expiration,
        contract.strike,
        contract.right,
        leg.side is Side.BUY,
        leg.quantity,
        leg.position_effect is not PositionEffect.CLOSING,
    )


def _with_stock(stock: Leg, parts: Sequence[_Part]) -> ComplexStrategy | None:
    """Shares with a short call or put of as many contracts, or with both sides of a collar."""
    if any(part.quantity * 100 != stock.quantity for part in parts):
        return None
    long = _long(stock.side is Side.BUY, stock.position_effect is not PositionEffect.CLOSING)
    held = {part.right: _long(part.bought, part.opening) for part in parts}
    if len(parts) == 1 and held == {"C" if long else "P": False}:
        return ComplexStrategy.COVERED
    if len(parts) == 2 and held == {"C": not long, "P": long}:
        return ComplexStrategy.COLLAR_WITH_STOCK
    return None


def _long(bought: bool, opening: bool) -> bool:
    """Say whether the position that a leg opens or closes is a long one."""
    return bought == opening


def _two(parts: Sequence[_Part]) -> ComplexStrategy | None:
    one, other = parts
    if one.right != other.right:
        return _call_and_put(one, other)
    if one.bought == other.bought:
        return None
    if one.expiration == other.expiration:
        equal = one.quantity == other.quantity
        return ComplexStrategy.VERTICAL if equal else ComplexStrategy.BACK_RATIO
    if one.quantity != other.quantity:
        return None
    same = one.strike == other.strike
    return ComplexStrategy.CALENDAR if same else ComplexStrategy.DIAGONAL


def _call_and_put(one: _Part, other: _Part) -> ComplexStrategy | None:
    if one.expiration != other.expiration or one.quantity != other.quantity:
        return None
    if one.bought != other.bought:
        return ComplexStrategy.COLLAR_SYNTHETIC
    same = one.strike == other.strike
    return ComplexStrategy.STRADDLE if same else ComplexStrategy.STRANGLE


def _three(parts: Sequence[_Part]) -> ComplexStrategy | None:
    """Wings of one side and a body of the other, of one right and expiration."""
    low, body, high = parts
    if not _one_series(parts) or not low.bought == high.bought != body.bought:
        return None
    if low.quantity + high.quantity != body.quantity:
        return None
    even = low.quantity == high.quantity
    return ComplexStrategy.BUTTERFLY if even else ComplexStrategy.UNBALANCED_BUTTERFLY


def _four(parts: Sequence[_Part]) -> ComplexStrategy | None:
    calls = [part for part in parts if part.right == "C"]
    puts = [part for part in parts if part.right == "P"]
    if len(calls) == 2:
        return _two_and_two(puts, calls)
    if len(calls) not in {0, 4}:
        return None
    if len({part.opening for part in parts}) == 2:
        return _roll(parts)
    return _condor(parts) if _one_series(parts) else None


def _condor(parts: Sequence[_Part]) -> ComplexStrategy | None:
    """Outer strikes of one side, inner of the other."""
    first, second, third, fourth = parts
    even = len({part.quantity for part in parts}) == 1
    balanced = _net(parts) == 0
    pattern = first.bought == fourth.bought != second.bought == third.bought
    if balanced and pattern:
        return ComplexStrategy.CONDOR if even else ComplexStrategy.UNBALANCED_CONDOR
    return None


def _roll(parts: Sequence[_Part]) -> ComplexStrategy | None:
    opened = [part for part in parts if part.opening]
    closed = [part for part in parts if not part.opening]
    pairs = (opened, closed)
    if any(len(pair) != 2 or _two(pair) is not ComplexStrategy.VERTICAL for pair in pairs):
        return None
    even = opened[0].quantity == closed[0].quantity
    return ComplexStrategy.VERTICAL_ROLL if even else ComplexStrategy.UNBALANCED_VERTICAL_ROLL


def _two_and_two(puts: Sequence[_Part], calls: Sequence[_Part]) -> ComplexStrategy | None:
    """Two puts and two calls: an iron condor of verticals, or a double diagonal."""
    low, short_put, short_call, high = *puts, *calls
    if len({part.expiration for part in (*puts, *calls)}) == 1:
        wings = low.bought == high.bought != short_put.bought == short_call.bought
        pairs = low.quantity == short_put.quantity and short_call.quantity == high.quantity
        if not wings or not pairs or short_put.strike > short_call.strike:
            return None
        even = low.quantity == high.quantity
        return ComplexStrategy.IRON_CONDOR if even else ComplexStrategy.UNBALANCED_IRON_CONDOR
    if {_two(puts), _two(calls)} != {ComplexStrategy.DIAGONAL}:
        return None
    near_put, far_put = sorted(puts, key=lambda part: part.expiration)
    near_call, far_call = sorted(calls, key=lambda part: part.expiration)
    dates = (
        near_put.expiration == near_call.expiration and far_put.expiration == far_call.expiration
    )
    sides = near_put.bought == near_call.bought
    even = near_put.quantity == near_call.quantity
    return ComplexStrategy.DOUBLE_DIAGONAL if dates and sides and even else None


def _one_series(parts: Sequence[_Part]) -> bool:
    """Say whether all are of one right and expiration."""
    return len({(part.right, part.expiration) for part in parts}) == 1


def _net(parts: Sequence[_Part]) -> Decimal:
    zero = Decimal(0)
    return sum((part.quantity if part.bought else -part.quantity for part in parts), zero)


_RULES: Final[dict[int, _Rule]] = {2: _two, 3: _three, 4: _four}
