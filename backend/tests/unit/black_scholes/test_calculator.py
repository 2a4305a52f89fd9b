import numpy as np
import pytest

from black_scholes import calculator
from models.errors import NoImpliedVolatility


def test_a_textbook_price_and_its_greeks() -> None:
    # Hull, Options, Futures and Other Derivatives, example 15.6: S 42, K 40, r 10 %, vol 20 %.
    call = calculator.greeks(42, 40, 0.5, 0.1, 0.2, is_call=True)
    put = calculator.price(42, 40, 0.5, 0.1, 0.2, is_call=False)
    assert float(call.price) == pytest.approx(4.759422, abs=1e-6)
    assert float(put) == pytest.approx(0.808600, abs=1e-6)
    assert float(call.delta) == pytest.approx(0.779131, abs=1e-6)


def test_arguments_broadcast_like_numpy() -> None:
    strikes, years = np.array([90.0, 100.0, 110.0]), np.array([[0.1], [1.0]])
    together = calculator.greeks(100, strikes, years, 0.03, 0.2, 0.01, is_call=[True, False, True])
    assert together.vega.shape == (2, 3)
    single = calculator.greeks(100, 110, 1.0, 0.03, 0.2, 0.01, is_call=True)
    for column, alone in zip(together, single, strict=True):
        assert column[1, 2] == float(alone)


def test_shared_arguments_give_the_same_as_full_columns_over_many_blocks() -> None:
    rng = np.random.default_rng(5)
    strikes, calls = rng.uniform(80, 120, 10_001), rng.random(10_001) < 0.5
    shared = calculator.greeks(100, strikes, 0.2, 0.03, 0.2, is_call=calls)
    full = calculator.greeks(np.full(10_001, 100.0), strikes, 0.2, 0.03, 0.2, 0, is_call=calls)
    for one, other in zip(shared, full, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_in_nothing_out() -> None:
    assert calculator.price([], 100, 1, 0, 0.2, is_call=True).shape == (0,)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        calculator.price([1.0, 2.0], [1.0, 2.0, 3.0], 1, 0, 0.2, is_call=True)


def test_results_go_into_arrays_of_the_caller() -> None:
    out = calculator.Greeks(*(np.empty(2) for _ in range(6)))
    given = calculator.greeks([100, 101], 100, 1, 0.02, 0.2, is_call=True, out=out)
    assert given.price is out.price
    np.testing.assert_array_equal(
        out.price, calculator.price([100, 101], 100, 1, 0.02, 0.2, is_call=True)
    )
    wrong = calculator.Greeks(*(np.empty(3) for _ in range(6)))
    with pytest.raises(ValueError, match="contiguous float64 array"):
        calculator.greeks([100, 101], 100, 1, 0.02, 0.2, is_call=True, out=wrong)


@pytest.mark.parametrize(
    ("is_call", "spot", "price", "delta"),
    [
        (True, 105, 5, 1),
        (True, 95, 0, 0),
        (True, 100, 0, 0.5),
        (False, 95, 5, -1),
        (False, 105, 0, 0),
        (False, 100, 0, -0.5),
    ],
)
@pytest.mark.parametrize("vol", [0.0, 0.2])
def test_at_expiration_only_the_payoff_is_left(
    is_call: bool, spot: float, price: float, delta: float, vol: float
) -> None:
    at_end = calculator.greeks(spot, 100, 0.0, 0.05, vol, 0.01, is_call=is_call)
    assert [float(x) for x in at_end] == pytest.approx([price, delta, 0, 0, 0, 0], abs=1e-15)
    higher = calculator.higher_greeks(spot, 100, 0.0, 0.05, vol, 0.01, is_call=is_call)
    assert [float(x) for x in higher] == [0, 0, 0, 0]


def test_without_volatility_the_forward_decides() -> None:
    sure = calculator.greeks(100, 101, 1.0, 0.05, 0.0, 0.01, is_call=True)
    assert float(sure.price) == pytest.approx(100 * np.exp(-0.01) - 101 * np.exp(-0.05), rel=1e-14)
    assert float(sure.delta) == pytest.approx(np.exp(-0.01), rel=1e-15)
    assert float(sure.gamma) == 0
    assert float(sure.vega) == 0


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_row_is_nan_and_leaves_its_neighbours_alone(column: int, bad: float) -> None:
    rows = np.tile([[100.0], [105.0], [0.5], [0.03], [0.2], [0.01]], 9)
    clean = calculator.greeks(*rows, is_call=True)
    rows[column, 4] = bad
    stained = calculator.greeks(*rows, is_call=True)
    for before, after in zip(clean, stained, strict=True):
        assert np.isnan(after[4])
        np.testing.assert_array_equal(np.delete(after, 4), np.delete(before, 4))
    assert np.isnan(calculator.higher_greeks(*rows, is_call=True).speed[4])


@pytest.mark.parametrize(
    ("spot", "strike", "years", "vol"),
    [(0, 100, 1, 0.2), (-1, 100, 1, 0.2), (100, 0, 1, 0.2), (100, 100, -1e-9, 0.2), (1, 1, 1, -1)],
)
def test_impossible_rows_are_nan(spot: float, strike: float, years: float, vol: float) -> None:
    assert np.isnan(calculator.price(spot, strike, years, 0.03, vol, is_call=True))


def test_the_desk_speaks_floats_and_screen_units() -> None:
    desk = calculator.BlackScholesCalculator(rate=0.05)
    assert desk.price(100, 100, 0.2, days=365, right="C") == pytest.approx(10.450583572)
    shown = desk.greeks(100, 100, 0.2, days=365, right="P")
    raw = calculator.greeks(100, 100, 1.0, 0.05, 0.2, is_call=False)
    assert shown["theta_per_day"] == float(raw.theta) / 365
    assert shown["vega_per_point"] == float(raw.vega) / 100
    assert desk.implied_volatility(10.450583572185565, 100, 100, days=365, right="C") == (
        pytest.approx(0.2, rel=1e-13)
    )
    with pytest.raises(NoImpliedVolatility, match="above bound"):
        desk.implied_volatility(101, 100, 100, days=365, right="C")
    with pytest.raises(ValueError, match='"C" or "P"'):
        desk.price(100, 100, 0.2, days=365, right="call")
