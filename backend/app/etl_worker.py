"""The function that workers run, on this machine or another: opens what an order needs, and does it.

What is opened stays open for the worker's next order: signing in and connecting take longer than
many a partition.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.etl_service import Service, opened_sources
from app.wiring import open_store
from clients.lake import Lake, LakeFile
from pipeline.synthetic_source import SYNTHETIC, SyntheticSource, origins_of
from pipeline.work import Bench, Order, run
from utils.clock import wall_clock

if TYPE_CHECKING:
    from datetime import date

    from models.tables import Frame
    from pipeline.coverage import Part
    from pipeline.datasets import Dataset
    from pipeline.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds everything; the database is that of its own settings.

    Attributes:
        service: Whom to ask.
        lake: Folder or s3:// address.
        tickers: Of the run.
    """

    service: Service
    lake: str
    tickers: tuple[str, ...]


class CheckedLake:
    """The lake as the pipeline sees it: one file a partition and source.

    Args:
        lake: Where it lies.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[tuple[str, str], frozenset[LakeFile]] = {}

    def publish(self, what: Dataset, part: Part, rows: Frame, *, made_from: str) -> None:
        """Replace a partition's file, as the port says."""
        file = LakeFile(what.lake_table, part.ticker, part.session, part.source, part.origin)
        self._lake.replace(file, rows, sort_key=what.sort_key, made_from=made_from)

    def remove(self, what: Dataset, part: Part) -> None:
        """Remove a partition's file, as the port says."""
        self._lake.remove(
            LakeFile(what.lake_table, part.ticker, part.session, part.source, part.origin)
        )

    def has(self, what: Dataset, ticker: str, session: date, source: str, origin: str) -> bool:
        """Return whether a partition's file is there; a ticker's files are listed once."""
        key = (what.lake_table, ticker)
        if key not in self._known:
            self._known[key] = frozenset(self._lake.files(what.lake_table, [ticker]))
        return LakeFile(what.lake_table, ticker, session, source, origin) in self._known[key]


def run_order(place: Place, order: Order) -> list[Outcome]:
    """Do an order.

    Raises:
        TradingError: Something that concerns every partition: settings, database, sign-in.
    """
    return run(order, _bench(place))


@lru_cache(maxsize=1)
def _bench(place: Place) -> Bench:
    stack = ExitStack()
    atexit.register(stack.close)
    sources = stack.enter_context(opened_sources(place.service, place.lake, place.tickers))
    store = stack.enter_context(open_store())
    if SYNTHETIC in place.service.names:
        alone = place.service.names == (SYNTHETIC,)
        origins = origins_of(None if alone else place.service.origin)
        sources = (*sources, SyntheticSource(store, origins, place.service.clock()))
    lake = CheckedLake(Lake.open(place.lake))
    return Bench(store, lake, sources, place.service.origin, wall_clock)
