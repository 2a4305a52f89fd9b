"""What the Trader API answers, as types: every field of the specification and of the wire.

The wire's names are the renamed ones. Numbers are exact Decimals, read from the wire's own text.
Words that Schwab chooses (states, types) are texts and not enumerations, so that a new one is kept
and counted, never fatal. Times are the wire's texts;
`decoding.moment` reads them.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations

import msgspec


class Reported(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What all of them share; a field that a reply leaves out is None or empty."""


class AccountNumber(Reported, frozen=True):
    """An account's number and the hash that stands for it in every path."""

    account_number: str
    hash_value: str


class Deliverable(Reported, frozen=True):
    """What one contract delivers; the last three are of transactions."""

    symbol: str | None = None
    deliverable_units: Decimal | None = None
    api_currency_type: str | None = None
    asset_type: str | None = None
    root_symbol: str | None = None
    strike_percent: Decimal | None = None
    deliverable_number: Decimal | None = None


class Instrument(Reported, frozen=True):
    """What a position, leg or transaction is about."""

    asset_type: str = ""
    symbol: str = ""
    cusip: str | None = None
    description: str | None = None
    instrument_id: int | None = None
    net_change: Decimal | None = None
    type: str | None = None
    put_call: str | None = None
    underlying_symbol: str | None = None
    underlying_cusip: str | None = None
    option_multiplier: Decimal | None = None
    option_premium_multiplier: Decimal | None = None
    option_deliverables: tuple[Deliverable, ...] = ()
    expiration_date: str | None = None
    strike_price: Decimal | None = None
    status: str | None = None
    closing_price: Decimal | None = None
    maturity_date: str | None = None
    factor: Decimal | None = None
    variable_rate: Decimal | None = None


class HeldPosition(Reported, frozen=True):
    """One position of an account."""

    instrument: Instrument
    long_quantity: Decimal | None = None
    short_quantity: Decimal | None = None
    average_price: Decimal | None = None
    market_value: Decimal | None = None
    maintenance_requirement: Decimal | None = None
    average_long_price: Decimal | None = None
    average_short_price: Decimal | None = None
    tax_lot_average_long_price: Decimal | None = None
    tax_lot_average_short_price: Decimal | None = None
    long_open_profit_loss: Decimal | None = None
    short_open_profit_loss: Decimal | None = None
    previous_session_long_quantity: Decimal | None = None
    previous_session_short_quantity: Decimal | None = None
    settled_long_quantity: Decimal | None = None
    settled_short_quantity: Decimal | None = None
    aged_quantity: Decimal | None = None
    current_day_profit_loss: Decimal | None = None
    current_day_profit_loss_percentage: Decimal | None = None
    current_day_cost: Decimal | None = None


class AccountBalances(Reported, frozen=True):
    """Balances of a margin or cash account, of the day's start, of now, or projected: USD.

    One type for all six shapes of the wire; what a shape lacks is None. `is_in_call` is a bool on
    the wire and a number in the specification.
    """

    accrued_interest: Decimal | None = None
    account_value: Decimal | None = None
    available_funds: Decimal | None = None
    available_funds_non_marginable_trade: Decimal | None = None
    bond_value: Decimal | None = None
    buying_power: Decimal | None = None
    buying_power_non_marginable_trade: Decimal | None = None
    cash_available_for_trading: Decimal | None = None
    cash_available_for_withdrawal: Decimal | None = None
    cash_balance: Decimal | None = None
    cash_call: Decimal | None = None
    cash_debit_call_value: Decimal | None = None
    cash_receipts: Decimal | None = None
    day_trading_buying_power: Decimal | None = None
    day_trading_buying_power_call: Decimal | None = None
    day_trading_equity_call: Decimal | None = None
    equity: Decimal | None = None
    equity_percentage: Decimal | None = None
    is_in_call: bool | Decimal | None = None
    liquidation_value: Decimal | None = None
    long_margin_value: Decimal | None = None
    long_market_value: Decimal | None = None
    long_non_marginable_market_value: Decimal | None = None
    long_option_market_value: Decimal | None = None
    long_stock_value: Decimal | None = None
    maintenance_call: Decimal | None = None
    maintenance_requirement: Decimal | None = None
    margin: Decimal | None = None
    margin_balance: Decimal | None = None
    margin_equity: Decimal | None = None
    money_market_fund: Decimal | None = None
    mutual_fund_value: Decimal | None = None
    option_buying_power: Decimal | None = None
    pending_deposits: Decimal | None = None
    reg_t_call: Decimal | None = None
    savings: Decimal | None = None
    short_balance: Decimal | None = None
    short_margin_value: Decimal | None = None
    short_market_value: Decimal | None = None
    short_option_market_value: Decimal | None = None
    short_stock_value: Decimal | None = None
    sma: Decimal | None = None
    stock_buying_power: Decimal | None = None
    total_cash: Decimal | None = None
    unsettled_cash: Decimal | None = None


class AggregatedBalance(Reported, frozen=True):
    """Worth of the account, beside the securities account; USD."""

    current_liquidation_value: Decimal | None = None
    liquidation_value: Decimal | None = None


