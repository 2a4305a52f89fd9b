"""Fills to positions: lots, their cost, what was realised and from which lots. Pure.

Every execution is booked once, by its id. Money is exact, so that at any time what was paid and
received, what is held at its cost, and what was realised agree to the cent.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from models.options import Greeks, OptionContract
from models.order_terms import Side
from models.symbols import OCC_LENGTH
from utils.tax_lots import ClosedLot, Holding, Lot, LotMethod, add, take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.events import Fill, Settlement

__all__ = ["ClosedLot", "Holding", "Lot", "LotMethod", "PortfolioTracker"]

_ZERO = Decimal(0)
_ONE = Decimal(1)
_HUNDRED = Decimal(100)


class PortfolioTracker:
    """What an account holds and has earned, from its fills alone.

    ```python
    tracker = PortfolioTracker()
    tracker.book(fill)
    tracker.quantity("QQQ"), tracker.realized_pnl, tracker.unrealized_pnl({"QQQ": Decimal(600)})
    ```

    Attributes:
        holdings: By symbol, those that are flat again too.
        cash_flow: USD received less USD paid, fees taken off.
        closed: Every closing, lot by lot, in order.
        version: Grows with everything that is booked: who keeps figures of it knows when they are old.
    """

    def __init__(
        self,
        method: LotMethod = LotMethod.FIFO,
        named: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            method: Which lots a closing takes first.
            named: Specific lots: execution, or settlement, that closes -> executions that opened
                what it closes, in order. What is not named goes by the method.
        """
        self.holdings: dict[str, Holding] = {}
        self.cash_flow = _ZERO
        self.closed: list[ClosedLot] = []
        self._method = method
        self._named = named or {}
        self.version = 0
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
        self.version += 1
        usual = _HUNDRED if len(fill.symbol) == OCC_LENGTH else _ONE
        holding = self._holding(fill.symbol, multiplier or usual)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash_flow -= signed * fill.price * holding.multiplier + fill.fees
        holding.fees += fill.fees
        self._add(holding, Lot(signed, fill.price, fill.fees, fill.time_ns, fill.execution_id))
        return True

    def settle(self, settlement: Settlement) -> bool:
        """Book what became of options that are held, and return whether it was news.

        What expires worthless or is paid in cash is realised. Shares that are delivered carry the
        option's price in their own: at the strike plus what a call cost or brought, less that of a
        put, so that nothing is realised before they are sold (IRS publication 550, "Exercising
        options"); they are held from that day on.
        """
        holding = self.holdings.get(settlement.symbol)
        if settlement.settlement_id in self._booked or holding is None or not holding.quantity:
            return False
        self._booked.add(settlement.settlement_id)
        units = min(abs(settlement.quantity), abs(holding.quantity))
        signed = units if holding.quantity > 0 else -units
        self.version += 1
        if not settlement.shares:
            price = settlement.cash / holding.multiplier
            self.cash_flow += signed * settlement.cash
            at = settlement.time_ns, settlement.settlement_id
            self._add(holding, Lot(-signed, price, _ZERO, *at))
            return True
        self._deliver(holding, units, settlement)
        return True

    def _deliver(self, holding: Holding, units: Decimal, settlement: Settlement) -> None:
        contract = OptionContract.from_occ(holding.symbol)
        shares = self._holding(contract.underlying, _ONE)
        way = 1 if contract.right == "C" else -1
        name = settlement.settlement_id
        for lot in take(holding, units, self._method, self._named.get(name, ())):
            count = lot.quantity * holding.multiplier * way
            self.cash_flow -= count * contract.strike
            price = contract.strike + way * lot.price
            own = f"{name}-{lot.execution_id}"
            self._add(shares, Lot(count, price, lot.fees, settlement.time_ns, own))

    def _add(self, holding: Holding, lot: Lot) -> None:
        named = self._named.get(lot.execution_id, ()) if self._named else ()
        self.closed += add(holding, lot, self._method, named)

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

    @property
    def cost(self) -> Decimal:
        """USD that all that is held has cost, fees added: cash flow + cost = what was realised."""
        return sum((each.cost for each in self.holdings.values()), _ZERO)

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

    def net_greeks(self, greeks: Mapping[str, Greeks]) -> Greeks:
        """Return the greeks of all that is held together, in shares and USD.

        Args:
            greeks: Of one share of each option that is held, by OCC symbol; one that is missing
                counts as nothing. Shares have a delta of 1 each.
        """
        total = dict.fromkeys(Greeks.model_fields, 0.0)
        for symbol, holding in self.holdings.items():
            units = float(holding.quantity * holding.multiplier)
            if len(symbol) != OCC_LENGTH:
                total["delta"] += units
            elif symbol in greeks:
                for name in total:
                    total[name] += units * float(getattr(greeks[symbol], name))
        return Greeks(**total)
