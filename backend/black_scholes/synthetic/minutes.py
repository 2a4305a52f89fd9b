"""Generated prices from minute to minute.

A session's regular minutes are a Brownian bridge between the open and the close of the daily path,
run on a clock that is fast at the open and at the close; a minute's high and low are drawn from the
exact law of a bridge's extremes. So the daily bar, made of the minutes, agrees with the daily path
by construction. Pre- and post-market minutes are thin, and some of them have no trade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.synthetic.clock import SESSIONS_A_YEAR, all_sessions, variance_clock
from black_scholes.synthetic.draws import Floats, stream
from black_scholes.synthetic.paths import daily_path
from black_scholes.synthetic.profiles import profile_of
from models.symbols import INDICES
from utils.market_calendar import REGULAR_MINUTES, extended_hours

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINUTE = timedelta(minutes=1)

_AFTER_SHARE = 0.15
"""Part of the overnight gap that the post-market makes."""

_BEFORE_SHARE = 0.35
"""Part of the overnight gap that is there when the pre-market opens."""

_EXTENDED_VOL = 0.2
"""Volatility of pre- and post-market over that of the regular session."""

_EXTENDED_TURNOVER = 0.035
"""Part of a session's volume that trades outside its regular hours."""

_EXTENDED_TRADE = 600.0
"""Shares a trade outside regular hours; sets how many minutes have none."""

_BOUNCE = 1.5e-5
"""Half of the usual spread, as a part of the price."""

_REACH = 0.75
"""Standard deviation that makes a minute's extremes over that of its move: prices on a grid of
ticks, and trades fewer than a continuous path has points, reach less far."""

_DRAWS = 6


class Prices(NamedTuple):
    """Open, high, low and close of consecutive minutes, USD."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


class Stretch(NamedTuple):
    """Consecutive minutes. Prices in USD on whole cents.

    Attributes:
        open: First trade; of a minute without trade all four prices are the last close.
        high: Highest.
        low: Lowest.
        close: Last trade.
        volume: Shares; 0 in a minute without trade, and always of an index.
        traded: Whether the minute has a bar.
        low_first: Whether the low came before the high.
        elapsed: Part of the regular session's variance that has passed when the minute ends.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]
    traded: NDArray[np.bool_]
    low_first: NDArray[np.bool_]
    elapsed: Floats


@dataclass(frozen=True, slots=True)
class SessionMinutes:
    """All minutes of a ticker's session.

    Attributes:
        number: The session's number in `all_sessions`.
        start: Beginning of the first minute, UTC.
        regular: Positions of the regular minutes.
        bars: The minutes.
    """

    number: int
    start: datetime
    regular: slice
    bars: Stretch

    @property
    def end(self) -> datetime:
        """End of the last minute, UTC."""
        return self.start + len(self.bars.close) * MINUTE

    def position(self, now: datetime) -> float:
        """Return the minutes since `start`, with fractions, within the session's hours."""
        return min(max((now - self.start) / MINUTE, 0.0), float(len(self.bars.close)))

    def prices(self, positions: Floats) -> Floats:
        """Return the last price at each position (minutes since `start`, with fractions).

        Within a minute the price runs straight from the open to its two extremes and to the close;
        when it ends, that is the last price, until the next has begun.
        """
        bars, last = self.bars, len(self.bars.close) - 1
        minute = np.clip(np.ceil(positions).astype(np.int64) - 1, 0, last)
        part = np.clip(positions - minute, 0.0, 1.0)
        first = np.where(bars.low_first, bars.low, bars.high)[minute]
        second = np.where(bars.low_first, bars.high, bars.low)[minute]
        knots = np.stack((bars.open[minute], first, second, bars.close[minute]))
        third = np.minimum((part * 3).astype(np.int64), 2)
        rows = np.arange(len(minute))
        begin, end = knots[third, rows], knots[third + 1, rows]
        return np.asarray(np.round(begin + (end - begin) * (part * 3 - third), 2))

    def elapsed(self, positions: Floats) -> Floats:
        """Return the part of the regular session's variance that has passed at each position."""
        ends = np.concatenate(([0.0], self.bars.elapsed))
        return np.interp(positions, np.arange(len(ends)), ends)


