"""American prices of one expiration over a whole session, from one table of exercise boundaries.

The early-exercise boundary does not depend on spot or strike, only on volatility, time, rate and
yield. For one expiration of one session rate and yield are given and time moves by hours, so that a
small table of boundaries over (time, volatility) serves every contract in every minute: what is
left per option is one short integral, some twenty times less work than solving for the boundary.

Results agree with `american` in its fast scheme within the interpolation error of the table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from black_scholes import _american, _american_iv, _boundary, _european, _table
from black_scholes._batch import Batch
from black_scholes._scheme import table_scheme
from black_scholes.calculator import Greeks
from black_scholes.implied_vol import ImpliedVolatility, Status

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from black_scholes._jit import BoolArray, FloatArray

_VOLS = 40
_TIMES_PER_E = 10  # points of the table while time falls by a factor e
_CHUNK = 8192  # rows at a time: all columns of a chunk stay in the second cache
_ROUNDS = 6
_SETTLED = 1e-5  # relative; the secant has then gone further than that
_VOL_BUMP = 1e-3
_RATE_BUMP = 1e-4
_NOTHING = 1e-5  # dollars of premium below which it does not move with volatility or rate


class ExerciseTable:
    """Boundaries of one expiration, for times and volatilities in a range.

    Attributes:
        years: The least and the greatest time to expiration that it serves.
        rate: Continuous, a year.
        dividend_yield: Continuous, a year.
        vols: The least and the greatest volatility that it serves.
    """

    def __init__(
        self,
        years: tuple[float, float],
        rate: float,
        dividend_yield: float = 0.0,
        *,
        vols: tuple[float, float] = (0.02, 5.0),
    ) -> None:
        """Solve for the boundaries.

        Args:
            years: The least (above 0) and the greatest time to expiration of the session.
            rate: Continuous, a year.
            dividend_yield: Continuous, a year.
            vols: The least and the greatest volatility; others come out as NaN.

        Raises:
            ValueError: A range is empty or not above 0.
        """
        if not (0 < years[0] < years[1] and 0 < vols[0] < vols[1]):
            raise ValueError(f"a range must rise from above 0: years {years}, vols {vols}")
        self.years, self.vols = years, vols
        self.rate, self.dividend_yield = rate, dividend_yield
        self._now = self._solve(rate)
        self._bumped: FloatArray | None = None

    def _solve(self, rate: float) -> FloatArray:
        """Return (nodes, 2 x times x volatilities) of L/(vol sqrt(T)), and set the grid."""
        scheme = table_scheme()
        span = math.log(self.years[1] / self.years[0])
        times = np.linspace(
            math.log(self.years[0]), math.log(self.years[1]), 3 + math.ceil(_TIMES_PER_E * span)
        )
        vols = np.linspace(math.log(self.vols[0]), math.log(self.vols[1]), _VOLS)
        self._grid = np.array(
            [times[0], 1 / (times[1] - times[0]), vols[0], 1 / (vols[1] - vols[0])]
        )
        self._counts = np.array([times.size, vols.size])
        mesh = np.meshgrid([False, True], np.exp(times), np.exp(vols), indexing="ij")
        is_call, years, vol = (axis.reshape(-1) for axis in mesh)
        size = years.size
        one = np.ones(size)
        sizes = np.empty((size, scheme.nodes.size))
        outputs = [np.empty(size) for _ in range(4)]
        market = one, one, years, rate * one, vol, self.dividend_yield * one, is_call
        _boundary.premium_block(*market, *scheme, *outputs, sizes)
        return np.ascontiguousarray((sizes / (vol * np.sqrt(years))[:, None]).T)

    def price(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> FloatArray:
        """Return prices in dollars; NaN outside the table's years and volatilities.

        Raises:
            ValueError: The arguments do not broadcast.
        """
        batch, rows = self._rows(spot, strike, years, vol, is_call)
        return self._value(rows).price.reshape(batch.shape)

    def implied_volatility(
        self,
        price: ArrayLike,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> ImpliedVolatility:
        """Return volatilities as `american.implied_volatility` does.

        Volatilities outside the table's range count as unresolved.

        Raises:
            ValueError: The arguments do not broadcast.
        """
        batch = Batch((price, spot, strike, years, self.rate, self.dividend_yield), is_call)
        quoted, *columns, yields, calls = batch.full_columns()
        terms: list[Any] = [*columns, np.full(batch.size, np.nan), yields, calls]
        rows = _american.Rows(*terms)
        vol, vega, early = (np.empty(batch.size) for _ in range(3))
        status = np.empty(batch.size, dtype=np.int8)
        for start in range(0, batch.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            found = self._invert(quoted[part], _slice(rows, part))
            vol[part], vega[part], early[part], status[part] = found
        rest = np.flatnonzero(np.isnan(vol))
        some, left = quoted[rest], rows.at(rest)
        status[rest] = _american_iv.classify(some, left, status[rest], ())
        hard = status[rest] == Status.OK
        if hard.any():
            rest = rest[hard]
            vol[rest], vega[rest], early[rest] = self._bisect(some[hard], left.at(hard))
        with np.errstate(invalid="ignore", divide="ignore"):
            uncertainty = _american_iv.price_error(quoted, early, rows, precise=False) / vega
            unsure = (status == Status.OK) & ~(uncertainty < _american_iv.HIDDEN * vol)
        status[unsure] = Status.UNRESOLVED
        vol[unsure] = np.nan
        shape = batch.shape
        return ImpliedVolatility(
            vol.reshape(shape), uncertainty.reshape(shape), status.reshape(shape)
        )

    def greeks(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        *,
        is_call: ArrayLike,
    ) -> Greeks:
        """Return price and greeks as `american.greeks` does; NaN outside the table.

        Raises:
            ValueError: The arguments do not broadcast.
        """
        batch, rows = self._rows(spot, strike, years, vol, is_call)
        result = [np.empty(batch.size) for _ in Greeks._fields]
        for start in range(0, batch.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            for column, values in zip(result, self._greeks(_slice(rows, part)), strict=True):
                column[part] = values
        return Greeks(*(column.reshape(batch.shape) for column in result))

    def _rows(
        self,
        spot: ArrayLike,
        strike: ArrayLike,
        years: ArrayLike,
        vol: ArrayLike,
        is_call: ArrayLike,
    ) -> tuple[Batch, _american.Rows]:
        numbers = spot, strike, years, self.rate, vol, self.dividend_yield
        batch = Batch(numbers, is_call)
        return batch, _american.Rows(*batch.full_columns())

    def _premium(self, rows: _american.Rows, table: FloatArray) -> list[FloatArray]:
        """Return premium, its delta and gamma, and the boundary."""
        scheme = table_scheme()
        outputs = [np.empty(rows.spot.size) for _ in range(4)]
        _table.table_block(
            *rows,
            table,
            self._grid,
            self._counts,
            scheme.end_points,
            scheme.end_weights,
            scheme.end_mixing,
            *outputs,
        )
        return outputs

    def _serves(self, rows: _american.Rows) -> BoolArray:
        served: BoolArray = (rows.vol >= self.vols[0]) & (rows.vol <= self.vols[1])
        slack = 1 + 1e-9
        return (
            served & (rows.years * slack >= self.years[0]) & (rows.years <= self.years[1] * slack)
        )

    def _value(self, rows: _american.Rows) -> _american.Solution:
        greeks = [np.empty(rows.spot.size) for _ in range(6)]
        _european.greeks_block(*rows, *greeks)
        return self._combine(rows, greeks, self._premium(rows, self._now))

    def _worth(self, rows: _american.Rows) -> FloatArray:
        return self._value(rows).price

    def _early_value(self, rows: _american.Rows) -> FloatArray:
        """Return what the option is worth above its European price, also where exercise is due."""
        european = np.empty(rows.spot.size)
        _european.price_block(*rows, european)
        premium, _, _, edge = self._premium(rows, self._now)
        due = np.where(rows.is_call, rows.spot >= edge, rows.spot <= edge)
        above = rows.intrinsic - european
        return np.where(due, above, np.maximum(premium, above))

    def _combine(
        self, rows: _american.Rows, european: list[FloatArray], premium: list[FloatArray]
    ) -> _american.Solution:
        total = _american.combine(rows, european, *premium)
        total[0][~self._serves(rows)] = np.nan
        return _american.Solution(*total)

    def _greeks(self, rows: _american.Rows) -> list[FloatArray]:
        european = [np.empty(rows.spot.size) for _ in range(6)]
        _european.greeks_block(*rows, *european)
        premium, *others = self._premium(rows, self._now)
        now = self._combine(rows, european, [premium, *others])
        # The European part is exact; one-sided differences of the premium are close enough.
        if self._bumped is None:
            self._bumped = self._solve(self.rate + _RATE_BUMP)
        vega, rho = european[4], european[5]
        worth = np.flatnonzero(premium > _NOTHING)
        some, base = rows.at(worth), premium[worth]
        step = _VOL_BUMP * some.vol
        wider = self._premium(some._replace(vol=some.vol + step), self._now)[0]
        dearer = self._premium(some._replace(rate=some.rate + _RATE_BUMP), self._bumped)[0]
        vega[worth] += (wider - base) / step
        rho[worth] += (dearer - base) / _RATE_BUMP
        drift = rows.rate * now.price - (self.rate - self.dividend_yield) * rows.spot * now.delta
        theta = drift - 0.5 * (rows.vol * rows.spot) ** 2 * now.gamma
        missing = np.isnan(now.price)
        changes = (np.where(now.held, x, 0.0) for x in (theta, vega, rho))
        columns = (now.price, now.delta, now.gamma, *changes)
        return [np.where(missing, np.nan, column) for column in columns]

    def _invert(
        self, price: FloatArray, rows: _american.Rows
    ) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int8]]:
        """Return volatility, vega, premium and status; NaN where the secant does not settle."""
        size = price.size
        start, _, status = _american_iv.european_iv(price, rows)
        vol, early, steep = np.full(size, np.nan), np.zeros(size), np.zeros(size)
        # At or below the intrinsic value there is nothing to search for.
        active = np.flatnonzero((status == Status.OK) & (price > rows.intrinsic))
        x = start[active]
        last_x, last_y = np.full_like(x, np.nan), np.full_like(x, np.nan)
        with np.errstate(all="ignore"):
            for _ in range(_ROUNDS):
                some = rows.at(active)._replace(vol=x)
                premium = self._early_value(some)
                y = _american_iv.european_iv(price[active] - premium, some)[0]
                steepness = np.nan_to_num((y - last_y) / (x - last_x), posinf=0.0, neginf=0.0)
                settled = np.abs(y - x) <= _SETTLED * x
                done = active[settled]
                vol[done], early[done], steep[done] = (
                    y[settled],
                    premium[settled],
                    steepness[settled],
                )
                left = ~settled & np.isfinite(y) & (steepness < _american_iv.STEEPEST)
                following = x + (y - x) / (1.0 - steepness)
                active, last_x, last_y, x = active[left], x[left], y[left], following[left]
                if not active.size:
                    break
            greeks = [np.empty(size) for _ in range(6)]
            _european.greeks_block(*rows._replace(vol=vol), *greeks)
            vol[~self._serves(rows._replace(vol=vol))] = np.nan
            vega = np.where(np.isnan(vol), np.nan, greeks[4] * (1.0 - steep))
        return vol, vega, early, status

    def _bisect(
        self, price: FloatArray, rows: _american.Rows
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return volatility, vega and premium of rows that the secant does not serve."""
        vol, vega = _american_iv.bisect(price, rows, self._worth, self.vols)
        european = np.empty(price.size)
        _european.price_block(*rows._replace(vol=vol), european)
        return vol, vega, price - european


def _slice(rows: _american.Rows, part: slice) -> _american.Rows:
    columns: list[Any] = [column[part] for column in rows]
    return _american.Rows(*columns)
