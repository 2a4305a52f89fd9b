"""What a person trades by hand while no program runs: found, labelled, explained, and left alone.

Case after case a program trades a little at the simulator and ends, sometimes before it heard what
came of its orders; then somebody else trades the same account; then the next program takes it up.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them

from late_desk import Hand, OpenGate
from live_bench import LiveBench, live_bench

from models import spreads
from models.decisions import Began, Decision, Intended
from models.events import Heartbeat
from models.order_terms import Mode, OrderStatus, PositionEffect, Side
from models.spreads import Terms
from models.trading import Leg
from schwab_integration.broker import EXTERNAL
from schwab_integration.orders import to_wire
from schwab_integration.parse_accounts import holdings_of
from schwab_integration.trader import SchwabTrader
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from utils.clock import to_ns

if TYPE_CHECKING:
    from engine.reconciliation import Reconciled

PROVE = bool(os.environ.get("PROVE"))
CASES = 1000 if PROVE else 10
A_MARKET = 60
"""Cases that fit into one simulated session, six minutes each."""
START = datetime(2026, 11, 20, 14, 35, tzinfo=UTC)
_FILLED = OrderStatus.FILLED
TICKERS = ("QQQ", "SPY", "IWM", "AAPL")


@dataclass
class Account:
    """One account at a simulator, a person's hand and one program after the other on it."""

    bench: LiveBench
    api: SchwabTrader
    account: str
    chance: random.Random
    now: datetime = START
    decisions: list[Decision] = field(default_factory=list)
    by_hand: dict[str, str] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    def pass_time(self) -> None:
        self.now += timedelta(minutes=3)
        self.bench.admin("clock", now=f"{self.now:%Y-%m-%dT%H:%M:%S}+00:00")

    def trade_by_hand(self) -> None:
        """Let a person buy, sell, or leave an order standing."""
        for _ in range(self.chance.randint(0, 3)):
            self.seen["trades of others"] += 1
            terms = Terms(
                client_order_id="hand",
                account_id=self.account,
                mode=Mode.LIVE,
                created_at=self.now,
            )
            symbol = self.chance.choice(TICKERS)
            legs = [spreads.leg(symbol, Side.BUY, Decimal(self.chance.randint(1, 5)))]
            far = Decimal("1.00") if self.chance.random() < 0.4 else None
            order = spreads.order(terms, legs, limit_price=far)
            placed = self.api.place(self.account, to_wire(order))
            assert placed.order_id is not None
            self.by_hand[str(placed.order_id)] = "stands" if far else "fills"

    def run_a_program(self) -> None:
        """Take the account up, trade a little, and end somewhere."""
        self.runs += 1
        strategy = Hand()
        terms = TradingTerms(
            account_id=self.account,
            mode=Mode.LIVE,
            run_id=f"r{self.runs}",
            order_journal=self.bench.home / "orders.jsonl",
            gate=OpenGate(),
            record=self.decisions.append,
            clock=lambda: self.now,
        )
        with TradingEngine(self.bench.settings, strategy, terms) as trading:
            found = trading.take_up(list(self.decisions))
            self.check(trading, found)
            self.decisions.append(
                Began(
                    event=0,
                    at_ns=to_ns(self.now),
                    strategy="hand",
                    mode=Mode.LIVE,
                    parameters=msgspec.Raw(b"{}"),
                    limits=msgspec.Raw(b"{}"),
                    others=found.others,
                    seen=found.seen,
                    cash=found.cash,
                )
            )
            trading.engine.start(to_ns(self.now))
            self.trade(trading, strategy)

    def with_strange_cash(self) -> list[str]:
        """Take the account up once more, as if there had been less cash; return what is said."""
        number = max(n for n, each in enumerate(self.decisions) if isinstance(each, Began))
        began = self.decisions[number]
        assert isinstance(began, Began)
        assert began.cash is not None
        less = msgspec.structs.replace(began, cash=began.cash - Decimal("77.77"))
        past = [*self.decisions[:number], less, *self.decisions[number + 1 :]]
        terms = TradingTerms(
            account_id=self.account,
            mode=Mode.LIVE,
            run_id="strange",
            order_journal=self.bench.home / "orders.jsonl",
            gate=OpenGate(),
            record=lambda _: None,
            clock=lambda: self.now,
        )
        with TradingEngine(self.bench.settings, Hand(), terms) as trading:
            return trading.take_up(past).differences

    def trade(self, trading: TradingEngine, strategy: Hand) -> None:
        """Ask for an order or two; hear of some of them."""
        engine, desk = trading.engine, strategy.desk
        for order in desk.orders():
            if order.order_id and self.chance.random() < 0.5:
                desk.cancel(order.client_order_id)
        for _ in range(self.chance.randint(0, 2)):
            symbol = self.chance.choice(TICKERS)
            units = self.chance.randint(1, 3)
            held = desk.position(symbol)
            if held >= units and self.chance.random() < 0.4:
                leg = Leg(symbol=symbol, side=Side.SELL, position_effect=PositionEffect.CLOSING)
            else:
                leg = Leg(symbol=symbol, side=Side.BUY, position_effect=PositionEffect.OPENING)
            far = Decimal("1.00") if leg.side is Side.BUY and self.chance.random() < 0.3 else None
            (desk.open if leg.side is Side.BUY else desk.close)([leg], units, limit_price=far)
        engine.on(Heartbeat(time_ns=to_ns(self.now)))
        deaf = self.chance.random() < 0.4
        self.seen["programs that ended unheard"] += deaf
        until = time.monotonic() + 20
        while not deaf and engine.book.awaited and time.monotonic() < until:
            for news in list(trading._deliveries._waiting):
                trading._deliveries._waiting.remove(news)
                assert not isinstance(news, BaseException), news
                engine.on(news)
            time.sleep(0.001)

    def check(self, trading: TradingEngine, found: Reconciled) -> None:
        """Hold what the program thinks against the broker's account."""
        assert found.differences == []
        engine = trading.engine
        told = self.api.account(self.account, positions=True)
        held = holdings_of(told, account_id=self.account, mode=Mode.LIVE, at=self.now).positions
        together = Counter(found.others)
        for symbol, holding in engine.portfolio.holdings.items():
            together[symbol] += holding.quantity
        assert {each.symbol: each.signed_quantity for each in held} == {
            symbol: Decimal(units) for symbol, units in together.items() if units
        }
        labelled = {each.order_id: each for each in found.external}
        assert set(self.by_hand) <= set(labelled)
        for order_id, fate in self.by_hand.items():
            order = labelled[order_id]
            assert order.strategy == EXTERNAL
            untouched = not order.status.terminal if fate == "stands" else order.status is _FILLED
            assert untouched, order
        ours = {name for name, state in engine.book.states.items() if state.order.order_id}
        assert not ours & {each.client_order_id for each in found.external}
        self.seen["holdings compared"] += len(held)


@pytest.mark.timeout(3600)
def test_the_account_is_explained_after_any_trades_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(10**6) if PROVE else 17
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    for first in range(0, CASES, A_MARKET):
        home = tmp_path / str(first)
        home.mkdir()
        monkeypatch.setenv("OPTIONS_HOME", str(home))
        with (
            live_bench(("--clock", "2026-11-20T09:35", "--speed", "0"), home, "") as bench,
            SchwabTrader(bench.settings) as api,
        ):
            number = api.account_numbers()[0]
            account = Account(bench, api, number.hash_value, chance)
            for _ in range(min(A_MARKET, CASES - first)):
                account.run_a_program()
                account.pass_time()
                account.trade_by_hand()
                account.pass_time()
                # Another minute, as far as the limit of order requests goes.
                shutil.rmtree(home / "limits", ignore_errors=True)
            account.run_a_program()
            (said,) = account.with_strange_cash()
            assert re.fullmatch(r"the cash is 7\d\.\d\d USD more than .* explain", said), said
            seen += account.seen
            seen["orders of ours"] += sum(isinstance(each, Intended) for each in account.decisions)
    print(f"seed {seed}: {CASES} cases, {dict(seen)}: every holding explained, none cancelled")
    assert seen["trades of others"] >= CASES
