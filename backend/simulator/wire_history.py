"""Price history: the combinations that Schwab allows, its depth, and its candles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import polars as pl

from simulator import parameters
from simulator import schwab_facts as facts
from simulator.split_world import adjusted
from simulator.wire_errors import bad_request
from simulator.wire_quotes import milliseconds
from simulator.world import BAR_SCHEMA
from utils.market_calendar import NEW_YORK, last_session, sessions, sessions_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.world import Instrument, Split, World

CHICAGO = ZoneInfo("America/Chicago")
"""Daily and longer candles carry midnight of this zone."""

PERIODS = {
    "day": (1, 2, 3, 4, 5, 10),
    "month": (1, 2, 3, 6),
    "year": (1, 2, 3, 5, 10, 15, 20),
    "ytd": (1,),
}
DEFAULT_PERIOD = {"day": 10, "month": 1, "year": 1, "ytd": 1}
FREQUENCY_TYPES = {
    "day": ("minute",),
    "month": ("daily", "weekly"),
    "year": ("daily", "weekly", "monthly"),
    "ytd": ("daily", "weekly"),
}
DEFAULT_FREQUENCY_TYPE = {"day": "minute", "month": "weekly", "year": "monthly", "ytd": "weekly"}
MINUTES = (1, 5, 10, 15, 30)
INTERVAL = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What was asked of `/pricehistory`, defaults filled in.

    Attributes:
        symbol: As on the wire.
        period_type: day, month, year or ytd.
        period: How many of them.
        whole_days: Whether a period was named: then start and end mean whole days.
        frequency_type: minute, daily, weekly or monthly.
        frequency: Minutes, or 1.
        start: As asked, UTC; None if not said.
        end: The same.
        extended_hours: Whether minutes before and after the regular session are wanted.
        previous_close: Whether the close before the first candle is wanted.
    """

    symbol: str
    period_type: str
    period: int
    whole_days: bool
    frequency_type: str
    frequency: int
    start: datetime | None
    end: datetime | None
    extended_hours: bool
    previous_close: bool

    @classmethod
    def read(cls, params: Mapping[str, str]) -> Self:
        """Read the query.

        Raises:
            Refusal: A parameter is wrong, or the combination is not one that Schwab allows.
        """
        period_type = parameters.choice(params, "periodType", PERIODS, "day")
        period = parameters.integer(params, "period")
        if period is not None and period not in PERIODS[period_type]:
            raise _not_allowed("period", PERIODS[period_type], f"periodType {period_type}")
        frequency_type = params.get("frequencyType") or DEFAULT_FREQUENCY_TYPE[period_type]
        if frequency_type not in FREQUENCY_TYPES[period_type]:
            raise _not_allowed(
                "frequencyType", FREQUENCY_TYPES[period_type], f"periodType {period_type}"
            )
        frequency = parameters.integer(params, "frequency")
        allowed = MINUTES if frequency_type == "minute" else (1,)
        if frequency is not None and frequency not in allowed:
            raise _not_allowed("frequency", allowed, f"frequencyType {frequency_type}")
        start, end = parameters.moment(params, "startDate"), parameters.moment(params, "endDate")
        if start and end and start > end:
            raise bad_request("startDate must not be after endDate", "startDate")
        extended = parameters.boolean(params, "needExtendedHoursData")
        return cls(
            symbol=parameters.text(params, "symbol"),
            period_type=period_type,
            period=DEFAULT_PERIOD[period_type] if period is None else period,
            whole_days=period is not None,
            frequency_type=frequency_type,
            frequency=1 if frequency is None else frequency,
            start=start,
            end=end,
            extended_hours=facts.EXTENDED_HOURS_DEFAULT if extended is None else extended,
            previous_close=parameters.boolean(params, "needPreviousClose") or False,
        )

    @property
    def by_minutes(self) -> bool:
        """Whether candles are shorter than a day."""
        return self.frequency_type == "minute"

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the first and the last moment that a candle may start at, UTC.

        Without an end it is the newest regular close; without a start it lies a period before the
        end, in sessions where the period counts days. Never after `now`, never before the depth
        that the service keeps. Where nothing can lie between them the first is after the last.
        """
        end = min(self.end or last_session(now, complete=True).close, now)
        deepest = self._deepest(now)
        if end < deepest:
            return deepest, end
        start = self.start or self._period_start(end)
        if self.whole_days or not self.by_minutes:
            start = _midnight(_day(start))
            end = min(_midnight(_day(end) + _DAY) - timedelta(microseconds=1), now)
        return max(start, deepest), end

    def _period_start(self, end: datetime) -> datetime:
        last = _day(end)
        match self.period_type:
            case "day":
                first = sessions_back(_midnight(last + _DAY), self.period)[0].day
            case "month":
                first = _months_before(last, self.period)
            case "year":
                first = _months_before(last, 12 * self.period)
            case _:
                first = last.replace(month=1, day=1)
        return _midnight(first)

    def _deepest(self, now: datetime) -> datetime:
        if not self.by_minutes:
            return _midnight(facts.FIRST_DAILY_BAR)
        days = facts.ONE_MINUTE_DEPTH_DAYS if self.frequency == 1 else facts.MINUTES_DEPTH_DAYS
        return _midnight(_day(now) - timedelta(days=days))


def history_reply(
    world: World, instrument: Instrument | None, query: HistoryQuery, now: datetime
) -> dict[str, Any]:
    """Return the body of a reply to `/pricehistory`; without candles for an unknown symbol.

    Args:
        world: Where the bars come from.
        instrument: What the symbol names; None if nobody knows it.
        query: What was asked.
        now: Market time.
    """
    if instrument is None:
        return {"candles": [], "symbol": query.symbol, "empty": True}
    candles = _candles(world, instrument.symbol, query, now)
    reply: dict[str, Any] = {
        "candles": candles.to_dicts(),
        "symbol": query.symbol,
        "empty": candles.is_empty(),
    }
    if query.previous_close and len(candles):
        reply |= _previous_close(world, instrument.symbol, candles["datetime"][0], now)
    return reply


def _candles(world: World, ticker: str, query: HistoryQuery, now: datetime) -> pl.DataFrame:
    start, end = query.bounds(now)
    splits = _splits(world, ticker)
    if start > end:
        bars = pl.DataFrame(schema=BAR_SCHEMA)
    elif query.by_minutes:
        step = timedelta(minutes=query.frequency)
        bars = world.bars(ticker, start, min(now, _floor(end, step) + step), "1m")
        bars = adjusted(bars, splits, now)
        if not query.extended_hours:
            bars = _regular_only(bars, _day(start), _day(end))
        bars = _merged(bars, query.frequency)
    else:
        bars = world.bars(ticker, start, end, INTERVAL[query.frequency_type])
        bars = adjusted(bars, splits, now).with_columns(_candle_day(query.frequency_type))
    return bars.filter(pl.col("ts").is_between(start, end)).select(
        *(pl.col(name).round(4) for name in ("open", "high", "low", "close")),
        "volume",
        pl.col("ts").dt.epoch("ms").alias("datetime"),
    )


def _candle_day(frequency_type: str) -> pl.Expr:
    """Return when a candle starts on the wire: Chicago's midnight of its day, Monday or first."""
    every = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}[frequency_type]
    day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    start = day.dt.truncate(every)
    return start.dt.replace_time_zone("America/Chicago").dt.convert_time_zone("UTC")


