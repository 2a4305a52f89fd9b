"""Orders by their usual names: verticals, condors, collars, brackets. Broker-neutral and pure.

```python
order(terms, vertical(buy=low, sell=high), quantity=Decimal(2), limit_price=Decimal("1.25"))
order(terms, closed(vertical(buy=low, sell=high)), limit_price=Decimal("-1.60"))
```

A strategy's function returns its legs, opening, and refuses contracts that contradict its name;
`closed` returns the legs that undo them; `order` makes the order. A price of several legs is what
one unit costs: above 0 a debit, below 0 a credit, 0 even, None at the market.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from models.base import Model, Money, Time, read
from models.errors import DataError
from models.options import OptionContract
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import (
    Mode,
    OrderStatus,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
)
from models.trading import AccountId, Leg, Order, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

Legs: TypeAlias = tuple[Leg, ...]

_ONE = Decimal(1)
_HUNDRED = Decimal(100)


class Terms(Model):
    """What an order says beside its legs and prices.

    `Terms(...).model_copy(update={"client_order_id": ...})` serves for the next order.
    """

    client_order_id: Text
    """Ours, unique."""

    account_id: AccountId
    """Hash of the account."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    created_at: Time
    """Market time."""

    strategy: Text = "manual"
    """Name of the strategy, or manual."""

    time_in_force: TimeInForce = TimeInForce.DAY
    """DAY, GOOD_TILL_CANCEL, ..."""

    hours: TradingHours = TradingHours.REGULAR
    """In which part of the day it may trade."""


def leg(symbol: str, side: Side, quantity: Decimal = _ONE) -> Leg:
    """Return a leg that opens a position.

    Raises:
        DataError: The symbol or the quantity is none.
    """
    opening = PositionEffect.OPENING
    given = {"symbol": symbol, "side": side, "quantity": quantity, "position_effect": opening}
    return read(Leg, given)


def order(  # noqa: PLR0913 - an order's own parts
    terms: Terms,
    legs: Sequence[Leg],
    *,
    quantity: Decimal = _ONE,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
    order_type: OrderType | None = None,
) -> Order:
    """Return an order of any legs, its type chosen by prices and legs unless given.

    Args:
        terms: What it says beside.
        legs: Each in its quantity a unit.
        quantity: Units.
        limit_price: USD a unit; of several legs debit positive, credit negative.
        stop_price: USD, of one leg alone.
        order_type: Where the prices do not tell: TRAILING_STOP is built by `Order` itself.

    Raises:
        DataError: The parts do not fit; one sentence says which.
    """
    given: dict[str, Any] = terms.model_dump() | {
        "legs": tuple(legs),
        "quantity": quantity,
        "limit_price": limit_price,
        "stop_price": stop_price,
        "order_type": order_type or _type_of(len(legs), limit_price, stop_price),
    }
    return read(Order, given)


def closed(legs: Legs) -> Legs:
    """Return the legs that undo others."""
    change = {"position_effect": PositionEffect.CLOSING}
    return tuple(one.model_copy(update=change | {"side": _other(one.side)}) for one in legs)


def vertical(*, buy: str, sell: str) -> Legs:
    """Return a vertical: one strike bought, another of the same right and expiration sold.

    Raises:
        DataError: The two are no vertical.
    """
    fits = _one_series(_contract(buy), _contract(sell))
    _must("a vertical", fits, "two strikes of one right and expiration")
    return leg(buy, Side.BUY), leg(sell, Side.SELL)


def back_ratio(*, buy: str, sell: str, ratio: Decimal = Decimal(2)) -> Legs:
    """Return a back ratio: `ratio` of one strike bought for each of another one sold.

    Raises:
        DataError: The two are no strikes of one series.
    """
    fits = _one_series(_contract(buy), _contract(sell)) and ratio != _ONE
    _must("a back ratio", fits, "two strikes of one right and expiration in unequal numbers")
    return leg(sell, Side.SELL), leg(buy, Side.BUY, ratio)


