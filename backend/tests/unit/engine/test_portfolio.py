"""Positions from fills and settlements alone, beside what the paper account itself keeps."""

from __future__ import annotations

import os
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_desk import CALL, CALL_UP, PUT, PUT_DOWN, Desk, at, buy, quote, sell

from engine.fees import FeeSchedule
from engine.paper import PaperBroker
from models.events import Fill, Heartbeat, OrderUpdate, Settlement
from models.order_terms import Side
from utils.clock import to_time
from utils.portfolio_tracker import PortfolioTracker

_NUMBERS = count(1)


def fill(symbol: str, quantity: int, price: str, fees: str = "0") -> Fill:
    return Fill(
        execution_id=f"e{next(_NUMBERS)}",
        symbol=symbol,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=Decimal(abs(quantity)),
        price=Decimal(price),
        time_ns=1,
        fees=Decimal(fees),
    )


def settled(
    symbol: str, quantity: int, outcome: str, cash: str = "0", shares: int = 0
) -> Settlement:
    return Settlement(
        settlement_id=f"s{next(_NUMBERS)}",
        symbol=symbol,
        quantity=Decimal(quantity),
        outcome=outcome,
        cash=Decimal(cash),
        shares=Decimal(shares),
        time_ns=2,
    )


def test_the_oldest_lots_are_closed_first() -> None:
    tracker = PortfolioTracker()
    for each in (
        fill("QQQ", 100, "10", "1"),
        fill("QQQ", 100, "12", "2"),
        fill("QQQ", -150, "15", "3"),
    ):
        assert tracker.book(each)
    held = tracker.holdings["QQQ"]
    assert held.quantity == 50
    assert held.average_price == 12
    # 100 x 5 less 1 and 2 of the sale's 3; 50 x 3 less half of 2 and 1 of the sale's 3.
    assert held.realized_pnl == (500 - 1 - 2) + (150 - 1 - 1)


def test_a_sale_can_turn_a_holding_round() -> None:
    tracker = PortfolioTracker()
    tracker.book(fill("QQQ", 10, "10"))
    tracker.book(fill("QQQ", -30, "11"))
    assert tracker.holdings["QQQ"].quantity == -20
    assert tracker.holdings["QQQ"].realized_pnl == 10
    tracker.book(fill("QQQ", 20, "9"))
    assert tracker.realized_pnl == 10 + 40


def test_each_execution_counts_once() -> None:
    tracker = PortfolioTracker()
    one = fill("QQQ", 10, "10")
    assert [tracker.book(one), tracker.book(one)] == [True, False]
    assert tracker.quantity("QQQ") == 10


@pytest.mark.parametrize(
    ("symbol", "quantity", "premium", "settlement", "shares", "price", "realised"),
    [
        (CALL, 2, "3", ("worthless", "0", 0), 0, "0", "-600"),
        (CALL, -2, "3", ("worthless", "0", 0), 0, "0", "600"),
        (CALL, 2, "3", ("cash", "500", 0), 0, "0", "400"),
        (CALL, 1, "3", ("exercised", "0", 100), 100, "503", "0"),
        (CALL, -1, "3", ("assigned", "0", -100), -100, "503", "0"),
        (PUT, 1, "3", ("exercised", "0", -100), -100, "487", "0"),
        (PUT, -1, "3", ("assigned", "0", 100), 100, "487", "0"),
    ],
)
def test_options_come_to_their_end(
    symbol: str,
    quantity: int,
    premium: str,
    settlement: tuple[str, str, int],
    shares: int,
    price: str,
    realised: str,
) -> None:
    tracker = PortfolioTracker()
    tracker.book(fill(symbol, quantity, premium, "1"))
    ended = settled(symbol, quantity, *settlement)
    assert [tracker.settle(ended), tracker.settle(ended)] == [True, False]
    assert tracker.quantity(symbol) == 0
    assert tracker.quantity("QQQ") == shares
    fees = 0 if shares else 1
    assert tracker.realized_pnl == Decimal(realised) - fees
    if shares:
        assert tracker.holdings["QQQ"].average_price == Decimal(price)
        tracker.book(fill("QQQ", -shares, "500"))
        strike = Decimal(500 if symbol == CALL else 490)
        gained = shares * (500 - strike) - quantity * Decimal(premium) * 100
        assert tracker.realized_pnl == gained - 1
        assert tracker.cash_flow == gained - 1


def test_what_others_hold_is_not_ours() -> None:
    tracker = PortfolioTracker()
    assert not tracker.settle(settled(CALL, 1, "exercised", shares=100))
    assert tracker.cash_flow == 0


_SYMBOLS = ("QQQ", CALL, CALL_UP, PUT, PUT_DOWN)


@settings(max_examples=1000 if os.environ.get("PROVE") else 60, deadline=None)
@given(
    trades=st.lists(
        st.tuples(st.sampled_from(_SYMBOLS), st.integers(-3, 3).filter(bool), st.integers(1, 900)),
        min_size=1,
        max_size=12,
    ),
    end=st.integers(480, 515),
)
def test_it_agrees_with_the_account_to_the_cent(
    trades: list[tuple[str, int, int]], end: int
) -> None:
    desk = Desk("10000000", fees=FeeSchedule())
    broker = PaperBroker(desk.account, lambda: to_time(at(15, 10)))
    tracker = PortfolioTracker()

    def hear(news: object) -> None:
        for each in news:  # type: ignore[attr-defined]
            if isinstance(each, OrderUpdate):
                for one in each.fills:
                    tracker.book(one)
            else:
                tracker.settle(each)

    for n, (symbol, quantity, cents) in enumerate(trades):
        now = at(15, 10) + n * 1_000_000_000
        price = cents / 100 if len(symbol) > 6 else 490 + cents / 100
        hear(broker.observe(quote("QQQ", 499.99, 500.01, now)))
        hear(broker.observe(quote(symbol, price, price + 0.01, now)))
        leg = buy(symbol) if quantity > 0 else sell(symbol)
        units = abs(quantity) * (1 if len(symbol) > 6 else 100)
        hear(broker.submit(desk.order(leg, quantity=units)))
    hear(broker.observe(quote("QQQ", end - 0.01, end + 0.01, at(19, 15), last=float(end))))
    hear(broker.observe(Heartbeat(time_ns=at(19, 17))))
    hear(broker.observe(Heartbeat(time_ns=at(22, 10))))

    held = {name: each.quantity for name, each in tracker.holdings.items() if each.quantity}
    assert held == {name: Decimal(units) for name, units in desk.held().items()}
    assert set(held) <= {"QQQ"}, "every option has come to its end"
    assert desk.account.state.cash - desk.account.state.start_cash == tracker.cash_flow
    # What is realised and what is held at its cost make the cash, to the cent.
    cost = sum(
        (
            lot.quantity * lot.price * each.multiplier + lot.fees
            for each in tracker.holdings.values()
            for lot in each.lots
        ),
        Decimal(0),
    )
    assert tracker.realized_pnl - cost == tracker.cash_flow
