"""Unmodified clients of the real service work against the simulator, by environment alone.

schwab-py 1.5.1, schwaby 5.2.0 and Schwabdev 4.0.0, each sync and async, sign in, refresh and ask
for everything; the world is the recorded GOOG of 2015-12-24, standing still at noon.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).parent / "programs"
SIMULATOR = [sys.executable, "-m", "simulator"]
CLIENTS = {
    "schwab-py": ["schwab_py_family.py", "schwab", "sync"],
    "schwab-py async": ["schwab_py_family.py", "schwab", "async"],
    "schwaby": ["schwab_py_family.py", "schwaby", "sync"],
    "schwaby async": ["schwab_py_family.py", "schwaby", "async"],
    "Schwabdev": ["schwabdev_program.py", "sync"],
    "Schwabdev async": ["schwabdev_program.py", "async"],
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A simulator that stands still."""
    environment = os.environ | {"OPTIONS_HOME": str(tmp_path_factory.mktemp("home"))}
    world = ["--world", "recorded", "--clock", "2015-12-24T12:00", "--speed", "0"]
    with subprocess.Popen(
        [*SIMULATOR, "--port", "0", "--auto-approve", *world, "--parent-pid", str(os.getpid())],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())["http"]
        process.terminate()


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unmodified_client_signs_in_refreshes_and_gets_everything(
    client: str, url: str, tmp_path: Path
) -> None:
    program, *arguments = CLIENTS[client]
    command = [sys.executable, str(PROGRAMS / program), *arguments, str(tmp_path)]
    done = subprocess.run(
        [*SIMULATOR, "exec", "--url", url, "--", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["refreshed"] is True
    check_quotes(answers)
    check_chains(answers)
    check_price_history(answers)
    check_market_hours(answers)
    check_instruments(answers)
    check_movers(answers)


def check_quotes(answers: dict[str, Any]) -> None:
    quote = answers["quotes"]["GOOG"]["quote"]
    assert (quote["bidPrice"], quote["askPrice"]) == (750.69, 751.0)
    assert answers["quotes"]["errors"] == {"invalidSymbols": ["NOSUCH"]}
    assert answers["quote"]["GOOG"]["quote"] == quote
    assert answers["missing"] == 404


def check_chains(answers: dict[str, Any]) -> None:
    chain = answers["chain"]
    assert (chain["status"], chain["symbol"]) == ("SUCCESS", "GOOG")
    assert chain["underlying"]["ask"] == 751.0
    today = chain["callExpDateMap"]["2015-12-24:0"]
    assert list(today) == ["747.5", "750.0", "752.5", "755.0"]
    assert (today["750.0"][0]["bid"], today["750.0"][0]["ask"]) == (1.1, 1.65)
    assert answers["puts"]["callExpDateMap"] == {}
    strikes = {strike for day in answers["puts"]["putExpDateMap"].values() for strike in day}
    assert strikes == {"750.0"}
    first, *_ = answers["expirations"]["expirationList"]
    assert (first["expirationDate"], first["daysToExpiration"]) == ("2015-12-24", 0)


def check_price_history(answers: dict[str, Any]) -> None:
    minutes = answers["minutes"]
    assert (minutes["symbol"], minutes["empty"]) == ("GOOG", False)
    opening = next(c for c in minutes["candles"] if c["datetime"] == 1450881000000)
    assert (opening["open"], opening["volume"]) == (753.47, 12366)
    day = next(c for c in answers["days"]["candles"] if c["datetime"] == 1450850400000)
    assert (day["high"], day["close"]) == (754.21, 750.31)


def check_market_hours(answers: dict[str, Any]) -> None:
    hours = answers["hours"]["equity"]["EQ"]
    assert hours["isOpen"] is True
    assert hours["sessionHours"]["regularMarket"] == [
        {"start": "2015-12-24T09:30:00-05:00", "end": "2015-12-24T13:00:00-05:00"}
    ]


def check_instruments(answers: dict[str, Any]) -> None:
    (found,) = answers["instruments"]["instruments"]
    assert (found["symbol"], found["fundamental"]["high52"]) == ("GOOG", 776.0)
    assert answers["cusip"]["instruments"][0]["symbol"] == "GOOG"


def check_movers(answers: dict[str, Any]) -> None:
    (mover,) = answers["movers"]["screeners"]
    assert (mover["symbol"], mover["volume"]) == ("GOOG", 287023)
