"""The pipeline's partitions as assets of Dagster: they load, and a backfill of some runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

BACKFILL = """
import json, sys
from dagster import materialize
from app.dagster_assets import defs
assets = {asset.key.to_user_string(): asset for asset in defs.assets}
keys = assets["equity_bars_1d"].partitions_def.get_partition_keys()
days = sorted({key.keys_by_dimension["session"] for key in keys})[-2:]
told = []
for day in days:
    done = materialize([assets["equity_bars_1d"]], partition_key=f"{day}|QQQ", raise_on_error=False)
    made = done.asset_materializations_for_node("equity_bars_1d")
    told.append([done.success, *(each.metadata["rows"].value for each in made)])
lost = materialize([assets["equity_bars_1d"]], partition_key=f"{day}|ZZZZZZ", raise_on_error=False)
print(json.dumps({"assets": sorted(assets), "told": told, "lost": lost.success}), file=sys.stderr)
"""


def test_assets_load_and_a_backfill_runs(bench: Any, tmp_path: Any) -> None:
    child: subprocess.Popen[str] = bench.start(
        "-c",
        BACKFILL,
        PIPELINE_TICKERS="QQQ,ZZZZZZ",
        LAKE=str(tmp_path / "lake"),
        DAGSTER_HOME="",
    )
    _, err = child.communicate(timeout=240)
    assert child.returncode == 0, err[-3000:]
    told = json.loads(err.splitlines()[-1])
    assert told["assets"] == [
        "equity_bars_1d",
        "equity_bars_1m",
        "option_bars_1m",
        "option_quotes_1m",
        "option_trades",
    ]
    assert told["told"] == [[True, 1], [True, 1]]
    assert told["lost"] is False, "nobody knows the ticker"
    bars = bench.read("equity_bars")
    assert bars["underlying"].to_list() == ["QQQ"] * 2
