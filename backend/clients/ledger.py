"""The pipeline's ledger in Postgres: claimed with `for update skip locked`, on the database's clock.

Every method is one short transaction, so that it works through a transaction pooler too.
https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pipeline.datasets import DATASETS
from pipeline.ledger import Claim, DeadLetter, Open, Scope, StageRow
from pipeline.partition import LEASE_S, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.postgres import PostgresTransport
    from utils.clock import Clock

_NOW = "coalesce(%(now)s::timestamptz, now())"
# A time that lies further ahead than any that we set was written before a clock was set back.
_FREE = (
    f"((status = 'waiting' and (not_before is null or not_before <= {_NOW}"
    f" or not_before > {_NOW} + interval '1 hour'))"
    f" or (status = 'leased' and (lease_until < {_NOW}"
    f" or lease_until > {_NOW} + interval '1 hour')))"
)
_PARTS = {
    "now": sql.SQL(_NOW),
    "free": sql.SQL(_FREE),
    "lease": sql.SQL("make_interval(secs => %(lease)s)"),
    "in_scope": sql.SQL(
        "dataset = any(%(datasets)s) and ticker = any(%(tickers)s)"
        " and session between %(first)s and %(last)s and origin = %(origin)s"
    ),
    "given": sql.SQL(
        "unnest(%(datasets)s::text[], %(tickers)s::text[], %(sessions)s::date[])"
        " as x (dataset, ticker, session)"
    ),
    "partition": sql.SQL(
        "dataset = %(dataset)s and ticker = %(ticker)s and session = %(session)s"
        " and origin = %(origin)s"
    ),
    "is_ours": sql.SQL("status = 'leased' and lease_owner = %(owner)s"),
    "freed": sql.SQL("lease_owner = null, lease_until = null"),
}

_ENQUEUE = """
    insert into public.ledger as l
      (dataset, ticker, session, origin, stage, status, attempts, queued_at)
    select dataset, ticker, session, %(origin)s, 'extract', 'waiting', 0, {now} from {given}
    on conflict (dataset, ticker, session, origin) do update
      set status = 'waiting', attempts = 0, stage = 'extract', queued_at = excluded.queued_at,
          not_before = null, error = null
      where l.status = 'done'
"""
_SETTLE = """
    update public.ledger l
    set status = 'done', stage = 'covered', error = null, not_before = null, {freed}
    from {given}
    where l.dataset = x.dataset and l.ticker = x.ticker and l.session = x.session
      and l.origin = %(origin)s
      and (l.status in ('waiting', 'failed') or (l.status = 'leased' and l.lease_until < {now}))
"""
_REVIVE = """
    update public.ledger set status = 'waiting', attempts = 0, not_before = null, stage = 'extract'
    where {in_scope} and status = 'failed'
"""
# The head says which dataset and ticker; of one that was tried before, it goes alone. What it is
# judged beside comes first, so that the same work has the same result whoever does it.
_CLAIM = """
    with head as (
      select dataset, ticker, session, attempts from public.ledger l
      where {in_scope} and {free} and not exists (
        select 1 from public.ledger c
        join unnest(%(firsts)s::text[], %(thens)s::text[]) as o (first, afterwards)
          on c.dataset = o.first and l.dataset = o.afterwards
        where c.ticker = l.ticker and c.session = l.session and c.origin = l.origin
          and c.status in ('waiting', 'leased') and c.dataset = any(%(datasets)s)
      )
      order by attempts, dataset, ticker, session limit 1 for update of l skip locked
    ), taken as (
      select l.dataset, l.ticker, l.session
      from public.ledger l join head h using (dataset, ticker)
      where l.origin = %(origin)s and {free}
        and (l.session = h.session or (h.attempts = 0 and l.attempts = 0))
        and l.session between h.session and %(last)s
      order by l.session limit (
        select m.most from head join unnest(%(datasets)s::text[], %(most)s::int[]) as m (dataset, most)
          on m.dataset = head.dataset
      ) for update of l skip locked
    )
    update public.ledger l
    set status = 'leased', lease_owner = %(owner)s, lease_until = {now} + {lease},
        attempts = l.attempts + 1, started_at = {now}, finished_at = null, run_id = %(run_id)s,
        code_version = %(version)s, stage = 'extract'
    from taken x
    where l.dataset = x.dataset and l.ticker = x.ticker and l.session = x.session
      and l.origin = %(origin)s
    returning l.dataset, l.ticker, l.session, l.attempts
