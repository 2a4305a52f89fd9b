import os

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813 - the name that its users know
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from black_scholes import american, calculator
from black_scholes.implied_vol import Status

FULL = os.environ.get("PROVE") == "1"
Floats = NDArray[np.float64]


def market(count: int, seed: int = 11) -> tuple[list[Floats], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    spot = rng.uniform(100, 600, count)
    years = np.where(
        rng.random(count) < 0.3, rng.uniform(0.1, 30, count), rng.uniform(30, 730, count)
    )
    rows = [
        spot,
        spot * rng.uniform(0.7, 1.3, count),
        years / 365,
        rng.uniform(0.001, 0.05, count),
        rng.uniform(0.05, 2.0, count),
        np.where(rng.random(count) < 0.15, 0.0, rng.uniform(0, 0.02, count)),
    ]
    return rows, rng.random(count) < 0.5


def quantlib_price(row: tuple[float, ...], is_call: bool, engine: str) -> float:
    """Price by another implementation; one year stands for the time left, for dates are whole."""
    spot, strike, years, rate, vol, dividend_yield = row
    today, days = ql.Date(1, 1, 2025), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    curves = [
        ql.YieldTermStructureHandle(ql.FlatForward(today, x * years, days))
        for x in (dividend_yield, rate)
    ]
    surface = ql.BlackConstantVol(today, ql.NullCalendar(), vol * years**0.5, days)
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)), *curves, ql.BlackVolTermStructureHandle(surface)
    )
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike)
    option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + 365))
    if engine == "integral equation":
        scheme = ql.QdFpTanhSinhIterationScheme(12, 20, 1e-10)
        option.setPricingEngine(ql.QdFpAmericanEngine(process, scheme))
    else:
        option.setPricingEngine(ql.BinomialLRVanillaEngine(process, 2001))
    return float(option.NPV())


@pytest.mark.parametrize(("precise", "most", "usual"), [(False, 1e-3, 1e-6), (True, 2.5e-5, 1e-7)])
def test_prices_agree_with_another_integral_equation(
    precise: bool, most: float, usual: float
) -> None:
    rows, calls = market(2000 if FULL else 120)
    ours = american.price(*rows, is_call=calls, precise=precise)
    theirs = [
        quantlib_price(tuple(map(float, row)), bool(call), "integral equation")
        for *row, call in zip(*rows, calls, strict=True)
    ]
    error = np.abs(ours - theirs)
    assert error.max() < most
    assert np.median(error) < usual


