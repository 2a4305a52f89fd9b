"""Replies that look well and are wrong: too old, without rows, with gaps, twice, other prices, other names.

They are made from the true reply, Schwab's or Polygon's, so that whatever else it says stays true.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from simulator.faults import FaultKind
from utils.market_calendar import NEW_YORK, previous_session, session_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Message, Scope, Send

    from simulator.faults import Fault

BODY_FAULTS: Final = (
    FaultKind.EMPTY,
    FaultKind.DUPLICATE,
    FaultKind.GAP,
    FaultKind.DISAGREE,
    FaultKind.RENAMED,
)
"""Kinds that change the rows of a reply."""

TARGETS: Final = ("schwab.market_data", "polygon.rest")
"""Whose replies they change."""

_ROWS = ("results", "candles", "expirationList", "screeners", "instruments")
_MAPS = ("callExpDateMap", "putExpDateMap")
_COUNTS = ("resultsCount", "queryCount", "count")
_CONTRACTS = "numberOfContracts"

LOST_ONE_IN: Final = 5
"""Every fifth row is missing from a reply or file with gaps."""

_PRICE = re.compile(
    r"o|h|l|c|vw|price|value|fmv|midpoint|vwap|mark|last|op|a|p|bp|ap|val|"
    r"(bid|ask|last|open|high|low|close)(Price|_price)?|regularMarketLastPrice|underlyingPrice|"
    r"previousClose|previous_close"
)
"""Names of prices on either wire, streams included."""

_NEW_NAME = "{}_v2"
_RANGE = re.compile(r"(?P<head>.*/range/[^/]+/[^/]+/)(?P<start>[^/]+)/(?P<end>[^/]+)")
_EDGES = re.compile(r"startDate|endDate|timestamp(\.[a-z]+)?")
_DAY_S = 86_400


def spoilt_send(send: Send, fault: Fault) -> Send:
    """Return `send` that changes the rows of a good reply as a fault says."""
    parts: list[bytes] = []
    head: list[Message] = []

    async def spoilt(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
            return
        parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        start, body = head[0], b"".join(parts)
        if start["status"] == 200:
            body = spoilt_body(body, fault)
        kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        start["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return spoilt


def spoilt_body(body: bytes, fault: Fault) -> bytes:
    """Return a reply's JSON with rows gone, twice, at other prices or under other names."""
    return msgspec.json.encode(spoilt(msgspec.json.decode(body), fault))


def spoilt(reply: Any, fault: Fault) -> Any:
    """Return a decoded reply, or rows of a stream, changed as `spoilt_body` does."""
    match fault.fault:
        case FaultKind.EMPTY:
            return _without_rows(reply)
        case FaultKind.DUPLICATE:
            return _with_rows(reply, _twice)
        case FaultKind.GAP:
            return _with_rows(reply, _with_gaps)
        case FaultKind.RENAMED:
            return _with_prices(reply, lambda name, price: (_NEW_NAME.format(name), price))
        case _:
            factor = 1 + fault.by
            return _with_prices(reply, lambda name, price: (name, round(price * factor, 6)))


def days_back(scope: Scope, now: datetime) -> timedelta:
    """Return how long before the session that a request asks for the one before it was.

    Args:
        scope: The request.
        now: Market time.
    """
    today = now.astimezone(NEW_YORK).date()
    _, edges = _asked(scope)
    days = [day for day in map(_day, edges) if day is not None]
    session = session_until(min([today, *days[-1:]])).day
    return session - previous_session(session).day


def earlier(scope: Scope, by: timedelta) -> Scope:
    """Return a request with the range that it asks for moved back; later pages stay as they are."""
    (path, query), _ = _asked(scope, by.days)
    coded = urlencode(query, quote_via=quote).encode()
    return {**scope, "path": path, "raw_path": quote(path).encode(), "query_string": coded}


def plain(scope: Scope) -> Scope:
    """Return a request that is not answered compressed."""
    kept = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    return {**scope, "headers": kept}


