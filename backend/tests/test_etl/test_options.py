"""Options of past sessions, from quotes to figures; what is stored twice is stored once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from app.etl_service import Choice, Service, opened_service, opened_sources
from pipeline import crosscheck, datasets, stages
from pipeline.etl_events import PartitionDone, StageDone
from pipeline.plan import Window
from pipeline.work import Order, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_etl.conftest import Etl, Market

FRIDAY = date(2026, 11, 20)


def test_minute_quotes_go_through_every_stage(etl: Etl) -> None:
    (partition,) = wanted = etl.partitions(FRIDAY, dataset="option_quotes_1m", tickers=("KO",))
    with closing(etl.runner(wanted).run()) as events:
        told = list(events)
    (done,) = (each for each in told if isinstance(each, PartitionDone))
    assert (done.status, done.outcome.source) == ("done", "polygon"), done.outcome.reason
    stages = [each.row.stage for each in told if isinstance(each, StageDone)]
    assert stages == ["extract", "transform", "enrich", "quality", "load", "covered"]
    quotes = etl.store.read("option_quotes")
    assert quotes.height == done.outcome.rows == etl.coverage(partition)["rows"]
    assert quotes["implied_volatility"].is_not_null().mean() > 0.15
    assert etl.lake.read("checked_option_quotes_1m").height == quotes.height
    findings = {row["rule"]: row for row in etl.store.read("quality_findings").to_dicts()}
    assert findings["no_bid"]["count"] == (quotes["bid"].is_null() | (quotes["bid"] == 0)).sum()
    assert findings["parity"]["count"] == findings["wrong_zone"]["count"] == 0
    for table in ("expiration_figures", "session_figures"):
        assert etl.store.read(table).height > 0, table
    content = etl.content()
    order = Order(wanted, Window(0, 0))
    assert run(order, etl.bench)[0].changed == 0
    assert etl.content() == content


@pytest.mark.parametrize("dataset", ["option_bars_1m", "option_trades"])
def test_bars_and_trades_of_past_options(etl: Etl, dataset: str) -> None:
    wanted = etl.partitions(FRIDAY, dataset=dataset, tickers=("KO",))
    (outcome,) = run(Order(wanted, Window(0, 0)), etl.bench)
    assert outcome.status == "complete", outcome.reason
    table = dataset.removesuffix("_1m")
    rows = etl.store.read(table)
    assert rows.height == outcome.rows > 100
    assert etl.lake.read(f"checked_{dataset}").height == rows.height
    if dataset == "option_bars_1m":
        assert rows["delta"].is_not_null().any()


@pytest.mark.parametrize(
    "dataset", ["option_bars_1m", "option_trades", "equity_bars_1m", "equity_bars_1d"]
)
def test_flat_files_where_they_are_the_only_source(etl: Etl, dataset: str) -> None:
    day = date(2026, 11, 13)  # a Friday, on which options of AAPL expire
    (partition,) = wanted = etl.partitions(day, dataset=dataset, tickers=("AAPL",))
    flat = replace(etl.bench, sources=etl.bench.sources[2:])
    (outcome,) = run(Order(wanted, Window(0, 0)), flat)
    assert (outcome.status, outcome.source) == ("complete", "flat_files"), outcome.reason
    table = dataset.rpartition("_")[0] if "bars" in dataset else dataset
    rows = etl.store.read(table)
    assert set(rows["source"]) == {"polygon"}
    assert set(rows["session"]) == {day}
    assert etl.lake.read(f"checked_{dataset}").height == rows.height
    assert etl.coverage(partition)["rows"] == rows.height == outcome.rows
    if dataset == "option_bars_1m":
        assert rows["implied_volatility"].is_not_null().any()
    if table == "equity_bars":
        slot = stages.slot_of(datasets.dataset(dataset), day)
        market = etl.bench.sources[1].extract(
            datasets.dataset(dataset), "AAPL", [slot.session], Window()
        )
        by_rest = stages.transform(partition, market[day])
        assert crosscheck.difference(rows, by_rest, "polygon") == ()
    content = etl.content()
    assert run(Order(wanted, Window(0, 0)), flat)[0].changed == 0
    assert etl.content() == content


def test_flat_files_are_asked_when_they_are_published(etl: Etl) -> None:
    wanted = etl.partitions(FRIDAY, dataset="option_bars_1m", tickers=("KO",))
    flat = replace(etl.bench, sources=etl.bench.sources[2:])
    (outcome,) = run(Order(wanted, Window(0, 0)), flat)
    assert "is published at 11-21" in (outcome.reason or "")
    quotes = etl.partitions(FRIDAY, dataset="option_quotes_1m", tickers=("KO",))
    (outcome,) = run(Order(quotes, Window(0, 0)), flat)
    assert (outcome.reason, outcome.retry) == (
        "flat_files: there are no flat files of option_quotes_1m",
        "never",
    )


def test_a_snapshot_of_the_present_chain(etl: Etl) -> None:
    (partition,) = wanted = etl.partitions(FRIDAY, dataset="option_quotes")
    (outcome,) = run(Order(wanted, Window(0, 7)), etl.bench)
    assert (outcome.status, outcome.source) == ("complete", "schwab")
    assert etl.coverage(partition)["scope"] == "0-7"
    lake = etl.lake.read("checked_option_quotes")
    assert lake.height == etl.store.read("option_quotes").height == outcome.rows
    without = replace(etl.bench, sources=etl.bench.sources[1:])
    (other,) = run(Order(wanted, Window(0, 7)), without)
    assert (other.status, other.source) == ("complete", "polygon")


def test_contracts_are_judged_by_what_is_stored_of_them(etl: Etl, market: Market) -> None:
    """Snapshot, quotes and trades of one session, whichever comes first."""
    datasets_ = ("option_quotes", "option_trades", "option_quotes_1m")
    parts = {name: etl.partitions(FRIDAY, dataset=name, tickers=("KO",)) for name in datasets_}
    found = {}
    for name, wanted in parts.items():
        (outcome,) = run(Order(wanted, Window(0, 0)), etl.bench)
        assert outcome.status == "complete", outcome.reason
        rows = etl.store.read("quality_findings", {"dataset": name}).to_dicts()
        found[name] = {row["rule"]: row["count"] for row in rows}
    assert set(etl.store.read("option_quotes", {"source": "schwab"})["source"]) == {"schwab"}
    # The snapshot says what was traded, and the trades add up to it.
    assert found["option_trades"]["volume_against_trades"] == 0
    assert found["option_quotes_1m"]["no_open_interest"] == 0
    (figures,) = etl.store.read("session_figures").to_dicts()
    snapshot = etl.store.read("option_quotes", {"source": "schwab"})
    interest = snapshot.filter(snapshot["right"] == "C")["open_interest"].sum()
    assert figures["call_open_interest"] == interest > 0
    assert figures["gamma_exposure"] is not None
    assert figures["put_call_volume"] > 0
    (expiration,) = (
        etl.store.read("expiration_figures").filter(pl.col("max_pain").is_not_null()).to_dicts()
    )
    assert expiration["expiration"] == FRIDAY
    assert etl.store.read("strike_figures")["gamma_exposure"].is_not_null().all()

    # Trades are lost: the sum is off, and a better answer takes the finding away.
    market.fault("polygon.rest.trades", "gap")
    for lost in (True, False):
        run(Order(parts["option_trades"], Window(0, 0)), etl.bench)
        where = {"dataset": "option_trades", "rule": "volume_against_trades"}
        (row,) = etl.store.read("quality_findings", where).to_dicts()
        assert (row["count"] > 0) is lost
        market.clear()


def test_without_a_snapshot_figures_of_strikes_are_null_and_say_why(etl: Etl) -> None:
    wanted = etl.partitions(FRIDAY, dataset="option_quotes_1m", tickers=("KO",))
    run(Order(wanted, Window(0, 0)), etl.bench)
    (figures,) = etl.store.read("session_figures").to_dicts()
    assert figures["gamma_exposure"] is figures["put_call_open_interest"] is None
    assert figures["month_volatility"] is None or figures["month_volatility"] > 0
    (why,) = etl.store.read("quality_findings", {"rule": "no_open_interest"}).to_dicts()
    assert why["count"] == etl.store.read("option_quotes")["occ_symbol"].n_unique()
    assert "no snapshot of this session's chain is stored" in why["reason"]


def test_keys_of_flat_files_alone_lead_to_the_files(
    etl: Etl, market: Market, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ENDPOINT", "BUCKET", "ACCESS_KEY", "SECRET_KEY"):
        told = "s3" if name == "ENDPOINT" else f"s3_{name.lower()}"
        monkeypatch.setenv(f"POLYGON_S3_{name}", market.status[told])
    for source in ("auto", "polygon"):
        with opened_service(Choice(source)) as service:
            assert isinstance(service, Service)
            assert (service.names, service.origin) == (("flat_files",), "simulator")
    day = date(2026, 11, 13)
    (wanted,) = etl.partitions(day, dataset="option_bars_1m", tickers=("AAPL",))
    with opened_sources(service, str(tmp_path), ("AAPL",)) as sources:
        (outcome,) = run(Order((wanted,), Window(0, 0)), replace(etl.bench, sources=sources))
    assert (outcome.status, outcome.source) == ("complete", "flat_files"), outcome.reason
    bars = etl.store.read("option_bars")
    assert bars["implied_volatility"].is_not_null().any()  # by the underlying's own file
