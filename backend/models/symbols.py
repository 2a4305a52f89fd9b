"""How underlyings and option roots are spelled: facts as tables, no calculation.

Three spellings of an option contract have the same tail of 15 characters (expiration YYMMDD, C or
P, strike in thousandths of a dollar in 8 digits) and differ before it: OCC pads the root with
spaces to 6, Schwab does the same, Polygon writes `O:` and no padding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Right: TypeAlias = Literal["C", "P"]
"""C: call, P: put."""

ExerciseStyle: TypeAlias = Literal["A", "E"]
"""A: American, at any time; E: European, at expiration alone."""

Settlement: TypeAlias = Literal["AM", "PM"]
"""AM: at the opening prices of the expiration day; PM: at the close."""

OCC_LENGTH = 21
"""Characters of an OCC symbol."""

ROOT_LENGTH = 6
"""Characters that the root is padded to."""

ROOT_PATTERN = "[A-Z]{1,5}[A-Z0-9]?"
"""An option root: letters, of an adjusted contract a digit at the end (AAPL1)."""

OCC_PATTERN = f"({ROOT_PATTERN}) *([0-9]{{6}})([CP])([0-9]{{8}})"
"""An OCC symbol, whose length is to be checked besides."""

INDICES = frozenset(
    {"SPX", "NDX", "RUT", "VIX", "DJX", "XSP", "OEX", "XEO", "MRUT", "XND", "DJI", "COMPX"}
)
"""Underlyings that are indices."""

_UNDERLYING_OF_ROOT: Mapping[str, str] = {
    "SPXW": "SPX",
    "NDXP": "NDX",
    "RUTW": "RUT",
    "VIXW": "VIX",
    "BRKB": "BRK.B",
    "BFB": "BF.B",
    "LENB": "LEN.B",
    "HEIA": "HEI.A",
    "MOGA": "MOG.A",
}
"""Roots that are not their underlying's own symbol."""

AM_SETTLED = frozenset({"SPX", "NDX", "RUT", "MRUT", "DJX", "VIX", "VIXW"})
"""Roots whose contracts settle at the opening of their expiration day."""

_EUROPEAN = AM_SETTLED | {"SPXW", "NDXP", "RUTW", "XSP", "XEO", "XND"}
_ADJUSTED = re.compile("[A-Z]+[0-9]")


def underlying_of_root(root: str) -> str:
    """Return the underlying of an option root: SPXW -> SPX, AAPL1 -> AAPL, BRKB -> BRK.B."""
    plain = root[:-1] if _ADJUSTED.fullmatch(root) else root
    return _UNDERLYING_OF_ROOT.get(plain, plain)


def roots_of_underlying(underlying: str) -> tuple[str, ...]:
    """Return the option roots of an underlying: SPX -> SPX and SPXW, BRK.B -> BRKB.

    Adjusted roots are not among them: only a chain can tell which exist.
    """
    others = (root for root, under in _UNDERLYING_OF_ROOT.items() if under == underlying)
    own = underlying.replace(".", "")
    return (own, *(root for root in others if root != own))


def roots_to_underlyings() -> Mapping[str, str]:
    """Return the underlying of each root that is not its underlying's own symbol."""
    return dict(_UNDERLYING_OF_ROOT)


def settlement_of(root: str) -> Settlement:
    """Return how contracts of this option root settle."""
    return "AM" if root in AM_SETTLED else "PM"


def exercise_style_of(root: str) -> ExerciseStyle:
    """Return how contracts of this option root are exercised."""
    return "E" if root in _EUROPEAN else "A"


def schwab_ticker(underlying: str) -> str:
    """Return Schwab's spelling of an underlying: SPX -> $SPX, BRK.B -> BRK/B."""
    return f"${underlying}" if underlying in INDICES else underlying.replace(".", "/")


def underlying_of_schwab_ticker(ticker: str) -> str:
    """Return the underlying that Schwab spells so: $SPX -> SPX, BRK/B -> BRK.B."""
    return ticker.removeprefix("$").replace("/", ".")


def polygon_ticker_of_underlying(underlying: str) -> str:
    """Return Polygon's spelling of an underlying: SPX -> I:SPX, BRK.B as it is."""
    return f"I:{underlying}" if underlying in INDICES else underlying


def underlying_of_polygon_ticker(ticker: str) -> str:
    """Return the underlying that Polygon spells so: I:SPX -> SPX."""
    return ticker.removeprefix("I:")
