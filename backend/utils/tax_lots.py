"""Lots of one instrument: what was bought, or sold short, in one fill; and which of them a closing takes.

Exact: a share of a lot's fees is a whole number of cents and what it leaves stays with the lot, so
that all parts sum to the whole, in whatever parts a lot is closed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_ZERO = Decimal(0)
_CENT = Decimal("0.01")


class LotMethod(StrEnum):
    """Which lots a closing takes first, where nobody names them."""

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    """Of long lots the dearest, of short ones the cheapest: what realises least."""


@dataclass(slots=True)
class Lot:
    """Units that were bought, or sold short, in one fill.

    Attributes:
        quantity: Units left; sold short negative.
        price: USD a share.
        fees: USD of fees on the units left.
        opened_ns: Time of the fill.
        execution_id: Of the fill; names the lot.
    """

    quantity: Decimal
    price: Decimal
    fees: Decimal
    opened_ns: int
    execution_id: str


class ClosedLot(NamedTuple):
    """Units of a lot that were closed in one fill or settlement.

    Attributes:
        symbol: OCC symbol or ticker.
        multiplier: Shares a unit.
        quantity: Units; of a short lot negative.
        opened_ns: When they were bought, or sold short.
        closed_ns: When they were sold, or bought back.
        open_price: USD a share.
        close_price: USD a share.
        open_fees: USD of fees at the opening.
        close_fees: USD of fees at the closing.
        lot_id: Execution that opened them.
        closing_id: Execution, or settlement, that closed them.
    """

    symbol: str
    multiplier: Decimal
    quantity: Decimal
    opened_ns: int
    closed_ns: int
    open_price: Decimal
    close_price: Decimal
    open_fees: Decimal
    close_fees: Decimal
    lot_id: str
    closing_id: str

    @property
    def proceeds(self) -> Decimal:
        """USD for what was sold, its fees taken off."""
        units = abs(self.quantity) * self.multiplier
        if self.quantity > 0:
            return units * self.close_price - self.close_fees
        return units * self.open_price - self.open_fees

    @property
    def cost(self) -> Decimal:
        """USD paid for what was bought, its fees added."""
        units = abs(self.quantity) * self.multiplier
        if self.quantity > 0:
            return units * self.open_price + self.open_fees
        return units * self.close_price + self.close_fees

    @property
    def gain(self) -> Decimal:
        """USD realised, fees taken off."""
        return self.proceeds - self.cost

    def split(self, units: Decimal) -> tuple[ClosedLot, ClosedLot]:
        """Return the first units, fewer than all, and the rest."""
        whole = abs(self.quantity)
        first = units.copy_sign(self.quantity)
        opened = share_of_fees(self.open_fees, units, whole)
        closed = share_of_fees(self.close_fees, units, whole)
        return (
            self._replace(quantity=first, open_fees=opened, close_fees=closed),
            self._replace(
                quantity=self.quantity - first,
                open_fees=self.open_fees - opened,
                close_fees=self.close_fees - closed,
            ),
        )


@dataclass(slots=True)
class Holding:
    """One instrument.

    Attributes:
        symbol: OCC symbol or ticker.
        multiplier: Shares a unit.
        quantity: Units, short negative.
        lots: What it consists of, oldest first.
        realized_pnl: USD realised so far, fees of closed units taken off.
        fees: USD of all fees paid so far.
    """

    symbol: str
    multiplier: Decimal
    quantity: Decimal = _ZERO
    lots: deque[Lot] = field(default_factory=deque)
    realized_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO

    @property
    def average_price(self) -> Decimal:
        """USD a share of what is held; 0 of nothing."""
        if not self.quantity:
            return _ZERO
        return sum((lot.quantity * lot.price for lot in self.lots), _ZERO) / self.quantity

    @property
    def cost(self) -> Decimal:
        """USD that what is held has cost, fees added; negative of what was sold short."""
        return sum(
            (lot.quantity * lot.price * self.multiplier + lot.fees for lot in self.lots), _ZERO
        )


def add(
    holding: Holding, lot: Lot, method: LotMethod, named: Sequence[str] = ()
) -> list[ClosedLot]:
    """Add units to a holding: they close lots of the other side, and what is left opens one.

    Args:
        holding: Changes in place.
        lot: What was traded.
        method: Which lots go first.
        named: Lots that go before all others, by their execution.

    Returns:
        What was closed.
    """
    holding.quantity += lot.quantity
    lots = holding.lots
    closed = []
    while lot.quantity and lots and lots[0].quantity * lot.quantity < 0:
        at = _first(lots, method, named)
        done = _close(holding, lots[at], lot)
        holding.realized_pnl += done.gain
        closed.append(done)
        if not lots[at].quantity:
            del lots[at]
    if lot.quantity:
        lots.append(lot)
    return closed


def take(
    holding: Holding, units: Decimal, method: LotMethod, named: Sequence[str] = ()
) -> list[Lot]:
    """Take units out of a holding without closing them: they go on in another instrument.

    Args:
        holding: Changes in place.
        units: How many, above 0 and not more than are held.
        method: Which lots go first.
        named: Lots that go before all others.
    """
    taken = []
    while units:
        at = _first(holding.lots, method, named)
        lot = holding.lots[at]
        count = min(units, abs(lot.quantity))
        signed = count if lot.quantity > 0 else -count
        fees = share_of_fees(lot.fees, count, abs(lot.quantity))
        taken.append(Lot(signed, lot.price, fees, lot.opened_ns, lot.execution_id))
        lot.quantity -= signed
        lot.fees -= fees
        holding.quantity -= signed
        units -= count
        if not lot.quantity:
            del holding.lots[at]
    return taken


def _first(lots: deque[Lot], method: LotMethod, named: Sequence[str]) -> int:
    """Return the place of the lot that is closed next."""
    for name in named:
        for at, lot in enumerate(lots):
            if lot.execution_id == name:
                return at
    if method is LotMethod.FIFO:
        return 0
    if method is LotMethod.LIFO:
        return len(lots) - 1
    # Of equal prices the oldest.
    return max(range(len(lots)), key=lambda at: (lots[at].price * _way(lots[at]), -at))


def _way(lot: Lot) -> int:
    return 1 if lot.quantity > 0 else -1


def _close(holding: Holding, oldest: Lot, lot: Lot) -> ClosedLot:
    """Close units of an older lot with those of a new one; both change in place."""
    count = min(abs(lot.quantity), abs(oldest.quantity))
    part = count if oldest.quantity > 0 else -count
    open_fees = share_of_fees(oldest.fees, count, abs(oldest.quantity))
    close_fees = share_of_fees(lot.fees, count, abs(lot.quantity))
    oldest.quantity -= part
    oldest.fees -= open_fees
    lot.fees -= close_fees
    lot.quantity += part
    return ClosedLot(
        holding.symbol,
        holding.multiplier,
        part,
        oldest.opened_ns,
        lot.opened_ns,
        oldest.price,
        lot.price,
        open_fees,
        close_fees,
        oldest.execution_id,
        lot.execution_id,
    )


def share_of_fees(fees: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the fees of the first units of a lot, in whole cents.

    Each unit bears the same number of cents, the first ones one more where they do not divide: a
    unit costs the same however the lot is split up afterwards. Of fractions of a unit, the nearest.
    """
    if part == whole or not fees:
        return fees
    cents = fees * 100
    if cents % 1 or part % 1 or whole % 1:
        return (fees * part / whole).quantize(_CENT, ROUND_HALF_EVEN)
    each, odd = divmod(abs(cents), whole)
    return (part * each + min(part, odd)).copy_sign(fees) / 100
