"""Implied volatility and greeks of the lake's option minutes: a table derived from two others.

`option_greeks_1m` has a row for each bar of `option_bars_1m`, under the same key, computed from its
close and from where the underlying's own minute closed (`equity_bars_1m`). A file says of which files
it was made, so that it is made anew when the vendor replaces one of those, and only then.
"""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from app.flat_backfill import read_entry
from clients.lake import Lake, LakeFile, Partition
from clients.lake_writer import MADE_FROM
from pipeline.dividends import CashDividend, dividends_after
from polygon_integration.client import PolygonClient
from polygon_integration.config import PROVIDER
from polygon_integration.flat_datasets import dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.tables import Frame
    from polygon_integration.config import PolygonSettings

GREEKS: Final = "option_greeks_1m"
"""The derived table."""

SLICE_ROWS: Final = 65_536
"""Rows that are priced at a time: a bound of memory."""

_YEARS = timedelta(days=3 * 366)
_MINUTES, _SHARES = "minute_aggs", "stock_minute_aggs"
_TERMS = ("occ_symbol", "root", "expiration", "strike", "right")
_FIGURES = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_point")
_SORT_KEY = ("ts", "occ_symbol")


class PricingJob(msgspec.Struct, frozen=True):
    """One underlying's session to price; plain values, so that another process can do it.

    Attributes:
        underlying: Whose options.
        day: Session.
        origin: live, simulator or recorded.
        lake: Of `Lake.open`.
        dividends: Ex-date and dollars a share of those after the session, as known.
    """

    underlying: str
    day: date
    origin: str
    lake: str
    dividends: tuple[tuple[date, float], ...] = ()


class Priced(msgspec.Struct, frozen=True):
    """What became of a job.

    Attributes:
        underlying: Whose.
        day: Session.
        rows: Of the table, made now.
        solved: Those that have a volatility.
        was_there: Whether it was made before of the same files.
        sentence: Why it could not be made; empty where it could.
    """

    underlying: str
    day: date
    rows: int = 0
    solved: int = 0
    was_there: bool = False
    sentence: str = ""


def price_session(job: PricingJob) -> Priced:
    """Make the table of one underlying's session, unless it is there already.

    Raises:
        StoreError: The lake does not take it.
        DataError: Its ledger cannot be read.
    """
    lake = Lake.open(job.lake)
    bars = LakeFile(dataset(_MINUTES).table, job.underlying, job.day, PROVIDER, job.origin)
    shares = LakeFile(dataset(_SHARES).table, job.underlying, job.day, PROVIDER, job.origin)
    for file, name in ((bars, _MINUTES), (shares, _SHARES)):
        if lake.made_from(file) is None:
            return Priced(
                job.underlying,
                job.day,
                sentence=f"the lake has no {name} of {job.underlying} on {job.day}: no greeks",
            )
    goal = LakeFile(GREEKS, job.underlying, job.day, PROVIDER, job.origin)
    detail = _made_of(lake, job)
    if lake.place.exists(goal.key) and lake.place.metadata(goal.key).get("detail") == detail:
        return Priced(job.underlying, job.day, was_there=True)
    spot = (
        _scanned(lake, shares)
        .select(ts=pl.col("ts") + pl.duration(minutes=1), underlying_price="close")
        .sort("ts")
        .collect()
    )
    partition = Partition(GREEKS, job.day, PROVIDER, job.origin, MADE_FROM[-1], _SORT_KEY, detail)
    count = solved = 0
    with lake.replacing(partition) as writer:
        for rows in _slices(_scanned(lake, bars)):
            figures = priced(rows, spot, job.dividends)
            count += figures.height
            solved += figures["implied_volatility"].count()
            writer.add(job.underlying, figures)
        writer.publish()
    lake.place.secure(goal.key)
    return Priced(job.underlying, job.day, count, solved)


def priced(rows: Frame, spot: Frame, dividends: tuple[tuple[date, float], ...]) -> Frame:
    """Return the derived rows of minute bars.

    Args:
        rows: Of `option_bars_1m`, with session; in the order of time.
        spot: ts (end of a minute) and underlying_price, oldest first.
        dividends: As of `PricingJob`.
    """
    from pipeline.enrich_bars import enrich_bars  # noqa: PLC0415 - numba: 0.6 s

    terms = rows.select(_TERMS).unique("occ_symbol")
    contracts = terms.with_columns(exercise_style=pl.lit(None, pl.String))
    known = [CashDividend(*each) for each in dividends]
    bars = enrich_bars(rows, contracts, spot, known)
    return (
        bars.with_columns(_end=pl.col("ts") + pl.duration(minutes=1))
        .sort("_end", maintain_order=True)
        .join_asof(spot.rename({"ts": "_end"}), on="_end")
        .select("ts", "occ_symbol", "underlying_price", *_FIGURES, "source", "origin")
    )


def told(done: list[Priced]) -> Iterator[str]:
    """Yield what to say of all jobs: why some could not be done, and what was made."""
    yield from (each.sentence for each in done if each.sentence)
    rows, solved = sum(each.rows for each in done), sum(each.solved for each in done)
    made = sum(bool(each.rows) for each in done)
    there = sum(each.was_there for each in done)
    share = f", {solved / rows:.0%} with a volatility" if rows else ""
    yield f"{GREEKS}: {made} sessions priced ({rows:,} rows{share}), {there} were there already"


def dividends(
    settings: PolygonSettings | None, ticker: str, days: Sequence[date]
) -> dict[date, tuple[tuple[date, float], ...]]:
    """Return session -> the dividends after it, as REST tells them or their rhythm lets expect.

    Args:
        settings: How to reach it; None knows none.
        ticker: Whose.
        days: Sessions that will be priced, oldest first.

    Raises:
        TradingError: REST fails.
    """
    if settings is None:
        return dict.fromkeys(days, ())
    with PolygonClient(settings) as client:
        pages = client.dividends(ticker, first=days[0] - _YEARS, last=days[-1] + _YEARS)
        paid = pl.concat([page.frame for page in pages])
    return {day: tuple((x.ex_date, x.cash) for x in dividends_after(paid, day)) for day in days}


def _made_of(lake: Lake, job: PricingJob) -> str:
    """Return what stands for the editions of the files that the table is made of, and dividends."""
    said = []
    for name in (_MINUTES, _SHARES):
        entry = read_entry(lake, dataset(name), job.day, job.origin)
        said.append(f"{name} {entry.etag if entry else 'not of a flat file'}")
    paid = ", ".join(f"{cash:g} on {day}" for day, cash in job.dividends) or "none"
    edition = blake2b(f"{said} {paid}".encode(), digest_size=6).hexdigest()
    return f"computed, edition {edition}"


def _scanned(lake: Lake, file: LakeFile) -> pl.LazyFrame:
    return lake.scan(
        file.table,
        underlyings=[file.underlying],
        first=file.session,
        last=file.session,
        origin=file.origin,
    ).filter(pl.col("source") == file.source)


def _slices(rows: pl.LazyFrame) -> Iterator[Frame]:
    """Yield a session's bars, in the order of time, so many at a time."""
    start = 0
    while not (some := rows.slice(start, SLICE_ROWS).collect()).is_empty():
        yield some
        start += some.height
