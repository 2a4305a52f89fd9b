"""Resting orders fill in their turn, orders and cancels take their time, packages by width."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from engine.account import PaperAccount
from engine.matching import BETWEEN, TOUCH, MatchRules
from models.events import Quote
from models.order_terms import AccountKind, Mode, OrderStatus, OrderType, PositionEffect, Side
from models.trading import AccountTerms, Leg, Order
from utils.clock import to_time

if TYPE_CHECKING:
    from models.events import OrderUpdate

ACCOUNT = "A" * 64
OPEN_NS = 1_700_058_600_000_000_000
MS = 1_000_000
QUEUE = MatchRules(queue=True)
CALL, HIGHER = "QQQ   231215C00400000", "QQQ   231215C00410000"
PUT, LOWER = "QQQ   231215P00380000", "QQQ   231215P00370000"


class Venue:
    """One account, quotes and orders by the millisecond."""

    def __init__(self, rules: MatchRules) -> None:
        ids = count(1)
        terms = AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
        self.account = PaperAccount(
            terms, Decimal(10**6), mode=Mode.PAPER, order_ids=lambda: next(ids), rules=rules
        )
        self.names = count(1)

    def quote(
        self, at_ms: int, bid: float | None, ask: float | None, **rest: Any
    ) -> list[OrderUpdate]:
        known = {"symbol": CALL, "bid_size": 10, "ask_size": 10} | rest
        return self.account.on_quote(Quote(time_ns=OPEN_NS + at_ms * MS, bid=bid, ask=ask, **known))

    def order(
        self, at_ms: int, side: Side, quantity: int, limit: str | None, *symbols: tuple[str, Side]
    ) -> list[OrderUpdate]:
        legs = symbols or ((CALL, side),)
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        if len(legs) > 1:
            kind = (
                OrderType.NET_CREDIT
                if limit is not None and Decimal(limit) < 0
                else OrderType.NET_DEBIT
            )
        order = Order(
            client_order_id=f"c{next(self.names)}",
            account_id=ACCOUNT,
            mode=Mode.PAPER,
            legs=tuple(
                Leg(symbol=symbol, side=way, position_effect=PositionEffect.OPENING)
                for symbol, way in legs
            ),
            order_type=kind,
            limit_price=None if limit is None else Decimal(limit),
            quantity=Decimal(quantity),
            created_at=to_time(OPEN_NS),
        )
        return self.account.place(order, OPEN_NS + at_ms * MS)


def filled(updates: list[OrderUpdate]) -> list[tuple[int, str]]:
    return [(int(fill.quantity), f"{fill.price:.2f}") for each in updates for fill in each.fills]


def test_an_order_waits_behind_what_is_displayed_and_fills_in_its_turn() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 5, "1.00")
    assert filled(venue.quote(2, 1.00, 1.10, volume=108, last=1.00)) == []  # 8 of 10 before it
    assert filled(venue.quote(3, 1.00, 1.10, volume=110, last=1.00)) == []  # its turn has come
    assert filled(venue.quote(4, 1.00, 1.10, volume=113, last=1.00)) == [(3, "1.00")]
    assert filled(venue.quote(5, 1.00, 1.10, volume=150, last=1.00)) == [(2, "1.00")]


def test_what_trades_elsewhere_moves_nobody_up() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 5, "1.00")
    assert filled(venue.quote(2, 1.00, 1.10, volume=500, last=1.05)) == []
    assert filled(venue.quote(3, 1.00, 1.10, volume=509, last=1.00)) == []
    assert filled(venue.quote(4, 1.00, 1.10, volume=511, last=1.00)) == [(1, "1.00")]


def test_what_trades_beyond_its_price_fills_it_first() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.SELL, 4, "1.10")
    assert filled(venue.quote(2, 1.00, 1.10, volume=103, last=1.12)) == [(3, "1.10")]


def test_who_is_alone_at_the_best_price_is_first() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 2, "1.03")
    assert filled(venue.quote(2, 1.00, 1.10, volume=101, last=1.03)) == [(1, "1.03")]


def test_behind_a_better_price_the_place_is_not_known_until_it_has_gone() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 2, "0.98")
    assert filled(venue.quote(2, 1.00, 1.10, volume=200, last=0.98)) == []
    venue.quote(3, 0.98, 1.10, volume=200, last=0.98, bid_size=4)
    assert filled(venue.quote(4, 0.98, 1.10, volume=205, last=0.98)) == [(1, "0.98")]


def test_a_shrinking_queue_lets_the_order_move_up() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 5, "1.00")
    venue.quote(2, 1.00, 1.10, volume=100, last=1.05, bid_size=2)
    assert filled(venue.quote(3, 1.00, 1.10, volume=104, last=1.00)) == [(2, "1.00")]


def test_our_own_earlier_orders_stand_before() -> None:
    venue = Venue(QUEUE)
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05, bid_size=1)
    venue.order(1, Side.BUY, 2, "1.00")
    venue.order(2, Side.BUY, 2, "1.00")
    updates = venue.quote(3, 1.00, 1.10, volume=104, last=1.00, bid_size=1)
    assert [(each.client_order_id, filled([each])) for each in updates] == [
        ("c1", [(2, "1.00")]),
        ("c2", [(1, "1.00")]),
    ]


@pytest.mark.parametrize(
    ("bid", "ask"), [(1.10, 1.00), (1.05, 1.05), (None, 1.10), (1.00, None), (0.0, 1.10)]
)
def test_broken_quotes_fill_nothing_and_their_trades_do_not_count(
    bid: float | None, ask: float | None
) -> None:
    venue = Venue(TOUCH._replace(latency_ns=0, one_sided_limits=False))
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 5, "1.00")
    venue.order(1, Side.SELL, 1, "2.00")
    assert filled(venue.quote(2, bid, ask, volume=900, last=0.90)) == []
    assert filled(venue.quote(3, 1.00, 1.10, volume=905, last=1.00)) == []


def test_without_the_queue_an_order_fills_when_the_other_side_comes_alone() -> None:
    venue = Venue(MatchRules())
    venue.quote(0, 1.00, 1.10, volume=100, last=1.05)
    venue.order(1, Side.BUY, 5, "1.00")
    assert filled(venue.quote(2, 1.00, 1.10, volume=900, last=0.90)) == []
    assert filled(venue.quote(3, 0.90, 1.00, volume=900, last=0.90)) == [(5, "1.00")]


def test_an_order_meets_the_quote_that_stands_when_it_arrives() -> None:
    venue = Venue(TOUCH)
    venue.quote(0, 1.00, 1.10)
    placed = venue.order(10, Side.BUY, 1, None)
    assert [each.status for each in placed] == [OrderStatus.SUBMITTED]
    assert venue.quote(100, 1.20, 1.30) == []
    told = venue.quote(400, 1.40, 1.50)
    assert [each.status for each in told] == [OrderStatus.WORKING, OrderStatus.FILLED]
    assert filled(told) == [(1, "1.30")]
    assert told[-1].time_ns == OPEN_NS + 260 * MS


def test_a_cancel_takes_its_time_and_the_fill_may_come_first() -> None:
    venue = Venue(TOUCH)
    venue.quote(0, 1.00, 1.10)
    venue.order(0, Side.BUY, 1, "1.05")
    venue.order(0, Side.BUY, 1, "1.02")
    venue.account.on_time(OPEN_NS + 300 * MS)
    assert venue.account.cancel("1", OPEN_NS + 400 * MS) == []
    assert venue.account.cancel("2", OPEN_NS + 400 * MS) == []
    told = venue.quote(500, 0.95, 1.04)
    assert [(each.order_id, each.status) for each in told] == [("1", OrderStatus.FILLED)]
    told = venue.quote(700, 0.90, 0.95)
    assert [(each.order_id, each.status) for each in told] == [("2", OrderStatus.CANCELED)]


def test_what_is_on_its_way_is_there_after_a_restart() -> None:
    venue = Venue(TOUCH)
    venue.quote(0, 1.00, 1.10)
    venue.order(0, Side.BUY, 1, "1.00")
    venue.account.on_time(OPEN_NS + 300 * MS)
    venue.account.cancel("1", OPEN_NS + 400 * MS)
    venue.order(400, Side.BUY, 1, None)
    again = Venue(TOUCH)
    again.account.restore(venue.account.snapshot())
    for each in (venue, again):
        told = each.account.on_time(OPEN_NS + 700 * MS)
        assert sorted((u.order_id or "", u.status) for u in told) == [
            ("1", OrderStatus.CANCELED),
            ("2", OrderStatus.FILLED),
            ("2", OrderStatus.WORKING),
        ]
    assert venue.account.snapshot() == again.account.snapshot()


CONDOR = ((CALL, Side.SELL), (HIGHER, Side.BUY), (PUT, Side.SELL), (LOWER, Side.BUY))


@pytest.mark.parametrize(
    ("rules", "half_width", "net"),
    [
        (TOUCH, 0.05, "-1.80"),
        # widths 0.10 a leg around 2.00 and 1.00: 0.0750 of the middles; 0.53 + 0.47 x 0.075 = 0.5653
        # far -2.20, natural -1.80: -2.20 + 0.40 x 0.5653 = -1.9739, rounded up
        (BETWEEN, 0.05, "-1.97"),
        # 0.40 wide: 0.3 of the middles; 0.53 + 0.47 x 0.3 = 0.671; -2.80 + 1.60 x 0.671 = -1.7264
        (BETWEEN, 0.20, "-1.72"),
    ],
)
def test_a_package_fills_whole_between_middle_and_natural_by_legs_and_width(
    rules: MatchRules, half_width: float, net: str
) -> None:
    venue = Venue(rules)
    for symbol, middle in ((CALL, 2.0), (HIGHER, 1.0), (PUT, 2.0), (LOWER, 1.0)):
        low, high = round(middle - half_width, 2), round(middle + half_width, 2)
        venue.quote(0, low, high, symbol=symbol)
    venue.order(0, Side.SELL, 2, "-0.50", *CONDOR)
    told = venue.account.on_time(OPEN_NS + 300 * MS)
    fills = [fill for each in told for fill in each.fills]
    assert [fill.quantity for fill in fills] == [2, 2, 2, 2]
    paid = sum(fill.price * (1 if fill.side is Side.BUY else -1) for fill in fills)
    assert paid == Decimal(net)
