"""What a book is worth, moves like and can lose: holdings, what works, and what is to come.

Everything is priced anew at each question, all instruments in one call of a compiled loop, so that
no figure is older than the newest quote.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.shocks import MOVES, book_shocks
from engine.instruments import Instrument, instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.market import Market
    from models.events import Quote
    from models.trading import Order
    from utils.portfolio_tracker import PortfolioTracker

HELD, WITH_TICKET, WITH_WORKING, WITH_BOTH = range(4)
"""Rows of `exposure`: what is held; with the ticket; with all that works; with both."""

DELTA, GAMMA, VEGA, THETA, SHOCKS = range(5)
"""Columns of `exposure`; from `SHOCKS` on one for each shock."""


_NOTHING = (0.0, 0.0)


class HeldUnits(NamedTuple):
    """One holding in plain numbers.

    Attributes:
        instrument: Which.
        units: Short negative.
        shares: A unit.
        cost: USD a share on average.
    """

    instrument: Instrument
    units: float
    shares: float
    cost: float


class Holdings:
    """What is held, in plain numbers, read anew when something was booked."""

    def __init__(self) -> None:
        """Begin before anything was read."""
        self._version = -1
        self._held: dict[str, HeldUnits] = {}

    def of(self, portfolio: PortfolioTracker) -> Mapping[str, HeldUnits]:
        """Return holdings by symbol, those of nothing left out."""
        if portfolio.version != self._version:
            self._version = portfolio.version
            self._held = {
                symbol: HeldUnits(
                    instrument_of(symbol),
                    float(each.quantity),
                    float(each.multiplier),
                    float(each.average_price),
                )
                for symbol, each in portfolio.holdings.items()
                if each.quantity
            }
        return self._held


def price_of(quote: Quote | None) -> float:
    """Return what a quote says an instrument is worth: its mid, else its last or only price, or NaN."""
    if quote is None:
        return math.nan
    bid, ask = quote.bid, quote.ask
    if bid is not None and ask is not None:
        return (bid + ask) / 2.0
    if quote.last is not None:
        return quote.last
    if ask is not None:
        return ask / 2.0
    return math.nan if bid is None else bid


def worth_of(
    held: Mapping[str, HeldUnits], quotes: Mapping[str, Quote], portfolio: PortfolioTracker
) -> float:
    """Return USD gained so far, open gains at the newest quotes and all fees paid included.

    Args:
        held: What is held.
        quotes: Newest by symbol; what has none counts at its cost.
        portfolio: For the cash that flowed.
    """
    total = float(portfolio.cash_flow)
    for symbol, each in held.items():
        price = price_of(quotes.get(symbol))
        if price != price:  # noqa: PLR0124 - NaN, and quicker than asking `math`
            price = each.cost
        total += each.units * each.shares * price
    return total


def units_of(orders: Iterable[Order]) -> dict[str, tuple[float, float]]:
    """Return signed units and shares a unit, by symbol, of what is left of orders."""
    found: dict[str, tuple[float, float]] = {}
    for order in orders:
        left = float(order.remaining_quantity)
        for leg in order.legs:
            before = found.get(leg.symbol)
            units = float(leg.signed_quantity) * left + (before[0] if before else 0.0)
            found[leg.symbol] = units, float(leg.multiplier)
    return found


def exposure(
    held: Mapping[str, HeldUnits],
    working: Sequence[Order],
    ticket: Sequence[Order],
    market: Market,
    *,
    least_sigma: float,
) -> list[list[float]]:
    """Return greeks and shocks of four sets of holdings, USD.

    Args:
        held: What is held.
        working: Orders that work and open.
        ticket: Orders that would be added.
        market: Has the quotes and the time.
        least_sigma: Of a day.

    Returns:
        Rows `HELD` to `WITH_BOTH`, columns `DELTA` to `SHOCKS` and on.
    """
    beside, new = units_of(working), units_of(ticket)
    symbols = [*held, *(s for s in {**beside, **new} if s not in held)]
    quote_of = market.quotes.get
    numbers: dict[str, int] = {}
    prices_of: dict[str, float] = {}
    kinds, strikes, expiries, shares, owners = [], [], [], [], []
    prices, spots, own, added, waiting = [], [], [], [], []
    for symbol in symbols:
        holding = held.get(symbol)
        each = instrument_of(symbol) if holding is None else holding.instrument
        underlying = each.underlying
        if underlying not in numbers:
            numbers[underlying] = len(numbers)
            prices_of[underlying] = price_of(quote_of(underlying))
        works, comes = beside.get(symbol, _NOTHING), new.get(symbol, _NOTHING)
        kinds.append(each.kind)
        strikes.append(each.strike)
        expiries.append(each.expires_ns)
        owners.append(numbers[underlying])
        prices.append(price_of(quote_of(symbol)))
        spots.append(prices_of[underlying])
        own.append(0.0 if holding is None else holding.units)
        added.append(comes[0])
        waiting.append(works[0])
        shares.append(holding.shares if holding else works[1] or comes[1])
    if not symbols:
        return [[0.0] * (SHOCKS + len(MOVES))] * 4
    # One flat list becomes an array much faster than a list of rows does.
    flat = kinds + strikes + expiries + shares + owners + prices + spots + own + added + waiting
    rows = np.frombuffer(array("d", flat)).reshape(10, len(symbols))
    totals = book_shocks(
        rows[:5],
        rows[5:7],
        rows[7:],
        now_ns=market.now_ns,
        least_sigma=least_sigma,
        underlyings=len(numbers),
    ).totals
    # Everything is additive: the sets follow from what each part does by itself.
    holds, comes_in, waits = totals.tolist()
    with_ticket = [a + b for a, b in zip(holds, comes_in, strict=True)]
    with_working = [a + b for a, b in zip(holds, waits, strict=True)]
    both = [a + b for a, b in zip(with_ticket, waits, strict=True)]
    return [holds, with_ticket, with_working, both]
