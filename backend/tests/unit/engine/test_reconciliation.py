"""What the journal says against what the broker says: each way in which they can differ."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from paper_desk import CALL, Desk, buy

from engine.order_book import OrderBook
from engine.reconciliation import Baseline, Told, reconcile
from models.order_terms import Mode, OrderStatus
from models.trading import Order, Position, Trade

NOW = 1_765_810_800_000_000_000
AT = datetime(2025, 12, 15, 15, tzinfo=UTC)


def order(**changes: Any) -> Order:
    made = Desk().order(buy(CALL))
    return made.model_copy(update={"order_id": "77"} | changes)


def trade(client_order_id: str, quantity: int = 1, **changes: Any) -> Trade:
    return Trade(
        execution_id=changes.pop("execution_id", "x1"),
        client_order_id=client_order_id,
        order_id="77",
        account_id="hash",
        mode=Mode.PAPER,
        symbol=CALL,
        session=AT.date(),
        ts=AT,
        signed_quantity=Decimal(quantity),
        price=Decimal(3),
        **changes,
    )


def held(quantity: int) -> Position:
    return Position(
        account_id="hash",
        mode=Mode.PAPER,
        symbol=CALL,
        signed_quantity=Decimal(quantity),
        average_price=Decimal(3),
        updated_at=AT,
    )


def book_with(one: Order) -> OrderBook:
    book = OrderBook()
    book.add(one.model_copy(update={"order_id": None}))
    return book


def test_a_fill_that_was_missed_is_news_and_explains_the_holding() -> None:
    mine = order()
    filled = mine.model_copy(update={"status": OrderStatus.FILLED, "filled_quantity": Decimal(1)})
    told = Told([filled], [trade(mine.client_order_id)], [held(1)], left=[mine.client_order_id])
    found = reconcile(book_with(mine), {}, told, NOW, Baseline(0, {}))
    (update,) = found.updates
    assert (update.status, update.order_id) == (OrderStatus.FILLED, "77")
    assert [each.execution_id for each in update.fills] == ["x1"]
    assert found.differences == []
    assert found.others == {}


def test_a_fill_that_is_known_is_no_news() -> None:
    mine = order()
    book = book_with(mine)
    told = Told([mine], [], [], left=[mine.client_order_id])
    for update in reconcile(book, {}, told, NOW, Baseline(0, {})).updates:
        book.apply(update)
    assert reconcile(book, {}, told, NOW, Baseline(0, {})).updates == []


def test_what_never_left_is_certain_and_what_left_is_not() -> None:
    mine = order()
    found = reconcile(book_with(mine), {}, Told([], [], []), NOW, Baseline(0, {}))
    assert [each.status for each in found.updates] == [OrderStatus.REJECTED]
    assert found.differences == []

    left = Told([], [], [], left=[mine.client_order_id])
    found = reconcile(book_with(mine), {}, left, NOW, Baseline(0, {}))
    assert found.updates == []
    assert "the broker does not show it" in found.differences[0]


def test_orders_of_others_are_named_and_their_fills_explain_what_is_held() -> None:
    theirs = order(client_order_id="schwab-5", strategy="external")
    told = Told([theirs], [trade("schwab-5")], [held(1)])
    found = reconcile(OrderBook(), {}, told, NOW, Baseline(0, {}))
    assert found.external == [theirs]
    assert found.updates == []
    assert found.differences == []
    assert found.others == {CALL: Decimal(1)}


def test_a_fill_of_others_before_the_baseline_counts_in_it() -> None:
    told = Told([], [trade("schwab-5")], [held(1)])
    after = Baseline(NOW, {CALL: Decimal(1)}, ("x1",))
    assert reconcile(OrderBook(), {}, told, NOW, after).differences == []


def test_what_nobody_can_explain_is_a_difference() -> None:
    found = reconcile(OrderBook(), {}, Told([], [], [held(2)]), NOW, Baseline(0, {}))
    assert found.differences == [f"{CALL}: beside our own, fills come to 0 and the broker holds 2"]
    found = reconcile(OrderBook(), {CALL: Decimal(1)}, Told([], [], []), NOW, Baseline(0, {}))
    assert found.differences == [f"{CALL}: beside our own, fills come to 0 and the broker holds -1"]


def test_at_the_first_start_what_is_held_is_taken_as_it_is() -> None:
    found = reconcile(OrderBook(), {}, Told([], [], [held(2)]), NOW)
    assert found.differences == []
    assert found.others == {CALL: Decimal(2)}
