import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import Fill, OrderUpdate
from models.order_terms import Mode, OrderStatus, OrderType, Side
from models.trading import Leg, Order
from utils.order_state import OrderState, apply

SEQUENCES = 1_000_000 if os.environ.get("PROVE") else 3_000
T0 = 1_780_000_000_000_000_000


def order(quantity: int = 5) -> Order:
    return Order(
        client_order_id="c1",
        account_id="A" * 64,
        mode=Mode.REHEARSAL,
        legs=(Leg(symbol="QQQ", side=Side.BUY),),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("500.10"),
        quantity=Decimal(quantity),
        created_at=datetime(2026, 5, 28, tzinfo=UTC),
    )


def update(
    status: OrderStatus, after: int = 0, filled: int | None = None, fills: tuple[Fill, ...] = ()
) -> OrderUpdate:
    return OrderUpdate(
        order_id="77",
        client_order_id="c1",
        status=status,
        time_ns=T0 + after,
        filled_quantity=None if filled is None else Decimal(filled),
        fills=fills,
        reason=f"because {status}" if status.terminal else "",
    )


def fill(number: int) -> Fill:
    return Fill(
        execution_id=f"e{number}",
        symbol="QQQ",
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal("500.05"),
        time_ns=T0,
    )


def after(*updates: OrderUpdate) -> OrderState:
    state = OrderState(order())
    for one in updates:
        state = apply(state, one)
    return state


updates = st.builds(
    update,
    st.sampled_from(list(OrderStatus)),
    st.integers(0, 4),
    st.none() | st.integers(0, 6),
    st.lists(st.integers(0, 5).map(fill), max_size=3, unique_by=lambda f: f.execution_id).map(
        tuple
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(updates, max_size=12), st.randoms())
def test_the_end_does_not_depend_on_order_or_repetition(
    told: list[OrderUpdate], chance: random.Random
) -> None:
    shuffled = told + (chance.choices(told, k=3) if told else [])
    chance.shuffle(shuffled)
    assert after(*told) == after(*shuffled)


STATUSES = list(OrderStatus)


def test_no_sequence_breaks_the_rules() -> None:
    chance = random.Random(4)
    for _ in range(SEQUENCES // 10):
        state = OrderState(order())
        for _ in range(10):
            told = update(chance.choice(STATUSES), chance.randrange(5), chance.randrange(7))
            new = apply(state, told)
            assert new.order.filled_quantity >= state.order.filled_quantity
            assert new.order.filled_quantity <= new.order.quantity
            assert not state.order.status.terminal or new.order.status.terminal
            full = new.order.filled_quantity == new.order.quantity
            assert full == (new.order.status is OrderStatus.FILLED)
            assert (
                state.order.status is not OrderStatus.FILLED
                or new.order == state.order.model_copy(update={"updated_at": new.order.updated_at})
            )
            state = new
        Order.model_validate(state.order.model_dump())


@pytest.mark.parametrize(
    ("told", "status", "filled"),
    [
        ([update(OrderStatus.WORKING), update(OrderStatus.SUBMITTED, 9)], "WORKING", 0),
        ([update(OrderStatus.WORKING), update(OrderStatus.UNKNOWN, 9)], "WORKING", 0),
        ([update(OrderStatus.SUBMITTED, 1), update(OrderStatus.UNKNOWN, 9)], "UNKNOWN", 0),
        ([update(OrderStatus.UNKNOWN, 1), update(OrderStatus.SUBMITTED, 9)], "SUBMITTED", 0),
        ([update(OrderStatus.UNKNOWN, 9), update(OrderStatus.WORKING, 1)], "WORKING", 0),
        ([update(OrderStatus.WORKING, 1, 2)], "PARTIALLY_FILLED", 2),
        ([update(OrderStatus.PENDING_CANCEL, 2), update(OrderStatus.WORKING, 3)], "WORKING", 0),
        (
            [update(OrderStatus.PENDING_CANCEL, 2), update(OrderStatus.WORKING, 1)],
            "PENDING_CANCEL",
            0,
        ),
        ([update(OrderStatus.CANCELED, 2), update(OrderStatus.WORKING, 3, 2)], "CANCELED", 2),
        ([update(OrderStatus.CANCELED, 2), update(OrderStatus.WORKING, 3, 5)], "FILLED", 5),
        ([update(OrderStatus.FILLED, 2), update(OrderStatus.CANCELED, 3)], "FILLED", 5),
        ([update(OrderStatus.REJECTED, 1), update(OrderStatus.WORKING, 2)], "REJECTED", 0),
    ],
)
def test_cases(told: list[OrderUpdate], status: str, filled: int) -> None:
    state = after(*told)
    assert (state.order.status, state.order.filled_quantity) == (status, filled)
    assert state.order.order_id == "77"


def test_an_execution_is_booked_once() -> None:
    one = update(OrderStatus.WORKING, 1, 1, (fill(1),))
    two = update(OrderStatus.WORKING, 2, 2, (fill(1), fill(2)))
    assert sorted(after(two, one, one).fills) == ["e1", "e2"]


def test_the_reason_is_kept() -> None:
    rejected = update(OrderStatus.REJECTED, 1)
    state = after(rejected, update(OrderStatus.WORKING, 5))
    assert state.reason == "because REJECTED"
    assert state.order.updated_at == datetime.fromtimestamp(T0 // 10**9, UTC) + timedelta(0)
