"""The stream loops of schwab-py, schwaby and Schwabdev, unmodified, by environment alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
BACKEND = Path(__file__).parents[3]
CLIENTS = {
    "schwab-py": ["schwab_py_stream.py", "schwab"],
    "schwaby": ["schwab_py_stream.py", "schwaby"],
    "Schwabdev": ["schwabdev_stream.py", "sync"],
    "Schwabdev async": ["schwabdev_stream.py", "async"],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unmodified_client_streams_quotes_charts_books_and_activity(
    client: str, simulator: Any, tmp_path: Path
) -> None:
    program, argument = CLIENTS[client]
    command = [sys.executable, str(PROGRAMS / program), argument, str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "exec", "--url", simulator.http, "--", *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=BACKEND,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert set(seen) == {
        "LEVELONE_EQUITIES",
        "LEVELONE_OPTIONS",
        "CHART_EQUITY",
        "NASDAQ_BOOK",
        "OPTIONS_BOOK",
        "SCREENER_EQUITY",
        "ACCT_ACTIVITY",
    }
    assert "$SPX" in {item["key"] for item in seen["LEVELONE_EQUITIES"]}
    (option,) = seen["LEVELONE_OPTIONS"]
    bid, ask = (
        option.get(name, option.get(number))
        for number, name in (("2", "BID_PRICE"), ("3", "ASK_PRICE"))
    )
    assert 0 < bid < ask
    assert seen["CHART_EQUITY"][0]["seq"] == 0
