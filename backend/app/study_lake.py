"""A 0DTE study into the lake, in the columns of flat files, which replace it the next day.

What a file has of other contracts stays, and whole sessions of a contract are replaced: trades have
no id. Where the lake has the flat file's rows of that session, those stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from clients.lake import Lake, LakeFile
from clients.lake_writer import MADE_FROM
from models.symbols import INDICES
from polygon_integration.config import PROVIDER
from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_rows import to_flat_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.zero_dte_study import Whole
    from models.tables import Frame
    from polygon_integration.flat_datasets import FlatDataset

FLAT_NAMES: Final = {
    "bars": "minute_aggs",
    "trades": "trades",
    "quotes": "quotes",
    "underlying": "stock_minute_aggs",
}
"""Dataset of a study -> flat file that replaces it."""

_PRECISION: Final = {"rest": "us", "stream": "ms"}


def put_in_lake(
    lake: Lake, ticker: str, origin: str, whole: Whole, *, made_from: str
) -> Iterator[str]:
    """Store a study in the lake; yield a sentence for each table.

    Args:
        lake: Where to.
        ticker: Underlying.
        origin: live, simulator or recorded.
        whole: The study.
        made_from: rest, or stream where some of it came so.

    Raises:
        StoreError: The lake does not take it.
    """
    frames = whole.frames | {"underlying": whole.underlying}
    for name, flat in FLAT_NAMES.items():
        if name not in frames or (name == "underlying" and ticker in INDICES):
            continue
        what = dataset(flat)
        file = LakeFile(what.table, ticker, whole.session.day, PROVIDER, origin)
        there = lake.made_from(file)
        if there == MADE_FROM[-1]:
            yield f"{what.table}: the rows of the flat file stay"
            continue
        rows = to_flat_rows(flat, frames[name])
        detail = detail_of(name, made_from)
        best = made_from
        if there is not None:
            best = max(there, made_from, key=MADE_FROM.index)
            rows = _with_others(lake, file, what, rows)
        lake.replace(file, rows, sort_key=what.sort_key, made_from=best, detail=detail)
        yield f"{what.table}: {rows.height:,} rows"


def detail_of(name: str, made_from: str) -> str:
    """Return what is not as exact as in a flat file, for people.

    Args:
        name: Dataset of a study.
        made_from: rest or stream.
    """
    sampled = ", the last of each minute" if name == "quotes" else ""
    return f"times in {_PRECISION[made_from]}{sampled}"


def _with_others(lake: Lake, file: LakeFile, what: FlatDataset, rows: Frame) -> Frame:
    """Return these rows and what the lake has besides: of other contracts, or other minutes."""
    known = lake.read(
        what.table,
        underlyings=[file.underlying],
        first=file.session,
        last=file.session,
        origin=file.origin,
    ).filter(pl.col("source") == file.source)
    key = "occ_symbol" if what.options else "ts"
    others = known.join(rows.select(key).unique(), on=key, how="anti", maintain_order="left")
    return pl.concat([others.select(rows.columns), rows])
