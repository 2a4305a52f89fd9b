"""Facts of Schwab's streamer: services, commands, codes, and the number of every field.

Nothing here computes; client and simulator both read it. Sources: the Streamer guide of May 2024,
schwab-py 1.5.1 and Schwabdev 4.0.0 where they agree, captured frames where those differ from the
guide. Field 0 of a service is never sent: `key` stands in its place.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Service(StrEnum):
    """A service of the streamer."""

    ADMIN = "ADMIN"
    LEVELONE_EQUITIES = "LEVELONE_EQUITIES"
    LEVELONE_OPTIONS = "LEVELONE_OPTIONS"
    LEVELONE_FUTURES = "LEVELONE_FUTURES"
    LEVELONE_FUTURES_OPTIONS = "LEVELONE_FUTURES_OPTIONS"
    LEVELONE_FOREX = "LEVELONE_FOREX"
    NYSE_BOOK = "NYSE_BOOK"
    NASDAQ_BOOK = "NASDAQ_BOOK"
    OPTIONS_BOOK = "OPTIONS_BOOK"
    CHART_EQUITY = "CHART_EQUITY"
    CHART_FUTURES = "CHART_FUTURES"
    SCREENER_EQUITY = "SCREENER_EQUITY"
    SCREENER_OPTION = "SCREENER_OPTION"
    ACCT_ACTIVITY = "ACCT_ACTIVITY"


class Command(StrEnum):
    """What a client asks. SUBS replaces the keys of a service, ADD appends, VIEW sets its fields."""

    LOGIN = "LOGIN"
    LOGOUT = "LOGOUT"
    SUBS = "SUBS"
    ADD = "ADD"
    UNSUBS = "UNSUBS"
    VIEW = "VIEW"


class Code(IntEnum):
    """What a response or an ADMIN notice means. On the wire every success is 0, never 26 to 29."""

    SUCCESS = 0
    LOGIN_DENIED = 3
    UNKNOWN_FAILURE = 9
    SERVICE_NOT_AVAILABLE = 11
    CLOSE_CONNECTION = 12
    REACHED_SYMBOL_LIMIT = 19
    STREAM_CONN_NOT_FOUND = 20
    BAD_COMMAND_FORMAT = 21
    FAILED_COMMAND_SUBS = 22
    FAILED_COMMAND_UNSUBS = 23
    FAILED_COMMAND_ADD = 24
    FAILED_COMMAND_VIEW = 25
    SUCCEEDED_COMMAND_SUBS = 26
    SUCCEEDED_COMMAND_UNSUBS = 27
    SUCCEEDED_COMMAND_ADD = 28
    SUCCEEDED_COMMAND_VIEW = 29
    STOP_STREAMING = 30


SUCCESSES = frozenset({Code.SUCCESS, *range(26, 30)})
"""Codes after which a command holds."""

CLOSING = frozenset({Code.LOGIN_DENIED, Code.CLOSE_CONNECTION, Code.STOP_STREAMING})
"""Codes after which the server closes the connection."""


class Kind(StrEnum):
    """Type of a field's value; TIME_MS is milliseconds since 1970 UTC."""

    TEXT = "text"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    TIME_MS = "time_ms"
    LIST = "list"


class Field(NamedTuple):
    """One numbered field.

    Attributes:
        number: On the wire, there as text.
        name: Ours.
        kind: Type of its value.
    """

    number: int
    name: str
    kind: Kind


