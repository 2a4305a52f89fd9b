"""A whole option chain, asked for in windows of expirations that Schwab's gateway can pass on.

The gateway refuses a reply beyond some size (`TooBigBody`, as for an unfiltered `$SPX`), so a window
that is too large is halved, down to one side of one expiration.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

import polars as pl

from models.errors import BadReply
from models.options import OptionChain, schwab_ticker
from models.tables import OPTION_CONTRACTS, OPTION_QUOTES, Frame, Table, frame_schema
from schwab_integration.client import SchwabClient
from schwab_integration.config import PROVIDER
from schwab_integration.downloader import check_known
from schwab_integration.queries import ChainQuery
from schwab_integration.refusals import TooBig
from schwab_integration.replies import Chain
from utils.market_calendar import last_session

_log = logging.getLogger(__name__)

WINDOW: Final = 12
"""Expirations in the first request: about 4 MB of a QQQ-like chain."""

COMPUTED: Final = frozenset(
    {
        "year_fraction",
        "forward",
        "risk_free_rate",
        "implied_volatility",
        "implied_volatility_status",
        "delta",
        "gamma",
        "theta_per_day",
        "vega_per_point",
        "rho_per_point",
        "flags",
    }
)
"""Columns of `OPTION_QUOTES` that are computed from a chain and not part of it."""


def download_chain(  # noqa: PLR0913 - the port's four, and how the client is wired
    client: SchwabClient,
    ticker: str,
    first: date,
    last: date,
    *,
    now: datetime,
    origin: str,
) -> OptionChain:
    """Return the chain of all expirations in [first, last] as it stands now.

    Args:
        client: Whom to ask.
        ticker: Underlying, as SPX or QQQ.
        first: First expiration.
        last: Last expiration.
        now: The market's time, aware: stamps the snapshot.
        origin: Stamped on each row.

    Returns:
        The chain; without rows when the underlying has no options in that range.

    Raises:
        NotFound: Schwab does not know the ticker.
        BadReply: A reply is not as documented, or names no price of the underlying.
        ProviderError: Schwab fails.
        AuthError: Schwab refuses us.
    """
    symbol = schwab_ticker(ticker)
    listed = {expiration.expiration_date for expiration in client.expirations(symbol)}
    if not listed:
        check_known(client, ticker)
    days = sorted(day for day in listed if first <= day <= last)
    chains = [
        chain
        for n in range(0, len(days), WINDOW)
        for chain in _windows(client, ChainQuery(symbol=symbol), days[n : n + WINDOW])
    ]
    _notice_missing(symbol, set(days), chains)
    price = next((c.underlying_price for c in chains if c.underlying_price), None)
    rows = _stamped(chains, ticker, now, origin)
    return OptionChain(
        underlying=ticker,
        ts=now.astimezone(UTC),
        underlying_price=price or _last_price(client, symbol),
        risk_free_rate=chains[0].risk_free_rate if chains else None,
        dividend_yield=chains[0].dividend_yield if chains else None,
        quotes=_columns(rows, OPTION_QUOTES),
        contracts=_columns(rows, OPTION_CONTRACTS),
    )


def download_chains(client: SchwabClient, query: ChainQuery) -> list[Chain]:
    """Return what a query finds, in as many replies as it takes, by expiration.

    One reply where the gateway can pass it on; an unfiltered `$SPX`, for one, it cannot.

    Args:
        client: Whom to ask.
        query: Any filters; without dates all expirations.

    Raises:
        NotFound: Schwab does not know the symbol.
        TooBig: One side of one expiration is too big.
        ProviderError: Schwab fails.
        AuthError: Schwab refuses us.
    """
    try:
        chain = client.chain(query)
    except TooBig:
        _log.info("the chain of %s is too big: asked for by expiration", query.symbol)
    else:
        if not chain.is_truncated:
            return [chain]
    first, last = query.from_date or date.min, query.to_date or date.max
    listed = {expiration.expiration_date for expiration in client.expirations(query.symbol)}
    days = sorted(day for day in listed if first <= day <= last)
    windows = (days[n : n + WINDOW] for n in range(0, len(days), WINDOW))
    return [chain for window in windows for chain in _windows(client, query, window)]


def _windows(client: SchwabClient, query: ChainQuery, days: Sequence[date]) -> Iterator[Chain]:
    """Ask for a window, or for its halves when it is too large for one reply."""
    query = replace(query, from_date=days[0], to_date=days[-1])
    smallest = len(days) == 1 and query.contract_type != "ALL"
    try:
        chain = client.chain(query)
    except TooBig:
        if smallest:
            raise
        _log.info("%s from %s to %s is too big: halved", query.symbol, days[0], days[-1])
    else:
        if not chain.is_truncated or smallest:
            _notice(chain)
            yield chain
            return
    if len(days) > 1:
        middle = len(days) // 2
        yield from _windows(client, query, days[:middle])
        yield from _windows(client, query, days[middle:])
    else:
        yield from _windows(client, replace(query, contract_type="CALL"), days)
        yield from _windows(client, replace(query, contract_type="PUT"), days)


def _notice(chain: Chain) -> None:
    """Say what a person should know of a reply that is usable nevertheless."""
    if chain.is_truncated:
        _log.warning("Schwab left contracts of %s out of one side of one day", chain.symbol)
    if chain.is_delayed:
        _log.warning("Schwab's quotes of %s are delayed", chain.symbol)
    if chain.unknown_fields:
        names = ", ".join(sorted(chain.unknown_fields))
        _log.warning("Schwab's chain has fields that nobody documented: %s", names)


def _notice_missing(symbol: str, days: set[date], chains: Sequence[Chain]) -> None:
    """Say which expirations are listed but came without a contract: Schwab gives no reason."""
    missing = sorted(days.difference(*(chain.contracts["expiration"] for chain in chains)))
    if missing:
        _log.warning(
            "Schwab lists %d expirations of %s, from %s on, but sent no contract of them",
            len(missing),
            symbol,
            missing[0],
        )


def _stamped(chains: Sequence[Chain], ticker: str, now: datetime, origin: str) -> Frame:
    """Return the contracts of all replies as one frame, each once, with what a row must say."""
    if not chains:
        return pl.DataFrame()
    session = last_session(now).day
    frames = [
        chain.contracts.with_columns(
            underlying_price=pl.lit(chain.underlying_price, pl.Float64),
        )
        for chain in chains
    ]
    return (
        pl.concat(frames)
        .unique("occ_symbol", keep="first", maintain_order=True)
        .with_columns(
            ts=pl.lit(now.astimezone(UTC)),
            underlying=pl.lit(ticker),
            session=pl.lit(session),
            first_seen=pl.lit(session),
            source=pl.lit(PROVIDER),
            origin=pl.lit(origin),
        )
        .with_columns(pl.col("multiplier").fill_null(100.0))
        .sort("occ_symbol")
    )


def _columns(rows: Frame, table: Table) -> Frame:
    wanted = {name: kind for name, kind in frame_schema(table).items() if name not in COMPUTED}
    if rows.is_empty():
        return pl.DataFrame(schema=wanted)
    return rows.select(pl.col(name).cast(kind) for name, kind in wanted.items())


def _last_price(client: SchwabClient, symbol: str) -> float:
    quote = client.quote(symbol).quote
    price = quote.last_price or quote.mark or quote.close_price
    if not price:
        message = f"schwab names no price of {symbol}"
        raise BadReply(message, provider=PROVIDER, field="underlyingPrice")
    return price
