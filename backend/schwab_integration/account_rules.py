"""What an account may trade by its kind: refused here with a sentence, before anything leaves. Pure.

Schwab would refuse most of it too, some of it only after it was accepted. Its API tells the kind of
the account and whether it may only close; that it is an IRA, and its option level, only its owner
knows (`SCHWAB_RETIREMENT`, `SCHWAB_OPTION_LEVEL`).
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from models.errors import RiskDenied
from models.options import OptionContract
from models.order_groups import OrderTicket, orders_of
from models.order_terms import AccountKind, AssetType, PositionEffect, Side
from models.symbols import OCC_LENGTH
from models.trading import AccountTerms, Leg, Order

_SHARES_A_CALL = Decimal(100)

Holdings = Callable[[], Mapping[str, Decimal]]
"""Returns symbol -> what is held, short negative; asked only where an answer depends on it."""


def closes(ticket: OrderTicket) -> bool:
    """Say whether a ticket only closes positions, so that it may use the reserve of requests."""
    return all(
        leg.position_effect is PositionEffect.CLOSING
        for order in orders_of(ticket)
        for leg in order.legs
    )


def check_account(ticket: OrderTicket, terms: AccountTerms, holdings: Holdings) -> None:
    """Refuse a ticket that the account may not trade.

    Args:
        ticket: What is to be sent.
        terms: What the account may do.
        holdings: What it holds.

    Raises:
        RiskDenied: With the rule.
    """
    for order in orders_of(ticket):
        opening = [leg for leg in order.legs if _opens(leg)]
        if opening and terms.closing_only:
            raise _denied("closing_only", terms, f"{opening[0].symbol} would be opened")
        _check_shares(order, terms)
        options = [leg for leg in opening if leg.asset_type is AssetType.OPTION]
        if options:
            _check_options(order, options, terms, holdings)


def _opens(leg: Leg) -> bool:
    return leg.position_effect is not PositionEffect.CLOSING


def _check_shares(order: Order, terms: AccountTerms) -> None:
    """Shares are sold short on margin alone, and never in an IRA."""
    short = [
        leg
        for leg in order.legs
        if leg.asset_type is AssetType.EQUITY
        and leg.side is Side.SELL
        and leg.position_effect is PositionEffect.OPENING
    ]
    if short and (terms.kind is AccountKind.CASH or terms.retirement):
        raise _denied("short_sale", terms, f"{short[0].symbol} would be sold short")


def _check_options(
    order: Order, opening: list[Leg], terms: AccountTerms, holdings: Holdings
) -> None:
    bought = [leg for leg in opening if leg.side is Side.BUY]
    sold = [leg for leg in opening if leg.side is Side.SELL]
    if terms.option_level == 0:
        raise _denied("option_level", terms, f"{opening[0].symbol} would be opened")
    if terms.option_level < 3 and bought and sold:
        raise _denied("option_level", terms, "a spread needs level 3")
    if terms.option_level < 2 and bought:
        raise _denied("option_level", terms, f"buying {bought[0].symbol} needs level 2")
    may_be_uncovered = (
        terms.kind is AccountKind.MARGIN and terms.option_level == 3 and not terms.retirement
    )
    if sold and not may_be_uncovered:
        _check_covered(order, sold, terms, holdings)


def _check_covered(
    order: Order, sold: Iterable[Leg], terms: AccountTerms, holdings: Holdings
) -> None:
    """Calls sold are covered by a call bought in the same order, or by shares bought or held.

    Puts sold are secured by cash, which the broker checks; and nothing else is to be had below
    level 3 or without margin.
    """
    calls = [leg for leg in sold if _contract(leg).right == "C"]
    bought = {leg.symbol: leg.quantity for leg in order.legs if _is_call_bought(leg)}
    shares: dict[str, Decimal] = {}
    for leg in sorted(calls, key=lambda leg: _contract(leg).expiration, reverse=True):
        left = _uncovered(leg, bought) * order.quantity * leg.multiplier
        if not left:
            continue
        need = shares[leg.underlying] = shares.get(leg.underlying, Decimal(0)) + left
        bought_too = _shares_bought(order, leg.underlying)
        if bought_too < need and bought_too + _free_shares(leg.underlying, holdings()) < need:
            raise _denied("uncovered", terms, f"{leg.symbol} would be sold without cover")


def _contract(leg: Leg) -> OptionContract:
    return OptionContract.from_occ(leg.symbol)


def _is_call_bought(leg: Leg) -> bool:
    option = leg.asset_type is AssetType.OPTION and leg.side is Side.BUY
    return option and _contract(leg).right == "C"


def _uncovered(sold: Leg, bought: dict[str, Decimal]) -> Decimal:
    """Return how many of the calls sold no bought one covers, and use up those that do.

    Of those that live at least as long, the ones that end first are used first.
    """
    contract, left = _contract(sold), sold.quantity
    for symbol in sorted(bought, key=lambda one: OptionContract.from_occ(one).expiration):
        other = OptionContract.from_occ(symbol)
        if other.underlying == contract.underlying and other.expiration >= contract.expiration:
            used = min(left, bought[symbol])
            left, bought[symbol] = left - used, bought[symbol] - used
    return left


def _free_shares(underlying: str, held: Mapping[str, Decimal]) -> Decimal:
    """Return the shares that are held and cover no call that was sold before.

    Calls that are held cover those that were sold first.
    """
    calls = sum(
        (
            quantity
            for symbol, quantity in held.items()
            if len(symbol) == OCC_LENGTH and _is_call_on(symbol, underlying)
        ),
        Decimal(0),
    )
    engaged = max(-calls, Decimal(0)) * _SHARES_A_CALL
    return max(held.get(underlying, Decimal(0)) - engaged, Decimal(0))


def _is_call_on(symbol: str, underlying: str) -> bool:
    contract = OptionContract.from_occ(symbol)
    return contract.right == "C" and contract.underlying == underlying


def _shares_bought(order: Order, underlying: str) -> Decimal:
    return sum(
        (
            leg.quantity * order.quantity
            for leg in order.legs
            if leg.symbol == underlying and leg.side is Side.BUY
        ),
        Decimal(0),
    )


_SENTENCES = {
    "closing_only": "this account may only close positions",
    "short_sale": "shares are sold short in a margin account alone, and never in an IRA",
    "option_level": "the account's option level does not allow it",
    "uncovered": "options are sold uncovered on margin at level 3 alone, and never in an IRA",
}


def _denied(rule: str, terms: AccountTerms, what: str) -> RiskDenied:
    kind = "IRA" if terms.retirement else terms.kind.lower()
    limit = f"{kind} account, option level {terms.option_level}"
    message = f"{_SENTENCES[rule]} ({limit}): {what}; nothing was sent"
    return RiskDenied(message, rule=rule, limit=limit, value=what)
