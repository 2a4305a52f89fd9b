"""The simulated broker: all users' accounts over one world, moved on by the market's clock.

One call at a time: whoever serves requests puts them behind one limiter (`Simulator.turn`), since
the world and the accounts are asked by one thread at a time. Subscribers get their events in the
loop that they subscribed in.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from simulator import trader_facts as facts
from simulator.account_morning import morning_of
from simulator.market_prices import Prices, nanoseconds, underlying_of
from simulator.order_records import AccountEvent
from simulator.order_rules import rejection_of
from simulator.trading_account import TradingAccount
from simulator.wire_orders import order_object
from utils.market_calendar import NEW_YORK, extended_hours, option_close, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from models.trading import OrderPreview
    from simulator.order_forms import OrderForm
    from simulator.order_records import OrderRecord
    from simulator.trading_account import Happening
    from simulator.users import User
    from simulator.world import World
    from utils.clock import Clock

TICK_S = 1.0
"""Wall seconds between two looks at the market when nobody asks."""

_STEP = timedelta(minutes=1)
_MOST_STEPS = 30
_LAST_LOOK = timedelta(seconds=1)  # before the close, for what trades on it


class Exchange:
    """All accounts, their orders and what happens to them.

    Attributes:
        prices: What the accounts see of the world.
        clock: Market time.
        seconds: Wall time by a clock that only rises.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        users: Sequence[User],
        *,
        seed: int = 7,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prices = Prices(world)
        self.clock = clock
        self.seconds = seconds
        order_ids = itertools.count(facts.FIRST_ORDER_ID + seed % 1_000_000 * 1000 + 1)
        activity_ids = itertools.count(facts.FIRST_ACTIVITY_ID + seed % 1_000_000 * 1000 + 1)
        self._accounts = {
            opened.hash: TradingAccount(
                user.login,
                opened,
                order_ids=order_ids.__next__,
                activity_ids=activity_ids.__next__,
                seconds=seconds,
            )
            for user in users
            for opened in user.accounts
        }
        self._subscribers: dict[str, list[_Subscriber]] = defaultdict(list)
        self._now = clock()
        self._day: date | None = None

    @property
    def now(self) -> datetime:
        """The market time up to which the accounts have been moved."""
        return self._now

    def accounts_of(self, user: User) -> list[TradingAccount]:
        """Return a user's accounts, those alone that they ticked for the app, in their order."""
        return [self._accounts[seed.hash] for seed in user.accounts]

    def account(self, user: User, account_hash: str) -> TradingAccount | None:
        """Return one of a user's accounts; None where it is not theirs or was not ticked."""
        held = self.accounts_of(user)
        return next((account for account in held if account.hash == account_hash), None)

    def advance(self) -> None:
        """Move all accounts to the market's present, through the sessions' edges on the way."""
        for moment, is_edge in self._moments(self.clock()):
            self._now = moment
            self._see(
                account
                for account in self._accounts.values()
                if account.has_live_orders() or is_edge
            )
            self._begin_day()

    def place(self, account: TradingAccount, form: OrderForm) -> OrderRecord:
        """Take an order; a business problem rejects it, and it is there all the same.

        Raises:
            ValueError: It is malformed: nothing was taken.
            OrderRejected: The engine finds the same.
        """
        self._show(account, form)
        rejection = rejection_of(form)
        record, happened = account.place(form, self._now, nanoseconds(self._now), rejection)
        self._publish(account, happened)
        self._see([account])
        return record

    def replace(self, account: TradingAccount, old: OrderRecord, form: OrderForm) -> OrderRecord:
        """Put an order in the place of another.

        Raises:
            ValueError: It is malformed: nothing changed.
            OrderRejected: The engine finds the same, or the old order is at its end.
        """
        self._show(account, form)
        record, happened = account.replace(old, form, self._now, nanoseconds(self._now))
        self._publish(account, happened)
        self._see([account])
        return record

    def cancel(self, account: TradingAccount, record: OrderRecord) -> None:
        """Cancel an order and all below it.

        Raises:
            OrderRejected: The engine has nothing to cancel.
        """
        self._publish(account, account.cancel(record, nanoseconds(self._now)))

    def preview(self, account: TradingAccount, form: OrderForm) -> OrderPreview:
        """Return what would become of an order.

        Raises:
            ValueError: It is malformed.
            OrderRejected: The engine finds the same.
        """
        self._show(account, form)
        return account.preview(form, self._now, nanoseconds(self._now))

    def order(self, record: OrderRecord) -> dict[str, object]:
        """Return an order as the wire shows it now."""
        return order_object(record, self.prices, self._now, self.seconds())

    def value(self, accounts: Iterable[TradingAccount]) -> None:
        """Show accounts the quotes of what they hold, so that they can say what it is worth."""
        self._see(accounts)

    def subscribe(self, login: str) -> asyncio.Queue[AccountEvent]:
        """Return a queue that gets every event of a user's accounts from now on.

        Inside an event loop the queue belongs to it; events may come from any thread.
        """
        queue: asyncio.Queue[AccountEvent] = asyncio.Queue()
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._subscribers[login].append(_Subscriber(queue, loop))
        return queue

    def unsubscribe(self, login: str, queue: asyncio.Queue[AccountEvent]) -> None:
        """End what `subscribe` began."""
        kept = [each for each in self._subscribers[login] if each.queue is not queue]
        self._subscribers[login] = kept

    def _moments(self, now: datetime) -> Iterator[tuple[datetime, bool]]:
        """Yield the times to stop at on the way to `now`, and whether a session's edge is passed.

        Where orders live, these are the edges and minutes, of a long way some of them.
        """
        if now <= self._now:
            if self._day is None:
                yield self._now, True
            return
        edges = set(self._edges(self._now, now))
        stops = set(edges)
        if any(account.has_live_orders() for account in self._accounts.values()):
            step = max(_STEP, (now - self._now) / _MOST_STEPS)
            stops |= {self._now + step * place for place in range(1, _MOST_STEPS)}
        begin = self._now
        for stop in sorted(stop for stop in stops if begin < stop < now):
            yield stop, stop in edges
        yield now, self._day is None

    @staticmethod
    def _edges(begin: datetime, end: datetime) -> Iterator[datetime]:
        first, last = begin.astimezone(NEW_YORK).date(), end.astimezone(NEW_YORK).date()
        for session in sessions(first, last):
            yield from extended_hours(session)
            yield session.open
            yield session.close - _LAST_LOOK
            yield session.close
            yield option_close("SPX", session.day)

    def _see(self, accounts: Iterable[TradingAccount]) -> None:
        """Let accounts see the time and the quotes of what they need."""
        now_ns = nanoseconds(self._now)
        for account in accounts:
            self._publish(account, account.apply(account.paper.on_time(now_ns)))
            self._tell_quotes(account, account.symbols())

    def _show(self, account: TradingAccount, form: OrderForm) -> None:
        """Show an account the quotes of what an order names, before it is judged."""
        symbols = {leg.symbol for each in form.walk() for leg in each.legs}
        self._tell_quotes(account, symbols | {underlying_of(symbol) for symbol in symbols})

    def _tell_quotes(self, account: TradingAccount, symbols: Iterable[str]) -> None:
        """Show an account quotes, each once: what was taken of a quote's size stays taken."""
        for symbol in sorted(symbols):
            quote = self.prices.quote(symbol, self._now)
            if quote is not None and quote != account.paper.state.quotes.get(symbol):
                self._publish(account, account.apply(account.paper.on_quote(quote)))

    def _begin_day(self) -> None:
        """On a new day remember how the accounts stand: their initial balances."""
        day = self._now.astimezone(NEW_YORK).date()
        if day == self._day:
            return
        self._day = day
        for account in self._accounts.values():
            balances = account.paper.balances(nanoseconds(self._now))
            account.morning = morning_of(balances, account.positions())

    def _publish(self, account: TradingAccount, happened: Iterable[Happening]) -> None:
        subscribers = self._subscribers.get(account.login, ())
        for each in happened:
            if not subscribers:
                return
            event = AccountEvent(
                login=account.login,
                account_number=account.seed.number,
                order_id=each.record.order_id,
                kind=each.kind,
                time_ns=each.time_ns,
                order=self.order(each.record),
                record=each.record,
                activity=each.activity,
                other_id=each.other_id,
                client_canceled=each.client_canceled,
            )
            for subscriber in subscribers:
                subscriber.put(event)


class _Subscriber:
    """A queue, and the loop that it belongs to, if any."""

    def __init__(
        self, queue: asyncio.Queue[AccountEvent], loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.queue = queue
        self._loop = loop

    def put(self, event: AccountEvent) -> None:
        """Put an event into the queue, from whatever thread."""
        if self._loop is None:
            self.queue.put_nowait(event)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, event)
