"""Live without orders: each ticket is shown to the broker as a preview, and goes to a paper venue.

The strategy trades on from there, so that its exits are seen as well. The broker previews against
what the account really holds: what would close a position of the paper venue may be refused there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Self

from app.trading_books import KeptPaperBroker
from models.errors import TradingError
from models.order_groups import orders_of
from schwab_integration.limits import order_limiter
from schwab_integration.orders import to_wire
from schwab_integration.parse_preview import preview_of
from schwab_integration.trader import SchwabTrader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from engine.paper import PaperAccount
    from models.events import OrderUpdate
    from models.order_groups import OrderTicket
    from models.trading import Order
    from schwab_integration.config import SchwabSettings


class Previewed(NamedTuple):
    """What the broker would make of a ticket.

    Attributes:
        client_order_id: Of its first order.
        accepted: Whether it would be taken; None where it was not told.
        words: For people.
    """

    client_order_id: str
    accepted: bool | None
    words: str


class Previews:
    """Asks for previews in a thread of its own; none is waited for before the end.

    Args:
        settings: Of the app.
        account_id: Hash of the account.
        tell: Takes each answer; called in that thread.
    """

    def __init__(
        self, settings: SchwabSettings, account_id: str, tell: Callable[[Previewed], None]
    ) -> None:
        self.answers: list[Previewed] = []
        self._account_id = account_id
        self._tell = tell
        self._trader = SchwabTrader(settings, order_limiter=order_limiter(settings, account_id))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="previews")

    def ask(self, ticket: OrderTicket) -> None:
        """Ask what would become of a ticket."""
        self._pool.submit(self._answer, ticket)

    def wait(self) -> None:
        """Return when all answers are there."""
        self._pool.shutdown(wait=True)

    def _answer(self, ticket: OrderTicket) -> None:
        name = orders_of(ticket)[0].client_order_id
        try:
            told = preview_of(self._trader.preview(self._account_id, to_wire(ticket)))
        except TradingError as error:
            answer = Previewed(name, None, f"no preview: {error}")
        else:
            words = ["would be taken" if told.accepted else "would be refused"]
            words += [f"commission {told.commission}, fees {told.fees} USD"]
            if told.buying_power_after is not None:
                words += [f"buying power then {told.buying_power_after} USD"]
            answer = Previewed(name, told.accepted, "; ".join((*words, *told.messages)))
        self.answers.append(answer)
        self._tell(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._trader.close()


class DryRunBroker(KeptPaperBroker):
    """A paper venue whose tickets the broker is asked about.

    Args:
        account: Of the paper venue.
        clock: The market's time.
        refusal: Asked as a ticket would leave: why it may not, or an empty text.
        previews: Asks the broker.
    """

    def __init__(
        self,
        account: PaperAccount,
        clock: Callable[[], datetime],
        refusal: Callable[[OrderTicket], str],
        previews: Previews,
    ) -> None:
        super().__init__(account, clock, refusal)
        self._previews = previews

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Ask for a preview, and place the ticket on paper."""
        self._previews.ask(ticket)
        return super().submit(ticket)

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Ask for a preview of the new order, and replace on paper."""
        self._previews.ask(order)
        return super().replace(order_id, order)
