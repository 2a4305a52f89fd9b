"""Who is asked for a partition, in order: each source says what it has, and why it lacks the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from models.errors import DataError
from models.tables import OPTION_BARS, OPTION_QUOTES, OPTION_TRADES, Table, frame_schema
from pipeline import plan
from pipeline.datasets import BARS, CHAIN, DAILY, MINUTE_QUOTES, OPTION_MINUTES, TRADES
from pipeline.dividends import dividends_after, expected_dividends
from pipeline.history import plain_contracts
from pipeline.plan import AFTER_CLOSE
from pipeline.splits import as_traded
from pipeline.stages import Extracted, slot_of
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from models.tables import Frame
    from pipeline.datasets import Dataset
    from pipeline.dividends import CashDividend
    from pipeline.plan import Window
    from pipeline.splits import SplitBook
    from ports.market_data import HistoricOptions, MarketData
    from utils.clock import Clock

_DAILY_BARS: Final = timedelta(days=45)
_DAY_BEFORE: Final = timedelta(days=6)
_DIVIDEND_YEARS: Final = timedelta(days=370)


class PartSource(Protocol):
    """A source of partitions."""

    @property
    def name(self) -> str:
        """For people: schwab, polygon, flat_files or synthetic."""
        ...

    @property
    def source(self) -> str:
        """As in `models.tables.SOURCES`: what its rows are stamped with."""
        ...

    @property
    def made_from(self) -> str:
        """As in `clients.lake_writer.MADE_FROM`: rest costs a request, a flat file a download."""
        ...

    def lacks(self, what: Dataset, session: date) -> str | None:
        """Return why it does not have a dataset of a session; None where it has it."""
        ...

    def extract(
        self, what: Dataset, ticker: str, sessions: Sequence[date], window: Window
    ) -> dict[date, Extracted]:
        """Ask once for sessions that lie near each other, and return what came of each.

        Args:
            what: The dataset.
            ticker: Underlying.
            sessions: Oldest first; several only where the dataset's `a_request` allows.
            window: Expirations, in days ahead of each session.

        Raises:
            ProviderError: The service failed.
            AuthError: It refuses us.
            DataError: What it sent is no data.
        """
        ...


class MarketSource:
    """A market-data service behind the ports.

    Args:
        market: For bars and chains of the present.
        history: For the past of options; None where the service does not know it.
        clock: The market's time.
        splits: Who knows them; None where nobody does.
        adjusts: Whether the service's bars are in the shares of the day on which it is asked.
    """

    made_from = "rest"

    def __init__(
        self,
        market: MarketData,
        history: HistoricOptions | None,
        clock: Clock,
        *,
        splits: SplitBook | None = None,
        adjusts: bool = False,
    ) -> None:
        self._market = market
        self._history = history
        self._clock = clock
        self._splits = splits
        self._adjusts = adjusts

    @property
    def name(self) -> str:
        """The service's."""
        return self._market.source

    @property
    def source(self) -> str:
        """The service's."""
        return self._market.source

    def lacks(self, what: Dataset, session: date) -> str | None:
        """Return why it does not have a dataset of a session, as the port says."""
        if what.kind in {BARS, DAILY}:
            return None
        if what.kind == CHAIN:
            present = market_calendar.last_session(self._clock()).day
            if session == present:
                return None
            return f"{self.name} has chains of the present alone, not of {session}"
        return None if self._history else f"{self.name} does not know the past of options"

    def extract(
        self, what: Dataset, ticker: str, sessions: Sequence[date], window: Window
    ) -> dict[date, Extracted]:
        """Ask the service, as the port says."""
        if what.kind in {BARS, DAILY}:
            return self._bars(what, ticker, sessions)
        if what.kind == CHAIN:
            return {day: self._chain(ticker, day, window) for day in sessions}
        if self._history is None:
            raise DataError(f"{self.name} does not know the past of options")
        return {day: self._past(self._history, what, ticker, day, window) for day in sessions}

    def _bars(self, what: Dataset, ticker: str, sessions: Sequence[date]) -> dict[date, Extracted]:
        now = self._clock()
        slots = [slot_of(what, day) for day in sessions]
        end = slots[-1].until(now)
        # A daily bar is judged beside the one before it.
        start = slots[0].start - (_DAY_BEFORE if what.kind == DAILY else timedelta(0))
        rows, splits = self._as_traded(ticker, start, end, slots[0].interval)
        sent = Extracted(self.source, self.made_from, now, rows, splits=splits)
        return dict.fromkeys(sessions, sent)

    def _as_traded(
        self, ticker: str, start: datetime, end: datetime, interval: str
    ) -> tuple[Frame, Frame | None]:
        """Return bars as they were traded, and the splits that are known."""
        now = self._clock()
        rows = self._market.bars(ticker, start, end, interval)
        splits = self._splits.of(ticker) if self._splits else None
        if self._adjusts and splits is not None:
            rows = as_traded(rows, splits, now)
        return rows, splits

    def _chain(self, ticker: str, session: date, window: Window) -> Extracted:
        now = plan.snapshot_time(self._clock())
        today = now.astimezone(market_calendar.NEW_YORK).date()
        first, last = (today + timedelta(days=days) for days in (window.first, window.last))
        chain = self._market.option_chain(ticker, first, last, now=now)
        known = self._market.underlyings([ticker], now=now)
        coming = expected_dividends(known, ticker, today)
        return Extracted(
            self.source,
            self.made_from,
            now,
            chain.quotes.with_columns(session=pl.lit(session)),
            contracts=chain.contracts,
            dividends=tuple(coming),
            chain=chain,
        )

    def _past(
        self, history: HistoricOptions, what: Dataset, ticker: str, day: date, window: Window
    ) -> Extracted:
        now = plan.snapshot_time(self._clock())
        contracts = plain_contracts(history, ticker, day, window)
        if contracts.is_empty():
            first, last = window.first, window.last
            raise DataError(
                f"{self.name} lists no option of {ticker} on {day} that expires in {first} to {last} days"
            )
        symbols = contracts["occ_symbol"].to_list()
        if what.kind == MINUTE_QUOTES:
            rows = self._stamped(
                _joined(OPTION_QUOTES, history.minute_quotes(symbols, day)), ticker, day
            )
        elif what.kind == OPTION_MINUTES:
            rows = _joined(OPTION_BARS, history.minute_bars(symbols, day))
        else:
            rows = _joined(OPTION_TRADES, history.trades(symbols, day))
        sent = Extracted(
            self.source,
            self.made_from,
            now,
            rows.with_columns(underlying=pl.lit(ticker)),
            contracts=contracts,
        )
        if what.kind == TRADES:
            return sent
        priced = replace(
            sent,
            bars=session_bars(self._market, ticker, day),
            dividends=tuple(dividends_of(history, ticker, day)),
        )
        if what.kind == OPTION_MINUTES:
            return priced
        # The daily bars that a volatility of the past needs.
        close = market_calendar.session(day).close
        daily, _ = self._as_traded(ticker, close - _DAILY_BARS, close, "1d")
        splits = history.splits(ticker, day - _DAILY_BARS, day)
        return replace(priced, daily=daily, splits=splits)

    def _stamped(self, rows: Frame, ticker: str, day: date) -> Frame:
        return rows.with_columns(
            underlying=pl.lit(ticker),
            session=pl.lit(day),
            source=pl.lit(self.source),
            origin=pl.lit(self._market.origin),
        )


def session_bars(market: MarketData, ticker: str, day: date) -> Frame:
    """Return the underlying's minute bars of a session, as long as its options trade."""
    session = market_calendar.session(day)
    return market.bars(ticker, session.open, session.close + AFTER_CLOSE, "1m")


def dividends_of(history: HistoricOptions, ticker: str, day: date) -> list[CashDividend]:
    """Return the dividends after a day of the past."""
    # What is known a year later is known for good: the same rows whenever it is asked.
    paid = history.dividends(ticker, day - _DIVIDEND_YEARS, day + _DIVIDEND_YEARS)
    return dividends_after(paid, day)


def _joined(table: Table, pieces: Iterator[tuple[str, Frame]]) -> Frame:
    """Return the rows of many contracts; each piece is let go as soon as it is copied."""
    schema = frame_schema(table)
    kept = [rows for _, rows in pieces if not rows.is_empty()]
    if not kept:
        names = ("ts", "occ_symbol", "session")
        return pl.DataFrame(schema={name: schema[name] for name in names})
    return pl.concat(kept)
