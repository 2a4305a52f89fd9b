"""The simulator as a source: one of our own, started when it is first asked, or a running one.

Its programs are strangers to us: it is another process behind a socket, we sign in as at the real
service, and everything comes over the wire.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from pydantic import SecretStr

from models.errors import AuthError, BadReply, ConfigError, DataError, TradingError
from polygon_integration.client import PolygonClient
from polygon_integration.config import PROVIDER as POLYGON
from polygon_integration.config import PolygonSettings
from polygon_integration.market_data import PolygonMarketData
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.client import SchwabClient
from schwab_integration.config import PROVIDER as SCHWAB
from schwab_integration.config import SchwabSettings
from schwab_integration.market_data import SchwabMarketData
from utils.http import HttpSession, Patience, Reply, Service
from utils.paths import backend_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import date
    from types import TracebackType
    from typing import Self

    from models.options import OptionChain
    from models.tables import Frame
    from ports.market_data import HistoricOptions, MarketData

UNLIMITED = 100_000
"""Requests a minute at a simulator: the largest plan has no limit."""

_START_PATIENCE_S = 60.0
_STOP_PATIENCE_S = 5.0


class SimulatorStatus(msgspec.Struct, frozen=True):
    """What a running simulator says of itself.

    Attributes:
        schwab: Base URL of its Schwab.
        origin: simulator or recorded.
        world: generated or recorded.
        now: Market time.
        speed: Market seconds a wall second.
        held: Whether its market stands until somebody streams quotes.
        app_key: Of the app that it knows.
        app_secret: Of the same app.
        callback_url: Registered for the same app.
        admin_token: Lets a program sign in without the login page.
        polygon: Base URL of its Polygon.
        polygon_key: API key of the largest plan there.
        s3: Address of its flat files.
        s3_bucket: Their bucket.
        s3_access_key: Of the largest plan.
        s3_secret_key: Its secret.
    """

    schwab: str
    origin: str
    world: str
    now: datetime
    speed: float
    app_key: str
    app_secret: str
    callback_url: str
    admin_token: str
    polygon: str
    polygon_key: str
    held: bool = False
    s3: str = ""
    s3_bucket: str = "flatfiles"
    s3_access_key: str = ""
    s3_secret_key: str = ""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What a simulator of our own is started with.

    Attributes:
        world: generated or recorded.
        clock: Market time at its start, aware.
        speed: Market seconds a wall second; 0 stands still.
        seed: Of the generated world; None for its default.
        held: The market stands until somebody streams quotes.
    """

    world: str
    clock: datetime
    speed: float
    seed: int | None = None
    held: bool = False

    @property
    def origin(self) -> str:
        """Origin of the rows that come from it."""
        return "recorded" if self.world == "recorded" else "simulator"

    def arguments(self) -> list[str]:
        """Return its command line."""
        more = [] if self.seed is None else ["--seed", str(self.seed)]
        more += ["--held"] * self.held
        return [
            *("--port", "0"),
            *("--world", self.world),
            *("--clock", self.clock.isoformat()),
            *("--speed", str(self.speed)),
            *("--parent-pid", str(os.getpid())),
            *more,
        ]


def simulator_status(url: str, *, ca_file: Path | None = None) -> SimulatorStatus:
    """Ask a running simulator what it is.

    Args:
        url: Where it is.
        ca_file: PEM file of the only certificate authorities to trust; None trusts the usual.

    Raises:
        Unavailable: Nobody answers at this URL.
        BadReply: Whoever answers is no simulator.
        ConfigError: The URL is none.
    """
    service = Service(url, "simulator", ca_file=ca_file)
    with HttpSession(service, patience=Patience(connect_s=5.0, attempts=1)) as session:
        reply = session.get("/simulator/status")
    return _status(reply.body)


