"""Polygon for the commands that are its own: a real one, a running simulator, or one of ours."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.request import Asked
from app.simulated_market import (
    UNLIMITED,
    SimulatorOptions,
    running_simulator,
    simulator_status,
)
from app.wiring import REAL_HOSTS, SimulatorSettings, all_recorded, own_clock, simulator_at
from models.errors import ConfigError
from polygon_integration.client import PolygonClient
from polygon_integration.config import PROVIDER, PolygonSettings
from polygon_integration.market_data import PolygonMarketData
from simulator.clock import market_clock
from utils.clock import Clock, wall_clock
from utils.market_calendar import NEW_YORK, last_session, session_until
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from app.simulated_market import SimulatorStatus

_STREAMS = ("stream_url", "business_url")

_BEFORE_CLOSE = timedelta(hours=1)
"""A simulator of our own begins so long before the last close where a session is to be followed and
none is open."""


@dataclass(frozen=True, slots=True)
class PolygonPlace:
    """Polygon, ready to be asked.

    Attributes:
        client: REST.
        market: The same as the product's market data.
        settings: Address and key, for streams too.
        clock: The market's time.
        origin: live, simulator or recorded.
        described: For people.
        note: What a person should know of the choice, or None.
    """

    client: PolygonClient
    market: PolygonMarketData
    settings: PolygonSettings
    clock: Clock
    origin: str
    described: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """How a simulator of our own is to be.

    Attributes:
        ticker: Whose market: recorded where it ships for the day.
        day: Session that it is about; None for the last one.
        clock: Its market time, which stands still; None leaves it to us.
        seed: Of its generated world; None for the default.
        moving: Whether its session is to go on.
    """

    ticker: str
    day: date | None
    clock: datetime | None
    seed: int | None
    moving: bool = False


@contextmanager
def open_polygon(simulated: Simulated, wall: Clock = wall_clock) -> Iterator[PolygonPlace]:
    """Open Polygon where its key is set, else the simulator that SIMULATOR_URL names, else ours.

    Raises:
        ConfigError: A setting is wrong.
        ProviderError: It cannot be reached.
    """
    settings = load(PolygonSettings)
    url = load(SimulatorSettings).simulator_url
    has_key = bool(settings.api_key.get_secret_value())
    if (has_key or url) and (simulated.clock or simulated.seed is not None):
        raise ConfigError(
            "--clock and --seed belong to a simulator of our own: unset POLYGON_API_KEY and "
            "SIMULATOR_URL for it"
        )
    with ExitStack() as stack:
        note = None
        status: SimulatorStatus | None
        if has_key:
            real = settings.base_url in REAL_HOSTS
            status = None if real else simulator_at(settings.base_url, settings.ca_file)
            described = f"polygon at {settings.base_url}"
            if status:
                settings = settings.model_copy(update=_stream_urls(settings))
        else:
            if url:
                status, described = simulator_status(url), f"simulator at {url}"
            else:
                options = _options(simulated, wall())
                status = stack.enter_context(running_simulator(options))
                described, note = "simulator", "POLYGON_API_KEY is not set: using the simulator"
            settings = simulator_settings(status)
            described += f" as {PROVIDER}, {status.world} world"
        origin = status.origin if status else "live"
        clock = market_clock(status.now, status.speed, wall) if status else wall
        client = PolygonClient(settings)
        market = PolygonMarketData(client, origin=origin, extended_hours=True)
        stack.callback(market.close)
        yield PolygonPlace(client, market, settings, clock, origin, described, note)


def simulator_settings(status: SimulatorStatus) -> PolygonSettings:
    """Return the settings that reach a simulator's Polygon."""
    settings = PolygonSettings(
        _env_file=None,  # type: ignore[call-arg] # pydantic-settings' own argument
        api_key=SecretStr(status.polygon_key),
        base_url=status.polygon,
        requests_per_minute=UNLIMITED,
        ca_file=None,
        s3_access_key=SecretStr(status.s3_access_key),
        s3_secret_key=SecretStr(status.s3_secret_key),
        s3_endpoint=status.s3,
        s3_bucket=status.s3_bucket,
    )
    return settings.model_copy(update=dict.fromkeys(_STREAMS, _sockets_of(settings.base_url)))


def _stream_urls(settings: PolygonSettings) -> dict[str, str]:
    """Return the streams of a simulator, unless the settings say otherwise."""
    return {
        name: _sockets_of(settings.base_url)
        for name in _STREAMS
        if getattr(settings, name) == PolygonSettings.model_fields[name].default
    }


def _sockets_of(url: str) -> str:
    return url.replace("http", "ws", 1)


def _options(simulated: Simulated, now: datetime) -> SimulatorOptions:
    """Return what a simulator of our own is started with."""
    day = simulated.day
    asked = Asked(
        tickers=(simulated.ticker,),
        days=None if day else 1,
        start=day,
        end=day,
        interval="1m",
        expirations=None,
        source=PROVIDER,
        clock=simulated.clock,
        seed=simulated.seed,
    )
    start, speed = own_clock(asked, now)
    if simulated.moving and not simulated.clock and speed == 0:
        session = last_session(now)
        start, speed = session.close - _BEFORE_CLOSE, 1.0
    elif simulated.moving:
        speed = 1.0
    about = day or start.astimezone(NEW_YORK).date()
    sessions = [session_until(about)]
    recorded = simulated.seed is None and all_recorded(asked.tickers, sessions)
    return SimulatorOptions("recorded" if recorded else "generated", start, speed, simulated.seed)
