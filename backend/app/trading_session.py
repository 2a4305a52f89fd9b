"""One trading session: market, venue, engine, gate and books put together, squared, and run."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from app.dry_run import DryRunBroker
from app.kill_guard import guarded
from app.kill_switch import KillSwitch, SwitchFollower, refuse_stopped
from app.limits_watch import LimitsWatch
from app.recording import Beginning
from app.trading_books import KeptPaperBroker, open_books, open_paper_account
from app.trading_feed import (
    choose_symbols,
    listening,
    next_dividends,
    sign_in_end_ns,
    until_the_close,
)
from app.trading_mirror import Mirror, check_journal
from app.trading_notices import trading_notices
from engine.core import Engine
from engine.desk import Names
from engine.expiry_desk import ExpiryDesk
from engine.matching import BETWEEN, TOUCH
from engine.parity import decision_digest
from engine.reconciliation import Baseline, Told, reconcile
from models.decisions import Began
from models.errors import ConfigError, StoreError
from models.events import Heartbeat, Restraint
from models.order_terms import Mode
from schwab_integration.trading_engine import TradingEngine, TradingTerms
from utils.clock import to_ns, to_time
from utils.market_calendar import NEW_YORK
from utils.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from app.dry_run import Previews
    from app.recording import Recorder
    from app.trading_books import Books
    from app.trading_feed import Feed
    from engine.matching import MatchRules
    from engine.paper import PaperAccount
    from engine.reconciliation import Reconciled
    from engine.risk import RiskGate
    from models.decisions import Decision
    from models.events import Event
    from models.order_groups import OrderTicket
    from ports.store import Store
    from ports.strategy import Parameters, Strategy
    from utils.clock import Clock

_MIRROR_S = 1.0
"""Between two writes to the database, wall time."""

DATABASE = "database"
"""Source of the restraint while the database does not take its copy of the books."""

_LONG_AGO = timedelta(days=60)


class Play(Protocol):
    """Yields the events of a session, each when it has had its effect."""

    def __call__(self) -> Iterator[Event]:
        """Begin."""
        ...


@dataclass
class TradingSession:
    """A run that is squared and ready.

    Attributes:
        engine: The loop.
        gate: What orders pass.
        feed: The market.
        symbols: What is listened to.
        play: Yields the events.
        books: Where it writes.
        mirror: Their copy in the database.
        notes: What a person should know of its beginning.
        limits_file: Is read again when it changes.
        stale: Why the database does not have the newest state, or None.
        heard_at: When the newest event came, monotonic seconds.
        copied_every_s: Wall seconds between two writes to the database.
    """

    engine: Engine
    gate: RiskGate
    feed: Feed
    symbols: tuple[str, ...]
    play: Play
    books: Books
    mirror: Mirror
    notes: list[str] = field(default_factory=list)
    limits_file: Path | None = None
    stale: str | None = None
    heard_at: float = field(default_factory=time.monotonic)
    copied_every_s: float = _MIRROR_S

    def __post_init__(self) -> None:
        self.limits = LimitsWatch(self.limits_file, self.gate, self.books.record)
        self.follower = SwitchFollower(self.engine, self.gate, self.books.account_id)

    def run(self, hear: Callable[[Decision], None]) -> Iterator[Event]:
        """Trade until the session is over, and yield each event when it has had its effect.

        Args:
            hear: Is told of each decision, once it is in the journal.
        """
        with trading_notices(self) as notices:

            def tell(decision: Decision) -> None:
                hear(decision)
                notices.say(decision)

            self.books.listener = tell
            written = 0.0
            for event in self.play():
                self.heard_at = time.monotonic()
                self.follower.follow()
                self.limits.look(self.engine)
                notices.watch(event)
                yield event
                if self.heard_at - written >= self.copied_every_s:
                    self._copy()
                    written = time.monotonic()

    def _copy(self) -> None:
        """Bring the database up to date; while it does not take that, nothing is opened."""
        self.stale = self.mirror.write(self.engine)
        if (self.stale is not None) != (DATABASE in self.engine.restraints):
            reason = f"the database is behind: {self.stale}" if self.stale else ""
            now_ns = self.engine.market.now_ns
            self.engine.on(Restraint(time_ns=now_ns, source=DATABASE, reason=reason))

    def digest(self) -> str:
        """Return the hash of what this run has decided so far; see `engine.parity`."""
        decisions = list(self.books.decisions())
        began = max(n for n, each in enumerate(decisions) if isinstance(each, Began))
        return decision_digest(decisions[began:])

    def finish(self) -> None:
        """End: the strategy hears it, and the database gets what it lacks.

        Raises:
            StoreError: It does not take it; the journal has everything.
        """
        self.engine.finish()
        self.stale = self.mirror.finish(self.engine)
        if self.stale:
            raise StoreError(f"{self.stale}; the journal has everything, the next run writes it")


@dataclass(frozen=True, slots=True)
class Setup:
    """What every session is made of.

    Attributes:
        strategy: What decides.
        parameters: Its own.
        gate: What orders must pass.
        feed: The market.
        store: The database.
        asked: The strategy's name or path, as a person gave it.
        recorder: Writes the session to a file; None does not.
    """

    strategy: Strategy
    parameters: Parameters
    gate: RiskGate
    feed: Feed
    store: Store
    asked: str = ""
    recorder: Recorder | None = None

    def began(self, mode: Mode, now_ns: int, found: Reconciled) -> Began:
        """Return the record of a beginning."""
        return Began(
            event=0,
            at_ns=now_ns,
            strategy=self.strategy.name,
            mode=mode,
            parameters=msgspec.Raw(self.parameters.model_dump_json().encode()),
            limits=msgspec.Raw(self.gate.limits.model_dump_json().encode()),
            others=found.others,
            seen=found.seen,
            cash=found.cash,
        )

    def begin(self, engine: Engine, books: Books) -> None:
        """Let the strategy begin, now, looked after by the 0DTE desk; a recording begins with it.

        Raises:
            TradingError: Balances are not to be had.
        """
        dividends = next_dividends(self.feed, self.strategy.needs())
        engine.overseer = ExpiryDesk(self.gate, dividends)
        if isinstance(engine.broker, KeptPaperBroker):
            engine.broker.account.dividends = dividends
        now_ns = to_ns(self.feed.clock())
        if self.recorder is not None:
            beginning = Beginning(
                strategy=self.asked,
                parameters=msgspec.Raw(self.parameters.model_dump_json().encode()),
                limits=msgspec.Raw(self.gate.limits.model_dump_json().encode()),
                account_id=engine.names.account_id,
                mode=engine.names.mode,
                run_id=engine.names.run_id,
                start_ns=now_ns,
                speed=self.feed.speed,
                origin=self.feed.origin,
                balances=msgspec.Raw(engine.broker.balances().model_dump_json().encode()),
                sign_in_until_ns=self.gate.sign_in_until_ns,
                dividends=dividends,
                account=self.gate.account,
                past=list(books.decisions()),
            )
            self.recorder.write(beginning)
        engine.start(now_ns)


@dataclass(frozen=True, slots=True)
class PaperAsked:
    """Which paper account trades.

    Attributes:
        account: Its name; None: "paper" on a live market, one of its own on a simulated one.
        cash: USD in it, if it is new.
        rules: How its orders fill.
        limits_file: Of the gate's limits: it is read again when it changes.
    """

    account: str | None
    cash: Decimal
    rules: MatchRules = TOUCH
    limits_file: Path | None = None


def paper_rules(*, between: bool, latency_ms: int, one_sided_limits: bool) -> MatchRules:
    """Return how a paper account's orders fill.

    Args:
        between: Whether packages fill between the middle and the natural price.
        latency_ms: From the order's leaving to its standing in the market.
        one_sided_limits: See `MatchRules.one_sided_limits`.
    """
    rules = BETWEEN if between else TOUCH
    return rules._replace(latency_ns=latency_ms * 1_000_000, one_sided_limits=one_sided_limits)


@contextmanager
def paper_session(
    setup: Setup, asked: PaperAsked, previews: Previews | None = None
) -> Iterator[TradingSession]:
    """Put a paper session together: books are opened, read and squared with the venue.

    Args:
        setup: What it is made of.
        asked: Which account.
        previews: Asks a broker about each ticket, in a dry run.

    Raises:
        StoreError: Journal, account or database cannot be used, or they differ.
        ConfigError: The account has seen a later market than this one.
    """
    if asked.account and asked.account.isdigit():
        raise ConfigError(f"--account {asked.account}: a paper account's name needs a letter")
    feed, now = setup.feed, setup.feed.clock()
    run_id = _run_id(Mode.PAPER, now)
    account_id = asked.account or ("paper" if feed.origin == "live" else f"paper-{run_id}")
    refuse_stopped(account_id)
    with open_books(account_id, Mode.PAPER) as books, guarded(account_id):
        check_journal(books, setup.store)
        venue = open_paper_account(account_id, Mode.PAPER, asked.cash, asked.rules)
        _check_time(venue.state.now_ns, now, account_id)
        names = Names(account_id, Mode.PAPER, setup.strategy.name, run_id)
        broker = _paper_broker(
            venue, lambda: to_time(engine.market.now_ns), KillSwitch(account_id).refusal, previews
        )
        engine = Engine(setup.strategy, broker, gate=setup.gate, record=books.record, names=names)
        engine.market.now_ns = to_ns(now)
        found = _take_up_paper(engine, books)
        notes = _notes(found, books)
        books.record(setup.began(Mode.PAPER, to_ns(now), found))
        needed = choose_symbols(feed, setup.strategy.needs())
        symbols = (*needed, *sorted(venue.symbols() - set(needed)))
        setup.begin(engine, books)

        def play() -> Iterator[Event]:
            with listening(feed, symbols) as events:
                for event in events:
                    engine.on(event)
                    yield event

        mirror = Mirror(books, setup.store)
        yield TradingSession(
            engine, setup.gate, feed, symbols, play, books, mirror, notes, asked.limits_file
        )


def _paper_broker(
    venue: PaperAccount,
    clock: Clock,
    stopped: Callable[[OrderTicket], str],
    previews: Previews | None,
) -> KeptPaperBroker:
    if previews is None:
        return KeptPaperBroker(venue, clock, stopped)
    return DryRunBroker(venue, clock, stopped, previews)


def _take_up_paper(engine: Engine, books: Books) -> Reconciled:
    """Rebuild the engine from the journal, and square it with the venue.

    Raises:
        StoreError: They differ.
    """
    engine.resume(books.decisions())
    engine.hear(engine.broker.observe(Heartbeat(time_ns=engine.market.now_ns)))
    since = to_time(engine.market.now_ns) - _LONG_AGO
    broker = engine.broker
    told = Told(broker.orders(since), broker.fills(since), broker.positions())
    held = {name: each.quantity for name, each in engine.portfolio.holdings.items()}
    found = reconcile(engine.book, held, told, engine.market.now_ns, Baseline(0, {}))
    _refuse_differences(found)
    engine.hear(found.updates)
    return found


def _refuse_differences(found: Reconciled) -> None:
    if found.differences:
        raise StoreError(
            "journal and broker differ in what nobody can explain, and nothing is traded: "
            + "; ".join(found.differences)
        )


def _notes(found: Reconciled, books: Books) -> list[str]:
    notes = [f"{books.past} decisions of earlier runs taken up"] if books.past else []
    if found.updates:
        notes.append(f"{len(found.updates)} orders had news that the journal lacked")
    if found.external:
        notes.append(f"{len(found.external)} orders of others are left alone")
    if found.others:
        notes.append(f"the account holds {len(found.others)} instruments that are not ours")
    return notes


def _run_id(mode: Mode, now: datetime) -> str:
    return f"{mode.value[0]}{now.astimezone(NEW_YORK):%y%m%d}-{secrets.token_hex(3)}"


def _check_time(seen_ns: int, now: datetime, account_id: str) -> None:
    if seen_ns > to_ns(now):
        seen = to_time(seen_ns).astimezone(NEW_YORK)
        raise ConfigError(
            f"the account {account_id} has traded until {seen:%Y-%m-%d %H:%M}, and this market is at "
            f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M}: give another --account, or a later --clock"
        )


@dataclass(frozen=True, slots=True)
class LiveAsked:
    """Which account at the broker trades.

    Attributes:
        account_id: Its hash.
        mode: LIVE, or REHEARSAL at a simulator.
        accept_holdings: Take what the account holds beside ours as given, whatever explains it.
        answers: What a person says of orders that no rule settles: client order id -> the broker's
            id, or None: it is not there.
        limits_file: Of the gate's limits: it is read again when it changes.
    """

    account_id: str
    mode: Mode
    accept_holdings: bool = False
    answers: Mapping[str, str | None] = field(default_factory=dict)
    limits_file: Path | None = None


@contextmanager
def live_session(setup: Setup, asked: LiveAsked) -> Iterator[TradingSession]:
    """Put a session together whose orders go to Schwab, or to a simulator that speaks like it.

    Raises:
        StoreError: A journal or the database cannot be used, or journal and broker differ.
        AuthError: Schwab does not let us in.
        ProviderError: It does not answer.
    """
    feed, now = setup.feed, setup.feed.clock()
    refuse_stopped(asked.account_id)
    with open_books(asked.account_id, asked.mode) as books, guarded(asked.account_id):
        check_journal(books, setup.store)
        terms = TradingTerms(
            account_id=asked.account_id,
            mode=asked.mode,
            run_id=_run_id(asked.mode, now),
            order_journal=state_folder("journals") / f"{asked.account_id}.orders.jsonl",
            gate=setup.gate,
            record=books.record,
            clock=feed.clock,
            retirement=feed.settings.retirement,
            option_level=feed.settings.option_level,
            stopped=KillSwitch(asked.account_id).refusal,
            observer=setup.recorder,
        )
        with TradingEngine(feed.settings, setup.strategy, terms) as trading:
            for name, order_id in asked.answers.items():
                trading.resolve(name, order_id)
            found = trading.take_up(books.decisions(), accept_holdings=asked.accept_holdings)
            _refuse_differences(found)
            notes = _notes(found, books)
            notes += [
                f"{question}; or end this run, and add --resolve {name}=ORDER_ID, or {name}=none"
                for name, question in trading.questions().items()
            ]
            books.record(setup.began(asked.mode, to_ns(now), found))
            needed = choose_symbols(feed, setup.strategy.needs())
            held = {
                name for name, each in trading.engine.portfolio.holdings.items() if each.quantity
            }
            symbols = (*needed, *sorted(held - set(needed)))
            setup.gate.account = trading.report
            setup.gate.sign_in_until_ns = sign_in_end_ns(feed)
            setup.begin(trading.engine, books)

            def play() -> Iterator[Event]:
                yield from until_the_close(trading.run(symbols), feed)

            mirror = Mirror(books, setup.store)
            yield TradingSession(
                trading.engine,
                setup.gate,
                feed,
                symbols,
                play,
                books,
                mirror,
                notes,
                asked.limits_file,
            )
