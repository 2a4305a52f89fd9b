"""Every reply and example that the vendor publishes, and what becomes of spoilt ones."""

import json
import os
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadReply
from polygon_integration import parse
from polygon_integration.replies import (
    Code,
    Contract,
    ContractSnapshot,
    Holiday,
    MarketStatus,
    Result,
    Results,
    Snapshot,
    TickerDetails,
)

FOLDER = Path(__file__).parents[1] / "data" / "polygon_examples"
MOCKS: dict[str, Any] = json.loads((FOLDER / "rest_mocks.json").read_bytes())
OPENAPI: dict[str, Any] = json.loads((FOLDER / "rest_openapi_examples.json").read_bytes())
PROVE = 10_000 if os.environ.get("PROVE") else 40

Kind = parse.Listing[Any] | Any
ASKED: list[tuple[str, Kind]] = [
    (r"/v2/aggs/(ticker/[^/]+/range|ticker/[^/]+/prev|grouped/locale/us)", parse.AGGREGATES),
    (r"/v3/trades/", parse.TRADES),
    (r"/v3/quotes/(?!\{fx)", parse.QUOTES),
    (r"/v3/reference/options/contracts/", Result[Contract]),
    (r"/v3/reference/options/contracts", parse.CONTRACTS),
    (r"/v3/reference/splits", parse.SPLITS),
    (r"/v3/reference/dividends", parse.DIVIDENDS),
    (r"/v3/snapshot/options/[^/]+/", Result[ContractSnapshot]),
    (r"/v3/snapshot/options/", parse.CHAIN),
    (r"/v3/snapshot", Results[Snapshot]),
    (r"/v3/reference/tickers/(types|taxonomies)", Results[dict[str, Any]]),
    (r"/v3/reference/tickers/", Result[TickerDetails]),
    (r"/v1/marketstatus/now", MarketStatus),
    (r"/v1/marketstatus/upcoming", list[Holiday]),
    (r"/v3/reference/(exchanges|conditions)", Results[Code]),
]
"""Paths that the product asks, with what it reads there."""

NOT_ASKED = re.compile(
    r"crypto|currencies|conversion|/fx|indicators|summaries|news|financials|ipos|/events|"
    r"related-companies|filings|taxonomies|open-close|/v2/last|/v2/snapshot|/v2/ticks|"
    r"fxTicker|/v3/reference/tickers(&|$)"
)
"""Paths of the vendor's examples that no method of the product asks."""


def examples() -> list[tuple[str, Any]]:
    found = list(MOCKS.items())
    for path, bodies in OPENAPI.items():
        body = bodies.get("200 application/json")
        if body is not None:
            found.append((path.removeprefix("GET "), body))
    return found


def kind_of(path: str) -> Kind | None:
    if NOT_ASKED.search(path):
        return None
    return next((kind for pattern, kind in ASKED if re.match(pattern, path)), None)


KNOWN = [(path, body) for path, body in examples() if kind_of(path) is not None]


def read(path: str, body: bytes) -> Any:
    kind = kind_of(path)
    if isinstance(kind, parse.Listing):
        return parse.parse_page(body, kind, path)
    return parse.parse_reply(body, kind, path)  # type: ignore[arg-type]


def test_each_example_is_read_or_of_a_service_that_is_not_asked() -> None:
    stray = [p for p, _ in examples() if kind_of(p) is None and not NOT_ASKED.search(p)]
    assert stray == []
    assert len(KNOWN) > 40


def test_the_envelopes_of_what_is_not_asked_are_read_too() -> None:
    others = [(path, body) for path, body in examples() if kind_of(path) is None]
    assert len(others) > 40
    for path, body in others:
        kind: Any = dict[str, Any] if isinstance(body, dict) else list[Any]
        assert parse.parse_reply(json.dumps(body).encode(), kind, path) == body


@pytest.mark.parametrize(("path", "body"), KNOWN, ids=[path for path, _ in KNOWN])
def test_published_replies_parse(path: str, body: Any) -> None:
    found = read(path, json.dumps(body).encode())
    if isinstance(found, parse.Page):
        rows = body.get("results", [])
        # Dividends of one ex-date become one row; nothing else is joined or left out.
        assert found.frame.height == len({r.get("ex_dividend_date", n) for n, r in enumerate(rows)})


def test_the_columns_of_a_chain() -> None:
    body = json.dumps(MOCKS["/v3/snapshot/options/AAPL"]).encode()
    frame = parse.parse_page(body, parse.CHAIN, "/v3/snapshot/options/AAPL").frame
    wire = MOCKS["/v3/snapshot/options/AAPL"]["results"][0]
    first = frame.row(0, named=True)
    assert first["strike"] == wire["details"]["strike_price"]
    assert first["bid"] == wire["last_quote"]["bid"]
    assert first["open_interest"] == wire["open_interest"]
    assert first["underlying_price"] == wire["underlying_asset"]["price"]
    assert first["quote_at"].timestamp() == pytest.approx(
        wire["last_quote"]["last_updated"] / 1e9, abs=1e-6
    )


