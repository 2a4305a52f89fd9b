"""Where a resting limit order stands in the queue at its price: pure functions, no chance.

Nobody tells a paper order's place, so it is followed by what can be seen:

- An order that arrives where others rest stands behind all that is displayed there, and behind our own
  earlier orders; where nobody rests it is first; behind better prices its place is not known until
  they are gone.
- What trades at its price (the growth of the day's volume between two quotes, at the newest last
  price) takes from the queue before it, and then from the order. What trades beyond its price fills it
  first.
- The queue before it is never longer than what is displayed at its price. Who leaves the queue is
  taken to have stood behind it, unless that cannot be.

A quote that is crossed, locked or has one side alone fills nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.matching import exact

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.paper_state import PaperOrder
    from models.events import Quote


def may_rest(order: PaperOrder) -> bool:
    """Return whether an order can stand in a queue: one leg, with a limit."""
    return len(order.legs) == 1 and order.limit is not None


def passed(order: PaperOrder, quote: Quote, ours: int) -> int:
    """Move a resting order up by what a quote tells, and return the units that it fills.

    Args:
        order: Rests at its limit; its place changes.
        quote: The newest of its instrument, against which it does not trade at once.
        ours: Contracts or shares of our earlier orders at the same price and side.
    """
    leg, limit = order.legs[0], order.limit
    traded = _traded(order, quote)
    if limit is None or not quote.bid or not quote.ask or quote.bid >= quote.ask:
        return 0
    units = 0
    if traded and order.ahead is not None and quote.last:
        beyond = (exact(quote.last) - limit) * leg.sign
        if beyond <= 0:
            ahead = 0 if beyond < 0 else order.ahead
            units = min(max(traded - ahead, 0) // leg.ratio, order.quantity - order.filled)
            order.ahead = max(ahead - traded, 0)
    _place(order, quote, limit, ours)
    return units


def _traded(order: PaperOrder, quote: Quote) -> int:
    """Return what has traded since the last quote that the order saw."""
    before, order.volume = order.volume, quote.volume
    if before is None or quote.volume is None:
        return 0
    return max(quote.volume - before, 0)


def _place(order: PaperOrder, quote: Quote, limit: Decimal, ours: int) -> None:
    sign = order.legs[0].sign
    own, size = (quote.bid, quote.bid_size) if sign > 0 else (quote.ask, quote.ask_size)
    better = (exact(own) - limit) * sign if own else -1
    if better < 0:  # nobody rests at its price or before it
        order.ahead = ours if order.ahead is None else min(order.ahead, ours)
    elif better == 0 and size is not None:
        shown = size + ours
        order.ahead = shown if order.ahead is None else min(order.ahead, shown)
