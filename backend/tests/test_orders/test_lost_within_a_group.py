"""A lost answer to the replacement of an order that stands within a group."""

from collections.abc import Callable
from typing import Any

import pytest

from models.errors import OrderUnknown
from models.order_groups import OneCancelsOther
from models.order_terms import OrderStatus, PositionEffect, Side


def test_it_is_found_where_the_old_order_stood(bench: Any, order: Callable[..., Any]) -> None:
    closing = {"side": Side.SELL, "effect": PositionEffect.CLOSING}
    pair = OneCancelsOther(
        orders=(order("up", price="510.00", **closing), order("down", price="490.00", **closing))
    )
    bench.submit(pair)
    exchange = bench.exchange
    group = exchange.of("up")[0]
    old = bench.broker.own_orders()["up"].order_id
    exchange.origin, exchange.faults = "higher", ["lost_after"]
    with pytest.raises(OrderUnknown):
        bench.broker.replace(old, order("higher", price="511.00", **closing))
    # As at Schwab's simulator: the new order hangs where the old one hung.
    new = exchange.book.pop()
    group.children.append(new)
    bench.restart()
    news = {each.client_order_id: each for each in bench.broker.recover()}
    assert news["higher"].order_id == str(new.number)
    assert bench.broker.own_orders()["higher"].status is OrderStatus.WORKING
    assert not bench.broker.questions()
