"""A market: everything that makes the options of one underlying, put together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from black_scholes.synthetic.clock import VarianceClock, variance_clock
from black_scholes.synthetic.minutes import MINUTE, SessionMinutes, session_minutes
from black_scholes.synthetic.moving_surface import MovingSurface, surface_of
from black_scholes.synthetic.paths import DailyPath, daily_path
from black_scholes.synthetic.quotes import SpreadModel, spreads_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

_RATE, _RATE_SWING, _RATE_DAYS = 0.04, 0.0025, 1461
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What makes the options of an underlying. Two markets are equal only if they are one.

    Attributes:
        seed: Of every draw.
        ticker: Underlying.
        path: Its sessions.
        clock: How much each stretch of time moves it.
        surface: Its implied volatility.
        spreads: What is bid and asked around what options are worth.
        minutes: Gives the minutes of a session by its number in `clock.all_sessions`.
    """

    seed: int
    ticker: str
    path: DailyPath
    clock: VarianceClock
    surface: MovingSurface
    spreads: SpreadModel
    minutes: Callable[[int], SessionMinutes]


@lru_cache(maxsize=256)
def market_of(seed: int, ticker: str) -> Market:
    """Return the generated market of a ticker."""
    return Market(
        seed,
        ticker,
        daily_path(seed, ticker),
        variance_clock(ticker),
        surface_of(ticker),
        spreads_of(ticker),
        partial(session_minutes, seed, ticker),
    )


def interest_rate(day: date) -> float:
    """Return the short rate of a day, continuous, a year: a slow wave around 4 %."""
    return _RATE + _RATE_SWING * math.sin(2 * math.pi * day.toordinal() / _RATE_DAYS)


def since_1970(moment: datetime) -> float:
    """Return a moment as minutes since 1970 UTC."""
    return (moment - _EPOCH) / MINUTE
