"""A market calibrated from the real QQQ chain of 2026-07-14 passes for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from app.quality_page import PagedChain, paged_chain
from black_scholes.chain_likeness import Likeness, compare
from black_scholes.surface import Essvi
from black_scholes.synthetic.calibration import Calibration, calibrate
from black_scholes.synthetic.chains import OptionSession, option_session
from black_scholes.synthetic.checks import arbitrage
from black_scholes.synthetic.clock import session_numbers
from black_scholes.synthetic.market import since_1970
from black_scholes.synthetic_generator import synthetic_market
from models.errors import DataError
from pipeline.chain_files import read_chain_file

if TYPE_CHECKING:
    from models.options import OptionChain

DATA = Path(__file__).parents[2] / "data" / "chains"
DAY = date(2026, 7, 14)


@pytest.fixture(scope="module")
def real() -> OptionChain:
    return read_chain_file(DATA / "qqq_chain_2026-07-14T1555ET.json.gz")


@pytest.fixture(scope="module")
def calibration(real: OptionChain) -> Calibration:
    return calibrate(real)


@pytest.fixture(scope="module")
def session(calibration: Calibration) -> OptionSession:
    market = synthetic_market("QQQ", seed=7, calibration=calibration)
    found = option_session(market, session_numbers()[DAY])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def sides(real: OptionChain, session: OptionSession) -> tuple[PagedChain, PagedChain]:
    quotes = session.at(real.ts).with_columns(underlying=pl.lit("QQQ"))
    wanted = real.quotes["expiration"].unique().to_list()
    quotes = quotes.filter(pl.col("expiration").is_in(wanted))
    ours = paged_chain("synthetic", quotes, real.underlying_price, real.ts)
    return ours, paged_chain("real", real.quotes, real.underlying_price, real.ts)


@pytest.fixture(scope="module")
def likeness(sides: tuple[PagedChain, PagedChain]) -> Likeness:
    ours, theirs = sides
    return compare(ours.quality, ours.spreads, theirs.quality, theirs.spreads)


def test_the_fitted_surface_has_no_arbitrage(calibration: Calibration) -> None:
    assert Essvi(calibration.years, *calibration.smiles).violations() == []
    assert len(calibration.years) > 20


def test_the_market_stands_where_the_real_one_did(
    real: OptionChain, session: OptionSession, calibration: Calibration
) -> None:
    worth, _ = session.market_at(since_1970(real.ts))
    assert worth.states[0, 0] == pytest.approx(real.underlying_price, abs=0.02)
    years, theta = worth.states[3], worth.states[4]
    known = np.isin(np.round(years, 6), np.round(calibration.years, 6))
    assert known.sum() > 15
    fitted = np.interp(years[known], calibration.years, calibration.smiles.theta)
    assert np.allclose(theta[known][1:], fitted[1:], rtol=0.03)


def test_smiles_are_the_real_ones(likeness: Likeness, sides: tuple[PagedChain, PagedChain]) -> None:
    error = [100 * point.error for point in sides[0].quality.smiles]
    assert np.sqrt(np.mean(np.square(error))) <= 0.5
    assert likeness.median_skew_error <= 0.20
    assert np.median(np.abs(np.array(list(likeness.at_money_ratio.values())) - 1)) < 0.03


def test_spreads_and_empty_bids_are_the_real_ones(likeness: Likeness) -> None:
    assert len(likeness.spread_distance) > 15
    assert likeness.worst_spread_distance <= 0.15
    assert abs(likeness.zero_bids) <= 0.05


def test_no_arbitrage_in_any_state_of_the_calibrated_market(session: OptionSession) -> None:
    for number in (session.number, session.number + 20, session.number + 60):
        found = option_session(session.market, number)
        assert found is not None
        for minute in (0.0, 100.0, 385.0):
            worth, _ = found.market_at(found.opens + minute)
            for rule, broken in arbitrage(found.rows, worth).items():
                assert broken.count == 0, (number, minute, rule, broken)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_chain_with_one_side_is_refused(real: OptionChain, side: str) -> None:
    quotes = real.quotes.with_columns(pl.lit(None, pl.Float64).alias(side))
    with pytest.raises(DataError, match=f"no {side} prices: one side is missing"):
        calibrate(replace(real, quotes=quotes))


def test_an_empty_chain_and_one_of_a_single_expiration_are_refused(real: OptionChain) -> None:
    with pytest.raises(DataError, match="empty"):
        calibrate(replace(real, quotes=real.quotes.clear()))
    one = real.quotes.filter(pl.col("expiration") == date(2026, 8, 21))
    with pytest.raises(DataError, match="fewer than two expirations"):
        calibrate(replace(real, quotes=one))
