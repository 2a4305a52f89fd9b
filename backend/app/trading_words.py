"""What a trading session says, in words and tables for people."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from app.order_words import instrument, order_words, price, ticket_words
from engine.attribution import Attributed
from models.decisions import (
    Alarmed,
    Began,
    CancelAsked,
    Denied,
    Ended,
    Halted,
    Heard,
    Intended,
    LimitsRead,
    Restrained,
    Signalled,
)
from models.order_groups import read_ticket
from models.order_terms import OrderStatus, Side

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from models.decisions import Decision
    from models.events import Settlement
    from models.trading import Order, Position

_GOOD, _BAD, _DIM = "green", "red", "dim"


def money(value: Decimal | float | None) -> str:
    """Return USD for people, `-` for nothing."""
    return "-" if value is None else f"{value:,.2f}"


def coloured(value: Decimal) -> Text:
    """Return a gain in green and a loss in red."""
    return Text(f"{value:+,.2f}", _GOOD if value > 0 else _BAD if value < 0 else "")


def decision_words(decision: Decision) -> Text | None:
    """Return a decision for people, or None where it is not worth a line."""
    match decision:
        case Began():
            words = None
        case Signalled():
            words = _signalled(decision)
        case Intended():
            words = _intended(decision)
        case Heard():
            words = _heard(decision)
        case Denied():
            words = Text(f"denied by {decision.rule}: {decision.message}", _BAD)
        case CancelAsked():
            words = Text(f"cancel {_number(decision.client_order_id)} for {decision.by}", _DIM)
        case Ended():
            words = _ended(decision.settlement)
        case _:
            words = _warned(decision)
    return words


def _signalled(decision: Signalled) -> Text | None:
    """Return what a strategy saw; where it gives no reason, the order tells all."""
    why = json.loads(bytes(decision.why))
    told = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in why.items())
    return Text(f"wants to {decision.action.lower()}: {told}", _DIM) if told else None


def _intended(decision: Intended) -> Text:
    ticket = read_ticket(bytes(decision.ticket))
    place = "" if decision.replaces is None else f"in place of {_number(decision.replaces)}: "
    return Text(f"{_number(decision.ticket_id)} {place}{ticket_words(ticket)}")


def _warned(decision: Alarmed | Halted | LimitsRead | Restrained) -> Text:
    if isinstance(decision, Alarmed):
        return Text(f"ALARM {decision.code}: {decision.message}", "bold red")
    if isinstance(decision, LimitsRead):
        return Text(f"limits: {decision.message}", _GOOD if decision.taken else _BAD)
    if isinstance(decision, Restrained):
        said = f"closing only: {decision.reason}" if decision.reason else "all orders leave again"
        return Text(f"{said} ({decision.source})", _BAD if decision.reason else _GOOD)
    flat = ", what is held is closed" if decision.flatten else ""
    what = f"STOPPED by {decision.by}: {decision.reason}{flat}"
    return Text(what if decision.reason else f"trading goes on, by {decision.by}", "bold red")


def gains_words(gains: Iterable[Attributed]) -> Text:
    """Return where gains came from: `gained by delta +1.20, gamma -0.40, ...`, USD."""
    total = Attributed()
    for each in gains:
        total.add(each)
    words = Text("gained by", _DIM)
    for part in fields(total):
        if usd := getattr(total, part.name):
            words.append(f" {part.name} ").append(coloured(usd))
    return words


def ended_words(ended: Settlement) -> str:
    """Return what became of an option for people: `-1 QQQ 20 Nov 600 P assigned: +100 shares`."""
    what = f"{ended.quantity.normalize():+f} {instrument(ended.symbol)} {ended.outcome}"
    if ended.shares:
        what += f": {ended.shares.normalize():+f} shares"
    elif ended.cash:
        what += f": {money(ended.cash * ended.quantity)} USD"
    return what


def _ended(ended: Settlement) -> Text:
    return Text(ended_words(ended), _GOOD if ended.outcome == "worthless" else "yellow")


def _heard(decision: Heard) -> Text | None:
    update = decision.update
    name = _number(update.client_order_id or "")
    if update.fills:
        parts = [
            f"{'bought' if fill.side is Side.BUY else 'sold'} {fill.quantity.normalize():f} "
            f"{instrument(fill.symbol)} at {price(fill.price)}"
            for fill in update.fills
        ]
        return Text(f"{name} filled: {'; '.join(parts)}", _GOOD)
    if update.status in {OrderStatus.REJECTED, OrderStatus.UNKNOWN, OrderStatus.EXPIRED}:
        return Text(f"{name} {update.status.lower()}: {update.reason or 'no reason given'}", _BAD)
    if update.status in {OrderStatus.SUBMITTED, OrderStatus.REPLACED}:
        return None  # the order itself was told when it left, and what took its place, too
    return Text(f"{name} {update.status.lower()}", _DIM)


def _number(client_order_id: str) -> str:
    """Return an order's name for people: #3 of p261120-6420ed-3."""
    return f"#{client_order_id.rpartition('-')[2]}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def positions_table(positions: Iterable[Position]) -> Table:
    """Return what is held as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="positions", title_justify="left")
    table.add_column("instrument", no_wrap=True)
    for name in ("held", "paid", "mark", "open P&L", "realised"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in positions:
        held, gain = each.signed_quantity, each.unrealized_pnl
        table.add_row(
            instrument(each.symbol),
            f"{held.normalize():+f}" if held else "-",
            money(each.average_price if held else None),
            money(each.mark if held else None),
            coloured(gain) if held and gain is not None else Text("-"),
            coloured(each.realized_pnl),
        )
    return table


def orders_table(orders: Iterable[Order]) -> Table:
    """Return orders as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="orders", title_justify="left")
    for name in ("order", "status"):
        table.add_column(name)
    for each in orders:
        table.add_row(order_words(each), each.status.lower())
    return table
