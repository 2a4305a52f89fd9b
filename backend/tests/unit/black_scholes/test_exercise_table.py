import numpy as np
import pytest
from numpy.typing import NDArray

from black_scholes import american
from black_scholes.exercise_table import ExerciseTable
from black_scholes.implied_vol import Status

RATE, YIELD = 0.043, 0.006
Floats = NDArray[np.float64]


def session(
    days: float, count: int = 400
) -> tuple[ExerciseTable, tuple[Floats, Floats, Floats], Floats, NDArray[np.bool_]]:
    rng = np.random.default_rng(int(days))
    years = (days - rng.uniform(0, 0.99, count)) / 365
    table = ExerciseTable(((days - 0.995) / 365, days / 365), RATE, YIELD)
    spot = 720 * np.exp(0.01 * rng.normal(size=count))
    strike = 720 * np.exp(rng.uniform(-0.3, 0.3, count) * min(1.0, 0.15 * days**0.5))
    return table, (spot, strike, years), rng.uniform(0.1, 0.8, count), rng.random(count) < 0.5


@pytest.mark.parametrize("days", [1, 3, 30, 400])
def test_prices_are_those_of_the_full_solution(days: float) -> None:
    table, (spot, strike, years), vol, calls = session(days)
    full = american.price(spot, strike, years, RATE, vol, YIELD, is_call=calls)
    np.testing.assert_allclose(
        table.price(spot, strike, years, vol, is_call=calls), full, atol=5e-6 * 720
    )


@pytest.mark.parametrize("days", [1, 30])
def test_volatilities_and_reasons_are_those_of_the_full_solution(days: float) -> None:
    table, terms, vol, calls = session(days)
    spot, strike, years = terms
    price = american.price(spot, strike, years, RATE, vol, YIELD, is_call=calls)
    price[:4] = [np.nan, -1.0, 1e4, 0.0]
    ours = table.implied_volatility(price, *terms, is_call=calls)
    full = american.implied_volatility(price, *terms, RATE, YIELD, is_call=calls)
    assert (ours.status[:4] == full.status[:4]).all()
    both = (ours.status == Status.OK) & (full.status == Status.OK)
    assert both.sum() > 250
    # An option at the edge of what can be told may fall on either side.
    assert (ours.status != full.status).mean() < 0.02
    assert np.quantile(np.abs(ours.vol - full.vol)[both], 0.99) < 0.0002
    assert np.isnan(ours.vol[ours.status != Status.OK]).all()


def test_greeks_are_those_of_the_full_solution() -> None:
    table, terms, vol, calls = session(30)
    ours = table.greeks(*terms, vol, is_call=calls)
    full = american.greeks(*terms, RATE, vol, YIELD, is_call=calls)
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        a, b = getattr(ours, name), getattr(full, name)
        assert np.median(np.abs(a - b)) < 1e-4 * np.abs(b).max()
        np.testing.assert_allclose(a, b, atol=2e-2 * np.abs(b).max())


def test_outside_its_range_it_says_nothing() -> None:
    table, _, _, _ = session(30)
    assert np.isnan(table.price(700, 700, [0.01, 29.5 / 365], [0.2, 9.0], is_call=True)).all()
    ours = table.implied_volatility(np.nan, 700, 700, 29.5 / 365, is_call=True)
    assert ours.status == Status.MISSING


@pytest.mark.parametrize("years", [(0.0, 1.0), (0.2, 0.1)])
def test_an_empty_range_is_refused(years: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a range must rise"):
        ExerciseTable(years, RATE)
