"""Option markets with known truth, from nothing but a seed, or from bars and a real chain.

    >>> market = synthetic_market("QQQ", seed=7)
    >>> request = Request(date(2026, 11, 20), date(2026, 11, 20), last_dte=7, interval=30)
    >>> parts = list(generate(market, request))
    >>> parts[0].table, parts[-1].table
    ('option_contracts', 'option_quotes')

A market is a path of the underlying, a clock of variance, a surface that moves with the price, and
a model of spreads (`black_scholes.synthetic`). `generate` turns it into rows of the stored tables,
a piece at a time, so that memory stays small whatever the number of sessions. Rows depend on the
seed, the ticker and their own moment alone: sessions may be made in any order or in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from black_scholes.synthetic.bars import market_through
from black_scholes.synthetic.chains import OptionSession, option_session
from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.market import Market, market_of
from black_scholes.synthetic.names import NOT_OPTIONABLE, is_known
from models.errors import BadSymbol, DataError
from models.tables import (
    EQUITY_BARS,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    OPTION_TRADES,
    frame_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from black_scholes.synthetic.calibration import Calibration
    from black_scholes.synthetic.draws import Floats
    from models.tables import Frame, Table

VERSION = 1
"""Of the generator: rises when the same seed gives other rows."""

SOURCE, ORIGIN = "synthetic", "simulator"

DEFAULT_SEED = 7

_PIECE_ROWS = 250_000
_MINUTE_US = 60_000_000
_FLAGS = "no_bid"
_FIGURES = {
    "iv": "implied_volatility",
    "theta": "theta_per_day",
    "vega": "vega_per_point",
    "rho": "rho_per_point",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What to make of a market.

    Attributes:
        first: First day.
        last: Last day.
        first_dte: Nearest expiration, calendar days ahead.
        last_dte: Farthest expiration.
        interval: Minutes from one snapshot to the next.
        trades: Whether to make every trade too, a million in a session of QQQ.
    """

    first: date
    last: date
    first_dte: int = 0
    last_dte: int = 60
    interval: int = 1
    trades: bool = False

    def sessions(self) -> list[int]:
        """Return the numbers of the sessions, oldest first."""
        numbers = session_numbers()
        days = ((self.last - self.first).days + 1) if self.first <= self.last else 0
        wanted = (self.first + timedelta(days=ahead) for ahead in range(days))
        return [numbers[day] for day in wanted if numbers.get(day, 0) > 0]


class Part(NamedTuple):
    """Some rows of a stored table."""

    table: str
    session: date
    rows: Frame


def synthetic_market(
    ticker: str,
    *,
    seed: int = DEFAULT_SEED,
    bars: Frame | None = None,
    calibration: Calibration | None = None,
) -> Market:
    """Return a market.

    Args:
        ticker: Underlying.
        seed: Of all that is drawn.
        bars: Minute bars of the underlying (ts, open, high, low, close, volume) to run through
            instead of a path of its own.
        calibration: Of a real chain: its surface and its spreads.

    Raises:
        BadSymbol: Nobody lists options on such a ticker.
        DataError: The bars have prices that cannot be, or no session.
    """
    if not is_known(ticker) or ticker in NOT_OPTIONABLE:
        raise BadSymbol(f"{ticker} is no ticker that options can be made for")
    market = market_of(seed, ticker)
    if bars is not None:
        market = market_through(market, bars)
    if calibration is not None:
        market = calibration.applied(market)
    return market


def generate(market: Market, request: Request) -> Iterator[Part]:
    """Make rows: of each session its contracts, bars and trades, then quotes piece by piece.

    Args:
        market: Of one underlying.
        request: Sessions, expirations, interval.

    Raises:
        DataError: The calendar has no session in these days.
    """
    numbers = request.sessions()
    if not numbers:
        raise DataError(f"there is no session from {request.first} to {request.last}")
    for number in numbers:
        yield from session_parts(market, request, number)


def session_parts(market: Market, request: Request, number: int) -> Iterator[Part]:
    """Make the rows of one session; the same whichever others are made before it."""
    session = option_session(market, number)
    if session is None:
        return
    made = _Session(session, request)
    day = all_sessions()[number].day
    for table, rows in (
        (OPTION_CONTRACTS, made.contracts()),
        (EQUITY_BARS, made.bars()),
        *([(OPTION_TRADES, made.trades())] if request.trades else []),
    ):
        if rows.height:
            yield Part(table.name, day, _as_table(rows, table))
    for rows in made.quotes():
        yield Part(OPTION_QUOTES.name, day, _as_table(rows, OPTION_QUOTES))


