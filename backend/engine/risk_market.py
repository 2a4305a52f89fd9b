"""Rules about the market: its hours, and the quotes that an opening would rely on.

All ask of openings alone: nobody is kept in a position by the state of a market.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import Denial
from engine.instruments import instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.risk import Question
    from models.events import Quote

_SECOND_NS = 1_000_000_000
_ROUNDING = 1e-9


def market_hours(asked: Question) -> Denial | None:
    """Nothing opens while its market is closed."""
    hours, now_ns = asked.first.hours, asked.now_ns
    for leg in asked.opened:
        window = asked.gate.hours.window((leg.symbol,), hours, now_ns)
        if not window.open_ns <= now_ns < window.close_ns:
            said = f"the market of {leg.symbol} is closed"
            return Denial("market_hours", "an open market", "closed", said)
    return None


def expires_soon(asked: Question) -> Denial | None:
    """No opening in a contract in the last minutes before its last trade."""
    most = asked.limits.closed_minutes
    limit_ns = round(most * 60) * _SECOND_NS
    for leg in asked.opened:
        last_ns = instrument_of(leg.symbol).last_ns
        left_ns = last_ns - asked.now_ns
        if last_ns and left_ns < limit_ns:
            minutes = f"{left_ns / 60 / _SECOND_NS:.1f}"
            said = f"{leg.symbol} trades {minutes} minutes more: openings end {most:g} before"
            return Denial("expires_soon", f"{most:g}", minutes, said)
    return None


def no_quote(asked: Question) -> Denial | None:
    """What opens needs a quote of each leg and of its underlying."""
    for each, quote in asked.relied:
        if quote is None:
            return Denial("no_quote", "a quote", "none", f"{each.symbol} has no quote")
    return None


def stale_quote(asked: Question) -> Denial | None:
    """Quotes must be fresh: seconds since they were made, of the feed."""
    limits = asked.limits
    for each, quote in asked.relied:
        if quote is None:
            continue
        most = limits.max_age_s if each.is_option else limits.max_underlying_age_s
        age_s = (asked.now_ns - quote.time_ns) / _SECOND_NS / asked.gate.speed
        if age_s > most:
            said = f"the quote of {each.symbol} is {age_s:.1f} s old, more than {most:g}"
            return Denial("stale_quote", f"{most:g} s", f"{age_s:.1f} s", said)
    return None


def delayed_quote(asked: Question) -> Denial | None:
    """Quotes must be of now: nothing opens on what a provider tells minutes later."""
    if asked.limits.delayed_quotes:
        return None
    for each, quote in asked.relied:
        if quote is not None and quote.delayed:
            said = f"the quotes of {each.symbol} are delayed: no real-time data are subscribed"
            return Denial("delayed_quote", "real-time quotes", "delayed", said)
    return None


def halted_market(asked: Question) -> Denial | None:
    """Nothing opens in an instrument, or on an underlying, whose trading is halted."""
    for each, quote in asked.relied:
        if quote is not None and quote.halted:
            said = f"trading in {each.symbol} is halted"
            return Denial("halted_market", "trading", "halted", said)
    return None


def one_sided_quote(asked: Question) -> Denial | None:
    """Each leg needs a bid and an offer; a price of 0 is none."""
    for quote in _legs_quotes(asked):
        if not quote.bid or not quote.ask or quote.bid < 0:
            said = f"{quote.symbol} is quoted on one side alone"
            return Denial("one_sided_quote", "two sides", "one", said)
    return None


def crossed_quote(asked: Question) -> Denial | None:
    """No leg's bid may lie above its offer."""
    for quote in _legs_quotes(asked):
        if quote.bid and quote.ask and quote.bid > quote.ask:
            said = f"{quote.symbol} is crossed"
            return Denial("crossed_quote", "bid <= ask", f"{quote.bid} > {quote.ask}", said)
    return None


def spread_width(asked: Question) -> Denial | None:
    """The market of a leg may be so wide, in USD or as a share of its mid, whichever is more."""
    limits = asked.limits
    for quote in _legs_quotes(asked):
        if quote.bid is None or quote.ask is None:
            continue
        mid, wide = (quote.bid + quote.ask) / 2, quote.ask - quote.bid
        most = max(float(limits.max_spread) * mid, float(limits.max_spread_usd))
        if wide > most + _ROUNDING:
            said = f"the market of {quote.symbol} is {wide:.2f} USD wide, more than {most:.2f}"
            return Denial("spread_width", f"{most:.2f}", f"{wide:.2f}", said)
    return None


def _legs_quotes(asked: Question) -> Iterator[Quote]:
    for leg in asked.opened:
        quote = asked.quote(leg.symbol)
        if quote is not None:
            yield quote


MARKET_RULES = (
    market_hours,
    expires_soon,
    no_quote,
    halted_market,
    delayed_quote,
    stale_quote,
    one_sided_quote,
    crossed_quote,
    spread_width,
)
"""In the order in which they are asked."""
