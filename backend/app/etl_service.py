"""Whom the pipeline asks: settings to sources, in plain values that a worker can open anywhere."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from app.etl_flat import FLAT_FILES, FlatSource
from app.flat_backfill import Job, settings_job, simulated_job
from app.request import Asked
from app.simulated_market import (
    SimulatorOptions,
    SimulatorStatus,
    polygon_of,
    running_simulator,
    signed_in,
    simulator_status,
)
from app.wiring import SimulatorSettings, open_source
from models.errors import ConfigError
from pipeline.sources import MarketSource, PartSource
from pipeline.splits import SplitBook
from pipeline.synthetic_source import ORIGIN as SYNTHETIC_ORIGIN
from pipeline.synthetic_source import SYNTHETIC
from polygon_integration.config import PROVIDER as POLYGON
from polygon_integration.config import PolygonSettings
from schwab_integration.config import PROVIDER as SCHWAB
from schwab_integration.config import SchwabSettings
from simulator.clock import market_clock
from utils import market_calendar
from utils.clock import wall_clock
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ports.market_data import HistoricOptions, MarketData
    from utils.clock import Clock

SOURCES = (SCHWAB, POLYGON)
"""Who can be asked by REST, the best first."""


_FIRST_SPLIT: Final = date(2003, 1, 1)
"""Before the first session that any service has minutes of."""


@dataclass(frozen=True, slots=True)
class Service:
    """Whom to ask.

    Attributes:
        names: Sources, the best first.
        origin: Of all their rows.
        now: Market time when this was written.
        described: For people.
        notes: What a person should know of the choice.
        simulator: The simulator behind all of them; None asks the services of the settings.
        at: Wall time when it was `now` there.
    """

    names: tuple[str, ...]
    origin: str
    now: datetime
    described: str
    notes: tuple[str, ...] = ()
    simulator: SimulatorStatus | None = None
    at: datetime | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """What the rows of all names are stamped with, each once."""
        stamps = (POLYGON if name == FLAT_FILES else name for name in self.names)
        return tuple(dict.fromkeys(stamps))

    def clock(self) -> Clock:
        """Return the market's clock."""
        if self.simulator is None or self.at is None:
            return wall_clock
        passed = (wall_clock() - self.at) * self.simulator.speed
        return market_clock(self.now + passed, self.simulator.speed)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person says of the sources.

    Attributes:
        source: auto, schwab, polygon, simulator, or synthetic to ask nobody at all.
        clock: Market time of a simulator of our own; None: the end of the last session's trading.
        seed: Of its generated world.
        synthetic: Whether options of the past that no source has are made from stored bars.
    """

    source: str = "auto"
    clock: datetime | None = None
    seed: int | None = None
    synthetic: bool = False


@contextmanager
def opened_service(choice: Choice) -> Iterator[Service | OwnService]:
    """Find out whom to ask; a simulator of our own is started when `OwnService.started` is called.

    Raises:
        ConfigError: The choice or a setting is wrong.
        AuthError: A service refuses us.
        ProviderError: A service cannot be reached.
    """
    if choice.source == SYNTHETIC:
        yield Service((SYNTHETIC,), SYNTHETIC_ORIGIN, wall_clock(), "made from stored bars")
        return
    names = configured_sources(choice.source)
    url = load(SimulatorSettings).simulator_url
    own = not names and not url
    if (choice.clock or choice.seed is not None) and not own:
        raise ConfigError(
            "--clock and --seed belong to a simulator of our own: add --source simulator"
        )
    if names:
        yield _with_made(_configured(names), choice)
    elif url:
        yield _with_made(simulated(simulator_status(url), f"simulator at {url}"), choice)
    else:
        with ExitStack() as stack:
            yield OwnService(choice, stack)


def _with_made(service: Service, choice: Choice) -> Service:
    """Return a service with synthetic rows as its last source, where they are wanted."""
    return replace(service, names=(*service.names, SYNTHETIC)) if choice.synthetic else service


def configured_sources(source: str) -> tuple[str, ...]:
    """Return which services the settings lead to; none means the simulator.

    Args:
        source: auto, or the only one to ask; polygon has flat files too, with keys of their own.
    """
    if source == "simulator":
        return ()
    schwab, polygon = load(SchwabSettings), load(PolygonSettings)
    has_token = schwab.configured and schwab.token_path().exists()
    has_key = bool(polygon.api_key.get_secret_value())
    has_files = bool(polygon.s3_access_key.get_secret_value())
    there = {SCHWAB: has_token, POLYGON: has_key, FLAT_FILES: has_files}
    if source == SCHWAB or (source == POLYGON and not has_files):
        return (source,)  # who lacks what it needs says so
    if source == POLYGON:
        del there[SCHWAB]
    return tuple(name for name, is_set in there.items() if is_set)


def _configured(names: tuple[str, ...]) -> Service:
    """Look at each service once: who does not let us in is told now, and origins are not mixed."""
    origins: dict[str, str] = {}
    described, now = [], wall_clock()
    for name in names:
        if name == FLAT_FILES:
            polygon = load(PolygonSettings)
            job = settings_job(polygon)
            origins[name] = job.origin
            described.append(f"flat files at {polygon.s3_endpoint}")
            now = min(now, job.clock()())
            continue
        with open_source(_asked(name)) as source:
            origins[name] = source.market.origin
            described.append(source.described)
            now = min(now, source.clock())
    origin = origins[names[0]]
    kept = tuple(name for name in names if origins[name] == origin)
    notes = tuple(
        f"{name} is left out: its rows are {origins[name]}, those of {names[0]} {origin}"
        for name in names
        if name not in kept
    )
    return Service(kept, origin, now, ", ".join(described), notes)


def simulated(status: SimulatorStatus, described: str) -> Service:
    """Return the service that a running simulator is."""
    return Service(
        (*SOURCES, FLAT_FILES),
        status.origin,
        status.now,
        described,
        simulator=status,
        at=wall_clock(),
    )


class OwnService:
    """A simulator of our own, started when there is something to ask.

    Args:
        choice: What a person says of it.
        stack: Ends it.
    """

    def __init__(self, choice: Choice, stack: ExitStack) -> None:
        now = wall_clock()
        if choice.clock and choice.clock > now:
            raise ConfigError(f"--clock {choice.clock:%Y-%m-%dT%H:%M} is in the future")
        self._stack, self._choice = stack, choice
        self._options = SimulatorOptions(
            "generated", choice.clock or last_evening(now), 0.0, choice.seed
        )

    @property
    def expected(self) -> Service:
        """What it will be."""
        options = self._options
        made = (SYNTHETIC,) if self._choice.synthetic else ()
        note = "no account is configured: the simulator is asked in its place"
        return Service(
            (*SOURCES, FLAT_FILES, *made),
            options.origin,
            options.clock,
            "simulator, generated world",
            (note,),
        )

    def started(self) -> Service:
        """Start it.

        Raises:
            ConfigError: It does not start.
        """
        status = self._stack.enter_context(running_simulator(self._options))
        service = replace(simulated(status, self.expected.described), notes=self.expected.notes)
        return _with_made(service, self._choice)


def last_evening(now: datetime) -> datetime:
    """Return when the newest session that is wholly over, post-market included, ended."""
    for session in reversed(market_calendar.sessions_back(now, 2)):
        _, end = market_calendar.extended_hours(session)
        if end <= now:
            return end
    raise ConfigError("the calendar has no session that is over")


@contextmanager
def opened_sources(
    service: Service, lake: str, tickers: tuple[str, ...]
) -> Iterator[tuple[PartSource, ...]]:
    """Open the sources of a service, as each worker does.

    Args:
        service: Whom to ask.
        lake: Where day files go.
        tickers: Of the run: a day file is read once for all of them.

    Raises:
        AuthError: One refuses us.
        ProviderError: One cannot be reached.
    """
    with ExitStack() as stack:
        markets = {
            name: _opened_market(service, name, stack) for name in service.names if name in SOURCES
        }
        polygon = markets.get(POLYGON)
        history = polygon.history if polygon else None
        book = SplitBook(history, service.clock(), _FIRST_SPLIT) if history else None
        opened: list[PartSource] = [
            MarketSource(each.market, each.history, each.clock, splits=book, adjusts=name == SCHWAB)
            for name, each in markets.items()
        ]
        if FLAT_FILES in service.names:
            prices = [*markets.values()][-1].market if markets else None
            opened.append(FlatSource(_flat_job(service, lake, tickers), prices, history))
        yield tuple(opened)


class _Market(NamedTuple):
    """A service that is open."""

    market: MarketData
    history: HistoricOptions | None
    clock: Clock


def _opened_market(service: Service, name: str, stack: ExitStack) -> _Market:
    if service.simulator is None:
        source = stack.enter_context(open_source(_asked(name)))
        return _Market(source.market, source.history, source.clock)
    if name == SCHWAB:
        return _Market(stack.enter_context(signed_in(service.simulator)), None, service.clock())
    polygon = stack.enter_context(polygon_of(service.simulator))
    return _Market(polygon, polygon.history, service.clock())


def _flat_job(service: Service, lake: str, tickers: tuple[str, ...]) -> Job:
    simulator = service.simulator
    job = simulated_job(simulator) if simulator else settings_job(load(PolygonSettings))
    return msgspec.structs.replace(job, lake=lake, underlyings=tickers)


def _asked(name: str) -> Asked:
    return Asked((), 1, None, None, "1m", None, name, None, None)
