"""The client over real sockets: what it sends, and what each failure becomes."""

import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import (
    AuthError,
    BadReply,
    DataError,
    NotEntitled,
    NotFound,
    ProviderError,
    RateLimited,
    TokenExpired,
    TradingError,
    Unavailable,
)
from schwab_integration.auth import SchwabAuth
from schwab_integration.client import SchwabClient
from schwab_integration.queries import ChainQuery, HistoryQuery
from schwab_integration.refusals import TooBig
from schwab_integration.token_store import TokenStore
from utils.http import Patience
from utils.rate_limit import RateLimiter

QUOTE = b'{"QQQ":{"symbol":"QQQ","quote":{"lastPrice":500.0}}}'
NOT_AUTHORIZED = json.dumps(
    {
        "errors": [
            {"id": "x", "status": 401, "title": "Unauthorized", "detail": "Client not authorized"}
        ]
    }
).encode()
TOO_BIG = (
    b'{"fault":{"faultstring":"Body buffer overflow",'
    b'"detail":{"errorcode":"protocol.http.TooBigBody"}}}'
)
HTML = b"<!DOCTYPE html><html><body>Access Denied</body></html>"

Ask = Callable[[Any], Any]
CALLS: dict[str, Ask] = {
    "/quotes": lambda c: c.quotes(["QQQ"]),
    "/QQQ/quotes": lambda c: c.quote("QQQ"),
    "/chains": lambda c: c.chain(ChainQuery(symbol="QQQ")),
    "/expirationchain": lambda c: c.expirations("QQQ"),
    "/pricehistory": lambda c: c.price_history(HistoryQuery(symbol="QQQ")),
    "/movers/%24SPX": lambda c: c.movers("$SPX"),
    "/markets": lambda c: c.markets(["equity", "option"]),
    "/markets/equity": lambda c: c.market("equity"),
    "/instruments": lambda c: c.instruments("QQQ", "fundamental"),
    "/instruments/46090E103": lambda c: c.instrument("46090E103"),
}


def replies(data: Path) -> dict[str, bytes]:
    names = {
        "/chains": "schwab/option_chains.json",
        "/expirationchain": "schwab/option_expiration_chain.json",
        "/pricehistory": "schwab/price_history.json",
        "/movers/%24SPX": "schwab/movers.json",
        "/markets": "schwab/market_hours.json",
        "/markets/equity": "schwab/market_hour.json",
        "/instruments": "schwab/instruments.json",
        "/instruments/46090E103": "schwab/instrument_cusip.json",
    }
    found = {path: (data / name).read_bytes() for path, name in names.items()}
    return found | {"/quotes": QUOTE, "/QQQ/quotes": QUOTE}


@pytest.mark.parametrize("path", CALLS)
def test_each_endpoint(serve: Any, answer: Any, connect: Any, data: Path, path: str) -> None:
    server = serve(lambda came: answer(body=replies(data)[came.path[len("/marketdata/v1") :]]))
    assert CALLS[path](connect(server.url))
    (came,) = server.received
    assert (came.method, came.path) == ("GET", f"/marketdata/v1{path}")
    assert came.headers["authorization"] == "Bearer access-1"
    assert "content-type" not in came.headers
    assert came.body == b""


