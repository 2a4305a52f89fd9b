"""Replies that look well and are wrong, of Polygon and of Schwab, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from utils.market_calendar import NEW_YORK

MINUTES = "/v2/aggs/ticker/QQQ/range/1/minute/{0}/{0}"
TODAY = "2026-11-20"
CONTRACTS = "/v3/reference/options/contracts"
CHAIN = "/v3/snapshot/options/QQQ"
PRICES = "ohlc"


def days(rows: list[dict[str, Any]]) -> set[str]:
    """Return the New York days of bars."""
    return {
        str(datetime.fromtimestamp(row["t"] / 1000, UTC).astimezone(NEW_YORK).date())
        for row in rows
    }


def quoted(rows: list[dict[str, Any]]) -> set[str]:
    """Return the New York days of a chain's quotes."""
    return days([{"t": row["last_quote"]["last_updated"] // 1_000_000} for row in rows])


def test_prices_that_disagree_differ_by_what_was_asked(simulator: Any) -> None:
    true = simulator.rows(MINUTES.format(TODAY))
    simulator.fault("polygon.rest.aggs", "disagree", by=0.02)
    off = simulator.rows(MINUTES.format(TODAY))
    assert [row["t"] for row in off] == [row["t"] for row in true]
    assert [row["v"] for row in off] == [row["v"] for row in true]
    for name in PRICES:
        assert [row[name] for row in off] == pytest.approx([1.02 * row[name] for row in true])


def test_a_chain_disagrees_in_its_prices_alone(simulator: Any) -> None:
    query = {"limit": "5", "expiration_date": "2026-11-27", "strike_price.gte": "600"}
    true = simulator.told(CHAIN, **query)["results"]
    simulator.fault("polygon.rest.snapshot", "disagree", by=-0.5)
    off = simulator.told(CHAIN, **query)["results"]
    for one, other in zip(true, off, strict=True):
        assert other["details"] == one["details"]
        assert other["greeks"] == one["greeks"]
        assert other["last_quote"]["bid_size"] == one["last_quote"]["bid_size"]
        assert other["last_quote"]["ask"] == pytest.approx(one["last_quote"]["ask"] / 2)
        price = one["underlying_asset"]["price"]
        assert other["underlying_asset"]["price"] == pytest.approx(price / 2)


def test_no_rows_is_what_a_day_without_trades_says(simulator: Any) -> None:
    simulator.fault("polygon.rest", "empty", count=3)
    bars = simulator.told(MINUTES.format(TODAY))
    assert "results" not in bars
    assert (bars["resultsCount"], bars["status"]) == (0, "OK")
    contracts = simulator.told(CONTRACTS, underlying_ticker="QQQ")
    assert contracts["results"] == []
    assert "next_url" not in contracts
    assert simulator.told(CHAIN)["results"] == []
    assert simulator.told(CHAIN)["results"]


def test_rows_come_twice(simulator: Any) -> None:
    true = simulator.told(MINUTES.format(TODAY))
    simulator.fault("polygon.rest", "duplicate", count=1)
    twice = simulator.told(MINUTES.format(TODAY))
    assert twice["results"][::2] == twice["results"][1::2] == true["results"]
    assert twice["resultsCount"] == 2 * true["resultsCount"]


def test_every_fifth_row_is_missing(simulator: Any) -> None:
    true = simulator.told(MINUTES.format(TODAY))["results"]
    simulator.fault("polygon.rest", "gap", count=1)
    told = simulator.told(MINUTES.format(TODAY))
    assert told["results"] == [row for number, row in enumerate(true, 1) if number % 5]
    assert told["resultsCount"] == len(told["results"])
    whole = history(simulator)["candles"]
    simulator.fault("schwab.market_data", "gap", count=1)
    candles = history(simulator)["candles"]
    assert candles == [row for number, row in enumerate(whole, 1) if number % 5]


def test_what_has_no_rows_stays_as_it_is(simulator: Any) -> None:
    simulator.fault("polygon.rest", "empty")
    status = simulator.told("/v1/marketstatus/now")
    assert status["market"] == "open"
    assert simulator.told("/v3/reference/tickers/QQQ")["results"]["ticker"] == "QQQ"
    assert simulator.told("/v1/marketstatus/upcoming") == []


def test_prices_under_other_names(simulator: Any) -> None:
    simulator.fault("polygon.rest", "renamed", count=1)
    row = simulator.told(MINUTES.format(TODAY))["results"][0]
    assert {"o_v2", "h_v2", "l_v2", "c_v2", "t", "v"} <= set(row)
    assert not set(PRICES) & set(row)


@pytest.mark.parametrize(("asked", "told"), [(TODAY, "2026-11-19"), ("2026-11-16", "2026-11-13")])
def test_bars_of_the_session_before(simulator: Any, asked: str, told: str) -> None:
    simulator.fault("polygon.rest.aggs", "stale")
    rows = simulator.rows(MINUTES.format(asked))
    assert days(rows) == {told}
    simulator.admin("DELETE", "faults")
    before = simulator.rows(MINUTES.format(told))
    assert set(map(str, rows)) <= set(map(str, before))
    assert days(simulator.rows(MINUTES.format(asked))) == {asked}


def test_a_chain_of_the_session_before(simulator: Any) -> None:
    query = {"limit": "5", "expiration_date": "2026-11-27"}
    simulator.fault("polygon.rest.snapshot", "stale", count=1)
    assert quoted(simulator.told(CHAIN, **query)["results"]) == {"2026-11-19"}
    assert quoted(simulator.told(CHAIN, **query)["results"]) == {TODAY}


def test_quotes_asked_by_nanoseconds_are_of_the_session_before(simulator: Any) -> None:
    ticker = simulator.told(CONTRACTS, underlying_ticker="QQQ")["results"][0]["ticker"]
    start = datetime(2026, 11, 20, 9, 30, tzinfo=NEW_YORK).timestamp()
    query = {
        "timestamp.gte": f"{start:.0f}000000000",
        "timestamp.lt": f"{start + 3600:.0f}000000000",
    }
    simulator.fault("polygon.rest.quotes", "stale", count=1)
    rows = simulator.told(f"/v3/quotes/{ticker}", **query)["results"]
    assert days([{"t": row["sip_timestamp"] // 1_000_000} for row in rows]) == {"2026-11-19"}


def test_a_fault_can_be_bound_to_what_is_asked(simulator: Any) -> None:
    simulator.fault("polygon.rest", "empty", match={"path": "*/QQQ/*2026-11-19*"})
    simulator.fault("polygon.rest", "empty", match={"query": "*underlying_ticker=SPY*"})
    assert "results" not in simulator.told(MINUTES.format("2026-11-19"))
    assert simulator.told(MINUTES.format("2026-11-18"))["results"]
    assert not simulator.told(CONTRACTS, underlying_ticker="SPY")["results"]
    assert simulator.told(CONTRACTS, underlying_ticker="QQQ")["results"]


def schwab(simulator: Any, path: str, **query: str) -> Any:
    """Ask Schwab's market data as the demo app."""
    said = simulator.said
    reply = requests.get(
        f"{said['http']}/v1/oauth/authorize",
        params={"client_id": said["app_key"], "redirect_uri": said["callback_url"]},
        allow_redirects=False,
        timeout=15,
    )
    code = parse_qs(urlsplit(reply.headers["location"]).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": said["callback_url"],
    }
    pair = (said["app_key"], said["app_secret"])
    granted = requests.post(f"{said['http']}/v1/oauth/token", data=form, auth=pair, timeout=15)
    headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    found = requests.get(
        f"{said['http']}/marketdata/v1/{path}", params=query, headers=headers, timeout=15
    )
    assert found.status_code == 200, found.text
    return found.json()


def history(simulator: Any, day: int = 20) -> Any:
    start, end = (
        int(datetime(2026, 11, day, hour, tzinfo=NEW_YORK).timestamp()) * 1000 for hour in (9, 17)
    )
    query = {"periodType": "day", "frequencyType": "minute", "frequency": "1"}
    return schwab(
        simulator, "pricehistory", symbol="QQQ", startDate=str(start), endDate=str(end), **query
    )


def candle_days(candles: list[dict[str, Any]]) -> set[str]:
    return days([{"t": candle["datetime"]} for candle in candles])


def test_schwab_and_polygon_can_be_made_to_disagree(simulator: Any) -> None:
    true = history(simulator, 19)["candles"]
    polygon = {row["t"]: row["c"] for row in simulator.rows(MINUTES.format("2026-11-19"))}
    assert all(polygon[candle["datetime"]] == candle["close"] for candle in true)
    simulator.fault("schwab.market_data.pricehistory", "disagree", by=0.001, count=1)
    off = history(simulator, 19)["candles"]
    assert [c["close"] for c in off] == pytest.approx([1.001 * c["close"] for c in true])
    assert off[0]["datetime"] == true[0]["datetime"]
    assert off[0]["volume"] == true[0]["volume"]


def test_schwab_tells_the_session_before_none_or_each_twice(simulator: Any) -> None:
    true = history(simulator)
    assert candle_days(true["candles"]) == {TODAY}
    simulator.fault("schwab.market_data", "stale", count=1)
    assert candle_days(history(simulator)["candles"]) == {"2026-11-19"}
    simulator.fault("schwab.market_data", "empty", count=1)
    nothing = history(simulator)
    assert (nothing["candles"], nothing["empty"]) == ([], True)
    simulator.fault("schwab.market_data", "duplicate", count=1)
    assert len(history(simulator)["candles"]) == 2 * len(true["candles"])


def test_schwabs_chain_is_spoilt_too(simulator: Any) -> None:
    query = {"symbol": "QQQ", "fromDate": "2026-11-27", "toDate": "2026-11-27", "strikeCount": "2"}
    true = schwab(simulator, "chains", **query)
    simulator.fault("schwab.market_data.chains", "disagree", by=1, count=1)
    off = schwab(simulator, "chains", **query)
    assert off["underlyingPrice"] == pytest.approx(2 * true["underlyingPrice"])
    (day,) = off["callExpDateMap"]
    for strike, rows in true["callExpDateMap"][day].items():
        assert off["callExpDateMap"][day][strike][0]["bid"] == pytest.approx(2 * rows[0]["bid"])
        assert off["callExpDateMap"][day][strike][0]["strikePrice"] == rows[0]["strikePrice"]
    simulator.fault("schwab.market_data.chains", "duplicate", count=1)
    twice = schwab(simulator, "chains", **query)["callExpDateMap"][day]
    assert {len(rows) for rows in twice.values()} == {2}
    simulator.fault("schwab.market_data.chains", "empty", count=1)
    nothing = schwab(simulator, "chains", **query)
    assert (nothing["callExpDateMap"], nothing["numberOfContracts"]) == ({}, 0)
    simulator.fault("schwab.market_data.chains", "stale", count=1)
    late = schwab(simulator, "chains", **query)["callExpDateMap"]
    first = next(iter(next(iter(late.values())).values()))[0]
    assert days([{"t": first["quoteTimeInLong"]}]) == {"2026-11-19"}
