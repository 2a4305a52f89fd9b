"""Options to price: the mixes that are timed, and the hard cases with answers of 50 digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import mpmath
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

YEAR_MINUTES = 365 * 390  # trading minutes, when a day of 1/365 year has 390 of them


class Options(NamedTuple):
    """Columns of equal length; units as everywhere in black_scholes."""

    spot: Array
    strike: Array
    years: Array
    rate: Array
    vol: Array
    dividend_yield: Array
    is_call: NDArray[np.bool_]

    @property
    def market(self) -> tuple[Array, ...]:
        """Spot, strike, years and rate: what an inversion takes after the price."""
        return self.spot, self.strike, self.years, self.rate

    @property
    def numbers(self) -> tuple[Array, ...]:
        """All but the side, in the order that pricing functions take them."""
        return self[:6]

    def head(self, count: int) -> Options:
        """Return the first rows."""
        columns: list[Any] = [np.ascontiguousarray(column[:count]) for column in self]
        return Options(*columns)


def mixed(count: int, seed: int = 7) -> Options:
    """Return a mix of 0DTE by the minute (25 %), weeks (25 %) and up to two years (50 %)."""
    rng = np.random.default_rng(seed)
    spot = rng.uniform(100, 600, count)
    kind = rng.uniform(size=count)
    minutes = rng.integers(1, 391, count) / YEAR_MINUTES
    weeks, long = rng.uniform(1, 30, count) / 365, rng.uniform(30, 730, count) / 365
    return Options(
        spot=spot,
        strike=spot * rng.uniform(0.7, 1.3, count),
        years=np.where(kind < 0.25, minutes, np.where(kind < 0.5, weeks, long)),
        rate=rng.uniform(0, 0.05, count),
        vol=rng.uniform(0.05, 2.0, count),
        dividend_yield=rng.uniform(0, 0.02, count),
        is_call=rng.random(count) < 0.5,
    )


def american_mix(count: int, seed: int = 11) -> Options:
    """Return a mix like `mixed`, with rates from 0.1 % and no yield in 15 % of rows."""
    rng = np.random.default_rng(seed)
    base = mixed(count, seed)
    paid = np.where(rng.random(count) < 0.15, 0.0, rng.uniform(0, 0.02, count))
    return base._replace(rate=rng.uniform(0.001, 0.05, count), dividend_yield=paid)


GROUPS = ("ordinary", "0DTE far strikes", "at the money", "deep in and out", "extreme volatility")


def hard_cases(per_group: int, seed: int = 3) -> tuple[Options, NDArray[np.int64]]:
    """Return cases that libraries fail on, with the number of each row's group."""
    rng = np.random.default_rng(seed)
    n = per_group
    spot = rng.uniform(20, 600, 5 * n)
    group = np.repeat(np.arange(5), n)
    side = rng.choice([-1.0, 1.0], n)
    extreme = np.where(rng.random(n) < 0.5, rng.uniform(0.005, 0.05, n), rng.uniform(2, 8, n))
    moneyness = np.concatenate(
        [
            rng.uniform(-0.35, 0.35, n),
            rng.uniform(-0.08, 0.08, n),
            side * 10.0 ** rng.uniform(-9, -2, n),
            side * rng.uniform(0.5, 1.6, n),
            rng.uniform(-0.3, 0.3, n),
        ]
    )
    years = np.concatenate(
        [
            rng.uniform(1, 730, n) / 365,
            rng.integers(1, 391, n) / YEAR_MINUTES,
            rng.uniform(0.01, 365, n) / 365,
            rng.uniform(5, 730, n) / 365,
            rng.uniform(1, 730, n) / 365,
        ]
    )
    usual = rng.uniform(0.05, 1.0, 4 * n)
    cases = Options(
        spot=spot,
        strike=spot * np.exp(moneyness),
        years=years,
        rate=rng.uniform(0, 0.05, 5 * n),
        vol=np.concatenate([usual, extreme]),
        dividend_yield=rng.uniform(0, 0.02, 5 * n),
        is_call=rng.random(5 * n) < 0.5,
    )
    return cases, group


def exact_greeks(options: Options) -> dict[str, list[mpmath.mpf]]:
    """Return price and greeks to 50 digits, the inputs being taken as exact."""
    names = ("price", "delta", "gamma", "theta", "vega", "rho", "vanna", "volga", "charm", "speed")
    columns: dict[str, list[mpmath.mpf]] = {name: [] for name in names}
    with mpmath.workdps(50):
        for row in zip(*options, strict=True):
            s, k, t, r, vol, q = (mpmath.mpf(float(x)) for x in row[:6])
            sign = 1 if row[6] else -1
            root = mpmath.sqrt(t)
            d1 = (mpmath.log(s / k) + (r - q + vol * vol / 2) * t) / (vol * root)
            d2 = d1 - vol * root
            carry, discount = mpmath.exp(-q * t), mpmath.exp(-r * t)
            density = mpmath.npdf(d1)
            n1, n2 = _normal(sign * d1), _normal(sign * d2)
            gamma = carry * density / (s * vol * root)
            vega = s * carry * density * root
            decay = s * carry * density * vol / (2 * root)
            values = (
                sign * (s * carry * n1 - k * discount * n2),
                sign * carry * n1,
                gamma,
                sign * (q * s * carry * n1 - r * k * discount * n2) - decay,
                vega,
                sign * k * t * discount * n2,
                -carry * density * d2 / vol,
                vega * d1 * d2 / vol,
                sign * q * carry * n1
                - carry * density * (2 * (r - q) * t - d2 * vol * root) / (2 * t * vol * root),
                -gamma / s * (d1 / (vol * root) + 1),
            )
            for name, value in zip(names, values, strict=True):
                columns[name].append(value)
    return columns


def exact_volatility(options: Options, prices: Array) -> tuple[list[mpmath.mpf], Array]:
    """Return the volatilities that give these float64 prices, and the condition kappa of each.

    kappa = max(price, |delta| S)/(vega vol) is how much a relative error of the price, or of the
    spot, grows on its way to the volatility. NaN where the rounded price has no solution.
    """
    found: list[mpmath.mpf] = []
    condition = np.full(prices.size, np.inf)
    with mpmath.workdps(50):
        for i, row in enumerate(zip(*options, strict=True)):
            s, k, t, r, start, q = (mpmath.mpf(float(x)) for x in row[:6])
            sign = 1 if row[6] else -1
            vol, target = start, mpmath.mpf(float(prices[i]))
            spot, strike = s * mpmath.exp(-q * t), k * mpmath.exp(-r * t)
            for _ in range(60):
                v = vol * mpmath.sqrt(t)
                d1 = mpmath.log(spot / strike) / v + v / 2
                held = spot * _normal(sign * d1)
                price = sign * (held - strike * _normal(sign * (d1 - v)))
                vega = spot * mpmath.npdf(d1) * mpmath.sqrt(t)
                step = (target - price) / vega if vega else mpmath.inf
                if not abs(step) < vol / 2:
                    vol = mpmath.nan
                    break
                vol += step
                if abs(step) < vol * mpmath.mpf(10) ** -30:
                    condition[i] = float(max(target, held) / (vega * vol))
                    break
            found.append(vol)
    return found, condition


def _normal(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2
