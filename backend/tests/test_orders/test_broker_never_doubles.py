import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from models.errors import OrderRejected, OrderUnknown, RiskDenied, StoreError, Unavailable
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import OrderStatus, PositionEffect, Side
from utils.shared_limit import Window
from utils.transaction_logger import Disk

Make = Callable[..., Any]


def test_an_accepted_order_is_claimed(bench: Any, order: Make) -> None:
    (update,) = bench.submit(order("a"))
    assert update.status is OrderStatus.WORKING
    assert update.client_order_id == "a"
    assert update.order_id == str(bench.exchange.of("a")[0].number)
    assert bench.broker.questions() == {}


def test_a_lost_answer_is_found_and_never_sent_again(bench: Any, order: Make) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    with pytest.raises(RiskDenied, match=r"equal order a .*not known yet: this one was not sent"):
        bench.submit(order("b"))
    (update,) = bench.wait(1.0)
    assert (update.client_order_id, update.status) == ("a", OrderStatus.WORKING)
    bench.submit(order("b"))
    assert bench.exchange.sent == ["a", "b"]
    ids = {bench.broker._records.book.order_id(name) for name in "ab"}
    assert ids == {str(entry.number) for entry in bench.exchange.book}


def test_other_orders_leave_while_one_is_unknown(bench: Any, order: Make) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    bench.submit(order("b", price="500.20"))
    assert bench.exchange.sent == ["a", "b"]


def test_an_order_that_never_arrived_is_said_to_be_absent_by_the_rule(
    bench: Any, order: Make
) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_before")
    assert bench.wait(7.9) == []
    (update,) = bench.wait(0.2)
    assert update.status is OrderStatus.REJECTED
    assert "never arrived" in update.reason
    bench.submit(order("a2"))
    assert len(bench.exchange.book) == 1


def test_too_few_lists_prove_nothing(bench: Any, order: Make) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_before")
    bench.exchange.lists_fail = True
    bench.wait(4.0)
    bench.exchange.lists_fail = False
    (update,) = bench.wait(6.0)
    assert update.status is OrderStatus.UNKNOWN
    assert "resolve('a', order id or None)" in bench.broker.questions()["a"]
    (update,) = bench.wait(20.0)  # four complete lists are together by then
    assert update.status is OrderStatus.REJECTED
    assert bench.broker.questions() == {}


def test_without_lists_a_person_is_asked_within_ten_seconds(bench: Any, order: Make) -> None:
    bench.exchange.lists_fail = True
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    (update,) = bench.wait(10.0)
    assert update.status is OrderStatus.UNKNOWN
    assert "look at Schwab's order list" in update.reason
    with pytest.raises(RiskDenied):
        bench.submit(order("b"))
    bench.exchange.lists_fail = False
    number = str(bench.exchange.of("a")[0].number)
    (update,) = bench.broker.resolve("a", number)
    assert (update.order_id, update.status) == (number, OrderStatus.WORKING)
    bench.submit(order("b"))
    with pytest.raises(OrderRejected, match="not waiting"):
        bench.broker.resolve("a", None)


def test_a_person_may_say_that_it_is_not_there(bench: Any, order: Make) -> None:
    bench.exchange.lists_fail = True
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_before")
    bench.wait(10.0)
    (update,) = bench.broker.resolve("a", None)
    assert update.status is OrderStatus.REJECTED


def test_a_person_cannot_name_an_order_that_does_not_fit(bench: Any, order: Make) -> None:
    bench.submit(order("x", symbol="SPY"))
    bench.submit(order("y"))
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_before")
    bench.exchange.lists_fail = True
    bench.wait(10.0)
    bench.exchange.lists_fail = False
    with pytest.raises(OrderRejected, match="has other legs"):
        bench.broker.resolve("a", str(bench.exchange.of("x")[0].number))
    with pytest.raises(OrderRejected, match="belongs to another order"):
        bench.broker.resolve("a", str(bench.exchange.of("y")[0].number))


@pytest.mark.parametrize("fault", ["no_location", "wrong_location"])
def test_a_missing_or_wrong_location_is_made_good_at_once(
    bench: Any, order: Make, fault: str
) -> None:
    bench.submit(order("twin"))
    (update,) = bench.submit(order("a"), fault)
    assert update.order_id == str(bench.exchange.of("a")[0].number)


