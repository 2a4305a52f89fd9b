"""Volatility and greeks beside the lake's option minutes: against direct pricing, and by command."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from app import lake_greeks
from app.lake_greeks import GREEKS, PricingJob, price_session
from black_scholes import american, calculator
from clients.lake import Lake, LakeFile
from models.option_columns import parse_occ
from pipeline.enrich import DEFAULT_RATE
from polygon_integration.flat_datasets import dataset
from utils.market_calendar import session, year_fraction

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Bench

DAY, EXPIRATION = date(2026, 11, 18), date(2026, 12, 18)
SPOT, VOL = 600.0, 0.22
MINUTES = 30


def put(lake: Lake, name: str, underlying: str, rows: pl.DataFrame) -> None:
    what = dataset(name)
    file = LakeFile(what.table, underlying, DAY, "polygon", "live")
    lake.replace(file, rows, sort_key=what.sort_key, made_from="flat_file")


def filled(lake: Lake) -> tuple[pl.DataFrame, np.ndarray]:
    """A lake with minutes of QQQ calls priced at 22 %; return them and their year fractions."""
    starts = [session(DAY).open + timedelta(minutes=n) for n in range(MINUTES)]
    symbols = [f"QQQ   261218C00{strike}000" for strike in (580, 600, 620)]
    bars = pl.DataFrame(
        {"ts": [ts for ts in starts for _ in symbols], "occ_symbol": symbols * MINUTES},
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )
    bars = pl.concat([bars, parse_occ(bars["occ_symbol"]).drop("underlying")], how="horizontal")
    years = np.array(
        [year_fraction(ts + timedelta(minutes=1), EXPIRATION, root="QQQ") for ts in bars["ts"]]
    )
    price = american.price(
        SPOT,
        bars["strike"].to_numpy(),
        years,
        DEFAULT_RATE,
        VOL,
        0.0,
        is_call=np.full(bars.height, True),
    )
    stamps = {"source": pl.lit("polygon"), "origin": pl.lit("live")}
    ohlc = {name: pl.Series(price) for name in ("open", "close", "high", "low")}
    put(lake, "minute_aggs", "QQQ", bars.with_columns(volume=1.0, trades=1, **ohlc, **stamps))
    spot = {name: pl.lit(SPOT) for name in ("open", "close", "high", "low")}
    shares = pl.DataFrame({"ts": starts}, schema={"ts": pl.Datetime("us", "UTC")})
    put(lake, "stock_minute_aggs", "QQQ", shares.with_columns(volume=1.0, **spot, **stamps))
    return bars, years


def test_they_are_those_of_direct_pricing_whatever_the_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.open(tmp_path / "lake")
    bars, years = filled(lake)
    monkeypatch.setattr(lake_greeks, "SLICE_ROWS", 17)
    job = PricingJob("QQQ", DAY, "live", str(tmp_path / "lake"))
    done = price_session(job)
    assert (done.rows, done.solved, done.sentence) == (bars.height, bars.height, "")
    found = lake.read(GREEKS)
    assert found.select("ts", "occ_symbol").equals(bars.select("ts", "occ_symbol"))
    assert found["underlying_price"].unique().to_list() == [SPOT]
    assert found["implied_volatility"].to_numpy() == pytest.approx(VOL, abs=1e-6)
    direct = calculator.greeks(
        SPOT, bars["strike"].to_numpy(), years, DEFAULT_RATE, VOL, 0.0, is_call=True
    )
    assert found["delta"].to_numpy() == pytest.approx(direct.delta, abs=1e-6)
    assert found["gamma"].to_numpy() == pytest.approx(direct.gamma, rel=1e-4)
    assert found["theta_per_day"].to_numpy() == pytest.approx(direct.theta / 365, rel=1e-4)
    assert found["vega_per_point"].to_numpy() == pytest.approx(direct.vega / 100, rel=1e-4)

    assert price_session(job).was_there, "made of the same files"
    paid = PricingJob("QQQ", DAY, "live", str(tmp_path / "lake"), ((date(2026, 12, 1), 2.0),))
    assert not price_session(paid).was_there, "a dividend is known now"
    dearer = lake.read(GREEKS)["implied_volatility"].to_numpy()
    assert (dearer > VOL).all(), "calls that a dividend makes cheaper need more volatility"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    done = price_session(PricingJob("QQQ", DAY, "live", str(tmp_path / "lake")))
    assert done.sentence == "the lake has no minute_aggs of QQQ on 2026-11-18: no greeks"


def test_it_prices_minutes_of_named_underlyings(bare: Bench) -> None:
    for arguments in (("--dataset", "trades"), ("--underlyings", "all")):
        done = bare.here("scripts/bulk_backfill_options.py", "--greeks", *arguments)
        assert done.status == 2
        assert done.err.startswith("--greeks prices --dataset minute_aggs of --underlyings")
