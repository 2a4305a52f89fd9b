"""Writing what was checked: data first, then the row of coverage that vouches for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
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
    Range,
    Scalar,
    frame_schema,
)
from pipeline import plan
from pipeline.coverage import Mark, Part, coverage_row
from pipeline.events import Stored, Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from models.options import OptionChain
    from models.tables import Frame
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


@dataclass(frozen=True, slots=True)
class Piece:
    """Checked rows of one part, and how far the part is covered once they are stored.

    Attributes:
        part: What the rows belong to.
        checked: Accepted and rejected rows.
        mark: How far the part is covered then.
    """

    part: Part
    checked: Checked
    mark: Mark


def load(desk: Desk, pieces: Sequence[Piece], *, fresh: bool) -> Iterator[Written | Stored]:
    """Store checked rows, then mark their parts as covered; nothing is told before that.

    Args:
        desk: Market, store and clocks.
        pieces: Of one ticker and dataset, oldest first, one at least.
        fresh: Coverage knows nothing of any of them, so that their keys are most likely new.
    """
    table = pieces[0].part.table
    accepted = pl.concat([piece.checked.accepted for piece in pieces])
    rejected = pl.concat([piece.checked.rejected for piece in pieces])
    changed = desk.store.upsert(table.name, accepted, expect_empty=fresh)
    if not rejected.is_empty():
        desk.store.upsert(QUARANTINE.name, rejected)
    first, last = pieces[0].part, pieces[-1].part
    days: Range[Scalar] = Range(first.session, last.session + timedelta(days=1))
    stored = desk.store.read(table.name, first.where | {"session": days})
    whole = [_counted(piece, stored.filter(session=piece.part.session)) for piece in pieces]
    now = desk.wall()
    coverage = [coverage_row(part, rows, mark, checked_at=now) for part, rows, mark in whole]
    desk.store.upsert(COVERAGE.name, pl.concat(coverage))
    yield Written(first.ticker, first.dataset, changed)
    for piece, (part, rows, mark) in zip(pieces, whole, strict=True):
        yield Stored(
            ticker=part.ticker,
            dataset=part.dataset,
            session=part.session,
            status=mark.status,
            rows=rows.height,
            missing=mark.missing,
            quarantined=piece.checked.rejected.height,
            findings=piece.checked.findings,
        )


def _counted(piece: Piece, stored: Frame) -> tuple[Part, Frame, Mark]:
    """Return a part with what is stored of it; without a row the mark says so."""
    if not stored.is_empty():
        return piece.part, stored, piece.mark
    status = "empty" if piece.checked.rejected.is_empty() else "quarantined"
    return piece.part, stored, replace(piece.mark, status=status)


def store_underlyings(desk: Desk, tickers: Sequence[str], now: datetime) -> Frame:
    """Store what the market knows of each ticker, and return it.

    Raises:
        BadSymbol: It does not know one of them.
    """
    rows = desk.market.underlyings(tickers, now=now)
    unknown = sorted(set(tickers) - set(rows["underlying"]))
    if unknown:
        raise BadSymbol(f"{', '.join(unknown)}: {desk.market.source} does not know this ticker")
    desk.store.upsert(UNDERLYINGS.name, rows)
    return rows


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
