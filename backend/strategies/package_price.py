"""What several legs cost as one package, from the newest quotes. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.trading import Leg
    from ports.strategy import Desk


class PackagePrice(NamedTuple):
    """USD a unit of a package, debit positive, credit negative.

    Attributes:
        mid: At the middle of each leg's market.
        natural: Buying at each offer, selling at each bid.
    """

    mid: Decimal
    natural: Decimal


def package_price(desk: Desk, legs: Iterable[Leg]) -> PackagePrice | None:
    """Return what a unit of the legs costs, or None where a leg has no market.

    A leg that is sold needs a bid, a leg that is bought an offer; a bid of nothing counts as 0.

    Args:
        desk: Has the quotes.
        legs: Each in its quantity a unit.
    """
    mid = natural = Decimal(0)
    for leg in legs:
        quote = desk.quote(leg.symbol)
        if quote is None or quote.ask is None:
            return None
        ask, bid = Decimal(str(quote.ask)), Decimal(str(quote.bid or 0.0))
        signed = leg.signed_quantity
        mid += signed * (ask + bid) / 2
        natural += signed * (ask if signed > 0 else bid)
    return PackagePrice(mid, natural)
