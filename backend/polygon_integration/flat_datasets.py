"""What Polygon's flat files hold, and the columns that the lake keeps of them: facts as tables.

Source: headers of real files of 2026, as several users state them, and the vendor's pages. Columns
are found by name, never by place: new ones may come, and what is not known is left out. Volumes and
sizes are doubles: since 2026-02-23 they may have decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["bars", "trades", "quotes"]

NANOSECONDS = pl.Datetime("ns", "UTC")
MICROSECONDS = pl.Datetime("us", "UTC")

_SYMBOL = ("occ_symbol", "root", "expiration", "strike", "right")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the file that is kept.

    Attributes:
        name: In the lake.
        dtype: As it is read; times are nanoseconds since 1970 in UTC.
        required: Whether a line without it is bad.
        last: Type in the lake, where it is another.
    """

    name: str
    dtype: pl.DataType
    required: bool = True
    last: pl.DataType | None = None


_FLOAT, _INT, _LONG, _TEXT = pl.Float64(), pl.Int32(), pl.Int64(), pl.String()

_BARS = {
    "volume": Field("volume", _FLOAT),
    "open": Field("open", _FLOAT),
    "close": Field("close", _FLOAT),
    "high": Field("high", _FLOAT),
    "low": Field("low", _FLOAT),
    "window_start": Field("ts", _LONG, last=MICROSECONDS),
    "transactions": Field("trades", _INT),
}
_OPTION_TRADES = {
    "conditions": Field("conditions", _TEXT, required=False),
    "correction": Field("correction", _INT, required=False),
    "exchange": Field("exchange", _INT),
    "price": Field("price", _FLOAT),
    "sip_timestamp": Field("ts", _LONG, last=NANOSECONDS),
    "size": Field("size", _FLOAT),
}
_OPTION_QUOTES = {
    "ask_exchange": Field("ask_exchange", _INT, required=False),
    "ask_price": Field("ask", _FLOAT),
    "ask_size": Field("ask_size", _FLOAT),
    "bid_exchange": Field("bid_exchange", _INT, required=False),
    "bid_price": Field("bid", _FLOAT),
    "bid_size": Field("bid_size", _FLOAT),
    "sequence_number": Field("sequence", _LONG),
    "sip_timestamp": Field("ts", _LONG, last=NANOSECONDS),
}
_STOCK_TRADES = {
    **_OPTION_TRADES,
    "id": Field("trade_id", _TEXT, required=False),
    "participant_timestamp": Field("participant_ns", _LONG, required=False),
    "sequence_number": Field("sequence", _LONG),
    "tape": Field("tape", _INT, required=False),
}
_STOCK_QUOTES = {
    **_OPTION_QUOTES,
    "conditions": Field("conditions", _TEXT, required=False),
    "indicators": Field("indicators", _TEXT, required=False),
    "participant_timestamp": Field("participant_ns", _LONG, required=False),
    "tape": Field("tape", _INT, required=False),
}


@dataclass(frozen=True, slots=True)
class FlatDataset:
    """One kind of flat file.

    Attributes:
        prefix: Of its keys.
        table: Name of its rows in the lake.
        kind: bars, trades or quotes.
        options: Whether its tickers are option contracts.
        fields: Columns of the file, by their names there, the ticker aside.
        first_year: Before it there are no files.
    """

    prefix: str
    table: str
    kind: Kind
    options: bool
    fields: Mapping[str, Field]
    first_year: int

    def key(self, day: date) -> str:
        """Return the object's key of a day."""
        return f"{self.prefix}/{day:%Y/%m/%Y-%m-%d}.csv.gz"

    def day_of(self, key: str) -> date | None:
        """Return the day of an object's key, or None where it is none of this dataset."""
        name = key.rpartition("/")[2].removesuffix(".csv.gz")
        try:
            day = date.fromisoformat(name)
        except ValueError:
            return None
        return day if key == self.key(day) else None

    @property
    def sort_key(self) -> tuple[str, str]:
        """Order of rows in the lake: a chain at a minute, or a contract's ticks, lie together."""
        symbol = "occ_symbol" if self.options else "underlying"
        return ("ts", symbol) if self.kind == "bars" else (symbol, "ts")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the lake's rows, in order; `underlying` and `session` stand in the path."""
        symbol = _SYMBOL if self.options else ()
        own = [field.name for field in self.fields.values() if field.name != "ts"]
        occurrence = ("occurrence",) if self.kind == "trades" else ()
        return ("ts", *symbol, *own, *occurrence, "source", "origin")


_OPTIONS, _STOCKS = "us_options_opra", "us_stocks_sip"

DATASETS: Mapping[str, FlatDataset] = MappingProxyType(
    {
        "minute_aggs": FlatDataset(
            f"{_OPTIONS}/minute_aggs_v1", "option_bars_1m", "bars", True, _BARS, 2014
        ),
        "day_aggs": FlatDataset(
            f"{_OPTIONS}/day_aggs_v1", "option_bars_1d", "bars", True, _BARS, 2014
        ),
        "trades": FlatDataset(
            f"{_OPTIONS}/trades_v1", "option_trades", "trades", True, _OPTION_TRADES, 2014
        ),
        "quotes": FlatDataset(
            f"{_OPTIONS}/quotes_v1", "option_nbbo", "quotes", True, _OPTION_QUOTES, 2022
        ),
        "stock_minute_aggs": FlatDataset(
            f"{_STOCKS}/minute_aggs_v1", "equity_bars_1m", "bars", False, _BARS, 2003
        ),
        "stock_day_aggs": FlatDataset(
            f"{_STOCKS}/day_aggs_v1", "equity_bars_1d", "bars", False, _BARS, 2003
        ),
        "stock_trades": FlatDataset(
            f"{_STOCKS}/trades_v1", "equity_trades", "trades", False, _STOCK_TRADES, 2003
        ),
        "stock_quotes": FlatDataset(
            f"{_STOCKS}/quotes_v1", "equity_nbbo", "quotes", False, _STOCK_QUOTES, 2003
        ),
    }
)
"""By the names of the command line."""


def dataset(name: str) -> FlatDataset:
    """Return the dataset of a name.

    Raises:
        ConfigError: There is none.
    """
    found = DATASETS.get(name)
    if found is None:
        raise ConfigError(f"there is no dataset {name!r}: {', '.join(DATASETS)}")
    return found
