"""What Polygon's REST API answers, as types: one row of each list, with the wire's names.

Numbers are floats because the wire writes one and the same field now as `7` and now as `7.0`;
sizes and volumes can have fractions since 2026-02-23. Times that end in `_ns` or stand in a
`*_timestamp` field are nanoseconds since 1970 UTC, the `t` of an aggregate is milliseconds.
Source: polygon_contract, section 4, from the vendor's own OpenAPI file.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - msgspec reads the annotations
from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

R = TypeVar("R")

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Size: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Lot: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2**31 - 1)]
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]
Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000_000_000)]
Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Shares: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Sequence: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Results(msgspec.Struct, Generic[R]):
    """The envelope of a list; an empty list of aggregates comes without `results`."""

    results: list[R] = []
    next_url: str | None = None
    status: str = ""


class Result(msgspec.Struct, Generic[R]):
    """The envelope of one object."""

    results: R
    status: str = ""


class Aggregate(msgspec.Struct, frozen=True):
    """One bar; `t` is its start in milliseconds. An index has no volume."""

    t: Milliseconds
    o: float
    h: float
    l: float  # noqa: E741 - the wire's name
    c: float
    v: Size = 0.0
    vw: float | None = None
    n: Count | None = None


class Deliverable(msgspec.Struct, frozen=True):
    """What an adjusted contract delivers besides its shares."""

    amount: float
    type: str
    underlying: str


class Contract(msgspec.Struct, frozen=True):
    """One option contract of the reference list."""

    ticker: str
    underlying_ticker: str
    contract_type: str
    expiration_date: date
    strike_price: float
    shares_per_contract: float = 100.0
    exercise_style: str = "american"
    primary_exchange: str | None = None
    cfi: str | None = None
    correction: int | None = None
    additional_underlyings: list[Deliverable] = []


class OptionTrade(msgspec.Struct, frozen=True):
    """One trade of a contract or stock: no id that options have, no sequence."""

    sip_timestamp: Nanoseconds
    price: float
    size: Size
    exchange: Count | None = None
    conditions: list[int] = []
    correction: int | None = None
    participant_timestamp: Nanoseconds | None = None


class OptionQuote(msgspec.Struct, frozen=True):
    """One NBBO of a contract or stock; 0 on a side means that nobody stands there."""

    sip_timestamp: Nanoseconds
    bid_price: float | None = None
    ask_price: float | None = None
    bid_size: Lot | None = None
    ask_size: Lot | None = None
    bid_exchange: Count | None = None
    ask_exchange: Count | None = None
    sequence_number: Sequence | None = None


class Day(msgspec.Struct, frozen=True):
    """The session so far; `{}` of a contract that never traded."""

    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: Size | None = None
    vwap: float | None = None
    previous_close: float | None = None
    last_updated: Nanoseconds | None = None


class Details(msgspec.Struct, frozen=True):
    """The terms of a contract inside a snapshot."""

    expiration_date: date
    strike_price: float
    contract_type: str
    exercise_style: str = "american"
    shares_per_contract: float = 100.0
    ticker: str | None = None


class Greeks(msgspec.Struct, frozen=True):
    """As the service states them; theta a day, vega a volatility point, no rho."""

    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None


class SnapshotQuote(msgspec.Struct, frozen=True):
    """The newest quote inside a snapshot."""

    bid: float | None = None
    ask: float | None = None
    bid_size: Lot | None = None
    ask_size: Lot | None = None
    last_updated: Nanoseconds | None = None
    timeframe: str | None = None


class SnapshotTrade(msgspec.Struct, frozen=True):
    """The newest trade inside a snapshot; a stock's time has another name than an option's."""

    price: float | None = None
    size: Size | None = None
    sip_timestamp: Nanoseconds | None = None
    last_updated: Nanoseconds | None = None


class UnderlyingAsset(msgspec.Struct, frozen=True):
    """The underlying of a snapshot; an index has a value in place of a price."""

    ticker: str | None = None
    price: float | None = None
    value: float | None = None
    last_updated: Nanoseconds | None = None
    timeframe: str | None = None


class ContractSnapshot(msgspec.Struct, frozen=True):
    """One contract of a chain as it stands now."""

    details: Details
    day: Day = Day()
    last_quote: SnapshotQuote = SnapshotQuote()
    last_trade: SnapshotTrade = SnapshotTrade()
    greeks: Greeks = Greeks()
    implied_volatility: float | None = None
    open_interest: Size | None = None
    underlying_asset: UnderlyingAsset = UnderlyingAsset()


class Session(msgspec.Struct, frozen=True):
    """The session of a unified snapshot."""

    price: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    previous_close: float | None = None
    volume: Size | None = None
    last_updated: Nanoseconds | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """One ticker of the unified snapshot; `error` where it is not known."""

    ticker: str
    type: str | None = None
    name: str | None = None
    market_status: str | None = None
    error: str | None = None
    message: str | None = None
    session: Session = Session()
    last_quote: SnapshotQuote = SnapshotQuote()
    last_trade: SnapshotTrade = SnapshotTrade()
    value: float | None = None
    last_updated: Nanoseconds | None = None


class Split(msgspec.Struct, frozen=True):
    """One split: `split_from` shares became `split_to`."""

    ticker: str
    execution_date: date
    split_from: Shares
    split_to: Shares
    id: str | None = None


class Dividend(msgspec.Struct, frozen=True):
    """One cash dividend, USD a share where the currency says so."""

    ticker: str
    ex_dividend_date: date
    cash_amount: Dollars
    currency: str | None = None
    declaration_date: date | None = None
    pay_date: date | None = None
    record_date: date | None = None
    dividend_type: str | None = None
    frequency: int | None = None
    id: str | None = None


class TickerDetails(msgspec.Struct, frozen=True):
    """What an underlying is."""

    ticker: str
    name: str | None = None
    market: str | None = None
    type: str | None = None
    primary_exchange: str | None = None
    active: bool = True
    delisted_utc: str | None = None
    list_date: date | None = None


class MarketStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Whether markets are open, and the service's clock (RFC 3339)."""

    market: str
    server_time: str
    early_hours: bool = False
    after_hours: bool = False


class Holiday(msgspec.Struct, frozen=True):
    """One coming holiday or short day of an exchange."""

    date: date
    exchange: str
    name: str
    status: str
    open: str | None = None
    close: str | None = None


class Code(msgspec.Struct, frozen=True):
    """One exchange or condition code."""

    id: int
    name: str
    type: str | None = None
    asset_class: str | None = None
    mic: str | None = None