@pytest.mark.parametrize(
    ("ask", "query"),
    [
        (
            lambda c: c.quotes(["$SPX", "BRK/B"], fields=["quote", "reference"], indicative=False),
            {"symbols": "$SPX,BRK/B", "fields": "quote,reference", "indicative": "false"},
        ),
        (
            lambda c: c.chain(
                ChainQuery(
                    symbol="$SPX",
                    contract_type="CALL",
                    strike_count=10,
                    include_underlying_quote=True,
                    from_date=date(2026, 11, 20),
                    to_date=date(2026, 12, 18),
                    range="NTM",
                    exp_month="DEC",
                    option_type="S",
                )
            ),
            {
                "symbol": "$SPX",
                "contractType": "CALL",
                "strikeCount": "10",
                "includeUnderlyingQuote": "true",
                "strategy": "SINGLE",
                "fromDate": "2026-11-20",
                "toDate": "2026-12-18",
                "range": "NTM",
                "expMonth": "DEC",
                "optionType": "S",
            },
        ),
        (
            lambda c: c.price_history(
                HistoryQuery(
                    symbol="QQQ",
                    frequency_type="minute",
                    frequency=5,
                    start=datetime(2026, 11, 20, 14, 30, tzinfo=UTC),
                    end=datetime(2026, 11, 20, 21, 0, tzinfo=UTC),
                    extended_hours=False,
                    previous_close=True,
                )
            ),
            {
                "symbol": "QQQ",
                "periodType": "day",
                "frequencyType": "minute",
                "frequency": "5",
                "startDate": "1795185000000",
                "endDate": "1795208400000",
                "needExtendedHoursData": "false",
                "needPreviousClose": "true",
            },
        ),
        (
            lambda c: c.movers("NASDAQ", sort="PERCENT_CHANGE_UP", frequency=0),
            {"sort": "PERCENT_CHANGE_UP", "frequency": "0"},
        ),
        (
            lambda c: c.markets(["equity", "option"], day=date(2026, 12, 24)),
            {"markets": "equity,option", "date": "2026-12-24"},
        ),
        (
            lambda c: c.instruments("QQ.*", "symbol-regex"),
            {"symbol": "QQ.*", "projection": "symbol-regex"},
        ),
    ],
)
def test_parameters_on_the_wire(
    serve: Any, answer: Any, connect: Any, ask: Ask, query: dict[str, str]
) -> None:
    server = serve(lambda _: answer(body=b'{"symbol":"X"}' if "symbol" in query else b"{}"))
    ask(connect(server.url))
    assert server.received[0].query == query


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.quotes([]),
        lambda c: c.quotes(["A"] * 501),
        lambda c: c.quotes(["A,B"]),
        lambda c: c.quotes([" "]),
        lambda c: c.quotes(["A"], fields=["everything"]),
        lambda c: c.chain(ChainQuery(symbol="")),
        lambda c: c.chain(ChainQuery(symbol="A", strategy="GUESS")),  # type: ignore[arg-type]
        lambda c: c.chain(ChainQuery(symbol="A", volatility=20.0)),
        lambda c: c.chain(ChainQuery(symbol="A", strike_count=0)),
        lambda c: c.chain(
            ChainQuery(symbol="A", from_date=date(2026, 2, 1), to_date=date(2026, 1, 1))
        ),
        lambda c: c.price_history(HistoryQuery(symbol="A", period=7)),
        lambda c: c.price_history(HistoryQuery(symbol="A", frequency=2)),
        lambda c: c.price_history(HistoryQuery(symbol="A", frequency_type="daily")),
        lambda c: c.price_history(HistoryQuery(symbol="A", period_type="month", frequency=5)),
        lambda c: c.price_history(
            HistoryQuery(symbol="A", period_type="ytd", frequency_type="monthly")
        ),
        lambda c: c.price_history(HistoryQuery(symbol="A", start=datetime(2026, 1, 1))),  # noqa: DTZ001
        lambda c: c.movers("$NDX"),
        lambda c: c.movers("$SPX", sort="UP"),
        lambda c: c.movers("$SPX", frequency=2),
        lambda c: c.markets(["stocks"]),
        lambda c: c.market("stocks"),
        lambda c: c.instruments("A", "guess"),
    ],
)
def test_what_schwab_would_refuse_is_never_sent(
    serve: Any, answer: Any, connect: Any, ask: Ask
) -> None:
    server = serve(lambda _: answer())
    with pytest.raises(DataError):
        ask(connect(server.url))
    assert not server.received


def test_the_sentence_names_the_allowed_values() -> None:
    with pytest.raises(DataError) as caught:
        HistoryQuery(symbol="A", period_type="day", period=7).params()
    assert str(caught.value) == "period of day is one of 1, 2, 3, 4, 5, 10, not 7"


@pytest.mark.parametrize(
    ("status", "body", "kind", "asked"),
    [
        (400, b'{"errors":[{"title":"Bad Request","detail":"no such"}]}', ProviderError, 1),
        (403, HTML, Unavailable, 1),
        (403, b'{"errors":[{"title":"Forbidden"}]}', NotEntitled, 1),
        (404, b'{"errors":[{"status":"404","title":"Not Found"}]}', NotFound, 1),
        (404, b"", NotFound, 1),
        (429, HTML, RateLimited, 4),
        (500, b'{"errors":[{"status":500,"title":"Internal Server Error"}]}', Unavailable, 4),
        (502, TOO_BIG, TooBig, 1),
        (502, HTML, Unavailable, 4),
        (503, b"", Unavailable, 4),
        (504, HTML, Unavailable, 4),
        (200, HTML, BadReply, 1),
        (200, b"", BadReply, 1),
        (302, b"", ProviderError, 1),
    ],
)
def test_each_failure_is_one_of_ours(
    serve: Any,
    answer: Any,
    connect: Any,
    status: int,
    body: bytes,
    kind: type[TradingError],
    asked: int,
) -> None:
    server = serve(lambda _: answer(status=status, body=body))
    with pytest.raises(TradingError) as caught:
        connect(server.url).quotes(["QQQ"])
    assert type(caught.value) is kind
    assert len(server.received) == asked
    text = str(caught.value)
    assert "\n" not in text
    assert "access-1" not in text
    assert "html" not in text.lower()


def test_schwabs_own_words_are_passed_on(serve: Any, answer: Any, connect: Any) -> None:
    body = b'{"errors":[{"title":"Bad Request","detail":"valid period for periodType day"}]}'
    server = serve(lambda _: answer(status=400, body=body))
    with pytest.raises(ProviderError, match="valid period for periodType day"):
        connect(server.url).quotes(["QQQ"])


