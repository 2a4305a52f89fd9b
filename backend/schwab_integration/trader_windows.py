"""Windows of time: as the Trader API wants them, and in as many pieces as it takes to lose nothing.

A reply holds so many entries and a request spans so many days. A longer window is asked for in
pieces, and a piece that comes back as full as a reply can be is halved.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from models.errors import DataError, ProviderError
from models.schwab_order_terms import MOST_ORDERS, ORDER_DAYS, WireStatus
from schwab_integration.config import PROVIDER
from schwab_integration.trader_replies import ReportedOrder

_SHORTEST: Final = timedelta(seconds=1)
"""Entered times have no parts of a second: a window as short as this cannot be halved."""

T = TypeVar("T")


def wire_time(time: datetime, *, up: bool = False) -> str:
    """Return a time as the API wants it, `2024-03-29T00:00:00.000Z`.

    Args:
        time: Aware.
        up: Round parts of a millisecond up instead of down.
    """
    rounded = time.astimezone(UTC) + timedelta(microseconds=999 if up else 0)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(
    ask: Callable[[datetime, datetime], list[T]],
    start: datetime,
    end: datetime,
    wanted: int | None,
    *,
    most: int = MOST_ORDERS,
) -> list[T]:
    """Return what all pieces of a window hold.

    Args:
        ask: (start, end) of at most a year -> the entries between them.
        start: Aware.
        end: Aware.
        wanted: How many entries `ask` wants at most: a full reply is then no cut one.
        most: How many entries one reply can hold.

    Raises:
        DataError: The times are naive or the wrong way round.
        ProviderError: One second holds more than a reply can.
    """
    check_window(start, end)
    longest = timedelta(days=ORDER_DAYS)
    found: list[T] = []
    pieces = []
    while end - start > longest:
        pieces.append((start, start + longest))
        start += longest
    pieces.append((start, end))
    while pieces:
        first, last = pieces.pop(0)
        reply = ask(first, last)
        if wanted is not None or len(reply) < most:
            found += reply
        elif last - first <= _SHORTEST:
            message = f"schwab has more than {most} entries in the second of {wire_time(first)}"
            raise ProviderError(message, provider=PROVIDER)
        else:
            middle = first + (last - first) / 2
            pieces[:0] = [(first, middle), (middle, last)]
    return found


def check_window(start: datetime, end: datetime) -> None:
    """Refuse a window that cannot be asked for.

    Raises:
        DataError: Its times are naive or the wrong way round.
    """
    if start.tzinfo is None or end.tzinfo is None:
        message = "times of orders and transactions need a time zone: give aware datetimes"
        raise DataError(message)
    if start > end:
        message = f"the window ends before it starts: {start.isoformat()} to {end.isoformat()}"
        raise DataError(message)


def oldest_first(orders: list[ReportedOrder]) -> list[ReportedOrder]:
    """Return orders oldest first, each once: pieces of a window share their edge."""
    once = {
        (order.order_id, n if order.order_id is None else 0): order
        for n, order in enumerate(orders)
    }
    return sorted(once.values(), key=lambda order: (order.entered_time or "", order.order_id or 0))


def order_params(
    start: datetime, end: datetime, most: int, status: WireStatus | str | None
) -> dict[str, str]:
    """Return the query of an order list.

    Raises:
        DataError: Schwab knows no such state, or no order is wanted.
    """
    if status is not None and status not in WireStatus.__members__:
        message = f"{status!r} is no state of an order: {', '.join(WireStatus)}"
        raise DataError(message)
    if most < 1:
        message = f"the number of orders wanted is 1 or more, not {most}"
        raise DataError(message)
    params = {
        "fromEnteredTime": wire_time(start),
        "toEnteredTime": wire_time(end, up=True),
        "maxResults": str(most),
    }
    return params | ({"status": str(status)} if status else {})
