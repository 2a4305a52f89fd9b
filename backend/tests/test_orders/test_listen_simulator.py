"""What the simulator tells of an account reaches who listens to the broker, over real sockets.

Orders go out by HTTP, news comes by the WebSocket as ACCT_ACTIVITY, executions from the order list.
Polls are an hour apart, so that the stream alone brings the news.
"""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from models import spreads
from models.events import OrderUpdate, StreamEvent
from models.journal import Record
from models.order_terms import AccountKind, Mode, OrderStatus, Side
from models.trading import AccountTerms, Order
from schwab_integration.broker import SchwabBroker
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.order_venue import DeskTime
from schwab_integration.queries import ChainQuery
from schwab_integration.streaming import SchwabStream
from schwab_integration.trader import SchwabTrader
from utils.transaction_logger import TransactionLogger

NOW = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)
CLOSED = datetime(2026, 11, 19, 21, 30, tzinfo=UTC)
PATIENCE_S = 90.0


@pytest.fixture
def meeting() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    folder = tempfile.mkdtemp(prefix="st-", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


class Desk:
    """A broker that listens to the simulator, and the market's clock."""

    def __init__(
        self, simulator: dict[str, Any], settings: SchwabSettings, trader: SchwabTrader, stream: Any
    ) -> None:
        self.simulator = simulator
        self.settings = settings
        self.trader = trader
        self.stream = stream
        self.now = NOW
        self.told: list[StreamEvent] = []
        self.news: list[OrderUpdate] = []
        self.count = 0
        numbers = {one.account_number: one.hash_value for one in trader.account_numbers()}
        account = next(
            one for one in trader.accounts() if one.securities_account.type == AccountKind.MARGIN
        )
        self.account = numbers[account.securities_account.account_number]

    def open(self, journal: Any) -> None:
        self.broker = SchwabBroker(
            self.trader,
            AccountTerms(account_id=self.account, kind=AccountKind.MARGIN),
            journal,
            mode=Mode.REHEARSAL,
            times=DeskTime(clock=lambda: self.now),
            updates=self.updates,
            poll_every_s=3600.0,
        )

    async def updates(self) -> AsyncIterator[StreamEvent]:
        async with aclosing(self.stream.listen(activity=True, heartbeats=True)) as events:
            async for event in events:
                self.told.append(event)
                yield event

    async def listen(self) -> None:
        async with aclosing(self.broker.listen()) as updates:  # type: ignore[type-var]
            async for update in updates:
                self.news.append(update)

    def make(self, *legs: Any, quantity: int = 1, **more: Any) -> Order:
        self.count += 1
        terms = spreads.Terms(
            client_order_id=f"e{self.count}",
            account_id=self.account,
            mode=Mode.REHEARSAL,
            created_at=self.now,
        )
        return spreads.order(
            terms, legs or [spreads.leg("QQQ", Side.BUY)], quantity=Decimal(quantity), **more
        )

    def resting(self) -> Order:
        return self.make(limit_price=Decimal(100) + Decimal(self.count) / 100)

    async def submit(self, order: Order) -> str:
        """Send an order; what is known of it at once is news too. Return Schwab's id."""
        updates = await asyncio.to_thread(self.broker.submit, order)
        self.news += updates
        return updates[0].order_id or ""

    async def ends(self, order: Order, status: OrderStatus) -> Order:
        """Wait until the news says that an order has this state."""
        name, deadline = order.client_order_id, time.monotonic() + PATIENCE_S
        while (found := self.broker.own_orders()[name]).status is not status:
            assert time.monotonic() < deadline, (found, status)
            await asyncio.sleep(0.02)
        return found

    async def executed(self, order: Order, parts: int) -> None:
        """Wait until so much of an order was told, execution by execution."""
        deadline = time.monotonic() + PATIENCE_S
        while self.quantity(order) < parts:
            assert time.monotonic() < deadline, self.news
            await asyncio.sleep(0.02)

    def quantity(self, order: Order) -> Decimal:
        mine = [u for u in self.news if u.client_order_id == order.client_order_id]
        return sum((fill.quantity for u in mine for fill in u.fills), Decimal(0))

    def quoted(self) -> tuple[Decimal, Decimal]:
        with SchwabClient(self.settings) as client:
            quote = client.quote("QQQ").quote
        return Decimal(str(quote.bid_price)), Decimal(str(quote.ask_price))

    def chain(self) -> Any:
        """Return the calls of an expiration some weeks ahead, by strike."""
        last = (self.now + timedelta(days=29)).date()
        query = ChainQuery(
            symbol="QQQ",
            contract_type="CALL",
            strike_count=30,
            from_date=last - timedelta(days=6),
            to_date=last,
        )
        with SchwabClient(self.settings) as client:
            frame = client.chain(query).contracts.sort("expiration", "strike")
        return frame.filter(frame["expiration"] == frame["expiration"].max())

    def calls(self) -> tuple[str, str, Decimal]:
        """Return two calls and what buying the first against the second costs at the most."""
        rows = self.chain().select("occ_symbol", "bid", "ask").rows()
        (first, _, ask), (second, bid, _) = rows[14], rows[16]
        return first, second, Decimal(str(round(ask - bid, 2)))

    def cheap_call(self) -> tuple[str, Decimal, int]:
        """Return a call, what is asked for it, and how many are offered."""
        rows = self.chain().select("occ_symbol", "ask", "ask_size", "bid").rows()
        symbol, ask, size, _ = min((row for row in rows if row[3]), key=lambda row: row[1] * row[2])
        return symbol, Decimal(str(ask)), size

    def stands_filled(self, order_id: str) -> bool:
        """Ask the exchange itself, past the broker."""
        return self.trader.order(self.account, int(order_id)).status == "FILLED"

    async def move(self, until: datetime) -> None:
        self.now = until
        await asyncio.to_thread(self._post, "clock", {"now": until.isoformat()})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        httpx2.post(
            f"{self.simulator['schwab']}/simulator/{path}",
            json=body,
            headers={"X-Simulator-Admin": self.simulator["admin_token"]},
            trust_env=False,
            timeout=60,
        ).raise_for_status()


async def life(desk: Desk) -> None:
    """Buy, trade a spread, get a part, be refused, replace, cancel, fill late, expire."""
    deadline = time.monotonic() + PATIENCE_S
    while not any(isinstance(event, OrderUpdate) for event in desk.told):  # until it is subscribed
        assert time.monotonic() < deadline, desk.told
        await desk.submit(desk.resting())
        await asyncio.sleep(1.0)

    bought = desk.make(quantity=3)
    await desk.submit(bought)
    await desk.ends(bought, OrderStatus.FILLED)
    await desk.executed(bought, 3)

    long, short, cost = await asyncio.to_thread(desk.calls)
    legs = spreads.vertical(buy=long, sell=short)
    spread = desk.make(*legs, quantity=2, limit_price=cost)
    await desk.submit(spread)
    await desk.ends(spread, OrderStatus.FILLED)
    await desk.executed(spread, 4)

    symbol, ask, size = await asyncio.to_thread(desk.cheap_call)
    large = desk.make(spreads.leg(symbol, Side.BUY), quantity=size + 5, limit_price=ask)
    number = await desk.submit(large)
    await desk.ends(large, OrderStatus.PARTIALLY_FILLED)
    await desk.executed(large, size)
    desk.news += await asyncio.to_thread(desk.broker.cancel, number)
    assert (await desk.ends(large, OrderStatus.CANCELED)).filled_quantity == size

    costly = desk.make(quantity=400_000)
    await desk.submit(costly)
    refused = await desk.ends(costly, OrderStatus.REJECTED)
    assert refused.filled_quantity == 0

    old, new = desk.resting(), desk.resting()
    number = await desk.submit(old)
    desk.news += await asyncio.to_thread(desk.broker.replace, number, new)
    await desk.ends(old, OrderStatus.REPLACED)
    desk.news += await asyncio.to_thread(
        desk.broker.cancel, desk.broker.own_orders()[new.client_order_id].order_id or ""
    )
    await desk.ends(new, OrderStatus.CANCELED)

    expiring = desk.resting()
    await desk.submit(expiring)

    bid, _ = await asyncio.to_thread(desk.quoted)
    late = desk.make(limit_price=bid)
    number = await desk.submit(late)
    assert desk.broker.own_orders()[late.client_order_id].status is not OrderStatus.FILLED
    while not await asyncio.to_thread(desk.stands_filled, number):
        assert desk.now < CLOSED - timedelta(hours=1), "the market never came back to its bid"
        await desk.move(desk.now + timedelta(minutes=2))
    await desk.ends(late, OrderStatus.FILLED)
    await desk.executed(late, 1)

    await desk.move(CLOSED)
    await desk.ends(expiring, OrderStatus.EXPIRED)


@pytest.mark.timeout(600)
def test_every_end_of_an_order_is_told_and_adds_up(
    simulator: dict[str, Any], signed_in: SchwabSettings, tmp_path: Path, meeting: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    with SchwabTrader(signed_in, clock=lambda: CLOSED) as trader:
        stream = SchwabStream(signed_in, folder=meeting)
        desk = Desk(simulator, signed_in, trader, stream)

        async def run() -> None:
            listening = asyncio.create_task(desk.listen())
            living = asyncio.create_task(life(desk))
            try:
                await asyncio.wait({listening, living}, return_when=asyncio.FIRST_COMPLETED)
                await (living if living.done() else listening)
            finally:
                for task in (living, listening):
                    task.cancel()
                await asyncio.gather(living, listening, return_exceptions=True)

        try:
            with TransactionLogger(path, Record, subject=desk.account) as journal:
                desk.open(journal)
                asyncio.run(run())
                wanted = {f.execution_id: f.signed_quantity for f in desk.broker.fills(NOW)}
                held = {one.symbol: one.signed_quantity for one in desk.broker.positions()}
                own = desk.broker.own_orders()
                listed = desk.broker.orders(NOW - timedelta(hours=1))
        finally:
            stream.close()
        told = [fill for update in desk.news for fill in update.fills]
        assert Counter(fill.execution_id for fill in told) == Counter(wanted.keys())
        added: Counter[str] = Counter()
        for fill in told:
            added[fill.symbol] += int(fill.quantity if fill.side is Side.BUY else -fill.quantity)
        assert added == {symbol: int(quantity) for symbol, quantity in held.items()}
        assert {one.client_order_id: one.status for one in listed} == {
            name: order.status for name, order in own.items()
        }
        with TransactionLogger(path, Record, subject=desk.account) as journal:
            desk.open(journal)
            again = desk.broker.own_orders()
    assert {name: (one.order_id, one.status, one.filled_quantity) for name, one in own.items()} == {
        name: (one.order_id, one.status, one.filled_quantity) for name, one in again.items()
    }
    assert path.stat().st_mode & 0o777 == 0o600
