"""A session's orders again in the paper model: the same where life was the model, told where it was not."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest

from engine.core import Engine
from engine.desk import Names
from engine.drift import _Fills, drift, sums
from engine.fees import NoFees
from engine.matching import TOUCH, MatchRules
from engine.paper import PaperAccount, PaperBroker
from models import spreads
from models.decisions import Decision, Heard
from models.events import Fill, Quote
from models.order_terms import AccountKind, Mode, Side
from models.spreads import Terms
from models.trading import AccountTerms, Leg
from ports.strategy import Needs, Strategy
from utils.clock import to_time

ACCOUNT = "A" * 64
OPEN_NS = 1_700_058_600_000_000_000
SECOND = 1_000_000_000
CALL, HIGHER = "QQQ   231215C00400000", "QQQ   231215C00410000"


class Random(Strategy):
    """Singles and spreads, at the market and with limits, some of them cancelled or replaced."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def needs(self) -> Needs:
        return Needs((CALL, HIGHER))

    def start(self) -> None:
        self.desk.call_every(7, "again")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        working = self.desk.orders()
        roll = self.chance.random()
        if working and roll < 0.5:
            self.desk.cancel(working[0].client_order_id)
            return
        side, other = self.chance.choice([(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
        if roll < 0.7:
            limit = Decimal(self.chance.randrange(180, 220)) / 100
            self.desk.open(
                [Leg(symbol=CALL, side=side)], 1, limit_price=limit if roll > 0.3 else None
            )
        else:
            legs = [Leg(symbol=CALL, side=side), Leg(symbol=HIGHER, side=other)]
            way = 1 if side is Side.BUY else -1
            self.desk.open(legs, 2, limit_price=way * Decimal(self.chance.randrange(85, 115)) / 100)


def market(seed: int, number: int = 600) -> list[Quote]:
    chance = random.Random(seed)
    made, volume = [], 0
    for second in range(number):
        middle = 2.0 + chance.randrange(-10, 11) / 100
        for symbol, at in ((CALL, middle), (HIGHER, middle - 1)):
            volume += chance.randrange(3)
            bid, ask = round(at - 0.02, 2), round(at + 0.02, 2)
            made.append(
                Quote(
                    symbol, OPEN_NS + second * SECOND + SECOND // 2, bid, ask, 20, 20,
                    last=chance.choice([bid, ask]), volume=volume,
                )
            )  # fmt: skip
    return made


class OpenGate:
    check = staticmethod(lambda *_: None)


def lived(rules: MatchRules, seed: int) -> tuple[list[Quote], list[Decision]]:
    ids = count(1)
    account = PaperAccount(
        AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN),
        Decimal(10**8),
        mode=Mode.PAPER,
        order_ids=lambda: next(ids),
        fees=NoFees(),
        rules=rules,
    )
    records: list[Decision] = []
    broker = PaperBroker(account, lambda: to_time(engine.market.now_ns))
    engine = Engine(
        Random(seed), broker, gate=OpenGate(), record=records.append,
        names=Names(ACCOUNT, Mode.PAPER, "random", "run"),
    )  # fmt: skip
    events = market(seed)
    engine.start(OPEN_NS)
    for event in events:
        engine.on(event)
    return events, records


@pytest.mark.parametrize("seed", range(3))
def test_where_life_was_the_model_nothing_drifts(seed: int) -> None:
    rules = TOUCH._replace(latency_ns=0)
    events, decisions = lived(rules, seed)
    rows = drift(events, decisions, rules)
    total = sums(rows)
    print(f"seed {seed}: {total}")
    assert total.orders > 30
    assert total.both > 15
    assert total.neither > 0
    # Orders of one account share the displayed size and stand before each other; alone they do not.
    assert total.live_only == 0
    assert total.paper_only <= total.orders / 10
    assert [row for row in rows if row.kinder] == []


def test_fills_that_were_better_or_worse_than_the_models_are_told() -> None:
    rules = TOUCH._replace(latency_ns=0)
    events, decisions = lived(rules, 4)

    def shifted(decision: Decision) -> Decision:
        if not isinstance(decision, Heard) or not decision.update.fills:
            return decision
        fills = tuple(
            msgspec.structs.replace(
                fill, price=fill.price - Decimal("0.03") * (1 if fill.side is Side.BUY else -1)
            )
            for fill in decision.update.fills
        )
        return msgspec.structs.replace(
            decision, update=msgspec.structs.replace(decision.update, fills=fills)
        )

    rows = drift(events, [shifted(each) for each in decisions], rules)
    for row in rows:
        if row.kinder is not None:
            assert row.kinder == Decimal("-0.03") * len(row.symbols)
    mean = sums(rows).mean_kinder
    assert mean is not None
    assert mean < 0


def test_a_model_that_is_slower_fills_later_and_elsewhere() -> None:
    events, decisions = lived(TOUCH._replace(latency_ns=0), 5)
    slow = sums(drift(events, decisions, TOUCH._replace(latency_ns=3 * SECOND)))
    assert slow.mean_delay_s is not None
    assert slow.mean_delay_s >= 2
    assert slow.worst_kinder


def test_what_traded_at_once_stood_between_natural_price_and_middle() -> None:
    rules = TOUCH._replace(latency_ns=0)
    events, decisions = lived(rules, 6)
    rows = [row for row in drift(events, decisions, rules) if row.paper_s == 0]
    assert rows
    for row in rows:
        assert row.natural is not None
        assert row.middle is not None
        assert row.paper_net is not None
        assert row.paper_net <= row.natural + Decimal("0.001")
        assert row.middle < row.natural


def test_nothing_is_made_of_nothing() -> None:
    assert drift([], [], TOUCH) == []
    empty: Any = sums([])
    assert (empty.orders, empty.mean_kinder) == (0, None)


def test_three_legs_that_fill_are_one_whole_unit() -> None:
    names = (CALL, HIGHER, CALL.replace("400", "420"))
    legs = [Leg(symbol=each, side=Side.BUY) for each in names]
    terms = Terms(
        client_order_id="c", account_id=ACCOUNT, mode=Mode.LIVE, created_at=to_time(OPEN_NS)
    )
    order, fills = spreads.order(terms, legs, limit_price=Decimal(3)), _Fills()
    for number, each in enumerate(names):
        fills.add(
            order,
            Fill(
                execution_id=f"x{number}",
                symbol=each,
                side=Side.BUY,
                quantity=Decimal(1),
                price=Decimal(1),
                time_ns=OPEN_NS,
            ),
        )
    assert (fills.units, fills.net()) == (1, 3)
