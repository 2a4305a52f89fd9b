"""Settings to concrete classes: the only place that knows them all."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.request import DEFAULT_DAYS, MOST_SESSIONS, Asked
from app.simulated_market import (
    OwnSimulator,
    SimulatorOptions,
    SimulatorStatus,
    polygon_of,
    signed_in,
    simulator_status,
)
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.errors import AuthError, BadReply, ConfigError, DataError, NotFound, StoreError
from polygon_integration.client import PolygonClient
from polygon_integration.config import PROVIDER as POLYGON
from polygon_integration.config import PolygonSettings
from polygon_integration.market_data import PolygonMarketData
from schwab_integration.client import SchwabClient
from schwab_integration.config import PROVIDER as SCHWAB
from schwab_integration.config import SchwabSettings
from schwab_integration.market_data import SchwabMarketData
from simulator.clock import market_clock
from simulator.recorded_files import RecordedFolder
from utils import market_calendar
from utils.clock import Clock, wall_clock
from utils.paths import backend_folder, state_folder
from utils.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime
    from pathlib import Path

    from ports.market_data import HistoricOptions, MarketData
    from utils.market_calendar import Session


REAL_HOSTS = ("https://api.polygon.io", "https://api.massive.com")
"""The service under both of its names."""


class SimulatorSettings(Settings):
    """Which simulator to use.

    Attributes:
        simulator_url: Of a running one (`python -m simulator`); None starts one when need be.
    """

    simulator_url: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A source of market data, ready to be asked.

    Attributes:
        market: What is asked.
        clock: The market's time.
        sessions: What the person's days come to at that time, oldest first.
        described: For people: which service, which world.
        note: What a person should know of the choice, or None.
        history: Who knows the past of options; None where the service does not.
    """

    market: MarketData
    clock: Clock
    sessions: tuple[Session, ...]
    described: str
    note: str | None = None
    history: HistoricOptions | None = None


@contextmanager
def open_store() -> Iterator[SupabaseClient]:
    """Open the database that the settings name.

    Raises:
        ConfigError: A setting is wrong.
        StoreError: It cannot be reached, or its schema is not this program's.
    """
    with SupabaseClient.from_settings() as store:
        health = store.health()
        if not health.ok:
            raise StoreError(f"{health.place}: {health.problems[0]}")
        yield store


