"""Realised volatility, exposure, max pain and expected moves, on cases whose answer is known."""

import numpy as np
import pytest

from black_scholes import calculator, realized
from black_scholes.expected_move import expected_move
from black_scholes.exposure import HeldOptions, gamma_exposure, gamma_flip, max_pain
from black_scholes.session_parity import PairedQuotes, session_forwards, usable_pairs
from black_scholes.surface import Svi


def test_realised_volatility_of_a_known_walk_comes_back() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(0.0, 0.2 / np.sqrt(252 * 390), (2000, 390))
    night = rng.normal(0.0, 0.1 / np.sqrt(252), 2000)
    path = np.exp(np.cumsum(np.column_stack([night, steps]).reshape(-1)).reshape(2000, 391))
    open_, close = path[:, 0], path[:, -1]
    high, low = path.max(axis=1), path.min(axis=1)
    whole = np.sqrt(0.2**2 + 0.1**2)
    assert realized.close_to_close(close) == pytest.approx(whole, rel=0.05)
    assert realized.yang_zhang(open_, high, low, close) == pytest.approx(whole, rel=0.05)
    # Ranges leave the night out, and are a little short between the minutes.
    assert realized.parkinson(high, low) == pytest.approx(0.2, rel=0.06)
    assert realized.intraday(path[0], 390.0) == pytest.approx(0.2, rel=0.12)


def test_volatility_by_hand() -> None:
    close = np.exp(np.array([0.0, 0.01, 0.0, 0.01]))
    # Returns +1 %, -1 %, +1 %: mean 1/3 %, sum of squared deviations 8/3 %^2, over two.
    expected = 0.01 * np.sqrt(8 / 3 / 2) * np.sqrt(252)
    assert realized.close_to_close(close) == pytest.approx(expected)
    high, low = np.exp(np.array([0.01])), np.ones(1)
    assert realized.parkinson(high, low) == pytest.approx(
        0.01 / np.sqrt(4 * np.log(2)) * np.sqrt(252)
    )


def test_too_few_bars_have_no_volatility() -> None:
    two = np.array([1.0, 1.1])
    none = np.empty(0)
    assert np.isnan(realized.close_to_close(two))
    assert np.isnan(realized.parkinson(none, none))
    assert np.isnan(realized.yang_zhang(two, two, two, two))
    assert np.isnan(realized.intraday(two, 2.0))


def held(*rows: tuple[float, bool, float]) -> HeldOptions:
    """Options of a month at 20 %: (strike, call, open interest)."""
    strike, is_call, interest = (np.array(x) for x in zip(*rows, strict=True))
    years, vol = np.full(strike.size, 1 / 12), np.full(strike.size, 0.2)
    gamma = calculator.greeks(100.0, strike, years, 0.0, vol, is_call=is_call).gamma
    return HeldOptions(
        strike, years, is_call, vol, gamma, interest.astype(np.float64), np.full(strike.size, 100.0)
    )


def test_calls_add_exposure_and_puts_take_it_away() -> None:
    found = gamma_exposure(held((100.0, True, 10), (100.0, False, 10)), 100.0)
    gamma = float(calculator.greeks(100.0, 100.0, 1 / 12, 0.0, 0.2, is_call=True).gamma)
    # A move of 1 % is a dollar: gamma x 1,000 shares, worth 100 each.
    assert found == pytest.approx([gamma * 1000 * 100, -gamma * 1000 * 100])


def test_the_flip_lies_between_puts_below_and_calls_above() -> None:
    flip = gamma_flip(held((95.0, False, 100), (105.0, True, 100)), 101.0)
    assert flip == pytest.approx(100.0, abs=0.3)
    total = gamma_exposure(held((95.0, False, 100), (105.0, True, 100)), 100.0).sum()
    assert abs(total) < 0.1 * gamma_exposure(held((105.0, True, 100)), 100.0).sum()
    assert np.isnan(gamma_flip(held((100.0, True, 5)), 100.0))
    assert np.isnan(gamma_flip(held((100.0, True, 0)), 100.0))


def test_max_pain_by_hand() -> None:
    strike = np.array([90.0, 100.0, 110.0, 90.0, 100.0, 110.0])
    is_call = np.array([True, True, True, False, False, False])
    interest = np.array([10.0, 50.0, 10.0, 10.0, 20.0, 10.0])
    # At 90: puts pay 20 x 10 + 10 x 20 = 400; at 100: 10 x 10 + 10 x 10 = 200; at 110: 200 + 500.
    assert max_pain(strike, is_call, interest) == 100.0
    assert np.isnan(max_pain(strike, is_call, np.zeros(6)))


def test_a_flat_smile_expects_a_move_of_one_standard_deviation() -> None:
    years = 0.25
    flat = Svi(0.04 * years, 0.0, 0.0, 0.0, 0.1, years)
    found = expected_move(flat, 100.0)
    # Lognormal: F e^(-w/2 +- sqrt(w)).
    w = 0.04 * years
    assert found.low == pytest.approx(100 * np.exp(-w / 2 - np.sqrt(w)), rel=1e-4)
    assert found.high == pytest.approx(100 * np.exp(-w / 2 + np.sqrt(w)), rel=1e-4)
    assert found.half_width == pytest.approx(10.0, rel=0.01)


def pairs_of(forward: np.ndarray[tuple[int], np.dtype[np.float64]]) -> PairedQuotes:
    strike = np.arange(80.0, 121.0, 5.0)
    spot = forward[:, None] * np.exp(-0.04 * 0.1)
    call = calculator.price(spot, strike, 0.1, 0.04, 0.3, is_call=True)
    put = calculator.price(spot, strike, 0.1, 0.04, 0.3, is_call=False)
    return PairedQuotes(strike, call - 0.02, call + 0.02, put - 0.02, put + 0.02)


def test_forwards_of_all_minutes_come_back_and_one_stale_quote_bends_none() -> None:
    forward = np.array([99.0, 100.0, 101.5])
    quotes = pairs_of(forward)
    discount = np.full(3, np.exp(-0.004))
    found = session_forwards(quotes, usable_pairs(quotes), discount)
    assert found.forward == pytest.approx(forward, abs=1e-6)
    assert (found.misfit < 0.01).all()
    quotes.call_bid[1, 4] += 3.0
    quotes.call_ask[1, 4] += 3.0
    bent = session_forwards(quotes, usable_pairs(quotes), discount)
    assert bent.forward == pytest.approx(forward, abs=0.05)
    assert bent.misfit[1] > 1.0


def test_a_minute_without_pairs_has_no_forward() -> None:
    quotes = pairs_of(np.array([99.0, 100.0]))
    quotes.put_bid[0] = np.nan
    found = session_forwards(quotes, usable_pairs(quotes), np.ones(2))
    assert np.isnan(found.forward[0])
    assert found.pairs.tolist() == [0.0, found.pairs[1]]
    assert np.isfinite(found.forward[1])
