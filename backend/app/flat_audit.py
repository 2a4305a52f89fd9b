"""Minutes against days: tells a minute in which nobody traded from one that is missing.

The vendor writes no bar where nothing was traded, so a gap says nothing by itself. The day's bar
counts all of the day: where the minutes of a contract add up to its volume and its number of
transactions, every minute without a bar had no trade; where they do not, minutes are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from app import cli
from clients.lake import Lake
from models.errors import ConfigError
from polygon_integration.flat_datasets import dataset

if TYPE_CHECKING:
    from app.bulk_command import Asked
    from models.tables import Frame

_TOLERANCE = 1e-6
_SHOWN = 20
_PAIRS = {"minute_aggs": "day_aggs", "stock_minute_aggs": "stock_day_aggs"}


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit found.

    Attributes:
        contracts: Pairs of contract and session that were compared.
        whole: Those whose minutes add up to their day: their gaps had no trade.
        gaps: Minutes without a bar between the first and the last of those, which had no trade.
        missing: Those that lack something: symbol, session, volume and transactions of the day, and
            how much of them the minutes have.
    """

    contracts: int
    whole: int
    gaps: int
    missing: Frame


def compare(minutes: pl.LazyFrame, days: pl.LazyFrame, symbol: str) -> Found:
    """Compare minute bars with day bars of the same sessions.

    Args:
        minutes: Minute bars: ts, volume, trades, session and the symbol's column.
        days: Day bars, the same.
        symbol: occ_symbol, or underlying.
    """
    keys = [symbol, "session"]
    spread = (pl.col("ts").max() - pl.col("ts").min()).dt.total_minutes() + 1
    summed = minutes.group_by(keys).agg(
        pl.col("volume").sum().alias("minute_volume"),
        pl.col("trades").cast(pl.Int64).sum().alias("minute_trades"),
        (spread - pl.len()).alias("gaps"),
    )
    both = (
        days.select(*keys, "volume", pl.col("trades").cast(pl.Int64))
        .join(summed, on=keys, how="full", coalesce=True)
        .with_columns(
            pl.col("volume", "trades", "minute_volume", "minute_trades", "gaps").fill_null(0)
        )
        .collect()
    )
    same = ((pl.col("volume") - pl.col("minute_volume")).abs() <= _TOLERANCE * pl.col("volume")) & (
        pl.col("trades") == pl.col("minute_trades")
    )
    whole = both.filter(same)
    missing = both.filter(~same).select(*keys, "volume", "minute_volume", "trades", "minute_trades")
    return Found(both.height, whole.height, int(whole["gaps"].sum()), missing.sort(keys))


def audit(asked: Asked) -> int:
    """Compare what the lake has, and tell; return the exit status: 4 where something is missing.

    Raises:
        ConfigError: The dataset has no days to compare with.
        NotFound: The lake has no minutes or no days.
    """
    if asked.dataset not in _PAIRS:
        raise ConfigError(f"--audit compares minute_aggs with day_aggs, not {asked.dataset}")
    lake = Lake.open(asked.lake)
    minute, day = dataset(asked.dataset), dataset(_PAIRS[asked.dataset])
    minutes = lake.scan(
        minute.table, underlyings=asked.underlyings, first=asked.start, last=asked.end
    )
    days = lake.scan(day.table, underlyings=asked.underlyings, first=asked.start, last=asked.end)
    # Sessions and underlyings that only one of them has are not stored: no question of bars.
    pairs = minutes.select("underlying", "session").unique()
    both = pairs.join(days.select("underlying", "session").unique(), on=["underlying", "session"])
    found = compare(
        minutes.join(both, on=["underlying", "session"]),
        days.join(both, on=["underlying", "session"]),
        "occ_symbol" if minute.options else "underlying",
    )
    print(
        f"{found.contracts:,} contract days compared: the minutes of {found.whole:,} add up to the day "
        f"({found.gaps:,} minutes without a bar had no trade), {found.missing.height:,} lack something"
    )
    for row in found.missing.head(_SHOWN).iter_rows():
        print(
            f"{row[0]} {row[1]}: minutes have {row[3]:g} of {row[2]:g} contracts and {row[5]} of "
            f"{row[4]} transactions"
        )
    return cli.PARTIAL if found.missing.height else cli.OK
