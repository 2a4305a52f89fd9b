"""The last known state of one streamed instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from models.events import Quote
from models.schwab_fields import FIELDS, LEVEL_ONE, Service
from models.symbols import OCC_LENGTH, schwab_ticker, underlying_of_schwab_ticker

if TYPE_CHECKING:
    from collections.abc import Mapping

NS_PER_MS = 1_000_000

HALTED = "Halted"
"""`security_status` of an instrument that does not trade for now; others are Normal and Closed."""

LATEST_MS = 4_102_444_800_000
"""2100: a time beyond it is none."""

LARGEST_SIZE = 2**53


class _Columns(NamedTuple):
    bid: str
    ask: str
    bid_size: str
    ask_size: str
    last: str
    mark: str
    volume: str
    quote_time: str
    trade_time: str
    security_status: str


def _columns(service: Service) -> _Columns:
    numbers = {field.name: str(field.number) for field in FIELDS[service]}
    return _Columns(*(numbers[name] for name in _Columns._fields))


_COLUMNS = {service: _columns(service) for service in LEVEL_ONE}
_NAMES = {
    service: {str(field.number): field.name for field in FIELDS[service]} for service in LEVEL_ONE
}


class QuoteState:
    """What is known of one instrument, every change merged.

    Attributes:
        symbol: Ours: an OCC symbol, QQQ, SPX, /ESZ26.
        service: Which service tells it.
        fields: Values by the numbers of `models.schwab_fields`, as text.
        since_ms: The server's time of the first update: stands in where no quote time is told.
    """

    __slots__ = ("_columns", "fields", "service", "since_ms", "symbol")

    def __init__(self, service: Service, item: Mapping[str, Any], since_ms: int) -> None:
        self.symbol = symbol_of(service, item["key"])
        self.service = service
        self.fields = dict(item)
        self.since_ms = since_ms
        self._columns = _COLUMNS[service]

    def quote(self) -> Quote:
        """Return the newest quote. A price of 0 with a size of 0 is none, a last price of 0 too."""
        get = self.fields.get
        n_bid, n_ask, n_bid_size, n_ask_size, n_last, n_mark, n_volume, n_time, _, n_status = (
            self._columns
        )
        bid, ask, time_ms = get(n_bid), get(n_ask), get(n_time)
        bid_size, ask_size, volume = get(n_bid_size), get(n_ask_size), get(n_volume)
        # Checked in place: a million quotes a second leave no time for calls that change nothing.
        if type(bid_size) is not int or not 0 <= bid_size < LARGEST_SIZE:
            bid_size = _size(bid_size)
        if type(ask_size) is not int or not 0 <= ask_size < LARGEST_SIZE:
            ask_size = _size(ask_size)
        if type(volume) is not int or not 0 <= volume < LARGEST_SIZE:
            volume = _size(volume)
        if type(time_ms) is not int or not 0 < time_ms < LATEST_MS:
            time_ms = _time(time_ms) or _time(get(self._columns.trade_time)) or self.since_ms
        return Quote(
            symbol=self.symbol,
            time_ns=time_ms * NS_PER_MS,
            bid=bid or (bid if bid_size else None),
            ask=ask or (ask if ask_size else None),
            bid_size=bid_size,
            ask_size=ask_size,
            last=get(n_last) or None,
            mark=get(n_mark),
            volume=volume,
            delayed=get("delayed") is True,
            halted=get(n_status) == HALTED,
        )

    def named(self) -> dict[str, Any]:
        """Return every known value by our names: greeks, volatility (percent), open interest ..."""
        names = _NAMES[self.service]
        return {names[number]: value for number, value in self.fields.items() if number in names}


def _size(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value < LARGEST_SIZE else None


def _time(value: float | None) -> int:
    return int(value) if value is not None and 0 < value < LATEST_MS else 0


def service_of(symbol: str) -> Service:
    """Return which level-one service tells a symbol of ours."""
    if symbol.startswith("./"):
        return Service.LEVELONE_FUTURES_OPTIONS
    if symbol.startswith("/"):
        return Service.LEVELONE_FUTURES
    if len(symbol) == OCC_LENGTH:
        return Service.LEVELONE_OPTIONS
    return Service.LEVELONE_EQUITIES


def key_of(service: Service, symbol: str) -> str:
    """Return the streamer's key of a symbol of ours: SPX -> $SPX, BRK.B -> BRK/B."""
    return schwab_ticker(symbol) if service in _TICKERS and len(symbol) < OCC_LENGTH else symbol


def symbol_of(service: Service, key: str) -> str:
    """Return our symbol of a streamer's key."""
    return underlying_of_schwab_ticker(key) if service in _TICKERS else key


_TICKERS = frozenset(
    {
        Service.LEVELONE_EQUITIES,
        Service.CHART_EQUITY,
        Service.NYSE_BOOK,
        Service.NASDAQ_BOOK,
    }
)
