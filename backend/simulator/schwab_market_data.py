"""The ten operations of Schwab's Market Data API v1, from parameters to JSON bodies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from models.errors import BadSymbol
from models.options import OptionContract
from simulator import parameters
from simulator import schwab_facts as facts
from simulator.chain_query import ChainQuery
from simulator.wire_chains import ChainScene, chain_reply, expirations_reply, failed_reply
from simulator.wire_errors import bad_request, no_symbols, not_found, too_big_body
from simulator.wire_history import HistoryQuery, history_reply
from simulator.wire_hours import MARKETS, hours_reply
from simulator.wire_instruments import PROJECTIONS, cusip_reply, instruments_reply
from simulator.wire_movers import (
    FREQUENCIES,
    OPTION_UNIVERSES,
    SORTS,
    UNIVERSES,
    movers_reply,
)
from simulator.wire_quotes import FIELDS, option_quote, underlying_quote
from simulator.wire_symbols import find, is_option
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from simulator.world import World
    from utils.clock import Clock

_LAST_EXPIRATION = date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class MarketData:
    """The ten operations; each takes path and query parameters and returns a JSON body.

    What Schwab would refuse raises `Refusal`.

    Attributes:
        world: The market.
        clock: Market time.
    """

    world: World
    clock: Clock

    def quotes(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/quotes`; unknown symbols are listed beside the known ones."""
        fields = parameters.words(query, "fields", FIELDS)
        parameters.boolean(query, "indicative")
        symbols = [part.strip(" ") for part in query.get("symbols", "").split(",")]
        symbols = list(dict.fromkeys(symbol for symbol in symbols if symbol))
        if not symbols:
            raise no_symbols()
        if len(symbols) > facts.MAX_SYMBOLS_PER_QUOTE:
            detail = f"Search combination should not exceed {facts.MAX_SYMBOLS_PER_QUOTE}."
            raise bad_request(detail, "symbols")
        found = self._quoted(symbols, fields)
        invalid = [symbol for symbol in symbols if symbol not in found]
        if invalid:
            found["errors"] = {"invalidSymbols": invalid}
        return msgspec.json.encode(found)

    def quote(self, path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/{symbol_id}/quotes`."""
        fields = parameters.words(query, "fields", FIELDS)
        found = self._quoted([path["symbol_id"]], fields)
        if not found:
            raise not_found()
        return msgspec.json.encode(found)

    def chains(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/chains`."""
        wanted = ChainQuery.read(query)
        now = self.clock()
        instrument = find(self.world, wanted.symbol)
        quote = self.world.quote(instrument.symbol, now) if instrument else None
        if instrument is None or quote is None:
            return failed_reply(wanted)
        rate = round(float(np.expm1(self.world.interest_rate(now))) * 100, 3)
        scene = ChainScene(instrument, quote, now, rate)
        chain = self.world.chain(
            instrument.symbol,
            now,
            wanted.first or now.astimezone(NEW_YORK).date(),
            wanted.last or _LAST_EXPIRATION,
        )
        body = chain_reply(wanted.choose(chain, scene.price), wanted, scene)
        if len(body) > facts.MAX_CHAIN_BYTES:
            raise too_big_body()
        return body

    def expiration_chain(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/expirationchain`."""
        now = self.clock()
        instrument = find(self.world, parameters.text(query, "symbol"))
        if instrument is None:
            raise not_found()
        today = now.astimezone(NEW_YORK).date()
        chain = self.world.chain(instrument.symbol, now, today, _LAST_EXPIRATION)
        return msgspec.json.encode(expirations_reply(chain, now))

    def price_history(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/pricehistory`."""
        wanted = HistoryQuery.read(query)
        instrument = find(self.world, wanted.symbol)
        return msgspec.json.encode(history_reply(self.world, instrument, wanted, self.clock()))

    def movers(self, path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/movers/{symbol_id}`; the frequency is checked and changes nothing."""
        universe = path["symbol_id"]
        if universe not in UNIVERSES and universe not in OPTION_UNIVERSES:
            raise not_found()
        sort = parameters.choice(query, "sort", SORTS, "VOLUME")
        parameters.choice(query, "frequency", FREQUENCIES, "0")
        return msgspec.json.encode(movers_reply(self.world, universe, sort, self.clock()))

    def markets(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/markets`."""
        parameters.text(query, "markets")
        markets = parameters.words(query, "markets", MARKETS)
        return msgspec.json.encode(hours_reply(markets, self._hours_day(query)))

    def market(self, path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/markets/{market_id}`."""
        market = parameters.choice(path, "market_id", MARKETS, "")
        return msgspec.json.encode(hours_reply([market], self._hours_day(query)))

    def instruments(self, _path: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """Answer `/instruments`."""
        symbol = parameters.text(query, "symbol")
        parameters.text(query, "projection")
        projection = parameters.choice(query, "projection", PROJECTIONS, "")
        return msgspec.json.encode(instruments_reply(self.world, symbol, projection, self.clock()))

    def instrument(self, path: Mapping[str, str], _query: Mapping[str, str]) -> bytes:
        """Answer `/instruments/{cusip_id}`."""
        return msgspec.json.encode(cusip_reply(self.world, path["cusip_id"]))

    def _hours_day(self, query: Mapping[str, str]) -> date:
        today = self.clock().astimezone(NEW_YORK).date()
        day = parameters.day(query, "date") or today
        if not today <= day <= today + timedelta(days=facts.MARKETS_DAYS_AHEAD):
            raise bad_request("date must be from today to a year ahead", "date")
        return day

    def _quoted(self, symbols: list[str], fields: list[str]) -> dict[str, Any]:
        """Return the quotes of those symbols that the world knows, in the order given."""
        now = self.clock()
        chain_of = cache(lambda ticker, day: self.world.chain(ticker, now, day, day))
        found: dict[str, Any] = {}
        for symbol in symbols:
            quoted = (
                self._option(symbol, fields, now, chain_of)
                if is_option(symbol)
                else self._underlying(symbol, fields, now)
            )
            if quoted is not None:
                found[symbol] = quoted
        return found

    def _underlying(self, symbol: str, fields: list[str], now: datetime) -> dict[str, Any] | None:
        instrument = find(self.world, symbol)
        quote = self.world.quote(instrument.symbol, now) if instrument else None
        if instrument is None or quote is None:
            return None
        return underlying_quote(instrument, quote, now, fields)

    def _option(
        self,
        symbol: str,
        fields: list[str],
        now: datetime,
        chain_of: Callable[[str, date], pl.DataFrame],
    ) -> dict[str, Any] | None:
        try:
            contract = OptionContract.from_occ(symbol)
        except BadSymbol:
            return None
        instrument = self.world.instrument(contract.underlying)
        quote = self.world.quote(contract.underlying, now) if instrument else None
        if instrument is None or quote is None:
            return None
        chain = chain_of(contract.underlying, contract.expiration)
        rows = chain.filter(pl.col("occ_symbol") == symbol)
        if rows.is_empty():
            return None
        return option_quote(rows.row(0, named=True), instrument, round(quote.mark, 4), now, fields)
