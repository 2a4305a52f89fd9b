"""What is traded: orders and their legs, fills, positions, signals, balances.

Names are those of the tables of `models.tables`. Money and quantities are exact Decimals, text in
JSON; a float is refused (see `models.base.Money`). Everything is frozen: a change is a new value.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations at run time
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from models.base import Model, Money, NotNegative, Positive, Time
from models.errors import BadSymbol
from models.options import OptionContract
from models.order_terms import (
    AccountKind,
    AssetType,
    Mode,
    OrderStatus,
    OrderType,
    PositionEffect,
    Side,
    SignalAction,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)
from models.symbols import OCC_LENGTH

__all__ = [
    "AccountId",
    "AccountKind",
    "AccountTerms",
    "AssetType",
    "Balances",
    "Leg",
    "Mode",
    "Order",
    "OrderPreview",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionEffect",
    "Side",
    "SignalAction",
    "Symbol",
    "TimeInForce",
    "Trade",
    "TradingHours",
    "TradingSignal",
    "Trail",
    "TrailBasis",
    "TrailUnit",
    "underlying_of",
]


def _checked_symbol(symbol: str) -> str:
    """Refuse a text of an OCC symbol's length that is none."""
    if len(symbol) == OCC_LENGTH:
        try:
            OptionContract.from_occ(symbol)
        except BadSymbol as error:
            raise ValueError(str(error)) from None
    return symbol


def _no_account_number(account_id: str) -> str:
    if account_id.isdigit():
        raise ValueError("give the hash of the account, never its number")
    return account_id


Text = Annotated[str, Field(min_length=1)]
"""A name or identifier; not empty."""

Symbol = Annotated[
    str,
    Field(pattern=r"^(?:[A-Z][A-Z0-9]{0,5}(?:\.[A-Z])?|.{21})$"),
    AfterValidator(_checked_symbol),
]
"""An OCC symbol of 21 characters, or a ticker as QQQ or BRK.B."""

AccountId = Annotated[Text, AfterValidator(_no_account_number)]
"""Hash of an account, never its number."""

_ZERO = Decimal(0)


def underlying_of(symbol: str) -> str:
    """Return the underlying of a symbol: of an OCC symbol that of its contract, else itself."""
    if len(symbol) == OCC_LENGTH:
        return OptionContract.from_occ(symbol).underlying
    return symbol


def _underlying_of_field(fields: dict[str, Any]) -> str:
    return underlying_of(fields["symbol"])


def _multiplier_of_field(fields: dict[str, Any]) -> Decimal:
    return Decimal(100 if len(fields["symbol"]) == OCC_LENGTH else 1)


class Leg(Model):
    """One instrument of an order."""

    symbol: Symbol
    """OCC symbol or ticker."""

    side: Side
    """BUY or SELL."""

    quantity: Positive = Decimal(1)
    """Contracts or shares for each unit of the order."""

    position_effect: PositionEffect = PositionEffect.AUTOMATIC
    """OPENING, CLOSING or AUTOMATIC."""

    multiplier: Positive = Field(default_factory=_multiplier_of_field)
    """Shares a contract; 100 of an option and 1 of a share unless given."""

    @property
    def asset_type(self) -> AssetType:
        """OPTION or EQUITY, from the symbol."""
        return AssetType.OPTION if len(self.symbol) == OCC_LENGTH else AssetType.EQUITY

    @property
    def underlying(self) -> str:
        """Symbol of the underlying."""
        return underlying_of(self.symbol)

    @property
    def signed_quantity(self) -> Decimal:
        """The quantity, bought positive, sold negative."""
        return self.quantity if self.side is Side.BUY else -self.quantity


class Trail(Model):
    """How a trailing stop follows the market."""

    offset: Positive
    """Distance of the stop from the price that it follows, in the unit."""

    unit: TrailUnit = TrailUnit.VALUE
    """USD, percent or ticks."""

    basis: TrailBasis = TrailBasis.MARK
    """Which price it follows."""

    limit_offset: NotNegative | None = None
    """USD of the limit behind the stop, of a TRAILING_STOP_LIMIT alone."""


_TRAILING = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE})
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_NET = frozenset({OrderType.NET_DEBIT, OrderType.NET_CREDIT, OrderType.NET_ZERO})


