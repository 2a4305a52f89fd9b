"""Implied volatility and greeks of a chain snapshot, for all contracts at once.

The forward and the rate of each expiration come from its own quotes by put-call parity, freed of
the early-exercise premium where the options are American, so that dividends and borrowing costs
need no guess. Where the pairs of an expiration say too little, the forward is that of the spot on
which the other expirations agree, with the rate and the dividends that the source states.

American options are priced as such. A cash dividend that falls before an expiration counts as the
continuous yield that takes the same sum out of the spot until then, and as none for expirations
before its ex-date. The grid of `black_scholes.american`, which pays it on its day, takes 0.2 ms a
price, too long for a chain. Beside it, out of the money and out to a year, volatilities are off by
0.02 points (QQQ, 0.1 % a quarter), 0.06 (SPY, 0.3 %) and 0.24 (a stock that pays 1 %) in the median,
by 0.04, 0.15 and 0.84 in the worst of a hundred.

Time counts from the moment of the quotes: after the close that is the close, not the snapshot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes import american, calculator
from black_scholes.chain_smiles import EXPECTED_YIELD, ChainCarry, ChainQuotes, chain_carry
from black_scholes.implied_vol import Status, implied_volatility
from models.symbols import exercise_style_of
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from models.options import OptionChain
    from models.tables import Frame
    from pipeline.dividends import CashDividend

DEFAULT_RATE = 0.04
"""Continuous rate where neither the quotes nor the source tell one."""

# How far from the true rate a stated one and our guess may be. Quotes of American options hardly tell
# it, for the premium that is taken off them grows with it: so theirs is held firm.
_RATE_ERRORS = {"E": (0.005, 0.01), "A": (0.001, 0.005)}
_WORST_FORWARD_ERROR = 0.005  # of the forward
_WORST_MISFIT = 3.0  # half-spreads
_STATED_YIELD_ERROR = 0.01
_MOST_PAID_OUT = 0.9  # share of the spot
_LEAST_PREMIUM = 1e-3  # dollars of early-exercise premium that the greeks shall know of
_DAYS_A_YEAR = 365.0

FIGURES = (
    "year_fraction",
    "forward",
    "risk_free_rate",
    "implied_volatility",
    "delta",
    "gamma",
    "theta_per_day",
    "vega_per_point",
    "rho_per_point",
)
"""Numbers that `enrich` computes, as `OPTION_QUOTES` names them."""


def valuation_time(underlying: str, ts: datetime) -> datetime:
    """Return the moment of the quotes in a snapshot taken at `ts`: not after the options' close.

    Args:
        underlying: Symbol of the underlying; some trade 15 minutes longer.
        ts: Time of the snapshot, aware.
    """
    session = market_calendar.last_session(ts)
    return min(ts, market_calendar.option_close(underlying, session.day))


def enrich(chain: OptionChain, quotes: Frame, dividends: Sequence[CashDividend] = ()) -> Frame:
    """Return quotes with year fraction, forward, rate, implied volatility of the mid and greeks.

    Args:
        chain: Where the quotes come from: spot, and rate and dividend yield as the source states
            them; `contracts` says how each root is exercised.
        quotes: Rows of `OPTION_QUOTES` of this chain.
        dividends: Cash dividends to come, as far as they are known.

    Returns:
        The same rows in the same order. Figures that do not exist are null, and
        `implied_volatility_status` says why: expired, no_bid, no_ask, crossed, or a `Status` of
        `black_scholes.implied_vol` in small letters.
    """
    years = _years(chain, quotes)
    rows = quotes.with_columns(_years=pl.Series(years)).with_columns(_status=_quote_status())
    roots = roots_of(quotes)
    styles = styles_of(chain.contracts)
    figures = {name: np.full(rows.height, math.nan) for name in FIGURES}
    codes = np.full(rows.height, Status.MISSING.value, np.int8)
    for root in roots.unique():
        at = (roots == root).arg_true().to_numpy()
        american_style = styles.get(root, exercise_style_of(root)) == "A"
        found, codes[at] = _figures(chain, rows[at], dividends, american_style=american_style)
        for name, values in found.items():
            figures[name][at] = values
    reasons = pl.Series([Status(int(code)).name.lower() for code in codes], dtype=pl.String)
    return rows.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in figures.items()),
        implied_volatility_status=rows["_status"].fill_null(reasons),
    ).drop("_years", "_status")


def roots_of(quotes: Frame) -> pl.Series:
    """Return the option root of each row."""
    return quotes["occ_symbol"].str.slice(0, 6).str.strip_chars_end()


def styles_of(contracts: Frame) -> dict[str, str]:
    """Return how the source says that each root is exercised: A or E.

    Args:
        contracts: Columns of `OPTION_CONTRACTS`.
    """
    if "exercise_style" not in contracts.columns:
        return {}
    known = contracts.filter(pl.col("exercise_style").is_not_null())
    return dict(zip(roots_of(known), known["exercise_style"], strict=True))


def _years(chain: OptionChain, quotes: Frame) -> NDArray[np.float64]:
    moment = valuation_time(chain.underlying, chain.ts)
    roots = roots_of(quotes)
    am_roots = [each for each in roots.unique() if market_calendar.settlement_of(each) == "AM"]
    return market_calendar.year_fractions(
        np.array([int(moment.timestamp()) * 1_000_000_000]),
        quotes["expiration"].to_numpy().astype("datetime64[D]"),
        am_settled=roots.is_in(am_roots).to_numpy(),
    )


def _quote_status() -> pl.Expr:
    """Return why a row has no mid to price, null where it has one; reads `_years`, bid and ask."""
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


def _figures(
    chain: OptionChain, rows: Frame, dividends: Sequence[CashDividend], *, american_style: bool
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int8]]:
    """Return the computed columns of `OPTION_QUOTES` and the status codes, of one root."""
    years, strike = rows["_years"].to_numpy(), rows["strike"].to_numpy()
    is_call = (rows["right"] == "C").to_numpy()
    carry = carry_of(chain, rows, years, dividends, american_style=american_style)
    terms = (carry.spot, strike, years, carry.rate)
    quoted = rows["_status"].is_null().to_numpy()
    mid = np.where(quoted, _numbers((rows["bid"] + rows["ask"]) / 2), math.nan)
    invert = american.implied_volatility if american_style else implied_volatility
    found = invert(mid, *terms, carry.dividend_yield, is_call=is_call)
    vol = found.vol
    greeks = calculator.greeks(*terms, vol, carry.dividend_yield, is_call=is_call)
    # The premium is what the price holds beyond the European one at the same volatility.
    early = np.flatnonzero(american_style & (mid - greeks.price > _LEAST_PREMIUM))
    if early.size:
        some = (column[early] for column in (*terms, vol, carry.dividend_yield))
        for whole, part in zip(greeks, american.greeks(*some, is_call=is_call[early]), strict=True):
            whole[early] = part
    figures = {
        "year_fraction": years,
        "forward": carry.forward,
        "risk_free_rate": carry.rate,
        "implied_volatility": vol,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta_per_day": greeks.theta / _DAYS_A_YEAR,
        "vega_per_point": greeks.vega / 100.0,
        "rho_per_point": greeks.rho / 100.0,
    }
    return figures, found.status


def carry_of(
    chain: OptionChain,
    rows: Frame,
    years: NDArray[np.float64],
    dividends: Sequence[CashDividend],
    *,
    american_style: bool,
) -> ChainCarry:
    """Return forward, rate, yield and spot of each row, from parity as far as it is sure.

    Args:
        chain: Moment, spot, and rate and dividend yield as the source states them.
        rows: Quotes of one exercise style at that moment: expiration, strike, right, bid, ask.
        years: To expiration, one a row.
        dividends: Cash dividends to come, as far as they are known.
        american_style: Whether the options may be exercised early.
    """
    stated = chain.risk_free_rate
    rate = DEFAULT_RATE if stated is None else stated
    quotes = ChainQuotes(
        rows["expiration"].to_physical().cast(pl.Int64).to_numpy(),
        years,
        rows["strike"].to_numpy(),
        (rows["right"] == "C").to_numpy(),
        _numbers(rows["bid"]),
        _numbers(rows["ask"]),
    )
    paid_out = _paid_out(chain, rows, dividends, rate)
    found = chain_carry(
        quotes,
        chain.underlying_price,
        rate=rate,
        rate_error=_RATE_ERRORS["A" if american_style else "E"][stated is None],
        expected_yield=_expected_yield(chain, dividends),
        paid_out=paid_out,
        american_style=american_style,
    )
    sure = is_sure(found.forward, found.forward_error, found.misfit) & np.isfinite(found.rate)
    drift = (rate - found.dividend_yield) * years
    return found._replace(
        forward=np.where(sure, found.forward, found.common_spot * np.exp(drift)),
        rate=np.where(sure, found.rate, rate),
        spot=np.where(sure, found.spot, found.common_spot),
    )


def is_sure(
    forward: NDArray[np.float64], error: NDArray[np.float64], misfit: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which forwards their pairs know well enough to price with.

    Args:
        forward: Dollars.
        error: Standard error, dollars.
        misfit: Of the pairs, in half-spreads.
    """
    return (error < _WORST_FORWARD_ERROR * forward) & (misfit < _WORST_MISFIT)


def _expected_yield(chain: OptionChain, dividends: Sequence[CashDividend]) -> tuple[float, float]:
    """Return the yield beyond the known dividends that is to be expected, and its error."""
    if dividends:
        return 0.0, _STATED_YIELD_ERROR
    if chain.dividend_yield is None:
        return EXPECTED_YIELD
    return chain.dividend_yield, _STATED_YIELD_ERROR


def _paid_out(
    chain: OptionChain, rows: Frame, dividends: Sequence[CashDividend], rate: float
) -> NDArray[np.float64]:
    """Return -ln(1 - share of the spot that is paid out before expiration) of each row."""
    today = chain.ts.astimezone(market_calendar.NEW_YORK).date()
    share = np.zeros(rows.height)
    for ex_date, cash in dividends:
        years = (ex_date - today).days / _DAYS_A_YEAR
        worth = cash * math.exp(-rate * years) / chain.underlying_price
        share += worth * (rows["expiration"] >= ex_date).to_numpy() * (ex_date > today)
    return -np.log1p(-np.minimum(share, _MOST_PAID_OUT))


def _numbers(series: pl.Series) -> NDArray[np.float64]:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
