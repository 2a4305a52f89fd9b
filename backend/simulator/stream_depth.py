"""Order books made from the best bid and offer: the world knows no depth.

Levels below the best are one tick apart, sizes drawn by name; so the same quote has the same book.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator import stream_facts as facts
from simulator.wire_quotes import milliseconds
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_PENNY = 0.01
_NICKEL = 0.05
_NICKEL_FROM = 3.0


@dataclass(frozen=True, slots=True)
class Top:
    """Best bid and offer of one instrument; a price of None means that the side is empty.

    Attributes:
        symbol: As on the wire.
        bid: USD.
        ask: USD.
        bid_size: Shares or contracts.
        ask_size: The same.
        quote_at: When it was quoted.
        is_option: Whether it is one: from $3 on its levels are 5 cents apart.
    """

    symbol: str
    bid: float | None
    ask: float | None
    bid_size: int
    ask_size: int
    quote_at: datetime
    is_option: bool


def book_values(top: Top, makers: Sequence[str]) -> dict[int, Any]:
    """Return the fields of a book service.

    Args:
        top: What is best.
        makers: Names of those who quote.
    """
    return {
        1: milliseconds(top.quote_at),
        2: _side(top, top.bid, top.bid_size, -1, makers),
        3: _side(top, top.ask, top.ask_size, 1, makers),
    }


def _side(
    top: Top, best: float | None, size: int, direction: int, makers: Sequence[str]
) -> list[dict[str, Any]]:
    if best is None:
        return []
    tick = _NICKEL if top.is_option and best >= _NICKEL_FROM else _PENNY
    local = top.quote_at.astimezone(NEW_YORK)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    clock_ms = int((local - midnight).total_seconds() * 1000)
    levels = []
    for depth in range(facts.BOOK_LEVELS):
        price = round(best + direction * tick * depth, 4)
        if price <= 0:
            break
        levels.append(_level(top.symbol, price, max(size, 1) * (depth + 1), makers, clock_ms))
    return levels


def _level(
    symbol: str, price: float, size: int, makers: Sequence[str], clock_ms: int
) -> dict[str, Any]:
    draw = zlib.crc32(f"{symbol} {price}".encode())
    count = min(1 + draw % len(makers), size)
    share, rest = divmod(size, count)
    told = [
        {
            "0": makers[(draw + place) % len(makers)],
            "1": share + (rest if place == 0 else 0),
            "2": clock_ms,
        }
        for place in range(count)
    ]
    return {"0": price, "1": size, "2": count, "3": told}
