"""Schwab as the house's `Broker`: one account, every order at most once."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from engine.cash import CashMove
from models.errors import BadReply, OrderRejected, OrderUnknown, TradingError
from models.events import Event, OrderUpdate, Quote, Settlement
from models.journal import Record
from models.order_groups import OrderTicket, orders_of
from models.order_terms import Mode, OrderStatus
from models.schwab_order_terms import TransactionType
from models.trading import (
    AccountTerms,
    Balances,
    Order,
    OrderPreview,
    Position,
    Trade,
)
from ports.broker import Watch
from schwab_integration.account_rules import check_account, closes
from schwab_integration.decoding import moment
from schwab_integration.order_desk import OrderDesk
from schwab_integration.order_listener import OrderListener, Updates
from schwab_integration.order_news import number, rejected
from schwab_integration.order_records import OrderRecords
from schwab_integration.order_settler import OrderSettler
from schwab_integration.order_venue import MARGIN, DeskTime
from schwab_integration.orders import to_wire
from schwab_integration.parse_accounts import balances_of, holdings_of
from schwab_integration.parse_orders import Owner, fills_of, order_of, orders_within
from schwab_integration.parse_preview import preview_of
from schwab_integration.parse_transactions import settlement_of
from schwab_integration.trader import SchwabTrader
from schwab_integration.trader_replies import ReportedOrder
from utils.clock import to_ns
from utils.shared_limit import SharedRateLimiter
from utils.transaction_logger import TransactionLogger

EXTERNAL: Final = "external"
"""Strategy of orders that are not ours: shown, never touched."""

_LONGEST_LIFE: Final = timedelta(days=185)
"""How long a GOOD_TILL_CANCEL order may stand before it fills (about six months)."""

_CANCEL_TRIES: Final = 2
"""Cancelling twice is the same as once, so a lost answer may be repeated once."""

_log = logging.getLogger(__name__)


class SchwabBroker:
    """One account at Schwab, or at a simulator that speaks like it. Threads may share it.

    An order leaves at most once; see `order_desk` and `settlement`. `submit` returns what Schwab
    said, or raises `OrderUnknown` where its answer was lost: then `settle`, `poll` or `listen`
    bring the outcome as an update, and `questions` what only a person can say (`resolve`). Orders
    that are not ours are listed under the strategy "external", and neither cancelled nor replaced.

    Args:
        trader: Speaks to Schwab, without a limiter for orders of its own.
        terms: What the account may do.
        journal: The account's journal.
        mode: LIVE, or REHEARSAL at the simulator.
        limiter: Of the account's order requests (`limits.order_limiter`); None does not limit.
        times: Clocks.
        updates: The account's stream; polls alone without one.
        poll_every_s: How often `listen` polls.
        stopped: Says why nothing may leave now: the kill switch; an empty text lets it leave.
    """

    def __init__(  # noqa: PLR0913 - each is a part that others hand in
        self,
        trader: SchwabTrader,
        terms: AccountTerms,
        journal: TransactionLogger[Record],
        *,
        mode: Mode,
        limiter: SharedRateLimiter | None = None,
        times: DeskTime | None = None,
        updates: Updates | None = None,
        poll_every_s: float = 5.0,
        stopped: Callable[[OrderTicket], str] | None = None,
    ) -> None:
        self._trader = trader
        self._terms = terms
        self._mode = mode
        self._limiter = limiter
        self._times = times or DeskTime()
        self._left_out: set[str] = set()
        self._records = OrderRecords(terms.account_id, journal, mode=mode, clock=self._times.clock)
        self._settler = OrderSettler(trader, self._records, self._times)
        self._desk = OrderDesk(trader, self._records, self._settler, limiter, stopped)
        self._listener = OrderListener(
            trader,
            self._records,
            self._settler,
            self.poll,
            monotonic=self._times.monotonic,
            updates=updates,
            poll_every_s=poll_every_s,
        )

    @property
    def account_id(self) -> str:
        """Hash of the account."""
        return self._terms.account_id

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Send an order, or several that hang together, once, and return what is known at once.

        Raises:
            RiskDenied: The account may not trade it, the client order id was used before, or an
                equal order is not settled yet: nothing was sent.
            DataError: Schwab would refuse it: nothing was sent.
            StoreError: The journal cannot be written.
            OrderRejected: Schwab refuses it.
            OrderUnknown: Schwab's answer was lost: it is looked up, never sent again.
            TradingError: It certainly did not arrive.
        """
        self._check_accounts(ticket)
        check_account(ticket, self._terms, self._held)
        return self._desk.send(ticket, urgent=closes(ticket))

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        """Ask to cancel an order of ours; it may still fill until an update says CANCELED.

        Raises:
            OrderRejected: It is not ours, or over already.
            OrderUnknown: Whether it is being cancelled cannot be told: ask again.
            TradingError: The request did not arrive.
        """
        self._own(order_id)
        lost: OrderUnknown | None = None
        for _ in range(_CANCEL_TRIES):
            if self._limiter:
                self._limiter.acquire(urgent=True)
            try:
                self._trader.cancel(self.account_id, number(order_id))
                break
            except OrderUnknown as error:
                lost = error
            except OrderRejected:
                if lost is None:
                    raise  # else it is over, perhaps by the request whose answer was lost
            state = self._looked_at(order_id)
            if state in {OrderStatus.CANCELED, OrderStatus.PENDING_CANCEL}:
                break
            if state is not None and state.terminal:
                raise rejected(f"the order {order_id} is over already: it is {state}")
        else:
            raise lost or OrderUnknown(f"whether {order_id} is being cancelled is not known")
        return self._after_cancel(order_id)

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Put another order in the place of one of ours; sent once, as `submit`.

        Raises:
            OrderRejected: The old order is not ours, or Schwab refuses: it stands as it was.
            TradingError: As `submit`.
        """
        self._own(order_id)
        self._check_accounts(order)
        check_account(order, self._terms, self._held)
        updates = self._desk.send(order, urgent=closes(order), replaces=order_id)
        with suppress(TradingError):  # the next poll tells it as well
            updates += self._settler.see([self._trader.order(self.account_id, number(order_id))])
        return updates

    def preview(self, ticket: OrderTicket) -> OrderPreview:
        """Return what Schwab would make of an order, which is not placed."""
        wire = to_wire(ticket)
        if self._limiter:
            self._limiter.acquire()
        return preview_of(self._trader.preview(self.account_id, wire))

    def observe(self, event: Event) -> list[OrderUpdate]:  # noqa: ARG002 - the port's
        """Return nothing: the real market does not need to be shown."""
        return []

    def watch(self, quotes: Mapping[str, Quote]) -> Watch:  # noqa: ARG002 - the port's
        """Return an empty list: the real market does not need to be shown."""
        return Watch()

    def orders(self, since: datetime) -> Sequence[Order]:
        """Return the orders entered since then, each in its newest state, oldest first.

        Those of kinds that the house does not know (funds) are left out. Ours have their client
        order ids; the others are named after Schwab's and belong to the strategy "external".
        """
        return self._orders_of(self._listed(since))

    def fills(self, since: datetime) -> Sequence[Trade]:
        """Return the fills since then, oldest first, each execution once.

        Orders may stand for half a year before they fill, so that long is looked back. Fees are
        not in the order list: they come with the transactions.
        """
        start = min(since, self._times.clock()) - _LONGEST_LIFE
        return self._fills_of(self._listed(start), since)

    def settlements(self, since: datetime) -> Sequence[Settlement]:
        """Return what became of options that left the account without an order, oldest first.

        Those whose words are not known are left out: what they did stays a difference.

        Raises:
            TradingError: Schwab does not answer.
        """
        until = max(since, self._times.clock()) + MARGIN
        kinds = (TransactionType.RECEIVE_AND_DELIVER,)
        listed = self._trader.transactions(self.account_id, since, until, kinds)
        return [found for each in listed if (found := settlement_of(each)) is not None]

    def cash_moves(self, since: datetime) -> Sequence[CashMove]:
        """Return what all transactions since then moved of the account's cash.

        Raises:
            TradingError: Schwab does not answer.
        """
        until = max(since, self._times.clock()) + MARGIN
        listed = self._trader.transactions(self.account_id, since, until)
        return [
            CashMove(to_ns(at), each.net_amount)
            for each in listed
            if each.net_amount and (at := moment(each.time) or moment(each.trade_date))
        ]

    def orders_and_fills(self, since: datetime) -> tuple[Sequence[Order], Sequence[Trade]]:
        """Return the orders entered since then and their fills, both of one list."""
        listed = self._listed(since)
        return self._orders_of(listed), self._fills_of(listed, since)

    def entered_by_a_program(self, since: datetime) -> Sequence[str]:
        """Return Schwab's ids of orders entered since then by a program like this one, not by us.

        Schwab's `tag` says which program entered an order. Before one of ours has shown our own
        tag, any tag counts.
        """
        own = self._records.book.own_tags
        return [
            str(root.order_id)
            for root in self._listed(since)
            if not self._records.book.claimed(root)
            and root.tag is not None
            and (not own or root.tag in own)
        ]

    def _listed(self, since: datetime) -> list[ReportedOrder]:
        now = self._times.clock()
        listed = self._trader.orders(self.account_id, since, max(since, now) + MARGIN)
        self._records.keep(self._settler.see(listed))
        return listed

    def _orders_of(self, listed: Sequence[ReportedOrder]) -> list[Order]:
        found = []
        for reported in (one for root in listed for one in orders_within(root)):
            with suppress(BadReply):
                found.append(order_of(reported, self._owner()))
        return sorted(found, key=lambda order: (order.created_at, order.order_id or ""))

    def _fills_of(self, listed: Sequence[ReportedOrder], since: datetime) -> list[Trade]:
        found: dict[str, Trade] = {}
        for root in listed:
            try:
                found |= {fill.execution_id: fill for fill in fills_of(root, self._owner())}
            except BadReply as error:
                _log.error("the fills of the order %s are left out: %s", root.order_id, error)
        recent = [fill for fill in found.values() if fill.ts >= since]
        return sorted(recent, key=lambda fill: (fill.ts, fill.execution_id))

    def positions(self) -> Sequence[Position]:
        """Return what shares and options the account holds; the rest is logged, once each."""
        account = self._trader.account(self.account_id, positions=True)
        at = self._times.clock()
        held = holdings_of(account, account_id=self.account_id, mode=self._mode, at=at)
        for name in sorted(set(held.others) - self._left_out):
            _log.warning("the account holds %s, which is left out of its positions", name)
        self._left_out |= set(held.others)
        return held.positions

    def balances(self) -> Balances:
        """Return the account's balances."""
        account = self._trader.account(self.account_id, positions=False)
        at = self._times.clock()
        return balances_of(account, account_id=self.account_id, mode=self._mode, at=at)

    def own_orders(self) -> dict[str, Order]:
        """Return client order id -> each order of ours that the journal knows, in its newest state.

        Nobody is asked: this is what a program that starts anew knows at once.
        """
        return {name: state.order for name, state in list(self._records.book.orders.items())}

    def states(self, names: Iterable[str]) -> list[OrderUpdate]:
        """Return the newest state of orders of ours that left, without executions.

        Args:
            names: Client order ids; those that never left are passed over.
        """
        return [self._records.present(each) for each in names if each in self._records.book.orders]

    def recover(self, within_s: float = float("inf")) -> list[OrderUpdate]:
        """Settle what earlier programs left unknown, or hand it to a person; `submit` does it too.

        Args:
            within_s: How long to try.
        """
        return self._settler.recover(within_s)

    @property
    def recovering(self) -> bool:
        """Whether tickets of earlier programs are still to be settled."""
        return self._settler.recovering

    def settle(self) -> list[OrderUpdate]:
        """Look up orders whose answer was lost, where it is time to, and return what is new."""
        return self._settler.settle()

    def poll(self) -> list[OrderUpdate]:
        """Ask for the state of all our orders that are not over, and return what is new.

        Orders whose fills a stream told are asked for until their executions are listed.

        Raises:
            TradingError: Schwab does not answer.
        """
        updates = self._settler.settle()
        try:
            now = self._times.clock()
            unfinished = self._records.book.unfinished(now)
            if not unfinished:
                return updates
            start = min(order.created_at for order in unfinished) - MARGIN
            listed = self._trader.orders(self.account_id, start, now + MARGIN)
            return updates + self._settler.see(listed)
        except BaseException:
            self._records.keep(updates)
            raise

    def questions(self) -> dict[str, str]:
        """Return client order id -> what a person has to say about an order that is unknown."""
        return self._settler.questions()

    def resolve(self, client_order_id: str, order_id: str | None) -> list[OrderUpdate]:
        """Take a person's word for an order that no rule settles; see `OrderSettler.resolve`."""
        return self._settler.resolve(client_order_id, order_id)

    def listen(self) -> AsyncIterator[OrderUpdate]:
        """Yield updates from the stream and from polls, each piece of news once.

        A poll that fails is tried again at the next turn; the stream's own end ends nothing, since
        polls tell the same a little later. What was not yielded yet when the caller leaves is told
        by the next `settle`.

        Raises:
            StoreError: The journal cannot be written.
        """
        return self._listener.listen()

    def _own(self, order_id: str) -> str:
        """Return the client order id of an order of ours.

        Raises:
            OrderRejected: It is not ours.
        """
        client_order_id = self._records.book.owners.get(order_id)
        if client_order_id is None:
            raise rejected(f"the order {order_id} is not one of ours: it is left alone")
        return client_order_id

    def _check_accounts(self, ticket: OrderTicket) -> None:
        for order in orders_of(ticket):
            if order.account_id != self.account_id:
                raise rejected(f"the order {order.client_order_id} is for another account")

    def _held(self) -> dict[str, Decimal]:
        return {one.symbol: one.signed_quantity for one in self.positions()}

    def _looked_at(self, order_id: str) -> OrderStatus | None:
        """Return an order's state, or None where Schwab does not answer."""
        try:
            return order_of(
                self._trader.order(self.account_id, number(order_id)), self._owner()
            ).status
        except TradingError:
            return None

    def _after_cancel(self, order_id: str) -> list[OrderUpdate]:
        """Return what is known of an order whose cancel was taken."""
        try:
            reported = self._trader.order(self.account_id, number(order_id))
        except TradingError:
            return []
        news = self._settler.see([reported])
        return news or [self._records.present(self._own(order_id))]

    def _owner(self) -> Owner:
        owners, book = self._records.book.owners, self._records.book

        def name(reported: ReportedOrder) -> str:
            return owners.get(str(reported.order_id), f"schwab-{reported.order_id}")

        def strategy(reported: ReportedOrder) -> str:
            own = owners.get(str(reported.order_id))
            return book.orders[own].order.strategy if own in book.orders else EXTERNAL

        return Owner(self.account_id, self._mode, name, strategy)


if TYPE_CHECKING:
    from ports.broker import Broker

    def _is_a_broker(broker: SchwabBroker) -> "Broker":
        """Have mypy prove that this is one."""
        return broker
