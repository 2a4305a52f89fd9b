"""How true the paper model was in a recorded session: its orders again, over the quotes it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from rich.table import Table

from app.order_words import instrument
from app.publish import check_target, publish_rows
from app.recording import BalancesTold, read_beginning, recorded_events
from app.tax_export import find_journal
from engine.drift import DriftRow, DriftSums, drift, sums
from models.decisions import CancelAsked, Decision, Heard, Intended
from models.errors import ConfigError
from utils.journal_key import journal_key
from utils.transaction_logger import read_journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.matching import MatchRules

_USD = pl.Decimal(18, 6)

_SCHEMA = {
    "client_order_id": pl.String(),
    "symbols": pl.String(),
    "quantity": _USD,
    "limit": _USD,
    "live_filled": _USD,
    "paper_filled": _USD,
    "live_net": _USD,
    "paper_net": _USD,
    "paper_kinder": _USD,
    "middle": _USD,
    "natural": _USD,
    "live_s": pl.Float64(),
    "paper_s": pl.Float64(),
}


class Drifted(NamedTuple):
    """What came of it.

    Attributes:
        rows: One for each order.
        sums: Of all.
    """

    rows: list[DriftRow]
    sums: DriftSums


def paper_drift(recording: Path, rules: MatchRules) -> Drifted:
    """Play a recorded session's orders again in the paper model.

    Raises:
        ConfigError: The file is no recording, or its account's journal does not have its orders.
        StoreError: The journal cannot be read.
    """
    beginning = read_beginning(recording)
    journal = find_journal(beginning.account_id)
    decisions = list(_decisions(journal, beginning.run_id))
    if not any(isinstance(each, Intended) for each in decisions):
        raise ConfigError(
            f"the journal {journal} has no order of the recorded session {beginning.run_id}"
        )
    events = (each for each in recorded_events(recording) if not isinstance(each, BalancesTold))
    rows = drift(events, decisions, rules)
    return Drifted(rows, sums(rows))


def _decisions(journal: Path, run_id: str) -> Iterator[Decision]:
    """Yield what a run decided and heard about its own orders."""
    for _, record in read_journal(journal, Decision, key=journal_key()):
        if isinstance(record, Intended):
            name = record.ticket_id
        elif isinstance(record, CancelAsked):
            name = record.client_order_id
        elif isinstance(record, Heard):
            name = record.update.client_order_id or ""
        else:
            continue
        if name.startswith(f"{run_id}-"):
            yield record


def write_drift(path: Path, rows: Sequence[DriftRow]) -> None:
    """Write the rows as CSV or Parquet.

    Raises:
        ConfigError: It cannot be written there.
    """
    check_target(path)
    plain = [
        row._asdict() | {"symbols": " ".join(row.symbols), "paper_kinder": row.kinder}
        for row in rows
    ]
    publish_rows(path, pl.DataFrame(plain, schema=_SCHEMA, orient="row"))


def drift_table(rows: Sequence[DriftRow]) -> Table:
    """Return the rows for people."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("order")
    for name in ("units", "live", "paper", "kinder", "middle", "natural", "live s", "paper s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            _instruments(row.symbols),
            f"{row.quantity.normalize():f}",
            _price(row.live_net, row.live_filled, row.quantity),
            _price(row.paper_net, row.paper_filled, row.quantity),
            "-" if row.kinder is None else f"{row.kinder:+.4f}",
            "-" if row.middle is None else f"{row.middle:.4f}",
            "-" if row.natural is None else f"{row.natural:.4f}",
            "-" if row.live_s is None else f"{row.live_s:.2f}",
            "-" if row.paper_s is None else f"{row.paper_s:.2f}",
        )
    return table


def _instruments(symbols: Sequence[str]) -> str:
    """Return instruments for people: `QQQ 20 Nov 768 P/765 P/776 C/779 C` of one expiration."""
    names = [instrument(symbol) for symbol in symbols]
    series = {symbol[:12] for symbol in symbols}
    if len(names) == 1 or len(series) > 1:
        return ", ".join(names)
    return "/".join([names[0], *(" ".join(name.split(" ")[-2:]) for name in names[1:])])


def _price(net: object, filled: object, wanted: object) -> str:
    if net is None:
        return "no fill"
    return f"{net:.4f}" if filled == wanted else f"{net:.4f} of {filled:f}"
