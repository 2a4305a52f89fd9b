"""What is stored, by ticker and session, and what is missing in between."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from models.tables import COVERAGE
from pipeline.plan import CHAIN_DATASET, MINUTES
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from models.tables import Frame
    from ports.store import Store

NOT_STORED = "not stored"
"""Status of a session between two stored ones that coverage knows nothing of."""


class Series(NamedTuple):
    """What one line of the status speaks of."""

    ticker: str
    dataset: str
    source: str
    origin: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One session of a series.

    Attributes:
        session: Exchange day.
        status: As in coverage, or `NOT_STORED`.
        rows: Rows stored.
        missing: Rows that the calendar expects and the source did not send.
        expected: Rows that the calendar expects; None where it does not say.
        newest_at: Newest row.
        checks: Rule -> times that it was broken; None where nobody judged.
    """

    session: date
    status: str
    rows: int = 0
    missing: int = 0
    expected: int | None = None
    newest_at: datetime | None = None
    checks: dict[str, int] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing more can come."""
        return self.status == "complete"

    @property
    def share(self) -> float:
        """Share of the expected rows that is there, 1.0 where nothing is expected."""
        return 1.0 - self.missing / self.expected if self.expected else 1.0


class DataStatus:
    """Coverage of a store, with the holes that the calendar shows.

    Args:
        coverage: Rows of `COVERAGE`.
    """

    def __init__(self, coverage: Frame) -> None:
        groups = coverage.sort("session").group_by(*Series._fields, maintain_order=True)
        found = {Series(*map(str, key)): _cells(rows) for key, rows in groups}
        self.series: dict[Series, list[Cell]] = dict(sorted(found.items()))

    @classmethod
    def of(cls, store: Store, tickers: Sequence[str] = ()) -> DataStatus:
        """Read the coverage of some tickers, of all where none is given.

        Raises:
            StoreError: The database failed.
        """
        return cls(store.read(COVERAGE.name, {"ticker": list(tickers)} if tickers else None))

    @property
    def complete(self) -> bool:
        """Whether there is something, and all of it is whole."""
        return bool(self.series) and all(
            cell.whole for cells in self.series.values() for cell in cells
        )

    def as_object(self) -> dict[str, Any]:
        """Return the status as one JSON object."""
        return {
            "status": "complete" if self.complete else "partial",
            "series": [
                series._asdict()
                | {
                    "first": cells[0].session.isoformat(),
                    "last": cells[-1].session.isoformat(),
                    "rows": sum(cell.rows for cell in cells),
                    "missing": sum(cell.missing for cell in cells),
                    "statuses": dict(Counter(cell.status for cell in cells)),
                    "sessions": [_plain(cell) for cell in cells],
                }
                for series, cells in self.series.items()
            ],
        }


def _plain(cell: Cell) -> dict[str, Any]:
    return {
        "session": cell.session.isoformat(),
        "status": cell.status,
        "rows": cell.rows,
        "expected": cell.expected,
        "missing": cell.missing,
        "checks": cell.checks,
        "newest_at": cell.newest_at.isoformat() if cell.newest_at else None,
    }


def _cells(rows: Frame) -> list[Cell]:
    """Return the sessions of one series, oldest first, holes included."""
    dataset = str(rows["dataset"][0])
    interval = dataset.rpartition("_")[2]
    columns = ("session", "status", "rows", "missing", "expected", "newest_at", "checks")
    known = {row["session"]: _cell(row, dataset) for row in rows.select(columns).to_dicts()}
    days = sorted(known)
    # A chain of the past is not to be had, and a week has one row: only there can holes be seen.
    if dataset != CHAIN_DATASET and interval != "1w":
        days = [each.day for each in market_calendar.sessions(days[0], days[-1])]
    return [known.get(day, Cell(day, NOT_STORED)) for day in days]


def _cell(row: dict[str, Any], dataset: str) -> Cell:
    checks, expected = row.pop("checks"), row.pop("expected")
    return Cell(
        **row,
        expected=_expected(row["session"], dataset) if expected is None else expected,
        checks=None if checks is None else json.loads(checks),
    )


def _expected(day: date, dataset: str) -> int | None:
    interval = dataset.rpartition("_")[2]
    of_underlying = dataset.startswith("equity_bars_")
    if not of_underlying or interval not in MINUTES or not market_calendar.is_session(day):
        return None
    return market_calendar.session(day).regular_minutes // MINUTES[interval]
