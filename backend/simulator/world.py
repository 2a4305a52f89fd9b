"""What a simulated market must be able to tell; the servers stand on this alone.

Two worlds implement it: `simulator.recorded` (real sessions from files) and `simulator.generated`
(any ticker, by a seeded process). Every answer depends on its arguments only: the same question
gets the same answer in any order, in any process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import polars as pl

from black_scholes.synthetic.schema import TIME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from black_scholes.synthetic.schema import Dividend
    from simulator.option_tape import OptionTape

BAR_SCHEMA: dict[str, pl.DataType] = {
    "ts": TIME,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Int64(),
}
"""Columns of `World.bars`: `ts` is the bar's start (of a daily bar the session's open, of a weekly
or monthly bar the open of its first session), prices in USD, volume in shares."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split: from `ex_date` on, `split_from` shares are `split_to`."""

    ex_date: date
    split_to: float
    split_from: float


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is known of an underlying, whatever the time.

    Attributes:
        symbol: As users spell it: QQQ, BRK.B, SPX (no $).
        description: Its name.
        cusip: Nine characters; empty for an index.
        exchange: Letter of the listing exchange: Q Nasdaq, N NYSE, P NYSE Arca, 0 index.
        exchange_name: Its name: NASDAQ, NYSE, NYSE Arca, Index.
        asset_type: EQUITY (a single company), ETF or INDEX.
        optionable: Whether options are listed on it.
        dividends_a_year: Payments a year, 0 for none.
        dividends: All cash dividends that the world knows, past and future, by ex-date.
        splits: All splits that the world knows, by ex-date.
    """

    symbol: str
    description: str
    cusip: str
    exchange: str
    exchange_name: str
    asset_type: Literal["EQUITY", "ETF", "INDEX"]
    optionable: bool = True
    dividends_a_year: int = 0
    dividends: tuple[Dividend, ...] = ()
    splits: tuple[Split, ...] = ()

    def last_dividend(self, day: date) -> Dividend | None:
        """Return the newest dividend whose ex-date is `day` or earlier."""
        return next((paid for paid in reversed(self.dividends) if paid.ex_date <= day), None)

    def next_dividend(self, day: date) -> Dividend | None:
        """Return the first dividend whose ex-date is after `day`."""
        return next((due for due in self.dividends if due.ex_date > day), None)


@dataclass(frozen=True, slots=True)
class UnderlyingQuote:
    """An underlying at one moment. Prices in USD, sizes and volumes in shares.

    Attributes:
        symbol: As in `Instrument`.
        bid: None where nobody bids (an index has neither side).
        ask: None where nobody offers.
        last: Last trade, extended hours included; of an index its level.
        bid_size: Shares.
        ask_size: Shares.
        last_size: Shares of the last trade.
        volume: Of this session so far, extended hours included.
        open: First regular trade of the session; before it opens None.
        high: Of the session so far; before it opens None.
        low: Of the session so far; before it opens None.
        close: Regular close of the previous session.
        regular_last: Last regular trade: of this session, before its open of the previous one.
        regular_last_size: Shares of that trade.
        high_52_week: Of the 52 weeks before `quote_at`, this session included.
        low_52_week: The same.
        average_volume_10_days: Shares a session.
        average_volume_1_year: Shares a session.
        quote_at: Time of bid and ask, UTC.
        trade_at: Time of `last`, UTC.
        regular_trade_at: Time of `regular_last`, UTC.
    """

    symbol: str
    bid: float | None
    ask: float | None
    last: float
    bid_size: int
    ask_size: int
    last_size: int
    volume: int
    open: float | None
    high: float | None
    low: float | None
    close: float
    regular_last: float
    regular_last_size: int
    high_52_week: float
    low_52_week: float
    average_volume_10_days: float
    average_volume_1_year: float
    quote_at: datetime
    trade_at: datetime
    regular_trade_at: datetime

    @property
    def mark(self) -> float:
        """Mid of bid and ask; the last trade where a side is missing."""
        if self.bid is None or self.ask is None:
            return self.last
        return (self.bid + self.ask) / 2


class World(Protocol):
    """A market at any moment of its time. `now` and every other time is aware."""

    @property
    def name(self) -> str:
        """Either generated or recorded."""
        ...

    @property
    def origin(self) -> str:
        """What rows from this world carry in their `origin` column: simulator or recorded."""
        ...

    def tickers(self) -> Sequence[str]:
        """Return the known tickers, sorted; the generated world accepts others too."""
        ...

    def instrument(self, ticker: str) -> Instrument | None:
        """Return what is known of this ticker, or None where nobody knows it."""
        ...

    def default_start(self, now: datetime) -> datetime:
        """Return where a replay starts when nobody said: a session's open with data, UTC.

        Args:
            now: The wall's time.
        """
        ...

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
        """Return the bars that start in [start, end), as `BAR_SCHEMA`, as traded, oldest first.

        `end` is also the knowledge of the asker: of a bar that is still forming at `end` only what
        had happened by then is told, so never pass an `end` after the market's now.

        Args:
            ticker: A known ticker; the frame is empty for others.
            start: First bar start.
            end: End of the range.
            interval: "1m" (pre- and post-market included), "1d", "1w" or "1mo" (regular session).
        """
        ...

    def quote(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        """Return the quote as it stands at `now`: outside trading hours the last one.

        None for an unknown ticker, or where the world has no data of the session `now` belongs to.
        """
        ...

    def chain(
        self, ticker: str, now: datetime, first_expiration: date, last_expiration: date
    ) -> pl.DataFrame:
        """Return the chain as it stands at `now`, as `black_scholes.synthetic.schema.CHAIN_SCHEMA`; outside trading hours the last.

        Expired contracts are not in it: an expiration is listed until the end of its day, New York.

        Args:
            ticker: A known ticker; the frame is empty for others.
            now: Market time.
            first_expiration: First expiration wanted.
            last_expiration: Last expiration wanted, inclusive.
        """
        ...

    def tape(self, ticker: str, day: date) -> OptionTape | None:
        """Return the options tape of a session, past and future of it; None where there is none.

        Who serves it tells of it what had happened by the market's now, no more.
        """
        ...

    def interest_rate(self, now: datetime) -> float:
        """Return the short risk-free rate, continuous, a year: 0.04 = 4 %."""
        ...
