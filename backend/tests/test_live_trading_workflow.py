"""Live mode end to end, as a user runs it: a simulated Schwab, real sockets, journals, a database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pydantic import SecretStr

from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.decisions import Began, Decision, Heard, Intended
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import SchwabSettings
from schwab_integration.trader import SchwabTrader
from simulator.pytest_plugin import MarketSimulator, running
from utils.journal_chain import verify
from utils.journal_key import read_key
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

BACKEND = Path(__file__).resolve().parents[1]
LIMITS = "max_loss: 1000\nno_openings_minutes: 5\nflatten_minutes: 3\n"
# In and out within the last hour: sixty times as fast, that is less than a minute.
CONDOR = ("--param", "enter_until=15:40", "--param", "flatten_minutes=15")
MARKET = ("--clock", "2026-11-20T14:00", "--speed", "60", "--requests-per-minute", "0")
BEGIN = "2026-11-20T15:05"


@dataclass(frozen=True)
class Trader:
    """A user with an account at a simulated Schwab, a home and a database of their own."""

    simulator: MarketSimulator
    settings: SchwabSettings
    home: Path
    dsn: str

    def start(self, *arguments: str, program: str = "trading_main.py") -> subprocess.Popen[str]:
        environment = {
            **self.simulator.environment(),
            "OPTIONS_HOME": str(self.home),
            "SUPABASE_DB_URL": self.dsn,
            "SCHWAB_TOKEN_FILE": str(self.settings.token_file),
        }
        return subprocess.Popen(
            [sys.executable, program, *arguments],
            cwd=BACKEND,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def begin(self) -> None:
        """Let the last hour begin when a program listens, however long its preparations take."""
        self.simulator.move_clock(now=BEGIN, held=True)

    def run(self, *arguments: str, program: str = "trading_main.py") -> tuple[int, str, str]:
        child = self.start(*arguments, program=program)
        out, err = child.communicate(timeout=150)
        return child.returncode, out, err

    def read(self, table: str, **where: Any) -> pl.DataFrame:
        settings = SupabaseSettings(_env_file=None, supabase_db_url=SecretStr(self.dsn))
        with SupabaseClient.from_settings(settings) as store:
            return store.read(table, where)

    def decisions(self, journal: Path) -> list[Decision]:
        opened: TransactionLogger[Decision] = TransactionLogger(
            journal, Decision, subject=journal.stem, key=read_key(self.home / "journal.key")
        )
        with opened as log:
            return [each for each in log.read() if not hasattr(each, "subject")]


@pytest.fixture
def trader(databases: Any, tmp_path: Path) -> Iterator[Trader]:
    with running(list(MARKET)) as simulator, databases.fresh() as dsn:
        status = simulator.status
        settings = SchwabSettings(
            _env_file=None,
            app_key=SecretStr(status.app_key),
            app_secret=SecretStr(status.app_secret),
            callback_url=status.callback_url,
            base_url=status.schwab,
            token_file=tmp_path / "token.json",
        )
        reply = httpx2.get(authorization_url(settings, state="s"), trust_env=False)
        exchange_code(settings, code_of_redirect(reply.headers["location"], state="s"))
        (tmp_path / "limits.yaml").write_text(LIMITS)
        yield Trader(simulator, settings, tmp_path, dsn)


def check_paper_drift(trader: Trader, recording: Path, filled: int) -> None:
    """Hold the session's fills beside those of the paper model."""
    file = trader.home / "drift.csv"
    told = ("--json", "--out", str(file))
    status, out, err = trader.run(str(recording), *told, program="scripts/paper_drift.py")
    assert status == 0, err
    sums = json.loads(out)
    print(f"paper drift: {sums}")
    assert sums["both"] + sums["live_only"] == filled, sums
    assert sums["both"] >= 1, sums
    assert abs(sums["worst_kinder"]) <= 0.5, sums
    header, *rows = file.read_text().splitlines()
    assert header.startswith("client_order_id,symbols,quantity,limit,live_filled,paper_filled")
    assert len(rows) == sums["orders"] >= filled


