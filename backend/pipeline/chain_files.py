"""Chains from files that people keep: CBOE's quote table (CSV) and the options-desk JSON.

A file becomes an `OptionChain` as a broker's reply would, so that the rest of the product takes it
unchanged: `source` tells the file's kind, `origin` is recorded. Either may be gzipped.

CBOE: lines of head (name, last price; date), a header, then one line a strike with the call on
its left and the put on its right. Options-desk: one object with `symbol`, `updated`,
`underlyingPrice` and a list `quotes` of contracts, OCC symbols without the padding.
"""

from __future__ import annotations

import csv
import gzip
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from models.errors import DataError
from models.option_columns import parse_occ
from models.options import OptionChain
from models.symbols import exercise_style_of, settlement_of
from models.tables import OPTION_CONTRACTS, OPTION_QUOTES, frame_schema
from utils.market_calendar import NEW_YORK, last_session

if TYPE_CHECKING:
    from pathlib import Path

    from models.tables import Frame

ORIGIN = "recorded"
"""Of every chain that comes from a file."""

_GZIP = b"\x1f\x8b"
_MULTIPLIER = 100
_CBOE_HEADER = "Expiration Date,"
_CBOE_DATE = re.compile(r"Date: (\w+ \d{1,2}, \d{4} at \d{1,2}:\d{2} [AP]M) E[DS]T")
_CBOE_LAST = re.compile(r"Last: ([\d.,]+)")
_CBOE_SIDE = ("symbol", "last", "net", "bid", "ask", "volume", "iv", "delta", "gamma", "interest")


class _DeskQuote(msgspec.Struct):
    symbol: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    volume: float | None = None
    openInterest: float | None = None  # noqa: N815 - the file's spelling
    iv: float | None = None
    delta: float | None = None


class _DeskChain(msgspec.Struct):
    symbol: str
    updated: str
    underlyingPrice: float  # noqa: N815 - the file's spelling
    quotes: list[_DeskQuote]


def read_chain_file(path: Path) -> OptionChain:
    """Read a chain, whichever of the known forms the file has.

    Args:
        path: CBOE CSV or options-desk JSON, plain or gzipped.

    Returns:
        The chain; prices of 0 (nobody there) and volatilities of 0 (not computed) are null.

    Raises:
        DataError: The file cannot be read, or has neither form.
    """
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (OSError, EOFError) as error:
        raise DataError(f"the chain file {path} cannot be read: {error}") from error
    try:
        if text.lstrip().startswith(b"{"):
            return _desk(msgspec.json.decode(text, type=_DeskChain))
        return _cboe(text.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataError(
            f"{path} is neither a CBOE quote table nor an options-desk chain: {error}"
        ) from error


def _desk(chain: _DeskChain) -> OptionChain:
    columns: dict[str, list[Any]] = {
        "bare": [quote.symbol for quote in chain.quotes],
        "bid": [quote.bid for quote in chain.quotes],
        "ask": [quote.ask for quote in chain.quotes],
        "last": [quote.last for quote in chain.quotes],
        "volume": [quote.volume for quote in chain.quotes],
        "open_interest": [quote.openInterest for quote in chain.quotes],
        "source_implied_volatility": [quote.iv for quote in chain.quotes],
        "source_delta": [quote.delta for quote in chain.quotes],
    }
    ts = datetime.fromisoformat(chain.updated).astimezone(UTC)
    return _chain(ts, chain.underlyingPrice, columns, "options-desk")


def _cboe(text: str) -> OptionChain:
    head, header, table = text.partition(_CBOE_HEADER)
    price, moment = _CBOE_LAST.search(head), _CBOE_DATE.search(head)
    if price is None or moment is None or not header:
        raise ValueError("its first lines tell no last price, date and header")
    local = datetime.strptime(moment[1], "%B %d, %Y at %I:%M %p").replace(tzinfo=NEW_YORK)
    width = len(_CBOE_SIDE)
    sides: list[list[str]] = []
    for row in csv.reader(table.splitlines()[1:]):
        if len(row) != 2 * width + 2:
            raise ValueError(f"a line has {len(row)} fields instead of {2 * width + 2}")
        sides += [row[1 : width + 1], [*row[width + 2 :]]]
    columns: dict[str, list[Any]] = {"bare": [side[0] for side in sides]}
    names = {
        "last": "last",
        "bid": "bid",
        "ask": "ask",
        "volume": "volume",
        "iv": "source_implied_volatility",
        "delta": "source_delta",
        "interest": "open_interest",
    }
    for place, name in enumerate(_CBOE_SIDE):
        if name in names:
            columns[names[name]] = [float(side[place].replace(",", "")) for side in sides]
    return _chain(local.astimezone(UTC), float(price[1].replace(",", "")), columns, "cboe")


def _chain(
    ts: datetime, underlying_price: float, columns: dict[str, list[Any]], source: str
) -> OptionChain:
    # QQQ260714C00505000: the last 15 characters are of fixed width, the root is what stands before.
    bare = pl.col("bare")
    rows = pl.DataFrame(columns, schema_overrides={"bare": pl.String}, infer_schema_length=None)
    rows = rows.with_columns(occ_symbol=bare.str.head(-15).str.pad_end(6, " ") + bare.str.tail(15))
    rows = rows.hstack(parse_occ(rows["occ_symbol"]))
    if rows.is_empty() or rows["strike"].null_count():
        raise ValueError("it holds no contracts, or a symbol that is none")
    underlying: str = rows["underlying"][0]
    numbers = (
        "bid",
        "ask",
        "last",
        "source_implied_volatility",
    )
    rows = rows.with_columns(
        pl.when(pl.col(name).cast(pl.Float64) > 0).then(pl.col(name).cast(pl.Float64))
        for name in numbers
    ).with_columns(
        ts=pl.lit(ts),
        quote_at=pl.lit(ts),
        session=pl.lit(last_session(ts).day),
        underlying_price=pl.lit(underlying_price),
        source=pl.lit(source),
        origin=pl.lit(ORIGIN),
    )
    contracts = rows.with_columns(
        pl.col("root").replace_strict(_by_root(rows, "settlement")).alias("settlement"),
        pl.col("root").replace_strict(_by_root(rows, "style")).alias("exercise_style"),
        multiplier=pl.lit(_MULTIPLIER),
        first_seen=pl.col("session"),
    )
    return OptionChain(
        underlying=underlying,
        ts=ts,
        underlying_price=underlying_price,
        risk_free_rate=None,
        dividend_yield=None,
        quotes=_as_table(rows, frame_schema(OPTION_QUOTES)),
        contracts=_as_table(contracts, frame_schema(OPTION_CONTRACTS)),
    )


def _by_root(rows: Frame, what: str) -> dict[str, str]:
    of = settlement_of if what == "settlement" else exercise_style_of
    return {root: of(root) for root in rows["root"].unique()}


def _as_table(rows: Frame, schema: dict[str, pl.DataType]) -> Frame:
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )
