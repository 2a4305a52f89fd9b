"""Tickets as journals hold them: the words of the models, read back equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from models.order_groups import OneCancelsOther, Trigger, read_ticket, write_ticket
from models.order_terms import Mode, OrderStatus, OrderType, Side
from models.trading import Leg, Order, Trail

NOW = datetime(2025, 12, 1, 15, 30, tzinfo=UTC)
LEGS = (
    Leg(symbol="QQQ   251219C00500000", side=Side.BUY),
    Leg(symbol="QQQ   251219C00510000", side=Side.SELL, quantity=Decimal("2.50")),
)
EAST = timezone(timedelta(hours=5))


def package(at: datetime) -> Order:
    return Order(
        client_order_id='b-1"é',
        account_id="4F3A",
        mode=Mode.PAPER,
        created_at=at,
        legs=LEGS,
        order_type=OrderType.NET_DEBIT,
        limit_price=Decimal("1.50"),
        quantity=Decimal(1),
    )


def trailing(at: datetime) -> Order:
    return Order(
        client_order_id="b-2",
        account_id="4F3A",
        mode=Mode.PAPER,
        created_at=at,
        legs=LEGS[:1],
        order_type=OrderType.TRAILING_STOP,
        trail=Trail(offset=Decimal("1E+2")),
        quantity=Decimal("1E+1"),
    ).changed(status=OrderStatus.WORKING)


@pytest.mark.parametrize(
    "at", [NOW, NOW + timedelta(milliseconds=500), NOW.astimezone(EAST) + timedelta(microseconds=7)]
)
def test_a_ticket_is_written_as_its_models_say(at: datetime) -> None:
    one, other = package(at), trailing(at)
    pair = OneCancelsOther(orders=(one, other))
    for ticket in (one, other, pair, Trigger(first=one, then=pair)):
        written = write_ticket(ticket)
        assert written == ticket.model_dump_json().encode()
        assert read_ticket(written) == ticket