EQUITY_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "bid", Kind.FLOAT),
    Field(2, "ask", Kind.FLOAT),
    Field(3, "last", Kind.FLOAT),
    Field(4, "bid_size", Kind.INT),
    Field(5, "ask_size", Kind.INT),
    Field(6, "ask_id", Kind.TEXT),
    Field(7, "bid_id", Kind.TEXT),
    Field(8, "volume", Kind.INT),
    Field(9, "last_size", Kind.INT),
    Field(10, "high", Kind.FLOAT),
    Field(11, "low", Kind.FLOAT),
    Field(12, "close", Kind.FLOAT),
    Field(13, "exchange_id", Kind.TEXT),
    Field(14, "marginable", Kind.BOOL),
    Field(15, "description", Kind.TEXT),
    Field(16, "last_id", Kind.TEXT),
    Field(17, "open", Kind.FLOAT),
    Field(18, "net_change", Kind.FLOAT),
    Field(19, "high_52_week", Kind.FLOAT),
    Field(20, "low_52_week", Kind.FLOAT),
    Field(21, "pe_ratio", Kind.FLOAT),
    Field(22, "annual_dividend", Kind.FLOAT),
    Field(23, "dividend_yield", Kind.FLOAT),
    Field(24, "nav", Kind.FLOAT),
    Field(25, "exchange_name", Kind.TEXT),
    Field(26, "dividend_date", Kind.TEXT),
    Field(27, "regular_quote", Kind.BOOL),
    Field(28, "regular_trade", Kind.BOOL),
    Field(29, "regular_last", Kind.FLOAT),
    Field(30, "regular_last_size", Kind.INT),
    Field(31, "regular_net_change", Kind.FLOAT),
    Field(32, "security_status", Kind.TEXT),
    Field(33, "mark", Kind.FLOAT),
    Field(34, "quote_time", Kind.TIME_MS),
    Field(35, "trade_time", Kind.TIME_MS),
    Field(36, "regular_trade_time", Kind.TIME_MS),
    Field(37, "bid_time", Kind.TIME_MS),
    Field(38, "ask_time", Kind.TIME_MS),
    Field(39, "ask_mic", Kind.TEXT),
    Field(40, "bid_mic", Kind.TEXT),
    Field(41, "last_mic", Kind.TEXT),
    Field(42, "net_percent_change", Kind.FLOAT),
    Field(43, "regular_percent_change", Kind.FLOAT),
    Field(44, "mark_change", Kind.FLOAT),
    Field(45, "mark_percent_change", Kind.FLOAT),
    Field(46, "htb_quantity", Kind.INT),
    Field(47, "htb_rate", Kind.FLOAT),
    Field(48, "hard_to_borrow", Kind.INT),
    Field(49, "shortable", Kind.INT),
    Field(50, "post_market_net_change", Kind.FLOAT),
    Field(51, "post_market_percent_change", Kind.FLOAT),
)
"""LEVELONE_EQUITIES. Sizes are shares since late 2025, lots before; fields 6 and 7 are ask then bid."""

OPTION_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "description", Kind.TEXT),
    Field(2, "bid", Kind.FLOAT),
    Field(3, "ask", Kind.FLOAT),
    Field(4, "last", Kind.FLOAT),
    Field(5, "high", Kind.FLOAT),
    Field(6, "low", Kind.FLOAT),
    Field(7, "close", Kind.FLOAT),
    Field(8, "volume", Kind.INT),
    Field(9, "open_interest", Kind.INT),
    Field(10, "volatility", Kind.FLOAT),
    Field(11, "intrinsic_value", Kind.FLOAT),
    Field(12, "expiration_year", Kind.INT),
    Field(13, "multiplier", Kind.FLOAT),
    Field(14, "digits", Kind.INT),
    Field(15, "open", Kind.FLOAT),
    Field(16, "bid_size", Kind.INT),
    Field(17, "ask_size", Kind.INT),
    Field(18, "last_size", Kind.INT),
    Field(19, "net_change", Kind.FLOAT),
    Field(20, "strike", Kind.FLOAT),
    Field(21, "contract_type", Kind.TEXT),
    Field(22, "underlying", Kind.TEXT),
    Field(23, "expiration_month", Kind.INT),
    Field(24, "deliverables", Kind.TEXT),
    Field(25, "time_value", Kind.FLOAT),
    Field(26, "expiration_day", Kind.INT),
    Field(27, "days_to_expiration", Kind.INT),
    Field(28, "delta", Kind.FLOAT),
    Field(29, "gamma", Kind.FLOAT),
    Field(30, "theta", Kind.FLOAT),
    Field(31, "vega", Kind.FLOAT),
    Field(32, "rho", Kind.FLOAT),
    Field(33, "security_status", Kind.TEXT),
    Field(34, "theoretical_value", Kind.FLOAT),
    Field(35, "underlying_price", Kind.FLOAT),
    Field(36, "expiration_type", Kind.TEXT),
    Field(37, "mark", Kind.FLOAT),
    Field(38, "quote_time", Kind.TIME_MS),
    Field(39, "trade_time", Kind.TIME_MS),
    Field(40, "exchange_id", Kind.TEXT),
    Field(41, "exchange_name", Kind.TEXT),
    Field(42, "last_trading_day", Kind.TIME_MS),
    Field(43, "settlement_type", Kind.TEXT),
    Field(44, "net_percent_change", Kind.FLOAT),
    Field(45, "mark_change", Kind.FLOAT),
    Field(46, "mark_percent_change", Kind.FLOAT),
    Field(47, "implied_yield", Kind.FLOAT),
    Field(48, "penny_pilot", Kind.BOOL),
    Field(49, "option_root", Kind.TEXT),
    Field(50, "high_52_week", Kind.FLOAT),
    Field(51, "low_52_week", Kind.FLOAT),
    Field(52, "indicative_ask", Kind.FLOAT),
    Field(53, "indicative_bid", Kind.FLOAT),
    Field(54, "indicative_quote_time", Kind.TIME_MS),
    Field(55, "exercise_type", Kind.TEXT),
)
"""LEVELONE_OPTIONS. Volatility is in percent. Field 20 is the strike (schwab-py calls it a strike type)."""

