"""The listed contracts of a session as columns, and what they are worth at any instant of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from models.option_columns import format_occ
from models.symbols import exercise_style_of
from simulator.daily_path import all_sessions
from simulator.draws import Floats, digest
from simulator.intraday import MINUTE, SessionMinutes
from simulator.ladder import Listed, listed
from simulator.pricing import Terms, option_price
from simulator.profiles import profile_of
from simulator.surface import sessions_left, surface_of, vol_at
from utils.market_calendar import option_close

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

_YEAR_MINUTES = 525_600
_LEAST_YEARS = 0.5 / _YEAR_MINUTES
_RATE, _RATE_SWING, _RATE_DAYS = 0.04, 0.0025, 1461
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def interest_rate(day: date) -> float:
    """Return the short rate of a day, continuous, a year: a slow wave around 4 %."""
    return _RATE + _RATE_SWING * math.sin(2 * math.pi * day.toordinal() / _RATE_DAYS)


class Contracts(NamedTuple):
    """Whole expirations of a session, one row a contract, sorted by expiration, root, strike, right.

    Attributes:
        frame: The columns of `CHAIN_SCHEMA` that the contract's name tells.
        group: Number of the row's expiration among these.
        expirations: Those expirations.
        strike: USD.
        is_call: True for calls.
        american: Whether it can be exercised before its last day.
        settles: Number of the session whose prices settle it.
        opening: 1.0 if it settles at that session's opening.
        stops: When it stops trading in this session, minutes since 1970 UTC.
        expires: When its time runs out, minutes since 1970 UTC.
        names: An integer that tells the contract from every other of its ticker.
    """

    frame: pl.DataFrame
    group: NDArray[np.int64]
    expirations: tuple[Listed, ...]
    strike: Floats
    is_call: NDArray[np.bool_]
    american: NDArray[np.bool_]
    settles: Floats
    opening: Floats
    stops: Floats
    expires: Floats
    names: NDArray[np.int64]

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Contracts:
        """Return some of the rows, without their frame; a row may be taken more than once."""
        columns = (column[keep] for column in self[3:])
        return Contracts(self.frame[:0], self.group[keep], self.expirations, *columns)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Worth:
    """What contracts are worth at an instant (each its own). USD.

    Attributes:
        spot: Price of the underlying.
        price: Theoretical price.
        vol: Volatility that makes it, a year.
        width: Standard deviation of the underlying's price until expiration.
        terms: What the price was made of.
    """

    spot: Floats
    price: Floats
    vol: Floats
    width: Floats
    terms: Terms


@lru_cache(maxsize=64)
def contracts(seed: int, ticker: str, number: int, first: date, last: date) -> Contracts | None:
    """Return the contracts of a session that expire in [first, last], or None if there is none."""
    wanted = tuple(
        each for each in listed(seed, ticker, number) if first <= each.expiration.day <= last
    )
    if not wanted:
        return None
    counts = [2 * len(each.strikes) for each in wanted]
    group = np.repeat(np.arange(len(wanted)), counts)
    strike = np.concatenate([np.repeat(each.strikes, 2) for each in wanted])
    is_call = np.tile([True, False], len(strike) // 2)
    bounds = np.array([_bounds(each, number) for each in wanted])[group]
    roots = np.array([digest(each.root) % 2**31 for each in wanted])[group]
    days = np.array([each.expiration.day.toordinal() for each in wanted])[group]
    thousandths = np.rint(strike * 1000).astype(np.int64)
    return Contracts(
        frame=_frame(wanted, group, strike, is_call),
        group=group,
        expirations=wanted,
        strike=strike,
        is_call=is_call,
        american=np.array([exercise_style_of(each.root) == "A" for each in wanted])[group],
        settles=np.array([float(each.settles) for each in wanted])[group],
        opening=np.array([float(each.opening) for each in wanted])[group],
        stops=bounds[:, 0],
        expires=bounds[:, 1],
        names=(days * 2**31 + roots) ^ (2 * thousandths + is_call) * 1_000_003,
    )


def worth(seed: int, ticker: str, minutes: SessionMinutes, those: Contracts, at: Floats) -> Worth:
    """Return what contracts are worth.

    Args:
        seed: The world's.
        ticker: Underlying.
        minutes: Its session.
        those: The contracts.
        at: An instant of the session for each contract, minutes since 1970 UTC.
    """
    profile, surface = profile_of(ticker), surface_of(ticker)
    rate = interest_rate(all_sessions()[minutes.number].day)
    positions = at - since_1970(minutes.start)
    spot, elapsed = minutes.prices(positions), minutes.elapsed(positions)
    vol = vol_at(seed, ticker, minutes.number, np.log(spot), elapsed)
    left = sessions_left(minutes.number, elapsed, those.settles, opening=those.opening)
    years = np.maximum(those.expires - at, 0.0) / _YEAR_MINUTES
    log_forward = np.log(spot) + (rate - profile.dividend_yield) * years
    theta = surface.atm_variance(vol, left)
    variance = surface.total_variance(theta, np.log(those.strike) - log_forward)
    implied = np.sqrt(variance / np.maximum(years, _LEAST_YEARS))
    terms = Terms(those.strike, years, those.is_call, those.american, rate, profile.dividend_yield)
    price = option_price(terms, spot, implied)
    return Worth(spot, price, implied, spot * np.sqrt(theta), terms)


def since_1970(moment: datetime) -> float:
    """Return a moment as minutes since 1970 UTC."""
    return (moment - _EPOCH) / MINUTE


def _bounds(each: Listed, number: int) -> tuple[float, float]:
    """Return when an expiration stops trading in a session, and when its time runs out."""
    stops = option_close(
        each.root, all_sessions()[number].day, expiring=each.last_session == number
    )
    end = all_sessions()[each.settles]
    expires = end.open if each.opening else end.close
    return since_1970(stops), since_1970(expires)


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
