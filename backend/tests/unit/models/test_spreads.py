"""Orders by their usual names, and what each name refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from models import spreads
from models.errors import BadSymbol, DataError
from models.order_groups import OneCancelsOther, orders_of
from models.order_terms import Mode, OrderType, PositionEffect, Side, TimeInForce
from models.spreads import Terms, closed, order

TERMS = Terms(
    client_order_id="c-1",
    account_id="hash",
    mode=Mode.PAPER,
    created_at=datetime(2026, 11, 20, 15, 0, tzinfo=UTC),
    strategy="wheel",
)


def occ(right: str, strike: int, day: str = "261218", root: str = "QQQ") -> str:
    return f"{root:<6}{day}{right}{strike * 1000:08d}"


CALLS = [occ("C", strike) for strike in (500, 510, 520, 530)]
PUTS = [occ("P", strike) for strike in (450, 460, 470, 480)]
LATER = occ("C", 500, "270115")

GOOD: dict[str, tuple[Callable[[], spreads.Legs], list[int]]] = {
    "vertical": (lambda: spreads.vertical(buy=CALLS[0], sell=CALLS[1]), [1, -1]),
    "back_ratio": (lambda: spreads.back_ratio(buy=CALLS[1], sell=CALLS[0]), [-1, 2]),
    "calendar": (lambda: spreads.calendar(buy=LATER, sell=CALLS[0]), [1, -1]),
    "diagonal": (lambda: spreads.diagonal(buy=LATER, sell=CALLS[1]), [1, -1]),
    "straddle": (lambda: spreads.straddle(call=CALLS[0], put=occ("P", 500)), [1, 1]),
    "strangle": (
        lambda: spreads.strangle(call=CALLS[0], put=PUTS[0], side=Side.SELL),
        [-1, -1],
    ),
    "butterfly": (lambda: spreads.butterfly(CALLS[:3]), [1, -2, 1]),
    "condor": (lambda: spreads.condor(CALLS, side=Side.SELL), [-1, 1, 1, -1]),
    "iron_condor": (
        lambda: spreads.iron_condor(
            put_buy=PUTS[0], put_sell=PUTS[1], call_sell=CALLS[0], call_buy=CALLS[1]
        ),
        [-1, 1, -1, 1],
    ),
    "covered_call": (lambda: spreads.covered_call(CALLS[0]), [100, -1]),
    "collar": (lambda: spreads.collar(put=PUTS[0], call=CALLS[0]), [100, 1, -1]),
    "synthetic": (lambda: spreads.collar(put=PUTS[0], call=CALLS[0], with_stock=False), [1, -1]),
}


@pytest.mark.parametrize("name", GOOD)
def test_legs_and_what_undoes_them(name: str) -> None:
    build, quantities = GOOD[name]
    legs = build()
    assert [leg.signed_quantity for leg in legs] == quantities
    assert {leg.position_effect for leg in legs} == {PositionEffect.OPENING}
    undone = closed(legs)
    assert [leg.signed_quantity for leg in undone] == [-q for q in quantities]
    assert {leg.position_effect for leg in undone} == {PositionEffect.CLOSING}
    assert order(TERMS, legs, limit_price=Decimal("1.05")).order_type is OrderType.NET_DEBIT


BAD: dict[str, Callable[[], Any]] = {
    "a vertical is two strikes": lambda: spreads.vertical(buy=CALLS[0], sell=PUTS[0]),
    "a back ratio is": lambda: spreads.back_ratio(buy=CALLS[0], sell=CALLS[1], ratio=Decimal(1)),
    "a calendar is two": lambda: spreads.calendar(buy=LATER, sell=CALLS[1]),
    "a diagonal is two": lambda: spreads.diagonal(buy=LATER, sell=CALLS[0]),
    "a straddle is": lambda: spreads.straddle(call=CALLS[0], put=PUTS[0]),
    "a strangle is": lambda: spreads.strangle(call=CALLS[0], put=occ("P", 500)),
    "a butterfly is 3": lambda: spreads.butterfly([CALLS[1], CALLS[0], CALLS[2]]),
    "a condor is 4": lambda: spreads.condor(CALLS[:3]),
    "an iron condor is": lambda: spreads.iron_condor(
        put_buy=PUTS[1], put_sell=PUTS[0], call_sell=CALLS[0], call_buy=CALLS[1]
    ),
    "a covered call is": lambda: spreads.covered_call(PUTS[0]),
    "a collar is": lambda: spreads.collar(put=CALLS[0], call=PUTS[0]),
    "Leg.quantity: ": lambda: spreads.leg("QQQ", Side.BUY, Decimal(-1)),
    "Leg.symbol: ": lambda: spreads.leg("no ticker", Side.BUY),
    "Order.quantity: ": lambda: order(
        TERMS, spreads.vertical(buy=CALLS[0], sell=CALLS[1]), quantity=Decimal(-2)
    ),
    "stop_price does not fit": lambda: order(
        TERMS,
        spreads.vertical(buy=CALLS[0], sell=CALLS[1]),
        limit_price=Decimal(1),
        stop_price=Decimal(1),
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_a_name_refuses(sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        BAD[sentence]()
    assert "\n" not in str(caught.value)


def test_a_symbol_that_is_none() -> None:
    with pytest.raises(BadSymbol, match="is not an option symbol"):
        spreads.vertical(buy="QQQ", sell=CALLS[0])


@pytest.mark.parametrize(
    ("limit", "stop", "expected"),
    [
        (None, None, OrderType.MARKET),
        ("1.05", None, OrderType.LIMIT),
        (None, "1.05", OrderType.STOP),
        ("1", "1.05", OrderType.STOP_LIMIT),
    ],
)
def test_the_type_of_one_leg(limit: str | None, stop: str | None, expected: OrderType) -> None:
    prices = [None if price is None else Decimal(price) for price in (limit, stop)]
    legs = [spreads.leg("QQQ", Side.BUY)]
    built = order(TERMS, legs, limit_price=prices[0], stop_price=prices[1])
    assert built.order_type is expected
    assert (built.strategy, built.client_order_id) == ("wheel", "c-1")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, OrderType.MARKET),
        ("1", OrderType.NET_DEBIT),
        ("-1", OrderType.NET_CREDIT),
        ("0", OrderType.NET_ZERO),
    ],
)
def test_the_type_of_several(limit: str | None, expected: OrderType) -> None:
    price = None if limit is None else Decimal(limit)
    legs = spreads.vertical(buy=CALLS[0], sell=CALLS[1])
    assert order(TERMS, legs, limit_price=price).order_type is expected


def test_a_bracket() -> None:
    entry = order(TERMS, [spreads.leg(CALLS[0], Side.BUY)], limit_price=Decimal("5.00"))
    target = spreads.closing_order(entry, "c-2", limit_price=Decimal("7.50"))
    stop = spreads.closing_order(entry, "c-3", stop_price=Decimal("3.50"))
    ticket = spreads.bracket(entry, take_profit=target, stop_loss=stop)
    assert isinstance(ticket.then, OneCancelsOther)
    assert orders_of(ticket) == (entry, target, stop)
    assert [one.order_type for one in orders_of(ticket)] == ["LIMIT", "LIMIT", "STOP"]
    assert target.time_in_force is TimeInForce.GOOD_TILL_CANCEL
    assert target.legs[0].side is Side.SELL
    with pytest.raises(DataError, match="take_profit is an order that closes"):
        spreads.bracket(entry, take_profit=entry, stop_loss=stop)
    elsewhere = target.model_copy(update={"account_id": "other"})
    with pytest.raises(DataError, match="a new order of the entry's account"):
        spreads.bracket(entry, take_profit=elsewhere, stop_loss=stop)
