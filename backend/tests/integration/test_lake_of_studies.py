"""REST rows in the lake until the next day's flat files replace them, by commands alone."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from app.lake_greeks import GREEKS
from app.study_lake import put_in_lake
from app.zero_dte_study import Whole
from clients.lake import Lake, LakeFile
from clients.lake_command import main as lake_command
from models.tables import EQUITY_BARS, OPTION_TRADES, frame_schema
from tests.integration.conftest import started_simulator
from utils.market_calendar import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Bench

FRIDAY = date(2026, 11, 20)
TABLES = {
    "option_bars_1m": "minute_aggs",
    "option_trades": "trades",
    "option_nbbo": "quotes",
    "equity_bars_1m": "stock_minute_aggs",
}


@pytest.fixture(scope="module")
def monday() -> Iterator[str]:
    """A simulator that stands still when Friday's flat files are published."""
    with started_simulator("--clock", "2026-11-23T10:00", "--speed", "0") as status:
        yield status["http"]


def test_flat_files_replace_what_rest_told(
    bare: Bench, monday: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Lake.open(tmp_path / "lake")
    study = (
        "--ticker", "AAPL", "--date", str(FRIDAY), "--out", str(tmp_path / "study"),
        "--lake", str(tmp_path / "lake"),
    )  # fmt: skip
    environment = {"SIMULATOR_URL": monday, "OPTIONS_HOME": str(tmp_path / "home")}
    done = bare.here("scripts/download_0dte_options.py", *study, **environment)
    assert done.status == 4, done.err  # nobody stored the open interest of that day
    assert "option_trades: " in done.out
    live = {table: lake.read(table) for table in TABLES if table != "equity_bars_1m"}
    for table, rows in live.items():
        assert rows.height > 100, table
        assert lake.made_from(LakeFile(table, "AAPL", FRIDAY, "polygon", "simulator")) == "rest"
    bars = pl.read_parquet(tmp_path / "study" / "bars.parquet")
    assert live["option_bars_1m"]["volume"].sum() == bars["volume"].sum()
    trades = live["option_trades"]
    assert trades.select("occ_symbol", "ts", "occurrence").is_duplicated().sum() == 0
    assert lake_command(["--lake", str(tmp_path / "lake"), "ls", "option_nbbo"]) == 0
    words = "".join(each for each in capsys.readouterr().out if each not in "│┃").split()
    assert "rest, times in us, the last of each minute" in " ".join(words)

    for dataset in ("minute_aggs", "trades", "quotes"):
        flat = bare.here(
            "scripts/bulk_backfill_options.py", "--start", str(FRIDAY), "--end", str(FRIDAY),
            "--underlyings", "AAPL", "--dataset", dataset, "--lake", str(tmp_path / "lake"),
            "--workers", "1", "--quiet", **environment,
        )  # fmt: skip
        assert flat.status == 0, flat.err
    for table, before in live.items():
        file = LakeFile(table, "AAPL", FRIDAY, "polygon", "simulator")
        assert lake.made_from(file) == "flat_file"
        after = lake.read(table)
        assert after.schema == before.schema, "one schema, whoever told it"
        assert not after.equals(before)

    frames = {
        name: pl.read_parquet(tmp_path / "study" / f"{name}.parquet")
        for name in ("contracts", "underlying", "bars", "trades", "quotes")
    }
    friday = session(FRIDAY)
    whole = Whole(friday, frames.pop("contracts"), frames.pop("underlying"), friday.close)
    whole.frames = frames
    told = list(put_in_lake(lake, "AAPL", "simulator", whole, made_from="stream"))
    assert "option_trades: the rows of the flat file stay" in told
    assert lake.made_from(LakeFile("option_trades", "AAPL", FRIDAY, "polygon", "simulator")) == (
        "flat_file"
    )


def test_a_study_leaves_what_the_lake_has_of_other_contracts(tmp_path: Path) -> None:
    lake, friday = Lake.open(tmp_path / "lake"), session(FRIDAY)

    def whole(symbol: str, *sizes: int) -> Whole:
        trades = pl.DataFrame(
            [
                {"ts": friday.open, "occ_symbol": symbol, "sequence": n, "underlying": "QQQ"}
                | {"session": FRIDAY, "price": 1.5, "size": size, "conditions": "209"}
                | {"source": "polygon", "origin": "live"}
                for n, size in enumerate(sizes, 1)
            ],
            schema=frame_schema(OPTION_TRADES),
        )
        empty = pl.DataFrame(schema=frame_schema(EQUITY_BARS))
        made = Whole(friday, pl.DataFrame(), empty, friday.close)
        made.frames = {"trades": trades}
        return made

    one, other = "QQQ   261120C00600000", "QQQ   261120P00600000"
    for symbol, sizes, made_from in (
        (one, (1, 2), "stream"), (other, (5,), "rest"), (one, (1, 2, 3), "stream"),
    ):  # fmt: skip
        list(put_in_lake(lake, "QQQ", "live", whole(symbol, *sizes), made_from=made_from))
    found = lake.read("option_trades")
    assert dict(found.group_by("occ_symbol").agg(pl.col("size").sum()).rows()) == {one: 6, other: 5}
    assert found.sort("occ_symbol", "occurrence")["occurrence"].to_list() == [0, 1, 2, 0]
    assert found["strike"].unique().to_list() == [600.0]
    assert lake.made_from(LakeFile("option_trades", "QQQ", FRIDAY, "polygon", "live")) == "rest"


def test_greeks_by_command(bare: Bench, monday: str, tmp_path: Path) -> None:
    arguments = (
        "--start", str(FRIDAY), "--end", str(FRIDAY), "--underlyings", "AAPL,XSP", "--greeks",
        "--workers", "1", "--quiet", "--lake", str(tmp_path / "lake"),
    )  # fmt: skip
    environment = {"SIMULATOR_URL": monday, "OPTIONS_HOME": str(tmp_path / "home")}
    done = bare.here("scripts/bulk_backfill_options.py", *arguments, **environment)
    assert done.status == 4, done.err
    assert "no stock_minute_aggs of XSP" in done.out, "an index is no stock"
    assert "1 sessions priced" in done.out
    lake = Lake.open(tmp_path / "lake")
    bars, greeks = lake.read("option_bars_1m", underlyings=["AAPL"]), lake.read(GREEKS)
    assert greeks.height == bars.height
    solved = greeks.drop_nulls("implied_volatility")
    assert solved.height > bars.height / 2
    assert solved["delta"].abs().is_between(0, 1).all()
    assert solved["ts"].min() >= session(FRIDAY).open
