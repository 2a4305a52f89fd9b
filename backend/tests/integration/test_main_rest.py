"""`python main.py` with SUPABASE_URL and SUPABASE_KEY alone, over a real PostgREST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.tables import COVERAGE, MARKET_TABLES

if TYPE_CHECKING:
    from clients.local_rest import LocalRest
    from tests.integration.conftest import Bench

ARGUMENTS = ("--days", "2", "--expirations", "0-3")


def test_the_main_job_stores_the_same_over_rest_and_finds_it_again(
    friday: Bench, database: str, rest: LocalRest, simulator: dict[str, Any]
) -> None:
    over_rest = replace(
        friday,
        dsn=database,
        environment={
            "SUPABASE_DB_URL": "",
            "SUPABASE_URL": rest.url,
            "SUPABASE_KEY": rest.secret_key,
            "SIMULATOR_URL": simulator["http"],
        },
    )
    first = over_rest.main(*ARGUMENTS)
    assert (first.status, first.err) == (0, "")
    assert rest.url in first.object["place"]
    assert first.dataset("QQQ", "equity_bars_1m")["rows"] > 1000  # more than one reply holds
    again = over_rest.main(*ARGUMENTS)
    assert again.status == 0
    assert [each["changed"] for each in again.object["datasets"]] == [0, 0]

    assert friday.main(*ARGUMENTS).status == 0
    compared = {*MARKET_TABLES, COVERAGE.name}
    contents = [{name: bench.content()[name] for name in compared} for bench in (over_rest, friday)]
    assert contents[0] == contents[1]
