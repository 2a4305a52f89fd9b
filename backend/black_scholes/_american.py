"""American options in flat columns: which rows need which method, and the methods put together."""

# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from black_scholes import _boundary, _european, _grid
from black_scholes._scheme import fast_scheme, precise_scheme

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._jit import BoolArray, FloatArray

    IndexArray = NDArray[np.intp]
    _Columns = tuple[FloatArray, FloatArray, FloatArray, BoolArray]

Cash = tuple[tuple[float, float], ...]
"""Future dividends by date: years to the ex-date, dollars."""

_LEAST_WIDTH = 1e-6  # vol sqrt(T) below which the outcome counts as certain


class Rows(NamedTuple):
    """Options as flat columns of one length, units as in `calculator`."""

    spot: FloatArray
    strike: FloatArray
    years: FloatArray
    rate: FloatArray
    vol: FloatArray
    dividend_yield: FloatArray
    is_call: BoolArray

    def at(self, where: BoolArray | IndexArray) -> Rows:
        """Return some of the rows."""
        picked: list[Any] = [column[where] for column in self]
        return Rows(*picked)

    @property
    def intrinsic(self) -> FloatArray:
        """What exercise now is worth, dollars."""
        gain = np.where(self.is_call, self.spot - self.strike, self.strike - self.spot)
        return np.maximum(gain, 0.0)

    @property
    def exercise_rate(self) -> FloatArray:
        """What waiting costs: a put forgoes interest on the strike, a call the dividend yield."""
        return np.where(self.is_call, self.dividend_yield, self.rate)

    @property
    def waiting_rate(self) -> FloatArray:
        """What waiting earns: a put the dividend yield, a call interest on the strike."""
        return np.where(self.is_call, self.rate, self.dividend_yield)


class Solution(NamedTuple):
    """Flat results; `held` is false where exercise is due now."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    held: BoolArray


def solve(rows: Rows, dividends: Cash, *, precise: bool) -> Solution:
    """Price rows, each by the cheapest method that is right for it; senseless rows are NaN.

    Args:
        rows: The options.
        dividends: Cash dividends to come.
        precise: Whether to use the precise scheme.
    """
    size = rows.spot.size
    greeks = [np.empty(size) for _ in range(6)]
    _european.greeks_block(*rows, *greeks)
    price, delta, gamma = greeks[:3]
    held = np.ones(size, dtype=np.bool_)
    sound = ~np.isnan(price) & (rows.years > 0)
    certain = sound & (rows.vol * np.sqrt(np.maximum(rows.years, 0)) < _LEAST_WIDTH)
    paid = sound & _sees_cash(rows, dividends)
    cost, gain = rows.exercise_rate, rows.waiting_rate
    # With a negative cost of waiting exercise can pay in a band between two boundaries.
    banded = sound & ~certain & (cost <= 0) & (gain < cost)
    gridded = paid | banded
    early = sound & ~certain & ~gridded & (cost > 0)
    columns = price, delta, gamma, held
    if early.any():
        _put(early, _with_premium(rows, greeks, early, precise=precise), columns)
    if gridded.any():
        _put(gridded, _grid.solve(*rows.at(gridded), dividends, precise=precise), columns)
    certain &= ~paid
    if certain.any():
        _put(certain, _without_diffusion(rows.at(certain)), columns)
    return Solution(*columns)


def boundary(rows: Rows) -> FloatArray:
    """Return the spots from which on exercise is due, NaN where it never is; spot is ignored."""
    scheme = precise_scheme()
    outputs = [np.empty(rows.spot.size) for _ in range(4)]
    sizes = np.empty((0, scheme.nodes.size))
    _boundary.premium_block(*rows, *scheme, *outputs, sizes)
    return outputs[3]


def least_value(rows: Rows, dividends: Cash) -> FloatArray:
    """Return a price that no volatility undercuts: at volatility 0, or intrinsic with dividends."""
    sure = _without_diffusion(rows)[0]
    return np.where(_sees_cash(rows, dividends), rows.intrinsic, sure)


def _sees_cash(rows: Rows, dividends: Cash) -> BoolArray:
    return rows.years > (dividends[0][0] if dividends else np.inf)


def _put(where: BoolArray, values: _Columns, targets: _Columns) -> None:
    for target, value in zip(targets, values, strict=True):
        target[where] = value


def _with_premium(
    rows: Rows,
    european: list[FloatArray],
    where: BoolArray,
    *,
    precise: bool,
) -> _Columns:
    some = rows.at(where)
    scheme = precise_scheme() if precise else fast_scheme()
    premium, delta, gamma, edge = (np.empty(some.spot.size) for _ in range(4))
    sizes = np.empty((0, scheme.nodes.size))
    _boundary.premium_block(*some, *scheme, premium, delta, gamma, edge, sizes)
    columns = [column[where] for column in european]
    return combine(some, columns, premium, delta, gamma, edge)


def combine(
    rows: Rows,
    european: list[FloatArray],
    premium: FloatArray,
    delta: FloatArray,
    gamma: FloatArray,
    edge: FloatArray,
) -> _Columns:
    """Put European values and early-exercise premiums together.

    Args:
        rows: The options.
        european: Price, delta and gamma, and whatever else comes after them.
        premium: Early-exercise premium, dollars.
        delta: Of the premium.
        gamma: Of the premium.
        edge: Spot from which on exercise is due now, NaN where it never is.
    """
    side = np.where(rows.is_call, 1.0, -1.0)
    held = ~(side * (rows.spot - edge) >= 0)
    # Never below either floor, whatever the scheme's error.
    total = np.maximum(european[0] + premium, rows.intrinsic)
    return (
        np.where(held, total, rows.intrinsic),
        np.where(held, european[1] + delta, side),
        np.where(held, european[2] + gamma, 0.0),
        held,
    )


def _without_diffusion(rows: Rows) -> _Columns:
    """Price options whose spot is certain to follow its forward: exercise at the best time.

    The gain ±(S e^(-qt) - K e^(-rt)) is stationary where q S e^(-qt) = r K e^(-rt).
    """
    side = np.where(rows.is_call, 1.0, -1.0)
    s, k, r, q = rows.spot, rows.strike, rows.rate, rows.dividend_yield
    with np.errstate(all="ignore"):
        turn = np.log(q * s / (r * k)) / (q - r)
    turn = np.where(np.isfinite(turn), np.clip(turn, 0.0, rows.years), 0.0)
    times = np.stack([np.zeros_like(turn), rows.years, turn])
    gains = side * ((s - k) + (s * np.expm1(-q * times) - k * np.expm1(-r * times)))
    best = gains.argmax(axis=0)
    column = np.arange(s.size)
    gain, time = gains[best, column], times[best, column]
    worth = gain > 0
    delta = np.where(worth, side * np.exp(-q * time), 0.0)
    return np.maximum(gain, 0.0), delta, np.zeros_like(s), ~(worth & (time == 0))
