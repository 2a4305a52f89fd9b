"""The gate between a strategy and the broker: rules, each with a code, a limit and a sentence.

The first rule that a ticket breaks denies it. What closes a position passes where an opening would
not: nobody is kept in a position by a wide market, a loss or the clock. Pure; the market's time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from engine.core import Denial
from engine.exposure import Holdings, exposure, worth_of
from engine.instruments import instrument_of
from engine.order_facts import FactBook, together
from engine.risk_account import ACCOUNT_RULES, Means
from engine.risk_flow import FLOW_RULES, Flow
from engine.risk_market import MARKET_RULES
from engine.risk_rules import ORDER_RULES, natural_of, worst_loss
from engine.trading_hours import OrderHours, day_end_ns, day_of
from models.order_groups import OneCancelsOther, Trigger, orders_of
from models.order_terms import PositionEffect

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from engine.core import Engine
    from engine.exposure import Held
    from engine.instruments import Instrument
    from engine.limits import RiskLimits
    from engine.order_facts import OrderFacts
    from engine.risk_account import AccountReport
    from models.events import Quote
    from models.order_groups import OrderTicket
    from models.trading import Leg, Order

RULES = (*FLOW_RULES, *ORDER_RULES, *MARKET_RULES, *ACCOUNT_RULES)
"""All rules in the order in which they are asked, the cheap ones first."""


class Question:
    """One ticket before the gate, and what the rules want to know of it.

    Attributes:
        ticket: What is to leave.
        engine: The run.
        gate: Whose limits and memory count.
        replaces: Client order id of the order whose place it takes.
        limits: What is allowed.
        now_ns: The market's time.
        orders: All orders of the ticket.
        first: The order that works at once.
        cases: The sets of its orders that may come to be filled.
        working: The orders that work beside it.
        opened: The legs that open.
        openers: Client order ids of the orders that they belong to.
        required: What options require: units by symbol, hundreds of shares long, short -> USD.
        opening: Whether there is one: it makes a holding larger, or turns it round.
    """

    def __init__(
        self, ticket: OrderTicket, engine: Engine, gate: RiskGate, replaces: str | None
    ) -> None:
        """Take a ticket that wants to leave; the arguments are the first attributes."""
        self.ticket = ticket
        self.engine = engine
        self.gate = gate
        self.replaces = replaces
        self.limits = gate.limits
        self.now_ns = engine.market.now_ns
        self.orders = orders_of(ticket)
        self.first = self.orders[0]
        self.cases = _cases(ticket)
        own = {order.client_order_id for order in self.orders}
        own.add(replaces or "")
        self.working = [each for each in engine.book.working() if each.client_order_id not in own]
        self._naturals: dict[str, Decimal | None] = {}
        self._losses: dict[str, float | None] = {}
        self.required: dict[tuple[tuple[tuple[str, int], ...], int, int], Decimal] = {}
        self.opened = []
        self.openers: set[str] = set()
        for order in self.orders:
            for leg in order.legs:
                if self._opens(leg, order):
                    self.opened.append(leg)
                    self.openers.add(order.client_order_id)
        self.opening = bool(self.opened)

    def _opens(self, leg: Leg, order: Order) -> bool:
        """Return whether a leg opens, by what is held and what already works to close it.

        What waits for the ticket's first order counts as if that one had filled.
        """
        if leg.position_effect is PositionEffect.OPENING:
            return True
        held = self.engine.portfolio.quantity(leg.symbol)
        if not held and not isinstance(self.ticket, Trigger):
            return True
        signed = leg.signed_quantity * order.quantity
        if order is not self.first and isinstance(self.ticket, Trigger):
            held += _units(self.first, leg.symbol)
        elif held:
            held += sum(
                units for each in self.working if (units := _units(each, leg.symbol)) * held < 0
            )
        return held * signed >= 0 or abs(signed) > abs(held)

    def facts(self, order: Order) -> OrderFacts:
        """Return an order in plain numbers."""
        return self.gate.facts.of(order)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote of a symbol."""
        return self.engine.market.quotes.get(symbol)

    @cached_property
    def held(self) -> Held:
        """What is held."""
        return self.gate.holdings.of(self.engine.portfolio)

    @cached_property
    def worth(self) -> float:
        """USD gained by the run."""
        return self.gate.see(self.engine)

    @cached_property
    def relied(self) -> list[tuple[Instrument, Quote | None]]:
        """The legs that open and the underlyings of options among them, each with its quote."""
        quotes = self.engine.market.quotes
        found = {}
        for leg in self.opened:
            each = found[leg.symbol] = instrument_of(leg.symbol)
            if each.underlying not in found:
                found[each.underlying] = instrument_of(each.underlying)
        return [(each, quotes.get(symbol)) for symbol, each in found.items()]

    def natural(self, order: Order) -> Decimal | None:
        """Return what a unit of an order costs at the touch of its legs; None without a market."""
        name = order.client_order_id
        if name not in self._naturals:
            self._naturals[name] = natural_of(order, self.engine.market.quotes)
        return self._naturals[name]

    def loss(self, order: Order) -> float | None:
        """Return what an order's options lose at worst at expiration; see `worst_loss`."""
        name = order.client_order_id
        if name not in self._losses:
            self._losses[name] = worst_loss(order, self.natural(order))
        return self._losses[name]

    @cached_property
    def exposures(self) -> list[list[list[float]]]:
        """Greeks and shocks, see `engine.exposure`, one for each case."""
        beside = together([each for each in map(self.facts, self.working) if each.opens])
        return [
            exposure(
                self.held,
                beside,
                together(map(self.facts, case)),
                self.engine.market,
                least_sigma=self.limits.least_day_sigma,
            )
            for case in self.cases
        ]


