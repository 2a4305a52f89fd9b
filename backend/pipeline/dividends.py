"""Cash dividends to come, as far as a source states them: a date, an amount, a rhythm."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from models.tables import Frame

_MONTHS = 12
_YEARS_AHEAD = 3


class CashDividend(NamedTuple):
    """One payment: the first day without it, and dollars a share."""

    ex_date: date
    cash: float


def expected_dividends(underlyings: Frame, ticker: str, today: date) -> list[CashDividend]:
    """Return the dividends after today that an underlying is expected to pay, for three years.

    The next ex-date and the sum of a year are the source's; that the rhythm and the amount stay is
    our expectation. An ex-date that is over, as sources leave it standing until the next is
    declared, is moved on by whole periods.

    Args:
        underlyings: Rows of `UNDERLYINGS`.
        ticker: Whose.
        today: Dividends of this day and before are paid.

    Returns:
        Oldest first; none where the source does not state date, amount and frequency.
    """
    columns = ("next_dividend_ex_date", "dividend_amount", "dividend_frequency")
    for first, amount, frequency in (
        underlyings.filter(pl.col("underlying") == ticker).select(columns).iter_rows()
    ):
        if first and amount and frequency and amount > 0 and 0 < frequency <= _MONTHS:
            last = today + timedelta(days=365 * _YEARS_AHEAD)
            step = _MONTHS // frequency
            behind = (today.year - first.year) * _MONTHS + today.month - first.month
            start = max(0, behind // step)
            count = (_YEARS_AHEAD + 1) * frequency
            days = [_later(first, n * step) for n in range(start, start + count)]
            return [CashDividend(day, amount / frequency) for day in days if today < day <= last]
    return []


def dividends_after(paid: Frame, today: date) -> list[CashDividend]:
    """Return the dividends after a day of the past, for three years: those that were paid since.

    Beyond the last one that is known, the rhythm and the amount of its year are expected to stay.

    Args:
        paid: Rows of `DIVIDENDS` of one underlying.
        today: Dividends of this day and before are paid.

    Returns:
        Oldest first.
    """
    until = today + timedelta(days=365 * _YEARS_AHEAD)
    known = paid.sort("ex_date")
    days, amounts = known["ex_date"].to_list(), known["amount"].cast(pl.Float64).to_list()
    coming = [
        CashDividend(day, cash)
        for day, cash in zip(days, amounts, strict=True)
        if today < day <= until and cash > 0
    ]
    if not days:
        return coming
    frequency = sum(day > days[-1] - timedelta(days=360) for day in days)
    if frequency > _MONTHS or days[-1] < today - timedelta(days=370):
        return coming
    step = _MONTHS // frequency
    later = (_later(days[-1], step * n) for n in range(1, _YEARS_AHEAD * frequency + 1))
    return coming + [CashDividend(day, amounts[-1]) for day in later if today < day <= until]


def _later(day: date, months: int) -> date:
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
