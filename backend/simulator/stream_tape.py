"""What the streamer tells of the market at one moment, asked of the world once for all clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from models.errors import BadSymbol
from models.options import OptionContract
from models.schwab_fields import BOOKS, SCREENERS, Service
from simulator import stream_facts as facts
from simulator.stream_depth import Top, book_values
from simulator.stream_level_one import OPTION_HEAD, equity_head, equity_values, option_values
from simulator.stream_wire import Item, Texts
from simulator.wire_movers import OPTION_UNIVERSES, SCREENER_SORTS, UNIVERSES, screener_items
from simulator.wire_quotes import milliseconds
from simulator.wire_symbols import find, is_option
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date

    from simulator.world import Instrument, UnderlyingQuote, World

_MINUTE = timedelta(minutes=1)
_MOST_BARS = timedelta(hours=8)
"""After a jump of the clock, older bars than these are left out."""
_CHART_OPEN_HOUR = 7
_FEW_EXPIRATIONS = 2


@dataclass(slots=True)
class Moment:
    """Everything that any client has asked for, at one market time.

    Attributes:
        items: By service and key; what is not there has nothing to tell.
        bars: Complete minute bars by key, oldest first, as fields of CHART_EQUITY.
        texts: Their encodings.
    """

    items: dict[tuple[Service, str], Item] = field(default_factory=dict)
    bars: dict[str, list[dict[int, Any]]] = field(default_factory=dict)
    texts: Texts = field(default_factory=Texts)


class Tape:
    """Reads a world for the streamer; one thread at a time.

    Args:
        world: The market.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._at: datetime | None = None
        self._kept: dict[tuple[Service, str], Item] = {}
        self._charted_at: datetime | None = None
        self._charts: dict[str, list[dict[int, Any]]] = {}
        self._chart_since: datetime | None = None
        self._screened_s = 0.0
        self._screens: dict[tuple[Service, str], Item] = {}

    def moment(
        self, wants: Mapping[Service, Collection[str]], now: datetime, wall_s: float
    ) -> Moment:
        """Return what there is to tell now.

        Args:
            wants: Keys by service.
            now: Market time, not before that of an earlier call.
            wall_s: Wall time in seconds: screeners are made anew every few of them.
        """
        scene, moment = _Scene(self._world, now), Moment()
        slots = {(service, key) for service, keys in wants.items() for key in keys}
        if now == self._at:  # of a market that stands still, nothing is asked twice
            moment.items = {slot: item for slot, item in self._kept.items() if slot in slots}
        missing = {
            service: [key for key in keys if (service, key) not in moment.items]
            for service, keys in wants.items()
        }
        for service, key, values, head in self._told(missing, scene):
            before = self._kept.get((service, key))
            same = before is not None and before.values == values
            moment.items[service, key] = before if before and same else Item(key, values, head)
        self._at, self._kept = now, dict(moment.items)
        self._screen(wants, moment, now, wall_s)
        self._chart(wants.get(Service.CHART_EQUITY, ()), moment, now)
        return moment

    def _told(
        self, wants: Mapping[Service, Collection[str]], scene: _Scene
    ) -> Iterator[tuple[Service, str, dict[int, Any], Mapping[str, Any]]]:
        equities = Service.LEVELONE_EQUITIES
        for key in wants.get(equities, ()):
            if known := scene.underlying(key):
                yield equities, key, equity_values(*known, scene.now), equity_head(known[0])
        options = Service.LEVELONE_OPTIONS
        books = wants.get(Service.OPTIONS_BOOK, ())
        contracts = scene.contracts({*wants.get(options, ()), *books})
        for key in wants.get(options, ()):
            if key in contracts:
                row, instrument, price = contracts[key]
                yield options, key, option_values(row, instrument, price, scene.now), OPTION_HEAD
        for service in BOOKS:
            for key in wants.get(service, ()):
                top = (
                    _option_top(contracts[key][0]) if key in contracts else scene.top(key, service)
                )
                if top:
                    yield service, key, book_values(top, facts.BOOK_MAKERS[service]), {}

    def _screen(
        self,
        wants: Mapping[Service, Collection[str]],
        moment: Moment,
        now: datetime,
        wall_s: float,
    ) -> None:
        wanted = {(service, key) for service in SCREENERS for key in wants.get(service, ())}
        if wall_s - self._screened_s >= facts.SCREENER_S:
            self._screened_s = wall_s
            self._screens = {}
        for service, key in wanted - set(self._screens):
            values = _screened(self._world, service, key, now)
            if values:
                self._screens[service, key] = Item(key, values)
        moment.items |= {slot: item for slot, item in self._screens.items() if slot in wanted}

    def _chart(self, keys: Collection[str], moment: Moment, now: datetime) -> None:
        end = now.astimezone(UTC).replace(second=0, microsecond=0)
        if end != self._charted_at:
            self._chart_since = max(self._charted_at or end, end - _MOST_BARS)
            self._charted_at = end
            self._charts = {}
        for key in keys:
            if key not in self._charts:
                instrument = find(self._world, key)
                since = self._chart_since or end
                self._charts[key] = self._bars(instrument, since, end) if instrument else []
            moment.bars[key] = self._charts[key]

    def _bars(self, instrument: Instrument, since: datetime, end: datetime) -> list[dict[int, Any]]:
        """Return the bars that are complete at `end`, one at least if there is any in a week."""
        start = min(since, end) - 2 * _MINUTE
        found = self._world.bars(instrument.symbol, start, end, "1m")
        if found.is_empty():
            found = self._world.bars(instrument.symbol, end - timedelta(days=5), end, "1m").tail(1)
        return [_bar(row) for row in found.iter_rows(named=True)]


