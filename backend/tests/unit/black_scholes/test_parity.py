import numpy as np
import pytest
from numpy.typing import NDArray

from black_scholes import calculator
from black_scholes.parity import forward_from_parity

Floats = NDArray[np.float64]

STRIKES = np.arange(80.0, 121.0)


def quotes(spread: float, years: float = 0.5) -> tuple[Floats, Floats, Floats, Floats]:
    call = calculator.price(100, STRIKES, years, 0.04, 0.2, 0.015, is_call=True)
    put = calculator.price(100, STRIKES, years, 0.04, 0.2, 0.015, is_call=False)
    half = spread / 2
    return call - half, call + half, put - half, put + half


def test_clean_quotes_give_forward_rate_and_yield_back() -> None:
    found = forward_from_parity(STRIKES, *quotes(0.02), 0.5)
    assert found.forward == pytest.approx(100 * np.exp(0.025 * 0.5), abs=1e-3)
    assert found.rate == pytest.approx(0.04, abs=1e-4)
    assert found.dividend_yield(100, 0.5) == pytest.approx(0.015, abs=1e-4)
    assert found.misfit < 0.1


def test_a_few_absurd_quotes_do_not_move_the_forward() -> None:
    call_bid, call_ask, put_bid, put_ask = quotes(0.02)
    call_bid[[15, 22]] += 3
    call_ask[[15, 22]] += 3
    found = forward_from_parity(STRIKES, call_bid, call_ask, put_bid, put_ask, 0.5)
    assert found.forward == pytest.approx(100 * np.exp(0.025 * 0.5), abs=0.01)


def test_an_hour_before_the_end_the_expected_rate_decides() -> None:
    years = 1 / 365 / 24
    rng = np.random.default_rng(3)
    cb, ca, pb, pa = (side + rng.uniform(-0.01, 0.01, STRIKES.size) for side in quotes(0.03, years))
    found = forward_from_parity(STRIKES, cb, ca, pb, pa, years, rate=0.05)
    assert found.rate == pytest.approx(0.05, abs=0.021)
    assert found.forward == pytest.approx(100, abs=0.01)


def test_missing_and_crossed_sides_are_left_out() -> None:
    call_bid, call_ask, put_bid, put_ask = quotes(0.02)
    call_bid[20] = np.nan
    put_bid[21] = 0
    put_ask[22] = put_bid[22] - 1
    found = forward_from_parity(STRIKES, call_bid, call_ask, put_bid, put_ask, 0.5)
    everything = forward_from_parity(STRIKES, *quotes(0.02), 0.5)
    assert found.pairs == everything.pairs - 3
    assert found.forward == pytest.approx(100 * np.exp(0.025 * 0.5), abs=1e-3)


@pytest.mark.parametrize("years", [0.0, -1.0, 0.5])
def test_without_pairs_there_is_no_forward(years: float) -> None:
    nothing = np.full(STRIKES.size, np.nan)
    found = forward_from_parity(STRIKES, nothing, nothing, nothing, nothing, years)
    assert found.pairs == 0
    assert np.isnan(found.forward)
