"""Wash sales: losses that are not allowed because the same was bought again within 30 days. Pure.

The rule that is used, in words:

- A loss on what was closed is disallowed as far as *substantially identical* units were opened, on
  the same side, from 30 days before to 30 days after that day (26 U.S.C. 1091(a), (e)), other than
  those of the lot that was closed itself. Units that had been closed again before do not count.
- Identical is the same instrument, as brokers report it (26 CFR 1.6045-1(d)(6)(iii)); by the wide
  rule also: for a loss on shares, bought calls on them, a contract standing for 100 shares; for a
  loss on an option, any option of the same right on the same underlying, at any strike and day.
- Replacements are taken in the order in which they were opened, each unit once (26 CFR
  1.1091-1(b) to (e)). What is disallowed is added to their cost, and the time that the lost units
  were held to theirs (26 U.S.C. 1091(d), 1223(3)); it may be disallowed again with them.
- Options on broad indices are marked to market under section 1256 and have no wash sales
  (26 U.S.C. 1256(f)(5)).

Accounts of the same person elsewhere, a spouse's, and retirement accounts are not seen. An option
that was exercised counts by its shares, on the day of exercise.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from models.options import OptionContract
from models.symbols import INDICES, OCC_LENGTH
from utils.clock import to_time
from utils.market_calendar import NEW_YORK
from utils.tax_lots import ClosedLot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from utils.portfolio_tracker import PortfolioTracker

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_WINDOW_DAYS = 30
_ENDLESS = 2**63

_Group = tuple[str, str, int]


class WashRule(StrEnum):
    """What counts as substantially identical."""

    SAME = "same"
    """The same instrument: what a broker reports."""

    WIDE = "wide"
    """Also calls for shares, and options of the same right: what may be asked of a taxpayer."""


@dataclass(slots=True, eq=False)
class TaxLot:
    """Units that were opened in one fill and closed in one, or are still open.

    Attributes:
        lot: As booked; of open units its close is empty.
        open: Whether it is still held.
        added: USD of disallowed losses added to its cost.
        disallowed: USD of its own loss that is not allowed.
        held_since_ns: When the time begins that it counts as held.
        used: Whether it has replaced something.
    """

    lot: ClosedLot
    open: bool
    added: Decimal = _ZERO
    disallowed: Decimal = _ZERO
    held_since_ns: int = 0
    used: bool = False

    @property
    def gain(self) -> Decimal:
        """USD realised by the tax's count, before its own loss is disallowed."""
        return self.lot.gain - self.added


def is_section_1256(symbol: str) -> bool:
    """Return whether an instrument is marked to market by section 1256: options on broad indices."""
    return len(symbol) == OCC_LENGTH and OptionContract.from_occ(symbol).underlying in INDICES


def new_york_day(time_ns: int) -> date:
    """Return the day of a moment in New York."""
    return to_time(time_ns).astimezone(NEW_YORK).date()


def tax_lots(tracker: PortfolioTracker, rule: WashRule | None = WashRule.WIDE) -> list[TaxLot]:
    """Return all that was opened in an account, with wash sales marked, in order of closing.

    Args:
        tracker: Has booked everything.
        rule: What is substantially identical; None looks for no wash sales.
    """
    lots = [TaxLot(each, open=False, held_since_ns=each.opened_ns) for each in tracker.closed]
    for held in tracker.holdings.values():
        for each in held.lots:
            lot = ClosedLot(
                held.symbol,
                held.multiplier,
                each.quantity,
                each.opened_ns,
                _ENDLESS,
                each.price,
                _ZERO,
                each.fees,
                _ZERO,
                each.execution_id,
                "",
            )
            lots.append(TaxLot(lot, open=True, held_since_ns=each.opened_ns))
    lots.sort(key=lambda each: each.lot.closed_ns)
    return lots if rule is None else _Washing(lots, rule).washed()


class _Washing:
    """Goes through the losses in order of their closing."""

    def __init__(self, lots: list[TaxLot], rule: WashRule) -> None:
        self._rule = rule
        self._lots = lots
        self._candidates: defaultdict[_Group, list[TaxLot]] = defaultdict(list)
        for each in sorted(lots, key=lambda each: each.lot.opened_ns):
            if not is_section_1256(each.lot.symbol):
                self._candidates[_group(each.lot, rule)].append(each)

    def washed(self) -> list[TaxLot]:
        for each in self._lots:  # a lot that is cut in two stands behind the one that is looked at
            if not each.open and each.gain < 0 and not is_section_1256(each.lot.symbol):
                self._wash(each)
        return self._lots

    def _wash(self, lost: TaxLot) -> None:
        """Disallow a loss as far as there are replacements."""
        units = abs(lost.lot.quantity) * lost.lot.multiplier
        left, loss = units, -lost.gain
        for group, candidate in self._replacements(lost):
            lot = candidate.lot
            size = abs(lot.quantity) * lot.multiplier
            if size > left and (whole := left // lot.multiplier) and not lot.quantity % 1:
                candidate = self._split(group, candidate, whole)  # noqa: PLW2901 - its first part
                size = whole * lot.multiplier
            counted = min(size, left)
            part = (
                loss
                if counted == units
                else (loss * counted / units).quantize(_CENT, ROUND_HALF_EVEN)
            )
            part = min(part, loss - lost.disallowed)
            lost.disallowed += part
            candidate.added += part
            candidate.held_since_ns -= lost.lot.closed_ns - lost.held_since_ns
            candidate.used = True
            left -= counted
            if not left:
                return

    def _replacements(self, lost: TaxLot) -> Iterator[tuple[_Group, TaxLot]]:
        day = new_york_day(lost.lot.closed_ns)
        for group in _replacing(_group(lost.lot, self._rule)):
            kept = []
            found = []
            for each in self._candidates[group]:
                gone = each.used or each.lot.closed_ns <= lost.lot.closed_ns
                old = (day - new_york_day(each.lot.opened_ns)).days > _WINDOW_DAYS
                if gone or old:  # and so for all losses that come
                    continue
                kept.append(each)
                near = (new_york_day(each.lot.opened_ns) - day).days <= _WINDOW_DAYS
                if near and each.lot.lot_id != lost.lot.lot_id:
                    found.append(each)
            self._candidates[group] = kept
            yield from ((group, each) for each in found)

    def _split(self, group: _Group, whole: TaxLot, units: Decimal) -> TaxLot:
        """Cut a lot in two, since only its first units replace something; return them."""
        first, rest = whole.lot.split(units)
        part = TaxLot(first, whole.open, held_since_ns=whole.held_since_ns)
        whole.lot = rest
        self._lots.insert(self._lots.index(whole), part)
        self._candidates[group].append(part)
        return part


def _group(lot: ClosedLot, rule: WashRule) -> _Group:
    way = 1 if lot.quantity > 0 else -1
    if len(lot.symbol) != OCC_LENGTH:
        return lot.symbol, "shares", way
    if rule is WashRule.SAME:
        return lot.symbol, "", way
    contract = OptionContract.from_occ(lot.symbol)
    return contract.underlying, contract.right, way


def _replacing(group: _Group) -> Iterable[_Group]:
    """Return what replaces units of a group: itself, and bought calls replace bought shares."""
    name, kind, way = group
    return (group, (name, "C", 1)) if (kind, way) == ("shares", 1) else (group,)
