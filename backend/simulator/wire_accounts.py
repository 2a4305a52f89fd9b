"""Accounts, balances and positions as the wire shows them: keys and order of the captured replies."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from models.order_terms import AccountKind
from simulator import trader_facts as facts
from simulator.market_prices import nanoseconds
from simulator.order_instruments import held, is_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from models.trading import Balances, Position
    from simulator.market_prices import Prices
    from simulator.trading_account import TradingAccount
    from simulator.users import User

_ZERO = Decimal(0)
_CENT = Decimal("0.01")


def account_numbers(accounts: Iterable[TradingAccount]) -> list[dict[str, str]]:
    """Return the body of a reply to `/accounts/accountNumbers`."""
    return [{"accountNumber": each.seed.number, "hashValue": each.hash} for each in accounts]


def account_object(
    account: TradingAccount, prices: Prices, now: datetime, *, positions: bool
) -> dict[str, Any]:
    """Return one account.

    Args:
        account: Which.
        prices: Where instruments are named and valued.
        now: Market time.
        positions: Whether positions are wanted; an account without any has no such key.
    """
    seed = account.seed
    sheet = _Sheet.of(account, nanoseconds(now))
    margin = seed.kind is AccountKind.MARGIN
    inner: dict[str, Any] = {
        "type": seed.kind.value,
        "accountNumber": seed.number,
        "roundTrips": 0,
        "isDayTrader": False,
        "isClosingOnlyRestricted": seed.closing_only,
        "pfcbFlag": False,
    }
    if positions and sheet.positions:
        inner["positions"] = [_position(each, account, prices, now) for each in sheet.positions]
    inner["initialBalances"] = _initial_margin(account) if margin else _initial_cash(account)
    inner["currentBalances"] = _current_margin(sheet) if margin else _current_cash(sheet)
    inner["projectedBalances"] = _projected_margin(sheet) if margin else _current_cash(sheet)
    total = _money(sheet.balances.liquidation_value)
    return {
        "securitiesAccount": inner,
        "aggregatedBalance": {"currentLiquidationValue": total, "liquidationValue": total},
    }


def user_preference(user: User, streamer: str, correlation_id: str) -> dict[str, Any]:
    """Return the body of a reply to `/userPreference`: one object.

    Args:
        user: Whose; the accounts that were ticked alone.
        streamer: Address of the WebSocket.
        correlation_id: UUID of the session.
    """
    return {
        "accounts": [
            {
                "accountNumber": seed.number,
                "primaryAccount": seed.primary,
                "type": "BROKERAGE",
                "nickName": seed.nickname,
                "displayAcctId": f"...{seed.number[-3:]}",
                "autoPositionEffect": False,
                "accountColor": facts.ACCOUNT_COLORS[place % len(facts.ACCOUNT_COLORS)],
                "lotSelectionMethod": facts.LOT_SELECTION,
            }
            for place, seed in enumerate(user.accounts)
        ],
        "streamerInfo": [
            {
                "streamerSocketUrl": streamer,
                "schwabClientCustomerId": user.customer_id,
                "schwabClientCorrelId": correlation_id,
                "schwabClientChannel": "N9",
                "schwabClientFunctionId": "APIAPP",
            }
        ],
        "offers": [
            {
                "level2Permissions": facts.LEVEL_2,
                "mktDataPermission": facts.MARKET_DATA_PERMISSION,
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class _Sheet:
    """An account's balances, and the market values of what it holds, USD; short ones negative."""

    balances: Balances
    positions: Sequence[Position]
    long_options: Decimal
    short_options: Decimal
    long_shares: Decimal
    short_shares: Decimal
    unsettled: Decimal

    @classmethod
    def of(cls, account: TradingAccount, now_ns: int) -> _Sheet:
        positions = account.positions()
        values = [(is_option(each.symbol), _value(each)) for each in positions]

        def total(*, option: bool, long: bool) -> Decimal:
            return sum(
                (value for kind, value in values if kind is option and (value > 0) is long), _ZERO
            )

        return cls(
            account.paper.balances(now_ns),
            positions,
            total(option=True, long=True),
            total(option=True, long=False),
            total(option=False, long=True),
            total(option=False, long=False),
            account.unsettled(now_ns),
        )

    @property
    def available(self) -> Decimal:
        """Funds that new positions may bind, USD."""
        return self.balances.buying_power


