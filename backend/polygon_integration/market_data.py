"""Polygon as the product's source of market data: `ports.market_data.MarketData`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.errors import BadReply, NotEntitled, NotFound
from models.option_columns import parse_occ
from models.options import OptionChain
from models.symbols import (
    INDICES,
    polygon_ticker_of_underlying,
    settlement_of,
    underlying_of_polygon_ticker,
)
from models.tables import (
    EQUITY_QUOTES,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    UNDERLYINGS,
    Frame,
    Table,
    frame_schema,
)
from polygon_integration.config import PROVIDER
from polygon_integration.historic_options import download_dividends, download_equity_bars
from polygon_integration.history import PolygonHistory
from utils.market_calendar import NEW_YORK, last_session, session_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polygon_integration.client import PolygonClient
    from polygon_integration.replies import Snapshot

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FUNDS: Final = frozenset({"ETF", "ETN", "ETV", "FUND"})
_DIVIDEND_YEARS: Final = timedelta(days=370)


class PolygonMarketData:
    """Market data from Polygon.

    Args:
        client: Whom to ask.
        origin: live, or what the server at the other end is: simulator or recorded.
        extended_hours: Whether bars of minutes reach before and after the regular session.
    """

    def __init__(
        self, client: PolygonClient, *, origin: str = "live", extended_hours: bool = False
    ) -> None:
        self._client = client
        self._origin = origin
        self._extended_hours = extended_hours

    @property
    def source(self) -> str:
        """Name of the service."""
        return PROVIDER

    @property
    def origin(self) -> str:
        """live, simulator or recorded."""
        return self._origin

    @property
    def history(self) -> PolygonHistory:
        """The past of options, by the same client."""
        return PolygonHistory(self._client, origin=self._origin)

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> Frame:
        """Return the bars that start in [start, end); see `download_equity_bars`."""
        return download_equity_bars(
            self._client,
            ticker,
            start,
            end,
            interval,
            origin=self._origin,
            with_extended=self._extended_hours,
        )

    def option_chain(self, ticker: str, first: date, last: date, *, now: datetime) -> OptionChain:
        """Return the chain of all expirations in [first, last] as it stands now.

        Adjusted contracts (their root ends in a digit) are left out, since no model of ours prices
        their deliverable. The interest rate is None: the service states none.

        Args:
            ticker: Underlying, as SPX or QQQ.
            first: First expiration.
            last: Last expiration.
            now: The market's time, aware: stamps the snapshot.

        Raises:
            NotFound: Polygon does not know the ticker.
            NotEntitled: The plan has no snapshots.
            BadReply: A reply is not as documented, or names no price of the underlying.
        """
        symbol = polygon_ticker_of_underlying(ticker)
        pages = [page.frame for page in self._client.chain(symbol, first=first, last=last)]
        rows = pl.concat(pages).unique("occ_symbol", keep="first").sort("occ_symbol")
        named = rows.with_columns(parse_occ(rows["occ_symbol"])["root"]).drop_nulls("root")
        plain = named.filter(~pl.col("root").str.contains(r"\d"))
        price = plain["underlying_price"].drop_nulls().head(1).to_list()
        session = last_session(now).day
        stamped = plain.with_columns(
            ts=pl.lit(now.astimezone(UTC)),
            underlying=pl.lit(ticker),
            session=pl.lit(session),
            first_seen=pl.lit(session),
            mark=None,
            settlement=pl.col("root").replace_strict(
                {root: settlement_of(root) for root in plain["root"].unique()},
                return_dtype=pl.String,
            ),
            expiration_type=None,
            source=pl.lit(PROVIDER),
            origin=pl.lit(self._origin),
        )
        return OptionChain(
            underlying=ticker,
            ts=now.astimezone(UTC),
            underlying_price=price[0] if price else self._last_price(ticker),
            risk_free_rate=None,
            dividend_yield=None,
            quotes=_columns(stamped, OPTION_QUOTES),
            contracts=_columns(stamped, OPTION_CONTRACTS),
        )

    def quotes(self, tickers: Sequence[str]) -> Frame:
        """Return the newest quote of each ticker, as columns of `EQUITY_QUOTES`.

        Raises:
            NotFound: Polygon does not know one of them.
            ProviderError: Polygon fails.
            AuthError: Polygon refuses us.
        """
        rows = [self._stamped(_quote_row(each)) for each in self._snapshots(tickers)]
        return pl.DataFrame(rows, schema=frame_schema(EQUITY_QUOTES), orient="row")

    def underlyings(self, tickers: Sequence[str], *, now: datetime) -> Frame:
        """Return what Polygon knows of each ticker, as columns of `UNDERLYINGS`.

        Dividends are those of the year before `now`: their sum, and how many.

        Args:
            tickers: Underlyings.
            now: The market's time.

        Raises:
            NotFound: Polygon does not know one of them.
            ProviderError: Polygon fails.
            AuthError: Polygon refuses us.
        """
        snapshots = self._snapshots(tickers)
        rows = [
            self._stamped(self._underlying_row(ticker, snapshot, now))
            for ticker, snapshot in zip(tickers, snapshots, strict=True)
        ]
        return pl.DataFrame(rows, schema=frame_schema(UNDERLYINGS), orient="row")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _underlying_row(self, ticker: str, snapshot: Snapshot, now: datetime) -> dict[str, Any]:
        details = self._client.ticker(polygon_ticker_of_underlying(ticker))
        kind = "INDEX" if ticker in INDICES else "ETF" if details.type in _FUNDS else "EQUITY"
        row: dict[str, Any] = {
            "underlying": ticker,
            "description": details.name,
            "asset_type": kind,
            "exchange": details.primary_exchange,
            "updated_at": now.astimezone(UTC),
        }
        return row if kind == "INDEX" else row | self._dividends(ticker, snapshot, now)

    def _dividends(self, ticker: str, snapshot: Snapshot, now: datetime) -> dict[str, Any]:
        today = now.astimezone(NEW_YORK).date()
        paid = download_dividends(
            self._client,
            ticker,
            today - _DIVIDEND_YEARS,
            today + _DIVIDEND_YEARS,
            origin=self._origin,
        )
        past = paid.filter(pl.col("ex_date") <= today)
        coming = paid.filter(pl.col("ex_date") > today)
        yearly = past.filter(pl.col("ex_date") > today - timedelta(days=365))
        amount = float(yearly["amount"].sum())
        price = _price(snapshot)
        return {
            "dividend_amount": amount,
            "dividend_yield": amount / price if price else None,
            "dividend_frequency": yearly.height,
            "next_dividend_ex_date": coming["ex_date"].min(),
        }

    def _snapshots(self, tickers: Sequence[str]) -> list[Snapshot]:
        symbols = [polygon_ticker_of_underlying(ticker) for ticker in tickers]
        answered = self._client.snapshots(symbols)
        barred = [each.ticker for each in answered if each.error == "NOT_ENTITLED"]
        if barred:
            message = f"your Polygon plan does not include {', '.join(barred)}: upgrade it"
            raise NotEntitled(message, provider=PROVIDER)
        found = {each.ticker: each for each in answered if not each.error}
        missing = [
            underlying_of_polygon_ticker(symbol) for symbol in symbols if symbol not in found
        ]
        if missing:
            message = f"polygon does not know the ticker {', '.join(missing)}"
            raise NotFound(message, provider=PROVIDER)
        return [found[symbol] for symbol in symbols]

    def _last_price(self, ticker: str) -> float:
        price = _price(self._snapshots([ticker])[0])
        if not price:
            message = f"polygon names no price of {ticker}"
            raise BadReply(message, provider=PROVIDER, field="underlying_asset.price")
        return price

    def _stamped(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"source": PROVIDER, "origin": self._origin}


def _price(snapshot: Snapshot) -> float | None:
    session = snapshot.session
    return snapshot.value or snapshot.last_trade.price or session.price or session.close


def _quote_row(found: Snapshot) -> dict[str, Any]:
    stamp = found.last_quote.last_updated or found.session.last_updated or found.last_updated
    if not stamp:
        message = f"polygon's quote of {found.ticker} has no time"
        raise BadReply(message, provider=PROVIDER, field="last_quote.last_updated")
    ts = _EPOCH + timedelta(microseconds=stamp // 1000)
    bid, bid_size = _side(found.last_quote.bid, found.last_quote.bid_size)
    ask, ask_size = _side(found.last_quote.ask, found.last_quote.ask_size)
    volume = found.session.volume
    return {
        "ts": ts,
        "underlying": underlying_of_polygon_ticker(found.ticker),
        "session": session_until(ts.astimezone(NEW_YORK).date()).day,
        "bid": bid,
        "ask": ask,
        "last": _price(found),
        "mark": None,
        "bid_size": bid_size,
        "ask_size": ask_size,
        "volume": None if volume is None else round(volume),
    }


def _side(price: float | None, size: float | None) -> tuple[float | None, int | None]:
    """Return a side of a quote; 0 times 0 is no side."""
    whole = None if size is None else round(size)
    return (price, whole) if price or whole else (None, None)


def _columns(rows: Frame, table: Table) -> Frame:
    schema = frame_schema(table)
    return rows.select(pl.col(name).cast(kind) for name, kind in schema.items() if name in rows)
