"""Fills to positions: lots first in, first out, their cost, what was realised. Pure.

Every execution is booked once, by its id. Money is exact: a lot keeps its price and its fees, and
what is realised is the difference to the cent of a millionth.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from models.order_terms import Side
from models.symbols import OCC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.events import Fill

_ZERO = Decimal(0)


@dataclass(slots=True)
class Lot:
    """Units that were bought, or sold short, in one fill.

    Attributes:
        quantity: Units left; sold short negative.
        price: USD a share.
        fees: USD of fees on the units left.
        opened_ns: Time of the fill.
        execution_id: Of the fill.
    """

    quantity: Decimal
    price: Decimal
    fees: Decimal
    opened_ns: int
    execution_id: str


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


class PortfolioTracker:
    """What an account holds and has earned, from its fills alone."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.holdings: dict[str, Holding] = {}
        self.cash_flow = _ZERO
        self._booked: set[str] = set()

    def book(self, fill: Fill, multiplier: Decimal | None = None) -> bool:
        """Book a fill, and return whether it was new.

        Args:
            fill: One execution of one leg.
            multiplier: Shares a unit; 100 of an option and 1 of a share unless given.
        """
        if fill.execution_id in self._booked:
            return False
        self._booked.add(fill.execution_id)
        holding = self.holdings.get(fill.symbol)
        if holding is None:
            usual = Decimal(100 if len(fill.symbol) == OCC_LENGTH else 1)
            holding = self.holdings[fill.symbol] = Holding(fill.symbol, multiplier or usual)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash_flow -= signed * fill.price * holding.multiplier + fill.fees
        holding.fees += fill.fees
        left, fees = self._close(holding, signed, fill)
        if left:
            holding.lots.append(Lot(left, fill.price, fees, fill.time_ns, fill.execution_id))
        holding.quantity += signed
        return True

    def _close(self, holding: Holding, signed: Decimal, fill: Fill) -> tuple[Decimal, Decimal]:
        """Take what a fill closes off the oldest lots; return what is left of it and its fees."""
        left, fees = signed, fill.fees
        while left and holding.lots and holding.lots[0].quantity * left < 0:
            lot = holding.lots[0]
            closed = min(abs(left), abs(lot.quantity))
            part = closed if lot.quantity > 0 else -closed
            lot_fees = lot.fees * closed / abs(lot.quantity)
            own_fees = fees * closed / abs(left)
            gained = part * (fill.price - lot.price) * holding.multiplier
            holding.realized_pnl += gained - lot_fees - own_fees
            lot.quantity -= part
            lot.fees -= lot_fees
            fees -= own_fees
            left += part
            if not lot.quantity:
                holding.lots.popleft()
        return left, fees

    def quantity(self, symbol: str) -> Decimal:
        """Return the units held, short negative."""
        holding = self.holdings.get(symbol)
        return _ZERO if holding is None else holding.quantity

    @property
    def realized_pnl(self) -> Decimal:
        """USD realised so far, fees of closed units taken off."""
        return sum((each.realized_pnl for each in self.holdings.values()), _ZERO)

    def unrealized_pnl(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Return USD gained on what is held, fees of its opening not counted.

        Args:
            marks: USD a share of each symbol held; one that is missing counts as its cost.
        """
        total = _ZERO
        for symbol, holding in self.holdings.items():
            mark = marks.get(symbol)
            if mark is not None:
                for lot in holding.lots:
                    total += lot.quantity * (mark - lot.price) * holding.multiplier
        return total
