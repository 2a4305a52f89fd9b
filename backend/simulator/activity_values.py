"""Values as Schwab's account activity writes them: .NET decimals, and New York times as text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from utils.market_calendar import NEW_YORK

Wire: TypeAlias = dict[str, object]

_SCALE = 6
_MILLIONTH = Decimal("0.000001")
_NANOSECONDS = 1_000_000_000


def decimal(value: Decimal, *, odd: bool = False) -> Wire:
    """Return a .NET decimal of six places: `signScale` is twice the scale, one more if negative.

    Args:
        value: Rounded to six places; 0 has no `lo`.
        odd: Mark it as negative whatever it is, as captured mids are.
    """
    digits = int(abs(value).quantize(_MILLIONTH).scaleb(_SCALE))
    sign_scale = 2 * _SCALE + (value < 0 or odd)
    return {"lo": str(digits), "signScale": sign_scale} if digits else {"signScale": sign_scale}


def whole(value: int) -> Wire:
    """Return a whole number as captured sizes are written: without a scale."""
    return {"lo": str(value)}


def moment(time_ns: int) -> Wire:
    """Return a time of day as New York's clocks show it, to the millisecond."""
    local = datetime.fromtimestamp(time_ns // _NANOSECONDS, UTC).astimezone(NEW_YORK)
    milliseconds = time_ns % _NANOSECONDS // 1_000_000
    return {"DateTimeString": f"{local:%Y-%m-%d %H:%M:%S}.{milliseconds:03d}"}


def day(time_ns: int) -> Wire:
    """Return a day in New York."""
    local = datetime.fromtimestamp(time_ns // _NANOSECONDS, UTC).astimezone(NEW_YORK)
    return {"DateTimeString": f"{local:%Y-%m-%d}"}