def store_place() -> str:
    """Return where the data lies, without user or password.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = load(SupabaseSettings)
    if settings.supabase_db_url:
        from clients.postgres_address import postgres_address  # noqa: PLC0415 - seldom needed

        return f"Postgres {postgres_address(settings.supabase_db_url.get_secret_value()).place}"
    if settings.supabase_url:
        return f"Supabase {settings.supabase_url}"
    return f"embedded PostgreSQL in {state_folder('postgres')}"


@contextmanager
def open_source(asked: Asked, wall: Clock = wall_clock) -> Iterator[Source]:
    """Open the source that a person asked for, or that the settings lead to.

    `auto` is Schwab where an app key and a token are there, else the simulator. `polygon` is
    Polygon where its key is set, else the simulator that speaks like it.

    Args:
        asked: Source, clock, tickers and days.
        wall: The machine's time.

    Raises:
        ConfigError: The choice or a setting is wrong.
        AuthError: The service refuses us.
        ProviderError: The service cannot be reached.
    """
    if asked.source == "polygon":
        with _polygon_source(asked, wall) as source:
            yield source
        return
    schwab = load(SchwabSettings)
    has_token = schwab.configured and schwab.token_path().exists()
    if asked.source == "schwab" or (asked.source == "auto" and has_token):
        with _schwab(asked, schwab, wall) as source:
            yield source
        return
    note = None
    if asked.source == "auto" and schwab.configured:
        note = (
            "SCHWAB_APP_KEY is set, but nobody has signed in: using the simulator; "
            "python sys_testing/reauth_schwab.py signs in"
        )
    url = load(SimulatorSettings).simulator_url
    opened = _running(asked, url, note) if url else _own(asked, wall, note)
    with opened as source:
        yield source


def configured_source() -> str:
    """Return what the settings lead to: schwab, polygon, or auto, which then is the simulator.

    Schwab goes before Polygon where somebody is signed in.

    Raises:
        ConfigError: A setting is wrong.
    """
    schwab = load(SchwabSettings)
    if schwab.configured and schwab.token_path().exists():
        return "schwab"
    return POLYGON if load(PolygonSettings).api_key.get_secret_value() else "auto"


def closed_days(start: date | None, end: date | None, wall: Clock = wall_clock) -> str | None:
    """Return the sentence for past days without a session, or None where there is one.

    Args:
        start: First day that was asked for.
        end: Last day; None for today.
        wall: The machine's time.

    Raises:
        ConfigError: The first day lies in the future, or outside of the calendar's years.
    """
    if start is None:
        return None
    today = wall().astimezone(market_calendar.NEW_YORK).date()
    if start > today:
        raise ConfigError(f"{start} is in the future: there is nothing to download yet")
    try:
        open_days = market_calendar.sessions(start, max(start, min(end or today, today)))
    except DataError as error:
        raise ConfigError(str(error)) from None
    if open_days:
        return None
    span = f"on {start}" if end in {None, start} else f"from {start} to {end}"
    return f"the exchange was closed {span}: nothing to download"


@contextmanager
def _polygon_source(asked: Asked, wall: Clock) -> Iterator[Source]:
    settings = load(PolygonSettings)
    url = load(SimulatorSettings).simulator_url
    if settings.api_key.get_secret_value():
        opened = _polygon(asked, settings, wall)
    elif url:
        opened = _running(asked, url, None, polygon_of)
    else:
        note = "POLYGON_API_KEY is not set: using the simulator"
        opened = _own(asked, wall, note, POLYGON)
    with opened as source:
        yield source


@contextmanager
def _polygon(asked: Asked, settings: PolygonSettings, wall: Clock) -> Iterator[Source]:
    if asked.clock or asked.seed is not None:
        raise ConfigError("--clock and --seed are the simulator's: unset POLYGON_API_KEY for it")
    status = None
    if settings.base_url not in REAL_HOSTS:
        status = simulator_at(settings.base_url, settings.ca_file)
    origin = status.origin if status else "live"
    clock = market_clock(status.now, status.speed, wall) if status else wall
    market = PolygonMarketData(PolygonClient(settings), origin=origin, extended_hours=True)
    try:
        described = f"polygon at {settings.base_url}"
        yield Source(market, clock, sessions_of(asked, clock()), described, history=market.history)
    finally:
        market.close()


@contextmanager
def _schwab(asked: Asked, settings: SchwabSettings, wall: Clock) -> Iterator[Source]:
    if asked.clock or asked.seed is not None:
        raise ConfigError("--clock and --seed are the simulator's: add --source simulator")
    settings.credentials()
    status = _simulator_behind(settings)
    origin = status.origin if status else "live"
    clock = market_clock(status.now, status.speed, wall) if status else wall
    market = SchwabMarketData(SchwabClient(settings), origin=origin, extended_hours=True)
    try:
        described = f"schwab at {settings.base_url}"
        yield Source(market, clock, sessions_of(asked, clock()), described)
    finally:
        market.close()


def _simulator_behind(settings: SchwabSettings) -> SimulatorStatus | None:
    """Return the status of the simulator that the settings' host is, or None where it is none.

    Rows of a simulated Schwab must never say that they are live.
    """
    if settings.base_url == SchwabSettings.model_fields["base_url"].default:
        return None
    return simulator_at(settings.base_url, settings.ca_file)


def simulator_at(url: str, ca_file: Path | None) -> SimulatorStatus | None:
    """Return the status of the simulator at an address, or None where it is none."""
    try:
        return simulator_status(url, ca_file=ca_file)
    except (AuthError, BadReply, NotFound):
        return None


@contextmanager
def _running(
    asked: Asked,
    url: str,
    note: str | None,
    speak: Callable[[SimulatorStatus], AbstractContextManager[MarketData]] = signed_in,
) -> Iterator[Source]:
    if asked.clock or asked.seed is not None:
        raise ConfigError(
            "--clock and --seed belong to a simulator of our own: unset SIMULATOR_URL, or give "
            "them to the one that runs there"
        )
    status: SimulatorStatus = simulator_status(url)
    clock = market_clock(status.now, status.speed)
    with speak(status) as market:
        described = f"simulator at {url}, {status.world} world"
        history = market.history if isinstance(market, PolygonMarketData) else None
        yield Source(market, clock, sessions_of(asked, clock()), described, note, history)


@contextmanager
def _own(asked: Asked, wall: Clock, note: str | None, service: str = SCHWAB) -> Iterator[Source]:
    start, speed = own_clock(asked, wall())
    sessions = sessions_of(asked, start)
    recorded = asked.seed is None and all_recorded(asked.tickers, sessions)
    world = "recorded" if recorded else "generated"
    options = SimulatorOptions(world, start, speed, asked.seed)
    clock = wall if speed else market_clock(start, 0.0)
    with OwnSimulator(options, service) as market:
        spoken = "" if service == SCHWAB else f" as {service}"
        history = market if service == POLYGON else None
        described = f"simulator{spoken}, {world} world"
        yield Source(market, clock, sessions, described, note, history)


def own_clock(asked: Asked, now: datetime) -> tuple[datetime, float]:
    """Return market time and speed of a simulator of our own.

    While a session is open the market is where the wall's clock is. Otherwise it stands still: at
    the close of the last complete session, or, of days that ship as recorded ones, at the end of
    the last one's post-market.
    """
    if asked.clock:
        if asked.clock > now:
            raise ConfigError(f"--clock {asked.clock:%Y-%m-%dT%H:%M} is in the future")
        return asked.clock, 0.0
    newest = market_calendar.last_session(now)
    live = newest.open <= now < newest.close
    present = now if live else market_calendar.last_session(now, complete=True).close
    if asked.start and asked.seed is None:
        sessions = sessions_of(asked, present)
        if all_recorded(asked.tickers, sessions):
            return market_calendar.extended_hours(sessions[-1])[1], 0.0
    return present, 1.0 if live else 0.0


def all_recorded(tickers: Sequence[str], sessions: Sequence[Session]) -> bool:
    """Return whether every ticker has a recorded file of bars for every session."""
    folder = RecordedFolder(backend_folder() / "simulator" / "data")
    wanted = {session.day for session in sessions}
    return all(
        wanted <= {*folder.days(ticker, "equity_trades"), *folder.days(ticker, "index")}
        for ticker in tickers
    )


def sessions_of(asked: Asked, now: datetime) -> tuple[Session, ...]:
    """Return the sessions that a person asked for, of those that have opened, oldest first.

    Args:
        asked: Number of sessions, or first and last day.
        now: Market time.

    Raises:
        ConfigError: There are none, too many, or they are not in the years of the calendar.
    """
    try:
        found = _between(asked, now) if asked.start else _back(asked, now)
    except DataError as error:
        raise ConfigError(str(error)) from None
    if len(found) > MOST_SESSIONS:
        raise ConfigError(f"{len(found)} sessions are too many: {MOST_SESSIONS} at most")
    if not found:
        until = asked.end or now.astimezone(market_calendar.NEW_YORK).date()
        raise ConfigError(f"no session from {asked.start} to {until} has opened yet")
    return tuple(found)


def _between(asked: Asked, now: datetime) -> list[Session]:
    newest = market_calendar.last_session(now).day
    first, last = asked.start or newest, min(asked.end or newest, newest)
    return market_calendar.sessions(first, last) if first <= last else []


def _back(asked: Asked, now: datetime) -> list[Session]:
    last = now
    if asked.end:
        last = min(market_calendar.session_until(asked.end).close, now)
    return market_calendar.sessions_back(last, asked.days or DEFAULT_DAYS)
