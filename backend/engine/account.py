"""One paper account: its orders, fills, positions and cash. No I/O, no clock, no chance.

`PaperAccount` moves orders through their states; what trades is decided by `engine.matching`, what
is affordable by `engine.means`, the books are kept by `engine.ledger`. `docs/paper_trading.md`
states every rule in words.
"""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from engine.early_assignment import exercised_early
from engine.fees import FeeSchedule
from engine.intake import check, refuse, to_order, to_paper
from engine.ledger import book, contract_of, exercise, expire, settled_cash, underlying_of
from engine.matching import (
    Match,
    MatchRules,
    displayed,
    exact,
    mark_of,
    match_on_close,
    match_package,
    match_single,
    stop_touched,
    trailed,
    triggered_limit,
)
from engine.means import (
    Question,
    Verdict,
    all_claims,
    closable,
    estimate,
    judge,
    mark,
)
from engine.paper_state import AccountState, PaperOrder
from engine.queue_position import may_rest, passed
from engine.trading_hours import OrderHours, day_end_ns, day_of, expiry_ns
from models.errors import OrderRejected
from models.events import OrderUpdate
from models.order_groups import OneCancelsOther, Trigger, orders_of
from models.order_terms import (
    OrderStatus,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
)
from models.symbols import INDICES, OCC_LENGTH
from models.trading import Balances, OrderPreview, Position, Trade
from utils.clock import to_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from engine.early_assignment import Dividend
    from models.events import Fill, Quote
    from models.order_groups import OrderTicket
    from models.order_terms import Mode
    from models.trading import AccountTerms, Order

_ZERO = Decimal(0)
_MILLIONTH = Decimal("0.000001")
_STOPS = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TRAILING_STOP,
        OrderType.TRAILING_STOP_LIMIT,
    }
)
_ON_CLOSE = frozenset({OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE})
_AT_ONCE = frozenset({TimeInForce.FILL_OR_KILL, TimeInForce.IMMEDIATE_OR_CANCEL})

# What is due at one moment happens in this order: orders end, contracts expire, orders begin, cancels
# arrive.
_CLOSE, _EXPIRY, _OPEN, _CANCEL, _NIGHT = 0, 1, 2, 3, 4