@contextmanager
def running_simulator(options: SimulatorOptions) -> Iterator[SimulatorStatus]:
    """Start a simulator, and stop it at the end; it ends with this process in any case.

    Raises:
        ConfigError: It does not start; the sentence is its own.
    """
    command = [sys.executable, "-m", "simulator", *options.arguments()]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(  # noqa: S603 - our own program and our own arguments
            command,
            cwd=backend_folder(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us: we stop it when we are done
        )
        try:
            line = _first_line(child)
            if not line:
                child.wait(_STOP_PATIENCE_S)
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise ConfigError(f"the simulator does not start: {' '.join(last) or 'no word'}")
            yield _status(line)
        finally:
            _stop(child)


def _first_line(child: subprocess.Popen[bytes]) -> bytes:
    """Return what the child says first, or nothing when it ends or takes too long."""
    assert child.stdout is not None  # noqa: S101 - Popen was asked for a pipe
    ready, _, _ = select.select([child.stdout], [], [], _START_PATIENCE_S)
    return child.stdout.readline() if ready else b""


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout:
        child.stdout.close()


def _status(line: bytes) -> SimulatorStatus:
    try:
        return msgspec.json.decode(line, type=SimulatorStatus)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "this is no simulator: SIMULATOR_URL must name one (python -m simulator)"
        raise BadReply(message, provider="simulator", field="status") from None


@contextmanager
def signed_in_settings(status: SimulatorStatus) -> Iterator[SchwabSettings]:
    """Sign in at a simulator as a person would at Schwab, and hand out settings that reach it.

    The token lives in a folder of its own, for as long as it is used: it has nothing to do with
    that of a real account.

    Raises:
        AuthError: It does not let us in.
        ProviderError: It is out of order.
    """
    with tempfile.TemporaryDirectory(prefix="options-") as folder:
        settings = SchwabSettings(
            _env_file=None,  # type: ignore[call-arg] # pydantic-settings' own argument
            app_key=SecretStr(status.app_key),
            app_secret=SecretStr(status.app_secret),
            callback_url=status.callback_url,
            base_url=status.schwab,
            token_file=Path(folder) / "token.json",
            ca_file=None,
        )
        exchange_code(settings, _code(settings, status.admin_token))
        yield settings


@contextmanager
def signed_in(status: SimulatorStatus) -> Iterator[SchwabMarketData]:
    """Sign in at a simulator, and hand out its market data; errors as of `signed_in_settings`."""
    with ExitStack() as stack:
        settings = stack.enter_context(signed_in_settings(status))
        market = SchwabMarketData(SchwabClient(settings), origin=status.origin, extended_hours=True)
        stack.callback(market.close)
        yield market


@contextmanager
def polygon_of(status: SimulatorStatus) -> Iterator[PolygonMarketData]:
    """Hand out the market data of a simulator's Polygon.

    Raises:
        ProviderError: It is out of order.
    """
    settings = PolygonSettings(
        _env_file=None,  # type: ignore[call-arg] # pydantic-settings' own argument
        api_key=SecretStr(status.polygon_key),
        base_url=status.polygon,
        requests_per_minute=UNLIMITED,
        ca_file=None,
    )
    market = PolygonMarketData(PolygonClient(settings), origin=status.origin, extended_hours=True)
    try:
        yield market
    finally:
        market.close()


def _code(settings: SchwabSettings, admin_token: str) -> str:
    """Return the code that the simulator gives to whom need not see its login page."""
    path = authorization_url(settings).removeprefix(settings.base_url)
    admin = {"X-Simulator-Admin": admin_token}
    service = Service(settings.base_url, "simulator", headers=admin, check=_anything)
    with HttpSession(service) as session:
        reply = session.get(path)
    target = reply.headers.get("location")
    if target is None:
        raise AuthError(f"the simulator answered {reply.status} to the sign-in, and no redirect")
    return code_of_redirect(target)


def _anything(_what: str, _reply: Reply) -> TradingError | None:
    """Accept every reply: the sign-in's is a redirect."""
    return None


class OwnSimulator:
    """Market data of a simulator of our own, which is started when something is first asked.

    A run that finds everything stored asks nothing, and starts nothing.

    Args:
        options: What it is started with.
        source: The service that it shall speak like: schwab or polygon.
    """

    def __init__(self, options: SimulatorOptions, source: str = SCHWAB) -> None:
        self._options = options
        self._source = source
        self._open = ExitStack()

    @property
    def source(self) -> str:
        """The service that it speaks like."""
        return self._source

    @property
    def origin(self) -> str:
        """The world's: simulator or recorded."""
        return self._options.origin

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> Frame:
        """Return bars, as the port says."""
        return self._market.bars(ticker, start, end, interval)

    def option_chain(self, ticker: str, first: date, last: date, *, now: datetime) -> OptionChain:
        """Return the chain, as the port says."""
        return self._market.option_chain(ticker, first, last, now=now)

    def quotes(self, tickers: Sequence[str]) -> Frame:
        """Return quotes, as the port says."""
        return self._market.quotes(tickers)

    def underlyings(self, tickers: Sequence[str], *, now: datetime) -> Frame:
        """Return what is known of each ticker, as the port says."""
        return self._market.underlyings(tickers, now=now)

    def contracts(self, ticker: str, day: date, first: date, last: date) -> Frame:
        """Return what stood on a day, as the port of the past says; so do the next ones."""
        return self._history.contracts(ticker, day, first, last)

    def minute_quotes(
        self, occ_symbols: Sequence[str], session: date
    ) -> Iterator[tuple[str, Frame]]:
        """Yield quotes of minutes."""
        return self._history.minute_quotes(occ_symbols, session)

    def minute_bars(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield bars of minutes."""
        return self._history.minute_bars(occ_symbols, session)

    def trades(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield trades."""
        return self._history.trades(occ_symbols, session)

    def dividends(self, ticker: str, first: date, last: date) -> Frame:
        """Return cash dividends."""
        return self._history.dividends(ticker, first, last)

    def splits(self, ticker: str, first: date, last: date) -> Frame:
        """Return splits."""
        return self._history.splits(ticker, first, last)

    @property
    def _history(self) -> HistoricOptions:
        market = self._market
        if not isinstance(market, PolygonMarketData):
            raise DataError(f"{self._source} does not know the past of options")
        return market.history

    @cached_property
    def _market(self) -> MarketData:
        status = self._open.enter_context(running_simulator(self._options))
        opened: AbstractContextManager[MarketData] = signed_in(status)
        if self._source == POLYGON:
            opened = polygon_of(status)
        return self._open.enter_context(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
