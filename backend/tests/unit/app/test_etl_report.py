"""What a run's report says where there was nothing to do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

from rich.console import Console

from app.etl_report import EtlReport
from app.etl_service import Service
from pipeline.ledger import DeadLetter
from pipeline.partition import Partition
from pipeline.planner import Plan

SERVICE = Service(("schwab",), "simulator", datetime(2026, 11, 21, tzinfo=UTC), "simulator")
WANTED = tuple(Partition("equity_bars_1d", "QQQ", date(2026, 11, day)) for day in (19, 20))
ROW: dict[str, Any] = {"rows": 1, "missing": 0, "source": "schwab"}


def said(covered: dict[Partition, dict[str, Any]], dead: list[DeadLetter]) -> str:
    plan = Plan(WANTED, covered)
    report = EtlReport(SERVICE, plan)
    report.close(plan, dead, {})
    console = Console(file=StringIO(), width=200)
    report.show(console, seconds=0.1, place="here", lake="there")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_all_is_whole() -> None:
    assert said(dict.fromkeys(WANTED, ROW), []).startswith(
        "nothing to do: all 2 partitions are whole"
    )


def test_the_rest_was_given_up_earlier() -> None:
    dead = DeadLetter(WANTED[1], "extract", 3, "schwab: the answer has no row", None)
    text = said({WANTED[0]: ROW}, [dead])
    assert text.startswith("nothing to do: 1 partitions are whole, 1 were given up\n")
    assert "the answer has no row" in text
    assert "nothing to do" not in said({WANTED[0]: ROW}, [])
