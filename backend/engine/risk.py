"""The gate between a strategy and the broker: rules, each with a code, a limit and a sentence.

The first rule that a ticket breaks denies it. What closes a position passes where an opening would
not: nobody is kept in a position by a wide market, a loss or the clock. Pure; the market's time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from engine.core import Denial
from engine.risk_rules import RULES
from engine.trading_hours import OrderHours, day_of
from models.order_groups import orders_of
from models.order_terms import PositionEffect

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from engine.core import Engine
    from engine.limits import RiskLimits
    from models.events import Quote
    from models.order_groups import OrderTicket
    from models.trading import Leg, Order


@dataclass
class Question:
    """One ticket before the gate, and what the rules want to know of it.

    Attributes:
        ticket: What is to leave.
        engine: The run.
        limits: What is allowed.
        lost: USD lost since the day began; a gain is negative.
        hours: When instruments trade.
        replaces: Client order id of the order whose place it takes.
        speed: Market seconds a second of the feed: ages of quotes are those of the feed.
    """

    ticket: OrderTicket
    engine: Engine
    limits: RiskLimits
    lost: Decimal
    hours: OrderHours
    replaces: str | None
    speed: float

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """All orders of the ticket."""
        return orders_of(self.ticket)

    @property
    def first(self) -> Order:
        """The order that works at once."""
        return self.orders[0]

    @property
    def now_ns(self) -> int:
        """The market's time."""
        return self.engine.market.now_ns

    @cached_property
    def opening(self) -> bool:
        """Whether it makes any holding larger, or turns it round."""
        return any(self.opens(leg, self.first) for leg in self.first.legs)

    def opens(self, leg: Leg, order: Order) -> bool:
        """Return whether a leg opens, by what is held and what already works to close it."""
        if leg.position_effect is PositionEffect.OPENING:
            return True
        held = self.engine.portfolio.quantity(leg.symbol)
        signed = leg.signed_quantity * order.quantity
        return held * signed >= 0 or abs(signed) > abs(held)

    def working(self) -> list[Order]:
        """Return the orders that work beside the ticket."""
        own = {order.client_order_id for order in self.orders} | {self.replaces}
        return [each for each in self.engine.book.working() if each.client_order_id not in own]

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote of a symbol."""
        return self.engine.market.quotes.get(symbol)


@dataclass
class RiskGate:
    """The `engine.core.Gate` of a run.

    Attributes:
        limits: What is allowed.
        speed: Market seconds a wall second of the feed; above 1 where a simulator plays fast.
        halted: Why nothing may open any more, or None: the kill switch.
    """

    limits: RiskLimits
    speed: float = 1.0
    halted: str | None = None
    _hours: OrderHours = field(default_factory=OrderHours, init=False)
    _day: date | None = field(default=None, init=False)
    _worth: Decimal | None = field(default=None, init=False)

    def check(self, ticket: OrderTicket, engine: Engine, replaces: str | None) -> Denial | None:
        """Return why a ticket may not leave, or None; see `engine.core.Gate`."""
        question = Question(
            ticket, engine, self.limits, self.lost_today(engine), self._hours, replaces, self.speed
        )
        if self.halted is not None and question.opening:
            return Denial("kill_switch", "closing only", "opening", f"stopped: {self.halted}")
        for rule in RULES:
            denial = rule(question)
            if denial is not None:
                return denial
        return None

    def lost_today(self, engine: Engine) -> Decimal:
        """Return USD lost since the first ticket of the market's day; a gain is negative."""
        worth = engine.worth()
        day = day_of(engine.market.now_ns)
        if day != self._day or self._worth is None:
            self._day, self._worth = day, worth
        return self._worth - worth