def test_a_taken_order_that_no_list_shows_is_never_said_to_be_absent(
    bench: Any, order: Make
) -> None:
    bench.exchange.list_lag = 1000.0
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "no_location")
    updates = bench.wait(60.0)
    assert [update.status for update in updates] == [OrderStatus.UNKNOWN]
    assert bench.broker.questions()


def test_an_order_of_a_slow_gateway_is_found(bench: Any, order: Make) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "held6")
    (update,) = bench.wait(9.0)
    assert update.status is OrderStatus.WORKING


def test_what_arrives_after_it_was_said_to_be_absent_is_claimed_and_told(
    bench: Any, order: Make
) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "held20")
    (update,) = bench.wait(12.0)
    assert update.status is OrderStatus.REJECTED
    bench.submit(order("b"))
    bench.wait(20.0)
    updates = bench.broker.poll()
    assert [(u.client_order_id, u.status) for u in updates] == [("a", OrderStatus.WORKING)]
    number = str(bench.exchange.of("a")[0].number)
    assert bench.broker._records.book.owners[number] == "a"
    bench.broker.cancel(number)
    assert bench.exchange.of("a")[0].status == "CANCELED"
    assert bench.exchange.of("b")[0].status == "WORKING"


class TestOtherTerms:
    """An order with our symbols and quantities but other terms may be ours, changed on the way."""

    @pytest.mark.parametrize(
        "changed",
        [
            {"price": "500.11"},
            {"orderType": "MARKET"},
            {"duration": "GOOD_TILL_CANCEL"},
            {"session": "SEAMLESS"},
        ],
    )
    def test_it_is_asked_about_and_may_be_named(
        self, bench: Any, order: Make, changed: dict[str, str]
    ) -> None:
        bench.exchange.changed = changed
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "altered")
        (update,) = bench.wait(10.0)
        assert update.status is OrderStatus.UNKNOWN
        number = str(bench.exchange.of("a")[0].number)
        assert f"the order {number} has the same symbols and quantities" in update.reason
        assert bench.wait(60.0) == []  # however many lists come
        with pytest.raises(RiskDenied):
            bench.submit(order("b"))
        (update,) = bench.broker.resolve("a", number)
        assert (update.order_id, update.status) == (number, OrderStatus.WORKING)
        assert bench.broker._records.book.owners == {number: "a"}

    def test_with_location_as_well(self, bench: Any, order: Make) -> None:
        bench.exchange.changed = {"price": "500.11"}
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "altered_told")
        updates = bench.wait(20.0)
        assert [update.status for update in updates] == [OrderStatus.UNKNOWN]

    def test_the_other_direction_cannot_be_named(self, bench: Any, order: Make) -> None:
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_before")
        sold = {"instruction": "SELL", "quantity": 1, "instrument": {"symbol": "QQQ"}}
        body = {"orderStrategyType": "SINGLE", "orderType": "MARKET", "orderLegCollection": [sold]}
        hand = bench.exchange.by_hand(body)
        (update,) = bench.wait(10.0)
        assert update.status is OrderStatus.UNKNOWN
        with pytest.raises(OrderRejected, match="has other legs"):
            bench.broker.resolve("a", str(hand.number))
        (update,) = bench.broker.resolve("a", None)
        assert update.status is OrderStatus.REJECTED

    def test_another_lost_order_of_ours_is_not_asked_about(self, bench: Any, order: Make) -> None:
        bench.exchange.patience = 0.5
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_before")
        with pytest.raises(OrderUnknown):
            bench.submit(order("b", price="500.20"), "lost_after")
        updates = bench.wait(10.0)
        assert {u.client_order_id: u.status for u in updates} == {
            "a": OrderStatus.REJECTED,
            "b": OrderStatus.WORKING,
        }

    def test_a_bracket_whose_price_was_changed_can_be_named(self, bench: Any, order: Make) -> None:
        closing = {"side": Side.SELL, "effect": PositionEffect.CLOSING}
        up, down = (order(f"a-{n}", price=f"{n}.00", **closing) for n in (510, 490))
        bench.exchange.changed = {"price": "500.11"}
        with pytest.raises(OrderUnknown):
            bench.submit(
                Trigger(first=order("a"), then=OneCancelsOther(orders=(up, down))), "altered"
            )
        (entry,) = bench.exchange.of("a")
        entry.children[0].children.reverse()
        bench.wait(10.0)
        bench.broker.resolve("a", str(entry.number))
        for child in entry.children[0].children:
            name = "a-510" if child.body["price"] == "510.00" else "a-490"
            assert bench.broker._records.book.owners[str(child.number)] == name


