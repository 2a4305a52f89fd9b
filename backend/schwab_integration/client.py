"""One method for each endpoint of Schwab's Market Data API, typed in and out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from types import TracebackType
from typing import Self, get_args
from urllib.parse import quote as percent_encoded

from models.errors import NotFound
from schwab_integration import parse, queries
from schwab_integration.auth import SchwabAuth, authorized
from schwab_integration.config import PROVIDER, SchwabSettings
from schwab_integration.limits import market_data_limiter
from schwab_integration.queries import (
    ChainQuery,
    HistoryQuery,
    Market,
    MoverFrequency,
    MoverIndex,
    MoverSort,
    Projection,
    QuoteField,
)
from schwab_integration.refusals import refusal
from schwab_integration.replies import (
    Candles,
    Chain,
    Instrument,
    ListedExpiration,
    MarketHours,
    Mover,
    Quote,
    Quotes,
)
from utils.clock import Clock, wall_clock
from utils.http import HttpSession, Params, Patience, Service
from utils.rate_limit import Limiter

_PREFIX = "/marketdata/v1"


class SchwabClient:
    """Schwab's market data. Threads may share it.

    Every method raises `TradingError` kinds alone: `TokenExpired` when a person must sign in,
    `RateLimited`, `Unavailable`, `NotFound`, `NotEntitled`, `BadReply`, `ProviderError` for what
    Schwab answers, and `DataError` for a query that Schwab would refuse, which is never sent.
    Reads are retried; a token that Schwab rejects is renewed once.

    Args:
        settings: Where Schwab is and who we are.
        auth: Source of access tokens; made from the settings by default.
        limiter: Shared by all clients of the app; made from the settings by default.
        patience: How long to wait and how often to ask.
        clock: Wall time, for the lives of tokens.

    Raises:
        ConfigError: The base URL or the certificate file cannot be used.
    """

    def __init__(
        self,
        settings: SchwabSettings,
        *,
        auth: SchwabAuth | None = None,
        limiter: Limiter | None = None,
        patience: Patience | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._auth = auth or SchwabAuth(settings, clock=clock)
        service = Service(settings.base_url, PROVIDER, ca_file=settings.ca_file, check=refusal)
        self._session = HttpSession(
            service,
            limiter=limiter or market_data_limiter(settings),
            patience=patience,
        )

    def quotes(
        self,
        symbols: Sequence[str],
        *,
        fields: Sequence[QuoteField] = (),
        indicative: bool | None = None,
    ) -> Quotes:
        """Return the quotes of up to 500 symbols; those that Schwab does not know are listed.

        Args:
            symbols: As Schwab spells them: `$SPX`, `BRK/B`, `AAPL  251219C00200000`.
            fields: Nodes to send; all by default.
            indicative: Whether to add the indicative quotes of funds.
        """
        queries.check_symbols(list(symbols))
        params = {"symbols": ",".join(symbols)} | _fields(fields)
        if indicative is not None:
            params["indicative"] = str(indicative).lower()
        return parse.parse_quotes(self._get("/quotes", params))

    def quote(self, symbol: str, *, fields: Sequence[QuoteField] = ()) -> Quote:
        """Return the quote of one symbol.

        Raises:
            NotFound: Schwab does not know it.
        """
        queries.check_symbols([symbol])
        with _named(f"the symbol {symbol}"):
            found = parse.parse_quotes(self._get(f"/{_path(symbol)}/quotes", _fields(fields)))
        if symbol not in found.by_symbol:
            raise NotFound(f"schwab does not know the symbol {symbol}", provider=PROVIDER)
        return found.by_symbol[symbol]

    def chain(self, query: ChainQuery) -> Chain:
        """Return an option chain.

        Raises:
            TooBig: More contracts than the gateway can pass on: narrow the dates.
            NotFound: Schwab does not know the symbol.
        """
        with _named(f"the symbol {query.symbol}"):
            return parse.parse_chain(self._get("/chains", query.params()))

    def expirations(self, symbol: str) -> list[ListedExpiration]:
        """Return the expirations that an underlying has options for.

        Raises:
            NotFound: Schwab does not know it.
        """
        queries.check_symbols([symbol])
        with _named(f"the symbol {symbol}"):
            return parse.parse_expirations(self._get("/expirationchain", {"symbol": symbol}))

    def price_history(self, query: HistoryQuery) -> Candles:
        """Return bars; an unknown symbol has none."""
        with _named(f"the symbol {query.symbol}"):
            return parse.parse_candles(self._get("/pricehistory", query.params()))

    def movers(
        self,
        index: MoverIndex,
        *,
        sort: MoverSort | None = None,
        frequency: MoverFrequency | None = None,
    ) -> list[Mover]:
        """Return the ten that move most in an index or market."""
        queries.check_choice("index", index, get_args(MoverIndex))
        queries.check_choice("sort", sort, get_args(MoverSort))
        queries.check_choice("frequency", frequency, get_args(MoverFrequency))
        given = {"sort": sort, "frequency": None if frequency is None else str(frequency)}
        params = {name: value for name, value in given.items() if value is not None}
        return parse.parse_movers(self._get(f"/movers/{_path(index)}", params))

    def markets(
        self, markets: Sequence[Market], *, day: date | None = None
    ) -> dict[str, dict[str, MarketHours]]:
        """Return market -> product -> hours, of today or a day of the year ahead."""
        for market in markets:
            queries.check_choice("market", market, get_args(Market))
        params = {"markets": ",".join(markets)} | _day(day)
        return parse.parse_markets(self._get("/markets", params))

    def market(self, market: Market, *, day: date | None = None) -> dict[str, MarketHours]:
        """Return product -> hours of one market, of today or a day of the year ahead."""
        queries.check_choice("market", market, get_args(Market))
        found = parse.parse_markets(self._get(f"/markets/{market}", _day(day)))
        return found.get(market, {})

    def instruments(self, symbol: str, projection: Projection) -> list[Instrument]:
        """Return the instruments that a symbol, pattern or description finds."""
        queries.check_choice("projection", projection, get_args(Projection))
        params = {"symbol": symbol, "projection": projection}
        return parse.parse_instruments(self._get("/instruments", params))

    def instrument(self, cusip: str) -> Instrument:
        """Return the instrument of a CUSIP.

        Raises:
            NotFound: Schwab does not know it.
        """
        with _named(f"the CUSIP {cusip}"):
            found = parse.parse_instruments(self._get(f"/instruments/{_path(cusip)}", {}))
        if not found:
            raise NotFound(f"schwab does not know the CUSIP {cusip}", provider=PROVIDER)
        return found[0]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._auth.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _get(self, path: str, params: Params) -> bytes:
        return authorized(self._auth, lambda token: self._read(path, params, token))

    def _read(self, path: str, params: Params, token: str) -> bytes:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        return self._session.get(f"{_PREFIX}{path}", params, headers=headers).body


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Let a 404 say what is unknown, instead of which address was asked."""
    try:
        yield
    except NotFound as error:
        message = f"schwab does not know {what}"
        raise NotFound(message, provider=PROVIDER, status=error.status) from None


def _path(symbol: str) -> str:
    return percent_encoded(symbol, safe="")


def _fields(fields: Sequence[QuoteField]) -> dict[str, str]:
    for field in fields:
        queries.check_choice("field", field, get_args(QuoteField))
    return {"fields": ",".join(fields)} if fields else {}


def _day(day: date | None) -> dict[str, str]:
    return {"date": day.isoformat()} if day else {}
