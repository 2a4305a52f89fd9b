"""What happens to orders, as the streamer tells it, and the faults of that."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CAPTURED = Path(__file__).parents[2] / "data/stream/schwab_acct_activity_2024-09-10.jsonl"
CALL = "QQQ   261127C00770000"
HIGHER = "QQQ   261127C00775000"
ROUTED = ["ExecutionRequested", "ExecutionRequestCreated", "ExecutionRequestCompleted"]
NEW = ["OrderCreated", "OrderAccepted", *ROUTED]
OUT = ["ExecutionRequested", "ExecutionRequestCompleted", "ExecutionCreated", "OrderUROutCompleted"]


def order(kind: str, *legs: tuple[str, int, str], **terms: Any) -> dict[str, Any]:
    asset = {21: "OPTION"}
    return {
        "session": "NORMAL",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderType": kind,
        **terms,
        "orderLegCollection": [
            {
                "instruction": instruction,
                "quantity": quantity,
                "instrument": {"symbol": symbol, "assetType": asset.get(len(symbol), "EQUITY")},
            }
            for instruction, quantity, symbol in legs
        ],
    }


BUY = order("MARKET", ("BUY", 10, "AAPL"))
FAR = order("LIMIT", ("BUY_TO_OPEN", 1, CALL), price="0.50")


class Trader:
    """An account, and a connection that listens to it."""

    def __init__(self, simulator: Any, client: Any) -> None:
        self.simulator = simulator
        self.client = client
        self.seq: list[int] = []
        numbers = simulator.get("/trader/v1/accounts/accountNumbers", client.token).json()
        self.orders = f"/trader/v1/accounts/{numbers[0]['hashValue']}/orders"

    def call(self, method: str, path: str = "", body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.client.token}"}
        url = f"{self.simulator.http}{self.orders}{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=15)

    def place(self, wanted: dict[str, Any], replaces: str = "") -> str:
        method, path = ("PUT", f"/{replaces}") if replaces else ("POST", "")
        reply = self.call(method, path, wanted)
        assert reply.status_code == 201, reply.text
        return str(reply.headers["Location"].rpartition("/")[2])

    def events(self, count: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Take events until there are so many: type, order id, the inner body."""
        found: list[tuple[str, str, dict[str, Any]]] = []
        while len(found) < count:
            part = self.client.data()
            assert part["service"] == "ACCT_ACTIVITY"
            for item in part["content"]:
                self.seq.append(item["seq"])
                if item["2"] == "SUBSCRIBED":
                    assert (item["1"], item["3"]) == ("", "")
                    continue
                data = json.loads(item["3"])
                base = data["BaseEvent"]
                assert item["1"] == data["AccountNumber"] == "10000001"
                assert base["EventType"] == item["2"]
                (name,) = set(base) - {"EventType"}
                assert name.startswith(f"{item['2']}Event")
                found.append((item["2"], data["SchwabOrderID"], base[name]))
        assert len(found) == count, [kind for kind, _, _ in found]
        return found

    def kinds(self, count: int) -> list[str]:
        return [kind for kind, _, _ in self.events(count)]


@pytest.fixture
def trader(simulator: Any, client: Any) -> Iterator[Trader]:
    one = Trader(simulator, client)
    fields = {"keys": "Account Activity", "fields": "0,1,2,3"}
    assert client.ask("ACCT_ACTIVITY", "SUBS", **fields)["code"] == 0
    yield one
    assert all(later == earlier + 1 for earlier, later in pairwise(one.seq))


def value(wire: dict[str, Any]) -> Decimal:
    return Decimal(wire.get("lo", "0")).scaleb(-(wire.get("signScale", 0) >> 1))


