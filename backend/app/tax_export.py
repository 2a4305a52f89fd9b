"""An account's closings of a year, from its journal, as a CSV file like Form 1099-B."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.publish import check_target, publish_rows
from models.decisions import Decision, Ended, Heard
from models.errors import ConfigError
from models.order_terms import OrderStatus
from pipeline.tax_rows import TaxTotals, tax_rows, totals
from utils.journal_key import journal_key
from utils.paths import state_folder
from utils.portfolio_tracker import LotMethod, PortfolioTracker
from utils.transaction_logger import read_journal
from utils.wash_sales import WashRule, is_section_1256, new_york_day, tax_lots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ORDERS = ".orders.jsonl"


@dataclass(frozen=True, slots=True)
class ExportAsked:
    """What a person wants exported.

    Attributes:
        account: Name of a paper account, or the first letters of a live one's hash.
        year: Calendar year, New York time.
        out: File; CSV or Parquet.
        method: Which lots a closing takes.
        lots: JSON file of specific lots: closing execution -> opening executions.
        wash: What is substantially identical; None looks for no wash sales.
    """

    account: str
    year: int
    out: Path
    method: LotMethod
    lots: Path | None
    wash: WashRule | None


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it.

    Attributes:
        account: Whole name of the account.
        sums: Of the year.
        open_1256: Symbols that section 1256 wants marked at the end of the year, and were open then.
    """

    account: str
    sums: TaxTotals
    open_1256: tuple[str, ...]


def export(asked: ExportAsked) -> Exported:
    """Write the file.

    Raises:
        ConfigError: No account or several fit, or a file cannot be used.
        StoreError: The journal cannot be read, or is damaged.
    """
    check_target(asked.out)
    journal = find_journal(asked.account)
    named = read_lots(asked.lots) if asked.lots else {}
    tracker = PortfolioTracker(asked.method, named)
    for _, record in read_journal(journal, Decision, key=journal_key()):
        if isinstance(record, Heard) and record.update.status is not OrderStatus.DENIED:
            for fill in record.update.fills:
                tracker.book(fill)
        elif isinstance(record, Ended):
            tracker.settle(record.settlement)
    lots = tax_lots(tracker, asked.wash)
    account = journal.stem
    rows = tax_rows(lots, account, asked.year)
    publish_rows(asked.out, rows)
    still = {
        each.lot.symbol.strip()
        for each in lots
        if is_section_1256(each.lot.symbol)
        and new_york_day(each.lot.opened_ns).year <= asked.year
        and (each.open or new_york_day(each.lot.closed_ns).year > asked.year)
    }
    return Exported(account, totals(rows), tuple(sorted(still)))


def find_journal(account: str) -> Path:
    """Return the journal of an account by its name, or by the first letters of its hash.

    Raises:
        ConfigError: None or several fit.
    """
    known = sorted(
        path for path in state_folder("journals").glob("*.jsonl") if not path.name.endswith(_ORDERS)
    )
    exact = [path for path in known if path.stem == account]
    found = exact or [path for path in known if path.stem.startswith(account.upper())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.stem[:24] for path in known) or "none has traded yet"
    which = "no account" if not found else "several accounts"
    raise ConfigError(f"--account {account} names {which}: known are {names}")


def read_lots(path: Path) -> Mapping[str, Sequence[str]]:
    """Return the specific lots of a file: closing execution -> opening executions.

    Raises:
        ConfigError: It cannot be read, or is no such JSON object.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(read, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in read.values()
    ):
        raise ConfigError(
            f'{path} must be an object of lists, as {{"closing execution": ["opening execution"]}}'
        )
    return read
