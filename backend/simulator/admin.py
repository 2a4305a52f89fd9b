"""What a test does to the simulator while it runs: faults, and the market's clock."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from models.errors import ConfigError
from simulator.clock import parse_start
from simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from simulator.clock import MovableClock
    from simulator.faults import Faults
    from utils.clock import Clock

HEADER = "X-Simulator-Admin"


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    now: str | None = None
    speed: float | None = None
    held: bool = False


class AdminRoutes:
    """`/simulator/faults` and `/simulator/clock`, for whoever knows the token of the ready line.

    Args:
        token: What the header `X-Simulator-Admin` must say.
        faults: What shall go wrong.
        clock: The market's.
        wall: The true time.
        moved: Called after the clock was moved.
    """

    def __init__(
        self,
        token: str,
        faults: Faults,
        clock: MovableClock,
        wall: Clock,
        moved: Callable[[], None],
    ) -> None:
        self._token = token
        self._faults = faults
        self._clock = clock
        self._wall = wall
        self._moved = moved

    def routes(self) -> list[Route]:
        """Return the routes, absolute."""
        return [
            Route("/simulator/faults", self._admitted(self.faults), methods=["GET"]),
            Route("/simulator/faults", self._admitted(self.arm), methods=["POST"]),
            Route("/simulator/faults", self._admitted(self.clear), methods=["DELETE"]),
            Route("/simulator/faults/{id:int}", self._admitted(self.clear), methods=["DELETE"]),
            Route("/simulator/clock", self._admitted(self.move), methods=["POST"]),
        ]

    async def faults(self, _request: Request) -> Any:
        """List the armed faults and how often each happened."""
        return self._faults.reports()

    async def arm(self, request: Request) -> Any:
        """Arm one fault."""
        return self._faults.arm(msgspec.json.decode(await request.body(), type=Fault))

    async def clear(self, request: Request) -> Any:
        """Disarm one fault, or all."""
        return {"cleared": self._faults.clear(request.path_params.get("id"))}

    async def move(self, request: Request) -> Any:
        """Move the market's clock on, set its speed, or hold it until somebody streams quotes."""
        wanted = msgspec.json.decode(await request.body(), type=_Clock)
        now = None if wanted.now is None else parse_start(wanted.now, self._wall())
        if wanted.held:
            self._clock.hold()
        self._clock.move(now, wanted.speed)
        self._moved()
        return {"now": self._clock(), "speed": self._clock.speed, "held": self._clock.held}

    def _admitted(
        self, operation: Callable[[Request], Awaitable[Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            given = request.headers.get(HEADER, "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return _json(403, {"error": f"The header {HEADER} must carry the admin token."})
            try:
                return _json(200, await operation(request))
            except (ConfigError, msgspec.MsgspecError) as error:
                return _json(400, {"error": str(error)})

        return answer


def _json(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
