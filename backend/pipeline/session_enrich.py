"""Forwards, volatilities and greeks of every option quote of a session, all at once.

`enrich` prices one snapshot; a session has hundreds. What does not move within a session is found
at a few moments: rate and yield of each expiration, by `enrich.carry_of`, the median counts. Then
expiration by expiration, with a row a minute and a column a strike, put-call parity gives the
forward of every minute, freed of early exercise where the options are American, and one table of
exercise boundaries serves every volatility and greek of the expiration.

Where the pairs of an expiration say too little in a minute, its forward is that of the spot on
which the other expirations of that minute agree, or of the underlying's own price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes import american
from black_scholes.implied_vol import Status
from black_scholes.session_parity import PairedQuotes, session_forwards, usable_pairs
from black_scholes.session_pricer import EuropeanPricer, Pricer, pricer
from models.symbols import exercise_style_of
from pipeline.enrich import DEFAULT_RATE, FIGURES, carry_of, is_sure, styles_of
from pipeline.session_board import SessionBoard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from models.options import OptionChain
    from models.tables import Frame
    from pipeline.dividends import CashDividend
    from pipeline.session_board import TermKey

    Floats = NDArray[np.float64]

TERM_MOMENTS = 3
"""Moments of a session at which rates and yields are solved for."""

_QUOTE_REASONS = ("no_bid", "no_ask", "crossed")

_DAYS_A_YEAR = 365.0
_HIGHEST_VOL = 5.0  # of the table of boundaries; the few quotes beyond are solved for one by one
_LEAST_TIME_VALUE = 1e-3  # dollars: a pair whose premium is asked for has more


@dataclass(frozen=True, slots=True)
class Terms:
    """What an expiration's options are priced with, all session long.

    Attributes:
        rate: Continuous, a year.
        dividend_yield: Continuous, a year, cost of borrowing included.
        american_style: Whether they may be exercised early.
    """

    rate: float
    dividend_yield: float
    american_style: bool

    def pricer(self, years: Floats) -> Pricer:
        """Return what prices them at these times to expiration, all above 0."""
        span = float(years.min()), float(years.max())
        return pricer(span, self.rate, self.dividend_yield, american_style=self.american_style)


@dataclass(frozen=True, slots=True)
class Enriched:
    """A session's quotes with figures.

    Attributes:
        quotes: Rows of `OPTION_QUOTES` as they came, with `enrich.FIGURES` and
            `implied_volatility_status`.
        terms: Rate, yield and style of each expiration that is alive.
    """

    quotes: Frame
    terms: dict[TermKey, Terms]


class _Term(NamedTuple):
    """One expiration's rows, and where they stand in its matrices.

    Attributes:
        terms: What they are priced with.
        pricer: That prices them.
        rows: Places in the session's frame.
        minute: Row of the matrices.
        years: To expiration.
        strike: Dollars.
        is_call: True for calls.
        bid: Dollars, NaN where there is none.
        ask: Dollars, NaN where there is none.
        moments: Number of each of the matrices' rows among the session's moments.
        moment_years: To expiration, of each of the matrices' rows.
        forward: Of each of the matrices' rows, dollars, NaN where it is not sure.
    """

    terms: Terms
    pricer: Pricer
    rows: NDArray[np.intp]
    minute: NDArray[np.intp]
    years: Floats
    strike: Floats
    is_call: NDArray[np.bool_]
    bid: Floats
    ask: Floats
    moments: NDArray[np.intp]
    moment_years: Floats
    forward: Floats

    @property
    def carry(self) -> Floats:
        """What brings a forward of each of the matrices' rows back to now."""
        terms = self.terms
        return np.exp((terms.dividend_yield - terms.rate) * self.moment_years)


def enrich_session(
    chain: OptionChain, quotes: Frame, dividends: Sequence[CashDividend] = ()
) -> Enriched:
    """Return a session's quotes with year fraction, forward, rate, volatility and greeks.

    Args:
        chain: Underlying, rate and yield as the source states them, contracts (how each root is
            exercised); time, price and quotes of it are not looked at.
        quotes: Rows of `OPTION_QUOTES` of one session, in any order: ts, occ_symbol, expiration,
            strike, right, bid, ask, and underlying_price as far as it is known.
        dividends: Cash dividends to come, as far as they are known.

    Returns:
        The same rows in the same order. Figures that do not exist are null, and the status says
        why, in the words of `enrich`.
    """
    if quotes.is_empty():
        empty = {name: pl.Float64() for name in FIGURES}
        return Enriched(
            quotes.with_columns(
                *(pl.lit(None, dtype).alias(name) for name, dtype in empty.items()),
                implied_volatility_status=pl.lit(None, pl.String()),
            ),
            {},
        )
    board = SessionBoard.of(chain.underlying, quotes)
    terms = _terms(chain, quotes, board, dividends)
    found = [_with_forward(each) for each in _split(board, quotes, terms)]
    common = _common_spots(found, _spots(quotes, board))
    figures = {name: np.full(quotes.height, math.nan) for name in FIGURES}
    figures["year_fraction"] = board.row_years
    codes = np.full(quotes.height, Status.MISSING.value, np.int8)
    for each in found:
        codes[each.rows] = _price(each, common, figures)
    enriched = quotes.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in figures.items()),
        implied_volatility_status=_status_words(quotes, board, codes),
    )
    return Enriched(enriched, terms)


