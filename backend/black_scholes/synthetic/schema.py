"""Columns of a generated chain, and what a dividend is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from datetime import date

TIME = pl.Datetime("us", "UTC")

CHAIN_SCHEMA: dict[str, pl.DataType] = {
    "occ_symbol": pl.String(),  # 21 characters
    "root": pl.String(),
    "expiration": pl.Date(),
    "strike": pl.Float64(),
    "right": pl.String(),  # C or P
    "bid": pl.Float64(),  # null: nobody bids
    "ask": pl.Float64(),  # null: nobody offers
    "last": pl.Float64(),  # null: never traded, as far as the world knows
    "mark": pl.Float64(),  # mid of bid and ask; a missing bid counts as 0
    "bid_size": pl.Int64(),
    "ask_size": pl.Int64(),
    "last_size": pl.Int64(),
    "volume": pl.Int64(),  # contracts, this session so far
    "open_interest": pl.Int64(),  # of the previous session's close; null: not known
    "high": pl.Float64(),  # of this session's trades; null: none yet
    "low": pl.Float64(),
    "open": pl.Float64(),
    "close": pl.Float64(),  # of the previous session; null: not known
    "quote_at": TIME,
    "trade_at": TIME,  # null: never traded, as far as the world knows
    "iv": pl.Float64(),  # 0.20 = 20 %; null where the quote implies none
    "delta": pl.Float64(),
    "gamma": pl.Float64(),
    "theta": pl.Float64(),  # USD a calendar day
    "vega": pl.Float64(),  # USD a volatility point
    "rho": pl.Float64(),  # USD a percentage point of the rate
    "multiplier": pl.Float64(),
    "exercise_style": pl.String(),  # A American, E European
    "settlement": pl.String(),  # AM or PM
    "expiration_type": pl.String(),  # S standard, W weekly, M end of month, Q quarterly
}
"""Columns of a chain, one row a contract, sorted by expiration, root, strike, right."""


@dataclass(frozen=True, slots=True)
class Dividend:
    """One cash dividend.

    Attributes:
        ex_date: First session without it.
        pay_date: When it is paid.
        amount: USD a share.
    """

    ex_date: date
    pay_date: date
    amount: float
