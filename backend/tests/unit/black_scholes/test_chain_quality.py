"""Figures of a chain: none where it is sound, the right ones where it was spoiled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from black_scholes import american
from black_scholes.chain_likeness import compare, dynamics, ks_distance, spreads_by_bucket
from black_scholes.chain_quality import (
    ChainQuality,
    chain_quality,
    last_prints_off_intrinsic,
    quote_figures,
    tick_of,
)
from black_scholes.chain_smiles import ChainQuotes, chain_vols
from black_scholes.surface import Essvi

SPOT, RATE, YIELD = 500.0, 0.04, 0.006
SURFACE = Essvi(
    *np.array(
        [
            [0.02, 0.1, 0.5],
            [0.0008, 0.004, 0.02],
            [-0.5, -0.5, -0.45],
            [0.022, 0.05, 0.11],
        ]
    )
)


def made_chain(half_spread: float = 0.03) -> ChainQuotes:
    """American quotes on the tick grid around a surface without arbitrage."""
    years, strike, call = (
        x.ravel()
        for x in np.meshgrid(
            SURFACE.years, np.arange(400.0, 600.0, 2.5), [True, False], indexing="ij"
        )
    )
    forward = SPOT * np.exp((RATE - YIELD) * years)
    vol = SURFACE.vol(np.log(strike / forward), years)
    price = american.price(SPOT, strike, years, RATE, vol, YIELD, is_call=call)
    bid = np.floor((price - half_spread) * 100 + 1e-6) / 100
    return ChainQuotes(
        expiration=np.round(years * 365).astype(np.int64),
        years=years,
        strike=strike,
        is_call=call,
        bid=np.where(bid > 0, bid, np.nan),
        ask=np.ceil((price + half_spread) * 100 - 1e-6) / 100,
    )


@pytest.fixture(scope="module")
def quality() -> ChainQuality:
    chain = made_chain()
    vols = chain_vols(chain, SPOT, rate=RATE, rate_error=0.001)
    return chain_quality(chain, SPOT, penny=True, vols=vols)


def test_a_sound_chain_has_no_faults(quality: ChainQuality) -> None:
    assert quality.arbitrage.convexity.broken == 0
    assert quality.arbitrage.vertical_quotes.broken == 0
    assert quality.arbitrage.butterfly.broken == 0
    assert quality.arbitrage.calendar.broken == 0
    assert quality.arbitrage.vertical.broken == 0
    assert quality.parity.within > 0.99
    assert quality.parity.american.broken == 0
    assert quality.quotes.on_tick == 1.0
    assert quality.quotes.outside.broken == 0
    assert quality.quotes.locked == quality.quotes.crossed == 0.0


def test_the_surface_is_found_again(quality: ChainQuality) -> None:
    assert quality.refit_error < 0.002
    for point in quality.smiles:
        assert point.at_money == pytest.approx(float(SURFACE.vol(0.0, point.years)), abs=0.002)
        assert point.skew > 0.02
        assert max(point.wings) < 2.0


def test_faults_are_counted() -> None:
    chain = made_chain()
    row = int(np.flatnonzero(chain.is_call & (chain.strike == 500.0))[1])
    chain.bid[row] += 3.0
    chain.ask[row] += 3.0
    chain.bid[row + 2] = chain.ask[row + 2]
    chain.bid[row + 4] = chain.ask[row + 4] + 0.05
    chain.ask[row + 6] += 0.003
    figures = chain_quality(chain, SPOT, penny=True)
    assert figures.arbitrage.convexity.broken >= 1
    assert figures.arbitrage.convexity.worst > 2.0
    assert figures.arbitrage.vertical_quotes.broken >= 1
    count = np.sum(chain.ask > 0)
    assert figures.quotes.locked == pytest.approx(1 / count)
    assert figures.quotes.crossed == pytest.approx(1 / count)
    assert figures.quotes.on_tick < 1.0


def test_missing_bids_and_mids_below_intrinsic() -> None:
    chain = made_chain()
    bid, ask = chain.bid - 40.0, chain.ask - 40.0
    low = chain._replace(bid=np.where(bid > 0, bid, np.nan), ask=np.maximum(ask, 0.01))
    figures = quote_figures(low, SPOT, penny=True)
    assert figures.zero_bids > 0.2
    assert figures.outside.broken > 10
    assert figures.outside.worst == pytest.approx(40.0, abs=1.0)


def test_ticks() -> None:
    price = np.array([0.01, 2.99, 3.0, 100.0])
    assert tick_of(price, penny=True).tolist() == [0.01] * 4
    assert tick_of(price, penny=False).tolist() == [0.01, 0.01, 0.05, 0.05]


numbers = st.lists(st.integers(0, 50), min_size=2, max_size=30)


@given(numbers, numbers)
def test_ks_distance_is_scipys(left: list[int], right: list[int]) -> None:
    ours = ks_distance(np.array(left, dtype=float), np.array(right, dtype=float))
    with np.errstate(all="ignore"):
        assert ours == pytest.approx(float(stats.ks_2samp(left, right, method="asymp").statistic))


def test_ks_distance_needs_samples() -> None:
    with pytest.raises(ValueError, match="at least one number"):
        ks_distance(np.empty(0), np.ones(1))


def test_a_chain_is_like_itself_and_unlike_a_wider_one(quality: ChainQuality) -> None:
    chain, wide = made_chain(), made_chain(0.06)
    vols, wide_vols = (
        chain_vols(chain, SPOT, rate=RATE, rate_error=0.001),
        chain_vols(wide, SPOT, rate=RATE, rate_error=0.001),
    )
    spreads, wide_spreads = spreads_by_bucket(chain, vols), spreads_by_bucket(wide, wide_vols)
    same = compare(quality, spreads, quality, spreads)
    assert same.worst_spread_distance == 0.0
    assert same.median_skew_error == pytest.approx(0.0)
    assert same.zero_bids == 0.0
    wider = chain_quality(wide, SPOT, penny=True, vols=wide_vols)
    other = compare(wider, wide_spreads, quality, spreads)
    assert other.worst_spread_distance > 0.9
    assert other.median_skew_error < 0.1


def test_dynamics_of_sticky_strike() -> None:
    rng = np.random.default_rng(7)
    spot = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    slope = -0.8
    found = dynamics(spot, 0.2 + slope * np.log(spot / 100.0), np.full(400, slope))
    assert found.leverage == pytest.approx(slope)
    assert found.stickiness == pytest.approx(1.0)
    assert found.correlation == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="three snapshots"):
        dynamics(np.ones(3), np.ones(3), np.ones(3))


def test_last_prints_are_intrinsic_at_the_close() -> None:
    strike, call = np.array([95.0, 95.0, 105.0, 105.0]), np.array([True, False, True, False])
    last = np.array([5.01, 0.0, 0.01, 5.3])
    found = last_prints_off_intrinsic(last, strike, call, 100.0, tolerance=0.02)
    assert (found.broken, found.of) == (1, 4)
    assert found.worst == pytest.approx(0.28)
    assert found.share == 0.25
