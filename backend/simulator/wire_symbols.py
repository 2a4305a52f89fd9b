"""Schwab's spelling of symbols: `$SPX` for an index, `BRK/B` for a class of shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.world import Instrument, World

OPTION = re.compile(r"[A-Z0-9 ]{6}\d{6}[CP]\d{8}")


def spelled(instrument: Instrument) -> str:
    """Return an underlying's symbol as it stands on the wire."""
    if instrument.asset_type == "INDEX":
        return f"${instrument.symbol}"
    return instrument.symbol.replace(".", "/")


def find(world: World, symbol: str) -> Instrument | None:
    """Return the underlying that a wire symbol names, in Schwab's spelling alone."""
    instrument = world.instrument(symbol.removeprefix("$").replace("/", "."))
    return instrument if instrument and spelled(instrument) == symbol else None


def is_option(symbol: str) -> bool:
    """Tell an option symbol: 21 characters, root padded to six."""
    return OPTION.fullmatch(symbol) is not None
