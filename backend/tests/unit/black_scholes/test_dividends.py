import numpy as np
import pytest
import QuantLib as ql  # noqa: N813 - the name that its users know

from black_scholes import american
from black_scholes.implied_vol import Status

DIVIDENDS = [(60 / 365, 1.2), (150 / 365, 1.3), (240 / 365, 1.25)]
YEARS = 300 / 365


def finite_differences(strike: float, is_call: bool) -> tuple[float, float, float]:
    """Price, delta and gamma of an option on 100 dollars of spot by another implementation."""
    today, days = ql.Date(1, 1, 2025), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(100.0)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, days)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, 0.045, days)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), 0.25, days)),
    )
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike)
    option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + 300))
    dates = [today + round(years * 365) for years, _ in DIVIDENDS]
    schedule = ql.DividendVector(dates, [cash for _, cash in DIVIDENDS])
    option.setPricingEngine(
        ql.FdBlackScholesVanillaEngine(
            process,
            schedule,
            600,
            600,
            0,
            ql.FdmSchemeDesc.CrankNicolson(),
            False,
            -1.0,
            ql.FdBlackScholesVanillaEngine.Spot,
        )
    )
    return option.NPV(), option.delta(), option.gamma()


@pytest.mark.parametrize("is_call", [True, False])
def test_cash_dividends_agree_with_another_grid(is_call: bool) -> None:
    strikes = np.linspace(75, 125, 6)
    ours = american.greeks(100, strikes, YEARS, 0.045, 0.25, is_call=is_call, dividends=DIVIDENDS)
    theirs = np.array([finite_differences(float(x), is_call) for x in strikes])
    np.testing.assert_allclose(ours.price, theirs[:, 0], atol=2e-3)
    np.testing.assert_allclose(ours.delta, theirs[:, 1], atol=3e-4)
    np.testing.assert_allclose(ours.gamma, theirs[:, 2], atol=3e-5)


def test_an_option_that_ends_before_the_ex_date_does_not_notice() -> None:
    plain = american.price(100, 95, 0.1, 0.05, 0.3, is_call=False)
    assert american.price(100, 95, 0.1, 0.05, 0.3, is_call=False, dividends=[(0.11, 5)]) == plain
    assert american.price(100, 95, 0.1, 0.05, 0.3, is_call=False, dividends=[(-0.1, 5)]) == plain


def test_a_call_in_the_money_is_exercised_right_before_a_large_dividend() -> None:
    value = float(american.price(100, 60, 0.5, 0.0, 0.1, is_call=True, dividends=[(0.01, 10)]))
    assert value == pytest.approx(40, abs=0.05)
    kept = float(american.price(100, 60, 0.5, 0.0, 0.1, is_call=True, dividends=[(0.01, 1e-4)]))
    assert kept == pytest.approx(40, abs=0.05)


def test_implied_volatility_undoes_the_price() -> None:
    strikes = np.array([80.0, 90, 100, 110, 120])
    for is_call in (True, False):
        price = american.price(
            100, strikes, YEARS, 0.045, 0.25, is_call=is_call, dividends=DIVIDENDS
        )
        found = american.implied_volatility(
            price, 100, strikes, YEARS, 0.045, is_call=is_call, dividends=DIVIDENDS
        )
        solved = found.status == Status.OK
        assert solved[1:4].all()
        np.testing.assert_allclose(found.vol[solved], 0.25, rtol=1e-6)


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (0.1, -1.0), (0.1, np.inf)])
def test_a_dividend_that_is_none_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a dividend is"):
        american.price(100, 100, 1, 0.05, 0.2, is_call=True, dividends=[bad])