class TestOrdersByHand:
    def test_one_that_stood_before_is_never_taken(self, bench: Any, order: Make) -> None:
        bench.submit(order("first"))
        hand = bench.exchange.by_hand(bench.exchange.of("first")[0], tag=None)
        bench.exchange.tag = None
        bench.broker.poll()
        bench.time.now += 1.0
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_before")
        (update,) = bench.wait(9.0)
        assert update.status is OrderStatus.REJECTED
        assert str(hand.number) not in bench.broker._records.book.owners

    def test_one_of_another_program_is_told_by_its_tag(self, bench: Any, order: Make) -> None:
        bench.submit(order("first"))
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_after")
        hand = bench.exchange.by_hand(bench.exchange.of("a")[0])
        (update,) = bench.wait(1.0)
        assert update.order_id == str(bench.exchange.of("a")[0].number)
        assert str(hand.number) not in bench.broker._records.book.owners

    def test_alone_in_the_window_with_another_tag_it_is_asked_about(
        self, bench: Any, order: Make
    ) -> None:
        bench.submit(order("first"))
        like = bench.exchange.of("first")[0]
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_before")
        hand = bench.exchange.by_hand(like)
        (update,) = bench.wait(10.0)
        assert update.status is OrderStatus.UNKNOWN
        assert f"the order {hand.number} has its terms" in update.reason
        bench.broker.resolve("a", None)
        assert str(hand.number) not in bench.broker._records.book.owners

    def test_two_without_tags_are_asked_about(self, bench: Any, order: Make) -> None:
        bench.exchange.tag = None
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_after")
        bench.exchange.by_hand(bench.exchange.of("a")[0], tag=None)
        (update,) = bench.wait(1.0)
        assert "2 orders have its terms" in update.reason

    def test_they_are_neither_cancelled_nor_replaced(self, bench: Any, order: Make) -> None:
        bench.submit(order("first"))
        hand = bench.exchange.by_hand(bench.exchange.of("first")[0])
        for act in (
            lambda: bench.broker.cancel(str(hand.number)),
            lambda: bench.broker.replace(str(hand.number), order("b", price="1.00")),
        ):
            with pytest.raises(OrderRejected, match="not one of ours: it is left alone"):
                act()
        assert hand.status == "WORKING"
        listed = {one.order_id: one for one in bench.broker.orders(bench.time.clock())}
        assert listed == {}
        listed = {
            one.order_id: one
            for one in bench.broker.orders(bench.time.clock() - timedelta(minutes=1))
        }
        assert listed[str(hand.number)].strategy == "external"
        assert listed[str(bench.exchange.of("first")[0].number)].client_order_id == "first"


def test_a_wrong_clock_does_not_prove_absence(bench: Any, order: Make) -> None:
    bench.exchange.clock_ahead = timedelta(minutes=5)
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    (update,) = bench.wait(30.0)
    assert update.status is OrderStatus.UNKNOWN
    assert bench.broker.questions()


