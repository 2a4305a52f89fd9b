"""What an engine decided, record by record: the same in backtest, paper and live.

Each record names the number of the event that led to it, counted from 1 over all events of a run.
Two runs over equal events write equal records, byte by byte, where the run's id is equal: no wall
time, no process and no order of sets is in them.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads it at run time
from typing import TypeAlias

import msgspec

from models.events import OrderUpdate, Settlement  # noqa: TC001 - msgspec reads them at run time
from models.order_terms import Mode, SignalAction  # noqa: TC001 - the same


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """A run began, squared with the broker.

    Attributes:
        event: 0.
        at_ns: Market time.
        strategy: Its name.
        mode: How it trades.
        parameters: Of the strategy, JSON.
        limits: Of the risk gate, JSON.
        others: What the account held that is not ours, units by symbol.
        seen: Executions of others shortly before, which `others` has in it.
        cash: USD in the whole account; None where nobody asked.
    """

    event: int
    at_ns: int
    strategy: str
    mode: Mode
    parameters: msgspec.Raw
    limits: msgspec.Raw
    others: dict[str, Decimal] = {}
    seen: tuple[str, ...] = ()
    cash: Decimal | None = None


class Signalled(msgspec.Struct, frozen=True, kw_only=True, tag="signal", gc=False):
    """A strategy wants something.

    Attributes:
        event: Number of the event it had seen last.
        at_ns: Market time.
        signal_id: Client order id of the first order that comes of it.
        strategy: Its name.
        symbol: What it trades: the first leg's symbol.
        action: Open, close or hold.
        why: What the strategy saw, JSON object.
    """

    event: int
    at_ns: int
    signal_id: str
    strategy: str
    symbol: str
    action: SignalAction
    why: msgspec.Raw


class Denied(msgspec.Struct, frozen=True, kw_only=True, tag="denied", gc=False):
    """The risk gate let a ticket not pass; nothing left.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        ticket_id: Client order id of its first order.
        rule: Code of the rule.
        limit: What the rule allows.
        value: What the ticket would have made of it.
        message: One sentence.
    """

    event: int
    at_ns: int
    ticket_id: str
    rule: str
    limit: str
    value: str
    message: str


class Intended(msgspec.Struct, frozen=True, kw_only=True, tag="intended", gc=False):
    """A ticket passed the gate and goes to the broker next.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        ticket_id: Client order id of its first order.
        ticket: The ticket as JSON (`models.order_groups.OrderTicket`).
        replaces: Client order id of the order whose place it takes.
    """

    event: int
    at_ns: int
    ticket_id: str
    ticket: msgspec.Raw
    replaces: str | None = None


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", gc=False):
    """An order of ours is to be canceled.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        client_order_id: Which.
        by: The strategy's name, or the rule or command that wants it.
    """

    event: int
    at_ns: int
    client_order_id: str
    by: str


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag="heard", gc=False):
    """News of an order of ours, as it was booked.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        update: The news.
    """

    event: int
    at_ns: int
    update: OrderUpdate


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """Options that were held came to their end, as it was booked.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        settlement: What became of them.
    """

    event: int
    at_ns: int
    settlement: Settlement


class Restrained(msgspec.Struct, frozen=True, kw_only=True, tag="restrained"):
    """From here on only what closes may leave, or all again.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        source: Who says so.
        reason: One sentence; empty: all again.
    """

    event: int
    at_ns: int
    source: str
    reason: str


class Halted(msgspec.Struct, frozen=True, kw_only=True, tag="halted"):
    """The kill switch was thrown, or a person let trading go on.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        by: Who did it.
        reason: One sentence; empty lets trading go on.
        flatten: Whether what is held is closed.
    """

    event: int
    at_ns: int
    by: str
    reason: str
    flatten: bool = False


class Alarmed(msgspec.Struct, frozen=True, kw_only=True, tag="alarm", gc=False):
    """Something that a person should look at now.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        code: What kind: pin_risk, early_assignment, cannot_close, short_at_cut_off.
        symbol: About which instrument.
        message: One sentence.
    """

    event: int
    at_ns: int
    code: str
    symbol: str
    message: str


class LimitsRead(msgspec.Struct, frozen=True, kw_only=True, tag="limits"):
    """The file of risk limits was changed while the run went on.

    Attributes:
        event: Number of the event.
        at_ns: Market time.
        taken: Whether the new limits count from now on.
        message: One sentence: what was tightened, or why nothing changes.
        limits: Those that count now, JSON.
    """

    event: int
    at_ns: int
    taken: bool
    message: str
    limits: msgspec.Raw


Decision: TypeAlias = (
    Began
    | Signalled
    | Denied
    | Intended
    | CancelAsked
    | Heard
    | Ended
    | Restrained
    | Halted
    | Alarmed
    | LimitsRead
)
"""What a decision journal holds."""
