"""Volume and open interest of a session's contracts, from a stored snapshot of its chain.

Quotes of the past have neither. Open interest is the clearing house's, one figure a contract and day,
and volume is that of all exchanges: whose snapshot tells them is the same, so that another service's
serves where the own one is not stored. A generated figure never stands beside a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from models.tables import COVERAGE, OPTION_QUOTES, OPTION_TRADES, Scalar
from pipeline import plan
from utils import market_calendar

if TYPE_CHECKING:
    from datetime import date

    from models.tables import Frame
    from pipeline.coverage import Part
    from ports.store import Store

_COLUMNS: Final = ("occ_symbol", "ts", "volume", "open_interest")
_SYNTHETIC: Final = "synthetic"


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of the contracts of a session, beside their quotes; None where nothing is.

    Attributes:
        now: occ_symbol, ts, volume, open_interest; volume only of a snapshot after the close.
        before: The same of the session before.
        trades: Every trade of the session: occ_symbol, size.
    """

    now: Frame | None = None
    before: Frame | None = None
    trades: Frame | None = None


def read_activity(store: Store, part: Part) -> Activity:
    """Return what is stored of the contracts of a part's session.

    Raises:
        StoreError: The database failed.
    """
    before = market_calendar.previous_session(part.session).day
    stamp: dict[str, Scalar] = {
        "underlying": part.ticker,
        "session": part.session,
        "source": part.source,
        "origin": part.origin,
    }
    trades = store.read(OPTION_TRADES.name, stamp, ["occ_symbol", "size"])
    return Activity(
        _snapshot(store, part, part.session),
        _snapshot(store, part, before),
        trades if trades.height else None,
    )


def _snapshot(store: Store, part: Part, session: date) -> Frame | None:
    """Return the newest snapshot of a session, of the part's own source if there is one."""
    where: dict[str, Scalar] = {
        "ticker": part.ticker,
        "dataset": plan.CHAIN_DATASET,
        "session": session,
        "origin": part.origin,
    }
    known = store.read(COVERAGE.name, where).filter(
        pl.col("newest_at").is_not_null()
        & ((pl.col("source") == _SYNTHETIC) == (part.source == _SYNTHETIC))
    )
    if known.is_empty():
        return None
    row = known.sort(pl.col("source") != part.source, "source").row(0, named=True)
    stamp: dict[str, Scalar] = {
        "underlying": part.ticker,
        "session": session,
        "source": row["source"],
        "origin": part.origin,
        "ts": row["newest_at"],
    }
    found = store.read(OPTION_QUOTES.name, stamp, list(_COLUMNS))
    if row["newest_at"] < market_calendar.session(session).close:
        return found.with_columns(volume=pl.lit(None, pl.Int64))
    return found
