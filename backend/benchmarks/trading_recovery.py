"""Start-up: a journal read back and checked, and a large account squared with the broker's lists.

By CPU time. The journal holds the decisions of real orders of the engine, written as any run writes
them; reading it back checks the whole chain, decodes every record and rebuilds orders and holdings.
Reconciliation compares 1,000 orders and 200 positions.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pricing_timing import promise, readable
from trading_desk import World, ema_frame, on_paper, option, seconds_of
from trading_orders import EachQuote

from engine.reconciliation import Told, reconcile
from models.decisions import Decision
from models.order_terms import Mode
from models.trading import Position
from utils.clock import to_time
from utils.quote_runs import quote_runs
from utils.transaction_logger import Disk, TransactionLogger

if TYPE_CHECKING:
    from models.trading import Order

ORDERS = 5_000
LISTED = 1_000
HELD = 200
RUNS = 3


def write(path: Path) -> int:
    """Write the journal of a run of many orders; return its records."""
    quotes = ema_frame(ORDERS)
    decisions: list[Decision] = []
    engine = on_paper(EachQuote(), decisions.append, start_ns=quotes["time_ns"].item(0) - 1)
    engine.run(quote_runs(quotes, "QQQ"))
    journal: TransactionLogger[Decision]
    disk = Disk(sync=lambda _: None)
    with TransactionLogger(path, Decision, subject="benchmark", disk=disk) as journal:
        for first in range(0, len(decisions), 500):
            journal.append(*decisions[first : first + 500])
        return journal.count


def read(path: Path) -> list[object]:
    """Open the journal, which checks its chain, and read every record."""
    journal: TransactionLogger[Decision]
    with TransactionLogger(path, Decision, subject="benchmark") as journal:
        return list(journal.read())


def account() -> tuple[World, Told]:
    """Return an account of many orders and holdings, and what a broker tells of it."""
    world = World()
    for number in range(HELD):
        world.hold(option(500 + number), 1, 5.0)
    orders: list[Order] = [
        world.work(world.order((option(500 + number % HELD), -1), limit="9.00"))
        for number in range(LISTED)
    ]
    told = [world.engine.book.states[each.client_order_id].order for each in orders]
    positions = [
        Position(
            account_id="A" * 64,
            mode=Mode.PAPER,
            symbol=symbol,
            signed_quantity=held.quantity,
            average_price=held.average_price,
            updated_at=to_time(world.now_ns),
        )
        for symbol, held in world.engine.portfolio.holdings.items()
    ]
    return world, Told(told, [], positions)


def main() -> int:
    """Print both figures and the promises; return 1 where one is broken."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "journal.jsonl"
        records = write(path)
        reading = min(seconds_of(lambda: read(path)) for _ in range(RUNS))
        decisions = read(path)
    frame = ema_frame(10)
    engine = on_paper(EachQuote(), lambda _: None, start_ns=frame["time_ns"].item(0) - 1)
    rebuilding = seconds_of(lambda: engine.resume(decisions))
    world, told = account()
    held = {name: each.quantity for name, each in world.engine.portfolio.holdings.items()}
    found = reconcile(world.engine.book, held, told, world.now_ns)
    squaring = seconds_of(lambda: reconcile(world.engine.book, held, told, world.now_ns))
    missing = replace_one(told)
    lacking = reconcile(world.engine.book, held, missing, world.now_ns)
    rate = records / reading
    print("start-up, by CPU time")
    print(f"  journal of {records:,} records, chain checked, decoded: {readable(rate)}/s")
    print(f"  orders and holdings rebuilt of it: {readable(records / rebuilding)}/s")
    print(f"  {LISTED:,} orders and {HELD} positions squared: {squaring * 1e3:.1f} ms")
    kept = [
        promise("at least 200 k journal records a CPU second", kept=rate >= 200_000),
        promise("1,000 orders and 200 positions within 2 s", kept=squaring <= 2),
        promise("nothing differs, and a position that lacks is told",
                kept=not found.differences and bool(lacking.others)),
    ]  # fmt: skip
    return int(not all(kept))


def replace_one(told: Told) -> Told:
    """Return what a broker would tell that lacks one position."""
    return told._replace(positions=told.positions[1:])


if __name__ == "__main__":
    sys.exit(main())
