"""Polygon as a source of options' past: `ports.market_data.HistoricOptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from models.option_columns import occ_to_polygon
from polygon_integration.historic_options import (
    WORKERS,
    contracts_as_of,
    download_dividends,
    download_option_bars,
    download_option_trades,
    download_splits,
    option_quotes,
    side_by_side,
)
from utils.market_calendar import session as session_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from models.tables import Frame
    from polygon_integration.client import PolygonClient
    from polygon_integration.parse import Page

_NS_OF_MINUTE = 60_000_000_000
_US = pl.Datetime("us", "UTC")


class PolygonHistory:
    """The past of options by Polygon's REST API; several contracts are asked at the same time.

    Args:
        client: Whom to ask; whoever made it closes it.
        origin: live, or what the server at the other end is: simulator or recorded.
        workers: Requests at the same time.
    """

    def __init__(
        self, client: PolygonClient, *, origin: str = "live", workers: int = WORKERS
    ) -> None:
        self._client = client
        self._origin = origin
        self._workers = workers

    def contracts(self, ticker: str, day: date, first: date, last: date) -> Frame:
        """Return what stood on a day; see `contracts_as_of`."""
        return contracts_as_of(self._client, ticker, day, first, last, origin=self._origin)

    def minute_quotes(
        self, occ_symbols: Sequence[str], session: date
    ) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, the quotes that end its minutes), as the port says."""

        def one(occ_symbol: str) -> tuple[str, Frame]:
            found = quotes_of_minutes(option_quotes(self._client, occ_symbol, session))
            named = found.with_columns(occ_symbol=pl.lit(occ_symbol))
            return occ_symbol, named.select("occ_symbol", *found.columns)

        yield from side_by_side(one, occ_symbols, self._workers)

    def minute_bars(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, its minute bars); see `download_option_bars`."""
        day = session_of(session)
        yield from download_option_bars(
            self._client,
            occ_symbols,
            day.open,
            day.close,
            "1m",
            origin=self._origin,
            workers=self._workers,
        )

    def trades(self, occ_symbols: Sequence[str], session: date) -> Iterator[tuple[str, Frame]]:
        """Yield (OCC symbol, its trades); see `download_option_trades`."""

        def one(occ_symbol: str) -> tuple[str, Frame]:
            found = download_option_trades(self._client, occ_symbol, session, origin=self._origin)
            return occ_symbol, found

        yield from side_by_side(one, occ_symbols, self._workers)

    def dividends(self, ticker: str, first: date, last: date) -> Frame:
        """Return cash dividends; see `download_dividends`."""
        return download_dividends(self._client, ticker, first, last, origin=self._origin)

    def splits(self, ticker: str, first: date, last: date) -> Frame:
        """Return splits; see `download_splits`."""
        return download_splits(self._client, ticker, first, last, origin=self._origin)


def polygon_symbol(occ_symbol: str) -> str:
    """Return Polygon's spelling of an OCC symbol."""
    return str(occ_to_polygon(pl.Series([occ_symbol])).item())


def quotes_of_minutes(pages: Iterable[Page]) -> Frame:
    """Return the last quote of each minute in which one was set, oldest first.

    A minute begins after its start and ends with its end: what is set at 10:31:00.000 is how 10:31
    ends. Only one page is held at a time, however many quotes a contract has.

    Args:
        pages: Of `columns.quotes`, oldest first.

    Returns:
        ts (the minute's end, UTC), bid, ask, bid_size, ask_size, quote_at.
    """
    kept = [_last_of_minutes(page.frame) for page in pages]
    last = pl.concat(kept).unique("ts", keep="last", maintain_order=True)
    return last.sort("ts")


def _last_of_minutes(quotes: Frame) -> Frame:
    end_ns = -(-pl.col("time_ns") // _NS_OF_MINUTE) * _NS_OF_MINUTE
    return (
        quotes.sort("time_ns", "sequence", maintain_order=True)
        .with_columns(
            ts=(end_ns // 1000).cast(_US),
            quote_at=(pl.col("time_ns") // 1000).cast(_US),
        )
        .unique("ts", keep="last", maintain_order=True)
        .select("ts", "bid", "ask", "bid_size", "ask_size", "quote_at")
    )
