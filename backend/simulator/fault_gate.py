"""Where HTTP requests meet the armed faults: a layer below the routes, above the socket."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from simulator import data_faults
from simulator.clock import behind
from simulator.fault_replies import refused_as
from simulator.faults import FaultKind
from simulator.transports import reset, transport_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from simulator.faults import Fault, Faults
    from utils.clock import Clock

_ORDERS = r"/trader/v1/accounts/[^/]+/orders"
_TARGETS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (method, re.compile(path), target)
    for method, path, target in (
        ("", r"/v1/oauth/(?P<last>authorize|token)\b.*", "schwab.oauth"),
        ("", r"/v1/oauth/.*", "schwab.oauth.authorize"),
        ("", r"/marketdata/v1/(?P<last>chains|expirationchain|pricehistory)", "schwab.market_data"),
        (
            "",
            r"/marketdata/v1/(?P<last>movers|markets|instruments|quotes)\b.*",
            "schwab.market_data",
        ),
        ("", r"/marketdata/v1/.+/(?P<last>quotes)", "schwab.market_data"),
        ("", r"/marketdata/v1/.*", "schwab.market_data"),
        ("POST", _ORDERS, "schwab.trader.place"),
        ("PUT", rf"{_ORDERS}/.*", "schwab.trader.replace"),
        ("DELETE", rf"{_ORDERS}/.*", "schwab.trader.cancel"),
        ("GET", rf"{_ORDERS}/.*", "schwab.trader.order"),
        ("GET", rf"{_ORDERS}|/trader/v1/orders", "schwab.trader.orders"),
        ("POST", r"/trader/v1/accounts/[^/]+/previewOrder", "schwab.trader.preview"),
        ("GET", r"/trader/v1/accounts/[^/]+/transactions.*", "schwab.trader.transactions"),
        ("GET", r"/trader/v1/userPreference", "schwab.trader.user_preference"),
        ("GET", r"/trader/v1/accounts.*", "schwab.trader.accounts"),
        ("", r"/trader/.*", "schwab.trader"),
        ("", r"/v2/(?P<last>aggs)/.*", "polygon.rest"),
        ("", r"/v3/reference/options/(?P<last>contracts)\b.*", "polygon.rest"),
        ("", r"/v3/(?P<last>trades|quotes|snapshot|reference)\b.*", "polygon.rest"),
        ("", r"/v1/(?P<last>marketstatus)/.*", "polygon.rest"),
        ("", r"/v[1-3X]/.*", "polygon.rest"),
        ("", r"/flatfiles/?", "s3.list"),
        ("HEAD", r"/flatfiles/.+", "s3.head"),
        ("GET", r"/flatfiles/.+", "s3.get"),
    )
)


def target_of(method: str, path: str) -> str | None:
    """Return the name by which faults know a request; None where none can reach it."""
    for wanted, pattern, target in _TARGETS:
        found = pattern.fullmatch(path) if wanted in {"", method} else None
        if found:
            last = found.groupdict().get("last")
            return f"{target}.{last}" if last else target
    return None


class FaultGate:
    """An ASGI application around another one, in which the armed faults happen.

    Every reply gets its `Date` here, so that a skewed clock can be shown: the server must send none.

    Args:
        application: Whose requests these are.
        faults: What shall go wrong.
        revoke: Ends all tokens of whoever calls, by the header Authorization.
        wall: The true time.
        market: The market's.
    """

    def __init__(
        self,
        application: ASGIApp,
        faults: Faults,
        revoke: Callable[[str], None],
        *,
        wall: Clock,
        market: Clock,
    ) -> None:
        self._application = application
        self._faults = faults
        self._revoke = revoke
        self._wall = wall
        self._market = market

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a WebSocket meets its faults in the streamer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        target = target_of(scope["method"], scope["path"])
        if target is None:
            await self._application(scope, receive, _dated(send, self._wall().timestamp()))
            return
        query = unquote_plus(scope["query_string"].decode("latin-1"))
        known = {"method": scope["method"], "path": scope["path"], "query": query}
        await self._faulty(target, known, (scope, receive, send))

    async def _faulty(
        self, target: str, known: dict[str, str], call: tuple[Scope, Receive, Send]
    ) -> None:
        scope, receive, send = call

        def take(kind: FaultKind) -> Fault | None:
            return self._faults.take(target, (kind,), **known)

        skewed = take(FaultKind.CLOCK_SKEW)
        send = _dated(send, self._wall().timestamp() + (skewed.skew_s if skewed else 0.0))
        if slow := take(FaultKind.LATENCY):
            await asyncio.sleep(slow.delay_s or 0.0)
        if take(FaultKind.REVOKE_TOKEN):
            self._revoke(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
        if take(FaultKind.RESET):
            await _end(scope, receive)
        elif refused := take(FaultKind.STATUS):
            await _refuse(refused, target, send)
        elif take(FaultKind.LOST_REPLY):
            await self._application(scope, receive, _unsent)
            await _end(scope, receive)
        elif take(FaultKind.HALF_BODY):
            await self._application(scope, receive, _halved(send))
            transport_of(scope).close()
            await _until_closed(receive)
        elif target.startswith(data_faults.TARGETS):
            await self._perhaps_wrong(target, known, (scope, receive, send))
        else:
            await self._application(scope, receive, send)

    async def _perhaps_wrong(
        self, target: str, known: dict[str, str], call: tuple[Scope, Receive, Send]
    ) -> None:
        """Answer with data that may be wrong."""
        scope, receive, send = call
        late = timedelta()
        if self._faults.take(target, (FaultKind.STALE,), **known):
            late = data_faults.days_back(scope, self._market())
            scope = data_faults.earlier(scope, late)
        if fault := self._faults.take(target, data_faults.BODY_FAULTS, **known):
            scope, send = data_faults.plain(scope), data_faults.spoilt_send(send, fault)
        with behind(late):
            await self._application(scope, receive, send)


def _dated(send: Send, seconds: float) -> Send:
    """Return `send` with the header Date of a time, in seconds since 1970."""

    async def dated(message: Message) -> None:
        if message["type"] == "http.response.start":
            date = formatdate(seconds, usegmt=True).encode()
            message["headers"] = [*message.get("headers", ()), (b"date", date)]
        await send(message)

    return dated


def _halved(send: Send) -> Send:
    """Return `send` that promises the whole body and sends its first half."""
    parts: list[bytes] = []
    head: list[Message] = []

    async def halved(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
            return
        parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = b"".join(parts)
        start = head[0]
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        promised = str(max(len(body), 1)).encode()  # of an empty body not even its one byte comes
        start["headers"] = [*headers, (b"content-length", promised)]
        await send(start)
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )

    return halved


async def _unsent(_message: Message) -> None:
    """Take a reply that never leaves."""


async def _end(scope: Scope, receive: Receive) -> None:
    reset(transport_of(scope))
    await _until_closed(receive)


async def _until_closed(receive: Receive) -> None:
    """Wait until the server knows that the connection is gone: then it misses no reply."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(fault: Fault, target: str, send: Send) -> None:
    body, kind = refused_as(fault.status, target)
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", f"{fault.retry_after_s:g}".encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
