"""The risk gate with every rule on, over a book of spreads and orders that work: time of one check.

CPU time of each check by itself. Tickets are of one to four legs; nothing is denied, so that no rule
is spared. The book holds two condors, shares and calls; three orders work.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from pricing_timing import promise
from trading_desk import LOOSE, World, option

from engine.limits import RiskLimits

if TYPE_CHECKING:
    from models.trading import Order

CHECKS = 10_000
STEP_S = 0.05
EVERY_RULE = LOOSE | {
    "naked_shorts": False,
    "duplicate_s": 1.0,
    "no_openings_minutes": 30.0,
    "flatten": "shorts",
    "day_trades": "legacy_pdt",
    "least_sign_in_hours": 24.0,
}
"""Limits as wide as before, but no rule switched off."""

CONDOR = (option(610, "C"), option(615, "C"), option(590, "P"), option(585, "P"))
OTHER = (option(620, "C"), option(625, "C"), option(580, "P"), option(575, "P"))
PRICES = dict(
    zip((*CONDOR, *OTHER), (9.0, 7.2, 8.1, 6.9, 5.6, 4.4, 5.8, 4.9), strict=True)
)  # fmt: skip


def world() -> World:
    """Return the market, the book, and the orders that work."""
    made = World(RiskLimits.model_validate(EVERY_RULE))
    made.gate.sign_in_until_ns = made.now_ns + 90 * 86_400 * 10**9
    refresh(made)
    for legs in (CONDOR, OTHER):
        for symbol, units in zip(legs, (-2, 2, -2, 2), strict=True):
            made.hold(symbol, units, PRICES[symbol])
    made.hold("QQQ", 300, 598.0)
    made.hold(option(600, "C"), 3, 14.0)
    made.work(made.order((CONDOR[0], 1), (CONDOR[1], -1), limit="1.50"))
    made.work(made.order(("QQQ", 100), limit="590.00"))
    made.work(made.order((option(600, "C"), -1), limit="30.00"))
    return made


def refresh(made: World) -> None:
    """Give every instrument a quote of now."""
    made.quote("QQQ", 599.99, 600.01)
    made.quote(option(600, "C"), 13.95, 14.05)
    for symbol, price in PRICES.items():
        made.quote(symbol, price - 0.05, price + 0.05)


def tickets(made: World, number: int) -> Order:
    """Return a ticket; each fourth has as many legs."""
    cents = f"{number % 40 / 100:.2f}"
    kinds = (
        lambda: made.order(("QQQ", 10), limit=f"599.{number % 90 + 10}"),
        lambda: made.order((option(600, "C"), 1), limit=f"13.{number % 90 + 10}"),
        lambda: made.order((CONDOR[0], -1), (CONDOR[1], 1), limit=f"-1.{cents[2:]}"),
        lambda: made.order(*zip(OTHER, (-1, 1, -1, 1), strict=True), limit=f"-1.{cents[2:]}"),
    )
    return kinds[number % len(kinds)]()


def main() -> int:
    """Print the times and the promise; return 1 where it is broken."""
    made = world()
    taken = np.empty(CHECKS)
    for number in range(-200, CHECKS):  # the first ones compile and fill caches
        made.at((number + 201) * STEP_S)
        refresh(made)
        ticket = tickets(made, number)
        began = time.thread_time_ns()
        denial = made.gate.check(ticket, made.engine, None)
        spent = time.thread_time_ns() - began
        if denial is not None:
            raise SystemExit(f"denied: {denial}")
        if number >= 0:
            taken[number] = spent / 1_000
    half, most, worst = np.percentile(taken, (50, 99, 99.9))
    print(
        f"{CHECKS:,} checks of one to four legs, book of 10 holdings and 3 orders, CPU time of each"
    )
    print(f"  p50 {half:.1f} µs   p99 {most:.1f} µs   p99.9 {worst:.1f} µs")
    return int(not promise("p99 at most 50 µs", kept=bool(most <= 50)))


if __name__ == "__main__":
    sys.exit(main())
