"""Conflation, and the bridge from an asynchronous stream to a plain iterator."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Disconnected
from models.events import Bar, Book, Gap, Heartbeat, OrderUpdate, Quote, Screen
from models.order_terms import OrderStatus
from utils.feed import Conflation, Feed, conflation_key, plainly


def quote(symbol: str, bid: float) -> Quote:
    return Quote(symbol=symbol, time_ns=1, bid=bid)


def update(order_id: str) -> OrderUpdate:
    return OrderUpdate(
        order_id=order_id, client_order_id=None, status=OrderStatus.FILLED, time_ns=1
    )


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=60))
def test_newest_quote_of_each_symbol_and_every_update_in_order(
    steps: list[tuple[str, bool]],
) -> None:
    waiting: Conflation[Any] = Conflation()
    newest, updates = {}, []
    for number, (symbol, is_quote) in enumerate(steps):
        event = quote(symbol, number) if is_quote else update(str(number))
        waiting.put(event, conflation_key(event))
        if is_quote:
            newest[symbol] = event
        else:
            updates.append(event)
    taken = [waiting.take() for _ in range(len(waiting))]
    assert {each.symbol: each for each in taken if isinstance(each, Quote)} == newest
    assert [each for each in taken if isinstance(each, OrderUpdate)] == updates
    assert waiting.replaced == len(steps) - len(taken)


def test_what_may_be_replaced() -> None:
    bar = Bar(symbol="Q", time_ns=1, interval_s=60, open=1, high=1, low=1, close=1, volume=1)
    assert conflation_key(bar) is None
    assert conflation_key(update("7")) is None
    events = [
        quote("Q", 1),
        Book(symbol="Q", venue="NYSE_BOOK", time_ns=1),
        Book(symbol="Q", venue="NASDAQ_BOOK", time_ns=1),
        Screen(key="Q", time_ns=1),
        Heartbeat(time_ns=1),
        Gap(time_ns=1),
    ]
    assert len({conflation_key(event) for event in events}) == len(events)


def test_a_feed_is_heard_to_its_end_and_then_its_error() -> None:
    async def run() -> None:
        feed: Feed[int] = Feed()
        feed.put(1)
        feed.put(2)
        feed.close(Disconnected("gone"))
        feed.put(3)
        assert [await anext(feed), await anext(feed)] == [1, 2]
        with pytest.raises(Disconnected):
            await anext(feed)

    asyncio.run(run())


def test_the_bridge_hands_on_values_and_the_error() -> None:
    async def listen() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        raise Disconnected("gone")

    heard = []
    with plainly(listen) as values, pytest.raises(Disconnected, match="gone"):
        heard.extend(values)
    with plainly(listen, key=lambda _: None) as values:
        heard = [next(values), next(values)]
        with pytest.raises(Disconnected):
            next(values)
    assert heard == ["a", "b"]


def test_leaving_the_bridge_ends_the_stream_and_its_thread() -> None:
    ended = threading.Event()

    async def listen() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = threading.active_count()
    with plainly(listen) as values:
        assert next(values) == 1
    assert ended.is_set()
    assert threading.active_count() == before


def test_a_slow_reader_of_the_bridge_gets_the_newest() -> None:
    told = threading.Event()

    async def listen() -> AsyncIterator[Any]:
        for number in range(1000):
            yield quote("Q", number)
        yield update("7")
        told.set()

    with plainly(listen) as values:
        assert told.wait(20)
        assert [getattr(each, "bid", None) for each in values][-2:] == [999, None]
