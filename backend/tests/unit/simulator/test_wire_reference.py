"""Market hours, instruments and movers as the real service sends them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from simulator import schwab_facts as facts
from simulator.schwab_market_data import MarketData
from simulator.wire_errors import Refusal
from simulator.wire_hours import hours_reply
from simulator.wire_movers import OPTION_UNIVERSES, UNIVERSES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ask(world: Any, noon: datetime) -> Callable[..., Any]:
    """Call an operation by its name, path parameter and query parameters."""

    def call(operation: str, path: str = "", **params: str) -> dict[str, Any]:
        market_data = MarketData(world, lambda: noon)
        names = dict.fromkeys(("symbol_id", "market_id", "cusip_id"), path)
        return json.loads(getattr(market_data, operation)(names, params))

    return call


def refusal_of(call: Callable[..., Any], *args: str, **params: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        call(*args, **params)
    return refused.value


@pytest.mark.parametrize(
    ("file", "markets", "day"),
    [
        ("schwab/market_hours.json", ["equity", "option"], date(2024, 10, 18)),
        ("schwab/market_hour.json", ["equity"], date(2024, 10, 18)),
        ("schwab_captured/market_hours_future_date.json", ["option", "equity"], date(2025, 7, 21)),
        ("schwab_captured/market_hours_equity.json", ["equity"], date(2025, 7, 20)),
        (
            "schwab_captured/market_hours_all.json",
            ["forex", "future", "option", "equity", "bond"],
            date(2025, 7, 20),
        ),
    ],
)
def test_hours_equal_the_captured_ones(
    captured: Callable[[str], Any], file: str, markets: list[str], day: Any
) -> None:
    assert json.dumps(hours_reply(markets, day)) == json.dumps(captured(file))


def test_hours_of_an_early_close() -> None:
    reply = hours_reply(["equity", "option"], date(2024, 11, 29))
    equity = reply["equity"]["EQ"]["sessionHours"]
    assert equity["regularMarket"][0]["end"] == "2024-11-29T13:00:00-05:00"
    assert equity["postMarket"] == [
        {"start": "2024-11-29T13:00:00-05:00", "end": "2024-11-29T17:00:00-05:00"}
    ]
    ends = {
        product: hours["sessionHours"]["regularMarket"][0]["end"][11:16]
        for product, hours in reply["option"].items()
    }
    assert ends == {"EQO": "13:00", "IND": "13:15"}


def test_hours_are_of_today_unless_a_day_is_given(ask: Callable[..., Any]) -> None:
    assert ask("market", "equity")["equity"]["EQ"]["date"] == "2024-10-18"
    assert not ask("market", "equity", date="2024-12-25")["equity"]["equity"]["isOpen"]
    assert list(ask("markets", markets="option,equity")) == ["option", "equity"]


@pytest.mark.parametrize("day", ["2024-10-17", "2025-10-31", "tomorrow"])
def test_hours_are_told_from_today_to_a_year_ahead(ask: Callable[..., Any], day: Any) -> None:
    assert refusal_of(ask, "market", "equity", date=day).status == 400


def test_an_unknown_market_is_refused(ask: Callable[..., Any]) -> None:
    assert refusal_of(ask, "market", "crypto").status == 400
    assert refusal_of(ask, "markets", markets="equity,crypto").status == 400
    assert refusal_of(ask, "markets").status == 400


def test_fundamentals_have_the_captured_shape(
    ask: Callable[..., Any], captured: Callable[[str], Any], shape: Callable[[Any], Any]
) -> None:
    real = captured("schwab/instruments.json")
    del real["instruments"][0]["fundamental"]["declarationDate"]  # the world does not know it
    ours = ask("instruments", symbol="AAPL", projection="fundamental")
    assert shape(ours) == shape(real)
    node = ours["instruments"][0]["fundamental"]
    assert (node["dividendDate"], node["dividendAmount"]) == ("2024-08-12 00:00:00.0", 1.0)
    assert node["nextDividendPayDate"] == "2024-11-15 00:00:00.0"


def test_an_instrument_by_cusip_equals_the_captured_one(
    ask: Callable[..., Any], captured: Callable[[str], Any]
) -> None:
    assert json.dumps(ask("instrument", "037833100")) == json.dumps(
        captured("schwab/instrument_cusip.json")
    )


@pytest.mark.parametrize("cusip", ["000000000", "", "AAPL"])
def test_an_unknown_cusip_is_not_found(ask: Callable[..., Any], cusip: str) -> None:
    assert refusal_of(ask, "instrument", cusip).status == 404


@pytest.mark.parametrize(
    ("projection", "text", "found"),
    [
        ("symbol-search", "AAPL,BRK/B,NOSUCH", ["AAPL", "BRK/B"]),
        ("symbol-search", "SPX", []),
        ("symbol-search", "$SPX", ["$SPX"]),
        ("symbol-regex", "A.*|Q+", ["AAPL", "QQQ"]),
        ("symbol-regex", "AAP", []),
        ("desc-search", "invesco", ["QQQ"]),
        ("desc-search", "in.esco", []),
        ("desc-regex", "^(apple|s&p)", ["AAPL", "$SPX"]),
        ("search", "QQQ", ["QQQ"]),
        ("search", "apple", ["AAPL"]),
    ],
)
def test_projections(ask: Callable[..., Any], projection: str, text: str, found: list[str]) -> None:
    reply = ask("instruments", symbol=text, projection=projection)
    assert [one["symbol"] for one in reply["instruments"]] == found


def test_kinds_of_assets(ask: Callable[..., Any]) -> None:
    reply = ask("instruments", symbol="AAPL,QQQ,$SPX", projection="symbol-search")
    assert [one["assetType"] for one in reply["instruments"]] == ["EQUITY", "ETF", "INDEX"]


@pytest.mark.parametrize(
    "params",
    [
        {"symbol": "AAPL"},
        {"projection": "search"},
        {"symbol": "AAPL", "projection": "all"},
        {"symbol": "(", "projection": "symbol-regex"},
    ],
)
def test_wrong_instrument_searches_are_refused(
    ask: Callable[..., Any], params: dict[str, str]
) -> None:
    assert refusal_of(ask, "instruments", **params).status == 400


@pytest.mark.parametrize("file", ["schwab/movers.json", "schwab_captured/movers_volume.json"])
def test_movers_have_the_captured_shape(
    ask: Callable[..., Any], captured: Callable[[str], Any], shape: Callable[[Any], Any], file: str
) -> None:
    assert shape(ask("movers", "$SPX")) == shape(captured(file))


def test_movers_are_sorted_and_shared(
    ask: Callable[..., Any], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = world.quote
    figures = {"AAPL": (500, 110.0), "QQQ": (300, 90.0), "BRK.B": (200, 98.0)}

    def quote(ticker: str, now: datetime) -> Any:
        quote = quoted(ticker, now)
        volume, last = figures.get(ticker, (0, 98.0))
        return replace(quote, volume=volume, last=last)

    monkeypatch.setattr(world, "quote", quote)
    by_volume = ask("movers", "EQUITY_ALL", sort="VOLUME")["screeners"]
    assert [one["symbol"] for one in by_volume] == ["AAPL", "QQQ", "BRK/B"]
    assert [one["marketShare"] for one in by_volume] == [50.0, 30.0, 20.0]
    assert {one["totalVolume"] for one in by_volume} == {1000}
    up = ask("movers", "EQUITY_ALL", sort="PERCENT_CHANGE_UP")["screeners"]
    down = ask("movers", "EQUITY_ALL", sort="PERCENT_CHANGE_DOWN")["screeners"]
    assert [one["symbol"] for one in up] == ["AAPL", "BRK/B", "QQQ"]
    assert up == down[::-1]
    assert (up[0]["netChange"], up[0]["netPercentChange"]) == (12.0, 0.1224)
    assert [one["symbol"] for one in ask("movers", "NYSE")["screeners"]] == ["BRK/B"]


@pytest.mark.parametrize("universe", sorted({*UNIVERSES, *OPTION_UNIVERSES}))
def test_every_universe_answers_with_at_most_ten(ask: Callable[..., Any], universe: str) -> None:
    screeners = ask("movers", universe)["screeners"]
    assert len(screeners) <= facts.MOVERS
    if universe in OPTION_UNIVERSES:
        assert {one["symbol"][12] for one in screeners} <= set(OPTION_UNIVERSES[universe])
        assert screeners


def test_wrong_movers_are_refused(ask: Callable[..., Any]) -> None:
    assert refusal_of(ask, "movers", "$NDX").status == 404
    assert refusal_of(ask, "movers", "$SPX", sort="SIZE").status == 400
    assert refusal_of(ask, "movers", "$SPX", frequency="2").status == 400


def test_quotes_list_unknown_symbols_beside_the_known(ask: Callable[..., Any]) -> None:
    option = "AAPL  241018C00100000"
    known = ["AAPL", "$SPX", option, "BRK/B"]
    unknown = ["NOSUCH", "AAPL  241018C00101000", "SPX", "BRK.B", "$AAPL", "$$SPX"]
    reply = ask("quotes", symbols=",".join([*unknown, *known, "AAPL"]))
    assert list(reply) == [*known, "errors"]
    assert reply["errors"] == {"invalidSymbols": unknown}


def test_contracts_of_one_day_are_quoted_from_one_chain(
    world: Any, ask: Callable[..., Any]
) -> None:
    contracts = [
        f"AAPL  24{day}C00{strike}000" for day in ("1018", "1025") for strike in (100, 105)
    ]
    assert list(ask("quotes", symbols=",".join(contracts))) == contracts
    assert world.asked == [(date(2024, 10, 18),) * 2, (date(2024, 10, 25),) * 2]


def test_one_quote_or_not_found(ask: Callable[..., Any]) -> None:
    assert list(ask("quote", "$SPX")) == ["$SPX"]
    refused = refusal_of(ask, "quote", "NOSUCH")
    (error,) = refused.body["errors"]
    assert (refused.status, error["status"], error["title"]) == (404, "404", "Not Found")
    assert set(error) == {"id", "status", "title"}


def test_quotes_have_their_own_refusals(ask: Callable[..., Any]) -> None:
    none = refusal_of(ask, "quotes").body["errors"][0]
    assert none["detail"] == "Search combination should have min of 1."
    assert none["source"]["pointer"][0] == "/data/attributes/symbols"
    fields = refusal_of(ask, "quotes", symbols="AAPL", fields="price").body["errors"][0]
    assert fields["source"] == {"parameter": "fields"}
    many = ",".join(f"S{place}" for place in range(facts.MAX_SYMBOLS_PER_QUOTE + 1))
    too_many = refusal_of(ask, "quotes", symbols=many).body["errors"][0]
    assert too_many["detail"] == "Search combination should not exceed 500."


def test_expirations_of_an_unknown_symbol_are_not_found(ask: Callable[..., Any]) -> None:
    assert refusal_of(ask, "expiration_chain", symbol="NOSUCH").status == 404
    assert ask("expiration_chain", symbol="BRK/B") == {"expirationList": []}


def test_market_time_decides_what_is_expired(world: Any) -> None:
    now = datetime(2024, 10, 19, 12, tzinfo=UTC)
    reply = json.loads(MarketData(world, lambda: now).expiration_chain({}, {"symbol": "AAPL"}))
    days = [one["daysToExpiration"] for one in reply["expirationList"]]
    assert days == [6, 27]
    later = json.loads(
        MarketData(world, lambda: now + timedelta(days=40)).expiration_chain({}, {"symbol": "AAPL"})
    )
    assert later == {"expirationList": []}
