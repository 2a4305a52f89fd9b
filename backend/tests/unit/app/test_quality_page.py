"""The quality page: real chains beside each other, in one file that asks nothing of the network."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.quality_charts import Chart, round_numbers
from app.quality_page import PagedChain, figures, paged_chain, write_quality_page
from models.options import OptionChain
from pipeline.chain_files import read_chain_file
from pipeline.enrich import valuation_time

CHAINS = Path(__file__).parents[2] / "data/chains"


@pytest.fixture(scope="module")
def qqq() -> OptionChain:
    return read_chain_file(CHAINS / "qqq_chain_2026-07-14T1555ET.json.gz")


@pytest.fixture(scope="module")
def real(qqq: OptionChain) -> PagedChain:
    return paged_chain("QQQ, real", qqq.quotes, qqq.underlying_price, qqq.ts, rate=0.037)


class Outside(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


def test_a_chain_beside_itself_meets_every_likeness(real: PagedChain, tmp_path: Path) -> None:
    page, beside = write_quality_page(tmp_path / "quality.html", real, real)
    text = page.read_text()
    outside = Outside()
    outside.feed(text)
    assert outside.found == []
    assert "script" not in outside.tags
    assert text.count("<svg") > 25
    assert "prefers-color-scheme: dark" in text
    rows = json.loads(beside.read_text())["figures"]
    likeness = [row for row in rows if row["group"] == "Beside the real chain"]
    assert len(likeness) == 5
    assert all(row["passed"] for row in likeness)
    assert "NaN" not in beside.read_text()
    assert "nan" not in text.replace("finance", "")


def test_figures_of_the_real_qqq_chain(real: PagedChain) -> None:
    rows = {row.name: row for row in figures(real, real)}
    assert rows["Re-fit error, volatility points rms"].synthetic < 0.3
    assert rows["Butterflies in the fitted smiles"].synthetic == 0
    assert rows["Calendars in the fitted smiles"].synthetic == 0
    assert rows["Call and put agree within their spreads, %"].synthetic > 95
    assert rows["No bid, % of contracts"].synthetic == pytest.approx(4.1, abs=0.1)
    assert rows["Prices on the tick grid, %"].synthetic == 100


def test_a_chain_with_doubled_spreads_misses_that_bar(qqq: OptionChain, real: PagedChain) -> None:
    bid, ask = pl.col("bid"), pl.col("ask")
    wide = qqq.quotes.with_columns(
        bid=pl.when(bid - (ask - bid) > 0).then((bid - (ask - bid)).round(2)),
        ask=(ask + (ask - bid)).round(2),
    )
    other = paged_chain("wide", wide, qqq.underlying_price, qqq.ts, rate=0.037)
    rows = {row.name: row for row in figures(other, real)}
    assert rows["Spreads: worst KS distance of any bucket"].passed is False
    assert rows["Butterflies in the fitted smiles"].passed is True


def test_expired_contracts_take_no_part() -> None:
    spy = read_chain_file(CHAINS / "spy_cboe_quotedata_2025-05-16.csv.gz")
    at = valuation_time("SPY", spy.ts)
    chain = paged_chain("SPY, real", spy.quotes, spy.underlying_price, at)
    assert chain.quotes.years.min() > 0
    assert chain.quality.refit_error < 0.005
    assert chain.quality.parity.within > 0.95


def test_round_numbers_lie_inside() -> None:
    assert round_numbers(0.0, 1.02, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert round_numbers(-3.2, 2.24, 5) == [-2.0, 0.0, 2.0]
    assert round_numbers(17.3, 17.9, 3) == [17.4, 17.6, 17.8]


def test_marks_stay_in_their_frame() -> None:
    chart = Chart("t", "n", (0.0, 10.0), (0.0, 1.0))
    x = np.linspace(-5, 15, 50)
    chart.add_line("real", x, x / 10)
    chart.add_bars("real", x, x / 10 - 0.3, x / 10 + 0.3)
    chart.add_steps("ours", np.array([1.0, 2.0, 30.0]))
    left, top, right, bottom = chart.frame
    points = [tuple(map(float, p.split(","))) for p in chart.lines[0][1][1:].split("L")]
    assert all(left <= a <= right and top <= b <= bottom for a, b in points)
    assert all(left <= bar.x <= right for bar in chart.bars[0][1])
    assert chart.lines[1][1].startswith(f"M{chart.x(1.0)},{chart.y(0.0)}")
