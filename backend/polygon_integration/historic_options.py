"""The past of options by Polygon's REST API: contracts, bars, trades, quotes, and what prices them.

Bulk work belongs to the flat files (`s3_bulk_downloader`); this is for some thousand contracts, for
what the flat files lack (terms, snapshots, dividends) and for plans without them.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import DataError
from models.option_columns import occ_to_polygon, parse_occ
from models.symbols import polygon_ticker_of_underlying
from models.tables import (
    DIVIDENDS,
    EQUITY_BARS,
    OPTION_BARS,
    OPTION_CONTRACTS,
    OPTION_TRADES,
    SPLITS,
    Frame,
    Table,
    frame_schema,
)
from polygon_integration.config import PROVIDER
from utils.market_calendar import NEW_YORK, extended_hours, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from polygon_integration.client import PolygonClient, Timespan
    from polygon_integration.parse import Page

_log = logging.getLogger(__name__)

WORKERS: Final = 8
"""Requests at the same time: the service advises to stay under 100 a second."""


@dataclass(frozen=True, slots=True)
class _Interval:
    """How an interval is asked for: length of a bar, and the columns' day or moment."""

    timespan: Timespan
    multiplier: int


INTERVALS: Final = {
    **{f"{n}m": _Interval("minute", n) for n in (1, 5, 10, 15, 30)},
    "1d": _Interval("day", 1),
    "1w": _Interval("week", 1),
}
"""The intervals in the spelling of `models.tables`."""


def contracts_as_of(  # noqa: PLR0913 - what, when, and where it came from
    client: PolygonClient, underlying: str, day: date, first: date, last: date, *, origin: str
) -> Frame:
    """Return the contracts that stood on a day, as columns of `OPTION_CONTRACTS`, by OCC symbol.

    Those that have expired since are among them, adjusted ones too (their root ends in a digit).

    Args:
        client: Whom to ask.
        underlying: As SPX or QQQ.
        day: The day.
        first: First expiration, that day or later.
        last: Last expiration.
        origin: Stamped on each row.
    """
    pages = client.contracts(underlying, as_of=day, first=max(first, day), last=last)
    found = pl.concat([page.frame for page in pages])
    named = found.with_columns(parse_occ(found["occ_symbol"])["root"]).drop_nulls("root")
    if named.height < found.height:
        _log.warning("left out %d contracts without an OCC symbol", found.height - named.height)
    return _columns(
        named.unique("occ_symbol", keep="first")
        .sort("occ_symbol")
        .with_columns(
            underlying=pl.lit(underlying),
            settlement=None,
            expiration_type=None,
            first_seen=pl.lit(day),
            source=pl.lit(PROVIDER),
            origin=pl.lit(origin),
        ),
        OPTION_CONTRACTS,
    )


def download_equity_bars(  # noqa: PLR0913 - the port's four, and how the client is wired
    client: PolygonClient,
    ticker: str,
    start: datetime,
    end: datetime,
    interval: str,
    *,
    origin: str,
    with_extended: bool = False,
) -> Frame:
    """Return an underlying's bars that start in [start, end), as columns of `EQUITY_BARS`.

    A minute without a trade has no bar. Volumes are rounded to whole shares. Prices are as they were
    traded, splits not taken into account: as in flat files, and as strikes are.

    Args:
        client: Whom to ask.
        ticker: As SPX or QQQ.
        start: Aware time.
        end: Aware time.
        interval: One of `INTERVALS`.
        origin: Stamped on each row.
        with_extended: Whether minutes from 7:00 to 20:00 New York are wanted, or the session's
            alone. (The service has bars from 4:00 on; the house's day begins at 7:00.)

    Raises:
        DataError: The interval or the times cannot be asked for.
        ProviderError: Polygon fails; `NotFound` where it does not know the ticker.
        AuthError: Polygon refuses us.
    """
    symbol = polygon_ticker_of_underlying(ticker)
    raw = _bars(client, symbol, start, end, interval)
    if raw.is_empty():
        client.ticker(symbol)  # an unknown one has an empty history, without an error
    timed = _in_sessions(raw, start, end, interval, with_extended=with_extended)
    stamped = timed.with_columns(
        underlying=pl.lit(ticker),
        interval=pl.lit(interval),
        source=pl.lit(PROVIDER),
        origin=pl.lit(origin),
        volume=pl.col("volume").round(),
    )
    return _columns(stamped, EQUITY_BARS)


