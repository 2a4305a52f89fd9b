"""A market like a real one: surface and spreads from one snapshot of a real chain.

Surface: each expiration's eSSVI smile is fitted to its quoted volatilities, one after the other,
inside the conditions that rule out arbitrage (`surface.Essvi.violations`); theta over the clock of
variance becomes the term structure, and psi and rho over theta the shape. Spreads: the quantiles of
the quoted spreads in buckets of delta and days to expiration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes.chain_likeness import DAY_BUCKETS, DELTA_BUCKETS
from black_scholes.chain_smiles import ChainQuotes, chain_vols
from black_scholes.surface import EssviNodes, essvi_total_variance
from black_scholes.synthetic.clock import SESSIONS_A_YEAR, session_numbers, variance_clock
from black_scholes.synthetic.minutes import variance_weights
from black_scholes.synthetic.moving_surface import REVERSION, MovingSurface, vol_at
from models.errors import DataError
from models.symbols import exercise_style_of
from utils.market_calendar import last_session, session, session_until, year_fractions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.market import Market
    from black_scholes.synthetic.minutes import SessionMinutes
    from models.options import OptionChain

DELTA_EDGES = np.array([low for low, _ in DELTA_BUCKETS.values()][1:])
TENOR_EDGES = np.array([first for first, _ in DAY_BUCKETS.values()][1:])
"""Inner edges of the buckets of |delta| and of days to expiration."""

_EPOCH = date(1970, 1, 1).toordinal()
_QUANTILES = 33
_LEAST_SMILE = 8
_LEAST_BUCKET = 8
_WING = 4.0


class SnapshotVols(NamedTuple):
    """One snapshot of a real chain, one row a contract.

    Attributes:
        group: Number of its expiration, by date.
        years: To expiration.
        k: ln(strike / forward).
        bid_vol: Volatility at the bid, 0 or NaN where nobody bids.
        ask_vol: Volatility at the ask.
        delta: Absolute.
        bid: USD, NaN where nobody bids.
        ask: USD.
    """

    group: NDArray[np.int64]
    years: Floats
    k: Floats
    bid_vol: Floats
    ask_vol: Floats
    delta: Floats
    bid: Floats
    ask: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a real chain says of a market.

    Attributes:
        years: Of the fitted expirations, rising.
        smiles: Theirs.
        quantiles: Of spreads, USD: tenor bucket, delta bucket, quantile.
        sessions: On the clock of variance, from the snapshot to each expiration.
        at: Moment of the snapshot.
        spot: USD.
    """

    years: Floats
    smiles: EssviNodes
    quantiles: Floats
    sessions: Floats
    at: datetime
    spot: float

    def applied(self, market: Market) -> Market:
        """Return a market with this surface and these spreads.

        It passes through the snapshot: at its moment price and volatility are the real ones.
        """
        number = session_numbers()[last_session(self.at).day]
        minutes = market.minutes(number)
        place = np.array([minutes.position(self.at)])
        price, elapsed = minutes.prices(place), minutes.elapsed(place)
        now = vol_at(market.path, market.clock, number, np.log(price), elapsed)
        vol, factor = self._level(), self.spot / float(price[0])
        path = replace(
            market.path,
            vol=market.path.vol * (vol / float(now[0])),
            open=market.path.open + math.log(factor),
            close=market.path.close + math.log(factor),
        )
        spreads = market.spreads._replace(
            edges=DELTA_EDGES, tenors=TENOR_EDGES, quantiles=self.quantiles
        )
        return replace(
            market,
            path=path,
            surface=self._surface(vol),
            spreads=spreads,
            minutes=partial(_scaled, market.minutes, factor),
        )

    def _level(self) -> float:
        """Return the volatility of the next month or so, a year."""
        near = int(np.argmin(np.abs(self.sessions - 21.0)))
        return math.sqrt(self.smiles.theta[near] / self.sessions[near] * SESSIONS_A_YEAR)

    def _surface(self, vol: float) -> MovingSurface:
        """Return the surface that is the fitted one while volatility is `vol`."""
        sessions = np.concatenate([[0.0], self.sessions])
        theta = np.concatenate([[0.0], self.smiles.theta])
        grid = np.unique(np.concatenate([sessions, np.geomspace(1e-3, sessions[-1], 120)]))
        last = (theta[-1] - theta[-2]) / (sessions[-1] - sessions[-2])
        grid = np.append(grid, grid[-1] + 2000.0)
        level = np.interp(grid, sessions, theta)
        level[-1] = theta[-1] + 2000.0 * last
        steps = np.diff(level)
        middle = 0.5 * (grid[1:] + grid[:-1]) / SESSIONS_A_YEAR
        share = np.exp(-REVERSION * middle)
        moving = np.concatenate([[0.0], np.cumsum(steps * share)]) / vol**2
        staying = np.concatenate([[0.0], np.cumsum(steps * (1 - share))])
        psi, lean = self.smiles.psi, self.smiles.rho * self.smiles.psi
        return MovingSurface(grid, staying, moving, self.smiles.theta, psi, lean)


