"""Long while the fast average of the mid is above the slow one, flat otherwise.

Assumptions, plainly: an exponential average crossing another carries no proven edge; this strategy
shows how one is written and lets engines be compared. It trades the underlying at market, pays the
spread on each turn and knows no stop. Both averages start at the first mid; the weight of a new mid
is 2 / (span + 1).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from models.order_terms import OrderStatus, Side
from models.trading import Leg
from ports.strategy import Needs, Parameters, Strategy

if TYPE_CHECKING:
    from models.events import OrderUpdate, Quote


class EmaCrossParameters(Parameters):
    """What can be set of the EMA cross."""

    symbol: str = "QQQ"
    """Ticker that it trades."""

    fast: Annotated[int, Field(ge=1)] = 100
    """Span of the fast average, quotes."""

    slow: Annotated[int, Field(ge=2)] = 1000
    """Span of the slow average, quotes."""

    quantity: Annotated[Decimal, Field(gt=0)] = Decimal(100)
    """Shares."""


class EmaCross(Strategy):
    """Long above the cross, flat below it."""

    name = "ema_cross"
    parameters_type = EmaCrossParameters

    def __init__(self, parameters: EmaCrossParameters) -> None:
        """Take the parameters; nothing begins yet."""
        super().__init__(parameters)
        self._symbol = parameters.symbol
        self._quantity = parameters.quantity
        self._k_fast, self._k_slow = 2 / (parameters.fast + 1), 2 / (parameters.slow + 1)
        self._fast: float | None = None
        self._slow = 0.0
        self._long = False
        self._waiting: str | None = None

    def needs(self) -> Needs:
        """Quotes of one ticker."""
        return Needs((self._symbol,))

    def on_quote(self, quote: Quote) -> None:
        """Move both averages, and trade where they cross."""
        bid, ask = quote.bid, quote.ask
        if quote.symbol != self._symbol or bid is None or ask is None:
            return
        mid = (bid + ask) / 2
        fast, slow = self._fast, self._slow
        if fast is None:
            self._fast = self._slow = mid
            return
        self._fast = fast = fast + (mid - fast) * self._k_fast
        self._slow = slow = slow + (mid - slow) * self._k_slow
        if (fast > slow) is self._long or self._waiting or fast == slow:
            return
        self._turn()

    def _turn(self) -> None:
        why = {"fast": self._fast, "slow": self._slow}
        side = Side.SELL if self._long else Side.BUY
        leg = Leg(symbol=self._symbol, side=side)
        trade = self.desk.close if self._long else self.desk.open
        self._waiting = trade([leg], self._quantity, why=why)

    def on_update(self, update: OrderUpdate) -> None:
        """The turn is done when its order has filled; it is tried again when it has ended."""
        if update.client_order_id == self._waiting and update.status.terminal:
            self._waiting = None
            if update.status is OrderStatus.FILLED:
                self._long = not self._long
