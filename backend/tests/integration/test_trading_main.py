"""`trading_main.py` as a user runs it, without any account: on paper, and over stored data."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from utils.journal_chain import verify

if TYPE_CHECKING:
    from conftest import Bench

QUICK = ("--clock", "2026-11-20T15:30", "--speed", "60")
CONDOR = ("--param", "enter_until=15:50", "--param", "flatten_minutes=6")


@pytest.fixture
def limits(tmp_path: Path) -> str:
    path = tmp_path / "limits.yaml"
    path.write_text("no_openings_minutes: 5\nmax_spread_usd: 0.60\n")
    return str(path)


def test_a_0dte_position_is_opened_managed_and_closed_on_paper(bench: Bench, limits: str) -> None:
    done = bench.run(
        "trading_main.py", "--mode", "paper", "--ticker", "QQQ", "--json", "--limits", limits,
        *QUICK, *CONDOR,
    )  # fmt: skip
    assert done.status == 0, done.err
    result = done.object
    assert (result["origin"], result["open_positions"]) == ("simulator", 0)
    assert result["filled"] >= 2, done.err
    assert verify(Path(result["journal"])).fault is None

    account = {"account_id": result["account_id"]}
    trades = bench.read("trades", **account)
    assert set(trades["mode"]) == {"paper"}
    by_symbol = trades.group_by("symbol").agg(pl.col("signed_quantity").sum())
    assert set(by_symbol["signed_quantity"]) == {Decimal(0)}
    positions = bench.read("positions", **account)
    assert set(positions["signed_quantity"]) == {Decimal(0)}
    gained = sum(positions["realized_pnl"].to_list(), Decimal(0))
    cash = -sum(
        (each["signed_quantity"] * each["price"] * each["multiplier"] + each["fees"])
        for each in trades.iter_rows(named=True)
    )
    assert gained == cash == Decimal(result["result"])
    balances = bench.read("account_snapshots", **account).sort("ts")
    assert balances["cash"].item(-1) == Decimal(100_000) + gained
    assert bench.count("signals") >= 2
    assert bench.count("order_events") >= 6


def test_a_paper_account_goes_on_where_it_was_killed(bench: Bench, limits: str) -> None:
    arguments = (
        "trading_main.py", "--json", "--limits", limits, "--account", "mine", *CONDOR,
    )  # fmt: skip
    first = bench.start(*arguments, *QUICK)
    try:
        assert first.stderr
        said = ""
        while "filled: sold" not in said:
            line = first.stderr.readline()
            assert line, said
            said += line
    finally:
        first.kill()
        first.communicate()
    done = bench.run(*arguments, "--clock", "2026-11-20T15:52", "--speed", "60")
    assert done.status == 0, done.err
    assert "decisions of earlier runs taken up" in done.err
    assert done.object["open_positions"] == 0
    assert done.object["filled"] in {2, 3}, "closed at once, or in two pieces by the 0DTE desk"

    done = bench.run(*arguments, *QUICK)
    assert done.status == 2
    assert "the account mine has traded until 2026-11-20 15:5" in done.err


def test_a_backtest_over_the_recorded_goog_session(
    bench: Bench, tmp_path: Path, limits: str
) -> None:
    backtest = (
        "trading_main.py", "--mode", "backtest", "--ticker", "GOOG", "--start", "2015-12-24",
        "--limits", limits, "--json",
    )  # fmt: skip
    done = bench.run(*backtest)
    assert done.status == 1
    assert "python main.py --ticker GOOG --start 2015-12-24 --end 2015-12-24" in done.err

    stored = bench.main(
        "--ticker", "GOOG", "--start", "2015-12-24", "--end", "2015-12-24",
        "--source", "polygon", "--expirations", "0-0",
    )  # fmt: skip
    assert stored.status == 0, stored.err
    wide = ("--param", "width=7.5", "--param", "short_delta=0.35", "--param", "steps=1")
    early = ("--param", "enter_after=09:40", "--param", "enter_until=11:30", "--param", "look_s=60")
    results = []
    for name in ("one", "two"):
        out = tmp_path / name
        done = bench.run(*backtest, *wide, *early, "--out", str(out))
        assert done.status == 0, done.err
        results.append((done.object | {"report": ""}, (out / "trades.parquet").read_bytes()))
        equity = pl.read_parquet(out / "equity.parquet")
        assert equity.height == 210, "one row a minute of a half day"
        page = (out / "report.html").read_text()
        assert "zero_dte_iron_condor on GOOG" in page
        assert json.loads(done.out)["orders filled"] == "2 of 7"
    assert results[0] == results[1], "equal data, equal decisions"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--strategy", "magic"), "there is no strategy magic: give covered_call, ema_cross, "),
        (("--strategy", "/nowhere/mine.py"), "there is no file /nowhere/mine.py"),
        (("--param", "wings=3"), "zero_dte_iron_condor has no parameter wings: it has "),
        (("--param", "width=-1"), "zero_dte_iron_condor: width: Input should be greater than 0"),
        (("--param", "width"), "--param width is no pair"),
        (("--limits", "/nowhere.yaml"), "/nowhere.yaml: No such file or directory"),
        (("--mode", "dream"), "invalid choice: 'dream'"),
        (("--mode", "live", "--record", "x"), "add --i-understand-live-orders"),
        (
            ("--source", "schwab", "--clock", "2026-11-20T15:00"),
            "--clock, --speed and --seed are the simulator's",
        ),
        (("--record", "x"), "--record is for sessions whose orders go to a broker"),
        (("--mode", "live", "--replay", "x"), "--mode paper or --mode backtest"),
        (("--replay", "/nowhere/x"), "/nowhere/x: No such file or directory"),
        (("--replay", "trading_main.py"), "trading_main.py is no recording"),
        (
            ("--mode", "live", "--i-understand-live-orders"),
            "live orders need a file of risk limits",
        ),
        (("--mode", "backtest"), "a backtest needs its days"),
        (("--mode", "backtest", "--start", "2015-12-25"), "the exchange was closed"),
        (("--speed", "0"), "--speed 0 cannot be played"),
        (("--cash", "much"), "'much' USD cannot be"),
        (("--source", "schwab"), "SCHWAB_APP_KEY and SCHWAB_APP_SECRET are not both set"),
    ],
)
def test_bad_input_is_one_sentence(bare: Bench, arguments: tuple[str, ...], sentence: str) -> None:
    done = bare.here("trading_main.py", *arguments)
    assert done.status == 2
    assert sentence in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("max_los: 3", "there is no limit max_los"),
        ("max_loss: [", "is no YAML"),
        ("- 3", "must be a mapping"),
        ("max_loss: -3", "max_loss: Input should be greater than or equal to 0"),
    ],
)
def test_bad_limits_are_one_sentence(
    bare: Bench, tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(content)
    done = bare.here("trading_main.py", "--limits", str(path))
    assert done.status == 2
    assert sentence in done.err
