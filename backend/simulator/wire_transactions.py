"""Transactions as the wire shows them: keys and order of the captured trades."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from models.options import OptionContract
from models.order_terms import AccountKind, Side
from models.schwab_order_terms import FeeType, TransactionType
from simulator import trader_facts as facts
from simulator.order_instruments import instrument_id, is_option, traded
from simulator.order_tickets import effect_of, side_of
from simulator.wire_orders import wire_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.fees import FeeParts
    from simulator.market_prices import Prices
    from simulator.order_bookings import Booking, Removal
    from simulator.trading_account import TradingAccount

_DOLLARS = {
    "assetType": "CURRENCY",
    "status": "ACTIVE",
    "symbol": "CURRENCY_USD",
    "description": "USD currency",
    "instrumentId": 1,
    "closingPrice": 0.0,
}
_ZERO = Decimal(0)


class Entry(NamedTuple):
    """One transaction of an account.

    Attributes:
        transaction_id: Unique.
        time_ns: Market time.
        kind: TRADE, or RECEIVE_AND_DELIVER of an option that expired.
        symbol: What changed hands, as the wire spells it.
        show: Returns it as the wire shows it.
    """

    transaction_id: int
    time_ns: int
    kind: TransactionType
    symbol: str
    show: Callable[[], dict[str, Any]]


def entries(account: TradingAccount, prices: Prices, now: datetime) -> list[Entry]:
    """Return an account's transactions, newest first.

    Args:
        account: Where.
        prices: Where instruments are named and valued.
        now: Market time.
    """
    found = [
        Entry(
            each.transaction_id,
            each.activity.time_ns,
            TransactionType.TRADE,
            each.form.wire_symbol,
            partial(trade, each, account, prices, now),
        )
        for each in account.book.bookings
    ]
    for removal in account.book.removals:
        at = removal.expired.time_ns
        found.append(
            Entry(
                removal.transaction_id,
                at,
                TransactionType.RECEIVE_AND_DELIVER,
                removal.expired.symbol,
                partial(taken_out, removal, account, prices, now),
            )
        )
        if removal.delivery_id is not None:
            shares = traded(_underlying(removal), prices, 0.0)["symbol"]
            show = partial(delivered, removal, account, prices, now)
            found.append(Entry(removal.delivery_id, at, TransactionType.TRADE, shares, show))
    return sorted(found, key=lambda entry: (entry.time_ns, entry.transaction_id), reverse=True)


def taken_out(
    removal: Removal, account: TradingAccount, prices: Prices, now: datetime
) -> dict[str, Any]:
    """Return the RECEIVE_AND_DELIVER that takes an expired option out of an account."""
    expired = removal.expired
    paid = _ZERO if expired.shares else expired.cash
    return _without_order(
        removal.transaction_id,
        account,
        kind=TransactionType.RECEIVE_AND_DELIVER,
        description=facts.REMOVED_BECAUSE[expired.outcome],
        at_ns=expired.time_ns,
        net_amount=paid,
        item={
            "instrument": traded(
                expired.symbol, prices, _closing_price(expired.symbol, prices, now)
            ),
            "amount": float(-expired.quantity),
            "cost": float(paid),
            "price": 0.0,
            "positionEffect": "CLOSING",
        },
    )


def delivered(
    removal: Removal, account: TradingAccount, prices: Prices, now: datetime
) -> dict[str, Any]:
    """Return the TRADE, at the strike, of the shares that an exercise or assignment moved."""
    expired, symbol = removal.expired, _underlying(removal)
    strike = OptionContract.from_occ(expired.symbol).strike
    cost = -expired.shares * strike
    return _without_order(
        removal.delivery_id or 0,
        account,
        kind=TransactionType.TRADE,
        description=facts.DELIVERED_BECAUSE[expired.outcome],
        at_ns=expired.time_ns,
        net_amount=cost,
        item={
            "instrument": traded(symbol, prices, _closing_price(symbol, prices, now)),
            "amount": float(expired.shares),
            "cost": float(cost),
            "price": float(strike),
        },
    )


def _underlying(removal: Removal) -> str:
    return OptionContract.from_occ(removal.expired.symbol).underlying


def _without_order(  # noqa: PLR0913 - all that such a transaction consists of
    transaction_id: int,
    account: TradingAccount,
    *,
    kind: TransactionType,
    description: str,
    at_ns: int,
    net_amount: Decimal,
    item: dict[str, Any],
) -> dict[str, Any]:
    at = wire_time(at_ns)
    return {
        "activityId": transaction_id,
        "time": at,
        "description": description,
        "accountNumber": account.seed.number,
        "type": kind.value,
        "status": "VALID",
        "subAccount": _sub_account(account),
        "tradeDate": at,
        "netAmount": float(net_amount),
        "transferItems": [item],
    }


def _sub_account(account: TradingAccount) -> str:
    return "MARGIN" if account.seed.kind is AccountKind.MARGIN else "CASH"


def trade(
    booking: Booking, account: TradingAccount, prices: Prices, now: datetime
) -> dict[str, Any]:
    """Return the TRADE of an order: an item for each kind of fee, then the security.

    Args:
        booking: One leg of one execution.
        account: Where.
        prices: Where instruments are named and valued.
        now: Market time.
    """
    form, leg = booking.form, booking.leg
    option = is_option(form.symbol)
    sign = 1 if side_of(form.instruction) is Side.BUY else -1
    cost = -sign * leg.quantity * leg.price * (100 if option else 1)
    fees = fee_items(leg.fees, option=option) if leg.fees else []
    at = wire_time(booking.activity.time_ns)
    return {
        "activityId": booking.transaction_id,
        "time": at,
        "accountNumber": account.seed.number,
        "type": TransactionType.TRADE.value,
        "status": "VALID",
        "subAccount": _sub_account(account),
        "tradeDate": at,
        "positionId": instrument_id(f"{account.seed.number} {form.symbol}"),
        "orderId": booking.record.order_id,
        "netAmount": float(cost - sum((amount for _, amount in fees), _ZERO)),
        "transferItems": [
            *(
                {
                    "instrument": dict(_DOLLARS),
                    "amount": float(amount),
                    "cost": -float(amount) if amount else 0.0,
                    "feeType": kind.value,
                }
                for kind, amount in fees
            ),
            {
                "instrument": traded(form.symbol, prices, _closing_price(form.symbol, prices, now)),
                "amount": float(sign * leg.quantity),
                "cost": float(cost),
                "price": float(leg.price),
                "positionEffect": effect_of(form.instruction).value,
            },
        ],
    }


def fee_items(fees: FeeParts, *, option: bool) -> list[tuple[FeeType, Decimal]]:
    """Return the fees of one execution of one leg in the wire's kinds and order.

    The four kinds of a captured trade always stand there, 0 or not; the exchange's fee of an index
    option where there is one.
    """
    items = [
        (FeeType.COMMISSION, fees.commission),
        (FeeType.SEC_FEE, fees.sec),
        (FeeType.OPT_REG_FEE, fees.orf),
        (FeeType.TAF_FEE, fees.taf),
    ]
    if option and fees.index:
        items.append((FeeType.INDEX_OPTION_FEE, fees.index))
    return items


def _closing_price(symbol: str, prices: Prices, now: datetime) -> float:
    if is_option(symbol):
        row = prices.contract(symbol, now)
        return round(row["close"] or 0.0, 4) if row else 0.0
    quote = prices.underlying(symbol, now)
    return quote.close if quote else 0.0
