"""The database's copy of an account's books: written by a thread, never waited for by an order.

The journal is the truth. While the database does not take its copy, nothing of it is lost: what is
missing is written when it is back, at the latest by the next run, which reads the whole journal.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from engine.attribution import Attribution
from engine.trading_hours import day_of
from models.errors import JournalDamaged, StoreError
from pipeline.trade_rows import (
    attribution_rows,
    balance_rows,
    checkpoint_rows,
    order_rows,
    position_rows,
)
from utils.journal_chain import Checkpoint

if TYPE_CHECKING:
    from datetime import date

    from app.trading_books import Books
    from engine.core import Engine
    from models.tables import Frame
    from models.trading import Order
    from ports.store import Store

_SLOW_S: Final = 5.0
"""A database that has not answered for so long counts as away."""

_STEP_NS: Final = 60 * 10**9
"""Market time between two looks at where the gain came from."""

_PARTS: Final = ("delta", "gamma", "theta", "vega", "trading", "residual")
_ZERO = Decimal(0)

_LAST_S: Final = 60.0
"""How long the end of a run waits for it."""


class Mirror:
    """Copies what is new whenever it is told to, one batch at a time.

    Args:
        books: Of the account.
        store: The database.

    Raises:
        StoreError: The database does not tell what it has.
    """

    def __init__(self, books: Books, store: Store) -> None:
        self._books = books
        self._store = store
        self._pool = ThreadPoolExecutor(1, "mirror")
        self._writing: Future[str | None] | None = None
        self._began = 0.0
        self._batch: dict[str, Frame] = {}
        self._sent: dict[str, Order] = {}
        self._stale: str | None = None
        self.attribution = Attribution()
        self._stepped = False
        self._stepped_ns = 0
        rows = store.read("pnl_attribution", {"account_id": books.account_id})
        self._gained_before = {
            (each["mode"], each["session"], each["underlying"]): each
            for each in rows.iter_rows(named=True)
        }

    def write(self, engine: Engine) -> str | None:
        """Hand over what is new, unless earlier things are still being written.

        Returns:
            Why the database is behind, as far as that is known; None where it is not.
        """
        if self._writing is not None and not self._writing.done():
            waited = time.monotonic() - self._began
            return f"it has not answered for {waited:.0f} s" if waited > _SLOW_S else self._stale
        self._take_result()
        if not self._batch:
            self._batch = self._new(engine)
        self._began = time.monotonic()
        self._writing = self._pool.submit(self._upsert, self._batch)
        return self._stale

    def finish(self, engine: Engine) -> str | None:
        """Write all that is missing, and return why that cannot be, or None."""
        stale = None
        self._stepped_ns = 0  # one step more, up to the end
        for _ in range(3):  # what is on its way, what had failed, and what has come since
            self.write(engine)
            if self._writing is not None and not wait([self._writing], _LAST_S).done:
                return "it does not answer"
            self._take_result()
            stale = self._stale
        self._pool.shutdown(wait=False)
        return stale

    def _take_result(self) -> None:
        if self._writing is None:
            return
        self._stale = self._writing.result()
        self._writing = None
        if self._stale is None:
            self._batch = {}

    def _new(self, engine: Engine) -> dict[str, Frame]:
        """Return the rows of what has changed since the last batch, by table."""
        names = engine.names
        orders = [state.order for state in engine.book.states.values()]
        changed = [each for each in orders if self._sent.get(each.client_order_id) is not each]
        self._sent |= {each.client_order_id: each for each in changed}
        held = engine.market.positions(
            engine.portfolio, names.account_id, names.mode, with_flat=True
        )
        point, now_ns = self._books.journal.checkpoint(), engine.market.now_ns
        frames = self._books.rows.take() | {
            "orders": order_rows(changed),
            "positions": position_rows(held.values()),
            "account_snapshots": balance_rows(engine.broker.balances()),
            "journal_checkpoints": checkpoint_rows(names.account_id, day_of(now_ns), point, now_ns),
            "pnl_attribution": attribution_rows(
                names.account_id, names.mode, self._attributed(engine)
            ),
        }
        return {table: frame for table, frame in frames.items() if len(frame)}

    def _attributed(self, engine: Engine) -> dict[tuple[date, str], dict[str, Decimal]]:
        """Return where each day's gain came from, with that of earlier runs of the day.

        What was held when this run began counts from its first step on: what it gained while nobody
        looked is nobody's.
        """
        first = not self._stepped
        if first or engine.market.now_ns - self._stepped_ns >= _STEP_NS:
            self._stepped = True
            self._stepped_ns = engine.market.now_ns
            self.attribution.step(
                engine.market, engine.portfolio, carried=first and self._books.past > 0
            )
        found = {}
        for key, gained in self.attribution.days.items():
            parts = {f"{name}_pnl": getattr(gained, name) for name in _PARTS}
            parts |= {"fees": gained.fees, "total_pnl": gained.total}
            before = self._gained_before.get((engine.names.mode.value, *key), {})
            found[key] = {name: usd + before.get(name, _ZERO) for name, usd in parts.items()}
        return found

    def _upsert(self, batch: dict[str, Frame]) -> str | None:
        try:
            for table, frame in batch.items():
                self._store.upsert(table, frame)
        except StoreError as error:
            return str(error)
        return None


def check_journal(books: Books, store: Store) -> None:
    """Compare a journal with the check-points that the database has of it.

    Raises:
        JournalDamaged: A record that was there is missing, or another one.
        StoreError: The database does not tell.
    """
    known = store.read("journal_checkpoints", {"account_id": books.account_id})
    points = [Checkpoint(each["seq"], each["hash"]) for each in known.iter_rows(named=True)]
    try:
        books.journal.check(points)
    except JournalDamaged as error:
        raise JournalDamaged(
            f"{error}; the database knows account {books.account_id[:16]} by another journal: where "
            "another machine trades it too, give --account another name",
            seq=error.seq,
            offset=error.offset,
        ) from None
