"""Query parameters of the Trader API: required ones, times, bounds; wrong ones are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from models.schwab_order_terms import MOST_ORDERS, ORDER_DAYS, TransactionType, WireStatus
from simulator import trader_facts as facts
from simulator.trader_errors import invalid_value, malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def moment(query: Mapping[str, str], name: str) -> datetime:
    """Return a required time, as 2024-03-29T00:00:00.000Z; milliseconds may be missing.

    Raises:
        Refusal: It is missing, or written otherwise.
    """
    value = query.get(name, "").replace(" ", "+")  # a plus sign that nobody encoded
    if not value:
        raise malformed(f"{name} is required")
    found = _TIME.fullmatch(value)
    parsed = None if found is None else _parsed(*found.groups())
    if parsed is None:
        raise malformed(facts.NOT_A_DATE.format(value=query[name], name=name))
    return parsed


def _parsed(whole: str, fraction: str | None, zone: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(f"{whole}{zone}").astimezone(UTC)
        return parsed + timedelta(microseconds=int(f"{fraction or 0:0<6}"[:6]))
    except (ValueError, OverflowError):
        return None


def span(query: Mapping[str, str], first: str, last: str) -> tuple[datetime, datetime]:
    """Return two required times with at most a year between them.

    Raises:
        Refusal: One is missing or wrong, they are in the wrong order, or too far apart.
    """
    begin, end = moment(query, first), moment(query, last)
    if begin > end:
        raise malformed(f"{first} must not be after {last}")
    if end - begin > timedelta(days=ORDER_DAYS, seconds=facts.WINDOW_SLACK_S):
        raise malformed(f"The time between {first} and {last} must not be over a year")
    return begin, end


def most(query: Mapping[str, str]) -> int:
    """Return how many orders are wanted at most.

    Raises:
        Refusal: It is no positive number.
    """
    value = query.get("maxResults") or str(MOST_ORDERS)
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) == 0:
        raise malformed(facts.NOT_A_DATE.format(value=value, name="maxResults"))
    return min(int(value), MOST_ORDERS)


def status(query: Mapping[str, str]) -> WireStatus | None:
    """Return the state that orders must have; None for any.

    Raises:
        Refusal: There is no such state.
    """
    value = query.get("status")
    if not value:
        return None
    try:
        return WireStatus(value)
    except ValueError:
        raise invalid_value(value[:60]) from None


def transaction_types(query: Mapping[str, str]) -> frozenset[TransactionType]:
    """Return the required kinds of transactions, which commas part.

    Raises:
        Refusal: None is given, or one that does not exist.
    """
    words = [word.strip() for word in query.get("types", "").split(",") if word.strip()]
    if not words:
        raise malformed("types is required")
    try:
        return frozenset(TransactionType(word) for word in words)
    except ValueError:
        unknown = next(word for word in words if word not in set(TransactionType))
        raise invalid_value(unknown[:60]) from None


def with_positions(query: Mapping[str, str]) -> bool:
    """Return whether `fields` asks for positions.

    Raises:
        Refusal: It asks for something else.
    """
    words = [word.strip() for word in query.get("fields", "").split(",") if word.strip()]
    for word in words:
        if word != "positions":
            raise invalid_value(word[:60])
    return bool(words)
