"""A million option quotes over 2,000 contracts, an iron condor held, its greeks kept current.

By CPU time, quote objects made of columns counted. At each quote of a leg that is held, or of the
underlying, the greeks of the whole position are worked out anew. The bare loop keeps the newest
quote of each contract in a dictionary and does nothing else.
"""

from __future__ import annotations

import statistics
import sys
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pricing_timing import promise, readable
from trading_desk import on_paper, seconds_of

from models.order_terms import Side
from models.trading import Leg
from ports.strategy import Needs, Strategy
from utils.quote_runs import quote_runs

if TYPE_CHECKING:
    from models.decisions import Decision
    from models.events import Quote
    from models.tables import Frame

NUMBER = 1_000_000
CONTRACTS = 2_000
OPEN_NS = 1_763_735_400_000_000_000
RUNS = 3


def symbols() -> list[str]:
    """Return the contracts: ten expirations, a hundred strikes, calls and puts."""
    days = [date(2025, 11, 21 + day) for day in range(10)]
    return [
        f"QQQ   {day:%y%m%d}{right}{strike * 1000:08d}"
        for day in days
        for strike in range(550, 650)
        for right in "CP"
    ]


LEGS = tuple(f"QQQ   251125{leg}000" for leg in ("C00610", "C00615", "P00590", "P00585"))


def quotes() -> Frame:
    """Return a session's quotes, one of the underlying in each hundred, contracts by chance."""
    chance = np.random.default_rng(20261122)
    names = [*symbols(), "QQQ"]
    which = chance.integers(0, CONTRACTS, NUMBER)
    which[::100] = CONTRACTS
    first = [names.index(leg) for leg in LEGS]
    which[1 : 1 + len(first)] = first
    times = OPEN_NS + np.sort(chance.integers(0, 23_400_000_000_000, NUMBER))
    spot = 600 + np.cumsum(chance.normal(0, 0.001, NUMBER))
    strikes = np.array([float(name[13:]) / 1000 for name in names[:-1]])
    calls = np.array([name[12] == "C" for name in names[:-1]])
    safe = np.minimum(which, CONTRACTS - 1)
    inner = np.where(calls[safe], spot - strikes[safe], strikes[safe] - spot)
    worth = np.where(which == CONTRACTS, spot, np.maximum(inner, 0) + 2.0)
    bid = np.floor(worth * 100) / 100
    sizes = chance.integers(1, 200, (2, NUMBER))
    return pl.DataFrame(
        {
            "symbol": pl.Series(names).gather(which),
            "time_ns": times,
            "bid": bid,
            "ask": np.round(bid + 0.02, 2),
            "bid_size": sizes[0],
            "ask_size": sizes[1],
        }
    )


class Condor(Strategy):
    """Sells a condor at the beginning and watches how it moves."""

    name = "condor"

    def __init__(self) -> None:
        self.looks = 0
        self.greeks: object = None
        self._watched = frozenset((*LEGS, "QQQ"))
        self._asked = False

    def needs(self) -> Needs:
        """The underlying and all contracts."""
        return Needs(("QQQ",), {"QQQ": 10})

    def on_quote(self, quote: Quote) -> None:
        """Open once; then look at the greeks whenever a quote moves them."""
        if quote.symbol not in self._watched:
            return
        if self._asked:
            self.greeks = self.desk.greeks()
            self.looks += 1
        elif all(self.desk.quote(leg) for leg in LEGS):
            self._asked = True
            sides = (Side.SELL, Side.BUY, Side.SELL, Side.BUY)
            legs = [Leg(symbol=leg, side=side) for leg, side in zip(LEGS, sides, strict=True)]
            self.desk.open(legs, 1)


def ours(frame: Frame) -> Condor:
    """Replay once, and return the strategy at the end."""
    decisions: list[Decision] = []
    strategy = Condor()
    engine = on_paper(strategy, decisions.append, start_ns=OPEN_NS)
    engine.run(quote_runs(frame))
    if len([each for each in engine.portfolio.holdings.values() if each.quantity]) != len(LEGS):
        raise SystemExit("the condor was not opened")
    return strategy


def bare(frame: Frame) -> dict[str, tuple[object, ...]]:
    """Keep the newest quote of each contract, as plainly as can be."""
    newest: dict[str, tuple[object, ...]] = {}
    columns = (frame[name].to_list() for name in ("symbol", "time_ns", "bid", "ask"))
    for row in zip(*columns, strict=True):
        newest[row[0]] = row
    return newest


def main() -> int:
    """Print both rates and the promise; return 1 where it is broken."""
    frame = quotes()
    ours(frame.head(50_000))
    pairs = [
        (seconds_of(lambda: ours(frame)), seconds_of(lambda: bare(frame))) for _ in range(RUNS)
    ]
    engine, loop = (NUMBER / statistics.median(each) for each in zip(*pairs, strict=True))
    looks = ours(frame).looks
    print(f"{NUMBER:,} quotes over {CONTRACTS:,} contracts, four legs held, by CPU time")
    print(f"  ours              {readable(engine):>9s}/s  {engine / loop:.2f} of the bare loop; "
          f"greeks of the position worked out {looks:,} times")  # fmt: skip
    print(f"  bare loop         {readable(loop):>9s}/s  keeps newest quotes, nothing else")
    return int(not promise("at least 500 k option quotes a CPU second", kept=engine >= 500_000))


if __name__ == "__main__":
    sys.exit(main())
