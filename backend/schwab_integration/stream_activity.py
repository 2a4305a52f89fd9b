"""ACCT_ACTIVITY: what Schwab tells of one's orders, as `OrderUpdate` and `Fill`.

Captured from single-leg orders alone (July and September 2024), so the reading is tolerant: legs,
executions and times are looked for by their names, wherever in the body they stand. Events come
twice and overtake each other; nothing here depends on their order, and each (order, type, body) is
told once. What nobody documented is counted, never fatal.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from models.events import Fill, OrderUpdate
from models.order_terms import OrderStatus, Side
from schwab_integration.stream_repair import tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schwab_integration.stream_wire import Activity

NEW_YORK = ZoneInfo("America/New_York")

SUBSCRIBED = "SUBSCRIBED"
"""Type of the first message after a subscription; its data is empty."""

REMEMBERED = 20_000
"""Events and orders that are remembered, to know a duplicate."""

_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
_MOST_DEPTH = 20

_STATUS = {
    "OrderCreated": OrderStatus.SUBMITTED,
    "ChangeCreated": OrderStatus.SUBMITTED,
    "OrderAccepted": OrderStatus.WORKING,
    "ChangeAccepted": OrderStatus.WORKING,
    "OrderMonitorCreated": OrderStatus.WAITING,
    "OrderMonitorCompleted": OrderStatus.WORKING,
    "OrderRejected": OrderStatus.REJECTED,
    "ChangeRejected": OrderStatus.REJECTED,
    "OrderExpired": OrderStatus.EXPIRED,
}
"""Types that mean a status by themselves."""

_SILENT = frozenset(
    {
        SUBSCRIBED,
        "ExecutionRequested",
        "ExecutionRequestCreated",
        "ExecutionRequestCompleted",
        "OrderMonitorUpdated",
        "CancelRejected",
    }
)
"""Types that change nothing a trader acts on: how an order travels between venues."""


class _Order:
    """What is known of one order.

    Attributes:
        legs: Quantity of each leg by its id; empty before OrderCreated was seen.
        closed: Legs that are filled.
        replaced: Another order took its place.
        canceled: It was told to be out.
    """

    __slots__ = ("canceled", "closed", "legs", "replaced")

    def __init__(self) -> None:
        self.legs: set[str] = set()
        self.closed: set[str] = set()
        self.replaced = False
        self.canceled = False


class ActivityReader:
    """Turns the messages of one connection after another into order updates.

    Attributes:
        unknown: Messages of unknown types and bodies of no use, by type.
        duplicates: Messages that were here before.
    """

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self.duplicates = 0
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._orders: OrderedDict[str, _Order] = OrderedDict()

    def read(self, activity: Activity) -> list[OrderUpdate]:
        """Return what a message tells, mostly one update; nothing of a duplicate."""
        kind = activity.message_type
        if kind == SUBSCRIBED:
            return []
        data = _data(activity.message_data)
        base = data.get("BaseEvent") if isinstance(data, dict) else None
        order_id = str(data.get("SchwabOrderID") or "") if isinstance(data, dict) else ""
        if not isinstance(base, dict) or not order_id:
            tally(self.unknown, kind or "prose")
            return []
        if self._is_duplicate(order_id, kind, activity.message_data):
            return []
        bodies = [value for value in base.values() if isinstance(value, dict)]
        body = bodies[0] if bodies else {}
        return self._updates(order_id, kind, body, activity.time_ms)

    def _is_duplicate(self, order_id: str, kind: str, data: msgspec.Raw) -> bool:
        text = f"{order_id}\n{kind}\n".encode(errors="replace") + bytes(data)
        digest = blake2b(text, digest_size=16).digest()
        if digest in self._seen:
            self.duplicates += 1
            return True
        _remember(self._seen, digest, None)
        return False

    def _updates(
        self, order_id: str, kind: str, body: dict[str, Any], ms: int
    ) -> list[OrderUpdate]:
        order = self._order(order_id)
        time_ns = _event_time(body) or max(0, ms) * 1_000_000
        if kind in {"OrderCreated", "ChangeCreated"}:
            order.legs |= set(_leg_ids(body))
        fills = tuple(_fills(body, time_ns))
        status: OrderStatus | None = _STATUS.get(kind)
        if fills or "Fill" in kind:
            status = self._filled(order_id, order, body)
        elif kind == "CancelAccepted":
            order.replaced |= any(_found(body, "ChangedNewSchwabOrderId"))
            status = OrderStatus.PENDING_REPLACE if order.replaced else OrderStatus.PENDING_CANCEL
        elif kind == "OrderUROutCompleted":
            status = _out(order, body)
        if status is None:
            if kind not in _SILENT and kind != "ExecutionCreated":
                tally(self.unknown, kind)
            return list(self._corrected(body, time_ns))
        update = OrderUpdate(
            order_id=order_id,
            client_order_id=None,
            status=status,
            time_ns=time_ns,
            filled_quantity=_cumulative(order_id, order, body),
            fills=fills,
            reason=_reason(body) if status.terminal and status is not OrderStatus.FILLED else "",
        )
        return [update, *self._corrected(body, time_ns)]

    def _corrected(self, body: dict[str, Any], time_ns: int) -> Iterator[OrderUpdate]:
        """Yield that an order which was told to be canceled was in truth replaced by this one."""
        for parent in _found(body, "ParentSchwabOrderID"):
            if not parent or not isinstance(parent, str):
                continue
            old = self._order(parent)
            if old.canceled and not old.replaced:
                yield OrderUpdate(
                    order_id=parent,
                    client_order_id=None,
                    status=OrderStatus.REPLACED,
                    time_ns=time_ns,
                )
            old.replaced = True

    def _filled(self, order_id: str, order: _Order, body: dict[str, Any]) -> OrderStatus:
        leg = str(body.get("LegId") or body.get("LegID") or order_id)
        left = _decimal(_first(body, "LeavesQuantity"))
        if body.get("LegStatus") == "LegClosed" or (left is not None and left == 0):
            order.closed.add(leg)
        whole = order.closed >= (order.legs or {order_id})
        return OrderStatus.FILLED if whole and order.closed else OrderStatus.PARTIALLY_FILLED

    def _order(self, order_id: str) -> _Order:
        order = self._orders.get(order_id)
        if order is None:
            order = _Order()
            _remember(self._orders, order_id, order)
        return order


def _remember(where: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    where[key] = value
    if len(where) > REMEMBERED:
        where.popitem(last=False)


def _data(raw: msgspec.Raw) -> Any:
    """Return the message's data: JSON within a text, or plain; None of prose and of nothing."""
    try:
        data = msgspec.json.decode(raw) if bytes(raw) else None
        return msgspec.json.decode(data) if isinstance(data, str) and data else data
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _found(body: Any, name: str, depth: int = 0) -> Iterator[Any]:
    """Yield every value of that name, the outermost first."""
    if depth > _MOST_DEPTH:
        return
    if isinstance(body, dict):
        if name in body:
            yield body[name]
        for value in body.values():
            yield from _found(value, name, depth + 1)
    elif isinstance(body, list):
        for value in body:
            yield from _found(value, name, depth + 1)


