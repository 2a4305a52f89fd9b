"""What a strategy is handed: the market and its own orders to look at, and a tray for its wishes.

Nothing leaves while a handler runs: wishes are taken from the tray when it has returned, so that a
strategy never sees its own order half-way, and equal events give equal orders.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from engine.exposure import DELTA, HELD, SHOCKS, Holdings, exposure
from engine.timers import Timer
from models.base import sentence
from models.errors import ConfigError, OrderRejected
from models.order_groups import orders_of
from models.order_terms import OrderType, PositionEffect, SignalAction
from models.trading import Order
from ports.strategy import BookGreeks
from utils.clock import to_ns, to_time
from utils.market_sessions import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from engine.market import Market
    from engine.order_book import OrderBook
    from models.events import Quote
    from models.order_groups import OrderTicket
    from models.order_terms import Mode
    from models.trading import Leg, Position
    from ports.strategy import ChainView
    from utils.portfolio_tracker import PortfolioTracker

_LEAST_SIGMA = 0.0
"""Only shocks need a sigma; greeks take each option's own volatility."""

_EFFECTS = {SignalAction.OPEN: PositionEffect.OPENING, SignalAction.CLOSE: PositionEffect.CLOSING}


class Wish(NamedTuple):
    """What a strategy asked for.

    Attributes:
        action: What it wants; None of a cancel.
        ticket: The order or group; None of a cancel.
        target: Client order id of the order to cancel or to replace.
        why: What it saw.
    """

    action: SignalAction | None
    ticket: OrderTicket | None
    target: str | None = None
    why: Mapping[str, object] | None = None


class Names(NamedTuple):
    """What is stamped on every order of a run.

    Attributes:
        account_id: Hash of the account.
        mode: How the run trades.
        strategy: Its name.
        run_id: Begins every client order id; another one each run.
    """

    account_id: str
    mode: Mode
    strategy: str
    run_id: str


