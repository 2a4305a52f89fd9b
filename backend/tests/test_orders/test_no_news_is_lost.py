"""Whatever is asked in between, and whichever request fails: who listens hears of every change."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from models.errors import OrderRejected, OrderUnknown, RiskDenied, StoreError, Unavailable
from models.events import Fill, OrderUpdate
from models.order_groups import OneCancelsOther
from models.order_terms import Mode, OrderStatus, PositionEffect, Side
from schwab_integration.broker import SchwabBroker
from schwab_integration.order_venue import DeskTime
from schwab_integration.parse_accounts import parse_account

Make = Callable[..., Any]

STREAM_FILL = Fill(
    execution_id="stream-1",
    symbol="QQQ",
    side=Side.BUY,
    quantity=Decimal(1),
    price=Decimal("500.05"),
    time_ns=1,
)


def filled(number: int) -> OrderUpdate:
    """What a stream tells of an order of one share."""
    return OrderUpdate(
        order_id=str(number),
        client_order_id=None,
        status=OrderStatus.FILLED,
        time_ns=1795444200 * 10**9,  # as the exchange's clock begins
        filled_quantity=Decimal(1),
        fills=(STREAM_FILL,),
    )


def execute(entry: Any, activity: int = 5) -> None:
    """Fill one share of an order in the exchange's books, execution included."""
    entry.filled += 1.0
    entry.status = (
        "FILLED"
        if entry.filled == entry.body["orderLegCollection"][0]["quantity"]
        else entry.status
    )
    part = {"legId": 1, "quantity": 1.0, "price": 500.05, "time": "2026-11-23T15:00:00+0000"}
    entry.body.setdefault("orderActivityCollection", []).append(
        {
            "activityType": "EXECUTION",
            "activityId": activity,
            "executionType": "FILL",
            "quantity": 1.0,
            "executionLegs": [part],
        }
    )


def executions(updates: list[OrderUpdate]) -> list[str]:
    return [fill.execution_id for update in updates for fill in update.fills]


class TestFillsThatTheStreamToldFirst:
    def test_the_next_poll_brings_the_execution(self, bench: Any, order: Make) -> None:
        """The list lags behind the stream, or could not be asked: the order is over already."""
        (first,) = bench.submit(order("a"))
        assert bench.broker._records.hear(filled(int(first.order_id)))
        entry = bench.exchange.of("a")[0]
        execute(entry)
        updates = bench.broker.poll()
        assert executions(updates) == [f"{entry.number}.5.1"]
        assert bench.broker.poll() == []

    def test_a_new_program_asks_for_it_too(self, bench: Any, order: Make) -> None:
        (first,) = bench.submit(order("a"))
        bench.broker._records.hear(filled(int(first.order_id)))
        execute(bench.exchange.of("a")[0])
        bench.restart()
        assert len(executions(bench.broker.poll())) == 1

    def test_executions_that_never_come_are_not_asked_for_without_end(
        self, bench: Any, order: Make
    ) -> None:
        (first,) = bench.submit(order("a"))
        bench.broker._records.hear(filled(int(first.order_id)))
        bench.time.now += timedelta(days=4).total_seconds()
        bench.exchange.lists_fail = True  # a list that is asked for raises
        assert bench.broker.poll() == []


class TestWhatOthersAsked:
    @pytest.mark.parametrize("ask", ["orders", "fills"])
    def test_lists_asked_for_in_between_swallow_nothing(
        self, bench: Any, order: Make, ask: str
    ) -> None:
        bench.submit(order("a"))
        execute(bench.exchange.of("a")[0])
        getattr(bench.broker, ask)(bench.time.clock() - timedelta(hours=1))
        updates = bench.broker.poll()
        assert [update.status for update in updates] == [OrderStatus.FILLED]
        assert len(executions(updates)) == 1
        assert bench.broker.poll() == []

    def test_a_list_that_fails_takes_nothing_with_it(self, bench: Any, order: Make) -> None:
        bench.submit(order("w"))
        with pytest.raises(OrderUnknown):
            bench.submit(order("a", price="500.20"), "lost_after")
        bench.time.now += 1.0
        orders, answers = bench.exchange.orders, iter([True, False])

        def once(*given: Any) -> Any:
            if next(answers, True):
                return orders(*given)
            raise Unavailable("no list", provider="schwab")

        bench.exchange.orders = once
        with pytest.raises(Unavailable):
            bench.broker.poll()
        (update,) = bench.broker.poll()
        assert (update.client_order_id, update.status) == ("a", OrderStatus.WORKING)


