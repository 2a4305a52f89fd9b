"""Rows of Polygon's replies as columns with the house's names and units (pure).

A 0 price with size 0 is no side: null. Option tickers become OCC symbols of 21 characters; a row
whose ticker is none (a test symbol, say) is left out and counted in the log by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from models.option_columns import polygon_to_occ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.tables import Frame
    from polygon_integration.replies import (
        Aggregate,
        Contract,
        ContractSnapshot,
        Dividend,
        OptionQuote,
        OptionTrade,
        Split,
    )

_MS: Final = pl.Datetime("ms", "UTC")
_US: Final = pl.Datetime("us", "UTC")
_STYLES: Final = {"american": "A", "european": "E"}
_RIGHTS: Final = {"call": "C", "put": "P"}


def aggregates(rows: Sequence[Aggregate]) -> Frame:
    """Return bars: ts (start, UTC), open, high, low, close (USD), volume, vwap, trades.

    Volume is a float: fractions of shares are traded.
    """
    return pl.DataFrame(
        {
            "ts": pl.Series([row.t for row in rows], dtype=pl.Int64).cast(_MS).cast(_US),
            "open": _floats(row.o for row in rows),
            "high": _floats(row.h for row in rows),
            "low": _floats(row.l for row in rows),
            "close": _floats(row.c for row in rows),
            "volume": _floats(row.v for row in rows),
            "vwap": _floats(row.vw for row in rows),
            "trades": pl.Series([row.n for row in rows], dtype=pl.Int32),
        }
    )


def contracts(rows: Sequence[Contract]) -> Frame:
    """Return contracts as columns.

    They are occ_symbol, underlying_ticker, expiration, strike, right, multiplier, exercise_style,
    adjusted. `adjusted` says that the contract delivers something else than 100 shares of its underlying; the
    digit at the end of its root tells the same.
    """
    frame = pl.DataFrame(
        {
            "occ_symbol": polygon_to_occ(pl.Series([row.ticker for row in rows], dtype=pl.String)),
            "underlying_ticker": _texts(row.underlying_ticker for row in rows),
            "expiration": pl.Series([row.expiration_date for row in rows], dtype=pl.Date),
            "strike": _floats(row.strike_price for row in rows),
            "right": _texts(_RIGHTS.get(row.contract_type) for row in rows),
            "multiplier": _floats(row.shares_per_contract for row in rows),
            "exercise_style": _texts(_STYLES.get(row.exercise_style) for row in rows),
            "adjusted": pl.Series(
                [bool(row.additional_underlyings) for row in rows], dtype=pl.Boolean
            ),
        }
    )
    root_digit = pl.col("occ_symbol").str.slice(0, 6).str.contains(r"\d")
    return frame.drop_nulls(["occ_symbol", "right"]).with_columns(
        adjusted=pl.col("adjusted") | root_digit
    )


def trades(rows: Sequence[OptionTrade]) -> Frame:
    """Return trades: time_ns (SIP, Int64 UTC), price (USD), size, exchange and conditions (text)."""
    return pl.DataFrame(
        {
            "time_ns": pl.Series([row.sip_timestamp for row in rows], dtype=pl.Int64),
            "price": _floats(row.price for row in rows),
            "size": _floats(row.size for row in rows),
            "exchange": pl.Series([row.exchange for row in rows], dtype=pl.Int32).cast(pl.String),
            "conditions": _texts(
                ",".join(str(code) for code in row.conditions) or None for row in rows
            ),
        }
    )


def quotes(rows: Sequence[OptionQuote]) -> Frame:
    """Return quotes: time_ns (SIP, UTC), bid, ask (USD, null: no side), their sizes, sequence."""
    frame = pl.DataFrame(
        {
            "time_ns": pl.Series([row.sip_timestamp for row in rows], dtype=pl.Int64),
            "bid": _floats(row.bid_price for row in rows),
            "ask": _floats(row.ask_price for row in rows),
            "bid_size": _floats(row.bid_size for row in rows),
            "ask_size": _floats(row.ask_size for row in rows),
            "sequence": pl.Series([row.sequence_number for row in rows], dtype=pl.Int64),
        }
    )
    return _without_empty_sides(frame)


def chain(rows: Sequence[ContractSnapshot]) -> Frame:
    """Return a chain as columns of `OPTION_QUOTES`.

    Those that a snapshot has, and of `OPTION_CONTRACTS` multiplier and exercise_style.
    """
    quoted = [row.last_quote for row in rows]
    traded = [row.last_trade for row in rows]
    details = [row.details for row in rows]
    frame = pl.DataFrame(
        {
            "occ_symbol": polygon_to_occ(
                pl.Series([each.ticker for each in details], dtype=pl.String)
            ),
            "expiration": pl.Series([each.expiration_date for each in details], dtype=pl.Date),
            "strike": _floats(each.strike_price for each in details),
            "right": _texts(_RIGHTS.get(each.contract_type) for each in details),
            "multiplier": _floats(each.shares_per_contract for each in details),
            "exercise_style": _texts(_STYLES.get(each.exercise_style) for each in details),
            "bid": _floats(each.bid for each in quoted),
            "ask": _floats(each.ask for each in quoted),
            "bid_size": _floats(each.bid_size for each in quoted),
            "ask_size": _floats(each.ask_size for each in quoted),
            "quote_at": _moments(each.last_updated for each in quoted),
            "last": _floats(each.price for each in traded),
            "trade_at": _moments(each.sip_timestamp for each in traded),
            "volume": _floats(row.day.volume for row in rows),
            "open_interest": _floats(row.open_interest for row in rows),
            "source_implied_volatility": _floats(row.implied_volatility for row in rows),
            "source_delta": _floats(row.greeks.delta for row in rows),
            "underlying_price": _floats(
                row.underlying_asset.value
                if row.underlying_asset.price is None
                else row.underlying_asset.price
                for row in rows
            ),
        }
    )
    return _without_empty_sides(frame.drop_nulls(["occ_symbol", "right"]))


def splits(rows: Sequence[Split]) -> Frame:
    """Return splits: ex_date, split_from, split_to (shares)."""
    return pl.DataFrame(
        {
            "ex_date": pl.Series([row.execution_date for row in rows], dtype=pl.Date),
            "split_from": _floats(row.split_from for row in rows),
            "split_to": _floats(row.split_to for row in rows),
        }
    )


def dividends(rows: Sequence[Dividend]) -> Frame:
    """Return cash dividends in USD: ex_date, amount (USD a share), declared, paid.

    Two payments with one ex-date (an ordinary and a special one) become one of their sum, as the
    price loses both at once. Other currencies are left out.
    """
    dollars = [row for row in rows if (row.currency or "USD") == "USD"]
    frame = pl.DataFrame(
        {
            "ex_date": pl.Series([row.ex_dividend_date for row in dollars], dtype=pl.Date),
            "amount": _floats(row.cash_amount for row in dollars),
            "declared": pl.Series([row.declaration_date for row in dollars], dtype=pl.Date),
            "paid": pl.Series([row.pay_date for row in dollars], dtype=pl.Date),
        }
    )
    return frame.group_by("ex_date", maintain_order=True).agg(
        pl.col("amount").sum(), pl.col("declared").first(), pl.col("paid").first()
    )


def _without_empty_sides(frame: Frame) -> Frame:
    """Let a side of price 0 and size 0 (or nothing) be null, and sizes whole contracts."""
    cleaned = []
    for side in ("bid", "ask"):
        size = pl.col(f"{side}_size")
        stands = (pl.col(side).fill_null(0) > 0) | (size.fill_null(0) > 0)
        cleaned += [
            pl.when(stands).then(pl.col(side)).alias(side),
            pl.when(stands).then(size).round().cast(pl.Int32).alias(f"{side}_size"),
        ]
    return frame.with_columns(cleaned)


def _floats(values: Any) -> pl.Series:
    return pl.Series(list(values), dtype=pl.Float64, strict=False)


def _texts(values: Any) -> pl.Series:
    return pl.Series(list(values), dtype=pl.String)


def _moments(values: Any) -> pl.Series:
    """Nanoseconds since 1970 as times of microseconds."""
    stamps = pl.Series(list(values), dtype=pl.Int64)
    return stamps.cast(pl.Datetime("ns", "UTC")).cast(_US)
