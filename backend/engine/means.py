"""Whether an account can afford an order and may place it: levels, cover, buying power."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.fees import FillTerms, product_of
from engine.ledger import contract_of, underlying_of
from engine.margin import (
    NOTHING_REQUIRED,
    OptionHolding,
    Requirement,
    option_requirement,
    shares_available,
    shares_maintenance,
)
from engine.matching import exact, mark_of
from engine.trading_hours import day_of
from models.order_terms import AccountKind, OrderType, PositionEffect, Side
from models.symbols import INDICES, OCC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.fees import FeeSchedule
    from engine.paper_state import AccountState, PaperLeg, PaperOrder
    from models.trading import AccountTerms

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_NICKEL = Decimal("0.05")

NICKEL_ROOTS = frozenset({"SPX", "SPXW"})
"""Roots whose spreads are priced in 5 cents (captured rejected preview of 11 December 2025)."""


class Claim(NamedTuple):
    """What the positions on one underlying mean for an account's money.

    Attributes:
        money: USD that they add to the free money; mostly negative.
        maintenance: USD that they require to be kept.
        requirement: Of the options.
        short_shares: Shares owed.
    """

    money: Decimal
    maintenance: Decimal
    requirement: Requirement
    short_shares: int


def cash_rules(terms: AccountTerms) -> bool:
    """Return whether the rules of cash accounts hold: nothing borrowed, nothing naked."""
    return terms.kind is AccountKind.CASH or terms.retirement


def mark(state: AccountState, symbol: str) -> Decimal | None:
    """Return the newest mark of a symbol, USD; None before the first quote."""
    quote = state.quotes.get(symbol)
    value = None if quote is None else mark_of(quote)
    return None if value is None else exact(value)


def claim(
    state: AccountState,
    terms: AccountTerms,
    underlying: str,
    positions: Mapping[str, int],
    prices: Mapping[str, Decimal],
) -> Claim:
    """Return what positions on one underlying require and are worth as collateral.

    Args:
        state: For marks.
        terms: Of the account.
        underlying: Symbol.
        positions: Units by symbol, short negative.
        prices: USD by symbol, for those without a mark.
    """
    strict = cash_rules(terms)
    options = []
    shares = 0
    for symbol, quantity in positions.items():
        if len(symbol) != OCC_LENGTH:
            shares += quantity
        elif quantity:
            contract = contract_of(symbol)
            value = mark(state, symbol)
            price = prices.get(symbol, _ZERO) if value is None else value
            held = state.holdings.get(symbol)
            options.append(
                OptionHolding(
                    contract.right,
                    contract.strike,
                    contract.expiration,
                    quantity,
                    price,
                    100 if held is None else held.multiplier,
                )
            )
    spot = mark(state, underlying)
    needed = NOTHING_REQUIRED
    if options:
        needed = option_requirement(
            options,
            shares,
            spot,
            index=underlying in INDICES,
            cash_rules=strict or terms.option_level < 3,
        )
    value = shares * (prices.get(underlying, _ZERO) if spot is None else spot)
    money = shares_available(value, cash_rules=strict) - needed.amount
    keep = shares_maintenance(value, cash_rules=strict) + needed.amount
    return Claim(money, keep, needed, max(-shares, 0))


def held_by_underlying(state: AccountState) -> dict[str, dict[str, int]]:
    """Return units by symbol of all that is held, by underlying."""
    found: dict[str, dict[str, int]] = {}
    for symbol, holding in state.holdings.items():
        found.setdefault(underlying_of(symbol), {})[symbol] = holding.quantity
    return found


def cost_prices(state: AccountState) -> dict[str, Decimal]:
    """Return the average price of what is held without a quote: it stands for the mark."""
    return {
        symbol: abs(holding.cost) / (abs(holding.quantity) * holding.multiplier)
        for symbol, holding in state.holdings.items()
        if symbol not in state.quotes
    }


def all_claims(state: AccountState, terms: AccountTerms) -> tuple[Decimal, Decimal]:
    """Return the free money, reserves of working orders not counted, and the maintenance, USD."""
    free, keep = state.cash, _ZERO
    if not state.holdings:
        return free, keep
    prices = cost_prices(state)
    for underlying, positions in held_by_underlying(state).items():
        if any(q < 0 or len(s) != OCC_LENGTH for s, q in positions.items()):
            found = claim(state, terms, underlying, positions, prices)
            free += found.money
            keep += found.maintenance
    return free, keep


def opens(state: AccountState, leg: PaperLeg) -> bool:
    """Return whether a leg opens a position or adds to one."""
    if leg.effect is not PositionEffect.AUTOMATIC:
        return leg.effect is PositionEffect.OPENING
    holding = state.holdings.get(leg.symbol)
    return holding is None or holding.quantity * leg.sign >= 0


def closable(state: AccountState, leg: PaperLeg) -> int:
    """Return how many units a closing leg finds to close."""
    holding = state.holdings.get(leg.symbol)
    return 0 if holding is None else max(-holding.quantity * leg.sign, 0)


class Estimate(NamedTuple):
    """What an order would cost.

    Attributes:
        net: USD of the rest of the order, bought positive.
        commission: USD.
        fees: USD of the other fees.
        prices: USD by leg symbol.
    """

    net: Decimal
    commission: Decimal
    fees: Decimal
    prices: dict[str, Decimal]


def estimate(state: AccountState, order: PaperOrder, fees: FeeSchedule) -> Estimate | None:
    """Return what the rest of an order would cost: at its limit, its stop, or the touch.

    Returns:
        None where it has neither and a leg has no quote.
    """
    units = order.quantity - order.filled
    prices: dict[str, Decimal] = {}
    known = True
    single = len(order.legs) == 1
    for leg in order.legs:
        price = (order.limit or order.stop) if single else None
        quote = state.quotes.get(leg.symbol)
        if price is None and quote is not None:
            near = (quote.ask if leg.sign > 0 else quote.bid) or mark_of(quote)
            price = None if near is None else exact(near)
        known = known and price is not None
        prices[leg.symbol] = _ZERO if price is None else price
    if not single and (order.limit is not None or order.order_type is OrderType.NET_ZERO):
        net = order.limit or _ZERO
    elif known:
        net = sum((leg.sign * leg.weight * prices[leg.symbol] for leg in order.legs), _ZERO)
    else:
        return None
    multiplier = max(leg.multiplier for leg in order.legs)
    commission, others = _ZERO, _ZERO
    day = day_of(state.now_ns)
    for leg in order.legs:
        parts = fees.fees(
            FillTerms(
                product_of(leg.symbol),
                leg.symbol[:6].rstrip() if len(leg.symbol) == OCC_LENGTH else leg.symbol,
                Side.BUY if leg.sign > 0 else Side.SELL,
                Decimal(units * leg.ratio),
                prices[leg.symbol],
                Decimal(leg.multiplier),
            ),
            day,
        )
        commission += parts.commission
        others += parts.total - parts.commission
    return Estimate(net * units * multiplier, commission, others, prices)


class Verdict(NamedTuple):
    """Whether an order may work.

    Attributes:
        reserve: USD of free money that it holds back.
        refusal: Why it may not; empty where it may.
    """

    reserve: Decimal = _ZERO
    refusal: str = ""


class Question(NamedTuple):
    """What is asked of an account's means.

    Attributes:
        order: The order.
        others: Working orders on the same underlying, those that exclude this one left out.
        costs: Of the order; None where its price is not known yet.
        free: USD of free money after the reserves of other orders.
    """

    order: PaperOrder
    others: Sequence[PaperOrder]
    costs: Estimate | None
    free: Decimal


def judge(state: AccountState, terms: AccountTerms, asked: Question) -> Verdict:
    """Return whether an account may hold what an order would bring, and can pay for it."""
    order, others, costs, free = asked
    refusal = rules_refusal(state, terms, order) or _oversold(state, terms, order, others)
    if refusal or costs is None:
        return Verdict(refusal=refusal)
    base = {
        s: h.quantity for s, h in state.holdings.items() if underlying_of(s) == order.underlying
    }
    for other in others:
        if any(opens(state, leg) for leg in other.legs):
            _add(base, other)
    after = dict(base)
    _add(after, order)
    before_claim = claim(state, terms, order.underlying, base, costs.prices)
    after_claim = claim(state, terms, order.underlying, after, costs.prices)
    refusal = _level_refusal(terms, order, before_claim, after_claim, state)
    if refusal:
        return Verdict(refusal=refusal)
    spent = costs.net + costs.commission + costs.fees
    reserve = max(spent + before_claim.money - after_claim.money, _ZERO).quantize(_CENT)
    closing = not any(opens(state, leg) for leg in order.legs)
    if reserve > max(free, _ZERO) and not (closing and after_claim.money >= before_claim.money):
        return Verdict(
            refusal=f"insufficient funds: the order needs {reserve} USD, {free:.2f} USD are free"
        )
    return Verdict(reserve=_ZERO if closing else reserve)


def _add(positions: dict[str, int], order: PaperOrder) -> None:
    units = order.quantity - order.filled
    for leg in order.legs:
        positions[leg.symbol] = positions.get(leg.symbol, 0) + leg.sign * leg.ratio * units


def rules_refusal(state: AccountState, terms: AccountTerms, order: PaperOrder) -> str:
    """Return why the account may not place an order whatever it costs; empty where it may."""
    opening = [leg for leg in order.legs if opens(state, leg)]
    if opening and terms.closing_only:
        return "the account is restricted to closing positions"
    opened = [leg for leg in opening if len(leg.symbol) == OCC_LENGTH]
    if opening and terms.option_level == 0 and any(len(x.symbol) == OCC_LENGTH for x in order.legs):
        return "the account has no option approval"
    if opened and terms.option_level < 2 and any(leg.sign > 0 for leg in opened):
        return f"option level {terms.option_level} does not allow bought options"
    if len(opened) > 1 and terms.option_level < 3:
        return f"option level {terms.option_level} does not allow spreads"
    off = len(order.legs) > 1 and order.limit and order.limit % _NICKEL
    if off and all(leg.symbol[:6].rstrip() in NICKEL_ROOTS for leg in order.legs):
        return "Spread orders for SPX options must be priced in 5-cent increments."
    return ""


def _oversold(
    state: AccountState, terms: AccountTerms, order: PaperOrder, others: Sequence[PaperOrder]
) -> str:
    units = order.quantity - order.filled
    for leg in order.legs:
        if opens(state, leg):
            short = leg.sign < 0 and len(leg.symbol) != OCC_LENGTH
            if short and cash_rules(terms):
                return f"the account cannot sell {leg.symbol} short"
            continue
        busy = sum(
            (other.quantity - other.filled) * twin.ratio
            for other in others
            for twin in other.legs
            if twin.symbol == leg.symbol and twin.sign == leg.sign and not opens(state, twin)
        )
        left = closable(state, leg) - busy
        may_turn = leg.effect is PositionEffect.AUTOMATIC and not cash_rules(terms)
        if units * leg.ratio > left and not may_turn:
            return (
                f"oversold: {units * leg.ratio} {leg.symbol.strip()} are to be closed, "
                f"{max(left, 0)} are held and not in other orders"
            )
    return ""


def _level_refusal(
    terms: AccountTerms, order: PaperOrder, before: Claim, after: Claim, state: AccountState
) -> str:
    was, now = before.requirement, after.requirement
    strict = cash_rules(terms)
    if now.naked_calls > was.naked_calls and (strict or terms.option_level < 3):
        return "the account may not hold uncovered calls"
    if now.naked_puts > was.naked_puts and after.short_shares == 0 and terms.option_level < 1:
        return "the account may not hold short puts"
    paired = now.spreads > was.spreads
    opening = any(opens(state, leg) and len(leg.symbol) == OCC_LENGTH for leg in order.legs)
    if paired and opening and terms.option_level < 3:
        return f"option level {terms.option_level} does not allow spreads"
    return ""
