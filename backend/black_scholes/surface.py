"""Smiles and surfaces of implied volatility, and whether they allow arbitrage.

All work in total variance w = vol^2 * years at k = ln(strike / forward), where forward is that of
the expiration itself. Two forms:

- `Svi`, raw SVI (Gatheral 2004), one expiration:
  w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)).
- `Essvi` (Hendriks and Martini 2019), all expirations: with theta the at-the-money total variance
  and psi the smile's width, w(k) = (theta + rho psi k + sqrt((psi k + theta rho)^2 +
  theta^2 (1 - rho^2))) / 2. Between its nodes theta, psi and rho psi are linear in time, which
  keeps it free of arbitrage where the nodes are (Corbetta, Cohort, Laachir and Martini 2019).

There is no SABR: its formula for lognormal volatility is an expansion that allows negative
densities in the wings of near expirations, which is where our chains are hardest; SVI fits the
same quotes with closed conditions. `surface_fit` finds the parameters; `price_curve` changes the
smiles of the last days so that marks lie inside the spreads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from black_scholes._smile import digital

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from black_scholes._jit import FloatArray

_ROUNDING = 1e-12
"""Of total variance: what floats leave of an equality."""


class Smile(Protocol):
    """One expiration's smile: what the checks need of it."""

    @property
    def years(self) -> float:
        """To expiration."""
        ...

    def derivatives(self, k: ArrayLike) -> Derivatives:
        """Return total variance with its first and second derivative by k."""
        ...


class Derivatives(NamedTuple):
    """Total variance, and its first and second derivative by log-moneyness."""

    w: FloatArray
    slope: FloatArray
    curvature: FloatArray