class _Session:
    """One session's rows of the expirations that are wanted."""

    def __init__(self, session: OptionSession, request: Request) -> None:
        self._session, self._request = session, request
        self._day = all_sessions()[session.number].day
        ahead = session.contracts.frame["expiration"] - self._day
        days = ahead.dt.total_days().to_numpy()
        self._rows = np.flatnonzero((days >= request.first_dte) & (days <= request.last_dte))
        named = session.contracts.frame[self._rows]
        self._named = named.with_columns(
            underlying=pl.lit(session.ticker), session=pl.lit(self._day)
        )

    def contracts(self) -> Frame:
        return self._named.with_columns(first_seen=pl.lit(self._day))

    def bars(self) -> Frame:
        """Return the underlying's minutes, pre- and post-market included."""
        minutes = self._session.minutes
        rows = np.flatnonzero(minutes.bars.traded)
        start = _microseconds(minutes.start)
        return pl.DataFrame(
            {
                "ts": _times(start + rows * _MINUTE_US),
                **{
                    name: getattr(minutes.bars, name)[rows]
                    for name in ("open", "high", "low", "close", "volume")
                },
            }
        ).with_columns(
            underlying=pl.lit(self._session.ticker),
            session=pl.lit(self._day),
            interval=pl.lit("1m"),
        )

    def trades(self) -> Frame:
        """Return every trade of the session, by time."""
        found = self._session.all_trades(self._rows)
        named = self._named[found.row].select("occ_symbol", "underlying", "session")
        rows = named.with_columns(
            ts=_times(np.floor(found.at * _MINUTE_US).astype(np.int64)),
            price=pl.Series(found.price),
            size=pl.Series(found.size),
        ).sort("ts", "occ_symbol", maintain_order=True)
        return rows.with_columns(sequence=pl.int_range(1, pl.len() + 1))

    def quotes(self) -> Iterator[Frame]:
        """Return the snapshots, as many in a piece as keep it small."""
        count = max(_PIECE_ROWS // max(len(self._rows), 1), 1)
        instants = self.instants()
        for begin in range(0, len(instants), count):
            yield pl.concat([self._snapshot(each) for each in instants[begin : begin + count]])

    def instants(self) -> Floats:
        """Return the moments of the snapshots, minutes since 1970 UTC: each interval's end."""
        session = self._session
        end = float(session.contracts.terms.stops.max())
        step = float(self._request.interval)
        return np.arange(session.opens + step, end + 1e-6, step)

    def _snapshot(self, at: float) -> Frame:
        session = self._session
        group = session.contracts.group
        worth, quotes = session.market_at(at)
        rows = self._rows[session.stops[self._rows] >= at]
        group = group[rows]
        named = (
            self._named
            if len(rows) == len(self._rows)
            else self._named[np.searchsorted(self._rows, rows)]
        )
        has_bid = quotes.bid[rows] > 0
        bid = np.where(has_bid, quotes.bid[rows], np.nan)
        ask = quotes.ask[rows]
        spot, forward, _, years = worth.states[:4]
        moment = round(at * _MINUTE_US)
        figures = session.figures(worth, at, rows).rename(_FIGURES)
        return named.with_columns(
            pl.Series("bid", bid).fill_nan(None),
            pl.Series("ask", ask),
            pl.Series("mark", np.round((quotes.bid[rows] + ask) / 2, 4)),
            pl.Series("bid_size", quotes.bid_size[rows].astype(np.int32)),
            pl.Series("ask_size", quotes.ask_size[rows].astype(np.int32)),
            pl.Series("volume", session.volume_at(at, rows)),
            pl.Series("open_interest", session.flow.open_interest[rows]),
            pl.Series("underlying_price", spot[group]),
            pl.Series("forward", forward[group]),
            pl.Series("year_fraction", years[group]),
            pl.Series("risk_free_rate", session.contracts.terms.rate[group]),
            *figures,
            figures["implied_volatility"].alias("source_implied_volatility"),
            figures["delta"].alias("source_delta"),
            pl.when(figures["implied_volatility"].is_null())
            .then(pl.lit("expired"))
            .otherwise(pl.lit("ok"))
            .alias("implied_volatility_status"),
            pl.when(pl.Series(has_bid)).then(None).otherwise(pl.lit(_FLAGS)).alias("flags"),
            _one_time("ts", moment),
            _one_time("quote_at", moment),
        )


def _microseconds(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def _times(microseconds: NDArray[np.int64]) -> pl.Series:
    return pl.Series(microseconds).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _one_time(name: str, microseconds: int) -> pl.Expr:
    return pl.lit(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).alias(
        name
    )


def _as_table(rows: Frame, table: Table) -> Frame:
    """Return rows with all columns of a table in its types; what is not known is null."""
    constant = {"source": SOURCE, "origin": ORIGIN}
    return rows.select(
        (
            pl.lit(constant[name])
            if name in constant
            else pl.col(name)
            if name in rows.columns
            else pl.lit(None)
        )
        .cast(kind)
        .alias(name)
        for name, kind in frame_schema(table).items()
    )