def _first(body: Any, name: str) -> Any:
    return next(_found(body, name), None)


def _leg_ids(body: dict[str, Any]) -> Iterator[str]:
    for legs in _found(body, "OrderLegs"):
        for leg in legs if isinstance(legs, list) else []:
            if isinstance(leg, dict) and leg.get("LegID"):
                yield str(leg["LegID"])


def _out(order: _Order, body: dict[str, Any]) -> OrderStatus:
    """Return why an order is out: a rejection and an expiry end so, too."""
    words = " ".join(str(value) for value in _found(body, "LegSubStatus"))
    words += str(_first(body, "OutCancelType"))
    if "Reject" in words:
        return OrderStatus.REJECTED
    if "Expire" in words:
        return OrderStatus.EXPIRED
    order.canceled = True
    return OrderStatus.REPLACED if order.replaced else OrderStatus.CANCELED


def _fills(body: dict[str, Any], time_ns: int) -> Iterator[Fill]:
    posting = _first(body, "OrderInfoForTransactionPosting")
    posting = posting if isinstance(posting, dict) else {}
    for info in _found(body, "ExecutionInfo"):
        if not isinstance(info, dict) or info.get("ExecutionTransType") != "Fill":
            continue
        quantity = _decimal(info.get("ExecutionQuantity"))
        price = _decimal(info.get("ExecutionPrice"))
        execution_id, symbol = info.get("ExecutionId"), posting.get("Symbol")
        if not quantity or price is None or not execution_id or not symbol:
            continue
        yield Fill(
            execution_id=str(execution_id),
            symbol=str(symbol),
            side=Side.BUY if str(posting.get("BuySellCode")).startswith("Buy") else Side.SELL,
            quantity=abs(quantity),
            price=price,
            time_ns=_time(info.get("ExecutionTimeStamp")) or time_ns,
            fees=_fees(info),
        )


