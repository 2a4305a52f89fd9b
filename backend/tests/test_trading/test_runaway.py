"""Strategies that run away, and feeds that go stale: how many orders leave, and on what quotes.

Each test prints its seed and figure; `PROVE=1` runs many more seeds.
"""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from risk_world import MONTH, SECOND, World, option

from engine.limits import RiskLimits
from models.decisions import Denied, Intended
from models.errors import OrderRejected
from models.events import Quote
from models.order_terms import PositionEffect, Side
from models.trading import Leg
from ports.strategy import Needs, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

PROVE = bool(os.environ.get("PROVE"))
SEED = 20261128
SHARE = Leg(symbol="QQQ", side=Side.BUY, position_effect=PositionEffect.OPENING)
CLOSE = Leg(symbol="QQQ", side=Side.SELL, position_effect=PositionEffect.CLOSING)


class Mad(Strategy):
    """Does one thing at each quote, whatever comes of it."""

    name = "mad"

    def __init__(self, act: Callable[[Mad], Any]) -> None:
        self.act = act
        self.turn = 0

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:  # noqa: ARG002 - it does not look
        self.turn += 1
        self.act(self)


def loop(mad: Mad) -> None:
    mad.desk.open((SHARE,), 1 + mad.turn % 7)


def flip_flop(mad: Mad) -> None:
    if mad.turn % 2:
        mad.desk.open((SHARE,), 1)
    else:
        mad.desk.close((CLOSE,), 1)


def fat_finger(mad: Mad) -> None:
    mad.desk.open((SHARE,), 100_000)


def replaces(mad: Mad) -> None:
    working = mad.desk.orders()
    if working:
        cents = Decimal(mad.turn % 50) / 100
        mad.desk.replace(working[0].client_order_id, Decimal(590) + cents)
    else:
        mad.desk.open((SHARE,), 1, limit_price=Decimal(590))


def run(act: Callable[[Mad], Any], *, per_second: int, seconds: int) -> World:
    world = World(RiskLimits())
    world.engine.strategy = mad = Mad(act)
    world.engine._on_quote = mad.on_quote
    start = world.now_ns
    world.engine.start(start)
    for number in range(per_second * seconds):
        at = start + number * SECOND // per_second
        world.engine.on(
            Quote(symbol="QQQ", time_ns=at, bid=599.99, ask=600.01, bid_size=999, ask_size=999)
        )
    return world


@pytest.mark.parametrize(
    ("act", "per_second", "most"),
    [
        # A loop of 1,000 orders a second is stopped by its attempts, before a second is over.
        (loop, 1_000, RiskLimits().max_orders_per_s),
        (fat_finger, 1_000, 0),
        # Slower ones by what may leave in a minute; twice as many may close.
        (flip_flop, 1_000, 2 * RiskLimits().max_orders_per_s),
        (flip_flop, 5, 2 * RiskLimits().max_orders_per_minute),
        (replaces, 1_000, RiskLimits().max_orders_per_s),
        (replaces, 5, RiskLimits().max_orders_per_minute),
    ],
)
def test_at_most_the_burst_leaves_then_a_person_must_let_it_go_on(
    act: Callable[[Mad], Any], per_second: int, most: int
) -> None:
    seconds = 120 if per_second == 5 else 2
    world = run(act, per_second=per_second, seconds=seconds)
    left = sum(isinstance(each, Intended) for each in world.records)
    print(f"{act.__name__} at {per_second}/s for {seconds} s: {left} orders left, at most {most}")
    assert left <= most
    assert world.gate.halted is not None
    assert "until a person lets it go on" in world.gate.halted
    rules = {each.rule for each in world.records if isinstance(each, Denied)}
    assert {"runaway", "halted"} <= rules


def test_a_negative_price_does_not_become_an_order() -> None:
    world = World(RiskLimits())
    world.engine.start(world.now_ns)
    refused = (ValueError, OrderRejected)
    with pytest.raises(refused):
        world.engine.desk.open((SHARE,), 1, limit_price=Decimal(-1))
    with pytest.raises(refused):
        world.engine.desk.open((SHARE,), -1, limit_price=Decimal(1))
    assert not world.engine.desk.wishes


class Buyer(Strategy):
    """Buys a random contract at each share quote, whatever the market looks like."""

    name = "buyer"

    def __init__(self, symbols: list[str], chance: random.Random) -> None:
        self.symbols, self.chance = symbols, chance

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:
        if quote.symbol == "QQQ":
            symbol = self.chance.choice(self.symbols)
            leg = Leg(symbol=symbol, side=Side.BUY, position_effect=PositionEffect.OPENING)
            self.desk.open((leg,), 1)