"""
_EXTEND = "update public.ledger set lease_until = {now} + {lease} where {is_ours}"
_FINISH = """
    update public.ledger
    set status = 'done', stage = 'covered', finished_at = {now}, error = null, not_before = null,
        {freed}
    where {partition} and {is_ours}
"""
_END = """
    update public.ledger
    set status = case when %(pause)s::float8 is null then 'failed' else 'waiting' end,
        not_before = {now} + make_interval(secs => %(pause)s),
        attempts = greatest(attempts - %(refund)s, 0),
        stage = %(stage)s, error = %(error)s, finished_at = {now}, {freed}
    where {partition} and {is_ours}
"""
_RELEASE = """
    update public.ledger set status = 'waiting', attempts = greatest(attempts - 1, 0), {freed}
    where {is_ours}
"""
_OWNERS = "select distinct lease_owner from public.ledger where status = 'leased'"
_OPEN = """
    select count(*) filter (where status = 'waiting'), count(*) filter (where status = 'leased'),
      extract(epoch from min(case when {free} then {now} when status = 'leased' then lease_until
                             else not_before end) - {now})
    from public.ledger where {in_scope} and status in ('waiting', 'leased')
"""
_DEAD = """
    select dataset, ticker, session, stage, attempts, coalesce(error, ''), finished_at
    from public.ledger where {in_scope} and status = 'failed' order by dataset, ticker, session
"""
_REASONS = """
    select dataset, ticker, session, error from public.ledger
    where {in_scope} and status in ('waiting', 'leased') and error is not null
"""
_KEEP = """
    insert into public.ledger_stages as s (dataset, ticker, session, origin, stage, status, source,
      rows_in, rows_out, rows_rejected, content_hash, seconds, run_id, code_version, finished_at)
    select dataset, ticker, session, origin, %(stage)s, %(status)s, %(source)s, %(rows_in)s,
      %(rows_out)s, %(rows_rejected)s, %(content_hash)s, %(seconds)s, run_id, code_version,
      %(finished_at)s
    from public.ledger where {partition}
    on conflict (dataset, ticker, session, origin, stage) do update set
      (status, source, rows_in, rows_out, rows_rejected, content_hash, seconds, run_id,
       code_version, finished_at) =
      (excluded.status, excluded.source, excluded.rows_in, excluded.rows_out,
       excluded.rows_rejected, excluded.content_hash, excluded.seconds, excluded.run_id,
       excluded.code_version, excluded.finished_at)
