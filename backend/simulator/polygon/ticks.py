"""Trades and quotes of contracts, quotes of stocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from simulator.option_tape import QUOTES, TRADES
from simulator.polygon import facts
from simulator.polygon.replies import (
    bad_request,
    filtered,
    midnight_ms,
    moment_ns,
    not_entitled,
    page,
    without_nulls,
)
from utils.market_calendar import NEW_YORK, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.polygon.plans import Plan
    from simulator.polygon.replies import Asked
    from simulator.polygon.tickers import Named
    from simulator.world import World

_NS = 1_000_000_000
_EXCHANGE = 312


def trades(world: World, plan: Plan, now: datetime, asked: Asked, found: Named) -> dict[str, Any]:
    """Return a page of trades, as /v3/trades answers; of a stock there are none."""
    frame = _ticks(world, plan, now, asked, found, kind="trades")
    limit = asked.limit(facts.DEFAULT_TICKS, facts.MOST_TICKS)
    return page(asked, frame, limit, lambda some: [_trade(row) for row in _rows(some)])


def quotes(world: World, plan: Plan, now: datetime, asked: Asked, found: Named) -> dict[str, Any]:
    """Return a page of quotes, as /v3/quotes answers: one a minute."""
    frame = _ticks(world, plan, now, asked, found, kind="quotes")
    limit = asked.limit(facts.DEFAULT_TICKS, facts.MOST_TICKS)
    return page(asked, frame, limit, lambda some: [_quote(row) for row in _rows(some)])


def _ticks(  # noqa: PLR0913 - what, for whom, when
    world: World, plan: Plan, now: datetime, asked: Asked, found: Named, *, kind: str
) -> pl.DataFrame:
    first, last = _span(asked, plan, now)
    if first < plan.first_day(now):
        raise not_entitled(facts.NOT_THIS_LONG_AGO)
    pieces = [pl.DataFrame(schema=TRADES if kind == "trades" else QUOTES)]
    for each in sessions(first, last) if first <= last else []:
        if found.occ_symbol is not None:
            tape = world.tape(found.underlying, each.day)
            if tape is not None:
                read = tape.trades if kind == "trades" else tape.quotes
                pieces.append(read([found.occ_symbol]))
        elif kind == "quotes":
            until = min(each.close, plan.knows(now))
            pieces.append(_stock_quotes(world, found.underlying, each.open, until))
    rows = pl.concat(pieces).lazy().filter(pl.col("ts") <= plan.knows(now))
    rows = rows.with_columns(
        time_ns=pl.col("ts").dt.timestamp("ns"),
        sequence=pl.int_range(1, pl.len() + 1).over(pl.col("ts").dt.date()),
    )
    day = asked.query.get("timestamp", "")
    if len(day) == 10 and not day.isdigit():
        rows = rows.filter(pl.col("time_ns").is_between(*_day_ns(day), closed="left"))
    else:
        rows = filtered(rows, asked, "timestamp", "time_ns", moment_ns)
    frame = rows.collect()  # rising in time, as the sessions and their tapes are
    descending = asked.query.get("order", facts.TICK_ORDER) == "desc"
    return frame.reverse() if descending else frame


def _span(asked: Asked, plan: Plan, now: datetime) -> tuple[date, date]:
    """Return the first and last day that a request can touch: without bounds the newest.

    Raises:
        PolygonRefusal: A timestamp is none.
    """
    newest = plan.knows(now).astimezone(NEW_YORK).date()
    try:
        stamps = {
            name: moment_ns(text)
            for name in ("", ".gt", ".gte", ".lt", ".lte")
            if (text := asked.query.get(f"timestamp{name}"))
        }
    except ValueError:
        raise bad_request("'timestamp' could not be parsed") from None
    lows = [stamps[name] for name in ("", ".gt", ".gte") if name in stamps]
    highs = [stamps[name] for name in ("", ".lt", ".lte") if name in stamps]
    last = min([newest, *(_day(ns) for ns in highs)])
    first = max(_day(ns) for ns in lows) if lows else last
    return first, last


def _stock_quotes(world: World, ticker: str, start: datetime, until: datetime) -> pl.DataFrame:
    found = []
    at = start + timedelta(minutes=1)
    while at <= until:
        quote = world.quote(ticker, at)
        if quote is not None:
            found.append((ticker, at, quote.bid, quote.ask, quote.bid_size, quote.ask_size))
        at += timedelta(minutes=1)
    return pl.DataFrame(found, schema=QUOTES, orient="row")


def _trade(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "conditions": [row["condition"]],
        "exchange": row["exchange"],
        "participant_timestamp": row["time_ns"],
        "price": row["price"],
        "sip_timestamp": row["time_ns"],
        "size": row["size"],
    }


def _quote(row: dict[str, Any]) -> dict[str, Any]:
    quote: dict[str, Any] = {"sequence_number": row["sequence"], "sip_timestamp": row["time_ns"]}
    for side in ("ask", "bid"):
        stands = row[side] is not None
        quote[f"{side}_exchange"] = _EXCHANGE if stands else 0
        quote[f"{side}_price"] = row[side] if stands else 0
        quote[f"{side}_size"] = row[f"{side}_size"] if stands else 0
    return without_nulls(quote)


def _rows(frame: pl.DataFrame) -> Iterable[dict[str, Any]]:
    return frame.iter_rows(named=True)


def _day(ns: int) -> date:
    return datetime.fromtimestamp(ns / _NS, UTC).astimezone(NEW_YORK).date()


def _day_ns(text: str) -> tuple[int, int]:
    day = date.fromisoformat(text)
    return midnight_ms(day) * 1_000_000, midnight_ms(day + timedelta(days=1)) * 1_000_000
