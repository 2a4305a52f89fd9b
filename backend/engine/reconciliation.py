"""What the journal says against what the broker says. Pure.

There comes of it: news that was missed, options that expired or were assigned, orders of others,
differences that nobody can explain.

Absence from a list is no cancel: an order of ours that left and that the broker does not show is a
difference. What was written down and never left is certain: it does not stand there.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from engine import removals
from models.events import Fill, OrderUpdate
from models.order_terms import OrderStatus, Side
from utils.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from engine.cash import CashMove
    from engine.order_book import OrderBook
    from models.events import Settlement
    from models.trading import Order, Position, Trade

_ZERO = Decimal(0)

SAME_TIME_NS = 60 * 1_000_000_000
"""Two clocks, and times in whole seconds: what lies closer together is told apart by its id."""


class Reconciled(NamedTuple):
    """What came of it.

    Attributes:
        updates: News of our orders that we had missed, to be booked.
        external: Orders that others entered: labelled, and left alone.
        differences: What cannot be explained, a sentence each; trading does not begin with one.
        others: What the account holds that is not ours, units by symbol.
        seen: Executions of others that `others` has in it, as far as their times could leave that
            open to the next one who looks, and all settlements.
        settled: Our part of what expired, was exercised or assigned, to be booked.
        cash: USD that the broker has told, of all that the account does; None: it was not asked.
    """

    updates: list[OrderUpdate]
    external: list[Order]
    differences: list[str]
    others: dict[str, Decimal]
    seen: tuple[str, ...] = ()
    settled: Sequence[Settlement] = ()
    cash: Decimal | None = None


class Told(NamedTuple):
    """What a broker says of an account.

    Attributes:
        orders: Those entered since the time that was asked for, newest state.
        fills: Executions since then.
        positions: What is held.
        left: Client order ids of orders that left this machine, or may have.
        settlements: What left the account without an order, as far back as it was asked for.
        cash: USD; None: it was not asked for.
        moves: What its transactions moved, where they were asked for.
    """

    orders: Sequence[Order]
    fills: Sequence[Trade]
    positions: Sequence[Position]
    left: Collection[str] = ()
    settlements: Sequence[Settlement] = ()
    cash: Decimal | None = None
    moves: Sequence[CashMove] = ()


class Baseline(NamedTuple):
    """What an account held that is not ours, at the newest time when that was certain.

    Attributes:
        at_ns: When.
        holdings: Units by symbol, short negative.
        seen: Executions of others that the holdings have in them, of the last while before, and
            settlements.
        cash: USD in the whole account; None where nobody noted it.
        gross: What our fills had moved of it until then, USD without fees.
    """

    at_ns: int
    holdings: Mapping[str, Decimal]
    seen: Collection[str] = ()
    cash: Decimal | None = None
    gross: Decimal = _ZERO


def reconcile(  # noqa: PLR0913 - both sides, and what is known of them
    book: OrderBook,
    held: Mapping[str, Decimal],
    told: Told,
    now_ns: int,
    baseline: Baseline | None = None,
    *,
    booked: Mapping[str, Decimal] = MappingProxyType({}),
) -> Reconciled:
    """Compare a run's orders and holdings with what the broker says.

    Args:
        book: Our orders, as the journal has them.
        held: Our units by symbol, as the journal has them, short negative.
        told: What the broker says.
        now_ns: Stamped on the news.
        baseline: What of the account is not ours; None takes whatever it holds beside ours.
        booked: Settlement id -> units of it that are booked as ours.
    """
    fills: dict[str, list[Trade]] = {}
    for trade in told.fills:
        fills.setdefault(trade.client_order_id, []).append(trade)
    updates, external, shown = [], [], set()
    for order in told.orders:
        name = order.client_order_id
        state = book.states.get(name)
        if state is None:
            external.append(order)
            continue
        shown.add(name)
        missed = [each for each in fills.get(name, ()) if each.execution_id not in state.fills]
        if missed or order.status is not state.order.status or state.order.order_id is None:
            updates.append(_update(order, missed, now_ns))
    differences = []
    for order in book.working():
        if order.client_order_id in shown:
            continue
        if order.client_order_id not in told.left:
            updates.append(_never_there(order, now_ns))
        elif order.status is not OrderStatus.UNKNOWN:
            differences.append(
                f"order {order.client_order_id} ({order.order_id or 'no id'}) is "
                f"{order.status} here, and the broker does not show it"
            )
    ours = _with_fills(held, updates)
    gone = removals.part(told.settlements, ours, booked, () if baseline is None else baseline.seen)
    ours = _plus(ours, gone.own_change)
    there = {each.symbol: each.signed_quantity for each in told.positions}
    others = _less(there, ours)
    if baseline is not None:
        differences += _unexplained(others, baseline, gone.other_change, told, book)
    strangers = (each for each in told.fills if each.client_order_id not in book.states)
    seen = tuple(
        each.execution_id for each in strangers if to_ns(each.ts) > now_ns - 2 * SAME_TIME_NS
    )
    seen += tuple(each.settlement_id for each in told.settlements)
    return Reconciled(updates, external, differences, others, seen, gone.ours, told.cash)


def _update(order: Order, missed: Iterable[Trade], now_ns: int) -> OrderUpdate:
    return OrderUpdate(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        status=order.status,
        time_ns=now_ns,
        filled_quantity=order.filled_quantity,
        fills=tuple(_fill(trade, now_ns) for trade in missed),
    )


def _fill(trade: Trade, now_ns: int) -> Fill:
    return Fill(
        execution_id=trade.execution_id,
        symbol=trade.symbol,
        side=Side.BUY if trade.signed_quantity > 0 else Side.SELL,
        quantity=abs(trade.signed_quantity),
        price=trade.price,
        time_ns=min(now_ns, to_ns(trade.ts)),
        fees=trade.fees,
    )


def _never_there(order: Order, now_ns: int) -> OrderUpdate:
    return OrderUpdate(
        order_id=None,
        client_order_id=order.client_order_id,
        status=OrderStatus.REJECTED,
        time_ns=now_ns,
        reason="it never reached the broker",
    )


def _with_fills(held: Mapping[str, Decimal], updates: Iterable[OrderUpdate]) -> dict[str, Decimal]:
    after = dict(held)
    for update in updates:
        for fill in update.fills:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            after[fill.symbol] = after.get(fill.symbol, _ZERO) + signed
    return after


def _plus(held: Mapping[str, Decimal], change: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {
        symbol: held.get(symbol, _ZERO) + change.get(symbol, _ZERO) for symbol in {**held, **change}
    }


def _less(there: Mapping[str, Decimal], ours: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what is there and not ours, or ours and not there (negative)."""
    rest = {
        symbol: there.get(symbol, _ZERO) - ours.get(symbol, _ZERO)
        for symbol in sorted({*there, *ours})
    }
    return {symbol: quantity for symbol, quantity in rest.items() if quantity}


def trades_of_others(baseline: Baseline, told: Told, book: OrderBook) -> list[Trade]:
    """Return the executions of others since the baseline."""
    return [
        trade
        for trade in told.fills
        if to_ns(trade.ts) > baseline.at_ns - SAME_TIME_NS
        and trade.execution_id not in baseline.seen
        and trade.client_order_id not in book.states
    ]


def _unexplained(
    others: Mapping[str, Decimal],
    baseline: Baseline,
    gone: Mapping[str, Decimal],
    told: Told,
    book: OrderBook,
) -> list[str]:
    """Return a sentence for each holding that no fill or settlement, ours or others', explains."""
    expected = _plus(baseline.holdings, gone)
    for trade in trades_of_others(baseline, told, book):
        expected[trade.symbol] = expected.get(trade.symbol, _ZERO) + trade.signed_quantity
    return [
        f"{symbol}: beside our own, fills come to {expected.get(symbol, _ZERO)} and the broker "
        f"holds {others.get(symbol, _ZERO)}"
        for symbol in sorted({*expected, *others})
        if expected.get(symbol, _ZERO) != others.get(symbol, _ZERO)
    ]
