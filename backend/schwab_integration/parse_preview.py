"""Previews of orders: bytes to structs, structs to the house's `OrderPreview`. Pure."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec
from pydantic import ValidationError

from models.base import sentence
from models.schwab_order_terms import WireStatus
from models.trading import OrderPreview
from schwab_integration.decoding import Parsed, bad, exact, parsed
from schwab_integration.parse_accounts import multiplier_of
from schwab_integration.preview_replies import FeeValue, Preview, PreviewLeg, ValidationRule

_ZERO: Final = Decimal(0)


def parse_preview(body: bytes) -> Parsed[Preview]:
    """Return the reply to `/accounts/{hash}/previewOrder`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed(body, Preview, "preview")


def preview_of(preview: Preview) -> OrderPreview:
    """Return what Schwab would make of an order.

    Raises:
        BadReply: An amount is no amount.
    """
    result = preview.order_validation_result
    strategy = preview.order_strategy
    said = (*result.rejects, *result.reviews, *result.warns, *result.alerts)
    costs = preview.commission_and_fee
    commissions = (v for leg in costs.commission.commission_legs for v in leg.commission_values)
    fees = (value for leg in costs.fee.fee_legs for value in leg.fee_values)
    worth = strategy.order_balance.order_value
    power = strategy.order_balance.projected_buying_power
    try:
        return OrderPreview(
            accepted=strategy.status != WireStatus.REJECTED and not result.rejects,
            messages=tuple(text for rule in said if (text := _words(rule))),
            commission=_total(commissions, "commission"),
            fees=_total(fees, "fee"),
            order_value=_signed(worth, strategy.order_legs),
            buying_power_after=None if power is None else _usd(power, "projectedBuyingPower"),
        )
    except ValidationError as error:
        raise bad("preview", sentence(error)) from None
    except ArithmeticError:
        raise bad("preview", "a number beyond reason") from None


def _words(rule: ValidationRule) -> str:
    """Return what a rule says; the wire puts it into quotes now and then."""
    return (rule.activity_message or rule.message or rule.validation_rule_name or "").strip(' "')


def _signed(worth: Decimal | None, legs: Iterable[PreviewLeg]) -> Decimal | None:
    """Return the order's value, bought positive; the wire leaves the sign out.

    The legs' marks tell which way the money flows; without them it cannot be told.
    """
    if worth is None:
        return None
    flow = _ZERO
    for leg in legs:
        if leg.mark_price is None or not leg.instruction:
            return None
        units = _usd(leg.quantity or Decimal(1), "quantity") * _multiplier(leg)
        mark = _usd(leg.mark_price, "markPrice") * units
        flow += mark if leg.instruction.startswith("BUY") else -mark
    value = abs(_usd(worth, "orderValue"))
    if not flow:
        return None if value else _ZERO
    return value if flow > 0 else -value


def _multiplier(leg: PreviewLeg) -> Decimal:
    """Return the shares a contract; the wire names the kind beside the instrument or in it."""
    kind = leg.instrument.asset_type or leg.asset_type
    return multiplier_of(msgspec.structs.replace(leg.instrument, asset_type=kind))


def _total(values: Iterable[FeeValue], field: str) -> Decimal:
    parts = (_usd(part.value, field) for part in values if part.value is not None)
    return _usd(sum(parts, _ZERO), field)


def _usd(value: Decimal, field: str) -> Decimal:
    return exact(value, field, "preview")
