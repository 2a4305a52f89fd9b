"""100,000 market orders through gate, journal, paper venue, fees, first-in-first-out lots.

By CPU time. Every order passes all rules of the risk gate, is written to a hash-chained journal (no
fsync, as in a backtest), fills at the touch, is charged Schwab's fees and closes the lots of the one
before it. The same orders twice must give the same journal, byte by byte.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pricing_timing import promise, readable
from trading_desk import LOOSE, ema_frame, on_paper, seconds_of

from app.backtest_journal import BacktestJournal
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.order_terms import Side
from models.trading import Leg
from ports.strategy import Needs, Strategy
from utils.quote_runs import quote_runs

if TYPE_CHECKING:
    from decimal import Decimal

    from models.events import Quote

SIZES = (10_000, 30_000, 100_000)


class EachQuote(Strategy):
    """Buys at one quote and sells at the next."""

    name = "each_quote"

    def needs(self) -> Needs:
        """One ticker."""
        return Needs(("QQQ",))

    def __init__(self) -> None:
        self._long = False

    def on_quote(self, quote: Quote) -> None:
        """Turn round."""
        leg = Leg(symbol=quote.symbol, side=Side.SELL if self._long else Side.BUY)
        (self.desk.close if self._long else self.desk.open)([leg], 1)
        self._long = not self._long


class Ran(NamedTuple):
    """What came of a run."""

    seconds: float
    orders: int
    lots: Decimal
    digest: str


def run(number: int, folder: Path) -> Ran:
    """Run a number of orders, and return what came of it."""
    quotes = ema_frame(number)
    limits = RiskLimits.model_validate(LOOSE | {"naked_shorts": False})
    strategy = EachQuote()
    with BacktestJournal(folder / f"{number}.jsonl") as journal:
        engine = on_paper(
            strategy, journal.record, gate=RiskGate(limits), start_ns=quotes["time_ns"].item(0) - 1
        )
        seconds = seconds_of(lambda: engine.run(quote_runs(quotes, "QQQ")))
        digest = journal.digest
    filled = sum(len(state.fills) for state in engine.book.states.values())
    return Ran(seconds, filled, engine.portfolio.realized_pnl, digest)


def main() -> int:
    """Print the rate at each size and the promises; return 1 where one is broken."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(1_000, folder)
        found = {number: run(number, folder) for number in SIZES}
        again = run(SIZES[0], folder)
    print("orders with gate, journal, venue, fees and lots, by CPU time")
    for number, ran in found.items():
        rate = readable(ran.orders / ran.seconds)
        print(f"  {number:>7,} orders: {rate:>9s}/s, {1e6 * ran.seconds / number:.0f} µs each")
    print(f"  journal of {SIZES[0]:,} orders, twice: {found[SIZES[0]].digest} {again.digest}")
    costs = [ran.seconds / number for number, ran in found.items()]
    most = found[SIZES[-1]]
    kept = [
        promise("every order filled", kept=all(ran.orders == n for n, ran in found.items())),
        promise("at least 20 k orders a CPU second, to 100 k",
                kept=most.orders / most.seconds >= 20_000),
        promise("linear: an order of 100 k costs at most 1.3 x one of 10 k: "
                f"{costs[-1] / costs[0]:.2f}", kept=costs[-1] <= 1.3 * costs[0]),
        promise("two runs give the same journal", kept=found[SIZES[0]].digest == again.digest),
    ]  # fmt: skip
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
