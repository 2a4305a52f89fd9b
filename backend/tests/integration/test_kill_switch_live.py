"""The kill switch where orders stand at a broker: a strategy that hangs, and what it left working."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from models.order_terms import Mode
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import SchwabSettings
from schwab_integration.parse_accounts import holdings_of
from schwab_integration.trader import SchwabTrader
from simulator.pytest_plugin import running
from utils.journal_chain import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKEND = Path(__file__).resolve().parents[2]
STRATEGY = Path(__file__).with_name("many_orders.py")
MARKET = ["--clock", "2026-11-20T12:00", "--speed", "1", "--requests-per-minute", "0"]
ORDERS, HELD = 6, 5


def signed_in(status: Any, folder: Path) -> SchwabSettings:
    settings = SchwabSettings(
        _env_file=None,
        app_key=SecretStr(status.app_key),
        app_secret=SecretStr(status.app_secret),
        callback_url=status.callback_url,
        base_url=status.schwab,
        token_file=folder / "token.json",
    )
    reply = httpx2.get(authorization_url(settings, state="s"), trust_env=False)
    exchange_code(settings, code_of_redirect(reply.headers["location"], state="s"))
    return settings


def states(settings: SchwabSettings) -> list[str]:
    """Return the state of each order at the broker."""
    since = datetime(2026, 11, 20, tzinfo=UTC)
    with SchwabTrader(settings) as api:
        (account,) = [a for a in api.account_numbers() if a.account_number.endswith("001")]
        found = api.orders(account.hash_value, since, since + timedelta(days=2))
    return sorted(str(each.status) for each in found)


def shares(settings: SchwabSettings) -> Decimal:
    """Return the shares of QQQ that the account holds at the broker."""
    with SchwabTrader(settings) as api:
        (number,) = [a for a in api.account_numbers() if a.account_number.endswith("001")]
        told = api.account(number.hash_value, positions=True)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    held = holdings_of(told, account_id=number.hash_value, mode=Mode.LIVE, at=at).positions
    return sum((each.signed_quantity for each in held if each.symbol == "QQQ"), Decimal(0))


def command(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "trading_main.py", *arguments],
        cwd=BACKEND,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_what_a_hanging_strategy_left_is_cancelled_and_closed_at_the_broker(
    databases: Any, tmp_path: Path
) -> None:
    limits, hang = tmp_path / "limits.yaml", tmp_path / "hang"
    limits.write_text("max_underlying_age_s: 60\n")
    with running(MARKET) as simulator, databases.fresh() as dsn:
        settings = signed_in(simulator.status, tmp_path)
        environment = {
            **simulator.environment(),
            "OPTIONS_HOME": str(tmp_path),
            "SUPABASE_DB_URL": dsn,
            "SCHWAB_TOKEN_FILE": str(settings.token_file),
        }
        assert command(environment, "--sign-limits", str(limits)).returncode == 0
        before = shares(settings)
        said = (tmp_path / "said.txt").open("w")
        child = subprocess.Popen(
            [
                sys.executable, "trading_main.py", "--mode", "live", "--account", "001",
                "--i-understand-live-orders", "--limits", str(limits),
                "--strategy", str(STRATEGY), "--param", f"orders={ORDERS}",
                "--param", f"hang_file={hang}", "--param", f"held={HELD}",
            ],
            cwd=BACKEND, env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=said, stderr=said,
        )  # fmt: skip
        try:
            until = time.monotonic() + 90
            while states(settings).count("WORKING") < ORDERS or shares(settings) != before + HELD:
                assert child.poll() is None, (tmp_path / "said.txt").read_text()[-2000:]
                assert time.monotonic() < until
                time.sleep(0.3)
            hang.touch()
            while not tmp_path.joinpath("hangs").exists():
                assert time.monotonic() < until + 60
                time.sleep(0.05)
            done = command(environment, "--kill", "--flatten")
            assert done.returncode == 0, done.stderr
            assert f"stopped, {ORDERS} orders cancelled" in done.stdout
            assert child.wait(20) == -signal.SIGKILL
        finally:
            child.kill()
            child.wait()
            said.close()
        left = Counter(states(settings))
        left.pop("REPLACED", None)  # limits of closings follow the market
        assert left == {"CANCELED": ORDERS, "FILLED": 2}
        assert shares(settings) == before, "what was held is closed, and nothing else"
        refused = command(
            environment, "--mode", "live", "--account", "001", "--i-understand-live-orders",
            "--limits", str(limits),
        )  # fmt: skip
        assert refused.returncode == 2
        assert "is stopped by command" in refused.stderr
    (journal,) = [
        path for path in (tmp_path / "journals").glob("*.jsonl") if "orders" not in path.name
    ]
    assert verify(journal).fault is None
    assert b'"type":"halted"' in journal.read_bytes()