"""


class PostgresLedger:
    """Implements `pipeline.ledger.Ledger`. Threads may share it.

    Args:
        transport: The way to the database.
        code_version: Of this program; stamped on what it claims.
        clock: Instead of the database's own; tests hand one in.
    """

    def __init__(
        self, transport: PostgresTransport, *, code_version: str, clock: Clock | None = None
    ) -> None:
        self._transport = transport
        self._version = code_version
        self._clock = clock

    def enqueue(self, todo: Sequence[Partition], origin: str) -> None:
        """Queue what is missing, as the port says."""
        self._run(_ENQUEUE, _given(todo, origin))

    def settle(self, covered: Sequence[Partition], origin: str) -> None:
        """Close what is covered, as the port says."""
        self._run(_SETTLE, _given(covered, origin))

    def revive(self, scope: Scope) -> None:
        """Queue dead letters, as the port says."""
        self._run(_REVIVE, _scope(scope))

    def claim(self, scope: Scope, owner: str, run_id: str, most: Sequence[int]) -> list[Claim]:
        """Take partitions, as the port says."""
        named = {"owner": owner, "run_id": run_id, "most": list(most), "version": self._version}
        order = [(first, what.name) for what in DATASETS.values() for first in what.after]
        named |= {"firsts": [each[0] for each in order], "thens": [each[1] for each in order]}
        rows = self._rows(_CLAIM, _scope(scope) | named)
        claims = (Claim(Partition(*row[:3]), row[3]) for row in rows)
        return sorted(claims, key=lambda claim: claim.partition)

    def extend(self, owner: str) -> None:
        """Let leases last on, as the port says."""
        self._run(_EXTEND, {"owner": owner})

    def finish(self, claim: Claim, origin: str, owner: str, stages: Sequence[StageRow]) -> None:
        """Close a covered partition and keep what its stages came to, as the port says."""
        self._end(_FINISH, _named(claim, origin, owner), stages)

    def postpone(  # noqa: PLR0913 - whose, why, and when again
        self,
        claim: Claim,
        origin: str,
        owner: str,
        stages: Sequence[StageRow],
        *,
        error: str,
        pause_s: float | None,
        counts: bool = True,
    ) -> None:
        """Let a partition wait or give it up, as the port says."""
        stage = stages[-1].stage if stages else "extract"
        ending = {"stage": stage, "error": error, "pause": pause_s, "refund": int(not counts)}
        self._end(_END, _named(claim, origin, owner) | ending, stages)

    def release(self, owner: str) -> None:
        """Give leases back, as the port says."""
        self._run(_RELEASE, {"owner": owner})

    def owners(self) -> list[str]:
        """Return who holds leases."""
        return [row[0] for row in self._rows(_OWNERS, {})]

    def open(self, scope: Scope) -> Open:
        """Return what is still to do."""
        ((waiting, leased, seconds),) = self._rows(_OPEN, _scope(scope))
        return Open(waiting, leased, None if seconds is None else max(float(seconds), 0.0))

    def dead_letters(self, scope: Scope) -> list[DeadLetter]:
        """Return what was given up, in order."""
        rows = self._rows(_DEAD, _scope(scope))
        return [DeadLetter(Partition(*row[:3]), *row[3:]) for row in rows]

    def reasons(self, scope: Scope) -> dict[Partition, str]:
        """Return why partitions that are still open failed last."""
        rows = self._rows(_REASONS, _scope(scope))
        return {Partition(*row[:3]): row[3] for row in rows}

    def _end(self, statement: str, values: dict[str, Any], stages: Sequence[StageRow]) -> None:
        """End an attempt, unless somebody else holds the partition by now."""
        with self._transport.transaction() as session:
            ended = session.execute(_composed(statement), self._complete(values), prepare=False)
            if not ended.rowcount:
                return
            for each in stages:
                row = self._complete(values) | asdict(each)
                session.execute(_composed(_KEEP), row, prepare=False)

    def _run(self, statement: str, values: dict[str, Any]) -> None:
        with self._transport.transaction() as session:
            session.execute(_composed(statement), self._complete(values), prepare=False)

    def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._transport.transaction() as session:
            done = session.execute(_composed(statement), self._complete(values), prepare=False)
            return done.fetchall()

    def _complete(self, values: dict[str, Any]) -> dict[str, Any]:
        return values | {"now": self._clock() if self._clock else None, "lease": LEASE_S}


def _composed(statement: str) -> sql.Composed:
    return sql.SQL(statement).format(**_PARTS)


def _given(partitions: Sequence[Partition], origin: str) -> dict[str, Any]:
    return {
        "datasets": [each.dataset for each in partitions],
        "tickers": [each.ticker for each in partitions],
        "sessions": [each.session for each in partitions],
        "origin": origin,
    }


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "datasets": list(scope.datasets),
        "tickers": list(scope.tickers),
        "first": scope.first,
        "last": scope.last,
        "origin": scope.origin,
    }


def _named(claim: Claim, origin: str, owner: str) -> dict[str, Any]:
    return asdict(claim.partition) | {"origin": origin, "owner": owner}
