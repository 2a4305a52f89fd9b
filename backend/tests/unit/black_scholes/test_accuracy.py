"""Against 50 digits, on the cases that libraries fail on; PROVE=1 takes 2,000 of them."""

import os
from typing import Any

import mpmath
import numpy as np
import pricing_cases  # type: ignore[import-not-found]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from black_scholes import calculator, implied_vol
from black_scholes.implied_vol import Status

FULL = os.environ.get("PROVE") == "1"
EPSILON = 2.0**-52


@pytest.fixture(scope="module")
def cases() -> tuple[pricing_cases.Options, dict[str, list[mpmath.mpf]]]:
    options, _ = pricing_cases.hard_cases(400 if FULL else 60)
    return options, pricing_cases.exact_greeks(options)


def relative_error(ours: NDArray[np.float64], exact: list[mpmath.mpf]) -> NDArray[np.float64]:
    with mpmath.workdps(50):
        pairs = zip(ours, exact, strict=True)
        return np.array([float(abs(mpmath.mpf(float(a)) / b - 1)) for a, b in pairs])


def invert(
    prices: NDArray[np.float64], options: pricing_cases.Options
) -> implied_vol.ImpliedVolatility:
    spot, strike, years, rate = options.market
    return implied_vol.implied_volatility(
        prices, spot, strike, years, rate, options.dividend_yield, is_call=options.is_call
    )


@pytest.mark.parametrize("name", [*calculator.Greeks._fields, *calculator.HigherGreeks._fields])
def test_price_and_greeks_have_thirteen_digits(
    cases: tuple[pricing_cases.Options, dict[str, list[mpmath.mpf]]], name: str
) -> None:
    options, exact = cases
    first = calculator.greeks(*options.numbers, is_call=options.is_call)
    higher = calculator.higher_greeks(*options.numbers, is_call=options.is_call)
    ours = getattr(first, name) if name in first._fields else getattr(higher, name)
    size = np.array([abs(float(x)) for x in exact[name]])
    error = relative_error(ours, exact[name])
    least = 1e-10 if name in {"delta", "gamma"} else 1e-8
    # The price out of the money is ill-conditioned: a unit in the last place of spot moves more.
    assert error[size > least].max() < (1e-12 if name == "price" else 1e-13)
    # Tails keep their digits down to where a float64 ends.
    assert error[(size > 1e-290) & (size <= least)].max(initial=0.0) < 1e-11


def exact_price(
    spot: Any, strike: Any, years: Any, rate: Any, vol: Any, carry: Any, sign: int
) -> Any:
    deviation = vol * mpmath.sqrt(years)
    d1 = (mpmath.log(spot / strike) + (rate - carry) * years) / deviation + deviation / 2
    held = spot * mpmath.exp(-carry * years) * mpmath.ncdf(sign * d1)
    owed = strike * mpmath.exp(-rate * years) * mpmath.ncdf(sign * (d1 - deviation))
    return sign * (held - owed)


SLOPES = {
    "delta": ((1, 0, 0, 0, 0), 1),
    "gamma": ((2, 0, 0, 0, 0), 1),
    "theta": ((0, 0, 1, 0, 0), -1),
    "vega": ((0, 0, 0, 0, 1), 1),
    "rho": ((0, 0, 0, 1, 0), 1),
    "vanna": ((1, 0, 0, 0, 1), 1),
    "volga": ((0, 0, 0, 0, 2), 1),
    "charm": ((1, 0, 1, 0, 0), -1),
    "speed": ((3, 0, 0, 0, 0), 1),
}
"""Greek -> how often the price is differentiated by spot, strike, years, rate, vol; and its sign."""


