"""What the product asks of a market-data service."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from models.options import OptionChain
from models.tables import Frame


class MarketData(Protocol):
    """A source of market data, asked synchronously.

    Frames come without gaps filled and without quality checks: as the service sent them, in the
    columns of `models.tables`, each row stamped with `source` and `origin`.

    Every method raises `ProviderError` (or one of its kinds) when the service fails and
    `AuthError` when it refuses us; an unknown ticker is `NotFound`.
    """

    @property
    def source(self) -> str:
        """Name of the service: schwab or polygon."""
        ...

    @property
    def origin(self) -> str:
        """live, simulator or recorded: set once, where the client is wired."""
        ...

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> Frame:
        """Return the bars that start in [start, end), as columns of `EQUITY_BARS`, oldest first.

        Args:
            ticker: Underlying, as SPX or QQQ.
            start: Aware time.
            end: Aware time.
            interval: 1m, 5m, 10m, 15m, 30m, 1d or 1w.
        """
        ...

    def option_chain(self, ticker: str, first: date, last: date, *, now: datetime) -> OptionChain:
        """Return the chain of all expirations in [first, last] as it stands now.

        Args:
            ticker: Underlying.
            first: First expiration.
            last: Last expiration.
            now: The market's time, which stamps the snapshot.
        """
        ...

    def quotes(self, tickers: Sequence[str]) -> Frame:
        """Return the newest quote of each ticker, as columns of `EQUITY_QUOTES`."""
        ...

    def underlyings(self, tickers: Sequence[str], *, now: datetime) -> Frame:
        """Return what the service knows of each ticker, as columns of `UNDERLYINGS`."""
        ...
