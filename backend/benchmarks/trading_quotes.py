"""An EMA cross on a million quotes: the engine, a bare Python loop, backtrader, NautilusTrader.

All by CPU time. Bare loop and engine begin with the same columns; making quote objects of them counts
for the engine, while NautilusTrader's are made before its clock starts. Each result is compared with
the others' to the cent, where the peer fills at the touch as we do.
"""

from __future__ import annotations

import statistics
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

from peer_venv import ask_peer
from pricing_timing import promise, readable
from trading_desk import EXPECTED, ema_frame, on_paper, seconds_of

from engine.fees import NoFees
from strategies.ema_cross import EmaCross, EmaCrossParameters
from utils.quote_runs import quote_runs

if TYPE_CHECKING:
    from models.decisions import Decision
    from models.tables import Frame

FEW, MIDDLE, MANY = sorted(EXPECTED, key=lambda case: EXPECTED[case][0])
RUNS = 5


def bare_loop(quotes: Frame, fast_span: int, slow_span: int) -> tuple[int, float]:
    """Return orders and realised P&L of the strategy, the plain way."""
    k_fast, k_slow = 2 / (fast_span + 1), 2 / (slow_span + 1)
    fast = slow = None
    entry = realised = 0.0
    orders = 0
    long = False
    for bid, ask in zip(quotes["bid"].to_list(), quotes["ask"].to_list(), strict=True):
        mid = (bid + ask) / 2
        if fast is None:
            fast = slow = mid
            continue
        fast += (mid - fast) * k_fast
        slow += (mid - slow) * k_slow
        if not long and fast > slow:
            long, entry, orders = True, ask, orders + 1
        elif long and fast < slow:
            long, orders, realised = False, orders + 1, realised + (bid - entry)
    return orders, round(realised * 100, 2)


def ours(quotes: Frame, fast: int, slow: int) -> tuple[int, Decimal]:
    """Return orders and realised P&L of the engine."""
    decisions: list[Decision] = []
    strategy = EmaCross(EmaCrossParameters(fast=fast, slow=slow))
    engine = on_paper(
        strategy, decisions.append, fees=NoFees(), start_ns=quotes["time_ns"].item(0) - 1
    )
    engine.run(quote_runs(quotes, "QQQ"))
    engine.finish()
    return len(engine.book.states), engine.portfolio.realized_pnl


def row(name: str, rate: float, remark: str = "") -> None:
    """Print one figure."""
    print(f"  {name:52s} {readable(rate):>9s}/s  {remark}")


def measure(case: tuple[int, int, int]) -> tuple[float, float]:
    """Print one case; return quotes a CPU second of the engine and of the bare loop."""
    number, fast, slow = case
    quotes = ema_frame(number)
    pairs = [
        (
            seconds_of(lambda: ours(quotes, fast, slow)),
            seconds_of(lambda: bare_loop(quotes, fast, slow)),
        )
        for _ in range(RUNS)
    ]
    engine, bare = (number / statistics.median(each) for each in zip(*pairs, strict=True))
    orders, pnl = ours(quotes, fast, slow)
    print(f"{number:,} quotes, spans {fast:,} and {slow:,}: {orders:,} orders, {pnl:.2f} USD")
    row("ours, objects made of columns", engine, f"{engine / bare:.2f} of the bare loop")
    row("bare loop", bare)
    kept = (orders, pnl) == EXPECTED[case]
    promise(f"orders and P&L as expected: {EXPECTED[case]}", kept=kept)
    if not kept:
        raise SystemExit(1)
    return engine, bare


def peer(name: str, case: tuple[int, int, int], engine: float) -> float | None:
    """Print a peer's figure beside ours; return its quotes a CPU second, None if it does not run."""
    told = ask_peer(f"ema_{name}", *case)
    if told is None:
        print(f"  {name} does not run here (NautilusTrader needs Python 3.12)")
        return None
    rate = float(case[0] / told["seconds"])
    pnl = f", {Decimal(told['pnl']):.2f} USD" if "pnl" in told else ""
    remark = f"ours is {engine / rate:,.0f} x; {told['orders']:,} orders{pnl}"
    row(f"{name} {told['version']}", rate, remark)
    if pnl and Decimal(told["pnl"]) != EXPECTED[case][1]:
        raise SystemExit(f"{name} earns {pnl}, we {EXPECTED[case][1]}")
    return rate


def main() -> int:
    """Print all cases and the promises; return 1 where one is broken."""
    few, bare = measure(FEW)
    nautilus = peer("nautilus", FEW, few)
    number, fast, slow = MIDDLE
    backtrader = peer("backtrader", (number // 10, fast, slow), few)
    measure(MIDDLE)
    many, _ = measure(MANY)
    peer("nautilus", MANY, many)
    kept = [
        promise("at least 1 M quotes a CPU second", kept=few >= 1e6),
        promise("at least 0.35 of the bare loop", kept=few >= 0.35 * bare),
        promise(f"at {EXPECTED[MANY][0]:,} orders in {MANY[0]:,} quotes half of that: "
                f"{many / few:.2f}", kept=many >= 0.5 * few),
    ]  # fmt: skip
    if backtrader:
        kept.append(promise("at least 50 x backtrader", kept=few >= 50 * backtrader))
    if nautilus:
        kept.append(promise("at least 10 x NautilusTrader", kept=few >= 10 * nautilus))
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