def _regular_only(bars: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    hours = pl.DataFrame(
        [(session.open, session.close) for session in sessions(first, last)],
        schema={"opens": bars.schema["ts"], "closes": bars.schema["ts"]},
        orient="row",
    )
    return (
        bars.join_asof(hours, left_on="ts", right_on="opens", strategy="backward")
        .filter(pl.col("ts") < pl.col("closes"))
        .drop("opens", "closes")
    )


def _merged(bars: pl.DataFrame, minutes: int) -> pl.DataFrame:
    if minutes == 1:
        return bars
    return (
        bars.group_by(pl.col("ts").dt.truncate(f"{minutes}m"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .sort("ts")
    )


def _splits(world: World, ticker: str) -> tuple[Split, ...]:
    """Return a ticker's splits: Schwab's candles are always adjusted for them."""
    instrument = world.instrument(ticker)
    return instrument.splits if instrument else ()


def _previous_close(world: World, ticker: str, first_ms: int, now: datetime) -> dict[str, Any]:
    before = _midnight(_day(datetime.fromtimestamp(first_ms / 1000, UTC)))
    bars = adjusted(
        world.bars(ticker, before - 10 * _DAY, before, "1d"), _splits(world, ticker), now
    )
    if bars.is_empty():
        return {}
    day = _day(bars["ts"][-1])
    return {
        "previousClose": round(bars["close"][-1], 4),
        "previousCloseDate": milliseconds(datetime.combine(day, time(), CHICAGO)),
    }


def _not_allowed(name: str, allowed: tuple[object, ...], where: str) -> Exception:
    listed = ",".join(str(value) for value in allowed)
    return bad_request(f"valid {name} for {where} should be any of {listed}", name)


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % step


def _months_before(day: date, months: int) -> date:
    """Return the same day of an earlier month, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    first_of_next = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + (day.day - 1) * _DAY, first_of_next - _DAY)
