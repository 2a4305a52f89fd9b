"""What the Market Data API answers, as types.

Names in Python follow the house where a meaning is the same; the wire's names are the renamed
ones. Numbers are floats because the wire writes one and the same field now as `7` and now as `7.0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.tables import Frame


class QuoteNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Prices of any asset type; what a type lacks is None. Times are milliseconds since 1970."""

    bid_price: float | None = None
    ask_price: float | None = None
    last_price: float | None = None
    mark: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last_size: float | None = None
    total_volume: float | None = None
    open_price: float | None = None
    high_price: float | None = None
    low_price: float | None = None
    close_price: float | None = None
    net_change: float | None = None
    net_percent_change: float | None = None
    mark_change: float | None = None
    mark_percent_change: float | None = None
    post_market_change: float | None = None
    post_market_percent_change: float | None = None
    high_52_week: float | None = msgspec.field(default=None, name="52WeekHigh")
    low_52_week: float | None = msgspec.field(default=None, name="52WeekLow")
    quote_time: float | None = None
    trade_time: float | None = None
    bid_time: float | None = None
    ask_time: float | None = None
    bid_mic_id: str | None = msgspec.field(default=None, name="bidMICId")
    ask_mic_id: str | None = msgspec.field(default=None, name="askMICId")
    last_mic_id: str | None = msgspec.field(default=None, name="lastMICId")
    security_status: str | None = None
    volatility: float | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None
    open_interest: float | None = None
    underlying_price: float | None = None
    theoretical_option_value: float | None = None
    time_value: float | None = None
    money_intrinsic_value: float | None = None
    implied_yield: float | None = None
    ind_ask_price: float | None = None
    ind_bid_price: float | None = None
    ind_quote_time: float | None = None


class FundamentalNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Yearly figures of a stock or fund. Yields are percent, dates ISO texts."""

    avg_10_days_volume: float | None = msgspec.field(default=None, name="avg10DaysVolume")
    avg_1_year_volume: float | None = msgspec.field(default=None, name="avg1YearVolume")
    declaration_date: str | None = None
    div_amount: float | None = None
    div_ex_date: str | None = None
    div_freq: float | None = None
    div_pay_amount: float | None = None
    div_pay_date: str | None = None
    div_yield: float | None = None
    eps: float | None = None
    fund_leverage_factor: float | None = None
    fund_strategy: str | None = None
    last_earnings_date: str | None = None
    next_div_ex_date: str | None = None
    next_div_pay_date: str | None = None
    pe_ratio: float | None = None


class ReferenceNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an instrument is."""

    cusip: str | None = None
    description: str | None = None
    exchange: str | None = None
    exchange_name: str | None = None
    is_hard_to_borrow: bool | None = None
    is_shortable: bool | None = None
    htb_quantity: float | None = None
    htb_rate: float | None = None
    fsi_desc: str | None = None
    otc_market_tier: str | None = None
    contract_type: str | None = None
    days_to_expiration: float | None = None
    deliverables: str | None = None
    exercise_type: str | None = None
    expiration_day: int | None = None
    expiration_month: int | None = None
    expiration_year: int | None = None
    expiration_type: str | None = None
    is_penny_pilot: bool | None = None
    last_trading_day: float | None = None
    multiplier: float | None = None
    settlement_type: str | None = None
    strike_price: float | None = None
    underlying: str | None = None
    underlying_asset_type: str | None = None


class RegularNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last trade of the regular session."""

    regular_market_last_price: float | None = None
    regular_market_last_size: float | None = None
    regular_market_net_change: float | None = None
    regular_market_percent_change: float | None = None
    regular_market_trade_time: float | None = None


class ExtendedNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Quotes outside the regular session."""

    bid_price: float | None = None
    ask_price: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last_price: float | None = None
    last_size: float | None = None
    mark: float | None = None
    quote_time: float | None = None
    total_volume: float | None = None
    trade_time: float | None = None


class Quote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One symbol of a reply to `/quotes`."""

    symbol: str
    asset_main_type: str | None = None
    asset_sub_type: str | None = None
    quote_type: str | None = None
    realtime: bool | None = None
    ssid: int | None = None
    quote: QuoteNode = QuoteNode()
    fundamental: FundamentalNode | None = None
    reference: ReferenceNode = ReferenceNode()
    regular: RegularNode | None = None
    extended: ExtendedNode | None = None


@dataclass(frozen=True, slots=True)
class Quotes:
    """A reply to `/quotes`.

    Attributes:
        by_symbol: The known symbols.
        invalid: The symbols that Schwab does not know.
        unknown_fields: Fields that this program does not know, with their counts.
    """

    by_symbol: Mapping[str, Quote]
    invalid: Sequence[str]
    unknown_fields: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Chain:
    """A reply to `/chains`.

    Attributes:
        symbol: As Schwab spells it, `$SPX`.
        status: SUCCESS, or FAILED when there is nothing.
        underlying_price: USD, None when Schwab does not say.
        risk_free_rate: Of `interestRate`, made continuous, a year.
        dividend_yield: A year, 0.01 = 1 %.
        is_delayed: Whether quotes are delayed.
        is_truncated: Whether Schwab left contracts out.
        contracts: One row a contract: occ_symbol, root, expiration, strike, right, bid, ask, last,
            mark, bid_size, ask_size, volume, open_interest, quote_at, trade_at,
            source_implied_volatility (0.20 = 20 %), source_delta, multiplier, exercise_style,
            settlement (AM, PM), expiration_type. A missing side of a quote is null.
        unknown_fields: Fields of the first contract that this program does not know.
    """

    symbol: str
    status: str
    underlying_price: float | None
    risk_free_rate: float | None
    dividend_yield: float | None
    is_delayed: bool
    is_truncated: bool
    contracts: Frame
    unknown_fields: frozenset[str]


class ListedExpiration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One expiration of a reply to `/expirationchain`."""

    expiration_date: date
    days_to_expiration: int = 0
    expiration_type: str | None = None
    settlement_type: str | None = None
    option_roots: str | None = None
    standard: bool | None = None


@dataclass(frozen=True, slots=True)
class Candles:
    """A reply to `/pricehistory`.

    Attributes:
        symbol: As Schwab spells it.
        frame: at (UTC, as sent: bar start, or midnight in Chicago of a daily or longer bar), open,
            high, low, close (USD), volume; oldest first.
        previous_close: USD, where it was asked for.
    """

    symbol: str
    frame: Frame
    previous_close: float | None


class Mover(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of a reply to `/movers`; `net_percent_change` is a fraction."""

    symbol: str
    description: str = ""
    last_price: float | None = None
    net_change: float | None = None
    net_percent_change: float | None = None
    volume: float | None = None
    total_volume: float | None = None
    market_share: float | None = None
    trades: float | None = None
    direction: str | None = None


class Hours(msgspec.Struct, frozen=True):
    """From when to when a market trades; aware."""

    start: datetime
    end: datetime


class MarketHours(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One product of a reply to `/markets`; a closed day has no session hours."""

    day: date = msgspec.field(name="date")
    market_type: str
    product: str
    is_open: bool
    product_name: str | None = None
    category: str | None = None
    exchange: str | None = None
    session_hours: dict[str, list[Hours]] = {}


class Instrument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One instrument of a reply to `/instruments`."""

    symbol: str
    cusip: str | None = None
    description: str | None = None
    exchange: str | None = None
    asset_type: str | None = None
    type: str | None = None
    fundamental: dict[str, Any] | None = None
