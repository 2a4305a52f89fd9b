"""Trading at Schwab, ready-made: the engine, one account there, its order journal, and their news.

```python
with TradingEngine(settings, strategy, options) as trading:
    trading.take_up(decisions_of_earlier_runs)
    for event in trading.run(symbols):
        ...
```

Before the first event everything is squared: what the journals know, what Schwab says, and what
nobody can explain, which stops it. Orders leave in threads (`sending`), through the risk gate,
written to the account's order journal first (`order_desk`).
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from engine.core import Engine
from engine.desk import Names
from engine.reconciliation import Baseline, Reconciled, Told, reconcile
from models.decisions import Began
from models.errors import ConfigError, TradingError
from models.events import Bar, Heartbeat, OrderUpdate, Quote, Settlement, TradeTick
from models.journal import Record
from schwab_integration.broker import SchwabBroker
from schwab_integration.limits import order_limiter
from schwab_integration.order_desk import DeskTime
from schwab_integration.parse_accounts import terms_of
from schwab_integration.sending import SendingBroker
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import SchwabStream
from schwab_integration.trader import SchwabTrader
from utils.clock import to_ns, to_time, wall_clock
from utils.feed import Feed, conflation_key, plainly
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from engine.core import Gate
    from models.decisions import Decision
    from models.events import Event, News
    from models.order_terms import Mode
    from models.trading import AccountTerms
    from ports.strategy import Strategy
    from schwab_integration.config import SchwabSettings
    from utils.clock import Clock

LOOK_BACK = timedelta(days=60)
"""How far orders and fills are compared with Schwab's."""


@dataclass(frozen=True, slots=True)
class TradingTerms:
    """How a run trades.

    Attributes:
        account_id: Hash of the account.
        mode: LIVE, or REHEARSAL at a simulator.
        run_id: Begins every client order id; another one each run.
        order_journal: File of the account's order journal.
        gate: What orders must pass.
        record: Takes each decision, before it is acted on.
        clock: The market's time.
        retirement: Whether the account is an IRA.
        option_level: 0 to 3.
    """

    account_id: str
    mode: Mode
    run_id: str
    order_journal: Path
    gate: Gate
    record: Callable[[Decision], None]
    clock: Clock = wall_clock
    retirement: bool = False
    option_level: int = 3


