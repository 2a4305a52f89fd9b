"""Frames of Polygon's WebSockets from bytes to events (pure).

A frame is a JSON array whose objects name their kind in `ev`; status messages and data of several
channels are mixed in one. Times on the wire are milliseconds, of FMV on options nanoseconds.
Source: polygon_contract, section 5.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import msgspec

from models.errors import BadSymbol
from models.events import Bar, MarketEvent, Quote, TradeTick
from models.options import OptionContract
from models.symbols import underlying_of_polygon_ticker

_NS_OF_MS = 1_000_000
_LATEST_MS = 9_000_000_000_000
"""Any larger number is no time of milliseconds: FMV and LV are documented in nanoseconds, and seen
in milliseconds."""

_Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000_000_000)]
_Size: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Status(msgspec.Struct, frozen=True, tag_field="ev", tag="status"):
    """What the server says of the connection.

    Attributes:
        status: connected, auth_success, auth_failed, success, error, max_connections, ...
        message: For people.
    """

    status: str = ""
    message: str = ""


class _Trade(msgspec.Struct, frozen=True, tag_field="ev", tag="T"):
    sym: str
    p: float
    s: _Size
    t: _Time
    c: list[int] = []


class _Quote(msgspec.Struct, frozen=True, tag_field="ev", tag="Q"):
    sym: str
    t: _Time
    bp: float | None = None
    ap: float | None = None
    bs: _Size | None = None
    as_: _Size | None = msgspec.field(default=None, name="as")


class _Second(msgspec.Struct, frozen=True, tag_field="ev", tag="A"):
    sym: str
    o: float
    h: float
    l: float  # noqa: E741 - the wire's name
    c: float
    s: _Time
    e: _Time
    v: _Size = 0.0


class _Minute(_Second, frozen=True, tag_field="ev", tag="AM"):
    pass


class _FairValue(msgspec.Struct, frozen=True, tag_field="ev", tag="FMV"):
    sym: str
    fmv: float
    t: _Time


class _Value(msgspec.Struct, frozen=True, tag_field="ev", tag="V"):
    T: str
    val: float
    t: _Time


_Wire: TypeAlias = Status | _Trade | _Quote | _Second | _Minute | _FairValue | _Value
_FRAME = msgspec.json.Decoder(list[_Wire])
_ONE = msgspec.json.Decoder(_Wire)
_PIECES = msgspec.json.Decoder(list[msgspec.Raw])
_KIND = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class StreamReader:
    """Reads frames of one connection and counts what it cannot use.

    Attributes:
        unusable: How often each kind of message could not be read or is of no use, by its `ev`.
    """

    unusable: Counter[str] = field(default_factory=Counter)
    _symbols: dict[str, str | None] = field(default_factory=dict)

    def read(self, frame: bytes) -> list[MarketEvent | Status]:
        """Return what a frame tells, in its order; nothing in it is fatal."""
        try:
            found: list[_Wire] = _FRAME.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found = self._piecemeal(frame)
        events = (self._event(message) for message in found)
        return [event for event in events if event is not None]

    def _piecemeal(self, frame: bytes) -> list[_Wire]:
        """Read what can be read of a frame in which something cannot."""
        try:
            pieces = _PIECES.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.unusable["no array"] += 1
            return []
        found: list[_Wire] = []
        for piece in pieces:
            try:
                found.append(_ONE.decode(piece))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.unusable[_kind(piece)] += 1
        return found

    def _event(self, message: _Wire) -> MarketEvent | Status | None:  # noqa: PLR0911 - a kind each
        if isinstance(message, Status):
            return message
        symbol = self._symbol(message.T if isinstance(message, _Value) else message.sym)
        if symbol is None:
            return None
        match message:
            case _Quote():
                return _quote(symbol, message)
            case _Trade():
                time_ns = message.t * _NS_OF_MS
                return TradeTick(
                    symbol=symbol,
                    time_ns=time_ns,
                    price=message.p,
                    size=message.s,
                    conditions=tuple(message.c),
                )
            case _Second():
                return _bar(symbol, message)
            case _FairValue():
                return Quote(symbol=symbol, time_ns=_either(message.t), mark=message.fmv)
            case _Value():
                return Quote(symbol=symbol, time_ns=_either(message.t), last=message.val)

    def _symbol(self, ticker: str) -> str | None:
        """Return the house's spelling of a ticker, or None where an option's is malformed."""
        if ticker not in self._symbols:
            self._symbols[ticker] = symbol_of(ticker)
        symbol = self._symbols[ticker]
        if symbol is None:
            self.unusable["symbol"] += 1
        return symbol


def symbol_of(ticker: str) -> str | None:
    """Return the OCC symbol of `O:...`, the underlying of `I:...`, or the ticker itself."""
    if not ticker.startswith("O:"):
        return underlying_of_polygon_ticker(ticker)
    try:
        return OptionContract.from_polygon(ticker).occ_symbol
    except BadSymbol:
        return None


def _quote(symbol: str, message: _Quote) -> Quote:
    bid, bid_size = _side(message.bp, message.bs)
    ask, ask_size = _side(message.ap, message.as_)
    return Quote(
        symbol=symbol,
        time_ns=message.t * _NS_OF_MS,
        bid=bid,
        ask=ask,
        bid_size=bid_size,
        ask_size=ask_size,
    )


def _side(price: float | None, size: float | None) -> tuple[float | None, int | None]:
    """Return a side of a quote; 0 times 0 is no side."""
    whole = None if size is None else round(size)
    return (price, whole) if price or whole else (None, None)


def _bar(symbol: str, message: _Second) -> Bar:
    return Bar(
        symbol=symbol,
        time_ns=message.s * _NS_OF_MS,
        interval_s=60 if isinstance(message, _Minute) else 1,
        open=message.o,
        high=message.h,
        low=message.l,
        close=message.c,
        volume=message.v,
    )


def _either(time: int) -> int:
    """Return nanoseconds of a time that may be in milliseconds."""
    return time * _NS_OF_MS if time <= _LATEST_MS else time


def _kind(piece: msgspec.Raw) -> str:
    try:
        return str(msgspec.json.decode(_KIND.decode(piece)["ev"]))[:20]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        return "no kind"
