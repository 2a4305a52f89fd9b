"""Replies of the Market Data API: bytes to frames and structs. Pure; chains are in `parse_chain`.

A field that the specification names otherwise than the wire is accepted under both names. A field
that nobody documented is no error: it is counted, so that a change of the wire is noticed.
"""

from collections import Counter
from collections.abc import Mapping
from html import unescape
from typing import Any, Final, TypeVar

import msgspec
import polars as pl

from models.errors import BadReply
from schwab_integration.config import PROVIDER
from schwab_integration.parse_chain import FARTHEST_MS, parse_chain
from schwab_integration.replies import (
    Candles,
    ExtendedNode,
    FundamentalNode,
    Instrument,
    ListedExpiration,
    MarketHours,
    Mover,
    Quote,
    QuoteNode,
    Quotes,
    ReferenceNode,
    RegularNode,
)

__all__ = [
    "parse_candles",
    "parse_chain",
    "parse_expirations",
    "parse_instruments",
    "parse_markets",
    "parse_movers",
    "parse_quotes",
]

S = TypeVar("S")
Json = Mapping[str, Any]

_NODES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "quote": QuoteNode,
    "fundamental": FundamentalNode,
    "reference": ReferenceNode,
    "regular": RegularNode,
    "extended": ExtendedNode,
}
_SYMBOLLESS: Final = "errors"
"""Key of `/quotes` that holds no quote but the symbols that Schwab does not know."""


class _Candle(msgspec.Struct, gc=False):
    datetime: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None


class _History(msgspec.Struct, rename="camel"):
    symbol: str = ""
    candles: list[_Candle] | None = None
    previous_close: float | None = None


_HISTORY = msgspec.json.Decoder(_History, strict=False)


def parse_quotes(body: bytes) -> Quotes:
    """Return the quotes of a reply to `/quotes` or `/{symbol}/quotes`.

    Raises:
        BadReply: It is not as documented.
    """
    reply = _object(body, "quotes")
    refused = reply.get(_SYMBOLLESS)
    invalid: list[str] = []
    if isinstance(refused, dict):
        lists = (listed for listed in refused.values() if isinstance(listed, list))
        invalid = [str(symbol) for listed in lists for symbol in listed]
    found = {k: v for k, v in reply.items() if k != _SYMBOLLESS}
    unknown: Counter[str] = Counter()
    for node in found.values():
        unknown += _unknown_of_quote(node)
    quotes = {symbol: _converted(node, Quote, symbol) for symbol, node in found.items()}
    return Quotes(by_symbol=quotes, invalid=invalid, unknown_fields=unknown)


def parse_candles(body: bytes) -> Candles:
    """Return the bars of a reply to `/pricehistory`; none is an empty frame.

    Raises:
        BadReply: It is not as documented.
    """
    try:
        history = _HISTORY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad("price history", error) from None
    columns = (
        list(zip(*map(msgspec.structs.astuple, history.candles or []), strict=True)) or [()] * 6
    )
    raw = pl.DataFrame(
        [
            pl.Series(n, c, pl.Float64)
            for n, c in zip(_Candle.__struct_fields__, columns, strict=True)
        ]
    ).fill_nan(None)
    known = pl.col("datetime").abs() < FARTHEST_MS
    frame = raw.select(
        (pl.when(known).then("datetime").cast(pl.Int64) * 1000)
        .cast(pl.Datetime("us", "UTC"))
        .alias("at"),
        "open",
        "high",
        "low",
        "close",
        pl.col("volume").cast(pl.Int64, strict=False),
    )
    if frame["at"].null_count():
        message = "Schwab's price history holds a candle without a time"
        raise BadReply(message, provider=PROVIDER, field="candles.datetime")
    return Candles(history.symbol, frame.sort("at"), history.previous_close)


def parse_expirations(body: bytes) -> list[ListedExpiration]:
    """Return the expirations of a reply to `/expirationchain`, as sent.

    Raises:
        BadReply: It is not as documented.
    """
    listed = _list(_object(body, "expiration chain"), "expirationList")
    return [
        _converted(_renamed(node, {"expiration": "expirationDate"}), ListedExpiration, "[...]")
        for node in listed
    ]


def parse_movers(body: bytes) -> list[Mover]:
    """Return the lines of a reply to `/movers`, as sent.

    Raises:
        BadReply: It is not as documented.
    """
    aliases = {"last": "lastPrice", "change": "netChange"}
    return [
        _converted(_readable(_renamed(node, aliases)), Mover, "[...]")
        for node in _list(_object(body, "movers"), "screeners")
    ]


def parse_markets(body: bytes) -> dict[str, dict[str, MarketHours]]:
    """Return market -> product -> hours of a reply to `/markets`; a closed day has no hours.

    Raises:
        BadReply: It is not as documented.
    """
    return {
        market: {name: _converted(node, MarketHours, market) for name, node in products.items()}
        for market, products in _object(body, "market hours").items()
        if isinstance(products, dict)
    }


def parse_instruments(body: bytes) -> list[Instrument]:
    """Return the instruments of a reply to `/instruments` or `/instruments/{cusip}`.

    The specification answers a single instrument without the list around it: accepted as well.

    Raises:
        BadReply: It is not as documented.
    """
    reply = _object(body, "instruments")
    listed = [reply] if "symbol" in reply else _list(reply, "instruments")
    return [_converted(_readable(node), Instrument, "[...]") for node in listed]


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(what, error) from None


def _list(reply: Json, name: str) -> list[Json]:
    """Return a list of objects; one that is empty may be left out or null."""
    listed = reply.get(name)
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(node, dict) for node in listed):
        message = f"Schwab's reply has no list of objects in {name}"
        raise BadReply(message, provider=PROVIDER, field=name)
    return listed


def _converted(node: Any, kind: type[S], where: str) -> S:
    try:
        return msgspec.convert(node, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _bad(f"{kind.__name__} of {where}", error) from None


def _renamed(node: Json, aliases: Mapping[str, str]) -> dict[str, Any]:
    return {aliases.get(name, name): value for name, value in node.items()}


def _readable(node: Json) -> dict[str, Any]:
    """Undo the HTML that Schwab writes into names: `Merck &amp; Co. Inc.`."""
    description = node.get("description")
    if not isinstance(description, str):
        return dict(node)
    return {**node, "description": unescape(description)}


def _unknown_of_quote(quote: Any) -> Counter[str]:
    if not isinstance(quote, dict):
        return Counter()
    unknown = Counter(set(quote) - _wire_names(Quote))
    for name, kind in _NODES.items():
        node = quote.get(name)
        if isinstance(node, dict):
            unknown.update(f"{name}.{field}" for field in set(node) - _wire_names(kind))
    return unknown


def _wire_names(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_encode_fields__)


def _bad(what: str, error: Exception) -> BadReply:
    text, _, field = str(error).partition(" - at `")
    message = f"Schwab's {what} is not as documented: {text}"
    return BadReply(message, provider=PROVIDER, field=field.strip("`$.") or "body")
