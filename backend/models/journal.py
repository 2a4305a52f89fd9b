"""What the journal of an account holds: one typed record for each thing that was decided or heard.

A ticket is written before it leaves (`Intent`) and its end after it (`Acknowledged`, `Refused`, or
`Unknown` and later `Settled`); whoever reads the records in their order knows which orders are ours,
which broker ids they own and which of them nobody knows about. A ticket is named by the client order
id of its first order. Times are nanoseconds since 1970-01-01 UTC, by the program's clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from models.events import OrderUpdate  # noqa: TC001 - msgspec reads it at run time


class Outcome(StrEnum):
    """How a ticket whose answer was lost came out."""

    ACCEPTED = "accepted"
    ABSENT = "absent"


class Evidence(StrEnum):
    """What settled a ticket: the broker's order list, the rule about absence, or a person."""

    LOOKUP = "lookup"
    RULE = "rule"
    USER = "user"


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """A program opened the journal; the first record of each file.

    Attributes:
        at_ns: When.
        subject: What the journal is about: hash of the account.
        code: Version of the program and digest of its source.
        pid: Of the program.
    """

    at_ns: int
    subject: str
    code: str
    pid: int


class Intent(msgspec.Struct, frozen=True, kw_only=True, tag="intent"):
    """A ticket is about to leave: from here on it may stand at the broker.

    Attributes:
        at_ns: When.
        ticket_id: Client order id of the ticket's first order.
        ticket: The ticket as JSON (`models.order_groups.OrderTicket`).
        replaces: The broker's id of the order whose place it takes.
    """

    at_ns: int
    ticket_id: str
    ticket: msgspec.Raw
    replaces: str | None = None


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True, tag="acknowledged"):
    """The broker took a ticket, and its order was seen there.

    Attributes:
        at_ns: When.
        ticket_id: Which.
        order_ids: Client order id -> the broker's.
        group_id: The broker's id of the group itself, where it has one of its own.
        tag: The broker's name of the program that entered it: ours, since its answer named it.
    """

    at_ns: int
    ticket_id: str
    order_ids: dict[str, str]
    group_id: str | None = None
    tag: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """A ticket certainly does not stand at the broker: it said no, or nothing reached it.

    Attributes:
        at_ns: When.
        ticket_id: Which.
        reason: Why, in the broker's words if it spoke.
    """

    at_ns: int
    ticket_id: str
    reason: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag="unknown"):
    """Nobody knows whether a ticket stands at the broker, or under which id.

    Attributes:
        at_ns: When.
        ticket_id: Which.
        reason: What was lost.
        accepted: The broker said that it took it, but not under which id.
    """

    at_ns: int
    ticket_id: str
    reason: str
    accepted: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """No rule settles an unknown ticket: a person has to say.

    Attributes:
        at_ns: When.
        ticket_id: Which.
        question: What the person is asked, one sentence.
    """

    at_ns: int
    ticket_id: str
    question: str


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag="settled"):
    """An unknown ticket is known again.

    Attributes:
        at_ns: When.
        ticket_id: Which.
        outcome: It stands there, or it never did.
        by: What says so.
        order_ids: Client order id -> the broker's, of an accepted one.
        group_id: The broker's id of the group itself, where it has one of its own.
    """

    at_ns: int
    ticket_id: str
    outcome: Outcome
    by: Evidence
    order_ids: dict[str, str] = {}
    group_id: str | None = None


class Updated(msgspec.Struct, frozen=True, kw_only=True, tag="updated"):
    """An order of ours changed.

    Attributes:
        at_ns: When it was heard.
        update: What the broker told.
    """

    at_ns: int
    update: OrderUpdate


Record: TypeAlias = Opened | Intent | Acknowledged | Refused | Unknown | Asked | Settled | Updated
"""Any record."""