def calendar(*, buy: str, sell: str) -> Legs:
    """Return a calendar: one expiration bought, another of the same right and strike sold.

    Raises:
        DataError: The two are no calendar.
    """
    bought, sold = _contract(buy), _contract(sell)
    fits = _related(bought, sold) and bought.strike == sold.strike
    _must("a calendar", fits, "two expirations of one right and strike")
    return leg(buy, Side.BUY), leg(sell, Side.SELL)


def diagonal(*, buy: str, sell: str) -> Legs:
    """Return a diagonal: another expiration and another strike of the same right.

    Raises:
        DataError: The two are no diagonal.
    """
    bought, sold = _contract(buy), _contract(sell)
    fits = _related(bought, sold) and bought.strike != sold.strike
    _must("a diagonal", fits, "two expirations and two strikes of one right")
    return leg(buy, Side.BUY), leg(sell, Side.SELL)


def straddle(*, call: str, put: str, side: Side = Side.BUY) -> Legs:
    """Return a straddle: a call and a put of one strike and expiration, both bought or both sold.

    Raises:
        DataError: The two are no straddle.
    """
    one, other = _contract(call), _contract(put)
    fits = _call_and_put(one, other) and one.strike == other.strike
    _must("a straddle", fits, "a call and a put of one strike and expiration")
    return leg(call, side), leg(put, side)


def strangle(*, call: str, put: str, side: Side = Side.BUY) -> Legs:
    """Return a strangle: a call and a put of one expiration and two strikes, on the same side.

    Raises:
        DataError: The two are no strangle.
    """
    one, other = _contract(call), _contract(put)
    fits = _call_and_put(one, other) and one.strike != other.strike
    _must("a strangle", fits, "a call and a put of one expiration and two strikes")
    return leg(call, side), leg(put, side)


def butterfly(strikes: Sequence[str], *, side: Side = Side.BUY) -> Legs:
    """Return a butterfly: the outer two of three strikes once, the middle one twice against them.

    Args:
        strikes: Three contracts of one right and expiration, lowest strike first.
        side: Of the wings.

    Raises:
        DataError: The three are no butterfly.
    """
    _check_ladder("a butterfly", strikes, 3)
    low, body, high = strikes
    return leg(low, side), leg(body, _other(side), Decimal(2)), leg(high, side)


def condor(strikes: Sequence[str], *, side: Side = Side.BUY) -> Legs:
    """Return a condor: the outer two of four strikes against the inner two.

    Args:
        strikes: Four contracts of one right and expiration, lowest strike first.
        side: Of the outer two.

    Raises:
        DataError: The four are no condor.
    """
    _check_ladder("a condor", strikes, 4)
    sides = (side, _other(side), _other(side), side)
    return tuple(leg(symbol, way) for symbol, way in zip(strikes, sides, strict=True))


def iron_condor(*, put_buy: str, put_sell: str, call_sell: str, call_buy: str) -> Legs:
    """Return an iron condor, or an iron butterfly: the inner put and call sold, the outer bought.

    Raises:
        DataError: The four are no iron condor.
    """
    four = [_contract(symbol) for symbol in (put_buy, put_sell, call_sell, call_buy)]
    outer_put, inner_put, inner_call, outer_call = (one.strike for one in four)
    ordered = outer_put < inner_put <= inner_call < outer_call
    rights = [one.right for one in four] == ["P", "P", "C", "C"]
    series = {(one.underlying, one.expiration) for one in four}
    _must(
        "an iron condor",
        ordered and rights and len(series) == 1,
        "two puts below two calls of one expiration, the inner two sold",
    )
    puts = leg(put_sell, Side.SELL), leg(put_buy, Side.BUY)
    return (*puts, leg(call_sell, Side.SELL), leg(call_buy, Side.BUY))


def covered_call(call: str) -> Legs:
    """Return a covered call: 100 shares bought and a call on them sold.

    Raises:
        DataError: The contract is no call.
    """
    sold = _contract(call)
    _must("a covered call", sold.right == "C", "shares and a call on them")
    return leg(sold.underlying, Side.BUY, _HUNDRED), leg(call, Side.SELL)