class TradingEngine:
    """One strategy on one account at Schwab."""

    def __init__(self, settings: SchwabSettings, strategy: Strategy, terms: TradingTerms) -> None:
        """Put a run together; entering the block opens it.

        Args:
            settings: Of the app.
            strategy: What decides.
            terms: How it trades.
        """
        self._settings = settings
        self._terms = terms
        self._strategy = strategy
        self._open = ExitStack()
        self._news: list[News | TradingError] = []
        self._put: Callable[[News | TradingError], None] = self._news.append

    def __enter__(self) -> Self:
        """Open account, journal and stream.

        Raises:
            TradingError: Schwab does not let us in, or another program trades this account.
        """
        terms = self._terms
        with ExitStack() as opened:
            trader = opened.enter_context(SchwabTrader(self._settings, clock=terms.clock))
            journal: TransactionLogger[Any] = opened.enter_context(
                TransactionLogger(
                    terms.order_journal, Record, subject=terms.account_id, clock=terms.clock
                )
            )
            self._stream = SchwabStream(self._settings)
            opened.callback(self._stream.close)
            self._schwab = SchwabBroker(
                trader,
                self._account_terms(trader),
                journal,
                mode=terms.mode,
                limiter=order_limiter(self._settings, terms.account_id),
                times=DeskTime(clock=terms.clock),
                updates=lambda: self._stream.listen(activity=True),
            )
            broker = SendingBroker(self._schwab, self._deliver, terms.clock)
            opened.callback(broker.close)
            self.broker = broker
            names = Names(terms.account_id, terms.mode, self._strategy.name, terms.run_id)
            self.engine = Engine(
                self._strategy, broker, gate=terms.gate, record=terms.record, names=names
            )
            self.engine.market.now_ns = to_ns(terms.clock())
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _account_terms(self, trader: SchwabTrader) -> AccountTerms:
        wanted = self._terms.account_id
        numbers = {each.hash_value: each.account_number for each in trader.account_numbers()}
        for account in trader.accounts():
            if account.securities_account.account_number == numbers.get(wanted):
                return terms_of(
                    account,
                    account_id=wanted,
                    retirement=self._terms.retirement,
                    option_level=self._terms.option_level,
                )
        raise ConfigError(
            f"this sign-in has no account {wanted[:8]}...: name one of those that "
            "`python sys_testing/token_diagnostics.py` lists"
        )

    def _deliver(self, news: News | TradingError) -> None:
        """Take what a thread of the broker's tells: into the stream of events, once it runs."""
        self._put(news)

    def questions(self) -> dict[str, str]:
        """Return client order id -> what a person has to say about an order that is unknown."""
        return self._schwab.questions()

    def take_up(self, past: Iterable[Decision], *, accept_holdings: bool = False) -> Reconciled:
        """Rebuild from the journal, and square it with Schwab; to be called once, before `run`.

        Args:
            past: What earlier runs decided and heard, oldest first.
            accept_holdings: What the account holds beside ours needs no explanation.

        Returns:
            What was found; with differences in it nothing may be traded.

        Raises:
            TradingError: Schwab does not answer.
        """
        decisions = list(past)
        engine = self.engine
        engine.resume(decisions)
        engine.hear(self._schwab.recover())
        began = [each for each in decisions if isinstance(each, Began)]
        baseline = (
            Baseline(began[-1].at_ns, began[-1].others) if began and not accept_holdings else None
        )
        since = to_time(engine.market.now_ns) - LOOK_BACK
        told = Told(
            self._schwab.orders(since),
            self._schwab.fills(since),
            self._schwab.positions(),
            left=self._schwab.own_orders(),
        )
        held = {name: each.quantity for name, each in engine.portfolio.holdings.items()}
        found = reconcile(engine.book, held, told, engine.market.now_ns, baseline)
        engine.hear(found.updates)
        return found

    def start(self) -> None:
        """Let the strategy begin."""
        self.engine.start(to_ns(self._terms.clock()))

    def run(self, symbols: tuple[str, ...]) -> Iterator[Event]:
        """Trade on these symbols, and yield each event when it has had its effect.

        It goes on until the caller leaves it.

        Raises:
            StoreError: A journal cannot be written: nothing leaves any more.
            TradingError: The stream has ended for good.
        """
        wanted = Subscription(symbols=symbols, heartbeats=True)
        with plainly(lambda: self._events(wanted), key=conflation_key) as events:
            for event in events:
                if isinstance(event, TradingError):
                    raise event
                self.engine.on(event)
                yield event

    async def _events(self, wanted: Subscription) -> AsyncIterator[Event | TradingError]:
        """Yield the market, what the broker hears, and the answers to orders, as they come."""
        feed: Feed[Event | TradingError] = Feed()
        loop = asyncio.get_running_loop()

        def deliver(news: News | TradingError) -> None:
            with contextlib.suppress(RuntimeError):  # the run is over: the journals have the news
                loop.call_soon_threadsafe(feed.put, news, None)

        self._put = deliver
        for news in self._news:
            feed.put(news)
        self._news.clear()
        tasks = [
            asyncio.create_task(_pour(self._market(wanted), feed)),
            asyncio.create_task(_pour(self.broker.listen(), feed)),
        ]
        try:
            async for event in feed:
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _market(self, wanted: Subscription) -> AsyncIterator[Event]:
        async for event in self._stream.hear(wanted):
            if isinstance(event, Heartbeat):
                # A heartbeat carries the server's wall time; the market's is what counts here.
                yield Heartbeat(time_ns=to_ns(self._terms.clock()))
            elif isinstance(event, Quote | TradeTick | Bar | OrderUpdate | Settlement):
                yield event


async def _pour(source: AsyncIterator[Event], feed: Feed[Event | TradingError]) -> None:
    """Put a stream into the feed; its error ends the feed, once what came before it is heard."""
    try:
        async for event in source:
            feed.put(event, conflation_key(event))
    except TradingError as error:
        feed.close(error)
