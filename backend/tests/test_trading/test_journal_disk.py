"""The disk refuses at 200 points of a run: nothing leaves that is not in the journal, nothing is lost.

A point is the number of the write or sync at which the disk begins to fail, and how: full, read-only,
input/output error, a write that stops half-way, a sync that fails, or a power cut in mid-write.
"""

from __future__ import annotations

import errno
import os
import random
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from engine.core import Engine
from engine.desk import Names
from engine.paper import PaperAccount, PaperBroker
from models.decisions import CancelAsked, Decision, Heard, Intended
from models.errors import StoreError
from models.events import Quote
from models.order_terms import AccountKind, Mode, Side
from models.trading import AccountTerms, Leg
from ports.strategy import Needs, Strategy
from utils.clock import to_time
from utils.journal_key import journal_key
from utils.transaction_logger import Disk, TransactionLogger, read_journal

if TYPE_CHECKING:
    from pathlib import Path

    from models.events import OrderUpdate
    from models.order_groups import OrderTicket

POINTS = 200
SEED = random.SystemRandom().randrange(10**6) if os.environ.get("PROVE") else 9
ACCOUNT = "A" * 64
OPEN_NS = 1_700_058_600_000_000_000
QUOTES = 24


class PowerCut(BaseException):
    """The machine stops here: nothing after it happens."""


class Trader(Strategy):
    """Buys and sells at the market, and has one limit order stand that it cancels."""

    name = "trader"

    def __init__(self) -> None:
        self.seen = 0
        self.standing = ""

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:  # noqa: ARG002 - it is the interface
        self.seen += 1
        side = Side.BUY if self.seen % 2 else Side.SELL
        if self.seen % 4 == 3:
            legs = [Leg(symbol="QQQ", side=Side.BUY)]
            self.standing = self.desk.open(legs, 1, limit_price=Decimal(90))
        elif self.seen % 4 == 0:
            self.desk.cancel(self.standing)
        else:
            self.desk.open([Leg(symbol="QQQ", side=side)], 1)


class WatchedBroker(PaperBroker):
    """Looks into the journal on the disk before anything leaves."""

    path: Path
    unjournaled = 0
    left = 0

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        self._read(ticket.client_order_id)  # type: ignore[union-attr]
        return super().submit(ticket)

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        order = self.account.kept(order_id)
        assert order is not None
        self._read(order.client_order_id, "cancel")
        return super().cancel(order_id)

    def _read(self, name: str, kind: str = "intended") -> None:
        self.left += 1
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        found = [line for line in whole if f'"type":"{kind}"' in line and f'"{name}"' in line]
        self.unjournaled += not found


