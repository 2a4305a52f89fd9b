"""ACCT_ACTIVITY: captured events, replaced, canceled, rejected and multi-leg orders, in any order."""

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.events import Fill, OrderUpdate
from models.order_terms import OrderStatus, Side
from schwab_integration.stream_activity import ActivityReader, _decimal
from schwab_integration.stream_decode import StreamDecoder
from schwab_integration.stream_wire import Activity

T = 1_795_201_200_000


def message(order: str, kind: str, body: dict[str, Any] | None = None) -> Activity:
    base = {"EventType": kind, f"{kind}Event": {"EventType": kind, **(body or {})}}
    data = json.dumps({"SchwabOrderID": order, "AccountNumber": "1", "BaseEvent": base})
    return Activity(kind, msgspec.Raw(msgspec.json.encode(data)), "1", 0, T)


def fill(leg: str, execution: str, *, left: str = "", symbol: str = "QQQ") -> dict[str, Any]:
    return {
        "LegId": leg,
        "LegStatus": "LegOpen" if left else "LegClosed",
        "QuantityInfo": {
            "CumulativeQuantity": {"lo": "2000000", "signScale": 12},
            "LeavesQuantity": {"lo": left or "0", "signScale": 12},
        },
        "ExecutionInfo": {
            "ExecutionId": execution,
            "ExecutionTransType": "Fill",
            "ExecutionQuantity": {"lo": "1000000", "signScale": 12},
            "ExecutionPrice": {"lo": "1250000", "signScale": 12},
            "ExecutionTimeStamp": {"DateTimeString": "2026-03-09 09:30:00.250"},
        },
        "OrderInfoForTransactionPosting": {"Symbol": symbol, "BuySellCode": "Buy"},
    }


def read(reader: ActivityReader, *messages: Activity) -> list[OrderUpdate]:
    return [update for each in messages for update in reader.read(each)]


def statuses(updates: list[OrderUpdate], order: str) -> list[OrderStatus]:
    return [update.status for update in updates if update.order_id == order]


def test_the_captured_order_with_every_message_twice(data: Path) -> None:
    lines = (data / "stream/schwab_acct_activity_2024-09-10.jsonl").read_bytes().splitlines()
    decoder, reader = StreamDecoder(), ActivityReader()
    found = [
        update
        for line in lines
        for message in decoder.decode(line).activity * 2
        for update in reader.read(message)
    ]
    assert [update.status for update in found] == ["SUBMITTED", "WORKING", "FILLED"]
    assert found[-1] == OrderUpdate(
        order_id="1000000000001",
        client_order_id=None,
        status=OrderStatus.FILLED,
        time_ns=1_725_981_983_279_000_000,  # 11:26:23.279 in New York
        filled_quantity=Decimal(1),
        fills=(
            Fill(
                execution_id="20240910-EST-ngOMS-10000000002",
                symbol="IWM   240913C00211000",
                side=Side.SELL,
                quantity=Decimal(1),
                price=Decimal("1.18"),
                time_ns=1_725_981_983_279_000_000,
                fees=Decimal("0.66"),
            ),
        ),
    )
    assert reader.duplicates == 6
    assert not reader.unknown


def test_partial_fills_until_the_last() -> None:
    updates = read(
        ActivityReader(),
        message("7", "OrderFillPartial", fill("7", "e1", left="1000000")),
        message("7", "OrderFillCompleted", fill("7", "e2")),
    )
    assert [update.status for update in updates] == ["PARTIALLY_FILLED", "FILLED"]
    assert [each.execution_id for update in updates for each in update.fills] == ["e1", "e2"]
    assert updates[0].fills[0].time_ns == 1_773_063_000_250_000_000  # daylight time since a day


@pytest.mark.parametrize("known", [True, False])
def test_several_legs_are_filled_when_the_last_one_is(known: bool) -> None:
    legs = {"Order": {"Order": {"OrderLegs": [{"LegID": "71"}, {"LegID": "72"}]}}}
    reader = ActivityReader()
    if known:
        read(reader, message("7", "OrderCreated", legs))
    updates = read(
        reader,
        message("7", "OrderFillCompleted", fill("71", "e1")),
        message("7", "OrderFillCompleted", fill("72", "e2")),
    )
    # Who joined too late to see the legs is never told that the order is done: Schwab is asked.
    last = OrderStatus.FILLED if known else OrderStatus.PARTIALLY_FILLED
    assert [update.status for update in updates] == [OrderStatus.PARTIALLY_FILLED, last]
    assert all(update.filled_quantity is None for update in updates)


