"""Watching a stream as a command: where it comes from, a live table, or JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from app import cli
from app.simulated_market import (
    SimulatorOptions,
    running_simulator,
    signed_in_settings,
    simulator_status,
)
from app.wiring import SimulatorSettings
from models.events import Bar, OrderUpdate, Quote
from schwab_integration.config import SchwabSettings
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import SchwabStream
from utils.clock import wall_clock
from utils.market_calendar import NEW_YORK, last_session
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.events import StreamEvent

_BEFORE_CLOSE = timedelta(hours=1)
"""Outside of a session a simulator of our own begins so long before the last close."""

_REDRAW_S = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        symbols: Whose quotes: QQQ, SPX, OCC symbols, /ESZ26.
        seconds: How long; None until interrupted.
        bars: One-minute bars too.
        activity: Updates of one's own orders too.
        source: auto, schwab or simulator.
        json: Events as JSON lines instead of a table.
    """

    symbols: tuple[str, ...]
    seconds: float | None
    bars: bool
    activity: bool
    source: str
    json: bool

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
    screen = _Lines(sys.stdout) if asked.json else _Screen(asked.symbols)
    seen: set[str] = set()
    with screen, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(asked.seconds), aclosing(stream.hear(subscription)) as events:
            async for event in events:
                screen.show(event)
                if isinstance(event, Quote):
                    seen.add(event.symbol)
    return seen


class _Lines(contextlib.AbstractContextManager["_Lines"]):
    """JSON, an event a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def show(self, event: StreamEvent) -> None:
        """Write an event."""
        print(msgspec.json.encode(event).decode(), file=self._stream, flush=True)


class _Screen(contextlib.AbstractContextManager["_Screen"]):
    """A table of the newest quotes, with the last bars and order updates below."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._quotes: dict[str, Quote | None] = dict.fromkeys(symbols)
        self._news: list[str] = []
        self._live = Live(console=Console(), auto_refresh=False)
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self._table(), refresh=True)
        self._live.stop()

    def show(self, event: StreamEvent) -> None:
        """Take an event, and draw anew now and then."""
        if isinstance(event, Quote):
            self._quotes[event.symbol] = event
        elif isinstance(event, Bar):
            self._news.append(f"{_clock(event.time_ns)} {event.symbol} bar closes {event.close:g}")
        elif isinstance(event, OrderUpdate):
            self._news.append(f"{_clock(event.time_ns)} order {event.order_id} {event.status}")
        if time.monotonic() - self._drawn_at > _REDRAW_S:
            self._drawn_at = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        caption = "\n".join(self._news[-5:]) or None
        table = Table(box=None, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
        table.add_column("symbol", no_wrap=True)
        for name in ("bid", "ask", "sizes", "last", "volume", "New York"):
            table.add_column(name, justify="right", no_wrap=True)
        for symbol, quote in self._quotes.items():
            table.add_row(symbol, *(_cells(quote) if quote else [""] * 6))
        return table


def _cells(quote: Quote) -> list[str]:
    return [
        _price(quote.bid),
        _price(quote.ask),
        f"{_whole(quote.bid_size)}x{_whole(quote.ask_size)}",
        _price(quote.last),
        _whole(quote.volume),
        _clock(quote.time_ns),
    ]


def _price(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _clock(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC).astimezone(NEW_YORK):%H:%M:%S}"
