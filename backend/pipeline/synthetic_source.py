"""The last source: options of the past that nobody has, made from stored bars of the underlying.

It is asked only where a person wants that, and only for what no other source has. Its rows say
source=synthetic, origin=simulator. Those of a session depend on the generator's version, its default
seed and the session's own minute bars alone, so that they can be made again anywhere, the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import DataError
from models.tables import COVERAGE as COVERAGE_TABLE
from models.tables import (
    EQUITY_BARS,
    EXPIRATION_FIGURES,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    OPTION_TRADES,
    ORIGINS,
    QUALITY_FINDINGS,
    SESSION_FIGURES,
    SOURCES,
    STRIKE_FIGURES,
)
from pipeline import plan
from pipeline.datasets import MINUTE_QUOTES, TRADES, dataset
from pipeline.retention import all_of
from pipeline.stages import Extracted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from models.tables import Frame, Scalar
    from pipeline.coverage import Part
    from pipeline.datasets import Dataset
    from pipeline.plan import Window
    from ports.store import RemovingStore, Store
    from utils.clock import Clock

SYNTHETIC: Final = "synthetic"
"""Name of the source, and what its rows are stamped with."""

ORIGIN: Final = "simulator"
"""Of its rows, whatever the origin of the bars."""

_KINDS: Final = {MINUTE_QUOTES: OPTION_QUOTES.name, TRADES: OPTION_TRADES.name}
_AS_QUOTED: Final = ("occ_symbol", "ts", "underlying", "session", "source", "origin")
_QUOTED: Final = (*_AS_QUOTED, "bid", "ask", "bid_size", "ask_size", "quote_at")
_FIGURES: Final = (EXPIRATION_FIGURES, STRIKE_FIGURES, SESSION_FIGURES)


class SyntheticSource:
    """Options made through stored bars; implements `pipeline.sources.PartSource`.

    Args:
        store: Where the bars are.
        origins: Of the bars, the best first.
        clock: The market's time.
    """

    name = SYNTHETIC
    source = SYNTHETIC
    made_from = SYNTHETIC

    def __init__(self, store: Store, origins: Sequence[str], clock: Clock) -> None:
        self._store, self._origins, self._clock = store, tuple(origins), clock

    def lacks(self, what: Dataset, session: date) -> str | None:
        """Return why it does not make a dataset of a session, as the port says."""
        del session
        return None if what.kind in _KINDS else f"nothing is made up for {what.name}"

    def extract(
        self, what: Dataset, ticker: str, sessions: Sequence[date], window: Window
    ) -> dict[date, Extracted]:
        """Make sessions, as the port says.

        Raises:
            DataError: Bars are missing, or rows of a real source are stored already.
            BadSymbol: Nobody lists options on such a ticker.
        """
        return {day: self._made(what, ticker, day, window) for day in sessions}

    def _made(self, what: Dataset, ticker: str, day: date, window: Window) -> Extracted:
        from black_scholes.synthetic.clock import session_numbers  # noqa: PLC0415 - numba: 0.6 s
        from black_scholes.synthetic_generator import (  # noqa: PLC0415 - as above
            Request,
            session_parts,
            synthetic_market,
        )

        asked_at = plan.snapshot_time(self._clock())
        self._refuse_beside_real(what, ticker, day)
        bars = self._bars(ticker, day)
        request = Request(day, day, window.first, window.last, trades=what.kind == TRADES)
        parts: dict[str, list[Frame]] = {name: [] for name in (OPTION_CONTRACTS.name, "rows")}
        market = synthetic_market(ticker, bars=bars)
        for part in session_parts(market, request, session_numbers()[day]):
            if part.table == _KINDS[what.kind]:
                parts["rows"].append(part.rows)
            elif part.table in parts:
                parts[part.table].append(part.rows)
            elif part.table == OPTION_QUOTES.name:
                break  # quotes come last, and are not wanted
        if not parts["rows"]:
            raise DataError(f"no option of {ticker} that is wanted is alive on {day}")
        rows = pl.concat(parts["rows"])
        return Extracted(
            SYNTHETIC,
            SYNTHETIC,
            asked_at,
            rows.select(_QUOTED) if what.kind == MINUTE_QUOTES else rows,
            contracts=pl.concat(parts[OPTION_CONTRACTS.name]),
            bars=bars,
            origin=ORIGIN,
        )

    def _refuse_beside_real(self, what: Dataset, ticker: str, day: date) -> None:
        where: dict[str, Scalar] = {"ticker": ticker, "dataset": what.name, "session": day}
        known = self._store.read(COVERAGE_TABLE.name, where, ["rows", "source", "origin"])
        real = known.filter(
            (pl.col("source") != SYNTHETIC)
            & pl.col("origin").is_in(self._origins)
            & (pl.col("rows") > 0)
        )
        if real.height:
            raise DataError(
                f"{real['rows'].sum():,} rows of {', '.join(real['source'].unique().sort())} are "
                "stored, and nothing is made up beside them"
            )

    def _bars(self, ticker: str, day: date) -> Frame:
        """Return the underlying's stored minutes of a session, of one real source and origin."""
        where: dict[str, Scalar] = {"underlying": ticker, "session": day, "interval": "1m"}
        stored = self._store.read(EQUITY_BARS.name, where)
        for origin in self._origins:
            for source in SOURCES:
                found = stored.filter(source=source, origin=origin)
                if found.height and source != SYNTHETIC:
                    return found.sort("ts")
        raise DataError(
            f"no minute bars of {ticker} on {day} are stored, from which options could be made"
        )


def origins_of(origin: str | None) -> tuple[str, ...]:
    """Return the origins of bars that options are made from, the best first.

    Args:
        origin: Of the run; None for any.
    """
    return ORIGINS if origin is None else (origin,)


def made_part(part: Part) -> Part:
    """Return the part that synthetic rows of a real part's partition belong to."""
    return replace(part, source=SYNTHETIC, origin=ORIGIN)


def forget_made(store: RemovingStore, part: Part) -> None:
    """Remove a partition's synthetic rows, figures, findings and coverage: real ones are to come.

    Coverage goes last: a run that is killed before is repeated.

    Args:
        store: Where they are.
        part: As `made_part` returns it.

    Raises:
        StoreError: The database failed.
    """
    what = dataset(part.dataset)
    for each in all_of(store, what, part):
        store.remove(part.table.name, each)
    stamp: dict[str, Scalar] = {
        "session": part.session,
        "source": part.source,
        "origin": part.origin,
    }
    if what.kind == MINUTE_QUOTES:
        for table in _FIGURES:
            store.remove(table.name, stamp | {"underlying": part.ticker})
    named: dict[str, Scalar] = {"ticker": part.ticker, "dataset": part.dataset} | stamp
    store.remove(QUALITY_FINDINGS.name, named)
    store.remove(COVERAGE_TABLE.name, named)
