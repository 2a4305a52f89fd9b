"""Replies that are late, wrong or missing: each ends complete, or says what is missing and why."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from models.tables import Range
from pipeline.etl_events import PartitionDone, RunEnded
from pipeline.plan import Window
from pipeline.work import Order, run

if TYPE_CHECKING:
    from pipeline.etl_events import EtlEvent
    from pipeline.sources import PartSource
    from tests.test_etl.conftest import Etl, Market

FRIDAY = date(2026, 11, 20)
SCHWAB = "schwab.market_data.pricehistory"
POLYGON = "polygon.rest.aggs"


def done(events: list[EtlEvent]) -> list[PartitionDone]:
    return [each for each in events if isinstance(each, PartitionDone)]


def ended(events: list[EtlEvent]) -> RunEnded:
    assert isinstance(events[-1], RunEnded)
    return events[-1]


@pytest.mark.parametrize(
    ("kind", "options", "source", "rules"),
    [
        ("status", {"status": 503, "count": 1}, "schwab", set()),  # asked again by the client
        ("reset", {"count": 1}, "schwab", set()),
        ("half_body", {"count": 1}, "schwab", set()),
        ("status", {"status": 500}, "polygon", set()),
        ("stale", {}, "polygon", set()),
        ("empty", {}, "polygon", set()),
        ("gap", {}, "polygon", set()),
        ("renamed", {}, "polygon", set()),
        ("duplicate", {}, "schwab", set()),  # the client keeps one of each
        ("disagree", {"by": 0.01}, "schwab", {"disagrees"}),
        ("clock_skew", {"skew_s": 86_400.0}, "schwab", set()),
    ],
)
def test_the_other_source_makes_good_what_schwab_does_wrong(
    etl: Etl, market: Market, kind: str, options: dict[str, Any], source: str, rules: set[str]
) -> None:
    market.fault(SCHWAB, kind, **options)
    wanted = etl.partitions(FRIDAY)
    events = etl.run(wanted)
    assert market.fired()[0] > 0
    (last,) = done(events)
    assert (last.status, last.outcome.source, last.outcome.missing) == ("done", source, 0)
    assert rules <= {each.rule for each in last.outcome.findings}
    assert ended(events).done == 1
    assert etl.todo(wanted) == ()
    assert etl.store.read("equity_bars", {"interval": "1m"})["source"].unique().to_list() == [
        source
    ]


@pytest.mark.parametrize(
    ("kind", "words", "status"),
    [
        ("stale", "no row of 2026-11-20", None),
        ("empty", "no row of 2026-11-20", None),
        ("gap", "of 390 regular minutes are missing", "partial"),
        ("renamed", "", None),
    ],
)
def test_what_no_source_has_is_a_dead_letter_with_its_reason(
    etl: Etl, market: Market, kind: str, words: str, status: str | None
) -> None:
    for target in (SCHWAB, POLYGON):
        market.fault(target, kind)
    (partition,) = wanted = etl.partitions(FRIDAY)
    events = etl.run(wanted)
    assert [each.status for each in done(events)] == ["waiting", "waiting", "failed"]
    assert ended(events).failed == 1
    reason = etl.dead(wanted)[partition]
    assert words in reason
    assert "schwab" in reason
    assert "polygon" in reason
    stored = etl.store.read("coverage")["status"].to_list()
    assert stored == ([status] if status else [])
    market.clear()
    assert done(etl.run(wanted)) == []  # left alone until it is asked for
    etl.store.ledger(code_version="test", clock=etl.time.clock).revive(etl.scope(wanted))
    assert done(etl.run(wanted))[-1].status == "done"
    assert etl.dead(wanted) == {}
    assert etl.todo(wanted) == ()


def test_a_bad_session_spoils_none_of_the_others_of_its_request(etl: Etl, market: Market) -> None:
    days = (date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19), FRIDAY)
    market.fault(SCHWAB, "empty")
    market.fault(POLYGON, "empty", count=1)  # the request for all of them
    market.fault(POLYGON, "empty", match={"path": "*/1/minute/2026-11-18/2026-11-18"})
    market.fault("s3", "status", status=404)
    wanted = etl.partitions(*days)
    etl.run(wanted)
    assert [each.session for each in etl.dead(wanted)] == [days[1]]
    assert [each.session for each in etl.todo(wanted)] == [days[1]]


@pytest.mark.parametrize(
    ("dataset", "target", "kind", "words"),
    [
        ("option_trades", "trades", "stale", "of 2026-11-19, not of 2026-11-20"),
        ("option_trades", "trades", "empty", "no row of 2026-11-20"),
        ("option_trades", "trades", "renamed", ""),
        ("option_quotes_1m", "quotes", "stale", "not of 2026-11-20"),
        ("option_quotes_1m", "quotes", "empty", "no row of 2026-11-20"),
        ("option_bars_1m", "aggs", "stale", "no row of 2026-11-20"),
        ("option_bars_1m", "aggs", "empty", "no row of 2026-11-20"),
    ],
)
def test_options_of_the_past_that_nobody_has_say_why(
    etl: Etl, market: Market, dataset: str, target: str, kind: str, words: str
) -> None:
    market.fault(f"polygon.rest.{target}", kind)
    market.fault("s3", "status", status=404)
    (partition,) = wanted = etl.partitions(FRIDAY, dataset=dataset, tickers=("KO",))
    (outcome,) = run(Order(wanted, Window(0, 0)), etl.bench)
    assert market.fired()[0] > 0
    assert outcome.status == "nothing"
    assert words in (outcome.reason or "")
    assert "polygon" in (outcome.reason or "")
    assert etl.todo(wanted) == (partition,)


def test_trades_that_came_twice_are_stored_once(etl: Etl, market: Market) -> None:
    wanted = etl.partitions(FRIDAY, dataset="option_trades", tickers=("KO",))
    order = Order(wanted, Window(0, 0))
    (sound,) = run(order, etl.bench)
    content = etl.content()
    market.fault("polygon.rest.trades", "duplicate")
    (twice,) = run(order, etl.bench)
    (told,) = (each for each in twice.findings if each.rule == "told_twice")
    assert (told.count, twice.rows, twice.changed) == (sound.rows, sound.rows, 0)
    market.clear()
    market.fault("polygon.rest.trades", "gap")  # some are gone, and the others numbered anew
    assert run(order, etl.bench)[0].rows < sound.rows
    market.clear()
    assert run(order, etl.bench)[0].rows == sound.rows
    assert etl.content() == content


def test_a_finding_of_rows_that_were_renewed_is_gone(etl: Etl, market: Market) -> None:
    market.fault(SCHWAB, "disagree", by=0.01)
    (partition,) = wanted = etl.partitions(FRIDAY)
    etl.run(wanted)
    rules = etl.store.read("quality_findings", {"count": Range(1, None)})["rule"]
    assert "disagrees" in rules
    assert '"disagrees":' in etl.coverage(partition)["checks"]
    market.clear()
    run(Order(wanted, Window(0, 0)), etl.bench)
    assert "disagrees" not in etl.store.read("quality_findings")["rule"]
    assert '"disagrees":' not in etl.coverage(partition)["checks"]


def test_duplicate_rows_of_the_second_source_are_stored_once(etl: Etl, market: Market) -> None:
    market.fault(SCHWAB, "empty")
    market.fault(POLYGON, "duplicate")
    (partition,) = wanted = etl.partitions(FRIDAY)
    assert ended(etl.run(wanted)).done == 1
    row = etl.coverage(partition)
    assert (row["source"], row["missing"]) == ("polygon", 0)
    assert row["rows"] == etl.store.read("equity_bars")["ts"].n_unique()


def test_a_half_day_is_whole_with_210_minutes(etl: Etl) -> None:
    (partition,) = wanted = etl.partitions(date(2025, 11, 28))
    assert ended(etl.run(wanted)).done == 1
    row = etl.coverage(partition)
    assert (row["expected"], row["missing"], row["status"]) == (210, 0, "complete")


def test_a_ticker_that_nobody_knows_is_given_up_at_once(etl: Etl) -> None:
    wanted = etl.partitions(FRIDAY, tickers=("ZZZZZZ",))
    events = etl.run(wanted)
    assert [each.status for each in done(events)] == ["failed"]
    assert "ZZZZZZ" in next(iter(etl.dead(wanted).values()))


def test_a_chain_of_the_past_is_not_asked_for(etl: Etl) -> None:
    wanted = etl.partitions(date(2026, 11, 19), dataset="option_quotes")
    etl.run(wanted)
    (reason,) = etl.dead(wanted).values()
    assert "chains of the present alone" in reason


def test_an_hour_without_the_service_is_waited_for(
    etl: Etl, market: Market, hasty: tuple[PartSource, ...]
) -> None:
    wanted = etl.partitions(date(2026, 11, 19), FRIDAY)
    market.fault(POLYGON, "status", status=503)
    began = etl.time.now

    def back_after_an_hour(_order: object) -> None:
        if (etl.time.now - began).total_seconds() > 3600:
            market.clear()

    events = etl.run(wanted, patience_s=7200.0, before=back_after_an_hour, sources=hasty)
    assert 3600 < etl.time.waited < 7200
    assert (ended(events).done, ended(events).waiting) == (2, 0)
    assert etl.todo(wanted) == ()


def test_a_service_that_stays_away_is_told_and_the_next_run_goes_on(
    etl: Etl, market: Market, hasty: tuple[PartSource, ...]
) -> None:
    wanted = etl.partitions(FRIDAY)
    market.fault(POLYGON, "status", status=503)
    events = etl.run(wanted, patience_s=60.0, sources=hasty)
    assert (ended(events).done, ended(events).failed, ended(events).waiting) == (0, 0, 1)
    assert etl.time.waited < 120
    ledger = etl.store.ledger(code_version="test", clock=etl.time.clock)
    assert "503" in ledger.reasons(etl.scope(wanted))[wanted[0]]
    market.clear()
    assert ended(etl.run(wanted)).done == 1