def _status_words(quotes: Frame, board: SessionBoard, codes: NDArray[np.int8]) -> pl.Series:
    """Return why a row has no volatility, or ok: of its quote if that says so, else of its price."""
    words = [*(status.name.lower() for status in Status), *_QUOTE_REASONS]
    place = np.zeros(max(Status) + 1, np.uint8)
    place[[int(status) for status in Status]] = np.arange(len(Status))
    bid, ask = _numbers(quotes["bid"]), _numbers(quotes["ask"])
    expired = board.row_years <= 0
    with np.errstate(invalid="ignore"):
        of_quote = [expired, ~(bid > 0), np.isnan(ask), bid > ask]
    first = len(Status)
    numbers = [np.uint8(n) for n in (place[Status.EXPIRED], first, first + 1, first + 2)]
    number = np.select(of_quote, numbers, place[codes])
    return pl.Series(words).gather(number)


def _spots(quotes: Frame, board: SessionBoard) -> Floats:
    """Return the underlying's price of each moment, NaN where it is not known."""
    price = _numbers(quotes["underlying_price"])
    known = np.flatnonzero(np.isfinite(price))
    spots = np.full(len(board.times), math.nan)
    spots[board.row_moment[known][::-1]] = price[known][::-1]
    return spots


def _terms(
    chain: OptionChain, quotes: Frame, board: SessionBoard, dividends: Sequence[CashDividend]
) -> dict[TermKey, Terms]:
    """Return rate and yield of each expiration that is alive: the medians of a few moments."""
    known = styles_of(chain.contracts)
    found: dict[TermKey, list[tuple[float, float]]] = {key: [] for key in board.terms}
    styles = {key: known.get(key.root, exercise_style_of(key.root)) == "A" for key in board.terms}
    roots = np.array([key.root for key in board.terms])
    for number in _spread(len(board.times), TERM_MOMENTS):
        of_moment = np.flatnonzero(board.row_moment == number)
        of_root = roots[board.row_term[of_moment]]
        for root in np.unique(of_root):
            at = of_moment[of_root == root]
            snapshot = quotes[at]
            spot = snapshot["underlying_price"].drop_nulls()
            if spot.is_empty():
                continue
            moment = replace(
                chain, ts=board.times[number], underlying_price=float(spot[0]), quotes=snapshot
            )
            first = board.terms[board.row_term[at[0]]]
            carry = carry_of(
                moment,
                snapshot,
                board.row_years[at],
                dividends,
                american_style=styles[first],
            )
            terms, place = np.unique(board.row_term[at], return_index=True)
            for term, row in zip(terms, place, strict=True):
                told = float(carry.rate[row]), float(carry.dividend_yield[row])
                if np.isfinite(told).all():
                    found[board.terms[term]].append(told)
    stated = DEFAULT_RATE if chain.risk_free_rate is None else chain.risk_free_rate
    expected = stated, chain.dividend_yield or 0.0
    terms_of = {}
    for key, values in found.items():
        rate, paid = np.median(values or [expected], axis=0)
        terms_of[key] = Terms(float(rate), float(paid), american_style=styles[key])
    return terms_of


def _spread(count: int, wanted: int) -> list[int]:
    """Return places of a sequence, evenly spread, the last one among them."""
    return sorted({round((count - 1) * (n + 1) / wanted) for n in range(wanted)})


def _split(board: SessionBoard, quotes: Frame, terms: dict[TermKey, Terms]) -> Iterator[_Term]:
    """Yield the rows of each expiration that have time left."""
    strike, is_call = quotes["strike"].to_numpy(), (quotes["right"] == "C").to_numpy()
    bid, ask = _numbers(quotes["bid"]), _numbers(quotes["ask"])
    order = np.argsort(board.row_term, kind="stable")
    ends = np.searchsorted(board.row_term[order], np.arange(len(board.terms)), side="right")
    for key, rows in zip(board.terms, np.split(order, ends[:-1]), strict=True):
        alive = rows[board.row_years[rows] > 0]
        if not alive.size:
            continue
        moments, minute = np.unique(board.row_moment[alive], return_inverse=True)
        years = board.row_years[alive]
        moment_years = np.empty(moments.size)
        moment_years[minute] = years
        yield _Term(
            terms[key],
            terms[key].pricer(moment_years),
            alive,
            minute,
            years,
            strike[alive],
            is_call[alive],
            bid[alive],
            ask[alive],
            moments,
            moment_years,
            np.full(moments.size, math.nan),
        )


def _with_forward(term: _Term) -> _Term:
    """Return an expiration with the forward of each minute."""
    quotes, terms = _paired(term), term.terms
    usable = usable_pairs(quotes)
    discount = np.exp(-terms.rate * term.moment_years)
    found = session_forwards(quotes, usable, discount)
    if terms.american_style:
        pair = usable & np.isfinite(found.forward)[:, None]
        premium = np.zeros(usable.shape)
        premium[pair] = _premium_gap(term, quotes, pair, found.forward)
        found = session_forwards(quotes, usable & np.isfinite(premium), discount, premium)
    sure = is_sure(found.forward, found.error, found.misfit)
    return term._replace(forward=np.where(sure, found.forward, math.nan))


