"""An order as account activity shows it at its creation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from models.options import OptionContract
from models.symbols import OCC_LENGTH
from simulator import activity_facts as facts
from simulator.activity_values import day, decimal, moment, whole
from simulator.order_instruments import option_cusip

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.events import Quote
    from simulator.order_forms import LegForm
    from simulator.order_records import OrderRecord

    Quotes = Callable[[str], Quote | None]

_RIGHTS = {"C": "Call", "P": "Put"}
_OPTION, _EQUITY = "MajorAssetType_EquityOption", "MajorAssetType_Equity"


def leg_id(record: OrderRecord, number: int) -> str:
    """Return the id of a leg, numbered from 1: of a single leg the order's own."""
    one_leg = len(record.form.legs) == 1
    return str(record.order_id) if one_leg else f"{record.order_id}{number}"


def order_body(record: OrderRecord, quotes: Quotes) -> dict[str, Any]:
    """Return the node `Order` of OrderCreated and ChangeCreated."""
    form, at, order_id = record.form, record.entered_ns, str(record.order_id)
    lifecycle = str(record.replaces or record.order_id)
    is_option = any(len(leg.symbol) == OCC_LENGTH for leg in form.legs)
    code = facts.ORDER_TYPES.get(form.order_type or "", "Limit")
    inner: dict[str, Any] = {
        "AccountInfo": {
            "AccountNumber": record.account_number,
            "AccountBranch": "XX",
            "CustomerOrFirmCode": "CustomerOrFirmCode_Customer",
            "OrderPlacementCustomerID": "000000000",
            "AccountState": "XX",
            "AccountTypeCode": "Customer",
        },
        "ClientChannelInfo": {
            "ClientProductCode": "M1",
            "EventUserID": "0000",
            "EventUserType": "Client",
        },
        "LifecycleCreatedTimestamp": moment(at),
        "LifecycleSchwabOrderID": lifecycle,
        "EntryTimestamp": moment(at),
        "ExpiryTimeStamp": day(at),
        "AutoConfirm": True,
        "PlanSubmitDate": day(at),
        "SourceOMS": "ngOMS",
        "FirmID": "CHAS",
        "OrderAccount": "TDAAccount",
        "AssetOrderEquityOrderLeg": {
            "OrderInstruction": {
                "HandlingInstructionCode": "AutomatedExecutionNoIntervention",
                "ExecutionStrategy": _strategy(record, code),
                "PreferredRoute": {},
                "EquityOrderInstruction": {},
            },
            "CommissionInfo": {"EstimatedOrderQuantity": decimal(form.quantity or Decimal(0))},
            "AssetType": _OPTION if is_option else _EQUITY,
            "TimeInForce": facts.TIME_IN_FORCE.get(form.duration or "", "Day"),
            "OrderTypeCode": code,
            "OrderLegs": [
                _leg(record, leg, number, quotes) for number, leg in enumerate(form.legs, 1)
            ],
            "OrderCapacityCode": "OC_Agency",
            "SettlementType": "SettlementType_Regular",
            "Rule80ACode": 73,
            "SolicitedCode": "Unsolicited",
            "TradeTag": facts.TRADE_TAG,
            "EquityOrder": {"TradingSessionCodeOnOrder": facts.TRADING_SESSION},
        },
    }
    return {"SchwabOrderID": order_id, "AccountNumber": record.account_number, "Order": inner}


def quote_body(
    record: OrderRecord, symbol: str, quotes: Quotes, time_ns: int
) -> dict[str, Any] | None:
    """Return the quote of a leg as it stands beside an order; None where there is none."""
    quote = quotes(symbol)
    if quote is None or quote.bid is None or quote.ask is None:
        return None
    bid, ask = _dollars(quote.bid), _dollars(quote.ask)
    wire = next(leg.wire_symbol for leg in record.form.legs if leg.symbol == symbol)
    body = {
        "Ask": decimal(ask),
        "AskSize": whole(quote.ask_size or 0),
        "Bid": decimal(bid),
        "BidSize": whole(quote.bid_size or 0),
        "QuoteTimestamp": moment(time_ns),
        "Symbol": wire,
        "QuoteTypeCode": "Mark",
        "Mid": decimal((bid + ask) / 2, odd=True),  # as captured: marked negative
        "SchwabOrderID": str(record.order_id),
    }
    if len(symbol) == OCC_LENGTH:
        body["OptionsQuote"] = {"PutCallCode": _RIGHTS[OptionContract.from_occ(symbol).right]}
    return body


def _strategy(record: OrderRecord, code: str) -> dict[str, Any]:
    kind = f"ES_{code}"
    told: dict[str, Any] = {"Type": kind}
    if record.form.price is not None:
        told["LimitExecutionStrategy"] = {
            "Type": kind,
            "LimitPrice": decimal(record.form.price),
            "LimitPriceUnitCode": "Units",
        }
    if record.form.stop_price is not None:
        told["StopExecutionStrategy"] = {
            "Type": kind,
            "StopPrice": decimal(record.form.stop_price),
        }
    return told


def _leg(record: OrderRecord, leg: LegForm, number: int, quotes: Quotes) -> dict[str, Any]:
    quote = quote_body(record, leg.symbol, quotes, record.entered_ns)
    effect = facts.open_close(leg.instruction)
    return {
        "LegID": leg_id(record, number),
        "LegParentSchwabOrderID": str(record.order_id),
        "Quantity": decimal(leg.quantity),
        "QuantityUnitCodeType": "SharesOrUnits",
        "LeavesQuantity": decimal(leg.quantity),
        "BuySellCode": facts.BUY_SELL[leg.instruction],
        "Security": _security(leg),
        **({"QuoteOnOrderAcceptance": quote} if quote else {}),
        "LegClientRequestInfo": {"SecurityId": leg.wire_symbol, "SecurityIdTypeCd": "Symbol"},
        "AccountingRuleCode": "Cash",
        "EquityOrderLeg": {"EquityOptionsOrderLeg": effect} if effect else {},
    }


def _security(leg: LegForm) -> dict[str, Any]:
    told: dict[str, Any] = {
        "SchwabSecurityID": facts.security_id(leg.symbol),
        "Symbol": leg.wire_symbol,
        "UnderlyingSymbol": leg.wire_symbol,
        "MajorAssetType": _EQUITY,
        "PrimaryMarketSymbol": leg.wire_symbol,
    }
    if len(leg.symbol) != OCC_LENGTH:
        return told
    contract = OptionContract.from_occ(leg.symbol)
    right = _RIGHTS[contract.right]
    name = f"{contract.underlying} {contract.expiration:%m/%d/%Y} ${contract.strike:f} {right}"
    return told | {
        "UnderlyingSymbol": contract.underlying,
        "MajorAssetType": _OPTION,
        "ShortDescriptionText": name,
        "ShortName": name,
        "CUSIP": option_cusip(contract),
        "OptionsSecurityInfo": {
            "PutCallCode": right,
            "UnderlyingSchwabSecurityID": facts.security_id(contract.underlying),
            "StrikePrice": decimal(contract.strike),
            "OptionExpiryDate": {"DateTimeString": f"{contract.expiration} 00:00:00.000"},
        },
    }


def _dollars(price: float) -> Decimal:
    return Decimal(str(round(price, 6)))
