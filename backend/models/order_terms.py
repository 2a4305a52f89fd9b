"""The terms of trading, broker-neutral: what an order can be and in which state it can stand.

The values are the words that journals and tables hold; each broker's adapter maps its own to them.
"""

from enum import StrEnum


class _Term(StrEnum):
    """A word; as the key of a mapping as quick as plain text, which equals it."""

    __hash__ = str.__hash__


class Mode(_Term):
    """How a program trades; rows of different modes never mix."""

    BACKTEST = "backtest"
    PAPER = "paper"
    REHEARSAL = "rehearsal"
    LIVE = "live"


class AssetType(_Term):
    """What a leg trades."""

    EQUITY = "EQUITY"
    OPTION = "OPTION"


class Side(_Term):
    """Direction of a leg."""

    BUY = "BUY"
    SELL = "SELL"


class PositionEffect(_Term):
    """Whether a leg opens a position or closes one; AUTOMATIC leaves it to the broker."""

    OPENING = "OPENING"
    CLOSING = "CLOSING"
    AUTOMATIC = "AUTOMATIC"


class OrderType(_Term):
    """How an order is priced. The NET types are for several legs traded as one."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"
    TRAILING_STOP_LIMIT = "TRAILING_STOP_LIMIT"
    MARKET_ON_CLOSE = "MARKET_ON_CLOSE"
    LIMIT_ON_CLOSE = "LIMIT_ON_CLOSE"
    NET_DEBIT = "NET_DEBIT"
    NET_CREDIT = "NET_CREDIT"
    NET_ZERO = "NET_ZERO"


class TrailUnit(_Term):
    """What the distance of a trailing stop is counted in: USD, percent or ticks."""

    VALUE = "VALUE"
    PERCENT = "PERCENT"
    TICK = "TICK"


class TrailBasis(_Term):
    """Which price a trailing stop follows."""

    LAST = "LAST"
    BID = "BID"
    ASK = "ASK"
    MARK = "MARK"


class TimeInForce(_Term):
    """How long an order stands."""

    DAY = "DAY"
    GOOD_TILL_CANCEL = "GOOD_TILL_CANCEL"
    FILL_OR_KILL = "FILL_OR_KILL"
    IMMEDIATE_OR_CANCEL = "IMMEDIATE_OR_CANCEL"
    END_OF_WEEK = "END_OF_WEEK"
    END_OF_MONTH = "END_OF_MONTH"
    NEXT_END_OF_MONTH = "NEXT_END_OF_MONTH"


class TradingHours(_Term):
    """In which part of the day an order may trade; EXTENDED is all of them."""

    REGULAR = "REGULAR"
    PRE_MARKET = "PRE_MARKET"
    POST_MARKET = "POST_MARKET"
    EXTENDED = "EXTENDED"


class OrderStatus(_Term):
    """State of an order.

    UNKNOWN means that the broker's answer was lost: it may stand there or not, until it is looked
    up. WAITING orders stand at the broker until a condition or a parent order lets them work.
    """

    NEW = "NEW"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    WAITING = "WAITING"
    WORKING = "WORKING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    terminal: bool
    """Whether nothing more can happen to the order."""


_TERMINAL = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.REPLACED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
    }
)
for _status in OrderStatus:
    _status.terminal = _status in _TERMINAL  # looked at for each piece of news


class AccountKind(_Term):
    """Whether an account may borrow."""

    CASH = "CASH"
    MARGIN = "MARGIN"


class SignalAction(_Term):
    """What a strategy wants."""

    OPEN = "open"
    CLOSE = "close"
    HOLD = "hold"
