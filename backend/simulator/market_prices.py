"""What the simulator's accounts see of the world: quotes by symbol, asked once a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from models.events import Quote
from models.options import OptionContract
from models.symbols import OCC_LENGTH

if TYPE_CHECKING:
    from datetime import date, datetime

    from simulator.world import Instrument, UnderlyingQuote, World

NANOSECONDS = 1_000_000_000


def nanoseconds(moment: datetime) -> int:
    """Return nanoseconds since 1970, of whole microseconds."""
    return int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1000


class Prices:
    """The newest quotes of a world; what was asked for one moment is kept until the next."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now: datetime | None = None
        self._underlyings: dict[str, UnderlyingQuote | None] = {}
        self._chains: dict[tuple[str, date], pl.DataFrame] = {}

    def instrument(self, symbol: str) -> Instrument | None:
        """Return the underlying of an OCC symbol, or what a ticker names; None when unknown."""
        return self._world.instrument(underlying_of(symbol))

    def underlying(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        """Return the quote of a ticker; None when the world has none."""
        self._turn_to(now)
        if ticker not in self._underlyings:
            known = self._world.instrument(ticker) is not None
            self._underlyings[ticker] = self._world.quote(ticker, now) if known else None
        return self._underlyings[ticker]

    def contract(self, occ_symbol: str, now: datetime) -> dict[str, Any] | None:
        """Return a contract's row of the chain; None when it is not listed."""
        self._turn_to(now)
        contract = OptionContract.from_occ(occ_symbol)
        key = contract.underlying, contract.expiration
        if key not in self._chains:
            known = self._world.instrument(contract.underlying) is not None
            self._chains[key] = (
                self._world.chain(key[0], now, key[1], key[1]) if known else pl.DataFrame()
            )
        chain = self._chains[key]
        if chain.is_empty():
            return None
        rows = chain.filter(pl.col("occ_symbol") == occ_symbol)
        return None if rows.is_empty() else rows.row(0, named=True)

    def quote(self, symbol: str, now: datetime) -> Quote | None:
        """Return the quote of an OCC symbol or a ticker as the engine reads it."""
        at = nanoseconds(now)
        if len(symbol) == OCC_LENGTH:
            row = self.contract(symbol, now)
            if row is None:
                return None
            return Quote(
                symbol=symbol,
                time_ns=at,
                bid=row["bid"],
                ask=row["ask"],
                bid_size=row["bid_size"],
                ask_size=row["ask_size"],
                last=row["last"],
                mark=row["mark"],
                volume=row["volume"],
            )
        found = self.underlying(symbol, now)
        if found is None:
            return None
        return Quote(
            symbol=symbol,
            time_ns=at,
            bid=found.bid,
            ask=found.ask,
            bid_size=found.bid_size,
            ask_size=found.ask_size,
            last=found.last,
            mark=round(found.mark, 6),
            volume=found.volume,
        )

    def _turn_to(self, now: datetime) -> None:
        if now != self._now:
            self._now = now
            self._underlyings.clear()
            self._chains.clear()


def underlying_of(symbol: str) -> str:
    """Return the underlying of an OCC symbol; a ticker is its own."""
    return OptionContract.from_occ(symbol).underlying if len(symbol) == OCC_LENGTH else symbol
