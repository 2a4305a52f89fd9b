"""What the Trader API answers to a preview of an order, as types; see `trader_replies`."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads it at run time

from schwab_integration.trader_replies import Instrument, Reported


class OrderBalance(Reported, frozen=True):
    """What an order would do to the balances; USD."""

    order_value: Decimal | None = None
    projected_available_fund: Decimal | None = None
    projected_buying_power: Decimal | None = None
    projected_commission: Decimal | None = None


class PreviewLeg(Reported, frozen=True):
    """One leg of a previewed order, with its market."""

    leg_id: int | None = None
    asset_type: str | None = None
    instruction: str | None = None
    position_effect: str | None = None
    final_symbol: str | None = None
    quantity: Decimal | None = None
    ask_price: Decimal | None = None
    bid_price: Decimal | None = None
    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    projected_commission: Decimal | None = None
    instrument: Instrument = Instrument()


class PreviewStrategy(Reported, frozen=True):
    """A previewed order."""

    account_number: str | None = None
    advanced_order_type: str | None = None
    entered_time: str | None = None
    close_time: str | None = None
    order_balance: OrderBalance = OrderBalance()
    order_strategy_type: str | None = None
    order_version: Decimal | None = None
    session: str | None = None
    status: str | None = None
    all_or_none: bool | None = None
    discretionary: bool | None = None
    duration: str | None = None
    filled_quantity: Decimal | None = None
    order_type: str | None = None
    order_value: Decimal | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    remaining_quantity: Decimal | None = None
    sell_non_marginable_first: bool | None = None
    settlement_instruction: str | None = None
    strategy: str | None = None
    amount_indicator: str | None = None
    order_legs: tuple[PreviewLeg, ...] = ()


class ValidationRule(Reported, frozen=True):
    """What Schwab says of a previewed order."""

    activity_message: str | None = None
    original_severity: str | None = None
    validation_rule_name: str | None = None
    message: str | None = None
    override_name: str | None = None
    override_severity: str | None = None


class ValidationResult(Reported, frozen=True):
    """What Schwab says of a previewed order, by severity; an empty list is left out."""

    alerts: tuple[ValidationRule, ...] = ()
    accepts: tuple[ValidationRule, ...] = ()
    rejects: tuple[ValidationRule, ...] = ()
    reviews: tuple[ValidationRule, ...] = ()
    warns: tuple[ValidationRule, ...] = ()


class FeeValue(Reported, frozen=True):
    """One fee or commission; USD."""

    value: Decimal | None = None
    type: str | None = None


class CommissionLeg(Reported, frozen=True):
    """Commissions of one leg."""

    commission_values: tuple[FeeValue, ...] = ()


class Commission(Reported, frozen=True):
    """Commissions by leg."""

    commission_legs: tuple[CommissionLeg, ...] = ()


class FeeLeg(Reported, frozen=True):
    """Fees of one leg."""

    fee_values: tuple[FeeValue, ...] = ()


class Fees(Reported, frozen=True):
    """Fees by leg."""

    fee_legs: tuple[FeeLeg, ...] = ()


class CommissionAndFee(Reported, frozen=True):
    """What a previewed order would cost."""

    commission: Commission = Commission()
    fee: Fees = Fees()
    true_commission: Commission = Commission()


class Preview(Reported, frozen=True):
    """A reply to `/previewOrder`."""

    order_strategy: PreviewStrategy
    order_id: int | None = None
    order_validation_result: ValidationResult = ValidationResult()
    commission_and_fee: CommissionAndFee = CommissionAndFee()
