"""What Schwab's order list tells of orders of ours, as the house's updates. Pure."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from models.errors import OrderRejected, TradingError
from models.events import Fill, OrderUpdate
from models.order_terms import Mode, Side
from models.trading import Trade
from schwab_integration.parse_orders import Owner, fills_of, orders_within, status_of
from schwab_integration.trader_replies import ReportedOrder

_log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def updates_of(
    root: ReportedOrder, owners: Mapping[str, str], *, account_id: str, mode: Mode, now_ns: int
) -> list[OrderUpdate]:
    """Return what is told of those orders in a group that are ours.

    Args:
        root: The order as reported, with its children.
        owners: The broker's id -> client order id.
        account_id: Hash of the account.
        mode: Stamped on fills.
        now_ns: When it was asked: Schwab does not say when a state began.
    """
    updates = []
    for reported in orders_within(root):
        client_order_id = owners.get(str(reported.order_id))
        if client_order_id is None:
            continue
        owner = Owner(account_id, mode, lambda one: owners.get(str(one.order_id), ""))
        updates.append(
            OrderUpdate(
                order_id=str(reported.order_id),
                client_order_id=client_order_id,
                status=status_of(reported),
                time_ns=now_ns,
                filled_quantity=reported.filled_quantity,
                fills=_fills(reported, owner),
                reason=reported.status_description or "",
            )
        )
    return updates


def _fills(reported: ReportedOrder, owner: Owner) -> tuple[Fill, ...]:
    if not reported.order_activity_collection:
        return ()
    single = msgspec.structs.replace(reported, child_order_strategies=())
    try:
        return tuple(_fill(trade) for trade in fills_of(single, owner))
    except TradingError as error:
        _log.error("the fills of the order %s cannot be read: %s", reported.order_id, error)
        return ()


def _fill(trade: Trade) -> Fill:
    return Fill(
        execution_id=trade.execution_id,
        symbol=trade.symbol,
        side=Side.BUY if trade.signed_quantity > 0 else Side.SELL,
        quantity=abs(trade.signed_quantity),
        price=trade.price,
        time_ns=ns_of(trade.ts),
    )


def number(order_id: str) -> int:
    """Return a broker's id as Schwab wants it.

    Raises:
        OrderRejected: It is none.
    """
    if not (order_id.isascii() and order_id.isdigit() and len(order_id) <= 18):
        raise rejected(f"{order_id!r} is no order id of Schwab's")
    return int(order_id)


def rejected(message: str) -> OrderRejected:
    """Return a refusal in our own words."""
    return OrderRejected(message, reason=message)


def ns_of(moment: datetime) -> int:
    """Return an aware time in nanoseconds since 1970, UTC, exact to the microsecond."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def time_of(time_ns: int) -> datetime:
    """Return the aware time of nanoseconds since 1970, UTC."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)
