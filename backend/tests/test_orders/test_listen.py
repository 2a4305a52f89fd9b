import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from models.errors import OrderUnknown
from models.events import Fill, OrderUpdate
from models.order_terms import Mode, OrderStatus, Side
from schwab_integration.broker import SchwabBroker
from schwab_integration.order_venue import DeskTime


def told(number: int, status: OrderStatus, filled: str, *fills: Fill) -> OrderUpdate:
    return OrderUpdate(
        order_id=str(number),
        client_order_id=None,
        status=status,
        time_ns=2 * 10**18,
        filled_quantity=Decimal(filled),
        fills=fills,
    )


def test_stream_and_polls_tell_each_piece_of_news_once(
    bench: Any, order: Callable[..., Any]
) -> None:
    """Duplicates, an order of somebody else, and a fill that the list names otherwise."""
    bench.exchange.answer_takes = 0.0
    queue: asyncio.Queue[OrderUpdate] = asyncio.Queue()

    async def stream() -> AsyncIterator[OrderUpdate]:
        while True:
            yield await queue.get()

    times = DeskTime(clock=bench.time.clock)  # real seconds, so that polls come
    broker = SchwabBroker(
        bench.exchange,
        bench.terms,
        bench.journal,
        mode=Mode.REHEARSAL,
        times=times,
        updates=stream,
        poll_every_s=0.05,
    )
    bench.broker = broker
    (first,) = bench.submit(order("a"))
    number = int(first.order_id)
    fill = Fill(
        execution_id="stream-1",
        symbol="QQQ",
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal("500.05"),
        time_ns=1,
    )

    async def hear() -> list[OrderUpdate]:
        heard: list[OrderUpdate] = []
        queue.put_nowait(told(number + 77, OrderStatus.FILLED, "1"))
        entry = bench.exchange.by_number[number]
        entry.status, entry.filled = "FILLED", 1.0
        entry.body["orderActivityCollection"] = [
            {
                "activityType": "EXECUTION",
                "activityId": 5,
                "executionType": "FILL",
                "quantity": 1.0,
                "executionLegs": [
                    {
                        "legId": 1,
                        "quantity": 1.0,
                        "price": 500.05,
                        "time": "2026-11-23T15:00:00+0000",
                    }
                ],
            }
        ]
        for _ in range(3):
            queue.put_nowait(told(number, OrderStatus.FILLED, "1", fill))
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                async for update in broker.listen():
                    heard += [update]
        return heard

    heard = asyncio.run(hear())
    assert {update.client_order_id for update in heard} == {"a"}
    assert {update.status for update in heard} == {OrderStatus.FILLED}
    assert len(heard) <= 2  # the state from the stream, then the execution from the list
    executions = [one.execution_id for update in heard for one in update.fills]
    assert executions == [f"{number}.5.1"]


def test_a_lost_answer_is_settled_while_listening(bench: Any, order: Callable[..., Any]) -> None:
    broker = SchwabBroker(
        bench.exchange,
        bench.terms,
        bench.journal,
        mode=Mode.REHEARSAL,
        times=DeskTime(clock=bench.time.clock),
        poll_every_s=60.0,
    )
    bench.broker = broker
    with pytest.raises(OrderUnknown):
        bench.submit(order("a"), "lost_after")

    async def first() -> OrderUpdate:
        async with asyncio.timeout(10.0):
            async for update in broker.listen():
                return update
        raise AssertionError

    assert asyncio.run(first()).status is OrderStatus.WORKING
