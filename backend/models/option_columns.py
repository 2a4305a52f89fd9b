"""Option symbols by the column: parse and format millions of them without a Python loop.

A row that does not fit (or is null) becomes null in every column: a download of a million rows is
not lost to one of them, and the caller counts or quarantines the nulls. The scalar forms of
`models.options.OptionContract` agree row by row and say what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from models.symbols import (
    OCC_LENGTH,
    OCC_PATTERN,
    ROOT_LENGTH,
    ROOT_PATTERN,
    roots_to_underlyings,
)

if TYPE_CHECKING:
    from models.tables import Frame

_MAX_THOUSANDTHS = 99_999_999
_TAIL = OCC_LENGTH - ROOT_LENGTH


def parse_occ(symbols: pl.Series) -> Frame:
    """Parse a column of OCC symbols (Schwab's are the same).

    Args:
        symbols: Text of 21 characters a row.

    Returns:
        One row a symbol, in order: root and underlying (text), expiration (date), strike (Float64,
        USD, three decimals at most), right ("C" or "P"). All null where the text is no OCC symbol.
    """
    text = pl.col("symbol")
    fits = (text.str.len_bytes() == OCC_LENGTH) & text.str.contains(f"^{OCC_PATTERN}$")
    parts = (
        symbols.alias("symbol")
        .to_frame()
        .select(pl.when(fits).then(text).alias("symbol"))
        .select(
            root=text.str.slice(0, ROOT_LENGTH).str.strip_chars_end(" "),
            expiration=("20" + text.str.slice(6, 6)).str.to_date("%Y%m%d", strict=False),
            # From its text: a division by 1000 in Polars is off by the last bit.
            strike=(text.str.slice(13, 5) + "." + text.str.slice(18, 3)).cast(pl.Float64),
            right=text.str.slice(12, 1),
        )
    )
    # A date that does not exist or a strike of zero spoils its row.
    whole = pl.col("expiration").is_not_null() & (pl.col("strike") > 0)
    root = pl.when(whole).then(pl.col("root"))
    return parts.select(
        root=root,
        underlying=_underlying(root),
        expiration=pl.when(whole).then(pl.col("expiration")),
        strike=pl.when(whole).then(pl.col("strike")),
        right=pl.when(whole).then(pl.col("right")),
    )


def format_occ(
    root: pl.Series, expiration: pl.Series, strike: pl.Series, right: pl.Series
) -> pl.Series:
    """Format columns of contracts as OCC symbols (Schwab's are the same).

    Args:
        root: Option roots.
        expiration: Dates, 2000 to 2099.
        strike: USD, Float64 or Decimal, in whole thousandths below 100,000.
        right: "C" or "P".

    Returns:
        The symbols, named occ_symbol; null where no symbol can say what the row says.
    """
    frame = pl.DataFrame({"root": root, "day": expiration, "strike": strike, "right": right})
    exact = pl.col("strike").cast(pl.Float64) * 1000
    thousandths = exact.round()
    day = pl.col("day").dt
    fits = (
        pl.col("root").str.contains(f"^(?:{ROOT_PATTERN})$")
        & pl.col("right").is_in(["C", "P"])
        & day.year().is_between(2000, 2099)
        & ((exact - thousandths).abs() < 1e-6)
        & thousandths.is_between(1, _MAX_THOUSANDTHS)
    )
    yymmdd = day.year() % 100 * 10_000 + day.month().cast(pl.Int32) * 100 + day.day()
    symbol = pl.concat_str(
        pl.col("root").str.pad_end(ROOT_LENGTH),
        yymmdd.cast(pl.String).str.zfill(6),
        pl.col("right"),
        pl.when(fits).then(thousandths).cast(pl.Int32).cast(pl.String).str.zfill(8),
    )
    return frame.select(occ_symbol=pl.when(fits).then(symbol)).to_series()


def occ_to_polygon(symbols: pl.Series) -> pl.Series:
    """Respell a column of OCC symbols as Polygon tickers, named polygon_ticker.

    Only the spelling changes: that the text is an OCC symbol is not checked.
    """
    return ("O:" + symbols.str.replace_all(" ", "", literal=True)).alias("polygon_ticker")


def polygon_to_occ(tickers: pl.Series) -> pl.Series:
    """Respell a column of Polygon option tickers as OCC symbols, named occ_symbol.

    Null where the text does not begin with `O:` or is too short or too long; what stands between
    is not checked (`parse_occ` does).
    """
    text = pl.col("ticker")
    body = text.str.slice(2)
    fits = text.str.starts_with("O:") & body.str.len_bytes().is_between(_TAIL + 1, OCC_LENGTH)
    symbol = body.str.head(-_TAIL).str.pad_end(ROOT_LENGTH) + body.str.tail(_TAIL)
    frame = tickers.alias("ticker").to_frame()
    return frame.select(occ_symbol=pl.when(fits).then(symbol)).to_series()


def _underlying(root: pl.Expr) -> pl.Expr:
    plain = root.str.replace("^([A-Z]+)[0-9]$", "$1")
    return plain.replace(roots_to_underlyings())
