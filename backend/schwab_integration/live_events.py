"""What a run at Schwab hears, in one stream: market, news of orders, answers, checks, the clock.

The market may fall silent or lose its sign-in: the clock goes on, so that exits that are due at a
time still leave, and what the account holds is compared with what we think, again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from models.errors import AuthError, StoreError, TradingError
from models.events import (
    Bar,
    Heartbeat,
    Quote,
    Restraint,
    TradeTick,
)
from utils.clock import to_ns
from utils.feed import Feed, conflation_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.reconciliation import Told
    from models.events import Event, News, OrderUpdate, StreamEvent
    from utils.clock import Clock

SIGN_IN = "sign-in"
"""Source of the restraint while a person has to sign in again."""

_TICK_S = 1.0
_AGAIN_S = 2.0

_log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """What the broker says of the account.

    Attributes:
        told: Orders, fills, positions.
        state: Number of the account's newest news when it was asked for.
    """

    told: Told
    state: int


Heard: TypeAlias = "Event | Checked | BaseException"
"""What a run hears; an error ends it."""


@dataclass(frozen=True, slots=True)
class AccountSource:
    """Where a run hears of its account.

    Attributes:
        orders: Opens the broker's news of orders.
        check: Asks the broker for the account; called in a thread.
        state: Returns the number of the account's newest news.
        check_every_s: Wall seconds between two checks.
    """

    orders: Callable[[], AsyncIterator[OrderUpdate]]
    check: Callable[[], Told]
    state: Callable[[], int]
    check_every_s: float


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a run hears it.

    Attributes:
        market: Opens the stream of the market.
        clock: The market's time.
        account: Where the account's news come from; None without an account there.
    """

    market: Callable[[], AsyncIterator[StreamEvent]]
    clock: Clock
    account: AccountSource | None = None


class Deliveries:
    """Where threads leave what they hear; nothing is lost while nobody listens."""

    def __init__(self) -> None:
        """Begin without a listener."""
        self._waiting: list[News | BaseException] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feed: Feed[Heard] | None = None

    def put(self, news: News | BaseException) -> None:
        """Leave something, in any thread."""
        self._waiting.append(news)
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the run is over: the journals have the news
                loop.call_soon_threadsafe(self._pass_on)

    def connect(self, feed: Feed[Heard]) -> None:
        """Pass everything on to a feed of the running event loop."""
        self._feed, self._loop = feed, asyncio.get_running_loop()
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting and self._feed is not None:
            self._feed.put(self._waiting.pop(0))


class LiveEvents:
    """Joins the sources of one run.

    Args:
        sources: Where to hear what.
        deliveries: What threads heard.
    """

    def __init__(self, sources: Sources, deliveries: Deliveries | None = None) -> None:
        self._sources = sources
        self._deliveries = deliveries or Deliveries()
        self._feed: Feed[Heard] = Feed()
        self._shut = False

    async def hear(self) -> AsyncIterator[Heard]:
        """Yield everything as it comes; it goes on until the caller leaves.

        Raises:
            TradingError: A source has ended for good.
        """
        self._deliveries.connect(self._feed)
        parts = [self._market(), self._ticks()]
        if (account := self._sources.account) is not None:
            parts += [self._orders(account), self._checks(account)]
        tasks = [asyncio.create_task(part) for part in parts]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            async for event in self._feed:
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the run with what ended one of its sources, once what came before is heard."""
        if not task.cancelled():
            self._feed.close(task.exception())

    async def _market(self) -> None:
        """Hear the market; while nobody is signed in, wait for somebody who does so."""
        while True:
            try:
                async for event in self._sources.market():
                    if isinstance(event, Quote | TradeTick | Bar):
                        if self._sources.account is None:
                            self._restrain("")  # nobody else would say that somebody signed in
                        self._feed.put(event, conflation_key(event))
            except AuthError as error:
                self._restrain(str(error))
            await asyncio.sleep(_AGAIN_S)

    async def _orders(self, account: AccountSource) -> None:
        async for update in account.orders():
            self._feed.put(update)

    async def _ticks(self) -> None:
        """Tell the time, whether or not the market says anything."""
        while True:
            self._feed.put(Heartbeat(time_ns=to_ns(self._sources.clock())), Heartbeat)
            await asyncio.sleep(_TICK_S)

    async def _checks(self, account: AccountSource) -> None:
        """Ask for the account again and again; say when a person has to sign in, and has."""
        while True:
            await asyncio.sleep(_AGAIN_S if self._shut else account.check_every_s)
            state = account.state()
            try:
                told = await asyncio.to_thread(account.check)
            except AuthError as error:
                self._restrain(str(error))
            except StoreError:
                raise  # a journal cannot be written: nothing may leave any more
            except TradingError as error:
                _log.warning("the account cannot be compared with the broker's: %s", error)
            else:
                self._restrain("")
                self._feed.put(Checked(told, state), Checked)

    def _restrain(self, reason: str) -> None:
        """Say that a person must sign in, or has done so, once each."""
        if bool(reason) != self._shut:
            self._shut = bool(reason)
            now_ns = to_ns(self._sources.clock())
            self._feed.put(Restraint(time_ns=now_ns, source=SIGN_IN, reason=reason))