def test_a_new_order_and_its_fill(trader: Trader) -> None:
    number = trader.place(BUY)
    events = trader.events(6)
    assert [kind for kind, _, _ in events] == [*NEW, "OrderFillCompleted"]
    assert {order_id for _, order_id, _ in events} == {number}
    fill = events[-1][2]
    assert value(fill["QuantityInfo"]["CumulativeQuantity"]) == 10
    assert fill["QuantityInfo"]["LeavesQuantity"] == {"signScale": 12}
    kept = trader.call("GET", f"/{number}").json()
    price = kept["orderActivityCollection"][0]["executionLegs"][0]["price"]
    assert value(fill["ExecutionInfo"]["ExecutionPrice"]) == Decimal(str(price))
    assert fill["ExecutionInfo"]["ExecutionTimeStamp"]["DateTimeString"].startswith("2026-11-20 ")
    assert fill["OrderInfoForTransactionPosting"]["BuySellCode"] == "Buy"


def test_a_replacement_and_a_cancellation(trader: Trader) -> None:
    first = trader.place(FAR)
    assert trader.kinds(5) == NEW
    second = trader.place(FAR | {"price": "0.55"}, first)
    events = trader.events(10)
    assert [kind for kind, order_id, _ in events if order_id == second] == [
        "ChangeCreated",
        "ChangeAccepted",
        *ROUTED,
    ]
    assert [kind for kind, order_id, _ in events if order_id == first] == ["CancelAccepted", *OUT]
    bodies = {(kind, order_id): body for kind, order_id, body in events}
    request = bodies["CancelAccepted", first]["LegCancelRequestInfoList"][0]
    assert request["ChangedNewSchwabOrderId"] == second
    created = bodies["ChangeCreated", second]["Order"]
    assert created["ParentSchwabOrderID"] == first
    assert created["Order"]["LifecycleSchwabOrderID"] == first
    assert trader.call("DELETE", f"/{second}").status_code == 200
    events = trader.events(5)
    assert [kind for kind, _, _ in events] == ["CancelAccepted", *OUT]
    assert events[-1][2]["OutCancelType"] == "ClientCancel"
    assert events[-1][2]["LegSubStatus"] == "LegSubStatusCancelled"


def test_a_spread_fills_leg_by_leg(trader: Trader) -> None:
    legs = ("BUY_TO_OPEN", 2, CALL), ("SELL_TO_OPEN", 2, HIGHER)
    trader.place(order("NET_DEBIT", *legs, price="5.00"))
    events = trader.events(7)
    assert [kind for kind, _, _ in events] == [*NEW, "OrderFillCompleted", "OrderFillCompleted"]
    created = events[0][2]["Order"]["Order"]["AssetOrderEquityOrderLeg"]["OrderLegs"]
    fills = [body for _, _, body in events[-2:]]
    assert [leg["LegID"] for leg in created] == [fill["LegId"] for fill in fills]
    symbols = [fill["OrderInfoForTransactionPosting"]["Symbol"] for fill in fills]
    assert symbols == [CALL, HIGHER]
    charged = [value(fill["ExecutionInfo"]["ActualChargedCommissionAmount"]) for fill in fills]
    assert charged == [Decimal("1.30"), Decimal("1.30")]


def test_a_rejection_ends_in_an_out_with_the_brokers_words(trader: Trader) -> None:
    trader.place(order("LIMIT", ("BUY", 90_000, "AAPL"), price="300.00"))
    events = trader.events(2)
    assert [kind for kind, _, _ in events] == ["OrderCreated", "OrderUROutCompleted"]
    assert events[-1][2]["LegSubStatus"] == "LegSubStatusRejected"
    assert "insufficient funds" in events[-1][2]["RejectReason"]


def test_an_option_order_has_the_shape_of_the_captured_frames(trader: Trader) -> None:
    captured = {}
    for line in CAPTURED.read_text().splitlines():
        for item in json.loads(line)["data"][0]["content"]:
            text = item["3"]
            captured[item["2"]] = json.loads(text) if isinstance(text, str) else text
    trader.place(order("MARKET", ("BUY_TO_OPEN", 1, CALL)))
    trader.events(6)
    trader.place(order("LIMIT", ("SELL_TO_CLOSE", 1, CALL), price="0.50"))
    missing = {}
    for kind, _, body in trader.events(6):
        base = captured[kind]["BaseEvent"]
        (name,) = set(base) - {"EventType"}
        missing[kind] = paths(base[name]) ^ paths(body)
    assert {kind: names for kind, names in missing.items() if names} == MISSING


