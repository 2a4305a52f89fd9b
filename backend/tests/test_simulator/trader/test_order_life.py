"""The life of orders: working, filled, replaced, cancelled, rejected, expired, waiting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest


def kinds(broker: Any, order_id: int) -> list[str]:
    return [event.kind.value for event in broker.events() if event.order_id == order_id]


def test_a_market_order_fills_at_once(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.order("AAPL", "BUY", 10), acknowledged=False)
    shown = broker.order(order_id)
    assert (shown["status"], shown["filledQuantity"], shown["cancelable"]) == (
        "FILLED",
        10.0,
        False,
    )
    execution = shown["orderActivityCollection"][0]["executionLegs"][0]
    assert execution["price"] == pytest.approx(broker.last(), abs=0.2)
    assert broker.positions() == {"AAPL": 10.0}
    assert kinds(broker, order_id) == ["created", "accepted", "working", "filled"]


def test_a_new_order_is_pending_acknowledgement_for_a_moment(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.limit("AAPL", "BUY", 10, "100.00"), acknowledged=False)
    assert broker.status(order_id) == "PENDING_ACKNOWLEDGEMENT"
    broker.seconds += 1
    assert broker.status(order_id) == "WORKING"


def test_a_limit_order_fills_when_the_market_comes_to_it(broker: Any, forms: Any) -> None:
    price = f"{broker.last() - 0.3:.2f}"
    order_id = broker.place(forms.limit("AAPL", "BUY", 10, price))
    assert broker.status(order_id) == "WORKING"
    for _ in range(30):
        broker.pass_time(minutes=10)
        if broker.status(order_id) == "FILLED":
            break
    shown = broker.order(order_id)
    assert shown["status"] == "FILLED"
    assert shown["orderActivityCollection"][0]["executionLegs"][0]["price"] <= float(price)
    assert shown["closeTime"] > shown["enteredTime"]


def test_replacing_gives_another_id_and_ends_the_old_order(broker: Any, forms: Any) -> None:
    old = broker.place(forms.limit("AAPL", "BUY", 10, "100.00"))
    reply = broker.call(broker.api.replace, forms.limit("AAPL", "BUY", 12, "101.00"), order_id=old)
    assert (reply.status, reply.body) == (201, b"")
    new = int(reply.location.rsplit("/", 1)[1])
    assert new > old
    broker.seconds += 1
    assert (broker.status(old), broker.status(new)) == ("REPLACED", "WORKING")
    assert broker.order(new)["quantity"] == 12.0
    events = [(one.order_id, one.kind.value, one.other_id) for one in broker.events()]
    assert events[-4:] == [
        (new, "created", old),
        (old, "replaced", new),
        (new, "accepted", None),
        (new, "working", None),
    ]


def test_cancelling_ends_an_order_with_an_activity_of_price_0(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.limit("AAPL", "BUY", 10, "100.00"))
    reply = broker.call(broker.api.cancel, order_id=order_id)
    assert (reply.status, reply.body) == (200, b"")
    (activity,) = broker.order(order_id)["orderActivityCollection"]
    assert (activity["executionType"], activity["quantity"]) == ("CANCELED", 10.0)
    assert [leg["price"] for leg in activity["executionLegs"]] == [0.0]
    last = broker.events()[-1]
    assert (last.kind.value, last.client_canceled) == ("canceled", True)


def test_what_has_ended_can_be_neither_cancelled_nor_replaced(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.order("AAPL", "BUY", 1))
    status, message = broker.refused(broker.api.cancel, order_id=order_id)
    assert (status, message) == (400, f"Order {order_id} cannot be canceled: it is FILLED")
    form = forms.limit("AAPL", "BUY", 1, "1.00")
    status, message = broker.refused(broker.api.replace, form, order_id=order_id)
    assert (status, message) == (400, f"Order {order_id} cannot be replaced: it is FILLED")


def test_want_of_money_rejects_after_the_order_was_taken(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.order("AAPL", "BUY", 100_000))
    shown = broker.order(order_id)
    assert shown["status"] == "REJECTED"
    assert shown["statusDescription"].startswith("Insufficient funds")
    assert shown["closeTime"] == shown["enteredTime"]
    assert kinds(broker, order_id) == ["created", "rejected"]


def test_an_option_level_that_forbids_it_rejects_in_the_captured_words(
    broker: Any, forms: Any
) -> None:
    near, far = (row["occ_symbol"] for row in broker.contracts("P")[:2])
    form = forms.spread("NET_CREDIT", "0.10", (near, "SELL_TO_OPEN", 1), (far, "BUY_TO_OPEN", 1))
    cash = forms.demo.accounts[1].hash
    order_id = broker.place(form, account_hash=cash)
    shown = broker.order(order_id, account_hash=cash)
    assert (shown["status"], shown["statusDescription"]) == (
        "REJECTED",
        "The account is not approved for this level of options trading.",
    )


def test_a_spread_of_an_index_off_its_tick_is_rejected_in_the_captured_words(
    broker: Any, forms: Any
) -> None:
    day = broker.now.date().replace(day=27)
    near, far = (row["occ_symbol"] for row in broker.contracts("P", "SPX", day)[:2])
    form = forms.spread("NET_CREDIT", "1.23", (near, "SELL_TO_OPEN", 1), (far, "BUY_TO_OPEN", 1))
    shown = broker.order(broker.place(form))
    assert (shown["status"], shown["statusDescription"]) == (
        "REJECTED",
        '"Spread orders for SPX options must be priced in 5-cent increments."',
    )


def test_a_day_order_expires_at_the_close(broker: Any, forms: Any) -> None:
    day = broker.place(forms.limit("AAPL", "BUY", 1, "1.00"))
    longer = broker.place(forms.limit("AAPL", "BUY", 1, "1.00", duration="GOOD_TILL_CANCEL"))
    broker.now = datetime(2026, 11, 19, 20, 59, tzinfo=UTC)
    assert broker.status(day) == "WORKING"
    broker.now = datetime(2026, 11, 19, 21, 1, tzinfo=UTC)
    assert (broker.status(day), broker.status(longer)) == ("EXPIRED", "PENDING_ACTIVATION")
    assert broker.order(day)["closeTime"] == "2026-11-19T21:00:00+0000"
    broker.now = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    assert broker.status(longer) == "WORKING"


@pytest.mark.parametrize(
    ("now", "session", "status"),
    [
        ((2026, 11, 22, 12, 0), "NORMAL", "PENDING_ACTIVATION"),
        ((2026, 11, 20, 13, 50), "NORMAL", "QUEUED"),
        ((2026, 11, 20, 13, 50), "AM", "WORKING"),
        ((2026, 11, 20, 13, 50), "SEAMLESS", "WORKING"),
        ((2026, 11, 20, 15, 0), "PM", "PENDING_ACTIVATION"),
        ((2026, 11, 20, 21, 30), "PM", "WORKING"),
        ((2026, 11, 20, 21, 30), "NORMAL", "PENDING_ACTIVATION"),
    ],
)
def test_orders_wait_for_their_session(
    now: tuple[int, ...], session: str, status: str, broker: Any, forms: Any
) -> None:
    broker.now = datetime(*now, tzinfo=UTC)  # type: ignore[misc]
    order_id = broker.place(forms.limit("AAPL", "BUY", 1, "1.00", session=session))
    assert broker.status(order_id) == status


def test_a_market_order_of_the_night_fills_after_the_open(broker: Any, forms: Any) -> None:
    broker.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    order_id = broker.place(forms.order("AAPL", "BUY", 1))
    assert broker.status(order_id) == "PENDING_ACTIVATION"
    broker.now = datetime(2026, 11, 20, 14, 32, tzinfo=UTC)
    shown = broker.order(order_id)
    assert shown["status"] == "FILLED"
    assert "2026-11-20T14:30:00+0000" <= shown["closeTime"] <= "2026-11-20T14:32:00+0000"


def test_the_first_of_a_pair_that_fills_cancels_the_other(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    low = f"{broker.last() * 0.9:.2f}"
    pair = forms.pair(
        forms.limit("AAPL", "SELL", 10, "1.00"),
        forms.order("AAPL", "SELL", 10, orderType="STOP", stopPrice=low),
    )
    shown = broker.order(broker.place(pair))
    assert shown["status"] == "FILLED"
    assert [one["status"] for one in shown["childOrderStrategies"]] == ["FILLED", "CANCELED"]
    assert broker.positions() == {}


def test_a_pair_waits_together_and_is_cancelled_together(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    pair = forms.pair(
        forms.limit("AAPL", "SELL", 10, "999.00"),
        forms.order("AAPL", "SELL", 10, orderType="STOP", stopPrice="1.00"),
    )
    order_id = broker.place(pair)
    shown = broker.order(order_id)
    assert "orderType" not in shown
    assert [one["status"] for one in shown["childOrderStrategies"]] == [
        "WORKING",
        "AWAITING_STOP_CONDITION",
    ]
    broker.call(broker.api.cancel, order_id=order_id)
    shown = broker.order(order_id)
    assert [shown["status"], *(one["status"] for one in shown["childOrderStrategies"])] == (
        ["CANCELED"] * 3
    )


def test_a_bracket_works_when_its_first_order_has_filled(broker: Any, forms: Any) -> None:
    pair = forms.pair(
        forms.limit("AAPL", "SELL", 10, "999.00"),
        forms.order("AAPL", "SELL", 10, orderType="STOP", stopPrice="1.00"),
    )
    waiting = forms.limit(
        "AAPL", "BUY", 10, "1.00", orderStrategyType="TRIGGER", childOrderStrategies=[pair]
    )
    order_id = broker.place(waiting)
    (below,) = broker.order(order_id)["childOrderStrategies"]
    assert {below["status"], *(one["status"] for one in below["childOrderStrategies"])} == {
        "AWAITING_PARENT_ORDER"
    }
    broker.call(broker.api.cancel, order_id=order_id)
    (below,) = broker.order(order_id)["childOrderStrategies"]
    assert {below["status"], *(one["status"] for one in below["childOrderStrategies"])} == {
        "CANCELED"
    }
    order_id = broker.place(waiting | {"price": "999.00"})
    shown = broker.order(order_id)
    assert shown["status"] == "FILLED"
    (below,) = shown["childOrderStrategies"]
    assert [one["status"] for one in below["childOrderStrategies"]] == [
        "WORKING",
        "AWAITING_STOP_CONDITION",
    ]


def test_replacing_an_order_of_a_pair_keeps_the_pair(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    pair = forms.pair(
        forms.limit("AAPL", "SELL", 10, "999.00"),
        forms.order("AAPL", "SELL", 10, orderType="STOP", stopPrice="1.00"),
    )
    order_id = broker.place(pair)
    first = broker.order(order_id)["childOrderStrategies"][0]["orderId"]
    reply = broker.call(broker.api.replace, forms.limit("AAPL", "SELL", 10, "1.00"), order_id=first)
    new = int(reply.location.rsplit("/", 1)[1])
    shown = broker.order(order_id)
    assert next(one["orderId"] for one in shown["childOrderStrategies"]) == new
    assert [one["status"] for one in shown["childOrderStrategies"]] == ["FILLED", "CANCELED"]
    assert broker.status(first) == "REPLACED"


def test_replacing_a_whole_bracket_cancels_and_places(broker: Any, forms: Any) -> None:
    def bracket(price: str) -> Any:
        child = forms.limit("AAPL", "SELL", 10, "999.00")
        return forms.limit(
            "AAPL", "BUY", 10, price, orderStrategyType="TRIGGER", childOrderStrategies=[child]
        )

    old = broker.place(bracket("1.00"))
    reply = broker.call(broker.api.replace, bracket("2.00"), order_id=old)
    new = int(reply.location.rsplit("/", 1)[1])
    broker.seconds += 1
    assert broker.status(old) == "REPLACED"
    assert [broker.status(new)] == ["WORKING"]
    assert broker.order(new)["childOrderStrategies"][0]["status"] == "AWAITING_PARENT_ORDER"


def test_a_fill_or_kill_order_that_cannot_fill_is_cancelled(broker: Any, forms: Any) -> None:
    form = forms.limit("AAPL", "BUY", 10, "1.00", duration="FILL_OR_KILL")
    assert broker.status(broker.place(form)) == "CANCELED"


def test_an_order_on_the_close_trades_there(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.order("AAPL", "BUY", 10, orderType="MARKET_ON_CLOSE"))
    assert broker.status(order_id) == "WORKING"
    broker.now = datetime(2026, 11, 19, 21, 0, 5, tzinfo=UTC)
    shown = broker.order(order_id)
    assert shown["status"] == "FILLED"
    assert shown["closeTime"] == "2026-11-19T21:00:00+0000"


def test_a_stop_order_waits_and_trades_when_touched(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    above = f"{broker.last() + 50:.2f}"
    form = forms.order("AAPL", "SELL", 10, orderType="STOP", stopPrice=above)
    assert broker.status(broker.place(form)) == "FILLED"


def test_an_option_that_expires_in_the_money_is_settled(broker: Any, forms: Any) -> None:
    day = broker.now.date().replace(day=20)
    deep = broker.contracts("P", "QQQ", day)[0]["occ_symbol"]
    broker.place(forms.order(deep, "BUY_TO_OPEN", 1))
    assert list(broker.positions()) == [deep]
    broker.now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    assert deep not in broker.positions()


def test_equal_calls_give_equal_replies(broker: Any, forms: Any) -> None:
    other = type(broker)()
    seen = []
    for each in (broker, other):
        each.place(forms.order("AAPL", "BUY", 10))
        each.place(forms.limit("MSFT", "BUY", 10, "1.00"))
        each.pass_time(hours=3)
        query = forms.window
        seen.append(each.ask(each.api.all_orders, query=query))
    assert seen[0] == seen[1]
    assert all(10**12 <= one["orderId"] < 10**13 for one in seen[0])


def test_an_order_over_the_displayed_size_fills_in_parts(broker: Any, forms: Any) -> None:
    contract = broker.contracts()[0]
    shown_size, wanted = contract["ask_size"], contract["ask_size"] + 10
    form = forms.limit(contract["occ_symbol"], "BUY_TO_OPEN", wanted, f"{contract['ask']:.2f}")
    order_id = broker.place(form)
    shown = broker.order(order_id)
    assert (shown["status"], shown["filledQuantity"], shown["remainingQuantity"]) == (
        "WORKING",
        shown_size,
        10.0,
    )
    assert broker.order(order_id) == shown  # looking again at the same moment trades nothing
    far = forms.limit(contract["occ_symbol"], "BUY_TO_OPEN", wanted, "0.05")
    reply = broker.call(broker.api.replace, far, order_id=order_id)
    new = broker.order(int(reply.location.rsplit("/", 1)[1]))
    assert (new["quantity"], new["filledQuantity"], new["remainingQuantity"]) == (10.0, 0.0, 10.0)
    old = broker.order(order_id)
    assert (old["status"], old["filledQuantity"]) == ("REPLACED", shown_size)
    assert [(one["executionType"], one["quantity"]) for one in old["orderActivityCollection"]] == [
        ("FILL", shown_size),
        ("CANCELED", 10.0),
    ]


def test_a_covered_call_trades_shares_and_option_together(broker: Any, forms: Any) -> None:
    call = broker.contracts()[3]["occ_symbol"]
    form = forms.spread("NET_DEBIT", f"{broker.last('QQQ') + 1:.2f}", strategy="COVERED")
    form["orderLegCollection"] = [
        forms.order("QQQ", "BUY", 100)["orderLegCollection"][0],
        forms.order(call, "SELL_TO_OPEN", 1)["orderLegCollection"][0],
    ]
    shown = broker.order(broker.place(form))
    assert (shown["status"], shown["quantity"]) == ("FILLED", 1.0)
    (activity,) = shown["orderActivityCollection"]
    assert [(leg["legId"], leg["quantity"]) for leg in activity["executionLegs"]] == [
        (1, 100.0),
        (2, 1.0),
    ]
    assert broker.positions() == {"QQQ": 100.0, call: -1.0}
