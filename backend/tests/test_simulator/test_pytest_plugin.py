"""The pytest plugin as the author of a bot uses it: in a suite that is not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BACKEND = Path(__file__).resolve().parents[2]

SUITE = """
import asyncio, os, socket
import httpx, pytest, requests, schwab

def test_my_bot(simulated_hosts):
    client = schwab.auth.client_from_token_file(*simulated_hosts.schwab_py)
    assert client.get_quote("QQQ").json()["QQQ"]["quote"]["bidPrice"] > 0

def test_requests_and_httpx(simulated_hosts):
    url = "https://api.schwabapi.com/simulator/status"
    assert requests.get(url).json()["now"].startswith("2026-11-19T15:00")
    assert httpx.get(url).status_code == 200

def test_faults(simulated_hosts):
    simulated_hosts.fault(target="schwab.market_data", fault="status", status=503, count=1)
    client = schwab.auth.client_from_token_file(*simulated_hosts.schwab_py)
    assert client.get_quote("QQQ").status_code == 503
    assert client.get_quote("QQQ").status_code == 200

def test_pages(simulated_hosts):
    context = schwab.auth.get_auth_context(
        simulated_hosts.status.app_key, simulated_hosts.status.callback_url
    )
    assert "code=" in simulated_hosts.sign_in_by_pages(context.authorization_url)

def test_outside_of_the_fixture_the_names_are_the_real_ones(market_simulator):
    assert "SIMULATOR_HOSTS" not in os.environ
    assert socket.getaddrinfo.__module__ == "socket"
    assert market_simulator.status.http.startswith("http://127.0.0.1:")

def test_the_clock(market_simulator):
    assert market_simulator.move_clock(now="2026-11-19T11:00")["now"].startswith("2026-11-19T16:00")
"""


def run_suite(folder: Path, suite: str, options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_bot.py").write_text(suite)
    (folder / "pytest.ini").write_text(f"[pytest]\nsimulator_options = {options}\n")
    plugin = ["-p", "simulator.pytest_plugin", "-p", "no:randomly", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "ignore", *plugin, "test_bot.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(BACKEND)},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_a_bots_own_suite_runs_against_the_simulator(tmp_path: Path) -> None:
    done = run_suite(tmp_path, SUITE, "--clock 2026-11-19T10:00 --speed 0 --requests-per-minute 0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_options_that_are_none_say_so(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "def test_bot(market_simulator): pass\n", "--speed backwards")
    assert done.returncode == 1
    assert "the simulator does not start" in done.stdout
