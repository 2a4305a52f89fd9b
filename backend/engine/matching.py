"""Which fills follow when a resting order meets a quote: pure functions, no state, no chance.

The rules, in words (`docs/paper_trading.md` repeats them for users):

- Who buys pays the ask, who sells gets the bid. Nothing fills against a crossed quote, nor a locked
  one unless `MatchRules.locked_fills`. A quote with one side alone fills limit orders on the side
  that is there, never market orders (`MatchRules.one_sided_limits`). A price of 0 is no price.
- An order takes at most what the touch displays; the rest waits. A size that is not told is no
  bound.
- A stop of an option is touched by the side that it would trade on (bid of a sale, ask of a
  purchase), a stop of a share by the last trade, or that side where no trade is known.
- A trailing stop follows its basis (mark, last, bid, ask), only ever towards the market, and is
  touched when the basis comes back to it.
- A package fills whole units of all legs at once or not at all. Its *natural* net price buys at
  the asks and sells at the bids; its *far* one is the opposite. It trades at the natural price, or
  with `MatchRules.package_widths` at far + width x (natural - far), when its limit reaches that.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from models.order_terms import OrderType, TrailBasis, TrailUnit
from models.symbols import OCC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.paper_state import PaperOrder
    from models.events import Quote

ORATS_WIDTHS = (Decimal("0.75"), Decimal("0.66"), Decimal("0.56"), Decimal("0.53"))
"""Where packages of 1, 2, 3, 4 and more legs trade in the width between far and natural price, as
ORATS states its backtests' slippage (0.5 is the middle, 1 the natural price)."""

TICK = Decimal("0.01")
"""USD of one tick of a trailing stop that counts in ticks."""

_TEN_THOUSANDTH = Decimal("0.0001")
_CENT = Decimal("0.01")
_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


class MatchRules(NamedTuple):
    """How true or how kind the venue is.

    Attributes:
        one_sided_limits: Limit orders trade against a quote that has only their side.
        locked_fills: Orders trade while bid equals ask.
        sizes: The displayed size bounds a fill.
        package_widths: Where packages trade by number of legs; None is the natural price.
        wide_to_natural: The wider the quotes of a package, the nearer to the natural price it
            trades; at it where they are as wide as their middle.
        queue: Limit orders that rest are filled by what trades at their price, in their turn.
        latency_ns: From an order or a cancel to the venue.
        early_assignment: Written American options are assigned at the close of a day on which their
            holders do best to exercise; see `engine.early_assignment`.
    """

    one_sided_limits: bool = True
    locked_fills: bool = False
    sizes: bool = True
    package_widths: tuple[Decimal, ...] | None = None
    wide_to_natural: bool = False
    queue: bool = False
    latency_ns: int = 0
    early_assignment: bool = False


TOUCH = MatchRules(queue=True, latency_ns=250_000_000, early_assignment=True)
"""The paper mode's: packages pay the natural price."""

BETWEEN = TOUCH._replace(package_widths=ORATS_WIDTHS, wide_to_natural=True)
"""The same, with packages between the middle and the natural price."""


class Match(NamedTuple):
    """What an order trades now.

    Attributes:
        units: Of the order.
        prices: USD by leg.
    """

    units: int
    prices: tuple[Decimal, ...]


@lru_cache(maxsize=65_536)
def exact(price: float) -> Decimal:
    """Return a price of the market as an exact one, to the hundredth of a cent."""
    return Decimal(repr(price)).quantize(_TEN_THOUSANDTH)


def touch(quote: Quote, sign: int, rules: MatchRules, *, market: bool) -> float | None:
    """Return the price at which an order can trade against a quote, or None.

    Args:
        quote: The quote.
        sign: 1 to buy, -1 to sell.
        rules: Of the venue.
        market: Whether the order has no limit to protect it.
    """
    near, far = (quote.ask, quote.bid) if sign > 0 else (quote.bid, quote.ask)
    if not near or near < 0.0:
        return None
    if not far or far < 0.0:
        return near if rules.one_sided_limits and not market else None
    width = (near - far) * sign
    if width > 0.0 or (width == 0.0 and rules.locked_fills):
        return near
    return None


def displayed(quote: Quote, sign: int, rules: MatchRules) -> int | None:
    """Return how much can trade at the touch; None where nothing bounds it."""
    return (quote.ask_size if sign > 0 else quote.bid_size) if rules.sizes else None


def has_limit(order: PaperOrder) -> bool:
    """Return whether a limit protects the order now."""
    return order.limit is not None or order.order_type is OrderType.NET_ZERO


