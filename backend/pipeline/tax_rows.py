"""What was closed in a year as rows for a tax return: proceeds, cost, term, wash sales, section 1256. Pure.

Columns are those of Form 1099-B and 8949, with what is needed to follow them back to the fills. Each
amount is in whole cents, and gain = proceeds - cost + what is disallowed, in each row.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from models.options import OptionContract
from models.symbols import OCC_LENGTH
from utils.wash_sales import is_section_1256, new_york_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from models.tables import Frame
    from utils.wash_sales import TaxLot

_CENT = Decimal("0.01")
_ZERO = Decimal(0)
_SIXTY = Decimal("0.6")

_MONEY = pl.Decimal(18, 2)

SCHEMA = {
    "account": pl.String(),
    "symbol": pl.String(),
    "description": pl.String(),
    "position": pl.String(),
    "quantity": pl.String(),
    "date_opened": pl.Date(),
    "date_closed": pl.Date(),
    "proceeds": _MONEY,
    "cost": _MONEY,
    "wash_sale_disallowed": _MONEY,
    "gain_or_loss": _MONEY,
    "term": pl.String(),
    "section_1256": pl.Boolean(),
    "long_term_60_pct": _MONEY,
    "short_term_40_pct": _MONEY,
    "wash_sale_added_to_cost": _MONEY,
    "opened_by": pl.String(),
    "closed_by": pl.String(),
}
"""Columns of the file."""


class TaxTotals(NamedTuple):
    """A year in one line.

    Attributes:
        rows: How many closings.
        short_term: USD gained, disallowed losses not taken off.
        long_term: The same of what was held for more than a year.
        section_1256: USD gained by what is marked to market; 60 % of it is long-term.
        disallowed: USD of losses that are not allowed.
    """

    rows: int
    short_term: Decimal
    long_term: Decimal
    section_1256: Decimal
    disallowed: Decimal


def tax_rows(lots: Iterable[TaxLot], account: str, year: int) -> Frame:
    """Return what was closed in a calendar year, New York time, in order of closing."""
    rows = [
        _row(each, account)
        for each in lots
        if not each.open and new_york_day(each.lot.closed_ns).year == year
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def totals(rows: Frame) -> TaxTotals:
    """Return the sums of a year's rows."""
    sums = dict.fromkeys(("short", "long", "60/40"), _ZERO)
    disallowed = _ZERO
    for term, gain, lost in rows.select("term", "gain_or_loss", "wash_sale_disallowed").iter_rows():
        sums[term] += gain
        disallowed += lost
    return TaxTotals(len(rows), sums["short"], sums["long"], sums["60/40"], disallowed)


def _row(each: TaxLot, account: str) -> dict[str, object]:
    lot = each.lot
    proceeds, cost = _cents(lot.proceeds), _cents(lot.cost)
    added, disallowed = _cents(each.added), _cents(each.disallowed)
    cost += added
    gain = proceeds - cost + disallowed
    marked = is_section_1256(lot.symbol)
    opened, closed = new_york_day(lot.opened_ns), new_york_day(lot.closed_ns)
    sixty = _cents(gain * _SIXTY) if marked else _ZERO
    return {
        "account": account,
        "symbol": lot.symbol.strip(),
        "description": _description(lot.symbol),
        "position": "long" if lot.quantity > 0 else "short",
        "quantity": f"{abs(lot.quantity).normalize():f}",
        "date_opened": opened,
        "date_closed": closed,
        "proceeds": proceeds,
        "cost": cost,
        "wash_sale_disallowed": disallowed,
        "gain_or_loss": gain,
        "term": "60/40" if marked else _term(each, closed),
        "section_1256": marked,
        "long_term_60_pct": sixty,
        "short_term_40_pct": gain - sixty if marked else _ZERO,
        "wash_sale_added_to_cost": added,
        "opened_by": lot.lot_id,
        "closed_by": lot.closing_id,
    }


def _term(each: TaxLot, closed: date) -> str:
    """Return long for what was held for more than a year; what was sold short never is.

    Options that were written are short-term by 26 U.S.C. 1234(b), shares sold short as a rule by
    section 1233.
    """
    if each.lot.quantity < 0:
        return "short"
    since = new_york_day(each.held_since_ns)
    leap = since.month == 2 and since.day == 29
    year_later = since.replace(year=since.year + 1, day=28 if leap else since.day)
    return "long" if closed > year_later else "short"


def _description(symbol: str) -> str:
    if len(symbol) != OCC_LENGTH:
        return f"{symbol} shares"
    contract = OptionContract.from_occ(symbol)
    right = "CALL" if contract.right == "C" else "PUT"
    return f"{right} {contract.root} {contract.expiration:%m/%d/%y} {contract.strike.normalize():f}"


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_EVEN)
