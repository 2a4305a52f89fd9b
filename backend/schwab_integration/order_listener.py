"""News of orders as they come: an account's stream and polls, joined for who listens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeAlias

from models.errors import StoreError, TradingError
from models.events import Gap, OrderUpdate, StreamEvent
from schwab_integration.order_news import number
from schwab_integration.order_records import OrderRecords
from schwab_integration.order_settler import OrderSettler
from schwab_integration.order_venue import Trader

Updates = Callable[[], AsyncIterator[StreamEvent]]
"""Opens the account's stream: `lambda: stream.listen(activity=True)` of a `SchwabStream`."""

Told: TypeAlias = "asyncio.Queue[OrderUpdate | asyncio.Task[None]]"
"""What was told and is not yielded yet, and what ended."""

_log = logging.getLogger(__name__)


class OrderListener:
    """One account's news of orders.

    Args:
        trader: Speaks to Schwab.
        records: The account's journal and book.
        settler: Looks for lost tickets when it is time to.
        poll: Asks for the state of all our orders, and returns what is new.
        monotonic: Seconds.
        updates: The account's stream; polls alone without one.
        poll_every_s: How often to poll.
    """

    def __init__(  # noqa: PLR0913 - each is a part that the broker has
        self,
        trader: Trader,
        records: OrderRecords,
        settler: OrderSettler,
        poll: Callable[[], list[OrderUpdate]],
        *,
        monotonic: Callable[[], float],
        updates: Updates | None,
        poll_every_s: float,
    ) -> None:
        self._trader = trader
        self._records = records
        self._settler = settler
        self._poll = poll
        self._monotonic = monotonic
        self._updates = updates
        self._poll_every_s = poll_every_s

    async def listen(self) -> AsyncIterator[OrderUpdate]:
        """Yield updates from the stream and from polls, each piece of news once.

        A poll that fails is tried again at the next turn; the stream's own end ends nothing, since
        polls tell the same a little later. What was not yielded yet when the caller leaves is told
        by the next `settle`.

        Raises:
            StoreError: The journal cannot be written.
        """
        queue: Told = asyncio.Queue()
        tasks = [asyncio.create_task(self._keep_polling(queue))]
        if self._updates:
            tasks.append(asyncio.create_task(self._keep_hearing(self._updates(), queue)))
        for task in tasks:
            task.add_done_callback(queue.put_nowait)
        try:
            while True:
                told = await queue.get()
                if isinstance(told, asyncio.Task):
                    told.result()  # the error that ended it
                else:
                    yield told
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            left = [queue.get_nowait() for _ in range(queue.qsize())]
            self._records.keep([one for one in left if isinstance(one, OrderUpdate)])

    async def _keep_polling(self, queue: Told) -> None:
        polled, said = float("-inf"), ""
        while True:
            now = self._monotonic()
            look = self._settler.next_look_s()
            if now - polled >= self._poll_every_s:
                polled, ask = now, self._poll
            elif look is not None and look <= 0:
                ask = self._settler.settle
            else:
                left = self._poll_every_s - (now - polled)
                await asyncio.sleep(max(0.01, min(left, look if look is not None else left)))
                continue
            try:
                await self._told(ask, queue)
                said = ""
            except StoreError:
                raise
            except TradingError as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("orders cannot be polled: %s", said)

    async def _keep_hearing(self, source: AsyncIterator[StreamEvent], queue: Told) -> None:
        try:
            async for event in source:
                if isinstance(event, OrderUpdate | Gap):
                    await self._told(partial(self._heard, event), queue)
        except StoreError:
            raise
        except TradingError as error:
            _log.error("the stream of order updates has ended, polls go on: %s", error)

    async def _told(self, ask: Callable[[], list[OrderUpdate]], queue: Told) -> None:
        """Ask in a thread and queue what it finds; who leaves meanwhile loses nothing of it.

        The thread cannot be stopped: it keeps what it finds, and who still listens takes that.
        """
        await asyncio.to_thread(lambda: self._records.keep(ask()))
        for update in self._records.take():
            queue.put_nowait(update)

    def _heard(self, event: OrderUpdate | Gap) -> list[OrderUpdate]:
        """Take a stream's news in; the broker's list tells the executions, and what a gap hid."""
        news = [] if isinstance(event, Gap) else self._records.hear(event)
        try:
            if isinstance(event, Gap):
                return self._poll()
            if news and event.fills and event.order_id:
                found = self._trader.order(self._records.account_id, number(event.order_id))
                return news + self._settler.see([found])
        except StoreError:
            raise
        except TradingError as error:
            _log.info("the next poll tells what the stream could not: %s", error)
        return news
