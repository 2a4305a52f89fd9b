"""Whatever Polygon may answer: a value of the right type, or one error of the house; never another.

Each reply goes into its parser, and then, as a client gets it, into everything that asks for it.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TradingError
from models.tables import EQUITY_BARS, OPTION_TRADES, frame_schema
from polygon_integration import parse
from polygon_integration.client import PolygonClient
from polygon_integration.historic_options import (
    contracts_as_of,
    download_dividends,
    download_equity_bars,
    download_option_trades,
    download_splits,
    option_quotes,
)
from polygon_integration.history import quotes_of_minutes
from polygon_integration.market_data import PolygonMarketData
from polygon_integration.refusals import refusal
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
from utils.http import Reply

EXAMPLES = Path(__file__).parents[1] / "data" / "polygon_examples"
MOCKS: dict[str, Any] = json.loads((EXAMPLES / "rest_mocks.json").read_bytes())
OPENAPI: dict[str, Any] = json.loads((EXAMPLES / "rest_openapi_examples.json").read_bytes())
COPIES = 48_000 if os.environ.get("PROVE") else 60
"""Of each target; twenty-one targets make a million."""

START, END = datetime(2020, 1, 2, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
DAY = date(2026, 11, 20)
CALL = "QQQ   261127C00774000"

Target: TypeAlias = Callable[[bytes], Any]


class Told:
    """A session that always answers the same."""

    def __init__(self, body: bytes) -> None:
        self._reply = Reply(200, {}, body)

    def get(self, _path: str, _params: Mapping[str, str]) -> Reply:
        return self._reply


class Client(PolygonClient):
    """A client that nobody answers but one reply."""

    def __init__(self, body: bytes) -> None:
        self._session = Told(body)  # type: ignore[assignment]


def market(body: bytes) -> PolygonMarketData:
    return PolygonMarketData(Client(body), origin="simulator")


def page(listing: Any) -> Target:
    return lambda body: parse.parse_page(body, listing, "a list").frame


def one(kind: Any) -> Target:
    return lambda body: parse.parse_reply(body, kind, "a thing")


def bars(body: bytes) -> None:
    frame = download_equity_bars(Client(body), "AAPL", START, END, "1d", origin="simulator")
    assert set(frame.columns) <= set(frame_schema(EQUITY_BARS))
    assert frame["ts"].is_unique().all() or frame["ts"].is_sorted()


def trades(body: bytes) -> None:
    frame = download_option_trades(Client(body), CALL, DAY, origin="simulator")
    assert set(frame.columns) <= set(frame_schema(OPTION_TRADES))
    assert frame["sequence"].to_list() == list(range(1, frame.height + 1))


def minutes(body: bytes) -> None:
    frame = quotes_of_minutes(option_quotes(Client(body), CALL, DAY))
    assert frame["ts"].is_unique().all()


def contracts(body: bytes) -> None:
    far = date(2099, 1, 1)
    frame = contracts_as_of(Client(body), "AAPL", DAY, DAY, far, origin="simulator")
    assert frame["occ_symbol"].is_unique().all()


def chain(body: bytes) -> None:
    found = market(body).option_chain("AAPL", DAY, date(2099, 1, 1), now=END)
    assert found.quotes["occ_symbol"].is_unique().all()


def events(download: Callable[..., Any]) -> Target:
    return lambda body: download(Client(body), "AAPL", DAY, DAY, origin="simulator")


def refused(body: bytes) -> None:
    for status in (400, 401, 403, 404, 429, 500, 503):
        error = refusal("a thing", Reply(status, {}, body))
        assert isinstance(error, TradingError)
        assert "\n" not in str(error)


NEWS = b'{"status":"NOT_AUTHORIZED","request_id":"ab","message":"no timeframe","error":"x"}'
SNAPSHOT = json.dumps(
    {
        "status": "OK",
        "results": [
            {
                "ticker": "AAPL",
                "last_quote": {
                    "bid": 1,
                    "ask": 2,
                    "bid_size": 1,
                    "ask_size": 1,
                    "last_updated": 1795194000000000000,
                },
                "session": {"close": 1.5, "volume": 7.6, "last_updated": 1795194000000000000},
            }
        ],
    }
).encode()

TARGETS: dict[str, tuple[Target, str | bytes]] = {
    "bars": (page(parse.AGGREGATES), "/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04"),
    "bars downloaded": (bars, "/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04"),
    "trades": (page(parse.TRADES), "/v3/trades/AAPL"),
    "trades downloaded": (trades, "/v3/trades/AAPL"),
    "quotes": (page(parse.QUOTES), "/v3/quotes/AAPL"),
    "quotes of minutes": (minutes, "/v3/quotes/AAPL"),
    "contracts": (page(parse.CONTRACTS), "/v3/reference/options/contracts"),
    "contracts downloaded": (contracts, "/v3/reference/options/contracts"),
    "contract": (one(Result[Contract]), "/v3/reference/options/contracts/"),
    "splits": (events(download_splits), "/v3/reference/splits"),
    "dividends": (events(download_dividends), "/v3/reference/dividends"),
    "chain": (page(parse.CHAIN), "/v3/snapshot/options/AAPL"),
    "chain downloaded": (chain, "/v3/snapshot/options/AAPL"),
    "contract now": (one(Result[ContractSnapshot]), "/v3/snapshot/options/AAPL/"),
    "snapshots": (one(Results[Snapshot]), "/v3/snapshot"),
    "quotes of tickers": (lambda body: market(body).quotes(["AAPL"]), SNAPSHOT),
    "ticker": (one(Result[TickerDetails]), "/v3/reference/tickers/"),
    "market now": (one(MarketStatus), "/v1/marketstatus/now"),
    "holidays": (one(list[Holiday]), "/v1/marketstatus/upcoming"),
    "codes": (one(Results[Code]), "/v3/reference/conditions"),
    "refusals": (refused, NEWS),
}


def short(node: Any) -> Any:
    """Return a document with at most two of each list: what is spoilt is small, and often hit."""
    if isinstance(node, dict):
        return {name: short(value) for name, value in node.items()}
    if isinstance(node, list):
        return [short(value) for value in (node if len(node) < 3 else [node[0], node[-1]])]
    return node


def document(source: str | bytes) -> bytes:
    """Return a good reply: the first published one whose request begins so."""
    if isinstance(source, bytes):
        return source
    known = dict(MOCKS)
    for path, bodies in OPENAPI.items():
        known[path.removeprefix("GET ")] = bodies.get("200 application/json")
    body = next(body for path, body in known.items() if path.startswith(source) and body)
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "next_url"}
    return json.dumps(short(body)).encode()


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_replies(spoilt: Callable[[bytes, int], Iterator[bytes]], name: str) -> None:
    target, source = TARGETS[name]
    good = document(source)
    target(good)
    for body in spoilt(good, COPIES):
        try:
            target(body)
        except TradingError as error:
            assert "\n" not in str(error), body  # noqa: PT017 - one sentence
        except Exception as error:  # noqa: BLE001 - shows the reply that does it
            pytest.fail(f"{type(error).__name__}: {error} from {body!r}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=2_000 if COPIES > 1_000 else 15, deadline=None)
@given(node=json_values)
def test_any_json(name: str, node: Any) -> None:
    target, _ = TARGETS[name]
    try:
        target(json.dumps(node).encode())
    except TradingError:
        return