def _position(
    position: Position, account: TradingAccount, prices: Prices, now: datetime
) -> dict[str, Any]:
    quantity, short = position.signed_quantity, position.signed_quantity < 0
    morning = account.morning.quantities.get(position.symbol, _ZERO)
    settled = account.settled_quantity(position)
    change = _net_change(position, prices, now)
    value = _value(position)
    day_gain = change * quantity * position.multiplier if morning else value - position.cost_basis
    day_base = abs(value - day_gain)
    average = float(round(position.average_price, 4))
    side = "Short" if short else "Long"
    return {
        "shortQuantity": float(-quantity) if short else 0.0,
        "averagePrice": average,
        "currentDayProfitLoss": _money(day_gain),
        "currentDayProfitLossPercentage": _money(day_gain / day_base * 100) if day_base else 0.0,
        "longQuantity": 0.0 if short else float(quantity),
        "settledLongQuantity": 0.0 if short else float(settled),
        "settledShortQuantity": float(settled) if short else 0.0,
        "instrument": held(position.symbol, prices, float(round(change, 4))),
        "marketValue": _money(value),
        "maintenanceRequirement": _money(account.requirement_of(position)),
        f"average{side}Price": average,
        f"taxLotAverage{side}Price": average,
        f"{side.lower()}OpenProfitLoss": _money(value - position.cost_basis),
        f"previousSession{side}Quantity": float(abs(morning)),
        "currentDayCost": 0.0 if morning == quantity else _money(position.cost_basis),
    }


def _net_change(position: Position, prices: Prices, now: datetime) -> Decimal:
    """Return USD a unit since the close before."""
    mark = position.mark if position.mark is not None else position.average_price
    if is_option(position.symbol):
        row = prices.contract(position.symbol, now)
        close = row["close"] if row else None
    else:
        quote = prices.underlying(position.symbol, now)
        close = quote.close if quote else None
    return _ZERO if close is None else mark - Decimal(str(round(close, 4)))


def _value(position: Position) -> Decimal:
    value = position.market_value
    return position.cost_basis if value is None else value


def _initial_margin(account: TradingAccount) -> dict[str, Any]:
    morning = account.morning
    available = morning.buying_power
    longs, shorts = morning.long_options, morning.short_options
    equity = morning.cash + longs + shorts + morning.long_shares + morning.short_shares
    day_trading = available * facts.DAY_TRADING_MULTIPLE
    return {
        "accruedInterest": 0.0,
        "availableFundsNonMarginableTrade": _money(available),
        "bondValue": _money(day_trading),
        "buyingPower": _money(available * facts.STOCK_LEVERAGE),
        "cashBalance": _money(morning.cash),
        "cashAvailableForTrading": 0.0,
        "cashReceipts": 0.0,
        "dayTradingBuyingPower": _money(day_trading),
        "dayTradingBuyingPowerCall": 0.0,
        "dayTradingEquityCall": 0.0,
        "equity": _money(equity),
        "equityPercentage": 100.0,
        "liquidationValue": _money(equity),
        "longMarginValue": _money(morning.long_shares),
        "longOptionMarketValue": _money(longs),
        "longStockValue": _money(morning.long_shares),
        "maintenanceCall": 0.0,
        "maintenanceRequirement": _money(morning.maintenance),
        "margin": _money(morning.cash),
        "marginEquity": _money(morning.cash + morning.long_shares + morning.short_shares),
        "moneyMarketFund": 0.0,
        "mutualFundValue": _money(available),
        "regTCall": 0.0,
        "shortMarginValue": _money(morning.short_shares),
        "shortOptionMarketValue": _money(shorts),
        "shortStockValue": _money(shorts + morning.short_shares),
        "totalCash": 0.0,
        "isInCall": False,
        "pendingDeposits": 0.0,
        "marginBalance": _money(min(morning.cash, _ZERO)),
        "shortBalance": 0.0,
        "accountValue": _money(equity),
    }