def test_an_overload_that_passes(serve: Any, answer: Any, connect: Any) -> None:
    def overloaded(_: Any) -> Any:
        match len(server.received):
            case 1:
                return answer(status=429, headers={"Retry-After": "0"})
            case 2:
                return answer(status=503, body=HTML)
            case _:
                return answer(body=QUOTE)

    server = serve(overloaded)
    assert connect(server.url).quote("QQQ").quote.last_price == 500.0
    assert len(server.received) == 3


def test_a_limit_that_lasts_is_given_up_at_once(serve: Any, answer: Any, connect: Any) -> None:
    server = serve(lambda _: answer(status=429, headers={"Retry-After": "600"}))
    with pytest.raises(RateLimited) as caught:
        connect(server.url).quotes(["QQQ"])
    assert caught.value.retry_after_s == 600
    assert len(server.received) == 1


def test_a_rejected_token_is_renewed_once(
    serve: Any, answer: Any, connect: Any, granted: Any
) -> None:
    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(body=granted("access-2"))
        good = came.headers["authorization"] == "Bearer access-2"
        return answer(body=QUOTE) if good else answer(status=401, body=NOT_AUTHORIZED)

    server = serve(app)
    client = connect(server.url)
    client.quotes(["QQQ"])
    client.quotes(["QQQ"])
    paths = [came.path for came in server.received]
    assert paths == ["/marketdata/v1/quotes", "/v1/oauth/token", *["/marketdata/v1/quotes"] * 2]


@pytest.mark.parametrize(
    ("body", "kind"), [(NOT_AUTHORIZED, NotEntitled), (b"", AuthError), (HTML, AuthError)]
)
def test_a_second_rejection_is_final(
    serve: Any,
    answer: Any,
    connect: Any,
    granted: Any,
    body: bytes,
    kind: type[TradingError],
) -> None:
    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(body=granted("access-2"))
        return answer(status=401, body=body)

    server = serve(app)
    with pytest.raises(TradingError) as caught:
        connect(server.url).quotes(["QQQ"])
    assert type(caught.value) is kind
    assert len(server.received) == 3


def test_a_dead_sign_in_is_told(serve: Any, answer: Any, connect: Any) -> None:
    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(status=400, body=b'{"error":"invalid_grant"}')
        return answer(status=401)

    with pytest.raises(TokenExpired, match="reauth_schwab"):
        connect(serve(app).url).quotes(["QQQ"])


def test_many_threads_renew_once(serve: Any, answer: Any, connect: Any, granted: Any) -> None:
    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(body=granted("access-2"))
        good = came.headers["authorization"] == "Bearer access-2"
        return answer(body=QUOTE) if good else answer(status=401)

    server = serve(app)
    client = connect(server.url)
    prices: list[float] = []
    threads = [
        threading.Thread(target=lambda: prices.append(client.quote("QQQ").quote.last_price))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert prices == [500.0] * 6
    assert sum(came.path == "/v1/oauth/token" for came in server.received) == 1


def test_a_silent_server(serve: Any, answer: Any, connect: Any) -> None:
    server = serve(lambda _: answer(hang=True))
    patience = Patience(read_s=0.05, attempts=2, first_wait_s=0.001)
    with pytest.raises(Unavailable, match="did not answer in time"):
        connect(server.url, patience=patience).quotes(["QQQ"])


def test_a_refused_connection(connect: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=f"schwab at 127.0.0.1:{port} cannot be reached"):
        connect(f"http://127.0.0.1:{port}").quotes(["QQQ"])


def test_the_client_keeps_the_rate_limit_by_itself(
    serve: Any, answer: Any, make_settings: Any, make_token: Any
) -> None:
    server = serve(lambda _: answer(body=QUOTE))
    settings = make_settings(server.url)
    TokenStore(settings.token_path()).write(make_token())
    slept: list[float] = []
    limiter = RateLimiter(3, clock=lambda: 0.0, sleep=slept.append)
    auth = SchwabAuth(settings, clock=lambda: datetime(2026, 11, 20, 20, tzinfo=UTC))
    with SchwabClient(settings, auth=auth, limiter=limiter) as client:
        for _ in range(5):
            client.quotes(["QQQ"])
    assert slept == [60.0, 60.0]


def test_an_unknown_symbol_in_the_path(serve: Any, answer: Any, connect: Any) -> None:
    body = b'{"errors":{"invalidSymbols":["QQQQQ"]}}'
    server = serve(lambda _: answer(body=body))
    with pytest.raises(NotFound, match="QQQQQ"):
        connect(server.url).quote("QQQQQ")
    assert connect(server.url).quotes(["QQQQQ"]).invalid == ["QQQQQ"]


def test_an_unknown_cusip(serve: Any, answer: Any, connect: Any) -> None:
    with pytest.raises(NotFound, match="000000000"):
        connect(serve(lambda _: answer()).url).instrument("000000000")
