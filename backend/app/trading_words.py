"""What a trading session says, in words and tables for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from models.decisions import (
    Alarmed,
    Began,
    CancelAsked,
    Denied,
    Halted,
    Heard,
    Intended,
    LimitsRead,
    Restrained,
    Signalled,
)
from models.options import OptionContract
from models.order_terms import OrderStatus, Side
from models.symbols import OCC_LENGTH

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


def instrument(symbol: str) -> str:
    """Return an instrument for people: `QQQ 20 Nov 600 P`."""
    if len(symbol) != OCC_LENGTH:
        return symbol
    contract = OptionContract.from_occ(symbol)
    strike = f"{contract.strike.normalize():f}"
    return f"{contract.root} {contract.expiration:%d %b} {strike} {contract.right}"


def order_words(order: Order) -> str:
    """Return an order for people: `2 x sell QQQ 20 Nov 600 P, buy ... at -1.25`."""
    legs = ", ".join(
        f"{'buy' if leg.side is Side.BUY else 'sell'} "
        f"{'' if leg.quantity == 1 else f'{leg.quantity.normalize():f} '}{instrument(leg.symbol)}"
        for leg in order.legs
    )
    price = "at the market" if order.limit_price is None else f"at {order.limit_price}"
    return f"{order.quantity.normalize():f} x {legs} {price}"


def decision_words(decision: Decision) -> Text | None:
    """Return a decision for people, or None where it is not worth a line."""
    if isinstance(decision, Signalled):
        why = json.loads(bytes(decision.why))
        told = ", ".join(f"{name} {_short(value)}" for name, value in why.items())
        return Text(f"{decision.action} {instrument(decision.symbol)}  {told}", _DIM)
    if isinstance(decision, Denied):
        return Text(f"denied by {decision.rule}: {decision.message}", _BAD)
    if isinstance(decision, CancelAsked):
        return Text(f"cancel {_number(decision.client_order_id)} for {decision.by}", _DIM)
    if isinstance(decision, Alarmed | Halted | LimitsRead | Restrained):
        return _warned(decision)
    if isinstance(decision, Intended | Began):
        return None
    return _heard(decision) if isinstance(decision, Heard) else _ended(decision.settlement)


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


def _ended(ended: Settlement) -> Text:
    what = f"{ended.quantity.normalize():+f} {instrument(ended.symbol)} {ended.outcome}"
    if ended.shares:
        what += f": {ended.shares.normalize():+f} shares"
    elif ended.cash:
        what += f": {money(ended.cash * ended.quantity)} USD"
    return Text(what, _GOOD if ended.outcome == "worthless" else "yellow")


def _heard(decision: Heard) -> Text | None:
    update = decision.update
    name = _number(update.client_order_id or "")
    if update.fills:
        parts = [
            f"{'bought' if fill.side is Side.BUY else 'sold'} {fill.quantity.normalize():f} "
            f"{instrument(fill.symbol)} at {fill.price}"
            for fill in update.fills
        ]
        return Text(f"{name} filled: {'; '.join(parts)}", _GOOD)
    if update.status in {OrderStatus.REJECTED, OrderStatus.UNKNOWN, OrderStatus.EXPIRED}:
        return Text(f"{name} {update.status.lower()}: {update.reason or 'no reason given'}", _BAD)
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
        gain = each.unrealized_pnl
        table.add_row(
            instrument(each.symbol),
            f"{each.signed_quantity.normalize():+f}",
            money(each.average_price),
            money(each.mark),
            Text("-") if gain is None else coloured(gain),
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
