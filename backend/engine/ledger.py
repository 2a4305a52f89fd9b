"""The books of a paper account: cash, holdings at average price, fees, expiration of options.

Money identities, exact: cash = start + sum of the fills' flows + cash of expirations - fees, and
cash + cost of all holdings = start + realized gains - fees.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.fees import FillTerms, product_of
from engine.paper_state import Booked, Expired, Holding, Unsettled
from engine.trading_hours import day_of
from models.events import Fill
from models.options import OptionContract
from models.order_terms import Side
from models.symbols import INDICES, OCC_LENGTH

if TYPE_CHECKING:
    from engine.fees import FeeSchedule
    from engine.matching import Match
    from engine.paper_state import AccountState, PaperOrder

EXERCISE_FROM = Decimal("0.01")
"""USD in the money from which a long option is exercised at expiration without being asked (the
exercise-by-exception threshold of the Options Clearing Corporation, from memory)."""

_MILLIONTH = Decimal("0.000001")
_ZERO = Decimal(0)


@lru_cache(maxsize=65_536)
def contract_of(symbol: str) -> OptionContract:
    """Return the contract of an OCC symbol."""
    return OptionContract.from_occ(symbol)


def underlying_of(symbol: str) -> str:
    """Return the underlying of an OCC symbol, or the ticker itself."""
    return contract_of(symbol).underlying if len(symbol) == OCC_LENGTH else symbol


def change(state: AccountState, symbol: str, signed: int, value: Decimal, multiplier: int) -> None:
    """Buy into a holding or sell out of it.

    What opens adds to the cost; what closes takes its share of the average cost out and realizes
    the difference; what goes through zero does both.

    Args:
        state: Changes in place.
        symbol: Whose holding.
        signed: Units, sold negative.
        value: USD paid for them, negative of a sale, without fees.
        multiplier: Shares a contract.
    """
    holding = state.holdings.get(symbol)
    if holding is None:
        holding = state.holdings[symbol] = Holding(0, multiplier)
    held = holding.quantity
    holding.updated_ns = state.now_ns
    holding.quantity += signed
    if held == 0 or (held > 0) == (signed > 0):
        holding.cost += value
        return
    closing = min(abs(signed), abs(held))
    paid = value if closing == abs(signed) else _share(value, closing, abs(signed))
    removed = holding.cost if closing == abs(held) else _share(holding.cost, closing, abs(held))
    state.realized[symbol] = state.realized.get(symbol, _ZERO) - paid - removed
    holding.cost += value - paid - removed
    if holding.quantity == 0:
        del state.holdings[symbol]


def _share(amount: Decimal, part: int, whole: int) -> Decimal:
    return (amount * part / whole).quantize(_MILLIONTH, ROUND_HALF_EVEN)


def book(
    state: AccountState,
    order: PaperOrder,
    match: Match,
    fees: FeeSchedule,
    settles_ns: int,
) -> tuple[Fill, ...]:
    """Book a trade of all legs of an order and return its executions, one a leg.

    Fees are rounded on the sum of a leg's executions, each of which is charged the difference: a
    leg costs the same in one piece or in many.
    """
    now, day = state.now_ns, day_of(state.now_ns)
    units = match.units
    fills = []
    for index, (leg, price) in enumerate(zip(order.legs, match.prices, strict=True)):
        count = units * leg.ratio
        signed = leg.sign * count
        value = signed * leg.multiplier * price
        side = Side.BUY if leg.sign > 0 else Side.SELL
        root = leg.symbol[:6].rstrip() if len(leg.symbol) == OCC_LENGTH else leg.symbol
        terms = FillTerms(
            product_of(leg.symbol), root, side, Decimal(count), price, Decimal(leg.multiplier)
        )
        leg.fees_due = leg.fees_due.plus(fees.exact(terms, day))
        total = leg.fees_due.rounded().total
        charged = total - leg.fees_paid
        leg.fees_paid = total
        pay(state, -value - charged, settles_ns)
        state.fees += charged
        change(state, leg.symbol, signed, value, leg.multiplier)
        fill = Fill(
            execution_id=f"{order.order_id}-{order.filled + units}-{index + 1}",
            symbol=leg.symbol,
            side=side,
            quantity=Decimal(count),
            price=price,
            time_ns=now,
            fees=charged,
        )
        state.fills.append(Booked(order.order_id, index, fill))
        fills.append(fill)
    return tuple(fills)


def pay(state: AccountState, amount: Decimal, settles_ns: int) -> None:
    """Move cash that settles later."""
    state.cash += amount
    waiting = state.unsettled
    if waiting and waiting[-1].settles_ns == settles_ns:
        waiting[-1].amount += amount
    else:
        waiting.append(Unsettled(settles_ns, amount))


def settled_cash(state: AccountState, now_ns: int) -> Decimal:
    """Return the cash whose trades have settled, USD; forgets what settled."""
    waiting = state.unsettled
    while waiting and waiting[0].settles_ns <= now_ns:
        del waiting[0]
    return state.cash - sum((item.amount for item in waiting), _ZERO)


def expire(state: AccountState, symbol: str, price: Decimal, settles_ns: int) -> Expired | None:
    """Settle what is held of an expired option at its underlying's price.

    From a cent in the money on, long options are exercised and short ones assigned, all of them;
    those on an index are paid in cash, others bring shares at the strike, to whose cost the
    option's own cost is added. Out of the money they end worthless. Nothing is charged.

    Returns:
        What was booked; None where nothing is held.
    """
    holding = state.holdings.get(symbol)
    if holding is None:
        return None
    if _inner(contract_of(symbol), price) >= EXERCISE_FROM:
        return exercise(state, symbol, abs(holding.quantity), price, settles_ns)
    held = holding.quantity
    cost = _take_out(state, symbol, abs(held))
    state.realized[symbol] = state.realized.get(symbol, _ZERO) - cost
    return _ended(state, Expired(symbol, held, "worthless", price, _ZERO, 0, state.now_ns))


def exercise(
    state: AccountState, symbol: str, quantity: int, price: Decimal, settles_ns: int
) -> Expired:
    """Exercise contracts that are held, or have those that are written assigned, whatever the price.

    Args:
        state: Changes in place.
        symbol: OCC symbol; something of it must be held.
        quantity: Contracts, from 1 to what is held.
        price: Of the underlying, USD: what contracts on an index are paid by.
        settles_ns: When the cash settles.
    """
    holding, contract = state.holdings[symbol], contract_of(symbol)
    call, multiplier = contract.right == "C", holding.multiplier
    count = quantity if holding.quantity > 0 else -quantity
    cost = _take_out(state, symbol, quantity)
    if contract.underlying in INDICES:
        cash = _inner(contract, price) * count * multiplier
        state.realized[symbol] = state.realized.get(symbol, _ZERO) + cash - cost
        done = Expired(symbol, count, "cash", price, cash, 0, state.now_ns)
    else:
        shares = (count if call else -count) * multiplier
        cash = -shares * contract.strike
        change(state, contract.underlying, shares, cost - cash, 1)
        outcome = "exercised" if count > 0 else "assigned"
        done = Expired(symbol, count, outcome, price, cash, shares, state.now_ns)
    if cash:
        pay(state, cash, settles_ns)
    return _ended(state, done)


def _inner(contract: OptionContract, price: Decimal) -> Decimal:
    """Return what a contract is in the money, USD a share; negative out of it."""
    return price - contract.strike if contract.right == "C" else contract.strike - price


def _take_out(state: AccountState, symbol: str, quantity: int) -> Decimal:
    """Take contracts out of a holding, and return their share of its cost."""
    holding = state.holdings[symbol]
    held = abs(holding.quantity)
    if quantity == held:
        del state.holdings[symbol]
        return holding.cost
    cost = _share(holding.cost, quantity, held)
    holding.quantity -= quantity if holding.quantity > 0 else -quantity
    holding.cost -= cost
    holding.updated_ns = state.now_ns
    return cost


def _ended(state: AccountState, done: Expired) -> Expired:
    state.expired.append(done)
    return done
