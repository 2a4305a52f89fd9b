"""What a run decided, as one hash: equal in backtest, paper and live where the decisions are equal.

What differs from run to run without being a decision is left out: ids, which stand for the number of
the order in the run, and times; what the broker said is none either.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from models.decisions import CancelAsked, Denied, Intended, Restrained, Signalled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.decisions import Decision

_OF_A_RUN = frozenset(
    {"client_order_id", "order_id", "account_id", "mode", "created_at", "updated_at"}
)


def decision_lines(decisions: Iterable[Decision]) -> Iterator[str]:
    """Yield each decision as one line of JSON: event number, what it is, and its terms."""
    numbers: dict[str, int] = {}
    for each in decisions:
        if isinstance(each, Signalled):
            what = [each.action, each.symbol, json.loads(bytes(each.why))]
        elif isinstance(each, Denied):
            what = [each.rule]
        elif isinstance(each, Intended):
            replaced = None if each.replaces is None else _number(numbers, each.replaces)
            what = [_terms(json.loads(bytes(each.ticket)), numbers), replaced]
        elif isinstance(each, CancelAsked):
            what = [_number(numbers, each.client_order_id)]
        elif isinstance(each, Restrained):
            what = [each.source, bool(each.reason)]
        else:
            continue
        kind = type(each).__name__
        yield json.dumps([each.event, kind, *what], sort_keys=True, separators=(",", ":"))


def decision_digest(decisions: Iterable[Decision]) -> str:
    """Return the SHA-256 over the lines of decisions, hexadecimal."""
    digest = hashlib.sha256()
    for line in decision_lines(decisions):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _terms(ticket: Any, numbers: dict[str, int]) -> Any:
    """Return a ticket without what belongs to the run; its orders are numbered on the way."""
    if isinstance(ticket, list):
        return [_terms(each, numbers) for each in ticket]
    if not isinstance(ticket, dict):
        return ticket
    if "client_order_id" in ticket:
        _number(numbers, ticket["client_order_id"])
    return {name: _terms(each, numbers) for name, each in ticket.items() if name not in _OF_A_RUN}


def _number(numbers: dict[str, int], client_order_id: str) -> int:
    return numbers.setdefault(client_order_id, len(numbers) + 1)
