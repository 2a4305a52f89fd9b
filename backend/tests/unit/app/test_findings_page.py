"""The page of a session's findings, from a session with planted faults, without network or scripts."""

import json
from datetime import date
from html.parser import HTMLParser

import polars as pl
import pytest

from app.findings_page import SessionFindings, heat_map, render, smile_charts, smile_of
from black_scholes.synthetic_generator import Request, generate, synthetic_market
from models.options import OptionChain
from models.tables import (
    EXPIRATION_FIGURES,
    OPTION_QUOTES,
    QUALITY_FINDINGS,
    SESSION_FIGURES,
    frame_schema,
)
from pipeline.coverage import Part
from pipeline.enrich import FIGURES
from pipeline.plan import MINUTES_DATASET
from pipeline.session_enrich import enrich_session
from pipeline.session_job import WorkedSession, finding_rows, work_session
from pipeline.session_rules import Beside, rules_of
from utils import market_calendar

FRIDAY = market_calendar.session(date(2026, 11, 20))
PART = Part(OPTION_QUOTES, "QQQ", MINUTES_DATASET, FRIDAY.day, "synthetic", "simulator")


@pytest.fixture(scope="module")
def worked() -> WorkedSession:
    """A generated session of a week of expirations, at noon and at the close, with six quotes that are wrong."""
    parts = generate(synthetic_market("QQQ"), Request(FRIDAY.day, FRIDAY.day, 3, 7, 195))
    quotes = pl.concat(part.rows for part in parts if part.table == "option_quotes")
    quotes = quotes.drop(*FIGURES, "implied_volatility_status", "flags").with_row_index("n")
    last = pl.col("ts") == FRIDAY.close
    near = last & ((pl.col("strike") / pl.col("underlying_price") - 1).abs() < 0.001)
    wrong = quotes.filter(near)["n"].head(6)
    assert wrong.len() == 6
    raised = pl.when(pl.col("n").is_in(wrong.implode())).then(2.0).otherwise(0.0)
    quotes = quotes.with_columns(pl.col("bid") + raised, pl.col("ask") + raised).drop("n")
    chain = OptionChain("QQQ", FRIDAY.close, 0.0, None, None, quotes, quotes.head(0))
    return work_session(PART, FRIDAY, enrich_session(chain, quotes))


@pytest.fixture(scope="module")
def found(worked: WorkedSession) -> SessionFindings:
    quotes = worked.checked.accepted
    return SessionFindings(
        "QQQ",
        PART.dataset,
        FRIDAY.day,
        "synthetic",
        "simulator",
        worked.tables[QUALITY_FINDINGS.name],
        worked.tables[SESSION_FIGURES.name].row(0, named=True),
        worked.tables[EXPIRATION_FIGURES.name],
        quotes.filter(pl.col("ts") == FRIDAY.close),
        (quotes.height, quotes.height - quotes["flags"].null_count(), 0),
    )


def test_findings_have_a_row_for_each_rule_found_or_not(worked: WorkedSession) -> None:
    rows = worked.tables[QUALITY_FINDINGS.name]
    assert rows.schema == pl.Schema(frame_schema(QUALITY_FINDINGS))
    assert rows["rule"].to_list() == rows["rule"].unique(maintain_order=True).to_list()
    names = {rule.name for rule in rules_of(Beside(), FRIDAY)}
    assert set(rows["rule"]) == names | {"no_open_interest"}
    counted = {each.rule: each.count for each in worked.checked.findings}
    assert dict(rows.filter(pl.col("count") > 0).select("rule", "count").iter_rows()) == counted
    assert counted["off_surface"] >= 3
    assert json.loads(rows.filter(rule="off_surface")["by_minute"][0])["16:00"] >= 3
    sample = json.loads(rows.filter(rule="off_surface")["samples"][0])[0]
    assert sample["ts"].endswith("+00:00")
    assert sample["occ_symbol"].startswith("QQQ")
    assert finding_rows(PART, [], []).is_empty()


class Page(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value for name, value in attrs if name in {"src", "href"} and value]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_rules_times_smiles_and_samples(found: SessionFindings) -> None:
    page = Page()
    page.feed(render(found, place="a <database>"))
    text = " ".join(page.text)
    assert page.outside == []
    assert "script" not in page.tags
    assert "a <database>" in text
    for each in found.broken:
        assert each["rule"] in text
        assert each["reason"] in text
    assert page.tags.count("svg") == 1 + len(smile_charts(found))
    assert page.tags.count("details") == len(found.broken)
    assert "Gamma flip" in text


def test_the_heat_map_has_the_quarters_in_which_rules_were_broken(found: SessionFindings) -> None:
    drawn = heat_map(found)
    assert drawn is not None
    timed = [each for each in found.broken if json.loads(each["by_minute"])]
    assert [name for name, _, _ in drawn.names] == [each["rule"] for each in timed]
    of_surface = [tile for tile in drawn.tiles if tile.text.startswith("off_surface")]
    assert max(of_surface, key=lambda tile: tile.shade).text.startswith("off_surface, 15:45")
    assert all(1 <= tile.shade <= 5 for tile in drawn.tiles)
    assert all(tile.x + 24 <= drawn.width and tile.y + 24 <= drawn.height for tile in drawn.tiles)
    assert [text for text, _ in drawn.hours] == [f"{hour}:00" for hour in range(10, 17)]


def test_smiles_mark_the_quotes_that_are_odd(found: SessionFindings) -> None:
    charts = smile_charts(found)
    assert charts
    assert sum(len(dots) for chart in charts for _, dots in chart.dots) >= 1
    assert all(chart.lines and chart.bars for chart in charts)
    row = found.expirations.row(0, named=True)
    assert float(smile_of(row).vol(0.0)) == pytest.approx(row["atm_volatility"])


def test_json_holds_the_same(found: SessionFindings) -> None:
    told = json.loads(json.dumps(found.as_object()))
    assert told["counts"]["warning"] == sum(
        each["count"] for each in told["findings"] if each["severity"] == "warning"
    )
    assert told["rows"]["flagged"] == found.rows[1]
    assert told["figures"]["put_wall"] == found.figures["put_wall"]


def test_a_session_in_which_nothing_was_found_has_a_page_too(found: SessionFindings) -> None:
    from dataclasses import replace  # noqa: PLC0415 - this one use

    nothing = found.findings.with_columns(
        count=pl.lit(0, pl.Int64), samples=pl.lit("[]"), by_minute=pl.lit("{}")
    )
    empty = replace(found, findings=nothing, figures={}, expirations=found.expirations.head(0))
    assert heat_map(empty) is None
    page = Page()
    page.feed(render(empty, place=""))
    assert "table" not in page.tags
    assert "off_surface" in " ".join(page.text)  # among those that found nothing
