"""From a quote to the bytes of an order at the broker's socket, everything durable on the way.

The whole live path: the strategy's signal, every rule of the risk gate, the decision journal, the
sending thread, the account's journal, the HTTP request. The broker's end is another process that
notes when the first bytes of a request came, by the machine's clock; the answer is not counted. The
peer in the same run does the least that a durable order costs: one `fdatasync` of as many bytes as
we journal, and one send of our own request's bytes over an open connection.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as dt_time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pricing_timing import promise
from pydantic import SecretStr
from trading_desk import LOOSE

from app.trading_books import Books
from engine.core import Engine
from engine.desk import Names
from engine.limits import RiskLimits
from engine.risk import RiskGate
from models.decisions import Decision
from models.events import Quote
from models.journal import Record
from models.order_terms import AccountKind, Mode, PositionEffect, Side
from models.trading import AccountTerms, Balances, Leg
from pipeline.trade_rows import TradeRows
from ports.strategy import Needs, Strategy
from schwab_integration.auth import token_store
from schwab_integration.broker import SchwabBroker
from schwab_integration.config import SchwabSettings
from schwab_integration.sending import SendingBroker
from schwab_integration.token_store import Token
from schwab_integration.trader import SchwabTrader
from utils.clock import to_ns
from utils.market_calendar import new_york, next_session
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from models.events import News

ACCOUNT = "B" * 64
ORDERS, WARM = 300, 30
EVERY_RULE = LOOSE | {"naked_shorts": False, "duplicate_s": 1.0, "no_openings_minutes": 30.0}
NOON = new_york(next_session(datetime.now(UTC).date()).day, dt_time(12))
_END = b"\r\n\r\n"


class Arrival(NamedTuple):
    """A request at the broker's end.

    Attributes:
        at_ns: When its first bytes were read, `time.monotonic_ns`.
        request: All of it.
    """

    at_ns: int
    request: bytes


class Broker:
    """Takes every order: answers 201, and the order itself when it is looked at."""

    def __init__(self, told: Connection) -> None:
        """Tell of each order that arrives by a pipe."""
        self._told = told
        self._orders: list[bytes] = []

    def serve(self) -> None:
        """Listen on a free port, tell it, and take connections until the process is ended."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._told.send(listening.getsockname()[1])
        while True:
            threading.Thread(target=self._talk, args=listening.accept()[:1], daemon=True).start()

    def _talk(self, wire: socket.socket) -> None:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while first := wire.recv(1 << 16):
            at_ns, request = time.monotonic_ns(), first
            while len(request) < _whole(request):
                request += wire.recv(1 << 16)
            if request.startswith(b"POST"):
                self._orders.append(request.partition(_END)[2])
                place = f"/trader/v1/accounts/{ACCOUNT}/orders/{len(self._orders)}"
                wire.sendall(_reply("201 Created", b"", f"location: http://x{place}\r\n"))
                self._told.send(Arrival(at_ns, request))
            else:
                wire.sendall(_reply("200 OK", self._order(request)))

    def _order(self, request: bytes) -> bytes:
        number = int(request.split(b" ", 2)[1].rsplit(b"/", 1)[1])
        entered = NOON.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
        more = f'"orderId":{number},"status":"WORKING","enteredTime":"{entered}",'
        return b"{" + more.encode() + self._orders[number - 1].lstrip(b"{ ")


def _whole(request: bytes) -> int:
    head, end, _ = request.partition(_END)
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(head) + len(end) + int(line.partition(b":")[2])
    return len(head) + len(_END)


def _reply(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}"
    return head.encode() + b"content-type: application/json\r\n\r\n" + body


class BuysLower(Strategy):
    """Bids a cent lower at each quote: no order equals another one."""

    name = "buys_lower"

    def __init__(self) -> None:
        """Begin at a price far below the market."""
        super().__init__()
        self._bid = Decimal("550.00")

    def needs(self) -> Needs:
        """One ticker."""
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:
        """Ask for one order."""
        self._bid -= Decimal("0.01")
        leg = Leg(symbol=quote.symbol, side=Side.BUY, position_effect=PositionEffect.OPENING)
        self.desk.open([leg], 1, limit_price=self._bid, why={"bid": quote.bid})


def settings_of(url: str, folder: Path) -> SchwabSettings:
    """Return settings of a signed-in program at the broker's end."""
    settings = SchwabSettings(
        _env_file=None,
        app_key=SecretStr("k" * 32),
        app_secret=SecretStr("s" * 16),
        base_url=url,
        token_file=folder / "token.json",
        requests_per_minute=10_000,
    )
    soon = datetime.now(UTC) + timedelta(hours=1)
    token = Token(
        app=settings.app_mark,
        access_token="a",
        refresh_token="r",
        access_expires_at=soon,
        refresh_expires_at=soon,
    )
    token_store(settings).write(token)
    return settings


