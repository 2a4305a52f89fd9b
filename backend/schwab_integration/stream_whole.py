"""Services that tell whole things: bars, books, screeners; and the account's messages undecoded."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from models.events import Bar, Book, BookLevel, Screen, ScreenRow
from models.schwab_fields import Service
from schwab_integration.stream_repair import Misfits, tally
from schwab_integration.stream_state import LATEST_MS, NS_PER_MS, symbol_of
from schwab_integration.stream_wire import Activity

if TYPE_CHECKING:
    from collections.abc import Iterator

_BARS_REMEMBERED = 20
_LARGEST = 2**62


class _WireBar(msgspec.Struct):
    """Of equities: see `CHART_EQUITY_FIELDS`."""

    key: str
    open: float = msgspec.field(name="2")
    high: float = msgspec.field(name="3")
    low: float = msgspec.field(name="4")
    close: float = msgspec.field(name="5")
    volume: float = msgspec.field(name="6")
    time_ms: int = msgspec.field(name="7")
    seq: int = 0


class _WireFuturesBar(msgspec.Struct):
    key: str
    time_ms: int = msgspec.field(name="1")
    open: float = msgspec.field(name="2")
    high: float = msgspec.field(name="3")
    low: float = msgspec.field(name="4")
    close: float = msgspec.field(name="5")
    volume: float = msgspec.field(name="6")
    seq: int = 0


class _WireMaker(msgspec.Struct):
    maker_id: str = msgspec.field(name="0")
    size: int = msgspec.field(name="1")


class _WireLevel(msgspec.Struct):
    price: float = msgspec.field(name="0")
    size: int = msgspec.field(name="1", default=0)
    makers: list[_WireMaker] = msgspec.field(name="3", default_factory=list)


class _WireBook(msgspec.Struct):
    key: str
    time_ms: int = msgspec.field(name="1", default=0)
    bids: list[_WireLevel] = msgspec.field(name="2", default_factory=list)
    asks: list[_WireLevel] = msgspec.field(name="3", default_factory=list)


class _WireRow(msgspec.Struct, rename="camel"):
    symbol: str
    description: str = ""
    last_price: float | None = None
    net_change: float | None = None
    net_percent_change: float | None = None
    market_share: float | None = None
    total_volume: int | None = None
    volume: int | None = None
    trades: int | None = None


class _WireScreen(msgspec.Struct):
    key: str
    time_ms: int = msgspec.field(name="1", default=0)
    rows: list[_WireRow] = msgspec.field(name="4", default_factory=list)


_WIRE: dict[Service, Any] = {
    Service.CHART_EQUITY: _WireBar,
    Service.CHART_FUTURES: _WireFuturesBar,
    Service.NYSE_BOOK: _WireBook,
    Service.NASDAQ_BOOK: _WireBook,
    Service.OPTIONS_BOOK: _WireBook,
    Service.SCREENER_EQUITY: _WireScreen,
    Service.SCREENER_OPTION: _WireScreen,
    Service.ACCT_ACTIVITY: Activity,
}
_LISTS: dict[Service, Any] = {
    service: msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
    for service, kind in _WIRE.items()
}
_ITEMS = {service: msgspec.json.Decoder(kind) for service, kind in _WIRE.items()}
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class WholeReader:
    """Reads the batches that are not level one; drops bars that a newer version overtook."""

    def __init__(self, misfits: Misfits) -> None:
        self._misfits = misfits
        self._bars: dict[str, OrderedDict[int, int]] = {}

    def begin(self) -> None:
        """Forget the sequence numbers of the connection before: they start anew."""
        self._bars.clear()

    def read(self, service: Service, content: msgspec.Raw) -> Iterator[Any]:
        """Yield the `Bar`, `Book`, `Screen` or `Activity` values of a batch."""
        for item in self._items(service, content):
            if isinstance(item, Activity):
                yield item
            elif not _sensible(item.time_ms):
                tally(self._misfits.items, service)
            elif isinstance(item, _WireBar | _WireFuturesBar):
                if self._is_new(item):
                    yield _bar(service, item)
            elif isinstance(item, _WireBook):
                yield _book(service, item)
            else:
                yield _screen(item)

    def _items(self, service: Service, content: msgspec.Raw) -> list[Any]:
        try:
            found: list[Any] = _LISTS[service].decode(content)
        except (msgspec.DecodeError, UnicodeError):
            return list(self._one_by_one(service, content))
        return found

    def _one_by_one(self, service: Service, content: msgspec.Raw) -> Iterator[Any]:
        try:
            raws = _RAWS.decode(content)
        except (msgspec.DecodeError, UnicodeError):
            raws = [content]
        for raw in raws:
            try:
                yield _ITEMS[service].decode(raw)
            except (msgspec.DecodeError, UnicodeError):
                tally(self._misfits.items, service)

    def _is_new(self, bar: _WireBar | _WireFuturesBar) -> bool:
        """Say whether no equal or newer version of this bar was here already."""
        known = self._bars.setdefault(bar.key, OrderedDict())
        if known.get(bar.time_ms, -1) >= bar.seq:
            return False
        known[bar.time_ms] = bar.seq
        if len(known) > _BARS_REMEMBERED:
            known.popitem(last=False)
        return True


def _sensible(time_ms: int) -> bool:
    return 0 <= time_ms < LATEST_MS


def _whole(size: int | None) -> int | None:
    return size if size is not None and abs(size) < _LARGEST else None


def _bar(service: Service, wire: _WireBar | _WireFuturesBar) -> Bar:
    return Bar(
        symbol=symbol_of(service, wire.key),
        time_ns=wire.time_ms * NS_PER_MS,
        interval_s=60,
        open=wire.open,
        high=wire.high,
        low=wire.low,
        close=wire.close,
        volume=wire.volume,
    )


def _book(service: Service, wire: _WireBook) -> Book:
    return Book(
        symbol=symbol_of(service, wire.key),
        venue=service.value,
        time_ns=wire.time_ms * NS_PER_MS,
        bids=tuple(map(_level, wire.bids)),
        asks=tuple(map(_level, wire.asks)),
    )


def _level(wire: _WireLevel) -> BookLevel:
    makers = tuple((maker.maker_id, _whole(maker.size) or 0) for maker in wire.makers)
    return BookLevel(wire.price, _whole(wire.size) or 0, makers)


def _screen(wire: _WireScreen) -> Screen:
    rows = tuple(
        ScreenRow(
            symbol=row.symbol,
            description=row.description,
            last=row.last_price,
            net_change=row.net_change,
            net_change_fraction=row.net_percent_change,
            market_share=row.market_share,
            total_volume=_whole(row.total_volume),
            volume=_whole(row.volume),
            trades=_whole(row.trades),
        )
        for row in wire.rows
    )
    return Screen(key=wire.key, time_ns=wire.time_ms * NS_PER_MS, rows=rows)
