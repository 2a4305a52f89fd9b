"""What nobody has is made only if asked, beside nothing real, and gives way to what is real."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from models.errors import Unavailable
from models.tables import COVERAGE
from pipeline.etl_events import RunEnded
from pipeline.plan import Window
from pipeline.synthetic_source import SYNTHETIC, SyntheticSource
from pipeline.work import Order, run
from tests.in_process import run_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.datasets import Dataset
    from pipeline.sources import PartSource
    from pipeline.stages import Extracted
    from tests.test_etl.conftest import Commands, Etl

FRIDAY = date(2025, 11, 28)  # a half day: 210 minutes
QUOTES, TRADES = "option_quotes_1m", "option_trades"
TODAY = Window(0, 0)


@pytest.fixture
def made(etl: Etl) -> SyntheticSource:
    (bars,) = etl.partitions(FRIDAY, tickers=("KO",))
    assert run(Order((bars,), TODAY), etl.bench)[0].status == "complete"
    return source(etl)


def source(etl: Etl) -> SyntheticSource:
    return SyntheticSource(etl.store, ("simulator",), lambda: datetime(2026, 11, 21, 1, tzinfo=UTC))


class Polygon:
    """A service that has everything."""

    name = source = "polygon"
    made_from = "rest"

    def lacks(self, *_: object) -> str | None:
        return None


class Away(Polygon):
    """One that does not answer."""

    def extract(self, *_: object) -> dict[date, Extracted]:
        raise Unavailable("polygon does not answer", provider="polygon")


class Sent(Polygon):
    """One that sends what a generator made, as its own."""

    def __init__(self, made: SyntheticSource) -> None:
        self.made = made

    def extract(
        self, what: Dataset, ticker: str, sessions: Sequence[date], window: Window
    ) -> dict[date, Extracted]:
        found = {}
        for day, sent in self.made.extract(what, ticker, sessions, window).items():
            assert sent.contracts is not None
            own = pl.lit("polygon").alias("source")
            found[day] = replace(
                sent,
                source="polygon",
                made_from="rest",
                origin=None,
                rows=sent.rows.with_columns(own, bid_size=pl.lit(1, pl.Int32)),
                contracts=sent.contracts.with_columns(own),
            )
        return found


def test_made_quotes_are_judged_as_others_and_real_ones_take_their_place(
    etl: Etl, made: SyntheticSource
) -> None:
    wanted = etl.partitions(FRIDAY, dataset=QUOTES, tickers=("KO",))
    order = Order(wanted, TODAY)
    only_made = replace(etl.bench, sources=(made,))
    (outcome,) = run(order, only_made)
    assert (outcome.status, outcome.source, outcome.missing) == ("complete", SYNTHETIC, 0)
    quotes = etl.store.read("option_quotes")
    assert set(quotes["source"]) == {SYNTHETIC}
    assert quotes["implied_volatility"].is_not_null().mean() > 0.2
    worst = {"parity", "butterfly", "strike_order", "crossed", "below_intrinsic", "wrong_zone"}
    found = {each.rule for each in outcome.findings if each.count}
    assert not found & worst, found
    assert etl.store.read("session_figures")["source"].to_list() == [SYNTHETIC]
    spot = etl.store.read("equity_bars", {"underlying": "KO"})["close"]
    assert quotes["underlying_price"].is_between(spot.min(), spot.max()).all()
    content = etl.content()
    assert run(order, only_made)[0].changed == 0  # the same again
    assert etl.content() == content
    # A run that was not asked for synthetic rows does not count them.
    assert etl.todo(wanted) == wanted

    (real,) = run(order, replace(etl.bench, sources=(Sent(made), made)))
    assert (real.status, real.source) == ("complete", "polygon")
    for table in ("option_quotes", "session_figures", "expiration_figures", "quality_findings"):
        assert SYNTHETIC not in set(etl.store.read(table)["source"]), table
    coverage = etl.store.read(COVERAGE.name, {"dataset": QUOTES})
    assert coverage["source"].to_list() == ["polygon"]
    assert [each.source for each in etl.lake.files(f"checked_{QUOTES}")] == ["polygon"]
    assert etl.todo(wanted) == ()

    (refused,) = run(order, only_made)
    assert refused.status == "nothing"
    assert "of polygon are stored, and nothing is made up beside them" in (refused.reason or "")


def test_a_run_makes_trades_where_the_others_lack_them(etl: Etl, made: SyntheticSource) -> None:
    wanted = etl.partitions(FRIDAY, dataset=TRADES, tickers=("KO",))
    events = etl.run(wanted, sources=(etl.bench.sources[0], made))
    assert isinstance(events[-1], RunEnded)
    assert (events[-1].done, events[-1].failed) == (1, 0)
    trades = etl.store.read(TRADES)
    assert set(trades["source"]) == {SYNTHETIC}
    assert trades.height > 100


def test_nothing_is_made_while_a_service_is_away(etl: Etl, made: SyntheticSource) -> None:
    sources: tuple[PartSource, ...] = (Away(), made)
    wanted = etl.partitions(FRIDAY, dataset=QUOTES, tickers=("KO",))
    (outcome,) = run(Order(wanted, TODAY), replace(etl.bench, sources=sources))
    assert (outcome.status, outcome.retry) == ("nothing", "away")


def test_without_bars_nothing_is_made(etl: Etl) -> None:
    wanted = etl.partitions(FRIDAY, dataset=QUOTES, tickers=("KO",))
    (outcome,) = run(Order(wanted, TODAY), replace(etl.bench, sources=(source(etl),)))
    assert "no minute bars of KO on 2025-11-28 are stored" in (outcome.reason or "")


def test_bars_are_never_made(etl: Etl) -> None:
    wanted = etl.partitions(FRIDAY)
    (outcome,) = run(Order(wanted, TODAY), replace(etl.bench, sources=(source(etl),)))
    assert outcome.reason == "synthetic: nothing is made up for equity_bars_1m"


def test_gaps_of_coverage_are_filled_by_the_command(commands: Commands) -> None:
    days = ("--start", str(FRIDAY), "--end", str(FRIDAY))
    fill = ("scripts/generate_synthetic_options.py", "--ticker", "KO", "--fill")
    own = commands.environment | {"SUPABASE_DB_URL": commands.dsn, "LAKE": str(commands.lake)}
    none = run_here(*fill, **own)
    assert none.status == 2
    assert "no minute bars of KO are stored" in none.err
    odd = run_here(*fill, "--seed", "3", **own)
    assert (odd.status, "--seed does not go with --fill" in odd.err) == (2, True)
    bars = ("--tickers", "KO", "--datasets", "equity_bars_1m")
    assert commands.etl(*days, *bars).status == 0
    done = run_here(*fill, **own)
    assert done.status == 0, done.err
    assert "synthetic" in done.out
    with commands.store() as store:
        row = store.read(COVERAGE.name, {"dataset": QUOTES}).row(0, named=True)
    assert (row["source"], row["origin"], row["status"]) == (SYNTHETIC, "simulator", "complete")
    again = run_here(*fill, **own)
    assert (again.status, again.out.startswith("nothing to fill")) == (0, True)
    wanted = (*days, "--tickers", "KO", "--datasets", QUOTES)
    kept = commands.etl(*wanted, "--synthetic")
    assert (kept.status, kept.object["whole_before"]) == (0, 1)
