"""How true the paper model is: every live order played again in it, over the quotes that were seen.

Each ticket is put into a paper account of its own at the moment at which it left, is cancelled when it
was cancelled, and meets the quotes that the run saw. What a unit traded at there is held beside what
it traded at live. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from decimal import Decimal
from itertools import count
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

from engine.account import PaperAccount
from engine.matching import exact
from models.decisions import CancelAsked, Heard, Intended
from models.errors import OrderRejected
from models.events import Quote
from models.order_groups import OneCancelsOther, OrderTicket, Trigger, orders_of, read_ticket
from models.order_terms import AccountKind, Mode, PositionEffect, Side
from models.trading import AccountTerms, Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.matching import MatchRules
    from models.decisions import Decision
    from models.events import Event, Fill, OrderUpdate

_ZERO, _ONE = Decimal(0), Decimal(1)
_PLENTY = Decimal(10**9)
_SIZE = {Side.BUY: 1, Side.SELL: -1}


class DriftRow(NamedTuple):
    """One order, live and on paper.

    Attributes:
        client_order_id: Ours.
        symbols: Of its legs.
        quantity: Units that were wanted.
        limit: USD a unit; None at the market.
        live_filled: Units filled live.
        paper_filled: Units filled on paper.
        live_net: USD a unit that was paid live, received negative; None where nothing filled.
        paper_net: The same on paper.
        middle: USD a unit at the middles of the quotes when it left; None where one was missing.
        natural: USD a unit at the prices at which it could have traded at once; None where a side was
            missing.
        live_s: Seconds of the market from leaving to the first fill; None without one.
        paper_s: The same on paper.
    """

    client_order_id: str
    symbols: tuple[str, ...]
    quantity: Decimal
    limit: Decimal | None
    live_filled: Decimal
    paper_filled: Decimal
    live_net: Decimal | None
    paper_net: Decimal | None
    middle: Decimal | None
    natural: Decimal | None
    live_s: float | None
    paper_s: float | None

    @property
    def kinder(self) -> Decimal | None:
        """USD a unit by which paper was kinder than life; None where one of them did not fill."""
        if self.live_net is None or self.paper_net is None:
            return None
        return self.live_net - self.paper_net


class DriftSums(NamedTuple):
    """All orders together.

    Attributes:
        orders: How many.
        both: Filled live and on paper.
        live_only: Filled live alone.
        paper_only: Filled on paper alone: paper was too kind.
        neither: Filled nowhere.
        mean_kinder: USD a unit by which paper was kinder on the average, of those that filled twice.
        median_kinder: The middle one.
        worst_kinder: The one farthest from 0.
        mean_delay_s: Seconds by which paper filled later, on the average.
    """

    orders: int
    both: int
    live_only: int
    paper_only: int
    neither: int
    mean_kinder: float | None
    median_kinder: float | None
    worst_kinder: float | None
    mean_delay_s: float | None


class _Fills:
    """Executions of one order: how much of it, at what, since when."""

    def __init__(self) -> None:
        self._traded = _ZERO
        self._a_unit = _ONE
        self.paid = _ZERO
        self.first_ns: int | None = None

    def add(self, order: Order, fill: Fill) -> None:
        self._traded += fill.quantity
        self._a_unit = sum((each.quantity for each in order.legs), _ZERO)
        self.paid += _SIZE[fill.side] * fill.price * fill.quantity * _weight(order, fill.symbol)
        self.first_ns = min(self.first_ns or fill.time_ns, fill.time_ns)

    @property
    def units(self) -> Decimal:
        """Units of the order: all its legs' quantities by those of one unit."""
        return self._traded / self._a_unit

    def net(self) -> Decimal | None:
        return self.paid / self.units if self.units else None

    def seconds(self, since_ns: int) -> float | None:
        return None if self.first_ns is None else (self.first_ns - since_ns) / 1e9


class _Again:
    """One ticket, played again."""

    def __init__(self, asked: Intended, quotes: dict[str, Quote], rules: MatchRules) -> None:
        ids = count(1)
        ticket = read_ticket(bytes(asked.ticket))
        self.asked = asked
        self.orders = {each.client_order_id: each for each in orders_of(ticket)}
        self.symbols = {leg.symbol for each in self.orders.values() for leg in each.legs}
        self.seen = {symbol: quotes[symbol] for symbol in self.symbols if symbol in quotes}
        self.paper: dict[str, _Fills] = defaultdict(_Fills)
        self.live: dict[str, _Fills] = defaultdict(_Fills)
        first = next(iter(self.orders.values()))
        self.account = PaperAccount(
            AccountTerms(account_id=first.account_id, kind=AccountKind.MARGIN),
            _PLENTY,
            mode=Mode.PAPER,
            order_ids=lambda: next(ids),
            rules=rules,
        )
        self.account.state.quotes.update(self.seen)
        with suppress(OrderRejected):  # then it fills nothing on paper, which the row shows
            self.hear(self.account.place(_open_or_close(ticket), asked.at_ns))

    def hear(self, updates: Iterable[OrderUpdate]) -> None:
        for update in updates:
            name = update.client_order_id or ""
            for fill in update.fills:
                self.paper[name].add(self.orders[name], fill)

    def cancel(self, name: str, at_ns: int) -> None:
        order_id = self.account.state.client_order_ids.get(name)
        if order_id is not None and not self.account.state.orders[order_id].status.terminal:
            self.hear(self.account.cancel(order_id, at_ns))

    def rows(self) -> list[DriftRow]:
        return [self._row(each) for each in self.orders.values()]

    def _row(self, order: Order) -> DriftRow:
        name, since_ns = order.client_order_id, self.asked.at_ns
        live, paper = self.live[name], self.paper[name]
        middle, natural = _prices(order, self.seen)
        return DriftRow(
            name,
            tuple(leg.symbol for leg in order.legs),
            order.quantity,
            order.limit_price,
            live.units,
            paper.units,
            live.net(),
            paper.net(),
            middle,
            natural,
            live.seconds(since_ns),
            paper.seconds(since_ns),
        )


