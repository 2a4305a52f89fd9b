"""Golden tests: the real replies, and the names of the published specification."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadReply
from schwab_integration import parse


def read(data: Path, name: str) -> bytes:
    return (data / name).read_bytes()


def test_two_stocks(data: Path) -> None:
    quotes = parse.parse_quotes(read(data, "schwab/quotes.json"))
    apple = quotes.by_symbol["AAPL"]
    assert (apple.asset_main_type, apple.asset_sub_type) == ("EQUITY", "COE")
    assert (apple.quote.bid_price, apple.quote.ask_price) == (234.86, 234.88)
    assert (apple.quote.high_52_week, apple.quote.low_52_week) == (237.49, 164.075)
    assert apple.quote.ask_mic_id == "ARCX"
    assert apple.quote.quote_time == 1729295935436
    assert apple.fundamental is not None
    assert apple.fundamental.div_yield == 0.43144
    assert apple.fundamental.next_div_ex_date == "2024-11-12T05:00:00Z"
    assert apple.reference.exchange_name == "NASDAQ"
    assert apple.regular is not None
    assert apple.regular.regular_market_last_price == 235.0
    assert list(quotes.by_symbol) == ["AAPL", "AMD"]
    assert not quotes.invalid
    assert not quotes.unknown_fields


@pytest.mark.parametrize(
    ("name", "symbol", "kind", "last"),
    [
        ("schwab/quote.json", "INTC", "EQUITY", 22.74),
        ("schwab_captured/quote_equity_nvda.json", "NVDA", "EQUITY", 123.2291),
        ("schwab_captured/quote_index_spx.json", "$SPX", "INDEX", 6071.17),
        ("schwab_captured/quote_option_nvda.json", "NVDA  250307P00095000", "OPTION", 1.62),
    ],
)
def test_each_asset_type(data: Path, name: str, symbol: str, kind: str, last: float) -> None:
    quotes = parse.parse_quotes(read(data, name))
    quote = quotes.by_symbol[symbol]
    assert (quote.symbol, quote.asset_main_type, quote.quote.last_price) == (symbol, kind, last)
    assert not quotes.unknown_fields


def test_an_option_quote_has_its_greeks(data: Path) -> None:
    body = read(data, "schwab_captured/quote_option_nvda.json")
    quote = parse.parse_quotes(body).by_symbol["NVDA  250307P00095000"]
    assert quote.quote.delta == -0.10887034
    assert quote.quote.volatility == 77.07295226
    assert (quote.reference.strike_price, quote.reference.contract_type) == (95.0, "P")
    assert quote.reference.expiration_year == 2025


def test_every_quote_file_is_read_without_loss(data: Path) -> None:
    """Each number of the file is in the struct under the field with that wire name."""
    for path in [*data.glob("schwab/quote*.json"), *data.glob("schwab_captured/quote_*.json")]:
        body = path.read_bytes()
        quotes = parse.parse_quotes(body).by_symbol
        for symbol, nodes in json.loads(body).items():
            for name, node in nodes.items():
                if not isinstance(node, dict):
                    continue
                struct: Any = getattr(quotes[symbol], name)
                names = dict(
                    zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
                )
                for field, value in node.items():
                    assert getattr(struct, names[field]) == value, (path.name, name, field)


def test_symbols_that_schwab_does_not_know() -> None:
    body = b'{"errors":{"invalidSymbols":["XYZ"],"invalidCusips":["1"]},"A":{"symbol":"A"}}'
    quotes = parse.parse_quotes(body)
    assert list(quotes.by_symbol) == ["A"]
    assert quotes.invalid == ["XYZ", "1"]


def test_text_nan_and_unknown_fields_are_no_error() -> None:
    body = b'{"A":{"symbol":"A","novel":1,"quote":{"delta":"NaN","shiny":2,"bidPrice":1}}}'
    quotes = parse.parse_quotes(body)
    assert dict(quotes.unknown_fields) == {"novel": 1, "quote.shiny": 1}
    delta = quotes.by_symbol["A"].quote.delta
    assert delta is not None
    assert delta != delta  # noqa: PLR0124 - NaN
    assert quotes.by_symbol["A"].quote.bid_price == 1.0


def test_daily_candles(data: Path) -> None:
    candles = parse.parse_candles(read(data, "schwab_captured/price_history_spy_daily.json"))
    assert candles.symbol == "SPY"
    assert candles.frame.height == 21
    first = candles.frame.row(0, named=True)
    assert first == {
        "at": datetime(2025, 6, 18, 5, tzinfo=UTC),
        "open": 598.44,
        "high": 601.22,
        "low": 596.47,
        "close": 597.44,
        "volume": 76605029,
    }
    assert candles.frame["at"].is_sorted()


def test_candles_in_disorder_and_none() -> None:
    body = b'{"candles":[{"datetime":2000,"open":1,"high":1,"low":1,"close":"NaN","volume":5.0},'
    body += b'{"datetime":1000,"open":1,"high":1,"low":1,"close":1,"volume":5}],"symbol":"A"}'
    frame = parse.parse_candles(body).frame
    assert frame["at"].dt.epoch("ms").to_list() == [1000, 2000]
    assert frame["close"].to_list() == [1.0, None]
    none = parse.parse_candles(b'{"candles":[],"symbol":"A","empty":true,"previousClose":2.5}')
    assert none.frame.is_empty()
    assert none.frame.schema == frame.schema
    assert none.previous_close == 2.5


@pytest.mark.parametrize("time", [1e14, 9e15, 1e17, -1e15, 1e300, '"NaN"', "null"])
def test_a_candle_of_no_time_that_there_is(time: Any) -> None:
    body = f'{{"symbol":"A","candles":[{{"datetime":{time},"open":1}}]}}'.encode()
    with pytest.raises(BadReply, match=r"not as documented|without a time"):
        parse.parse_candles(body)


def test_expirations(data: Path) -> None:
    listed = parse.parse_expirations(read(data, "schwab_captured/expiration_chain.json"))
    assert listed[0].expiration_date == date(2025, 7, 21)
    assert (listed[0].expiration_type, listed[0].settlement_type) == ("W", "P")
    apple = parse.parse_expirations(read(data, "schwab/option_expiration_chain.json"))
    assert apple[0].option_roots == "AAPL"
    spec = parse.parse_expirations(b'{"expirationList":[{"expiration":"2024-10-18"}]}')
    assert spec[0].expiration_date == date(2024, 10, 18)
    assert parse.parse_expirations(b"{}") == []


def test_movers(data: Path) -> None:
    movers = parse.parse_movers(read(data, "schwab_captured/movers_volume.json"))
    assert (movers[0].symbol, movers[0].last_price, movers[0].net_percent_change) == (
        "NVDA",
        172.56,
        0.0008,
    )
    names = [mover.description for mover in parse.parse_movers(read(data, "schwab/movers.json"))]
    assert "Merck & Co. Inc." in names
    spec = b'{"screeners":[{"symbol":"A","last":5,"change":0.1,"direction":"up"}]}'
    (mover,) = parse.parse_movers(spec)
    assert (mover.last_price, mover.net_change, mover.direction) == (5.0, 0.1, "up")


def test_market_hours(data: Path) -> None:
    markets = parse.parse_markets(read(data, "schwab/market_hours.json"))
    equity = markets["equity"]["EQ"]
    assert equity.is_open
    assert equity.day == date(2024, 10, 18)
    regular = equity.session_hours["regularMarket"][0]
    assert regular.start == datetime(2024, 10, 18, 13, 30, tzinfo=UTC)
    assert markets["option"]["IND"].session_hours["regularMarket"][0].end.minute == 15
    assert parse.parse_markets(read(data, "schwab/market_hour.json"))["equity"]["EQ"] == equity
    assert parse.parse_markets(read(data, "schwab_captured/market_hours_future_date.json"))


def test_a_closed_day_has_no_hours(data: Path) -> None:
    markets = parse.parse_markets(read(data, "schwab_captured/market_hours_all.json"))
    assert set(markets) == {"forex", "future", "option", "equity", "bond"}
    assert not markets["equity"]["equity"].is_open
    assert markets["equity"]["equity"].session_hours == {}


def test_instruments(data: Path) -> None:
    (apple,) = parse.parse_instruments(read(data, "schwab/instruments.json"))
    assert (apple.symbol, apple.cusip, apple.asset_type) == ("AAPL", "037833100", "EQUITY")
    assert apple.fundamental is not None
    assert apple.fundamental["beta"] == 1.23919
    (by_cusip,) = parse.parse_instruments(read(data, "schwab/instrument_cusip.json"))
    bare = json.dumps(json.loads(read(data, "schwab/instrument_cusip.json"))["instruments"][0])
    assert parse.parse_instruments(bare.encode()) == [by_cusip]
    assert parse.parse_instruments(b"{}") == []


def test_null_is_as_good_as_nothing() -> None:
    """A whole reply is not thrown away for a field that says nothing."""
    body = b'{"candles":null,"symbol":"A","expirationList":null,"screeners":null,"status":null,'
    body += b'"callExpDateMap":null,"putExpDateMap":null,"isDelayed":null,"isChainTruncated":null}'
    assert parse.parse_candles(body).frame.is_empty()
    assert parse.parse_expirations(body) == parse.parse_movers(body) == []
    chain = parse.parse_chain(body)
    assert chain.contracts.is_empty()
    assert (chain.status, chain.is_delayed, chain.is_truncated) == ("", False, False)


@pytest.mark.parametrize(
    "parsed",
    [
        parse.parse_quotes,
        parse.parse_candles,
        parse.parse_expirations,
        parse.parse_movers,
        parse.parse_markets,
        parse.parse_instruments,
        parse.parse_chain,
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"nul", b'"\xff"', b'{"a":', b"1"])
def test_what_is_no_reply_is_a_bad_reply(parsed: Any, body: bytes) -> None:
    with pytest.raises(BadReply) as caught:
        parsed(body)
    assert caught.value.provider == "schwab"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parsed", "body", "field"),
    [
        (parse.parse_quotes, b'{"A":{"symbol":"A","quote":{"bidPrice":[]}}}', "quote.bidPrice"),
        (parse.parse_quotes, b'{"A":{"quote":{}}}', "body"),
        (parse.parse_candles, b'{"candles":[{"datetime":"x"}]}', "candles[0].datetime"),
        (parse.parse_expirations, b'{"expirationList":{"a":1}}', "expirationList"),
        (parse.parse_movers, b'{"screeners":[1]}', "screeners"),
        (parse.parse_instruments, b'{"instruments":[{"symbol":5}]}', "symbol"),
        (parse.parse_markets, b'{"equity":{"EQ":{"date":"?"}}}', "date"),
    ],
)
def test_a_bad_field_is_named(parsed: Any, body: bytes, field: str) -> None:
    with pytest.raises(BadReply) as caught:
        parsed(body)
    assert field in caught.value.field
