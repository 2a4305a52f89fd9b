"""The rules of the risk gate, one function each, in the order in which they are asked.

A rule returns None where a ticket keeps to it, else a `Denial` with its code (the function's name),
the limit, the value that breaks it, and one sentence. Most ask of openings alone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from engine.core import Denial
from engine.ledger import contract_of
from engine.margin import OptionHolding, intrinsic, option_requirement
from engine.trading_hours import day_of, last_trade_ns
from models.order_terms import AssetType
from models.symbols import INDICES, OCC_LENGTH
from models.trading import underlying_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.risk import Question
    from models.events import Quote
    from models.options import OptionContract
    from models.trading import Leg, Order

    Rule: TypeAlias = Callable[[Question], Denial | None]

_ZERO = Decimal(0)
_TEN_CENTS = Decimal("0.10")
_SECOND_NS = 1_000_000_000


def restricted(asked: Question) -> Denial | None:
    """No opening in an underlying on the restricted list."""
    for leg in asked.first.legs:
        if leg.underlying in asked.limits.restricted and asked.opening:
            names = ", ".join(asked.limits.restricted)
            said = f"{leg.underlying} is on the restricted list"
            return Denial("restricted", f"not {names}", leg.underlying, said)
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
    for order in asked.orders:
        total = _ZERO
        for leg in order.legs:
            price = _reference(asked.quote(leg.symbol))
            if price is None and order.limit_price is not None and len(order.legs) == 1:
                price = order.limit_price
            if price is not None:
                total += price * leg.quantity * leg.multiplier * order.quantity
        if total > asked.limits.max_notional:
            most = asked.limits.max_notional
            said = f"the order trades {total:,.2f} USD, more than {most:,.2f}"
            return Denial("notional", str(most), f"{total:.2f}", said)
    return None


def market_hours(asked: Question) -> Denial | None:
    """Nothing opens while its market is closed."""
    if not asked.opening:
        return None
    symbols = [leg.symbol for leg in asked.first.legs]
    window = asked.hours.window(symbols, asked.first.hours, asked.now_ns)
    if window.open_ns <= asked.now_ns < window.close_ns:
        return None
    return Denial(
        "market_hours", "an open market", "closed", f"the market of {symbols[0]} is closed"
    )


def expires_soon(asked: Question) -> Denial | None:
    """No opening in a contract that expires today, in the last minutes before its last trade."""
    if not asked.opening:
        return None
    limit_ns = round(asked.limits.no_openings_minutes * 60) * _SECOND_NS
    for leg in asked.first.legs:
        if leg.asset_type is not AssetType.OPTION:
            continue
        last_ns = last_trade_ns(contract_of(leg.symbol))
        left_ns = last_ns - asked.now_ns
        if day_of(last_ns) == day_of(asked.now_ns) and left_ns < limit_ns:
            minutes = f"{left_ns / 60 / _SECOND_NS:.1f}"
            most = f"{asked.limits.no_openings_minutes:g}"
            said = f"{leg.symbol} trades {minutes} minutes more: openings end {most} before"
            return Denial("expires_soon", most, minutes, said)
    return None


def quotes(asked: Question) -> Denial | None:
    """What opens needs a two-sided, uncrossed and fresh market in each leg and its underlying."""
    if not asked.opening:
        return None
    for leg in asked.first.legs:
        option = leg.asset_type is AssetType.OPTION
        most_s = asked.limits.max_age_s if option else asked.limits.max_underlying_age_s
        denial = _bad_quote(asked, leg.symbol, most_s, both_sides=True)
        if denial is None and option:
            age = asked.limits.max_underlying_age_s
            denial = _bad_quote(asked, leg.underlying, age, both_sides=False)
        if denial is not None:
            return denial
    return None


def _bad_quote(asked: Question, symbol: str, most_s: float, *, both_sides: bool) -> Denial | None:
    quote = asked.quote(symbol)
    if quote is None:
        return Denial("quotes", "a quote", "none", f"{symbol} has no quote")
    age_s = (asked.now_ns - quote.time_ns) / _SECOND_NS / asked.speed
    if age_s > most_s:
        said = f"the quote of {symbol} is {age_s:.1f} s old, more than {most_s:g}"
        return Denial("quotes", f"{most_s:g} s", f"{age_s:.1f} s", said)
    return _bad_sides(asked, quote) if both_sides else None


def _bad_sides(asked: Question, quote: Quote) -> Denial | None:
    symbol = quote.symbol
    if quote.bid is None or quote.ask is None:
        return Denial("quotes", "two sides", "one", f"{symbol} is quoted on one side alone")
    if quote.bid > quote.ask:
        return Denial("quotes", "bid <= ask", f"{quote.bid} > {quote.ask}", f"{symbol} is crossed")
    mid, wide = (quote.bid + quote.ask) / 2, quote.ask - quote.bid
    most = max(float(asked.limits.max_spread) * mid, float(asked.limits.max_spread_usd))
    if wide > most + 1e-9:
        said = f"the market of {symbol} is {wide:.2f} USD wide, more than {most:.2f}"
        return Denial("spread_width", f"{most:.2f}", f"{wide:.2f}", said)
    return None


def price_collar(asked: Question) -> Denial | None:
    """A limit may not be much worse than the natural price, and a market order needs one."""
    order = asked.first
    natural = _natural(asked, order)
    if natural is None or order.limit_price is None:
        return None
    limit = order.limit_price
    # One leg that is sold has a positive limit; the natural price counts it as a credit.
    if len(order.legs) == 1 and order.legs[0].signed_quantity < 0:
        limit = -limit
    most = natural + max(abs(natural) * asked.limits.price_collar, _TEN_CENTS)
    if limit > most:
        said = (
            f"the limit {limit} is worse than the natural price {natural} by more than the collar"
        )
        return Denial("price_collar", str(most), str(limit), said)
    return None


def open_orders(asked: Question) -> Denial | None:
    """How many orders may work at the same time, when another one opens."""
    working = len(asked.working()) if asked.opening else 0
    most = asked.limits.max_open_orders
    if asked.opening and working + len(asked.orders) > most:
        value = str(working + len(asked.orders))
        return Denial("open_orders", str(most), value, f"{working} orders work, {most} may")
    return None


def positions(asked: Question) -> Denial | None:
    """How many instruments may be held."""
    if not asked.opening:
        return None
    held = {name for name, each in asked.engine.portfolio.holdings.items() if each.quantity}
    held |= {leg.symbol for order in asked.orders for leg in order.legs}
    most = asked.limits.max_positions
    if len(held) > most:
        return Denial(
            "positions", str(most), str(len(held)), f"{len(held)} holdings, {most} may be"
        )
    return None


def max_loss(asked: Question) -> Denial | None:
    """What the options of an order lose at worst at expiration."""
    if not asked.opening:
        return None
    loss = worst_loss(asked.first, _natural(asked, asked.first))
    most = asked.limits.max_loss
    if loss is not None and loss > most:
        said = f"the order can lose {loss:,.2f} USD, more than {most:,.2f}"
        return Denial("max_loss", str(most), f"{loss:.2f}", said)
    return None


def worst_loss(order: Order, natural: Decimal | None) -> Decimal | None:
    """Return USD that an order's options lose at worst at expiration, its price paid.

    Args:
        order: Of options of one expiration, or of several: a later one then counts as expiring with
            the first.
        natural: USD a unit, where the order has no limit.

    Returns:
        None where it is unbounded, has shares in it, or no price is known.
    """
    options = [leg for leg in order.legs if leg.asset_type is AssetType.OPTION]
    price = natural if order.limit_price is None else _signed_limit(order)
    if price is None or len(options) < len(order.legs):
        return None
    contracts = [(leg, contract_of(leg.symbol)) for leg in options]
    calls = sum((leg.signed_quantity for leg, each in contracts if each.right == "C"), _ZERO)
    if calls < 0:
        return None
    spots = {_ZERO} | {each.strike for _, each in contracts}
    worst = min(_value(contracts, spot) for spot in spots)
    return max(_ZERO, (price - worst) * options[0].multiplier * order.quantity)


def _value(contracts: list[tuple[Leg, OptionContract]], spot: Decimal) -> Decimal:
    """Return what a unit of the legs is worth at expiration, USD a share."""
    total = _ZERO
    for leg, contract in contracts:
        flat = OptionHolding(contract.right, contract.strike, contract.expiration, 1, _ZERO, 100)
        total += leg.signed_quantity * intrinsic(flat, spot)
    return total


def naked_short(asked: Question) -> Denial | None:
    """No short option without one that is long, or shares, that cover it; working orders counted."""
    if asked.limits.naked_shorts or not asked.opening:
        return None
    for underlying in {leg.underlying for leg in asked.first.legs}:
        held = _held_after(asked, underlying)
        options, shares = [], 0
        for symbol, quantity in held.items():
            if len(symbol) != OCC_LENGTH:
                shares += int(quantity)
            elif quantity:
                contract = contract_of(symbol)
                options.append(
                    OptionHolding(
                        contract.right,
                        contract.strike,
                        contract.expiration,
                        int(quantity),
                        _ZERO,
                        100,
                    )
                )
        needed = option_requirement(options, shares, None, index=underlying in INDICES)
        naked = needed.naked_calls + needed.naked_puts
        if naked:
            said = f"{naked} short option(s) on {underlying} would stand uncovered"
            return Denial("naked_short", "0", str(naked), said)
    return None


def _held_after(asked: Question, underlying: str) -> dict[str, Decimal]:
    """Return units by symbol after the ticket and all that works.

    What is sold counts at once; what is bought counts only beside the legs that it is bought with,
    since an order that only buys may never fill.
    """
    after = {
        symbol: holding.quantity
        for symbol, holding in asked.engine.portfolio.holdings.items()
        if holding.quantity and underlying_of(symbol) == underlying
    }
    for order in (*asked.working(), asked.first):
        for leg in order.legs:
            if leg.underlying == underlying and (len(order.legs) > 1 or leg.signed_quantity < 0):
                signed = leg.signed_quantity * order.remaining_quantity
                after[leg.symbol] = after.get(leg.symbol, _ZERO) + signed
    return after


def daily_loss(asked: Question) -> Denial | None:
    """Nothing opens on a day that has lost enough."""
    most = asked.limits.max_daily_loss
    if asked.opening and asked.lost > most:
        said = f"{asked.lost:,.2f} USD are lost today, more than {most:,.2f}: closing only"
        return Denial("daily_loss", str(most), f"{asked.lost:.2f}", said)
    return None


RULES: tuple[Rule, ...] = (
    restricted,
    size,
    notional,
    daily_loss,
    market_hours,
    expires_soon,
    quotes,
    price_collar,
    open_orders,
    positions,
    max_loss,
    naked_short,
)
"""All rules, the cheap ones first."""


def _reference(quote: Quote | None) -> Decimal | None:
    """Return the middle of a market, or its one side, USD."""
    if quote is None:
        return None
    sides = [side for side in (quote.bid, quote.ask) if side is not None]
    return Decimal(str(sum(sides) / len(sides))) if sides else None


def _signed_limit(order: Order) -> Decimal | None:
    """Return what a unit costs at the limit, a credit negative."""
    limit = order.limit_price
    if limit is not None and len(order.legs) == 1 and order.legs[0].signed_quantity < 0:
        return -limit
    return limit


def _natural(asked: Question, order: Order) -> Decimal | None:
    """Return what a unit costs now, buying at offers and selling at bids; None without a market."""
    total = _ZERO
    for leg in order.legs:
        quote = asked.quote(leg.symbol)
        side = None if quote is None else quote.ask if leg.signed_quantity > 0 else quote.bid
        if side is None:
            return None
        total += leg.signed_quantity * Decimal(str(side))
    return total
