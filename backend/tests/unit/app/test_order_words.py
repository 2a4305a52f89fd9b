"""Orders in words: packages by their names, prices as credits and debits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.order_words import instrument, order_words, ticket_words
from models.order_terms import OrderType, PositionEffect, Side, TrailUnit
from models.spreads import (
    Legs,
    bracket,
    butterfly,
    closed,
    iron_condor,
    leg,
    one_cancels_other,
    order,
    vertical,
)
from models.trading import Order, Trail
from tests.unit.models.test_spreads import TERMS


def occ(strike: int, right: str) -> str:
    return f"QQQ   261127{right}{strike * 1000:08d}"


CONDOR = iron_condor(
    put_buy=occ(765, "P"), put_sell=occ(768, "P"), call_sell=occ(778, "C"), call_buy=occ(781, "C")
)


def made(legs: Legs, limit: str | None = None, quantity: int = 1) -> Order:
    price = None if limit is None else Decimal(limit)
    return order(TERMS, legs, quantity=Decimal(quantity), limit_price=price)


@pytest.mark.parametrize(
    ("legs", "limit", "words"),
    [
        (
            CONDOR,
            "-0.42",
            "sell 20 QQQ 27 Nov 765/768 P 778/781 C iron condor for a credit of 0.42",
        ),
        (
            closed(CONDOR),
            "0.2",
            "buy 20 QQQ 27 Nov 765/768 P 778/781 C iron condor for a debit of 0.20",
        ),
        (
            vertical(buy=occ(700, "C"), sell=occ(710, "C")),
            "3",
            "buy 20 QQQ 27 Nov 700/710 C vertical for a debit of 3.00",
        ),
        (
            vertical(buy=occ(700, "P"), sell=occ(710, "P")),
            "-3",
            "sell 20 QQQ 27 Nov 700/710 P vertical for a credit of 3.00",
        ),
        (
            vertical(buy=occ(710, "P"), sell=occ(700, "P")),
            None,
            "buy 20 QQQ 27 Nov 700/710 P vertical at the market",
        ),
        (
            butterfly([occ(700, "C"), occ(710, "C"), occ(720, "C")]),
            "0",
            "buy 20 QQQ 27 Nov 700 C, sell 40 QQQ 27 Nov 710 C, buy 20 QQQ 27 Nov 720 C even",
        ),
        ((leg("SPY", Side.BUY),), "601.5", "buy 20 SPY at 601.50"),
    ],
)
def test_an_order_in_words(legs: Legs, limit: str | None, words: str) -> None:
    assert order_words(made(legs, limit, 20)) == words


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            {"order_type": OrderType.STOP, "stop_price": "590"},
            "at the market, once the market is at 590.00",
        ),
        (
            {"order_type": OrderType.STOP_LIMIT, "stop_price": "590", "limit_price": "589"},
            "at 589.00, once the market is at 590.00",
        ),
        (
            {
                "order_type": OrderType.TRAILING_STOP,
                "trail": Trail(offset=5, unit=TrailUnit.PERCENT),
            },
            "at the market, trailing by 5 %",
        ),
        ({"order_type": OrderType.LIMIT_ON_CLOSE, "limit_price": "589"}, "at 589.00 on the close"),
    ],
)
def test_stops_and_closes(terms: dict[str, Any], words: str) -> None:
    plain = made((leg("SPY", Side.SELL),))
    told = Order.model_validate(plain.model_dump() | terms)
    assert order_words(told) == f"sell 1 SPY {words}"


def test_orders_that_hang_together() -> None:
    entry = made((leg("SPY", Side.BUY),), "600")
    away = (leg("SPY", Side.SELL).model_copy(update={"position_effect": PositionEffect.CLOSING}),)
    profit, loss = made(away, "610"), made(away, "590")
    pair = "sell 1 SPY at 610.00 or else sell 1 SPY at 590.00"
    assert ticket_words(one_cancels_other(profit, loss)) == pair
    whole = ticket_words(bracket(entry, take_profit=profit, stop_loss=loss))
    assert whole == f"buy 1 SPY at 600.00; once filled: {pair}"


def test_a_share_is_called_by_its_ticker() -> None:
    assert (instrument("SPY"), instrument(occ(600, "P"))) == ("SPY", "QQQ 27 Nov 600 P")
