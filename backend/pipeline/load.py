"""Writing what was checked: data first, then the row of coverage that vouches for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.errors import BadSymbol
from models.tables import (
    COVERAGE,
    EQUITY_BARS,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    QUARANTINE,
    RATES,
    UNDERLYINGS,
    frame_schema,
)
from pipeline import plan
from pipeline.coverage import Mark, Part, coverage_row
from pipeline.events import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from models.options import OptionChain
    from pipeline.quality import Checked
    from ports.market_data import MarketData
    from ports.store import Store
    from utils.clock import Clock


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run works with.

    Attributes:
        market: Where the data comes from.
        store: Where it goes.
        clock: The market's time.
        wall: The machine's time.
    """

    market: MarketData
    store: Store
    clock: Clock
    wall: Clock

    def part(self, ticker: str, dataset: str, session: date) -> Part:
        """Return the part of a dataset of `pipeline.plan` that this market's rows belong to."""
        table = OPTION_QUOTES if dataset == plan.CHAIN_DATASET else EQUITY_BARS
        return Part(table, ticker, dataset, session, self.market.source, self.market.origin)


def load(desk: Desk, part: Part, checked: Checked, mark: Mark, *, fresh: bool) -> Stored:
    """Store checked rows, then mark the part as covered.

    Args:
        desk: Market, store and clocks.
        part: What the rows belong to.
        checked: Accepted and rejected rows.
        mark: How far the part is covered once they are stored.
        fresh: Coverage knows nothing of the part, so that its keys are most likely new.
    """
    changed = desk.store.upsert(part.table.name, checked.accepted, expect_empty=fresh)
    if not checked.rejected.is_empty():
        desk.store.upsert(QUARANTINE.name, checked.rejected)
    stored = desk.store.read(part.table.name, part.where)
    if stored.is_empty():
        status = "empty" if checked.rejected.is_empty() else "quarantined"
        mark = Mark(status, mark.missing, mark.asked_at, mark.scope)
    row = coverage_row(part, stored, mark, checked_at=desk.wall())
    desk.store.upsert(COVERAGE.name, row)
    return Stored(
        ticker=part.ticker,
        dataset=part.dataset,
        session=part.session,
        status=mark.status,
        rows=stored.height,
        changed=changed,
        missing=mark.missing,
        quarantined=checked.rejected.height,
        findings=checked.findings,
    )


def store_underlyings(desk: Desk, tickers: Sequence[str], now: datetime) -> None:
    """Store what the market knows of each ticker.

    Raises:
        BadSymbol: It does not know one of them.
    """
    rows = desk.market.underlyings(tickers, now=now)
    unknown = sorted(set(tickers) - set(rows["underlying"]))
    if unknown:
        raise BadSymbol(f"{', '.join(unknown)}: {desk.market.source} does not know this ticker")
    desk.store.upsert(UNDERLYINGS.name, rows)


def store_contracts(desk: Desk, chain: OptionChain) -> None:
    """Store the contracts of a chain; one that is known keeps the day it was first seen."""
    if chain.contracts.is_empty():
        return
    where = {
        "underlying": chain.underlying,
        "source": desk.market.source,
        "origin": desk.market.origin,
    }
    known = desk.store.read(OPTION_CONTRACTS.name, where, ["occ_symbol", "first_seen"])
    seen = known.select("occ_symbol", _seen="first_seen")
    rows = (
        chain.contracts.unique("occ_symbol", keep="first", maintain_order=True)
        .join(seen, on="occ_symbol", how="left", maintain_order="left")
        .with_columns(first_seen=pl.min_horizontal("first_seen", "_seen"))
        .drop("_seen")
    )
    desk.store.upsert(OPTION_CONTRACTS.name, rows)


def store_rate(desk: Desk, chain: OptionChain, session: date) -> None:
    """Store the interest rate that came with a chain, if one did."""
    if chain.risk_free_rate is None:
        return
    row = {
        "session": session,
        "name": f"{desk.market.source}_chain",
        "rate": chain.risk_free_rate,
        "source": desk.market.source,
        "origin": desk.market.origin,
    }
    desk.store.upsert(RATES.name, pl.DataFrame([row], schema=frame_schema(RATES)))