def _asked(scope: Scope, days: int = 0) -> tuple[tuple[str, list[tuple[str, str]]], list[str]]:
    """Return path and query with their range moved back by days, and the range's edges as asked."""
    path = scope["path"]
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if "cursor" in dict(query):
        return (path, query), []
    edges = []
    found = _RANGE.fullmatch(path)
    if found:
        edges += [found["start"], found["end"]]
        path = "/".join([found["head"].rstrip("/"), *(_moved(edge, days) for edge in edges)])
    moved = []
    for name, text in sorted(
        query, key=lambda pair: pair[0].startswith(("endDate", "timestamp.l"))
    ):
        if _EDGES.fullmatch(name):
            edges.append(text)
        moved.append((name, _moved(text, days) if _EDGES.fullmatch(name) else text))
    return (path, moved), edges


def _moved(edge: str, days: int) -> str:
    """Move a day, or milli- or nanoseconds, back; whatever else it is stays."""
    if edge.isdigit():
        return str(int(edge) - days * _DAY_S * _units(edge))
    day = _day(edge)
    return edge if day is None else (day - timedelta(days=days)).isoformat()


def _day(edge: str) -> date | None:
    try:
        if edge.isdigit():
            at = datetime.fromtimestamp(int(edge) / _units(edge) - 1, UTC)
            return at.astimezone(NEW_YORK).date()
        return date.fromisoformat(edge)
    except (ValueError, OverflowError, OSError):
        return None


def _units(stamp: str) -> int:
    """Return how many units of a timestamp a second has: it is in nano- or in milliseconds."""
    return 1_000_000_000 if len(stamp) > 16 else 1000


def _without_rows(reply: Any) -> Any:
    changed = _with_rows(reply, lambda _rows: [])
    if not isinstance(reply, dict):
        return changed
    if not any(name in reply for name in (*_ROWS, *_MAPS)):  # quotes by symbol, hours by market
        return {} if all(isinstance(value, dict) for value in reply.values()) else reply
    changed |= {name: {} for name in _MAPS if name in reply}
    changed.pop("next_url", None)
    if changed.get("results") == [] and "resultsCount" in reply:
        del changed["results"]  # as aggregates are without rows
    return changed | ({"empty": True} if "empty" in reply else {})


def _with_rows(reply: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    """Return a reply with other rows; of a chain's maps each strike is a row."""
    if isinstance(reply, list):
        return change(reply)
    if not isinstance(reply, dict):
        return reply
    changed = dict(reply)
    for name in _ROWS:
        if isinstance(reply.get(name), list):
            changed[name] = change(reply[name])
            changed |= {count: len(changed[name]) for count in _COUNTS if count in reply}
    contracts = 0
    for name in _MAPS:
        if name in reply:
            changed[name] = {day: _strikes(rows, change) for day, rows in reply[name].items()}
            contracts += sum(len(rows) for day in changed[name].values() for rows in day.values())
    return changed | ({_CONTRACTS: contracts} if _CONTRACTS in reply else {})


def _strikes(
    strikes: dict[str, list[Any]], change: Callable[[list[Any]], list[Any]]
) -> dict[str, list[Any]]:
    changed: dict[str, list[Any]] = {}
    for strike, contracts in change(list(strikes.items())):
        changed.setdefault(strike, []).extend(contracts)
    return changed


def _twice(rows: Iterable[Any]) -> list[Any]:
    return [row for row in rows for _ in range(2)]


def _with_gaps(rows: Iterable[Any]) -> list[Any]:
    return [row for number, row in enumerate(rows, 1) if number % LOST_ONE_IN]


def _with_prices(node: Any, change: Callable[[str, float], tuple[str, float]]) -> Any:
    """Return a document in which every price is changed, at any depth."""
    if isinstance(node, list):
        return [_with_prices(each, change) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {}
    for name, value in node.items():
        if (
            _PRICE.fullmatch(name)
            and isinstance(value, int | float)
            and not isinstance(value, bool)
        ):
            new_name, price = change(name, value)
            changed[new_name] = price
        else:
            changed[name] = _with_prices(value, change)
    return changed