class KnownBalances(SendingBroker):
    """Balances are there, as they are in a run that goes on: they are asked for between events."""

    def balances(self) -> Balances:
        """Return ten million dollars."""
        money = Decimal(10_000_000)
        return Balances(
            account_id=ACCOUNT,
            mode=Mode.REHEARSAL,
            ts=NOON,
            cash=money,
            liquidation_value=money,
            buying_power=money,
        )


class Ours(NamedTuple):
    """What our path took.

    Attributes:
        taken_ms: From the quote to the first bytes, of each order.
        request: One as it arrived.
        journaled: Bytes that both journals grew by for each order before it left.
    """

    taken_ms: list[float]
    request: bytes
    journaled: int


def ours(port: int, arrivals: Connection, folder: Path) -> Ours:
    """Send orders one by one, each once the answer of the one before is booked."""
    news: list[News | BaseException] = []
    heard = threading.Event()

    def deliver(told: News | BaseException) -> None:
        news.append(told)
        heard.set()

    decided: TransactionLogger[Decision]
    written: TransactionLogger[Record]
    with (
        SchwabTrader(settings_of(f"http://127.0.0.1:{port}", folder)) as trader,
        TransactionLogger(folder / "account.jsonl", Record, subject=ACCOUNT) as written,
        TransactionLogger(folder / "decisions.jsonl", Decision, subject=ACCOUNT) as decided,
    ):
        terms = AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
        schwab = SchwabBroker(trader, terms, written, mode=Mode.REHEARSAL)
        broker = KnownBalances(schwab, deliver, lambda: NOON)
        engine = Engine(
            BuysLower(),
            broker,
            gate=RiskGate(RiskLimits.model_validate(EVERY_RULE)),
            record=Books(ACCOUNT, decided, TradeRows(ACCOUNT, Mode.REHEARSAL), 0).record,
            names=Names(ACCOUNT, Mode.REHEARSAL, "buys_lower", "b"),
        )
        now_ns = to_ns(NOON)
        engine.start(now_ns)
        taken, grown, request = [], 0, b""
        for number in range(ORDERS + WARM):
            now_ns += 2_000_000_000
            before = _size(folder)
            quote = Quote("QQQ", now_ns, 599.99, 600.01)
            began = time.monotonic_ns()
            engine.on(quote)
            if not arrivals.poll(10):
                raise SystemExit(f"no order arrived: {news}")
            arrived = arrivals.recv()
            if number >= WARM:
                taken.append((arrived.at_ns - began) / 1e6)
            grown, request = _size(folder) - before, arrived.request
            if not heard.wait(10) or isinstance(news[-1], BaseException):
                raise SystemExit(f"no answer came: {news}")
            heard.clear()
            engine.hear([told for told in news if not isinstance(told, BaseException)])
            news.clear()
        broker.close()
    return Ours(taken, request, grown)


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in ("account.jsonl", "decisions.jsonl"))


def bare(port: int, arrivals: Connection, folder: Path, like: Ours) -> list[float]:
    """Return ms from nothing to the first bytes: one durable write and one send of the same bytes."""
    taken = []
    with (
        socket.create_connection(("127.0.0.1", port)) as wire,
        (folder / "bare").open("wb") as file,
    ):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = b"x" * like.journaled
        for number in range(ORDERS + WARM):
            began = time.monotonic_ns()
            os.write(file.fileno(), line)
            os.fdatasync(file.fileno())
            wire.sendall(like.request)
            arrived = arrivals.recv()
            wire.recv(1 << 16)
            if number >= WARM:
                taken.append((arrived.at_ns - began) / 1e6)
            time.sleep(0.001)
    return taken


def main() -> int:
    """Print both, and the promise; return 1 where it is broken."""
    arrivals, told = multiprocessing.Pipe(duplex=False)
    there = multiprocessing.get_context("fork").Process(target=Broker(told).serve, daemon=True)
    there.start()
    try:
        port = arrivals.recv()
        with tempfile.TemporaryDirectory(dir=os.environ.get("OPTIONS_HOME")) as name:
            found = ours(port, arrivals, Path(name))
            least = bare(port, arrivals, Path(name), found)
    finally:
        there.kill()
        there.join()
    print(f"{ORDERS} orders: from a quote to the first bytes at the broker's socket, wall time")
    for title, taken in (
        ("strategy, gate, two journals, thread, HTTP", found.taken_ms),
        (f"one fdatasync of {found.journaled:,} bytes and one send", least),
    ):
        half, most = np.percentile(taken, (50, 99))
        print(f"  {title:45s} p50 {half:6.2f} ms   p99 {most:6.2f} ms")
    half = float(np.median(found.taken_ms))
    print(f"  ours is {half / float(np.median(least)):.1f} x the least")
    return int(not promise("p50 at most 1 ms", kept=half <= 1.0))


if __name__ == "__main__":
    sys.exit(main())
