"""Schwab's HTTP surface: tokens and market data, with tokens, limits, errors and headers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl

import anyio
import anyio.to_thread
import msgspec
from starlette.responses import Response
from starlette.routing import Route

from simulator.oauth import OAuthError
from simulator.wire_errors import (
    Refusal,
    not_found,
    server_error,
    too_many_requests,
    unauthorized,
)
from simulator.wire_headers import correlation_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler

    from simulator.oauth import TokenDesk
    from simulator.rate_limit import RateLimit
    from simulator.schwab_market_data import MarketData

Operation: TypeAlias = "Callable[[Mapping[str, str], Mapping[str, str]], bytes]"


class SchwabRoutes:
    """The routes of tokens and market data over one world; trading has its own.

    Args:
        market_data: The operations.
        desk: Whose tokens count.
        limit: Of calls an app.
        one_at_a_time: Admits one thread to the world; the event loop stays free.
    """

    def __init__(
        self,
        market_data: MarketData,
        desk: TokenDesk,
        limit: RateLimit,
        one_at_a_time: anyio.CapacityLimiter | None = None,
    ) -> None:
        self._market_data = market_data
        self._desk = desk
        self._limit = limit
        self._one_at_a_time = one_at_a_time or anyio.CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """Return all routes, absolute."""
        ask = self._market_data
        operations: dict[str, Operation] = {
            "/quotes": ask.quotes,
            "/chains": ask.chains,
            "/expirationchain": ask.expiration_chain,
            "/pricehistory": ask.price_history,
            "/movers/{symbol_id:path}": ask.movers,
            "/markets": ask.markets,
            "/markets/{market_id}": ask.market,
            "/instruments": ask.instruments,
            "/instruments/{cusip_id}": ask.instrument,
            "/{symbol_id:path}/quotes": ask.quote,
        }
        return [
            Route("/v1/oauth/token", self.token, methods=["POST"]),
            Route("/v1/oauth/{rest:path}", _nowhere, methods=["GET", "POST", "PUT", "DELETE"]),
            *(
                Route(f"/marketdata/v1{path}", partial(self.market_data, operation))
                for path, operation in operations.items()
            ),
            Route("/marketdata/v1/{rest:path}", partial(self.market_data, _unknown)),
        ]

    @staticmethod
    def failure_answers() -> dict[int | type[Exception], ExceptionHandler]:
        """Return answers in Schwab's form to unknown paths and methods, and to our own failures."""
        return {
            404: lambda _request, _error: _refused(not_found()),
            405: lambda _request, _error: _refused(not_found()),
            Exception: lambda _request, _error: _refused(server_error()),
        }

    async def token(self, request: Request) -> Response:
        """Trade a code or a refresh token for tokens."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            granted = self._desk.grant(request.headers.get("authorization", ""), form)
        except OAuthError as refused:
            return _json(refused.status, msgspec.json.encode(refused.body))
        return _json(200, msgspec.json.encode(granted))

    async def market_data(self, operation: Operation, request: Request) -> Response:
        """Check the token and the limit, then answer."""
        query = {
            name: ",".join(request.query_params.getlist(name)) for name in request.query_params
        }
        try:
            self._admit(request)
            body = await anyio.to_thread.run_sync(
                operation, request.path_params, query, limiter=self._one_at_a_time
            )
        except Refusal as refusal:
            return _refused(refusal)
        return _json(200, body)

    def _admit(self, request: Request) -> None:
        app_key = self._desk.app_key_of(request.headers.get("authorization", ""))
        if app_key is None:
            raise unauthorized()
        wait_s = self._limit.wait_for(app_key)
        if wait_s:
            raise too_many_requests(wait_s)


async def _nowhere(_request: Request) -> Response:
    """Answer for Schwab: another service of this port also has paths that begin with /v1."""
    return _refused(not_found())


def _unknown(_path: Mapping[str, str], _query: Mapping[str, str]) -> bytes:
    raise not_found()


def _refused(refusal: Refusal) -> Response:
    return _json(refusal.status, msgspec.json.encode(refusal.body), refusal.headers)


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, correlation_headers() | dict(headers or {}), "application/json")
