"""What trades against a quote, by hand: every rule with its boundary."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from paper_desk import CALL, CALL_UP, PUT, PUT_DOWN, buy, quote, sell

from engine.intake import to_paper
from engine.matching import (
    ORATS_WIDTHS,
    MatchRules,
    allocate,
    exact,
    mark_of,
    match_package,
    match_single,
    net_of,
    stop_touched,
    touch,
    trailed,
)
from models.order_terms import Mode, OrderType, TrailBasis, TrailUnit
from models.trading import Leg, Order, Trail

if TYPE_CHECKING:
    from engine.paper_state import PaperOrder
    from models.events import Quote

RULES = MatchRules()
_NAMES = itertools.count()


def order(*legs: Leg, quantity: int = 1, **changes: Any) -> PaperOrder:
    changes.setdefault("order_type", OrderType.MARKET)
    for name in ("limit_price", "stop_price"):
        if isinstance(changes.get(name), str):
            changes[name] = Decimal(changes[name])
    made = Order(
        client_order_id=f"c{next(_NAMES)}",
        account_id="hash",
        mode=Mode.PAPER,
        legs=legs,
        quantity=Decimal(quantity),
        created_at="2025-12-15T15:00:00Z",  # type: ignore[arg-type] - pydantic reads it
        **changes,
    )
    return to_paper(made, 1, "1", 0)


@pytest.mark.parametrize(
    ("bid", "ask", "sign", "market", "expected"),
    [
        (1.0, 1.1, 1, True, 1.1),
        (1.0, 1.1, -1, True, 1.0),
        (1.1, 1.0, 1, False, None),  # crossed
        (1.0, 1.0, 1, False, None),  # locked
        (None, 1.1, 1, True, None),  # one side, no limit
        (None, 1.1, 1, False, 1.1),
        (0.0, 0.05, 1, False, 0.05),
        (0.0, 0.05, -1, False, None),  # nobody bids
        (None, 1.1, -1, False, None),
        (1.0, None, -1, False, 1.0),
        (None, None, 1, False, None),
    ],
)
def test_the_touch(
    bid: float | None, ask: float | None, sign: int, market: bool, expected: float | None
) -> None:
    assert touch(quote(bid=bid, ask=ask), sign, RULES, market=market) == expected


def test_rules_open_locked_and_close_one_sided_quotes() -> None:
    locked, one_sided = quote(bid=1.0, ask=1.0), quote(bid=None, ask=1.0)
    assert touch(locked, 1, MatchRules(locked_fills=True), market=False) == 1.0
    assert touch(one_sided, 1, MatchRules(one_sided_limits=False), market=False) is None


@pytest.mark.parametrize(
    ("leg", "limit", "filled"),
    [
        (buy(CALL), "5.10", True),
        (buy(CALL), "5.09", False),
        (buy(CALL), "5.20", True),
        (sell(CALL), "5.00", True),
        (sell(CALL), "5.01", False),
        (sell(CALL), "4.00", True),
    ],
)
def test_a_limit_fills_at_the_touch_or_better(leg: Leg, limit: str, filled: bool) -> None:
    limited = order(leg, order_type=OrderType.LIMIT, limit_price=limit)
    match = match_single(limited, quote(CALL, 5.0, 5.1), None, RULES)
    assert (match is not None) == filled
    if match:
        assert match.prices == (Decimal("5.10") if leg.side == "BUY" else Decimal("5.00"),)


@pytest.mark.parametrize(("left", "units"), [(None, 10), (4, 4), (10, 10), (50, 10)])
def test_the_displayed_size_bounds_a_fill(left: int | None, units: int) -> None:
    match = match_single(order(buy(CALL), quantity=10), quote(CALL, 5.0, 5.1), left, RULES)
    assert match is not None
    assert match.units == units


def test_nothing_fills_where_nothing_is_displayed() -> None:
    assert match_single(order(buy(CALL)), quote(CALL, 5.0, 5.1), 0, RULES) is None


@pytest.mark.parametrize(
    ("leg", "stop", "seen", "touched"),
    [
        (sell(CALL), "4.50", {"bid": 4.51, "ask": 4.6}, False),
        (sell(CALL), "4.50", {"bid": 4.50, "ask": 4.6}, True),
        (sell(CALL), "4.50", {"bid": 4.6, "ask": 4.7, "last": 4.0}, False),  # options: the bid
        (buy(CALL), "5.50", {"bid": 5.4, "ask": 5.49}, False),
        (buy(CALL), "5.50", {"bid": 5.4, "ask": 5.5}, True),
        (sell(), "495", {"bid": 494.0, "ask": 494.1, "last": 495.01}, False),  # shares: the last
        (sell(), "495", {"bid": 496.0, "ask": 496.1, "last": 495.0}, True),
        (sell(), "495", {"bid": 495.0, "ask": 496.1}, True),  # no last trade known
    ],
)
def test_stops(leg: Leg, stop: str, seen: dict[str, float], touched: bool) -> None:
    stopped = order(leg, order_type=OrderType.STOP, stop_price=stop)
    assert stop_touched(stopped, quote(leg.symbol, **seen)) == touched


@pytest.mark.parametrize(
    ("unit", "offset", "stop"),
    [
        (TrailUnit.VALUE, "2", "98"),
        (TrailUnit.PERCENT, "3", "97"),
        (TrailUnit.TICK, "50", "99.5"),
    ],
)
def test_a_trailing_stop_keeps_its_distance_and_never_goes_back(
    unit: TrailUnit, offset: str, stop: str
) -> None:
    trail = Trail(offset=Decimal(offset), unit=unit, basis=TrailBasis.BID)
    trailing = order(sell(), order_type=OrderType.TRAILING_STOP, trail=trail)
    assert trailed(trailing, quote(bid=100.0, ask=100.1)) == (Decimal(100), Decimal(stop))
    trailing.water, trailing.stop = Decimal(100), Decimal(stop)
    assert trailed(trailing, quote(bid=99.0, ask=99.1)) == (Decimal(100), Decimal(stop))
    higher = trailed(trailing, quote(bid=110.0, ask=110.1))
    assert higher is not None
    assert higher[0] == 110
    assert higher[1] > Decimal(stop)


@pytest.mark.parametrize(
    ("basis", "seen"),
    [
        (TrailBasis.LAST, "101"),
        (TrailBasis.BID, "100"),
        (TrailBasis.ASK, "100.2"),
        (TrailBasis.MARK, "100.1"),
    ],
)
def test_the_basis_of_a_trailing_stop(basis: TrailBasis, seen: str) -> None:
    trail = Trail(offset=Decimal(1), basis=basis)
    trailing = order(buy(), order_type=OrderType.TRAILING_STOP, trail=trail)
    moved = trailed(trailing, quote(bid=100.0, ask=100.2, last=101.0))
    assert moved == (Decimal(seen), Decimal(seen) + 1)


CONDOR = (sell(PUT), buy(PUT_DOWN), sell(CALL), buy(CALL_UP))
CONDOR_QUOTES = [
    quote(PUT, 3.0, 3.1),
    quote(PUT_DOWN, 2.0, 2.1),
    quote(CALL, 3.0, 3.2),
    quote(CALL_UP, 2.0, 2.1),
]  # natural: -(3.0 + 3.0) + 2.1 + 2.1 = -1.80; far: -(3.1 + 3.2) + 2.0 + 2.0 = -2.30


def package(limit: str, quantity: int = 1) -> PaperOrder:
    return order(
        *CONDOR, quantity=quantity, order_type=OrderType.NET_CREDIT, limit_price=f"-{limit}"
    )


@pytest.mark.parametrize(("limit", "filled"), [("1.80", True), ("1.81", False), ("1.50", True)])
def test_a_package_crosses_at_the_natural_price(limit: str, filled: bool) -> None:
    match = match_package(package(limit), CONDOR_QUOTES, [None] * 4, RULES)
    assert (match is not None) == filled
    if match:
        assert match.prices == tuple(map(Decimal, ("3", "2.1", "3", "2.1")))


@pytest.mark.parametrize(("limit", "filled"), [("2.03", True), ("2.04", False)])
def test_a_package_of_four_legs_trades_at_53_percent_of_its_width(limit: str, filled: bool) -> None:
    """-2.30 + 0.53 x 0.50 = -2.035, in whole cents against the trader -2.03."""
    rules = MatchRules(package_widths=ORATS_WIDTHS)
    match = match_package(package(limit), CONDOR_QUOTES, [None] * 4, rules)
    assert (match is not None) == filled
    if match:
        assert net_of(package(limit), match.prices) == Decimal("-2.03")


@pytest.mark.parametrize("side", [0, 1, 2, 3])
@pytest.mark.parametrize("bad", [(None, 2.1), (2.0, None), (2.2, 2.1), (2.1, 2.1)])
def test_a_market_package_fills_no_leg_against_a_broken_quote(
    side: int, bad: tuple[float | None, float | None]
) -> None:
    quotes: list[Quote] = list(CONDOR_QUOTES)
    quotes[side] = quote(CONDOR[side].symbol, *bad)
    assert match_package(order(*CONDOR), quotes, [None] * 4, RULES) is None


def test_a_sale_without_an_ask_gets_its_bid_in_a_package() -> None:
    rules = MatchRules(package_widths=ORATS_WIDTHS)
    pair = order(sell(CALL), sell(PUT), order_type=OrderType.NET_CREDIT, limit_price="-6")
    match = match_package(pair, [quote(CALL, 5.0, None), quote(PUT, 3.0, 3.1)], [None, None], rules)
    assert match is not None
    assert net_of(pair, match.prices) == Decimal("-8.03")  # -8.10 + 0.66 x 0.10 on the put


def test_a_package_fills_whole_units_of_its_smallest_leg() -> None:
    butterfly = order(buy(CALL), sell(CALL_UP, 2), buy("QQQ   251219C00510000"), quantity=9)
    quotes = [
        quote(CALL, 5.0, 5.1),
        quote(CALL_UP, 3.0, 3.1),
        quote("QQQ   251219C00510000", 1.0, 1.1),
    ]
    match = match_package(butterfly, quotes, [100, 7, 100], RULES)
    assert match is not None
    assert match.units == 3
    assert match_package(butterfly, quotes, [100, 1, 100], RULES) is None


def test_the_price_of_a_covered_call_is_by_the_share() -> None:
    covered = order(
        buy("QQQ", 100), sell(CALL), order_type=OrderType.NET_DEBIT, limit_price="495.01"
    )
    quotes = [quote(), quote(CALL, 5.0, 5.1)]
    match = match_package(covered, quotes, [None, None], RULES)
    assert match is not None
    assert net_of(covered, match.prices) == Decimal("495.01")


@given(
    st.lists(
        st.tuples(st.sampled_from([-3, -2, -1, 1, 2]), st.integers(1, 2000), st.integers(1, 90)),
        min_size=2,
        max_size=4,
    ),
    st.sampled_from(ORATS_WIDTHS),
)
def test_leg_prices_sum_to_the_net_exactly_inside_their_quotes(
    legs: list[tuple[int, int, int]], width: Decimal
) -> None:
    ratios = [ratio for ratio, _, _ in legs]
    low = [Decimal(cents) / 100 for _, cents, _ in legs]
    high = [price + Decimal(wide) / 100 for price, (_, _, wide) in zip(low, legs, strict=True)]
    far = [a if r > 0 else b for r, a, b in zip(ratios, low, high, strict=True)]
    natural = [b if r > 0 else a for r, a, b in zip(ratios, low, high, strict=True)]
    best = sum((r * p for r, p in zip(ratios, far, strict=True)), Decimal(0))
    worst = sum((r * p for r, p in zip(ratios, natural, strict=True)), Decimal(0))
    net = (best + width * (worst - best)).quantize(Decimal("0.01"))
    prices = allocate(net, ratios, far, natural, width)
    if any(abs(ratio) == 1 for ratio in ratios):
        assume(prices is not None)
    if prices is not None:
        assert sum(r * p for r, p in zip(ratios, prices, strict=True)) == net
        for price, a, b in zip(prices, low, high, strict=True):
            assert a <= price <= b
            assert price == price.quantize(Decimal("0.01"))


def test_a_float_of_the_market_becomes_the_decimal_that_it_shows() -> None:
    assert str(exact(1.35)) == "1.3500"
    assert exact(0.1 + 0.2) == Decimal("0.3")


@pytest.mark.parametrize(
    ("seen", "mark"),
    [
        ({"bid": 1.0, "ask": 2.0, "mark": 1.4}, 1.4),
        ({"bid": 1.0, "ask": 2.0}, 1.5),
        ({"bid": None, "ask": 2.0, "last": 1.7}, 1.7),
        ({"bid": None, "ask": 2.0}, 2.0),
        ({"bid": 1.0, "ask": None}, 1.0),
        ({"bid": None, "ask": None}, None),
    ],
)
def test_the_mark(seen: dict[str, Any], mark: float | None) -> None:
    assert mark_of(quote(**seen)) == mark