def match_single(
    order: PaperOrder, quote: Quote, available: int | None, rules: MatchRules
) -> Match | None:
    """Return what an order of one leg trades against a quote.

    Args:
        order: Working; a stop order must have been triggered.
        quote: The newest of its instrument.
        available: What is left of the displayed size; None where nothing bounds it.
        rules: Of the venue.
    """
    leg = order.legs[0]
    limit = order.limit
    near = touch(quote, leg.sign, rules, market=limit is None)
    if near is None:
        return None
    price = exact(near)
    if limit is not None and (price - limit) * leg.sign > 0:
        return None
    units = order.quantity - order.filled
    if available is not None:
        units = min(units, available // leg.ratio)
    return Match(units, (price,)) if units > 0 else None


def match_on_close(order: PaperOrder, quote: Quote, rules: MatchRules) -> Match | None:
    """Return what an on-close order trades at the close: all of it at the last quote's touch."""
    return match_single(order, quote, None, rules)


def stop_touched(order: PaperOrder, quote: Quote) -> bool:
    """Return whether a quote triggers a stop order that is not yet triggered.

    A sale triggers at or below its stop, a purchase at or above it.
    """
    stop = order.stop
    if stop is None:
        return False
    sign = order.legs[0].sign
    seen = _followed(order, quote) if order.trail_offset is not None else _stop_basis(order, quote)
    return seen is not None and (seen - stop) * sign >= 0


def trailed(order: PaperOrder, quote: Quote) -> tuple[Decimal, Decimal] | None:
    """Return the best price that a trailing stop has seen and its stop, both after a quote.

    Returns:
        Water mark and stop in USD; None while the basis has no price.
    """
    seen = _followed(order, quote)
    if seen is None or order.trail_offset is None:
        return None
    sign = order.legs[0].sign
    water = order.water
    if water is None or (seen - water) * sign < 0:
        water = seen
    return water, water + sign * _distance(order, water)


def triggered_limit(order: PaperOrder) -> Decimal | None:
    """Return the limit of a stop order once it is triggered; None where it trades as a market order."""
    if order.order_type is OrderType.TRAILING_STOP_LIMIT:
        behind = order.trail_limit_offset or _ZERO
        stop = order.stop or _ZERO
        return max(stop + order.legs[0].sign * behind, _CENT).quantize(_CENT, ROUND_HALF_UP)
    return order.limit


def _distance(order: PaperOrder, water: Decimal) -> Decimal:
    offset = order.trail_offset or _ZERO
    if order.trail_unit is TrailUnit.PERCENT:
        return (water * offset / _HUNDRED).quantize(_TEN_THOUSANDTH, ROUND_HALF_UP)
    return offset * TICK if order.trail_unit is TrailUnit.TICK else offset


def _followed(order: PaperOrder, quote: Quote) -> Decimal | None:
    price = {
        TrailBasis.LAST: quote.last,
        TrailBasis.BID: quote.bid,
        TrailBasis.ASK: quote.ask,
        TrailBasis.MARK: mark_of(quote),
    }[order.trail_basis or TrailBasis.MARK]
    return exact(price) if price else None


def _stop_basis(order: PaperOrder, quote: Quote) -> Decimal | None:
    leg = order.legs[0]
    near = quote.ask if leg.sign > 0 else quote.bid
    price = near if len(leg.symbol) == OCC_LENGTH or not quote.last else quote.last
    return exact(price) if price else None


def mark_of(quote: Quote) -> float | None:
    """Return the provider's mark, else the middle, else the last trade, else the side there is."""
    if quote.mark is not None:
        return quote.mark
    bid, ask = quote.bid, quote.ask
    if bid is not None and ask is not None and ask > 0.0:
        return (bid + ask) / 2
    if quote.last is not None:
        return quote.last
    return ask if bid is None else bid


def match_package(
    order: PaperOrder,
    quotes: Sequence[Quote],
    available: Sequence[int | None],
    rules: MatchRules,
) -> Match | None:
    """Return what an order of several legs trades: whole units of all legs, or nothing.

    Args:
        order: Working, with several legs.
        quotes: The newest of each leg.
        available: What is left of the displayed size by leg; None where nothing bounds it.
        rules: Of the venue.
    """
    limited = has_limit(order)
    nears = []
    for leg, quote in zip(order.legs, quotes, strict=True):
        near = touch(quote, leg.sign, rules, market=not limited)
        if near is None:
            return None
        nears.append(near)
    limit = (order.limit or _ZERO) if limited else None
    if limit is not None and rules.package_widths is None:
        rough = sum(leg.sign * leg.weight * n for leg, n in zip(order.legs, nears, strict=True))
        if rough > float(limit) + 0.02 * len(nears):
            return None  # far from the limit: the common case costs no exact arithmetic
    units = order.quantity - order.filled
    for leg, left in zip(order.legs, available, strict=True):
        if left is not None:
            units = min(units, left // leg.ratio)
    if units <= 0:
        return None
    prices = _package_prices(order, quotes, nears, rules)
    if limit is not None and net_of(order, prices) > limit:
        return None
    return Match(units, prices)


def net_of(order: PaperOrder, prices: Sequence[Decimal]) -> Decimal:
    """Return the net price of a unit, USD: debit positive, credit negative."""
    legs = zip(order.legs, prices, strict=True)
    return sum((leg.sign * leg.weight * price for leg, price in legs), _ZERO)


def _package_prices(
    order: PaperOrder, quotes: Sequence[Quote], nears: Sequence[float], rules: MatchRules
) -> tuple[Decimal, ...]:
    """Return the price of each leg in whole cents, whose net is the package's exactly."""
    signs = [leg.sign for leg in order.legs]
    natural = [_against(exact(n), sign) for n, sign in zip(nears, signs, strict=True)]
    if rules.package_widths is None:
        return tuple(natural)
    far = []
    for quote, near, sign in zip(quotes, nears, signs, strict=True):
        # Who buys where nobody bids can hope for nothing less than 0; a sale without an ask has
        # no better price than the bid.
        other = (quote.bid or 0.0) if sign > 0 else (quote.ask or near)
        far.append(_against(exact(other), -sign))
    width = rules.package_widths[min(len(signs), len(rules.package_widths)) - 1]
    if rules.wide_to_natural:
        width += (1 - width) * _wideness(quotes)
    ratios = [leg.sign * leg.weight for leg in order.legs]
    best = sum((r * p for r, p in zip(ratios, far, strict=True)), _ZERO)
    worst = sum((r * p for r, p in zip(ratios, natural, strict=True)), _ZERO)
    net = (best + width * (worst - best)).quantize(_CENT, ROUND_CEILING)
    return allocate(net, ratios, far, natural, width) or tuple(natural)


def _wideness(quotes: Sequence[Quote]) -> Decimal:
    """Return the mean width of quotes by their middles, at most 1; one-sided ones count as 1."""
    parts = [
        min((q.ask - q.bid) / ((q.ask + q.bid) / 2), 1.0) if q.bid and q.ask else 1.0
        for q in quotes
    ]
    return Decimal(repr(round(sum(parts) / len(parts), 6)))


def _against(price: Decimal, sign: int) -> Decimal:
    """Return a price in whole cents, rounded against who trades it."""
    cents = price * 100
    return Decimal(math.ceil(cents) if sign > 0 else math.floor(cents)) / 100


def allocate(
    net: Decimal,
    ratios: Sequence[int],
    far: Sequence[Decimal],
    natural: Sequence[Decimal],
    width: Decimal,
) -> tuple[Decimal, ...] | None:
    """Return leg prices in whole cents, within their quotes, whose weighted sum is a net price.

    Args:
        net: USD a unit, whole cents.
        ratios: Contracts of each leg, sold negative.
        far: Best price of each leg, USD, whole cents.
        natural: Worst price of each leg, USD, whole cents.
        width: Where between the two each leg should stand, 0 to 1.

    Returns:
        A price for each leg; None where no whole cents give the net.
    """
    bounds = [
        (int(min(a, b) * 100), int(max(a, b) * 100)) for a, b in zip(far, natural, strict=True)
    ]
    cents = [
        min(max(int(((a + width * (b - a)) * 100).to_integral_value()), low), high)
        for a, b, (low, high) in zip(far, natural, bounds, strict=True)
    ]
    left = int(net * 100) - sum(r * c for r, c in zip(ratios, cents, strict=True))
    # Coarse legs first, single contracts last: those can take any remainder.
    for index in sorted(range(len(ratios)), key=lambda i: (-abs(ratios[i]), i)):
        steps = int(left / ratios[index])
        low, high = bounds[index]
        moved = min(max(cents[index] + steps, low), high) - cents[index]
        cents[index] += moved
        left -= moved * ratios[index]
    if left:
        return None
    return tuple(Decimal(c) / 100 for c in cents)