@pytest.mark.parametrize(
    ("fault", "kind"), [("refused", OrderRejected), ("unreachable", Unavailable)]
)
def test_what_certainly_did_not_arrive_leaves_nothing_open(
    bench: Any, order: Make, fault: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        bench.submit(order("a"), fault)
    bench.submit(order("b"))
    assert bench.wait(20.0) == []


def test_a_client_order_id_is_used_once(bench: Any, order: Make) -> None:
    bench.submit(order("a"))
    with pytest.raises(RiskDenied, match="used before"):
        bench.submit(order("a", price="1.00"))
    bench.restart()
    with pytest.raises(RiskDenied, match="used before"):
        bench.submit(order("a", price="1.00"))
    pair = OneCancelsOther(orders=(order("b"), order("b", price="2.00")))
    with pytest.raises(RiskDenied, match="used before"):
        bench.submit(pair)


def test_an_order_for_another_account_is_refused(bench: Any, order: Make) -> None:
    other = order("a").model_copy(update={"account_id": "B" * 64})
    with pytest.raises(OrderRejected, match="another account"):
        bench.submit(other)


class TestGroups:
    def bracket(self, order: Make, name: str = "a") -> Trigger:
        closing = {"side": Side.SELL, "effect": PositionEffect.CLOSING}
        pair = OneCancelsOther(
            orders=(
                order(f"{name}-up", price="510.00", **closing),
                order(f"{name}-down", price="490.00", **closing),
            )
        )
        return Trigger(first=order(name), then=pair)

    @pytest.mark.parametrize("fault", ["", "no_location", "wrong_location"])
    def test_every_order_of_a_bracket_is_claimed(self, bench: Any, order: Make, fault: str) -> None:
        bench.submit(self.bracket(order), fault)
        entry = bench.exchange.of("a")[0]
        up, down = entry.children[0].children
        owners = bench.broker._records.book.owners
        assert {owners[str(one.number)] for one in (entry, up, down)} == {"a", "a-up", "a-down"}
        assert up.body["price"] == "510.00"
        assert owners[str(up.number)] == "a-up"

    def test_a_lost_bracket_is_found_with_its_children_in_any_order(
        self, bench: Any, order: Make
    ) -> None:
        with pytest.raises(OrderUnknown):
            bench.submit(self.bracket(order), "lost_after")
        entry = bench.exchange.of("a")[0]
        entry.children[0].children.reverse()
        updates = bench.wait(1.0)
        assert {update.client_order_id for update in updates} == {"a", "a-up", "a-down"}
        for child in entry.children[0].children:
            name = "a-up" if child.body["price"] == "510.00" else "a-down"
            assert bench.broker._records.book.owners[str(child.number)] == name

    def test_a_single_order_is_not_taken_for_a_part_of_a_group(
        self, bench: Any, order: Make
    ) -> None:
        bench.submit(self.bracket(order))
        bench.exchange.book[-1].origin = "hand"
        bench.broker._records.book.owners.clear()  # as if the bracket were somebody else's
        with pytest.raises(OrderUnknown):
            bench.submit(order("b"), "lost_before")
        (update,) = bench.wait(10.0)
        assert update.status is OrderStatus.UNKNOWN
        assert "same symbols and quantities but other terms" in update.reason
        assert bench.broker._records.book.owners == {}


class TestReplace:
    def test_the_new_order_has_its_own_id(self, bench: Any, order: Make) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.origin = "b"
        updates = bench.broker.replace(old.order_id, order("b", price="500.20"))
        assert [(u.client_order_id, u.status) for u in updates] == [
            ("b", OrderStatus.WORKING),
            ("a", OrderStatus.REPLACED),
        ]

    def test_a_lost_answer_is_settled_as_any_other(self, bench: Any, order: Make) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.origin, bench.exchange.faults = "b", ["lost_after"]
        with pytest.raises(OrderUnknown):
            bench.broker.replace(old.order_id, order("b", price="500.20"))
        updates = bench.wait(1.0)
        assert {u.client_order_id: u.status for u in updates} == {
            "b": OrderStatus.WORKING,
            "a": OrderStatus.REPLACED,
        }


class TestCancel:
    @pytest.mark.parametrize("faults", [[], ["lost_after"], ["lost_before"]])
    def test_it_ends_in_canceled(self, bench: Any, order: Make, faults: list[str]) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.faults = list(faults)
        (update,) = bench.broker.cancel(old.order_id)
        assert update.status is OrderStatus.CANCELED

    def test_a_refusal_after_a_lost_answer_is_looked_into(self, bench: Any, order: Make) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.faults = ["lost_after"]
        bench.exchange.lists_fail = (
            True  # it cannot be looked at, and the second request is refused
        )
        with pytest.raises(OrderUnknown):
            bench.broker.cancel(old.order_id)
        bench.exchange.lists_fail = False
        assert bench.broker.poll()[0].status is OrderStatus.CANCELED

    def test_what_is_over_cannot_be_cancelled(self, bench: Any, order: Make) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.of("a")[0].status = "FILLED"
        with pytest.raises(OrderRejected, match="it is over"):
            bench.broker.cancel(old.order_id)

    def test_twice_lost_it_is_unknown(self, bench: Any, order: Make) -> None:
        (old,) = bench.submit(order("a"))
        bench.exchange.faults = ["lost_before", "lost_before"]
        with pytest.raises(OrderUnknown):
            bench.broker.cancel(old.order_id)


class TestRestart:
    @pytest.mark.parametrize("fault", ["lost_after", "lost_before"])
    def test_what_was_unknown_is_settled_before_anything_leaves(
        self, bench: Any, order: Make, fault: str
    ) -> None:
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), fault)
        bench.restart()
        bench.submit(order("b"))
        assert len(bench.exchange.of("a")) == (fault == "lost_after")
        assert len(bench.exchange.of("b")) == 1
        assert bench.broker._records.book.open_tickets() == []

    def test_an_intent_without_any_answer_is_unknown(self, bench: Any, order: Make) -> None:
        class Killed(BaseException):
            pass

        def killed(*_: Any) -> None:
            raise Killed

        bench.exchange.order = killed  # after the exchange took it, before the answer is written
        with pytest.raises(Killed):
            bench.submit(order("a"))
        del bench.exchange.order
        bench.restart()
        assert [t.ticket_id for t in bench.broker._records.book.open_tickets()] == ["a"]
        bench.submit(order("b"))
        owners = bench.broker._records.book.owners
        assert owners[str(bench.exchange.of("a")[0].number)] == "a"
        assert owners[str(bench.exchange.of("b")[0].number)] == "b"

    def test_the_state_of_orders_is_what_it_was(self, bench: Any, order: Make) -> None:
        bench.submit(order("a"))
        entry = bench.exchange.of("a")[0]
        entry.status, entry.filled = "FILLED", 1.0
        assert bench.broker.poll()[0].status is OrderStatus.FILLED
        before = bench.broker._records.book.orders["a"].order
        bench.restart()
        assert bench.broker._records.book.orders["a"].order == before
        assert bench.broker.poll() == []


