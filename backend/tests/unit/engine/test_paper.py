"""The life of orders in a paper account, by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from paper_desk import CALL, CALL_UP, MORNING, PUT, Desk, at, buy, quote, sell

from engine.fees import FeeSchedule
from engine.paper import Listener, PaperBroker
from models.errors import OrderRejected
from models.events import Bar, Heartbeat, OrderUpdate
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import AccountKind, OrderType, PositionEffect, TimeInForce, TrailBasis
from models.trading import Trail
from utils.clock import to_time

Make = Callable[..., Desk]
LIMIT = OrderType.LIMIT
CLOSING, OPENING = PositionEffect.CLOSING, PositionEffect.OPENING


def test_a_market_order_fills_at_the_quote_that_is_known(desk: Make) -> None:
    d = desk()
    d.see(quote())
    order = d.order(buy(), quantity=10)
    assert [state for _, state in d.place(order)] == ["SUBMITTED", "WORKING", "FILLED"]
    assert d.held() == {"QQQ": 10}
    assert d.account.state.cash == Decimal("94999.90")


def test_an_order_waits_for_the_first_quote(desk: Make) -> None:
    d = desk()
    order = d.order(buy(), quantity=10)
    assert [state for _, state in d.place(order)] == ["SUBMITTED", "WORKING"]
    assert d.account.symbols() == {"QQQ"}
    assert d.see(quote()) == [("c1", "FILLED")]
    assert d.account.symbols() == {"QQQ"}  # still held


def test_partial_fills_take_the_displayed_size_once(desk: Make) -> None:
    d = desk()
    d.see(quote(CALL, 5.0, 5.1, size=3))
    first = d.order(buy(CALL), quantity=2, order_type=LIMIT, limit_price="5.10")
    second = d.order(buy(CALL), quantity=5, order_type=LIMIT, limit_price="5.10")
    d.place(first)
    assert d.place(second)[-1] == ("c2", "PARTIALLY_FILLED")
    assert d.held() == {CALL: 3}
    assert d.see(quote(CALL, 5.0, 5.1, size=3)) == [("c2", "PARTIALLY_FILLED")]
    assert d.see(quote(CALL, 5.0, 5.1, size=3)) == [("c2", "FILLED")]
    assert d.held() == {CALL: 7}


def test_fill_or_kill_and_immediate_or_cancel(desk: Make) -> None:
    d = desk()
    d.see(quote(CALL, 5.0, 5.1, size=3))
    kill = d.order(buy(CALL), quantity=4, time_in_force=TimeInForce.FILL_OR_KILL)
    assert d.place(kill)[-1] == ("c1", "CANCELED")
    at_once = d.order(buy(CALL), quantity=4, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert [s for _, s in d.place(at_once)][-2:] == ["PARTIALLY_FILLED", "CANCELED"]
    assert d.held() == {CALL: 3}


def test_a_stop_waits_is_triggered_and_fills(desk: Make) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy(), quantity=10))
    stop = d.order(sell(), quantity=10, order_type=OrderType.STOP, stop_price="495")
    assert [s for _, s in d.place(stop)] == ["SUBMITTED", "WAITING"]
    assert d.see(quote(bid=495.5, ask=495.6, last=495.01)) == []
    assert d.see(quote(bid=494.5, ask=494.6, last=494.9)) == [("c2", "WORKING"), ("c2", "FILLED")]
    assert d.held() == {}
    assert d.account.state.realized["QQQ"] == Decimal("-55.10")


def test_a_triggered_stop_limit_keeps_its_limit(desk: Make) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy(), quantity=10))
    stop = d.order(
        sell(), quantity=10, order_type=OrderType.STOP_LIMIT, stop_price="495", limit_price="494.80"
    )
    d.place(stop)
    assert d.see(quote(bid=494.5, ask=494.6, last=494.9)) == [("c2", "WORKING")]
    assert d.see(quote(bid=496.5, ask=496.6, last=496.5)) == [("c2", "FILLED")]


def test_a_trailing_stop_follows_and_fires(desk: Make) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy(), quantity=10))
    trail = Trail(offset=Decimal(2), basis=TrailBasis.BID)
    d.place(d.order(sell(), quantity=10, order_type=OrderType.TRAILING_STOP, trail=trail))
    d.see(quote(bid=505.0, ask=505.1))
    assert d.see(quote(bid=503.01, ask=503.1)) == []
    assert d.see(quote(bid=502.99, ask=503.1))[-1] == ("c2", "FILLED")


def test_a_trailing_stop_limit_puts_its_limit_behind_the_stop(desk: Make) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy(), quantity=10))
    trail = Trail(offset=Decimal(2), basis=TrailBasis.BID, limit_offset=Decimal("0.10"))
    d.place(d.order(sell(), quantity=10, order_type=OrderType.TRAILING_STOP_LIMIT, trail=trail))
    assert d.see(quote(bid=497.0, ask=497.1)) == [("c2", "WORKING")]  # stop 497.99, limit 497.89
    assert d.see(quote(bid=497.89, ask=497.95)) == [("c2", "FILLED")]


def test_orders_on_the_close_trade_there(desk: Make) -> None:
    d = desk()
    market = d.order(buy(), order_type=OrderType.MARKET_ON_CLOSE)
    limited = d.order(buy(), order_type=OrderType.LIMIT_ON_CLOSE, limit_price="400")
    d.place(market)
    d.place(limited)
    assert d.see(quote(time_ns=at(15, 15, 59))) == []
    told = d.account.on_time(at(15, 16))
    assert [(u.client_order_id, u.status) for u in told] == [("c1", "FILLED"), ("c2", "EXPIRED")]


def test_day_orders_expire_at_the_close_and_longer_ones_sleep(desk: Make) -> None:
    d = desk()
    day = d.order(buy(CALL), order_type=LIMIT, limit_price="1")
    gtc = d.order(
        buy(CALL),
        order_type=LIMIT,
        limit_price="1",
        time_in_force=TimeInForce.GOOD_TILL_CANCEL,
    )
    d.place(day)
    d.place(gtc)
    told = d.account.on_time(at(15, 16, 15))  # options of QQQ trade until 16:15
    assert [(u.client_order_id, u.status) for u in told] == [("c1", "EXPIRED")]
    assert d.see(quote(CALL, 0.8, 0.9, time_ns=at(15, 17))) == []
    assert d.see(quote(CALL, 0.8, 0.9, time_ns=at(16, 9, 31))) == [("c2", "FILLED")]


def test_an_order_before_the_open_is_queued(desk: Make) -> None:
    d = desk()
    d.see(quote(time_ns=at(15, 8)))
    order = d.order(buy())
    assert [s for _, s in d.place(order, at(15, 8))] == ["SUBMITTED", "WAITING"]
    assert d.account.next_ns() == at(15, 9, 30)
    told = d.account.on_time(at(15, 9, 30))
    assert [u.status for u in told] == ["WORKING"]  # the quote of the night does not count
    assert d.see(quote(time_ns=at(15, 9, 30))) == [("c1", "FILLED")]


def test_a_quote_of_another_session_that_comes_late_fills_nothing(desk: Make) -> None:
    d = desk()
    d.place(d.order(buy()))
    assert d.see(quote(time_ns=at(12, 15))) == []
    assert d.see(quote(time_ns=at(15, 9, 45))) == [("c1", "FILLED")]


def test_an_order_of_the_weekend_is_of_monday(desk: Make) -> None:
    d = desk()
    d.place(d.order(buy(), order_type=LIMIT, limit_price="400"), at(13, 12))
    assert [u.status for u in d.account.on_time(at(15, 9, 30))] == ["WORKING"]
    assert [u.status for u in d.account.on_time(at(15, 16))] == ["EXPIRED"]


@pytest.mark.parametrize(
    ("term", "last"),
    [
        (TimeInForce.END_OF_WEEK, at(19, 16)),
        (TimeInForce.END_OF_MONTH, at(31, 16)),
    ],
)
def test_longer_terms_end_with_their_last_session(desk: Make, term: TimeInForce, last: int) -> None:
    d = desk()
    d.place(d.order(buy(), order_type=LIMIT, limit_price="1", time_in_force=term))
    assert d.account.on_time(last - 1)[-1:] != ["EXPIRED"]
    assert [u.status for u in d.account.on_time(last)] == ["EXPIRED"]


def bracket(d: Desk, quantity: int = 10) -> Trigger:
    return Trigger(
        first=d.order(buy(), quantity=quantity),
        then=OneCancelsOther(
            orders=(
                d.order(
                    sell(position_effect=CLOSING),
                    quantity=quantity,
                    order_type=LIMIT,
                    limit_price="510",
                ),
                d.order(
                    sell(position_effect=CLOSING),
                    quantity=quantity,
                    order_type=OrderType.STOP,
                    stop_price="490",
                ),
            )
        ),
    )


def test_a_bracket_takes_its_profit_and_cancels_its_stop(desk: Make) -> None:
    d = desk()
    ticket = bracket(d)
    told = d.place(ticket)
    assert told[-1] == ("c1", "WORKING")
    assert ("c2", "WAITING") in told
    assert ("c3", "WAITING") in told
    assert d.see(quote()) == [("c1", "FILLED"), ("c2", "WORKING"), ("c3", "WAITING")]
    assert d.see(quote(bid=510.0, ask=510.1, last=510.0)) == [("c2", "FILLED"), ("c3", "CANCELED")]
    assert d.held() == {}


def test_a_bracket_stops_out_and_cancels_its_profit(desk: Make) -> None:
    d = desk()
    d.place(bracket(d))
    d.see(quote())
    told = d.see(quote(bid=489.0, ask=489.1, last=489.0))
    assert told == [("c3", "WORKING"), ("c3", "FILLED"), ("c2", "CANCELED")]


def test_a_partial_fill_cancels_the_other_order(desk: Make) -> None:
    d = desk()
    d.place(bracket(d))
    d.see(quote())
    told = d.see(quote(bid=510.0, ask=510.1, last=510.0, size=4))
    assert told == [("c2", "PARTIALLY_FILLED"), ("c3", "CANCELED")]


def test_children_go_with_a_parent_that_ends_unfilled(desk: Make) -> None:
    d = desk()
    d.place(bracket(d))
    parent = d.account.state.client_order_ids["c1"]
    told = d.account.cancel(parent, MORNING)
    assert [(u.client_order_id, u.status) for u in told] == [
        ("c1", "CANCELED"),
        ("c2", "CANCELED"),
        ("c3", "CANCELED"),
    ]


def test_a_replacement_takes_fills_children_and_twin_over(desk: Make) -> None:
    d = desk()
    ticket = bracket(d)
    d.place(ticket)
    d.see(quote(size=4))
    old = d.account.state.client_order_ids["c1"]
    new = d.order(buy(), quantity=10, order_type=LIMIT, limit_price="500.01")
    told = d.account.replace(old, new, MORNING)
    assert [(u.client_order_id, u.status) for u in told] == [
        ("c4", "SUBMITTED"),
        ("c1", "REPLACED"),
        ("c4", "WORKING"),
    ]
    assert told[0].order_id != old
    kept = d.account.kept(told[0].order_id or "")
    assert kept is not None
    assert (kept.quantity, kept.replaces) == (6, old)
    assert d.see(quote())[:3] == [("c4", "FILLED"), ("c2", "WORKING"), ("c3", "WAITING")]
    assert d.held() == {"QQQ": 10}
    stop_id = d.account.state.client_order_ids["c3"]
    lower = d.order(
        sell(position_effect=CLOSING), quantity=10, order_type=OrderType.STOP, stop_price="480"
    )
    d.account.replace(stop_id, lower, MORNING)
    assert d.see(quote(bid=510.0, ask=510.1)) == [("c2", "FILLED"), ("c5", "CANCELED")]


def test_a_waiting_child_is_replaced_and_still_waits(desk: Make) -> None:
    d = desk()
    d.place(bracket(d))
    child = d.account.state.client_order_ids["c2"]
    new = d.order(sell(), quantity=10, order_type=LIMIT, limit_price="505")
    assert [u.status for u in d.account.replace(child, new, MORNING)] == [
        "SUBMITTED",
        "REPLACED",
        "WAITING",
    ]
    d.see(quote())
    assert d.see(quote(bid=505.0, ask=505.1)) == [("c4", "FILLED"), ("c3", "CANCELED")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantity": "1.5"}, "whole"),
        ({"order_type": LIMIT, "limit_price": "1.005"}, "multiple"),
        ({"account_id": "other"}, "another account"),
        ({"legs": (buy("QQQ   251212C00500000"),)}, "expired"),
        ({"legs": (buy("SPX"),)}, "index"),
        ({"order_type": OrderType.MARKET_ON_CLOSE}, "shares alone"),
    ],
)
def test_malformed_orders_are_refused_at_once(
    desk: Make, change: dict[str, Any], words: str
) -> None:
    d = desk()
    fields = d.order(buy(CALL)).model_dump() | change
    order = type(d.order(buy())).model_validate(fields)
    with pytest.raises(OrderRejected, match=words):
        d.place(order)
    assert d.account.state.orders == {}


def test_a_client_order_id_is_used_once(desk: Make) -> None:
    d = desk()
    order = d.order(buy())
    d.place(order)
    with pytest.raises(OrderRejected, match="used before"):
        d.place(order)


@pytest.mark.parametrize("order_id", ["1001", "77"])
def test_what_ended_or_never_was_cannot_be_canceled(desk: Make, order_id: str) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy()))
    with pytest.raises(OrderRejected):
        d.account.cancel(order_id, MORNING)


MARGIN, CASH = AccountKind.MARGIN, AccountKind.CASH


@pytest.mark.parametrize(
    ("terms", "legs", "words"),
    [
        ({"cash": "400"}, [buy(CALL)], "insufficient funds"),
        ({"closing_only": True}, [buy(CALL)], "closing"),
        ({"option_level": 0}, [buy(CALL)], "no option approval"),
        ({"option_level": 1}, [buy(CALL)], "bought options"),
        ({"option_level": 2}, [buy(CALL), sell(CALL_UP)], "spreads"),
        ({"option_level": 2}, [sell(CALL, position_effect=OPENING)], "uncovered calls"),
        ({"kind": CASH}, [sell(CALL)], "uncovered calls"),
        ({"retirement": True}, [sell(CALL)], "uncovered calls"),
        ({"kind": CASH, "cash": "40000"}, [sell(PUT)], "insufficient funds"),
        ({"kind": CASH}, [sell()], "short"),
        ({}, [sell(CALL, position_effect=CLOSING)], "oversold"),
        ({"cash": "5000"}, [sell(CALL)], "insufficient funds"),
    ],
)
def test_what_an_account_may_not_do_is_rejected_after_acceptance(
    desk: Make, terms: dict[str, Any], legs: list[Any], words: str
) -> None:
    d = desk(**terms)
    d.see(quote(), quote(CALL, 5.0, 5.1), quote(CALL_UP, 3.0, 3.1), quote(PUT, 4.0, 4.1))
    order = d.order(*legs)
    told = d.account.place(order, MORNING)
    assert [str(update.status) for update in told] == ["SUBMITTED", "REJECTED"]
    assert words in told[-1].reason
    assert d.held() == {}


@pytest.mark.parametrize(
    ("terms", "legs"),
    [
        ({"cash": "510"}, [buy(CALL)]),
        ({"kind": CASH, "cash": "48600", "option_level": 1}, [sell(PUT)]),
        ({"kind": CASH, "cash": "300", "option_level": 3}, [buy(CALL), sell(CALL_UP)]),
        ({"cash": "10500"}, [sell(CALL)]),
        ({"cash": "25001"}, [buy("QQQ", 100)]),
    ],
)
def test_what_an_account_may_do(desk: Make, terms: dict[str, Any], legs: list[Any]) -> None:
    d = desk(**terms)
    d.see(quote(), quote(CALL, 5.0, 5.1), quote(CALL_UP, 3.0, 3.1), quote(PUT, 4.0, 4.1))
    assert d.place(d.order(*legs))[-1][1] == "FILLED"


def test_a_covered_call_needs_its_shares_once(desk: Make) -> None:
    d = desk(kind=CASH, option_level=1)
    d.see(quote(), quote(CALL, 5.0, 5.1))
    d.place(d.order(buy("QQQ"), quantity=100))
    first = d.order(sell(CALL), order_type=LIMIT, limit_price="6")
    second = d.order(sell(CALL), order_type=LIMIT, limit_price="6")
    assert d.place(first)[-1][1] == "WORKING"
    assert d.place(second)[-1][1] == "REJECTED"
    sold = d.order(sell("QQQ", position_effect=CLOSING), quantity=100)
    assert d.place(sold)[-1][1] == "REJECTED"  # the shares cover the working call


def test_working_orders_hold_their_money_back(desk: Make) -> None:
    d = desk(cash="1000")
    order = d.order(buy(CALL), order_type=LIMIT, limit_price="6")
    d.place(order)
    assert d.account.balances(MORNING).buying_power == 400
    assert d.place(d.order(buy(CALL), order_type=LIMIT, limit_price="5"))[-1][1] == "REJECTED"
    d.account.cancel("1001", MORNING)
    assert d.account.balances(MORNING).buying_power == 1000


def test_a_pair_holds_the_dearer_of_its_reserves(desk: Make) -> None:
    d = desk(cash="1000")
    d.place(
        OneCancelsOther(
            orders=(
                d.order(buy(CALL), order_type=LIMIT, limit_price="6"),
                d.order(buy(CALL_UP), order_type=LIMIT, limit_price="9"),
            )
        )
    )
    assert [s.status for s in d.account.orders()] == ["WORKING", "WORKING"]
    assert d.account.balances(MORNING).buying_power == 100


def test_positions_cannot_be_sold_twice(desk: Make) -> None:
    d = desk()
    d.see(quote(CALL, 5.0, 5.1))
    d.place(d.order(buy(CALL)))
    close = [sell(CALL, position_effect=CLOSING)]
    assert d.place(d.order(*close, order_type=LIMIT, limit_price="9"))[-1][1] == "WORKING"
    assert d.place(d.order(*close, order_type=LIMIT, limit_price="8"))[-1][1] == "REJECTED"


def test_cash_settles_with_the_next_session(desk: Make) -> None:
    d = desk(kind=CASH)
    d.see(quote(time_ns=at(19, 10)))
    d.place(d.order(buy(), quantity=10), at(19, 10))  # a Friday
    d.place(d.order(sell(), quantity=10), at(19, 10))
    assert d.account.state.cash == Decimal("99999.80")
    assert d.account.settled_cash(at(19, 20)) == 100_000
    assert d.account.settled_cash(at(22, 9, 30)) == Decimal("99999.80")


def test_the_average_price_and_the_gain(desk: Make) -> None:
    d = desk()
    d.see(quote(bid=99.9, ask=100.0))
    d.place(d.order(buy(), quantity=100))
    d.see(quote(bid=109.9, ask=110.0))
    d.place(d.order(buy(), quantity=200))
    d.see(quote(bid=120.0, ask=120.1))
    d.place(d.order(sell(), quantity=150))
    (position,) = d.account.positions()
    assert (position.signed_quantity, position.average_price) == (150, Decimal("106.666667"))
    assert position.realized_pnl == 2000
    d.place(d.order(sell(), quantity=250))  # through zero
    (position,) = d.account.positions()
    assert (position.signed_quantity, position.average_price) == (-100, Decimal(120))
    assert d.account.state.realized["QQQ"] == 4000


def test_a_leg_costs_the_same_in_one_piece_and_in_many(desk: Make) -> None:
    whole, parts = desk(fees=FeeSchedule()), desk(fees=FeeSchedule())
    for d, size in ((whole, None), (parts, 1)):
        d.place(d.order(sell(CALL), quantity=3))
        for _ in range(3):
            d.see(quote(CALL, 5.0, 5.1, size=size))
    assert len(parts.account.state.fills) == 3
    assert whole.account.state.cash == parts.account.state.cash
    assert whole.account.state.fees == parts.account.state.fees == Decimal("1.99")


@pytest.mark.parametrize(
    ("leg", "price", "outcome", "shares", "cash"),
    [
        (buy(CALL), 500.01, "exercised", 100, "-50000"),
        (buy(CALL), 500.0, "worthless", 0, "0"),
        (sell(CALL), 510.0, "assigned", -100, "50000"),
        (buy(PUT), 489.99, "exercised", -100, "49000"),
        (sell(PUT), 480.0, "assigned", 100, "-49000"),
        (sell(PUT), 490.0, "worthless", 0, "0"),
    ],
)
def test_options_expire(
    desk: Make, leg: Any, price: float, outcome: str, shares: int, cash: str
) -> None:
    d = desk()
    d.see(quote(), quote(leg.symbol, 5.0, 5.1))
    d.place(d.order(leg))
    before = d.account.state.cash
    cost = sum(h.cost for h in d.account.state.holdings.values())
    d.see(quote(bid=price - 0.01, ask=price + 0.01, last=price, time_ns=at(19, 15, 59)))
    d.account.on_time(at(19, 16))
    (done,) = d.account.state.expired
    assert (done.outcome, done.shares) == (outcome, shares)
    assert d.account.state.cash - before == Decimal(cash)
    if shares:  # the option's own cost is part of the shares'
        assert d.account.state.holdings["QQQ"].cost == cost - Decimal(cash)
    else:
        assert d.account.state.realized[leg.symbol] == -cost


def test_index_options_are_paid_in_cash(desk: Make) -> None:
    d = desk()
    symbol = "SPXW  251219C06800000"
    d.see(quote(symbol, 20.0, 20.5))
    d.place(d.order(buy(symbol)))
    d.see(quote("SPX", 6849.0, 6851.0, last=6850.0, time_ns=at(19, 15, 59)))
    d.account.on_time(at(19, 16))
    assert d.account.state.cash == 100_000 - 2050 + 5000
    assert d.account.state.realized[symbol] == 2950
    assert d.held() == {}


def test_morning_options_settle_at_the_first_price_of_the_day(desk: Make) -> None:
    d = desk()
    symbol = "SPX   251219C06800000"
    d.see(quote(symbol, 20.0, 20.5), quote("SPX", 6899.0, 6901.0, last=6900.0))
    d.place(d.order(buy(symbol)))
    d.account.on_time(at(19, 9, 30))
    assert d.account.state.awaiting == [symbol]
    d.see(quote("SPX", 6809.0, 6811.0, last=6810.0, time_ns=at(19, 9, 31)))
    assert d.account.state.expired[0].cash == 1000


def test_an_option_waits_for_the_price_of_its_underlying(desk: Make) -> None:
    d = desk()
    d.see(quote(CALL, 5.0, 5.1))
    d.place(d.order(buy(CALL)))
    d.account.on_time(at(19, 17))
    assert d.held() == {CALL: 1}
    d.see(quote(bid=510.0, ask=510.1, time_ns=at(22, 10)))
    assert d.held() == {"QQQ": 100}


def test_an_official_price_settles(desk: Make) -> None:
    d = desk()
    d.see(quote(CALL, 5.0, 5.1))
    d.place(d.order(sell(CALL)))
    working = d.order(buy(CALL), order_type=LIMIT, limit_price="1")
    d.place(working)
    d.account.settle_option(CALL, Decimal(520), at(15, 11))
    assert d.held() == {"QQQ": -100}
    assert d.state_of(working) == "EXPIRED"


def test_a_snapshot_is_plain_and_brings_everything_back(desk: Make) -> None:
    d, other = desk(), desk()
    d.see(quote(CALL, 5.0, 5.1, size=3))
    d.place(bracket(d))
    d.place(d.order(buy(CALL), quantity=5))
    plain = json.loads(json.dumps(d.account.snapshot()))
    other.account.restore(plain)
    assert other.account.snapshot() == d.account.snapshot()
    for desk_ in (d, other):
        desk_.see(quote(), quote(CALL, 5.0, 5.1, size=3), quote(bid=510.0, ask=510.1))
        desk_.account.on_time(at(19, 17))
    assert other.account.snapshot() == d.account.snapshot()


def test_a_preview_keeps_nothing(desk: Make) -> None:
    d = desk(fees=FeeSchedule())
    d.see(quote(), quote(CALL, 5.0, 5.1))
    before = d.account.snapshot()
    seen = d.account.preview(d.order(buy(CALL), quantity=2), MORNING)
    assert seen.accepted
    assert (seen.commission, seen.fees) == (Decimal("1.30"), Decimal("0.02"))
    assert (seen.order_value, seen.buying_power_after) == (1020, Decimal("98978.68"))
    refused = d.account.preview(d.order(buy(CALL), quantity=200), MORNING)
    assert not refused.accepted
    assert "insufficient" in refused.messages[0]
    assert d.account.snapshot() == before


def test_spreads_on_spx_are_priced_in_nickels(desk: Make) -> None:
    d = desk()
    legs = [buy("SPXW  251219C06800000"), sell("SPXW  251219C06810000")]
    order = d.order(*legs, order_type=OrderType.NET_DEBIT, limit_price="1.23")
    seen = d.account.preview(order, MORNING)
    assert seen.messages == ("Spread orders for SPX options must be priced in 5-cent increments.",)


def taken(stream: Listener) -> list[OrderUpdate]:
    async def take() -> list[OrderUpdate]:
        return [update async for update in stream]

    return asyncio.run(take())


def test_the_broker_tells_the_same_through_its_calls_and_its_stream(desk: Make) -> None:
    d = desk()
    broker = PaperBroker(d.account, lambda: to_time(MORNING))
    stream = broker.listen()
    told = broker.submit(d.order(buy(), order_type=LIMIT, limit_price="500.01"))
    told += broker.observe(quote())
    told += broker.observe(Heartbeat(time_ns=at(15, 16)))
    assert taken(stream) == told
    assert broker.account_id == "hash"
    since = datetime(2025, 12, 15, tzinfo=UTC)
    assert [order.status for order in broker.orders(since)] == ["FILLED"]
    assert len(broker.fills(since)) == len(broker.positions()) == 1
    assert broker.balances().cash == Decimal("99499.99")
    second = broker.submit(d.order(buy(), order_type=LIMIT, limit_price="1"))
    assert second[-1].order_id is not None
    bar = Bar(
        symbol="QQQ", time_ns=at(16, 9, 30), interval_s=60, open=1, high=1, low=1, close=1, volume=1
    )
    assert broker.observe(bar)[-1].status == "WORKING"
    assert broker.cancel(second[-1].order_id)[-1].status == "CANCELED"
    assert taken(stream)[-1].status == "CANCELED"


def test_a_closing_order_ends_when_its_position_has_gone(desk: Make) -> None:
    d = desk()
    d.see(quote())
    d.place(d.order(buy(), quantity=10))
    closing = d.order(
        sell(position_effect=CLOSING), quantity=10, order_type=LIMIT, limit_price="510"
    )
    d.place(closing)
    assert d.place(d.order(sell(), quantity=10))[-1][1] == "FILLED"
    told = d.account.on_quote(quote(bid=510.0, ask=510.1))
    assert [str(update.status) for update in told] == ["REJECTED"]
    assert "left to close" in told[0].reason
    assert d.held() == {}


def test_an_order_without_a_known_price_is_judged_before_it_fills(desk: Make) -> None:
    d = desk(cash="100")
    assert d.place(d.order(buy(CALL)))[-1][1] == "WORKING"
    assert d.see(quote(CALL, 5.0, 5.1)) == [("c1", "REJECTED")]


def test_no_order_outlives_its_contract(desk: Make) -> None:
    d = desk()
    gtc = TimeInForce.GOOD_TILL_CANCEL
    d.place(d.order(buy(CALL), order_type=LIMIT, limit_price="1", time_in_force=gtc))
    (told,) = d.account.on_time(at(22, 10))
    assert (str(told.status), told.time_ns) == ("EXPIRED", at(19, 16))


def test_a_price_before_the_opening_settles_no_morning_option(desk: Make) -> None:
    d = desk()
    symbol = "SPX   251219C06800000"
    d.see(quote(symbol, 20.0, 20.5))
    d.place(d.order(buy(symbol)))
    d.see(quote("SPX", 6899.0, 6901.0, last=6900.0, time_ns=at(19, 9)))
    d.account.on_time(at(19, 9, 30))
    assert d.account.state.awaiting == [symbol]


def test_of_two_orders_that_could_both_fill_one_does(desk: Make) -> None:
    d = desk()
    d.see(quote())
    pair = tuple(d.order(buy(), order_type=LIMIT, limit_price="600") for _ in range(2))
    d.place(OneCancelsOther(orders=pair))
    assert [d.state_of(order) for order in pair] == ["FILLED", "CANCELED"]
    assert d.held() == {"QQQ": 1}
