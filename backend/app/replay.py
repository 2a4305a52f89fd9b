"""A recorded session played again, with the fills that it had: in backtest, or as a paper run.

Both take the decisions of the recorded run; the paper run writes them to a journal of its own. The
database is left alone, since executions of the recording would stand there twice.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from app.recording import BalancesTold, read_beginning, recorded_events
from app.strategy_catalog import find_strategy
from engine.core import Engine
from engine.desk import Names
from engine.limits import RiskLimits
from engine.parity import decision_digest
from engine.recorded_venue import RecordedVenue
from engine.risk import RiskGate
from models.decisions import Decision
from models.order_terms import Mode
from models.trading import Balances
from utils.clock import to_time
from utils.paths import state_folder
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.recording import Beginning


class Replayed(NamedTuple):
    """What came of it.

    Attributes:
        engine: In its last state.
        beginning: Of the recorded session.
        decisions: All that were taken.
        digest: Of the decisions (`engine.parity`).
        journal: Where they stand; None in a backtest.
    """

    engine: Engine
    beginning: Beginning
    decisions: list[Decision]
    digest: str
    journal: Path | None


def replay(path: Path, mode: Mode) -> Replayed:
    """Play a recorded session again.

    Args:
        path: What `--record` wrote.
        mode: BACKTEST, or PAPER, which writes a journal.

    Raises:
        ConfigError: The file is no recording, or its strategy is not there any more.
        StoreError: The journal cannot be written.
    """
    beginning = read_beginning(path)
    decisions: list[Decision] = []
    with _journal(beginning, mode) as (journal, write):

        def record(decision: Decision) -> None:
            if write is not None:
                write(decision)
            decisions.append(decision)

        engine, venue = _engine(beginning, mode, record)
        engine.resume(beginning.past)
        engine.market.now_ns = beginning.start_ns
        engine.start(beginning.start_ns)
        for told in recorded_events(path):
            if isinstance(told, BalancesTold):
                venue.show(Balances.model_validate_json(bytes(told.balances)))
            else:
                engine.on(told)
        engine.finish()
    return Replayed(engine, beginning, decisions, decision_digest(decisions), journal)


@contextmanager
def _journal(
    beginning: Beginning, mode: Mode
) -> Iterator[tuple[Path | None, Callable[[Decision], object] | None]]:
    if mode is Mode.BACKTEST:
        yield None, None
        return
    account_id = f"replay-{beginning.run_id}-{secrets.token_hex(3)}"
    path = state_folder("journals") / f"{account_id}.jsonl"
    journal: TransactionLogger[Decision]
    with TransactionLogger(path, Decision, subject=account_id) as journal:
        yield path, lambda decision: _write(journal, decision)


def _write(journal: TransactionLogger[Decision], decision: Decision) -> None:
    journal.append(decision)


def _engine(
    beginning: Beginning, mode: Mode, record: Callable[[Decision], None]
) -> tuple[Engine, RecordedVenue]:
    kind = find_strategy(beginning.strategy)
    parameters = kind.parameters_type.model_validate_json(bytes(beginning.parameters))
    limits = RiskLimits.model_validate_json(bytes(beginning.limits))
    gate = RiskGate(
        limits,
        beginning.speed,
        account=beginning.account,
        sign_in_until_ns=beginning.sign_in_until_ns,
    )
    made: list[Engine] = []
    balances = Balances.model_validate_json(bytes(beginning.balances))
    venue = RecordedVenue(beginning.account_id, balances, lambda: to_time(made[0].market.now_ns))
    strategy = kind(parameters)
    names = Names(beginning.account_id, mode, strategy.name, beginning.run_id)
    made.append(Engine(strategy, venue, gate=gate, record=record, names=names))
    return made[0], venue
