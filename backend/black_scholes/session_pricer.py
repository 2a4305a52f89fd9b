"""What prices the options of one expiration all session long, whatever their exercise style.

American options go by a table of exercise boundaries (`exercise_table`), European ones by their
formula; both have the methods of `Pricer`, so that a caller does not ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from black_scholes import calculator
from black_scholes.exercise_table import ExerciseTable
from black_scholes.implied_vol import implied_volatility

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from black_scholes._jit import FloatArray
    from black_scholes.calculator import Greeks
    from black_scholes.implied_vol import ImpliedVolatility

_SLACK = 1e-3  # relative: the table reaches a little beyond the session's times


class Pricer(Protocol):
    """Prices, volatilities and greeks at one rate and yield; units as in `calculator`."""

    def price(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> FloatArray:
        """Return prices in dollars."""
        ...

    def implied_volatility(
        self,
        price: ArrayLike,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> ImpliedVolatility:
        """Return volatilities with the reason where there is none."""
        ...

    def greeks(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> Greeks:
        """Return prices and greeks."""
        ...


class EuropeanPricer:
    """The formula of Black, Scholes and Merton at one rate and yield.

    Args:
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
    """

    def __init__(self, rate: float, dividend_yield: float) -> None:
        self._rate, self._yield = rate, dividend_yield

    def price(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> FloatArray:
        """Return prices in dollars."""
        return calculator.price(spot, strike, years, self._rate, vol, self._yield, is_call=is_call)

    def implied_volatility(
        self,
        price: ArrayLike,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> ImpliedVolatility:
        """Return volatilities with the reason where there is none."""
        market = spot, strike, years, self._rate, self._yield
        return implied_volatility(price, *market, is_call=is_call)

    def greeks(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> Greeks:
        """Return prices and greeks."""
        return calculator.greeks(spot, strike, years, self._rate, vol, self._yield, is_call=is_call)


def pricer(
    years: tuple[float, float], rate: float, dividend_yield: float, *, american_style: bool
) -> Pricer:
    """Return what prices one expiration from its first to its last moment.

    Args:
        years: The least (above 0) and the greatest time to expiration of the session.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
        american_style: Whether the options may be exercised early.
    """
    if not american_style:
        return EuropeanPricer(rate, dividend_yield)
    return ExerciseTable((years[0] * (1 - _SLACK), years[1] * (1 + _SLACK)), rate, dividend_yield)
