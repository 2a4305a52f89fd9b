"""Bars: what is asked of Schwab, and what its candles become."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.errors import DataError, NotFound
from models.tables import EQUITY_BARS, frame_schema
from schwab_integration.downloader import INTERVALS, download_bars
from utils.market_calendar import NEW_YORK, session, sessions

CHICAGO = ZoneInfo("America/Chicago")


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def candle(moment: datetime, price: float = 500.0) -> dict[str, Any]:
    return {
        "open": price,
        "high": price + 1,
        "low": price - 1,
        "close": price + 0.5,
        "volume": 1000,
        "datetime": ms(moment),
    }


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def history(moments: Sequence[datetime], answer: Any) -> Callable[[Any], Any]:
    """Answer /pricehistory with the candles between its bounds, and /quotes with QQQ alone."""
    candles = [candle(moment, 100.0 + n) for n, moment in enumerate(moments)]

    def app(came: Any) -> Any:
        if came.path.endswith("/quotes"):
            known = {"QQQ": {"symbol": "QQQ"}} if came.query["symbols"] == "QQQ" else {}
            return answer(body=json.dumps(known).encode())
        low, high = int(came.query["startDate"]), int(came.query["endDate"])
        found = [c for c in candles if low <= c["datetime"] <= high]
        reply = {"candles": found, "symbol": came.query["symbol"], "empty": not found}
        return answer(body=json.dumps(reply).encode())

    return app


def test_minutes_are_paged_over_sessions(serve: Any, answer: Any, connect: Any) -> None:
    days = sessions(date(2026, 10, 12), date(2026, 11, 20))
    every = [s.open + timedelta(minutes=30 * n) for s in days for n in range(13)]
    server = serve(history(every, answer))
    frame = download_bars(
        connect(server.url), "QQQ", days[0].open, days[-1].close, "30m", origin="simulator"
    )
    assert frame["ts"].to_list() == every
    assert dict(frame.schema) == frame_schema(EQUITY_BARS)
    assert len(server.received) == 3  # 30 sessions, ten to a request
    for came in server.received:
        assert came.query["periodType"] == "day"
        assert (came.query["frequencyType"], came.query["frequency"]) == ("minute", "30")
        assert came.query["needExtendedHoursData"] == "false"
        assert "period" not in came.query  # with it, Schwab ignores the bounds
    row = frame.row(0, named=True)
    assert (row["underlying"], row["interval"], row["source"], row["origin"]) == (
        "QQQ",
        "30m",
        "schwab",
        "simulator",
    )
    assert (row["session"], row["open"], row["volume"], row["vwap"], row["trades"]) == (
        date(2026, 10, 12),
        100.0,
        1000,
        None,
        None,
    )


def test_only_what_was_asked_for_comes_back(serve: Any, answer: Any, connect: Any) -> None:
    day = session(date(2026, 11, 20))
    every = [day.open + timedelta(minutes=n) for n in range(390)]
    client = connect(serve(history(every, answer)).url)
    start, end = day.open + timedelta(minutes=10), day.open + timedelta(minutes=20)
    frame = download_bars(client, "QQQ", start, end, "1m", origin="live")
    assert frame["ts"].to_list() == every[10:20]


def test_a_candle_that_comes_twice_is_one_bar(serve: Any, answer: Any, connect: Any) -> None:
    day = session(date(2026, 11, 20))
    server = serve(history([day.open, day.open + timedelta(minutes=1), day.open], answer))
    frame = download_bars(connect(server.url), "QQQ", day.open, day.close, "1m", origin="live")
    assert frame["open"].to_list() == [102.0, 101.0]  # the newest wins


def test_extended_hours_belong_to_their_day(serve: Any, answer: Any, connect: Any) -> None:
    late = datetime(2026, 11, 19, 19, 59, tzinfo=NEW_YORK)  # next day already in UTC
    early = datetime(2026, 11, 20, 7, 0, tzinfo=NEW_YORK)
    server = serve(history([late, early], answer))
    frame = download_bars(
        connect(server.url),
        "QQQ",
        late,
        early + timedelta(hours=1),
        "1m",
        origin="live",
        extended_hours=True,
    )
    assert frame["session"].to_list() == [date(2026, 11, 19), date(2026, 11, 20)]
    assert server.received[0].query["needExtendedHoursData"] == "true"


def test_a_daily_bar_starts_with_its_session(serve: Any, answer: Any, connect: Any) -> None:
    """Schwab stamps midnight in Chicago; summer time ended on 2026-11-01."""
    days = sessions(date(2026, 10, 26), date(2026, 11, 6))
    server = serve(history([midnight(s.day, CHICAGO) for s in days], answer))
    frame = download_bars(
        connect(server.url), "QQQ", days[0].open, days[-1].close, "1d", origin="live"
    )
    assert frame["ts"].to_list() == [s.open for s in days]
    assert frame["session"].to_list() == [s.day for s in days]
    (came,) = server.received
    assert (came.query["periodType"], came.query["frequencyType"]) == ("year", "daily")


def test_a_daily_bar_of_today_is_not_asked_for_after_its_open(
    serve: Any, answer: Any, connect: Any
) -> None:
    days = sessions(date(2026, 11, 19), date(2026, 11, 20))
    server = serve(history([midnight(s.day, CHICAGO) for s in days], answer))
    start = days[0].open + timedelta(minutes=1)
    frame = download_bars(connect(server.url), "QQQ", start, days[1].close, "1d", origin="live")
    assert frame["session"].to_list() == [days[1].day]


def test_a_week_starts_with_its_first_session(serve: Any, answer: Any, connect: Any) -> None:
    """Monday 2026-09-07 is Labor Day."""
    mondays = [date(2026, 8, 31), date(2026, 9, 7), date(2026, 9, 14)]
    server = serve(history([midnight(day, CHICAGO) for day in mondays], answer))
    start, end = session(date(2026, 8, 31)).open, session(date(2026, 9, 18)).close
    frame = download_bars(connect(server.url), "QQQ", start, end, "1w", origin="live")
    assert frame["session"].to_list() == [date(2026, 8, 31), date(2026, 9, 8), date(2026, 9, 14)]
    assert frame["ts"][1] == session(date(2026, 9, 8)).open
    tuesday = session(date(2026, 9, 8))
    alone = download_bars(
        connect(server.url), "QQQ", tuesday.open, tuesday.close, "1w", origin="live"
    )
    assert alone["session"].to_list() == [tuesday.day]


def test_no_request_cuts_a_week(serve: Any, answer: Any, connect: Any) -> None:
    """Half a week asked for is a bar of half a week: each request begins and ends with weeks."""
    mondays = [date(2010, 1, 4) + timedelta(weeks=n) for n in range(881)]
    server = serve(history([midnight(day, CHICAGO) for day in mondays], answer))
    start, end = session(date(2010, 1, 6)).open, session(date(2026, 11, 18)).close
    frame = download_bars(connect(server.url), "QQQ", start, end, "1w", origin="live")
    assert frame.height == 880  # the first began before the start
    assert len(server.received) == 2
    for came in server.received:
        first, after = (
            datetime.fromtimestamp(int(came.query[name]) / 1000, NEW_YORK)
            for name in ("startDate", "endDate")
        )
        assert first.weekday() == 0
        assert after.weekday() in {4, 5}  # the midnight after Thursday or Friday


def test_long_daily_histories_are_paged(serve: Any, answer: Any, connect: Any) -> None:
    days = sessions(date(2010, 1, 4), date(2026, 11, 20))
    server = serve(history([midnight(s.day, CHICAGO) for s in days], answer))
    frame = download_bars(
        connect(server.url), "QQQ", days[0].open, days[-1].close, "1d", origin="live"
    )
    assert frame["session"].to_list() == [s.day for s in days]
    assert len(server.received) == 2


def test_a_bar_of_no_session_is_left_out_and_said(
    serve: Any, answer: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sunday = datetime(2026, 11, 15, 12, 0, tzinfo=UTC)
    friday = session(date(2026, 11, 13)).open
    server = serve(history([friday, sunday], answer))
    with caplog.at_level(logging.WARNING):
        frame = download_bars(
            connect(server.url),
            "QQQ",
            friday,
            session(date(2026, 11, 16)).close,
            "1m",
            origin="live",
        )
    assert frame["ts"].to_list() == [friday]
    assert "left out 1 bars" in caplog.text


def test_a_range_without_sessions_asks_nobody(serve: Any, answer: Any, connect: Any) -> None:
    server = serve(lambda _: answer(status=500))
    saturday = datetime(2026, 11, 21, 12, tzinfo=UTC)
    frame = download_bars(
        connect(server.url), "QQQ", saturday, saturday + timedelta(days=1), "1m", origin="live"
    )
    assert frame.is_empty()
    assert dict(frame.schema) == frame_schema(EQUITY_BARS)
    assert not server.received


def test_no_bars_of_a_known_ticker_is_empty(serve: Any, answer: Any, connect: Any) -> None:
    day = session(date(2026, 11, 20))
    client = connect(serve(history([], answer)).url)
    assert download_bars(client, "QQQ", day.open, day.close, "1m", origin="live").is_empty()


def test_an_unknown_ticker_is_not_found(serve: Any, answer: Any, connect: Any) -> None:
    """Schwab answers its history with 200 and nothing."""
    day = session(date(2026, 11, 20))
    client = connect(serve(history([], answer)).url)
    with pytest.raises(NotFound, match="schwab does not know the ticker NOSUCH"):
        download_bars(client, "NOSUCH", day.open, day.close, "1m", origin="live")


def test_an_index_is_spelled_for_the_wire(serve: Any, answer: Any, connect: Any) -> None:
    day = session(date(2026, 11, 20))
    server = serve(history([day.open], answer))
    frame = download_bars(connect(server.url), "SPX", day.open, day.close, "1m", origin="live")
    assert server.received[0].query["symbol"] == "$SPX"
    assert frame["underlying"].to_list() == ["SPX"]


@pytest.mark.parametrize("interval", ["2m", "1h", "", "1mo"])
def test_an_interval_that_schwab_lacks(connect: Any, interval: str) -> None:
    day = session(date(2026, 11, 20))
    with pytest.raises(DataError, match=r"1m, 5m, 10m, 15m, 30m, 1d, 1w"):
        download_bars(
            connect("http://127.0.0.1:1"), "QQQ", day.open, day.close, interval, origin="live"
        )


def test_times_must_be_aware_and_in_order(connect: Any) -> None:
    client = connect("http://127.0.0.1:1")
    day = session(date(2026, 11, 20))
    for start, end in (
        (day.close, day.open),
        (day.open, day.open),
        (day.open.replace(tzinfo=None), day.close),
    ):
        with pytest.raises(DataError, match="aware"):
            download_bars(client, "QQQ", start, end, "1m", origin="live")
    assert len(INTERVALS) == 7
