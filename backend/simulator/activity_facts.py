"""Words of account activity: captured ones, and guesses where no capture shows them.

As in `simulator.schwab_facts`: one named constant a statement, with its row in
`docs/schwab_fidelity.md`, section Account activity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.schwab_order_terms import Duration, Instruction, WireOrderType
from simulator.order_instruments import instrument_id

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTIAL_FILL = "OrderFillPartial"
"""Type of the execution of a part; its body is that of OrderFillCompleted."""
PARTIALLY_FILLED = "LegSubStatusPartiallyFilled"
REJECTED = "LegSubStatusRejected"
REJECTED_TYPE = "OrderRejected"
EXPIRED = "LegSubStatusExpired"
EXPIRED_TYPE = "OrderExpired"
"""A rejection and an expiry end in OrderUROutCompleted with these."""
REASON = "RejectReason"
"""Where the broker's words stand."""
CLIENT_CANCEL = "ClientCancel"
SYSTEM_CANCEL = "SystemCancel"
"""Of an order that its sibling's fill ends."""

ROUTE = "SIMULATOR_F1"
SENDER = "SIMULATOR"
EXCHANGE = "CBOE"
TRADING_SESSION = "REG"
TRADE_TAG = "API_TOS:TRADE_ALL"

TIME_IN_FORCE: Mapping[str, str] = {
    Duration.DAY: "Day",
    Duration.GOOD_TILL_CANCEL: "GoodTillCancel",
    Duration.FILL_OR_KILL: "FillOrKill",
    Duration.IMMEDIATE_OR_CANCEL: "ImmediateOrCancel",
}

ORDER_TYPES: Mapping[str, str] = {
    WireOrderType.MARKET: "Market",
    WireOrderType.LIMIT: "Limit",
    WireOrderType.STOP: "Stop",
    WireOrderType.STOP_LIMIT: "StopLimit",
    WireOrderType.TRAILING_STOP: "TrailingStop",
    WireOrderType.TRAILING_STOP_LIMIT: "TrailingStopLimit",
    WireOrderType.MARKET_ON_CLOSE: "MarketOnClose",
    WireOrderType.LIMIT_ON_CLOSE: "LimitOnClose",
    WireOrderType.NET_DEBIT: "NetDebit",
    WireOrderType.NET_CREDIT: "NetCredit",
    WireOrderType.NET_ZERO: "NetZero",
}

BUY_SELL: Mapping[Instruction, str] = {
    Instruction.BUY: "Buy",
    Instruction.BUY_TO_COVER: "BuyToCover",
    Instruction.BUY_TO_OPEN: "Buy",
    Instruction.BUY_TO_CLOSE: "Buy",
    Instruction.SELL: "Sell",
    Instruction.SELL_SHORT: "SellShort",
    Instruction.SELL_SHORT_EXEMPT: "SellShort",
    Instruction.SELL_TO_OPEN: "Sell",
    Instruction.SELL_TO_CLOSE: "Sell",
}

_OPENING = {Instruction.BUY_TO_OPEN, Instruction.SELL_TO_OPEN}
_CLOSING = {Instruction.BUY_TO_CLOSE, Instruction.SELL_TO_CLOSE}


def open_close(instruction: Instruction) -> dict[str, str]:
    """Return the position effect of an option's leg; nothing of shares."""
    if instruction in _OPENING:
        return {"OpenClosePositionCode": "PC_Open"}
    return {"OpenClosePositionCode": "PC_Close"} if instruction in _CLOSING else {}


def security_id(symbol: str) -> str:
    """Return the number of an instrument as text."""
    return str(instrument_id(symbol))
