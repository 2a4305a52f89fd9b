"""The database's copy of the books: behind while it is away, whole when it is back, never in the way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from app.trading_books import open_books
from app.trading_mirror import Mirror, check_journal
from app.trading_session import TradingSession
from engine.core import Engine
from engine.desk import Names
from engine.limits import RiskLimits
from engine.paper import PaperAccount, PaperBroker
from engine.risk import RiskGate
from models.decisions import Denied, Restrained
from models.errors import JournalDamaged, StoreError
from models.events import Quote
from models.order_terms import AccountKind, Mode, Side
from models.tables import TABLES
from models.trading import AccountTerms, Leg
from ports.strategy import Needs, Strategy
from utils.clock import to_time
from utils.journal_key import journal_key
from utils.transaction_logger import seal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.trading_books import Books
    from models.events import Event

OPEN_NS = 1_700_058_600_000_000_000


class Database:
    """Keeps rows by key, as the real one does, and can be away or hang."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Any, dict[str, Any]]] = {}
        self.away = False
        self.answers = threading.Event()
        self.answers.set()
        self.calls = 0

    def upsert(self, table: str, rows: pl.DataFrame) -> int:
        self.calls += 1
        self.answers.wait(20)
        if self.away:
            raise StoreError("the database went away")
        key = TABLES[table].key
        held = self.rows.setdefault(table, {})
        for row in rows.iter_rows(named=True):
            held[tuple(row[name] for name in key)] = row
        return len(rows)

    def read(self, table: str, where: dict[str, Any]) -> pl.DataFrame:
        rows = self.rows.get(table, {}).values()
        found = [row for row in rows if all(row[name] == value for name, value in where.items())]
        return pl.DataFrame(found)


class Buyer(Strategy):
    name = "buyer"

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_quote(self, quote: Quote) -> None:  # noqa: ARG002 - it is the interface
        self.desk.open([Leg(symbol="QQQ", side=Side.BUY)], 1)


class OpenGate:
    check = staticmethod(lambda *_: None)


def engine_of(books: Books) -> Engine:
    ids = count(1)
    terms = AccountTerms(account_id=books.account_id, kind=AccountKind.MARGIN)
    account = PaperAccount(terms, Decimal(10**6), mode=Mode.PAPER, order_ids=lambda: next(ids))
    broker = PaperBroker(account, lambda: to_time(engine.market.now_ns))
    names = Names(books.account_id, Mode.PAPER, "buyer", "run")
    engine = Engine(Buyer(), broker, gate=OpenGate(), record=books.record, names=names)
    engine.start(OPEN_NS)
    return engine


def quote(second: int) -> Quote:
    at = OPEN_NS + second * 10**9
    return Quote(symbol="QQQ", time_ns=at, bid=99.99, ask=100.01, bid_size=50, ask_size=50)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def books(home: Path) -> Iterator[Books]:
    with open_books("paper-m", Mode.PAPER) as opened:
        yield opened


def written(mirror: Mirror, engine: Engine) -> str | None:
    """Write, and wait until the database has answered."""
    mirror.write(engine)
    if mirror._writing is not None:
        wait([mirror._writing], 10)
    return mirror.write(engine)


def test_what_the_database_missed_is_written_when_it_is_back(books: Books) -> None:
    database, engine = Database(), engine_of(books)
    mirror = Mirror(books, database)  # type: ignore[arg-type]
    engine.on(quote(1))
    assert written(mirror, engine) is None
    database.away = True
    for second in range(2, 6):
        engine.on(quote(second))
        stale = written(mirror, engine)
    assert stale == "the database went away"
    assert len(database.rows["trades"]) == 1
    database.away = False
    assert mirror.finish(engine) is None
    assert len(database.rows["trades"]) == 5
    assert len(database.rows["orders"]) == 5
    assert {row["status"] for row in database.rows["orders"].values()} == {"FILLED"}
    (position,) = database.rows["positions"].values()
    assert position["signed_quantity"] == 5
    (point,) = database.rows["journal_checkpoints"].values()
    assert (point["seq"], point["hash"]) == (
        books.journal.count - 1,
        books.journal.checkpoint().digest,
    )


def test_a_database_that_hangs_stops_nothing(books: Books) -> None:
    database, engine = Database(), engine_of(books)
    mirror = Mirror(books, database)  # type: ignore[arg-type]
    database.answers.clear()
    began = time.monotonic()
    for second in range(1, 20):
        engine.on(quote(second))
        assert mirror.write(engine) is None
    assert time.monotonic() - began < 5
    assert database.calls == 1
    database.answers.set()
    assert mirror.finish(engine) is None
    assert len(database.rows["trades"]) == 19


def test_a_journal_that_was_put_back_is_found_by_the_databases_checkpoint(home: Path) -> None:
    database = Database()
    with open_books("paper-m", Mode.PAPER) as books:
        engine = engine_of(books)
        mirror = Mirror(books, database)  # type: ignore[arg-type]
        for second in range(1, 5):
            engine.on(quote(second))
        assert mirror.finish(engine) is None
        check_journal(books, database)  # type: ignore[arg-type]
        count_then = books.journal.count
    path = home / "journals" / "paper-m.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-6]))
    seal(path, journal_key())
    with (
        open_books("paper-m", Mode.PAPER) as books,
        pytest.raises(JournalDamaged, match="since a check-point: 5 record") as caught,
    ):
        check_journal(books, database)  # type: ignore[arg-type]
    assert caught.value.seq == count_then - 5  # the run that looks has added its own beginning


def test_while_the_database_is_away_nothing_is_opened_and_afterwards_again(books: Books) -> None:
    """What the strategy asks for is denied before it leaves; a position may still be closed."""
    database, engine = Database(), engine_of(books)
    mirror = Mirror(books, database)  # type: ignore[arg-type]
    restraints = []

    def play() -> Iterator[Event]:
        for second in range(1, 7):
            database.away = second in {2, 3}
            event = quote(second)
            engine.on(event)
            if mirror._writing is not None:
                wait([mirror._writing], 10)
            yield event

    nothing: Any = None
    gate = RiskGate(RiskLimits())
    session = TradingSession(engine, gate, nothing, ("QQQ",), play, books, mirror)
    session.copied_every_s = 0.0
    left = []
    for _ in session.run(lambda _: None):
        if mirror._writing is not None:
            wait([mirror._writing], 10)
        restraints.append(dict(engine.restraints))
        left.append(engine.portfolio.quantity("QQQ"))
    assert "database" in {name for each in restraints for name in each}
    away = [number for number, each in enumerate(restraints) if each]
    assert restraints[away[0]]["database"] == "the database is behind: the database went away"
    assert restraints[-1] == {}
    for number in away[:-1]:
        assert left[number + 1] == left[number]
    session.finish()
    assert len(database.rows["trades"]) == left[-1]
    told = [each for each in books.decisions() if isinstance(each, Denied)]
    assert {each.rule for each in told} == {"closing_only"}
    reasons = [each.reason for each in books.decisions() if isinstance(each, Restrained)]
    assert reasons == ["the database is behind: the database went away", ""]
