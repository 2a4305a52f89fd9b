"""Watching a stream as a command: where it comes from, a live table, or JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from app import cli
from app.simulated_market import (
    SimulatorOptions,
    running_simulator,
    signed_in_settings,
    simulator_status,
)
from app.stream_view import Lines, Screen
from app.wiring import SimulatorSettings
from models.errors import ConfigError
from models.events import Quote
from schwab_integration.config import SchwabSettings
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import SchwabStream
from utils.clock import wall_clock
from utils.market_calendar import NEW_YORK, last_session
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator


_BEFORE_CLOSE = timedelta(hours=1)
"""Outside of a session a simulator of our own begins so long before the last close."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        symbols: Whose quotes: QQQ, SPX, OCC symbols, /ESZ26.
        seconds: How long; None until interrupted.
        bars: One-minute bars too.
        activity: Updates of one's own orders too.
        source: auto, schwab, polygon or simulator.
        json: Events as JSON lines instead of a table.
        trades: Trades too, of Polygon.
        chain_days: Of Polygon: quotes of the contracts nearest to the money of each ticker too, that
            expire within so many days; None for none.
        fmv: Of Polygon: fair values of the options too.
        lake: Of Polygon: folder or s3:// address of a lake that all of it goes to; empty means that
            of the settings, None means none.
    """

    symbols: tuple[str, ...]
    seconds: float | None
    bars: bool
    activity: bool
    source: str
    json: bool
    trades: bool = False
    chain_days: int | None = None
    fmv: bool = False
    lake: str | None = None

    def subscription(self) -> Subscription:
        """Return what the stream is asked for."""
        tickers = tuple(symbol for symbol in self.symbols if len(symbol) < 21)
        return Subscription(
            symbols=self.symbols, bars=tickers if self.bars else (), activity=self.activity
        )


def run_stream(asked: Asked) -> int:
    """Listen, and show what comes; return the exit status.

    Raises:
        TradingError: The stream cannot be had.
    """
    if asked.source == "polygon":
        from app.polygon_stream_command import run_polygon_stream  # noqa: PLC0415 - the other half

        return run_polygon_stream(asked)
    if asked.trades or asked.fmv or asked.chain_days is not None or asked.lake is not None:
        raise ConfigError("--trades, --chain, --fmv and --lake are Polygon's: add --source polygon")
    subscription = asked.subscription()
    subscription.keys()
    with _source(asked.source) as (settings, described):
        print(f"{described}: {', '.join(asked.symbols)}", file=sys.stderr)
        with contextlib.closing(SchwabStream(settings)) as stream:
            seen = asyncio.run(_listen(stream, subscription, asked))
    silent = [symbol for symbol in asked.symbols if symbol not in seen]
    if silent:
        print(f"no quote came of {', '.join(silent)}: is it spelled so?", file=sys.stderr)
    return cli.PARTIAL if silent else cli.OK


@contextmanager
def _source(name: str) -> Iterator[tuple[SchwabSettings, str]]:
    settings = load(SchwabSettings)
    signed_in = settings.configured and settings.token_path().exists()
    if name == "schwab" or (name == "auto" and signed_in):
        settings.credentials()
        yield settings, f"schwab at {settings.base_url}"
        return
    url = load(SimulatorSettings).simulator_url
    with ExitStack() as stack:
        if url:
            status = simulator_status(url)
            described = f"simulator at {url}"
        else:
            start = _start(wall_clock())
            options = SimulatorOptions("generated", start, 1.0)
            status = stack.enter_context(running_simulator(options))
            described = f"simulator, {start.astimezone(NEW_YORK):%a %Y-%m-%d from %H:%M} New York"
        yield stack.enter_context(signed_in_settings(status)), described


def _start(now: datetime) -> datetime:
    """Return the present time while a session is open, else one shortly before the last close."""
    session = last_session(now)
    return now if session.open <= now < session.close else session.close - _BEFORE_CLOSE


async def _listen(stream: SchwabStream, subscription: Subscription, asked: Asked) -> set[str]:
    """Show events until the time is over; return the symbols whose quotes came."""
    screen = Lines(sys.stdout) if asked.json else Screen(asked.symbols)
    seen: set[str] = set()
    with screen, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(asked.seconds), aclosing(stream.hear(subscription)) as events:
            async for event in events:
                screen.show(event)
                if isinstance(event, Quote):
                    seen.add(event.symbol)
    return seen
