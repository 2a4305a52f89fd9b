"""Smiles of the last days, as curves of prices that lie inside the spreads.

Shortly before expiration a spread is a cent wide, and the quotes of neighbouring strikes scatter
around any smooth smile by more than that: with few parameters one in eight options near the money
ends up outside of its quotes. A curve of prices may follow them: no butterfly asks for no more than
that it is convex (as Fengler 2009 smooths them).

The density of a smile that is free of arbitrage is changed by a piecewise linear function of the
strike, near the money alone. Taken twice, its integral changes the prices, linearly in its values;
so the values whose prices are least outside of the quotes, in the sum of distances, are the
solution of a linear programme, in which "no butterfly" and "no crossing of the neighbouring
expirations" are bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import calculator
from black_scholes._smile import digital
from black_scholes.implied_vol import implied_volatility
from black_scholes.surface import Derivatives, Smile, WingedSvi, density_factor
from black_scholes.surface_fit import QuotedSmile, fit_smiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from black_scholes._jit import FloatArray

LAST_DAYS = 7.5 / 365
"""Years to expiration up to which `fit_marks` follows the quotes."""

_REACH = 1.5  # of the change, to each side of the money, in widths of the smile
_KNOTS = 61  # 0.05 widths apart: prices between two strikes are those of few knots
_LEAST, _MOST = 0.05, 4.0  # of the smile's density: it stays between these shares
_FLOOR = 0.02  # the same between the knots
_INNER = 0.9  # of a half-spread: a mark on the very bid is not one inside the spread
_THRIFT = 0.02  # how dear it is, in usual spreads, to move all probability elsewhere
_PROOFS = 4  # places a knot at which a curve is looked at
_BETWEEN = (2.0 * _REACH / _KNOTS / _PROOFS) ** 2 / 8.0 * 2.0 * _MOST
"""Of width^2 density: how far a price may leave its chord between two of them, twice over."""
_LIMITS = 4  # knots from one comparison with the neighbouring expirations to the next


class PriceCurve(NamedTuple):
    """A smile whose density is changed near the money, so that its prices lie inside the spreads.

    It is for marks, and for differences between quotes and a fair curve, in the last days before
    expiration. It is not for dynamics, calibration or far strikes: each scatter of the quotes is a
    bend in the smile, which is another one a minute later. Beyond the knots it is `base`.

    Attributes:
        base: The smile that is changed.
        knots: strike / forward, rising.
        density: Added at the knots to the density of strike / forward at expiration, linear in
            between; 0 at the first and the last. It neither adds probability nor moves the forward.
    """

    base: WingedSvi
    knots: FloatArray
    density: FloatArray

    @property
    def years(self) -> float:
        """To expiration."""
        return self.base.years

    def total_variance(self, k: ArrayLike) -> FloatArray:
        """Return total variance at ln(strike / forward)."""
        return self.derivatives(k).w

    def vol(self, k: ArrayLike) -> FloatArray:
        """Return implied volatility, 0.20 = 20 %, at ln(strike / forward)."""
        return np.sqrt(np.maximum(self.total_variance(k), 0.0) / self.years)

    def derivatives(self, k: ArrayLike) -> Derivatives:
        """Return total variance with its first and second derivative by k."""
        x = np.asarray(k, dtype=np.float64)
        flat = x.reshape(-1)
        found = Derivatives(*(each.copy() for each in self.base.derivatives(flat)))
        changed = (np.exp(flat) > self.knots[0]) & (np.exp(flat) < self.knots[-1])
        for each, new in zip(found, self._changed(flat[changed]), strict=True):
            each[changed] = new
        return Derivatives(*(each.reshape(x.shape) for each in found))

    def _changed(self, k: FloatArray) -> Derivatives:
        """Return the derivatives of total variance from those of the price, between the knots."""
        strike = np.exp(k)
        value, slope, density = _twice_integrated(self.knots, self.density, strike)
        w0, slope0, _ = self.base.derivatives(k)
        price = _prices(k, np.sqrt(w0)) + value
        v = implied_volatility(price, 1.0, strike, 1.0, 0.0, is_call=k > 0.0).vol
        w = v * v
        # -dC/dK = N(d2) - n(d2) w' / (2 v), and d2C/dK2 = g n(d2) / (K v).
        fall, exercised = np.empty_like(k), np.empty_like(k)
        digital(k, w0, slope0, fall)
        digital(k, w, np.zeros_like(k), exercised)
        normal = _normal_d2(k, w)
        first = 2.0 * v * (exercised - (fall - slope)) / normal
        g = (_density(self.base, k) + density) * strike * v / normal
        second = 2.0 * (g - (1.0 - 0.5 * k * first / w) ** 2 + 0.25 * first**2 * (1.0 / w + 0.25))
        return Derivatives(w, first, second)


def fit_marks(quotes: Sequence[QuotedSmile], *, last_days: float = LAST_DAYS) -> list[Smile]:
    """Return a session's smiles as `fit_smiles` has them, in the last days inside the spreads.

    There is neither butterfly nor calendar arbitrage among them.

    Args:
        quotes: By rising expiration.
        last_days: Years to expiration up to which a smile is a `PriceCurve`.

    Raises:
        ValueError: An expiration has fewer than five usable quotes.
    """
    smiles = fit_smiles(quotes)
    marks: list[Smile] = list(smiles)
    for i, (each, smile) in enumerate(zip(quotes, smiles, strict=True)):
        if each.years <= last_days:
            below = marks[i - 1] if i > 0 else None
            above = smiles[i + 1] if i + 1 < len(smiles) else None
            marks[i] = fit_price_curve(each, smile, below=below, above=above)
    return marks


def fit_price_curve(
    quotes: QuotedSmile,
    base: WingedSvi,
    *,
    below: Smile | None = None,
    above: Smile | None = None,
) -> PriceCurve:
    """Return the smile changed near the money so that its prices are inside as many spreads as can.

    Where quotes contradict each other, the sum of the distances is least; among equals, the
    probability that is moved.

    Args:
        quotes: Of one expiration.
        base: Smile of these quotes without butterfly arbitrage, from `fit_winged`.
        below: Smile of an earlier expiration that `base` does not cross, nor shall the curve.
        above: The same, of a later expiration.
    """
    width = float(np.sqrt(base.total_variance(0.0)))
    at = np.linspace(-_REACH, _REACH, _KNOTS) * width
    knots = np.exp(at)
    k, low, high = _spreads(quotes, base, _REACH * width)
    if k.size == 0:
        return PriceCurve(base, knots, np.zeros(_KNOTS))
    unit = float(np.median(high - low))
    # One column a knot: what happens if the density there is doubled.
    doubled = np.diag(_density(base, at))[:, 1:-1]
    places = np.concatenate([k, at[_LIMITS:-1:_LIMITS]])
    change, _, _ = _twice_integrated(knots, doubled, np.exp(places))
    lowest, highest = _room(base, places[k.size :], below, above)
    moved = _least_outside(
        change / unit,
        np.concatenate([low, lowest]) / unit,
        np.concatenate([high, highest]) / unit,
        _kept(knots, doubled),
        k.size,
    )
    curve = PriceCurve(base, knots, doubled @ moved)
    return curve._replace(density=curve.density * _sound_share(curve, below, above))


def _spreads(
    quotes: QuotedSmile, base: WingedSvi, reach: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return k, and bid and ask less the price of the smile, of options up to `reach` off.

    Prices are those out of the money, in units of the forward: by parity, they bound calls and puts
    alike.
    """
    bid = np.where(np.isnan(quotes.bid), 0.0, quotes.bid)
    kept = (np.abs(quotes.k) < reach) & (quotes.ask > 0) & (quotes.ask >= bid)
    k, root = quotes.k[kept], np.sqrt(quotes.years)
    price = _prices(k, base.vol(k) * root)
    low, high = (_prices(k, side[kept] * root) - price for side in (bid, quotes.ask))
    middle, half = 0.5 * (low + high), 0.5 * _INNER * (high - low)
    return k, middle - half, middle + half