def collar(*, put: str, call: str, with_stock: bool = True) -> Legs:
    """Return a collar: a put bought and a call sold, with the 100 shares or without.

    Raises:
        DataError: The two are no put and call of one expiration.
    """
    bought = _contract(put)
    _must("a collar", _call_and_put(_contract(call), bought), "a put and a call of one expiration")
    stock = (leg(bought.underlying, Side.BUY, _HUNDRED),) if with_stock else ()
    return (*stock, leg(put, Side.BUY), leg(call, Side.SELL))


def closing_order(
    opened: Order,
    client_order_id: str,
    *,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> Order:
    """Return the order that undoes another one, good till canceled.

    Args:
        opened: What opened the position.
        client_order_id: Of the new order.
        limit_price: USD a unit at which to close; debit positive, credit negative of several legs.
        stop_price: USD, of one leg alone.

    Raises:
        DataError: The prices do not fit the legs.
    """
    given = {name: getattr(opened, name) for name in Terms.model_fields} | {
        "client_order_id": client_order_id,
        "time_in_force": TimeInForce.GOOD_TILL_CANCEL,
    }
    legs = [
        one.model_copy(update={"side": _other(one.side), "position_effect": PositionEffect.CLOSING})
        for one in opened.legs
    ]
    return order(
        read(Terms, given),
        legs,
        quantity=opened.quantity,
        limit_price=limit_price,
        stop_price=stop_price,
    )


def one_cancels_other(first: Order, second: Order) -> OneCancelsOther:
    """Return two orders of which the first that fills cancels the other."""
    return OneCancelsOther(orders=(first, second))


def bracket(entry: Order, *, take_profit: Order, stop_loss: Order) -> Trigger:
    """Return an entry whose fill lets a target and a stop work, of which one cancels the other.

    Raises:
        DataError: An exit does not close what the entry opens.
    """
    for name, exit_order in (("take_profit", take_profit), ("stop_loss", stop_loss)):
        wanted = {one.symbol: -one.signed_quantity * entry.quantity for one in entry.legs}
        given = {one.symbol: one.signed_quantity * exit_order.quantity for one in exit_order.legs}
        _must(name, wanted == given, "an order that closes what the entry opens")
        if exit_order.account_id != entry.account_id or exit_order.status is not OrderStatus.NEW:
            message = f"{name} is a new order of the entry's account"
            raise DataError(message)
    return Trigger(first=entry, then=one_cancels_other(take_profit, stop_loss))


def _type_of(legs: int, limit: Money | None, stop: Money | None) -> OrderType:
    if legs > 1:
        if limit is None:
            return OrderType.MARKET
        if limit == 0:
            return OrderType.NET_ZERO
        return OrderType.NET_DEBIT if limit > 0 else OrderType.NET_CREDIT
    if stop is not None:
        return OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if limit is None else OrderType.LIMIT


def _contract(symbol: str) -> OptionContract:
    return OptionContract.from_occ(symbol)


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _one_series(one: OptionContract, other: OptionContract) -> bool:
    """Say whether two contracts differ in the strike alone."""
    same = (one.root, one.right, one.expiration) == (other.root, other.right, other.expiration)
    return same and one.strike != other.strike


def _related(one: OptionContract, other: OptionContract) -> bool:
    """Say whether two contracts are of one underlying and right, and of two expirations."""
    same = (one.underlying, one.right) == (other.underlying, other.right)
    return same and one.expiration != other.expiration


def _call_and_put(call: OptionContract, put: OptionContract) -> bool:
    same = (call.underlying, call.expiration) == (put.underlying, put.expiration)
    return same and (call.right, put.right) == ("C", "P")


def _check_ladder(what: str, strikes: Sequence[str], count: int) -> None:
    contracts = [_contract(symbol) for symbol in strikes]
    series = {(one.root, one.right, one.expiration) for one in contracts}
    rising = sorted({one.strike for one in contracts}) == [one.strike for one in contracts]
    words = f"{count} strikes of one right and expiration, lowest first"
    _must(what, len(contracts) == count and len(series) == 1 and rising, words)


def _must(what: str, fits: bool, parts: str) -> None:
    """Refuse legs that are not what they are called.

    Raises:
        DataError: With the sentence.
    """
    if not fits:
        message = f"{what} is {parts}"
        raise DataError(message)
