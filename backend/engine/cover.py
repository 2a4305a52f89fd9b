"""Which short options nothing covers: counted by legs, whatever their prices are.

A long option of the same right that lives at least as long covers a short one, 100 long shares a
call, 100 short shares a put. A covered short option has a bounded loss, which other rules bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from black_scholes.shocks import CALL, PUT
from engine.instruments import instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOT = 100


class Short(NamedTuple):
    """Short options that the legs of one order leave uncovered.

    Attributes:
        kind: `CALL` or `PUT`.
        expires_ns: Of the contract, UTC.
        units: How many, above 0.
    """

    kind: float
    expires_ns: int
    units: float


def uncovered(units: Mapping[str, float], more: Iterable[Short] = ()) -> float:
    """Return how many short options on one underlying nothing covers.

    Long options are dealt out from the latest expiration on, which leaves as few uncovered as can
    be: each may cover whatever expires with it or before.

    Args:
        units: Units by symbol, short negative, of instruments on one underlying.
        more: Further short options.
    """
    shares = sum(count for symbol, count in units.items() if not instrument_of(symbol).is_option)
    options = [
        (each.kind, each.expires_ns, count)
        for symbol, count in units.items()
        if count and (each := instrument_of(symbol)).is_option
    ]
    options += [(each.kind, each.expires_ns, -each.units) for each in more]
    if not any(count < 0 for _, _, count in options):
        return 0.0
    calls = sum(short.units for short in _left(options, CALL))
    puts = sum(short.units for short in _left(options, PUT))
    calls -= min(calls, max(shares, 0.0) // _LOT)
    puts -= min(puts, max(-shares, 0.0) // _LOT)
    return calls + puts


def left_uncovered(units: Mapping[str, float]) -> list[Short]:
    """Return the short options of one order that its own long ones do not cover."""
    options = [
        (each.kind, each.expires_ns, count)
        for symbol, count in units.items()
        if count and (each := instrument_of(symbol)).is_option
    ]
    return _left(options, CALL) + _left(options, PUT)


def _left(options: list[tuple[float, int, float]], kind: float) -> list[Short]:
    own = sorted(((at, count) for each, at, count in options if each == kind), reverse=True)
    free, left = 0.0, []
    # Of one expiration the long ones come first: a greater count sorts before a smaller one.
    for expires_ns, count in own:
        if count > 0:
            free += count
            continue
        covered = min(free, -count)
        free -= covered
        if covered < -count:
            left.append(Short(kind, expires_ns, -count - covered))
    return left
