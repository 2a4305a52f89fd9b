"""One trading session in paper mode: feed, venue, engine, gate, books - and its end."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from app.trading_books import KeptPaperBroker, Mirror, open_books, open_paper_account
from app.trading_feed import choose_symbols, listening
from engine.core import Engine
from engine.desk import Names
from engine.reconciliation import Told, reconcile
from models.errors import ConfigError, StoreError
from models.events import Heartbeat
from models.order_terms import Mode
from utils.clock import to_ns, to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from decimal import Decimal

    from app.trading_books import Books
    from app.trading_feed import Feed
    from engine.risk import RiskGate
    from models.decisions import Decision
    from models.events import Event
    from ports.store import Store
    from ports.strategy import Strategy

_MIRROR_S = 1.0
"""Between two writes to the database, wall time."""

_LONG_AGO = timedelta(days=60)


@dataclass
class TradingSession:
    """A run that is ready: ask `run` for its events' effects, one after the other.

    Attributes:
        engine: The loop.
        feed: The market.
        symbols: What is listened to.
        account_id: Of the account.
        notes: What a person should know of its beginning.
        books: Where it writes.
        mirror: Their copy in the database.
        stale: Why the database does not have the newest state, or None.
    """

    engine: Engine
    feed: Feed
    symbols: tuple[str, ...]
    account_id: str
    notes: list[str]
    books: Books
    mirror: Mirror
    stale: str | None = None

    def run(self, hear: Callable[[Decision], None]) -> Iterator[Event]:
        """Trade until the session is over, and yield each event when it has had its effect.

        Args:
            hear: Is told of each decision, once it is in the journal.
        """
        self.books.listener = hear
        written = 0.0
        with listening(self.feed, self.symbols) as events:
            for event in events:
                self.engine.on(event)
                yield event
                if time.monotonic() - written >= _MIRROR_S:
                    self.stale = self.mirror.write(self.engine)
                    written = time.monotonic()

    def finish(self) -> None:
        """End: the strategy hears it, and the database gets what it lacks.

        Raises:
            StoreError: It does not take it; the journal has everything.
        """
        self.engine.finish()
        self.stale = self.mirror.write(self.engine)
        if self.stale:
            raise StoreError(f"{self.stale}; the journal has everything, the next run writes it")


@dataclass(frozen=True, slots=True)
class PaperAsked:
    """Which paper account trades.

    Attributes:
        account: Its name; None: "paper" on a live market, one of its own on a simulated one.
        cash: USD in it, if it is new.
    """

    account: str | None
    cash: Decimal


@contextmanager
def paper_session(
    strategy: Strategy, feed: Feed, store: Store, gate: RiskGate, asked: PaperAsked
) -> Iterator[TradingSession]:
    """Put a paper session together: books are opened, read and reconciled.

    Args:
        strategy: What decides.
        feed: The market.
        store: The database.
        gate: What orders must pass.
        asked: Which account trades.

    Raises:
        StoreError: Journal, account or database cannot be used.
        ConfigError: The account has seen a later market than this one.
    """
    now = feed.clock()
    run_id = f"{Mode.PAPER.value[0]}{now.astimezone(NEW_YORK):%y%m%d}-{secrets.token_hex(3)}"
    account_id = asked.account or ("paper" if feed.origin == "live" else f"paper-{run_id}")
    with open_books(account_id, Mode.PAPER) as books:
        venue = open_paper_account(account_id, Mode.PAPER, asked.cash)
        _check_time(venue.state.now_ns, now, account_id)
        names = Names(account_id, Mode.PAPER, strategy.name, run_id)
        broker = KeptPaperBroker(venue, lambda: to_time(engine.market.now_ns))
        engine = Engine(strategy, broker, gate=gate, record=books.record, names=names)
        engine.market.now_ns = to_ns(now)
        notes = _take_up(engine, books)
        symbols = choose_symbols(feed, strategy.needs())
        held = [symbol for symbol in venue.symbols() if symbol not in symbols]
        engine.start(to_ns(now))
        yield TradingSession(
            engine, feed, (*symbols, *sorted(held)), account_id, notes, books, Mirror(books, store)
        )


def _check_time(seen_ns: int, now: datetime, account_id: str) -> None:
    if seen_ns > to_ns(now):
        seen = to_time(seen_ns).astimezone(NEW_YORK)
        raise ConfigError(
            f"the account {account_id} has traded until {seen:%Y-%m-%d %H:%M}, and this market is "
            f"at {now.astimezone(NEW_YORK):%Y-%m-%d %H:%M}: give another --account, or a later --clock"
        )


def _take_up(engine: Engine, books: Books) -> list[str]:
    """Rebuild the engine from the journal, and square it with the venue; return notes of it.

    Raises:
        StoreError: They differ in a way that nobody can explain.
    """
    engine.resume(books.decisions())
    engine.hear(engine.broker.observe(Heartbeat(time_ns=engine.market.now_ns)))
    since = to_time(engine.market.now_ns) - _LONG_AGO
    broker = engine.broker
    told = Told(broker.orders(since), broker.fills(since), broker.positions(), whole=True)
    held = {name: each.quantity for name, each in engine.portfolio.holdings.items()}
    found = reconcile(engine.book, held, told, engine.market.now_ns)
    if found.differences:
        raise StoreError(
            f"the journal and the broker differ, and nothing is traded: {'; '.join(found.differences)}"
        )
    engine.hear(found.updates)
    notes = [f"{books.past} decisions of earlier runs taken up"] if books.past else []
    if found.updates:
        notes.append(f"{len(found.updates)} orders had news that the journal lacked")
    return notes