class _Scene:
    """The world at one time, each thing asked of it once."""

    def __init__(self, world: World, now: datetime) -> None:
        self.now = now
        self._world = world
        self._underlyings: dict[str, tuple[Instrument, UnderlyingQuote] | None] = {}

    def underlying(self, key: str) -> tuple[Instrument, UnderlyingQuote] | None:
        """Return what a key in Schwab's spelling names, and its quote."""
        if key not in self._underlyings:
            instrument = find(self._world, key)
            quote = self._world.quote(instrument.symbol, self.now) if instrument else None
            self._underlyings[key] = (instrument, quote) if instrument and quote else None
        return self._underlyings[key]

    def top(self, key: str, service: Service) -> Top | None:
        """Return the best bid and offer of a listing that a book service carries."""
        known = self.underlying(key) if service is not Service.OPTIONS_BOOK else None
        if known is None:
            return None
        instrument, quote = known
        on_nasdaq = instrument.exchange == "Q"
        if instrument.asset_type == "INDEX" or on_nasdaq != (service is Service.NASDAQ_BOOK):
            return None
        sizes = quote.bid_size, quote.ask_size
        return Top(key, quote.bid, quote.ask, *sizes, quote.quote_at, is_option=False)

    def contracts(
        self, keys: Collection[str]
    ) -> dict[str, tuple[dict[str, Any], Instrument, float]]:
        """Return the chain's row, the underlying and its price of those keys that are listed."""
        wanted: dict[str, dict[date, list[str]]] = {}
        for key in keys:
            if contract := _contract(key):
                days = wanted.setdefault(contract.underlying, {})
                days.setdefault(contract.expiration, []).append(key)
        found = {}
        for underlying, days in wanted.items():
            instrument = self._world.instrument(underlying)
            quote = self._world.quote(underlying, self.now) if instrument else None
            if instrument is None or quote is None:
                continue
            price = round(quote.mark, 4)
            for row in self._rows(underlying, days):
                found[row["occ_symbol"]] = (row, instrument, price)
        return found

    def _rows(
        self, underlying: str, days: Mapping[date, Collection[str]]
    ) -> Iterator[dict[str, Any]]:
        spans = [(day, day) for day in days]
        if len(days) > _FEW_EXPIRATIONS:  # one question for all between the first and the last
            spans = [(min(days), max(days))]
        symbols = [key for keys in days.values() for key in keys]
        for first, last in spans:
            chain = self._world.chain(underlying, self.now, first, last)
            yield from chain.filter(pl.col("occ_symbol").is_in(symbols)).iter_rows(named=True)


def _contract(key: str) -> OptionContract | None:
    if not is_option(key):
        return None
    try:
        return OptionContract.from_occ(key)
    except BadSymbol:
        return None


def _option_top(row: Mapping[str, Any]) -> Top:
    return Top(
        row["occ_symbol"],
        row["bid"],
        row["ask"],
        row["bid_size"] or 0,
        row["ask_size"] or 0,
        row["quote_at"],
        is_option=True,
    )


def _bar(row: Mapping[str, Any]) -> dict[int, Any]:
    """Return a bar as fields of CHART_EQUITY; its sequence counts the minutes since 07:00."""
    local = row["ts"].astimezone(NEW_YORK)
    day = local.date()
    return {
        1: (local.hour - _CHART_OPEN_HOUR) * 60 + local.minute,
        2: row["open"],
        3: row["high"],
        4: row["low"],
        5: row["close"],
        6: float(row["volume"]),
        7: milliseconds(row["ts"]),
        8: (day - _FIRST_DAY).days,
    }


_FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC).date()


def _screened(world: World, service: Service, key: str, now: datetime) -> dict[int, Any] | None:
    """Return the fields of a screener; None for a key that is none, which stays silent."""
    universes = UNIVERSES if service is Service.SCREENER_EQUITY else OPTION_UNIVERSES
    rest, _, frequency = key.rpartition("_")
    for universe in universes:
        sort = rest.removeprefix(f"{universe}_")
        if sort in SCREENER_SORTS and sort != rest and frequency in facts.SCREENER_FREQUENCIES:
            return {
                1: milliseconds(now),
                2: sort,
                3: int(frequency),
                4: screener_items(world, universe, sort, now),
            }
    return None