def download_option_bars(  # noqa: PLR0913 - what, when, and how
    client: PolygonClient,
    occ_symbols: Sequence[str],
    start: datetime,
    end: datetime,
    interval: str,
    *,
    origin: str,
    workers: int = WORKERS,
) -> Iterator[tuple[str, Frame]]:
    """Yield (OCC symbol, its bars) for many contracts, several asked at the same time.

    Args:
        client: Whom to ask.
        occ_symbols: Which contracts, answered in this order.
        start: Aware time; bars start at it or later.
        end: Aware time; bars start before it.
        interval: One of `INTERVALS`.
        origin: Stamped on each row.
        workers: Requests at the same time.

    Yields:
        Columns of `OPTION_BARS` without the computed ones; no rows of a contract without trades.

    Raises:
        DataError: The interval or the times cannot be asked for.
        ProviderError: Polygon fails; what was yielded before is whole.
        AuthError: Polygon refuses us.
    """

    def one(occ_symbol: str) -> tuple[str, Frame]:
        ticker = occ_to_polygon(pl.Series([occ_symbol])).item()
        raw = _bars(client, ticker, start, end, interval)
        timed = _in_sessions(raw, start, end, interval, with_extended=False)
        stamped = _of_contract(timed, occ_symbol, origin).with_columns(
            interval=pl.lit(interval), volume=pl.col("volume").round()
        )
        return occ_symbol, _columns(stamped, OPTION_BARS)

    yield from side_by_side(one, occ_symbols, workers)


def download_option_trades(
    client: PolygonClient, occ_symbol: str, session: date, *, origin: str
) -> Frame:
    """Return a contract's trades of one session, as columns of `OPTION_TRADES`, oldest first.

    Options' trades have no id: `sequence` counts them within contract and session, so a whole
    session of a contract is replaced at once and never joined to another download of it.
    """
    pages = client.trades(occ_to_polygon(pl.Series([occ_symbol])).item(), *_day_ns(session))
    ticks = pl.concat([page.frame for page in pages]).sort("time_ns", maintain_order=True)
    stamped = _of_contract(ticks, occ_symbol, origin).with_columns(
        ts=_moment("time_ns"),
        session=pl.lit(session),
        sequence=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        size=pl.col("size").round(),
    )
    return _columns(stamped, OPTION_TRADES)


def option_quotes(client: PolygonClient, occ_symbol: str, session: date) -> Iterator[Page]:
    """Yield a contract's NBBO of one session page by page; see `PolygonClient.quotes`.

    A liquid contract has a million of them a day: nothing here holds more than one page.
    """
    yield from client.quotes(occ_to_polygon(pl.Series([occ_symbol])).item(), *_day_ns(session))


def download_dividends(
    client: PolygonClient, ticker: str, first: date, last: date, *, origin: str
) -> Frame:
    """Return cash dividends with ex-dates in [first, last], as columns of `DIVIDENDS`."""
    pages = client.dividends(ticker, first=first, last=last)
    return _events(pages, ticker, origin, DIVIDENDS)


def download_splits(
    client: PolygonClient, ticker: str, first: date, last: date, *, origin: str
) -> Frame:
    """Return splits with ex-dates in [first, last], as columns of `SPLITS`."""
    return _events(client.splits(ticker, first=first, last=last), ticker, origin, SPLITS)


def _events(pages: Iterable[Page], ticker: str, origin: str, table: Table) -> Frame:
    found = pl.concat([page.frame for page in pages]).unique("ex_date", keep="last").sort("ex_date")
    stamped = found.with_columns(
        underlying=pl.lit(ticker), source=pl.lit(PROVIDER), origin=pl.lit(origin)
    )
    return _columns(stamped, table)


