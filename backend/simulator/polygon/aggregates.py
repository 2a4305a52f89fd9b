"""Bars of any length, from the world's minutes and days and from the options tape."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from simulator.option_tape import MINUTES
from simulator.polygon import facts
from simulator.polygon.plans import Data, Recency
from simulator.polygon.replies import bad_request, enveloped, not_entitled, without_nulls
from simulator.split_world import adjusted
from utils.market_calendar import NEW_YORK, sessions

if TYPE_CHECKING:
    from simulator.polygon.plans import Plan
    from simulator.polygon.replies import Asked
    from simulator.polygon.tickers import Named
    from simulator.world import World

BARS: dict[str, pl.DataType] = {
    name: kind for name, kind in MINUTES.items() if name != "occ_symbol"
}

_MINUTES = {"minute": 1, "hour": 60}
_DAYS = {"day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}
_FIRST_SUNDAY = "-1d"
"""Polars begins weeks on Mondays; the service on Sundays."""

_PLACE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{10,}")


def aggregates(  # noqa: PLR0913 - the path's own
    world: World,
    plan: Plan,
    now: datetime,
    asked: Asked,
    found: Named | None,
    *,
    span: tuple[int, str, str, str],
) -> dict[str, Any]:
    """Return a page of bars, as /v2/aggs/ticker/.../range answers.

    Args:
        world: Whose bars.
        plan: What the asker may see.
        now: Market time.
        asked: The request.
        found: What the ticker names; None for unknown ones, whose list is empty.
        span: Multiplier, timespan, from and to of the path.

    Raises:
        PolygonRefusal: A parameter is wrong, or the plan lacks it.
    """
    multiplier, timespan, start_text, end_text = span
    if timespan not in {"second", *_MINUTES, *_DAYS} or not 1 <= multiplier <= 1440:
        raise bad_request(f"'{multiplier} {timespan}' is no window")
    start, end = _edge(start_text, last=False), _edge(end_text, last=True)
    if start >= end:
        raise bad_request("'to' must be after 'from'")
    if start.astimezone(NEW_YORK).date() < plan.first_day(now):
        raise not_entitled(facts.NOT_THIS_LONG_AGO)
    if timespan == "second" and Data.SECONDS not in plan.data:
        raise not_entitled()
    limit = asked.limit(facts.DEFAULT_AGGREGATES, facts.MOST_BASE_AGGREGATES)
    until = min(_whole(end, timespan), plan.knows(now))
    base = _base(world, found, start, until, timespan) if found else pl.DataFrame(schema=BARS)
    descending = asked.query.get("sort", "asc") == "desc"
    base = _as_asked(base, world, found, asked, now).sort("ts", descending=descending)
    some = base.head(limit)
    bars = _longer(some, multiplier, timespan).sort("ts", descending=descending)
    reply: dict[str, Any] = {
        "ticker": found.ticker if found else asked.path.split("/")[4],
        "adjusted": asked.flag("adjusted", default=True),
        "queryCount": some.height,
        "resultsCount": bars.height,
        "count": bars.height,
    }
    if bars.height:
        index = bool(found and found.is_index)
        reply["results"] = [_wire(row, index=index) for row in bars.iter_rows(named=True)]
    if base.height > limit:
        reply["next_url"] = _next(asked, base["ts"][limit], span, descending=descending)
    delayed = plan.recency is Recency.DELAYED
    return enveloped(reply, facts.DELAYED_STATUS if delayed else "OK")


def previous(world: World, plan: Plan, now: datetime, asked: Asked, found: Named) -> dict[str, Any]:
    """Return the bar of the session before, as /v2/aggs/ticker/.../prev answers."""
    seen = plan.knows(now)
    today = seen.astimezone(NEW_YORK).date()
    start = datetime.combine(today - timedelta(days=10), time(), NEW_YORK).astimezone(UTC)
    midnight = datetime.combine(today, time(), NEW_YORK).astimezone(UTC)
    bars = _base(world, found, start, min(midnight, seen), "day").tail(1)
    bars = _as_asked(bars, world, found, asked, now)
    rows = [
        {"T": found.ticker, **_wire(row, index=found.is_index)}
        for row in bars.iter_rows(named=True)
    ]
    reply: dict[str, Any] = {
        "ticker": found.ticker,
        "adjusted": asked.flag("adjusted", default=True),
        "queryCount": len(rows),
        "resultsCount": len(rows),
        "count": len(rows),
    }
    if rows:
        reply["results"] = rows
    return enveloped(reply)


def minute_bars(world: World, found: Named, start: datetime, until: datetime) -> pl.DataFrame:
    """Return the minute bars of an instrument that start in [start, until), as `BARS`."""
    if found.occ_symbol is None:
        frame = world.bars(found.underlying, start, until, "1m").with_columns(
            vwap=((pl.col("high") + pl.col("low") + pl.col("close")) / 3).round(4),
            trades=None,
        )
        return frame.select(pl.col(name).cast(kind) for name, kind in BARS.items())
    pieces = [pl.DataFrame(schema=BARS)]
    for each in sessions(*_days(start, until)):
        tape = world.tape(found.underlying, each.day)
        if tape is not None and (found.expiration or each.day) >= each.day:
            pieces.append(tape.minutes([found.occ_symbol]).drop("occ_symbol"))
    inside = pl.col("ts").is_between(start, until, closed="left")
    return pl.concat(pieces).filter(inside)


def _base(
    world: World, found: Named, start: datetime, until: datetime, timespan: str
) -> pl.DataFrame:
    """Return the base aggregates that a request is made of: seconds, minutes or days."""
    if start >= until:
        return pl.DataFrame(schema=BARS)
    if timespan == "second":
        return second_bars(world, found, start, until)
    if timespan in _MINUTES:
        return minute_bars(world, found, start, until)
    if found.occ_symbol is None:
        frame = world.bars(found.underlying, start, until, "1d")
        named = frame.with_columns(
            vwap=((pl.col("high") + pl.col("low") + pl.col("close")) / 3).round(4), trades=None
        ).select(pl.col(name).cast(kind) for name, kind in BARS.items())
    else:
        named = minute_bars(world, found, start, until)
    return _longer(named, 1, "day")


def _as_asked(
    bars: pl.DataFrame, world: World, found: Named | None, asked: Asked, now: datetime
) -> pl.DataFrame:
    """Return bars of a share adjusted for splits, unless the request wants them as traded."""
    if found is None or found.occ_symbol is not None or not asked.flag("adjusted", default=True):
        return bars
    instrument = world.instrument(found.underlying)
    return adjusted(bars, instrument.splits, now) if instrument else bars


def second_bars(world: World, found: Named, start: datetime, until: datetime) -> pl.DataFrame:
    """Return a contract's bars of seconds, made of its trades; of a stock there are none."""
    if found.occ_symbol is None:
        return pl.DataFrame(schema=BARS)
    pieces = [pl.DataFrame(schema=BARS)]
    for each in sessions(*_days(start, until)):
        tape = world.tape(found.underlying, each.day)
        if tape is not None:
            trades = tape.trades([found.occ_symbol])
            pieces.append(
                _windows(
                    trades.with_columns(
                        ts=pl.col("ts").dt.truncate("1s"),
                        **dict.fromkeys(("open", "high", "low", "close", "vwap"), pl.col("price")),
                        volume=pl.col("size"),
                        trades=pl.lit(1),
                    )
                )
            )
    return pl.concat(pieces).filter(pl.col("ts").is_between(start, until, closed="left"))


