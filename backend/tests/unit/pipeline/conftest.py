"""Fakes of the two ports: a store that holds frames by key, a market that makes plain data."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from black_scholes import american
from models.errors import NotFound
from models.options import OptionChain
from models.tables import (
    COVERAGE,
    EQUITY_BARS,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    TABLES,
    UNDERLYINGS,
    Frame,
    Range,
    Where,
    frame_schema,
)
from utils import market_calendar

RATE = 0.04
VOL = 0.2


class FakeStore:
    """A store in memory; `before_write` may raise to stand for a crash or a full disk."""

    def __init__(self) -> None:
        self.frames = {name: pl.DataFrame(schema=frame_schema(t)) for name, t in TABLES.items()}
        self.writes: list[tuple[str, bool]] = []
        self.before_write: Callable[[str], None] = lambda _table: None

    def upsert(self, table: str, rows: Frame, *, expect_empty: bool = False) -> int:
        self.before_write(table)
        schema, key = frame_schema(TABLES[table]), list(TABLES[table].key)
        whole = pl.DataFrame(
            {n: rows[n] if n in rows.columns else pl.Series([None] * rows.height) for n in schema}
        ).cast(schema)
        assert not whole.select(key).is_duplicated().any()
        held = self.frames[table]
        equal = whole.join(held, on=list(schema), how="semi", nulls_equal=True).height
        kept = held.join(whole, on=key, how="anti")
        self.frames[table] = pl.concat([kept, whole]).sort(key)
        self.writes.append((table, expect_empty))
        return whole.height - equal

    def read(
        self, table: str, where: Where | None = None, columns: Sequence[str] | None = None
    ) -> Frame:
        rows = self.frames[table]
        for name, wanted in (where or {}).items():
            if isinstance(wanted, Range):
                low = pl.lit(value=True) if wanted.start is None else pl.col(name) >= wanted.start
                high = pl.lit(value=True) if wanted.end is None else pl.col(name) < wanted.end
                rows = rows.filter(low & high)
            elif isinstance(wanted, list | tuple):
                rows = rows.filter(pl.col(name).is_in(wanted))
            else:
                rows = rows.filter(pl.col(name).eq_missing(pl.lit(wanted)))
        return rows.select(columns or rows.columns)

    def remove(self, table: str, where: Where) -> int:
        self.before_write(table)
        gone = self.read(table, where)
        held = self.frames[table]
        self.frames[table] = held.join(gone, on=list(TABLES[table].key), how="anti")
        return gone.height

    def newest(self, table: str, symbol: str, *, source: str, origin: str) -> datetime | None:
        where = {"underlying": symbol, "source": source, "origin": origin}
        found: Any = self.read(table, where)["ts"].max()
        return found

    def coverage(self, ticker: str, *, source: str, origin: str) -> Frame:
        where = {"ticker": ticker, "source": source, "origin": origin}
        return self.read(COVERAGE.name, where)


class FakeMarket:
    """A market with a bar in each minute of extended hours and a flat smile."""

    source = "schwab"
    origin = "simulator"

    def __init__(self, known: Iterable[str] = ("QQQ", "SPY")) -> None:
        self.known = set(known)
        self.asked: list[str] = []
        self.without_bars: set[date] = set()
        self.mend_bars: Callable[[Frame], Frame] = lambda rows: rows
        self.mend_quotes: Callable[[Frame], Frame] = lambda rows: rows

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> Frame:
        self.asked.append(f"bars {ticker} {start:%m-%d %H:%M} {end:%m-%d %H:%M} {interval}")
        first, last = start.date() - timedelta(days=1), end.date()
        rows: list[dict[str, Any]] = []
        for session in market_calendar.sessions(first, last):
            if session.day in self.without_bars:
                continue
            rows += [
                {
                    "ts": ts,
                    "underlying": ticker,
                    "interval": interval,
                    "session": session.day,
                    "open": 100.0,
                    "high": 100.5,
                    "low": 99.5,
                    "close": 100.1,
                    "volume": 10 + ts.minute,
                    "source": self.source,
                    "origin": self.origin,
                }
                for ts in _starts(session, interval)
                if start <= ts < end
            ]
        return self.mend_bars(pl.DataFrame(rows, schema=frame_schema(EQUITY_BARS)))

    def option_chain(self, ticker: str, first: date, last: date, *, now: datetime) -> OptionChain:
        self.asked.append(f"chain {ticker} {first} {last} {now:%m-%d %H:%M:%S}")
        expirations = [e.day for e in market_calendar.expirations(ticker, first, last)]
        keys = [(e, float(k), r) for e in expirations for k in range(90, 111, 2) for r in "CP"]
        expiration, strike, right = (list(column) for column in zip(*keys, strict=True))
        years = market_calendar.year_fractions(
            np.array([int(now.timestamp()) * 10**9]), np.array(expiration, "datetime64[D]")
        )
        is_call = np.array(right) == "C"
        worth = american.price(100.0, strike, years, RATE, VOL, is_call=is_call)
        symbols = [f"{ticker:<6}{e:%y%m%d}{r}{int(k * 1000):08d}" for e, k, r in keys]
        quotes = pl.DataFrame(
            {
                "occ_symbol": symbols,
                "expiration": expiration,
                "strike": strike,
                "right": right,
                "bid": worth - 0.01,
                "ask": worth + 0.01,
            }
        ).with_columns(
            ts=pl.lit(now),
            underlying=pl.lit(ticker),
            session=pl.lit(market_calendar.last_session(now).day),
            quote_at=pl.lit(now),
            underlying_price=pl.lit(100.0),
            source=pl.lit(self.source),
            origin=pl.lit(self.origin),
            bid=pl.when(pl.col("bid") > 0).then("bid"),
        )
        columns = ["occ_symbol", "underlying", "expiration", "strike", "right", "source", "origin"]
        contracts = quotes.select(
            *columns,
            root=pl.lit(ticker),
            multiplier=pl.lit(100.0),
            first_seen=pl.col("session"),
        )
        assert set(contracts.columns) <= set(OPTION_CONTRACTS.column_names)
        assert set(quotes.columns) <= set(OPTION_QUOTES.column_names)
        return OptionChain(ticker, now, 100.0, RATE, 0.0, self.mend_quotes(quotes), contracts)

    def quotes(self, tickers: Sequence[str]) -> Frame:
        raise NotImplementedError

    def underlyings(self, tickers: Sequence[str], *, now: datetime) -> Frame:
        self.asked.append(f"underlyings {','.join(tickers)}")
        unknown = [ticker for ticker in tickers if ticker not in self.known]
        if unknown:
            raise NotFound(f"{unknown[0]}: no such ticker", provider="schwab")
        rows = [
            {"underlying": t, "updated_at": now, "source": self.source, "origin": self.origin}
            for t in tickers
        ]
        return pl.DataFrame(rows, schema=frame_schema(UNDERLYINGS))


def _starts(session: market_calendar.Session, interval: str) -> list[datetime]:
    if interval == "1w":
        before = market_calendar.previous_session(session.day).day
        same_week = before.isocalendar()[:2] == session.day.isocalendar()[:2]
        return [] if same_week else [session.open]
    if interval == "1d":
        return [session.open]
    start, end = market_calendar.extended_hours(session)
    step = timedelta(minutes=int(interval[:-1]))
    return [start + step * n for n in range((end - start) // step)]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture
def wall() -> Callable[[], datetime]:
    return lambda: datetime(2026, 11, 22, 3, tzinfo=UTC)
