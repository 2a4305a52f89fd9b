"""The state of a paper account as plain values: what `PaperAccount.snapshot` dumps.

msgspec Structs that change in place, since a loop makes and moves many of them (they hold no cycle,
so that the collector need not look at them); `msgspec` turns the whole tree into JSON and back.
Quantities are whole units, money is `Decimal`, times are ns, UTC.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.fees import FeeParts
from models.events import Fill, Quote  # noqa: TC001 - msgspec reads the annotations at run time
from models.order_terms import (  # noqa: TC001 - the same
    OrderStatus,
    OrderType,
    PositionEffect,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)

ZERO = Decimal(0)


class PaperLeg(msgspec.Struct, gc=False):
    """One instrument of an order.

    Attributes:
        symbol: OCC symbol or ticker.
        sign: 1 bought, -1 sold.
        ratio: Contracts or shares for each unit of the order.
        effect: Opening, closing or automatic.
        multiplier: Shares a contract.
        weight: Units of the net price that it counts for: contracts, or shares in hundreds beside
            options.
        fees_due: Unrounded fees of all fills of this leg so far.
        fees_paid: USD charged for them so far.
    """

    symbol: str
    sign: int
    ratio: int
    effect: PositionEffect
    multiplier: int
    weight: int
    fees_due: FeeParts = FeeParts()
    fees_paid: Decimal = ZERO


class PaperOrder(msgspec.Struct, gc=False):
    """One order with everything that the paper venue knows of it.

    Attributes:
        number: Its place in the order of entry.
        order_id: The account's.
        client_order_id: The caller's.
        strategy: Who wants it.
        underlying: Symbol of the underlying.
        legs: What it trades.
        order_type: MARKET, LIMIT, ...
        time_in_force: DAY, ...
        hours: Part of the day.
        quantity: Units.
        limit: USD a unit, net; None without one.
        stop: USD; of a trailing stop the newest place of the stop.
        trail_offset: Distance of a trailing stop; None of other types.
        trail_unit: USD, percent or ticks.
        trail_basis: The price it follows.
        trail_limit_offset: USD of the limit behind a trailing stop.
        created_ns: When it was taken.
        updated_ns: When it changed last.
        open_ns: When the part of the day begins in which it works, now or next.
        close_ns: When that ends.
        expires_ns: When it expires.
        status: State.
        arrives_ns: When it reaches the venue.
        cancel_ns: When the wish to cancel it does; 0 without one.
        ahead: Contracts or shares before it in the queue at its limit; None: not known.
        volume: Of the day when it last saw a quote.
        filled: Units filled.
        triggered: Whether its stop was touched.
        water: The best price that a trailing stop has seen.
        reserve: USD of buying power that it holds back while it works.
        checked: Whether the account's means were checked.
        sibling: The order that a fill of this one cancels.
        parent: The order whose fill lets this one work.
        children: Orders that wait for this one's fill.
        replaces: The order in whose place it stands.
        replaced_by: The order that stands in its place.
        reason: Why it ended.
    """

    number: int
    order_id: str
    client_order_id: str
    strategy: str
    underlying: str
    legs: list[PaperLeg]
    order_type: OrderType
    time_in_force: TimeInForce
    hours: TradingHours
    quantity: int
    limit: Decimal | None
    stop: Decimal | None
    trail_offset: Decimal | None
    trail_unit: TrailUnit | None
    trail_basis: TrailBasis | None
    trail_limit_offset: Decimal | None
    created_ns: int
    updated_ns: int
    status: OrderStatus
    open_ns: int = 0
    close_ns: int = 0
    expires_ns: int = 0
    arrives_ns: int = 0
    cancel_ns: int = 0
    ahead: int | None = None
    volume: int | None = None
    filled: int = 0
    triggered: bool = False
    water: Decimal | None = None
    reserve: Decimal = ZERO
    checked: bool = False
    sibling: str | None = None
    parent: str | None = None
    children: list[str] = []
    replaces: str | None = None
    replaced_by: str | None = None
    reason: str = ""


class Holding(msgspec.Struct, gc=False):
    """What is held of one symbol.

    Attributes:
        quantity: Long positive, short negative.
        multiplier: Shares a contract.
        cost: USD paid for what is held, without fees; negative of a short position.
        updated_ns: Last change.
    """

    quantity: int
    multiplier: int
    cost: Decimal = ZERO
    updated_ns: int = 0


class Booked(msgspec.Struct, gc=False):
    """One fill in the account's books.

    Attributes:
        order_id: Whose fill it is.
        leg: Number of the order's leg, from 0.
        fill: The execution.
    """

    order_id: str
    leg: int
    fill: Fill


class Expired(msgspec.Struct, gc=False):
    """What became of an option position at its expiration.

    Attributes:
        symbol: OCC symbol.
        quantity: What was held, short negative.
        outcome: worthless, cash, exercised or assigned.
        settlement_price: Of the underlying, USD.
        cash: USD that the account gained.
        shares: Shares that came, negative where they went.
        time_ns: When it was booked.
    """

    symbol: str
    quantity: int
    outcome: str
    settlement_price: Decimal
    cash: Decimal
    shares: int
    time_ns: int


class Unsettled(msgspec.Struct, gc=False):
    """Cash of a trade that settles later.

    Attributes:
        settles_ns: When it does.
        amount: USD.
    """

    settles_ns: int
    amount: Decimal


class AccountState(msgspec.Struct):
    """All that a paper account remembers.

    Attributes:
        cash: USD, settled or not.
        start_cash: USD at the beginning and what was paid in or out since.
        fees: USD paid in commission and fees.
        now_ns: The newest time that the account was told.
        orders: By id, in order of entry.
        fills: In order.
        holdings: By symbol, those that are not 0.
        realized: USD gained by what was closed, without fees, by symbol.
        unsettled: Cash under way, oldest first.
        expired: Expirations, in order.
        quotes: Newest by symbol.
        taken: What our orders took of the newest quote by symbol: of its bid and of its ask.
        client_order_ids: Order ids by the caller's.
        awaiting: Option symbols that expired while their underlying's price was not known.
    """

    cash: Decimal
    start_cash: Decimal
    fees: Decimal = ZERO
    now_ns: int = 0
    orders: dict[str, PaperOrder] = {}
    fills: list[Booked] = []
    holdings: dict[str, Holding] = {}
    realized: dict[str, Decimal] = {}
    unsettled: list[Unsettled] = []
    expired: list[Expired] = []
    quotes: dict[str, Quote] = {}
    taken: dict[str, tuple[int, int]] = {}
    client_order_ids: dict[str, str] = {}
    awaiting: list[str] = []
