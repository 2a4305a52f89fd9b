"""A market whose underlying runs through minute bars that somebody has."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes.synthetic.clock import SESSIONS_A_YEAR, all_sessions, session_numbers
from black_scholes.synthetic.minutes import SessionMinutes, Stretch, variance_weights
from black_scholes.synthetic.paths import LEVERAGE, PERSISTENCE, VOL_OF_VOL, DailyPath
from black_scholes.synthetic.profiles import profile_of
from models.errors import DataError

if TYPE_CHECKING:
    from datetime import date

    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.market import Market
    from models.tables import Frame

_PRICES = ("open", "high", "low", "close")
_MOST_STATE = 1.0


def market_through(market: Market, bars: Frame) -> Market:
    """Return a market whose sessions are those of the bars, and no others.

    Volatility starts where the bars' own is, and goes on from session to session as that of a
    generated path does: up when the price falls.

    Args:
        market: Whose draws, surface and spreads stay.
        bars: Minute bars: ts (start, UTC), open, high, low, close, volume. Minutes outside regular
            hours are left out; minutes that lack take the price before.

    Raises:
        DataError: A price is not positive, a high is below its low, or no regular minute is there.
    """
    _check(bars)
    days = bars.with_columns(day=pl.col("ts").dt.convert_time_zone("America/New_York").dt.date())
    found: dict[int, SessionMinutes] = {}
    for (day,), rows in days.sort("ts").group_by("day", maintain_order=True):
        minutes = _session_minutes(day, rows)
        if minutes is not None:
            found[minutes.number] = minutes
    if not found:
        raise DataError("the bars hold no minute of a regular session")

    def minutes_of(number: int) -> SessionMinutes:
        if number not in found:
            raise DataError(f"the bars have no minute of {all_sessions()[number].day}")
        return found[number]

    return replace(market, path=_path(market, found), minutes=minutes_of)


def _check(bars: Frame) -> None:
    missing = {"ts", *_PRICES, "volume"} - set(bars.columns)
    if missing:
        raise DataError(f"the bars lack the columns {', '.join(sorted(missing))}")
    for name in _PRICES:
        wrong = bars.filter(~(pl.col(name) > 0) | pl.col(name).is_nan() | pl.col(name).is_null())
        if wrong.height:
            raise DataError(
                f"the bars have a price that is not above zero: {name} {wrong[name][0]} at "
                f"{wrong['ts'][0]}"
            )
    if bars.filter(pl.col("high") < pl.col("low")).height:
        raise DataError("the bars have a high that is below its low")


def _session_minutes(day: date, rows: Frame) -> SessionMinutes | None:
    number = session_numbers().get(day)
    if number is None:
        return None
    hours = all_sessions()[number]
    count = hours.regular_minutes
    place = (rows["ts"] - hours.open).dt.total_minutes().to_numpy()
    kept = (place >= 0) & (place < count)
    if not kept.any():
        return None
    place = place[kept]
    traded = np.zeros(count, dtype=np.bool_)
    traded[place] = True
    columns = {name: rows[name].to_numpy()[kept].astype(np.float64) for name in _PRICES}
    filled = np.full((4, count), np.nan)
    for row, name in enumerate(_PRICES):
        filled[row, place] = columns[name]
    newest = np.maximum.accumulate(np.where(traded, np.arange(count), -1))
    before = np.where(newest >= 0, filled[3, newest], columns["open"][0])
    prices = np.where(traded, filled, before)
    volume = np.zeros(count, dtype=np.int64)
    volume[place] = rows["volume"].to_numpy()[kept]
    weights = variance_weights(count)
    bars = Stretch(
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=volume,
        traded=traded,
        low_first=prices[3] > prices[0],
        elapsed=np.cumsum(weights) / weights.sum(),
    )
    return SessionMinutes(number, hours.open, slice(0, count), bars)


def _path(market: Market, found: dict[int, SessionMinutes]) -> DailyPath:
    """Return the path through the sessions that are found; others keep their moves."""
    path = market.path
    opened, closed = path.open.copy(), path.close.copy()
    shift, before = 0.0, 0
    for number in sorted(found):
        bars = found[number].bars
        begin, end = math.log(bars.open[0]), math.log(bars.close[-1])
        if not before:  # all that was before joins the first open
            shift = begin - path.open[number]
            opened[:number] += shift
            closed[:number] += shift
        opened[before + 1 : number] = path.open[before + 1 : number] + shift
        closed[before + 1 : number] = path.close[before + 1 : number] + shift
        opened[number], closed[number] = begin, end
        shift, before = end - path.close[number], number
    opened[before + 1 :] = path.open[before + 1 :] + shift
    closed[before + 1 :] = path.close[before + 1 :] + shift
    vol, state = _volatility(market, closed, min(found), _realized(found))
    return replace(path, open=opened, close=closed, vol=vol, vol_state=state)


def _realized(found: dict[int, SessionMinutes]) -> float:
    """Return the volatility of the sessions' regular hours, a year."""
    moves = [np.diff(np.log(each.bars.close[::5])) for each in found.values()]
    variance = sum(float((each**2).sum()) for each in moves) / len(moves)
    return math.sqrt(variance / 0.78 * SESSIONS_A_YEAR)


def _volatility(
    market: Market, closed: Floats, first: int, realized: float
) -> tuple[Floats, Floats]:
    """Return volatility and its state from the first session of the bars on."""
    mean = profile_of(market.ticker).vol
    vol, state = market.path.vol.copy(), market.path.vol_state.copy()
    clock = np.sqrt((market.clock.night + market.clock.hours) / SESSIONS_A_YEAR)
    here = float(np.clip(math.log(max(realized, 0.01) / mean), -_MOST_STATE, _MOST_STATE))
    for number in range(first, len(vol)):
        state[number] = here
        vol[number] = mean * math.exp(here)
        move = (closed[number] - closed[number - 1]) / (vol[number] * clock[number])
        here = PERSISTENCE * here + VOL_OF_VOL * LEVERAGE * move + market.path.vol_shock[number]
        here = float(np.clip(here, -2.5, 2.5))
    return vol, state
