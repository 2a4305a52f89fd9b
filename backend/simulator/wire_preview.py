"""A previewed order as the wire shows it: keys and order of the captured previews."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.fees import FeeParts, FillTerms, product_of
from models.options import OptionContract
from models.order_terms import AccountKind, Side
from models.schwab_order_terms import FeeType, OrderStrategy, WireOrderType
from simulator import trader_facts as facts
from simulator.market_prices import nanoseconds
from simulator.order_instruments import is_option, ordered
from simulator.order_tickets import effect_of, side_of
from simulator.wire_orders import wire_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from models.trading import OrderPreview
    from simulator.market_prices import Prices
    from simulator.order_forms import LegForm, OrderForm
    from simulator.trading_account import TradingAccount

_NET = frozenset({WireOrderType.NET_DEBIT, WireOrderType.NET_CREDIT, WireOrderType.NET_ZERO})
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a preview is made of.

    Attributes:
        form: What was asked for; of an OCO its first order is shown.
        preview: What the engine would make of it.
        rejects: What the broker has against it.
        account: Where.
        prices: Where instruments are named and valued.
        now: Market time.
    """

    form: OrderForm
    preview: OrderPreview
    rejects: Sequence[str]
    account: TradingAccount
    prices: Prices
    now: datetime

    @property
    def shown(self) -> OrderForm:
        """The order that is shown."""
        return self.form.children[0] if self.form.is_pair else self.form


def preview_object(scene: Scene) -> dict[str, Any]:
    """Return the body of a reply to `/previewOrder`."""
    fees = [_fees(leg, scene) for leg in scene.shown.legs]
    return {
        "orderId": 0,
        "orderStrategy": _strategy(scene, fees),
        "orderValidationResult": _validation(scene),
        "commissionAndFee": {
            "commission": _commission(fees),
            "fee": {"feeLegs": [{"feeValues": _fee_values(leg)} for leg in fees]},
            "trueCommission": _commission(fees),
        },
    }


def _strategy(scene: Scene, fees: Sequence[FeeParts]) -> dict[str, Any]:
    account, now, shown, rejects = scene.account, scene.now, scene.shown, scene.rejects
    entered = wire_time(nanoseconds(now))
    quantity = shown.quantity or Decimal(1)
    value = float(_value(shown, scene))
    power = scene.preview.buying_power_after
    balance = account.paper.balances(nanoseconds(now)).buying_power if power is None else power
    leverage = facts.STOCK_LEVERAGE if account.seed.kind is AccountKind.MARGIN else 1
    head: dict[str, Any] = {
        "accountNumber": account.seed.number,
        "advancedOrderType": _advanced(scene.form),
    }
    if rejects:
        head["closeTime"] = entered
    return head | {
        "enteredTime": entered,
        "orderBalance": {
            "orderValue": value,
            "projectedAvailableFund": float(round(balance, 2)),
            "projectedBuyingPower": float(round(balance * leverage, 2)),
            "projectedCommission": float(sum((leg.commission for leg in fees), _ZERO)),
        },
        "orderStrategyType": shown.strategy.value,
        "orderVersion": 1,
        "session": shown.session.value if shown.session else "NORMAL",
        "status": "REJECTED" if rejects else "ACCEPTED",
        "discretionary": False,
        "duration": shown.duration.value if shown.duration else "DAY",
        "filledQuantity": 0.0,
        "orderType": _type_shown(shown),
        "orderValue": value,
        **({} if shown.price is None else {"price": float(shown.price)}),
        "quantity": float(quantity),
        "remainingQuantity": 0.0 if rejects else float(quantity),
        "sellNonMarginableFirst": False,
        "strategy": shown.complex_strategy.value if shown.complex_strategy else "NONE",
        "amountIndicator": "SHARES",
        "orderLegs": [
            _leg(place, leg, fees[place - 1], scene) for place, leg in enumerate(shown.legs, 1)
        ],
    }


