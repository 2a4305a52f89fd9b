"""Schwab as the product's source of market data: `ports.market_data.MarketData`."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import polars as pl

from models.errors import BadReply, NotFound
from models.options import OptionChain, schwab_ticker
from models.tables import EQUITY_QUOTES, UNDERLYINGS, Frame, frame_schema
from schwab_integration.client import SchwabClient
from schwab_integration.config import PROVIDER
from schwab_integration.downloader import download_bars
from schwab_integration.option_downloader import download_chain
from schwab_integration.queries import MOST_SYMBOLS, QuoteField
from schwab_integration.replies import Quote
from utils.market_calendar import NEW_YORK, session_until

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FUNDS: Final = frozenset({"ETF", "ETN", "CEF"})


class SchwabMarketData:
    """Market data from Schwab.

    Args:
        client: Whom to ask.
        origin: live, or what the server at the other end is: simulator or recorded.
        extended_hours: Whether bars of minutes reach before and after the regular session.
    """

    def __init__(
        self, client: SchwabClient, *, origin: str = "live", extended_hours: bool = False
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

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> Frame:
        """Return the bars that start in [start, end); see `download_bars`."""
        return download_bars(
            self._client,
            ticker,
            start,
            end,
            interval,
            origin=self._origin,
            extended_hours=self._extended_hours,
        )

    def option_chain(self, ticker: str, first: date, last: date, *, now: datetime) -> OptionChain:
        """Return the chain of all expirations in [first, last]; see `download_chain`."""
        return download_chain(self._client, ticker, first, last, now=now, origin=self._origin)

    def quotes(self, tickers: Sequence[str]) -> Frame:
        """Return the newest quote of each ticker, as columns of `EQUITY_QUOTES`.

        Raises:
            NotFound: Schwab does not know one of them.
            ProviderError: Schwab fails.
            AuthError: Schwab refuses us.
        """
        quotes = self._asked(tickers, ["quote"])
        rows = [self._stamped(_quote_row(ticker, quotes[ticker])) for ticker in tickers]
        return pl.DataFrame(rows, schema=frame_schema(EQUITY_QUOTES), orient="row")

    def underlyings(self, tickers: Sequence[str], *, now: datetime) -> Frame:
        """Return what Schwab knows of each ticker, as columns of `UNDERLYINGS`.

        Args:
            tickers: Underlyings.
            now: The market's time.

        Raises:
            NotFound: Schwab does not know one of them.
            ProviderError: Schwab fails.
            AuthError: Schwab refuses us.
        """
        quotes = self._asked(tickers, ["fundamental", "reference"])
        rows = [
            self._stamped(
                _underlying_row(ticker, quotes[ticker]) | {"updated_at": now.astimezone(UTC)}
            )
            for ticker in tickers
        ]
        return pl.DataFrame(rows, schema=frame_schema(UNDERLYINGS), orient="row")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _stamped(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"source": PROVIDER, "origin": self._origin}

    def _asked(self, tickers: Sequence[str], fields: Sequence[QuoteField]) -> dict[str, Quote]:
        """Return ticker -> quote, of any number of tickers."""
        found: dict[str, Quote] = {}
        for n in range(0, len(tickers), MOST_SYMBOLS):
            symbols = {t: schwab_ticker(t) for t in tickers[n : n + MOST_SYMBOLS]}
            reply = self._client.quotes(list(symbols.values()), fields=fields).by_symbol
            found |= {t: reply[symbol] for t, symbol in symbols.items() if symbol in reply}
        missing = [ticker for ticker in tickers if ticker not in found]
        if missing:
            message = f"schwab does not know the ticker {', '.join(missing)}"
            raise NotFound(message, provider=PROVIDER)
        return found


def _quote_row(ticker: str, found: Quote) -> dict[str, Any]:
    quote = found.quote
    ts = _moment(ticker, quote.quote_time or quote.trade_time)  # an index has trades alone
    bid, bid_size = _side(quote.bid_price, quote.bid_size)
    ask, ask_size = _side(quote.ask_price, quote.ask_size)
    return {
        "ts": ts,
        "underlying": ticker,
        "session": session_until(ts.astimezone(NEW_YORK).date()).day,
        "bid": bid,
        "ask": ask,
        "last": _finite(quote.last_price) or None,
        "mark": _finite(quote.mark),
        "bid_size": bid_size,
        "ask_size": ask_size,
        "volume": _whole(quote.total_volume),
    }


def _underlying_row(ticker: str, found: Quote) -> dict[str, Any]:
    facts = found.fundamental
    reference = found.reference
    kind = "ETF" if found.asset_sub_type in _FUNDS else found.asset_main_type
    return {
        "underlying": ticker,
        "description": reference.description,
        "asset_type": kind,
        "exchange": reference.exchange_name,
        "dividend_yield": None if facts is None else _fraction(facts.div_yield),
        "dividend_amount": facts and _finite(facts.div_amount),
        "dividend_frequency": facts and _whole(facts.div_freq),
        "next_dividend_ex_date": facts and _date(facts.next_div_ex_date),
    }


def _side(price: float | None, size: float | None) -> tuple[float | None, int | None]:
    """Return a side of a quote; 0 times 0 is no side."""
    price = _finite(price)
    return (price, _whole(size)) if price or _whole(size) else (None, None)


def _moment(ticker: str, ms: float | None) -> datetime:
    """Return the time of a quote.

    Raises:
        BadReply: There is none.
    """
    try:
        return _EPOCH + timedelta(milliseconds=ms or math.nan)
    except (OverflowError, ValueError):
        message = f"schwab's quote of {ticker} has no time"
        raise BadReply(message, provider=PROVIDER, field="quoteTime") from None


def _finite(value: float | None) -> float | None:
    """Return a number; Schwab writes NaN where it has none."""
    return value if value is not None and math.isfinite(value) else None


def _whole(value: float | None) -> int | None:
    known = _finite(value)
    return None if known is None else round(known)


def _fraction(percent: float | None) -> float | None:
    known = _finite(percent)
    return None if known is None else known / 100.0


def _date(text: str | None) -> date | None:
    """Read the day of `2024-11-12T05:00:00Z`, which is midnight in New York; None for other text."""
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None