FUTURES_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "bid", Kind.FLOAT),
    Field(2, "ask", Kind.FLOAT),
    Field(3, "last", Kind.FLOAT),
    Field(4, "bid_size", Kind.INT),
    Field(5, "ask_size", Kind.INT),
    Field(6, "bid_id", Kind.TEXT),
    Field(7, "ask_id", Kind.TEXT),
    Field(8, "volume", Kind.INT),
    Field(9, "last_size", Kind.INT),
    Field(10, "quote_time", Kind.TIME_MS),
    Field(11, "trade_time", Kind.TIME_MS),
    Field(12, "high", Kind.FLOAT),
    Field(13, "low", Kind.FLOAT),
    Field(14, "close", Kind.FLOAT),
    Field(15, "exchange_id", Kind.TEXT),
    Field(16, "description", Kind.TEXT),
    Field(17, "last_id", Kind.TEXT),
    Field(18, "open", Kind.FLOAT),
    Field(19, "net_change", Kind.FLOAT),
    Field(20, "net_percent_change", Kind.FLOAT),
    Field(21, "exchange_name", Kind.TEXT),
    Field(22, "security_status", Kind.TEXT),
    Field(23, "open_interest", Kind.INT),
    Field(24, "mark", Kind.FLOAT),
    Field(25, "tick", Kind.FLOAT),
    Field(26, "tick_amount", Kind.FLOAT),
    Field(27, "product", Kind.TEXT),
    Field(28, "price_format", Kind.TEXT),
    Field(29, "trading_hours", Kind.TEXT),
    Field(30, "tradable", Kind.BOOL),
    Field(31, "multiplier", Kind.FLOAT),
    Field(32, "active", Kind.BOOL),
    Field(33, "settlement_price", Kind.FLOAT),
    Field(34, "active_symbol", Kind.TEXT),
    Field(35, "expiration_time", Kind.TIME_MS),
    Field(36, "expiration_style", Kind.TEXT),
    Field(37, "ask_time", Kind.TIME_MS),
    Field(38, "bid_time", Kind.TIME_MS),
    Field(39, "quoted_in_session", Kind.BOOL),
    Field(40, "settlement_time", Kind.TIME_MS),
)
"""LEVELONE_FUTURES. Fields 6 and 7 are bid then ask, the reverse of equities."""

