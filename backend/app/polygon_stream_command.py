"""Watching Polygon's stream: tickers and contracts by name, and a roster that moves with the market."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from contextlib import ExitStack, aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from app import cli
from app.polygon_place import Simulated, open_polygon
from app.stream_lake import StreamLake, only_writer
from app.stream_view import Lines, Screen
from clients.lake import Lake
from models.errors import ConfigError, DataError, NotEntitled
from models.events import Quote
from models.symbols import INDICES, OCC_LENGTH
from polygon_integration.channels import channels
from polygon_integration.roster import MOST_QUOTES, roster
from polygon_integration.shared_stream import SharedStream, merged
from polygon_integration.stream_gaps import heal_by_rest
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import date

    from app.polygon_place import PolygonPlace
    from app.stream_command import Asked
    from models.events import MarketEvent
    from models.tables import Frame
    from polygon_integration.channels import Channel, Kind

FAIR: Final = "fair values"
"""The second socket of options, of business plans."""

KEEP_S: Final = 60.0
"""Between two writes to the lake."""

ROLL_S: Final = 10.0
"""Between two looks at which contracts are nearest to the money."""


def run_polygon_stream(asked: Asked) -> int:
    """Listen, and show what comes; return the exit status.

    Raises:
        ConfigError: Something that Polygon does not tell is asked for.
        TradingError: The stream cannot be had.
    """
    futures = [symbol for symbol in asked.symbols if "/" in symbol]
    if futures or asked.activity:
        what = f"{futures[0]}, a future," if futures else "--activity"
        raise ConfigError(f"{what} is not Polygon's: add --source schwab")
    options = [symbol for symbol in asked.symbols if len(symbol) == OCC_LENGTH]
    if asked.fmv and not options and asked.chain_days is None:
        raise ConfigError("--fmv is of options: name one, or add --chain 0 for today's")
    ticker = next((s for s in asked.symbols if len(s) < OCC_LENGTH), "QQQ")
    with ExitStack() as stack:
        lake = None if asked.lake is None else Lake.open(asked.lake or None)
        if lake is not None:
            stack.enter_context(only_writer(lake))
        place = stack.enter_context(open_polygon(Simulated(ticker, None, None, None, moving=True)))
        print(f"{place.described}: {', '.join(asked.symbols)}", file=sys.stderr)
        watching = _Watching(place, asked, lake)
        try:
            asyncio.run(watching.run())
        finally:
            watching.keep()
    if watching.lake is not None:
        _tell(watching.lake)
    silent = [symbol for symbol in asked.symbols if symbol not in watching.seen]
    if silent:
        print(f"nothing came of {', '.join(silent)}: is it spelled so?", file=sys.stderr)
    return cli.PARTIAL if silent else cli.OK


class _Watching:
    """One call of the command.

    Attributes:
        seen: Symbols of which something came.
        lake: Where it goes to; None for nowhere.
    """

    def __init__(self, place: PolygonPlace, asked: Asked, lake: Lake | None) -> None:
        self._place = place
        self._asked = asked
        self._contracts: dict[str, Frame] = {}
        self._prices: dict[str, float] = {}
        self.seen: set[str] = set()
        self.lake = None if lake is None else StreamLake(lake, place.origin)
        self._kept_at = time.monotonic()

    async def run(self) -> None:
        """Show events until the time is over."""
        asked = self._asked
        tickers = [symbol for symbol in asked.symbols if len(symbol) < OCC_LENGTH]
        if asked.chain_days is not None:
            for ticker in tickers:
                await asyncio.to_thread(self._look_up, ticker, asked.chain_days)
        heal = heal_by_rest(self._place.client, now_ns=lambda: to_ns(self._place.clock()))
        settings = self._place.settings
        wanted = {market: self._channels(market) for market in ("options", "stocks", "indices")}
        if settings.business_url != settings.stream_url:
            wanted["options"], wanted[FAIR] = fair_apart(wanted["options"])
        business = settings.model_copy(update={"stream_url": settings.business_url})
        streams = {
            name: SharedStream(
                business if name == FAIR else settings,
                market="options" if name == FAIR else name,
                heal=heal,
            )
            for name, of_market in wanted.items()
            if of_market
        }
        screen = Lines(sys.stdout) if asked.json else Screen(asked.symbols)
        with screen, contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(asked.seconds),
                aclosing(merged(*(s.listen(wanted[m]) for m, s in streams.items()))) as events,
                _rolling(self, streams.get("options"), streams.get(FAIR)),
            ):
                async for event in events:
                    screen.show(event)
                    self._notice(event)
                    if self.lake and time.monotonic() - self._kept_at > KEEP_S:
                        await asyncio.to_thread(self.lake.put, self.lake.drain())
                        self._kept_at = time.monotonic()

    def keep(self) -> None:
        """Store what came since the last time.

        Raises:
            StoreError: The lake does not take it.
        """
        if self.lake:
            self.lake.put(self.lake.drain())

    def _look_up(self, ticker: str, days: int) -> None:
        """Ask for the contracts of a ticker, and where its money is.

        Raises:
            DataError: There are none.
            TradingError: Polygon does not tell.
        """
        today = self._today()
        last = today + timedelta(days=days)
        contracts = self._place.market.history.contracts(ticker, today, today, last)
        if contracts.is_empty():
            raise DataError(f"{ticker} has no contract that expires from {today} to {last}")
        self._contracts[ticker] = contracts
        with contextlib.suppress(NotEntitled):
            quotes = self._place.market.quotes([ticker])
            price = quotes.select(pl.coalesce("last", "bid", "ask")).item()
            if price:
                self._prices[ticker] = float(price)
        if ticker not in self._prices:
            middle = contracts.select(pl.col("strike").cast(pl.Float64).median())
            self._prices[ticker] = float(middle.item())

    def _today(self) -> date:
        return self._place.clock().astimezone(NEW_YORK).date()

    def _channels(self, market: str, watched: Iterable[str] = ()) -> list[Channel]:
        """Return what is wanted of a market now."""
        asked = self._asked
        named = [symbol for symbol in asked.symbols if _market_of(symbol) == market]
        first: Kind = "V" if market == "indices" else "Q"
        found = channels([first], named)
        if asked.trades and market != "indices":
            found += channels(["T"], named)
        if asked.bars:
            found += channels(["AM"], named)
        if asked.fmv and market == "options":
            found += channels(["FMV"], named)
        if market == "options" and self._contracts:
            share = (MOST_QUOTES - len(named)) // len(self._contracts)
            for ticker, contracts in self._contracts.items():
                near = roster(
                    contracts, self._prices[ticker], self._today(), most=share, watched=set(watched)
                )
                found += channels(self._of_contracts(), near)
        return list(dict.fromkeys(found))

    def _of_contracts(self) -> list[Kind]:
        """Return what is wanted of a contract near the money."""
        kinds: list[Kind] = ["Q"]
        if self._asked.trades:
            kinds.append("T")
        if self._asked.fmv:
            kinds.append("FMV")
        return kinds

    def _notice(self, event: MarketEvent) -> None:
        if self.lake:
            self.lake.take(event)
        symbol = getattr(event, "symbol", "")
        self.seen.add(symbol)
        if symbol in self._prices and isinstance(event, Quote):
            if event.bid and event.ask:
                self._prices[symbol] = (event.bid + event.ask) / 2
            elif event.last:
                self._prices[symbol] = event.last

    async def roll(self, options: SharedStream, business: SharedStream | None) -> None:
        """Let the roster follow the market, for ever."""
        while True:
            await asyncio.sleep(ROLL_S)
            watched = [channel.symbol for channel in options.watched if channel.kind == "Q"]
            wanted = self._channels("options", watched)
            if business is not None:
                wanted, fair = fair_apart(wanted)
                if set(fair) != set(business.watched):
                    await business.watch(fair)
            if set(wanted) != set(options.watched):
                await options.watch(wanted)


def _tell(lake: StreamLake) -> None:
    rows = ", ".join(f"{count:,} {table}" for table, count in sorted(lake.stored.items()))
    print(f"stored in the lake at {lake.lake.place.shown}: {rows or 'nothing'}", file=sys.stderr)
    for file in sorted(lake.flat, key=lambda each: each.key):
        print(f"{file.table} of {file.underlying}: the rows of the flat file stay", file=sys.stderr)


def fair_apart(wanted: list[Channel]) -> tuple[list[Channel], list[Channel]]:
    """Return what the common socket tells, and fair values, which that of business plans tells."""
    fair = [channel for channel in wanted if channel.kind == "FMV"]
    return [channel for channel in wanted if channel.kind != "FMV"], fair


@contextlib.asynccontextmanager
async def _rolling(
    watching: _Watching, options: SharedStream | None, business: SharedStream | None
) -> AsyncIterator[None]:
    """Roll the roster for the time of the block."""
    task = asyncio.create_task(watching.roll(options, business)) if options else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _market_of(symbol: str) -> str:
    if len(symbol) == OCC_LENGTH:
        return "options"
    return "indices" if symbol in INDICES else "stocks"
