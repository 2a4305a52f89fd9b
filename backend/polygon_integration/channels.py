"""What can be subscribed to on Polygon's WebSockets (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from models.errors import DataError
from models.symbols import OCC_LENGTH, polygon_ticker_of_underlying
from polygon_integration.roster import MOST_QUOTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["T", "Q", "A", "AM", "FMV", "V"]
"""T trades, Q quotes, A bars of a second, AM of a minute, FMV fair values, V values of indices."""

EVERY: Final = "*"
"""All symbols of a market; not to be had for quotes."""

_LISTED_ALONE: Final = frozenset({"Q", "FMV"})
"""Kinds without a wildcard and with at most `MOST_QUOTES` symbols a connection."""


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One kind of events of one symbol.

    Attributes:
        kind: Which events.
        symbol: OCC symbol, underlying, or `EVERY`.
    """

    kind: Kind
    symbol: str

    @property
    def ticker(self) -> str:
        """Polygon's spelling of the symbol."""
        return _ticker(self.symbol)

    @property
    def text(self) -> str:
        """As the wire names it: Q.O:QQQ251219C00500000."""
        return f"{self.kind}.{self.ticker}"


def channels(kinds: Iterable[Kind], symbols: Iterable[str]) -> list[Channel]:
    """Return the channels of all these kinds and symbols, each once, in order.

    Raises:
        DataError: One cannot be subscribed to, or there are too many.
    """
    wanted = list(symbols)
    found = list(dict.fromkeys(Channel(kind, symbol) for kind in kinds for symbol in wanted))
    check_channels(found)
    return found


def check_channels(wanted: Sequence[Channel]) -> None:
    """Refuse what the service would.

    Raises:
        DataError: One cannot be subscribed to, or there are too many.
    """
    for kind in sorted(_LISTED_ALONE):
        of_kind = [channel for channel in wanted if channel.kind == kind]
        if any(channel.symbol == EVERY for channel in of_kind):
            raise DataError(f"{kind} of all contracts is not to be had: name up to {MOST_QUOTES}")
        if len(of_kind) > MOST_QUOTES:
            raise DataError(
                f"{len(of_kind)} contracts of {kind} are too many for one connection: "
                f"{MOST_QUOTES} at most"
            )
    unknown = {channel.kind for channel in wanted} - set(get_args(Kind))
    if unknown:
        raise DataError(f"Polygon has channels {', '.join(get_args(Kind))}, not {unknown.pop()}")


def _ticker(symbol: str) -> str:
    if len(symbol) == OCC_LENGTH:
        return f"O:{symbol.replace(' ', '')}"
    return symbol if symbol == EVERY else polygon_ticker_of_underlying(symbol)