class EngineDesk:
    """The `ports.strategy.Desk` of one run.

    Attributes:
        wishes: What the strategy asked for and the engine has not acted on.
    """

    def __init__(
        self, names: Names, market: Market, book: OrderBook, portfolio: PortfolioTracker
    ) -> None:
        """Show a strategy the state of a run.

        Args:
            names: Stamped on its orders.
            market: Newest quotes and chains.
            book: Its orders.
            portfolio: What it holds.
        """
        self._names = names
        self._market = market
        self._book = book
        self._portfolio = portfolio
        self._holdings = Holdings()
        self._numbered = 0
        self.wishes: list[Wish | Timer] = []

    # What it may see.

    @property
    def mode(self) -> Mode:
        """How the run trades."""
        return self._names.mode

    @property
    def now_ns(self) -> int:
        """The market's time, ns UTC."""
        return self._market.now_ns

    @property
    def now(self) -> datetime:
        """The market's time, New York."""
        return to_time(self._market.now_ns).astimezone(NEW_YORK)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote of a symbol, or None before the first."""
        return self._market.quotes.get(symbol)

    def chain(self, underlying: str) -> ChainView:
        """Return the quoted contracts of an underlying with volatilities and greeks."""
        return self._market.chain(underlying)

    def position(self, symbol: str) -> Decimal:
        """Return how much is held, short negative."""
        return self._portfolio.quantity(symbol)

    def positions(self) -> Mapping[str, Position]:
        """Return what is held by symbol, marked at the newest quotes."""
        return self._market.positions(self._portfolio, self._names.account_id, self._names.mode)

    def greeks(self) -> BookGreeks:
        """Return how all that is held moves, priced anew at the newest quotes of it alone.

        See `engine.exposure`; quick enough to be asked at every quote of a holding, where `chain`
        prices all contracts.
        """
        held = self._holdings.of(self._portfolio)
        totals = exposure(held, {}, {}, self._market, least_sigma=_LEAST_SIGMA)[HELD]
        return BookGreeks(*totals[DELTA:SHOCKS])

    def orders(self) -> Sequence[Order]:
        """Return the orders that have not ended, oldest first."""
        return self._book.working()

    @property
    def waits(self) -> bool:
        """Whether the broker's answer to one of its requests is still on its way."""
        return bool(self._book.awaited)

    # What it may ask.

    def open(
        self,
        legs: Sequence[Leg],
        quantity: Decimal | int = 1,
        *,
        limit_price: Decimal | None = None,
        why: Mapping[str, object] | None = None,
    ) -> str:
        """Ask for a position; see `ports.strategy.Desk.open`."""
        return self._trade(SignalAction.OPEN, legs, quantity, limit_price, why)

    def close(
        self,
        legs: Sequence[Leg],
        quantity: Decimal | int = 1,
        *,
        limit_price: Decimal | None = None,
        why: Mapping[str, object] | None = None,
    ) -> str:
        """Ask for the end of a position; see `ports.strategy.Desk.close`."""
        return self._trade(SignalAction.CLOSE, legs, quantity, limit_price, why)

    def _trade(
        self,
        action: SignalAction,
        legs: Sequence[Leg],
        quantity: Decimal | int,
        limit_price: Decimal | None,
        why: Mapping[str, object] | None,
    ) -> str:
        effect = _EFFECTS[action]
        order = self.order(
            legs=tuple(
                leg
                if leg.position_effect is not PositionEffect.AUTOMATIC
                else leg.changed(position_effect=effect)
                for leg in legs
            ),
            order_type=_priced(len(legs), limit_price),
            limit_price=limit_price,
            quantity=Decimal(quantity),
        )
        self.wishes.append(Wish(action, order, None, why))
        return order.client_order_id

    def place(self, ticket: OrderTicket, why: Mapping[str, object] | None = None) -> str:
        """Ask for an order of any kind, or for several that hang together."""
        first = orders_of(ticket)[0]
        self.wishes.append(Wish(_action_of(first), ticket, None, why))
        return first.client_order_id

    def order(self, **terms: Any) -> Order:
        """Return an order with name, account, mode, id and time filled in.

        Raises:
            OrderRejected: The terms make no order; one sentence says which and why.
        """
        names = self._names
        try:
            order = Order(
                client_order_id=f"{names.run_id}-{self._numbered + 1}",
                account_id=names.account_id,
                mode=names.mode,
                strategy=names.strategy,
                created_at=to_time(self._market.now_ns),
                **terms,
            )
        except ValidationError as error:
            raise _refused(sentence(error)) from None
        self._numbered += 1
        return order

    def cancel(self, client_order_id: str) -> None:
        """Ask to cancel an order."""
        self.wishes.append(Wish(None, None, client_order_id))

    def replace(
        self,
        client_order_id: str,
        limit_price: Decimal | None = None,
        *,
        stop_price: Decimal | None = None,
    ) -> str:
        """Ask for other prices; see `ports.strategy.Desk.replace`.

        Raises:
            OrderRejected: There is no such order of this run, or the prices do not fit it.
        """
        old = self._book.order(client_order_id)
        if old is None:
            raise _refused(f"there is no order {client_order_id}")
        limit = old.limit_price if limit_price is None else limit_price
        order = self.order(
            legs=old.legs,
            order_type=old.order_type if len(old.legs) == 1 else _priced(2, limit),
            limit_price=limit,
            stop_price=old.stop_price if stop_price is None else stop_price,
            trail=old.trail,
            quantity=old.quantity,
            time_in_force=old.time_in_force,
            hours=old.hours,
        )
        self.wishes.append(Wish(_action_of(order), order, client_order_id))
        return order.client_order_id

    def call_at(self, at: datetime, name: str) -> None:
        """Ask for `on_timer(name)` at a time of the market."""
        self.wishes.append(Timer(to_ns(at), name))

    def call_every(self, seconds: float, name: str) -> None:
        """Ask for `on_timer(name)` at regular times, from now on.

        Raises:
            ConfigError: The distance is not above 0.
        """
        step_ns = round(timedelta(seconds=seconds) / timedelta(microseconds=1)) * 1_000
        if step_ns <= 0:
            raise ConfigError(f"a timer every {seconds} s: give more than 0 seconds")
        self.wishes.append(Timer(self._market.now_ns + step_ns, name, step_ns))


def _refused(reason: str) -> OrderRejected:
    return OrderRejected(f"order refused: {reason}", reason=reason)


def _action_of(order: Order) -> SignalAction:
    closing = all(leg.position_effect is PositionEffect.CLOSING for leg in order.legs)
    return SignalAction.CLOSE if closing else SignalAction.OPEN


def _priced(legs: int, limit_price: Decimal | None) -> OrderType:
    if limit_price is None:
        return OrderType.MARKET
    if legs == 1:
        return OrderType.LIMIT
    if limit_price == 0:
        return OrderType.NET_ZERO
    return OrderType.NET_DEBIT if limit_price > 0 else OrderType.NET_CREDIT