def _scaled(minutes: Callable[[int], SessionMinutes], factor: float, number: int) -> SessionMinutes:
    """Return a session at other prices, on whole cents."""
    found = minutes(number)
    scaled = {
        name: np.maximum(np.round(getattr(found.bars, name) * factor, 2), 0.01)
        for name in ("open", "high", "low", "close")
    }
    return replace(found, bars=found.bars._replace(**scaled))


def snapshot_vols(chain: OptionChain, *, at: datetime | None = None) -> SnapshotVols:
    """Return what a chain's quotes say of volatility (`chain_smiles.chain_vols`).

    Args:
        chain: A real one.
        at: Moment of its quotes, if not the chain's own time.

    Raises:
        DataError: It has no contracts, or one side of the market is missing.
    """
    rows = chain.quotes
    if rows.is_empty():
        raise DataError("the chain to calibrate from is empty")
    bid, ask = (
        rows[side].cast(pl.Float64).fill_null(math.nan).to_numpy() for side in ("bid", "ask")
    )
    for side, price in (("bid", bid), ("ask", ask)):
        if not (price > 0).any():
            raise DataError(
                f"the chain to calibrate from has no {side} prices: one side is missing"
            )
    days = rows["expiration"].to_numpy().astype("datetime64[D]")
    moment = np.array([round((at or chain.ts).timestamp()) * 1_000_000_000])
    quotes = ChainQuotes(
        expiration=days.astype(np.int64),
        years=year_fractions(moment, days),
        strike=rows["strike"].to_numpy(),
        is_call=(rows["right"] == "C").to_numpy(),
        bid=bid,
        ask=ask,
    )
    root = str(rows["occ_symbol"][0])[:6].rstrip()
    american = exercise_style_of(root) == "A"
    found = chain_vols(quotes, chain.underlying_price, american_style=american)
    return SnapshotVols(
        quotes.expiration,
        quotes.years,
        found.k,
        found.bid,
        found.ask,
        np.abs(found.delta),
        bid,
        ask,
    )


def calibrate(chain: OptionChain, *, at: datetime | None = None) -> Calibration:
    """Fit surface and spreads to a real chain.

    Args:
        chain: A real one.
        at: Moment of its quotes, if not the chain's own time.

    Raises:
        DataError: One side of the market is missing, or no expiration has enough quotes.
    """
    snapshot = snapshot_vols(chain, at=at)
    clock = variance_clock(chain.underlying)
    moment = at or chain.ts
    hours = session(last_session(moment).day)
    elapsed = min(max((moment - hours.open) / (hours.close - hours.open), 0.0), 1.0)
    weights = np.concatenate([[0.0], np.cumsum(variance_weights(hours.regular_minutes))])
    passed = np.interp(elapsed, np.linspace(0, 1, len(weights)), weights / weights[-1])
    now = clock.at(session_numbers()[hours.day], np.asarray(passed))
    smiles: list[tuple[float, float, float]] = []
    years: list[float] = []
    ahead: list[float] = []
    for group in np.unique(snapshot.group):
        rows = np.flatnonzero(snapshot.group == group)
        t = float(snapshot.years[rows[0]])
        last = session_until(date.fromordinal(int(group) + _EPOCH)).day
        left = float(clock.closes[session_numbers()[last]] - now)
        usable = rows[_usable(snapshot, rows)]
        if t <= 0 or left <= (ahead[-1] if ahead else 0.0) or len(usable) < _LEAST_SMILE:
            continue
        smiles.append(_fit(snapshot, usable, t, smiles[-1] if smiles else None))
        years.append(t)
        ahead.append(left)
    if len(smiles) < 2:
        raise DataError("the chain to calibrate from has fewer than two expirations with a smile")
    nodes = EssviNodes(*np.array(smiles).T)
    spreads = _spreads(snapshot)
    spot = chain.underlying_price
    return Calibration(np.array(years), nodes, spreads, np.array(ahead), moment, spot)