def _fees(info: dict[str, Any]) -> Decimal:
    parts = info.get("ActualChargedFeesCommissionAndTax")
    if not isinstance(parts, dict):
        parts = {"commission": info.get("ActualChargedCommissionAmount")}
    return sum((_decimal(part) or Decimal(0) for part in parts.values()), Decimal(0))


def _cumulative(order_id: str, order: _Order, body: dict[str, Any]) -> Decimal | None:
    """Return what is filled; of several legs None, since each counts for itself."""
    leg = body.get("LegId") or body.get("LegID") or order_id
    if len(order.legs) > 1 or str(leg) not in (order.legs or {order_id}):
        return None
    return _decimal(_first(body, "CumulativeQuantity"))


def _decimal(wire: Any) -> Decimal | None:
    """Return the value of a .NET decimal: 96 bits in pieces, the scale doubled, odd if negative.

    A missing `lo` is 0, a missing `signScale` a whole number. None of what is no decimal.
    """
    if not isinstance(wire, dict):
        return None
    try:
        low, middle, high = (int(wire.get(name, 0)) for name in ("lo", "mid", "hi"))
        sign_scale = int(wire.get("signScale", 0))
    except (TypeError, ValueError, OverflowError):
        return None
    scale = sign_scale >> 1
    if min(low, middle, high) < 0 or not 0 <= scale <= 28 or max(low, middle, high) >= 2**64:
        return None
    digits = (high << 64) + (middle << 32) + low
    value = Decimal(digits).scaleb(-scale)
    return -value if sign_scale & 1 else value


def _event_time(body: dict[str, Any]) -> int:
    """Return when it happened: an execution's time, else the first time of day that is told."""
    for name in ("ExecutionTimeStamp", "CreatedTimeStamp"):
        found = _time(_first(body, name))
        if found:
            return found
    texts = (text for text in _found(body, "DateTimeString") if isinstance(text, str))
    return next((time for text in texts if ":" in text and (time := _ns(text))), 0)


def _time(stamp: Any) -> int:
    text = stamp.get("DateTimeString") if isinstance(stamp, dict) else None
    return _ns(text) if isinstance(text, str) else 0


def _ns(text: str) -> int:
    """Return nanoseconds UTC of a time as New York's clocks show it; 0 of what is none."""
    try:
        time = datetime.fromisoformat(text)
        aware = time if time.tzinfo else time.replace(tzinfo=NEW_YORK)
        since = aware - _EPOCH
    except (ValueError, OverflowError):
        return 0
    return max(0, since // timedelta(microseconds=1) * 1000)


def _reason(body: dict[str, Any], depth: int = 0) -> str:
    """Return the broker's words: the first text whose name speaks of a reason."""
    if depth > _MOST_DEPTH:
        return ""
    for name, value in body.items():
        if isinstance(value, str) and value and ("Reason" in name or name == "OutCancelType"):
            return value
    for value in body.values():
        nested = value if isinstance(value, list) else [value]
        for each in nested:
            if isinstance(each, dict) and (words := _reason(each, depth + 1)):
                return words
    return ""
