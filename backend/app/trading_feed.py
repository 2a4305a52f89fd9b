"""Where a trading session's market comes from: Schwab's stream, or a simulator's, by the same wire.

Without credentials a simulator of our own plays the end of the last session faster than the clock,
so that a position is opened, managed and closed while a person looks on, at any hour of any day.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from app.simulated_market import (
    SimulatorOptions,
    running_simulator,
    signed_in_settings,
    simulator_status,
)
from app.wiring import SimulatorSettings, simulator_at
from engine.early_assignment import Dividend
from models.errors import ConfigError, DataError, TokenExpired
from schwab_integration.auth import token_store
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.live_events import Checked, LiveEvents, Sources
from schwab_integration.market_data import SchwabMarketData
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import SchwabStream
from schwab_integration.token_store import SIGN_IN, TokenStore
from simulator.clock import market_clock
from utils.clock import to_ns, wall_clock
from utils.feed import conflation_key, plainly
from utils.market_calendar import NEW_YORK, Session, last_session, session_until
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.simulated_market import SimulatorStatus
    from models.events import Event
    from models.tables import Frame
    from ports.strategy import Needs
    from utils.clock import Clock

BEFORE_CLOSE = timedelta(hours=1)
"""Where a simulator of our own begins, unless it is told."""

SPEED = 60.0
"""Market seconds a wall second of a simulator of our own."""

MOST_CONTRACTS = 400
"""Contracts of one underlying that are listened to: those nearest to the money."""


@dataclass(frozen=True, slots=True)
class FeedAsked:
    """Which market a person wants.

    Attributes:
        source: auto, schwab or simulator.
        clock: Market time at which a simulator of our own begins; None for the default.
        speed: Market seconds a wall second of it; None for the default.
        seed: Of its generated world; None for its default.
    """

    source: str = "auto"
    clock: datetime | None = None
    speed: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """A market that can be listened to.

    Attributes:
        settings: Of the service that speaks Schwab's protocols.
        described: For people.
        origin: live, simulator or recorded.
        clock: The market's time.
        session: The session that is on.
        speed: Market seconds a wall second.
    """

    settings: SchwabSettings
    described: str
    origin: str
    clock: Clock
    session: Session
    speed: float = 1.0


@contextmanager
def open_feed(asked: FeedAsked, wall: Clock = wall_clock) -> Iterator[Feed]:
    """Open the market that a person asked for, or that the settings lead to.

    Raises:
        ConfigError: The choice or a setting is wrong, or no session is on.
        AuthError: The service refuses us.
        ProviderError: The service cannot be reached.
    """
    settings = load(SchwabSettings)
    signed_in = settings.configured and settings.token_path().exists()
    if asked.source == "schwab" or (asked.source == "auto" and signed_in):
        if asked.clock or asked.speed is not None or asked.seed is not None:
            raise ConfigError(
                "--clock, --speed and --seed are the simulator's: add --source simulator"
            )
        settings.credentials()
        yield _real(settings, wall)
        return
    url = load(SimulatorSettings).simulator_url
    with ExitStack() as stack:
        if url:
            if asked.clock or asked.speed is not None or asked.seed is not None:
                raise ConfigError(
                    "--clock, --speed and --seed belong to a simulator of our own: unset "
                    "SIMULATOR_URL, or give them to the one that runs there"
                )
            status = simulator_status(url)
            described = f"simulator at {url}"
        else:
            options = _own(asked, wall())
            status = stack.enter_context(running_simulator(options))
            described = f"simulator, {_words(options)}"
        clock = _simulated_clock(status, wall)
        session = _session_at(clock())
        given = stack.enter_context(signed_in_settings(status))
        yield Feed(given, described, status.origin, clock, session, status.speed)


def schwab_clock(settings: SchwabSettings, wall: Clock = wall_clock) -> tuple[Clock, float]:
    """Return the clock of the service that speaks Schwab's protocols, and how fast it goes."""
    if settings.base_url == SchwabSettings.model_fields["base_url"].default:
        return wall, 1.0
    status = simulator_at(settings.base_url, settings.ca_file)
    return (_simulated_clock(status, wall, settings), status.speed) if status else (wall, 1.0)


def _simulated_clock(
    status: SimulatorStatus, wall: Clock, settings: SchwabSettings | None = None
) -> Clock:
    ca_file = None if settings is None else settings.ca_file
    return SimulatedClock(status, partial(simulator_status, status.schwab, ca_file=ca_file), wall)


class SimulatedClock:
    """The time of a simulator's market, which may stand until somebody listens to it.

    While it stands, the simulator is asked anew each time; after that nobody is asked any more.

    Args:
        status: What the simulator has said of itself.
        ask: Asks it again.
        wall: Drives the clock once it goes.
    """

    def __init__(
        self, status: SimulatorStatus, ask: Callable[[], SimulatorStatus], wall: Clock = wall_clock
    ) -> None:
        self._ask = ask
        self._wall = wall
        self._take(status)

    def __call__(self) -> datetime:
        """Return the market's time, aware, in UTC."""
        if self._held:
            self._take(self._ask())
        return self._clock()

    def _take(self, status: SimulatorStatus) -> None:
        self._held = status.held
        self._clock = market_clock(status.now, 0.0 if status.held else status.speed, self._wall)