def _usable(snapshot: SnapshotVols, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which quotes a smile is fitted to: out of the money, bid for, not far in the wings."""
    found = np.isfinite(snapshot.k[rows]) & (snapshot.bid_vol[rows] > 0)
    found &= (snapshot.ask_vol[rows] >= snapshot.bid_vol[rows]) & (snapshot.delta[rows] < 0.55)
    middle = 0.5 * (snapshot.bid_vol + snapshot.ask_vol)[rows] * np.sqrt(snapshot.years[rows])
    return np.asarray(found & (np.abs(snapshot.k[rows]) < _WING * middle * 2))


def _fit(
    snapshot: SnapshotVols,
    rows: NDArray[np.int64],
    years: float,
    before: tuple[float, float, float] | None,
) -> tuple[float, float, float]:
    """Return theta, rho and psi of a smile that does not cross the one before.

    Coordinates that make every point sound: theta is what the one before has and more, then psi
    and rho inside the butterfly and calendar conditions, by a shrinking search.
    """
    k = snapshot.k[rows]
    middle = 0.5 * (snapshot.bid_vol + snapshot.ask_vol)[rows]
    half = np.maximum(0.5 * (snapshot.ask_vol - snapshot.bid_vol)[rows], 2e-4)
    at_the_money = float(np.interp(0.0, k[np.argsort(k)], middle[np.argsort(k)]))
    width = at_the_money * math.sqrt(years)
    weight = np.exp(-0.5 * (k / (1.6 * width)) ** 2) + 0.02
    weight /= np.sqrt(half**2 + 0.004**2)

    def cost(point: Floats) -> float:
        theta, rho, psi = _sound(point, width, before)
        vol = np.sqrt(essvi_total_variance(k, theta, rho, psi) / years)
        miss = weight * (vol - middle)
        return float(np.sum(np.log1p(miss * miss)))

    best, best_cost = np.zeros(3), math.inf
    for lean in (-0.6, -0.3, 0.0):
        for wide in (0.7, 1.2, 1.7):
            point = np.array([0.0, np.arctanh(lean), math.log(wide)])
            now = cost(point)
            if now < best_cost:
                best, best_cost = point, now
    step = np.array([0.05, 0.25, 0.25])
    while step.max() > 1e-5:
        moved = False
        for axis in range(3):
            for side in (1.0, -1.0):
                point = best.copy()
                point[axis] += side * step[axis]
                now = cost(point)
                if now < best_cost:
                    best, best_cost, moved = point, now, True
                    break
        if not moved:
            step *= 0.5
    return _sound(best, width, before)


def _sound(
    point: Floats, width: float, before: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    """Return the nearest theta, rho and psi that break no condition."""
    theta = (width * math.exp(min(max(point[0], -1.0), 1.0))) ** 2
    rho = math.tanh(min(max(point[1], -2.5), 2.5))
    psi = math.exp(min(max(point[2], -4.0), 2.0)) * math.sqrt(theta)
    if before is not None:
        theta = max(theta, before[0] * (1 + 1e-6))
        psi = min(psi, before[2] * theta / before[0])
    steep = 1 + abs(rho)
    most = min(3.99 / steep, math.sqrt(3.99 * theta / steep))
    psi = min(psi, most)
    if before is not None:
        _, lean, wide = before
        # psi (1 +- rho) must not fall: rho between what the one before leaves at this psi.
        psi = max(psi, wide)
        low, high = wide * (1 + lean) / psi - 1, 1 - wide * (1 - lean) / psi
        rho = min(max(rho, low), high) if low <= high else lean
    return theta, rho, psi


def _spreads(snapshot: SnapshotVols) -> Floats:
    """Return quantiles of the quoted spreads by bucket; thin buckets take their neighbours' too."""
    spread = snapshot.ask - snapshot.bid
    known = (snapshot.bid > 0) & (spread >= 0) & np.isfinite(snapshot.delta)
    tenor = np.searchsorted(TENOR_EDGES, snapshot.years * 365)
    delta = np.searchsorted(DELTA_EDGES, snapshot.delta)
    parts = np.linspace(0.0, 1.0, _QUANTILES)
    found = np.empty((len(TENOR_EDGES) + 1, len(DELTA_EDGES) + 1, _QUANTILES))
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            for reach in range(found.shape[0] + found.shape[1]):
                near = (np.abs(tenor - i) <= reach) & (np.abs(delta - j) <= reach) & known
                if near.sum() >= _LEAST_BUCKET:
                    break
            found[i, j] = np.quantile(spread[near], parts)
    return found
