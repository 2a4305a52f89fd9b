"""An exchange in the same process that speaks as Schwab's Trader API does, and loses answers.

It takes the bytes that `to_json` makes and reports orders as JSON text which the client's own parser
reads, so that the wire is in between. What it does to an answer is said beforehand; which order of
ours each of its orders is, it is told beside the wire, for the verdict alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest
from pydantic import SecretStr

from models.errors import NotFound, OrderRejected, OrderUnknown, Unavailable
from models.journal import Record
from models.order_terms import Mode, OrderType, PositionEffect, Side
from models.trading import AccountKind, AccountTerms, Leg, Order
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.broker import SchwabBroker
from schwab_integration.config import SchwabSettings
from schwab_integration.order_venue import DeskTime
from schwab_integration.orders import WireOrder, to_json
from schwab_integration.parse_orders import parse_orders
from schwab_integration.trader_replies import PlacedOrder, ReportedOrder
from utils.shared_limit import MachineTime, SharedRateLimiter, Window
from utils.transaction_logger import Disk, TransactionLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT = "A" * 64
OWN_TAG, HAND_TAG = "TA_backend", "API_TOS:TRADE_ALL"
START = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


@dataclass
class FakeTime:
    """Wall and monotonic time that move only when somebody sleeps; `on_step` runs as they do."""

    now: float = 1000.0
    on_step: Callable[[], float | None] | None = None
    stepping: bool = False

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.now - 1000.0)

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.clock().timestamp()

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.on_step is not None and not self.stepping:
            self.stepping = True
            pause = self.on_step()
            self.stepping = False
            if pause is None or self.now + pause >= until:
                break
            self.now += pause
        self.now = max(self.now, until)

    @property
    def desk(self) -> DeskTime:
        return DeskTime(self.clock, self.monotonic, self.sleep)


@dataclass
class Entry:
    """One order in the exchange's own books."""

    number: int
    account: str
    body: dict[str, Any]
    entered: datetime
    visible: float
    origin: str
    status: str = "WORKING"
    tag: str | None = OWN_TAG
    filled: float = 0.0
    children: list[Entry] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        told = {**self.body, "orderId": self.number, "status": self.status}
        told["enteredTime"] = self.entered.strftime("%Y-%m-%dT%H:%M:%S+0000")
        told |= {"accountNumber": 12345678} | ({"tag": self.tag} if self.tag else {})
        told["childOrderStrategies"] = [child.report() for child in self.children]
        legs = self.body.get("orderLegCollection", [])
        if legs:
            told.setdefault("quantity", legs[0]["quantity"])
            told["filledQuantity"] = self.filled
            told["orderLegCollection"] = [
                {**leg, "legId": number} for number, leg in enumerate(legs, 1)
            ]
        if "price" in told:
            told["price"] = float(told["price"])
        return told


class Exchange:
    """What `SchwabTrader` is for the desk."""

    def __init__(self, time: FakeTime) -> None:
        self.time = time
        self.book: list[Entry] = []
        self.by_number: dict[int, Entry] = {}
        self.held: list[tuple[float, Entry]] = []
        self.requests: list[float] = []
        self.sent: list[str] = []
        self.faults: list[str] = []
        self.lists_fail = False
        self.list_lag = 0.0
        self.answer_takes = 0.2
        self.patience = 10.0
        self.origin = "?"
        self.tag: str | None = OWN_TAG
        self.changed: dict[str, str] = {}
        self.clock_ahead = timedelta(0)
        self._next = 1000000000001

    # What the desk asks.
    def place(self, account_hash: str, wire: WireOrder) -> PlacedOrder:
        self._check(account_hash)
        return self._take(wire, None)

    def replace(self, account_hash: str, order_id: int, wire: WireOrder) -> PlacedOrder:
        self._check(account_hash)
        return self._take(wire, order_id)

    def cancel(self, account_hash: str, order_id: int) -> None:
        self._check(account_hash)
        self.requests.append(self.time.now)
        fault = self.faults.pop(0) if self.faults else ""
        entry = self.by_number[order_id]
        if entry.status != "WORKING":
            raise OrderRejected("schwab refused: it is over", reason="it is over")
        if fault != "lost_before":
            entry.status = "CANCELED"
        if fault.startswith("lost"):
            raise OrderUnknown("no answer")

    def order(self, account_hash: str, order_id: int) -> ReportedOrder:
        self._check(account_hash)
        self._release()
        entry = self.by_number.get(order_id)
        if entry is None or self.lists_fail:
            raise NotFound("schwab does not know it", provider="schwab")
        return self._parsed([entry])[0]

    def orders(self, account_hash: str, since: datetime, until: datetime) -> list[ReportedOrder]:
        self._check(account_hash)
        if self.lists_fail:
            raise Unavailable("no list", provider="schwab")
        self._release()
        return self._parsed(
            [
                entry
                for entry in reversed(self.book)
                if since <= entry.entered <= until and entry.visible <= self.time.now
            ]
        )

    # What happens at the exchange.
    def by_hand(self, like: Entry | dict[str, Any], tag: str | None = HAND_TAG) -> Entry:
        body = like.body if isinstance(like, Entry) else like
        entry = self._entry(body, origin="hand", tag=tag)
        self._book(entry)
        return entry

    def of(self, origin: str) -> list[Entry]:
        self._release()
        return [entry for entry in self.book if entry.origin == origin]

    @staticmethod
    def _check(account_hash: str) -> None:
        if account_hash != ACCOUNT:
            raise NotFound("schwab does not know the account", provider="schwab")

    def _take(self, wire: WireOrder, replaced: int | None) -> PlacedOrder:
        self.requests.append(self.time.now)
        self.sent.append(self.origin)
        body = msgspec.json.decode(to_json(wire))
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "unreachable":
            raise Unavailable("refused", provider="schwab", sent=False)
        if fault == "refused":
            raise OrderRejected("schwab refused: no", reason="no")
        if fault.startswith("altered"):
            body |= self.changed
        entry = self._entry(body, self.origin, self.tag)
        if fault == "lost_before":
            self.time.sleep(self.patience)
            raise OrderUnknown("no answer")
        if replaced is not None:
            self.by_number[replaced].status = "REPLACED"
        if fault.startswith("held"):
            self.time.sleep(self.patience)
            self.held.append((self.time.now + float(fault.removeprefix("held")), entry))
            raise OrderUnknown("no answer")
        self._book(entry)
        if fault in {"lost_after", "altered"}:
            self.time.sleep(self.patience)
            raise OrderUnknown("no answer")
        self.time.sleep(self.answer_takes)
        if fault == "no_location":
            return PlacedOrder(None)
        if fault == "wrong_location":
            other = [one for one in self.book if one is not entry] or [entry]
            wrong = entry.children[0] if entry.children else other[-1]
            return PlacedOrder(wrong.number)
        return PlacedOrder(entry.number)

    def _entry(self, body: dict[str, Any], origin: str, tag: str | None) -> Entry:
        children = body.get("childOrderStrategies", [])
        rest = {name: value for name, value in body.items() if name != "childOrderStrategies"}
        number, self._next = self._next, self._next + 1
        entered = (self.time.clock() + self.clock_ahead).replace(microsecond=0)
        made = Entry(number, ACCOUNT, rest, entered, 0.0, origin, tag=tag)
        made.visible = self.time.now + self.list_lag
        made.children = [self._entry(child, origin, tag) for child in children]
        return made

    def _book(self, entry: Entry) -> None:
        self.book.append(entry)
        todo = [entry]
        while todo:
            one = todo.pop()
            self.by_number[one.number] = one
            todo += one.children

    def _release(self) -> None:
        for due, entry in list(self.held):
            if due <= self.time.now:
                self.held.remove((due, entry))
                entry.entered = (START + timedelta(seconds=due - 1000.0)).replace(microsecond=0)
                self._book(entry)

    @staticmethod
    def _parsed(entries: list[Entry]) -> list[ReportedOrder]:
        told = msgspec.json.encode([entry.report() for entry in entries])
        return parse_orders(told).value


