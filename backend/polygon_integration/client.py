"""One method for each endpoint of Polygon's REST API that the product asks, typed in and out.

Lists come page by page, as iterators: a page is a frame of the house's columns and the place of the
next page, without the key, so that a long download can be written down and taken up again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar
from urllib.parse import parse_qsl, quote

from models.errors import BadReply, DataError
from polygon_integration import parse
from polygon_integration.config import PROVIDER, PolygonSettings
from polygon_integration.limits import rest_limiter
from polygon_integration.refusals import refusal
from polygon_integration.replies import (
    Code,
    Contract,
    ContractSnapshot,
    Holiday,
    MarketStatus,
    Result,
    Results,
    Snapshot,
    TickerDetails,
)
from utils.http import HttpSession, Patience, Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from types import TracebackType

    from polygon_integration.parse import Listing, Page
    from utils.rate_limit import Limiter

_log = logging.getLogger(__name__)

Timespan = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]

MOST_CONTRACTS: Final = 1000
MOST_AGGREGATES: Final = 50_000
"""Base aggregates (minutes or days) behind one page, whatever the bars' length."""
MOST_TICKS: Final = 50_000
MOST_SNAPSHOTS: Final = 250

R = TypeVar("R")


class PolygonClient:
    """Polygon's (Massive's) REST API. Threads may share it.

    Every method raises `TradingError` kinds alone: `AuthError` for a wrong key, `NotEntitled` for
    what the plan lacks, `RateLimited`, `Unavailable`, `NotFound`, `BadReply`, `ProviderError` for
    what the service answers. Reads are retried; the key travels in a header and in no URL.

    Args:
        settings: Where Polygon is and who we are.
        limiter: Shared by all programs of the key; made from the settings by default.
        patience: How long to wait and how often to ask.

    Raises:
        ConfigError: The key is missing, or the base URL or certificate file cannot be used.
    """

    def __init__(
        self,
        settings: PolygonSettings,
        *,
        limiter: Limiter | None = None,
        patience: Patience | None = None,
    ) -> None:
        service = Service(
            settings.base_url,
            PROVIDER,
            ca_file=settings.ca_file,
            headers={"authorization": f"Bearer {settings.key()}"},
            check=refusal,
        )
        limited = limiter or rest_limiter(settings)
        self._session = HttpSession(service, limiter=limited, patience=patience)

    def contracts(  # noqa: PLR0913 - the endpoint's own
        self,
        underlying: str,
        *,
        as_of: date | None = None,
        expired: bool = False,
        first: date | None = None,
        last: date | None = None,
        start_at: str | None = None,
    ) -> Iterator[Page]:
        """Yield option contracts, by ticker; see `columns.contracts`.

        Args:
            underlying: Polygon's ticker of it, as QQQ or SPX (without `I:`).
            as_of: List those that stood on this day; None means today.
            expired: List the expired ones in place of the living; never with `as_of`, whose
                meaning together nobody documents.
            first: First expiration.
            last: Last expiration.
            start_at: `Page.next_page` to go on from.

        Raises:
            DataError: `as_of` and `expired` together.
        """
        if expired and as_of:
            raise DataError("ask for contracts as of a day, or for expired ones, not for both")
        params = {
            "underlying_ticker": underlying,
            "expired": "true" if expired else "false",
            "limit": str(MOST_CONTRACTS),
            "sort": "ticker",
            "order": "asc",
            **_day("as_of", as_of),
            **_day("expiration_date.gte", first),
            **_day("expiration_date.lte", last),
        }
        return self._pages("/v3/reference/options/contracts", params, parse.CONTRACTS, start_at)

    def contract(self, ticker: str, *, as_of: date | None = None) -> Contract:
        """Return the terms of one contract, dead or alive."""
        path = f"/v3/reference/options/contracts/{quote(ticker)}"
        return self._one(path, _day("as_of", as_of), Contract)

    def aggregates(  # noqa: PLR0913 - the endpoint's own
        self,
        ticker: str,
        start: date | int,
        end: date | int,
        timespan: Timespan,
        *,
        multiplier: int = 1,
        adjusted: bool = True,
        start_at: str | None = None,
    ) -> Iterator[Page]:
        """Yield bars, oldest first; see `columns.aggregates`. Without trades there is no bar.

        Args:
            ticker: As QQQ, I:SPX or O:QQQ251219C00500000.
            start: Day, or milliseconds since 1970 UTC.
            end: The same; of a day the whole day belongs to it.
            timespan: Length of a bar together with `multiplier`.
            multiplier: How many timespans a bar has.
            adjusted: For splits.
            start_at: `Page.next_page` to go on from.
        """
        path = (
            f"/v2/aggs/ticker/{quote(ticker)}/range/{multiplier}/{timespan}/{_edge(start)}/"
            f"{_edge(end)}"
        )
        params = {
            "adjusted": "true" if adjusted else "false",
            "sort": "asc",
            "limit": str(MOST_AGGREGATES),
        }
        return self._pages(path, params, parse.AGGREGATES, start_at)

    def trades(
        self, ticker: str, start_ns: int, end_ns: int, *, start_at: str | None = None
    ) -> Iterator[Page]:
        """Yield trades with start_ns <= time < end_ns, oldest first; see `columns.trades`."""
        params = _ticks(start_ns, end_ns)
        return self._pages(f"/v3/trades/{quote(ticker)}", params, parse.TRADES, start_at)

    def quotes(
        self, ticker: str, start_ns: int, end_ns: int, *, start_at: str | None = None
    ) -> Iterator[Page]:
        """Yield quotes with start_ns <= time < end_ns, oldest first; see `columns.quotes`."""
        params = _ticks(start_ns, end_ns)
        return self._pages(f"/v3/quotes/{quote(ticker)}", params, parse.QUOTES, start_at)

    def chain(
        self,
        underlying: str,
        *,
        first: date | None = None,
        last: date | None = None,
        start_at: str | None = None,
    ) -> Iterator[Page]:
        """Yield the chain of an underlying as it stands now; see `columns.chain`.

        Args:
            underlying: Polygon's ticker of it: QQQ, I:SPX.
            first: First expiration.
            last: Last expiration.
            start_at: `Page.next_page` to go on from.
        """
        params = {
            "limit": str(MOST_SNAPSHOTS),
            "sort": "ticker",
            "order": "asc",
            **_day("expiration_date.gte", first),
            **_day("expiration_date.lte", last),
        }
        return self._pages(
            f"/v3/snapshot/options/{quote(underlying)}", params, parse.CHAIN, start_at
        )

    def contract_snapshot(self, underlying: str, ticker: str) -> ContractSnapshot:
        """Return one contract as it stands now."""
        path = f"/v3/snapshot/options/{quote(underlying)}/{quote(ticker)}"
        return self._one(path, {}, ContractSnapshot)

    def snapshots(self, tickers: Sequence[str]) -> list[Snapshot]:
        """Return any tickers as they stand now; an unknown one has an `error`."""
        found: list[Snapshot] = []
        for n in range(0, len(tickers), MOST_SNAPSHOTS):
            some = ",".join(tickers[n : n + MOST_SNAPSHOTS])
            params = {"ticker.any_of": some, "limit": str(MOST_SNAPSHOTS)}
            found += self._read("/v3/snapshot", params, Results[Snapshot]).results
        return found

    def splits(
        self, ticker: str, *, first: date | None = None, last: date | None = None
    ) -> Iterator[Page]:
        """Yield the splits of an underlying, oldest first; see `columns.splits`."""
        params = {
            "ticker": ticker,
            "limit": "1000",
            "sort": "execution_date",
            "order": "asc",
            **_day("execution_date.gte", first),
            **_day("execution_date.lte", last),
        }
        return self._pages("/v3/reference/splits", params, parse.SPLITS, None)

    def dividends(
        self, ticker: str, *, first: date | None = None, last: date | None = None
    ) -> Iterator[Page]:
        """Yield the dividends of an underlying, oldest first; see `columns.dividends`."""
        params = {
            "ticker": ticker,
            "limit": "1000",
            "sort": "ex_dividend_date",
            "order": "asc",
            **_day("ex_dividend_date.gte", first),
            **_day("ex_dividend_date.lte", last),
        }
        return self._pages("/v3/reference/dividends", params, parse.DIVIDENDS, None)

    def ticker(self, ticker: str, *, on: date | None = None) -> TickerDetails:
        """Return what an underlying is, or was on a day."""
        return self._one(f"/v3/reference/tickers/{quote(ticker)}", _day("date", on), TickerDetails)

    def market_status(self) -> MarketStatus:
        """Return whether markets are open, and the service's clock."""
        return self._read("/v1/marketstatus/now", {}, MarketStatus)

    def holidays(self) -> list[Holiday]:
        """Return the coming holidays and short days."""
        return self._read("/v1/marketstatus/upcoming", {}, list[Holiday])

    def exchanges(self, asset_class: str = "options") -> list[Code]:
        """Return the exchange codes of trades and quotes."""
        params = {"asset_class": asset_class}
        return self._read("/v3/reference/exchanges", params, Results[Code]).results

    def conditions(self, asset_class: str = "options") -> list[Code]:
        """Return the condition codes of trades."""
        params = {"asset_class": asset_class, "limit": "1000"}
        return self._read("/v3/reference/conditions", params, Results[Code]).results

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pages(
        self, path: str, params: Mapping[str, str], listing: Listing[Any], start_at: str | None
    ) -> Iterator[Page]:
        """Follow `next_url` until there is none; its host is not ours to trust, its path is."""
        place = start_at
        while True:
            if place:
                path, params = _place(place)
            page = parse.parse_page(self._session.get(path, params).body, listing, path)
            if page.next_page is not None and page.next_page == place:
                message = f"polygon's next page of {path} is the same page again"
                raise BadReply(message, provider=PROVIDER, field="next_url")
            yield page
            if page.next_page is None:
                return
            place = page.next_page

    def _one(self, path: str, params: Mapping[str, str], kind: type[R]) -> R:
        return self._read(path, params, Result[kind]).results  # type: ignore[valid-type]

    def _read(self, path: str, params: Mapping[str, str], kind: type[R]) -> R:
        return parse.parse_reply(self._session.get(path, params).body, kind, path)


def _place(place: str) -> tuple[str, dict[str, str]]:
    path, _, query = place.partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))


def _day(name: str, day: date | None) -> dict[str, str]:
    return {} if day is None else {name: day.isoformat()}


def _edge(edge: date | int) -> str:
    return str(edge) if isinstance(edge, int) else edge.isoformat()


def _ticks(start_ns: int, end_ns: int) -> dict[str, str]:
    return {
        "timestamp.gte": str(start_ns),
        "timestamp.lt": str(end_ns),
        "order": "asc",
        "sort": "timestamp",
        "limit": str(MOST_TICKS),
    }
