"""What happens at the same time as something else: nothing is told twice, nothing is swallowed."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from models.errors import OrderRejected, OrderUnknown
from models.order_terms import Mode, OrderStatus
from schwab_integration.broker import SchwabBroker
from schwab_integration.order_venue import DeskTime
from utils.transaction_logger import Disk

Make = Callable[..., Any]
START = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


def told(updates: list[Any]) -> list[tuple[str | None, OrderStatus]]:
    return [(update.client_order_id, update.status) for update in updates]


def test_what_a_new_program_settles_while_sending_is_told_once(bench: Any, order: Make) -> None:
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    bench.restart()
    bench.time.now += 1.0
    (own,) = bench.submit(order("b", price="500.20"))
    assert told([own]) == [("b", OrderStatus.WORKING)]
    assert told(bench.broker.settle()) == [("a", OrderStatus.WORKING)]
    assert bench.broker.settle() == []


def test_a_list_that_breaks_takes_no_kept_news_with_it(bench: Any, order: Make) -> None:
    (first,) = bench.submit(order("w"))
    bench.exchange.of("w")[0].status = "CANCELED"
    bench.broker.orders(START)  # somebody asks in between: the news is kept
    with pytest.raises(OrderUnknown):
        bench.submit(order("a", price="500.20"), "lost_after")
    bench.time.now += 1.0
    orders = bench.exchange.orders

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    bench.exchange.orders = broken
    with pytest.raises(KeyboardInterrupt):
        bench.broker.poll()
    bench.exchange.orders = orders
    assert told(bench.broker.poll()) == [
        ("w", OrderStatus.CANCELED),
        ("a", OrderStatus.WORKING),
    ]
    assert first.order_id


def test_what_a_poll_finds_while_its_listener_leaves_is_told_later(bench: Any, order: Make) -> None:
    broker = SchwabBroker(
        bench.exchange,
        bench.terms,
        bench.journal,
        mode=Mode.REHEARSAL,
        times=DeskTime(clock=bench.time.clock),
        poll_every_s=0.02,
    )
    bench.broker = broker
    bench.submit(order("a"))
    bench.exchange.of("a")[0].status = "CANCELED"
    asked, go = threading.Event(), threading.Event()
    orders = bench.exchange.orders

    def slow(*given: Any) -> Any:
        asked.set()
        assert go.wait(20)
        return orders(*given)

    bench.exchange.orders = slow

    async def leave_early() -> None:
        async with aclosing(broker.listen()) as heard:  # type: ignore[type-var]
            waiting = asyncio.ensure_future(anext(heard))
            await asyncio.to_thread(asked.wait, 20)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        go.set()

    asyncio.run(leave_early())
    assert told(broker.settle()) == [("a", OrderStatus.CANCELED)]


def test_a_list_that_was_asked_for_too_early_proves_nothing(bench: Any, order: Make) -> None:
    """It shows the account as it was when it was asked for, however long its answer takes."""
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "held6")
    orders = bench.exchange.orders

    def slow(*given: Any) -> Any:
        found = orders(*given)
        bench.time.now += 0.9
        return found

    lost = bench.time.now
    bench.exchange.orders = slow
    for after in (0.5, 1.5, 3.0):
        bench.time.now = lost + after
        assert bench.broker.settle() == []
    bench.time.now = lost + 5.9

    def slower(*given: Any) -> Any:
        found = orders(*given)
        bench.time.now = lost + 8.5
        return found

    bench.exchange.orders = slower
    assert bench.broker.settle() == []
    bench.exchange.orders = orders
    (update,) = bench.wait(2.0)
    assert update.status is OrderStatus.WORKING


def test_a_person_who_answers_while_it_is_found_names_no_second_order(
    bench: Any, order: Make
) -> None:
    bench.exchange.tag = None
    bench.exchange.lists_fail = True
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")
    bench.wait(10.0)
    bench.exchange.lists_fail = False
    number = bench.exchange.of("a")[0].number
    look = bench.exchange.order

    def found_meanwhile(*given: Any) -> Any:
        bench.time.now += 10.0
        bench.broker.settle()
        bench.exchange.by_hand(bench.exchange.of("a")[0], tag=None)
        return look(given[0], number + 1)

    bench.exchange.order = found_meanwhile
    with pytest.raises(OrderRejected, match="not waiting to be settled"):
        bench.broker.resolve("a", str(number + 1))
    assert bench.broker._records.book.owners == {str(number): "a"}


def test_a_person_is_not_asked_about_what_a_listener_found_meanwhile(
    bench: Any, order: Make
) -> None:
    """Schwab took it without a name; while its list comes slowly, another thread finds it."""
    orders = bench.exchange.orders

    def slow(*given: Any) -> Any:
        bench.exchange.orders = orders
        before = bench.exchange.book[:-1]
        bench.time.now += 12.0
        bench.broker.settle()
        return bench.exchange._parsed(before)

    bench.exchange.orders = slow
    bench.submit(order("a"), "no_location")
    (ticket,) = bench.broker._records.book.tickets.values()
    assert ticket.state == "stands"
    assert ticket.question == ""
    assert bench.broker.questions() == {}


def test_news_whose_writing_is_interrupted_is_told_later(make_bench: Make, order: Make) -> None:
    armed: list[bool] = []

    def sync(_: int) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    bench = make_bench(disk=Disk(sync=sync))
    bench.submit(order("a"))
    bench.exchange.of("a")[0].status = "CANCELED"
    armed.append(True)
    with pytest.raises(KeyboardInterrupt):
        bench.broker.poll()
    assert told(bench.broker.poll()) == [("a", OrderStatus.CANCELED)]
    bench.restart()
    assert bench.broker.own_orders()["a"].status is OrderStatus.CANCELED


class TestOrdersThatCannotBeRead:
    """An order with a value of a wrong kind, ours or not, hides no other order."""

    def test_news_of_the_others_goes_on(self, bench: Any, order: Make) -> None:
        bench.submit(order("a"))
        hand = bench.exchange.by_hand(bench.exchange.of("a")[0])
        hand.body = {**hand.body, "stopPrice": "at best", "cancelTime": {"day": 1}}
        bench.exchange.of("a")[0].status = "CANCELED"
        assert told(bench.broker.poll()) == [("a", OrderStatus.CANCELED)]

    def test_one_whose_legs_are_unknown_is_no_proof_of_absence(
        self, bench: Any, order: Make
    ) -> None:
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_after")
        (entry,) = bench.exchange.of("a")
        entry.body = {**entry.body, "quantity": 1, "orderLegCollection": [{"quantity": "many"}]}
        (update,) = bench.wait(10.0)
        assert update.status is OrderStatus.UNKNOWN
        assert str(entry.number) in update.reason
