"""A folder of recorded market data: which files there are, and reading each once, when needed.

File names: `<symbol>_<kind>_<YYYY-MM-DD>.parquet` with kind `equity_trades`, `equity_quotes`,
`index`, `options_quotes`, `options_trades` or `options_open_interest`, where the symbol of option
files is the option root; `<symbol>_equity_daily.parquet`, `<symbol>_factor_file.csv` and
`us_policy_rate.csv`. Columns and units stand in `simulator/data/README.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import polars as pl

from models.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = (
    "equity_trades|equity_quotes|equity_daily|index"
    "|options_quotes|options_trades|options_open_interest"
)
_NAME = re.compile(rf"([a-z.0-9]+)_({_KINDS})(?:_(\d{{4}}-\d\d-\d\d))?\.parquet")

_OHLCV = {"open", "high", "low", "close", "volume"}
_CONTRACT = {"ts", "symbol", "expiration", "strike", "right"}
_QUOTE = {"bid_close", "bid_size", "ask_close", "ask_size"}
_COLUMNS = {
    "equity_trades": {"ts"} | _OHLCV,
    "equity_quotes": {"ts"} | _QUOTE,
    "equity_daily": {"date"} | _OHLCV,
    "index": {"ts"} | _OHLCV,
    "options_quotes": _CONTRACT | _QUOTE,
    "options_trades": _CONTRACT | _OHLCV,
    "options_open_interest": _CONTRACT | {"open_interest"},
}


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """One parquet file of the folder.

    Attributes:
        symbol: Ticker or option root, upper case.
        kind: What it holds, as in the module's description.
        day: The session, None for files of daily bars.
        path: Where it lies.
    """

    symbol: str
    kind: str
    day: date | None
    path: Path


class RecordedFolder:
    """The files of one folder.

    Args:
        folder: Where they lie.

    Raises:
        ConfigError: The folder does not exist or holds no such file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(f"--data {folder} is not a folder.")
        self.folder = folder
        self.files = sorted(
            (found for path in folder.iterdir() if (found := _parse(path)) is not None),
            key=lambda each: each.path.name,
        )
        if not self.files:
            raise ConfigError(
                f"--data {folder} holds no market data; see simulator/data/README.md for the names."
            )
        self._read = lru_cache(maxsize=64)(_read)

    def days(self, symbol: str, kind: str) -> list[date]:
        """Return the sessions that have a file of this symbol and kind, oldest first."""
        return sorted(
            each.day
            for each in self.files
            if each.symbol == symbol and each.kind == kind and each.day is not None
        )

    def read(self, symbol: str, kind: str, day: date | None = None) -> pl.DataFrame | None:
        """Return a file's rows as they stand in it, or None when there is no such file.

        Raises:
            DataError: The file cannot be read or lacks a column.
        """
        for each in self.files:
            if (each.symbol, each.kind, each.day) == (symbol, kind, day):
                return self._read(each)
        return None

    @cached_property
    def policy_rate(self) -> pl.DataFrame | None:
        """Rates by date as `day` and `percent`, oldest first, or None when there is no such file.

        Raises:
            DataError: The file cannot be read.
        """
        table = _read_csv(self.folder / "us_policy_rate.csv", "%Y-%m-%d", ["percent"], header=True)
        return None if table is None else table.sort("day")

    def factors(self, symbol: str) -> pl.DataFrame | None:
        """Return price and split factors of a stock by the last day before each event, or None.

        Raises:
            DataError: The file cannot be read.
        """
        path = self.folder / f"{symbol.lower()}_factor_file.csv"
        names = ["price_factor", "split_factor", "reference_price"]
        return _read_csv(path, "%Y%m%d", names, header=False)


def _parse(path: Path) -> RecordedFile | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    symbol, kind, day = match.groups()
    try:
        session = date.fromisoformat(day) if day else None
    except ValueError:
        raise ConfigError(f"{path} has a name with a day that there is not.") from None
    return RecordedFile(symbol.upper(), kind, session, path)


def _read_csv(path: Path, day: str, figures: list[str], *, header: bool) -> pl.DataFrame | None:
    """Return a file of days (written as `day` says) and figures, or None when there is none."""
    if not path.exists():
        return None
    try:
        table = pl.read_csv(
            path, has_header=header, new_columns=["day", *figures], infer_schema=False
        )
        return table.select(pl.col("day").str.to_date(day), pl.col(figures).cast(pl.Float64))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read(file: RecordedFile) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file.path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file.path} cannot be read: {error}") from error
    missing = _COLUMNS[file.kind] - set(frame.columns)
    if missing:
        raise DataError(f"{file.path} lacks the columns {', '.join(sorted(missing))}.")
    order = "date" if file.kind == "equity_daily" else "ts"
    return frame.sort(order, maintain_order=True)
