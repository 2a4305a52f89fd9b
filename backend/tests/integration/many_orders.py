"""A strategy for tests of the kill switch: many orders that never fill, and a loop that never ends."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from models.order_terms import PositionEffect, Side
from models.trading import Leg
from ports.strategy import Needs, Parameters, Strategy

SHARE = Leg(symbol="QQQ", side=Side.BUY, position_effect=PositionEffect.OPENING)


class ManyOrdersParameters(Parameters):
    """How many orders, and which file lets the strategy hang."""

    symbol: str = "QQQ"
    """Underlying."""

    orders: int = 200
    """Orders that work at the same time."""

    held: int = 0
    """Shares that it holds meanwhile."""

    hang_file: str = ""
    """When it appears, the strategy never returns; it says so by a file with an s behind the name."""


class ManyOrders(Strategy):
    """Keeps its orders far below the market, and asks for them again whenever they are gone."""

    name = "many_orders"
    parameters_type = ManyOrdersParameters

    def __init__(self, parameters: ManyOrdersParameters) -> None:
        self._set = parameters

    def needs(self) -> Needs:
        return Needs((self._set.symbol,))

    def start(self) -> None:
        self.desk.call_every(2, "look")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one
        while self._set.hang_file and Path(self._set.hang_file).exists():
            Path(f"{self._set.hang_file}s").touch()
        if not self.desk.orders() and self.desk.quote(self._set.symbol):
            if self._set.held and not self.desk.position(self._set.symbol):
                self.desk.open((SHARE,), self._set.held)
            for number in range(self._set.orders):
                self.desk.open((SHARE,), 1, limit_price=Decimal(100) + Decimal(number) / 100)
