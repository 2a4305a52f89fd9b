"""Implied volatility and greeks of a chain snapshot, for all contracts at once.

The forward and the rate of each expiration come from its own quotes by put-call parity, so that
dividends and borrowing costs need no guess. Where the pairs of an expiration say too little, the
forward is S e^((r - q) T) with the rate and the dividend yield that the source states.

Time counts from the moment of the quotes: after the close that is the close, not the snapshot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes import calculator
from black_scholes.implied_vol import Status, implied_volatility
from black_scholes.parity import forward_from_parity
from utils import market_calendar

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from models.options import OptionChain
    from models.tables import Frame

DEFAULT_RATE = 0.04
"""Continuous rate where neither the quotes nor the source tell one."""

_STATED_RATE_ERROR = 0.005  # how far from the true rate a stated one may be
_GUESSED_RATE_ERROR = 0.02
_WORST_FORWARD_ERROR = 0.005  # of the forward
_WORST_MISFIT = 3.0  # half-spreads
_DAYS_A_YEAR = 365.0


class Carry(NamedTuple):
    """What an expiration needs besides the spot: its forward in dollars and its continuous rate."""

    forward: float
    rate: float


def valuation_time(underlying: str, ts: datetime) -> datetime:
    """Return the moment of the quotes in a snapshot taken at `ts`: not after the options' close.

    Args:
        underlying: Symbol of the underlying; some trade 15 minutes longer.
        ts: Time of the snapshot, aware.
    """
    session = market_calendar.last_session(ts)
    return min(ts, market_calendar.option_close(underlying, session.day))


def enrich(chain: OptionChain, quotes: Frame) -> Frame:
    """Return quotes with year fraction, forward, rate, implied volatility of the mid and greeks.

    Args:
        chain: Where the quotes come from: spot, and rate and dividend yield as the source states
            them.
        quotes: Rows of `OPTION_QUOTES` of this chain.

    Returns:
        The same rows in the same order. Figures that do not exist are null, and
        `implied_volatility_status` says why: expired, no_bid, no_ask, crossed, or a `Status` of
        `black_scholes.implied_vol` in small letters.
    """
    rows = quotes.with_columns(
        _root=pl.col("occ_symbol").str.slice(0, 6).str.strip_chars_end(),
        _years=pl.Series(_years(chain, quotes)),
    ).with_columns(_status=_quote_status())
    carried = rows.join(_carries(chain, rows), on=["_root", "expiration"], how="left")
    computed = _figures(chain, carried)
    return rows.with_columns(computed).drop("_root", "_years", "_status")


def _years(chain: OptionChain, quotes: Frame) -> NDArray[np.float64]:
    moment = valuation_time(chain.underlying, chain.ts)
    roots = quotes["occ_symbol"].str.slice(0, 6).str.strip_chars_end()
    am_roots = [each for each in roots.unique() if market_calendar.settlement_of(each) == "AM"]
    return market_calendar.year_fractions(
        np.array([int(moment.timestamp()) * 1_000_000_000]),
        quotes["expiration"].to_numpy().astype("datetime64[D]"),
        am_settled=roots.is_in(am_roots).to_numpy(),
    )


def _quote_status() -> pl.Expr:
    """Return why a row has no mid to price; null where it has one."""
    bid, ask = pl.col("bid"), pl.col("ask")
    return (
        pl.when(pl.col("_years") <= 0)
        .then(pl.lit("expired"))
        .when(bid.is_null() | (bid <= 0))
        .then(pl.lit("no_bid"))
        .when(ask.is_null())
        .then(pl.lit("no_ask"))
        .when(bid > ask)
        .then(pl.lit("crossed"))
    )


def _carries(chain: OptionChain, rows: Frame) -> Frame:
    """Return forward and rate of each root and expiration."""
    pairs = rows.filter(pl.col("right") == "C").join(
        rows.filter(pl.col("right") == "P"),
        on=["_root", "expiration", "strike"],
        how="full",
        coalesce=True,
        suffix="_put",
    )
    found = [
        (root, expiration, *_carry(chain, group))
        for (root, expiration), group in pairs.group_by("_root", "expiration")
    ]
    schema = {
        "_root": pl.String,
        "expiration": pl.Date,
        "_forward": pl.Float64,
        "_rate": pl.Float64,
    }
    return pl.DataFrame(found, schema=schema, orient="row")


def _carry(chain: OptionChain, pairs: Frame) -> Carry:
    years = float(pairs.select(pl.coalesce("_years", "_years_put")).item(0, 0))
    stated = chain.risk_free_rate
    expected = DEFAULT_RATE if stated is None else stated
    strike, call_bid, call_ask, put_bid, put_ask = (
        _numbers(pairs[name]) for name in ("strike", "bid", "ask", "bid_put", "ask_put")
    )
    fit = forward_from_parity(
        strike,
        call_bid,
        call_ask,
        put_bid,
        put_ask,
        years,
        rate=expected,
        rate_error=_GUESSED_RATE_ERROR if stated is None else _STATED_RATE_ERROR,
    )
    sure = fit.forward_error < _WORST_FORWARD_ERROR * fit.forward and fit.misfit < _WORST_MISFIT
    if fit.pairs and sure and math.isfinite(fit.rate):
        return Carry(fit.forward, fit.rate)
    drift = (expected - (chain.dividend_yield or 0.0)) * years
    return Carry(chain.underlying_price * math.exp(drift), expected)


def _figures(chain: OptionChain, rows: Frame) -> list[pl.Series]:
    """Return the computed columns of `OPTION_QUOTES`."""
    years = rows["_years"].to_numpy()
    forward = _numbers(rows["_forward"])
    rate = _numbers(rows["_rate"])
    spot, strike = chain.underlying_price, rows["strike"].to_numpy()
    is_call = (rows["right"] == "C").to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        carry = rate - np.log(forward / spot) / years
    carry = np.where(years > 0, carry, 0.0)
    quoted = rows["_status"].is_null().to_numpy()
    mid = np.where(quoted, _numbers((rows["bid"] + rows["ask"]) / 2), np.nan)
    found = implied_volatility(mid, spot, strike, years, rate, carry, is_call=is_call)
    greeks = calculator.greeks(spot, strike, years, rate, found.vol, carry, is_call=is_call)
    names = np.array([status.name.lower() for status in sorted(Status)])
    reasons = pl.Series(names[found.status.astype(np.intp)], dtype=pl.String)
    columns = {
        "year_fraction": years,
        "forward": forward,
        "risk_free_rate": rate,
        "implied_volatility": found.vol,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta_per_day": greeks.theta / _DAYS_A_YEAR,
        "vega_per_point": greeks.vega / 100.0,
        "rho_per_point": greeks.rho / 100.0,
    }
    status = rows["_status"].fill_null(reasons).alias("implied_volatility_status")
    return [pl.Series(name, values, nan_to_null=True) for name, values in columns.items()] + [
        status
    ]


def _numbers(series: pl.Series) -> NDArray[np.float64]:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
