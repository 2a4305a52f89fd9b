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
from pipeline.coverage import Content, Mark, Part, coverage_row, covered_content
from pipeline.events import Stored, Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from models.options import OptionChain
    from models.tables import Frame
    from pipeline.quality import Checked
    from ports.market_data import HistoricOptions, MarketData
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
        history: Who is asked for the past of options, where the source knows it.
    """

    market: MarketData
    store: Store
    clock: Clock
    wall: Clock
    history: HistoricOptions | None = None

    def part(self, ticker: str, dataset: str, session: date) -> Part:
        """Return the part of a dataset of `pipeline.plan` that this market's rows belong to."""
        of_options = dataset in {plan.CHAIN_DATASET, plan.MINUTES_DATASET}
        table = OPTION_QUOTES if of_options else EQUITY_BARS
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


def load(
    store: Store, wall: Clock, pieces: Sequence[Piece], *, fresh: bool
) -> Iterator[Written | Stored]:
    """Store checked rows, then mark their parts as covered; nothing is told before that.

    Args:
        store: Where they go.
        wall: The machine's time.
        pieces: Of one ticker and dataset, oldest first, one at least.
        fresh: Coverage knows nothing of any of them, so that their keys are most likely new.
    """
    table = pieces[0].part.table
    accepted = pl.concat([piece.checked.accepted for piece in pieces])
    rejected = pl.concat([piece.checked.rejected for piece in pieces])
    changed = store.upsert(table.name, accepted, expect_empty=fresh)
    if not rejected.is_empty():
        store.upsert(QUARANTINE.name, rejected)
    contents = _CONTENTS.get(pieces[0].part.dataset, _contents)(store, pieces)
    now = wall()
    whole = [
        (piece, content, _mark(piece, content))
        for piece, content in zip(pieces, contents, strict=True)
    ]
    coverage = [
        coverage_row(piece.part, content, mark, checked_at=now) for piece, content, mark in whole
    ]
    store.upsert(COVERAGE.name, pl.concat(coverage))
    yield Written(pieces[0].part.ticker, pieces[0].part.dataset, changed)
    for piece, content, mark in whole:
        yield Stored(
            ticker=piece.part.ticker,
            dataset=piece.part.dataset,
            session=piece.part.session,
            status=mark.status,
            rows=content.rows,
            missing=mark.missing,
            quarantined=piece.checked.rejected.height,
            findings=piece.checked.findings,
        )


def _contents(store: Store, pieces: Sequence[Piece]) -> list[Content]:
    """Return what is stored of each piece's part, read back in one go."""
    first, last = pieces[0].part, pieces[-1].part
    days: Range[Scalar] = Range(first.session, last.session + timedelta(days=1))
    stored = store.read(first.table.name, first.where | {"session": days})
    return [
        Content().plus(first.table, stored.filter(session=piece.part.session)) for piece in pieces
    ]


def _snapshot_content(store: Store, pieces: Sequence[Piece]) -> list[Content]:
    """Return what is stored of a session's snapshots.

    Only those are read that are newer than what coverage vouches for: the new one, and any that a
    run left which was killed before it could say so. All are, where the clock was set back.
    """
    (piece,) = pieces
    part = piece.part
    coverage = store.coverage(part.ticker, source=part.source, origin=part.origin)
    known = covered_content(coverage, part)
    oldest = piece.checked.accepted["ts"].min()
    if not coverage.filter(dataset=plan.MINUTES_DATASET, session=part.session).is_empty():
        rows = store.read(part.table.name, part.where)
        return [Content().plus(part.table, rows.filter(is_snapshot()))]
    if known.newest_at is None or (oldest is not None and oldest <= known.newest_at):  # type: ignore[operator]
        return [Content().plus(part.table, store.read(part.table.name, part.where))]
    later: Range[Scalar] = Range(known.newest_at + timedelta(microseconds=1), None)
    return [known.plus(part.table, store.read(part.table.name, part.where | {"ts": later}))]


def _minutes_content(store: Store, pieces: Sequence[Piece]) -> list[Content]:
    """Return what is stored of a session's minute quotes, snapshots apart."""
    (piece,) = pieces
    stored = store.read(piece.part.table.name, piece.part.where)
    return [Content().plus(piece.part.table, stored.filter(~is_snapshot()))]


_CONTENTS = {plan.CHAIN_DATASET: _snapshot_content, plan.MINUTES_DATASET: _minutes_content}
"""How the content of a dataset is read back, where it is not by sessions."""


def is_snapshot() -> pl.Expr:
    """Return whether a row of `OPTION_QUOTES` is of a chain snapshot: the past has quotes alone."""
    return pl.any_horizontal(
        pl.col("open_interest", "volume", "last", "source_implied_volatility").is_not_null()
    )


def _mark(piece: Piece, content: Content) -> Mark:
    """Return how far a part is covered; without a row the mark says so."""
    if content.rows:
        return piece.mark
    status = "empty" if piece.checked.rejected.is_empty() else "quarantined"
    return replace(piece.mark, status=status)


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


def store_contracts(store: Store, contracts: Frame) -> None:
    """Store contracts of one underlying, source and origin; one that is known keeps its first day.

    Args:
        store: Where they go.
        contracts: Rows of `OPTION_CONTRACTS`.
    """
    if contracts.is_empty():
        return
    where: dict[str, Scalar] = {
        name: contracts[name].item(0) for name in ("underlying", "source", "origin")
    }
    known = store.read(OPTION_CONTRACTS.name, where, ["occ_symbol", "first_seen"])
    seen = known.select("occ_symbol", _seen="first_seen")
    rows = (
        contracts.unique("occ_symbol", keep="first", maintain_order=True)
        .join(seen, on="occ_symbol", how="left", maintain_order="left")
        .with_columns(first_seen=pl.min_horizontal("first_seen", "_seen"))
        .drop("_seen")
    )
    store.upsert(OPTION_CONTRACTS.name, rows)


def store_rate(store: Store, chain: OptionChain, part: Part) -> None:
    """Store the interest rate that came with a chain, if one did.

    Args:
        store: Where it goes.
        chain: Of a snapshot.
        part: What the chain belongs to.
    """
    if chain.risk_free_rate is None:
        return
    row = {
        "session": part.session,
        "name": f"{part.source}_chain",
        "rate": chain.risk_free_rate,
        "source": part.source,
        "origin": part.origin,
    }
    store.upsert(RATES.name, pl.DataFrame([row], schema=frame_schema(RATES)))
