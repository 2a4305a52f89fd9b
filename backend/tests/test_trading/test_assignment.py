"""Exercise and assignment against an oracle: early, at expiry, partial, one leg of a spread, cash and shares.

The oracle keeps plain integers (ten-thousandths of a dollar) and lists of single contracts; it shares
no code with the paper account and the portfolio tracker, whose positions, cash, cost of every lot and
realised gains must all be its own, to the ten-thousandth.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, groupby
from typing import Any

import pytest

from engine.fees import FeeSchedule
from engine.paper import PaperAccount, PaperBroker
from models.errors import OrderRejected
from models.events import Heartbeat, Quote, Settlement
from models.order_terms import AccountKind, Mode, OrderType, PositionEffect, Side
from models.trading import AccountTerms, Leg, Order
from utils.clock import to_ns, to_time
from utils.portfolio_tracker import PortfolioTracker

CASES = 10_000 if os.environ.get("PROVE") else 250
SEED = random.SystemRandom().randrange(10**6) if os.environ.get("PROVE") else 16
ACCOUNT = "A" * 64
DAY = datetime(2025, 12, 18, 15, 0, tzinfo=UTC)
EXPIRES = datetime(2025, 12, 19, 21, 30, tzinfo=UTC)
START = 10**10  # a million dollars, in ten-thousandths
UNIT = 10_000


@dataclass
class Oracle:
    """Each contract and each share is an entry of its own: (price paid, fees, lot), oldest first."""

    cash: int = START
    realized: int = 0
    units: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    sign: dict[str, int] = field(default_factory=dict)
    lots: int = 0

    def trade(self, symbol: str, signed: int, price: int, fees: list[int], weight: int) -> None:
        self.cash -= signed * price * weight + sum(fees)
        self.move(symbol, signed, price, fees, weight)

    def move(self, symbol: str, signed: int, price: int, fees: list[int], weight: int) -> None:
        """Trade unit by unit, without cash."""
        way = 1 if signed > 0 else -1
        held = self.units.setdefault(symbol, [])
        self.lots += 1
        for number in range(abs(signed)):
            if held and self.sign[symbol] != way:
                paid, before, _ = held.pop(0)
                self.realized += (paid - price) * weight * way - before - fees[number]
            else:
                held.append((price, fees[number], self.lots))
                self.sign[symbol] = way

    def gone(self, symbol: str, number: int, price: int) -> None:
        """Pay contracts in cash, or let them end worthless."""
        self.cash += number * price * 100 * self.sign[symbol]
        self.move(symbol, -number * self.sign[symbol], price, [0] * number, 100)

    def delivered(self, symbol: str, number: int, strike: int, call: bool) -> None:
        """Turn contracts into shares: of a call the holder gets, of a put gives them."""
        gone = [self.units[symbol].pop(0) for _ in range(number)]
        for _, contracts in groupby(gone, key=lambda each: each[2]):
            lot = list(contracts)
            premium, fees, count = lot[0][0], sum(each[1] for each in lot) // 100, 100 * len(lot)
            shares = count * self.sign[symbol] * (1 if call else -1)
            price = strike + premium if call else strike - premium
            self.cash -= shares * strike
            spread = [(fees // count + (i < fees % count)) * 100 for i in range(count)]
            self.move("QQQ", shares, price, spread, 1)


def leg_symbol(root: str, right: str, strike: int) -> str:
    return f"{root:6}251219{right}{strike * 1000:08d}"


def quote(symbol: str, price: float, at: datetime, last: float | None = None) -> Quote:
    return Quote(symbol=symbol, time_ns=to_ns(at), bid=price, ask=price + 0.01, last=last)


class Case:
    """One account, random holdings, one event; both sides see the same."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.index = chance.random() < 0.35
        self.root = chance.choice(["SPXW", "OEX"]) if self.index else "QQQ"
        self.under = {"SPXW": "SPX"}.get(self.root, self.root)
        self.oracle = Oracle()
        ids = count(1)
        terms = AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
        self.account = PaperAccount(
            terms, Decimal(10**6), mode=Mode.PAPER, order_ids=lambda: next(ids), fees=FeeSchedule()
        )
        self.now = DAY
        self.broker = PaperBroker(self.account, lambda: self.now)
        self.tracker = PortfolioTracker()
        self.names = count(1)
        self.kinds: list[str] = []

    def hear(self, news: Any) -> None:
        for each in news:
            if isinstance(each, Settlement):
                assert self.tracker.settle(each)
            else:
                for fill in each.fills:
                    assert self.tracker.book(fill)
                    assert not self.tracker.book(fill)

    def buy(self, symbol: str, signed: int, cents: int) -> None:
        """Trade at a quote where bid or offer is the price; the fees are the venue's own."""
        price = cents / 100
        bid, ask = (price - 0.01, price) if signed > 0 else (price, price + 0.01)
        told = Quote(symbol=symbol, time_ns=to_ns(self.now), bid=bid, ask=ask)
        self.hear(self.broker.observe(told))
        side = Side.BUY if signed > 0 else Side.SELL
        order = Order(
            client_order_id=f"c{next(self.names)}",
            account_id=ACCOUNT,
            mode=Mode.PAPER,
            legs=(Leg(symbol=symbol, side=side, position_effect=PositionEffect.AUTOMATIC),),
            order_type=OrderType.MARKET,
            quantity=Decimal(abs(signed)),
            created_at=self.now,
        )
        updates = self.broker.submit(order)
        fills = [fill for update in updates for fill in update.fills]
        assert len(fills) == 1, [update.reason for update in updates]
        self.hear(updates)
        weight = 100 if len(symbol) == 21 else 1
        fees = int(fills[0].fees * 100)
        each = [(fees // abs(signed) + (i < fees % abs(signed))) * 100 for i in range(abs(signed))]
        self.oracle.trade(symbol, signed, cents * 100, each, weight)

    def expire(self, symbol: str, spot: int, number: int | None = None) -> None:
        """Let the oracle end contracts at a price of the underlying in cents."""
        call, strike = symbol[12] == "C", int(symbol[13:]) * 10
        inner = spot * 100 - strike if call else strike - spot * 100
        early = number is not None
        number = len(self.oracle.units[symbol]) if number is None else number
        if not early and inner < 100:
            self.oracle.gone(symbol, number, 0)
        elif self.index:
            self.oracle.gone(symbol, number, inner)
        else:
            self.oracle.delivered(symbol, number, strike, call)


def played(chance: random.Random) -> Case:
    case = Case(chance)
    middle = 600
    strikes = [middle + 5 * n for n in range(-4, 5)]
    right = chance.choice("CP")
    first = leg_symbol(case.root, right, chance.choice(strikes))
    way = chance.choice([1, -1])
    for _ in range(chance.randrange(1, 4)):
        case.buy(first, way * chance.randrange(1, 5), chance.randrange(5, 3000))
    symbols = [first]
    if chance.random() < 0.5:  # the other leg of a spread stays when one is assigned
        other = leg_symbol(
            case.root, right, chance.choice([s for s in strikes if s != int(first[13:]) // 1000])
        )
        case.buy(other, -way * chance.randrange(1, 6), chance.randrange(5, 3000))
        symbols.append(other)
        case.kinds.append("spread")
    if not case.index and chance.random() < 0.4:
        case.buy(
            "QQQ", chance.choice([-300, -100, 100, 250, 400]), chance.randrange(50_000, 70_000)
        )
        case.kinds.append("beside shares")
    spot = chance.choice(
        [chance.randrange(56_000, 64_000), int(first[13:]) // 10, int(first[13:]) // 10 + 1]
    )
    if chance.random() < 0.5 and case.root != "SPXW":
        held = len(case.oracle.units[first])
        number = chance.randrange(1, held + 1)
        case.kinds.append("early, partial" if number < held else "early, all")
        case.account.exercise(first, number, to_ns(case.now), Decimal(spot) / 100)
        case.hear(case.broker.observe(Heartbeat(time_ns=to_ns(case.now))))
        case.expire(first, spot, number)
        if chance.random() < 0.3 and number < held:  # closed in part before the rest expires
            case.buy(first, -way, chance.randrange(5, 3000))
    case.now = EXPIRES.replace(hour=20, minute=59)
    spot = chance.choice([spot, chance.randrange(56_000, 64_000)])
    case.hear(case.broker.observe(quote(case.under, spot / 100, case.now, last=spot / 100)))
    case.now = EXPIRES
    case.hear(case.broker.observe(Heartbeat(time_ns=to_ns(case.now))))
    for symbol in symbols:
        if case.oracle.units[symbol]:
            case.expire(symbol, spot)
            case.kinds.append("expiry, cash" if case.index else "expiry, shares")
    return case


def differences(case: Case) -> list[str]:
    oracle, found = case.oracle, []

    def same(what: str, ours: Decimal, theirs: int) -> None:
        if ours != Decimal(theirs) / UNIT:
            found.append(f"{what}: {ours} and not {Decimal(theirs) / UNIT}")

    same("cash of the account", case.account.state.cash, oracle.cash)
    same("cash of the tracker", case.tracker.cash_flow, oracle.cash - START)
    same("realised", case.tracker.realized_pnl, oracle.realized)
    for symbol, units in oracle.units.items():
        signed = len(units) * oracle.sign.get(symbol, 1)
        held = case.account.state.holdings.get(symbol)
        same(f"units of {symbol}", Decimal(held.quantity if held else 0), signed * UNIT)
        same(f"units tracked of {symbol}", case.tracker.quantity(symbol), signed * UNIT)
        if units:
            weight = 100 if len(symbol) == 21 else 1
            cost = sum(price * weight * oracle.sign[symbol] + fees for price, fees, _ in units)
            same(f"cost of {symbol}", case.tracker.holdings[symbol].cost, cost)
    if case.tracker.cash_flow + case.tracker.cost != case.tracker.realized_pnl:
        found.append("cash, cost and gain do not agree")
    return found


def test_ten_thousand_exercises_and_assignments_equal_the_oracle() -> None:
    chance = random.Random(SEED)
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    for number in range(CASES):
        case = played(chance)
        kinds.update(set(case.kinds))
        wrong += [f"case {number}: {each}" for each in differences(case)]
    print(f"seed {SEED}: {CASES:,} cases, {len(wrong)} differences; {dict(sorted(kinds.items()))}")
    assert wrong == []
    assert all(kinds[kind] > CASES / 50 for kind in ("spread", "beside shares", "early, partial"))
    assert all(
        kinds[kind] > CASES / 50 for kind in ("early, all", "expiry, cash", "expiry, shares")
    )


@pytest.mark.parametrize(
    ("symbol", "number", "reason"),
    [
        (leg_symbol("QQQ", "C", 600), 2, "1 are held"),
        (leg_symbol("QQQ", "P", 600), 1, "0 are held"),
        (leg_symbol("SPXW", "C", 600), 1, "at its expiration alone"),
    ],
)
def test_what_cannot_be_exercised_is_refused(symbol: str, number: int, reason: str) -> None:
    case = Case(random.Random(1))
    for held in (leg_symbol("QQQ", "C", 600), leg_symbol("SPXW", "C", 600)):
        case.buy(held, 1, 500)
    with pytest.raises(OrderRejected, match=reason):
        case.account.exercise(symbol, number, to_ns(case.now))
    assert to_time(case.account.state.now_ns) == DAY