def make_order(
    name: str,
    *,
    symbol: str = "QQQ",
    price: str = "500.10",
    quantity: int = 1,
    side: Side = Side.BUY,
    effect: PositionEffect = PositionEffect.OPENING,
) -> Order:
    return Order(
        client_order_id=name,
        account_id=ACCOUNT,
        mode=Mode.REHEARSAL,
        legs=(Leg(symbol=symbol, side=side, position_effect=effect),),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(price),
        quantity=Decimal(quantity),
        created_at=START,
    )


@dataclass
class Bench:
    """A broker over the exchange, with its journal in a folder."""

    folder: Path
    time: FakeTime = field(default_factory=FakeTime)
    windows: tuple[Window, ...] = ()
    terms: AccountTerms = field(
        default_factory=lambda: AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
    )
    disk: Disk = field(default_factory=Disk)

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.time)
        self.open()

    def open(self) -> None:
        """Start the program: take up the journal."""
        limiter = None
        if self.windows:
            limiter = SharedRateLimiter(
                self.folder / "limit",
                self.windows,
                provider="schwab",
                longest_wait_s=1e9,
                machine=MachineTime(self.time.monotonic, self.time.wall, self.time.sleep),
            )
        self.journal: Any = TransactionLogger(
            self.folder / "journal.jsonl",
            Record,
            subject=ACCOUNT,
            clock=self.time.clock,
            disk=self.disk,
        )
        trader: Any = self.exchange
        self.broker = SchwabBroker(
            trader,
            self.terms,
            self.journal,
            mode=Mode.REHEARSAL,
            limiter=limiter,
            times=self.time.desk,
        )

    def restart(self) -> None:
        self.journal.close()
        self.open()

    def submit(self, ticket: Any, *faults: str) -> Any:
        first = ticket
        while not isinstance(first, Order):
            first = first.first if hasattr(first, "first") else first.orders[0]
        self.exchange.origin = first.client_order_id
        self.exchange.faults = list(faults)
        return self.broker.submit(ticket)

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass, settling when it is due."""
        updates = []
        until = self.time.now + seconds
        while (look := self.broker._settler.next_look_s()) is not None:
            if self.time.now + look > until:
                break
            self.time.now += look
            updates += self.broker.settle()
        self.time.now = max(self.time.now, until)
        return updates


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a simulator with a market at rest says when it is ready; it ends with the test."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--clock", "2026-11-19T12:30"]
    command += ["--speed", "0", "--auto-approve", "--parent-pid", str(os.getpid())]
    environment = {**os.environ, "OPTIONS_HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield msgspec.json.decode(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def signed_in(simulator: dict[str, Any], tmp_path: Path) -> SchwabSettings:
    """Settings of somebody who has signed in at the simulator."""
    settings = SchwabSettings(
        app_key=SecretStr(simulator["app_key"]),
        app_secret=SecretStr(simulator["app_secret"]),
        callback_url=simulator["callback_url"],
        base_url=simulator["schwab"],
        token_file=tmp_path / "token.json",
        requests_per_minute=10_000,
    )
    reply = httpx2.get(authorization_url(settings, state="s-1"), trust_env=False)
    exchange_code(settings, code_of_redirect(reply.headers["location"], state="s-1"))
    return settings


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **given: Bench(tmp_path, **given)


@pytest.fixture
def order() -> Callable[..., Order]:
    return make_order
