"""Fills to positions: lots first in, first out, their cost, what was realised. Pure.

Every execution is booked once, by its id. Money is exact: a lot keeps its price and its fees, and
what is realised is the difference to the cent of a millionth.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from models.options import OptionContract
from models.order_terms import Side
from models.symbols import OCC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.events import Fill, Settlement

_ZERO = Decimal(0)
_ONE = Decimal(1)
_HUNDRED = Decimal(100)


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
        usual = _HUNDRED if len(fill.symbol) == OCC_LENGTH else _ONE
        holding = self._holding(fill.symbol, multiplier or usual)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash_flow -= signed * fill.price * holding.multiplier + fill.fees
        holding.fees += fill.fees
        _add(holding, Lot(signed, fill.price, fill.fees, fill.time_ns, fill.execution_id))
        return True

    def settle(self, settlement: Settlement) -> bool:
        """Book what became of options that are held, and return whether it was news.

        What expires worthless or is paid in cash is realised. Shares that are delivered carry the
        option's price in their own: at the strike plus what a call cost or brought, less that of a
        put, so that nothing is realised before they are sold (IRS publication 550, "Exercising
        options").
        """
        holding = self.holdings.get(settlement.symbol)
        if settlement.settlement_id in self._booked or holding is None or not holding.quantity:
            return False
        self._booked.add(settlement.settlement_id)
        if not settlement.shares:
            price = settlement.cash / holding.multiplier
            self.cash_flow += holding.quantity * settlement.cash
            at = settlement.time_ns, settlement.settlement_id
            _add(holding, Lot(-holding.quantity, price, _ZERO, *at))
            return True
        self._deliver(holding, settlement)
        return True

    def _deliver(self, holding: Holding, settlement: Settlement) -> None:
        contract = OptionContract.from_occ(holding.symbol)
        shares = self._holding(contract.underlying, _ONE)
        way = 1 if contract.right == "C" else -1
        while holding.lots:
            lot = holding.lots.popleft()
            units = lot.quantity * holding.multiplier * way
            self.cash_flow -= units * contract.strike
            price = contract.strike + way * lot.price
            name = f"{settlement.settlement_id}-{lot.execution_id}"
            _add(shares, Lot(units, price, lot.fees, settlement.time_ns, name))
        holding.quantity = _ZERO

    def _holding(self, symbol: str, multiplier: Decimal) -> Holding:
        holding = self.holdings.get(symbol)
        if holding is None:
            holding = self.holdings[symbol] = Holding(symbol, multiplier)
        return holding

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


def _add(holding: Holding, lot: Lot) -> None:
    """Add units to a holding: they close the oldest lots of the other side first."""
    holding.quantity += lot.quantity
    while lot.quantity and holding.lots and holding.lots[0].quantity * lot.quantity < 0:
        oldest = holding.lots[0]
        closed = min(abs(lot.quantity), abs(oldest.quantity))
        part = closed if oldest.quantity > 0 else -closed
        oldest_fees = oldest.fees * closed / abs(oldest.quantity)
        own_fees = lot.fees * closed / abs(lot.quantity)
        gained = part * (lot.price - oldest.price) * holding.multiplier
        holding.realized_pnl += gained - oldest_fees - own_fees
        oldest.quantity -= part
        oldest.fees -= oldest_fees
        lot.fees -= own_fees
        lot.quantity += part
        if not oldest.quantity:
            holding.lots.popleft()
    if lot.quantity:
        holding.lots.append(lot)
