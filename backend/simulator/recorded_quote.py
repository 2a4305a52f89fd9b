"""The quote of an underlying at a moment, from what the files tell of that moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import polars as pl

from simulator.periods import OHLCV
from simulator.recorded_chain import MINUTE
from simulator.world import UnderlyingQuote
from utils.market_calendar import session

if TYPE_CHECKING:
    from datetime import date, datetime

_YEAR = timedelta(days=364)


@dataclass(frozen=True, slots=True)
class Sides:
    """Bid and ask; None where nobody made one.

    Attributes:
        bid: USD.
        ask: USD.
        bid_size: Shares.
        ask_size: Shares.
        at: When they stood, UTC.
    """

    bid: float | None
    ask: float | None
    bid_size: int
    ask_size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Trade:
    price: float
    size: int
    at: datetime


def newest_sides(quotes: pl.DataFrame | None, now: datetime) -> Sides | None:
    """Return the sides of the last complete minute of a quotes file, or None before the first."""
    known = None if quotes is None else quotes.filter(pl.col("ts") + MINUTE <= now)
    if known is None or known.is_empty():
        return None
    row = known.row(-1, named=True)
    at = (row["ts"] + MINUTE).astimezone(UTC)
    return Sides(row["bid_close"], row["ask_close"], row["bid_size"], row["ask_size"], at)


def quote_from_bars(
    symbol: str, day: date, minutes: pl.DataFrame, daily: pl.DataFrame, sides: Sides | None
) -> UnderlyingQuote:
    """Return a session's quote.

    Args:
        symbol: The underlying.
        day: The session.
        minutes: Its complete minute bars so far, with `regular`; empty where only a daily bar
            tells of it.
        daily: Daily bars until now, with `day`; one of `day` if `minutes` is empty.
        sides: Bid and ask, if the files have them.
    """
    before = daily.filter(pl.col("day") < day)
    if minutes.is_empty():
        bar = daily.filter(pl.col("day") == day)
        last = regular_last = _Trade(bar["close"][0], 0, session(day).close)
    else:
        bar = minutes.filter("regular")
        last = _last_trade(minutes)
        regular_last = _last_trade(bar) if bar.height else _close_of(before, last)
    prices = _session_prices(bar)
    year = daily.filter(pl.col("day") > day - _YEAR)
    volume = int((bar if minutes.is_empty() else minutes)["volume"].sum())
    sides = sides or Sides(None, None, 0, 0, last.at)
    return UnderlyingQuote(
        symbol=symbol,
        bid=sides.bid,
        ask=sides.ask,
        last=last.price,
        bid_size=sides.bid_size,
        ask_size=sides.ask_size,
        last_size=last.size,
        volume=volume,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=_close_of(before, last).price,
        regular_last=regular_last.price,
        regular_last_size=regular_last.size,
        high_52_week=_number(year["high"].max(), last.price),
        low_52_week=_number(year["low"].min(), last.price),
        average_volume_10_days=_number(before["volume"].tail(10).mean(), volume),
        average_volume_1_year=_number(before["volume"].tail(252).mean(), volume),
        quote_at=sides.at,
        trade_at=last.at,
        regular_trade_at=regular_last.at,
    )


def quote_from_options(symbol: str, chain: pl.DataFrame) -> UnderlyingQuote | None:
    """Return the level that put-call parity gives where a session has options alone.

    It is strike + call - put of the first expiration, where call and put are nearest: the forward
    of that expiration, which is days away at most in the recorded sessions.

    Args:
        symbol: The underlying.
        chain: Contracts with `bid`, `ask` and `quote_at`.

    Returns:
        None where no strike has both sides of both contracts.
    """
    quoted = chain.filter(pl.col("bid").is_not_null() & pl.col("ask").is_not_null())
    mid = (pl.col("bid") + pl.col("ask")) / 2
    keys = ["expiration", "strike"]
    calls = quoted.filter(pl.col("right") == "C").select(*keys, "quote_at", mid.alias("call"))
    puts = quoted.filter(pl.col("right") == "P").select(*keys, mid.alias("put"))
    pairs = calls.join(puts, on=keys).sort("expiration", (pl.col("call") - pl.col("put")).abs())
    if pairs.is_empty():
        return None
    row = pairs.row(0, named=True)
    price = round(row["strike"] + row["call"] - row["put"], 2)
    at = row["quote_at"].astimezone(UTC)
    return UnderlyingQuote(
        symbol=symbol,
        bid=None,
        ask=None,
        last=price,
        bid_size=0,
        ask_size=0,
        last_size=0,
        volume=0,
        open=None,
        high=None,
        low=None,
        close=price,
        regular_last=price,
        regular_last_size=0,
        high_52_week=price,
        low_52_week=price,
        average_volume_10_days=0.0,
        average_volume_1_year=0.0,
        quote_at=at,
        trade_at=at,
        regular_trade_at=at,
    )


def _last_trade(bars: pl.DataFrame) -> _Trade:
    row = bars.row(-1, named=True)
    return _Trade(row["close"], row["volume"], (row["ts"] + MINUTE).astimezone(UTC))


def _close_of(before: pl.DataFrame, otherwise: _Trade) -> _Trade:
    """Return the close of the newest of the days, or where there is none another trade."""
    if before.is_empty():
        return otherwise
    return _Trade(before["close"][-1], 0, session(before["day"][-1]).close)


def _session_prices(bars: pl.DataFrame) -> tuple[float | None, float | None, float | None]:
    if bars.is_empty():
        return None, None, None
    row = bars.select(*OHLCV).row(0, named=True)
    return row["open"], row["high"], row["low"]


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else float(otherwise)