def _longer(bars: pl.DataFrame, multiplier: int, timespan: str) -> pl.DataFrame:
    """Join bars into windows of New York's clock."""
    local = pl.col("ts").dt.convert_time_zone("America/New_York")
    if timespan == "second":
        window = local.dt.truncate(f"{multiplier}s")
    elif timespan in _MINUTES:
        window = local.dt.truncate(f"{multiplier * _MINUTES[timespan]}m")
    elif timespan == "week":
        window = local.dt.offset_by("1d").dt.truncate(f"{multiplier}w").dt.offset_by(_FIRST_SUNDAY)
    else:
        window = local.dt.truncate(f"{multiplier}{_DAYS[timespan][1:]}")
    return _windows(bars.sort("ts").with_columns(ts=window.dt.convert_time_zone("UTC")))


def _windows(bars: pl.DataFrame) -> pl.DataFrame:
    """Return one bar for all rows of the same `ts`."""
    volume = pl.col("volume").sum()
    value = (pl.col("vwap") * pl.col("volume")).sum() / volume
    joined = bars.group_by("ts", maintain_order=True).agg(
        open=pl.col("open").first(),
        high=pl.col("high").max(),
        low=pl.col("low").min(),
        close=pl.col("close").last(),
        volume=volume,
        vwap=pl.when(pl.col("vwap").null_count() == 0).then(value),
        trades=pl.when(pl.col("trades").null_count() == 0).then(pl.col("trades").sum()),
    )
    return joined.select(pl.col(name).cast(kind) for name, kind in BARS.items())


def _wire(row: dict[str, Any], *, index: bool) -> dict[str, Any]:
    vwap = row["vwap"]
    bar = {
        "v": None if index else float(row["volume"]),
        "vw": None if index or vwap is None else round(vwap, 4),
        "o": row["open"],
        "c": row["close"],
        "h": row["high"],
        "l": row["low"],
        "t": round(row["ts"].timestamp() * 1000),
        "n": row["trades"],
    }
    return without_nulls(bar)


def _edge(text: str, *, last: bool) -> datetime:
    """Read `from` or `to`: a day (the whole of it), or milliseconds.

    Raises:
        PolygonRefusal: It is neither.
    """
    if not _PLACE.fullmatch(text):
        raise bad_request(f"'{text}' is neither a date as YYYY-MM-DD nor milliseconds")
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000 + (0.001 if last else 0.0), UTC)
        day = date.fromisoformat(text) + timedelta(days=1 if last else 0)
    except (ValueError, OverflowError, OSError):
        raise bad_request(f"'{text}' is no date") from None
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def _whole(end: datetime, timespan: str) -> datetime:
    """Return the end of the base aggregate in which a range ends: it is told whole."""
    if timespan == "second":
        return end
    last = end - timedelta(microseconds=1)
    if timespan in _MINUTES:
        return last.replace(second=0, microsecond=0) + timedelta(minutes=1)
    following = last.astimezone(NEW_YORK).date() + timedelta(days=1)
    return datetime.combine(following, time(), NEW_YORK).astimezone(UTC)


def _next(asked: Asked, at: datetime, span: tuple[int, str, str, str], *, descending: bool) -> str:
    """Return the next page's address: `from` (or `to`) moves to the first bar that is not told."""
    multiplier, timespan, start, end = span
    ms = round(at.timestamp() * 1000)
    edges = f"{start}/{ms}" if descending else f"{ms}/{end}"
    root = asked.path.split("/range/")[0]
    moved = f"{root}/range/{multiplier}/{timespan}/{edges}"
    cursor = asked.next_url(0).partition("?")[2]
    return f"{asked.base}{moved}?{cursor}"


def _days(start: datetime, until: datetime) -> tuple[date, date]:
    return start.astimezone(NEW_YORK).date(), until.astimezone(NEW_YORK).date()
