"""Tickets whose answer was lost: looked for among the broker's orders until they are settled.

What a list proves is said by the rule of `settlement`; what no rule settles is a person's to say.
"""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from models.errors import TradingError
from models.events import OrderUpdate
from models.journal import Asked, Evidence, Outcome, Settled, Unknown
from models.order_groups import orders_of
from schwab_integration import settlement
from schwab_integration.fingerprints import Found, match_legs
from schwab_integration.lookups import Listing, Lookups
from schwab_integration.order_book import Ticket, TicketState
from schwab_integration.order_news import number, rejected, time_of
from schwab_integration.order_records import OrderRecords
from schwab_integration.order_venue import MARGIN, DeskTime, Trader
from schwab_integration.settlement import Judgement
from schwab_integration.trader_replies import ReportedOrder

_log = logging.getLogger(__name__)

_LOST: Final = frozenset({TicketState.UNKNOWN, TicketState.ASKED})


class OrderSettler:
    """One account's lost tickets. Threads may share it.

    Args:
        trader: Speaks to Schwab.
        records: The account's journal and book; what is open in it is settled first.
        times: Clocks.
    """

    def __init__(self, trader: Trader, records: OrderRecords, times: DeskTime) -> None:
        self._trader = trader
        self._records = records
        self._times = times
        self._lookups = Lookups(records.book, times.monotonic)
        self._reopen()
        self.recovering = bool(records.book.open_tickets())
        """Whether an earlier program's tickets are still to be settled."""

    def sent(self, ticket_id: str) -> None:
        """A ticket leaves now: what lists have shown so far is not its order."""
        self._lookups.sent(ticket_id)

    def lose(self, ticket: Ticket, reason: str, *, accepted: bool = False) -> None:
        """Write down that a ticket's answer was lost.

        Args:
            ticket: Which.
            reason: What was lost.
            accepted: Schwab said that it took it, but not under which id.
        """
        with self._records.changed:
            self._records.write(
                Unknown(
                    at_ns=self._records.now_ns(),
                    ticket_id=ticket.ticket_id,
                    reason=reason,
                    accepted=accepted,
                )
            )
            self._lookups.lost(ticket.ticket_id)

    def settle(self) -> list[OrderUpdate]:
        """Look for the tickets whose answer was lost, where it is time to, and say what is new.

        News that was kept meanwhile, of any order, comes first.
        """
        with self._records.changed:
            due = self._lookups.due(self._unknown())
        listing = self._list(due) if due else None
        with self._records.changed:
            updates = self._records.take()
            try:
                for ticket in due:
                    updates += self._judge(ticket, listing)
                if listing is not None:
                    updates += self.see(listing.orders)
            except BaseException:
                self._records.keep(updates)
                raise
            return updates

    def look_for(self, ticket: Ticket) -> list[OrderUpdate]:
        """Look for one ticket at once, and say what is new of it."""
        listing = self._list([ticket])
        with self._records.changed:
            return self._judge(ticket, listing)

    def recover(self, within_s: float = float("inf")) -> list[OrderUpdate]:
        """Settle what is unknown, or hand it to a person, before anything else leaves.

        Args:
            within_s: How long to try; what is unknown then is settled later, by `settle` or by the
                next ticket that wants to leave.
        """
        updates: list[OrderUpdate] = []
        until = self._times.monotonic() + within_s
        try:
            while waiting := [t for t in self._unknown() if t.state is TicketState.UNKNOWN]:
                updates += self.settle()
                pause = self._lookups.next_look_s([t for t in waiting if t.state.open])
                if self._times.monotonic() + (pause or 0.0) > until:
                    return updates
                if pause:
                    self._times.sleep(pause)
        except BaseException:
            self._records.keep(updates)
            raise
        self.recovering = False
        return updates

    def next_look_s(self) -> float | None:
        """Return the seconds until `settle` has something to do, or None if nothing is unknown."""
        with self._records.changed:
            return self._lookups.next_look_s(self._unknown())

    def questions(self) -> dict[str, str]:
        """Return client order id -> what a person is asked about its ticket."""
        with self._records.changed:
            open_ones = self._records.book.open_tickets()
        return {t.ticket_id: t.question for t in open_ones if t.state is TicketState.ASKED}

    def resolve(self, client_order_id: str, order_id: str | None) -> list[OrderUpdate]:
        """Take a person's word for a ticket that is not settled.

        Args:
            client_order_id: Of any of its orders.
            order_id: The broker's id of the order (of a group: of the group or its parent), or
                None: it is not there. Its price, type, duration and session may be others than
                were sent; its legs and their directions may not.

        Raises:
            OrderRejected: It is settled already, or the named order is another's or has other
                legs.
            TradingError: The named order cannot be looked at.
        """
        self._ticket_of(client_order_id)
        reported = None
        if order_id is not None:
            reported = self._trader.order(self._records.account_id, number(order_id))
        with self._records.changed:
            ticket = self._ticket_of(client_order_id)  # it may have been found meanwhile
            if reported is None:
                return self._settle(ticket, Outcome.ABSENT, Evidence.USER)
            found = match_legs(ticket.ticket, ticket.shape, reported)
            if found is None or self._records.book.claimed(reported):
                why = "has other legs" if found is None else "belongs to another order of ours"
                raise rejected(f"the order {order_id} {why}: it is not {client_order_id}")
            return self._settle(ticket, Outcome.ACCEPTED, Evidence.USER, found)

    def see(self, listed: Sequence[ReportedOrder]) -> list[OrderUpdate]:
        """Take a list in: orders that arrived late, orders of others, news of ours."""
        with self._records.changed:
            updates = []
            for ticket, found in self._lookups.late(listed):
                _log.error("the order %s arrived late: it stands after all", ticket.ticket_id)
                updates += self._settle(ticket, Outcome.ACCEPTED, Evidence.LOOKUP, found)
            for root in listed:
                if not self._records.book.claimed(root):
                    self._lookups.seen(root)
            return updates + self._records.news_of(listed)

    def _reopen(self) -> None:
        """Take up what earlier programs left open, and what they said to be absent just now."""
        for ticket in self._records.book.open_tickets():
            if ticket.state is TicketState.SENT:
                self.lose(ticket, "the program ended before the answer came")
            else:
                self._lookups.lost(ticket.ticket_id)
        self._lookups.reopen(self._records.now_ns())

    def _list(self, tickets: Sequence[Ticket]) -> Listing | None:
        """Return the broker's orders since tickets left, or None where it does not answer."""
        asked, now = self._times.monotonic(), self._times.clock()
        since = min(time_of(ticket.sent_ns) for ticket in tickets)
        try:
            listed = self._trader.orders(self._records.account_id, since - MARGIN, now + MARGIN)
        except TradingError as error:
            _log.warning("lost orders cannot be looked up: %s", error)
            return None
        return Listing(listed, asked)

    def _judge(self, ticket: Ticket, listing: Listing | None) -> list[OrderUpdate]:
        """Say what a list tells of a ticket, unless it was settled while the list was on its way."""
        if ticket.state not in _LOST:
            return []
        judgement, one, found = self._lookups.judge(ticket, listing)
        if judgement is Judgement.FOUND and one is not None:
            return self._settle(ticket, Outcome.ACCEPTED, Evidence.LOOKUP, one)
        if judgement is Judgement.ABSENT:
            self._lookups.absent(ticket.ticket_id)
            return self._settle(ticket, Outcome.ABSENT, Evidence.RULE)
        if judgement is Judgement.ASK and ticket.state is not TicketState.ASKED:
            return self._ask(ticket, settlement.question(ticket.ticket, found))
        return []

    def _settle(
        self, ticket: Ticket, outcome: Outcome, by: Evidence, found: Found | None = None
    ) -> list[OrderUpdate]:
        record = Settled(
            at_ns=self._records.now_ns(),
            ticket_id=ticket.ticket_id,
            outcome=outcome,
            by=by,
            order_ids=found.order_ids if found else {},
            group_id=found.group_id if found else None,
        )
        _log.warning("the order %s is settled: %s, by %s", ticket.ticket_id, outcome, by)
        if found is not None:
            return self._records.claim(record, found)
        self._records.write(record)
        return self._records.told(ticket)

    def _ask(self, ticket: Ticket, question: str) -> list[OrderUpdate]:
        _log.error("%s", question)
        at_ns = self._records.now_ns()
        self._records.write(Asked(at_ns=at_ns, ticket_id=ticket.ticket_id, question=question))
        told = self._records.told(ticket)
        return [msgspec.structs.replace(update, reason=question) for update in told]

    def _unknown(self) -> list[Ticket]:
        return [t for t in self._records.book.open_tickets() if t.state in _LOST]

    def _ticket_of(self, client_order_id: str) -> Ticket:
        with self._records.changed:
            for ticket in self._unknown():
                names = [order.client_order_id for order in orders_of(ticket.ticket)]
                if client_order_id in names:
                    return ticket
        raise rejected(f"the order {client_order_id} is not waiting to be settled")
