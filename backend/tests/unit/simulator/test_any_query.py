"""Whatever is asked, the answer is a JSON object or a refusal in Schwab's form."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.recorded import RecordedWorld
from simulator.schwab_market_data import MarketData
from simulator.wire_errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 3000 if os.environ.get("PROVE") else 150
NAMES = [
    "symbols",
    "symbol",
    "fields",
    "contractType",
    "strikeCount",
    "includeUnderlyingQuote",
    "strategy",
    "interval",
    "strike",
    "range",
    "fromDate",
    "toDate",
    "volatility",
    "underlyingPrice",
    "interestRate",
    "daysToExpiration",
    "expMonth",
    "optionType",
    "periodType",
    "period",
    "frequencyType",
    "frequency",
    "startDate",
    "endDate",
    "needExtendedHoursData",
    "needPreviousClose",
    "sort",
    "markets",
    "date",
    "projection",
]
VALUES = [
    "AAPL",
    "GOOG",
    "$SPX",
    "BRK/B",
    "NOSUCH",
    "AAPL,QQQ,",
    "quote",
    "fundamental",
    "CALL",
    "PUT",
    "ALL",
    "SINGLE",
    "ANALYTICAL",
    "ITM",
    "NTM",
    "SAK",
    "NOV",
    "day",
    "month",
    "year",
    "ytd",
    "minute",
    "daily",
    "weekly",
    "monthly",
    "true",
    "False",
    "VOLUME",
    "equity,option",
    "symbol-regex",
    "fundamental",
    "search",
    "0",
    "1",
    "2",
    "5",
    "30",
    "-1",
    "-100",
    "1e300",
    "nan",
    "inf",
    "99999999999999999999",
    "2024-10-18",
    "2024-12-25",
    "0001-01-01",
    "9999-12-31",
    "1450972800000",
    "1729281600000",
    "-62135596800000",
    "(",
    "*",
    "%",
]
OPERATIONS = [
    "quotes",
    "quote",
    "chains",
    "expiration_chain",
    "price_history",
    "movers",
    "markets",
    "market",
    "instruments",
    "instrument",
]


@cache
def recorded() -> RecordedWorld:
    return RecordedWorld()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    operation=st.sampled_from(OPERATIONS),
    path=st.sampled_from(VALUES) | st.text(max_size=6),
    query=st.dictionaries(
        st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=8), max_size=8
    ),
    is_recorded=st.booleans(),
)
def test_any_query_is_answered_or_refused(
    operation: str, path: str, query: dict[str, str], is_recorded: bool, world: Any, noon: datetime
) -> None:
    early = datetime(2015, 12, 24, 17, tzinfo=UTC)
    market_data = (
        MarketData(recorded(), lambda: early) if is_recorded else MarketData(world, lambda: noon)
    )
    ask: Callable[..., bytes] = getattr(market_data, operation)
    try:
        answer = json.loads(ask(dict.fromkeys(("symbol_id", "market_id", "cusip_id"), path), query))
    except Refusal as refused:
        answer = refused.body
    assert isinstance(answer, dict)
