"""`kill -9` of live runs of `trading_main.py` at a simulated broker, and what is left of them.

A strategy that always has orders on their way is killed at random moments and at the boundaries of
the journals' writes (before, in the midst of, and after each), and started again. In the end the
broker's orders, fills and positions are those of our journals: none lost, none doubled.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them

from live_bench import BACKEND, LIVE, LiveBench, live_bench
from runs import Starter, started, until_said

from engine.core import Engine
from engine.desk import Names
from models.decisions import Began, Decision
from models.journal import Opened, Record
from models.order_terms import Mode, OrderStatus
from schwab_integration.broker import EXTERNAL
from schwab_integration.order_book import OrderBook, TicketState
from schwab_integration.parse_accounts import holdings_of
from schwab_integration.parse_orders import Owner, order_of, orders_within
from schwab_integration.trader import SchwabTrader
from utils.journal_chain import verify
from utils.journal_key import read_key
from utils.transaction_logger import read_journal

if TYPE_CHECKING:
    from models.trading import Order

PROVE = bool(os.environ.get("PROVE"))
KILLS = int(os.environ.get("KILLS", "0")) or (1000 if PROVE else 5)
ANEW = 10 if PROVE else 5
"""Every so many runs one is a program of its own, from the first import on."""
SQUARE_EVERY = 100
READY_S = 3.0
CHURN = str(Path(__file__).parent / "churn.py")
LIMITS = """
max_daily_loss: 1000000
max_drawdown: 1000000
max_open_orders: 1000
max_orders_per_s: 1000
max_orders_per_minute: 100000
max_attempts_per_minute: 1000000
duplicate_s: 0
day_trades: "off"
least_sign_in_hours: 0
"""
DAY = datetime(2026, 11, 20, tzinfo=UTC)


READY = " instruments"
"""What a run says when it is squared and listens."""


class Killing:
    """Runs that are killed, one after the other."""

    def __init__(self, bench: LiveBench, starter: Starter, limits: str, seed: int) -> None:
        self.bench = bench
        self.starter = starter
        self.chance = random.Random(seed)
        self.arguments = [
            *LIVE, "--account", "001", "--limits", limits, "--strategy", CHURN, "--param",
        ]  # fmt: skip
        self.ways: Counter[str] = Counter()
        self.ready: list[float] = []
        self.ready_anew: list[float] = []
        self.own_anew: list[float] = []

    def one(self, number: int) -> None:
        """Start a run and kill it somewhere."""
        err = self.bench.home / f"run-{number}.err"
        arguments = [*self.arguments, f"seed={self.chance.randrange(10**6)}"]
        if number % ANEW == ANEW - 1:
            self._anew(arguments, err)
        elif number % 2:
            where = self.chance.choice(("before", "torn", "after"))
            self.ways[where] += 1
            self.starter.start(self.bench, arguments, err, (self.chance.randrange(80), where))
            assert self.starter.wait() == -signal.SIGKILL, err.read_text()
        else:
            self.ways["any time"] += 1
            child = self.starter.start(self.bench, arguments, err, None)
            if self.chance.random() < 0.8:
                ready = until_said(err, READY)
                assert ready is not None, err.read_text()
                self.ready.append(ready)
            time.sleep(self.chance.uniform(0, 1.2))
            os.kill(child, signal.SIGKILL)
            assert self.starter.wait() == -signal.SIGKILL, err.read_text()
        err.unlink(missing_ok=True)

    def _anew(self, arguments: list[str], err: Path) -> None:
        """Start a program of its own, as a person does, and kill it while it trades."""
        self.ways["a program anew"] += 1
        with err.open("w") as said:
            child = subprocess.Popen(
                [sys.executable, "trading_main.py", *arguments],
                cwd=BACKEND,
                env=self.bench.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            try:
                ready = until_said(err, READY)
                assert ready is not None, err.read_text()
                self.ready_anew.append(ready)
                self.own_anew.append(ready - kept_waiting_s(child.pid))
                if self.own_anew[-1] > READY_S:
                    print(f"slow: {self.own_anew[-1]:.2f} s\n{err.read_text()}")
                time.sleep(self.chance.uniform(0.2, 1.2))
            finally:
                child.kill()
                child.wait()

    def square(self) -> None:
        """Start a run that asks for nothing, and wait until it has settled everything."""
        err = self.bench.home / "last.err"
        arguments = [*self.arguments, "every_s=0"]
        child = self.starter.start(self.bench, arguments, err, None)
        assert until_said(err, READY) is not None, err.read_text()
        (orders,) = (self.bench.home / "journals").glob("*.orders.jsonl")
        until = time.monotonic() + 60  # that a ticket never arrived is sure after 8 s
        while book_of(orders).open_tickets() and time.monotonic() < until:
            time.sleep(0.25)
        time.sleep(1.5)  # and its engine has heard of it
        os.kill(child, signal.SIGKILL)
        self.starter.wait()
        err.unlink()
        compare(self.bench)


def compare(bench: LiveBench) -> tuple[int, int]:
    """Hold the broker's ledger against our journals; return its orders and executions of ours."""
    with SchwabTrader(bench.settings) as api:
        account = next(
            each for each in api.account_numbers() if each.account_number.endswith("001")
        ).hash_value
        roots = api.orders(account, DAY, DAY + timedelta(days=2))
        told = api.account(account, positions=True)
    journals = bench.home / "journals"
    decisions_file = journals / f"{account}.jsonl"
    orders_file = journals / f"{account}.orders.jsonl"
    key = read_key(bench.home / "journal.key")
    for path in (decisions_file, orders_file):
        assert verify(path, key).fault is None, path
    book = book_of(orders_file)
    assert not book.open_tickets(), "nothing is left unknown"
    owner = Owner(
        account,
        Mode.LIVE,
        lambda one: book.owners.get(str(one.order_id), "?"),
        lambda _: EXTERNAL,
    )
    there: dict[str, Order] = {}
    for reported in (one for root in roots for one in orders_within(root)):
        order = order_of(reported, owner)
        assert order.client_order_id != "?", f"lost: {order.order_id} is nobody's"
        assert order.client_order_id not in there, f"doubled: {order.client_order_id}"
        there[order.client_order_id] = order
    stand = [one for one in book.tickets.values() if one.state is TicketState.STANDS]
    standing = {name for one in stand for name in (o.client_order_id for o in _orders(one))}
    assert set(there) == standing, "what stands here stands there"

    read = [record for _, record in read_journal(decisions_file, Decision)]
    decisions: list[Decision] = [each for each in read if not isinstance(each, Opened)]
    engine = rebuilt(account, decisions)
    for name, order in there.items():
        ours = engine.book.states[name].order
        assert (ours.status, ours.filled_quantity) == (order.status, order.filled_quantity), name
    for name, state in engine.book.states.items():
        if name not in there:
            assert state.order.status in {OrderStatus.REJECTED, OrderStatus.DENIED}, name
    held = holdings_of(told, account_id=account, mode=Mode.LIVE, at=DAY).positions
    began = next(each for each in decisions if isinstance(each, Began))
    expected = Counter(began.others)
    for symbol, holding in engine.portfolio.holdings.items():
        expected[symbol] += holding.quantity
    assert {each.symbol: each.signed_quantity for each in held} == {
        symbol: Decimal(units) for symbol, units in expected.items() if units
    }, "positions"
    fills = sum(len(state.fills) for state in engine.book.states.values())
    return len(there), fills


