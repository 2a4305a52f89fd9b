"""Seeded quotes of one session and what an EMA cross makes of them.

NautilusTrader 1.231 and a plain loop agree on the results to the cent. Fast and slow average of the
mid, both started at the first mid; flat and fast above slow: 100 bought at that quote's ask; long and
fast below slow: 100 sold at its bid. No fees.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from models.events import Quote

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = {
    (1_000_000, 1_000, 10_000): (219, Decimal("148.00")),
    (1_000_000, 100, 1_000): (1_985, Decimal("-999.00")),
    (200_000, 10, 50): (6_693, Decimal("-7405.00")),
}
"""(quotes, fast span, slow span): (orders, realised P&L in USD)."""


def columns(count: int) -> tuple[list[int], list[float], list[float], list[int], list[int]]:
    """Return time (ns), bid, ask (USD), bid size, ask size of one symbol on 2023-11-15."""
    chance = np.random.default_rng(20261122)
    mid = 40_000 + np.cumsum(chance.normal(0, 1.0, count)) * 0.5
    bid = np.floor(mid).astype(np.int64)
    ask = bid + chance.choice([1, 1, 1, 2, 3], count)
    bid_size = chance.integers(1, 20, count) * 100
    ask_size = chance.integers(1, 20, count) * 100
    times = 1_700_058_600_000_000_000 + np.sort(chance.integers(0, 23_400_000_000_000, count))
    return (
        times.tolist(),
        (bid / 100).tolist(),
        (ask / 100).tolist(),
        bid_size.tolist(),
        ask_size.tolist(),
    )


def quotes(count: int, symbol: str = "QQQ") -> Iterator[Quote]:
    """Yield the quotes."""
    for time_ns, bid, ask, bid_size, ask_size in zip(*columns(count), strict=True):
        yield Quote(
            symbol=symbol,
            time_ns=time_ns,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
        )
