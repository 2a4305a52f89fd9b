"""Account activity of what no capture shows, and what our own client makes of every message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from models.order_terms import OrderStatus
from schwab_integration.stream_activity import ActivityReader
from schwab_integration.stream_wire import Activity
from simulator.activity import ExchangeFeed, messages
from simulator.activity_values import decimal, moment, whole


def told(broker: Any) -> list[Any]:
    """Messages since the last call."""
    prices, now = broker.exchange.prices, broker.exchange.now
    return [one for event in broker.events() for one in messages(event, prices, now)]


def inner(message: Any) -> dict[str, Any]:
    base = json.loads(message.body)["BaseEvent"]
    (name,) = set(base) - {"EventType"}
    found: dict[str, Any] = base[name]
    return found


def updates(reader: ActivityReader, said: list[Any]) -> list[Any]:
    return [
        update
        for one in said
        for update in reader.read(
            Activity(
                message_type=one.kind,
                message_data=msgspec.Raw(msgspec.json.encode(one.body)),
                account_number=one.account_number,
            )
        )
    ]


def last_status(reader: ActivityReader, said: list[Any]) -> dict[str, OrderStatus]:
    return {update.order_id: update.status for update in updates(reader, said)}


def test_an_order_in_parts_is_told_execution_by_execution(broker: Any, forms: Any) -> None:
    traded = [one for one in broker.contracts() if one["bid"]]
    contract = min(traded, key=lambda one: one["ask_size"] * one["ask"])
    many = 3 * contract["ask_size"]
    number = broker.place(forms.order(contract["occ_symbol"], "BUY_TO_OPEN", many))
    said = told(broker)
    for _ in range(60):
        if broker.status(number) == "FILLED":
            break
        broker.pass_time(minutes=1)
        said += told(broker)
    fills = [one for one in said if "Fill" in one.kind]
    assert [one.kind for one in fills[:-1]] == ["OrderFillPartial"] * (len(fills) - 1)
    assert len(fills) > 1
    counts = [inner(one)["QuantityInfo"]["CumulativeQuantity"]["lo"] for one in fills]
    assert counts == sorted(counts, key=int)
    reader = ActivityReader()
    read = updates(reader, said)
    assert sum(fill.quantity for one in read for fill in one.fills) == sum(
        Decimal(inner(one)["ExecutionInfo"]["ExecutionQuantity"]["lo"]) / 10**6 for one in fills
    )
    assert OrderStatus.PARTIALLY_FILLED in {one.status for one in read}
    assert not reader.unknown


def test_a_day_orders_end_is_told_as_expiry(broker: Any, forms: Any) -> None:
    number = broker.place(forms.limit("AAPL", "BUY", 10, "100.00"))
    reader = ActivityReader()
    updates(reader, told(broker))
    broker.pass_time(hours=6)
    said = told(broker)
    assert [one.kind for one in said] == ["OrderUROutCompleted"]
    assert inner(said[0])["LegSubStatus"] == "LegSubStatusExpired"
    assert last_status(reader, said) == {str(number): OrderStatus.EXPIRED}


def test_a_siblings_fill_cancels_by_the_system(broker: Any, forms: Any) -> None:
    far = forms.limit("AAPL", "BUY", 10, "100.00")
    broker.place(forms.pair(far, forms.limit("AAPL", "BUY", 10, f"{broker.last() + 5:.2f}")))
    said = told(broker)
    outs = [inner(one) for one in said if one.kind == "OrderUROutCompleted"]
    assert [out["OutCancelType"] for out in outs] == ["SystemCancel"]
    statuses = sorted(last_status(ActivityReader(), said).values())
    assert statuses == [OrderStatus.CANCELED, OrderStatus.FILLED]


def test_our_client_reads_a_replacement_a_spread_and_a_rejection(broker: Any, forms: Any) -> None:
    reader = ActivityReader()
    old = broker.place(forms.limit("AAPL", "BUY", 10, "100.00"))
    reply = broker.call(broker.api.replace, forms.limit("AAPL", "BUY", 12, "101.00"), order_id=old)
    new = reply.location.rsplit("/", 1)[1]
    assert last_status(reader, told(broker)) == {
        str(old): OrderStatus.REPLACED,
        new: OrderStatus.WORKING,
    }
    first, second = (one["occ_symbol"] for one in broker.contracts()[:2])
    legs = (first, "BUY_TO_OPEN", 1), (second, "SELL_TO_OPEN", 1)
    number = broker.place(forms.spread("NET_DEBIT", "9.00", *legs))
    read = updates(reader, told(broker))
    assert read[-1].status is OrderStatus.FILLED
    assert read[-1].order_id == str(number)
    assert {fill.symbol for one in read for fill in one.fills} == {first, second}
    number = broker.place(forms.limit("AAPL", "BUY", 900_000, "300.00"))
    (*_, last) = updates(reader, told(broker))
    assert (last.order_id, last.status) == (str(number), OrderStatus.REJECTED)
    assert "insufficient funds" in last.reason
    assert not reader.unknown


def test_fees_told_are_those_of_the_transaction(broker: Any, forms: Any) -> None:
    symbol = broker.contracts()[0]["occ_symbol"]
    broker.place(forms.order(symbol, "BUY_TO_OPEN", 3))
    said = [one for one in told(broker) if one.kind == "OrderFillCompleted"]
    (fill,) = [fill for one in updates(ActivityReader(), said) for fill in one.fills]
    assert fill.fees == pytest.approx(3 * Decimal("0.65"), abs=Decimal("0.20"))
    assert broker.cash() == Decimal(100_000) - 100 * 3 * fill.price - fill.fees


def test_a_feed_begins_with_its_opening_and_ends_with_its_closing(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 1))
    feed = ExchangeFeed(broker.exchange, "demo")
    broker.place(forms.order("AAPL", "BUY", 1))
    assert [one.kind for one in feed.told(feed.taken())][-1] == "OrderFillCompleted"
    assert feed.taken() == []
    feed.close()
    broker.place(forms.order("AAPL", "BUY", 1))
    assert feed.taken() == []


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("221.23", {"lo": "221230000", "signScale": 12}),
        ("-1.5", {"lo": "1500000", "signScale": 13}),
        ("0", {"signScale": 12}),
        ("99999999999.999999", {"lo": "99999999999999999", "signScale": 12}),
        ("0.0000004", {"signScale": 12}),
    ],
)
def test_decimals_are_written_as_net_does(value: str, wire: dict[str, object]) -> None:
    assert decimal(Decimal(value)) == wire


def test_times_are_new_yorks_and_sizes_whole() -> None:
    at = datetime(2026, 7, 1, 13, 30, 0, 123456, tzinfo=UTC)
    assert moment(int(at.timestamp() * 1_000_000) * 1000) == {
        "DateTimeString": "2026-07-01 09:30:00.123"
    }
    assert whole(120) == {"lo": "120"}
    assert decimal(Decimal("1.18"), odd=True) == {"lo": "1180000", "signScale": 13}
