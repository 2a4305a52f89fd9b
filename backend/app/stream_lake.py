"""What a stream tells into the lake, a minute at a time, until the next day's flat files replace it.

Bars and trades of options, of quotes the last of each minute, and bars of the underlyings, in the
columns of flat files. What the lake had before is kept: of trades, which have no id, those count that
are newer than the newest one of their contract that was there.
"""

from __future__ import annotations

import fcntl
from collections import Counter
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import polars as pl

from app.study_lake import FLAT_NAMES, detail_of
from app.zero_dte_live import Collector
from clients.lake import LakeFile
from clients.lake_writer import MADE_FROM
from models.errors import ConfigError
from models.events import Bar, Quote, TradeTick
from models.symbols import INDICES, OCC_LENGTH, ROOT_LENGTH, underlying_of_root
from polygon_integration.config import PROVIDER
from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_rows import to_flat_rows
from utils.clock import to_time
from utils.market_calendar import NEW_YORK
from utils.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from clients.lake import Lake
    from models.events import MarketEvent
    from models.tables import Frame

STREAM: Final = "stream"
"""How these rows are made, as of `clients.lake_writer.MADE_FROM`."""


@contextmanager
def only_writer(lake: Lake) -> Iterator[None]:
    """Be the only program of a user on this machine that appends a stream to a lake.

    Raises:
        ConfigError: Another one does; two would store each trade twice.
    """
    name = blake2b(str(lake.place.shown).encode(), digest_size=8).hexdigest()
    with (state_folder("stream_writers") / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another program puts a stream into the lake at {lake.place.shown}: end it, or name "
                "another place by --lake"
            ) from None
        yield


class StreamLake:
    """Gathers events and appends them to the lake.

    Args:
        lake: Where to.
        origin: live, simulator or recorded.

    Attributes:
        stored: Rows of each table so far.
        flat: Files that have the flat file's rows, which stay: what came of those is not stored.
    """

    def __init__(self, lake: Lake, origin: str) -> None:
        self.lake = lake
        self._origin = origin
        self._collectors: dict[tuple[str, date], Collector] = {}
        self._newest: dict[LakeFile, Frame] = {}
        self.stored: Counter[str] = Counter()
        self.flat: set[LakeFile] = set()

    def take(self, event: MarketEvent) -> None:
        """Take an event; what flat files of options and of stock minutes lack is passed over."""
        if not isinstance(event, Bar | TradeTick | Quote):
            return
        if isinstance(event, Quote) and event.is_fair_value:
            return
        is_option = len(event.symbol) == OCC_LENGTH
        if not is_option and (not isinstance(event, Bar) or event.symbol in INDICES):
            return
        root = event.symbol[:ROOT_LENGTH].rstrip()
        underlying = underlying_of_root(root) if is_option else event.symbol
        day = to_time(event.time_ns).astimezone(NEW_YORK).date()
        collector = self._collectors.get((underlying, day))
        if collector is None:
            collector = Collector(underlying, day, self._origin)
            self._collectors[underlying, day] = collector
        collector.take(event)

    def drain(self) -> list[tuple[LakeFile, str, Frame]]:
        """Return what came since the last call: file, dataset of a study, rows."""
        return [
            (
                LakeFile(dataset(FLAT_NAMES[name]).table, ticker, day, PROVIDER, self._origin),
                name,
                rows,
            )
            for (ticker, day), collector in self._collectors.items()
            for name, rows in collector.drain().items()
        ]

    def put(self, drained: list[tuple[LakeFile, str, Frame]]) -> None:
        """Append rows to their files.

        Raises:
            StoreError: The lake does not take it.
        """
        for file, name, rows in drained:
            what = dataset(FLAT_NAMES[name])
            there = self.lake.made_from(file)
            if there == MADE_FROM[-1]:
                self.flat.add(file)
                continue
            new = to_flat_rows(FLAT_NAMES[name], rows)
            whole = new if there is None else self._joined(file, name, new)
            self.lake.replace(
                file,
                whole,
                sort_key=what.sort_key,
                made_from=max(there or STREAM, STREAM, key=MADE_FROM.index),
                detail=detail_of(name, STREAM),
            )
            self._newest.setdefault(file, _NOTHING)
            self.stored[file.table] += new.height

    def _joined(self, file: LakeFile, name: str, new: Frame) -> Frame:
        known = self.lake.read(
            file.table,
            underlyings=[file.underlying],
            first=file.session,
            last=file.session,
            origin=file.origin,
        ).filter(pl.col("source") == file.source)
        if name != "trades":
            key = ["ts"] if name == "underlying" else ["ts", "occ_symbol"]
            both = pl.concat([known.select(new.columns), new])
            return both.unique(key, keep="last", maintain_order=True)
        newest = self._newest.get(file)
        if newest is None:  # the first time: what was there before us is not told again
            newest = known.group_by("occ_symbol").agg(_last=pl.col("ts").max())
            self._newest[file] = newest
        later = (
            new.join(newest, on="occ_symbol", how="left", maintain_order="left")
            .filter(pl.col("_last").is_null() | (pl.col("ts") > pl.col("_last")))
            .drop("_last")
        )
        return pl.concat([known.select(new.columns), later])


_NOTHING: Final = pl.DataFrame(schema={"occ_symbol": pl.String, "_last": pl.Datetime("ns", "UTC")})