MISSING = {
    "OrderCreated": {
        ".Order.Order.AssetOrderEquityOrderLeg.CommissionInfo.EstimatedCommissionAmount",
        ".Order.Order.AssetOrderEquityOrderLeg.CommissionInfo.EstimatedPrincipalAmount",
        ".Order.Order.AssetOrderEquityOrderLeg.OrderLegs.EstimatedNetAmount",
        ".Order.Order.AssetOrderEquityOrderLeg.OrderLegs.EstimatedPrincipalAmnt",
    }
}
"""What we leave out: estimates of the order's value."""


def paths(value: Any, at: str = "") -> set[str]:
    """Names of all keys of a body, decimals and times taken as one."""
    if isinstance(value, list):
        return set().union(*(paths(each, at) for each in value))
    if not isinstance(value, dict) or {"lo", "signScale", "DateTimeString"} & set(value):
        return {at}
    return {at}.union(*(paths(inner, f"{at}.{name}") for name, inner in value.items()))


def test_only_the_accounts_own_user_hears_of_it(trader: Trader, opened: Callable[..., Any]) -> None:
    other = opened("second")
    other.login()
    other.ask("ACCT_ACTIVITY", "SUBS", keys="Account Activity", fields="0,1,2,3")
    assert other.data()["content"][0]["2"] == "SUBSCRIBED"
    trader.place(BUY)
    trader.events(6)
    with pytest.raises(TimeoutError):
        other.data(1.5)


def test_a_fill_comes_twice(trader: Trader) -> None:
    trader.simulator.fault("schwab.streamer.activity", "duplicate_fill", count=1)
    trader.place(BUY)
    events = trader.events(7)
    assert [kind for kind, _, _ in events] == [*NEW, "OrderFillCompleted", "OrderFillCompleted"]
    assert events[-1] == events[-2]


def test_a_fill_is_missing(trader: Trader) -> None:
    trader.simulator.fault("schwab.streamer.activity", "missing_fill", count=1)
    number = trader.place(BUY)
    assert trader.kinds(5) == NEW
    assert trader.call("GET", f"/{number}").json()["status"] == "FILLED"


def test_a_fill_is_overtaken_by_what_came_later(trader: Trader) -> None:
    match = {"event": "OrderFillCompleted"}
    trader.simulator.fault("schwab.streamer.activity", "reorder", count=1, match=match)
    first = trader.place(BUY)
    assert trader.kinds(5) == NEW
    second = trader.place(BUY)
    events = trader.events(7)
    assert [(kind, order_id) for kind, order_id, _ in events[:2]] == [
        ("OrderCreated", second),
        ("OrderFillCompleted", first),
    ]


def test_the_reply_to_an_order_is_lost_and_the_order_stands(trader: Trader) -> None:
    trader.simulator.fault("schwab.trader.place", "lost_reply", count=1)
    with pytest.raises(requests.ConnectionError):
        trader.place(FAR)
    created = trader.events(5)[0][1]
    assert trader.call("GET", f"/{created}").json()["status"] in {
        "WORKING",
        "PENDING_ACKNOWLEDGEMENT",
    }


def test_a_reset_before_the_order_arrives_leaves_none(trader: Trader) -> None:
    trader.simulator.fault("schwab.trader.place", "reset", count=1)
    with pytest.raises(requests.ConnectionError):
        trader.place(FAR)
    assert trader.client.data()["content"][0]["2"] == "SUBSCRIBED"
    with pytest.raises(TimeoutError):
        trader.client.data(1.5)