def _limit_fits(order_type: OrderType, limit_price: Decimal | None) -> bool:
    if order_type is OrderType.NET_ZERO:
        return not limit_price
    if order_type is OrderType.NET_CREDIT:
        return limit_price is not None and limit_price < 0
    if order_type in _LIMITED or order_type is OrderType.NET_DEBIT:
        return limit_price is not None and limit_price > 0
    return limit_price is None


def _check_prices(
    order_type: OrderType, limit_price: Decimal | None, stop_price: Decimal | None, legs: int
) -> None:
    """Refuse prices that do not fit the type of an order.

    Raises:
        ValueError: With the sentence.
    """
    if (legs > 1) != (order_type in _NET) and not (legs > 1 and order_type is OrderType.MARKET):
        raise ValueError(
            f"{order_type} does not fit {legs} leg(s): several legs trade as NET_DEBIT, "
            "NET_CREDIT, NET_ZERO or MARKET, one leg as any other type"
        )
    if not _limit_fits(order_type, limit_price):
        raise ValueError(
            f"limit_price does not fit {order_type}: above 0 for limit orders and NET_DEBIT, "
            "below 0 for NET_CREDIT, none or 0 for NET_ZERO, none for the others"
        )
    if (stop_price is not None) != (order_type in _STOPPED):
        raise ValueError(f"stop_price does not fit {order_type}: for STOP and STOP_LIMIT alone")


def _check_trail(order_type: OrderType, trail: Trail | None) -> None:
    """Refuse a trail that does not fit the type of an order.

    Raises:
        ValueError: With the sentence.
    """
    if (trail is not None) != (order_type in _TRAILING):
        raise ValueError(
            f"trail does not fit {order_type}: for TRAILING_STOP and TRAILING_STOP_LIMIT alone"
        )
    limited = trail is not None and trail.limit_offset is not None
    if limited != (order_type is OrderType.TRAILING_STOP_LIMIT):
        raise ValueError("trail.limit_offset goes with TRAILING_STOP_LIMIT, only")


class Order(Model):
    """One order, in its newest state."""

    client_order_id: Text
    """Ours, unique."""

    order_id: Text | None = None
    """The broker's."""

    account_id: AccountId
    """Hash of the account."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    strategy: Text = "manual"
    """Name of the strategy, or manual."""

    legs: Annotated[tuple[Leg, ...], Field(min_length=1)]
    """What it trades, each leg in its quantity a unit."""

    underlying: Text = Field(default_factory=lambda fields: fields["legs"][0].underlying)
    """Symbol of the underlying; that of the first leg unless given."""

    order_type: OrderType
    """MARKET, LIMIT, NET_DEBIT, ..."""

    time_in_force: TimeInForce = TimeInForce.DAY
    """DAY, GOOD_TILL_CANCEL, ..."""

    hours: TradingHours = TradingHours.REGULAR
    """In which part of the day it may trade."""

    limit_price: Money | None = None
    """USD a unit; of the NET types debit positive, credit negative."""

    stop_price: Positive | None = None
    """USD."""

    trail: Trail | None = None
    """How a trailing stop follows; none of the other types."""

    quantity: Positive
    """Units."""

    filled_quantity: NotNegative = _ZERO
    """Units."""

    status: OrderStatus = OrderStatus.NEW
    """State of the order."""

    created_at: Time
    """Market time."""

    updated_at: Time = Field(default_factory=lambda fields: fields["created_at"])
    """Market time."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_prices(self.order_type, self.limit_price, self.stop_price, len(self.legs))
        _check_trail(self.order_type, self.trail)
        if len({leg.symbol for leg in self.legs}) < len(self.legs):
            raise ValueError("legs name one symbol twice: put both quantities into one leg")
        if self.filled_quantity > self.quantity:
            raise ValueError("filled_quantity is above quantity")
        if (self.status is OrderStatus.FILLED) != (self.filled_quantity == self.quantity):
            raise ValueError("status FILLED goes with filled_quantity equal to quantity, only")
        if self.updated_at < self.created_at:
            raise ValueError("updated_at is before created_at")
        return self

    @property
    def remaining_quantity(self) -> Decimal:
        """Units not filled yet."""
        return self.quantity - self.filled_quantity