def _bars(
    client: PolygonClient, ticker: str, start: datetime, end: datetime, interval: str
) -> Frame:
    """Return raw bars from the day (or week) of `start` to that of `end`."""
    if interval not in INTERVALS:
        raise DataError(f"Polygon has bars of {', '.join(INTERVALS)}, not {interval}")
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise DataError(f"bars are asked from an aware time to a later one, not {start} to {end}")
    how = INTERVALS[interval]
    first, last = _day(start), _day(end - timedelta(microseconds=1))
    if interval == "1w":
        first -= timedelta(days=(first.weekday() + 1) % 7)  # weeks begin on Sundays
    pages = client.aggregates(
        ticker, first, last, how.timespan, multiplier=how.multiplier, adjusted=False
    )
    return pl.concat([page.frame for page in pages]).unique("ts", keep="last").sort("ts")


def _in_sessions(
    raw: Frame, start: datetime, end: datetime, interval: str, *, with_extended: bool
) -> Frame:
    """Return the bars of sessions in [start, end), with `session`; `ts` as the house has it."""
    first = _day(start) - timedelta(days=7 if interval == "1w" else 0)
    days = sessions(first, _day(end))
    edges = [extended_hours(day) if with_extended else (day.open, day.close) for day in days]
    moment = pl.Datetime("us", "UTC")
    known = pl.DataFrame(
        {
            "session": [day.day for day in days],
            "opens": [day.open for day in days],
            "begins": [edge[0] for edge in edges],
            "ends": [edge[1] for edge in edges],
        },
        schema={"session": pl.Date, "opens": moment, "begins": moment, "ends": moment},
    )
    day_of_bar = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    if interval.endswith("m"):
        inside = pl.col("ts").is_between("begins", "ends", closed="left")
        timed = raw.with_columns(day_of_bar.alias("session")).join(known, on="session")
        timed = timed.filter(inside).sort("ts")
    else:
        timed = (
            raw.with_columns(day_of_bar.alias("day"))
            .join_asof(known, left_on="day", right_on="session", strategy="forward", coalesce=False)
            .with_columns(ts="opens")
            .drop_nulls("ts")
        )
    wanted = pl.col("ts").is_between(start.astimezone(UTC), end.astimezone(UTC), closed="left")
    return timed.filter(wanted)


def _of_contract(rows: Frame, occ_symbol: str, origin: str) -> Frame:
    underlying = parse_occ(pl.Series([occ_symbol]))["underlying"].item()
    if underlying is None:
        raise DataError(f"{occ_symbol!r} is no OCC symbol")
    return rows.with_columns(
        occ_symbol=pl.lit(occ_symbol),
        underlying=pl.lit(underlying),
        source=pl.lit(PROVIDER),
        origin=pl.lit(origin),
    )


def side_by_side(
    one: Callable[[str], tuple[str, Frame]], symbols: Sequence[str], workers: int
) -> Iterator[tuple[str, Frame]]:
    """Ask several at once, answer in order, and hold no more than that in memory."""
    with ThreadPoolExecutor(workers, thread_name_prefix="polygon") as pool:
        waiting: deque[Future[tuple[str, Frame]]] = deque()
        try:
            for symbol in symbols:
                waiting.append(pool.submit(one, symbol))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def _columns(rows: Frame, table: Table) -> Frame:
    """Return the columns of a table that the rows have, in its order and types."""
    schema = frame_schema(table)
    return rows.select(pl.col(name).cast(kind) for name, kind in schema.items() if name in rows)


def _moment(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("ns", "UTC")).cast(pl.Datetime("us", "UTC"))


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _day_ns(day: date) -> tuple[int, int]:
    """Return midnight to midnight New York of a day, nanoseconds since 1970 UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=NEW_YORK)
    return int(start.timestamp()) * 10**9, int(end.timestamp()) * 10**9