def failing(point: int, kind: str) -> Disk:
    """Return a disk that fails from its n-th write, or sync, on."""
    calls = count(1)

    def write(file: int, data: bytes) -> int:
        if kind == "sync" or next(calls) < point:
            return os.write(file, data)
        if kind in {"half", "power cut"}:
            os.write(file, data[: len(data) // 2])
        if kind == "power cut":
            raise PowerCut
        number = errno.EIO if kind == "half" else getattr(errno, kind)
        raise OSError(number, os.strerror(number))

    def sync(_: int) -> None:
        if kind == "sync" and next(calls) >= point:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return Disk(write, sync)


def quotes() -> list[Quote]:
    sizes = {"bid_size": 500, "ask_size": 500}
    return [
        Quote(symbol="QQQ", time_ns=OPEN_NS + n * 10**9, bid=99.99, ask=100.01, **sizes)
        for n in range(QUOTES)
    ]


class OpenGate:
    check = staticmethod(lambda *_: None)


def engine_over(journal: TransactionLogger[Decision], told: list[Decision]) -> Engine:
    ids = count(1)
    terms = AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
    account = PaperAccount(terms, Decimal(100_000), mode=Mode.PAPER, order_ids=lambda: next(ids))
    broker = WatchedBroker(account, lambda: to_time(OPEN_NS))
    broker.path = journal.path

    def record(decision: Decision) -> None:
        journal.append(decision)
        told.append(decision)

    names = Names(ACCOUNT, Mode.PAPER, "trader", "run")
    return Engine(Trader(), broker, gate=OpenGate(), record=record, names=names)


def run(engine: Engine) -> str:
    """Trade, and go on although the journal refuses: what is asked later must not leave either."""
    broke = ""
    engine.start(OPEN_NS)
    for quote in quotes():
        try:
            engine.on(quote)
        except StoreError as error:
            broke = str(error)
        except PowerCut:
            return "power cut"
    return broke


def at_point(folder: Path, point: int, kind: str) -> dict[str, Any]:
    """Run with a disk that fails at a point; return what is to be judged."""
    folder.mkdir()
    path = folder / "journal.jsonl"
    told: list[Decision] = []
    try:
        journal: TransactionLogger[Decision] = TransactionLogger(
            path, Decision, subject=ACCOUNT, disk=failing(point, kind)
        )
    except (StoreError, PowerCut):
        return {"began": False}
    engine = engine_over(journal, told)
    said = run(engine)
    journal.close()
    broker: Any = engine.broker
    if kind == "power cut":  # the program has no say: half a record stands at the end
        with path.open("ab") as file:
            file.write(b'{"seq":999,"record":{"type":"inten')
    again: TransactionLogger[Decision]
    with TransactionLogger(path, Decision, subject=ACCOUNT) as again:
        kept = [each for each in again.read() if not hasattr(each, "pid")]
        resumed = engine_over(again, [])
        resumed.resume(kept)
        told_fills = [f for d in told if isinstance(d, Heard) for f in d.update.fills]
        signed = [f.quantity if f.side is Side.BUY else -f.quantity for f in told_fills]
        torn = again.torn
    return {
        "began": True,
        "said": said,
        "unjournaled": broker.unjournaled,
        "left": broker.left,
        "promised": sum(isinstance(each, Intended | CancelAsked) for each in told),
        "kept": kept == told and resumed.portfolio.quantity("QQQ") == sum(signed),
        "torn": torn is not None,
        "chain": len(list(read_journal(path, Decision, key=journal_key()))),
    }


KINDS = ("ENOSPC", "EROFS", "EIO", "half", "sync", "power cut")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("disk")
    choose = random.Random(SEED)
    points = [(choose.randrange(1, 90), KINDS[number % len(KINDS)]) for number in range(POINTS)]
    return [
        (point, kind, at_point(folder / str(number), point, kind))
        for number, (point, kind) in enumerate(points)
    ]


def test_nothing_leaves_that_is_not_in_the_journal(
    judged: list[tuple[int, str, dict[str, Any]]],
) -> None:
    found = [each for *_, each in judged if each["began"]]
    halted = sum(bool(each["said"]) for each in found)
    left = sum(each["left"] for each in found)
    unjournaled = sum(each["unjournaled"] for each in found)
    print(
        f"seed {SEED}: {POINTS} points, {halted} halted in the run, {POINTS - len(found)} before it; "
        f"{left} orders and cancels left, {unjournaled} of them not in the journal"
    )
    assert len(found) > POINTS * 0.9
    assert halted > POINTS * 0.7
    assert left > POINTS
    assert unjournaled == 0
    assert all(each["left"] == each["promised"] for each in found)


def test_every_earlier_record_is_kept_and_the_engine_rebuilt(
    judged: list[tuple[int, str, dict[str, Any]]],
) -> None:
    bad = [
        (point, kind)
        for point, kind, each in judged
        if each["began"] and not (each["kept"] and each["chain"] >= 2)
    ]
    torn = sum(each["torn"] for *_, each in judged if each["began"])
    cuts = sum(kind == "power cut" for _, kind, each in judged if each["began"])
    print(f"seed {SEED}: {POINTS} points, {len(bad)} lost a record; {torn} torn ends put aside")
    assert bad == []
    assert torn == cuts


def test_the_halt_is_one_sentence_that_names_the_reason(
    judged: list[tuple[int, str, dict[str, Any]]],
) -> None:
    words = {
        "ENOSPC": "No space left on device",
        "EROFS": "Read-only file system",
        "EIO": "Input/output error",
        "half": "Input/output error",
        "sync": "Input/output error",
    }
    for _, kind, each in judged:
        if each["began"] and each["said"] and kind in words:
            assert words[kind] in each["said"]
            assert "mend the disk and start again" in each["said"]
