"""Where tickets leave for Schwab, each at most once.

Before a ticket leaves, its intent is in the journal; what came of it follows. Whatever happens in
between (a lost answer, a missing or wrong `Location`, a killed program), the ticket is handed to
`order_settler` and never sent again. While one of two equal tickets is not settled, the other does
not leave; and a broker's id belongs to one order.
"""

import logging
from collections.abc import Callable

import msgspec

from models.errors import OrderRejected, OrderUnknown, RiskDenied, TradingError
from models.events import OrderUpdate
from models.journal import Acknowledged, Intent, Refused
from models.order_groups import OrderTicket, orders_of, write_ticket
from schwab_integration.fingerprints import Shape, match, shape_of
from schwab_integration.order_book import Ticket, TicketState
from schwab_integration.order_news import number
from schwab_integration.order_records import OrderRecords
from schwab_integration.order_settler import OrderSettler
from schwab_integration.order_venue import DeskTime, Trader
from schwab_integration.orders import WireOrder, to_wire
from schwab_integration.trader_replies import PlacedOrder
from utils.shared_limit import SharedRateLimiter

__all__ = ["DeskTime", "OrderDesk"]

_log = logging.getLogger(__name__)


class OrderDesk:
    """One account's tickets: journaled, sent once, acknowledged. Threads may share it.

    Args:
        trader: Speaks to Schwab.
        records: The account's journal and book.
        settler: Takes the tickets whose answer is lost; what earlier programs left open is settled
            before anything else leaves.
        limiter: Of the account's order requests; None does not limit.
        stopped: Asked in the moment in which a ticket leaves: why it may not, or an empty text.
    """

    def __init__(
        self,
        trader: Trader,
        records: OrderRecords,
        settler: OrderSettler,
        limiter: SharedRateLimiter | None = None,
        stopped: Callable[[OrderTicket], str] | None = None,
    ) -> None:
        self._stopped = stopped
        self._trader = trader
        self._records = records
        self._settler = settler
        self._limiter = limiter
        self._in_flight: set[str] = set()

    def send(
        self,
        ticket: OrderTicket,
        *,
        urgent: bool = False,
        replaces: str | None = None,
    ) -> list[OrderUpdate]:
        """Send a ticket, once, and return what is known of its orders.

        Args:
            ticket: What to send.
            urgent: It may use the reserve of requests.
            replaces: The broker's id of the order whose place it takes.

        Raises:
            RiskDenied: An equal ticket is not settled, or a client order id was used before.
            DataError: Schwab would refuse it.
            StoreError: The journal cannot be written: nothing was sent.
            OrderRejected: Schwab refuses it.
            OrderUnknown: Its answer was lost: it is looked up.
            TradingError: It certainly did not arrive.
        """
        wire = to_wire(ticket)
        if self._settler.recovering:
            self._records.keep(self._settler.recover())
        entry = self._enter(ticket, wire, urgent=urgent, replaces=replaces)
        try:
            return self._acknowledge(entry, self._once(entry, wire))
        finally:
            self._landed(entry.ticket_id)

    def _enter(
        self, ticket: OrderTicket, wire: WireOrder, *, urgent: bool, replaces: str | None
    ) -> Ticket:
        """Write the intent, once the ticket may leave; afterwards it must."""
        shape = shape_of(wire)
        ticket_id = orders_of(ticket)[0].client_order_id
        waited = 0.0
        while True:
            with self._records.changed:
                self._check_new(ticket)
                self._await_twin(shape)
                self._check_new(ticket)  # another thread may have used a name meanwhile
                wait = self._limiter.try_acquire(urgent=urgent) if self._limiter else 0.0
                if wait <= 0:
                    self._check_stopped(ticket)
                    intent = Intent(
                        at_ns=self._records.now_ns(),
                        ticket_id=ticket_id,
                        ticket=msgspec.Raw(write_ticket(ticket)),
                        replaces=replaces,
                    )
                    return self._written(intent)
            if self._limiter:
                waited += self._limiter.pause(wait, waited)

    def _check_stopped(self, ticket: OrderTicket) -> None:
        """Look at the kill switch once more, after all waiting and before anything is written."""
        if self._stopped is not None and (reason := self._stopped(ticket)):
            raise RiskDenied(reason, rule="kill_switch", limit="nothing leaves", value="an order")

    def _written(self, intent: Intent) -> Ticket:
        self._settler.sent(intent.ticket_id)
        self._in_flight.add(intent.ticket_id)
        try:
            self._records.write(intent)
        except BaseException:
            self._landed(intent.ticket_id)
            raise
        return self._records.book.tickets[intent.ticket_id]

    def _landed(self, ticket_id: str) -> None:
        """It is not on its way any more: who waits for its twin may look."""
        with self._records.changed:
            self._in_flight.discard(ticket_id)
            self._records.changed.notify_all()

    def _check_new(self, ticket: OrderTicket) -> None:
        names = [order.client_order_id for order in orders_of(ticket)]
        known = self._records.book.orders
        used = [name for name in names if name in known or names.count(name) > 1]
        if used:
            message = f"the client order id {used[0]} was used before: give each order its own"
            raise RiskDenied(message, rule="client_order_id", limit="once", value=used[0])

    def _await_twin(self, shape: Shape) -> None:
        """Let no ticket leave beside an equal one that is on its way or unknown."""
        while twins := [t for t in self._records.book.open_tickets() if t.shape == shape]:
            lost = [twin for twin in twins if twin.ticket_id not in self._in_flight]
            if lost:
                twin = lost[0]
                message = (
                    f"whether the equal order {twin.ticket_id} stands at Schwab is not known yet: "
                    "this one was not sent, so that it is not doubled"
                )
                raise RiskDenied(message, rule="twin", limit="1", value=twin.ticket_id)
            self._records.changed.wait()

    def _once(self, entry: Ticket, wire: WireOrder) -> PlacedOrder:
        """Send what is journaled; write down what came of it where that is not acceptance."""
        account_id = self._records.account_id
        try:
            if entry.replaces is None:
                return self._trader.place(account_id, wire)
            return self._trader.replace(account_id, number(entry.replaces), wire)
        except OrderUnknown as error:
            self._settler.lose(entry, str(error))
            raise
        except TradingError as error:
            reason = error.reason if isinstance(error, OrderRejected) else str(error)
            at_ns = self._records.now_ns()
            self._records.write(Refused(at_ns=at_ns, ticket_id=entry.ticket_id, reason=reason))
            raise
        except BaseException:
            self._settler.lose(entry, "the program was interrupted before the answer came")
            raise

    def _acknowledge(self, ticket: Ticket, placed: PlacedOrder) -> list[OrderUpdate]:
        """Look at the order that `Location` names; look for it where it names none or another."""
        reported = None
        if placed.order_id is not None:
            try:
                reported = self._trader.order(self._records.account_id, placed.order_id)
            except TradingError as error:
                _log.info("the order %s cannot be looked at yet: %s", placed.order_id, error)
            except BaseException:
                reason = "the program was interrupted before it looked at the order that was taken"
                self._settler.lose(ticket, reason, accepted=True)
                raise
        with self._records.changed:
            if reported is not None and not self._records.book.claimed(reported):
                found = match(ticket.ticket, ticket.shape, reported)
                if found is not None:
                    acknowledged = Acknowledged(
                        at_ns=self._records.now_ns(),
                        ticket_id=ticket.ticket_id,
                        order_ids=found.order_ids,
                        group_id=found.group_id,
                        tag=reported.tag,
                    )
                    return self._records.claim(acknowledged, found)
        reason = "Schwab took it, but did not name the order, or named another one"
        self._settler.lose(ticket, reason, accepted=True)
        updates = self._settler.look_for(ticket)
        if ticket.state is TicketState.STANDS:
            return updates
        self._records.keep(updates)
        message = f"{reason}: {ticket.ticket_id} is looked up, do not send it again"
        raise OrderUnknown(message)