def _current_margin(sheet: _Sheet) -> dict[str, Any]:
    balances = sheet.balances
    available = sheet.available
    equity = balances.cash + sheet.long_shares + sheet.short_shares
    call = _money(max(-available, _ZERO))
    return {
        "accruedInterest": 0.0,
        "cashBalance": _money(balances.cash),
        "cashReceipts": 0.0,
        "longOptionMarketValue": _money(sheet.long_options),
        "liquidationValue": _money(balances.liquidation_value),
        "longMarketValue": _money(sheet.long_shares),
        "moneyMarketFund": 0.0,
        "savings": 0.0,
        "shortMarketValue": _money(sheet.short_shares),
        "pendingDeposits": 0.0,
        "mutualFundValue": 0.0,
        "bondValue": 0.0,
        "shortOptionMarketValue": _money(sheet.short_options),
        "availableFunds": _money(available),
        "availableFundsNonMarginableTrade": _money(available),
        "buyingPower": _money(available * facts.STOCK_LEVERAGE),
        "buyingPowerNonMarginableTrade": _money(available),
        "dayTradingBuyingPower": _money(available * facts.DAY_TRADING_MULTIPLE),
        "equity": _money(equity),
        "equityPercentage": 100.0,
        "longMarginValue": _money(sheet.long_shares),
        "maintenanceCall": call,
        "maintenanceRequirement": _money(balances.maintenance_requirement),
        "marginBalance": _money(min(balances.cash, _ZERO)),
        "regTCall": 0.0,
        "shortBalance": 0.0,
        "shortMarginValue": _money(sheet.short_shares),
        "sma": _money(available),
    }


def _projected_margin(sheet: _Sheet) -> dict[str, Any]:
    available = sheet.available
    power = _money(available * facts.STOCK_LEVERAGE)
    return {
        "availableFunds": _money(available),
        "availableFundsNonMarginableTrade": _money(available),
        "buyingPower": power,
        "dayTradingBuyingPower": _money(available * facts.DAY_TRADING_MULTIPLE),
        "dayTradingBuyingPowerCall": 0.0,
        "maintenanceCall": _money(max(-available, _ZERO)),
        "regTCall": 0.0,
        "isInCall": available < 0,
        "stockBuyingPower": power,
    }


def _initial_cash(account: TradingAccount) -> dict[str, Any]:
    morning = account.morning
    value = (
        morning.cash
        + morning.long_options
        + morning.short_options
        + morning.long_shares
        + morning.short_shares
    )
    return {
        "accruedInterest": 0.0,
        "cashAvailableForTrading": _money(morning.buying_power),
        "cashAvailableForWithdrawal": _money(morning.buying_power),
        "cashBalance": _money(morning.cash),
        "bondValue": 0.0,
        "cashReceipts": 0.0,
        "liquidationValue": _money(value),
        "longOptionMarketValue": _money(morning.long_options),
        "longStockValue": _money(morning.long_shares),
        "moneyMarketFund": 0.0,
        "mutualFundValue": 0.0,
        "shortOptionMarketValue": _money(morning.short_options),
        "shortStockValue": _money(morning.short_shares),
        "isInCall": False,
        "unsettledCash": 0.0,
        "cashDebitCallValue": 0.0,
        "pendingDeposits": 0.0,
        "accountValue": _money(value),
    }


def _current_cash(sheet: _Sheet) -> dict[str, Any]:
    balances = sheet.balances
    settled = min(balances.cash - sheet.unsettled, balances.buying_power)
    return {
        "cashAvailableForTrading": _money(balances.buying_power),
        "cashAvailableForWithdrawal": _money(max(settled, _ZERO)),
        "cashCall": _money(max(-balances.cash, _ZERO)),
        "longNonMarginableMarketValue": _money(sheet.long_options + sheet.long_shares),
        "totalCash": _money(balances.cash),
        "cashDebitCallValue": 0.0,
        "unsettledCash": _money(sheet.unsettled),
    }


def _money(amount: Decimal) -> float:
    return float(amount.quantize(_CENT)) + 0.0  # never -0.0
