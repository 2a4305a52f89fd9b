"""Bars of one underlying, paged past what one request to Schwab may ask for.

Schwab's candles carry the bar's start, or midnight in Chicago for a day or a week; rows here carry
the start of the bar and, for a day or a week, the open of its (first) session.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, groupby
from typing import Final

import polars as pl

from models.errors import DataError, NotFound
from models.options import schwab_ticker
from models.tables import EQUITY_BARS, Frame, frame_schema
from schwab_integration.client import SchwabClient
from schwab_integration.config import PROVIDER
from schwab_integration.queries import FrequencyType, HistoryQuery, PeriodType
from utils.market_calendar import NEW_YORK, Session, sessions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Interval:
    """How an interval is asked for.

    Attributes:
        period_type: Of the query.
        frequency_type: Of the query.
        frequency: Of the query.
        a_page: Sessions, or weeks of weekly bars, that one request may span.
    """

    period_type: PeriodType
    frequency_type: FrequencyType
    frequency: int
    a_page: int


_TEN_DAYS: Final = 10
_TEN_YEARS: Final = 2520
_TEN_YEARS_OF_WEEKS: Final = 520

INTERVALS: Final = {
    **{f"{n}m": _Interval("day", "minute", n, _TEN_DAYS) for n in (1, 5, 10, 15, 30)},
    "1d": _Interval("year", "daily", 1, _TEN_YEARS),
    "1w": _Interval("year", "weekly", 1, _TEN_YEARS_OF_WEEKS),
}
"""The intervals that Schwab has bars of, in the spelling of `models.tables`."""


def download_bars(  # noqa: PLR0913 - the port's four, and how the client is wired
    client: SchwabClient,
    ticker: str,
    start: datetime,
    end: datetime,
    interval: str,
    *,
    origin: str,
    extended_hours: bool = False,
) -> Frame:
    """Return the bars that start in [start, end), as columns of `EQUITY_BARS`, oldest first.

    What Schwab does not keep (minutes older than about 48 days) is simply not there.

    Args:
        client: Whom to ask.
        ticker: Underlying, as SPX or QQQ.
        start: Aware time.
        end: Aware time.
        interval: One of `INTERVALS`.
        origin: Stamped on each row.
        extended_hours: Whether minutes before and after the regular session are wanted as well.

    Raises:
        DataError: The interval or the times cannot be asked for.
        NotFound: Schwab does not know the ticker.
        ProviderError: Schwab fails.
        AuthError: Schwab refuses us.
    """
    if interval not in INTERVALS:
        raise DataError(f"Schwab has bars of {', '.join(INTERVALS)}, not {interval}")
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise DataError(f"bars are asked from an aware time to a later one, not {start} to {end}")
    how = INTERVALS[interval]
    symbol = schwab_ticker(ticker)
    first, last = _day(start), _day(end)
    if how.frequency_type == "weekly":
        first, last = _monday(first), _monday(last) + timedelta(days=6)
    days = sessions(first, last)
    pages = [
        client.price_history(_query(symbol, how, page, extended_hours)).frame
        for page in _pages(days, how)
    ]
    if days and all(page.is_empty() for page in pages):
        check_known(client, ticker)
    raw = pl.concat(pages).unique("at", keep="last").sort("at") if pages else _NOTHING
    timed = _with_session(raw, days, minutes=how.frequency_type == "minute")
    return (
        timed.filter(
            pl.col("ts").is_between(start.astimezone(UTC), end.astimezone(UTC), closed="left")
        )
        .with_columns(
            underlying=pl.lit(ticker),
            interval=pl.lit(interval),
            vwap=None,
            trades=None,
            source=pl.lit(PROVIDER),
            origin=pl.lit(origin),
        )
        .select(pl.col(name).cast(kind) for name, kind in frame_schema(EQUITY_BARS).items())
    )


def check_known(client: SchwabClient, ticker: str) -> None:
    """Ask whether Schwab knows a ticker: an unknown one has an empty history, without an error.

    Raises:
        NotFound: It does not.
    """
    symbol = schwab_ticker(ticker)
    if symbol not in client.quotes([symbol], fields=["reference"]).by_symbol:
        raise NotFound(f"schwab does not know the ticker {ticker}", provider=PROVIDER)


_NOTHING: Final = pl.DataFrame(
    schema={
        "at": pl.Datetime("us", "UTC"),
        **dict.fromkeys(("open", "high", "low", "close"), pl.Float64()),
        "volume": pl.Int64(),
    }
)


def _pages(days: list[Session], how: _Interval) -> list[list[Session]]:
    """Split what is asked for, never inside a bar: half a week asked for is a bar of half a week."""
    weekly = how.frequency_type == "weekly"
    bars = groupby(days, key=lambda each: _monday(each.day) if weekly else each.day)
    groups = [list(group) for _, group in bars]
    return [
        list(chain.from_iterable(groups[n : n + how.a_page]))
        for n in range(0, len(groups), how.a_page)
    ]


def _query(symbol: str, how: _Interval, page: list[Session], extended_hours: bool) -> HistoryQuery:
    """Ask for whole days: midnight to midnight, so that no bound cuts a bar."""
    first = page[0].day
    if how.frequency_type == "weekly":
        first = _monday(first)  # a holiday perhaps: Schwab's stamp all the same
    return HistoryQuery(
        symbol=symbol,
        period_type=how.period_type,
        frequency_type=how.frequency_type,
        frequency=how.frequency,
        start=_midnight(first),
        end=_midnight(page[-1].day + timedelta(days=1)),
        extended_hours=extended_hours,
    )


def _with_session(raw: Frame, days: list[Session], *, minutes: bool) -> Frame:
    """Return the bars with `ts` and `session`; what belongs to no session is left out."""
    known = pl.DataFrame(
        {"session": [s.day for s in days], "opens": [s.open for s in days]},
        schema={"session": pl.Date, "opens": pl.Datetime("us", "UTC")},
    )
    if minutes:
        day = pl.col("at").dt.convert_time_zone("America/New_York").dt.date()
        timed = raw.with_columns(day.alias("session")).join(known, on="session")
        timed = timed.with_columns(ts="at").sort("ts")
    else:
        day = pl.col("at").dt.convert_time_zone("America/Chicago").dt.date()
        timed = raw.with_columns(day.alias("day")).join_asof(
            known, left_on="day", right_on="session", strategy="forward", coalesce=False
        )
        timed = timed.with_columns(ts="opens").drop_nulls("ts")
    if timed.height < raw.height:
        _log.warning("left out %d bars that belong to no session", raw.height - timed.height)
    return timed


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
