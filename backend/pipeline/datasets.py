"""What the pipeline can keep complete: name, table, place in the lake, and what makes it whole."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from models.errors import ConfigError
from models.tables import EQUITY_BARS, OPTION_BARS, OPTION_QUOTES, OPTION_TRADES
from pipeline.plan import CHAIN_DATASET, MINUTES_DATASET, bars_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.tables import Table
    from pipeline.plan import Window

OPTION_BARS_DATASET = "option_bars_1m"
"""Name that coverage gives to the minute bars of options."""

TRADES_DATASET = "option_trades"
"""Name that coverage gives to the trades of options."""

BARS, DAILY, MINUTE_QUOTES = "bars", "daily", "minute_quotes"
CHAIN, OPTION_MINUTES, TRADES = "chain", "option_minutes", "trades"
"""Kinds: what a dataset is made of, which decides its stages."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset.

    Attributes:
        name: As coverage names it.
        kind: What it is made of.
        table: Where it lies in the database.
        sort_key: Order of its rows in the lake.
        a_request: Sessions that one request may ask for.
        has_scope: Whether a window of expirations says how much of it is wanted.
        after: Datasets that it is judged beside, or made from: of the same session they come first.
    """

    name: str
    kind: str
    table: Table
    sort_key: tuple[str, str]
    a_request: int = 1
    has_scope: bool = False
    after: tuple[str, ...] = ()

    @property
    def lake_table(self) -> str:
        """Its table in the lake: rows as in the database, beside the tape as the vendor wrote it."""
        return f"checked_{self.name}"

    @property
    def is_past(self) -> bool:
        """Whether sessions of the past have it; a chain is of the present alone."""
        return self.kind != CHAIN


_BESIDE = (bars_dataset("1m"), CHAIN_DATASET)
_BY_TIME, _BY_CONTRACT = ("ts", "occ_symbol"), ("occ_symbol", "ts")

DATASETS: Final[Mapping[str, Dataset]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Dataset(bars_dataset("1m"), BARS, EQUITY_BARS, ("ts", "underlying"), 10),
            Dataset(bars_dataset("1d"), DAILY, EQUITY_BARS, ("ts", "underlying"), 250),
            Dataset(CHAIN_DATASET, CHAIN, OPTION_QUOTES, _BY_TIME, has_scope=True),
            Dataset(
                MINUTES_DATASET,
                MINUTE_QUOTES,
                OPTION_QUOTES,
                _BY_TIME,
                has_scope=True,
                after=_BESIDE,
            ),
            Dataset(OPTION_BARS_DATASET, OPTION_MINUTES, OPTION_BARS, _BY_TIME, has_scope=True),
            Dataset(
                TRADES_DATASET, TRADES, OPTION_TRADES, _BY_CONTRACT, has_scope=True, after=_BESIDE
            ),
        )
    }
)
"""By their names."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Expirations that are wanted, in days ahead.

    Attributes:
        past: Of each session of the past.
        present: Of the snapshot.
    """

    past: Window
    present: Window

    def of(self, what: Dataset) -> Window:
        """Return the window of a dataset."""
        return self.past if what.is_past else self.present


DEFAULT_DATASETS: Final = (
    bars_dataset("1m"),
    bars_dataset("1d"),
    CHAIN_DATASET,
    MINUTES_DATASET,
)
"""What is kept complete where nothing is said."""


def dataset(name: str) -> Dataset:
    """Return the dataset of a name.

    Raises:
        ConfigError: There is none.
    """
    found = DATASETS.get(name)
    if found is None:
        raise ConfigError(f"there is no dataset {name!r}: {', '.join(DATASETS)}")
    return found
