"""A million random orders before the gate and before an oracle: no order passes that must not.

Prints seed, counts by rule, and how long the gate takes; `PROVE=1` runs 1,000,000 orders.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from datetime import date
from datetime import time as clock
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from risk_oracle import Oracle, black, contract, expires
from risk_world import MONTH, NEXT_WEEK, SECOND, TODAY, World, limits, option

from engine.risk import RULES
from engine.risk_account import AccountReport
from models.order_terms import PositionEffect
from utils.clock import to_ns, to_time
from utils.market_calendar import new_york

if TYPE_CHECKING:
    from engine.core import Denial
    from models.trading import Order

    Times = list[float]

PROVE = bool(os.environ.get("PROVE"))
ORDERS = 1_000_000 if PROVE else 5_000
A_WORLD = 100
"""Orders put before each random book and market."""

SEED = 20261128
P99_US = 50.0
DAYS = (date(2026, 11, 20), date(2026, 11, 20), date(2026, 11, 27))
CHAIN = [
    option(strike, right, expires_on, root)
    for root in ("QQQ", "SPXW")
    for expires_on in (TODAY, NEXT_WEEK, MONTH)
    for strike in range(585, 616, 5)
    for right in "CP"
]


class RandomWorld(World):
    """A random book before a random market."""

    def __init__(self, chance: random.Random) -> None:
        day = chance.choice(DAYS)
        minute = chance.choice((chance.randint(0, 389), chance.randint(0, 389), 400))
        start = to_ns(new_york(day, clock(9, 30))) + minute * 60 * SECOND
        super().__init__(_limits(chance), chance.choice((3_000, 24_000, 24_000, 200_000)), start)
        self.chance = chance
        self.gate.account = chance.choice(
            (None, AccountReport(2, day_trader=False), AccountReport(3, day_trader=False))
        )
        if chance.random() < 0.2:
            self.gate.sign_in_until_ns = start + chance.randint(1, 200) * 3600 * SECOND
        self.spots = {"QQQ": 600.0, "SPX": 600.0}
        for symbol in ("QQQ", "SPX", *CHAIN):
            self.tell(symbol)
        for _ in range(chance.randint(0, 10)):
            symbol = chance.choice([*CHAIN, "QQQ"])
            units = chance.randint(-3, 3) * (100 if symbol == "QQQ" else 1)
            if units and not self.engine.portfolio.quantity(symbol):
                self.hold(symbol, units, round(chance.uniform(1, 12), 2))
        for _ in range(chance.randint(0, 3)):
            self.work(self.random_order())
        self.day_worth = self.best_worth = self.gate.see(self.engine)
        if chance.random() < 0.3:
            self.spots["QQQ"] += chance.gauss(0, 8)
            for symbol in ("QQQ", *CHAIN):
                self.tell(symbol)

    def tell(self, symbol: str) -> None:
        """Quote a symbol, mostly well."""
        chance, each, now_ns = self.chance, contract(symbol), self.engine.market.now_ns
        if each is None:
            mid = self.spots[symbol]
        else:
            spot, strike = self.spots[each.underlying], float(each.strike)
            years = max((expires(symbol) - to_time(now_ns)).total_seconds(), 0) / (365 * 86_400)
            mid = black(spot, strike, years, chance.uniform(0.15, 0.3), each.right == "C")
        half = chance.choice((0.01, 0.02, 0.05, 0.05, 0.12, 0.3))
        bid, ask = round(max(mid - half, 0.0), 2), round(mid + half, 2)
        bad = chance.random()
        if bad < 0.01:
            self.engine.market.quotes.pop(symbol, None)
            return
        if bad < 0.03:
            bid, ask = ask, bid
        more: dict[str, Any] = {"delayed": 0.03 < bad < 0.04, "halted": 0.04 < bad < 0.05}
        age = chance.choice((0, 0, 0, 0, 0, 0, 1, 3, 9, 11)) * SECOND if bad < 0.2 else 0
        self.quote(symbol, bid or None, ask or None, time_ns=now_ns - age, **more)

    def random_order(self) -> Order:
        chance = self.chance
        kind = chance.choice(("single", "spread", "spread", "condor", "ratio", "shares", "close"))
        effect = PositionEffect.OPENING if chance.random() < 0.8 else PositionEffect.AUTOMATIC
        quantity = chance.choice((1, 1, 1, 2, 3, 6))
        held = list(self.engine.portfolio.holdings)
        if kind == "close" and held:
            symbol = chance.choice(held)
            units = -int(self.engine.portfolio.quantity(symbol))
            legs: list[tuple[str, int]] = [(symbol, units or 1)]
            effect, quantity = PositionEffect.CLOSING, 1
        elif kind == "shares":
            legs = [("QQQ", chance.choice((-200, -100, 1, 50, 100, 100)))]
            quantity = 1
        else:
            legs = self._legs(kind)
        limit = self._limit(legs)
        return self.order(*legs, limit=limit, quantity=quantity, effect=effect)

    def _legs(self, kind: str) -> list[tuple[str, int]]:
        chance = self.chance
        first = chance.choice(CHAIN)
        if kind == "single":
            return [(first, chance.choice((-1, 1, 1)))]
        same = [s for s in CHAIN if s[:13] == first[:13] and s != first]
        other = chance.choice(same)
        way = chance.choice((-1, 1))
        if kind == "spread":
            return [(first, way), (other, -way)]
        if kind == "ratio":
            return [(first, way), (other, -2 * way)]
        twin = "P" if first[12] == "C" else "C"
        return [
            (first, way), (other, -way),
            (first[:12] + twin + first[13:], way), (other[:12] + twin + other[13:], -way),
        ]  # fmt: skip

    def _limit(self, legs: list[tuple[str, int]]) -> str | None:
        """Return a limit around the touch, or None for a market order."""
        quotes, total = self.engine.market.quotes, 0.0
        for symbol, units in legs:
            quote = quotes.get(symbol)
            side = quote and (quote.ask if units > 0 else quote.bid)
            total += units * (side or 0.0)
        if self.chance.random() < 0.15:
            return None
        if len(legs) == 1:
            total /= legs[0][1]
        limit = round(total * self.chance.uniform(0.8, 1.2) + self.chance.gauss(0, 0.1), 2)
        if len(legs) == 1:
            limit = abs(limit)
        return f"{limit:.2f}" if limit else "0.01"


def _limits(chance: random.Random) -> Any:
    pick = chance.choice
    return limits(
        max_contracts=pick((2, 10, 100)),
        max_shares=pick((50, 1_000)),
        max_notional=pick((1_000, 60_000, 250_000)),
        max_open_orders=pick((2, 10)),
        max_positions=pick((4, 20)),
        max_loss=pick((300, 2_500, 10_000)),
        naked_shorts=pick((False, False, True)),
        max_buying_power=pick(("0.5", "1")),
        max_delta_usd=pick((30_000, 250_000)),
        max_gamma_usd=pick((4_000, 1_000_000)),
        max_vega_usd=pick((50, 5_000)),
        max_theta_usd=pick((100, 10_000)),
        max_shock_loss=pick((1_000, 25_000)),
        max_daily_loss=pick((100, 10_000)),
        max_drawdown=pick((1_000, 100_000)),
        price_collar=pick(("0.05", "0.25")),
        max_spread=pick(("0.1", "0.5")),
        max_spread_usd=pick(("0.05", "0.25")),
        max_age_s=10,
        max_underlying_age_s=2,
        no_openings_minutes=pick((5, 30)),
        flatten=pick(("none", "shorts")),
        restricted=pick(((), (), ("SPX",))),
        day_trades=pick(("off", "legacy_pdt", "legacy_pdt")),
        least_sign_in_hours=24,
    )


def asked(chance: random.Random) -> tuple[RandomWorld, list[Order], list[Denial | None], Times]:
    """Put orders before the gate of a random world; return what it said, and how long it took (us)."""
    world = RandomWorld(chance)
    orders = [world.random_order() for _ in range(A_WORLD)]
    said, took = [], []
    for order in orders:
        begun = time.thread_time_ns()
        denial = world.denial(order)
        took.append((time.thread_time_ns() - begun) / 1_000)
        said.append(denial)
    return world, orders, said, took


def test_no_order_passes_that_the_oracle_denies() -> None:
    chance = random.Random(SEED)
    counts: Counter[str] = Counter()
    times: Times = []
    rules = [rule.__name__ for rule in RULES][2:]
    for turn in range(ORDERS // A_WORLD):
        world, orders, said, took = asked(chance)
        times += took
        spent = Decimal(0)
        for order, denial in zip(orders, said, strict=True):
            counts["passed" if denial is None else denial.rule] += 1
            oracle = Oracle(world, order, spent)
            if denial is None:
                wrong = [rule for rule in rules if oracle.denies(rule)]
                assert not wrong, (SEED, turn, wrong, order)
                spent += oracle.needed()
            else:
                assert oracle.denies(denial.rule) is not False, (SEED, turn, denial, order)
    p50, p99 = (float(np.percentile(times, at)) for at in (50, 99))
    print(
        f"seed {SEED}: {ORDERS:,} orders, 0 false accepts, 0 false denials; {dict(counts)}; "
        f"gate p50 {p50:.1f} us, p99 {p99:.1f} us of CPU"
    )
    assert counts["passed"] > ORDERS / 50
    missing = set(rules) - set(counts)
    assert len(missing) <= (0 if PROVE else 4), f"no order broke {missing}"
    # A machine that runs other tests at the same time has cold caches: the bar counts when it is quiet.
    assert p50 <= P99_US * 4
    assert not PROVE or p99 <= P99_US
