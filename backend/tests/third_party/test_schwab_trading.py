"""Unmodified clients of the real service trade and stream against the simulator.

schwab-py 1.5.1, schwaby 5.2.0 and Schwabdev 4.0.0, each sync and async: they sign in through the
login page in a real Chromium, refresh, place, replace and cancel every kind of order, read every
endpoint of the Trader API, and watch quotes, charts, books, screeners and account activity. The
market is the generated world on a weekday morning, ten times as fast as the wall's clock.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
SIMULATOR = [sys.executable, "-m", "simulator", "exec", "--login-page"]
MARKET = ["--world", "generated", "--clock", "2026-11-19T10:30", "--speed", "10"]
CLIENTS = {
    "schwab-py": ["schwab_py_trades.py", "schwab", "sync"],
    "schwab-py async": ["schwab_py_trades.py", "schwab", "async"],
    "schwaby": ["schwab_py_trades.py", "schwaby", "sync"],
    "schwaby async": ["schwab_py_trades.py", "schwaby", "async"],
    "Schwabdev": ["schwabdev_trades.py", "sync"],
    "Schwabdev async": ["schwabdev_trades.py", "async"],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unmodified_client_trades_and_watches(
    client: str, chromium: Path, tmp_path: Path
) -> None:
    program, *arguments = CLIENTS[client]
    command = [sys.executable, str(PROGRAMS / program), *arguments, str(tmp_path)]
    with socket.create_server(("127.0.0.1", 0)) as probe:  # another program may hold the default
        callback = f"https://127.0.0.1:{probe.getsockname()[1]}"
    done = subprocess.run(
        [*SIMULATOR, *MARKET, "--callback", callback, "--", *command],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
        env=os.environ
        | {
            "BROWSER": f"{sys.executable} {PROGRAMS / 'browser.py'} %s",
            "CHROMIUM": str(chromium),
        },
    )
    assert done.returncode == 0, done.stderr[-6000:]
    answers = json.loads(done.stdout)
    assert answers["refreshed"] is True
    check_orders(answers["traded"])
    check_groups(answers["traded"])
    check_lists(answers["traded"])
    check_account(answers["traded"])
    if "stream" in answers:
        check_stream(answers["stream"])


def fills(order: dict[str, Any]) -> list[tuple[float, float]]:
    """Return (quantity, price) of each execution leg."""
    return [
        (leg["quantity"], leg["price"])
        for activity in order["orderActivityCollection"]
        if activity["executionType"] == "FILL"
        for leg in activity["executionLegs"]
    ]


def check_orders(traded: dict[str, Any]) -> None:
    resting, bought = traded["resting"], traded["bought"]
    assert (resting["filledQuantity"], resting["remainingQuantity"]) == (0.0, 10.0)
    assert resting["cancelable"] is True
    assert traded["old"]["status"] == "REPLACED"
    assert traded["canceled"]["quantity"] == 5.0
    assert sum(quantity for quantity, _ in fills(bought)) == bought["filledQuantity"] == 10.0
    single, spread = traded["single"], traded["spread"]
    assert single["status"] == "FILLED"
    assert all(price <= float(single["price"]) for _, price in fills(single))
    assert spread["status"] == "FILLED"
    assert spread["complexOrderStrategyType"] == "VERTICAL"
    (_, paid), (_, got) = fills(spread)[:2]
    assert paid - got <= float(spread["price"]) + 1e-9
    assert traded["preview"]["orderStrategy"]["status"] in {"ACCEPTED", "WORKING", "NEW"}


def check_groups(traded: dict[str, Any]) -> None:
    oco = traded["oco"]
    assert oco["orderStrategyType"] == "OCO"
    assert [child["status"] for child in oco["childOrderStrategies"]] == ["WORKING", "WORKING"]
    assert traded["trigger"]["orderStrategyType"] == "TRIGGER"
    activated = {"AWAITING_PARENT_ORDER", "PENDING_ACKNOWLEDGEMENT", "QUEUED", "WORKING"}
    assert traded["child"]["status"] in activated


def check_lists(traded: dict[str, Any]) -> None:
    listed = {order["orderId"] for order in traded["orders"]}
    wanted = {traded[name]["orderId"] for name in ("resting", "canceled", "bought", "spread")}
    assert wanted <= listed
    assert listed <= {order["orderId"] for order in traded["all_orders"]}
    trades = [entry for entry in traded["transactions"] if entry["type"] == "TRADE"]
    assert len(trades) >= 4
    single = traded["transaction"]
    found = single[0] if isinstance(single, list) else single
    assert found["activityId"] == traded["transactions"][0]["activityId"]
    for entry in trades:
        items = entry["transferItems"]
        assert entry["netAmount"] == pytest.approx(sum(item["cost"] for item in items), abs=0.005)


def check_account(traded: dict[str, Any]) -> None:
    account = traded["account"]["securitiesAccount"]
    held = {position["instrument"]["symbol"]: position for position in account["positions"]}
    assert held["QQQ"]["longQuantity"] == 11.0
    assert account["accountNumber"] == traded["numbers"][0]["accountNumber"]
    assert len(traded["accounts"]) == len(traded["numbers"])
    (streamer,) = traded["preferences"]["streamerInfo"]
    assert streamer["streamerSocketUrl"].startswith("ws")


def check_stream(stream: dict[str, list[Any]]) -> None:
    assert all(stream.values())
    activity = next(messages for name, messages in stream.items() if "activity" in name.lower())
    told = [
        item.get("MESSAGE_TYPE") or item.get("2")
        for message in activity
        for item in message["content"]
    ]
    assert told[0] == "SUBSCRIBED"
    of_the_order = [name for name in told if name != "SUBSCRIBED"]
    assert of_the_order[0] == "OrderCreated"
    assert "OrderFillCompleted" in of_the_order