FUTURES_OPTION_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "bid", Kind.FLOAT),
    Field(2, "ask", Kind.FLOAT),
    Field(3, "last", Kind.FLOAT),
    Field(4, "bid_size", Kind.INT),
    Field(5, "ask_size", Kind.INT),
    Field(6, "bid_id", Kind.TEXT),
    Field(7, "ask_id", Kind.TEXT),
    Field(8, "volume", Kind.INT),
    Field(9, "last_size", Kind.INT),
    Field(10, "quote_time", Kind.TIME_MS),
    Field(11, "trade_time", Kind.TIME_MS),
    Field(12, "high", Kind.FLOAT),
    Field(13, "low", Kind.FLOAT),
    Field(14, "close", Kind.FLOAT),
    Field(15, "last_id", Kind.TEXT),
    Field(16, "description", Kind.TEXT),
    Field(17, "open", Kind.FLOAT),
    Field(18, "open_interest", Kind.FLOAT),
    Field(19, "mark", Kind.FLOAT),
    Field(20, "tick", Kind.FLOAT),
    Field(21, "tick_amount", Kind.FLOAT),
    Field(22, "multiplier", Kind.FLOAT),
    Field(23, "settlement_price", Kind.FLOAT),
    Field(24, "underlying", Kind.TEXT),
    Field(25, "strike", Kind.FLOAT),
    Field(26, "expiration_time", Kind.TIME_MS),
    Field(27, "expiration_style", Kind.TEXT),
    Field(28, "contract_type", Kind.TEXT),
    Field(29, "security_status", Kind.TEXT),
    Field(30, "exchange_id", Kind.TEXT),
    Field(31, "exchange_name", Kind.TEXT),
)
"""LEVELONE_FUTURES_OPTIONS. As schwab-py and Schwabdev both have them."""

FOREX_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "bid", Kind.FLOAT),
    Field(2, "ask", Kind.FLOAT),
    Field(3, "last", Kind.FLOAT),
    Field(4, "bid_size", Kind.INT),
    Field(5, "ask_size", Kind.INT),
    Field(6, "volume", Kind.INT),
    Field(7, "last_size", Kind.INT),
    Field(8, "quote_time", Kind.TIME_MS),
    Field(9, "trade_time", Kind.TIME_MS),
    Field(10, "high", Kind.FLOAT),
    Field(11, "low", Kind.FLOAT),
    Field(12, "close", Kind.FLOAT),
    Field(13, "exchange_id", Kind.TEXT),
    Field(14, "description", Kind.TEXT),
    Field(15, "open", Kind.FLOAT),
    Field(16, "net_change", Kind.FLOAT),
    Field(17, "net_percent_change", Kind.FLOAT),
    Field(18, "exchange_name", Kind.TEXT),
    Field(19, "digits", Kind.INT),
    Field(20, "security_status", Kind.TEXT),
    Field(21, "tick", Kind.FLOAT),
    Field(22, "tick_amount", Kind.FLOAT),
    Field(23, "product", Kind.TEXT),
    Field(24, "trading_hours", Kind.TEXT),
    Field(25, "tradable", Kind.BOOL),
    Field(26, "market_maker", Kind.TEXT),
    Field(27, "high_52_week", Kind.FLOAT),
    Field(28, "low_52_week", Kind.FLOAT),
    Field(29, "mark", Kind.FLOAT),
)
"""LEVELONE_FOREX. As schwab-py and Schwabdev both have them."""

BOOK_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "snapshot_time", Kind.TIME_MS),
    Field(2, "bid_levels", Kind.LIST),
    Field(3, "ask_levels", Kind.LIST),
)
"""Books. Of every book service; each snapshot is whole."""

CHART_EQUITY_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "sequence", Kind.INT),
    Field(2, "open", Kind.FLOAT),
    Field(3, "high", Kind.FLOAT),
    Field(4, "low", Kind.FLOAT),
    Field(5, "close", Kind.FLOAT),
    Field(6, "volume", Kind.FLOAT),
    Field(7, "chart_time", Kind.TIME_MS),
    Field(8, "chart_day", Kind.INT),
)
"""CHART_EQUITY. The guide's own order is wrong; both clients and a capture agree on this one."""

CHART_FUTURES_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "chart_time", Kind.TIME_MS),
    Field(2, "open", Kind.FLOAT),
    Field(3, "high", Kind.FLOAT),
    Field(4, "low", Kind.FLOAT),
    Field(5, "close", Kind.FLOAT),
    Field(6, "volume", Kind.FLOAT),
)
"""CHART_FUTURES. One-minute bars of futures."""

