"""The quote of an underlying in the generated world."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from black_scholes.synthetic.clock import all_sessions
from black_scholes.synthetic.draws import digest, uniforms
from black_scholes.synthetic.minutes import MINUTE, SessionMinutes, session_minutes
from black_scholes.synthetic.profiles import profile_of
from models.symbols import INDICES
from simulator.generated_bars import Bar, bar_until, daily_bar, volume_until
from simulator.world import UnderlyingQuote

if TYPE_CHECKING:
    from datetime import datetime

    from black_scholes.synthetic.draws import Floats

_YEAR_SESSIONS = 252
_LIQUID_SHARES = 20e6
_EXTENDED_SPREAD = 3.0
_ROUND_LOT = 100


def quote_at(seed: int, ticker: str, number: int, now: datetime) -> UnderlyingQuote:
    """Return the quote of a session at an instant, or at the session's end after it.

    Args:
        seed: The world's.
        ticker: Underlying.
        number: The session's number in `black_scholes.synthetic.clock.all_sessions`, not the first.
        now: The instant, at or after the session's first minute.
    """
    minutes, hours = session_minutes(seed, ticker, number), all_sessions()[number]
    position = minutes.position(now)
    last = _last(seed, ticker, minutes, position)
    today = bar_until(seed, ticker, number, now)
    before = [daily_bar(seed, ticker, each) for each in _year_before(number)]
    volumes = [bar.volume for bar in before]
    seen = [*before, today] if today else before
    bid, ask = _sides(ticker, minutes, position, last)
    draws = [int(each) for each in _lots(seed, ticker, minutes, position)]
    regular_end = hours.close if today else all_sessions()[number - 1].close
    return UnderlyingQuote(
        symbol=ticker,
        bid=bid,
        ask=ask,
        last=last,
        bid_size=0 if bid is None else draws[0] * _ROUND_LOT,
        ask_size=0 if ask is None else draws[1] * _ROUND_LOT,
        last_size=0 if bid is None else draws[2],
        volume=volume_until(minutes, position),
        open=_price(today, "open"),
        high=_price(today, "high"),
        low=_price(today, "low"),
        close=before[-1].close,
        regular_last=seen[-1].close,
        regular_last_size=0 if bid is None else draws[2],
        high_52_week=max(bar.high for bar in seen),
        low_52_week=min(bar.low for bar in seen),
        average_volume_10_days=float(np.mean(volumes[-10:])),
        average_volume_1_year=float(np.mean(volumes)),
        quote_at=min(now, minutes.end),
        trade_at=_trade_at(minutes, position),
        regular_trade_at=min(now, regular_end),
    )


def _last(seed: int, ticker: str, minutes: SessionMinutes, position: float) -> float:
    """Return the last price: of this session, or of the one before while nothing has traded."""
    if not minutes.bars.traded[: math.ceil(position)].any():
        minutes = session_minutes(seed, ticker, minutes.number - 1)
        position = len(minutes.bars.close)
    return float(minutes.prices(np.array([position]))[0])


def _year_before(number: int) -> range:
    return range(max(number - _YEAR_SESSIONS, 0), number)


def _price(bar: Bar | None, name: str) -> float | None:
    return None if bar is None else float(getattr(bar, name))


def _sides(
    ticker: str, minutes: SessionMinutes, position: float, last: float
) -> tuple[float | None, float | None]:
    """Return bid and ask around the last price, wider for thin tickers and extended hours."""
    if ticker in INDICES:
        return None, None
    thin = min((_LIQUID_SHARES / profile_of(ticker).shares) ** 0.35, 6.0)
    spread = max(0.01, 0.00008 * thin * last) if thin > 1 else 0.01
    if not minutes.regular.start <= position <= minutes.regular.stop:
        spread *= _EXTENDED_SPREAD
    cents = max(round(spread * 100), 1)
    # The last trade was at the bid or at the ask, by the half of the second it fell into.
    second = math.floor(position * 60)
    bid = round(last - (cents if second % 2 else 0) / 100, 2)
    bid = max(bid, 0.01)
    return bid, round(bid + cents / 100, 2)


def _lots(seed: int, ticker: str, minutes: SessionMinutes, position: float) -> Floats:
    """Return three sizes: round lots bid, round lots asked, shares of the last trade."""
    names = np.array([1, 2, 3])
    draw = uniforms(digest(seed, "lots", ticker), names, minutes.number, int(position * 60))
    deep = 1 + math.log10(max(profile_of(ticker).shares, 1e5)) - 5
    least = np.array([1.0, 1.0, 60.0])
    return np.asarray(np.floor(least * np.exp(deep * 1.8 * draw**1.5)))


def _trade_at(minutes: SessionMinutes, position: float) -> datetime:
    """Return when the last trade was: the end of the last minute that had one, or just now."""
    minute = int(position)
    traded = np.flatnonzero(minutes.bars.traded[: minute + 1])
    newest = int(traded[-1]) + 1 if len(traded) else 0
    return minutes.start + min(float(newest), position) * MINUTE
