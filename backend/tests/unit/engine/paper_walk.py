"""A random life of a paper account, checked against what must always hold."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from paper_desk import CALL_UP, MORNING, PUT_DOWN, at, quote

from engine.fees import FeeSchedule
from engine.matching import ORATS_WIDTHS, MatchRules, exact
from engine.paper import PaperAccount
from models.errors import OrderRejected
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import (
    AccountKind,
    Mode,
    OrderStatus,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)
from models.trading import AccountTerms, Leg, Order, Trail

if TYPE_CHECKING:
    import random

    from models.events import OrderUpdate, Quote
    from models.order_groups import OrderTicket

CALL, PUT = "QQQ   251216C00500000", "QQQ   251216P00490000"
WEEKLY = "SPXW  251215C05000000"
SYMBOLS = ("QQQ", "SPX", CALL, CALL_UP, PUT, PUT_DOWN, WEEKLY)
MIDS = {"QQQ": 500.0, "SPX": 5000.0, WEEKLY: 20.0}
SINGLES = (
    OrderType.MARKET,
    OrderType.LIMIT,
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TRAILING_STOP,
    OrderType.TRAILING_STOP_LIMIT,
    OrderType.MARKET_ON_CLOSE,
    OrderType.LIMIT_ON_CLOSE,
)
PACKAGES = (OrderType.MARKET, OrderType.NET_DEBIT, OrderType.NET_CREDIT, OrderType.NET_ZERO)
DAY_NS = 86_400 * 10**9
OPEN_NS, CLOSE_NS = int(14.6 * 3600) * 10**9, int(21.1 * 3600) * 10**9
"""Of the day in UTC: a little after the opening and the close."""
START = datetime(2025, 12, 15, 15, tzinfo=UTC)

S = OrderStatus
LIVE = {S.WAITING, S.WORKING, S.PARTIALLY_FILLED}
ENDS = {S.FILLED, S.CANCELED, S.REPLACED, S.REJECTED, S.EXPIRED}
ALLOWED = {
    None: {S.SUBMITTED},
    S.SUBMITTED: {S.WAITING, S.WORKING, S.REJECTED, S.CANCELED},
    S.WAITING: {S.WAITING, *LIVE, *ENDS},
    S.WORKING: LIVE - {S.WAITING} | ENDS,
    S.PARTIALLY_FILLED: {S.PARTIALLY_FILLED, *ENDS} - {S.REJECTED},
}


class Walk:
    """One account, what happened to it, and what may happen next."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        ids, self.names = itertools.count(1), itertools.count(1)
        self.terms = AccountTerms(
            account_id="hash",
            kind=chance.choice(list(AccountKind)),
            retirement=chance.random() < 0.2,
            option_level=chance.choice([0, 1, 2, 3, 3, 3, 3]),
            closing_only=chance.random() < 0.05,
        )
        self.rules = MatchRules(
            sizes=chance.random() < 0.8,
            package_widths=chance.choice([None, ORATS_WIDTHS]),
        )
        self.start = Decimal(chance.choice([1_000, 30_000, 1_000_000, 1_000_000]))
        self.account = PaperAccount(
            self.terms,
            self.start,
            mode=Mode.BACKTEST,
            order_ids=lambda: next(ids),
            rules=self.rules,
        )
        self.now_ns = MORNING
        self.states: dict[str, OrderStatus] = {}
        self.filled: dict[str, Decimal] = {}
        self.limits: dict[str, Decimal | None] = {}
        self.told: list[OrderUpdate] = []
        self.executions: set[str] = set()
        self.before: dict[str, Quote] = {}  # a new quote first lets happen what was due before it

    # What happens.

    def step(self) -> None:
        """Let one random thing happen, and check what it did."""
        kind = self.chance.random()
        if kind < 0.55:
            self.hear(self.account.on_quote(self.a_quote()))
        elif kind < 0.80:
            self.attempt(lambda: self.account.place(self.a_ticket(), self.now_ns))
        elif kind < 0.87:
            self.attempt(lambda: self.account.cancel(self.an_order_id(), self.now_ns))
        elif kind < 0.94:
            self.attempt(
                lambda: self.account.replace(self.an_order_id(), self.an_order(), self.now_ns)
            )
        else:
            self.now_ns += self.chance.choice([1, 60, 600, 1800]) * 10**9
            if self.now_ns % DAY_NS > CLOSE_NS and self.chance.random() < 0.8:
                self.now_ns += DAY_NS - self.now_ns % DAY_NS + OPEN_NS
            self.hear(self.account.on_time(self.now_ns))

    def expire(self) -> None:
        """Let the options expire at random prices, then trade on with what they brought."""
        for day in (15, 16, 19):
            close = at(day, 16)
            if self.now_ns >= close:
                continue
            for symbol in ("QQQ", "SPX"):
                mid = round(MIDS[symbol] * self.chance.uniform(0.97, 1.03), 2)
                seen = quote(symbol, mid - 0.05, mid + 0.05, time_ns=close - 60 * 10**9, last=mid)
                self.before = dict(self.account.state.quotes)
                if seen.time_ns >= self.now_ns:
                    self.hear(self.account.on_quote(seen))
            self.now_ns = close
            self.hear(self.account.on_time(close))
            self.check_books()

    def attempt(self, call: Any) -> None:
        before = self.account.snapshot() if self.chance.random() < 0.02 else None
        try:
            self.hear(call())
        except OrderRejected:
            if before is not None and before["now_ns"] == self.account.state.now_ns:
                assert self.account.snapshot() == before  # nothing of it was taken

    def a_quote(self) -> Quote:
        chance = self.chance
        self.before = dict(self.account.state.quotes)
        symbol = chance.choice(SYMBOLS)
        mid = MIDS.get(symbol, 5.0) * chance.uniform(0.97, 1.03)
        half = chance.choice([-0.01, 0.0, 0.01, 0.05, 0.1])
        bid: float | None = round(mid - half, 2)
        ask: float | None = round(mid + half, 2)
        broken = chance.random()
        if broken < 0.03:
            bid = chance.choice([None, 0.0])
        elif broken < 0.06:
            ask = None
        self.now_ns += chance.choice([0, 1, 10**9])
        size = chance.choice([None, 0, 1, 3, 50])
        last = round(mid, 2) if chance.random() < 0.7 else None
        return quote(symbol, bid, ask, time_ns=self.now_ns, size=size, last=last)

    def a_price(self, symbol: str) -> Decimal:
        return Decimal(round(MIDS.get(symbol, 5.0) * self.chance.uniform(0.96, 1.04) * 100)) / 100

    def a_leg(self, symbol: str) -> Leg:
        return Leg(
            symbol=symbol,
            side=self.chance.choice(list(Side)),
            quantity=Decimal(self.chance.choice([1, 1, 1, 2])),
            position_effect=self.chance.choice(
                [PositionEffect.AUTOMATIC] * 2 + list(PositionEffect)
            ),
        )

    def an_order(self) -> Order:
        chance = self.chance
        package = chance.random() < 0.3
        if package:
            count = chance.choice([2, 2, 3, 4])
            symbols = chance.sample([CALL, CALL_UP, PUT, PUT_DOWN], count)
        else:
            symbols = [chance.choice([s for s in SYMBOLS if s != "SPX"])]
        kind = chance.choice(PACKAGES if package else SINGLES)
        fields: dict[str, Any] = {}
        price = self.a_price(symbols[0])
        if kind in {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE}:
            fields["limit_price"] = price
        if kind in {OrderType.STOP, OrderType.STOP_LIMIT}:
            fields["stop_price"] = price
        if kind in {OrderType.NET_DEBIT, OrderType.NET_CREDIT}:
            sign = 1 if kind is OrderType.NET_DEBIT else -1
            fields["limit_price"] = sign * Decimal(chance.randrange(1, 1200)) / 100
        if kind in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}:
            behind = Decimal("0.05") if kind is OrderType.TRAILING_STOP_LIMIT else None
            fields["trail"] = Trail(
                offset=Decimal(chance.choice([1, 2])),
                unit=chance.choice(list(TrailUnit)),
                basis=chance.choice(list(TrailBasis)),
                limit_offset=behind,
            )
        return Order(
            client_order_id=f"c{next(self.names)}",
            account_id="hash",
            mode=Mode.BACKTEST,
            legs=tuple(self.a_leg(symbol) for symbol in symbols),
            order_type=kind,
            time_in_force=chance.choice([TimeInForce.DAY] * 4 + list(TimeInForce)),
            hours=chance.choice([TradingHours.REGULAR] * 6 + list(TradingHours)),
            quantity=Decimal(chance.choice([1, 2, 5])),
            created_at=START,
            **fields,
        )

    def a_ticket(self, depth: int = 0) -> OrderTicket:
        kind = self.chance.random()
        if kind < 0.15:
            return OneCancelsOther(orders=(self.an_order(), self.an_order()))
        if kind < 0.30 and depth < 2:
            return Trigger(first=self.an_order(), then=self.a_ticket(depth + 1))
        return self.an_order()

    def an_order_id(self) -> str:
        known = list(self.account.state.orders)[-8:]
        return self.chance.choice(known or ["none"])

    # What must hold.

    def hear(self, updates: list[OrderUpdate]) -> None:
        """Check what was told, update by update."""
        self.told += updates
        for update in updates:
            order_id = update.order_id or ""
            kept = self.account.kept(order_id)
            assert kept is not None
            assert update.status in ALLOWED[self.states.get(order_id)], (kept, update)
            self.states[order_id] = update.status
            assert update.filled_quantity is not None
            assert self.filled.get(order_id, 0) <= update.filled_quantity <= kept.quantity
            self.filled[order_id] = update.filled_quantity
            if update.fills:
                self.check_fills(update)

    def check_fills(self, update: OrderUpdate) -> None:
        kept = self.account.kept(update.order_id or "")
        assert kept is not None
        units = update.fills[0].quantity / kept.legs[0].ratio
        net = Decimal(0)
        for leg, fill in zip(kept.legs, update.fills, strict=True):
            assert fill.execution_id not in self.executions
            self.executions.add(fill.execution_id)
            assert fill.quantity == units * leg.ratio
            net += leg.sign * leg.weight * fill.price
            quotes = [self.account.state.quotes[leg.symbol], self.before.get(leg.symbol)]
            assert any(self.fits(fill.price, leg.sign, len(kept.legs), seen) for seen in quotes)
            if leg.effect is PositionEffect.CLOSING:
                held = self.account.state.holdings.get(leg.symbol)
                # Nothing else happens to the holding in the same call before we look.
                assert held is None or held.quantity * leg.sign <= 0 or len(self.told) > 1
        if kept.limit is not None:
            limit = kept.limit * (kept.legs[0].sign if len(kept.legs) == 1 else 1)
            assert net <= limit * (kept.legs[0].weight if len(kept.legs) == 1 else 1)
        twin = self.account.kept(kept.sibling) if kept.sibling else None
        assert twin is None or twin.filled == 0
        if kept.parent:
            parent = self.account.kept(kept.parent)
            assert parent is not None
            assert parent.status is OrderStatus.FILLED

    @staticmethod
    def fits(price: Decimal, sign: int, legs: int, seen: Quote | None) -> bool:
        """Whether a quote allows a price: one leg at its touch, a package's inside the quote."""
        if seen is None:
            return False
        low, high = exact(seen.bid or 0.0), exact(seen.ask or 1e9)
        touched = price == (high if sign > 0 else low)
        return low < high and (touched if legs == 1 else low <= price <= high)

    def check_books(self) -> None:
        """Check the money and the positions against all that was booked."""
        state = self.account.state
        flows, held = Decimal(0), dict[str, Decimal]()
        fees = Decimal(0)
        for trade in self.account.fills():
            flows += trade.cash_flow
            fees += trade.fees
            held[trade.symbol] = held.get(trade.symbol, Decimal(0)) + trade.signed_quantity
        for done in state.expired:
            flows += done.cash
            held[done.symbol] = held.get(done.symbol, Decimal(0)) - done.quantity
            if done.shares:
                held["QQQ"] = held.get("QQQ", Decimal(0)) + done.shares
        assert state.cash == self.start + flows
        assert state.fees == fees
        assert {s: q for s, q in held.items() if q} == {
            s: h.quantity for s, h in state.holdings.items()
        }
        cost = sum((h.cost for h in state.holdings.values()), Decimal(0))
        gains = sum(state.realized.values(), Decimal(0))
        assert state.cash + cost == self.start + gains - fees
        for order in state.orders.values():
            assert self.states[order.order_id] is order.status
            assert (order.filled == order.quantity) == (order.status is OrderStatus.FILLED)
        if self.terms.kind is AccountKind.CASH or self.terms.retirement:
            fresh = [d for d in state.expired if d.shares]
            assert fresh or state.holdings.get("QQQ") is None or state.holdings["QQQ"].quantity > 0
        self.account.orders()
        self.account.positions()
        worth = self.account.balances(self.now_ns)
        assert worth.cash == state.cash

    def check_restored(self) -> PaperAccount:
        """Return a twin that was restored from a snapshot, and is the same."""
        twin = PaperAccount(
            self.terms,
            Decimal(0),
            mode=Mode.BACKTEST,
            order_ids=lambda: 0,
            fees=FeeSchedule(),
            rules=self.rules,
        )
        plain = self.account.snapshot()
        twin.restore(plain)
        assert twin.snapshot() == plain
        assert twin._reserved == self.account._reserved
        assert {s: set(b) for s, b in twin._books.items()} == {
            s: set(b) for s, b in self.account._books.items()
        }
        return twin

    def check_same_future(self, events: int) -> None:
        """Check that the account and its restored twin answer the same quotes and times alike."""
        twin = self.check_restored()
        for _ in range(events):
            if self.chance.random() < 0.9:
                seen = self.a_quote()
                ours, theirs = self.account.on_quote(seen), twin.on_quote(seen)
            else:
                self.now_ns += int(timedelta(hours=7).total_seconds() * 1e9)
                ours, theirs = self.account.on_time(self.now_ns), twin.on_time(self.now_ns)
            assert ours == theirs
            self.hear(ours)
        assert twin.snapshot() == self.account.snapshot()