class Trade(Model):
    """One fill."""

    execution_id: Text
    """The broker's, unique."""

    client_order_id: Text
    """Ours."""

    order_id: Text | None = None
    """The broker's."""

    account_id: AccountId
    """Hash of the account."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    symbol: Symbol
    """OCC symbol or ticker."""

    underlying: Text = Field(default_factory=_underlying_of_field)
    """Symbol of the underlying."""

    session: date
    """Exchange day, New York."""

    ts: Time
    """Time of the fill."""

    signed_quantity: Money
    """Bought positive, sold negative."""

    price: NotNegative
    """USD."""

    multiplier: Positive = Field(default_factory=_multiplier_of_field)
    """Shares a contract."""

    fees: Money = _ZERO
    """USD, commission and fees; a rebate is negative."""

    @model_validator(mode="after")
    def _something_traded(self) -> Self:
        if self.signed_quantity == 0:
            raise ValueError("signed_quantity is 0: nothing was traded")
        return self

    @property
    def notional(self) -> Decimal:
        """USD of the trade, bought positive, sold negative, without fees."""
        return self.signed_quantity * self.price * self.multiplier

    @property
    def cash_flow(self) -> Decimal:
        """USD that the account gains, fees paid."""
        return -self.notional - self.fees


class Position(Model):
    """One holding."""

    account_id: AccountId
    """Hash of the account."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    symbol: Symbol
    """OCC symbol or ticker."""

    underlying: Text = Field(default_factory=_underlying_of_field)
    """Symbol of the underlying."""

    signed_quantity: Money
    """Long positive, short negative."""

    average_price: NotNegative
    """USD."""

    multiplier: Positive = Field(default_factory=_multiplier_of_field)
    """Shares a contract."""

    realized_pnl: Money = _ZERO
    """USD."""

    mark: NotNegative | None = None
    """USD."""

    updated_at: Time
    """Market time."""

    @property
    def cost_basis(self) -> Decimal:
        """USD paid for what is held; negative of a short position."""
        return self.signed_quantity * self.average_price * self.multiplier

    @property
    def market_value(self) -> Decimal | None:
        """USD at the mark; None without a mark."""
        return None if self.mark is None else self.signed_quantity * self.mark * self.multiplier

    @property
    def unrealized_pnl(self) -> Decimal | None:
        """USD gained at the mark; None without a mark."""
        return None if self.market_value is None else self.market_value - self.cost_basis


class TradingSignal(Model):
    """What a strategy wants done, and why."""

    signal_id: Text
    """Unique."""

    strategy: Text
    """Name of the strategy."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    symbol: Symbol
    """What it looked at: OCC symbol or ticker."""

    ts: Time
    """Market time."""

    action: SignalAction
    """open, close or hold."""

    legs: tuple[Leg, ...] = ()
    """What to trade; none to hold."""

    quantity: Positive = Decimal(1)
    """Units of the legs."""

    limit_price: Money | None = None
    """USD a unit at worst, of several legs debit positive, credit negative; None: no limit."""

    detail: dict[str, JsonValue] = Field(default_factory=dict)
    """What the strategy saw."""

    @model_validator(mode="after")
    def _legs_fit_the_action(self) -> Self:
        if bool(self.legs) == (self.action is SignalAction.HOLD):
            raise ValueError("legs go with open and close, and none with hold")
        return self


class Balances(Model):
    """An account's balances at one moment."""

    account_id: AccountId
    """Hash of the account."""

    mode: Mode
    """backtest, paper, rehearsal or live."""

    ts: Time
    """Market time."""

    cash: Money
    """USD."""

    liquidation_value: Money
    """USD that all holdings and the cash are worth."""

    buying_power: Money
    """USD."""

    maintenance_requirement: NotNegative = _ZERO
    """USD."""


class AccountTerms(Model):
    """What an account may do."""

    account_id: AccountId
    """Hash of the account."""

    kind: AccountKind
    """CASH or MARGIN."""

    retirement: bool = False
    """An IRA: nothing short, nothing borrowed."""

    option_level: Annotated[int, Field(ge=0, le=3)] = 3
    """0 none; 1 covered calls and cash-secured puts; 2 adds bought options; 3 adds spreads, and
    on margin uncovered options."""

    closing_only: bool = False
    """Positions may be closed, none opened."""


class OrderPreview(Model):
    """What a broker would make of an order."""

    accepted: bool
    """Whether it would be taken."""

    messages: tuple[str, ...] = ()
    """The broker's words: rejections first, then warnings."""

    commission: NotNegative = _ZERO
    """USD."""

    fees: NotNegative = _ZERO
    """USD of regulatory and exchange fees."""

    order_value: Money | None = None
    """USD of the order, bought positive; None where the broker does not tell."""

    buying_power_after: Money | None = None
    """USD; None where the broker does not tell."""
