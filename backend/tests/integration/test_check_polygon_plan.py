"""`python sys_testing/check_polygon_plan.py`, with the keys of each of the simulator's plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app import polygon_plan_command
from simulator.s3_files import PLANS

if TYPE_CHECKING:
    import pytest

    from tests.integration.conftest import Bench

COMMAND = "sys_testing/check_polygon_plan.py"


def keys(simulator: dict[str, Any], plan: str) -> dict[str, str]:
    access = f"SIMULATOR{plan.upper()}"
    return {
        "POLYGON_API_KEY": f"SimulatorPolygonKey{plan}",
        "POLYGON_BASE_URL": simulator["http"],
        "POLYGON_S3_ENDPOINT": simulator["s3"],
        "POLYGON_S3_ACCESS_KEY": access,
        "POLYGON_S3_SECRET_KEY": PLANS[access].secret,
    }


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in found["findings"]}


def test_a_plan_with_trades_and_without_quotes(bare: Bench, simulator: dict[str, Any]) -> None:
    done = bare.here(COMMAND, "--json", "--stream", **keys(simulator, "Developer"))
    assert done.status == 0, done.err
    told = verdicts(done.object)
    allowed = {name for name, verdict in told.items() if verdict == "in plan"}
    assert {"contracts", "snapshots of options", "trades of options", "trades"} <= allowed
    assert {"AM of options", "A of options", "T of options", "minute_aggs"} <= allowed
    refused = {name for name, verdict in told.items() if verdict == "not in plan"}
    assert {"quotes of options", "quotes", "Q of options", "FMV of options"} <= refused
    assert "POLYGON_REQUESTS_PER_MINUTE=6000" in done.object["requests"]


def test_the_free_plan_is_asked_again_when_its_minute_is_over(
    bare: Bench, simulator: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(polygon_plan_command, "_wait", waits.append)
    done = bare.here(COMMAND, "--json", **keys(simulator, "Basic"))
    assert done.status == 4, done.err
    told = verdicts(done.object)
    assert told["second bars of options"] == told["snapshots of options"] == "not in plan"
    assert told["minute_aggs"] == "not in plan"
    assert told["dividends and splits"] == "throttled", "the minute did not end in this test"
    assert waits
    assert set(waits) == {61.0}
    assert "5 requests a minute" in done.object["requests"]


def test_the_table(bare: Bench, simulator: dict[str, Any]) -> None:
    done = bare.here(COMMAND, SIMULATOR_URL=simulator["http"])
    assert done.status == 0, done.err
    for words in ("minute bars of options", "in plan", "add --stream", "origin simulator"):
        assert words in done.out


def test_a_wrong_key_is_one_sentence(bare: Bench, simulator: dict[str, Any]) -> None:
    wrong = keys(simulator, "Starter") | {"POLYGON_API_KEY": "wrong"}
    done = bare.here(COMMAND, **wrong)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "POLYGON_API_KEY" in done.err