class Svi(NamedTuple):
    """Raw SVI of one expiration.

    Attributes:
        a: Level of total variance.
        b: Slope of the wings: right b (1 + rho), left b (1 - rho); at most 2 (Lee 2004).
        rho: Lean, -1 to 1.
        m: Log-moneyness of the bend.
        sigma: Width of the bend.
        years: To expiration.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    years: float

    def total_variance(self, k: ArrayLike) -> FloatArray:
        """Return total variance at ln(strike / forward)."""
        x = np.asarray(k, dtype=np.float64) - self.m
        return self.a + self.b * (self.rho * x + np.sqrt(x * x + self.sigma**2))

    def vol(self, k: ArrayLike) -> FloatArray:
        """Return implied volatility, 0.20 = 20 %, at ln(strike / forward)."""
        return np.sqrt(np.maximum(self.total_variance(k), 0.0) / self.years)

    def derivatives(self, k: ArrayLike) -> Derivatives:
        """Return total variance with its first and second derivative by k."""
        x = np.asarray(k, dtype=np.float64) - self.m
        root = np.sqrt(x * x + self.sigma**2)
        return Derivatives(
            self.a + self.b * (self.rho * x + root),
            self.b * (self.rho + x / root),
            self.b * self.sigma**2 / root**3,
        )


class WingedSvi(NamedTuple):
    """Raw SVI with further bends towards the wings: the form for expirations of days and hours.

    Raw SVI bends once. The smile of a near expiration is steep at the money and steeper still
    where options are worth a few ticks: there implied volatility, not its square, goes on linearly.
    Each ramp adds height/2 (side (k - at) + sqrt((k - at)^2 + width^2)): nothing on one side of
    `at`, a slope of `height` on the other. With heights of at least 0 it is convex.

    Attributes:
        core: The smile around the money.
        at: Where the ramps begin, log-moneyness.
        side: 1 for ramps to the right, -1 to the left.
        height: Slopes, of total variance.
        width: Over which a ramp begins.
    """

    core: Svi
    at: FloatArray
    side: FloatArray
    height: FloatArray
    width: float

    @property
    def years(self) -> float:
        """To expiration."""
        return self.core.years

    def total_variance(self, k: ArrayLike) -> FloatArray:
        """Return total variance at ln(strike / forward)."""
        return self.derivatives(k).w

    def vol(self, k: ArrayLike) -> FloatArray:
        """Return implied volatility, 0.20 = 20 %, at ln(strike / forward)."""
        return np.sqrt(np.maximum(self.total_variance(k), 0.0) / self.years)

    def derivatives(self, k: ArrayLike) -> Derivatives:
        """Return total variance with its first and second derivative by k."""
        x = np.asarray(k, dtype=np.float64)
        ramps = ramp(x[..., None], self.at, self.side, self.width)
        return Derivatives(
            *(
                core + wing @ self.height
                for core, wing in zip(self.core.derivatives(x), ramps, strict=True)
            )
        )


def ramp(k: FloatArray, at: FloatArray, side: FloatArray, width: float) -> Derivatives:
    """Return ramps of height 1, as `WingedSvi` has them; arguments broadcast."""
    x = k - at
    root = np.sqrt(x * x + width * width)
    return Derivatives(
        0.5 * (side * x + root), 0.5 * (side + x / root), 0.5 * width * width / root**3
    )


class EssviNodes(NamedTuple):
    """eSSVI at some expirations: arrays of one length.

    Attributes:
        theta: At-the-money total variance.
        rho: Lean, -1 to 1.
        psi: Width of the smile, theta phi(theta).
    """

    theta: FloatArray
    rho: FloatArray
    psi: FloatArray


def essvi_total_variance(
    k: ArrayLike, theta: ArrayLike, rho: ArrayLike, psi: ArrayLike
) -> FloatArray:
    """Return total variance of eSSVI at ln(strike / forward); arguments broadcast."""
    x, level, lean, width = (np.asarray(each, dtype=np.float64) for each in (k, theta, rho, psi))
    bend = np.sqrt((width * x + level * lean) ** 2 + level**2 * (1.0 - lean**2))
    return np.asarray(0.5 * (level + lean * width * x + bend))


class Essvi(NamedTuple):
    """An eSSVI surface by its nodes, free of arbitrage if `violations` is empty.

    Attributes:
        years: Of the nodes, rising.
        theta: At-the-money total variance.
        rho: Lean, -1 to 1.
        psi: Width of the smile.
    """

    years: FloatArray
    theta: FloatArray
    rho: FloatArray
    psi: FloatArray

    def at(self, years: ArrayLike) -> EssviNodes:
        """Return theta, rho and psi at any time to expiration.

        Before the first node the smile keeps its shape in units of its own width (theta linear in
        time, psi as its root); after the last, theta goes on at the forward variance of the last
        two nodes and psi stays. Both keep the surface free of arbitrage.
        """
        t = np.asarray(years, dtype=np.float64)
        first, last = self.years[0], self.years[-1]
        theta = np.interp(t, self.years, self.theta)
        psi = np.interp(t, self.years, self.psi)
        lean = np.interp(t, self.years, self.rho * self.psi)
        early = np.clip(t / first, 0.0, 1.0)
        before = t < first
        theta = np.where(before, early * self.theta[0], theta)
        psi = np.where(before, np.sqrt(early) * self.psi[0], psi)
        theta = np.where(t > last, self.theta[-1] + self._growth() * (t - last), theta)
        rho = np.where(before, self.rho[0], lean / np.where(psi > 0, psi, 1.0))
        return EssviNodes(theta, rho, psi)

    def _growth(self) -> float:
        if self.years.size == 1:
            return float(self.theta[0] / self.years[0])
        return float((self.theta[-1] - self.theta[-2]) / (self.years[-1] - self.years[-2]))

    def total_variance(self, k: ArrayLike, years: ArrayLike) -> FloatArray:
        """Return total variance at ln(strike / forward) and years; arguments broadcast."""
        return essvi_total_variance(k, *self.at(years))

    def vol(self, k: ArrayLike, years: ArrayLike) -> FloatArray:
        """Return implied volatility, 0.20 = 20 %; arguments broadcast, years must be positive."""
        return np.sqrt(self.total_variance(k, years) / np.asarray(years, dtype=np.float64))

    def smile(self, years: float) -> Svi:
        """Return the smile of one expiration as raw SVI, which every eSSVI smile is."""
        theta, rho, psi = (float(each) for each in self.at(years))
        root = np.sqrt(1.0 - rho * rho)
        phi = psi / theta
        return Svi(
            a=0.5 * theta * (1.0 - rho * rho),
            b=0.5 * psi,
            rho=rho,
            m=-rho / phi,
            sigma=float(root / phi),
            years=years,
        )

    def violations(self) -> list[str]:
        """Return the conditions for no arbitrage that the nodes break, as sentences.

        Butterfly (Gatheral and Jacquier 2014): psi (1 + |rho|) < 4 and psi^2 (1 + |rho|) <= 4
        theta. Calendar (Hendriks and Martini 2019, sufficient): theta and psi (1 +- rho) never
        fall, psi / theta never rises.
        """
        steep = 1.0 + np.abs(self.rho)
        slack = 1.0 + 1e-9
        rules = {
            "psi (1 + |rho|) is at least 4": self.psi * steep >= 4.0,
            "psi^2 (1 + |rho|) is above 4 theta": self.psi**2 * steep > 4.0 * self.theta * slack,
            "theta falls": self.theta[1:] * slack < self.theta[:-1],
            "psi (1 + rho) falls": _falls(self.psi * (1.0 + self.rho)),
            "psi (1 - rho) falls": _falls(self.psi * (1.0 - self.rho)),
            "psi / theta rises": _falls(self.theta / self.psi),
        }
        return [f"{rule}, {np.sum(broken)} times" for rule, broken in rules.items() if broken.any()]


def _falls(values: FloatArray) -> FloatArray:
    return np.asarray(values[1:] * (1.0 + 1e-9) < values[:-1])


@dataclass(frozen=True, slots=True)
class Violations:
    """How often and how badly a rule is broken.

    Attributes:
        count: Points at which it is.
        worst: The greatest breach, in the unit of the check; 0 if there is none.
        points: Points that were looked at.
    """

    count: int
    worst: float
    points: int


def _violations(slack: FloatArray, tolerance: float) -> Violations:
    """Count the points whose slack is below zero by more than rounding; NaN counts as broken."""
    broken = ~(slack >= -tolerance)
    worst = float(np.max(-slack[broken], initial=0.0)) if broken.any() else 0.0
    return Violations(int(broken.sum()), worst, int(slack.size))


def density_factor(smile: Smile, k: ArrayLike) -> FloatArray:
    """Return Gatheral and Jacquier's g(k), which has the sign of the risk-neutral density.

    g = (1 - k w'/(2 w))^2 - (w'/2)^2 (1/w + 1/4) + w''/2.
    """
    x = np.asarray(k, dtype=np.float64)
    w, slope, curvature = smile.derivatives(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            (1.0 - 0.5 * x * slope / w) ** 2 - 0.25 * slope**2 * (1.0 / w + 0.25) + 0.5 * curvature
        )


def butterfly(smile: Smile, k: ArrayLike) -> Violations:
    """Return where the density is negative, in units of g(k); 0 anywhere means no butterfly pays."""
    return _violations(density_factor(smile, k), _ROUNDING)


def calendar(smiles: Sequence[Smile], k: ArrayLike) -> Violations:
    """Return where total variance falls from one expiration to the next at the same k.

    Args:
        smiles: By rising expiration.
        k: ln(strike / forward of the expiration).

    Returns:
        The worst in units of total variance.
    """
    x = np.asarray(k, dtype=np.float64)
    w = np.array([smile.derivatives(x).w for smile in smiles]).reshape(len(smiles), -1)
    return _violations(np.diff(w, axis=0).reshape(-1), _ROUNDING)


def vertical(smile: Smile, k: ArrayLike) -> Violations:
    """Return where the price of a digital leaves 0 to 1, undiscounted.

    -dC/dK = N(d2) - n(d2) dw/dk / (2 sqrt(w)) must lie in 0 to 1: a call is worth no more at a
    higher strike, and a spread no more than its width.
    """
    x = np.ravel(np.asarray(k, dtype=np.float64))
    w, slope, _ = smile.derivatives(x)
    value = np.empty_like(x)
    digital(x, w, slope, value)
    return _violations(np.minimum(value, 1.0 - value), 1e-12)
