from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from models import spreads
from models.errors import RiskDenied
from models.order_terms import AccountKind, Mode, PositionEffect, Side
from models.trading import AccountTerms, Order
from schwab_integration.account_rules import check_account, closes

LOWER, CALL, HIGHER, LATER = (
    "QQQ   261218C00590000",
    "QQQ   261218C00600000",
    "QQQ   261218C00610000",
    "QQQ   270115C00600000",
)
PUT = "QQQ   261218P00500000"
ACCOUNT = "A" * 64


def terms(kind: str = "MARGIN", **more: Any) -> AccountTerms:
    return AccountTerms(account_id=ACCOUNT, kind=AccountKind(kind), **more)


def make(legs: Any, limit: str | None = None) -> Order:

    named = spreads.Terms(
        client_order_id="a",
        account_id=ACCOUNT,
        mode=Mode.REHEARSAL,
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return spreads.order(named, legs, limit_price=None if limit is None else Decimal(limit))


def one(symbol: str, side: Side, effect: PositionEffect = PositionEffect.OPENING) -> Order:
    leg = spreads.leg(symbol, side).model_copy(update={"position_effect": effect})
    return make([leg], "1.00")


BUY_SHARES = one("QQQ", Side.BUY)
SHORT_SHARES = one("QQQ", Side.SELL)
SELL_SHARES = one("QQQ", Side.SELL, PositionEffect.CLOSING)
BUY_CALL = one(CALL, Side.BUY)
SELL_CALL = one(CALL, Side.SELL)
SELL_PUT = one(PUT, Side.SELL)
CLOSE_CALL = one(CALL, Side.BUY, PositionEffect.CLOSING)
VERTICAL = make(spreads.vertical(buy=HIGHER, sell=CALL), "-1.00")
COVERED = make(spreads.covered_call(CALL), "590.00")
CALENDAR = make(spreads.calendar(buy=LATER, sell=CALL), "1.00")
TWO_ON_ONE = make(
    [spreads.leg(CALL, Side.BUY), spreads.leg(HIGHER, Side.SELL), spreads.leg(LOWER, Side.SELL)],
    "-1.00",
)
REVERSED = make([spreads.leg(CALL, Side.BUY), spreads.leg(LATER, Side.SELL)], "-1.00")


def rule_of(order: Order, account: AccountTerms, shares: int = 0) -> str | None:
    try:
        check_account(order, account, lambda: {"QQQ": Decimal(shares)})
    except RiskDenied as error:
        return error.rule
    return None


@pytest.mark.parametrize(
    ("order", "account", "shares", "rule"),
    [
        (BUY_SHARES, terms(), 0, None),
        (SHORT_SHARES, terms(), 0, None),
        (SHORT_SHARES, terms("CASH"), 0, "short_sale"),
        (SHORT_SHARES, terms(retirement=True), 0, "short_sale"),
        (SELL_SHARES, terms("CASH"), 1, None),
        (BUY_SHARES, terms(closing_only=True), 0, "closing_only"),
        (SELL_SHARES, terms(closing_only=True), 0, None),
        (CLOSE_CALL, terms(closing_only=True, option_level=0), 0, None),
        (BUY_CALL, terms(option_level=0), 0, "option_level"),
        (BUY_CALL, terms(option_level=1), 0, "option_level"),
        (BUY_CALL, terms("CASH", option_level=2), 0, None),
        (SELL_PUT, terms("CASH", option_level=1), 0, None),
        (SELL_CALL, terms(option_level=3), 0, None),
        (SELL_CALL, terms(option_level=2), 99, "uncovered"),
        (SELL_CALL, terms(option_level=1), 100, None),
        (SELL_CALL, terms("CASH"), 0, "uncovered"),
        (SELL_CALL, terms(retirement=True), 0, "uncovered"),
        (COVERED, terms("CASH", option_level=1), 0, None),
        (COVERED, terms("CASH"), 0, None),
        (VERTICAL, terms(option_level=2), 0, "option_level"),
        (VERTICAL, terms("CASH"), 0, None),
        (CALENDAR, terms(retirement=True), 0, None),
        (REVERSED, terms(retirement=True), 0, "uncovered"),
        (REVERSED, terms(), 0, None),
        (TWO_ON_ONE, terms("CASH"), 99, "uncovered"),
        (TWO_ON_ONE, terms("CASH"), 100, None),
        (TWO_ON_ONE, terms(retirement=True), 0, "uncovered"),
        (TWO_ON_ONE, terms(), 0, None),
    ],
)
def test_rules(order: Order, account: AccountTerms, shares: int, rule: str | None) -> None:
    assert rule_of(order, account, shares) == rule


@pytest.mark.parametrize(
    ("order", "held", "rule"),
    [
        (SELL_CALL, {"QQQ": 100, HIGHER: -1}, "uncovered"),  # these shares cover that call
        (SELL_CALL, {"QQQ": 199, HIGHER: -1}, "uncovered"),
        (SELL_CALL, {"QQQ": 200, HIGHER: -1}, None),
        (SELL_CALL, {"QQQ": 100, PUT: -1, "SPY   261218C00600000": -1}, None),
        (SELL_CALL, {"QQQ": 100, HIGHER: -1, LATER: 1}, None),  # a call covers that call
        (make(spreads.covered_call(CALL), "590.00"), {"QQQ": 100, HIGHER: -1}, None),
    ],
)
def test_shares_cover_one_call_only(order: Order, held: dict[str, int], rule: str | None) -> None:
    found = None
    try:
        check_account(order, terms("CASH"), lambda: {s: Decimal(n) for s, n in held.items()})
    except RiskDenied as error:
        found = error.rule
    assert found == rule


def test_holdings_are_asked_only_where_they_matter() -> None:
    asked: list[int] = []

    def holdings() -> dict[str, Decimal]:
        asked.append(1)
        return {}

    for order in (BUY_SHARES, BUY_CALL, SELL_CALL, VERTICAL):
        check_account(order, terms(), holdings)
    assert asked == []


def test_only_closing_tickets_use_the_reserve() -> None:
    assert closes(SELL_SHARES)
    assert not closes(BUY_SHARES)
    pair = spreads.one_cancels_other(
        SELL_SHARES, BUY_SHARES.model_copy(update={"client_order_id": "b"})
    )
    assert not closes(pair)


def test_nothing_is_sent_that_the_account_may_not_trade(
    make_bench: Callable[..., Any], order: Callable[..., Order]
) -> None:
    bench = make_bench(terms=terms(closing_only=True))
    with pytest.raises(RiskDenied, match="may only close"):
        bench.submit(order("a"))
    assert bench.exchange.sent == []
