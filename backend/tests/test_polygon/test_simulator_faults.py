"""What our client makes of each fault of the simulated service: true data, or one error of the house."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from models.errors import (
    AuthError,
    BadReply,
    NotEntitled,
    NotFound,
    RateLimited,
    TradingError,
    Unavailable,
)
from polygon_integration.client import PolygonClient
from polygon_integration.config import PolygonSettings
from polygon_integration.historic_options import download_equity_bars
from simulator.pytest_plugin import MarketSimulator, running
from utils.http import Patience
from utils.rate_limit import RateLimiter

START, END = datetime(2026, 11, 19, 14, tzinfo=UTC), datetime(2026, 11, 19, 22, tzinfo=UTC)
KEYS = ["ts", "session", "volume"]
PRICES = ["open", "high", "low", "close"]

Bars = Callable[[], pl.DataFrame]


@pytest.fixture(scope="module")
def started() -> Iterator[MarketSimulator]:
    with running(["--clock", "2026-11-20T12:00", "--speed", "0"]) as simulator:
        yield simulator


@pytest.fixture
def simulator(started: MarketSimulator) -> Iterator[MarketSimulator]:
    yield started
    started.clear_faults()


@pytest.fixture
def bars(started: MarketSimulator) -> Iterator[Bars]:
    """Download a session's minutes by a client that asks three times."""
    said = started.status
    settings = PolygonSettings(api_key=SecretStr(said.polygon_key), base_url=said.polygon)
    patience = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
    with PolygonClient(settings, limiter=RateLimiter(10_000), patience=patience) as client:
        yield lambda: download_equity_bars(client, "QQQ", START, END, "1m", origin="simulator")


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "status", "status": 503, "count": 2},
        {"fault": "status", "status": 500, "count": 2},
        {"fault": "status", "status": 429, "retry_after_s": 0, "count": 2},
        {"fault": "reset", "count": 2},
        {"fault": "lost_reply", "count": 2},
        {"fault": "half_body", "count": 2},
        {"fault": "latency", "delay_s": 0.2, "count": 2},
        {"fault": "duplicate"},
    ],
    ids=lambda fault: f"{fault['fault']} {fault.get('status', '')}".strip(),
)
def test_what_passes_leaves_no_trace(
    simulator: MarketSimulator, bars: Bars, fault: dict[str, Any]
) -> None:
    true = bars()
    assert true.height == 390
    armed = simulator.fault(target="polygon.rest.aggs", **fault)
    assert bars().equals(true)
    assert armed["left"] == fault.get("count")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "status", "status": 503}, Unavailable),
        ({"fault": "status", "status": 429}, RateLimited),
        ({"fault": "status", "status": 401}, AuthError),
        ({"fault": "status", "status": 403}, NotEntitled),
        ({"fault": "status", "status": 404}, NotFound),
        ({"fault": "reset"}, Unavailable),
        ({"fault": "half_body"}, Unavailable),
        ({"fault": "renamed"}, BadReply),
    ],
    ids=lambda fault: (
        f"{fault['fault']} {fault.get('status', '')}".strip() if isinstance(fault, dict) else None
    ),
)
def test_what_stays_is_one_error(
    simulator: MarketSimulator, bars: Bars, fault: dict[str, Any], kind: type[TradingError]
) -> None:
    simulator.fault(target="polygon.rest", **fault)
    with pytest.raises(kind) as told:
        bars()
    assert "\n" not in str(told.value)
    simulator.clear_faults()
    assert bars().height == 390


def test_another_session_is_never_taken_for_the_one_that_was_asked(
    simulator: MarketSimulator, bars: Bars
) -> None:
    simulator.fault(target="polygon.rest.aggs", fault="stale")
    assert bars().is_empty()


def test_a_session_without_rows_is_empty_and_no_error(
    simulator: MarketSimulator, bars: Bars
) -> None:
    simulator.fault(target="polygon.rest.aggs", fault="empty")
    assert bars().is_empty()


def test_prices_that_disagree_are_taken_as_they_are_told(
    simulator: MarketSimulator, bars: Bars
) -> None:
    true = bars()
    simulator.fault(target="polygon.rest", fault="disagree", by=0.002)
    off = bars()
    assert off.select(KEYS).equals(true.select(KEYS))
    for name in PRICES:
        ratio = (off[name].cast(pl.Float64) / true[name].cast(pl.Float64)).to_list()
        assert ratio == pytest.approx([1.002] * 390, abs=1e-6)