@pytest.mark.parametrize("name", SLOPES)
def test_greeks_are_the_numeric_slopes_of_the_price(name: str) -> None:
    options = pricing_cases.mixed(200 if FULL else 20)
    first = calculator.greeks(*options.numbers, is_call=options.is_call)
    higher = calculator.higher_greeks(*options.numbers, is_call=options.is_call)
    ours = getattr(first, name) if name in first._fields else getattr(higher, name)
    orders, direction = SLOPES[name]
    for row, found in zip(zip(*options, strict=True), ours, strict=True):
        at = [mpmath.mpf(float(x)) for x in row[:6]]
        sign = 1 if row[6] else -1
        with mpmath.workdps(60):
            slope = direction * mpmath.diff(
                lambda *x, carry=at[5], sign=sign: exact_price(*x, carry, sign),
                tuple(at[:5]),
                orders,
            )
        assert float(found) == pytest.approx(float(slope), rel=1e-12, abs=1e-10)


def test_implied_volatility_is_never_wrong_where_there_is_one(
    cases: tuple[pricing_cases.Options, dict[str, list[mpmath.mpf]]],
) -> None:
    options, exact = cases
    prices = np.array([float(x) for x in exact["price"]])
    true_vol, condition = pricing_cases.exact_volatility(options, prices)
    ours = invert(prices, options)
    solvable = (condition * EPSILON < 1e-8) & (prices > 1e-300)
    assert (ours.status[solvable] == Status.OK).all()
    error = relative_error(ours.vol, true_vol)
    assert (error[solvable] <= 10 * EPSILON * np.maximum(condition[solvable], 1)).all()
    # The row's own error bar is what 50 digits say it should be.
    bar = (ours.uncertainty / ours.vol / EPSILON)[solvable]
    np.testing.assert_allclose(bar, condition[solvable], rtol=1e-3)
    # The others say so, or are as good as the price allows.
    told = ~solvable & (ours.status == Status.OK)
    assert (error[told] <= 10 * EPSILON * condition[told]).all()


def test_price_to_volatility_to_price_is_a_round_trip() -> None:
    options = pricing_cases.mixed(1_000_000 if FULL else 100_000)
    price = calculator.price(*options.numbers, is_call=options.is_call)
    ours = invert(price, options)
    solved = ours.status == Status.OK
    assert solved.mean() > 0.9
    assert set(np.unique(ours.status[~solved])) <= {Status.NO_TIME_VALUE, Status.UNRESOLVED}
    off = np.abs(ours.vol - options.vol)[solved]
    # The price is rounded and so is its computation: twice the bar of one rounding.
    assert (off <= 20 * ours.uncertainty[solved] + 4 * EPSILON).all()
    again = calculator.price(*options._replace(vol=ours.vol).numbers, is_call=options.is_call)
    floor = options.spot + options.strike
    assert (np.abs(again - price)[solved] <= 1e-14 * floor[solved]).all()


@settings(max_examples=2000 if FULL else 100, deadline=None)
@given(
    st.floats(0.2, 5.0),
    st.floats(1e-6, 5.0),
    st.floats(-0.05, 0.15),
    st.floats(1e-3, 8.0),
    st.floats(-0.05, 0.15),
)
def test_parity_and_bounds_hold(
    moneyness: float, years: float, rate: float, vol: float, paid: float
) -> None:
    spot, strike = 100.0, 100.0 * moneyness
    call = float(calculator.price(spot, strike, years, rate, vol, paid, is_call=True))
    put = float(calculator.price(spot, strike, years, rate, vol, paid, is_call=False))
    worth, owed = spot * np.exp(-paid * years), strike * np.exp(-rate * years)
    assert call - put == pytest.approx(worth - owed, abs=1e-12 * (worth + owed))
    assert max(worth - owed, 0) - 1e-12 * worth <= call <= worth * (1 + 1e-15)
    assert max(owed - worth, 0) - 1e-12 * owed <= put <= owed * (1 + 1e-15)
    more = float(calculator.price(spot, strike, years, rate, vol * 1.01, paid, is_call=True))
    assert more >= call - 1e-12 * worth
