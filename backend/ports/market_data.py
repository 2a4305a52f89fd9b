"""What the product asks of a market-data service."""

from collections.abc import Iterator, Sequence
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


class HistoricOptions(Protocol):
    """A source that also knows the past of options, contract by contract.

    Not every market-data service does: Schwab has chains of the present alone. Errors and stamps
    are those of `MarketData`.
    """

    def contracts(self, ticker: str, day: date, first: date, last: date) -> Frame:
        """Return what stood on a day with expirations in [first, last], as `OPTION_CONTRACTS`."""
        ...

    def minute_quotes(
        self, occ_symbols: Sequence[str], session: date
    ) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, its quotes of a session), in the order of the symbols.

        Columns are occ_symbol, ts, bid, ask, bid_size, ask_size, quote_at: of each minute in which
        the quote was set, how it stood at the minute's end `ts`.
        """
        ...

    def minute_bars(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, its bars of one minute), as `OPTION_BARS` without computed columns."""
        ...

    def trades(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, its trades of a session), as `OPTION_TRADES`."""
        ...

    def dividends(self, ticker: str, first: date, last: date) -> Frame:
        """Return cash dividends with ex-dates in [first, last], as `DIVIDENDS`."""
        ...

    def splits(self, ticker: str, first: date, last: date) -> Frame:
        """Return splits with ex-dates in [first, last], as `SPLITS`."""
        ...