def book_of(path: Path) -> OrderBook:
    """Return what an order journal says, which a program may have open."""
    book = OrderBook()
    for _, record in read_journal(path, Record):
        if not isinstance(record, Opened):
            book.apply(record)
    return book


def _orders(ticket: Any) -> tuple[Order, ...]:
    from models.order_groups import orders_of  # noqa: PLC0415 - beside its use

    return orders_of(ticket.ticket)


def rebuilt(account: str, decisions: list[Decision]) -> Engine:
    """Return an engine as a journal leaves it."""
    from late_desk import Hand, LateBroker, OpenGate  # noqa: PLC0415 - beside its use

    broker: Any = LateBroker()
    names = Names(account, Mode.LIVE, "hand", "r")
    engine = Engine(Hand(), broker, gate=OpenGate(), record=lambda _: None, names=names)
    engine.resume(decisions)
    return engine


def kept_waiting_s(pid: int) -> float:
    """Return the seconds for which a process could have run and others had the processors (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@pytest.mark.timeout(7200)
def test_no_kill_loses_or_doubles_an_order(databases: Any, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6) if PROVE else 5
    market = ("--clock", "2026-11-20T10:00", "--speed", "1")
    with (
        databases.fresh() as dsn,
        live_bench(market, tmp_path, dsn) as bench,
        started() as starter,
    ):
        killing = Killing(bench, starter, bench.signed_limits(LIMITS), seed)
        for number in range(KILLS):
            killing.one(number)
            if number % SQUARE_EVERY == SQUARE_EVERY - 1:
                killing.square()
                # Another day, as far as the limit of a day's orders goes.
                shutil.rmtree(tmp_path / "limits", ignore_errors=True)
        if KILLS % SQUARE_EVERY:
            killing.square()
        orders, fills = compare(bench)
    anew, own, forked = killing.ready_anew, killing.own_anew, killing.ready
    print(
        f"seed {seed}: {KILLS} kills {dict(killing.ways)}; {orders} orders, {fills} executions: "
        f"0 lost, 0 doubled, 0 wrong positions; restart to ready p50 {percentile(anew, 0.5):.2f} s, "
        f"p99 {percentile(anew, 0.99):.2f} s of {len(anew)} programs anew, without the time in which "
        f"others had the processors p50 {percentile(own, 0.5):.2f} s, p99 {percentile(own, 0.99):.2f} s "
        f"(forked: p99 {percentile(forked, 0.99):.2f} s of {len(forked)})"
    )
    assert orders >= max(1, KILLS // 5), "it has traded"
    if PROVE:  # what else the machine does is not counted
        assert percentile(own, 0.99) <= READY_S
