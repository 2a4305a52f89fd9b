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
    from collections.abc import Mapping

    from engine.market import Market
    from engine.order_facts import Units
    from models.events import Quote
    from utils.portfolio_tracker import PortfolioTracker

HELD, WITH_TICKET, WITH_WORKING, WITH_BOTH = range(4)
"""Rows of `exposure`: what is held; with the ticket; with all that works; with both."""

DELTA, GAMMA, VEGA, THETA, SHOCKS = range(5)
"""Columns of `exposure`; from `SHOCKS` on one for each shock."""


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


class Held(dict[str, HeldUnits]):
    """What is held by symbol, and the same as columns in the order of `list(self)`.

    Attributes:
        instruments: What each is.
        kinds: Of `black_scholes.shocks`.
        strikes: USD.
        expiries: ns.
        shares: A unit.
        units: Short negative.
        by_underlying: Underlying -> units by symbol.
    """

    def __init__(self, held: Mapping[str, HeldUnits]) -> None:
        """Take holdings; they do not change any more."""
        super().__init__(held)
        self.instruments = [each.instrument for each in held.values()]
        self.kinds = [each.kind for each in self.instruments]
        self.strikes = [each.strike for each in self.instruments]
        self.expiries = [float(each.expires_ns) for each in self.instruments]
        self.shares = [each.shares for each in held.values()]
        self.units = [each.units for each in held.values()]
        self.by_underlying: dict[str, dict[str, float]] = {}
        for symbol, each in held.items():
            self.by_underlying.setdefault(each.instrument.underlying, {})[symbol] = each.units


class Holdings:
    """What is held, in plain numbers, read anew when something was booked."""

    def __init__(self) -> None:
        """Begin before anything was read."""
        self._version = -1
        self._held = Held({})

    def of(self, portfolio: PortfolioTracker) -> Held:
        """Return holdings by symbol, those of nothing left out."""
        if portfolio.version != self._version:
            self._version = portfolio.version
            self._held = Held(
                {
                    symbol: HeldUnits(
                        instrument_of(symbol),
                        float(each.quantity),
                        float(each.multiplier),
                        float(each.average_price),
                    )
                    for symbol, each in portfolio.holdings.items()
                    if each.quantity
                }
            )
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


def exposure(
    held: Held,
    beside: Units,
    new: Units,
    market: Market,
    *,
    least_sigma: float,
) -> list[list[float]]:
    """Return greeks and shocks of four sets of holdings, USD.

    Args:
        held: What is held.
        beside: Of orders that work and open.
        new: Of orders that would be added.
        market: Has the quotes and the time.
        least_sigma: Of a day.

    Returns:
        Rows `HELD` to `WITH_BOTH`, columns `DELTA` to `SHOCKS` and on.
    """
    extra = [symbol for symbol in {**beside, **new} if symbol not in held]
    symbols = [*held, *extra]
    if not symbols:
        return [[0.0] * (SHOCKS + len(MOVES))] * 4
    more = [instrument_of(symbol) for symbol in extra]
    count, rest = len(symbols), [0.0] * len(extra)
    quote_of = market.quotes.get
    owners = [each.underlying for each in held.instruments] + [each.underlying for each in more]
    numbers = {underlying: number for number, underlying in enumerate(dict.fromkeys(owners))}
    spot_of = {underlying: price_of(quote_of(underlying)) for underlying in numbers}
    place = {symbol: number for number, symbol in enumerate(symbols)}
    added, waiting = [0.0] * count, [0.0] * count
    for symbol, (units, _) in new.items():
        added[place[symbol]] = units
    for symbol, (units, _) in beside.items():
        waiting[place[symbol]] = units
    flat = (
        [*held.kinds, *(each.kind for each in more)]
        + [*held.strikes, *(each.strike for each in more)]
        + [*held.expiries, *(float(each.expires_ns) for each in more)]
        + [*held.shares, *((new.get(symbol) or beside[symbol])[1] for symbol in extra)]
        + [numbers[each] for each in owners]
        + [price_of(quote_of(symbol)) for symbol in symbols]
        + [spot_of[each] for each in owners]
        + [*held.units, *rest]
        + added
        + waiting
    )
    # One flat list becomes an array much faster than a list of rows does.
    rows = np.frombuffer(array("d", flat)).reshape(10, count)
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
