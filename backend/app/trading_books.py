"""The books of a trading account: its journal, and its paper venue."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.paper_file import PaperFile
from engine.paper import PaperAccount, PaperBroker
from models.decisions import Decision, Denied, Signalled
from models.errors import RiskDenied, StoreError
from models.journal import Opened
from models.order_terms import AccountKind, Mode
from models.trading import AccountTerms
from pipeline.trade_rows import TradeRows
from utils.clock import wall_clock
from utils.paths import state_folder
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from engine.matching import MatchRules
    from models.events import OrderUpdate
    from models.order_groups import OrderTicket
    from models.trading import Order


@dataclass
class Books:
    """What one account's runs have left, and where this run writes.

    Attributes:
        account_id: Hash or name of the account.
        journal: Every decision, on the disk before it is acted on.
        rows: Decisions on their way to the database.
        past: How many decisions earlier runs left.
        denied: How many tickets the gate has denied in this run.
        listener: Is told of each decision, once it is in the journal.
        signal: One that waits for what comes of it.
    """

    account_id: str
    journal: TransactionLogger[Decision]
    rows: TradeRows
    past: int
    denied: int = 0
    listener: Callable[[Decision], None] | None = None
    signal: Signalled | None = None

    def record(self, decision: Decision) -> None:
        """Write a decision to the journal, and keep it for the database.

        Nothing is done upon a signal alone: it is written together with what comes of it, its denial
        or its intent, so that an order waits for the disk once.
        """
        if isinstance(decision, Signalled):
            self.signal = decision
            return
        together = (decision,) if self.signal is None else (self.signal, decision)
        self.signal = None
        self.journal.append(*together)
        for each in together:
            self.rows.add(each)
            self.denied += isinstance(each, Denied)
            if self.listener is not None:
                self.listener(each)

    def decisions(self) -> Iterator[Decision]:
        """Yield every decision of the journal, oldest first."""
        for record in self.journal.read():
            if not isinstance(record, Opened):
                yield record


@contextmanager
def open_books(account_id: str, mode: Mode) -> Iterator[Books]:
    """Open an account's journal; one program at a time may.

    Raises:
        StoreError: Another program trades this account, or the journal is damaged.
    """
    path = state_folder("journals") / f"{account_id}.jsonl"
    journal: TransactionLogger[Decision]
    with TransactionLogger(path, Decision, subject=account_id) as journal:
        books = Books(account_id, journal, TradeRows(account_id, mode), 0)
        for decision in books.decisions():
            books.rows.add(decision)
            books.past += 1
        yield books


def open_paper_account(
    account_id: str, mode: Mode, cash: Decimal, rules: MatchRules
) -> PaperAccount:
    """Return the paper account as its last run left it, or a new one with this cash.

    Args:
        account_id: Its name.
        mode: Stamped on orders and fills.
        cash: USD in a new one.
        rules: How its orders fill.

    Raises:
        StoreError: Its file cannot be read.
    """
    # Order ids go on from the wall's clock: an execution's id is never used twice, whatever is lost.
    ids = itertools.count(int(wall_clock().timestamp() * 1000))
    account = PaperAccount(
        AccountTerms(account_id=account_id, kind=AccountKind.MARGIN),
        cash,
        mode=mode,
        order_ids=lambda: next(ids),
        rules=rules,
    )
    kept = PaperFile(_account_file(account_id)).read()
    if kept is not None:
        try:
            account.restore(kept)
        except msgspec.MsgspecError as error:
            path = _account_file(account_id)
            raise StoreError(f"the paper account {path} cannot be read: {error}") from None
    return account


class KeptPaperBroker(PaperBroker):
    """A paper broker whose account is on the disk before anybody hears what happened in it.

    Args:
        account: It keeps everything.
        clock: Gives the market's time, aware.
        refusal: Asked as a ticket would leave: why it may not, or an empty text.
    """

    def __init__(
        self,
        account: PaperAccount,
        clock: Callable[[], datetime],
        refusal: Callable[[OrderTicket], str],
    ) -> None:
        super().__init__(account, clock)
        self._refusal = refusal
        self._file = PaperFile(_account_file(account.terms.account_id))

    def submit(self, ticket: OrderTicket) -> list[OrderUpdate]:
        """Place a ticket, unless trading is stopped.

        Raises:
            RiskDenied: It is.
            OrderRejected: The ticket is malformed.
        """
        self._check(ticket)
        return super().submit(ticket)

    def replace(self, order_id: str, order: Order) -> list[OrderUpdate]:
        """Put another order in the place of one that works, unless trading is stopped.

        Raises:
            RiskDenied: It is.
            OrderRejected: It cannot be replaced.
        """
        self._check(order)
        return super().replace(order_id, order)

    def _check(self, ticket: OrderTicket) -> None:
        if reason := self._refusal(ticket):
            raise RiskDenied(reason, rule="kill_switch", limit="nothing leaves", value="an order")

    def _tell(self, updates: list[OrderUpdate]) -> list[OrderUpdate]:
        if updates:
            self._file.keep(self.account.state)
        return super()._tell(updates)


def _account_file(account_id: str) -> Path:
    return state_folder("journals") / f"{account_id}.account.json"
