"""`stream_quotes.py --source polygon` as a user runs it, against the simulator."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from clients.lake import Lake
from simulator.polygon.plans import DEMO_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench


def test_named_symbols_with_bars_and_trades(
    bare: Bench, moving: dict[str, str], tmp_path: Path
) -> None:
    symbols = ("QQQ", "SPX", "QQQ261120C00770000")
    done = bare.run(
        "scripts/stream_quotes.py", *symbols, "--source", "polygon", "--bars", "--trades", "--json",
        "--lake", str(tmp_path / "lake"), "--seconds", "8", **moving,
    )  # fmt: skip
    assert done.status == 0, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    kinds = Counter((each["type"], each["symbol"]) for each in told)
    assert kinds["quote", "QQQ"] > 0
    assert kinds["quote", "SPX"] > 0
    assert kinds["quote", "QQQ   261120C00770000"] > 0
    assert kinds["bar", "QQQ"] > 0
    lake = Lake.open(tmp_path / "lake")
    minutes = {each["time_ns"] for each in told if each["type"] == "bar" and "bid" not in each}
    bars = lake.read("equity_bars_1m", underlyings=["QQQ"])
    assert set(bars["ts"].dt.timestamp("ns")) <= minutes
    assert bars["origin"].unique().to_list() == ["simulator"]
    assert lake.read("option_nbbo")["occ_symbol"].unique().to_list() == ["QQQ   261120C00770000"]
    assert "stored in the lake at" in done.err


def test_a_roster_of_todays_contracts(bare: Bench, moving: dict[str, str]) -> None:
    done = bare.run(
        "scripts/stream_quotes.py", "QQQ", "--source", "polygon", "--chain", "0", "--json",
        "--seconds", "5", **moving,
    )  # fmt: skip
    assert done.status == 0, done.err
    symbols = {json.loads(line)["symbol"] for line in done.out.splitlines()}
    assert len(symbols) > 50
    assert {symbol[6:12] for symbol in symbols - {"QQQ"}} == {"261120"}, "0DTE alone"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/ESZ26", "--source", "polygon"), "/ESZ26, a future, is not Polygon's"),
        (("QQQ", "--activity", "--source", "polygon"), "--activity is not Polygon's"),
        (
            ("QQQ", "--trades"),
            "--trades, --chain, --fmv and --lake are Polygon's: add --source polygon",
        ),
        (("QQQ", "--fmv", "--source", "polygon"), "--fmv is of options: name one, or add --chain"),
        (("QQQ", "--chain", "soon"), "'soon' is no number of days"),
    ],
)
def test_bad_input(bare: Bench, arguments: tuple[str, ...], sentence: str) -> None:
    done = bare.run("scripts/stream_quotes.py", *arguments, "--seconds", "1")
    assert done.status == 2
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_a_wrong_key_is_one_sentence(bare: Bench, moving: dict[str, str]) -> None:
    done = bare.run(
        "scripts/stream_quotes.py", "QQQ", "--source", "polygon", "--seconds", "3",
        POLYGON_API_KEY="wrong", POLYGON_BASE_URL=moving["SIMULATOR_URL"],
    )  # fmt: skip
    assert done.status == 2
    assert "POLYGON_API_KEY" in done.err
    assert "Traceback" not in done.err


def test_fair_values_come_over_a_second_socket_beside_quotes(
    bare: Bench, moving: dict[str, str], simulator: dict[str, Any]
) -> None:
    contract = "QQQ   261120C00770000"
    done = bare.run(
        "scripts/stream_quotes.py", contract, "--source", "polygon", "--fmv", "--json",
        "--seconds", "4", POLYGON_API_KEY=DEMO_KEY, POLYGON_BASE_URL=moving["SIMULATOR_URL"],
        POLYGON_BUSINESS_URL=simulator["http"].replace("http", "ws", 1),
    )  # fmt: skip
    assert done.status == 0, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    fair = [each["mark"] for each in told if "mark" in each]
    quoted = [each for each in told if "bid" in each or "ask" in each]
    assert fair
    assert quoted, "a fair value replaces no quote"
    assert {each["symbol"] for each in told} == {contract}
