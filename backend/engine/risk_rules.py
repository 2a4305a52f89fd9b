"""Rules about an order by itself, and about how it fits to what is held: one function each.

A rule returns None where a ticket keeps to it, else a `Denial` with its code, the limit, the value
that breaks it, and one sentence. Those of the market stand in `risk_market`, those of the account in
`risk_account`, those of how often a strategy asks in `risk_flow`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from black_scholes.shocks import CALL
from engine.core import Denial
from engine.cover import left_uncovered, uncovered
from engine.instruments import instrument_of
from engine.order_facts import together
from models.order_terms import AssetType, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.cover import Short
    from engine.order_facts import Units
    from engine.risk import Question
    from models.events import Quote
    from models.trading import Order

    Rule: TypeAlias = Callable[[Question], Denial | None]

_ZERO = Decimal(0)
_TEN_CENTS = Decimal("0.10")
_ROUNDING = 1e-6


def restricted(asked: Question) -> Denial | None:
    """No opening in an underlying on the restricted list."""
    for leg in asked.opened if asked.limits.restricted else ():
        underlying = instrument_of(leg.symbol).underlying
        if underlying in asked.limits.restricted:
            names = ", ".join(asked.limits.restricted)
            said = f"{underlying} is on the restricted list"
            return Denial("restricted", f"not {names}", underlying, said)
    return None


def size(asked: Question) -> Denial | None:
    """Contracts and shares of each leg."""
    for order in asked.orders:
        for leg in order.legs:
            option = leg.asset_type is AssetType.OPTION
            most = asked.limits.max_contracts if option else asked.limits.max_shares
            quantity = order.quantity * leg.quantity
            if quantity > most:
                unit = "contracts" if option else "shares"
                said = f"{quantity} {unit} of {leg.symbol} are more than {most}"
                return Denial("size", str(most), str(quantity), said)
    return None


def notional(asked: Question) -> Denial | None:
    """USD that an order trades: of shares their price, of options the premium of all legs."""
    for order in asked.orders if asked.opening else ():
        total = 0.0
        for leg in order.legs:
            price = _reference(asked.quote(leg.symbol))
            if order.limit_price is not None and len(order.legs) == 1:
                price = max(price or 0.0, float(order.limit_price))
            if price is not None:
                total += price * float(leg.quantity * leg.multiplier * order.quantity)
        most = asked.limits.max_notional
        if total > float(most) + _ROUNDING:
            said = f"the order trades {total:,.2f} USD, more than {most:,.2f}"
            return Denial("notional", str(most), f"{total:.2f}", said)
    return None


def price_collar(asked: Question) -> Denial | None:
    """A limit may not be much worse than the natural price, to open or to close."""
    order = asked.first
    limit, natural = _signed_limit(order), asked.natural(order)
    if limit is None or natural is None:
        return None
    # One leg that is sold has a positive limit; the natural price counts it as a credit.
    most = natural + max(abs(natural) * asked.limits.price_collar, _TEN_CENTS)
    if limit > most:
        said = (
            f"the limit {limit} is worse than the natural price {natural} by more than the collar"
        )
        return Denial("price_collar", str(most), str(limit), said)
    return None


def open_orders(asked: Question) -> Denial | None:
    """How many orders may work at the same time, when another one opens."""
    if not asked.opening:
        return None
    working, most = len(asked.working), asked.limits.max_open_orders
    if working + len(asked.orders) > most:
        value = str(working + len(asked.orders))
        return Denial("open_orders", str(most), value, f"{working} orders work, {most} may")
    return None


def positions(asked: Question) -> Denial | None:
    """How many instruments may be held, those that working orders open included."""
    if not asked.opening:
        return None
    most = asked.limits.max_positions
    orders = (*asked.working, *asked.orders)
    if len(asked.held) + sum([len(order.legs) for order in orders]) <= most:
        return None
    held = set(asked.held)
    for order in orders:
        held.update(leg.symbol for leg in order.legs)
    if len(held) > most:
        count = str(len(held))
        return Denial("positions", str(most), count, f"{len(held)} holdings, {most} may be")
    return None


def max_loss(asked: Question) -> Denial | None:
    """What the options of an order lose at worst at expiration."""
    if not asked.opening:
        return None
    most = asked.limits.max_loss
    for order in asked.orders:
        loss = asked.loss(order)
        if loss is not None and loss > float(most) + _ROUNDING:
            said = f"the order can lose {loss:,.2f} USD, more than {most:,.2f}"
            return Denial("max_loss", str(most), f"{loss:.2f}", said)
    return None


def worst_loss(order: Order, natural: Decimal | None) -> float | None:
    """Return USD that an order's options lose at worst at expiration, its price paid.

    Args:
        order: Of options of one expiration, or of several: a later one then counts as expiring with
            the first.
        natural: USD a unit, where the order has no limit.

    Returns:
        None where it is unbounded, has shares in it, or no price is known.
    """
    price = natural if order.limit_price is None else _signed_limit(order)
    if price is None:
        return None
    legs = []
    calls = 0.0
    for leg in order.legs:
        each = instrument_of(leg.symbol)
        if not each.is_option:
            return None
        signed = float(leg.quantity) if leg.side is Side.BUY else -float(leg.quantity)
        legs.append((each.kind == CALL, each.strike, signed))
        calls += signed if each.kind == CALL else 0.0
    if calls < 0:
        return None
    worst = min([_value(legs, strike) for _, strike, _ in legs])
    worst = min(worst, _value(legs, 0.0))
    units = float(order.legs[0].multiplier * order.quantity)
    return max(0.0, round((float(price) - worst) * units, 6))


def _value(legs: Sequence[tuple[bool, float, float]], spot: float) -> float:
    """Return what a unit of the legs is worth at expiration, USD a share."""
    total = 0.0
    for is_call, strike, signed in legs:
        gain = spot - strike if is_call else strike - spot
        if gain > 0.0:
            total += signed * gain
    return total


def naked_short(asked: Question) -> Denial | None:
    """No ticket may leave more short options uncovered than there are: working orders counted.

    That holds for what closes too: a long option that covers a short one is not sold before it.
    """
    uncovers = any(
        leg.side is Side.SELL or leg.asset_type is AssetType.EQUITY
        for order in asked.orders
        for leg in order.legs
    )
    if asked.limits.naked_shorts or not uncovers:
        return None  # options that are bought alone uncover nothing; shares bought back may
    for case in asked.cases:
        facts = [asked.facts(order) for order in case]
        units = together(facts)
        underlyings = {each for part in facts for each in part.underlyings}
        if len(underlyings) == 1 and _covers_itself(units):
            continue
        for underlying in underlyings:
            held, waiting = _beside(asked, underlying)
            after = dict(held)
            for symbol, (count, _) in units.items():
                if instrument_of(symbol).underlying == underlying:
                    after[symbol] = after.get(symbol, 0.0) + count
            naked = uncovered(after, waiting)
            if naked > 0 and naked > uncovered(held, waiting):
                said = f"{naked:g} short option(s) on {underlying} would stand uncovered"
                return Denial("naked_short", "0", f"{naked:g}", said)
    return None


def _covers_itself(units: Units) -> bool:
    """Return whether what orders sell is covered by what they buy: then nothing else is uncovered."""
    if any(not instrument_of(symbol).is_option for symbol in units):
        return False
    return not left_uncovered({symbol: count for symbol, (count, _) in units.items()})


def _beside(asked: Question, underlying: str) -> tuple[dict[str, float], list[Short]]:
    """Return units held on an underlying and the shorts that working orders would add.

    Of an order that works, what it buys covers what it sells with it and nothing else, since it may
    be cancelled or never fill; what it sells alone counts as sold.
    """
    held = dict(asked.held.by_underlying.get(underlying, {}))
    waiting: list[Short] = []
    for order in asked.working:
        facts = asked.facts(order)
        if underlying not in facts.underlyings:
            continue
        if len(facts.units) > 1:
            waiting += facts.shorts[underlying]
            continue
        for symbol, (count, _) in facts.units.items():
            if count < 0:
                held[symbol] = held.get(symbol, 0.0) + count
    return held, waiting


ORDER_RULES: tuple[Rule, ...] = (
    restricted,
    size,
    notional,
    price_collar,
    open_orders,
    positions,
    max_loss,
    naked_short,
)
"""In the order in which they are asked."""


def _reference(quote: Quote | None) -> float | None:
    """Return the middle of a market, or its one side, USD."""
    if quote is None:
        return None
    sides = [side for side in (quote.bid, quote.ask) if side is not None]
    return sum(sides) / len(sides) if sides else None


def _signed_limit(order: Order) -> Decimal | None:
    """Return what a unit costs at the limit, a credit negative."""
    limit = order.limit_price
    if limit is not None and len(order.legs) == 1 and order.legs[0].signed_quantity < 0:
        return -limit
    return limit


def natural_of(order: Order, quotes: Mapping[str, Quote]) -> Decimal | None:
    """Return what a unit of an order costs at the touch of its legs; None without a market."""
    total = _ZERO
    for leg in order.legs:
        quote = quotes.get(leg.symbol)
        signed = leg.signed_quantity
        side = None if quote is None else quote.ask if signed > 0 else quote.bid
        if side is None:
            return None
        total += signed * Decimal(repr(side))
    return total
