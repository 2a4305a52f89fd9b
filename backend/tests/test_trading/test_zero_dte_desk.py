"""The 0DTE desk: expiries with 20 positions each, half days and 16:15 products, and its alarms.

Prints seed, expiries, and what was left. `PROVE=1` runs 250 expiries.
"""

from __future__ import annotations

import os
import random
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from risk_world import ACCOUNT, DAY, MONTH, TODAY, World, limits, option

from engine.core import Engine
from engine.desk import Names
from engine.early_assignment import Dividend
from engine.expiry_desk import ExpiryDesk
from engine.fees import NoFees
from engine.instruments import instrument_of
from engine.paper import PaperAccount, PaperBroker
from engine.risk import RiskGate
from models.decisions import Alarmed, CancelAsked, Heard
from models.events import Heartbeat, Quote
from models.order_terms import AccountKind, Mode, PositionEffect, Side
from models.trading import AccountTerms, Leg
from ports.strategy import Needs, Strategy
from utils.clock import to_ns, to_time
from utils.market_calendar import new_york, session

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261128
MINUTE = 60_000_000_000
DAYS = (
    date(2026, 11, 20), date(2026, 11, 24), date(2026, 11, 27), date(2026, 12, 15),
    date(2026, 12, 24), date(2027, 1, 5),
)  # fmt: skip
"""Two of them are half days."""


class Opens(Strategy):
    """Opens what it is told at its first look, and never closes anything."""

    name = "opens"

    def __init__(self, legs: dict[str, int]) -> None:
        self.legs = legs

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def start(self) -> None:
        self.desk.call_every(60, "open")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one
        for symbol, units in self.legs.items():
            side = Side.BUY if units > 0 else Side.SELL
            leg = Leg(symbol=symbol, side=side, position_effect=PositionEffect.OPENING)
            self.desk.open((leg,), abs(units))
        self.legs = {}


