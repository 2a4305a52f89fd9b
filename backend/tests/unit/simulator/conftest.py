"""A tiny world whose every figure is plain to see, and the captured replies of the real service."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from black_scholes.synthetic.schema import CHAIN_SCHEMA, Dividend
from simulator.world import BAR_SCHEMA, Instrument, UnderlyingQuote
from utils.market_calendar import NEW_YORK, extended_hours, sessions

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"

NOON = datetime(2024, 10, 18, 12, 0, tzinfo=NEW_YORK).astimezone(UTC)
"""A Friday, third of its month, in summer time."""

DIVIDENDS = (
    Dividend(date(2024, 8, 12), date(2024, 8, 15), 0.25),
    Dividend(date(2024, 11, 12), date(2024, 11, 15), 0.25),
)

INSTRUMENTS = {
    one.symbol: one
    for one in (
        Instrument("AAPL", "APPLE INC", "037833100", "Q", "NASDAQ", "EQUITY", True, 4, DIVIDENDS),
        Instrument("BRK.B", "BERKSHIRE HATHAWAY B", "084670702", "N", "NYSE", "EQUITY"),
        Instrument("QQQ", "INVESCO QQQ", "46090E103", "Q", "NASDAQ", "ETF", True, 4, DIVIDENDS),
        Instrument("SPX", "S&P 500 INDEX", "", "0", "Index", "INDEX"),
    )
}


def quote_of(symbol: str, at: datetime = NOON) -> UnderlyingQuote:
    return UnderlyingQuote(
        symbol=symbol,
        bid=99.99,
        ask=100.01,
        last=100.0,
        bid_size=300,
        ask_size=200,
        last_size=50,
        volume=1_000_000,
        open=99.0,
        high=101.0,
        low=98.5,
        close=98.0,
        regular_last=100.0,
        regular_last_size=50,
        high_52_week=120.0,
        low_52_week=80.0,
        average_volume_10_days=2_000_000.4,
        average_volume_1_year=3_000_000.6,
        quote_at=at,
        trade_at=at,
        regular_trade_at=at,
    )


def chain_of(
    root: str, expirations: list[tuple[date, str]], strikes: list[float], at: datetime = NOON
) -> pl.DataFrame:
    """Contracts around 100; the lowest strike's put has no bid, trade or volatility."""
    rows = []
    for expiration, kind in expirations:
        for strike in sorted(strikes):
            for right in "CP":
                bare = right == "P" and strike == min(strikes)
                value = max(0.0, 100 - strike if right == "C" else strike - 100) + 1
                rows.append(
                    {
                        "occ_symbol": f"{root:6}{expiration:%y%m%d}{right}{int(strike * 1000):08d}",
                        "root": root,
                        "expiration": expiration,
                        "strike": strike,
                        "right": right,
                        "bid": None if bare else value - 0.05,
                        "ask": value + 0.05,
                        "last": None if bare else value,
                        "mark": (value + 0.05) / 2 if bare else value,
                        "bid_size": 0 if bare else 12,
                        "ask_size": 7,
                        "last_size": 1,
                        "volume": 5,
                        "open_interest": None if bare else 11,
                        "high": None if bare else value + 0.5,
                        "low": None if bare else value - 0.5,
                        "open": None if bare else value,
                        "close": None if bare else value - 0.25,
                        "quote_at": at,
                        "trade_at": None if bare else at,
                        "iv": None if bare else 0.25,
                        "delta": None if bare else 0.5,
                        "gamma": None if bare else 0.01,
                        "theta": None if bare else -0.02,
                        "vega": None if bare else 0.1,
                        "rho": None if bare else 0.03,
                        "multiplier": 100.0,
                        "exercise_style": "E" if root.startswith("SPX") else "A",
                        "settlement": "AM" if root == "SPX" else "PM",
                        "expiration_type": kind,
                    }
                )
    return pl.DataFrame(rows, schema=CHAIN_SCHEMA)


