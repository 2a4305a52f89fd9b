"""What the order desk needs from outside: somebody who speaks to Schwab, and clocks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from schwab_integration.orders import WireOrder
from schwab_integration.trader_replies import PlacedOrder, ReportedOrder
from utils.clock import Clock, wall_clock

MARGIN: Final = timedelta(minutes=10)
"""Lists are asked for this much wider than the times in question, for clocks that differ."""


class Trader(Protocol):
    """What is needed of `SchwabTrader`."""

    def orders(
        self, account_hash: str, entered_from: datetime, entered_to: datetime
    ) -> Sequence[ReportedOrder]:
        """Return the account's orders entered in that time, all of them."""
        ...

    def order(self, account_hash: str, order_id: int) -> ReportedOrder:
        """Return one order."""
        ...

    def place(self, account_hash: str, wire: WireOrder) -> PlacedOrder:
        """Place an order, once."""
        ...

    def replace(self, account_hash: str, order_id: int, wire: WireOrder) -> PlacedOrder:
        """Put another order in the place of one, once."""
        ...

    def cancel(self, account_hash: str, order_id: int) -> None:
        """Ask to cancel an order, once."""
        ...


@dataclass(frozen=True, slots=True)
class DeskTime:
    """The desk's time; tests hand in their own.

    Attributes:
        clock: Wall time, for the journal and to compare with times of entry.
        monotonic: Seconds, for the rule: nobody sets it.
        sleep: Waits.
    """

    clock: Clock = wall_clock
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
