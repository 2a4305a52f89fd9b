"""Which instrument a ticker of Polygon's names in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import BadSymbol
from models.options import OptionContract
from models.symbols import INDICES, underlying_of_polygon_ticker

if TYPE_CHECKING:
    from datetime import date

    from simulator.world import World


@dataclass(frozen=True, slots=True)
class Named:
    """An underlying, or an option contract of it.

    Attributes:
        ticker: As Polygon spells it.
        underlying: As users do: QQQ, SPX.
        occ_symbol: Of a contract; None for the underlying itself.
        expiration: Of a contract.
    """

    ticker: str
    underlying: str
    occ_symbol: str | None = None
    expiration: date | None = None

    @property
    def is_index(self) -> bool:
        """Whether it is an index itself."""
        return self.occ_symbol is None and self.underlying in INDICES


def named(world: World, ticker: str) -> Named | None:
    """Return what a ticker names, or None where the world knows nothing of it."""
    if ticker.startswith("O:"):
        try:
            contract = OptionContract.from_polygon(ticker)
        except BadSymbol:
            return None
        found = Named(ticker, contract.underlying, contract.occ_symbol, contract.expiration)
    else:
        underlying = underlying_of_polygon_ticker(ticker)
        if (underlying in INDICES) != ticker.startswith("I:"):
            return None
        found = Named(ticker, underlying)
    return found if world.instrument(found.underlying) else None