@lru_cache(maxsize=512)
def session_minutes(seed: int, ticker: str, number: int) -> SessionMinutes:
    """Return a ticker's session, pre- and post-market included (an index has none)."""
    hours = all_sessions()[number]
    regular = regular_minutes(seed, ticker, number)
    count = len(regular.close)
    if ticker in INDICES:
        return SessionMinutes(number, hours.open, slice(0, count), regular)
    opens, closes = extended_hours(hours)
    lead, tail = (hours.open - opens) // MINUTE, (closes - hours.close) // MINUTE
    before = _before(seed, ticker, number, lead)
    after = _after(seed, ticker, number, tail)
    parts = zip(before, regular, after, strict=True)
    bars = Stretch(*map(np.concatenate, parts))  # type: ignore[arg-type]
    return SessionMinutes(number, opens, slice(lead, lead + count), bars)


def regular_minutes(seed: int, ticker: str, number: int) -> Stretch:
    """Return the minutes of a ticker's regular session."""
    path, profile, hours = daily_path(seed, ticker), profile_of(ticker), all_sessions()[number]
    count = hours.regular_minutes
    driver = profile.driver or ticker
    draws = stream(seed, "minutes", driver, hours.day).standard_normal((_DRAWS, count))
    market = _market_moves(seed, number)
    moves = profile.market * market + math.sqrt(1 - profile.market**2) * draws[0]
    weights = variance_weights(count) * np.exp(0.8 * _smooth(draws[1], 15) + 0.5 * draws[2])
    weights /= weights.sum()
    hours_share = variance_clock(driver).hours[number]
    sigma = math.sqrt(hours_share / SESSIONS_A_YEAR) * path.vol[number]
    elapsed = np.cumsum(weights)
    elapsed[-1] = 1.0
    log_path = _bridge((path.open[number], path.close[number]), sigma, weights, moves)
    bounce = 0.0 if ticker in INDICES else max(0.005, _BOUNCE * profile.level)
    prices = _prices(log_path, sigma * np.sqrt(weights), draws, bounce)
    surprise = np.abs(np.diff(log_path)) / (sigma * np.sqrt(weights)) - 0.8
    busy = _volume_weights(count) * np.exp(0.3 * _smooth(draws[1], 15) + 0.42 * draws[2])
    turnover = profile.shares * math.exp(path.turnover[number]) * (count / REGULAR_MINUTES) ** 0.8
    volume = np.rint(turnover * busy * np.exp(0.3 * surprise)).astype(np.int64)
    traded = np.ones(count, dtype=np.bool_)
    return Stretch(*prices, volume=volume, traded=traded, low_first=draws[5] > 0, elapsed=elapsed)


def _before(seed: int, ticker: str, number: int, count: int) -> Stretch:
    path = daily_path(seed, ticker)
    start = path.open[number] - (1 - _BEFORE_SHARE) * path.gap[number]
    shape = np.linspace(0.3, 1.7, count)
    return _extended(seed, ticker, number, (start, path.open[number]), shape)


def _after(seed: int, ticker: str, number: int, count: int) -> Stretch:
    path = daily_path(seed, ticker)
    follows = path.gap[number + 1] if number + 1 < len(path.gap) else 0.0
    end = path.close[number] + _AFTER_SHARE * follows
    shape = 0.5 + 4 * np.exp(-np.arange(count) / 12)
    bars = _extended(seed, ticker, number, (path.close[number], end), shape)
    return bars._replace(elapsed=np.ones(count))


def _extended(
    seed: int, ticker: str, number: int, ends: tuple[float, float], shape: Floats
) -> Stretch:
    """Return thin minutes from one log price to another; `shape` says when they trade more."""
    path, profile, day = daily_path(seed, ticker), profile_of(ticker), all_sessions()[number].day
    count = len(shape)
    draws = stream(seed, "extended", ticker, day, count).standard_normal((_DRAWS, count))
    sigma = _EXTENDED_VOL * path.vol[number] / math.sqrt(SESSIONS_A_YEAR)
    log_path = _bridge(ends, sigma, np.full(count, 1 / count), draws[0])
    bars = _prices(log_path, np.full(count, sigma / math.sqrt(count)), draws, 0.01)
    usual = profile.shares * math.exp(path.turnover[number]) * _EXTENDED_TURNOVER / 2
    expected = usual * shape / shape.sum()
    traded = _uniform(draws[1]) < 1 - np.exp(-expected / _EXTENDED_TRADE)
    size = np.maximum(expected, _EXTENDED_TRADE) * np.exp(0.9 * draws[2] - 0.4)
    volume = np.where(traded, np.maximum(np.rint(size), 1), 0).astype(np.int64)
    prices = _hold(bars, traded, round(math.exp(ends[0]), 2))
    return Stretch(*prices, volume, traded, low_first=draws[5] > 0, elapsed=np.zeros(count))


