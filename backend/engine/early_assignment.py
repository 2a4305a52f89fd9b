"""When whoever holds an American option exercises it before its end: the rational cases. Pure.

A call is exercised on the last day before a dividend that is more than what the call is worth above
its intrinsic value; a put that is worth no more than exercised, since its strike earns interest
from then on (Hull, Options, Futures, and Other Derivatives, on early exercise).
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - read at run time: recordings have dividends
from decimal import Decimal  # noqa: TC003 - the same
from typing import TYPE_CHECKING, NamedTuple

from engine.trading_hours import day_of
from utils.market_calendar import next_session

if TYPE_CHECKING:
    from models.events import Quote
    from models.options import OptionContract

_ROUNDING = 1e-9


class Dividend(NamedTuple):
    """The next cash dividend of an underlying.

    Attributes:
        ex_date: First day without it.
        amount: USD a share.
    """

    ex_date: date
    amount: Decimal


def due_tomorrow(dividend: Dividend | None, day: date) -> bool:
    """Return whether a day is the last one on which shares still have a dividend."""
    return dividend is not None and day < dividend.ex_date <= next_session(day).day


def exercised_early(
    contract: OptionContract, quote: Quote | None, spot: float | None, dividend: Dividend | None
) -> bool:
    """Return whether a holder exercises a contract at the close of the day of its newest quote.

    Args:
        contract: What is held.
        quote: Its newest; without both sides, or crossed, nobody is taken to exercise.
        spot: Of its underlying, USD; None: not known.
        dividend: The next one of its underlying, where it is known.
    """
    if contract.exercise_style != "A" or quote is None or spot is None:
        return False
    if quote.bid is None or quote.ask is None or quote.bid > quote.ask:
        return False
    call, strike = contract.right == "C", float(contract.strike)
    inner = spot - strike if call else strike - spot
    left = (quote.bid + quote.ask) / 2 - inner
    if inner <= 0:
        return False
    if not call:
        return left <= _ROUNDING
    if dividend is None or not due_tomorrow(dividend, day_of(quote.time_ns)):
        return False
    return left < float(dividend.amount) - _ROUNDING