class SecuritiesAccount(Reported, frozen=True):
    """One account; positions only where they were asked for."""

    account_number: str
    type: str
    round_trips: Decimal | None = None
    is_day_trader: bool | None = None
    is_closing_only_restricted: bool | None = None
    is_foreign: bool | None = None
    pfcb_flag: bool | None = None
    positions: tuple[HeldPosition, ...] = ()
    initial_balances: AccountBalances = AccountBalances()
    current_balances: AccountBalances = AccountBalances()
    projected_balances: AccountBalances = AccountBalances()


class Account(Reported, frozen=True):
    """A reply to `/accounts/{hash}`, or one of `/accounts`."""

    securities_account: SecuritiesAccount
    aggregated_balance: AggregatedBalance | None = None


class OrderLeg(Reported, frozen=True):
    """One leg of an order; `quantity` counts contracts or shares of the whole order."""

    instrument: Instrument = Instrument()
    instruction: str = ""
    quantity: Decimal | None = None
    leg_id: int | None = None
    order_leg_type: str | None = None
    position_effect: str | None = None
    quantity_type: str | None = None
    div_cap_gains: str | None = None
    to_symbol: str | None = None


class ExecutionLeg(Reported, frozen=True):
    """What one leg traded in an activity."""

    leg_id: int | None = None
    quantity: Decimal | None = None
    mismarked_quantity: Decimal | None = None
    price: Decimal | None = None
    time: str | None = None
    instrument_id: int | None = None


class OrderActivity(Reported, frozen=True):
    """What happened to an order: an execution, which may report a cancellation, or an action."""

    activity_type: str | None = None
    activity_id: int | None = None
    execution_type: str | None = None
    quantity: Decimal | None = None
    order_remaining_quantity: Decimal | None = None
    execution_legs: tuple[ExecutionLeg, ...] = ()


class ReportedOrder(Reported, frozen=True):
    """One order as Schwab reports it. Its children are those of OCO and TRIGGER."""

    order_id: int | None = None
    status: str | None = None
    status_description: str | None = None
    entered_time: str | None = None
    close_time: str | None = None
    cancel_time: str | None = None
    release_time: str | None = None
    account_number: int | None = None
    order_strategy_type: str | None = None
    order_type: str | None = None
    session: str | None = None
    duration: str | None = None
    complex_order_strategy_type: str | None = None
    quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    remaining_quantity: Decimal | None = None
    price: Decimal | None = None
    price_link_basis: str | None = None
    price_link_type: str | None = None
    stop_price: Decimal | None = None
    stop_price_link_basis: str | None = None
    stop_price_link_type: str | None = None
    stop_price_offset: Decimal | None = None
    stop_type: str | None = None
    activation_price: Decimal | None = None
    special_instruction: str | None = None
    tax_lot_method: str | None = None
    requested_destination: str | None = None
    destination_link_name: str | None = None
    cancelable: bool | None = None
    editable: bool | None = None
    tag: str | None = None
    order_leg_collection: tuple[OrderLeg, ...] = ()
    order_activity_collection: tuple[OrderActivity, ...] = ()
    replacing_order_collection: tuple[ReportedOrder, ...] = ()
    child_order_strategies: tuple[ReportedOrder, ...] = ()


class TransferItem(Reported, frozen=True):
    """One part of a transaction: a fee, or what changed hands. `cost` is signed cash."""

    instrument: Instrument = Instrument()
    amount: Decimal | None = None
    cost: Decimal | None = None
    price: Decimal | None = None
    fee_type: str | None = None
    position_effect: str | None = None


class TransactionUser(Reported, frozen=True):
    """Who made a transaction."""

    cd_domain_id: str | None = None
    login: str | None = None
    type: str | None = None
    user_id: int | None = None
    system_user_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    broker_rep_code: str | None = None


class Transaction(Reported, frozen=True):
    """One transaction; `net_amount` is the cash that it moved, USD."""

    activity_id: int
    type: str
    time: str | None = None
    account_number: str | None = None
    status: str | None = None
    sub_account: str | None = None
    trade_date: str | None = None
    settlement_date: str | None = None
    position_id: int | None = None
    order_id: int | None = None
    net_amount: Decimal | None = None
    activity_type: str | None = None
    description: str | None = None
    user: TransactionUser | None = None
    transfer_items: tuple[TransferItem, ...] = ()


class PreferredAccount(Reported, frozen=True):
    """One account in the user's preferences."""

    account_number: str | None = None
    primary_account: bool | None = None
    type: str | None = None
    nick_name: str | None = None
    account_color: str | None = None
    display_acct_id: str | None = None
    auto_position_effect: bool | None = None
    lot_selection_method: str | None = None


class StreamerTerms(Reported, frozen=True):
    """Where the streamer is, and who we are there."""

    streamer_socket_url: str
    schwab_client_customer_id: str
    schwab_client_correl_id: str
    schwab_client_channel: str
    schwab_client_function_id: str


class Offer(Reported, frozen=True):
    """What market data the user is entitled to."""

    level2_permissions: bool | None = None
    mkt_data_permission: str | None = None


class UserPreference(Reported, frozen=True):
    """A reply to `/userPreference`."""

    accounts: tuple[PreferredAccount, ...] = ()
    streamer_info: tuple[StreamerTerms, ...] = ()
    offers: tuple[Offer, ...] = ()


class PlacedOrder(msgspec.Struct, frozen=True):
    """Schwab has taken an order; it may still be rejected a moment later.

    Attributes:
        order_id: What `Location` names, or None where it is missing or unreadable. It is to be
            verified: `Location` has been seen to name a child that the order triggers.
    """

    order_id: int | None
