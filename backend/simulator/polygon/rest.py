"""The routes of Polygon's REST API: keys, plans, limits, gzip, envelopes."""

from __future__ import annotations

import gzip
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.to_thread
import msgspec
from starlette.responses import Response
from starlette.routing import Route

from simulator.polygon import aggregates, facts, reference, snapshots, ticks
from simulator.polygon.plans import KEYS, Data, Plan
from simulator.polygon.replies import (
    Asked,
    PolygonRefusal,
    enveloped,
    not_entitled,
    not_found,
    request_id,
)
from simulator.polygon.tickers import Named, named
from simulator.rate_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request

    from simulator.world import World
    from utils.clock import Clock

Operation: TypeAlias = "Callable[[_Call], dict[str, Any] | list[dict[str, Any]]]"

_SMALL = 1000
"""Bytes below which a body is not compressed."""


class _Call:
    """One request with all that answers it.

    Attributes:
        world: Whose data.
        plan: Of the key.
        now: Market time.
        asked: Path and parameters.
        parts: Named parts of the path.
    """

    def __init__(
        self, world: World, plan: Plan, now: datetime, asked: Asked, parts: dict[str, Any]
    ) -> None:
        self.world = world
        self.plan = plan
        self.now = now
        self.asked = asked
        self.parts = parts

    def need(self, data: Data) -> None:
        """Refuse what the plan lacks."""
        if data not in self.plan.data:
            raise not_entitled()

    def named(self, part: str = "ticker") -> Named | None:
        """Return what a part of the path names."""
        return named(self.world, self.parts[part])

    def known(self, part: str = "ticker") -> Named:
        """Return what a part of the path names, or refuse it."""
        found = self.named(part)
        if found is None:
            raise not_found("Ticker not found.")
        return found


class PolygonRoutes:
    """The routes of Polygon's REST API over one world.

    Args:
        world: Whose data.
        clock: Market time.
        one_at_a_time: Shared with all who ask the world.
        monotonic: For the limits of plans.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        one_at_a_time: anyio.CapacityLimiter,
        monotonic: Callable[[], float],
    ) -> None:
        self._world = world
        self._clock = clock
        self._one_at_a_time = one_at_a_time
        self._limits = {
            key: RateLimit(plan.calls_a_minute, monotonic) for key, plan in KEYS.items()
        }

    def routes(self) -> list[Route]:
        """Return all routes, absolute."""
        span = "{multiplier:int}/{timespan}/{start}/{end}"
        operations: dict[str, Operation] = {
            "/v1/marketstatus/now": lambda call: reference.market_status(call.now),
            "/v1/marketstatus/upcoming": lambda call: reference.upcoming(call.now),
            f"/v2/aggs/ticker/{{ticker}}/range/{span}": _aggregates,
            "/v2/aggs/ticker/{ticker}/prev": _previous,
            "/v3/reference/options/contracts": lambda call: reference.contracts(
                call.world, call.plan, call.now, call.asked
            ),
            "/v3/reference/options/contracts/{ticker}": lambda call: reference.contract(
                call.world, call.now, call.asked, call.known()
            ),
            "/v3/reference/tickers": lambda call: reference.tickers(call.world, call.asked),
            "/v3/reference/tickers/{ticker}": lambda call: reference.ticker(
                call.world, call.named()
            ),
            "/v3/reference/dividends": lambda call: reference.dividends(
                call.world, call.plan, call.now, call.asked
            ),
            "/v3/reference/splits": lambda call: reference.splits(
                call.world, call.plan, call.now, call.asked
            ),
            "/v3/reference/exchanges": lambda _call: reference.exchanges(),
            "/v3/reference/conditions": lambda _call: reference.conditions(),
            "/v3/trades/{ticker}": partial(_ticks, Data.TRADES),
            "/v3/quotes/{ticker}": partial(_ticks, Data.QUOTES),
            "/v3/snapshot": _unified,
            "/v3/snapshot/options/{ticker}": _chain,
            "/v3/snapshot/options/{ticker}/{contract}": _contract,
            **{f"/v{n}/{{rest:path}}": _unknown for n in ("2", "3", "1", "X")},
        }
        return [
            Route(path, partial(self.answer, operation)) for path, operation in operations.items()
        ]

    async def answer(self, operation: Operation, request: Request) -> Response:
        """Check key and limit, then answer."""
        try:
            plan = self._admit(request)
            base = f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"
            asked = Asked.of(base, request.url.path, dict(request.query_params))
            call = _Call(self._world, plan, self._clock(), asked, dict(request.path_params))
            found = await anyio.to_thread.run_sync(operation, call, limiter=self._one_at_a_time)
        except PolygonRefusal as refusal:
            return _json(request, refusal.status, refusal.body)
        return _json(request, 200, found)

    def _admit(self, request: Request) -> Plan:
        """Return the plan of the key.

        Raises:
            PolygonRefusal: There is no key, nobody knows it, or its calls are used up.
        """
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        key = bearer if kind.lower() == "bearer" and bearer else request.query_params.get("apiKey")
        if not key:
            raise PolygonRefusal(401, "ERROR", error=facts.NO_KEY)
        if key not in KEYS:
            raise PolygonRefusal(401, "ERROR", error=facts.UNKNOWN_KEY)
        if self._limits[key].wait_for(key):
            raise PolygonRefusal(429, "ERROR", error=facts.TOO_MANY)
        return KEYS[key]


def _aggregates(call: _Call) -> dict[str, Any]:
    parts = call.parts
    span = parts["multiplier"], parts["timespan"], parts["start"], parts["end"]
    return aggregates.aggregates(
        call.world, call.plan, call.now, call.asked, call.named(), span=span
    )


def _previous(call: _Call) -> dict[str, Any]:
    return aggregates.previous(call.world, call.plan, call.now, call.asked, call.known())


def _ticks(data: Data, call: _Call) -> dict[str, Any]:
    call.need(data)
    found = call.named()
    if found is None:
        return enveloped({"results": []})
    read = ticks.trades if data is Data.TRADES else ticks.quotes
    return read(call.world, call.plan, call.now, call.asked, found)


def _chain(call: _Call) -> dict[str, Any]:
    call.need(Data.SNAPSHOTS)
    ticker = call.parts["ticker"]
    found = named(call.world, ticker) or named(call.world, f"I:{ticker}")
    if found is None:
        return enveloped({"results": []})
    return snapshots.chain(call.world, call.plan, call.now, call.asked, found)


def _contract(call: _Call) -> dict[str, Any]:
    call.need(Data.SNAPSHOTS)
    return snapshots.contract(call.world, call.plan, call.now, call.known("contract"))


def _unified(call: _Call) -> dict[str, Any]:
    call.need(Data.SNAPSHOTS)
    return snapshots.unified(call.world, call.plan, call.now, call.asked)


def _unknown(_call: _Call) -> dict[str, Any]:
    raise not_found("The requested resource was not found")


def _json(request: Request, status: int, body: Any) -> Response:
    content = msgspec.json.encode(body)
    headers = {"x-request-id": request_id(), "vary": "Accept-Encoding"}
    if len(content) >= _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 1)
        headers["content-encoding"] = "gzip"
    return Response(content, status, headers, "application/json")
