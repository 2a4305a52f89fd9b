"""The listed contracts of a session as columns."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.draws import Floats, digest
from black_scholes.synthetic.ladders import Listed, listed
from black_scholes.synthetic.market import Market, interest_rate, since_1970
from black_scholes.synthetic.profiles import dividends_of, profile_of
from models.option_columns import format_occ
from models.symbols import exercise_style_of
from utils.market_calendar import option_close

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import NDArray

    from black_scholes.synthetic.schema import Dividend

YEAR_MINUTES = 525_600


class ExpirationTerms(NamedTuple):
    """What the contracts of each expiration share, one row an expiration.

    Attributes:
        american: 1.0 where exercise is possible before the last day, else 0.0.
        stops: When they stop trading in this session, minutes since 1970 UTC.
        expires: When their time runs out, minutes since 1970 UTC.
        clock: The clock of variance then.
        cash: Present value at time 0 of 1970 of the dividends until then, at the day's rate, less
            the last one.
        last_cash: The same of the last one; 0 if there is none.
        ex_clock: The clock of variance at the close before the last ex-date.
        ex_time: That close, minutes since 1970 UTC.
        dividend_yield: Continuous, a year; of underlyings whose dividends are not cash.
        rate: Continuous, a year.
    """

    american: Floats
    stops: Floats
    expires: Floats
    clock: Floats
    cash: Floats
    last_cash: Floats
    ex_clock: Floats
    ex_time: Floats
    dividend_yield: Floats
    rate: Floats


class Contracts(NamedTuple):
    """Whole expirations of a session, one row a contract, sorted by expiration, root, strike, right.

    Attributes:
        frame: The columns of `CHAIN_SCHEMA` that the contract's name tells.
        group: Number of the row's expiration among these.
        first: Number of each expiration's first row; one more at the end.
        expirations: Those expirations.
        terms: What the contracts of each share.
        strike: USD.
        is_call: True for calls.
        names: An integer that tells the contract from every other of its ticker.
    """

    frame: pl.DataFrame
    group: NDArray[np.int64]
    first: NDArray[np.int64]
    expirations: tuple[Listed, ...]
    terms: ExpirationTerms
    strike: Floats
    is_call: NDArray[np.bool_]
    names: NDArray[np.int64]


@lru_cache(maxsize=64)
def contracts(market: Market, number: int) -> Contracts | None:
    """Return the contracts that are listed in a session, or None if there is none."""
    wanted = listed(market, number)
    if not wanted:
        return None
    counts = [2 * len(each.strikes) for each in wanted]
    group = np.repeat(np.arange(len(wanted)), counts)
    strike = np.concatenate([np.repeat(each.strikes, 2) for each in wanted])
    is_call = np.tile([True, False], len(strike) // 2)
    roots = np.array([digest(each.root) % 2**31 for each in wanted])[group]
    days = np.array([each.expiration.day.toordinal() for each in wanted])[group]
    thousandths = np.rint(strike * 1000).astype(np.int64)
    return Contracts(
        frame=_frame(wanted, group, strike, is_call),
        group=group,
        first=np.concatenate([[0], np.cumsum(counts)]),
        expirations=wanted,
        terms=ExpirationTerms(
            *np.array([_terms(market, each, number) for each in wanted]).T.copy()
        ),
        strike=strike,
        is_call=is_call,
        names=(days * 2**31 + roots) ^ (2 * thousandths + is_call) * 1_000_003,
    )


def _terms(market: Market, each: Listed, number: int) -> tuple[float, ...]:
    """Return the terms of an expiration in a session, in the order of `ExpirationTerms`."""
    today = all_sessions()[number].day
    stops = option_close(each.root, today, expiring=each.last_session == number)
    end, clock = all_sessions()[each.settles], market.clock
    expires = end.open if each.opening else end.close
    rate, profile = interest_rate(today), profile_of(market.ticker)
    due = [
        dividend
        for dividend in dividends_of(market.ticker)
        if today < dividend.ex_date <= each.expiration.day
    ]
    before = session_numbers()[due[-1].ex_date] - 1 if due else number
    return (
        float(exercise_style_of(each.root) == "A"),
        since_1970(stops),
        since_1970(expires),
        float((clock.opens if each.opening else clock.closes)[each.settles]),
        _worth_in_1970(due[:-1], rate),
        _worth_in_1970(due[-1:], rate),
        float(clock.closes[before]),
        since_1970(all_sessions()[before].close),
        0.0 if profile.dividend_months else profile.dividend_yield,
        rate,
    )


def _worth_in_1970(dividends: Sequence[Dividend], rate: float) -> float:
    return math.fsum(
        dividend.amount * math.exp(-rate * _years_since_1970(dividend.ex_date))
        for dividend in dividends
    )


def _years_since_1970(day: date) -> float:
    return since_1970(all_sessions()[session_numbers()[day]].open) / YEAR_MINUTES


def _frame(
    wanted: tuple[Listed, ...],
    group: NDArray[np.int64],
    strike: Floats,
    is_call: NDArray[np.bool_],
) -> pl.DataFrame:
    table = pl.DataFrame(
        {
            "root": [each.root for each in wanted],
            "expiration": [each.expiration.day for each in wanted],
            "settlement": [each.expiration.settlement for each in wanted],
            "expiration_type": [each.expiration.kind for each in wanted],
            "exercise_style": [exercise_style_of(each.root) for each in wanted],
        }
    )[group].with_columns(
        pl.Series("strike", strike),
        pl.Series("right", np.where(is_call, "C", "P")),
        pl.lit(100.0).alias("multiplier"),
    )
    names = format_occ(table["root"], table["expiration"], table["strike"], table["right"])
    return table.with_columns(names)