class PaperAccount:
    """One account: place, cancel, replace, see quotes and time, ask.

    Time comes with each call and never goes back: an earlier time counts as the newest known. The
    same calls give the same answers, also after `restore`.
    """

    def __init__(  # noqa: PLR0913 - what an account is made of
        self,
        terms: AccountTerms,
        cash: Decimal,
        *,
        mode: Mode,
        order_ids: Callable[[], int],
        fees: FeeSchedule | None = None,
        rules: MatchRules | None = None,
    ) -> None:
        """Open an account.

        Args:
            terms: What it may do.
            cash: USD in it.
            mode: Stamped on orders, fills and positions.
            order_ids: Gives the id of each new order.
            fees: What trades cost; Schwab's by default.
            rules: How orders fill; against the touch by default.
        """
        self.terms = terms
        self.mode = mode
        self.rules = rules or MatchRules()
        self._fees = fees or FeeSchedule()
        self._order_ids = order_ids
        self._hours = OrderHours()
        self._settles: tuple[int, int, int] = (0, 0, 0)
        self.dividends: dict[str, Dividend] = {}
        """The next one by underlying, where it is known: for early assignment."""
        self.state = AccountState(cash, cash)
        self._index()

    def _index(self) -> None:
        """Build from the state what is only there to find things quickly."""
        self._books: dict[str, dict[int, PaperOrder]] = {}
        self._live: dict[str, dict[int, PaperOrder]] = {}
        self._timers: list[tuple[int, int, int, str]] = []
        self._reserved = _ZERO
        self._watched: set[str] = set()
        self._assignable: set[str] = set()
        self._out: list[OrderUpdate] = []
        for order in self.state.orders.values():
            if order.open_ns and not order.status.terminal:
                self._enlist(order)
                if order.cancel_ns:
                    self._due(order.cancel_ns, _CANCEL, order.number, order.order_id)
                twin = self._twin_reserve(order)
                first = order.sibling is None or not self._enlisted(order.sibling)
                self._reserved += order.reserve if first else max(order.reserve - twin, _ZERO)
        for symbol in self.state.holdings:
            self._watch(symbol)

    # What the owner of the account does.

    def place(self, ticket: OrderTicket, now_ns: int) -> list[OrderUpdate]:
        """Take a ticket: SUBMITTED, then what became of it at once (REJECTED, WORKING, fills).

        Orders that a first one triggers are WAITING until it has filled.

        Raises:
            OrderRejected: Malformed, as Schwab's 400: nothing was taken.
        """
        self._advance(now_ns)
        seen: set[str] = set()
        for order in orders_of(ticket):
            check(order, self.terms, self.state.now_ns)
            if (
                order.client_order_id in self.state.client_order_ids
                or order.client_order_id in seen
            ):
                raise refuse(f"client order id {order.client_order_id} was used before")
            seen.add(order.client_order_id)
        for taken in self._take(ticket, None):
            self._enter(taken, self.rules.latency_ns)
        return self._told()

    def cancel(self, order_id: str, now_ns: int) -> list[OrderUpdate]:
        """Cancel an order, what waits for it, and the other one of a pair; after the latency.

        Raises:
            OrderRejected: There is no such order, or it has ended.
        """
        self._advance(now_ns)
        order = self._standing(order_id)
        if self.rules.latency_ns:
            order.cancel_ns = self.state.now_ns + self.rules.latency_ns
            self._due(order.cancel_ns, _CANCEL, order.number, order_id)
        else:
            self._end(order, OrderStatus.CANCELED, "canceled on request")
        return self._told()

    def replace(self, order_id: str, order: Order, now_ns: int) -> list[OrderUpdate]:
        """Put another order, with its own id, in the place of one that works.

        Its quantity is the whole that is wanted: what the old one filled is taken off, so that a
        fill that crosses the replacement is never doubled. Pairs and waiting children pass on.

        Raises:
            OrderRejected: There is nothing to replace, the new one is malformed, or its quantity
                was filled already: the old one stays.
        """
        self._advance(now_ns)
        old = self._standing(order_id)
        check(order, self.terms, self.state.now_ns)
        if order.client_order_id in self.state.client_order_ids:
            raise refuse(f"client order id {order.client_order_id} was used before")
        if order.quantity <= old.filled:
            raise refuse(f"{old.filled} were filled already")
        (new,) = self._take(order, old.parent)
        waits = old.parent is not None and old.open_ns == 0
        self._delist(old)  # while it still knows its twin, with which it shares a reserve
        new.quantity -= old.filled
        new.replaces, old.replaced_by = old.order_id, new.order_id
        new.children, old.children = old.children, []
        for child in new.children:
            self.state.orders[child].parent = new.order_id
        sibling = self.state.orders[old.sibling] if old.sibling else None
        new.sibling, old.sibling = old.sibling, None
        if sibling is not None:
            sibling.sibling = new.order_id
        if old.parent and old.order_id in self.state.orders[old.parent].children:
            twins = self.state.orders[old.parent].children
            twins[twins.index(old.order_id)] = new.order_id
        self._end(old, OrderStatus.REPLACED, "")
        if waits:
            self._tell(new, OrderStatus.WAITING)
        else:
            self._enter(new, self.rules.latency_ns)
        return self._told()

    def preview(self, ticket: OrderTicket, now_ns: int) -> OrderPreview:
        """Return what would become of a ticket; nothing of it is kept.

        Orders that wait for another are not judged: what they cost depends on its fill.
        """
        self._advance(now_ns)
        messages: list[str] = []
        commission = fees = value = _ZERO
        known = True
        free = self._free()
        reserve = _ZERO
        for order in orders_of(ticket):
            try:
                check(order, self.terms, self.state.now_ns)
            except OrderRejected as error:
                messages.append(error.reason)
        first = ticket.first if isinstance(ticket, Trigger) else ticket
        firsts = orders_of(first) if not messages else ()
        for order in firsts:
            draft = to_paper(order, 0, "preview", self.state.now_ns)
            costs = estimate(self.state, draft, self._fees)
            others = self._others(draft)
            verdict = judge(self.state, self.terms, Question(draft, others, costs, free))
            if verdict.refusal:
                messages.append(verdict.refusal)
            reserve = max(reserve, verdict.reserve)
            known = known and costs is not None
            if costs is not None and costs.commission + costs.fees >= commission + fees:
                commission, fees, value = costs.commission, costs.fees, costs.net
        return OrderPreview(
            accepted=not messages,
            messages=tuple(messages),
            commission=commission,
            fees=fees,
            order_value=value if known and firsts else None,
            buying_power_after=free - reserve if known and firsts else None,
        )

    # What the market does.

    def on_quote(self, quote: Quote) -> list[OrderUpdate]:
        """See the newest quote of an instrument; returns what it did to orders.

        Costs a dictionary access where no order works on the instrument.
        """
        state = self.state
        time_ns = quote.time_ns
        if time_ns > state.now_ns:
            if self._timers and self._timers[0][0] <= time_ns:
                self._advance(time_ns)
            state.now_ns = time_ns
        symbol = quote.symbol
        state.quotes[symbol] = quote
        if state.taken:
            state.taken.pop(symbol, None)
        if state.awaiting:
            self._settle_awaiting(symbol)
        orders = self._books.get(symbol)
        if orders:
            for number in sorted(orders) if len(orders) > 1 else list(orders):
                order = orders.get(number)
                if order is not None:  # an earlier one may have ended it
                    self._meet(order, quote)
                    if self.rules.queue:
                        self._rest(order, quote)
        return self._told() if self._out else []

    def on_time(self, now_ns: int) -> list[OrderUpdate]:
        """Let time pass: orders begin and expire, options expire and settle."""
        self._advance(now_ns)
        return self._told()

    def settle_option(self, symbol: str, price: Decimal, now_ns: int) -> list[OrderUpdate]:
        """Settle an expired option at an official price, instead of the newest quote's.

        Orders on it expire.
        """
        self._advance(now_ns)
        self._settle(symbol, price)
        return self._told()

    def exercise(
        self, symbol: str, quantity: int, now_ns: int, price: Decimal | None = None
    ) -> list[OrderUpdate]:
        """Exercise contracts before they expire, or have written ones assigned.

        Args:
            symbol: OCC symbol.
            quantity: Contracts; others stay as they are.
            now_ns: When.
            price: Of the underlying, USD, by which contracts on an index are paid; the newest
                quote's unless given.

        Raises:
            OrderRejected: Fewer are held, they can be exercised at expiration alone, or the price
                of an index is not known.
        """
        self._advance(now_ns)
        contract, holding = contract_of(symbol), self.state.holdings.get(symbol)
        held = 0 if holding is None else abs(holding.quantity)
        if not 0 < quantity <= held:
            raise refuse(f"{quantity} of {symbol} cannot be exercised: {held} are held")
        if contract.exercise_style == "E":
            raise refuse(f"{symbol} is exercised at its expiration alone")
        if price is None:
            price = mark(self.state, contract.underlying)
        if price is None and contract.underlying in INDICES:
            raise refuse(f"the price of {contract.underlying} is not known")
        exercise(self.state, symbol, quantity, price or _ZERO, self._settles_ns())
        return self._told()

    # What can be asked.

    def symbols(self, others: Iterable[str] = ()) -> set[str]:
        """Return whose quotes the account needs: of working orders, holdings, underlyings.

        Args:
            others: Symbols whose quotes are needed as well.
        """
        wanted = {*self._books, *self.state.holdings, *self.state.awaiting, *others}
        return wanted | {underlying_of(symbol) for symbol in wanted}

    def awaited(self) -> set[str]:
        """Return whose next quotes may do something: to an order, or to an option that expired."""
        return {*self._books, *map(underlying_of, self.state.awaiting)}

    def next_ns(self) -> int | None:
        """Return when something is due next by time alone; None: nothing is."""
        return self._timers[0][0] if self._timers else None

    def kept(self, order_id: str) -> PaperOrder | None:
        """Return an order as the venue keeps it, with its relations; None where there is none."""
        return self.state.orders.get(order_id)

    def orders(self, since: datetime | None = None) -> list[Order]:
        """Return the orders entered since then in their newest state, oldest first."""
        return [
            to_order(order, self.terms.account_id, self.mode)
            for order in self.state.orders.values()
            if since is None or to_time(order.created_ns) >= since
        ]

    def fills(self, since: datetime | None = None) -> list[Trade]:
        """Return the fills since then, oldest first."""
        trades = []
        for booked in self.state.fills:
            fill, order = booked.fill, self.state.orders[booked.order_id]
            at = to_time(fill.time_ns)
            if since is None or at >= since:
                signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
                trades.append(
                    Trade(
                        execution_id=fill.execution_id,
                        client_order_id=order.client_order_id,
                        order_id=order.order_id,
                        account_id=self.terms.account_id,
                        mode=self.mode,
                        symbol=fill.symbol,
                        session=day_of(fill.time_ns),
                        ts=at,
                        signed_quantity=signed,
                        price=fill.price,
                        multiplier=Decimal(order.legs[booked.leg].multiplier),
                        fees=fill.fees,
                    )
                )
        return trades

    def positions(self) -> list[Position]:
        """Return what is held, at the newest marks, in order of the symbols."""
        found = []
        for symbol, holding in sorted(self.state.holdings.items()):
            units = holding.quantity * holding.multiplier
            found.append(
                Position(
                    account_id=self.terms.account_id,
                    mode=self.mode,
                    symbol=symbol,
                    signed_quantity=Decimal(holding.quantity),
                    average_price=max(holding.cost / units, _ZERO).quantize(_MILLIONTH),
                    multiplier=Decimal(holding.multiplier),
                    realized_pnl=self.state.realized.get(symbol, _ZERO),
                    mark=mark(self.state, symbol),
                    updated_at=to_time(holding.updated_ns),
                )
            )
        return found

    def balances(self, now_ns: int) -> Balances:
        """Return the balances at the newest marks; a holding without one counts at its cost.

        The buying power is the money that is free for options: what margin and the reserves of
        working orders leave. Shares on margin can be bought for twice as much.
        """
        worth = self.state.cash
        for symbol, holding in self.state.holdings.items():
            price = mark(self.state, symbol)
            units = holding.quantity * holding.multiplier
            worth += holding.cost if price is None else price * units
        free, keep = all_claims(self.state, self.terms)
        return Balances(
            account_id=self.terms.account_id,
            mode=self.mode,
            ts=to_time(max(now_ns, self.state.now_ns)),
            cash=self.state.cash,
            liquidation_value=worth.quantize(_MILLIONTH),
            buying_power=(free - self._reserved).quantize(_MILLIONTH),
            maintenance_requirement=keep.quantize(_MILLIONTH),
        )

    def settled_cash(self, now_ns: int) -> Decimal:
        """Return the cash whose trades have settled (the session after the trade), USD."""
        return settled_cash(self.state, max(now_ns, self.state.now_ns))

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as a plain value of JSON's types."""
        plain: dict[str, Any] = msgspec.to_builtins(self.state)
        return plain

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a state; what follows is what would have followed then."""
        self.state = msgspec.convert(snapshot, AccountState)
        self._index()

    # The life of an order.

    def _take(self, ticket: OrderTicket, parent: str | None) -> list[PaperOrder]:
        """Write down all orders of a ticket and return those that may work at once."""
        if isinstance(ticket, Trigger):
            firsts = self._take(ticket.first, parent)
            then = self._take(ticket.then, firsts[0].order_id)
            firsts[0].children = [order.order_id for order in then]
            for order in then:
                self._tell(order, OrderStatus.WAITING)
            return firsts
        if isinstance(ticket, OneCancelsOther):
            pair = [*self._take(ticket.orders[0], parent), *self._take(ticket.orders[1], parent)]
            pair[0].sibling, pair[1].sibling = pair[1].order_id, pair[0].order_id
            return pair
        state = self.state
        order = to_paper(ticket, len(state.orders) + 1, str(self._order_ids()), state.now_ns)
        order.parent = parent
        state.orders[order.order_id] = order
        state.client_order_ids[order.client_order_id] = order.order_id
        self._tell(order, OrderStatus.SUBMITTED)
        return [order]

    def _enter(self, order: PaperOrder, latency_ns: int = 0) -> None:
        """Let an order begin: judged, then on its way, queued, waiting for its stop, or working."""
        if order.status.terminal:
            return  # its twin ended it before its turn came
        symbols = [leg.symbol for leg in order.legs]
        now = self.state.now_ns
        window = self._hours.window(symbols, order.hours, now)
        order.open_ns, order.close_ns = window.open_ns, window.close_ns
        order.expires_ns = self._hours.expires_ns(symbols, order.hours, order.time_in_force, window)
        verdict = self._judge(order)
        if verdict.refusal:
            self._end(order, OrderStatus.REJECTED, verdict.refusal)
            return
        order.arrives_ns = now + latency_ns
        self._enlist(order)
        self._hold_back(order, verdict.reserve)
        if not latency_ns:
            self._begin(order)

    def _begin(self, order: PaperOrder) -> None:
        """Let an order that has arrived wait, or work."""
        waits = self.state.now_ns < order.open_ns or order.order_type in _STOPS
        self._tell(order, OrderStatus.WAITING if waits else OrderStatus.WORKING)
        if self.state.now_ns >= order.open_ns:
            self._arrive(order)

    def _enlist(self, order: PaperOrder) -> None:
        """Make an order findable: by symbol, underlying and time."""
        for leg in order.legs:
            self._books.setdefault(leg.symbol, {})[order.number] = order
        self._live.setdefault(order.underlying, {})[order.number] = order
        for at_ns in {order.arrives_ns, order.open_ns}:
            if at_ns > self.state.now_ns:
                self._due(at_ns, _OPEN, order.number, order.order_id)
        self._due(order.close_ns, _CLOSE, order.number, order.order_id)

    def _delist(self, order: PaperOrder) -> None:
        live = self._live.get(order.underlying, {})
        if live.pop(order.number, None) is None:
            return
        if not live:
            self._live.pop(order.underlying, None)
        for leg in order.legs:
            orders = self._books.get(leg.symbol)
            if orders is not None:
                orders.pop(order.number, None)
                if not orders:
                    del self._books[leg.symbol]
        self._hold_back(order, _ZERO)

    def _hold_back(self, order: PaperOrder, amount: Decimal) -> None:
        """Change the reserve of an order; of a pair the dearer one counts."""
        twin = self._twin_reserve(order)
        self._reserved += max(amount, twin) - max(order.reserve, twin)
        order.reserve = amount

    def _enlisted(self, order_id: str) -> bool:
        order = self.state.orders[order_id]
        return order.number in self._live.get(order.underlying, {})

    def _twin_reserve(self, order: PaperOrder) -> Decimal:
        return self.state.orders[order.sibling].reserve if order.sibling else _ZERO

    def _end(
        self, order: PaperOrder, status: OrderStatus, reason: str, *, twin: bool = True
    ) -> None:
        """End an order and what hangs on it: its twin, and what waits for its fill."""
        if order.status.terminal:
            return
        self._delist(order)
        order.reason = reason
        self._tell(order, status)
        if twin and status in {OrderStatus.CANCELED, OrderStatus.REJECTED}:
            self._cancel_twin(order)
        for child in order.children:
            waiting = self.state.orders[child]
            self._end(waiting, OrderStatus.CANCELED, "the order it waits for ended unfilled")

    def _cancel_twin(self, order: PaperOrder) -> None:
        if order.sibling:
            twin = self.state.orders[order.sibling]
            reason = "the other order of the pair ended it"
            self._end(twin, OrderStatus.CANCELED, reason, twin=False)

    def _judge(self, order: PaperOrder) -> Verdict:
        """Return whether the account's means allow an order."""
        costs = estimate(self.state, order, self._fees)
        order.checked = costs is not None
        return judge(
            self.state,
            self.terms,
            Question(order, self._others(order), costs, self._free(order)),
        )

    def _free(self, order: PaperOrder | None = None) -> Decimal:
        """Return the free money; the reserve of an order's twin does not count against it."""
        free = all_claims(self.state, self.terms)[0] - self._reserved
        if order is not None:
            free += max(order.reserve, self._twin_reserve(order))
        return free

    def _others(self, order: PaperOrder) -> list[PaperOrder]:
        live = self._live.get(order.underlying, {})
        excluded = {order.order_id, order.sibling}
        return [other for other in live.values() if other.order_id not in excluded]

    def _standing(self, order_id: str) -> PaperOrder:
        """Return an order that has not ended.

        Raises:
            OrderRejected: There is none.
        """
        order = self.state.orders.get(order_id)
        if order is None:
            raise refuse(f"there is no order {order_id}")
        if order.status.terminal:
            raise refuse(f"order {order_id} is {order.status} already")
        return order

    # Fills.

    def _arrive(self, order: PaperOrder) -> None:
        """Let an order meet the newest quotes of its legs that belong to its session."""
        quote = self.state.quotes.get(order.legs[0].symbol)
        if quote is not None:
            self._meet(order, quote)
            if self.rules.queue:
                self._rest(order, quote)

    def _rest(self, order: PaperOrder, quote: Quote) -> None:
        """Let an order that rests at its limit move up in the queue there, and fill in its turn."""
        waits = order.order_type in _STOPS and not order.triggered
        if order.status.terminal or waits or not may_rest(order) or not self._works(order, quote):
            return
        leg = order.legs[0]
        ours = sum(
            (other.quantity - other.filled) * other.legs[0].ratio
            for other in self._books.get(leg.symbol, {}).values()
            if other.number < order.number
            and may_rest(other)
            and (other.limit, other.legs[0].sign) == (order.limit, leg.sign)
        )
        units = passed(order, quote, ours)
        if units and order.limit is not None:
            self._fill(order, Match(units, (order.limit,)), resting=True)

    def _meet(self, order: PaperOrder, quote: Quote) -> None:
        """Let a working order meet the newest quote of one of its legs."""
        if not self._works(order, quote):
            return
        if len(order.legs) == 1:
            match = match_single(order, quote, self._left(quote, order.legs[0].sign), self.rules)
        else:
            quotes = []
            for leg in order.legs:
                found = self.state.quotes.get(leg.symbol)
                if found is None or found.time_ns < order.open_ns:
                    return  # nothing is known of one leg: an at-once order waits for it, too
                quotes.append(found)
            left = [self._left(q, leg.sign) for q, leg in zip(quotes, order.legs, strict=True)]
            match = match_package(order, quotes, left, self.rules)
        rest = order.quantity - order.filled
        if order.time_in_force is TimeInForce.FILL_OR_KILL and (not match or match.units < rest):
            self._end(order, OrderStatus.CANCELED, "it could not be filled whole at once")
            return
        if match is not None:
            self._fill(order, match)
        if order.time_in_force in _AT_ONCE and not order.status.terminal:
            self._end(order, OrderStatus.CANCELED, "the rest could not be filled at once")

    def _works(self, order: PaperOrder, quote: Quote) -> bool:
        """Return whether an order may trade against a quote, whatever its price."""
        if not max(order.open_ns, order.arrives_ns) <= self.state.now_ns < order.close_ns:
            return False
        if quote.time_ns < order.open_ns:
            return False  # told late: it is of another session
        if order.order_type in _ON_CLOSE:
            return False
        return order.order_type not in _STOPS or order.triggered or self._triggers(order, quote)

    def _left(self, quote: Quote, sign: int) -> int | None:
        """Return what our orders have left of a quote's displayed size; None: no bound."""
        size = displayed(quote, sign, self.rules)
        if size is None or not self.state.taken:
            return size
        bid, ask = self.state.taken.get(quote.symbol, (0, 0))
        return max(size - (ask if sign > 0 else bid), 0)

    def _triggers(self, order: PaperOrder, quote: Quote) -> bool:
        """Move a trailing stop, and return whether a stop order is triggered now."""
        if order.trail_offset is not None:
            moved = trailed(order, quote)
            if moved is None:
                return False
            # Touched is judged by the stop that stood before this quote moved it.
            before = order.stop
            if before is None or not stop_touched(order, quote):
                order.water, order.stop = moved
                return False
        elif not stop_touched(order, quote):
            return False
        order.triggered = True
        order.limit = triggered_limit(order)
        self._tell(order, OrderStatus.WORKING)
        return True

    def _fill(self, order: PaperOrder, match: Match, *, resting: bool = False) -> None:
        """Book a fill, unless the account can no longer bear it.

        Args:
            order: Whose it is.
            match: What trades.
            resting: Others came to it: nothing of what is displayed was taken.
        """
        refusal = self._late_refusal(order, match)
        if refusal:
            status = OrderStatus.CANCELED if order.filled else OrderStatus.REJECTED
            self._end(order, status, refusal)
            return
        state = self.state
        rest = order.quantity - order.filled
        if self.rules.sizes and not resting:
            for leg in order.legs:
                bid, ask = state.taken.get(leg.symbol, (0, 0))
                count = match.units * leg.ratio
                state.taken[leg.symbol] = (bid, ask + count) if leg.sign > 0 else (bid + count, ask)
        fills = book(state, order, match, self._fees, self._settles_ns())
        order.filled += match.units
        for leg in order.legs:
            self._watch(leg.symbol)
        if order.filled == order.quantity:
            order.updated_ns = state.now_ns
            self._end_filled(order, fills)
            return
        kept = (order.reserve * (rest - match.units) / rest).quantize(_MILLIONTH)
        self._hold_back(order, kept)
        self._tell(order, OrderStatus.PARTIALLY_FILLED, fills)
        self._cancel_twin(order)

    def _end_filled(self, order: PaperOrder, fills: tuple[Fill, ...]) -> None:
        self._delist(order)
        self._tell(order, OrderStatus.FILLED, fills)
        self._cancel_twin(order)
        for child in order.children:
            self._enter(self.state.orders[child])

    def _late_refusal(self, order: PaperOrder, match: Match) -> str:
        """Return why an order may not fill though it was accepted; empty where it may."""
        for leg in order.legs:
            if leg.effect is PositionEffect.CLOSING:
                held = closable(self.state, leg)
                if held < match.units * leg.ratio:
                    return f"only {held} {leg.symbol.strip()} are left to close"
        if order.checked:
            return ""
        return self._judge(order).refusal

    def _settles_ns(self) -> int:
        """Return when cash of a trade of now settles; remembers the day."""
        first, last, settles = self._settles
        if not first <= self.state.now_ns < last:
            day = day_of(self.state.now_ns)
            settles = self._hours.next_session_ns(day)
            self._settles = (self.state.now_ns, day_end_ns(day), settles)
        return settles

    # Time.

    def _due(self, at_ns: int, rank: int, number: int, key: str) -> None:
        heapq.heappush(self._timers, (at_ns, rank, number, key))

    def _watch(self, symbol: str) -> None:
        """Have an option that is held expire in its time, or be assigned at the close before."""
        self._watch_tonight(symbol)
        if len(symbol) == OCC_LENGTH and symbol not in self._watched:
            self._watched.add(symbol)
            if symbol not in self.state.awaiting:
                self._due(expiry_ns(contract_of(symbol)), _EXPIRY, 0, symbol)

    def _watch_tonight(self, symbol: str) -> None:
        """Look at a contract at the next close, where written ones may be assigned early."""
        wanted = self.rules.early_assignment and len(symbol) == OCC_LENGTH
        if wanted and symbol not in self._assignable:
            self._assignable.add(symbol)
            window = self._hours.window([symbol], TradingHours.REGULAR, self.state.now_ns)
            self._due(window.close_ns, _NIGHT, 0, symbol)

    def _tonight(self, symbol: str) -> None:
        """Have a written contract assigned whose holder does best to exercise it."""
        self._assignable.discard(symbol)
        state, contract = self.state, contract_of(symbol)
        holding, quote = state.holdings.get(symbol), state.quotes.get(symbol)
        if holding is None or expiry_ns(contract) <= state.now_ns:
            return
        price = mark(state, contract.underlying)
        if (
            holding.quantity < 0
            and price is not None
            and quote is not None
            and day_of(quote.time_ns) == day_of(state.now_ns)
            and exercised_early(
                contract, quote, float(price), self.dividends.get(contract.underlying)
            )
        ):
            exercise(state, symbol, -holding.quantity, price, self._settles_ns())
        else:
            self._watch_tonight(symbol)

    def _advance(self, now_ns: int) -> None:
        """Let everything happen that is due until a time."""
        state = self.state
        while self._timers and self._timers[0][0] <= now_ns:
            at_ns, rank, _, key = heapq.heappop(self._timers)
            state.now_ns = max(state.now_ns, at_ns)
            if rank == _EXPIRY:
                self._option_expires(key)
                continue
            if rank == _NIGHT:
                self._tonight(key)
                continue
            order = state.orders[key]
            if order.status.terminal:
                continue
            if rank == _OPEN:
                self._opens(order)
            elif rank == _CANCEL:
                self._end(order, OrderStatus.CANCELED, "canceled on request")
            elif order.close_ns <= at_ns:
                self._closes(order)
        state.now_ns = max(state.now_ns, now_ns)

    def _opens(self, order: PaperOrder) -> None:
        if self.state.now_ns < order.arrives_ns:
            return
        if order.status is OrderStatus.SUBMITTED:
            self._begin(order)
            return
        if order.status is OrderStatus.WAITING and order.order_type not in _STOPS:
            self._tell(order, OrderStatus.WORKING)
        self._arrive(order)

    def _closes(self, order: PaperOrder) -> None:
        """Trade what trades on the close, expire what ends, queue the rest for the next session."""
        if order.order_type in _ON_CLOSE:
            quote = self.state.quotes.get(order.legs[0].symbol)
            if quote is not None and quote.time_ns >= order.open_ns:
                match = match_on_close(order, quote, self.rules)
                if match is not None:
                    self._fill(order, match)
            if not order.status.terminal:
                self._end(order, OrderStatus.EXPIRED, "it did not trade on the close")
            return
        if order.expires_ns <= order.close_ns:
            self._end(order, OrderStatus.EXPIRED, "its time is over")
            return
        symbols = [leg.symbol for leg in order.legs]
        window = self._hours.window(symbols, order.hours, order.close_ns)
        order.open_ns, order.close_ns = window.open_ns, window.close_ns
        self._due(order.open_ns, _OPEN, order.number, order.order_id)
        self._due(order.close_ns, _CLOSE, order.number, order.order_id)

    def _option_expires(self, symbol: str) -> None:
        """Settle an option at its underlying's newest price, or wait for one that counts.

        The price of a PM-settled contract is the last one of its expiration day, that of an
        AM-settled one the first at or after the opening.
        """
        self._watched.discard(symbol)
        contract = contract_of(symbol)
        quote = self.state.quotes.get(contract.underlying)
        price = None if quote is None else quote.last or mark_of(quote)
        expires = expiry_ns(contract)
        early = contract.settlement == "AM" and quote is not None and quote.time_ns < expires
        if quote is None or not price or early or day_of(quote.time_ns) != day_of(expires):
            if symbol in self.state.holdings:
                self.state.awaiting.append(symbol)
            return
        self._settle(symbol, exact(price))

    def _settle_awaiting(self, underlying: str) -> None:
        quote = self.state.quotes[underlying]
        price = quote.last or mark_of(quote)
        for symbol in [s for s in self.state.awaiting if underlying_of(s) == underlying]:
            if price and quote.time_ns >= expiry_ns(contract_of(symbol)):
                self._settle(symbol, exact(price))

    def _settle(self, symbol: str, price: Decimal) -> None:
        if symbol in self.state.awaiting:
            self.state.awaiting.remove(symbol)
        for order in list(self._books.get(symbol, {}).values()):
            self._end(order, OrderStatus.EXPIRED, f"{symbol} expired")
        expire(self.state, symbol, price, self._settles_ns())

    # What is told.

    def _tell(self, order: PaperOrder, status: OrderStatus, fills: tuple[Fill, ...] = ()) -> None:
        order.status = status
        order.updated_ns = self.state.now_ns
        self._out.append(
            OrderUpdate(
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                status=status,
                time_ns=self.state.now_ns,
                filled_quantity=Decimal(order.filled),
                fills=fills,
                reason=order.reason,
            )
        )

    def _told(self) -> list[OrderUpdate]:
        out, self._out = self._out, []
        return out
