"""What a strategy asks about an order while the broker's answer to it is still on its way."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them

from late_desk import QQQ, LateDesk

from models.decisions import Denied, Restrained
from models.events import Restraint
from models.order_terms import OrderStatus, OrderType, PositionEffect, Side
from models.trading import Leg


@pytest.fixture
def late() -> LateDesk:
    return LateDesk()


def buy(quantity: int = 10) -> object:
    return lambda desk: desk.open([QQQ], quantity, limit_price=Decimal("99.00"))


def test_a_cancel_that_comes_before_the_answer_is_not_forgotten(late: LateDesk) -> None:
    late.act(buy())
    late.act(lambda desk: desk.cancel("run-1"))
    assert late.broker.asked == [("submit", "run-1", 10)], "it has no number yet"
    late.tell("run-1", OrderStatus.UNKNOWN, number=None)
    assert len(late.broker.asked) == 1
    late.tell("run-1", OrderStatus.WORKING)
    assert late.broker.asked[1:] == [("cancel", "b-run-1")]
    late.tell("run-1", OrderStatus.WORKING, filled=1, new=1)
    assert len(late.broker.asked) == 2, "once"


def test_an_order_that_never_arrived_is_not_cancelled(late: LateDesk) -> None:
    late.act(buy())
    late.act(lambda desk: desk.cancel("run-1"))
    late.tell("run-1", OrderStatus.REJECTED, number=None)
    assert late.broker.asked == [("submit", "run-1", 10)]


def test_what_has_filled_in_part_is_cancelled_before_the_rest_is_asked_for(late: LateDesk) -> None:
    late.act(buy())
    late.tell("run-1", OrderStatus.WORKING, filled=4, new=4)
    late.act(lambda desk: desk.replace("run-1", Decimal("99.50")))
    assert late.broker.asked[1:] == [("cancel", "b-run-1")]
    late.tell("run-1", OrderStatus.PENDING_CANCEL, filled=7, new=3)
    late.tell("run-1", OrderStatus.CANCELED, filled=7)
    assert late.broker.asked[2:] == [("submit", "run-2", 3)]
    late.tell("run-2", OrderStatus.FILLED, filled=3, new=3)
    assert late.engine.portfolio.quantity("QQQ") == 10


def test_nothing_follows_what_filled_before_the_cancel_arrived(late: LateDesk) -> None:
    late.act(buy())
    late.tell("run-1", OrderStatus.WORKING, filled=4, new=4)
    late.act(lambda desk: desk.replace("run-1", Decimal("99.50")))
    late.tell("run-1", OrderStatus.FILLED, filled=10, new=6)
    assert late.broker.asked[2:] == []
    assert not late.engine.book.working()


def test_a_fill_that_crosses_its_replacement_never_makes_it_too_much(late: LateDesk) -> None:
    late.act(buy())
    late.tell("run-1", OrderStatus.WORKING)
    late.act(lambda desk: desk.replace("run-1", Decimal("99.50")))
    assert late.broker.asked[1:] == [("replace b-run-1", "run-2", 10)]
    late.tell("run-2", OrderStatus.WORKING)
    late.tell("run-1", OrderStatus.REPLACED, filled=4, new=4)
    assert late.broker.asked[2:] == [("cancel", "b-run-2")], "10 more would be 14"


def test_a_stop_is_moved_and_keeps_the_rest_of_its_terms(late: LateDesk) -> None:
    def stop(desk: object) -> None:
        order = desk.order(  # type: ignore[attr-defined]
            legs=(Leg(symbol="QQQ", side=Side.SELL, position_effect=PositionEffect.CLOSING),),
            order_type=OrderType.STOP_LIMIT,
            stop_price=Decimal("95.00"),
            limit_price=Decimal("94.50"),
            quantity=Decimal(10),
        )
        desk.place(order)  # type: ignore[attr-defined]

    late.act(stop)
    late.tell("run-1", OrderStatus.WAITING)
    late.act(lambda desk: desk.replace("run-1", stop_price=Decimal("96.00")))
    moved = late.engine.book.order("run-2")
    assert moved
    assert (moved.order_type, moved.stop_price, moved.limit_price, moved.quantity) == (
        OrderType.STOP_LIMIT,
        Decimal("96.00"),
        Decimal("94.50"),
        10,
    )


def test_under_a_restraint_only_what_closes_leaves(late: LateDesk) -> None:
    closing = Leg(symbol="QQQ", side=Side.SELL)
    shut = Restraint(time_ns=late.now_ns, source="sign-in", reason="sign in again")
    late.engine.on(shut)
    late.engine.on(shut)
    late.act(buy())
    late.act(lambda desk: desk.close([closing], 5))
    assert late.broker.asked == [("submit", "run-2", 5)]
    denied = [each for each in late.records if isinstance(each, Denied)]
    assert [each.rule for each in denied] == ["closing_only"]
    assert "sign in again" in denied[0].message
    late.engine.on(Restraint(time_ns=late.now_ns, source="sign-in", reason=""))
    late.act(buy())
    assert late.broker.asked[1:] == [("submit", "run-3", 10)]
    assert sum(isinstance(each, Restrained) for each in late.records) == 2