def _room(
    base: WingedSvi, k: FloatArray, below: Smile | None, above: Smile | None
) -> tuple[FloatArray, FloatArray]:
    """Return how far prices may fall and rise before the smile crosses its neighbours."""
    price = _prices(k, np.sqrt(base.total_variance(k)))
    spare = _BETWEEN * base.total_variance(0.0) * np.exp(2.0 * k) * _density(base, k)
    low, high = (
        np.full_like(k, np.inf)
        if each is None
        else np.maximum(sign * (_prices(k, np.sqrt(each.derivatives(k).w)) - price) - spare, 0.0)
        for sign, each in ((-1.0, below), (1.0, above))
    )
    return -low, high


def _kept(knots: FloatArray, doubled: FloatArray) -> FloatArray:
    """Return what must be 0: price and slope at the last knot, each in its own unit."""
    value, slope, _ = _twice_integrated(knots, doubled, knots[-1:])
    return np.concatenate([value / np.abs(value).max(), slope / np.abs(slope).max()])


def _least_outside(
    change: FloatArray, low: FloatArray, high: FloatArray, kept: FloatArray, quotes: int
) -> FloatArray:
    """Solve the linear programme.

    Args:
        change: Of prices (rows), for the density at a knot doubled (columns).
        low: Least change; of the first rows, the quotes, one that is wished for.
        high: Greatest change.
        kept: Rows that must be 0.
        quotes: How many rows are wishes, each of which may be missed at its price.

    Returns:
        Change of the density in shares of it, at the inner knots; 0 if there is no solution.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - 0.3 s

    knots = change.shape[1]
    missed = np.eye(change.shape[0], quotes)
    fixed = np.zeros((len(kept), quotes))
    # Up and down apart, since both cost; so do the distances above and below a quote.
    rows = np.block([[change, -change, missed, -missed], [kept, -kept, fixed, fixed]])
    zero = np.zeros(len(kept))
    cost = np.concatenate([np.full(2 * knots, _THRIFT / knots), np.ones(2 * quotes)])
    most = np.repeat([_MOST - 1.0, 1.0 - _LEAST, np.inf], [knots, knots, 2 * quotes])
    # No variable is an integer: of SciPy's two faces of HiGHS, it is the one with two-sided rows.
    found = milp(
        cost,
        bounds=Bounds(np.zeros_like(most), most),
        constraints=LinearConstraint(
            rows, np.concatenate([low, zero]), np.concatenate([high, zero])
        ),
    )
    if found.x is None:
        return np.zeros(knots)
    moved = np.asarray(found.x[:knots] - found.x[knots : 2 * knots])
    # The solver keeps equations to 1e-7; the rest of it is spread over all knots.
    return moved - np.linalg.lstsq(kept, kept @ moved, rcond=None)[0]


def _sound_share(curve: PriceCurve, below: Smile | None, above: Smile | None) -> float:
    """Return how much of the change leaves no arbitrage between the knots either: usually 1."""
    k = np.log(curve.knots)
    k = np.linspace(k[0], k[-1], _PROOFS * _KNOTS)[1:-1]
    value, _, density = _twice_integrated(curve.knots, curve.density, np.exp(k))
    lowest, highest = _room(curve.base, k, below, above)
    least = (_FLOOR - 1.0) * _density(curve.base, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [
            np.where(density < least, least / density, 1.0),
            np.where(value < lowest, lowest / value, 1.0),
            np.where(value > highest, highest / value, 1.0),
        ]
    return float(np.min(shares))


def _twice_integrated(
    knots: FloatArray, density: FloatArray, x: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the piecewise linear function's double integral, its integral and itself at x.

    Args:
        knots: Rising.
        density: At the knots, along the first axis; further axes are functions of their own.
        x: Between the first and the last knot.
    """

    def upright(values: FloatArray) -> FloatArray:
        return values.reshape((-1,) + (1,) * (density.ndim - 1))

    step = upright(np.diff(knots))
    left, right = density[:-1], density[1:]
    slopes = np.zeros_like(density)
    slopes[1:] = np.cumsum(0.5 * step * (left + right), axis=0)
    values = np.zeros_like(density)
    values[1:] = np.cumsum(step * slopes[:-1] + step**2 * (2.0 * left + right) / 6.0, axis=0)
    i = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.size - 2)
    t = upright(x - knots[i])
    bend = (density[i + 1] - density[i]) / step[i]
    return (
        values[i] + t * (slopes[i] + t * (0.5 * density[i] + t * bend / 6.0)),
        slopes[i] + t * (density[i] + 0.5 * t * bend),
        density[i] + t * bend,
    )


def _prices(k: FloatArray, width: FloatArray) -> FloatArray:
    """Return prices out of the money on a forward of 1, at vol times the root of the years."""
    return np.asarray(calculator.price(1.0, np.exp(k), 1.0, 0.0, width, is_call=k > 0.0))


def _density(smile: Smile, k: FloatArray) -> FloatArray:
    """Return the density of strike / forward at expiration."""
    w = smile.derivatives(k).w
    return np.asarray(density_factor(smile, k) * _normal_d2(k, w) / (np.exp(k) * np.sqrt(w)))


def _normal_d2(k: FloatArray, w: FloatArray) -> FloatArray:
    d2 = -k / np.sqrt(w) - 0.5 * np.sqrt(w)
    return np.asarray(np.exp(-0.5 * d2 * d2) / np.sqrt(2.0 * np.pi))
