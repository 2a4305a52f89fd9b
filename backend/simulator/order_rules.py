"""What the broker has against an order that is well formed: it is taken, then rejected."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from models.options import OptionContract
from models.schwab_order_terms import WireOrderType
from models.symbols import INDICES, OCC_LENGTH
from simulator import trader_facts as facts

if TYPE_CHECKING:
    from datetime import datetime

    from simulator.market_prices import Prices
    from simulator.order_forms import OrderForm

_CENT = Decimal("0.01")
_NICKEL = Decimal("0.05")
_DIME = Decimal("0.10")
_DIME_FROM = Decimal(3)


def rejection_of(form: OrderForm) -> str | None:
    """Return why the broker rejects an order, in its words; None where it has nothing against it.

    What the account's means and rights forbid is the engine's to judge.
    """
    for each in form.walk():
        reason = _off_tick(each)
        if reason is not None:
            return reason
    return None


def price_is_far(form: OrderForm, prices: Prices, now: datetime) -> bool:
    """Tell whether a limit for shares is far on its own side from the last price."""
    if form.order_type is not WireOrderType.LIMIT or form.price is None or len(form.legs) != 1:
        return False
    symbol = form.legs[0].symbol
    quote = None if len(symbol) == OCC_LENGTH else prices.underlying(symbol, now)
    if quote is None:
        return False
    return abs(float(form.price) - quote.last) > facts.FAR_PRICE_SHARE * quote.last


def tick_of(form: OrderForm) -> Decimal:
    """Return the increment that an order's price must keep, USD."""
    roots = {leg.symbol[:6].rstrip() for leg in form.legs if len(leg.symbol) == OCC_LENGTH}
    index = any(
        OptionContract.from_occ(leg.symbol).underlying in INDICES
        for leg in form.legs
        if len(leg.symbol) == OCC_LENGTH
    )
    if not roots or not index or form.price is None:
        return _CENT
    if len(form.legs) > 1 or form.price < _DIME_FROM:
        return _NICKEL
    return _DIME


def schwab_words(reason: str) -> str:
    """Return a rejection in Schwab's words where they are known, else as the engine says it."""
    if "option level" in reason or "option approval" in reason or "may not hold" in reason:
        return facts.OPTION_LEVEL_REJECTION
    if not reason or reason.startswith('"'):
        return reason
    return f"{reason[0].upper()}{reason[1:].rstrip('.')}."


def _off_tick(form: OrderForm) -> str | None:
    options = [leg for leg in form.legs if len(leg.symbol) == OCC_LENGTH]
    if not options or form.price is None:
        return None
    tick = tick_of(form)
    if form.price % tick == 0:
        return None
    contract = OptionContract.from_occ(options[0].symbol)
    words = facts.SPREAD_TICK_REJECTION if len(form.legs) > 1 else facts.SINGLE_TICK_REJECTION
    return words.format(root=contract.underlying, cents=int(tick * 100))
