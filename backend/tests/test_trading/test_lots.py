"""Lots and cash under random lives of an account: nothing is made or lost, whatever comes in which order."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from itertools import count

import pytest

from models.events import Fill, Settlement
from models.options import Greeks
from models.order_terms import Side
from utils.portfolio_tracker import LotMethod, PortfolioTracker

EVENTS = 1_000_000 if os.environ.get("PROVE") else 6_000
SEED = random.SystemRandom().randrange(10**6) if os.environ.get("PROVE") else 7
CALL = "QQQ   251219C00600000"
SPX = "SPXW  251219P06000000"
SYMBOLS = ("QQQ", "SPY", CALL, "QQQ   251219P00590000", SPX)
METHODS = list(LotMethod)


def fill(name: str, symbol: str, signed: int, price: str | Decimal, fees: str = "0") -> Fill:
    return Fill(
        execution_id=name,
        symbol=symbol,
        side=Side.BUY if signed > 0 else Side.SELL,
        quantity=Decimal(abs(signed)),
        price=Decimal(price),
        time_ns=int("".join(each for each in name if each.isdigit()) or 0),
        fees=Decimal(fees),
    )


def settled(name: str, symbol: str, held: Decimal, chance: random.Random) -> Settlement:
    part = Decimal(chance.randrange(1, int(abs(held)) + 1)).copy_sign(held)
    outcome = chance.choice(["worthless", "cash"] if symbol == SPX else ["worthless", "delivered"])
    cash = Decimal(chance.randrange(1, 90_000)) / 100 if outcome == "cash" else Decimal(0)
    way = 1 if symbol[12] == "C" else -1
    shares = part * 100 * way if outcome == "delivered" else Decimal(0)
    return Settlement(
        settlement_id=name, symbol=symbol, quantity=part, outcome=outcome, time_ns=0, cash=cash, shares=shares
    )  # fmt: skip


def lived(chance: random.Random, events: int) -> tuple[int, int]:
    """Let accounts of 200 events live; return how many promises were looked at, and broken."""
    looked = broken = 0
    names = count(1)
    past: list[Fill] = []
    tracker, quantities, paid = PortfolioTracker(), dict.fromkeys(SYMBOLS, Decimal(0)), Decimal(0)
    for number in range(events):
        if number % 200 == 0:
            past, paid = [], Decimal(0)
            tracker = PortfolioTracker(chance.choice(METHODS))
            quantities = dict.fromkeys(SYMBOLS, Decimal(0))
        symbol = chance.choice(SYMBOLS)
        held = quantities[symbol]
        if past and chance.random() < 0.05:  # told again: nothing changes
            broken += tracker.book(chance.choice(past))
        elif len(symbol) == 21 and held and chance.random() < 0.1:
            ended = settled(f"s{next(names)}", symbol, held, chance)
            broken += not tracker.settle(ended)
            broken += tracker.settle(ended)
            quantities[symbol] -= ended.quantity
            strike = Decimal(symbol[13:]) / 1000
            quantities["QQQ"] += ended.shares
            paid += ended.quantity * ended.cash - ended.shares * strike
        else:
            signed = chance.choice([-1, 1]) * chance.randrange(1, 40)
            price, fees = (
                Decimal(chance.randrange(1, 10**5)) / 100,
                Decimal(chance.randrange(300)) / 100,
            )
            made = fill(f"f{next(names)}", symbol, signed, price, str(fees))
            past.append(made)
            broken += not tracker.book(made)
            quantities[symbol] += signed
            paid -= signed * price * (100 if len(symbol) == 21 else 1) + fees
        broken += tracker.cash_flow != paid
        broken += tracker.cash_flow + tracker.cost != tracker.realized_pnl
        for each in tracker.holdings.values():
            total = sum((lot.quantity for lot in each.lots), Decimal(0))
            broken += not (total == each.quantity == quantities[each.symbol])
            broken += any(lot.quantity * each.quantity <= 0 for lot in each.lots)
            looked += 2
        looked += 2
    broken += sum((each.gain for each in tracker.closed), Decimal(0)) != tracker.realized_pnl
    return looked, broken


def test_lots_sum_to_positions_and_cash_to_the_cent() -> None:
    looked, broken = lived(random.Random(SEED), EVENTS)
    print(f"seed {SEED}: {EVENTS:,} events, {looked:,} promises looked at, {broken} broken")
    assert looked > EVENTS * 5
    assert broken == 0


THREE = [fill("f1", "QQQ", 10, 100), fill("f2", "QQQ", 10, 120), fill("f3", "QQQ", 10, 110)]


@pytest.mark.parametrize(
    ("method", "named", "gain"),
    [
        (LotMethod.FIFO, (), 15 * 130 - 10 * 100 - 5 * 120),
        (LotMethod.LIFO, (), 15 * 130 - 10 * 110 - 5 * 120),
        (LotMethod.HIFO, (), 15 * 130 - 10 * 120 - 5 * 110),
        (LotMethod.FIFO, ("f3", "f2"), 15 * 130 - 10 * 110 - 5 * 120),
        (LotMethod.FIFO, ("f2",), 15 * 130 - 10 * 120 - 5 * 100),
    ],
)
def test_which_lots_a_sale_takes(method: LotMethod, named: tuple[str, ...], gain: int) -> None:
    tracker = PortfolioTracker(method, {"f4": named})
    for each in [*THREE, fill("f4", "QQQ", -15, 130)]:
        tracker.book(each)
    assert tracker.realized_pnl == gain
    assert tracker.quantity("QQQ") == 15


def test_short_lots_that_realise_least_go_first() -> None:
    tracker = PortfolioTracker(LotMethod.HIFO)
    for name, price in (("f1", 5), ("f2", 3), ("f3", 4)):
        tracker.book(fill(name, CALL, -1, price))
    tracker.book(fill("f4", CALL, 1, 2))
    assert tracker.realized_pnl == 100
    assert [lot.execution_id for lot in tracker.holdings[CALL].lots] == ["f1", "f3"]


def test_a_closed_lot_tells_proceeds_and_cost_of_long_and_short() -> None:
    tracker = PortfolioTracker()
    tracker.book(fill("f1", CALL, 2, "1.00", "1.33"))
    tracker.book(fill("f2", CALL, -3, "1.50", "2.01"))
    tracker.book(fill("f3", CALL, 1, "0.40", "0.66"))
    long, short = tracker.closed
    assert (long.quantity, long.proceeds, long.cost) == (2, Decimal("298.66"), Decimal("201.33"))
    assert (short.quantity, short.proceeds, short.cost) == (-1, Decimal("149.33"), Decimal("40.66"))
    assert tracker.realized_pnl == long.gain + short.gain == Decimal("206.00")


def test_the_greeks_of_all_that_is_held() -> None:
    tracker = PortfolioTracker()
    tracker.book(fill("f1", CALL, -2, 5))
    tracker.book(fill("f2", "QQQ", 100, 600))
    one = Greeks(delta=0.4, gamma=0.02, theta_per_day=-0.3, vega_per_point=0.1, rho_per_point=0.01)
    net = tracker.net_greeks({CALL: one})
    assert net.delta == pytest.approx(100 - 80)
    assert (net.gamma, net.theta_per_day) == (pytest.approx(-4), pytest.approx(60))
    assert net.vega_per_point == pytest.approx(-20)
    assert tracker.net_greeks({}).delta == 100 - 0
