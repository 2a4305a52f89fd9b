"""Decisions and what came of them as rows of the trading tables. Pure."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from models import tables
from models.decisions import CancelAsked, Denied, Ended, Heard, Intended, Signalled
from models.options import OptionContract
from models.order_terms import Side
from models.symbols import OCC_LENGTH
from models.trading import underlying_of
from utils.clock import to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from models.decisions import Decision
    from models.events import Settlement
    from models.order_terms import Mode
    from models.tables import Frame, Table
    from models.trading import Balances, Order, Position
    from utils.journal_chain import Checkpoint

_HUNDRED = Decimal(100)


def _frame(table: Table, rows: Sequence[Mapping[str, Any]]) -> Frame:
    schema = tables.frame_schema(table)
    plain = [{name: row[name] for name in schema} for row in rows]
    return pl.DataFrame(plain, schema=schema, orient="row")


def order_rows(orders: Iterable[Order]) -> Frame:
    """Return orders as `ORDERS`."""
    rows = []
    for order in orders:
        legs = [leg.model_dump(mode="json") for leg in order.legs]
        rows.append(order.model_dump() | {"legs": json.dumps(legs)})
    return _frame(tables.ORDERS, rows)


def position_rows(positions: Iterable[Position]) -> Frame:
    """Return holdings as `POSITIONS`."""
    return _frame(tables.POSITIONS, [each.model_dump() for each in positions])


def balance_rows(balances: Balances) -> Frame:
    """Return an account's balances as one row of `ACCOUNT_SNAPSHOTS`."""
    return _frame(tables.ACCOUNT_SNAPSHOTS, [balances.model_dump()])


def checkpoint_rows(account_id: str, day: date, point: Checkpoint, at_ns: int) -> Frame:
    """Return a journal's check-point as one row of `JOURNAL_CHECKPOINTS`."""
    row = {"account_id": account_id, "session": day, "seq": point.seq, "hash": point.digest}
    return _frame(tables.JOURNAL_CHECKPOINTS, [row | {"ts": to_time(at_ns)}])


def attribution_rows(
    account_id: str, mode: Mode, days: Mapping[tuple[date, str], Mapping[str, Decimal]]
) -> Frame:
    """Return where gains came from as `PNL_ATTRIBUTION`.

    Args:
        account_id: Hash of the account.
        mode: How it trades.
        days: Session and underlying -> USD by column.
    """
    rows = [
        {"account_id": account_id, "mode": mode, "session": day, "underlying": underlying, **parts}
        for (day, underlying), parts in days.items()
    ]
    return _frame(tables.PNL_ATTRIBUTION, rows)


class TradeRows:
    """Turns decisions, in their order, into rows of signals, order events and trades.

    Args:
        account_id: Hash of the account.
        mode: How the run trades.
    """

    def __init__(self, account_id: str, mode: Mode) -> None:
        self._account_id = account_id
        self._mode = mode
        self._told: Counter[str] = Counter()
        self._signals: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._trades: list[dict[str, Any]] = []

    def add(self, decision: Decision) -> None:
        """Take the next decision."""
        if isinstance(decision, Signalled):
            self._signals.append(self._signal(decision))
        elif isinstance(decision, Intended):
            detail = {"ticket": json.loads(bytes(decision.ticket)), "replaces": decision.replaces}
            self._event(decision.ticket_id, decision.at_ns, "intent", detail)
        elif isinstance(decision, Denied):
            detail = {
                "rule": decision.rule,
                "limit": decision.limit,
                "value": decision.value,
                "message": decision.message,
            }
            self._event(decision.ticket_id, decision.at_ns, "denied", detail)
        elif isinstance(decision, CancelAsked):
            detail = {"by": decision.by}
            self._event(decision.client_order_id, decision.at_ns, "cancel", detail)
        elif isinstance(decision, Heard):
            self._heard(decision)
        elif isinstance(decision, Ended):
            self._ended(decision.settlement)

    def take(self) -> dict[str, Frame]:
        """Return the rows of what was added since the last time, by table."""
        taken = {
            "signals": _frame(tables.SIGNALS, self._signals),
            "order_events": _frame(tables.ORDER_EVENTS, self._events),
            "trades": _frame(tables.TRADES, self._trades),
        }
        self._signals, self._events, self._trades = [], [], []
        return taken

    def _signal(self, decision: Signalled) -> dict[str, Any]:
        return {
            "signal_id": decision.signal_id,
            "strategy": decision.strategy,
            "mode": self._mode,
            "symbol": decision.symbol,
            "ts": to_time(decision.at_ns),
            "action": decision.action,
            "detail": bytes(decision.why).decode(),
        }

    def _event(self, client_order_id: str, at_ns: int, event: str, detail: object) -> None:
        self._told[client_order_id] += 1
        self._events.append(
            {
                "client_order_id": client_order_id,
                "sequence": self._told[client_order_id],
                "ts": to_time(at_ns),
                "event": event,
                "detail": json.dumps(detail),
            }
        )

    def _heard(self, decision: Heard) -> None:
        update = decision.update
        name = update.client_order_id or ""
        detail = {"order_id": update.order_id, "filled": _text(update.filled_quantity)}
        if update.reason:
            detail["reason"] = update.reason
        self._event(name, decision.at_ns, update.status.value.lower(), detail)
        for fill in update.fills:
            row = self._trade(fill.execution_id, fill.symbol, fill.time_ns)
            row |= {
                "client_order_id": name,
                "order_id": update.order_id,
                "signed_quantity": fill.quantity if fill.side is Side.BUY else -fill.quantity,
                "price": fill.price,
                "fees": fill.fees,
            }
            self._trades.append(row)

    def _ended(self, ended: Settlement) -> None:
        """Take the end of options as trades: out of the contracts, into the shares if there are."""
        name = f"expiration-{ended.settlement_id}"
        contract = OptionContract.from_occ(ended.symbol)
        option = self._trade(f"{name}-option", ended.symbol, ended.time_ns) | {
            "signed_quantity": -ended.quantity,
            "price": ended.cash / _HUNDRED,
        }
        self._trades.append(option | {"client_order_id": name, "order_id": None, "fees": 0})
        if ended.shares:
            shares = self._trade(f"{name}-shares", contract.underlying, ended.time_ns) | {
                "signed_quantity": ended.shares,
                "price": contract.strike,
            }
            self._trades.append(shares | {"client_order_id": name, "order_id": None, "fees": 0})

    def _trade(self, execution_id: str, symbol: str, time_ns: int) -> dict[str, Any]:
        ts = to_time(time_ns)
        return {
            "execution_id": execution_id,
            "account_id": self._account_id,
            "mode": self._mode,
            "symbol": symbol,
            "underlying": underlying_of(symbol),
            "session": ts.astimezone(NEW_YORK).date(),
            "ts": ts,
            "multiplier": _HUNDRED if len(symbol) == OCC_LENGTH else Decimal(1),
        }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