SYMBOLS = [option(strike, right, MONTH) for strike in range(590, 611) for right in "CP"]


class StaleFeed:
    """A market whose quotes freeze, cross and lose sides, and a strategy that buys all the time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        huge = dict.fromkeys(("max_orders_per_minute", "max_attempts_per_minute"), 10**6)
        huge |= dict.fromkeys(("max_open_orders", "max_positions", "max_loss"), 10**6)
        huge |= {f"max_{name}_usd": 10**9 for name in ("delta", "gamma", "vega", "theta")}
        self.world = World(RiskLimits.model_validate(huge | {"max_shock_loss": 10**8}))
        self.buyer = Buyer(SYMBOLS, self.chance)
        self.world.engine.strategy = self.buyer
        self.world.engine._on_quote = self.buyer.on_quote
        self.world.engine.start(self.world.now_ns)
        self.newest: dict[str, Quote] = {}
        self.frozen_until = dict.fromkeys([*SYMBOLS, "QQQ"], 0.0)
        self.opened = self.denied = 0

    def play(self) -> None:
        for tick in range(600):
            now_ns = self.world.now_ns + tick * SECOND // 2
            if self.chance.random() < 0.02:
                self.freeze(tick)
            for symbol in [*SYMBOLS, "QQQ"]:
                silent = symbol != "QQQ" and self.chance.random() < 0.5
                if tick >= self.frozen_until[symbol] and not silent:
                    self.tell(symbol, now_ns)
            if tick < self.frozen_until["QQQ"] and "QQQ" in self.newest:
                # The underlying is silent; others let the market's time move on all the same.
                self.buyer.on_quote(self.newest["QQQ"])
                self.hear(Quote(symbol="SPY", time_ns=now_ns, bid=500.0, ask=500.01))

    def freeze(self, tick: int) -> None:
        """Freeze half the chain, perhaps the underlying with it."""
        for symbol in self.chance.sample(SYMBOLS, len(SYMBOLS) // 2):
            self.frozen_until[symbol] = tick + self.chance.randint(10, 60)
        if self.chance.random() < 0.5:
            self.frozen_until["QQQ"] = tick + self.chance.randint(2, 20)

    def tell(self, symbol: str, now_ns: int) -> None:
        bid, ask = _sides(symbol, self.chance)
        quote = Quote(symbol=symbol, time_ns=now_ns, bid=bid, ask=ask, ask_size=1000)
        self.newest[symbol] = quote
        self.hear(quote)

    def hear(self, quote: Quote) -> None:
        """Have the engine take a quote, and look at every order that leaves on it."""
        before = len(self.world.records)
        self.world.engine.on(quote)
        for record in self.world.records[before:]:
            self.denied += isinstance(record, Denied)
            if isinstance(record, Intended):
                self.opened += 1
                _check(self.newest, bytes(record.ticket).decode(), quote.time_ns)


def test_nothing_opens_on_a_stale_crossed_or_one_sided_market() -> None:
    seeds = 60 if PROVE else 4
    opened = denied = 0
    for seed in range(SEED, SEED + seeds):
        feed = StaleFeed(seed)
        feed.play()
        opened, denied = opened + feed.opened, denied + feed.denied
    print(
        f"seed {SEED}, {seeds} seeds: {opened} openings left, {denied} were denied, 0 on bad quotes"
    )
    assert opened > 20 * seeds
    assert denied > 20 * seeds


def _sides(symbol: str, chance: random.Random) -> tuple[float | None, float | None]:
    mid = 600.0 if symbol == "QQQ" else 5.0
    bad = chance.random() if symbol != "QQQ" else 1.0
    if bad < 0.03:
        return mid + 0.05, mid - 0.05  # crossed
    if bad < 0.06:
        return 0.0, mid
    if bad < 0.09:
        return None, mid
    return round(mid - 0.02, 2), round(mid + 0.02, 2)


def _check(newest: dict[str, Quote], ticket: str, now: int) -> None:
    """See that an order which left relied on quotes that were good when it did."""
    symbol = next(name for name in newest if f'"{name}"' in ticket and name != "QQQ")
    allowed = RiskLimits()
    quote, share = newest[symbol], newest["QQQ"]
    assert (now - quote.time_ns) / SECOND <= allowed.max_age_s, (SEED, symbol)
    assert (now - share.time_ns) / SECOND <= allowed.max_underlying_age_s, (SEED, symbol)
    assert quote.bid, (SEED, symbol)
    assert quote.ask, (SEED, symbol)
    assert quote.bid <= quote.ask, (SEED, symbol)