def test_prices_agree_with_a_fine_tree() -> None:
    rows, calls = market(300 if FULL else 15, seed=4)
    rows[4] = np.clip(rows[4], 0.1, 0.8)
    ours = american.price(*rows, is_call=calls, precise=True)
    theirs = [
        quantlib_price(tuple(map(float, row)), bool(call), "tree")
        for *row, call in zip(*rows, calls, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, atol=3e-3)


def test_without_a_reason_to_exercise_the_price_is_european() -> None:
    strikes = np.linspace(70, 130, 13)
    for rate, is_call in ((0.05, True), (0.0, False)):
        ours = american.price(100, strikes, 0.5, rate, 0.3, is_call=is_call)
        plain = calculator.price(100, strikes, 0.5, rate, 0.3, is_call=is_call)
        np.testing.assert_array_equal(ours, plain)
        assert np.isnan(american.exercise_boundary(strikes, 0.5, rate, 0.3, is_call=is_call)).all()


def test_the_boundary_is_where_waiting_stops_paying() -> None:
    edge = float(american.exercise_boundary(100, 0.5, 0.05, 0.3, 0.02, is_call=False))
    assert edge < 100
    inside = american.greeks(edge - 0.01, 100, 0.5, 0.05, 0.3, 0.02, is_call=False, precise=True)
    assert float(inside.price) == pytest.approx(100 - edge + 0.01, abs=1e-12)
    assert [float(x) for x in inside[1:]] == [-1, 0, 0, 0, 0]
    outside = american.greeks(edge + 0.5, 100, 0.5, 0.05, 0.3, 0.02, is_call=False, precise=True)
    assert float(outside.price) > 100 - edge - 0.5
    assert float(outside.gamma) > 0


options = st.tuples(
    st.floats(0.5, 2.0),
    st.floats(1e-4, 3.0),
    st.floats(1e-4, 0.12),
    st.floats(0.03, 3.0),
    st.floats(0.0, 0.12),
    st.booleans(),
)


@settings(max_examples=2000 if FULL else 60, deadline=None)
@given(options)
def test_bounds_and_monotony_hold(row: tuple[float, float, float, float, float, bool]) -> None:
    moneyness, years, rate, vol, paid, is_call = row
    spot, strike = 100.0, 100.0 * moneyness

    def worth(**changes: float) -> float:
        terms = {"years": years, "vol": vol} | changes
        return float(
            american.price(
                spot,
                strike,
                terms["years"],
                rate,
                terms["vol"],
                paid,
                is_call=is_call,
                precise=True,
            )
        )

    value = worth()
    plain = float(calculator.price(spot, strike, years, rate, vol, paid, is_call=is_call))
    intrinsic = max(spot - strike if is_call else strike - spot, 0.0)
    assert value >= max(plain, intrinsic)
    assert value <= (spot if is_call else strike)
    assert worth(years=years * 1.1) >= value - 1e-3
    assert worth(vol=vol * 1.05) >= value - 1e-3


@settings(max_examples=1000 if FULL else 40, deadline=None)
@given(options)
def test_a_call_is_the_put_with_roles_exchanged(
    row: tuple[float, float, float, float, float, bool],
) -> None:
    moneyness, years, rate, vol, paid, _ = row
    call = american.price(100, 100 * moneyness, years, rate, vol, paid, is_call=True)
    put = american.price(100 * moneyness, 100, years, paid, vol, rate, is_call=False)
    assert float(call) == pytest.approx(float(put), rel=1e-9, abs=1e-9)


def test_greeks_are_the_slopes_of_the_price() -> None:
    rows, calls = market(60, seed=8)
    rows[2] = np.maximum(rows[2], 0.05)
    found = american.greeks(*rows, is_call=calls, precise=True)

    def moved(column: int, step: Floats) -> Floats:
        changed = [*rows]
        changed[column] = rows[column] + step
        return american.price(*changed, is_call=calls, precise=True)

    step = 1e-3 * rows[0]
    delta = (moved(0, step) - moved(0, -step)) / (2 * step)
    gamma = (moved(0, step) + moved(0, -step) - 2 * found.price) / step**2
    day = np.full(60, 1e-3)
    theta = -(moved(2, day) - moved(2, -day)) / (2 * day)
    inner = found.gamma > 0
    np.testing.assert_allclose(found.delta[inner], delta[inner], atol=2e-4)
    np.testing.assert_allclose(found.gamma[inner], gamma[inner], atol=3e-3 * gamma.max())
    np.testing.assert_allclose(found.theta[inner], theta[inner], rtol=5e-3, atol=2e-2)


@pytest.mark.parametrize("precise", [False, True])
def test_implied_volatility_undoes_the_price(precise: bool) -> None:
    rows, calls = market(20_000 if FULL else 500, seed=21)
    price = american.price(*rows, is_call=calls, precise=precise)
    spot, strike, years, rate, _, paid = rows
    found = american.implied_volatility(
        price, spot, strike, years, rate, paid, is_call=calls, precise=precise
    )
    solved = found.status == Status.OK
    off = np.abs(found.vol - rows[4])[solved]
    assert (off <= 1e-6 * rows[4][solved] + found.uncertainty[solved]).all()
    # Solvable: a hundredth of a cent more or less would not hide a thousandth of the volatility,
    # and the option is not at the boundary, where no engine can tell.
    vega = calculator.greeks(*rows, is_call=calls).vega
    gain = np.maximum(np.where(calls, rows[0] - rows[1], rows[1] - rows[0]), 0)
    solvable = (0.001 * vega * rows[4] > 1e-4) & (price > gain + (1e-4 if precise else 1e-2))
    assert solvable.sum() > 300
    assert solved[solvable].all()


def test_where_no_volatility_fits_the_row_says_why() -> None:
    prices = [30.0, 29.0, 131.0, np.nan, 30.5, 30.5, 31.0]
    strikes = [130, 130, 130, 130, np.nan, 130, 130]
    years = [0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.5]
    found = american.implied_volatility(prices, 100, strikes, years, 0.05, is_call=False)
    assert [Status(int(code)) for code in found.status] == [
        Status.NO_TIME_VALUE,
        Status.BELOW_INTRINSIC,
        Status.ABOVE_BOUND,
        Status.MISSING,
        Status.MISSING,
        Status.EXPIRED,
        Status.OK,
    ]
    assert np.isnan(found.vol[:-1]).all()


def test_bad_rows_are_nan_and_leave_their_neighbours_alone() -> None:
    spots = [100.0, np.nan, -1.0, 100.0, 100.0]
    vols = [0.3, 0.3, 0.3, np.inf, 0.3]
    seen = american.greeks(spots, 105, 0.5, 0.05, vols, is_call=False)
    for column in seen:
        assert np.isnan(column[1:4]).all()
        assert column[0] == column[4]


def test_certain_outcomes_are_exercised_at_the_best_time() -> None:
    put = american.greeks(100, 110, [0.0, 1.0], 0.05, [0.3, 0.0], is_call=False)
    assert put.price.tolist() == [10, 10]
    # The strike earns 1 % and the stock pays 8 %: wait until they balance, or to the end.
    late = float(american.price(100, 110, 1.0, 0.01, 0.0, 0.08, is_call=False))
    assert late == pytest.approx(110 * np.exp(-0.01) - 100 * np.exp(-0.08))


def test_negative_rates_go_to_the_grid() -> None:
    # Rate below 0 and yield below the rate: a put is worth exercising in a band of spots.
    ours = american.price(100, [90, 110], 1.0, -0.01, 0.2, -0.03, is_call=False)
    plain = calculator.price(100, [90, 110], 1.0, -0.01, 0.2, -0.03, is_call=False)
    assert (ours >= plain - 0.01).all()
    assert (ours >= [0, 10]).all()