def test_a_side_of_nothing_is_null() -> None:
    rows = [
        {"sip_timestamp": 1, "bid_price": 0, "bid_size": 0, "ask_price": 45.3, "ask_size": 1},
        {"sip_timestamp": 2, "ask_price": 45.3, "ask_size": 2},
        {"sip_timestamp": 3, "bid_price": 0, "bid_size": 5, "ask_price": 0, "ask_size": 0},
    ]
    body = json.dumps({"results": rows, "status": "OK"}).encode()
    frame = parse.parse_page(body, parse.QUOTES, "/v3/quotes/O:X").frame
    assert frame["bid"].to_list() == [None, None, 0.0]
    assert frame["ask"].to_list() == [45.3, 45.3, None]
    assert frame["bid_size"].to_list() == [None, None, 5]


def test_an_adjusted_contract_is_marked() -> None:
    rows = [
        {
            "ticker": ticker,
            "underlying_ticker": "AAPL",
            "contract_type": "call",
            "expiration_date": "2021-11-19",
            "strike_price": 85,
            "shares_per_contract": shares,
            "additional_underlyings": extra,
        }
        for ticker, shares, extra in [
            ("O:AAPL211119C00085000", 100, []),
            ("O:AAPL1211119C00085000", 100, []),
            (
                "O:AAPL211119C00090000",
                100,
                [{"amount": 44, "type": "equity", "underlying": "VMW"}],
            ),
        ]
    ]
    body = json.dumps({"results": rows}).encode()
    frame = parse.parse_page(body, parse.CONTRACTS, "contracts").frame
    assert frame["adjusted"].to_list() == [False, True, True]
    assert frame["occ_symbol"].to_list()[1] == "AAPL1 211119C00085000"


def test_two_dividends_of_a_day_are_their_sum_and_other_currencies_are_none() -> None:
    rows = [
        {"ticker": "X", "ex_dividend_date": "2026-03-13", "cash_amount": 0.5, "currency": "USD"},
        {"ticker": "X", "ex_dividend_date": "2026-03-13", "cash_amount": 2.0, "currency": "USD"},
        {"ticker": "X", "ex_dividend_date": "2026-06-13", "cash_amount": 1.0, "currency": "CAD"},
    ]
    frame = parse.parse_page(json.dumps({"results": rows}).encode(), parse.DIVIDENDS, "d").frame
    assert frame.select("amount").to_series().to_list() == [2.5]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (None, None),
        ("", None),
        ("https://api.polygon.io/v3/x?cursor=YWJj", "/v3/x?cursor=YWJj"),
        ("https://api.massive.com/v3/x?apiKey=SECRET&cursor=YWJj", "/v3/x?cursor=YWJj"),
    ],
)
def test_the_next_page_has_neither_host_nor_key(url: str | None, place: str | None) -> None:
    assert parse.following(url) == place


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["NaN", "", "Infinity", "2025-13-45", "O:", "💥", "A" * 21, "http://["]),
    st.just([]),
    st.just({}),
    st.just([{}]),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value in a JSON document."""
    found: list[tuple[Any, Any]] = []
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        found.append((node, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


@settings(max_examples=PROVE * 10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.integers(0, len(KNOWN) - 1),
    where=st.integers(0, 10**6),
    value=values,
    drop=st.booleans(),
)
def test_one_value_is_another(which: int, where: int, value: Any, drop: bool) -> None:
    path, body = KNOWN[which]
    document = json.loads(json.dumps(body))
    spots = places(document)
    container, key = spots[where % len(spots)]
    if drop:
        del container[key]
    else:
        container[key] = value
    _read_or_refused(path, json.dumps(document).encode())


@settings(max_examples=PROVE * 5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.integers(0, len(KNOWN) - 1),
    where=st.integers(0, 10**6),
    bytes_=st.binary(max_size=8),
    cut=st.integers(0, 40),
)
def test_some_bytes_are_others(which: int, where: int, bytes_: bytes, cut: int) -> None:
    path, body = KNOWN[which]
    whole = json.dumps(body).encode()
    place = where % len(whole)
    _read_or_refused(path, whole[:place] + bytes_ + whole[place + cut :])


def _read_or_refused(path: str, body: bytes) -> None:
    try:
        found = read(path, body)
    except BadReply:
        return
    if isinstance(found, parse.Page):
        assert isinstance(found.frame, pl.DataFrame)