def _hold(bars: Prices, traded: NDArray[np.bool_], price: float) -> Prices:
    """Return the prices with those of minutes without trade replaced by the last close before."""
    newest = np.maximum.accumulate(np.where(traded, np.arange(len(traded)), -1))
    last = np.where(newest >= 0, bars.close[newest], price)
    return Prices(*(np.where(traded, values, last) for values in bars))


def _bridge(ends: tuple[float, float], sigma: float, variance: Floats, normals: Floats) -> Floats:
    """Return the log prices at the ends of the minutes, the start included, along a bridge.

    `variance` is each minute's part of the whole, which `sigma` squared gives.
    """
    start, end = ends
    free = np.concatenate(([0.0], np.cumsum(np.sqrt(variance) * normals)))
    clock = np.concatenate(([0.0], np.cumsum(variance)))
    return np.asarray(start + (end - start) * clock + sigma * (free - clock * free[-1]))


def _prices(log_path: Floats, sigmas: Floats, draws: Floats, bounce: float) -> Prices:
    """Return open, high, low, close of each minute on whole cents.

    Args:
        log_path: Log prices at the ends of the minutes, the start included.
        sigmas: Standard deviation of each minute's move.
        draws: Rows 3 and 4 make the extremes, row 5 where in the spread a minute's first trade is.
        bounce: Half of the spread, USD.
    """
    start, end = log_path[:-1], log_path[1:]
    move, spread = (end - start) ** 2, 2 * (_REACH * sigmas) ** 2
    # Extremes of a Brownian bridge: (a + b ± sqrt((a - b)² - 2 s² ln U)) / 2.
    reach_up = np.sqrt(move - spread * np.log(_uniform(draws[3])))
    reach_down = np.sqrt(move - spread * np.log(_uniform(draws[4])))
    side = np.sign(draws[5]) * bounce
    side[0] = 0.0
    opened = np.round(np.exp(start) + side, 2)
    closed = np.asarray(np.round(np.exp(end), 2), dtype=np.float64)
    high = np.round(np.exp((start + end + reach_up) / 2), 2)
    low = np.round(np.exp((start + end - reach_down) / 2), 2)
    top, bottom = np.maximum(opened, closed), np.minimum(opened, closed)
    lowest = np.maximum(np.minimum(low, bottom), 0.01)
    return Prices(opened, np.maximum(high, top), lowest, closed)


def _uniform(normal: Floats) -> Floats:
    """Return numbers in (0, 1) that rise with normal ones (a logistic map, uniform to 1 %)."""
    return np.asarray(1 / (1 + np.exp(-1.5976 * normal - 0.07056 * normal**3)))


@lru_cache(maxsize=512)
def _market_moves(seed: int, number: int) -> Floats:
    hours = all_sessions()[number]
    return stream(seed, "minutes", "", hours.day).standard_normal(hours.regular_minutes)


def _smooth(values: Floats, length: int) -> Floats:
    """Return a moving average with the variance of the values."""
    kernel = np.ones(length) / math.sqrt(length)
    return np.convolve(values, kernel, mode="same")


@lru_cache(maxsize=4)
def variance_weights(count: int) -> Floats:
    """Return how much each regular minute moves: most at the open, least at midday."""
    minute = np.arange(count)
    return 0.6 + 3.2 * np.exp(-minute / 18) + 0.9 * np.exp((minute - count) / 30)


@lru_cache(maxsize=4)
def _volume_weights(count: int) -> Floats:
    """Return the part of the session's volume that each regular minute trades, on average."""
    minute = np.arange(count)
    weights = 0.55 + 2.2 * np.exp(-minute / 18) + 1.2 * np.exp((minute - count) / 25)
    weights[0] += 4.0
    weights[-1] += 9.0
    return np.asarray(weights / weights.sum())
