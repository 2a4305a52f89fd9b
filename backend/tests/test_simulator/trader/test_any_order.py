"""Whatever a client sends is taken or refused in a sentence: nothing makes the simulator fail."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.schwab_order_terms import (
    Duration,
    Instruction,
    OrderStrategy,
    Session,
    WireAsset,
    WireOrderType,
)
from simulator.wire_errors import Refusal

WINDOW = {"fromEnteredTime": "2026-11-01T00:00:00Z", "toEnteredTime": "2026-12-31T00:00:00Z"}
EXAMPLES = 5000 if os.environ.get("PROVE") else 150
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1", "1.005", "0.00001", "1e400", "NaN", "999999999999.99", "-0", "\uff11"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
NUMBERS = st.one_of(st.sampled_from(["10.00", 10, 0.5, "0.1234", 100, 1]), JUNK)


def words(kind: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from([one.value for one in kind]), JUNK)


SYMBOLS = st.one_of(
    st.sampled_from(
        [
            "AAPL",
            "BRK/B",
            "$SPX",
            "QQQ   261218C00776000",
            "QQQ   261218P00776000",
            "SPXW  261127P06000000",
            "      261218C00776000",
            "QQQ   269999C00776000",
            "QQQ   261218C00000000",
        ]
    ),
    JUNK,
)
LEGS = st.fixed_dictionaries(
    {
        "instruction": words(Instruction),
        "quantity": NUMBERS,
        "instrument": st.one_of(
            st.fixed_dictionaries({"symbol": SYMBOLS, "assetType": words(WireAsset)}), JUNK
        ),
    }
)
FLAT = st.fixed_dictionaries(
    {
        "orderType": words(WireOrderType),
        "session": words(Session),
        "duration": words(Duration),
        "orderStrategyType": words(OrderStrategy),
        "orderLegCollection": st.one_of(st.lists(LEGS, max_size=3), JUNK),
    },
    optional={
        "price": NUMBERS,
        "stopPrice": NUMBERS,
        "stopPriceOffset": NUMBERS,
        "quantity": NUMBERS,
        "priceLinkBasis": st.one_of(st.just("TRIGGER"), JUNK),
        "complexOrderStrategyType": st.one_of(st.just("VERTICAL"), JUNK),
    },
)
ORDERS = st.recursive(
    FLAT,
    lambda below: st.builds(
        lambda order, children: order | {"childOrderStrategies": children},
        FLAT,
        st.lists(below, max_size=2),
    ),
    max_leaves=4,
)


@pytest.mark.parametrize("operation", ["place", "preview"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=ORDERS)
def test_any_order_is_answered(operation: str, body: Any, broker: Any) -> None:
    refusal = refused(broker, operation, body)
    assert refusal is None or plain(refusal)


def refused(broker: Any, operation: str, body: Any) -> Refusal | None:
    """Send an order; return how it is refused, None where it is taken."""
    try:
        reply = broker.call(getattr(broker.api, operation), json.dumps(body).encode())
    except Refusal as refusal:
        return refusal
    assert reply.status in {200, 201}
    return None


def plain(refusal: Refusal) -> bool:
    """Tell a 400 with one sentence."""
    message = refusal.body["message"]
    return refusal.status == 400 and bool(message) and "\n" not in message


GOOD = st.one_of(
    st.builds(
        lambda kind, price, stop, side, units: {
            "orderType": kind,
            "session": "NORMAL",
            "duration": "DAY",
            "orderStrategyType": "SINGLE",
            "price": price,
            "stopPrice": stop,
            "stopPriceOffset": 1,
            "orderLegCollection": [
                {
                    "instruction": side,
                    "quantity": units,
                    "instrument": {"symbol": "AAPL", "assetType": "EQUITY"},
                }
            ],
        },
        st.sampled_from([one.value for one in WireOrderType]),
        st.sampled_from(["1.00", "340.00", "900.00", "0", "123456789.12"]),
        st.sampled_from(["1.00", "340.00", "900.00"]),
        st.sampled_from(["BUY", "SELL", "SELL_SHORT", "BUY_TO_COVER"]),
        st.sampled_from([1, 10, 1000, 10**9, 10**12]),
    )
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=GOOD)
def test_any_order_for_shares_is_answered(body: Any, broker: Any) -> None:
    refusal = refused(broker, "place", body)
    if refusal is not None:
        assert plain(refusal)
        return
    broker.seconds += 1
    newest = WINDOW | {"maxResults": "1"}
    (shown,) = broker.ask(broker.api.orders, query=newest)
    assert shown["status"] in {
        "FILLED",
        "WORKING",
        "REJECTED",
        "AWAITING_STOP_CONDITION",
    }
    broker.ask(broker.api.accounts, query={"fields": "positions"})