def listening(bench: Any, updates: Any = None) -> SchwabBroker:
    bench.broker = SchwabBroker(
        bench.exchange,
        bench.terms,
        bench.journal,
        mode=Mode.REHEARSAL,
        times=DeskTime(clock=bench.time.clock),  # real seconds, so that polls come
        updates=updates,
        poll_every_s=0.02,
    )
    return bench.broker


async def first_of(broker: SchwabBroker) -> OrderUpdate:
    async with asyncio.timeout(20.0), aclosing(broker.listen()) as heard:  # type: ignore[type-var]
        return await anext(heard)


class TestListening:
    def test_a_journal_that_takes_no_more_is_told(self, bench: Any, order: Make) -> None:
        broker = listening(bench)
        bench.submit(order("a"))
        execute(bench.exchange.of("a")[0])
        bench.journal.close()
        with pytest.raises(StoreError, match="nothing can be written"):
            asyncio.run(first_of(broker))

    def test_what_nobody_expected_is_told(self, bench: Any, order: Make) -> None:
        broker = listening(bench)
        bench.submit(order("a"))

        def broken(*_: Any) -> None:
            raise ZeroDivisionError

        bench.exchange.orders = broken
        with pytest.raises(ZeroDivisionError):
            asyncio.run(first_of(broker))

    def test_a_stream_that_ends_is_logged_and_polls_go_on(
        self, bench: Any, order: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def stream() -> AsyncIterator[OrderUpdate]:
            raise Unavailable("the stream is gone", provider="schwab")
            yield

        broker = listening(bench, stream)
        bench.submit(order("a"))
        execute(bench.exchange.of("a")[0])
        assert asyncio.run(first_of(broker)).status is OrderStatus.FILLED
        assert "the stream is gone" in caplog.text


def test_news_of_a_group_is_none_of_its_first_order(bench: Any, order: Make) -> None:
    """The group has an id of its own; that the group is over does not fill its first order."""
    closing = {"side": Side.SELL, "effect": PositionEffect.CLOSING}
    pair = OneCancelsOther(
        orders=(order("up", price="510.00", **closing), order("down", price="490.00", **closing))
    )
    bench.submit(pair)
    group = bench.exchange.of("up")[0].number
    assert bench.broker._records.hear(filled(group)) == []
    assert not bench.broker.own_orders()["up"].filled_quantity


class TestWhatIsNotOurs:
    def test_a_persons_no_is_remembered_by_the_next_program(self, bench: Any, order: Make) -> None:
        """Said to be none of ours, an equal order is not claimed after a restart either."""
        bench.exchange.tag = None
        bench.submit(order("x"))
        like = bench.exchange.of("x")[0]
        bench.exchange.lists_fail = True
        with pytest.raises(OrderUnknown):
            bench.submit(order("a"), "lost_before")
        bench.wait(10.0)
        hand = bench.exchange.by_hand(like, tag=None)
        bench.broker.resolve("a", None)
        bench.exchange.lists_fail = False
        bench.restart()
        bench.broker.poll()
        assert str(hand.number) not in bench.broker._records.book.owners

    def test_what_was_entered_hours_after_a_crash_is_asked_about(
        self, bench: Any, order: Make
    ) -> None:
        """Somebody sees the program dead and enters the order: it is that person's."""

        class Killed(BaseException):
            pass

        def killed(*_: Any) -> None:
            raise Killed

        bench.exchange.tag = None
        bench.submit(order("x"))
        bench.exchange.place = killed
        bench.broker._settler.lose = killed  # a dead program writes nothing more
        with pytest.raises(Killed):
            bench.submit(order("a"))
        del bench.exchange.place
        bench.time.now += 3 * 3600.0
        hand = bench.exchange.by_hand(bench.exchange.of("x")[0], tag=None)
        bench.time.now += 60.0
        bench.restart()
        bench.broker.recover()
        assert str(hand.number) not in bench.broker._records.book.owners
        assert f"the order {hand.number} has its terms" in bench.broker.questions()["a"]


def test_one_name_from_two_threads_leaves_once(bench: Any, order: Make) -> None:
    """Both wait for the same equal order; the second finds its name used when it wakes."""
    go, inside = threading.Event(), threading.Event()
    place = bench.exchange.place

    def slow(*given: Any) -> Any:
        inside.set()
        assert go.wait(20)
        return place(*given)

    bench.exchange.place = slow
    denied: list[str] = []

    def submit(name: str) -> None:
        try:
            bench.broker.submit(order(name))
        except RiskDenied as error:
            denied.append(error.rule)

    threads = [threading.Thread(target=submit, args=(name,)) for name in ("c", "x", "x")]
    threads[0].start()
    assert inside.wait(20)
    waiting = bench.broker._records.changed._waiters
    for thread in threads[1:]:
        thread.start()
    while len(waiting) < 2:  # both are known to wait
        threading.Event().wait(0.001)
    go.set()
    for thread in threads:
        thread.join(20)
    assert len(bench.exchange.book) == 2
    assert denied == ["client_order_id"]


def test_an_interrupted_look_leaves_the_order_to_be_settled(bench: Any, order: Make) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    bench.exchange.order = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.submit(order("a"))
    del bench.exchange.order
    (update,) = bench.wait(1.0)
    assert (update.client_order_id, update.status) == ("a", OrderStatus.WORKING)


def test_a_cancel_that_came_too_late_says_so(bench: Any, order: Make) -> None:
    """The first answer was lost, the second says no, and the order is filled: that is known."""
    (first,) = bench.submit(order("a"))
    bench.exchange.faults = ["lost_before"]
    cancel = bench.exchange.cancel

    def fill_in_between(*given: Any) -> None:
        try:
            cancel(*given)
        finally:
            execute(bench.exchange.of("a")[0])

    bench.exchange.cancel = fill_in_between
    with pytest.raises(OrderRejected, match="is over"):
        bench.broker.cancel(first.order_id)


class TestWhatCannotBeRead:
    def test_fills_that_are_left_out_are_said(
        self, bench: Any, order: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who compares fills with positions has to know that some are missing."""
        (first,) = bench.submit(order("a"))
        bench.submit(order("b", price="500.20"))
        execute(bench.exchange.of("a")[0])
        execute(bench.exchange.of("b")[0])
        part = bench.exchange.of("a")[0].body["orderActivityCollection"][0]["executionLegs"][0]
        part["legId"] = 7
        (fill,) = bench.broker.fills(bench.time.clock() - timedelta(hours=1))
        assert fill.client_order_id == "b"
        assert f"the fills of the order {first.order_id} are left out" in caplog.text

    def test_holdings_that_are_left_out_are_said(
        self, bench: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        held = [
            {"longQuantity": 1.0, "averagePrice": 1.0, "instrument": instrument}
            for instrument in (
                {"assetType": "EQUITY", "symbol": "QQQ"},
                {"assetType": "OPTION", "symbol": "no option at all"},
            )
        ]
        account = {"securitiesAccount": {"type": "MARGIN", "accountNumber": "1", "positions": held}}
        parsed = parse_account(msgspec.json.encode(account)).value
        bench.exchange.account = lambda *_, **__: parsed
        (position,) = bench.broker.positions()
        assert position.symbol == "QQQ"
        assert "OPTION no option at all" in caplog.text
        bench.broker.positions()
        assert caplog.text.count("no option at all") == 1


class TestEachExecutionIsToldOnce:
    def test_part_by_part(self, bench: Any, order: Make) -> None:
        (first,) = bench.submit(order("a", quantity=3))
        entry = bench.exchange.of("a")[0]
        told = []
        for activity in (5, 6, 7):
            execute(entry, activity)
            told += executions(bench.broker.poll())
        assert told == [f"{first.order_id}.{activity}.1" for activity in (5, 6, 7)]
        bench.restart()
        assert bench.broker.own_orders()["a"].status is OrderStatus.FILLED
        assert bench.broker.poll() == []

    def test_a_cancel_repeats_none(self, bench: Any, order: Make) -> None:
        (first,) = bench.submit(order("a", quantity=3))
        execute(bench.exchange.of("a")[0])
        told = bench.broker.poll()
        told += bench.broker.cancel(first.order_id)
        assert told[-1].status is OrderStatus.CANCELED
        assert executions(told) == [f"{first.order_id}.5.1"]

    def test_a_cancel_that_is_no_news_still_says_the_state(self, bench: Any, order: Make) -> None:
        (first,) = bench.submit(order("a"))
        canceled = OrderUpdate(
            order_id=first.order_id,
            client_order_id=None,
            status=OrderStatus.CANCELED,
            time_ns=1795444200 * 10**9,
        )
        cancel = bench.exchange.cancel

        def told_at_once(*given: Any) -> None:
            cancel(*given)
            assert bench.broker._records.hear(canceled)

        bench.exchange.cancel = told_at_once
        (update,) = bench.broker.cancel(first.order_id)
        assert (update.client_order_id, update.status) == ("a", OrderStatus.CANCELED)
