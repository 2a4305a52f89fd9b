"""The Trader API's HTTP surface: tokens, the product, limits of order requests, headers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.to_thread
import msgspec
from starlette.responses import Response
from starlette.routing import Route

from simulator import trader_facts as facts
from simulator.rate_limit import RateLimit
from simulator.trader_api import Call
from simulator.trader_errors import not_there
from simulator.wire_errors import Refusal, too_many_requests, unauthorized
from simulator.wire_headers import correlation_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from simulator.oauth import TokenDesk
    from simulator.trader_api import Reply, TraderApi

Operation: TypeAlias = "Callable[[Call], Reply]"

_PREFIX = "/trader/v1"
_DAY_S = 24 * 3600.0


class OrderLimits:
    """How many orders an account may place, replace and cancel, in wall time.

    Args:
        per_minute: In any 60 seconds, 0 to 120 as the app was registered; None for no limit.
        per_day: In any 24 hours.
        monotonic: The clock.
    """

    def __init__(
        self, per_minute: int | None, per_day: int, monotonic: Callable[[], float]
    ) -> None:
        self._per_minute = per_minute
        self._minute = RateLimit(per_minute or 0, monotonic)
        self._day = RateLimit(per_day, monotonic, _DAY_S)

    def wait_for(self, account_hash: str) -> float:
        """Count one request; return 0 where it may go on, else the seconds to wait."""
        if self._per_minute is None:
            return 0.0
        if self._per_minute == 0:
            return 60.0
        return self._minute.wait_for(account_hash) or self._day.wait_for(account_hash)


class TraderRoutes:
    """The routes of the Trader API.

    Args:
        api: The operations.
        desk: Whose tokens count.
        limits: Of order requests.
        one_at_a_time: Admits one thread to world and accounts; the event loop stays free.
        entitled: Whether the app has the trading product; without it every call is refused.
    """

    def __init__(
        self,
        api: TraderApi,
        desk: TokenDesk,
        limits: OrderLimits,
        one_at_a_time: anyio.CapacityLimiter,
        *,
        entitled: bool = True,
    ) -> None:
        self._api = api
        self._desk = desk
        self._limits = limits
        self._one_at_a_time = one_at_a_time
        self._entitled = entitled

    def routes(self) -> list[Route]:
        """Return all routes, absolute; anything else below the prefix is not found."""
        ask = self._api
        account = "/accounts/{account_hash}"
        order = f"{account}/orders/{{order_id}}"
        table: list[tuple[str, str, Operation]] = [
            ("GET", "/accounts/accountNumbers", ask.account_numbers),
            ("GET", "/accounts", ask.accounts),
            ("GET", "/accounts/", ask.accounts),
            ("GET", account, ask.account),
            ("GET", f"{account}/orders", ask.orders),
            ("POST", f"{account}/orders", ask.place),
            ("GET", order, ask.order),
            ("PUT", order, ask.replace),
            ("DELETE", order, ask.cancel),
            ("POST", f"{account}/previewOrder", ask.preview),
            ("GET", "/orders", ask.all_orders),
            ("GET", f"{account}/transactions", ask.transactions),
            ("GET", f"{account}/transactions/{{transaction_id}}", ask.transaction),
            ("GET", "/userPreference", ask.user_preference),
        ]
        limited = {ask.place, ask.replace, ask.cancel}
        return [
            *(
                Route(
                    f"{_PREFIX}{path}",
                    partial(self._answer, operation, operation in limited),
                    methods=[method],
                )
                for method, path, operation in table
            ),
            Route(
                f"{_PREFIX}/{{rest:path}}",
                partial(self._answer, _unknown, False),
                methods=["GET", "POST", "PUT", "DELETE"],
            ),
        ]

    async def _answer(self, operation: Operation, limited: bool, request: Request) -> Response:
        try:
            user = self._desk.user_of(request.headers.get("authorization", ""))
            if user is None or not self._entitled:
                raise unauthorized()
            if limited:
                wait_s = self._limits.wait_for(request.path_params["account_hash"])
                if wait_s:
                    raise too_many_requests(wait_s)
            query = {
                name: ",".join(request.query_params.getlist(name)) for name in request.query_params
            }
            call = Call(user, request.path_params, query, await request.body())
            reply = await anyio.to_thread.run_sync(operation, call, limiter=self._one_at_a_time)
        except Refusal as refusal:
            return _json(refusal.status, msgspec.json.encode(refusal.body), dict(refusal.headers))
        if not reply.body:
            where = {"Location": reply.location} if reply.location else {}
            return Response(b"", reply.status, correlation_headers() | where)
        return _json(reply.status, reply.body, {})


def _unknown(_call: Call) -> Reply:
    raise not_there(facts.UNKNOWN_PATH)


def _json(status: int, body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, status, correlation_headers() | headers, "application/json")
