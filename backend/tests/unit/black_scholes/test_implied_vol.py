import numpy as np
import pytest

from black_scholes import calculator
from black_scholes.implied_vol import Status, implied_volatility, quoted_volatility


def test_it_undoes_the_price() -> None:
    price = calculator.price(100, [80, 100, 130], 0.3, 0.04, 0.25, 0.01, is_call=True)
    found = implied_volatility(price, 100, [80, 100, 130], 0.3, 0.04, 0.01, is_call=True)
    assert (found.status == Status.OK).all()
    np.testing.assert_allclose(found.vol, 0.25, rtol=1e-13)


@pytest.mark.parametrize(
    ("price", "strike", "years", "is_call", "status"),
    [
        (4.0, 95, 1.0, True, Status.BELOW_INTRINSIC),
        (-1.0, 120, 1.0, True, Status.BELOW_INTRINSIC),
        (100.0, 95, 1.0, True, Status.ABOVE_BOUND),
        (96.0, 95, 1.0, False, Status.ABOVE_BOUND),
        (0.0, 120, 1.0, True, Status.NO_TIME_VALUE),
        (100 - 50 * np.exp(-0.04 * 0.01), 50, 0.01, True, Status.NO_TIME_VALUE),
        (np.nan, 95, 1.0, True, Status.MISSING),
        (np.inf, 95, 1.0, True, Status.MISSING),
        (7.0, np.nan, 1.0, True, Status.MISSING),
        (7.0, 0.0, 1.0, True, Status.MISSING),
        (7.0, -5.0, 1.0, True, Status.MISSING),
        (5.0, 95, 0.0, True, Status.EXPIRED),
        (5.0, 95, -1.0, True, Status.EXPIRED),
        (99.99999999999997, 100, 1.0, True, Status.UNRESOLVED),
    ],
)
def test_where_there_is_none_the_row_says_why(
    price: float, strike: float, years: float, is_call: bool, status: Status
) -> None:
    # A good neighbour on each side must not be disturbed.
    prices, strikes = [10.0, price, 10.0], [100.0, strike, 100.0]
    times = [1.0, years, 1.0]
    found = implied_volatility(prices, 100, strikes, times, 0.04, is_call=is_call)
    assert Status(int(found.status[1])) is status
    assert np.isnan(found.vol[1])
    assert found.status[0] == found.status[2] == Status.OK
    assert found.vol[0] == found.vol[2]


def test_a_quote_has_three_volatilities() -> None:
    seen = quoted_volatility([1.0, 0.0, 2.0], [1.1, 0.01, 1.9], 100, 105, 0.1, 0.03, is_call=True)
    assert seen.bid.vol[0] < seen.mid.vol[0] < seen.ask.vol[0]
    assert seen.bid.status[1] == Status.NO_TIME_VALUE
    assert seen.ask.status[1] == Status.OK
    assert seen.mid.status[2] == Status.MISSING
