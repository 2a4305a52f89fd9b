"""A ticker that is split in the middle of the range: bars fit together, options to their shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from app.etl_service import opened_sources, simulated
from app.simulated_market import simulator_status
from black_scholes import realized
from pipeline.plan import Window
from pipeline.work import Order, run
from simulator.generated import GeneratedWorld
from tests.test_etl.conftest import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.test_etl.conftest import Etl, Market

WEEK = tuple(date(2026, 11, day) for day in (16, 17, 18, 19, 20))
BEFORE, FRIDAY = date(2026, 11, 13), date(2026, 11, 20)
SPLIT = WEEK[2]
BARS, DAILY, QUOTES = "equity_bars_1m", "equity_bars_1d", "option_quotes_1m"
TODAY = Window(0, 0)


@pytest.fixture
def split() -> Iterator[Market]:
    with started("--split", f"KO:{SPLIT}:4:1", "--clock", "2026-11-17T20:00") as market:
        yield market


def done(
    etl: Etl, market: Market, dataset: str, *days: date, tmp: str
) -> dict[date, dict[str, Any]]:
    """Bring days into store and lake, and return their rows of coverage."""
    wanted = etl.partitions(*days, dataset=dataset, tickers=("KO",))
    service = simulated(simulator_status(market.status["http"]), "simulator")
    with opened_sources(service, tmp, ("KO",)) as sources:
        outcomes = run(Order(wanted, TODAY), replace(etl.bench, sources=sources))
    assert [each.status for each in outcomes] == ["complete"] * len(days), outcomes
    assert not {found.rule for each in outcomes for found in each.findings} & {"disagrees"}
    return {each.session: etl.coverage(each) for each in wanted}


def test_bars_are_those_that_were_traded_whenever_they_were_asked_for(
    etl: Etl, split: Market, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp = str(tmp_path_factory.mktemp("flat"))
    # Before the split nothing is adjusted.
    early = {name: done(etl, split, name, *WEEK[:2], tmp=tmp) for name in (BARS, DAILY)}
    split.move("2026-11-20T20:00")
    for name in (BARS, DAILY):
        late = done(etl, split, name, *WEEK, tmp=tmp)
        assert [late[day]["content_hash"] for day in WEEK[:2]] == [
            early[name][day]["content_hash"] for day in WEEK[:2]
        ]
    bars = etl.store.read("equity_bars", {"interval": "1d"}).sort("session")
    assert set(bars["source"]) == {"schwab"}
    minutes = etl.store.read("equity_bars", {"interval": "1m"})
    regular = minutes.filter(
        pl.col("ts").dt.convert_time_zone("America/New_York").dt.time() < time(16)
    )
    assert (
        regular.group_by("session").agg(pl.col("close").last()).sort("session")["close"].to_list()
        == bars["close"].to_list()
    )
    jump = bars["close"][1] / bars["open"][2]
    assert jump == pytest.approx(4, rel=0.1)
    findings = etl.store.read("quality_findings", {"dataset": DAILY})
    counts = {row["rule"]: row["count"] for row in findings.filter(session=SPLIT).to_dicts()}
    assert (counts["split_day"], counts["split_unknown"], counts["split_unseen"]) == (1, 0, 0)
    assert findings.filter(rule="split_day")["count"].sum() == 1
    (known,) = etl.store.read("splits").to_dicts()
    assert (known["ex_date"], known["split_from"], known["split_to"]) == (SPLIT, 1.0, 4.0)


def test_options_are_priced_in_the_shares_of_their_session(
    etl: Etl, split: Market, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp = str(tmp_path_factory.mktemp("flat"))
    split.move("2026-11-20T20:00")
    for day in (BEFORE, FRIDAY):
        done(etl, split, QUOTES, day, tmp=tmp)
        found = etl.store.read("quality_findings", {"dataset": QUOTES, "session": day})
        wrong = {"strikes_off", "parity", "split_unknown", "split_unseen", "below_intrinsic"}
        assert found.filter(pl.col("rule").is_in(wrong))["count"].sum() == 0, day
    quotes = {
        day: etl.store.read("option_quotes", {"session": day}).drop_nulls("underlying_price")
        for day in (BEFORE, FRIDAY)
    }
    volatility = {day: rows["implied_volatility"].median() for day, rows in quotes.items()}
    assert volatility[BEFORE] == pytest.approx(volatility[FRIDAY], rel=1.0)
    for name in ("strike", "underlying_price"):
        then, now = (quotes[day][name].median() for day in (BEFORE, FRIDAY))
        assert then == pytest.approx(4 * now, rel=0.15), name
    # Twenty days with a split inside move as those of a world that never had one.
    world = GeneratedWorld(7)
    days = world.bars(
        "KO", *(datetime(2026, *each, tzinfo=UTC) for each in ((10, 1), (11, 21))), "1d"
    )
    closes = days["close"].tail(21).to_numpy()
    (figures,) = etl.store.read("session_figures", {"session": FRIDAY}).to_dicts()
    assert figures["close_to_close_20"] == pytest.approx(realized.close_to_close(closes), rel=1e-3)
    assert figures["yang_zhang_20"] < 2 * figures["close_to_close_20"]