@pytest.mark.parametrize("seed", range(6))
def test_a_replaced_order_ends_replaced_whatever_the_order_of_events(seed: int) -> None:
    events = [
        message("8", "ChangeCreated", {"Order": {"ParentSchwabOrderID": "7"}}),
        message("7", "CancelAccepted", {"Legs": [{"ChangedNewSchwabOrderId": "8"}]}),
        message("8", "ChangeAccepted"),
        message("7", "ExecutionRequested", {"RouteRequestedType": "Cancel"}),
        message("7", "ExecutionCreated", {"ExecutionInfo": {"ExecutionTransType": "UROut"}}),
        message("7", "OrderUROutCompleted", {"LegSubStatus": "LegSubStatusCancelled"}),
    ]
    random.Random(seed).shuffle(events)
    updates = read(ActivityReader(), *events)
    ends = [status for status in statuses(updates, "7") if status.terminal]
    assert ends[-1] is OrderStatus.REPLACED
    assert set(statuses(updates, "8")) == {OrderStatus.SUBMITTED, OrderStatus.WORKING}


@pytest.mark.parametrize(
    ("sub_status", "status"),
    [
        ("LegSubStatusCancelled", OrderStatus.CANCELED),
        ("LegSubStatusRejected", OrderStatus.REJECTED),
        ("LegSubStatusExpired", OrderStatus.EXPIRED),
    ],
)
def test_how_an_order_is_out(sub_status: str, status: OrderStatus) -> None:
    body = {"LegSubStatus": sub_status, "Why": [{"RejectReason": "no buying power"}]}
    (update,) = read(ActivityReader(), message("7", "OrderUROutCompleted", body))
    assert update.status is status
    assert update.reason == "no buying power"
    assert update.time_ns == T * 10**6


@pytest.mark.parametrize(
    ("kind", "data", "counted"),
    [
        ("SUBSCRIBED", '""', {}),
        ("", '"Feature not supported"', {"prose": 1}),
        ("OrderCreated", '"{"', {"OrderCreated": 1}),
        ("OrderCreated", "[]", {"OrderCreated": 1}),
        ("OrderAccepted", "", {"OrderAccepted": 1}),
        ("TeaServed", '{"SchwabOrderID":"7","BaseEvent":{"X":{}}}', {"TeaServed": 1}),
        ("OrderFillCompleted", '{"SchwabOrderID":"7","BaseEvent":1}', {"OrderFillCompleted": 1}),
    ],
)
def test_what_is_no_event_is_counted(kind: str, data: str, counted: dict[str, int]) -> None:
    reader = ActivityReader()
    raw = msgspec.Raw(data.encode())
    assert reader.read(Activity(kind, raw, "", 0, T)) == []
    assert reader.unknown == counted


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({"lo": "221230000", "signScale": 12}, "221.23"),
        ({"lo": "3750000", "signScale": 13}, "-3.75"),
        ({"signScale": 12}, "0"),
        ({"lo": "200"}, "200"),
        ({"lo": 5, "signScale": 2}, "0.5"),
        ({"lo": "8589934592", "signScale": 0}, "8589934592"),
        ({"lo": "1", "hi": "1"}, "18446744073709551617"),
        ({}, "0"),
    ],
)
def test_decimals_of_dot_net(wire: dict[str, Any], value: str) -> None:
    assert _decimal(wire) == Decimal(value)


@pytest.mark.parametrize(
    "wire", [None, 5, {"lo": "x"}, {"lo": "1", "signScale": 400}, {"lo": "-1"}]
)
def test_what_is_no_decimal(wire: Any) -> None:
    assert _decimal(wire) is None


def test_no_account_number_in_what_a_log_may_show() -> None:
    assert "12345678" not in repr(Activity("OrderCreated", msgspec.Raw(b"1"), "12345678", 1, T))
