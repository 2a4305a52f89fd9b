"""Events of a stream for a person or a program: a live table, or JSON lines."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from models.events import Bar, OrderUpdate, Quote, TradeTick
from utils.clock import to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from models.events import StreamEvent

_REDRAW_S = 0.25

MOST_ROWS = 40
"""Instruments that the table shows: the first ones."""


class Lines(contextlib.AbstractContextManager["Lines"]):
    """JSON, an event a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def show(self, event: StreamEvent) -> None:
        """Write an event."""
        print(msgspec.json.encode(event).decode(), file=self._stream, flush=True)


class Screen(contextlib.AbstractContextManager["Screen"]):
    """A table of the newest quotes, with the last bars, trades and order updates below."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._quotes: dict[str, Quote | None] = dict.fromkeys(symbols)
        self._fair: dict[str, float | None] = {}
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
        if isinstance(event, Quote) and event.is_fair_value:
            self._quotes.setdefault(event.symbol, None)
            self._fair[event.symbol] = event.mark
        elif isinstance(event, Quote):
            self._quotes[event.symbol] = event
        elif isinstance(event, TradeTick):
            self._news.append(
                f"{_clock(event.time_ns)} {event.symbol} {event.size:g} traded at {event.price:g}"
            )
        elif isinstance(event, Bar):
            self._news.append(f"{_clock(event.time_ns)} {event.symbol} bar closes {event.close:g}")
        elif isinstance(event, OrderUpdate):
            self._news.append(f"{_clock(event.time_ns)} order {event.order_id} {event.status}")
        if time.monotonic() - self._drawn_at > _REDRAW_S:
            self._drawn_at = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        del self._news[:-5]
        caption = "\n".join(self._news) or None
        table = Table(box=None, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
        table.add_column("symbol", no_wrap=True)
        for name in ("bid", "ask", "sizes", "last", "volume", "New York"):
            table.add_column(name, justify="right", no_wrap=True)
        if self._fair:
            table.add_column("fair", justify="right", no_wrap=True)
        for symbol, quote in list(self._quotes.items())[:MOST_ROWS]:
            fair = [_price(self._fair.get(symbol))] if self._fair else []
            table.add_row(symbol, *(_cells(quote) if quote else [""] * 6), *fair)
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
    return f"{to_time(time_ns).astimezone(NEW_YORK):%H:%M:%S}"
