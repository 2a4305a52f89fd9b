"""The loop of a run: claim, hand to a worker, write down what became of it, until nothing is left.

Two runs share the work by the ledger. One ends when all that it is about is covered or given up,
whoever did it, or when a service stays away for longer than its patience.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from models.errors import StoreError, TradingError
from pipeline.datasets import dataset
from pipeline.etl_events import Claimed, EtlEvent, PartitionDone, RunEnded, StageDone, Waiting
from pipeline.ledger import BUDGET, pause_s
from pipeline.outcome import AGAIN, AWAY, COMPLETE, NOTHING, Outcome, failed
from pipeline.partition import DONE, FAILED, LEASE_S, WAITING
from pipeline.runs import is_gone
from pipeline.work import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pipeline.datasets import Windows
    from pipeline.ledger import Claim, Ledger, Scope

_HEARTBEAT_S = LEASE_S / 6
_LONGEST_LOOK_S = 1.0
_STORE_PAUSE_S = 0.5

_T = TypeVar("_T")


class Workers(Protocol):
    """Who does the work: processes of this machine, or of many."""

    @property
    def width(self) -> int:
        """Orders that are worth having under way at a time."""
        ...

    def submit(self, order: Order) -> Future[list[Outcome]]:
        """Begin an order."""
        ...

    def renew(self) -> None:
        """Replace workers of which one has died."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a run waits, and by which clock.

    Attributes:
        patience_s: Seconds without any progress that a service or the database may be away.
        clock: Monotonic seconds.
        pause: Waits.
    """

    patience_s: float = 120.0
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a run is about.

    Attributes:
        run_id: UUID.
        owner: What its leases are held by; ends as `pipeline.runs.this_process`.
        scope: Its partitions.
        windows: Expirations that are wanted.
        crosscheck: Whether to compare sources.
    """

    run_id: str
    owner: str
    scope: Scope
    windows: Windows
    crosscheck: bool = True


@dataclass(slots=True)
class _Flight:
    claims: tuple[Claim, ...]
    began: float


