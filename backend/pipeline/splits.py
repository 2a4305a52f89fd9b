"""Splits of shares: bars are kept as they were traded, and put into the shares of one session.

Schwab serves candles in the shares of the day on which they are asked for, so that what was stored
before a split and after it would not fit together; flat files and Polygon's bars (adjusted=false) are
as traded, and so are the strikes of options. The database has one price of one minute, whenever it was
asked for: the one that was traded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import NotEntitled
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from datetime import date, datetime

    from models.tables import Frame
    from ports.market_data import HistoricOptions
    from utils.clock import Clock

_PRICES: Final = ("open", "high", "low", "close", "vwap")


class SplitBook:
    """The splits of tickers, asked for once a ticker and market day.

    Args:
        history: Who knows them.
        clock: The market's time.
        first: The oldest ex-date that is wanted.
    """

    def __init__(self, history: HistoricOptions, clock: Clock, first: date) -> None:
        self._history, self._clock, self._first = history, clock, first
        self._known: dict[tuple[str, date], Frame] = {}

    def of(self, ticker: str) -> Frame | None:
        """Return rows of `SPLITS` up to the market's day; None where the plan does not tell them.

        Raises:
            ProviderError: The service failed.
            AuthError: It refuses us.
        """
        today = self._clock().astimezone(NEW_YORK).date()
        if (ticker, today) not in self._known:
            try:
                found = self._history.splits(ticker, self._first, today)
            except NotEntitled:
                return None
            self._known[ticker, today] = found
        return self._known[ticker, today]


def as_traded(bars: Frame, splits: Frame, asked_at: datetime) -> Frame:
    """Return bars with the prices and volumes of their own day.

    Args:
        bars: In the shares of `asked_at`: session, prices, volume.
        splits: Rows of `SPLITS`.
        asked_at: Market time.
    """
    return _scaled(bars, splits, asked_at.astimezone(NEW_YORK).date(), sign=1)


def in_shares_of(session: date, bars: Frame, splits: Frame) -> Frame:
    """Return bars with prices and volumes in the shares of a session.

    Args:
        session: Not before any of the bars.
        bars: As they were traded: session, prices, volume.
        splits: Rows of `SPLITS`.
    """
    return _scaled(bars, splits, session, sign=-1)


def _scaled(bars: Frame, splits: Frame, until: date, *, sign: int) -> Frame:
    """Return prices times what the splits after each session, up to `until`, make of a share."""
    ratio = pl.lit(1.0)
    relevant = splits.filter(pl.col("ex_date") <= until)
    for ex_date, old, new in relevant.select("ex_date", "split_from", "split_to").iter_rows():
        change = (float(new) / float(old)) ** sign
        ratio = ratio * pl.when(pl.col("session") < ex_date).then(change).otherwise(1.0)
    if relevant.is_empty() or bars.is_empty():
        return bars
    prices = [(pl.col(name) * ratio).round(4) for name in _PRICES if name in bars.columns]
    volume = (pl.col("volume") / ratio).round().cast(bars.schema["volume"])
    return bars.with_columns(*prices, volume)