class _Playback:
    """A run as it goes on again."""

    def __init__(self, rules: MatchRules) -> None:
        self.rules = rules
        self.quotes: dict[str, Quote] = {}
        self.tickets: list[_Again] = []
        self.by_order: dict[str, _Again] = {}
        self.watching: defaultdict[str, list[_Again]] = defaultdict(list)

    def act(self, decision: Intended | CancelAsked | Heard) -> None:
        """Do what the run did."""
        if isinstance(decision, Intended):
            self._cancel(decision.replaces, decision.at_ns)
            made = _Again(decision, self.quotes, self.rules)
            self.tickets.append(made)
            self.by_order.update(dict.fromkeys(made.orders, made))
            for symbol in made.symbols:
                self.watching[symbol].append(made)
        elif isinstance(decision, CancelAsked):
            self._cancel(decision.client_order_id, decision.at_ns)
        else:
            name = decision.update.client_order_id or ""
            if (found := self.by_order.get(name)) is not None:
                for fill in decision.update.fills:
                    found.live[name].add(found.orders[name], fill)

    def see(self, quote: Quote) -> None:
        """Let the orders on an instrument meet its newest quote."""
        for each in self.watching[quote.symbol]:
            each.hear(each.account.on_quote(quote))
        self.quotes[quote.symbol] = quote

    def _cancel(self, name: str | None, at_ns: int) -> None:
        if name is not None and name in self.by_order:
            self.by_order[name].cancel(name, at_ns)


def drift(
    events: Iterable[Event], decisions: Iterable[Decision], rules: MatchRules
) -> list[DriftRow]:
    """Play every ticket of a run again.

    Args:
        events: What the run saw, in its order, the first one numbered 1.
        decisions: Of the same run, in their order; those of earlier runs have no place here.
        rules: Of the paper model.

    Returns:
        A row for each order, in the order in which they left.
    """
    again = _Playback(rules)
    waiting = deque(each for each in decisions if isinstance(each, Intended | CancelAsked | Heard))
    last_ns = 0
    for number, event in enumerate(events, 1):
        last_ns = max(last_ns, event.time_ns)
        # What a timer decided came before the event that passed it.
        while waiting and (waiting[0].event, waiting[0].at_ns) < (number, event.time_ns):
            again.act(waiting.popleft())
        if isinstance(event, Quote):
            again.see(event)
    for decision in waiting:
        again.act(decision)
    for each in again.tickets:
        each.hear(each.account.on_time(max(last_ns, each.account.state.now_ns)))
    return [row for each in again.tickets for row in each.rows()]


def sums(rows: Sequence[DriftRow]) -> DriftSums:
    """Return what all orders say together."""
    kinder = [float(row.kinder) for row in rows if row.kinder is not None]
    delays = [
        row.paper_s - row.live_s
        for row in rows
        if row.paper_s is not None and row.live_s is not None
    ]
    live_only = sum(bool(row.live_filled and not row.paper_filled) for row in rows)
    paper_only = sum(bool(row.paper_filled and not row.live_filled) for row in rows)
    return DriftSums(
        len(rows),
        len(kinder),
        live_only,
        paper_only,
        len(rows) - len(kinder) - live_only - paper_only,
        fmean(kinder) if kinder else None,
        median(kinder) if kinder else None,
        max(kinder, key=abs) if kinder else None,
        fmean(delays) if delays else None,
    )


def _open_or_close(ticket: OrderTicket) -> OrderTicket:
    """Return a ticket that needs no holdings: the account that plays it again has none."""
    if isinstance(ticket, Trigger):
        return ticket.model_copy(
            update={"first": _open_or_close(ticket.first), "then": _open_or_close(ticket.then)}
        )
    if isinstance(ticket, OneCancelsOther):
        return ticket.model_copy(
            update={"orders": tuple(_open_or_close(each) for each in ticket.orders)}
        )
    legs = tuple(
        leg.model_copy(update={"position_effect": PositionEffect.AUTOMATIC}) for leg in ticket.legs
    )
    return ticket.model_copy(update={"legs": legs})


def _weight(order: Order, symbol: str) -> Decimal:
    """Return what a share of a leg counts in the price of a unit: shares beside options a hundredth."""
    mixed = len({len(leg.symbol) == 21 for leg in order.legs}) > 1
    return Decimal("0.01") if mixed and len(symbol) != 21 else Decimal(1)


def _prices(order: Order, seen: dict[str, Quote]) -> tuple[Decimal | None, Decimal | None]:
    """Return a unit's price at the middles, and where it could have traded at once."""
    middle = natural = _ZERO
    for leg in order.legs:
        quote = seen.get(leg.symbol)
        if quote is None or not quote.bid or not quote.ask:
            return None, None
        way = _SIZE[leg.side] * leg.quantity * _weight(order, leg.symbol)
        middle += way * (exact(quote.bid) + exact(quote.ask)) / 2
        natural += way * exact(quote.ask if leg.side is Side.BUY else quote.bid)
    return middle, natural
