"""The server process: two loopback ports over one world, until a signal or the parent's end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from models.errors import ConfigError
from simulator import s3, s3_files, trader_facts
from simulator import schwab_facts as facts
from simulator.activity import ExchangeFeed
from simulator.admin import AdminRoutes
from simulator.clock import MovableClock, market_clock, parse_start
from simulator.connect_proxy import connect_listener
from simulator.exchange import TICK_S, Exchange
from simulator.fault_gate import FaultGate
from simulator.faults import Faults
from simulator.listening import HOST, PortServer, bound_ports, bound_proxy, config_of
from simulator.login_pages import LoginPages
from simulator.oauth import App, TokenDesk
from simulator.polygon.plans import DEMO_KEY
from simulator.polygon.rest import PolygonRoutes
from simulator.polygon.stream import PolygonStreams
from simulator.rate_limit import RateLimit
from simulator.recorded import SHIPPED
from simulator.recorded_files import RecordedFolder
from simulator.s3_content import Content
from simulator.schwab_market_data import MarketData
from simulator.schwab_routes import SchwabRoutes
from simulator.signals import end_of, stop_signals
from simulator.split_world import SplitWorld
from simulator.status import Status
from simulator.stream_tape import Tape
from simulator.streamer import Streamer, Surroundings
from simulator.tls import trust
from simulator.trader_api import TraderApi
from simulator.trader_routes import OrderLimits, TraderRoutes
from utils.clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from simulator.faults import Fault
    from simulator.tls import Trust
    from simulator.world import Split, World

STREAMER_PATH = "/ws"


@dataclass(frozen=True, slots=True)
class Options:
    """What a simulator is started with.

    Attributes:
        port: Of HTTP; 0 takes any free one.
        https_port: Of HTTPS; None means the next after `port`, or any free one where `port` is 0 or
            the last.
        clock: Market time at the start, as `simulator.clock.parse_start` reads it; None for the
            world's own choice.
        speed: Market seconds a wall second.
        held: The market stands until somebody streams quotes.
        seed: Of the generated world.
        splits: Tickers that are split, as `simulator.split_world.parse_split` reads them.
        data: Folder of recorded sessions; None for those that come with the product.
        world: generated or recorded.
        requests_per_minute: Limit of market-data calls an app; 0 for none.
        rotate_refresh_tokens: Whether each refresh gives a new refresh token.
        callbacks: Registered for the demo app beside its own; the first is the one that is told.
        auto_approve: Whether a sign-in is approved without showing the pages.
        faults: What goes wrong from the start.
        fault_seed: Of the faults that have a rate.
        orders_per_minute: Order requests an account, 0 to 120 as registered; None for no limit.
        trader_product: Whether the app may use the Trader API.
        proxy_port: Of the CONNECT listener, 0 for any free one; None for no listener.
        parent_pid: End when this process is gone; None to stay.
    """

    port: int = 8700
    https_port: int | None = None
    clock: str | None = None
    speed: float = 1.0
    held: bool = False
    seed: int = 7
    splits: tuple[tuple[str, Split], ...] = ()
    data: Path | None = None
    world: str = "generated"
    requests_per_minute: int = facts.REQUESTS_PER_MINUTE
    rotate_refresh_tokens: bool = False
    callbacks: tuple[str, ...] = ()
    auto_approve: bool = False
    faults: tuple[Fault, ...] = ()
    fault_seed: int = 0
    orders_per_minute: int | None = trader_facts.ORDER_REQUESTS_PER_MINUTE
    trader_product: bool = True
    proxy_port: int | None = None
    parent_pid: int | None = None


class Simulator:
    """A market, its clock and the tokens of one process, behind two listening sockets.

    Raises:
        ConfigError: An option is wrong, a port is taken or the state folder cannot be written.
        DataError: A data file cannot be read.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        wall = wall_clock()
        start = None if options.clock is None else parse_start(options.clock, wall)
        self.app = App(callbacks=(*options.callbacks, *App().callbacks))
        self.admin_token = secrets.token_urlsafe(24)
        self.desk = TokenDesk(self.app, wall_clock, rotate=options.rotate_refresh_tokens)
        self.world = open_world(options)
        self.clock = MovableClock(
            market_clock(start or self.world.default_start(wall), options.speed), held=options.held
        )
        self.faults = Faults(options.fault_seed)
        for fault in options.faults:
            self.faults.arm(fault)
        self.one_at_a_time = anyio.CapacityLimiter(1)  # threads that ask the world
        self.exchange = Exchange(self.world, self.clock, self.desk.users, seed=options.seed)
        self.streamer = Streamer(Tape(self.world), self._surroundings(), self.faults)
        self.trust = _trust()
        # Last: whatever fails before leaves no port open.
        self._sockets = bound_ports(options.port, options.https_port)
        self._proxy = bound_proxy(options.proxy_port, self._sockets)
        http, https = (held.getsockname()[1] for held in self._sockets)
        self.http = f"http://{HOST}:{http}"
        self.https = f"https://{HOST}:{https}"

    def status(self) -> Status:
        """Return the status as it is now."""
        return Status(
            http=self.http,
            https=self.https,
            schwab=self.http,
            world=self.world.name,
            origin=self.world.origin,
            now=self.clock().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            speed=self.clock.speed,
            held=self.clock.held,
            seed=self.options.seed,
            ca_file=str(self.trust.ca),
            ca_bundle=str(self.trust.bundle),
            app_key=self.app.key,
            app_secret=self.app.secret,
            callback_url=self.app.callbacks[0],
            user=self.desk.users[0].login,
            password=self.desk.users[0].password,
            streamer=f"{self.http.replace('http', 'ws', 1)}{STREAMER_PATH}",
            admin_token=self.admin_token,
            proxy=f"http://{HOST}:{self._proxy.getsockname()[1]}" if self._proxy else "",
            polygon=self.http,
            polygon_key=DEMO_KEY,
            s3=self.http,
            s3_bucket=s3.BUCKET,
            s3_access_key=s3_files.DEMO_KEY,
            s3_secret_key=s3_files.PLANS[s3_files.DEMO_KEY].secret,
        )

    def application(self) -> ASGIApp:
        """Return the web application, the same on both ports."""
        limit = RateLimit(self.options.requests_per_minute, time.monotonic)
        schwab = SchwabRoutes(
            MarketData(self.world, self.clock), self.desk, limit, self.one_at_a_time
        )
        pages = LoginPages(
            self.desk,
            wall_clock,
            admin_token=self.admin_token,
            auto_approve=self.options.auto_approve,
        )
        admin = AdminRoutes(
            self.admin_token, self.faults, self.clock, wall_clock, self.streamer.wake
        )
        routes = [
            Route("/simulator/status", self._show_status),
            *admin.routes(),
            *pages.routes(),
            *schwab.routes(),
            *self._trader().routes(),
            *self.streamer.routes(),
            *self._polygon().routes(),
            *self._polygon_streams().routes(),
            *self._flat_files().routes(),
        ]
        application = Starlette(routes=routes, exception_handlers=SchwabRoutes.failure_answers())
        return FaultGate(application, self.faults, self._revoke, wall=wall_clock, market=self.clock)

    def _flat_files(self) -> s3.S3Routes:
        recorded = None
        if self.world.name == "recorded":
            recorded = RecordedFolder(self.options.data or SHIPPED)
        content = Content(self.world, self.options.seed, recorded)
        bucket = s3_files.Bucket(content, self.clock, self.options.seed, self.faults)
        return s3.S3Routes(bucket, wall_clock)

    def _trader(self) -> TraderRoutes:
        streamer = f"{self.http.replace('http', 'ws', 1)}{STREAMER_PATH}"
        limits = OrderLimits(
            self.options.orders_per_minute, trader_facts.ORDER_REQUESTS_PER_DAY, time.monotonic
        )
        return TraderRoutes(
            TraderApi(self.exchange, streamer),
            self.desk,
            limits,
            self.one_at_a_time,
            entitled=self.options.trader_product,
        )

    def _polygon(self) -> PolygonRoutes:
        return PolygonRoutes(self.world, self.clock, self.one_at_a_time, time.monotonic)

    def _polygon_streams(self) -> PolygonStreams:
        return PolygonStreams(self.world, self.clock, self.faults, self.one_at_a_time)

    async def _watch_market(self) -> None:
        """Move the accounts on though nobody asks."""
        while True:
            await asyncio.sleep(TICK_S)
            await anyio.to_thread.run_sync(self.exchange.advance, limiter=self.one_at_a_time)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Event]:
        """Serve while the block runs; the event it gets is set by SIGTERM and SIGINT.

        It is set, too, when the streamer or the market's clock fails, which is raised at the end.
        """
        application = self.application()
        plain, secure = self._sockets
        servers = [
            (PortServer(config_of(application)), plain),
            (PortServer(config_of(application, self.trust)), secure),
        ]
        serving = [asyncio.create_task(server.serve([held])) for server, held in servers]
        background = [
            asyncio.create_task(self.streamer.run()),
            asyncio.create_task(self._watch_market()),
        ]
        for server, _ in servers:
            await server.ready.wait()
        try:
            with stop_signals() as stopped:
                for task in background:
                    task.add_done_callback(lambda _: stopped.set())
                async with self._tunnels():
                    yield stopped
        finally:
            for task in background:
                task.cancel()
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*serving)
            ended = await asyncio.gather(*background, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):  # a market that stands still must not look alive
                raise error

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            clock=self.clock,
            listened=self.clock.release,
            monotonic=time.monotonic,
            user_of=lambda token: self.desk.user_of(f"Bearer {token}"),
            activity_of=lambda user: ExchangeFeed(self.exchange, user.login),
            one_at_a_time=self.one_at_a_time,
        )

    def _revoke(self, authorization: str) -> None:
        """End all tokens of whoever calls."""
        user = self.desk.user_of(authorization)
        if user is not None:
            self.desk.revoke(user.login)

    def _tunnels(self) -> contextlib.AbstractAsyncContextManager[None]:
        if self._proxy is None:
            return contextlib.nullcontext()
        return connect_listener(self._proxy, self._sockets[1].getsockname()[1])

    async def _show_status(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(asdict(self.status())), media_type="application/json")


