"""How quotes become those that end minutes, and what the past of options is asked for."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import NotEntitled
from polygon_integration import columns
from polygon_integration.history import PolygonHistory, polygon_symbol, quotes_of_minutes
from polygon_integration.parse import Page

MINUTE = 60_000_000_000
START = 1_450_967_400 * 1_000_000_000  # 2015-12-24 09:30 New York
CALL = "QQQ   251219C00500000"


def page(stamps: list[int], bids: list[float]) -> Page:
    frame = columns.quotes([]).clear()
    rows = {
        "time_ns": stamps,
        "bid": bids,
        "ask": [bid + 1 for bid in bids],
        "bid_size": [1] * len(bids),
        "ask_size": [2] * len(bids),
        "sequence": list(range(len(bids))),
    }
    return Page(pl.DataFrame(rows, schema=frame.schema), None)


def test_a_minute_ends_with_its_last_quote_and_owns_its_end() -> None:
    pages = [
        page([START + 1, START + 5], [1.0, 2.0]),
        page([START + MINUTE, START + MINUTE + 1, START + 3 * MINUTE], [3.0, 4.0, 5.0]),
    ]
    found = quotes_of_minutes(pages)
    ends = [datetime(2015, 12, 24, 14, minute, tzinfo=UTC) for minute in (31, 32, 33)]
    assert found["ts"].to_list() == ends
    assert found["bid"].to_list() == [3.0, 4.0, 5.0]
    assert found["quote_at"][0] == ends[0]


def test_no_quotes_are_no_minutes() -> None:
    assert quotes_of_minutes([page([], [])]).is_empty()


@given(
    st.lists(st.integers(0, 10 * MINUTE), max_size=60).map(sorted),
    st.lists(st.integers(0, 60), max_size=3).map(sorted),
)
def test_pages_may_be_cut_anywhere(offsets: list[int], cuts: list[int]) -> None:
    stamps = [START + offset for offset in offsets]
    bids = [float(n) for n in range(len(stamps))]
    edges = [0, *(min(cut, len(stamps)) for cut in cuts), len(stamps)]
    pieces = [page(stamps[a:b], bids[a:b]) for a, b in pairwise(edges)]
    whole = quotes_of_minutes([page(stamps, bids)])
    assert quotes_of_minutes(pieces).equals(whole)
    last = {-(-stamp // MINUTE): bid for stamp, bid in zip(stamps, bids, strict=True)}
    assert whole["bid"].to_list() == [last[minute] for minute in sorted(last)]


def test_contracts_are_answered_in_order(serve: Any, answer: Any, make_client: Any) -> None:
    def app(request: Any) -> Any:
        ticker = request.path.rpartition("/")[2].replace("%3A", ":")
        strike = float(ticker[-8:]) / 1000
        row = {"sip_timestamp": START + 1, "bid_price": strike, "bid_size": 1, "ask_price": 0}
        body = {"status": "OK", "results": [row | {"ask_size": 0, "sequence_number": 1}]}
        return answer(body=json.dumps(body).encode())

    history = PolygonHistory(make_client(serve(app).url), origin="simulator", workers=4)
    symbols = [f"QQQ   151224C{strike:05d}000" for strike in range(480, 500)]
    found = list(history.minute_quotes(symbols, date(2015, 12, 24)))
    assert [symbol for symbol, _ in found] == symbols
    for symbol, rows in found:
        assert rows["occ_symbol"].to_list() == [symbol]
        assert rows["bid"].to_list() == [float(symbol[-8:]) / 1000]
        assert rows["ask"].to_list() == [None]


def test_a_plan_without_quotes_is_named(serve: Any, answer: Any, make_client: Any) -> None:
    body = json.dumps({"status": "NOT_AUTHORIZED", "message": "You are not entitled"}).encode()
    server = serve(lambda _request: answer(status=403, body=body))
    history = PolygonHistory(make_client(server.url))
    with pytest.raises(NotEntitled, match="plan does not include"):
        list(history.minute_quotes([CALL], date(2025, 12, 19)))


def test_spelling() -> None:
    assert polygon_symbol(CALL) == "O:QQQ251219C00500000"
