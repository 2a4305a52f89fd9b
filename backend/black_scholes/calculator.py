"""Price and greeks of European options after Black, Scholes and Merton, for whole arrays at once.

    >>> float(price(100.0, 100.0, 1.0, 0.05, 0.2, is_call=True))
    10.450583572185565

Conventions of every function here: `spot` and `strike` in dollars, `years` to expiration, `rate`
and `dividend_yield` continuous a year, `vol` 0.20 = 20 % a year, `is_call` true for calls. Arguments
broadcast as in numpy; results have the broadcast shape. A row with an argument that makes no sense
(NaN, negative time or volatility, spot or strike not positive) is NaN and leaves its neighbours
alone. At expiration (years = 0) the price is the intrinsic value, delta is 0, ±1, or ±1/2 at the
strike, and all other greeks are 0; at vol = 0 the greeks are those of the certain outcome.
"""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import _european
from black_scholes._batch import Batch
from black_scholes.implied_vol import Status, implied_volatility
from models.errors import NoImpliedVolatility

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from black_scholes._jit import FloatArray


class Greeks(NamedTuple):
    """A price and its first derivatives, per 1.00 of their variable.

    Attributes:
        price: Dollars.
        delta: Per dollar of spot.
        gamma: Of delta, per dollar of spot.
        theta: Per year that passes (negative: the option loses).
        vega: Per 1.00 of volatility, that is 100 points.
        rho: Per 1.00 of rate.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    rho: FloatArray


class HigherGreeks(NamedTuple):
    """Second and third derivatives, per 1.00 of their variables.

    Attributes:
        vanna: Of delta, per 1.00 of volatility.
        volga: Of vega, per 1.00 of volatility.
        charm: Of delta, per year that passes.
        speed: Of gamma, per dollar of spot.
    """

    vanna: FloatArray
    volga: FloatArray
    charm: FloatArray
    speed: FloatArray


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
) -> FloatArray:
    """Return prices in dollars (Merton 1973).

    Raises:
        ValueError: The arguments do not broadcast.
    """
    batch = Batch((spot, strike, years, rate, vol, dividend_yield), is_call)
    result = np.empty(batch.size)
    batch.run(_european.price_block, (result,))
    return result.reshape(batch.shape)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
    out: Greeks | None = None,
) -> Greeks:
    """Return prices with delta, gamma, theta, vega and rho (Hull, Options, chapter "Greek letters").

    Args:
        spot: Dollars.
        strike: Dollars.
        years: To expiration.
        rate: Continuous, a year.
        vol: 0.20 = 20 %.
        dividend_yield: Continuous, a year.
        is_call: True for calls.
        out: Contiguous float64 arrays of the broadcast shape to fill, instead of new ones.

    Raises:
        ValueError: The arguments do not broadcast, or `out` has another shape.
    """
    batch = Batch((spot, strike, years, rate, vol, dividend_yield), is_call)
    result = out or Greeks(*(np.empty(batch.shape) for _ in Greeks._fields))
    batch.run(_european.greeks_block, batch.flat_outputs(result))
    return result


def higher_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    *,
    is_call: ArrayLike,
) -> HigherGreeks:
    """Return vanna, volga, charm and speed; all are 0 at years = 0 and at vol = 0.

    Raises:
        ValueError: The arguments do not broadcast.
    """
    batch = Batch((spot, strike, years, rate, vol, dividend_yield), is_call)
    result = HigherGreeks(*(np.empty(batch.shape) for _ in HigherGreeks._fields))
    batch.run(_european.higher_block, batch.flat_outputs(result))
    return result


class BlackScholesCalculator:
    """Prices, greeks and implied volatility of single options in plain floats, for people.

    >>> desk = BlackScholesCalculator(rate=0.05)
    >>> round(desk.price(100, 100, 0.2, days=365, right="C"), 4)
    10.4506
    >>> round(desk.greeks(100, 100, 0.2, days=365, right="C")["delta"], 4)
    0.6368

    Days are calendar days of 1/365 year and may have fractions. `greeks` uses the units that trading
    screens show: theta per day, vega and rho per percentage point.
    """

    def __init__(self, *, rate: float = 0.04, dividend_yield: float = 0.0) -> None:
        self.rate = rate
        self.dividend_yield = dividend_yield

    def price(self, spot: float, strike: float, vol: float, *, days: float, right: str) -> float:
        """Return the price in dollars.

        Raises:
            ValueError: `right` is neither "C" nor "P".
        """
        return self._greeks(spot, strike, vol, days, right)["price"]

    def greeks(
        self, spot: float, strike: float, vol: float, *, days: float, right: str
    ) -> dict[str, float]:
        """Return price, delta, gamma, theta_per_day, vega_per_point and rho_per_point.

        Raises:
            ValueError: `right` is neither "C" nor "P".
        """
        return self._greeks(spot, strike, vol, days, right)

    def implied_volatility(
        self, price: float, spot: float, strike: float, *, days: float, right: str
    ) -> float:
        """Return the volatility, 0.20 = 20 %.

        Raises:
            ValueError: `right` is neither "C" nor "P".
            NoImpliedVolatility: The price has none; the message says why.
        """
        found = implied_volatility(
            price,
            spot,
            strike,
            days / 365,
            self.rate,
            self.dividend_yield,
            is_call=_is_call(right),
        )
        reason = Status(int(found.status)).name
        if reason != "OK":
            raise NoImpliedVolatility(
                f"a price of {price} has no implied volatility: {reason.lower().replace('_', ' ')}",
                bound=reason,
            )
        return float(found.vol)

    def _greeks(
        self, spot: float, strike: float, vol: float, days: float, right: str
    ) -> dict[str, float]:
        raw = greeks(
            spot,
            strike,
            days / 365,
            self.rate,
            vol,
            self.dividend_yield,
            is_call=_is_call(right),
        )
        return {
            "price": float(raw.price),
            "delta": float(raw.delta),
            "gamma": float(raw.gamma),
            "theta_per_day": float(raw.theta) / 365,
            "vega_per_point": float(raw.vega) / 100,
            "rho_per_point": float(raw.rho) / 100,
        }


def _is_call(right: str) -> bool:
    if right not in {"C", "P"}:
        raise ValueError(f'right must be "C" or "P", not {right!r}')
    return right == "C"