def _paired(term: _Term) -> PairedQuotes:
    """Return an expiration's quotes as matrices."""
    strikes, column = np.unique(term.strike, return_inverse=True)
    sides = np.full((2, 2, term.moments.size, strikes.size), math.nan)
    side = term.is_call.astype(np.intp)
    for matrix, price in zip(sides, (term.bid, term.ask), strict=True):
        matrix[side, term.minute, column] = price
    return PairedQuotes(strikes, sides[0, 1], sides[1, 1], sides[0, 0], sides[1, 0])


def _premium_gap(
    term: _Term, quotes: PairedQuotes, pair: NDArray[np.bool_], forward: Floats
) -> Floats:
    """Return the early-exercise premium of the call less that of the put, of each pair that counts.

    Both are taken at the volatility of the option out of the money: in the money the price is
    nearly all intrinsic value.
    """
    european = EuropeanPricer(term.terms.rate, term.terms.dividend_yield)
    minute, column = np.nonzero(pair)
    strike = quotes.strike[column]
    market = (forward * term.carry)[minute], strike, term.moment_years[minute]
    call_is_out = strike > forward[minute]
    out = np.where(call_is_out, quotes.call_mid[pair], quotes.put_mid[pair])
    out = np.where(out > _LEAST_TIME_VALUE, out, math.nan)
    vol = term.pricer.implied_volatility(out, *market, is_call=call_is_out).vol
    gap = np.zeros(vol.size)
    for sign, is_call in ((1.0, True), (-1.0, False)):
        gap += sign * term.pricer.price(*market, vol, is_call=is_call)
        gap -= sign * european.price(*market, vol, is_call=is_call)
    return gap


def _common_spots(found: Sequence[_Term], spots: Floats) -> Floats:
    """Return the spot of each moment on which the expirations agree: the median of theirs."""
    told = np.full((max(len(found), 1), spots.size), math.nan)
    for row, each in zip(told, found, strict=False):
        row[each.moments] = each.forward * each.carry
    known = np.isfinite(told).any(axis=0)
    common = spots.copy()
    common[known] = np.nanmedian(told[:, known], axis=0)
    return common


def _price(term: _Term, common: Floats, figures: dict[str, Floats]) -> NDArray[np.int8]:
    """Fill in the figures of an expiration's rows; return the status of each."""
    terms = term.terms
    forward = np.where(np.isfinite(term.forward), term.forward, common[term.moments] / term.carry)
    spot = (forward * term.carry)[term.minute]
    market = spot, term.strike, term.years
    with np.errstate(invalid="ignore"):
        quoted = (term.bid > 0) & (term.ask >= term.bid)
    mid = np.where(quoted, 0.5 * (term.bid + term.ask), math.nan)
    found = term.pricer.implied_volatility(mid, *market, is_call=term.is_call)
    vol, status = found.vol, found.status
    if terms.american_style:
        _solve_beyond(term, spot, mid, vol, status)
    greeks = term.pricer.greeks(*market, vol, is_call=term.is_call)
    beyond = np.flatnonzero(np.isfinite(vol) & np.isnan(greeks.price))
    if beyond.size:
        full = american.greeks(
            spot[beyond],
            term.strike[beyond],
            term.years[beyond],
            terms.rate,
            vol[beyond],
            terms.dividend_yield,
            is_call=term.is_call[beyond],
        )
        for whole, part in zip(greeks, full, strict=True):
            whole[beyond] = part
    at = term.rows
    figures["forward"][at] = forward[term.minute]
    figures["risk_free_rate"][at] = terms.rate
    figures["implied_volatility"][at] = vol
    figures["delta"][at] = greeks.delta
    figures["gamma"][at] = greeks.gamma
    figures["theta_per_day"][at] = greeks.theta / _DAYS_A_YEAR
    figures["vega_per_point"][at] = greeks.vega / 100.0
    figures["rho_per_point"][at] = greeks.rho / 100.0
    return status


def _solve_beyond(
    term: _Term, spot: Floats, mid: Floats, vol: Floats, status: NDArray[np.int8]
) -> None:
    """Solve in place for volatilities above those of the table: far strikes of the last hours."""
    left = np.flatnonzero(status == Status.UNRESOLVED)
    terms = term.terms
    european = EuropeanPricer(terms.rate, terms.dividend_yield)
    some = spot[left], term.strike[left], term.years[left]
    highest = european.price(*some, _HIGHEST_VOL, is_call=term.is_call[left])
    left = left[mid[left] > highest]
    if left.size:
        found = american.implied_volatility(
            mid[left],
            spot[left],
            term.strike[left],
            term.years[left],
            terms.rate,
            terms.dividend_yield,
            is_call=term.is_call[left],
        )
        vol[left], status[left] = found.vol, found.status


def _numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