async def serve(options: Options, announce: Callable[[Status], None]) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end.

    Args:
        options: What to serve.
        announce: Called once, when both ports answer.

    Raises:
        ConfigError: An option is wrong, a port is taken or the state folder cannot be written.
        DataError: A data file cannot be read.
    """
    simulator = Simulator(options)
    async with simulator.running() as stopped:
        announce(simulator.status())
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(stopped.wait())]
        if options.parent_pid is not None:
            waits.append(asyncio.create_task(end_of(options.parent_pid)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def open_world(options: Options) -> World:
    """Return the world that the options name.

    Raises:
        ConfigError: There is none of that name, or its folder is not one of market data.
        DataError: A data file cannot be read.
    """
    if options.world == "recorded":
        if options.splits:
            raise ConfigError(
                "--split belongs to the generated world: leave --data and --world out"
            )
        from simulator.recorded import SHIPPED, RecordedWorld  # noqa: PLC0415 - one of the two

        return RecordedWorld(options.data or SHIPPED)
    from simulator.generated import GeneratedWorld  # noqa: PLC0415 - one of the two

    world = GeneratedWorld(options.seed)
    return SplitWorld(world, options.splits) if options.splits else world


def _trust() -> Trust:
    try:
        return trust(wall_clock)
    except OSError as error:
        raise ConfigError(
            f"The folder for the simulator's certificates cannot be used ({error}): "
            "set OPTIONS_HOME to a folder of yours."
        ) from None
