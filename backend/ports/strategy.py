"""What a strategy is to the engine, and what the engine is to a strategy.

A strategy is a class that derives from `Strategy`: it overrides the handlers that it needs and asks
its `Desk` for everything else. It sees what has happened up to now and nothing of what comes; it
reads no clock, file or socket of its own, so that equal events give equal orders in every mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from models.base import Model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    from models.events import Bar, OrderUpdate, Quote, Settlement, TradeTick
    from models.order_groups import OrderTicket
    from models.order_terms import Mode
    from models.trading import Leg, Order, Position


class Parameters(Model):
    """What a user can set of a strategy; each strategy derives its own, with defaults."""


class Needs(NamedTuple):
    """What a strategy wants to see.

    Attributes:
        symbols: Tickers whose quotes and bars it needs, as QQQ.
        chain_days: Underlying -> how many calendar days ahead its expirations are needed; 0 is
            today's only. Empty: no options.
        bar_s: Length of the bars that it is told of, seconds; 0: it needs none.
    """

    symbols: tuple[str, ...]
    chain_days: Mapping[str, int] = {}
    bar_s: int = 0


class ChainView(NamedTuple):
    """The quoted contracts of one underlying as columns of one length, sorted by OCC symbol.

    Attributes:
        underlying: Its symbol.
        spot: Mid of the underlying, USD; NaN before its first quote.
        now_ns: Of which moment, UTC.
        occ_symbol: 21 characters each.
        expiration: Days since 1970-01-01 (datetime64[D]).
        strike: USD.
        is_call: True of calls.
        bid: USD; NaN where nobody bids.
        ask: USD; NaN where nobody offers.
        quote_ns: When each quote was made, UTC.
        year_fraction: To expiration.
        implied_volatility: Of the mid; NaN where it has none.
        delta: Per USD of the underlying.
        gamma: Per USD squared.
        theta_per_day: USD a calendar day.
        vega_per_point: USD a point of volatility.
    """

    underlying: str
    spot: float
    now_ns: int
    occ_symbol: Sequence[str]
    expiration: NDArray[np.datetime64]
    strike: NDArray[np.float64]
    is_call: NDArray[np.bool_]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    quote_ns: NDArray[np.int64]
    year_fraction: NDArray[np.float64]
    implied_volatility: NDArray[np.float64]
    delta: NDArray[np.float64]
    gamma: NDArray[np.float64]
    theta_per_day: NDArray[np.float64]
    vega_per_point: NDArray[np.float64]


class BookGreeks(NamedTuple):
    """How a book moves, USD.

    Attributes:
        delta: USD of shares that it moves like.
        gamma: Change of that when all underlyings move by 1 %.
        vega: A point of volatility.
        theta: A calendar day.
    """

    delta: float
    gamma: float
    vega: float
    theta: float


class Desk(Protocol):
    """What a strategy may see and ask. Orders leave after its handler has returned."""

    @property
    def mode(self) -> Mode:
        """Backtest, paper, rehearsal or live; a strategy should not care."""
        ...

    @property
    def now_ns(self) -> int:
        """The market's time, nanoseconds UTC."""
        ...

    @property
    def now(self) -> datetime:
        """The market's time, aware, New York."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote of a ticker or OCC symbol, or None before the first."""
        ...

    def chain(self, underlying: str) -> ChainView:
        """Return all quoted contracts of an underlying with their volatilities and greeks."""
        ...

    def position(self, symbol: str) -> Decimal:
        """Return how much is held, short negative; 0 of what is not held."""
        ...

    def positions(self) -> Mapping[str, Position]:
        """Return what is held by symbol, marked at the newest quotes."""
        ...

    def greeks(self) -> BookGreeks:
        """Return how all that is held moves, priced anew at the newest quotes of it alone.

        Quick enough to be asked at every quote of a holding, where `chain` prices all contracts.
        """
        ...

    def orders(self) -> Sequence[Order]:
        """Return this strategy's orders that have not ended, oldest first."""
        ...

    @property
    def waits(self) -> bool:
        """Whether the broker's answer to an order or a cancel is still on its way.

        Who asks again meanwhile asks about an order that may be another one by then.
        """
        ...

    def open(
        self,
        legs: Sequence[Leg],
        quantity: Decimal | int = 1,
        *,
        limit_price: Decimal | None = None,
        why: Mapping[str, object] | None = None,
    ) -> str:
        """Ask for a position, and return the client order id.

        Args:
            legs: What to trade a unit; one leg, or several as one package.
            quantity: Units.
            limit_price: USD a unit at worst; of several legs debit positive, credit negative; None
                is a market order.
            why: What the strategy saw, for the journal.

        Raises:
            OrderRejected: Legs, quantity and price make no order; nothing was asked.
        """
        ...

    def close(
        self,
        legs: Sequence[Leg],
        quantity: Decimal | int = 1,
        *,
        limit_price: Decimal | None = None,
        why: Mapping[str, object] | None = None,
    ) -> str:
        """Ask for the end of a position; the arguments are those of `open`."""
        ...

    def place(self, ticket: OrderTicket, why: Mapping[str, object] | None = None) -> str:
        """Ask for an order of any kind, a pair, a trigger or a bracket, built by `order`."""
        ...

    def order(self, **terms: object) -> Order:
        """Return an `Order` with this strategy's name, account, mode, id and time filled in.

        Raises:
            OrderRejected: The terms make no order; one sentence says which and why.
        """
        ...

    def cancel(self, client_order_id: str) -> None:
        """Ask to cancel an order; it may still fill until an update says CANCELED."""
        ...

    def replace(
        self,
        client_order_id: str,
        limit_price: Decimal | None = None,
        *,
        stop_price: Decimal | None = None,
    ) -> str:
        """Ask for other prices; the new order has its own client order id.

        Args:
            client_order_id: Of the order whose place it takes.
            limit_price: None keeps it as it is.
            stop_price: The same.
        """
        ...

    def call_at(self, at: datetime, name: str) -> None:
        """Ask for `on_timer(name)` at a time of the market; a past one is called next."""
        ...

    def call_every(self, seconds: float, name: str) -> None:
        """Ask for `on_timer(name)` at regular times of the market, from now on."""
        ...


class Strategy:
    """Base of all strategies: handlers that do nothing, until they are overridden.

    Attributes:
        name: How it is asked for on the command line.
        parameters_type: Its `Parameters`.
        desk: What it may see and ask; there from `start` on.

    Args:
        parameters: Its own, of `parameters_type`; None takes their defaults.
    """

    name: ClassVar[str]
    parameters_type: ClassVar[type[Parameters]] = Parameters

    desk: Desk

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = self.parameters_type() if parameters is None else parameters

    def needs(self) -> Needs:
        """Return what it wants to see; asked once, before `start`."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin: `desk` is there, the account is known, no event has come yet."""

    def on_quote(self, quote: Quote) -> None:
        """See a new quote."""

    def on_trade(self, trade: TradeTick) -> None:
        """See a trade on the tape."""

    def on_bar(self, bar: Bar) -> None:
        """See a bar that has ended."""

    def on_timer(self, name: str) -> None:
        """A time that was asked for has come."""

    def on_update(self, update: OrderUpdate) -> None:
        """Hear of one of its orders."""

    def on_settlement(self, settlement: Settlement) -> None:
        """Options that it held have expired, or were exercised or assigned."""

    def stop(self) -> None:
        """End: the last event has come. Orders asked for here leave no more."""
