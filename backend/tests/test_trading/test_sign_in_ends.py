"""A sign-in that ends in the midst of a session: only closings leave, until somebody signs in again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parent))  # what these tests share stands beside them

from late_desk import Hand, OpenGate
from live_bench import live_bench

from models.decisions import Denied, Heard, Intended
from models.events import Quote, Restraint
from models.order_terms import Mode, PositionEffect, Side
from models.trading import Leg
from schwab_integration.live_events import SIGN_IN
from schwab_integration.trader import SchwabTrader
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from utils.clock import to_ns, wall_clock

if TYPE_CHECKING:
    from models.decisions import Decision

BOUGHT = Leg(symbol="QQQ", side=Side.BUY, position_effect=PositionEffect.OPENING)


@pytest.mark.timeout(240)
def test_the_run_goes_on_once_somebody_has_signed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    decisions: list[Decision] = []
    with live_bench(("--clock", "2026-11-20T10:00", "--speed", "1"), tmp_path, "") as bench:
        with SchwabTrader(bench.settings) as api:
            account = api.account_numbers()[0].hash_value
        began = time.monotonic()
        strategy = Hand()
        terms = TradingTerms(
            account_id=account,
            mode=Mode.LIVE,
            run_id="s",
            order_journal=tmp_path / "orders.jsonl",
            gate=OpenGate(),
            record=decisions.append,
            check_every_s=0.3,
        )
        steps: list[str] = []
        with TradingEngine(bench.settings, strategy, terms) as trading:
            trading.take_up([], accept_holdings=True)
            trading.engine.start(to_ns(wall_clock()))
            for event in trading.run(("QQQ",)):
                assert time.monotonic() - began < 200, steps
                if not steps and isinstance(event, Quote):
                    bench.admin("faults", target="schwab.trader", fault="revoke_token", count=1)
                    steps.append("revoked")
                elif isinstance(event, Restraint) and event.source == SIGN_IN and event.reason:
                    steps.append("restrained")
                    strategy.desk.open([BOUGHT], 1)
                elif steps == ["revoked", "restrained"]:
                    (denied,) = [each for each in decisions if isinstance(each, Denied)]
                    assert denied.rule == "closing_only"
                    bench.sign_in()
                    steps.append("signed in")
                elif isinstance(event, Restraint) and event.source == SIGN_IN:
                    steps.append("free")
                    strategy.desk.open([BOUGHT], 1)
                if trading.engine.portfolio.quantity("QQQ"):
                    break
    assert steps == ["revoked", "restrained", "signed in", "free"]
    assert sum(isinstance(each, Intended) for each in decisions) == 1, "nothing left meanwhile"
    assert sum(len(each.update.fills) for each in decisions if isinstance(each, Heard)) == 1
