"""A user of live mode at a simulated Schwab: sign-in, home, limits, and the command as it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import SchwabSettings
from simulator.pytest_plugin import MarketSimulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKEND = Path(__file__).resolve().parents[2]
LIVE = ("--mode", "live", "--i-understand-live-orders", "--json")


@dataclass
class LiveBench:
    """One user. `environment` is what the command sees beside the user's own."""

    simulator: MarketSimulator
    settings: SchwabSettings
    home: Path
    dsn: str
    environment: dict[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.simulator.environment(),
            "OPTIONS_HOME": str(self.home),
            "SUPABASE_DB_URL": self.dsn,
            "SCHWAB_TOKEN_FILE": str(self.settings.token_file),
            "SCHWAB_REQUESTS_PER_MINUTE": "10000",
        } | self.environment

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "trading_main.py", *arguments],
            cwd=BACKEND,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        child = self.start(*arguments)
        out, err = child.communicate(timeout=300)
        return child.returncode, out, err

    def admin(self, path: str, **body: Any) -> None:
        status = self.simulator.status
        httpx2.post(
            f"{status.schwab}/simulator/{path}",
            json=body,
            headers={"X-Simulator-Admin": status.admin_token},
            trust_env=False,
        ).raise_for_status()

    def sign_in(self) -> None:
        reply = httpx2.get(authorization_url(self.settings, state="s"), trust_env=False)
        exchange_code(self.settings, code_of_redirect(reply.headers["location"], state="s"))

    def signed_limits(self, text: str) -> str:
        path = self.home / "limits.yaml"
        path.write_text(text)
        status, _, err = self.run("--sign-limits", str(path))
        assert status == 0, err
        return str(path)


@contextmanager
def live_bench(market: tuple[str, ...], home: Path, dsn: str) -> Iterator[LiveBench]:
    """Open a simulator with this market, and sign in there."""
    with running(
        [*market, "--requests-per-minute", "0", "--orders-per-minute", "none"]
    ) as simulator:
        status = simulator.status
        settings = SchwabSettings(
            _env_file=None,
            app_key=SecretStr(status.app_key),
            app_secret=SecretStr(status.app_secret),
            callback_url=status.callback_url,
            base_url=status.schwab,
            token_file=home / "token.json",
            requests_per_minute=10_000,
        )
        bench = LiveBench(simulator, settings, home, dsn)
        bench.sign_in()
        yield bench