def _cases(ticket: OrderTicket) -> list[tuple[Order, ...]]:
    if isinstance(ticket, OneCancelsOther):
        return [(order,) for order in ticket.orders]
    if isinstance(ticket, Trigger):
        return [(ticket.first,), *((ticket.first, *case) for case in _cases(ticket.then))]
    return [(ticket,)]


def _units(order: Order, symbol: str) -> Decimal | int:
    """Return the signed units of a symbol that an order has left to trade."""
    for leg in order.legs:
        if leg.symbol == symbol:
            return leg.signed_quantity * order.remaining_quantity
    return 0


@dataclass
class RiskGate:
    """The `engine.core.Gate` of a run.

    Attributes:
        limits: What is allowed.
        speed: Market seconds a wall second of the feed; above 1 where a simulator plays fast.
        halted: Why nothing may leave any more until a person lets it, or None.
        account: What the broker reports of the account; None where it reports nothing.
        sign_in_until_ns: End of the broker's sign-in, UTC; None where there is none.
        own: Client order ids of closings that the program itself sends: no rule stops them.
    """

    limits: RiskLimits
    speed: float = 1.0
    halted: str | None = None
    account: AccountReport | None = None
    sign_in_until_ns: int | None = None
    own: set[str] = field(default_factory=set)
    hours: OrderHours = field(default_factory=OrderHours, init=False)
    facts: FactBook = field(default_factory=FactBook, init=False)
    holdings: Holdings = field(default_factory=Holdings, init=False)
    flow: Flow = field(default_factory=Flow, init=False)
    means: Means = field(default_factory=Means, init=False)
    day_worth: float = field(default=0.0, init=False)
    most_worth: float = field(default=-math.inf, init=False)
    _day: date | None = field(default=None, init=False)
    _day_ends_ns: int = field(default=0, init=False)

    def check(self, ticket: OrderTicket, engine: Engine, replaces: str | None) -> Denial | None:
        """Return why a ticket may not leave, or None; see `engine.core.Gate`."""
        question = Question(ticket, engine, self, replaces)
        if question.first.client_order_id in self.own:
            return None
        self.flow.tried(question.now_ns)
        if self.halted is not None:
            return Denial("halted", "nothing leaves", "an order", f"stopped: {self.halted}")
        for rule in RULES:
            denial = rule(question)
            if denial is not None:
                if denial.rule == "runaway":
                    self.halted = denial.message
                return denial
        self.flow.left(question)
        if question.opening:
            self.means.spend(question)
        return None

    def resume(self) -> None:
        """Let a stopped strategy go on: a person has looked at it."""
        self.halted = None
        self.flow.begin_again()

    def see(self, engine: Engine) -> float:
        """Take note of what the run has gained by now, and return it, USD."""
        now_ns = engine.market.now_ns
        held = self.holdings.of(engine.portfolio)
        worth = worth_of(held, engine.market.quotes, engine.portfolio)
        self.most_worth = max(self.most_worth, worth)
        if not 0 < now_ns < self._day_ends_ns:
            self._begin_day(day_of(now_ns), worth)
        return worth

    def _begin_day(self, day: date, worth: float) -> None:
        self._day_ends_ns = day_end_ns(day)
        if day != self._day:
            self._day, self.day_worth = day, worth

    def lost_today(self, engine: Engine) -> float:
        """Return USD lost since the market's day began for the run; a gain is negative."""
        worth = self.see(engine)
        return self.day_worth - worth
