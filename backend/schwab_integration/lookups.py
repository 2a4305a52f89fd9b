"""When lost tickets are looked for, and what the broker's lists say of them. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from models.journal import Evidence
from schwab_integration import settlement
from schwab_integration.fingerprints import Found, ids_within
from schwab_integration.order_book import OrderBook, Ticket
from schwab_integration.order_news import time_of
from schwab_integration.parse_orders import orders_within
from schwab_integration.settlement import Candidates, Judgement, UnderWay
from schwab_integration.trader_replies import ReportedOrder

_LATE_FOR_S: Final = 3600.0
"""How long after a ticket was said to be absent its order is still looked for in every list."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete list of the broker's orders.

    Attributes:
        orders: As reported.
        asked: When it was asked for, monotonic seconds: it may be as old as that.
    """

    orders: Sequence[ReportedOrder]
    asked: float


@dataclass(slots=True)
class _Watch:
    """When a ticket left, was lost and is looked for next, in monotonic seconds.

    `lists` complete lists have lacked it, the newest of them asked for at `asked`.
    """

    sent: float
    lost: float = 0.0
    next_look: float = 0.0
    lists: int = 0
    asked: float = float("-inf")


class Lookups:
    """The tickets of one book that are or were unknown, and which orders lists have shown.

    Args:
        book: It knows the tickets and who owns which id.
        monotonic: Seconds, by a clock that nobody sets.
    """

    def __init__(self, book: OrderBook, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._monotonic = monotonic
        self._watches: dict[str, _Watch] = {}
        self._absent: dict[str, float] = {}
        self._seen: dict[str, float] = {}

    def sent(self, ticket_id: str) -> None:
        """A ticket leaves now: what lists have shown so far is not its order."""
        self._watches[ticket_id] = _Watch(self._monotonic())

    def lost(self, ticket_id: str) -> None:
        """Its answer is given up now; of an ended program's ticket a list may tell at once."""
        known = ticket_id in self._watches
        watch = self._watches.setdefault(ticket_id, _Watch(float("-inf")))
        watch.lost = watch.next_look = self._monotonic()
        if known:
            watch.next_look += settlement.next_look_s(0.0)

    def absent(self, ticket_id: str) -> None:
        """The rule says that it never arrived; its order may come late nevertheless."""
        self._absent[ticket_id] = self._monotonic()

    def seen(self, root: ReportedOrder) -> None:
        """A list shows an order that nobody has claimed."""
        now = self._monotonic()
        for order_id in ids_within(root):
            self._seen.setdefault(order_id, now)

    def reopen(self, now_ns: int) -> None:
        """Take up what an earlier program said to be absent a little while ago."""
        for ticket in self._book.tickets.values():
            age_s = (now_ns - ticket.lost_ns) / 1e9
            # What a person said to be absent stays so: an equal order is that person's own.
            if ticket.absent_by is Evidence.RULE and age_s < _LATE_FOR_S:
                self._watches[ticket.ticket_id] = _Watch(float("-inf"), lost=self._monotonic())
                self.absent(ticket.ticket_id)

    def due(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Return those that it is time to look for."""
        now = self._monotonic()
        return [one for one in tickets if self._watches[one.ticket_id].next_look <= now]

    def next_look_s(self, tickets: Sequence[Ticket]) -> float | None:
        """Return the seconds until the first of them is due, or None without any."""
        looks = [self._watches[ticket.ticket_id].next_look for ticket in tickets]
        return max(0.0, min(looks) - self._monotonic()) if looks else None

    def judge(
        self, ticket: Ticket, listing: Listing | None
    ) -> tuple[Judgement, Found | None, Candidates]:
        """Say what a list tells of a lost ticket, and when to look next.

        Args:
            ticket: Which.
            listing: The broker's orders; None where the broker did not answer.

        Returns:
            The judgement, the order if it was found, and all orders that may be it.
        """
        watch, now = self._watches[ticket.ticket_id], self._monotonic()
        watch.next_look = watch.lost + settlement.next_look_s(now - watch.lost)
        found = self._candidates(ticket, listing.orders if listing else ())
        if listing is not None and not found:
            watch.lists += 1
            watch.asked = max(watch.asked, listing.asked)
        judgement, one = settlement.judge(self._under_way(ticket), found, self._book.own_tags)
        return judgement, one, found

    def late(self, listed: Sequence[ReportedOrder]) -> list[tuple[Ticket, Found]]:
        """Return what arrived after all though it was said to be absent."""
        if not self._absent:
            return []
        strangers = [root for root in listed if not self._book.claimed(root)]
        if not strangers:
            return []
        now, found = self._monotonic(), []
        on_the_way = [ticket.shape for ticket in self._book.open_tickets()]
        for ticket_id, said in list(self._absent.items()):
            ticket = self._book.tickets[ticket_id]
            if now - said > _LATE_FOR_S:
                del self._absent[ticket_id]
            elif ticket.shape not in on_the_way:  # else the list may show the other one
                like = self._candidates(ticket, strangers)
                _, one = settlement.judge(self._under_way(ticket), like, self._book.own_tags)
                if one is not None:
                    del self._absent[ticket_id]
                    strangers.remove(one.root)
                    found.append((ticket, one))
        return found

    def _candidates(self, ticket: Ticket, listed: Sequence[ReportedOrder]) -> Candidates:
        sent = self._watches[ticket.ticket_id].sent
        before = {order_id for order_id, seen in self._seen.items() if seen < sent}
        taken = before.union(self._book.owners)
        others = [one.shape for one in self._book.open_tickets() if one is not ticket]
        if ticket.replaces is not None:  # it may stand within a group, where the old order stood
            listed = [each for root in listed for each in orders_within(root)]
        return settlement.candidates(self._under_way(ticket), listed, taken, others)

    def _under_way(self, ticket: Ticket) -> UnderWay:
        watch = self._watches[ticket.ticket_id]
        sent_at, lost_at = time_of(ticket.sent_ns), time_of(ticket.lost_ns)
        if watch.sent == float("-inf"):  # a program that ended may be missed only hours later
            lost_at = min(lost_at, sent_at + settlement.ANSWERED_WITHIN)
        return UnderWay(
            ticket=ticket.ticket,
            shape=ticket.shape,
            sent_at=sent_at,
            lost_at=lost_at,
            elapsed_s=self._monotonic() - watch.lost,
            accepted=ticket.accepted,
            lists=watch.lists,
            newest_list_s=watch.asked - watch.lost,
        )
