"""Smiles and surfaces of a session, at its half hours and at its close.

At each of these moments every expiration gets a smile (`surface_fit.fit_smiles`: SVI with bends
towards the wings, free of butterflies, not crossing its neighbours) and a node of an eSSVI surface;
volatilities of bid and ask are those of the options' own exercise style.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes.chain_quality import skew_25_delta
from black_scholes.chain_smiles import ChainQuotes, ChainVols, quoted_smiles
from black_scholes.expected_move import expected_move
from black_scholes.surface_fit import fit_essvi, fit_smiles
from pipeline.enrich import roots_of
from pipeline.session_board import TermKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from black_scholes.surface import EssviNodes, WingedSvi
    from black_scholes.surface_fit import QuotedSmile
    from models.tables import Frame
    from pipeline.session_enrich import Enriched, Terms
    from utils.market_calendar import Session

    Floats = NDArray[np.float64]

STEP = timedelta(minutes=30)
"""From one fit to the next."""

_LEAST_HALF_SPREAD = 0.001  # of volatility


@dataclass(frozen=True, slots=True)
class FittedSmile:
    """The smile of one expiration at one moment.

    Attributes:
        ts: Moment.
        key: Root and expiration.
        forward: Dollars.
        terms: Rate and yield.
        smile: The fit.
        node: The expiration's node of the eSSVI surface of that moment, numbers.
        quoted: Volatilities that were fitted.
    """

    ts: datetime
    key: TermKey
    forward: float
    terms: Terms
    smile: WingedSvi
    node: EssviNodes
    quoted: QuotedSmile

    @property
    def error(self) -> float:
        """Root mean square of mid less smile, volatility, over quotes with a bid."""
        bid = self.quoted.bid > 0
        gap = self.smile.vol(self.quoted.k) - 0.5 * (self.quoted.bid + self.quoted.ask)
        return float(np.sqrt(np.mean(gap[bid] ** 2))) if bid.any() else 0.0

    @property
    def is_close(self) -> bool:
        """Whether it passes through most of its quotes: a few far ones can leave none that does."""
        middle = 0.5 * (self.quoted.bid + self.quoted.ask)
        half = np.maximum(0.5 * (self.quoted.ask - self.quoted.bid), _LEAST_HALF_SPREAD)
        return bool(np.median(np.abs(self.smile.vol(self.quoted.k) - middle) / half) <= 1.0)


def smile_moments(session: Session, quotes: Frame) -> list[datetime]:
    """Return the moments of a session at which smiles are fitted.

    Its half hours as far as there are quotes of that moment, and the last moment with quotes in
    regular hours. A session with a few snapshots alone is fitted at its last one.

    Args:
        session: Which.
        quotes: ts.
    """
    times = quotes["ts"].unique().sort().to_list()
    regular = [ts for ts in times if session.open < ts <= session.close]
    steps = (session.close - session.open) // STEP
    wanted = {session.open + n * STEP for n in range(1, steps + 1)}
    return sorted(wanted.intersection(regular) | set((regular or times)[-1:]))


def fit_session(enriched: Enriched, moments: Sequence[datetime]) -> list[FittedSmile]:
    """Return the smiles of some moments, by time, root and expiration.

    Args:
        enriched: A session's quotes with figures.
        moments: Values of `ts`; an expiration with too few quotes then has no smile.
    """
    quotes = enriched.quotes.filter(pl.col("ts").is_in(list(moments)))
    quotes = quotes.with_columns(
        _root=roots_of(quotes), _bid=pl.lit(math.nan), _ask=pl.lit(math.nan)
    )
    parts = []
    for (root, day), rows in quotes.group_by("_root", "expiration"):
        terms = enriched.terms.get(TermKey(str(root), day))
        if terms is not None:
            parts.append(_with_sides(rows, terms))
    if not parts:
        return []
    # A total order: fits depend on that of their quotes in the last digits, and sometimes beyond.
    priced = pl.concat(parts).sort("ts", "_root", "occ_symbol")
    found: list[FittedSmile] = []
    for (ts, root), snapshot in priced.group_by("ts", "_root", maintain_order=True):
        found += _fit(ts, str(root), snapshot, enriched.terms)
    return found


def _with_sides(rows: Frame, terms: Terms) -> Frame:
    """Return rows of one expiration with the volatilities of bid and ask."""
    alive = rows.filter(pl.col("year_fraction") > 0, pl.col("forward").is_not_null())
    if alive.is_empty():
        return alive
    years, forward = alive["year_fraction"].to_numpy(), alive["forward"].to_numpy()
    spot = forward * np.exp((terms.dividend_yield - terms.rate) * years)
    market = spot, alive["strike"].to_numpy(), years
    pricer, is_call = terms.pricer(years), (alive["right"] == "C").to_numpy()
    sides = {
        f"_{name}": pl.Series(
            pricer.implied_volatility(_numbers(alive[name]), *market, is_call=is_call).vol
        )
        for name in ("bid", "ask")
    }
    return alive.with_columns(**sides)


def _fit(
    ts: datetime, root: str, rows: Frame, terms: dict[TermKey, Terms]
) -> Iterator[FittedSmile]:
    """Yield the smiles of one moment and root."""
    days = rows["expiration"].to_physical().cast(pl.Int64).to_numpy()
    strike, forward = rows["strike"].to_numpy(), rows["forward"].to_numpy()
    years, is_call = rows["year_fraction"].to_numpy(), (rows["right"] == "C").to_numpy()
    bid, ask, mid = (_numbers(rows[name]) for name in ("_bid", "_ask", "implied_volatility"))
    low = np.where(np.isnan(bid) & ~np.isnan(ask), 0.0, bid)
    rate = _numbers(rows["risk_free_rate"])
    delta, vega = _numbers(rows["delta"]), 100.0 * _numbers(rows["vega_per_point"])
    quotes = ChainQuotes(days, years, strike, is_call, _numbers(rows["bid"]), _numbers(rows["ask"]))
    k = np.log(strike / forward)
    vols = ChainVols(forward, forward, rate, rate, k, low, mid, ask, delta, vega)
    smiles = quoted_smiles(quotes, vols)
    if not smiles:
        return
    fits = fit_smiles(list(smiles.values()))
    surface = fit_essvi(list(smiles.values()))
    by_day = {key.expiration: key for key in terms if key.root == root}
    dates = dict(zip(days.tolist(), rows["expiration"], strict=True))
    forwards = dict(zip(days.tolist(), forward.tolist(), strict=True))
    for number, (day, quoted) in enumerate(smiles.items()):
        key = by_day[dates[day]]
        node = surface.at(quoted.years)
        yield FittedSmile(ts, key, forwards[day], terms[key], fits[number], node, quoted)


def smile_volatility(quotes: Frame, fits: Sequence[FittedSmile]) -> pl.Series:
    """Return what the fitted smiles say of each quote, null where its moment has no close fit.

    Args:
        quotes: ts, occ_symbol, expiration, strike, forward.
        fits: Of some of their moments.
    """
    values = np.full(quotes.height, math.nan)
    moments = {fit.ts for fit in fits}
    rows = quotes.select(
        "ts", "expiration", "strike", "forward", _row=pl.int_range(pl.len()), _root=roots_of(quotes)
    ).filter(pl.col("ts").is_in(list(moments)), pl.col("forward").is_not_null())
    by_key: dict[tuple[object, ...], FittedSmile] = {
        (fit.ts, *fit.key): fit for fit in fits if fit.is_close
    }
    for key, part in rows.group_by("ts", "_root", "expiration"):
        fit = by_key.get(key)
        if fit is not None:
            k = np.log(part["strike"].to_numpy() / part["forward"].to_numpy())
            values[part["_row"].to_numpy()] = fit.smile.vol(k)
    return pl.Series("smile_volatility", values, nan_to_null=True)


def smile_figures(fits: Sequence[FittedSmile]) -> Frame:
    """Return the figures of each smile: key, level, skew, error, both forms of the fit, moves.

    Returns:
        Columns of `EXPIRATION_FIGURES` that come from smiles, by ts, root and expiration.
    """
    rows = []
    for fit in fits:
        smile, core = fit.smile, fit.smile.core
        theta, rho, psi = (float(each) for each in fit.node)
        rows.append(
            {
                "ts": fit.ts,
                "root": fit.key.root,
                "expiration": fit.key.expiration,
                "year_fraction": smile.years,
                "forward": fit.forward,
                "risk_free_rate": fit.terms.rate,
                "dividend_yield": fit.terms.dividend_yield,
                "smile_quotes": int(fit.quoted.k.size),
                "atm_volatility": float(smile.vol(0.0)),
                "skew_25_delta": skew_25_delta(smile),
                "smile_error": fit.error,
                "essvi_theta": theta,
                "essvi_rho": rho,
                "essvi_psi": psi,
                "smile": json.dumps(
                    {
                        **{name: getattr(core, name) for name in ("a", "b", "rho", "m", "sigma")},
                        "at": smile.at.tolist(),
                        "side": smile.side.tolist(),
                        "height": smile.height.tolist(),
                        "width": smile.width,
                    }
                ),
                "expected_move": expected_move(smile, fit.forward).half_width,
            }
        )
    return pl.DataFrame(rows, schema_overrides=_SCHEMA) if rows else pl.DataFrame(schema=_SCHEMA)


_SCHEMA = {
    "ts": pl.Datetime("us", "UTC"),
    "root": pl.String(),
    "expiration": pl.Date(),
    "year_fraction": pl.Float64(),
    "forward": pl.Float64(),
    "risk_free_rate": pl.Float64(),
    "dividend_yield": pl.Float64(),
    "smile_quotes": pl.Int32(),
    "atm_volatility": pl.Float64(),
    "skew_25_delta": pl.Float64(),
    "smile_error": pl.Float64(),
    "essvi_theta": pl.Float64(),
    "essvi_rho": pl.Float64(),
    "essvi_psi": pl.Float64(),
    "smile": pl.String(),
    "expected_move": pl.Float64(),
}


def _numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
