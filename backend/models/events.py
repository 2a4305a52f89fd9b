"""What happens in a market and to an order: the hot values of streams and of the engine.

Frozen msgspec Structs, since a loop makes millions of them. Times are nanoseconds since 1970-01-01
UTC. Prices of the market are float64 USD; what is booked (fills, fees) is exact `Decimal`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, TypeAlias

import msgspec

from models.order_terms import OrderStatus, Side  # noqa: TC001 - msgspec reads them at run time

_ZERO = Decimal(0)


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """The best bid and offer of one instrument, and what else its newest update told.

    Attributes:
        symbol: OCC symbol, or ticker as QQQ or SPX.
        time_ns: When the quote was made, UTC.
        bid: USD; None where nobody bids.
        ask: USD; None where nobody offers.
        bid_size: Contracts or shares.
        ask_size: Contracts or shares.
        last: USD of the last trade; None before the first.
        mark: The provider's mark, USD.
        volume: Contracts or shares of the session.
        delayed: Whether the provider says that it is not of now: no real-time data are subscribed.
        halted: Whether trading in the instrument is halted.
    """

    symbol: str
    time_ns: int
    bid: float | None = None
    ask: float | None = None
    bid_size: int | None = None
    ask_size: int | None = None
    last: float | None = None
    mark: float | None = None
    volume: int | None = None
    delayed: bool = False
    halted: bool = False

    @property
    def is_fair_value(self) -> bool:
        """Whether it tells a mark and neither bid, ask nor last: it replaces no quote."""
        return self.mark is not None and self.bid is self.ask is self.last is None


class QuoteRun(NamedTuple):
    """Quotes in the order of their times, none earlier than the one before.

    The engine's loop takes them at once: it asks once what it would have to ask at each event.

    Attributes:
        quotes: Of one instrument or many; `utils.quote_runs` makes them from columns.
    """

    quotes: list[Quote]


class TradeTick(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="trade"):
    """One trade on the tape.

    Attributes:
        symbol: OCC symbol or ticker.
        time_ns: When it traded, UTC.
        price: USD.
        size: Contracts or shares; fractions exist.
        conditions: The provider's codes.
    """

    symbol: str
    time_ns: int
    price: float
    size: float
    conditions: tuple[int, ...] = ()


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="bar"):
    """One bar; sent again with the same start, it replaces the earlier one.

    Attributes:
        symbol: OCC symbol or ticker.
        time_ns: Start of the bar, UTC.
        interval_s: Seconds it covers.
        open: USD.
        high: USD.
        low: USD.
        close: USD.
        volume: Contracts or shares; fractions exist.
    """

    symbol: str
    time_ns: int
    interval_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="fill"):
    """One execution of one leg.

    Attributes:
        execution_id: The venue's, unique: who books fills books each id once.
        symbol: OCC symbol or ticker.
        side: BUY or SELL.
        quantity: Contracts or shares, above 0.
        price: USD.
        time_ns: UTC.
        fees: USD, commission and fees together; a rebate is negative.
    """

    execution_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    time_ns: int
    fees: Decimal = _ZERO


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="order"):
    """What a broker tells of one order. Updates may come twice and in any order.

    Attributes:
        order_id: The broker's; None before it is known.
        client_order_id: Ours; None of an order that is not ours.
        status: State after it.
        time_ns: UTC.
        filled_quantity: Units filled so far; None where the update does not tell.
        fills: Executions it reports, perhaps none.
        reason: The broker's words, of a rejection or expiry.
    """

    order_id: str | None
    client_order_id: str | None
    status: OrderStatus
    time_ns: int
    filled_quantity: Decimal | None = None
    fills: tuple[Fill, ...] = ()
    reason: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="settlement"):
    """What became of options that were held: expired, paid in cash, exercised or assigned.

    Attributes:
        settlement_id: Unique: who books settlements books each once.
        symbol: OCC symbol.
        quantity: Contracts that were held, short negative.
        outcome: worthless, cash, exercised or assigned.
        cash: USD a contract that is paid to whoever is long; 0 unless the outcome is cash.
        shares: Of the underlying that were delivered to the account, negative from it; at the
            strike.
        time_ns: UTC.
    """

    settlement_id: str
    symbol: str
    quantity: Decimal
    outcome: str
    time_ns: int
    cash: Decimal = _ZERO
    shares: Decimal = _ZERO


class Restraint(msgspec.Struct, frozen=True, kw_only=True, tag="restraint"):
    """From now on only what closes may leave, or all again.

    Attributes:
        time_ns: The market's, UTC.
        source: Who says so: each source's word stands until it takes it back.
        reason: One sentence; empty takes it back.
    """

    time_ns: int
    source: str
    reason: str


class Halt(msgspec.Struct, frozen=True, kw_only=True, tag="halt"):
    """The kill switch: from now on nothing leaves, and what works is cancelled; or all goes on.

    Attributes:
        time_ns: The market's, UTC.
        by: Who says so.
        reason: One sentence; empty lets trading go on.
        flatten: Whether what is held is to be closed.
    """

    time_ns: int
    by: str
    reason: str
    flatten: bool = False


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="heartbeat"):
    """A stream lives, though nothing happened.

    Attributes:
        time_ns: The server's time, UTC.
    """

    time_ns: int


class BookLevel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One price of an order book.

    Attributes:
        price: USD.
        size: Contracts or shares of all market makers together.
        makers: Names of the market makers, each with its size.
    """

    price: float
    size: int
    makers: tuple[tuple[str, int], ...] = ()


class Book(msgspec.Struct, frozen=True, kw_only=True, tag="book"):
    """The order book of one instrument at one venue; each is whole and replaces the earlier one.

    Attributes:
        symbol: OCC symbol or ticker.
        venue: The service that tells it, for example NASDAQ_BOOK.
        time_ns: When the snapshot was made, UTC.
        bids: Best first.
        asks: Best first.
    """

    symbol: str
    venue: str
    time_ns: int
    bids: tuple[BookLevel, ...] = ()
    asks: tuple[BookLevel, ...] = ()


class ScreenRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instrument of a screener's list.

    Attributes:
        symbol: OCC symbol or ticker.
        description: For people.
        last: USD.
        net_change: USD.
        net_change_fraction: 0.02 is 2 %.
        market_share: Percent of the list's volume.
        total_volume: Of the whole list.
        volume: Contracts or shares.
        trades: Number of trades.
    """

    symbol: str
    description: str = ""
    last: float | None = None
    net_change: float | None = None
    net_change_fraction: float | None = None
    market_share: float | None = None
    total_volume: int | None = None
    volume: int | None = None
    trades: int | None = None


class Screen(msgspec.Struct, frozen=True, kw_only=True, tag="screen"):
    """A screener's list; each is whole and replaces the earlier one.

    Attributes:
        key: What was asked, for example NASDAQ_VOLUME_5.
        time_ns: UTC.
        rows: First the highest.
    """

    key: str
    time_ns: int
    rows: tuple[ScreenRow, ...] = ()


MarketEvent: TypeAlias = Quote | TradeTick | Bar | Heartbeat
"""What the market tells."""

News: TypeAlias = OrderUpdate | Settlement
"""What a broker tells of an account."""

Event: TypeAlias = MarketEvent | News | Restraint | Halt
"""What the engine's loop eats."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="gap"):
    """A stream was interrupted and goes on: what happened meanwhile was not told and is to be asked.

    Attributes:
        time_ns: When it went on, UTC.
    """

    time_ns: int


StreamEvent: TypeAlias = Event | Book | Screen | Gap
"""What a provider's stream can tell; the engine's loop is handed the events alone."""
