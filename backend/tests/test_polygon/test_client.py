"""The client over real sockets: what it sends, how it pages, what each failure becomes."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from models.errors import (
    AuthError,
    BadReply,
    ConfigError,
    DataError,
    NotEntitled,
    NotFound,
    ProviderError,
    RateLimited,
    Unavailable,
)
from polygon_integration.client import PolygonClient
from polygon_integration.config import PolygonSettings
from polygon_integration.historic_options import (
    contracts_as_of,
    download_equity_bars,
    download_option_bars,
    download_option_trades,
)
from polygon_integration.market_data import PolygonMarketData
from utils.settings import load

KEY = "a-key-that-nobody-may-see"
MakeClient = Callable[[str], PolygonClient]
CONTRACT = {
    "ticker": "O:QQQ251219C00500000",
    "underlying_ticker": "QQQ",
    "contract_type": "call",
    "expiration_date": "2025-12-19",
    "strike_price": 500,
    "shares_per_contract": 100,
    "exercise_style": "american",
}


def bar(when: datetime, close: float = 10.0, volume: float = 5) -> dict[str, Any]:
    ms = int(when.timestamp() * 1000)
    return {"t": ms, "o": close, "h": close, "l": close, "c": close, "v": volume, "n": 1}


def told(answer: Any, body: Any, status: int = 200) -> Any:
    return answer(status, json.dumps(body).encode(), {"content-type": "application/json"})


def test_the_key_travels_in_a_header_alone(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    server = serve(lambda _: told(answer, {"results": []}))
    list(make_client(server.url).contracts("QQQ", as_of=date(2025, 10, 20)))
    came = server.received[0]
    assert came.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps([came.path, dict(came.query)])
    assert came.query["as_of"] == "2025-10-20"
    assert came.query["limit"] == "1000"


def test_pages_are_followed_and_can_be_taken_up_again(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    def pages(came: Any) -> Any:
        number = int(came.query.get("cursor", "0"))
        body = {"results": [CONTRACT | {"strike_price": 500 + number}], "status": "OK"}
        if number < 2:
            # The host of another name must not get our key: only path and query count.
            body["next_url"] = f"https://elsewhere.example{came.path}?cursor={number + 1}"
        return told(answer, body)

    server = serve(pages)
    client = make_client(server.url)
    found = list(client.contracts("QQQ"))
    assert [page.frame["strike"].item() for page in found] == [500, 501, 502]
    resumed = list(client.contracts("QQQ", start_at=found[0].next_page))
    assert [page.frame["strike"].item() for page in resumed] == [501, 502]
    assert {came.headers["authorization"] for came in server.received} == {f"Bearer {KEY}"}


def test_a_page_that_names_itself_ends_in_an_error(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    server = serve(
        lambda came: told(answer, {"results": [], "next_url": f"https://h{came.path}?cursor=1"})
    )
    with pytest.raises(BadReply, match="the same page again"):
        list(make_client(server.url).contracts("QQQ"))


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"status": "ERROR", "error": "Unknown API Key"}, AuthError, "POLYGON_API_KEY"),
        (
            403,
            {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."},
            NotEntitled,
            "plan does not include",
        ),
        (
            403,
            {"status": "NOT_AUTHORIZED", "message": "... doesn't include this data timeframe."},
            NotEntitled,
            "so long ago",
        ),
        (404, {"status": "NOT_FOUND", "message": "Options contract not found"}, NotFound, "found"),
        (429, {"status": "ERROR", "error": "exceeded"}, RateLimited, "REQUESTS_PER_MINUTE"),
        (400, {"status": "ERROR", "error": "limit too large"}, ProviderError, "limit too large"),
        (503, {}, Unavailable, "503"),
    ],
)
def test_each_refusal_is_its_own_error(
    serve: Any,
    answer: Any,
    make_client: MakeClient,
    status: int,
    body: Any,
    kind: type[Exception],
    words: str,
) -> None:
    server = serve(lambda _: told(answer, body, status))
    with pytest.raises(kind, match=words) as caught:
        make_client(server.url).ticker("QQQ")
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)


def test_html_in_place_of_json_is_a_bad_reply(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    server = serve(lambda _: answer(200, b"<html>"))
    with pytest.raises(BadReply, match="no JSON"):
        make_client(server.url).market_status()


def test_without_a_key_nothing_is_asked() -> None:
    with pytest.raises(ConfigError, match="POLYGON_API_KEY"):
        PolygonClient(PolygonSettings())


def test_either_name_of_the_company_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASSIVE_API_KEY", "one")
    monkeypatch.setenv("MASSIVE_BASE_URL", "https://api.massive.com/")
    settings = load(PolygonSettings)
    assert settings.key() == "one"
    assert settings.base_url == "https://api.massive.com"
    monkeypatch.setenv("POLYGON_API_KEY", "two")
    assert load(PolygonSettings).key() == "two"
    assert "two" not in repr(load(PolygonSettings))


def test_expired_and_as_of_are_not_combined(make_client: MakeClient) -> None:
    with pytest.raises(DataError, match="not for both"):
        make_client("http://127.0.0.1:1").contracts("QQQ", as_of=date(2025, 1, 2), expired=True)


def test_contracts_as_of_a_day(serve: Any, answer: Any, make_client: MakeClient) -> None:
    rows = [CONTRACT, CONTRACT | {"ticker": "O:QQQ1251219C00500000"}, CONTRACT]
    server = serve(lambda _: told(answer, {"results": rows}))
    day = date(2025, 10, 20)
    frame = contracts_as_of(
        make_client(server.url), "QQQ", day, date(2025, 1, 1), date(2026, 1, 1), origin="live"
    )
    assert frame["root"].to_list() == ["QQQ", "QQQ1"]
    assert frame["first_seen"].unique().to_list() == [day]
    assert server.received[0].query["expiration_date.gte"] == "2025-10-20"


def test_bars_of_the_session_alone_or_with_what_is_around_it(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    times = [  # 4:30, 7:00, 9:30, 15:59, 16:00, 20:00 New York on 2025-10-20
        datetime(2025, 10, 20, hour, minute, tzinfo=UTC)
        for hour, minute in [(8, 30), (11, 0), (13, 30), (19, 59), (20, 0)]
    ] + [datetime(2025, 10, 21, 0, 0, tzinfo=UTC)]
    server = serve(lambda _: told(answer, {"results": [bar(when) for when in times]}))
    client = make_client(server.url)
    start, end = datetime(2025, 10, 20, 4, tzinfo=UTC), datetime(2025, 10, 21, 4, tzinfo=UTC)
    regular = download_equity_bars(client, "QQQ", start, end, "1m", origin="live")
    assert regular["ts"].to_list() == times[2:4]
    around = download_equity_bars(
        client, "QQQ", start, end, "1m", origin="live", with_extended=True
    )
    assert around["ts"].to_list() == times[1:5]
    assert around.select("source", "origin", "session").unique().rows() == [
        ("polygon", "live", date(2025, 10, 20))
    ]
    assert server.received[0].path.endswith("/range/1/minute/2025-10-20/2025-10-20")


def test_daily_and_weekly_bars_carry_their_sessions_open(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    midnight = datetime(2025, 10, 20, 4, tzinfo=UTC)  # New York
    sunday = datetime(2025, 10, 19, 4, tzinfo=UTC)
    server = serve(
        lambda came: told(answer, {"results": [bar(sunday if "/week/" in came.path else midnight)]})
    )
    client = make_client(server.url)
    end = datetime(2025, 10, 25, tzinfo=UTC)
    opened = datetime(2025, 10, 20, 13, 30, tzinfo=UTC)
    for interval in ("1d", "1w"):
        frame = download_equity_bars(client, "QQQ", midnight, end, interval, origin="live")
        assert frame["ts"].to_list() == [opened]
        assert frame["session"].to_list() == [date(2025, 10, 20)]


def test_an_unknown_ticker_is_told_from_one_without_trades(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    def app(came: Any) -> Any:
        if came.path.startswith("/v2/aggs"):
            return told(answer, {"resultsCount": 0, "status": "OK"})
        if came.path.endswith("/NOSUCH"):
            return told(answer, {"status": "NOT_FOUND", "message": "Ticker not found."}, 404)
        return told(answer, {"results": {"ticker": "QQQ"}})

    client = make_client(serve(app).url)
    start, end = datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 21, tzinfo=UTC)
    assert download_equity_bars(client, "QQQ", start, end, "1m", origin="live").is_empty()
    with pytest.raises(NotFound):
        download_equity_bars(client, "NOSUCH", start, end, "1m", origin="live")


def test_bars_of_many_contracts_come_in_the_order_asked(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    symbols = [f"QQQ   251219C{strike * 1000:08d}" for strike in range(400, 440)]
    when = datetime(2025, 10, 20, 14, 0, tzinfo=UTC)

    def app(came: Any) -> Any:
        strike = int(came.path.split("C0")[1][:7]) / 1000
        return told(answer, {"results": [bar(when, strike)]} if strike % 2 else {"status": "OK"})

    start, end = datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 21, tzinfo=UTC)
    found = list(
        download_option_bars(
            make_client(serve(app).url), symbols, start, end, "1m", origin="simulator"
        )
    )
    assert [symbol for symbol, _ in found] == symbols
    assert [frame.height for _, frame in found] == [strike % 2 for strike in range(400, 440)]
    assert found[1][1]["close"].to_list() == [401.0]


def test_a_contract_that_fails_ends_the_download_with_its_error(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    server = serve(lambda _: told(answer, {"status": "NOT_AUTHORIZED", "message": "no"}, 403))
    start, end = datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 21, tzinfo=UTC)
    symbols = ["QQQ   251219C00500000"] * 50
    with pytest.raises(NotEntitled):
        list(
            download_option_bars(
                make_client(server.url), symbols, start, end, "1m", origin="live", workers=2
            )
        )
    assert len(server.received) < 20  # the rest was not asked


def test_trades_are_counted_within_their_session(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    at = int(datetime(2025, 10, 20, 14, 0, tzinfo=UTC).timestamp()) * 10**9
    rows = [
        {"sip_timestamp": at + n, "price": 1.0 + n, "size": 2, "exchange": 309, "conditions": [209]}
        for n in (5, 1, 1)
    ]
    server = serve(lambda _: told(answer, {"results": rows}))
    frame = download_option_trades(
        make_client(server.url), "QQQ   251219C00500000", date(2025, 10, 20), origin="live"
    )
    assert frame["sequence"].to_list() == [1, 2, 3]
    assert frame["price"].to_list() == [2.0, 2.0, 6.0]
    assert frame["conditions"].unique().to_list() == ["209"]
    assert server.received[0].query["timestamp.gte"] == str(at - 10 * 3600 * 10**9)


def test_a_chain_leaves_adjusted_contracts_out(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    details = {
        "contract_type": "call",
        "exercise_style": "american",
        "expiration_date": "2025-12-19",
        "strike_price": 500,
        "ticker": "O:QQQ251219C00500000",
    }
    row = {
        "details": details,
        "last_quote": {"bid": 1.0, "ask": 1.1, "bid_size": 3, "ask_size": 4},
        "open_interest": 10,
        "underlying_asset": {"price": 501.5},
    }
    adjusted = row | {"details": details | {"ticker": "O:QQQ1251219C00500000"}}
    server = serve(lambda _: told(answer, {"results": [adjusted, row]}))
    market = PolygonMarketData(make_client(server.url), origin="simulator")
    now = datetime(2025, 10, 20, 15, 0, tzinfo=UTC)
    chain = market.option_chain("QQQ", date(2025, 10, 20), date(2026, 1, 1), now=now)
    assert chain.underlying_price == 501.5
    assert chain.quotes["occ_symbol"].to_list() == ["QQQ   251219C00500000"]
    assert chain.quotes["origin"].to_list() == ["simulator"]
    assert chain.contracts["settlement"].to_list() == ["PM"]


def test_quotes_name_what_is_unknown_and_what_the_plan_lacks(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    def app(came: Any) -> Any:
        known = {
            "ticker": "QQQ",
            "last_quote": {
                "bid": 1,
                "ask": 2,
                "bid_size": 1,
                "ask_size": 1,
                "last_updated": 10**18,
            },
            "session": {"close": 1.5, "volume": 7.6},
        }
        unknown = {"ticker": "ZZZZ", "error": "NOT_FOUND", "message": "Ticker not found."}
        barred = {"ticker": "I:SPX", "error": "NOT_ENTITLED", "message": "Not entitled."}
        asked = came.query["ticker.any_of"].split(",")
        return told(
            answer, {"results": [r for r in (known, unknown, barred) if r["ticker"] in asked]}
        )

    market = PolygonMarketData(make_client(serve(app).url))
    frame = market.quotes(["QQQ"])
    assert frame.select("bid", "ask", "volume").rows() == [(1.0, 2.0, 8)]
    assert isinstance(frame, pl.DataFrame)
    with pytest.raises(NotFound, match="ZZZZ"):
        market.quotes(["QQQ", "ZZZZ"])
    with pytest.raises(NotEntitled, match="I:SPX"):
        market.quotes(["SPX"])
