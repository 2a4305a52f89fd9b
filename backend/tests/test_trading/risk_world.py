"""A small market and account, made by hand, for tests of the risk gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.core import Denial, Engine
from engine.desk import Names
from engine.fees import NoFees
from engine.limits import RiskLimits
from engine.paper import PaperAccount, PaperBroker
from engine.risk import RiskGate
from models.events import Fill, OrderUpdate, Quote
from models.order_terms import AccountKind, Mode, OrderStatus, OrderType, PositionEffect, Side
from models.trading import AccountTerms, Leg, Order
from ports.strategy import Needs, Strategy
from utils.clock import to_ns, to_time
from utils.market_calendar import new_york

if TYPE_CHECKING:
    from models.order_groups import OrderTicket

ACCOUNT = "A" * 64
DAY = date(2026, 11, 20)
NOON_NS = to_ns(new_york(DAY, time(12)))
SECOND = 1_000_000_000
TODAY, NEXT_WEEK, MONTH = "261120", "261127", "261218"
LOOSE: dict[str, Any] = {
    "max_contracts": 1_000,
    "max_shares": 100_000,
    "max_notional": 10**8,
    "max_open_orders": 1_000,
    "max_positions": 1_000,
    "max_loss": 10**8,
    "naked_shorts": True,
    "max_delta_usd": 10**9,
    "max_gamma_usd": 10**9,
    "max_vega_usd": 10**9,
    "max_theta_usd": 10**9,
    "max_shock_loss": 10**9,
    "max_daily_loss": 10**8,
    "max_drawdown": 10**8,
    "price_collar": 1,
    "max_spread": 2,
    "max_spread_usd": 100,
    "max_age_s": 60,
    "max_underlying_age_s": 60,
    "no_openings_minutes": 0,
    "flatten": "none",
    "max_orders_per_s": 10**6,
    "max_orders_per_minute": 10**6,
    "max_attempts_per_minute": 10**6,
    "duplicate_s": 0,
    "day_trades": "off",
    "least_sign_in_hours": 0,
}
"""Limits that nothing here comes near: a test tightens the one that it is about."""


def option(strike: float, right: str = "C", expires: str = MONTH, root: str = "QQQ") -> str:
    return f"{root:<6}{expires}{right}{round(strike * 1000):08d}"


class Idle(Strategy):
    name = "idle"

    def needs(self) -> Needs:
        return Needs(("QQQ",))


def limits(**tightened: Any) -> RiskLimits:
    return RiskLimits.model_validate(LOOSE | tightened)


@dataclass
class World:
    """One engine and its gate; the underlying QQQ stands at 600."""

    limits: RiskLimits = field(default_factory=limits)
    cash: int = 10_000_000
    now_ns: int = NOON_NS

    def __post_init__(self) -> None:
        ids = count(1)
        self.paper = account = PaperAccount(
            AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
            Decimal(self.cash),
            mode=Mode.PAPER,
            order_ids=lambda: next(ids),
            fees=NoFees(),
        )
        self.gate = RiskGate(self.limits)
        broker = PaperBroker(account, lambda: to_time(self.engine.market.now_ns))
        names = Names(ACCOUNT, Mode.PAPER, "idle", "run")
        self.records: list[Any] = []
        self.engine = Engine(
            Idle(), broker, gate=self.gate, record=self.records.append, names=names
        )
        self.engine.market.now_ns = self.now_ns
        self.numbers = count(1)
        self.quote("QQQ", 599.99, 600.01)

    def at(self, seconds: float) -> World:
        self.engine.market.now_ns = self.now_ns + round(seconds * SECOND)
        return self

    def quote(self, symbol: str, bid: float | None, ask: float | None, **more: Any) -> None:
        at = more.pop("time_ns", self.engine.market.now_ns)
        self.engine.market.quotes[symbol] = Quote(
            symbol=symbol, time_ns=at, bid=bid, ask=ask, **more
        )

    def hold(self, symbol: str, units: int, price: float) -> None:
        self.engine.portfolio.book(
            Fill(
                execution_id=f"x{next(self.numbers)}",
                symbol=symbol,
                side=Side.BUY if units > 0 else Side.SELL,
                quantity=Decimal(abs(units)),
                price=Decimal(str(price)),
                time_ns=self.engine.market.now_ns,
            )
        )

    def order(
        self,
        *legs: tuple[str, int],
        limit: float | str | None = None,
        quantity: int = 1,
        effect: PositionEffect = PositionEffect.AUTOMATIC,
    ) -> Order:
        """Make an order of legs, each a symbol and signed units."""
        price = None if limit is None else Decimal(str(limit))
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        if price is not None and len(legs) > 1:
            kind = OrderType.NET_DEBIT if price > 0 else OrderType.NET_CREDIT
        return Order(
            client_order_id=f"o{next(self.numbers)}",
            account_id=ACCOUNT,
            mode=Mode.PAPER,
            legs=tuple(
                Leg(
                    symbol=symbol,
                    side=Side.BUY if units > 0 else Side.SELL,
                    quantity=Decimal(abs(units)),
                    position_effect=effect,
                )
                for symbol, units in legs
            ),
            order_type=kind,
            limit_price=price,
            quantity=Decimal(quantity),
            created_at=to_time(self.now_ns),
        )

    def work(self, order: Order) -> Order:
        """Have an order stand at the broker."""
        self.engine.book.add(order)
        self.engine.book.apply(
            OrderUpdate(
                order_id=f"b{order.client_order_id}",
                client_order_id=order.client_order_id,
                status=OrderStatus.WORKING,
                time_ns=self.engine.market.now_ns,
            )
        )
        return order

    def cancelled(self, order: Order) -> None:
        """Have an order end at the broker."""
        self.engine.book.apply(
            OrderUpdate(
                order_id=f"b{order.client_order_id}",
                client_order_id=order.client_order_id,
                status=OrderStatus.CANCELED,
                time_ns=self.engine.market.now_ns,
            )
        )

    def filled(self, order: Order) -> None:
        """Have an order fill, and its fills booked."""
        fills = tuple(
            Fill(
                execution_id=f"x{next(self.numbers)}",
                symbol=leg.symbol,
                side=leg.side,
                quantity=leg.quantity * order.quantity,
                price=order.limit_price or Decimal(1),
                time_ns=self.engine.market.now_ns,
            )
            for leg in order.legs
        )
        update = OrderUpdate(
            order_id=f"b{order.client_order_id}",
            client_order_id=order.client_order_id,
            status=OrderStatus.FILLED,
            time_ns=self.engine.market.now_ns,
            filled_quantity=order.quantity,
            fills=fills,
        )
        self.engine.hear([update])

    def denial(self, ticket: OrderTicket, replaces: str | None = None) -> Denial | None:
        return self.gate.check(ticket, self.engine, replaces)

    def rule(self, ticket: OrderTicket, replaces: str | None = None) -> str | None:
        """Return the code of the rule that denies a ticket, or None."""
        found = self.denial(ticket, replaces)
        return None if found is None else found.rule