def test_a_position_is_opened_managed_and_closed_at_the_broker(trader: Trader) -> None:
    limits = str(trader.home / "limits.yaml")
    live = ("--mode", "live", "--account", "001", "--limits", limits, "--json", *CONDOR)

    status, _, err = trader.run(*live, "--i-understand-live-orders")
    assert status == 2
    assert "has not been signed off" in err
    assert trader.run("--sign-limits", limits)[0] == 0

    trader.begin()
    recording = trader.home / "session.jsonl"
    status, out, err = trader.run(*live, "--i-understand-live-orders", "--record", str(recording))
    assert status == 0, err
    assert "closing only" not in err, "the account was what the journal says, cash too"
    recorded = err
    result = json.loads(out)
    assert result["mode"] == "live"
    assert result["filled"] >= 2, err
    check_paper_drift(trader, recording, result["filled"])

    # What the simulator's books say, told by its own API.
    with SchwabTrader(trader.settings) as api:
        account = next(
            each for each in api.account_numbers() if each.account_number.endswith("001")
        )
        since = datetime(2026, 11, 20, tzinfo=UTC)
        there = api.orders(account.hash_value, since, since + timedelta(days=2))
        held = api.account(account.hash_value, positions=True).securities_account.positions or []
    filled = [each for each in there if each.status == "FILLED"]
    assert len(filled) == result["filled"]
    assert {each.instrument.symbol for each in held if "QQQ" in each.instrument.symbol} == set()

    # What our journal says, and the database.
    journal = Path(result["journal"])
    assert verify(journal).fault is None
    decisions = trader.decisions(journal)
    assert isinstance(decisions[0], Began)
    fills = [fill for each in decisions if isinstance(each, Heard) for fill in each.update.fills]
    trades = trader.read("trades")
    assert set(trades["execution_id"]) >= {fill.execution_id for fill in fills}
    assert set(trades["mode"]) == {"live"}
    orders = trader.read("orders")
    legs = [json.loads(row["legs"]) for row in orders.rows(named=True) if row["status"] == "FILLED"]
    assert len(fills) == sum(len(each) for each in legs)
    assert orders.height == sum(isinstance(each, Intended) for each in decisions)
    assert set(orders["order_id"].drop_nulls()) == {str(each.order_id) for each in there}
    flat = trader.read("positions")
    # A bought leg that nobody bids for is left to expire.
    assert all(units >= 0 for units in flat["signed_quantity"])
    gained = sum(flat["realized_pnl"].to_list(), Decimal(0))
    assert gained == Decimal(result["realized_pnl"])

    # Played again, in both other modes: the same decisions at the same events.
    for mode in ("backtest", "paper"):
        status, out, err = trader.run("--mode", mode, "--replay", str(recording), "--json")
        assert status == 0, err
        again = json.loads(out)
        assert f"decisions {again['decisions']}" in recorded
        for name in ("events", "orders", "filled", "realized_pnl"):
            assert again[name] == result[name], (mode, name)


def test_without_the_word_each_order_is_previewed_and_none_is_sent(trader: Trader) -> None:
    trader.begin()
    limits = str(trader.home / "limits.yaml")
    status, out, err = trader.run(
        "--mode", "live", "--account", "001", "--limits", limits, "--json", *CONDOR
    )
    assert status == 0, err
    assert "DRY RUN: nothing is sent" in err
    result = json.loads(out)
    assert result["filled"] >= 2, err
    assert err.count("would be taken") >= 1, err
    assert err.count("preview of ") == result["orders"]
    with SchwabTrader(trader.settings) as api:
        since = datetime(2026, 11, 20, tzinfo=UTC)
        for account in api.account_numbers():
            assert not api.orders(account.hash_value, since, since + timedelta(days=2))


def test_a_killed_run_is_taken_up_and_nothing_is_lost_or_doubled(trader: Trader) -> None:
    limits = str(trader.home / "limits.yaml")
    assert trader.run("--sign-limits", limits)[0] == 0
    live = ("--mode", "live", "--account", "001", "--limits", limits, "--json", *CONDOR)
    live += ("--i-understand-live-orders",)

    trader.begin()
    first = trader.start(*live)
    try:
        assert first.stderr
        said = ""
        while "filled: sold" not in said:  # it holds a condor now
            line = first.stderr.readline()
            assert line, said
            said += line
        first.send_signal(signal.SIGSTOP)  # and goes on holding it
        trader.simulator.move_clock(held=True)  # until the next program listens
        status, _, err = trader.run(*live)
        assert status == 2, "a second program must not trade the same account"
        assert "open" in err
    finally:
        first.kill()
        first.communicate()

    status, out, err = trader.run(*live)
    assert status == 0, err
    result = json.loads(out)
    assert "decisions of earlier runs taken up" in err
    # A bought leg that nobody bids for is left to expire.
    left = trader.read("positions")["signed_quantity"].to_list()
    assert all(units >= 0 for units in left)
    legs_left = sum(1 for units in left if units)
    assert result["open_positions"] == legs_left <= 2

    with SchwabTrader(trader.settings) as api:
        account = next(
            each for each in api.account_numbers() if each.account_number.endswith("001")
        )
        since = datetime(2026, 11, 20, tzinfo=UTC)
        there = api.orders(account.hash_value, since, since + timedelta(days=2))
    filled = [each for each in there if each.status == "FILLED"]
    assert len(filled) == 2, "one opened, one closed"
    decisions = trader.decisions(Path(result["journal"]))
    assert sum(isinstance(each, Began) for each in decisions) == 2
    fills = [each.update.fills for each in decisions if isinstance(each, Heard)]
    names = [fill.execution_id for each in fills for fill in each]
    assert len(names) == len(set(names)) == 8 - legs_left
