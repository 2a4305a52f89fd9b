"""An account's stream that repeats, overtakes, drops and interrupts: what we hold stays the broker's.

Frames of fills come up to three times, late and out of order, before the answer to their own order,
or not at all, while heartbeats go on; the connection breaks every 30 seconds. After every poll an
engine that heard nothing but the broker's news holds what the exchange says.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "test_trading"))  # the late desk stands there

from late_desk import Hand, LateBroker, OpenGate

from engine.core import Engine
from engine.desk import Names
from models.errors import OrderRejected, OrderUnknown
from models.events import Fill, Gap, OrderUpdate
from models.order_terms import Mode, OrderStatus, PositionEffect, Side
from utils.transaction_logger import Disk

if TYPE_CHECKING:
    from collections.abc import Callable

PROVE = bool(os.environ.get("PROVE"))
MESSAGES = 1_000_000 if PROVE else 3_000
ORDERS = 80
"""Of one session; then another one begins, with a journal of its own."""
POLL_S, BREAK_S, FOUND_S = 5.0, 30.0, 10.0
DROPPED = 0.06


@dataclass
class Session:
    """One session at the exchange of `conftest.py`, heard through a bad stream."""

    bench: Any
    make_order: Callable[..., Any]
    chance: random.Random
    frames: list[tuple[float, int, OrderUpdate]] = field(default_factory=list)
    tie: Any = field(default_factory=itertools.count)
    counted: Counter[str] = field(default_factory=Counter)
    working: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    polled: float = 0.0
    broken: float = 0.0

    def __post_init__(self) -> None:
        broker: Any = LateBroker()
        self.engine = Engine(
            Hand(),
            broker,
            gate=OpenGate(),
            record=lambda _: None,
            names=Names("x", Mode.REHEARSAL, "hand", "r"),
        )
        self.engine.start(0)
        self.place = self.bench.exchange.place
        self.bench.exchange.place = self.placed
        self.early = False

    # The exchange.

    def placed(self, account: str, wire: Any) -> Any:
        """Take an order; some fill, and say so, before the answer is on its way."""
        answer = self.place(account, wire)
        if self.early:
            self.execute(self.bench.exchange.book[-1])
            self.deliver(float("inf"))
        return answer

    def submit(self, number: int) -> None:
        sells = self.chance.random() < 0.4
        order = self.make_order(
            f"o{number}",
            symbol=self.chance.choice(("QQQ", "SPY", "IWM")),
            price=str(Decimal(400) + Decimal(number) / 100),
            quantity=self.chance.randint(1, 5),
            side=Side.SELL if sells else Side.BUY,
            effect=PositionEffect.CLOSING if sells else PositionEffect.OPENING,
        )
        self.engine.book.add(order)
        self.early = self.chance.random() < 0.2
        fault = self.chance.choice((*[""] * 18, "lost_after", "no_location"))
        try:
            self.hear(self.bench.submit(order, fault))
        except OrderUnknown:
            self.counted["lost answers"] += 1
        entry = self.bench.exchange.of(order.client_order_id)[0]
        self.working[order.client_order_id] = entry

    def execute(self, entry: Any) -> None:
        """Fill a part of an order, and tell it by the stream, more or less."""
        quantity = entry.body["orderLegCollection"][0]["quantity"]
        units = self.chance.randint(1, int(quantity - entry.filled))
        entry.filled += units
        if entry.filled == quantity:
            entry.status = "FILLED"
        number = next(self.tie)
        at = self.bench.time.clock()
        part = {
            "legId": 1,
            "quantity": units,
            "price": 500.05,
            "time": f"{at:%Y-%m-%dT%H:%M:%S}+0000",
        }
        entry.body.setdefault("orderActivityCollection", []).append(
            {
                "activityType": "EXECUTION",
                "activityId": number,
                "executionType": "FILL",
                "quantity": units,
                "orderRemainingQuantity": quantity - entry.filled,
                "executionLegs": [part],
            }
        )
        self.counted["executions"] += 1
        filled = Decimal(str(entry.filled))
        self.waiting.setdefault(entry.origin, []).append((self.bench.time.now, filled))
        leg = entry.body["orderLegCollection"][0]
        fill = Fill(
            execution_id=f"stream-{number}",
            symbol=leg["instrument"]["symbol"],
            side=Side.BUY if leg["instruction"].startswith("BUY") else Side.SELL,
            quantity=Decimal(units),
            price=Decimal("500.05"),
            time_ns=int(self.bench.time.wall() * 1e9),
        )
        self.tell(
            OrderUpdate(
                order_id=str(entry.number),
                client_order_id=None,
                status=OrderStatus.FILLED if entry.status == "FILLED" else OrderStatus.WORKING,
                time_ns=fill.time_ns,
                filled_quantity=filled,
                fills=(fill,),
            )
        )

    def tell(self, update: OrderUpdate) -> None:
        if self.chance.random() < DROPPED:
            self.counted["dropped frames"] += 1
            return
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            late = self.chance.choice((0.0, 0.05, 0.5, 3.0)) * self.chance.random()
            heapq.heappush(self.frames, (self.bench.time.now + late, next(self.tie), update))

    def working_told(self) -> None:
        """Tell of an order that works, or of one that nobody knows."""
        number = self.chance.choice([*self.working.values()]).number if self.working else 1
        stranger = self.chance.random() < 0.1
        self.tell(
            OrderUpdate(
                order_id=str(number + (10**15 if stranger else 0)),
                client_order_id=None,
                status=OrderStatus.WORKING,
                time_ns=int(self.bench.time.wall() * 1e9) - 10**9,
            )
        )

    # What is heard.

    def deliver(self, until: float) -> None:
        while self.frames and self.frames[0][0] <= until:
            _, _, update = heapq.heappop(self.frames)
            self.counted["messages"] += 1
            self.hear(self.bench.broker._listener._heard(update))

    def hear(self, news: list[OrderUpdate]) -> None:
        for update in news:
            self.engine.on(update)
            name = update.client_order_id or ""
            self.told[name] += sum((fill.quantity for fill in update.fills), Decimal(0))  # type: ignore[assignment]
            waiting = self.waiting.get(name, [])
            while waiting and waiting[0][1] <= self.told[name]:
                self.slowest_s = max(self.slowest_s, self.bench.time.now - waiting.pop(0)[0])

    def pass_time(self, seconds: float) -> None:
        time = self.bench.time
        time.now += seconds
        self.deliver(time.now)
        if time.now - self.broken >= BREAK_S:
            self.broken = time.now
            self.counted["interruptions"] += 1
            self.frames.clear()
            self.hear(self.bench.broker._listener._heard(Gap(time_ns=0)))
        look = self.bench.broker._settler.next_look_s()
        if time.now - self.polled >= POLL_S:
            self.polled = time.now
            self.hear(self.bench.broker.poll())
            self.compare()
        elif look is not None and look <= 0:
            self.hear(self.bench.broker.settle())

    def compare(self) -> None:
        """Hold what the engine has against the exchange's books."""
        there: Counter[str] = Counter()
        for entry in self.bench.exchange.book:
            known = self.bench.broker._records.book.order_id(entry.origin) is not None
            leg = entry.body["orderLegCollection"][0]
            sign = 1 if leg["instruction"].startswith("BUY") else -1
            if known:  # one that is still looked for is not ours yet
                there[leg["instrument"]["symbol"]] += sign * int(entry.filled)
        held = {name: each.quantity for name, each in self.engine.portfolio.holdings.items()}
        assert {name: units for name, units in held.items() if units} == {
            name: Decimal(units) for name, units in there.items() if units
        }
        self.counted["comparisons"] += 1

    def step(self, number: int) -> bool:
        """Let something happen; return whether it was a new order."""
        self.pass_time(self.chance.uniform(0.02, 0.6))
        chosen = self.chance.random()
        if chosen < 0.25 and len(self.working) < 10:
            self.submit(number)
            return True
        if self.working and chosen < 0.6:
            name = next(iter(self.working))  # the oldest: a list begins with it
            entry = self.working[name]
            if entry.status == "WORKING":
                self.execute(entry)
            if entry.status != "WORKING":
                del self.working[name]
        elif self.working and chosen < 0.65:
            self.cancel(self.chance.choice([*self.working]))
        else:
            self.working_told()
        return False

    def cancel(self, name: str) -> None:
        order_id = self.bench.broker._records.book.order_id(name)
        if order_id is not None:
            self.bench.exchange.faults = []
            try:
                self.hear(self.bench.broker.cancel(order_id))
            except OrderRejected:
                self.counted["too late to cancel"] += 1

    def finish(self) -> None:
        """Let everything be told."""
        for _ in range(80):  # as a run does: no step is longer than those before
            self.pass_time(POLL_S / 10)
        assert not any(self.waiting.values()), "every execution was heard of"
        entries = {entry.origin: entry for entry in self.bench.exchange.book}
        for name, state in self.engine.book.states.items():
            assert state.order.filled_quantity == Decimal(str(entries[name].filled)), name
            if entries[name].status != "WORKING":
                assert state.order.status.value == entries[name].status, name


@pytest.mark.timeout(3000)
def test_positions_are_the_brokers_after_every_poll(
    make_bench: Callable[..., Any], order: Callable[..., Any]
) -> None:
    seed = random.SystemRandom().randrange(10**6) if PROVE else 11
    chance = random.Random(seed)
    counted: Counter[str] = Counter()
    slowest, number = 0.0, 0
    while counted["messages"] < MESSAGES:
        bench = make_bench(disk=Disk(sync=lambda _: None))
        session = Session(bench, order, chance)
        bench.exchange.patience = 0.5  # nothing else happens while an answer is waited for here
        until = number + ORDERS
        while number < until and counted["messages"] + session.counted["messages"] < MESSAGES:
            number += session.step(number)
        session.finish()
        counted += session.counted
        slowest = max(slowest, session.slowest_s)
        bench.journal.close()
        for path in bench.folder.glob("journal.jsonl*"):
            path.unlink()
    print(
        f"seed {seed}: {dict(counted)}, {number} orders: positions equal after each comparison; "
        f"an execution was heard of after {slowest:.1f} s at most"
    )
    assert counted["dropped frames"] > MESSAGES // 100
    assert slowest <= FOUND_S