class Expiry:
    """One day's end of one product, with a market of its own."""

    def __init__(self, chance: random.Random, policy: str) -> None:
        self.chance, self.policy = chance, policy
        self.root, self.day, code = chance.choice(
            [("QQQ", day, f"{day:%y%m%d}") for day in DAYS]
            + [("SPXW", day, f"{day:%y%m%d}") for day in DAYS]
            + [("SPX", date(2026, 12, 17), MONTH)]  # AM-settled: last trade the day before, 16:15
        )
        self.underlying = "QQQ" if self.root == "QQQ" else "SPX"
        self.spot = 600.0
        strikes = chance.sample(range(590, 611), 10)
        self.symbols = [
            option(strike, right, code, self.root) for strike in strikes for right in "CP"
        ]
        self.last_ns = instrument_of(self.symbols[0]).last_ns
        self.records: list[Any] = []
        self.gate = RiskGate(limits(flatten=policy, no_openings_minutes=20, flatten_minutes=10))
        ids = count(1)
        account = PaperAccount(
            AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
            Decimal(10_000_000),
            mode=Mode.PAPER,
            order_ids=lambda: next(ids),
            fees=NoFees(),
        )
        legs = {symbol: chance.choice((-3, -2, -1, -1, 1, 2)) for symbol in self.symbols}
        broker = PaperBroker(account, lambda: to_time(self.engine.market.now_ns))
        names = Names(ACCOUNT, Mode.PAPER, "opens", "run")
        self.engine = Engine(
            Opens(legs), broker, gate=self.gate, record=self.records.append, names=names
        )
        self.engine.overseer = ExpiryDesk(self.gate)

    def quotes(self, at_ns: int) -> Iterator[Quote]:
        self.spot = round(self.spot + self.chance.gauss(0, 0.4), 2)
        spot = {"bid": self.spot - 0.01, "ask": self.spot + 0.01, "last": self.spot}
        yield Quote(symbol=self.underlying, time_ns=at_ns, **spot)
        minutes = max((self.last_ns - at_ns) / MINUTE, 0.0)
        for symbol in self.symbols:
            each = instrument_of(symbol)
            away = self.spot - each.strike if each.is_call else each.strike - self.spot
            worth = max(away, 0.0) + 0.05 * minutes**0.5 / (1 + abs(away))
            bid = round(max(worth - 0.03, 0.0), 2)
            yield Quote(
                symbol=symbol,
                time_ns=at_ns,
                bid=bid or None,
                ask=round(worth + 0.04, 2),
                bid_size=self.chance.randint(1, 4),
                ask_size=self.chance.randint(1, 4),
            )

    def play(self) -> None:
        start_ns = self.last_ns - 60 * MINUTE
        self.engine.start(start_ns)
        for half_minute in range(120):
            for quote in self.quotes(start_ns + half_minute * MINUTE // 2):
                self.engine.on(quote)
        self.engine.on(Heartbeat(time_ns=self.last_ns - 1))

    def shorts_in_the_money(self) -> list[str]:
        return [
            symbol
            for symbol in self.symbols
            if self.engine.portfolio.quantity(symbol) < 0 and self.worth(symbol) > 0
        ]

    def worth(self, symbol: str) -> Decimal:
        each = instrument_of(symbol)
        away = self.spot - each.strike if each.is_call else each.strike - self.spot
        return Decimal(str(round(max(away, 0.0), 2)))

    def expire(self) -> None:
        """Let the settlement come, at the price of the last quote."""
        expires_ns = instrument_of(self.symbols[0]).expires_ns
        spot = {"bid": self.spot, "ask": self.spot, "last": self.spot}
        for at_ns in (expires_ns, expires_ns + MINUTE):
            self.engine.on(Quote(symbol=self.underlying, time_ns=at_ns, **spot))

    def expected(self) -> Decimal:
        """Return what the fills and the intrinsic values come to: an account book of its own."""
        cash, left = Decimal(0), dict.fromkeys(self.symbols, Decimal(0))
        for record in self.records:
            for fill in record.update.fills if isinstance(record, Heard) else ():
                signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
                cash -= signed * fill.price * 100
                left[fill.symbol] += signed
        return cash + sum(units * self.worth(symbol) * 100 for symbol, units in left.items())


def test_no_short_in_the_money_is_left_at_the_cut_off() -> None:
    number = 250 if os.environ.get("PROVE") else 8
    chance = random.Random(SEED)
    left = held = closings = halves = late = 0
    for turn in range(number):
        policy = ("shorts", "all", "in_the_money", "none")[turn % 4]
        expiry = Expiry(chance, policy)
        expiry.play()
        halves += session(expiry.day).close < new_york(expiry.day, time(15))
        late += to_time(expiry.last_ns) > session(expiry.day).close
        shorts = expiry.shorts_in_the_money()
        alarmed = {each.symbol for each in expiry.records if isinstance(each, Alarmed)}
        if policy == "none":
            held += len(shorts)
            assert set(shorts) <= alarmed, "who keeps them is warned"
        else:
            left += len(shorts)
        if policy == "all":
            stays = [s for s in expiry.symbols if expiry.engine.portfolio.quantity(s)]
            assert {"cannot_close"} >= {
                a.code for a in expiry.records if isinstance(a, Alarmed)
            } - {"pin_risk"}
            assert set(stays) <= alarmed, "what nobody bids for is said"
        closings += sum(1 for name in expiry.gate.own if expiry.engine.book.order(name))
        expiry.expire()
        assert not [s for s in expiry.symbols if expiry.engine.portfolio.quantity(s)]
        got = expiry.engine.worth()
        assert got == expiry.expected(), (SEED, turn)
    print(
        f"seed {SEED}: {number} expiries x 20 positions, {halves} on half days, {late} of 16:15 "
        f"products; {closings} closings; {left} shorts in the money left at the cut-off, {held} "
        "where the policy keeps them"
    )
    assert left == 0
    assert closings > number
    assert held > 0


def desk_world(policy: str = "none", *, clock: time = time(15, 45), **tight: Any) -> World:
    world = World(limits(flatten=policy, **tight), now_ns=to_ns(new_york(DAY, clock)))
    world.engine.start(world.now_ns)
    return world


def codes(world: World, desk: ExpiryDesk) -> list[str]:
    desk.look(world.engine)
    return [each.code for each in world.records if isinstance(each, Alarmed)]


@pytest.mark.parametrize(("spot", "alarms"), [(601.2, ["pin_risk"]), (601.21, [])])
def test_pin_risk_near_the_close(spot: float, alarms: list[str]) -> None:
    world = desk_world(no_openings_minutes=30, pin_distance=0.002)
    world.hold(option(600, expires=TODAY), -1, 5)
    world.quote("QQQ", spot, spot)
    desk = ExpiryDesk(world.gate)
    assert codes(world, desk) == alarms
    assert codes(world, desk) == alarms, "once a day"
    long = desk_world(no_openings_minutes=30)
    long.hold(option(600, expires=TODAY), 1, 5)
    long.quote("QQQ", 600, 600)
    assert codes(long, ExpiryDesk(long.gate)) == []
    early = desk_world(clock=time(15, 29), no_openings_minutes=30)
    early.hold(option(600, expires=TODAY), -1, 5)
    early.quote("QQQ", 600, 600)
    assert codes(early, ExpiryDesk(early.gate)) == []


@pytest.mark.parametrize(
    ("mid", "ex_days", "right", "alarms"),
    [
        (10.69, 3, "C", ["early_assignment"]),  # 20 November 2026 is a Friday
        (10.70, 3, "C", []),
        (10.69, 4, "C", []),
        (10.69, 0, "C", []),
        (10.69, 3, "P", []),
    ],
)
def test_early_assignment_before_a_dividend(
    mid: float, ex_days: int, right: str, alarms: list[str]
) -> None:
    world = desk_world()
    symbol = option(590 if right == "C" else 610, right)
    world.hold(symbol, -1, 5)
    world.quote("QQQ", 600, 600)
    world.quote(symbol, mid, mid)
    dividend = Dividend(DAY + timedelta(days=ex_days), Decimal("0.70"))
    assert codes(world, ExpiryDesk(world.gate, {"QQQ": dividend})) == alarms


def test_an_opening_that_works_is_cancelled_in_the_last_minutes() -> None:
    world = desk_world(no_openings_minutes=15, clock=time(15, 44, 59))
    symbol = option(600, expires=TODAY)
    world.work(world.order((symbol, 1), limit="1", effect=PositionEffect.OPENING))
    world.work(world.order(("QQQ", 1), limit="1", effect=PositionEffect.OPENING))
    desk = ExpiryDesk(world.gate)
    desk.look(world.engine)
    assert not [each for each in world.records if isinstance(each, CancelAsked)]
    world.at(2)
    desk.look(world.engine)
    asked = [each for each in world.records if isinstance(each, CancelAsked)]
    assert [(each.client_order_id, each.by) for each in asked] == [("o1", "0dte_desk")]