SCREENER_FIELDS: tuple[Field, ...] = (
    Field(0, "symbol", Kind.TEXT),
    Field(1, "timestamp", Kind.TIME_MS),
    Field(2, "sort_field", Kind.TEXT),
    Field(3, "frequency", Kind.INT),
    Field(4, "items", Kind.LIST),
)
"""Screeners. Of both screener services; each list is whole."""

ACTIVITY_FIELDS: tuple[Field, ...] = (
    Field(0, "subscription", Kind.TEXT),
    Field(1, "account_number", Kind.TEXT),
    Field(2, "message_type", Kind.TEXT),
    Field(3, "message_data", Kind.TEXT),
)
"""ACCT_ACTIVITY. `message_data` is JSON as text, empty, or plain prose."""

BOOK_LEVEL_FIELDS: tuple[Field, ...] = (
    Field(0, "price", Kind.FLOAT),
    Field(1, "size", Kind.INT),
    Field(2, "makers", Kind.INT),
    Field(3, "maker_list", Kind.LIST),
)
"""One price level of a book: total size, number of market makers, their list."""

BOOK_MAKER_FIELDS: tuple[Field, ...] = (
    Field(0, "maker_id", Kind.TEXT),
    Field(1, "size", Kind.INT),
    Field(2, "quote_time", Kind.INT),
)
"""One market maker of a level; its time is milliseconds since midnight in New York."""

SCREENER_ITEM_FIELDS: Mapping[str, Kind] = {
    "symbol": Kind.TEXT,
    "description": Kind.TEXT,
    "lastPrice": Kind.FLOAT,
    "netChange": Kind.FLOAT,
    "netPercentChange": Kind.FLOAT,
    "marketShare": Kind.FLOAT,
    "totalVolume": Kind.INT,
    "volume": Kind.INT,
    "trades": Kind.INT,
}
"""One row of a screener; percent changes are fractions."""

FIELDS: Mapping[Service, tuple[Field, ...]] = {
    Service.LEVELONE_EQUITIES: EQUITY_FIELDS,
    Service.LEVELONE_OPTIONS: OPTION_FIELDS,
    Service.LEVELONE_FUTURES: FUTURES_FIELDS,
    Service.LEVELONE_FUTURES_OPTIONS: FUTURES_OPTION_FIELDS,
    Service.LEVELONE_FOREX: FOREX_FIELDS,
    Service.NYSE_BOOK: BOOK_FIELDS,
    Service.NASDAQ_BOOK: BOOK_FIELDS,
    Service.OPTIONS_BOOK: BOOK_FIELDS,
    Service.CHART_EQUITY: CHART_EQUITY_FIELDS,
    Service.CHART_FUTURES: CHART_FUTURES_FIELDS,
    Service.SCREENER_EQUITY: SCREENER_FIELDS,
    Service.SCREENER_OPTION: SCREENER_FIELDS,
    Service.ACCT_ACTIVITY: ACTIVITY_FIELDS,
}
"""Fields of each service, in the order of their numbers, which count from 0 without a gap."""

EXTRA_KEYS = frozenset({"key", "delayed", "assetMainType", "assetSubType", "cusip", "seq"})
"""What a content item carries beside its numbers; all but `key` in some items alone."""

LEVEL_ONE = frozenset(
    {
        Service.LEVELONE_EQUITIES,
        Service.LEVELONE_OPTIONS,
        Service.LEVELONE_FUTURES,
        Service.LEVELONE_FUTURES_OPTIONS,
        Service.LEVELONE_FOREX,
    }
)
"""Delivered as changes: after a first whole state only the fields that changed."""

BOOKS = frozenset({Service.NYSE_BOOK, Service.NASDAQ_BOOK, Service.OPTIONS_BOOK})
"""Delivered whole each time."""

SCREENERS = frozenset({Service.SCREENER_EQUITY, Service.SCREENER_OPTION})
"""Delivered whole each time."""

SEQUENCED = frozenset({Service.CHART_EQUITY, Service.CHART_FUTURES, Service.ACCT_ACTIVITY})
"""Delivered one by one; every item carries `seq`."""

KEY_LIMIT = 500
"""Keys of one service at once. Sources differ (500 or 3,000): this is the smaller one."""

SCREENER_KEY_LIMIT = 10
"""Keys of a screener service; the eleventh is refused with code 19 (measured by schwaby)."""
