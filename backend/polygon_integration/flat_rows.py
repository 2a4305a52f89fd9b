"""Rows of REST and of the stream in the columns of flat files, as the lake has those (pure).

What a kind of service does not tell is null, as in a flat file that lacks a column: sequence numbers
and exchanges of quotes, corrections. A side of a quote that nobody takes has price and size 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from models.option_columns import parse_occ
from polygon_integration.flat_datasets import NANOSECONDS, dataset

if TYPE_CHECKING:
    from models.tables import Frame
    from polygon_integration.flat_datasets import FlatDataset

_SIDES: Final = ("bid", "ask", "bid_size", "ask_size")


def to_flat_rows(name: str, rows: Frame) -> Frame:
    """Return rows in the columns, types and units of a flat file in the lake.

    Args:
        name: Of the dataset, as minute_aggs; not of stock trades and quotes.
        rows: Of `OPTION_BARS`, `OPTION_TRADES`, `OPTION_QUOTES` or `EQUITY_BARS`, a session's; of
            `OPTION_QUOTES` the moment of the quote (`quote_at`) is its time, rows without it are
            left out.
    """
    what = dataset(name)
    if what.kind == "quotes":
        rows = (
            rows.drop_nulls("quote_at")
            .with_columns(ts=pl.col("quote_at"), **{side: _or_zero(side) for side in _SIDES})
            .unique(["occ_symbol", "ts"], keep="last", maintain_order=True)
        )
    if what.kind == "trades":
        rows = rows.sort("occ_symbol", "ts", "sequence")
    if what.options:
        terms = parse_occ(rows["occ_symbol"]).drop("underlying", "occ_symbol", strict=False)
        rows = pl.concat([rows.drop(terms.columns, strict=False), terms], how="horizontal")
    types = _types(what)
    return rows.select(
        pl.col(column).cast(kind, strict=False)
        if column in rows.columns and not (column == "sequence" and what.kind == "quotes")
        else pl.lit(None, kind).alias(column)
        for column, kind in types.items()
    )


def _or_zero(side: str) -> pl.Expr:
    return pl.col(side).cast(pl.Float64).fill_null(0.0)


def _types(what: FlatDataset) -> dict[str, pl.DataType]:
    """Return the lake's columns of a dataset, without the number that its writer gives."""
    terms = parse_occ(pl.Series("occ_symbol", [], pl.String)).schema
    own = {field.name: field.last or field.dtype for field in what.fields.values()}
    known = {
        **terms,
        "occ_symbol": pl.String(),
        "source": pl.String(),
        "origin": pl.String(),
        **own,
    }
    if what.kind != "bars":
        known["ts"] = NANOSECONDS
    return {name: known[name] for name in what.columns if name != "occurrence"}
