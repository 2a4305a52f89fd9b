"""A backtest: nothing of the future is seen, equal data gives an equal journal, figures are right."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pytest
from stored_day import DAYS, MINUTES, market_of, stored_day

from app.backtest import BacktestResult, BacktestTerms, run_backtest
from app.backtest_report import write_report
from app.backtest_statistics import daily_returns, drawdown, statistics_of
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.order_terms import Side
from models.trading import Leg
from ports.strategy import Needs, Strategy
from strategies.covered_call import CoveredCall, CoveredCallParameters
from strategies.ema_cross import EmaCross, EmaCrossParameters
from strategies.zero_dte_iron_condor import ZeroDteIronCondor, ZeroDteIronCondorParameters
from utils.clock import to_ns
from utils.journal_chain import chain_of
from utils.market_calendar import sessions

if TYPE_CHECKING:
    from pathlib import Path

    from models.events import Bar, Quote
    from models.tables import Frame

LIMITS = RiskLimits(no_openings_minutes=5, max_spread_usd=Decimal(1), max_underlying_age_s=60)
TERMS = BacktestTerms(Decimal(100_000))
CUT = sessions(*DAYS)[1].open + timedelta(minutes=35)


def run(
    strategy: Strategy, frames: dict[str, Frame], terms: BacktestTerms = TERMS
) -> BacktestResult:
    market = market_of(frames)
    gate = RiskGate(LIMITS, speed=60)
    return [found for _, found in run_backtest(strategy, market, gate, terms)][-1]


def planted(frames: dict[str, Frame]) -> dict[str, Frame]:
    """Return data whose future, from `CUT` on, is another one: prices three times as high."""
    future = pl.col("ts") >= CUT
    prices = {"equity_bars": ("open", "high", "low", "close"), "option_quotes": ("bid", "ask")}
    ends = {"equity_bars": future, "option_quotes": pl.col("ts") > CUT}
    return {
        name: frame.with_columns(
            pl.when(ends[name]).then(pl.col(each) * 3).otherwise(pl.col(each)).alias(each)
            for each in prices[name]
        )
        for name, frame in frames.items()
    }


def strategies() -> list[Strategy]:
    return [
        EmaCross(EmaCrossParameters(fast=3, slow=9)),
        ZeroDteIronCondor(ZeroDteIronCondorParameters()),
        CoveredCall(CoveredCallParameters(look_s=600)),
    ]


class Spy(Strategy):
    """Looks at all that a desk shows, at every event, for anything that has not happened yet."""

    name = "spy"

    def __init__(self) -> None:
        self.looked = 0
        self.ahead: list[object] = []

    def needs(self) -> Needs:
        return Needs(("QQQ",), {"QQQ": 0})

    def start(self) -> None:
        self.desk.call_every(300, "look")

    def on_quote(self, quote: Quote) -> None:
        if quote.time_ns != self.desk.now_ns:
            self.ahead.append(quote)
        if self.looked == 0:
            self.desk.open([Leg(symbol="QQQ", side=Side.BUY)], 1)
        self.looked += 1

    def on_bar(self, bar: Bar) -> None:
        if bar.time_ns + bar.interval_s * 10**9 > self.desk.now_ns:
            self.ahead.append(bar)

    def on_timer(self, name: str) -> None:
        now_ns = self.desk.now_ns
        chain = self.desk.chain("QQQ")
        if chain.quote_ns.max(initial=0) > now_ns or chain.now_ns > now_ns:
            self.ahead.append(chain)
        held = self.desk.positions().values()
        self.ahead += [each for each in held if to_ns(each.updated_at) > now_ns]
        if any((self.desk.quote(each).time_ns) > now_ns for each in chain.occ_symbol):  # type: ignore[union-attr]
            self.ahead.append(name)


def test_no_strategy_can_see_the_future() -> None:
    spy = Spy()
    run(spy, stored_day())
    assert spy.looked > MINUTES * 60
    assert spy.ahead == []


@pytest.mark.parametrize("number", range(3))
def test_another_future_changes_no_decision_before_it(number: int) -> None:
    frames = stored_day()
    encode = msgspec.json.Encoder(decimal_format="string").encode
    told = [run(strategies()[number], each) for each in (frames, planted(frames))]
    before = [
        [encode(each) for each in result.decisions if each.at_ns <= to_ns(CUT)] for result in told
    ]
    assert len(before[0]) > 3
    assert before[0] == before[1]
    worths = [[each for each in result.samples if each.time_ns <= to_ns(CUT)] for result in told]
    assert [each[:3] for each in worths[0]] == [each[:3] for each in worths[1]]
    ends = [result.samples[-1].spot for result in told]
    assert ends[1] == pytest.approx(3 * ends[0]), "the future that was planted never came"


def test_two_runs_write_the_same_files(tmp_path: Path) -> None:
    frames = stored_day()
    names = ("decisions.jsonl", "report.json", "report.html")
    written = []
    for name in ("one", "two"):
        write_report(tmp_path / name, run(strategies()[0], frames), ["Nothing else."])
        written.append([(tmp_path / name / each).read_bytes() for each in names])
    assert written[0] == written[1]
    found = chain_of(written[0][0])
    told = json.loads(written[0][1])
    assert found.fault is None
    assert found.records > 20
    assert (told["journal"]["decisions"], told["journal"]["sha256"]) == (
        found.records,
        found.digest,
    )
    assert found.digest in written[0][2].decode()


def test_the_figures_are_those_of_the_trades() -> None:
    result = run(strategies()[0], stored_day())
    told = statistics_of(result)
    gains = [float(each.gained) for each in result.trips]
    won, lost = [each for each in gains if each > 0], [each for each in gains if each < 0]
    assert len(gains) > 4
    assert told.win_rate == pytest.approx(len(won) / len(gains))
    assert told.profit_factor == pytest.approx(sum(won) / -sum(lost))
    assert told.average_win == pytest.approx(sum(won) / len(won))
    assert told.average_loss == pytest.approx(sum(lost) / len(lost))
    worth = np.array([each.worth for each in result.samples])
    deepest = min(each - max(0.0, *worth[: at + 1]) for at, each in enumerate(worth))
    assert told.deepest_drawdown == pytest.approx(deepest)
    assert told.result == pytest.approx(float(result.engine.worth()))
    spans = [(each.opened_ns, each.closed_ns) for each in result.trips]
    if result.open_since_ns is not None:
        spans.append((result.open_since_ns, 2**63))
    held = [any(a <= each.time_ns < b for a, b in spans) for each in result.samples]
    assert told.time_in_market == pytest.approx(sum(held) / len(held))
    spots = [each.spot for each in result.samples]
    assert told.underlying_return == pytest.approx(spots[-1] / spots[0] - 1)


def test_ratios_equal_their_formulas() -> None:
    result = run(strategies()[0], stored_day())
    returns = daily_returns(result)
    ends = [result.samples[MINUTES - 1].worth, result.samples[-1].worth]
    first = ends[0] / 100_000
    assert returns == pytest.approx([first, (100_000 + ends[1]) / (100_000 + ends[0]) - 1])
    mean, spread = returns.mean(), returns.std(ddof=1)
    below = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    told = statistics_of(result)
    assert told.sharpe == pytest.approx(mean / spread * math.sqrt(252))
    assert told.sortino == pytest.approx(mean / below * math.sqrt(252))
    assert told.volatility == pytest.approx(spread * math.sqrt(252))


def test_drawdown_counts_from_the_highest_before() -> None:
    worth = np.array([-5.0, 10.0, 4.0, 12.0, 2.0])
    assert drawdown(worth).tolist() == [-5.0, 0.0, -6.0, 0.0, -10.0]


def test_the_files_beside_the_page_have_all(tmp_path: Path) -> None:
    result = run(strategies()[0], stored_day())
    write_report(tmp_path, result, [])
    told: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    trades = pl.read_parquet(tmp_path / "trades.parquet")
    equity = pl.read_parquet(tmp_path / "equity.parquet")
    assert told["statistics"]["round_trips"] == len(result.trips) == trades["trip"].n_unique()
    assert equity["worth"].item(-1) == pytest.approx(told["statistics"]["result"])
    assert len(equity) == 2 * MINUTES
    flows = trades["signed_quantity"] * trades["price"] + trades["fees"]
    assert float(-flows.sum()) == pytest.approx(sum(float(each.gained) for each in result.trips))


class Holder(Strategy):
    """Buys a call that expires today, once, and holds it to its end."""

    name = "holder"

    def needs(self) -> Needs:
        return Needs(("QQQ",), {"QQQ": 0})

    def start(self) -> None:
        self.desk.call_every(300, "look")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        calls = [each for each in self.desk.chain("QQQ").occ_symbol if each[12] == "C"]
        if calls and not self.desk.positions() and self.desk.now.day == DAYS[0].day:
            self.desk.open([Leg(symbol=calls[-1], side=Side.BUY)], 1)


def test_what_is_held_to_its_end_ends_a_round_trip() -> None:
    result = run(Holder(), stored_day())
    (trip,) = result.trips
    (ended,) = trip.ended
    assert (ended.outcome, len(trip.fills)) == ("worthless", 1)
    assert trip.closed_ns == ended.time_ns
    fill = trip.fills[0]
    assert trip.gained == -100 * fill.price - fill.fees == result.engine.worth()
    assert result.open_since_ns is None


@pytest.mark.parametrize("number", range(2))
def test_the_parts_of_the_gain_sum_to_it_and_settings_are_told(tmp_path: Path, number: int) -> None:
    terms = TERMS._replace(parameters=strategies()[number].parameters)
    result = run(strategies()[number], stored_day(), terms)
    write_report(tmp_path, result, [])
    told: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    total = sum(float(each["total"]) for each in told["gains"].values())
    assert total == pytest.approx(told["statistics"]["result"], abs=0.01)
    by_session = pl.read_parquet(tmp_path / "gains.parquet")
    assert float(by_session["total"].sum()) == pytest.approx(total, abs=0.01)
    assert set(told["parameters"]) == set(type(terms.parameters).model_fields)
    assert told["limits"]["no_openings_minutes"] == "5.0"
    page = (tmp_path / "report.html").read_text()
    assert "Parameters of the strategy" in page
    assert '<div class="changed"><dt>max_spread_usd</dt><dd>1</dd></div>' in page


def test_latency_is_that_of_the_terms() -> None:
    slow = TERMS._replace(rules=TERMS.rules._replace(latency_ns=90 * 10**9))
    at = [
        next(fill.time_ns for trip in run(strategies()[0], stored_day(), each).trips
             for fill in trip.fills)
        for each in (TERMS, slow)
    ]  # fmt: skip
    assert at[1] - at[0] == slow.rules.latency_ns - TERMS.rules.latency_ns