class Runner:
    """One run.

    Args:
        ledger: Shared with other runs.
        workers: Who does the work.
        assignment: What it is about.
        pace: How long it waits.
    """

    def __init__(
        self, ledger: Ledger, workers: Workers, assignment: Assignment, pace: Pace | None = None
    ) -> None:
        self._ledger, self._workers, self._about = ledger, workers, assignment
        self._pace = pace or Pace()
        self._flights: dict[Future[list[Outcome]], _Flight] = {}
        self._away: dict[object, int] = {}
        self._progress_at = self._beat_at = self._pace.clock()
        self._done = self._given_up = 0

    def run(self) -> Generator[EtlEvent, None, None]:
        """Do what can be done, and tell what happens.

        Close the iterator (`contextlib.closing`) where it may be left early: what the run holds is
        given back then.

        Raises:
            StoreError: The database stayed away.
        """
        try:
            while True:
                yield from self._claim()
                if self._flights:
                    yield from self._landed()
                    continue
                seconds, waiting, leased = self._next()
                if seconds is None:
                    break
                yield Waiting(self._about.run_id, seconds, waiting, leased)
                self._pace.pause(seconds)
            left = self._patiently(lambda: self._ledger.open(self._about.scope))
            yield RunEnded(self._about.run_id, self._done, self._given_up, left.waiting)
        finally:
            for future in self._flights:
                future.cancel()
            with suppress(StoreError):  # then its leases lapse
                self._ledger.release(self._about.owner)

    def _claim(self) -> Generator[EtlEvent, None, None]:
        """Fill the workers' hands."""
        while len(self._flights) < self._workers.width:
            claims = self._patiently(self._claimed)
            if not claims:
                return
            partitions = tuple(claim.partition for claim in claims)
            window = self._about.windows.of(dataset(partitions[0].dataset))
            order = Order(partitions, window, self._about.crosscheck)
            try:
                future = self._workers.submit(order)
            except BrokenExecutor:
                self._workers.renew()
                future = self._workers.submit(order)
            self._flights[future] = _Flight(tuple(claims), self._pace.clock())
            yield Claimed(self._about.run_id, partitions)

    def _claimed(self) -> list[Claim]:
        about = self._about
        most = [dataset(name).a_request for name in about.scope.datasets]
        return self._ledger.claim(about.scope, about.owner, about.run_id, most)

    def _landed(self) -> Generator[EtlEvent, None, None]:
        """Wait for workers, tell the ledger that we live, and take in what they bring."""
        ended, _ = wait(self._flights, timeout=_HEARTBEAT_S, return_when=FIRST_COMPLETED)
        now = self._pace.clock()
        if now - self._beat_at >= _HEARTBEAT_S:
            self._patiently(lambda: self._ledger.extend(self._about.owner))
            self._beat_at = now
        for future in ended:
            flight = self._flights.pop(future)
            outcomes = self._outcomes(future, flight)
            for claim, outcome in zip(flight.claims, outcomes, strict=True):
                yield from self._written(claim, outcome, now - flight.began)

    def _outcomes(self, future: Future[list[Outcome]], flight: _Flight) -> Sequence[Outcome]:
        try:
            return future.result()
        except BrokenExecutor:
            reason = "its worker died: out of memory, or killed"
            return [
                Outcome(claim.partition, NOTHING, reason=reason, retry=AGAIN)
                for claim in flight.claims
            ]
        except TradingError as error:  # what concerns all partitions: settings, database, lake
            return [failed(claim.partition, error) for claim in flight.claims]

    def _written(
        self, claim: Claim, outcome: Outcome, seconds: float
    ) -> Generator[EtlEvent, None, None]:
        """Write down what became of a partition, and tell."""
        status = self._patiently(lambda: self._recorded(claim, outcome))
        for row in outcome.stages:
            yield StageDone(self._about.run_id, outcome.partition, row)
        yield PartitionDone(self._about.run_id, outcome, claim.attempts, status, seconds)

    def _recorded(self, claim: Claim, outcome: Outcome) -> str:
        about = self._about
        origin, owner, stages = about.scope.origin, about.owner, outcome.stages
        if outcome.status == COMPLETE:
            self._ledger.finish(claim, origin, owner, stages)
            self._done += 1
            self._progress_at = self._pace.clock()
            return DONE
        error = outcome.reason or "it did not say why"
        if outcome.retry == AWAY:
            tries = self._away[claim.partition] = self._away.get(claim.partition, 0) + 1
            self._ledger.postpone(
                claim, origin, owner, stages, error=error, pause_s=pause_s(tries), counts=False
            )
            return WAITING
        if outcome.retry == AGAIN and claim.attempts < BUDGET:
            seconds = pause_s(claim.attempts)
            self._ledger.postpone(claim, origin, owner, stages, error=error, pause_s=seconds)
            return WAITING
        self._ledger.postpone(claim, origin, owner, stages, error=error, pause_s=None)
        self._given_up += 1
        return FAILED

    def _next(self) -> tuple[float | None, int, int]:
        """Return the seconds until there may be work again; None where the run is over."""
        left = self._patiently(lambda: self._ledger.open(self._about.scope))
        if left.next_in_s is None:
            return None, 0, 0
        if left.leased:
            self.free_the_dead()
            return min(left.next_in_s or 0.05, _LONGEST_LOOK_S), left.waiting, left.leased
        late = self._pace.clock() + left.next_in_s - self._progress_at
        if late > self._pace.patience_s and self._away:
            return None, left.waiting, 0
        return max(left.next_in_s, 0.05), left.waiting, 0

    def free_the_dead(self) -> None:
        """Give back what processes of this machine held that are gone."""
        for owner in self._ledger.owners():
            if owner != self._about.owner and is_gone(owner):
                self._ledger.release(owner)

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """Ask the ledger, and wait for a database that is started anew."""
        began = self._pace.clock()
        while True:
            try:
                return call()
            except StoreError:
                if self._pace.clock() - began >= self._pace.patience_s:
                    raise
            self._pace.pause(_STORE_PAUSE_S)
