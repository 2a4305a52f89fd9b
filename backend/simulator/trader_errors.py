"""Refusals in the words of the Trader API: a message, and nothing else."""

from __future__ import annotations

from simulator import trader_facts as facts
from simulator.wire_errors import Refusal


def malformed(message: str) -> Refusal:
    """Return the answer to a request that cannot be understood."""
    return Refusal(400, {"message": message})


def invalid_value(value: object) -> Refusal:
    """Return the answer to a word that is none of its enumeration."""
    return malformed(facts.INVALID_VALUE.format(value=value))


def not_there(message: str) -> Refusal:
    """Return the answer to an account, an order or a transaction that does not exist."""
    return Refusal(404, {"message": message})
