"""What a download came to: gathered from its events, told as a table or as one JSON object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pipeline.chain_summary import ChainSummary
from pipeline.events import Event, Kept, Planned, Stored, Written
from pipeline.quality import Finding
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from app.wiring import Source

_SERIOUS = {"empty", "quarantined"}


@dataclass(slots=True)
class DatasetReport:
    """One dataset of one ticker.

    Attributes:
        ticker: Underlying.
        dataset: As coverage names it.
        sessions: Sessions asked for.
        kept: Those of them that were stored before and left alone.
        rows: Rows that are stored of them now.
        changed: Rows that were new or differed.
        missing: Rows that the calendar expects and the source did not send.
        flagged: Times that a stored row broke a rule.
        quarantined: Rows that were kept out.
        statuses: Status -> sessions.
    """

    ticker: str
    dataset: str
    sessions: int = 0
    kept: int = 0
    rows: int = 0
    changed: int = 0
    missing: int = 0
    flagged: int = 0
    quarantined: int = 0
    statuses: dict[str, int] = field(default_factory=dict)

    def add(self, event: Kept | Stored) -> None:
        """Count one session."""
        self.sessions += 1
        self.rows += event.rows
        self.missing += event.missing
        self.statuses[event.status] = self.statuses.get(event.status, 0) + 1
        if isinstance(event, Kept):
            self.kept += 1
            return
        self.quarantined += event.quarantined
        self.flagged += sum(each.count for each in event.findings if each.verdict == "flag")


class Report:
    """Gathers the events of a run."""

    def __init__(self) -> None:
        self.datasets: dict[tuple[str, str], DatasetReport] = {}
        self.findings: dict[tuple[str, str], Finding] = {}
        self.chains: list[ChainSummary] = []
        self.now: datetime | None = None

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Planned):
            self.now = event.now
        if isinstance(event, ChainSummary):
            self.chains.append(event)
        if isinstance(event, Kept | Stored):
            self._dataset(event).add(event)
        if isinstance(event, Written):
            self._dataset(event).changed += event.changed
        if isinstance(event, Stored):
            for found in event.findings:
                self._add_finding(event.dataset, found)

    def _dataset(self, event: Kept | Stored | Written) -> DatasetReport:
        key = (event.ticker, event.dataset)
        return self.datasets.setdefault(key, DatasetReport(*key))

    def _add_finding(self, dataset: str, found: Finding) -> None:
        before = self.findings.get((dataset, found.rule))
        count = found.count + (before.count if before else 0)
        self.findings[dataset, found.rule] = Finding(found.rule, found.verdict, count, found.reason)

    @property
    def partial(self) -> bool:
        """Whether something that was asked for is not to be had."""
        return any(_SERIOUS & set(each.statuses) for each in self.datasets.values())

    def chains_as_objects(self) -> list[dict[str, Any]]:
        """Return the newest snapshot of each ticker in a form that JSON takes."""
        return [_chain_object(each) for each in self.chains]

    def as_object(self, source: Source, *, seconds: float, place: str) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return {
            "status": "partial" if self.partial else "complete",
            "source": source.market.source,
            "origin": source.market.origin,
            "service": source.described,
            "market_time": self.now.isoformat() if self.now else None,
            "sessions": [session.day.isoformat() for session in source.sessions],
            "datasets": [asdict(each) for each in self.datasets.values()],
            "chains": self.chains_as_objects(),
            "findings": [
                {"dataset": dataset} | asdict(found)
                for (dataset, _), found in self.findings.items()
            ],
            "seconds": round(seconds, 2),
            "place": place,
        }

    def show(self, console: Console, source: Source, *, seconds: float, place: str) -> None:
        """Print the report for a person."""
        console.print(self._dataset_table())
        if self.findings:
            console.print(self._finding_table())
        first, last = source.sessions[0].day, source.sessions[-1].day
        market_time = f"{self.now.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M}" if self.now else ""
        lines = (
            ("sessions", f"{len(source.sessions)}, {first} to {last}"),
            (
                "source",
                f"{source.market.source}, origin {source.market.origin} ({source.described})",
            ),
            ("market time", f"{market_time} New York"),
            *((f"{each.ticker} chain", chain_text(each)) for each in self.chains),
            ("took", f"{seconds:.1f} s"),
            ("data lies in", place),
        )
        grid = Table.grid(padding=(0, 2))
        for name, value in lines:
            grid.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
        console.print(grid)

    def _dataset_table(self) -> Table:
        table = plain_table("Stored")
        table.add_column("ticker", no_wrap=True)
        table.add_column("dataset", no_wrap=True)
        for name in ("days", "rows", "new or\nchanged", "gaps", "flagged", "quaran-\ntined"):
            table.add_column(name, justify="right", vertical="bottom")
        table.add_column("status")
        for each in self.datasets.values():
            table.add_row(
                each.ticker,
                each.dataset,
                str(each.sessions),
                f"{each.rows:,}",
                f"{each.changed:,}" if each.kept < each.sessions else "kept",
                f"{each.missing:,}",
                f"{each.flagged:,}",
                f"{each.quarantined:,}",
                _status_text(each.statuses),
            )
        return table

    def _finding_table(self) -> Table:
        table = plain_table("Found in new rows")
        table.add_column("dataset", no_wrap=True)
        table.add_column("rule", no_wrap=True)
        table.add_column("verdict")
        table.add_column("count", justify="right")
        table.add_column("reason", overflow="fold")
        for (dataset, _), found in sorted(self.findings.items()):
            style = "red" if found.verdict == "quarantine" else ""
            verdict = Text(
                {"flag": "flagged", "gap": "gap"}.get(found.verdict, "quarantined"), style
            )
            table.add_row(dataset, found.rule, verdict, f"{found.count:,}", found.reason)
        return table


def _chain_object(chain: ChainSummary) -> dict[str, Any]:
    found = asdict(chain) | {"at": chain.at.isoformat()}
    found["terms"] = [
        asdict(term) | {"expiration": term.expiration.isoformat()} for term in chain.terms
    ]
    return found


def chain_text(chain: ChainSummary) -> str:
    """Return a chain in one line: spot, volatility at the money and skew by term, what is priced."""
    terms = [
        f"{f'{term.dte}d' if term.dte else '0DTE'} {_percent(term.atm_volatility)}"
        + ("" if term.skew_25_delta is None else f" ({100 * term.skew_25_delta:+.1f})")
        for term in chain.terms
    ]
    spot = "" if chain.spot is None else f"spot {chain.spot:,.2f}; "
    vols = f"ATM vol (25-delta skew, points) {', '.join(terms)}; " if terms else ""
    others = ", ".join(f"{count:,} {status}" for status, count in chain.unpriced.items())
    priced = f"{chain.priced:,} of {chain.contracts:,} priced"
    return spot + vols + priced + (f" (not: {others})" if others else "")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def plain_table(title: str) -> Table:
    """Return an empty table in the house's style."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        header_style="dim",
        padding=0,
    )


def _status_text(statuses: dict[str, int]) -> Text:
    styles = {"complete": "green", "partial": "yellow"}
    text = Text()
    for status, count in sorted(statuses.items()):
        label = status if len(statuses) == 1 else f"{count} {status}"
        text.append(" " if text else "").append(label, styles.get(status, "red"))
    return text
