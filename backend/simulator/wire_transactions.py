"""Transactions as the wire shows them: keys and order of the captured trades."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from models.order_terms import AccountKind, Side
from models.schwab_order_terms import FeeType, TransactionType
from simulator.order_instruments import instrument_id, is_option, traded
from simulator.order_tickets import effect_of, side_of
from simulator.wire_orders import wire_time

if TYPE_CHECKING:
    from datetime import datetime

    from engine.fees import FeeParts
    from simulator.market_prices import Prices
    from simulator.order_bookings import Booking
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


def transaction_object(
    booking: Booking, account: TradingAccount, prices: Prices, now: datetime
) -> dict[str, Any]:
    """Return one TRADE: an item for each kind of fee, then the security.

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
    margin = account.seed.kind is AccountKind.MARGIN
    return {
        "activityId": booking.transaction_id,
        "time": at,
        "accountNumber": account.seed.number,
        "type": TransactionType.TRADE.value,
        "status": "VALID",
        "subAccount": "MARGIN" if margin else "CASH",
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