class FakeWorld:
    """Every underlying stands at 100; a bar's close is its minute or day since the first."""

    name = "fake"
    origin = "simulator"

    def __init__(self) -> None:
        self.asked: list[tuple[date, date]] = []
        self.chains = {
            ticker: chain_of(
                root,
                [(date(2024, 10, 18), "S"), (date(2024, 10, 25), "W"), (date(2024, 11, 15), "S")],
                [90.0, 95.0, 97.5, 100.0, 102.5, 105.0, 110.0],
            )
            for ticker, root in (("AAPL", "AAPL"), ("QQQ", "QQQ"), ("SPX", "SPXW"))
        }

    def tickers(self) -> list[str]:
        return sorted(INSTRUMENTS)

    def instrument(self, ticker: str) -> Instrument | None:
        return INSTRUMENTS.get(ticker)

    def default_start(self, now: datetime) -> datetime:
        return now

    def quote(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        if ticker not in INSTRUMENTS:
            return None
        quote = quote_of(ticker, now)
        if INSTRUMENTS[ticker].asset_type == "INDEX":
            return replace(quote, bid=None, ask=None, bid_size=0, ask_size=0, last_size=0)
        return quote

    def chain(self, ticker: str, now: datetime, first: date, last: date) -> pl.DataFrame:  # noqa: ARG002 - the protocol's argument
        self.asked.append((first, last))
        chain = self.chains.get(ticker, pl.DataFrame(schema=CHAIN_SCHEMA))
        return chain.filter(pl.col("expiration").is_between(first, last))

    def interest_rate(self, now: datetime) -> float:  # noqa: ARG002 - the protocol's argument
        return 0.04

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> pl.DataFrame:  # noqa: ARG002 - the protocol's argument
        starts = list(_minutes(start, end) if interval == "1m" else _periods(start, end, interval))
        closes = [100.0 + place % 7 for place in range(len(starts))]
        return pl.DataFrame(
            {
                "ts": starts,
                "open": closes,
                "high": [close + 1 for close in closes],
                "low": [close - 1 for close in closes],
                "close": closes,
                "volume": [10] * len(starts),
            },
            schema=BAR_SCHEMA,
        )


def _days(start: datetime, end: datetime) -> list[Any]:
    first = start.astimezone(NEW_YORK).date()
    last = end.astimezone(NEW_YORK).date()
    return sessions(max(first, date(1998, 1, 1)), last) if first <= last else []


def _minutes(start: datetime, end: datetime) -> list[datetime]:
    found = []
    for each in _days(start, end):
        opens, closes = extended_hours(each)
        count = int((closes - opens).total_seconds()) // 60
        found += [opens + timedelta(minutes=place) for place in range(count)]
    return [at for at in found if start <= at < end]


def _periods(start: datetime, end: datetime, interval: str) -> list[datetime]:
    def key(at: datetime) -> object:
        day = at.astimezone(NEW_YORK).date()
        return {"1d": day, "1w": day.isocalendar()[:2], "1mo": (day.year, day.month)}[interval]

    firsts: dict[object, datetime] = {}
    for each in _days(start - timedelta(days=31), end):
        firsts.setdefault(key(each.open), each.open)
    return [at for at in firsts.values() if start <= at < end]


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def make_chain() -> Callable[..., pl.DataFrame]:
    return chain_of


@pytest.fixture
def make_quote() -> Callable[..., UnderlyingQuote]:
    return quote_of


@pytest.fixture
def instruments() -> dict[str, Instrument]:
    return INSTRUMENTS


@pytest.fixture
def captured() -> Callable[[str], Any]:
    """Read a reply that the real service once sent, by its path under tests/data."""

    def read(path: str) -> Any:
        file = DATA / path
        raw = gzip.decompress(file.read_bytes()) if path.endswith(".gz") else file.read_bytes()
        return json.loads(raw)

    return read


def shape_of(value: Any) -> Any:
    """Keys in their order and JSON types, all the way down; of a list its first element."""
    if isinstance(value, dict):
        return [(key, shape_of(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape_of(inner) for inner in value[:1]]
    return type(value).__name__


@pytest.fixture
def shape() -> Callable[[Any], Any]:
    return shape_of