def _real(settings: SchwabSettings, wall: Clock) -> Feed:
    """Return the market of a sign-in.

    Raises:
        TokenExpired: There is none, or it has ended: said before a closed market is.
    """
    token = token_store(settings).read()
    if token.refresh_expires_at <= wall_clock():
        ended = token.refresh_expires_at
        raise TokenExpired(f"the Schwab sign-in has ended at {ended:%F %H:%M} UTC: run {SIGN_IN}")
    status: SimulatorStatus | None = None
    if settings.base_url != SchwabSettings.model_fields["base_url"].default:
        status = simulator_at(settings.base_url, settings.ca_file)
    clock = _simulated_clock(status, wall, settings) if status else wall
    origin = status.origin if status else "live"
    described, speed = f"schwab at {settings.base_url}", status.speed if status else 1.0
    return Feed(settings, described, origin, clock, _session_at(clock()), speed)


def _session_at(now: datetime) -> Session:
    """Return the session of a moment, whose market must not have closed."""
    found = session_until(now.astimezone(NEW_YORK).date())
    if now >= found.close or found.day != now.astimezone(NEW_YORK).date():
        raise ConfigError(
            f"no session is on at {now.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} New York: come back "
            "on the next one, or add --source simulator"
        )
    return found


def _own(asked: FeedAsked, now: datetime) -> SimulatorOptions:
    start = asked.clock or last_session(now, complete=True).close - BEFORE_CLOSE
    speed = SPEED if asked.speed is None else asked.speed
    if not 0 < speed <= 1000:
        raise ConfigError(f"--speed {speed:g} cannot be played: give 0.1 to 1000")
    return SimulatorOptions("generated", start, speed, asked.seed, held=True)


def _words(options: SimulatorOptions) -> str:
    start = options.clock.astimezone(NEW_YORK)
    return f"{start:%a %Y-%m-%d from %H:%M} New York, {options.speed:g} times as fast as the clock"


def choose_symbols(feed: Feed, needs: Needs) -> tuple[str, ...]:
    """Return what a strategy's market consists of: its tickers, and contracts near the money.

    Raises:
        DataError: An underlying has no contracts in the days that are needed.
        ProviderError: The service does not tell.
    """
    symbols = list(needs.symbols)
    with closing(SchwabMarketData(SchwabClient(feed.settings), origin=feed.origin)) as market:
        for underlying, days in needs.chain_days.items():
            now = feed.clock()
            first = now.astimezone(NEW_YORK).date()
            chain = market.option_chain(underlying, first, first + timedelta(days=days), now=now)
            near = _near_the_money(chain.contracts, chain.underlying_price, first)
            if not near:
                raise DataError(
                    f"{underlying} has no contract that expires within {days} days of {first}: "
                    "choose another underlying or another day"
                )
            symbols += near
    return tuple(dict.fromkeys(symbols))


def _near_the_money(contracts: Frame, spot: float, today: date) -> list[str]:
    """Return the contracts nearest to the money, by moneyness over the root of time."""
    days = (pl.col("expiration") - pl.lit(today)).dt.total_days() + 1
    distance = (pl.col("strike").cast(pl.Float64) / spot).log().abs() / days.sqrt()
    nearest = contracts.select("occ_symbol", distance.alias("distance")).sort(
        "distance", "occ_symbol"
    )
    return nearest.head(MOST_CONTRACTS)["occ_symbol"].to_list()


def next_dividends(feed: Feed, needs: Needs) -> dict[str, Dividend]:
    """Return the next cash dividend of each underlying with options, where the market tells it.

    Raises:
        ProviderError: The service does not answer.
    """
    if not needs.chain_days:
        return {}
    with closing(SchwabMarketData(SchwabClient(feed.settings), origin=feed.origin)) as market:
        rows = market.underlyings(tuple(needs.chain_days), now=feed.clock())
    known = rows.filter(pl.col("next_dividend_ex_date").is_not_null())
    return {
        row["underlying"]: Dividend(
            row["next_dividend_ex_date"], Decimal(str(row["dividend_amount"] or 0))
        )
        for row in known.iter_rows(named=True)
    }


def sign_in_end_ns(feed: Feed) -> int | None:
    """Return when the sign-in at the broker ends; None at a simulator, whose clock is another."""
    if feed.origin != "live":
        return None
    store = TokenStore(feed.settings.token_path(), app=feed.settings.app_mark)
    return to_ns(store.read().refresh_expires_at)


@contextmanager
def listening(feed: Feed, symbols: tuple[str, ...]) -> Iterator[Iterator[Event]]:
    """Hand out the events of a market until its session is over."""
    wanted = Subscription(symbols=symbols, heartbeats=True)
    with closing(SchwabStream(feed.settings)) as stream:
        heard = LiveEvents(Sources(lambda: stream.hear(wanted), feed.clock))
        with plainly(heard.hear, key=conflation_key) as told:
            events = (each for each in told if not isinstance(each, BaseException | Checked))
            yield until_the_close(events, feed)


def until_the_close(events: Iterator[Event], feed: Feed) -> Iterator[Event]:
    """Yield events up to the first one after the session's end, that one included."""
    close_ns = to_ns(feed.session.close)
    for event in events:
        yield event
        if event.time_ns >= close_ns:
            return
