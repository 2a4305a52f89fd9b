"""Written options that are assigned before their end, where holders do best to exercise them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from paper_desk import CALL, MORNING, PUT, Desk, at, buy, quote, sell

from engine.early_assignment import Dividend
from engine.matching import TOUCH, MatchRules
from engine.paper import PaperBroker
from models.events import Heartbeat, Settlement
from utils.clock import to_time

RULES = MatchRules(early_assignment=True)
EVENING = at(15, 16, 16)
"""Options on QQQ trade until 16:15."""

TUESDAY = date(2025, 12, 16)


def written(symbol: str, bid: float, ask: float, spot: float, rules: MatchRules = RULES) -> Desk:
    """Return an account that has written a contract; a covered call where it is one."""
    desk = Desk(rules=rules)
    desk.account.on_quote(quote("QQQ", spot - 0.01, spot + 0.01))
    desk.account.on_quote(quote(symbol, bid, ask))
    if symbol == CALL:
        desk.place(desk.order(buy("QQQ"), quantity=100))
    assert desk.place(desk.order(sell(symbol)))[-1][1] == "FILLED"
    return desk


def held(desk: Desk) -> dict[str, int]:
    return {name: each.quantity for name, each in desk.account.state.holdings.items()}


@pytest.mark.parametrize(
    ("ex_date", "amount", "assigned"),
    [
        (TUESDAY, "0.70", True),
        (TUESDAY, "0.10", False),  # not more than what the call is worth above its value exercised
        (date(2025, 12, 17), "0.70", False),  # a day too early
        (date(2025, 12, 15), "0.70", False),  # too late
    ],
)
def test_a_call_goes_the_evening_before_a_dividend_that_is_worth_more(
    ex_date: date, amount: str, *, assigned: bool
) -> None:
    desk = written(CALL, 20.05, 20.15, 520.0)
    desk.account.dividends = {"QQQ": Dividend(ex_date, Decimal(amount))}
    desk.account.on_time(EVENING - 120 * 10**9)
    assert held(desk) == {"QQQ": 100, CALL: -1}, "not before the close"
    desk.account.on_time(EVENING)
    assert held(desk) == ({} if assigned else {"QQQ": 100, CALL: -1})
    if assigned:
        (ended,) = desk.account.state.expired
        assert (ended.outcome, ended.shares, ended.cash) == ("assigned", -100, Decimal(50_000))


@pytest.mark.parametrize(("ask", "assigned"), [(20.02, True), (20.06, False)])
def test_a_put_goes_when_it_is_worth_no_more_than_exercised(ask: float, *, assigned: bool) -> None:
    desk = written(PUT, 19.96, ask, 470.0)
    desk.account.on_time(EVENING)
    assert held(desk) == ({"QQQ": 100} if assigned else {PUT: -1})


def test_nobody_exercises_out_of_the_money_nor_on_quotes_of_another_day() -> None:
    desk = written(PUT, 0.02, 0.04, 520.0)
    desk.account.on_time(EVENING)
    assert held(desk) == {PUT: -1}
    late = written(PUT, 20.5, 20.6, 470.0)
    late.account.on_time(at(16, 9, 35))  # the evening had no reason
    late.account.on_quote(quote("QQQ", 469.9, 470.1, time_ns=at(16, 10)))
    late.account.on_time(at(16, 16, 16))
    assert held(late) == {PUT: -1}, "its own quote is yesterday's"
    late.account.on_quote(quote("QQQ", 469.99, 470.01, time_ns=at(17, 10)))
    late.account.on_quote(quote(PUT, 19.9, 20.1, time_ns=at(17, 10)))
    late.account.on_time(at(17, 16, 16))
    assert held(late) == {"QQQ": 100}, "each evening is looked at"


def test_it_is_the_paper_modes_rule_outlives_a_restart_and_is_told() -> None:
    assert TOUCH.early_assignment
    assert not MatchRules().early_assignment
    desk = written(PUT, 19.96, 20.02, 470.0)
    again = Desk(rules=RULES)
    again.account.restore(desk.account.snapshot())
    broker = PaperBroker(again.account, lambda: to_time(MORNING))
    told = broker.observe(Heartbeat(time_ns=EVENING))
    (ended,) = [each for each in told if isinstance(each, Settlement)]
    assert (ended.symbol, ended.outcome, ended.shares) == (PUT, "assigned", Decimal(100))
