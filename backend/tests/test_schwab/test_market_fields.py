"""Every field of the market data's structs: shown by a real reply, or listed as never seen."""

import json
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import msgspec

from schwab_integration import parse, replies

QUOTES = [
    "schwab/quotes",
    "schwab/quote",
    "schwab_captured/quote_index_spx",
    "schwab_captured/quote_equity_nvda",
    "schwab_captured/quote_option_nvda",
    "schwab_captured/quote_option_meta",
]
NEVER_CAPTURED = {
    "FundamentalNode": {"fund_strategy"},
    "Instrument": {"type"},
    "MarketHours": {"category", "exchange"},
    "Mover": {"direction"},
    "ReferenceNode": {"fsi_desc", "otc_market_tier"},
}
"""Fields of the specification alone; nothing reads them."""


def documents(data: Path) -> list[tuple[Any, Any]]:
    """Return (node of the file, struct made of it) of all real replies."""
    found: list[tuple[Any, Any]] = []
    for name in QUOTES:
        body = (data / f"{name}.json").read_bytes()
        nodes = json.loads(body)
        found += [(nodes[s], quote) for s, quote in parse.parse_quotes(body).by_symbol.items()]
    for name, key, read in (
        ("schwab/option_expiration_chain", "expirationList", parse.parse_expirations),
        ("schwab_captured/expiration_chain", "expirationList", parse.parse_expirations),
        ("schwab/movers", "screeners", parse.parse_movers),
        ("schwab_captured/movers_volume", "screeners", parse.parse_movers),
        ("schwab/instruments", "instruments", parse.parse_instruments),
        ("schwab/instrument_cusip", "instruments", parse.parse_instruments),
    ):
        body = (data / f"{name}.json").read_bytes()
        found += list(zip(json.loads(body)[key], read(body), strict=True))
    for name in ("market_hours", "market_hour"):
        body = (data / "schwab" / f"{name}.json").read_bytes()
        markets = parse.parse_markets(body)
        found += [
            (node, markets[market][product])
            for market, products in json.loads(body).items()
            for product, node in products.items()
        ]
    return found


def check(node: Any, value: Any, seen: dict[str, set[str]]) -> None:
    """Compare a struct with the JSON that it was made of, and note the fields that it shows."""
    if isinstance(value, msgspec.Struct):
        names = seen.setdefault(type(value).__name__, set())
        fields = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        for wire, name in fields:
            if wire in node:
                names.add(name)
                check(node[wire], getattr(value, name), seen)
    elif isinstance(value, list):
        for one, other in zip(node, value, strict=True):
            check(one, other, seen)
    elif isinstance(value, dict):
        assert set(node) == set(value)
        for key in node:
            check(node[key], value[key], seen)
    elif isinstance(value, date):  # a datetime is one
        assert value.isoformat() == node
    elif isinstance(value, str):
        assert value == unescape(node)
    else:
        assert value == node


def test_each_field_is_captured_or_listed_as_never_captured(data: Path) -> None:
    seen: dict[str, set[str]] = {}
    for node, value in documents(data):
        check(node, value, seen)
    structs = [
        kind
        for kind in vars(replies).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    missing = {
        kind.__name__: left
        for kind in structs
        if (left := set(kind.__struct_fields__) - seen.get(kind.__name__, set()))
    }
    assert missing == NEVER_CAPTURED
