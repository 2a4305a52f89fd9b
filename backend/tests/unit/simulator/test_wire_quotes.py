"""Quotes have the keys, types, order and arithmetic of the captured replies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from simulator.wire_quotes import (
    contract_description,
    last_trading_day,
    option_quote,
    underlying_quote,
)
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def without(node: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


def test_an_equity_has_the_captured_shape(
    world: Any,
    noon: datetime,
    instruments: dict[str, Any],
    captured: Callable[[str], Any],
    shape: Callable[[Any], Any],
) -> None:
    real = captured("schwab/quotes.json")["AAPL"]
    ours = underlying_quote(instruments["AAPL"], world.quote("AAPL", noon), noon)
    # What the world does not know is absent, as Schwab leaves out what it does not know.
    real["fundamental"] = without(real["fundamental"], "declarationDate", "lastEarningsDate")
    assert shape(without(ours, "extended")) == shape(real)


def test_the_nodes_stand_in_the_captured_order(
    world: Any,
    noon: datetime,
    instruments: dict[str, Any],
    captured: Callable[[str], Any],
    shape: Callable[[Any], Any],
) -> None:
    real = captured("schwab_captured/quote_equity_nvda.json")["NVDA"]
    ours = underlying_quote(instruments["AAPL"], world.quote("AAPL", noon), noon)
    assert list(ours) == list(real)
    assert shape(ours["extended"]) == shape(real["extended"])


def test_an_index_has_the_captured_shape(
    world: Any,
    noon: datetime,
    instruments: dict[str, Any],
    captured: Callable[[str], Any],
    shape: Callable[[Any], Any],
) -> None:
    real = captured("schwab_captured/quote_index_spx.json")["$SPX"]
    ours = underlying_quote(instruments["SPX"], world.quote("SPX", noon), noon)
    assert shape(ours) == shape(real)
    assert ours["symbol"] == "$SPX"


@pytest.mark.parametrize("name", ["nvda", "meta"])
def test_an_option_has_the_captured_shape(
    world: Any,
    noon: datetime,
    instruments: dict[str, Any],
    captured: Callable[[str], Any],
    shape: Callable[[Any], Any],
    name: str,
) -> None:
    (real,) = captured(f"schwab_captured/quote_option_{name}.json").values()
    row = world.chains["AAPL"].row(2, named=True)
    assert shape(option_quote(row, instruments["AAPL"], 100.0, noon)) == shape(real)


def test_changes_follow_the_captured_arithmetic(
    make_quote: Callable[..., Any], instruments: dict[str, Any], captured: Callable[[str], Any]
) -> None:
    real = captured("schwab/quote.json")["INTC"]
    node, regular = real["quote"], real["regular"]
    now = moment(node["quoteTime"])
    quote = replace(
        make_quote("AAPL", now),
        bid=node["bidPrice"],
        ask=node["askPrice"],
        last=node["lastPrice"],
        close=node["closePrice"],
        high=node["highPrice"],
        low=node["lowPrice"],
        open=node["openPrice"],
        regular_last=regular["regularMarketLastPrice"],
        regular_trade_at=moment(regular["regularMarketTradeTime"]),
    )
    ours = underlying_quote(instruments["AAPL"], quote, now)
    arithmetic = (
        "mark",
        "markChange",
        "markPercentChange",
        "netChange",
        "netPercentChange",
        "postMarketChange",
        "postMarketPercentChange",
    )
    assert {key: ours["quote"][key] for key in arithmetic} == {key: node[key] for key in arithmetic}
    for key in ("regularMarketNetChange", "regularMarketPercentChange", "regularMarketTradeTime"):
        assert ours["regular"][key] == regular[key]


@pytest.mark.parametrize("name", ["nvda", "meta"])
def test_an_option_follows_the_captured_arithmetic(
    instruments: dict[str, Any], captured: Callable[[str], Any], world: Any, name: str
) -> None:
    (real,) = captured(f"schwab_captured/quote_option_{name}.json").values()
    node, reference = real["quote"], real["reference"]
    row = world.chains["AAPL"].row(2, named=True) | {
        "strike": reference["strikePrice"],
        "right": reference["contractType"],
        "last": node["lastPrice"],
        "close": node["closePrice"],
        "mark": node["mark"],
        "expiration": date(
            reference["expirationYear"], reference["expirationMonth"], reference["expirationDay"]
        ),
        "iv": node["volatility"] / 100,
        "delta": node["delta"],
    }
    now = datetime(2025, 1, 25, 12, tzinfo=UTC)
    ours = option_quote(row, instruments["AAPL"], node["underlyingPrice"], now)
    for key in (
        "markChange",
        "markPercentChange",
        "moneyIntrinsicValue",
        "netChange",
        "netPercentChange",
        "volatility",
        "delta",
    ):
        assert ours["quote"][key] == pytest.approx(node[key], abs=1e-8), key
    for key in ("expirationDay", "lastTradingDay", "settlementType", "contractType", "exchange"):
        assert ours["reference"][key] == reference[key], key


def test_only_the_wanted_nodes_are_sent(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    quote = world.quote("AAPL", noon)
    ours = underlying_quote(instruments["AAPL"], quote, noon, ["regular", "quote"])
    assert [key for key, value in ours.items() if isinstance(value, dict)] == ["quote", "regular"]
    everything = underlying_quote(instruments["AAPL"], quote, noon, ["all"])
    assert everything == underlying_quote(instruments["AAPL"], quote, noon)


def test_a_missing_side_is_zero_with_size_zero(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    quote = replace(world.quote("AAPL", noon), bid=None)
    ours = underlying_quote(instruments["AAPL"], quote, noon)["quote"]
    assert (ours["bidPrice"], ours["bidSize"]) == (0.0, 0)
    bare = world.chains["AAPL"].row(1, named=True)
    node = option_quote(bare, instruments["AAPL"], 100.0, noon)["quote"]
    assert (node["bidPrice"], node["bidSize"], node["askSize"]) == (0.0, 0, 7)
    assert node["volatility"] == node["delta"] == -999.0
    assert (node["lastPrice"], node["tradeTime"], node["netChange"]) == (0.0, 0, 0.0)


def test_the_mark_is_the_mid_in_regular_hours_and_the_ask_outside(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    evening = datetime(2024, 10, 18, 18, tzinfo=NEW_YORK)
    quote = world.quote("AAPL", noon)
    assert underlying_quote(instruments["AAPL"], quote, noon)["quote"]["mark"] == 100.0
    assert underlying_quote(instruments["AAPL"], quote, evening)["quote"]["mark"] == 100.01


def test_an_index_is_closed_outside_regular_hours(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    night = datetime(2024, 10, 19, 3, tzinfo=NEW_YORK)
    quote = world.quote("SPX", noon)
    at_noon = underlying_quote(instruments["SPX"], quote, noon)["quote"]
    at_night = underlying_quote(instruments["SPX"], quote, night)["quote"]
    assert (at_noon["securityStatus"], at_night["securityStatus"]) == ("Normal", "Closed")


def test_dividends_are_told_as_of_the_day(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    ours = underlying_quote(instruments["QQQ"], world.quote("QQQ", noon), noon)["fundamental"]
    assert ours["divAmount"] == 1.0
    assert ours["divPayAmount"] == 0.25
    assert ours["divExDate"] == "2024-08-12T04:00:00Z"
    assert ours["nextDivExDate"] == "2024-11-12T05:00:00Z"
    assert ours["divYield"] == 1.02041
    assert ours["fundStrategy"] == "P"


def test_a_share_class_is_spelled_with_a_slash(
    world: Any, noon: datetime, instruments: dict[str, Any]
) -> None:
    ours = underlying_quote(instruments["BRK.B"], world.quote("BRK.B", noon), noon)
    assert ours["symbol"] == "BRK/B"


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("quote_option_nvda", "NVDA  250307P00095000"),
        ("quote_option_meta", "META  250131P00525000"),
    ],
)
def test_names_and_last_days_of_contracts(
    captured: Callable[[str], Any], file: str, symbol: str
) -> None:
    reference = captured(f"schwab_captured/{file}.json")[symbol]["reference"]
    day = datetime.strptime(symbol[6:12], "%y%m%d").replace(tzinfo=UTC).date()
    root, strike, right = symbol[:6].strip(), reference["strikePrice"], symbol[12]
    assert contract_description(root, day, strike, right) == reference["description"]
    assert last_trading_day(day) == reference["lastTradingDay"]