def _leg(place: int, leg: LegForm, fees: FeeParts, scene: Scene) -> dict[str, Any]:
    quote = scene.prices.quote(leg.symbol, scene.now)

    def told(pick: Callable[[Any], float | None]) -> float:
        return 0.0 if quote is None else float(round(pick(quote) or 0.0, 4))

    shown: dict[str, Any] = {
        "askPrice": told(lambda seen: seen.ask),
        "bidPrice": told(lambda seen: seen.bid),
        "lastPrice": told(lambda seen: seen.last),
        "markPrice": told(lambda seen: seen.mark),
        "projectedCommission": float(fees.commission / leg.quantity),
    }
    if scene.rejects:
        shown["finalSymbol"] = leg.wire_symbol
    return shown | {
        "legId": place,
        "assetType": leg.asset.value,
        "instruction": leg.instruction.value,
        "positionEffect": effect_of(leg.instruction).value,
        "instrument": ordered(leg.symbol, scene.prices, numbered=False),
    }


def _validation(scene: Scene) -> dict[str, Any]:
    weekly = any(_is_weekly(leg) for leg in scene.shown.legs)
    warns = [facts.WEEKLY_WARNING] if weekly else []
    if scene.preview.accepted:
        warns += scene.preview.messages
    found = {"rejects": (scene.rejects, "REJECT"), "warns": (warns, "WARN")}
    return {
        name: [{"activityMessage": each, "originalSeverity": severity} for each in messages]
        for name, (messages, severity) in found.items()
        if messages
    }


def _is_weekly(leg: LegForm) -> bool:
    """Tell a contract that does not expire with the month's standard ones."""
    if not is_option(leg.symbol):
        return False
    day = OptionContract.from_occ(leg.symbol).expiration
    friday = 4
    return not (day.weekday() == friday and 15 <= day.day <= 21)


def _type_shown(form: OrderForm) -> str:
    """Return the type as a preview shows it: a spread's net limit is a LIMIT there."""
    if form.order_type in _NET:
        return "LIMIT"
    return form.order_type.value if form.order_type else "LIMIT"


def _advanced(form: OrderForm) -> str:
    if form.is_pair:
        return "OCO"
    if form.strategy is OrderStrategy.TRIGGER:
        return "OTOCO" if form.children[0].is_pair else "OTO"
    return "NONE"


def _value(form: OrderForm, scene: Scene) -> Decimal:
    """Return what the order is worth at its price, else at the marks, USD."""
    units = form.quantity or Decimal(1)
    multiplier = 100 if any(is_option(leg.symbol) for leg in form.legs) else 1
    price = form.price if form.price is not None else form.stop_price
    if price is None:
        net = sum(
            (
                leg.quantity
                / units
                * _mark(leg, scene)
                * (1 if side_of(leg.instruction) is Side.BUY else -1)
                for leg in form.legs
            ),
            _ZERO,
        )
        price = abs(net)
    return round(price * units * multiplier, 2)


def _mark(leg: LegForm, scene: Scene) -> Decimal:
    quote = scene.prices.quote(leg.symbol, scene.now)
    return _ZERO if quote is None or quote.mark is None else Decimal(str(round(quote.mark, 4)))


def _fees(leg: LegForm, scene: Scene) -> FeeParts:
    option = is_option(leg.symbol)
    price, form = _mark(leg, scene), scene.shown
    if len(form.legs) == 1 and form.price is not None:
        price = form.price
    terms = FillTerms(
        product_of(leg.symbol),
        leg.symbol[:6].rstrip() if option else leg.symbol,
        side_of(leg.instruction),
        leg.quantity,
        price,
        Decimal(100 if option else 1),
    )
    return scene.account.book.fees.fees(terms, scene.now.astimezone(NEW_YORK).date())


def _commission(fees: Sequence[FeeParts]) -> dict[str, Any]:
    return {
        "commissionLegs": [
            {
                "commissionValues": [
                    {"value": 0.0, "type": FeeType.BASE_CHARGE.value},
                    {"value": float(leg.commission), "type": FeeType.COMMISSION.value},
                ]
            }
            for leg in fees
        ]
    }


def _fee_values(fees: FeeParts) -> list[dict[str, Any]]:
    if fees.index:
        kinds = [(FeeType.OPT_REG_FEE, fees.orf), (FeeType.INDEX_OPTION_FEE, fees.index)]
    else:
        kinds = [
            (FeeType.SEC_FEE, fees.sec),
            (FeeType.OPT_REG_FEE, fees.orf),
            (FeeType.TAF_FEE, fees.taf),
        ]
    return [{"value": float(value), "type": kind.value} for kind, value in kinds]
