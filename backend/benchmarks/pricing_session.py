"""A session of QQQ by the minute: volatility and greeks of every contract, American exercise seen.

The contracts are those of a real chain (14 July 2026); the spot takes a random walk through the
session, volatilities stay with their contracts, prices are rounded to cents as quotes are.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pricing_timing import promise

from black_scholes import american, implied_vol
from black_scholes.exercise_table import ExerciseTable
from black_scholes.implied_vol import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CHAIN = Path(__file__).parents[1] / "tests/data/chains/qqq_chain_2026-07-14T1555ET.json.gz"
RATE, YIELD = 0.037, 0.005
YEAR_MINUTES = 365 * 24 * 60
SAMPLED = 20_000
LIMIT = 4.0 / 3_900_000  # CPU seconds a row


class Expiration(NamedTuple):
    """The contracts of one expiration in every minute, minute by minute."""

    years: Array
    spot: Array
    strike: Array
    vol: Array
    is_call: NDArray[np.bool_]
    price: Array

    def table(self) -> ExerciseTable:
        """Return the table of boundaries for this session."""
        return ExerciseTable((self.years.min() * 0.999, self.years.max() * 1.001), RATE, YIELD)


def session(minutes: int) -> list[Expiration]:
    """Return the session, by expiration."""
    chain = json.loads(gzip.decompress(CHAIN.read_bytes()))
    rng = np.random.default_rng(14)
    spot = chain["underlyingPrice"] * np.exp(np.cumsum(rng.normal(0, 4e-4, minutes)))
    left = 390 - np.arange(minutes)  # to the close
    day = dt.date.fromisoformat(chain["updated"][:10])
    found = []
    for expiration in chain["expirations"]:
        quotes = [
            quote
            for quote in chain["quotes"]
            if quote["expiration"] == expiration and 0.02 < (quote["iv"] or 0) < 4
        ]
        if not quotes:
            continue
        days = (dt.date.fromisoformat(expiration) - day).days
        shape = minutes, len(quotes)
        years = np.broadcast_to(((left + 1440 * days) / YEAR_MINUTES)[:, None], shape)
        strike, vol = (
            np.broadcast_to([quote[name] for quote in quotes], shape) for name in ("strike", "iv")
        )
        is_call = np.broadcast_to([quote["side"] == "call" for quote in quotes], shape)
        columns: list[Any] = [
            np.ravel(x) for x in (years, np.broadcast_to(spot[:, None], shape), strike, vol)
        ]
        columns += [np.ravel(is_call), columns[0]]
        bare = Expiration(*columns)
        price = bare.table().price(*bare[1:3], bare.years, bare.vol, is_call=bare.is_call)
        found.append(bare._replace(price=np.round(price, 2)))
    return found


def session_section(minutes: int) -> bool:
    """Time a session and compare volatilities with the full American solution."""
    expirations = session(minutes)
    _work(expirations[0])  # warms up
    vols, seconds = [], np.zeros(2)
    for one in expirations:
        vol, spent = _work(one)
        vols.append(vol)
        seconds += spent
    rows = sum(one.price.size for one in expirations)
    total = float(seconds.sum())
    print(
        f"\nQQQ, {minutes} minutes, {rows:,} rows: volatility {seconds[0]:.2f} s, "
        f"greeks {seconds[1]:.2f} s of CPU, {total / rows * 1e6:.2f} us a row"
    )
    error, european = _errors(expirations, vols)
    p99, european_p99 = (float(np.quantile(100 * np.abs(x), 0.99)) for x in (error, european))
    print(f"  against full American volatilities, {error.size:,} rows: p99 {p99:.5f} points")
    print(f"  European volatilities instead: p99 {european_p99:.2f} points")
    return all(
        (
            promise(
                f"3.9 M rows in 4 s of CPU: {total / rows * 3.9e6:.2f} s",
                kept=total <= LIMIT * rows,
            ),
            promise(f"p99 at most 0.02 points: {p99:.5f}", kept=p99 <= 0.02),
        )
    )


def _work(one: Expiration) -> tuple[Array, Array]:
    """Return volatilities, and the CPU seconds of volatility and of greeks."""
    start = time.process_time()
    table = one.table()
    terms = one.spot, one.strike, one.years
    vol = table.implied_volatility(one.price, *terms, is_call=one.is_call).vol
    middle = time.process_time()
    table.greeks(*terms, vol, is_call=one.is_call)
    return vol, np.array([middle - start, time.process_time() - middle])


def _errors(expirations: list[Expiration], vols: list[Array]) -> tuple[Array, Array]:
    """Return differences to full American volatilities: by table, and by European inversion."""
    rng = np.random.default_rng(1)
    rows = sum(one.price.size for one in expirations)
    ours, european = [], []
    for one, vol in zip(expirations, vols, strict=True):
        share = min(1.0, SAMPLED / rows)
        some = np.flatnonzero(rng.random(vol.size) < share)
        market = one.spot[some], one.strike[some], one.years[some], RATE, YIELD
        call = one.is_call[some]
        full = american.implied_volatility(one.price[some], *market, is_call=call)
        plain = implied_vol.implied_volatility(one.price[some], *market, is_call=call)
        solved = (full.status == Status.OK) & np.isfinite(vol[some])
        ours.append((vol[some] - full.vol)[solved])
        european.append((plain.vol - full.vol)[solved & (plain.status == Status.OK)])
    return np.concatenate(ours), np.concatenate(european)