def test_equal_orders_of_two_threads_leave_one_after_the_other(bench: Any, order: Make) -> None:
    inside = threading.Event()
    go = threading.Event()
    place = bench.exchange.place
    most = []

    def slow(*given: Any) -> Any:
        most.append(len(bench.exchange.book))
        inside.set()
        go.wait(10)
        return place(*given)

    bench.exchange.place = slow
    threads = [threading.Thread(target=bench.broker.submit, args=(order(name),)) for name in "ab"]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert most == [0, 1]
    assert len(bench.broker._records.book.owners) == 2


def test_closing_orders_and_cancels_leave_when_others_must_wait(
    make_bench: Make, order: Make
) -> None:
    bench = make_bench(windows=(Window(10, 60.0, reserved=4),))
    for number in range(6):
        bench.submit(order(f"o{number}", price=f"50{number}.00"))
    start = bench.time.now
    closing = {"side": Side.SELL, "effect": PositionEffect.CLOSING}
    bench.submit(order("close", **closing))
    bench.broker.cancel(bench.broker._records.book.order_id("o0"))
    assert bench.time.now - start < 1.0
    bench.submit(order("o6", price="506.00"))
    assert bench.time.now - start > 55.0


def test_a_journal_that_cannot_be_written_lets_nothing_leave(make_bench: Make, order: Make) -> None:
    full = []

    def write(file: int, data: bytes) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return os.write(file, data)

    bench = make_bench(disk=Disk(write=write))
    bench.submit(order("a"))
    full.append(True)
    with pytest.raises(StoreError, match="No space left on device"):
        bench.submit(order("b"))
    with pytest.raises(StoreError):
        bench.submit(order("c"))
    assert bench.exchange.sent == ["a"]
    full.clear()
    bench.restart()
    bench.submit(order("b"))
    assert bench.exchange.sent == ["a", "b"]
