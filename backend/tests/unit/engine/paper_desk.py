"""Accounts, orders and quotes for the tests of the paper venue."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.fees import NoFees
from engine.paper import PaperAccount
from models.events import Quote
from models.order_terms import AccountKind, Mode, OrderType, Side
from models.trading import AccountTerms, Leg, Order
from utils.clock import to_ns

CALL = "QQQ   251219C00500000"
CALL_UP = "QQQ   251219C00505000"
PUT = "QQQ   251219P00490000"
PUT_DOWN = "QQQ   251219P00485000"


def at(day: int, hour: int, minute: int = 0, month: int = 12) -> int:
    """A moment of December 2025 in New York's winter time, ns."""
    return to_ns(datetime(2025, month, day, hour, minute, tzinfo=UTC) + timedelta(hours=5))


MORNING = at(15, 10)


def quote(
    symbol: str = "QQQ",
    bid: float | None = 499.99,
    ask: float | None = 500.01,
    time_ns: int = MORNING,
    size: int | None = None,
    **more: Any,
) -> Quote:
    return Quote(
        symbol=symbol, time_ns=time_ns, bid=bid, ask=ask, bid_size=size, ask_size=size, **more
    )


class Desk:
    """An account with short words for what tests do to it."""

    def __init__(self, cash: str = "100000", **changes: Any) -> None:
        fees = changes.pop("fees", NoFees())
        rules = changes.pop("rules", None)
        terms = AccountTerms(
            account_id="hash", kind=changes.pop("kind", AccountKind.MARGIN), **changes
        )
        ids = itertools.count(1001)
        self.account = PaperAccount(
            terms,
            Decimal(cash),
            mode=Mode.PAPER,
            order_ids=lambda: next(ids),
            fees=fees,
            rules=rules,
        )
        self.names = itertools.count(1)

    def order(self, *legs: Leg, quantity: int = 1, **changes: Any) -> Order:
        changes.setdefault("order_type", OrderType.MARKET)
        changes.setdefault("created_at", datetime(2025, 12, 15, 15, tzinfo=UTC))
        for name in ("limit_price", "stop_price"):
            if isinstance(changes.get(name), str):
                changes[name] = Decimal(changes[name])
        return Order(
            client_order_id=f"c{next(self.names)}",
            account_id="hash",
            mode=Mode.PAPER,
            legs=legs,
            quantity=Decimal(quantity),
            **changes,
        )

    def place(self, ticket: Any, now_ns: int = MORNING) -> list[tuple[str, str]]:
        updates = self.account.place(ticket, now_ns)
        return [(update.client_order_id or "", str(update.status)) for update in updates]

    def see(self, *quotes: Quote) -> list[tuple[str, str]]:
        told = [update for seen in quotes for update in self.account.on_quote(seen)]
        return [(update.client_order_id or "", str(update.status)) for update in told]

    def held(self) -> dict[str, int]:
        return {symbol: h.quantity for symbol, h in self.account.state.holdings.items()}

    def state_of(self, order: Order) -> str:
        order_id = self.account.state.client_order_ids[order.client_order_id]
        return str(self.account.state.orders[order_id].status)


def buy(symbol: str = "QQQ", quantity: int = 1, **more: Any) -> Leg:
    return Leg(symbol=symbol, side=Side.BUY, quantity=Decimal(quantity), **more)


def sell(symbol: str = "QQQ", quantity: int = 1, **more: Any) -> Leg:
    return Leg(symbol=symbol, side=Side.SELL, quantity=Decimal(quantity), **more)
