"""Quotes and underlyings in the columns of the house."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadReply, NotFound
from models.tables import EQUITY_QUOTES, UNDERLYINGS, frame_schema
from schwab_integration.market_data import SchwabMarketData

NOW = datetime(2025, 1, 30, 21, tzinfo=UTC)


def known(data: Path) -> dict[str, Any]:
    names = (
        "schwab/quotes",
        "schwab_captured/quote_index_spx",
        "schwab_captured/quote_equity_nvda",
    )
    found: dict[str, Any] = {}
    for name in names:
        found |= json.loads((data / f"{name}.json").read_bytes())
    return found


@pytest.fixture
def market(serve: Any, answer: Any, connect: Any, data: Path) -> SchwabMarketData:
    quotes = known(data)

    def app(came: Any) -> Any:
        asked = came.query["symbols"].split(",")
        reply = {symbol: quotes[symbol] for symbol in asked if symbol in quotes}
        missing = [symbol for symbol in asked if symbol not in quotes]
        if missing:
            reply["errors"] = {"invalidSymbols": missing}
        return answer(body=json.dumps(reply).encode())

    return SchwabMarketData(connect(serve(app).url), origin="recorded")


def test_quotes(market: SchwabMarketData) -> None:
    frame = market.quotes(["NVDA", "SPX", "AAPL"])
    assert dict(frame.schema) == frame_schema(EQUITY_QUOTES)
    nvda, spx, aapl = frame.iter_rows(named=True)
    assert nvda == {
        "ts": datetime(2025, 1, 31, 0, 59, 59, 972000, tzinfo=UTC),
        "underlying": "NVDA",
        "session": date(2025, 1, 30),  # evening in New York
        "bid": 123.2,
        "ask": 123.22,
        "last": 123.2291,
        "mark": 123.22,
        "bid_size": 76,
        "ask_size": 2,
        "volume": 392925469,
        "source": "schwab",
        "origin": "recorded",
    }
    assert (spx["underlying"], spx["bid"], spx["ask_size"], spx["last"]) == (
        "SPX",
        None,
        None,
        6071.17,
    )
    assert aapl["ts"] == datetime(2024, 10, 18, 23, 58, 55, 436000, tzinfo=UTC)


def test_underlyings(market: SchwabMarketData) -> None:
    frame = market.underlyings(["AAPL", "SPX"], now=NOW)
    assert dict(frame.schema) == frame_schema(UNDERLYINGS)
    apple, spx = frame.iter_rows(named=True)
    assert apple == {
        "underlying": "AAPL",
        "description": "APPLE INC",
        "asset_type": "EQUITY",
        "exchange": "NASDAQ",
        "dividend_yield": pytest.approx(0.0043144),
        "dividend_amount": 1.0,
        "dividend_frequency": 4,
        "next_dividend_ex_date": date(2024, 11, 12),
        "updated_at": NOW,
        "source": "schwab",
        "origin": "recorded",
    }
    assert (spx["asset_type"], spx["dividend_yield"], spx["next_dividend_ex_date"]) == (
        "INDEX",
        0.0,
        None,
    )


def test_unknown_tickers_are_named(market: SchwabMarketData) -> None:
    with pytest.raises(NotFound, match="schwab does not know the ticker NOSUCH, XXXXX"):
        market.quotes(["AAPL", "NOSUCH", "XXXXX"])


def test_many_tickers_are_many_requests(serve: Any, answer: Any, connect: Any) -> None:
    def app(came: Any) -> Any:
        asked = came.query["symbols"].split(",")
        reply = {s: {"symbol": s, "quote": {"quoteTime": 1729295935436}} for s in asked}
        return answer(body=json.dumps(reply).encode())

    server = serve(app)
    tickers = [f"A{n}" for n in range(501)]
    frame = SchwabMarketData(connect(server.url)).quotes(tickers)
    assert frame["underlying"].to_list() == tickers
    assert len(server.received) == 2


@pytest.mark.parametrize("time", [None, 0, "NaN", 1e20, 253402300800000])
def test_a_quote_without_a_time(serve: Any, answer: Any, connect: Any, time: Any) -> None:
    quote = {"bidPrice": 1, "quoteTime": time}
    body = json.dumps({"A": {"symbol": "A", "quote": quote}}).encode()
    server = serve(lambda _: answer(body=body))
    with pytest.raises(BadReply, match="no time"):
        SchwabMarketData(connect(server.url)).quotes(["A"])


def test_what_is_no_number_or_day_is_null(serve: Any, answer: Any, connect: Any) -> None:
    names = ("bidPrice", "bidSize", "askSize", "lastPrice", "mark", "totalVolume")
    quote = dict.fromkeys(names, "NaN") | {"askPrice": 5.0, "quoteTime": 1729295935436}
    facts = {"nextDivExDate": "n/a", "divYield": "NaN", "divAmount": "NaN", "divFreq": "NaN"}
    node = {"symbol": "A", "quote": quote, "fundamental": facts}
    server = serve(lambda _: answer(body=json.dumps({"A": node}).encode()))
    market = SchwabMarketData(connect(server.url))
    row = market.quotes(["A"]).row(0, named=True)
    empty = ("bid", "bid_size", "ask_size", "last", "mark", "volume")
    assert {name: row[name] for name in empty} == dict.fromkeys(empty)
    assert row["ask"] == 5.0
    known = market.underlyings(["A"], now=NOW).row(0, named=True)
    dividends = [known[name] for name in known if "dividend" in name]
    assert dividends == [None] * 4


def test_it_says_what_it_is(market: SchwabMarketData) -> None:
    assert (market.source, market.origin) == ("schwab", "recorded")
