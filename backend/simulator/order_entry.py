"""Reading an order as clients write it: JSON to `OrderForm`, or a refusal with 400.

What is refused here is malformed; what the broker has against a well-formed order rejects it
later (`simulator.order_rules`, and the engine). Unknown fields are ignored, as Schwab ignores them.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import BadSymbol
from models.options import OptionContract
from models.schwab_order_terms import (
    EQUITY_INSTRUCTIONS,
    OPTION_INSTRUCTIONS,
    ComplexStrategy,
    Duration,
    Instruction,
    LinkBasis,
    LinkType,
    OrderStrategy,
    Session,
    WireAsset,
    WireOrderType,
)
from simulator import trader_facts as facts
from simulator.order_forms import PRICED, STOPPED, TRAILING, LegForm, OrderForm
from simulator.trader_errors import invalid_value, malformed
from simulator.wire_symbols import is_option, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from simulator.market_prices import Prices

E = TypeVar("E", bound=Enum)

_STRATEGIES = frozenset({OrderStrategy.SINGLE, OrderStrategy.TRIGGER, OrderStrategy.OCO})
_SIMULATED_TYPES = frozenset(WireOrderType) - {
    WireOrderType.CABINET,
    WireOrderType.NON_MARKETABLE,
    WireOrderType.EXERCISE,
    WireOrderType.UNKNOWN,
}
_NET = frozenset({WireOrderType.NET_DEBIT, WireOrderType.NET_CREDIT, WireOrderType.NET_ZERO})
_PAIR_FIELDS = frozenset({"orderStrategyType", "childOrderStrategies"})
_SPECIAL = frozenset({"ALL_OR_NONE", "DO_NOT_REDUCE", "ALL_OR_NONE_DO_NOT_REDUCE"})
_STOP_TYPES = frozenset({"STANDARD", "BID", "ASK", "LAST", "MARK"})
_LOTS = frozenset(
    {
        "FIFO",
        "LIFO",
        "HIGH_COST",
        "LOW_COST",
        "AVERAGE_COST",
        "SPECIFIC_LOT",
        "LOSS_HARVESTER",
    }
)
_DESTINATIONS = frozenset(
    {
        "INET",
        "ECN_ARCA",
        "CBOE",
        "AMEX",
        "PHLX",
        "ISE",
        "BOX",
        "NYSE",
        "NASDAQ",
        "BATS",
        "C2",
        "AUTO",
    }
)
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,6})?")
_ONE = Decimal(1)


def read_order(body: bytes, prices: Prices, now: datetime) -> OrderForm:
    """Read the body of an order request.

    Args:
        body: JSON.
        prices: Where symbols are looked up.
        now: Market time: what has expired is not there.

    Raises:
        Refusal: 400, with the sentence.
    """
    try:
        given = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, InvalidOperation, RecursionError):
        raise malformed("The request body is not valid JSON") from None
    if not isinstance(given, dict):
        raise malformed("The request body must be an order object")
    return _Reader(lambda symbol: _symbol(symbol, prices, now)).form(given)


class _Reader:
    """Reads one order and all below it."""

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find

    def form(self, given: Mapping[str, Any], depth: int = 1) -> OrderForm:
        """Read one order; `depth` counts the orders above it."""
        if depth > facts.MOST_LEVELS:
            raise malformed(f"childOrderStrategies are nested deeper than {facts.MOST_LEVELS}")
        strategy = _word(given, "orderStrategyType", OrderStrategy)
        if strategy not in _STRATEGIES:
            raise invalid_value(strategy.value)
        if strategy is OrderStrategy.OCO:
            return self._pair(given, depth)
        children = tuple(
            self.form(child, depth + 1) for child in _objects(given, "childOrderStrategies")
        )
        if (strategy is OrderStrategy.TRIGGER) != (len(children) == 1):
            raise malformed(
                "childOrderStrategies must hold one order for TRIGGER, and none for SINGLE"
            )
        return self._single(given, strategy, children)

    def _pair(self, given: Mapping[str, Any], depth: int) -> OrderForm:
        for name, value in given.items():
            if name not in _PAIR_FIELDS and value is not None:
                raise malformed(f"{name} is not allowed for orderStrategyType OCO")
        children = tuple(
            self.form(child, depth + 1) for child in _objects(given, "childOrderStrategies")
        )
        if len(children) != 2 or any(
            child.strategy is not OrderStrategy.SINGLE for child in children
        ):
            raise malformed("childOrderStrategies must hold two SINGLE orders for OCO")
        return OrderForm(strategy=OrderStrategy.OCO, children=children)

    def _single(
        self,
        given: Mapping[str, Any],
        strategy: OrderStrategy,
        children: tuple[OrderForm, ...],
    ) -> OrderForm:
        if given.get("requestedDestination") is not None:
            raise malformed("requestedDestination is not allowed in a request")
        order_type = _word(given, "orderType", WireOrderType)
        if order_type not in _SIMULATED_TYPES:
            raise invalid_value(order_type.value)
        legs = tuple(self._leg(leg) for leg in _objects(given, "orderLegCollection"))
        _check_legs(legs, order_type)
        duration = _word(given, "duration", Duration)
        shares = all(leg.asset is WireAsset.EQUITY for leg in legs)
        if duration is Duration.UNKNOWN or (shares and duration not in facts.SHARE_DURATIONS):
            raise invalid_value(duration.value)
        complex_strategy = _optional_word(given, "complexOrderStrategyType", ComplexStrategy)
        form = OrderForm(
            strategy=strategy,
            order_type=order_type,
            session=_word(given, "session", Session),
            duration=duration,
            complex_strategy=complex_strategy or _unsaid(legs),
            quantity=_units(given, legs),
            legs=legs,
            price=_price(given, "price"),
            price_basis=_optional_word(given, "priceLinkBasis", LinkBasis),
            price_unit=_optional_word(given, "priceLinkType", LinkType),
            stop_price=_price(given, "stopPrice"),
            stop_basis=_optional_word(given, "stopPriceLinkBasis", LinkBasis),
            stop_unit=_optional_word(given, "stopPriceLinkType", LinkType),
            stop_offset=_number(given, "stopPriceOffset"),
            stop_type=_one_of(given, "stopType", _STOP_TYPES),
            special_instruction=_one_of(given, "specialInstruction", _SPECIAL),
            tax_lot_method=_one_of(given, "taxLotMethod", _LOTS),
            destination=_one_of(given, "destinationLinkName", _DESTINATIONS),
            children=children,
        )
        _check_prices(form)
        return form

    def _leg(self, given: Mapping[str, Any]) -> LegForm:
        instrument = given.get("instrument")
        if not isinstance(instrument, dict):
            raise malformed("instrument is required in each leg")
        asset = _word(instrument, "assetType", WireAsset)
        instruction = _word(given, "instruction", Instruction)
        allowed = {
            WireAsset.EQUITY: EQUITY_INSTRUCTIONS,
            WireAsset.OPTION: OPTION_INSTRUCTIONS,
        }.get(asset)
        if allowed is None:
            raise invalid_value(asset.value)
        if instruction not in allowed:
            raise malformed(f"instruction {instruction.value} does not fit assetType {asset.value}")
        wire_symbol = instrument.get("symbol")
        if not isinstance(wire_symbol, str) or not wire_symbol:
            raise malformed("symbol is required in each instrument")
        if is_option(wire_symbol) != (asset is WireAsset.OPTION):
            raise malformed(f"symbol {wire_symbol[:30]} does not fit assetType {asset.value}")
        symbol = self._find(wire_symbol)
        if symbol is None:
            raise malformed(f"Instrument not found for symbol {wire_symbol[:30]}")
        return LegForm(symbol, wire_symbol, asset, instruction, _quantity(given))


def _symbol(wire_symbol: str, prices: Prices, now: datetime) -> str | None:
    """Return our spelling of a tradable symbol; None where nothing of the name is traded."""
    if is_option(wire_symbol):
        try:
            listed = prices.contract(OptionContract.from_occ(wire_symbol).occ_symbol, now)
        except BadSymbol:
            return None
        return None if listed is None else wire_symbol
    instrument = prices.instrument(wire_symbol.replace("/", "."))
    if instrument is None or instrument.asset_type == "INDEX":
        return None
    if spelled(instrument) != wire_symbol or prices.underlying(instrument.symbol, now) is None:
        return None
    return instrument.symbol


def _check_legs(legs: tuple[LegForm, ...], order_type: WireOrderType) -> None:
    if not legs:
        raise malformed("orderLegCollection is required")
    options = [leg for leg in legs if leg.asset is WireAsset.OPTION]
    if len(options) > facts.MOST_LEGS or len(legs) - len(options) > 1:
        raise malformed(f"An order has at most {facts.MOST_LEGS} option legs and one of shares")
    if len({leg.symbol for leg in legs}) < len(legs):
        raise malformed("An instrument may stand in one leg only")
    fits = order_type in _NET or order_type is WireOrderType.MARKET
    if (len(legs) > 1 and not fits) or (len(legs) == 1 and order_type in _NET):
        raise malformed(f"orderType {order_type.value} does not fit an order of {len(legs)} leg(s)")


def _check_prices(form: OrderForm) -> None:
    kind = form.order_type
    if kind in PRICED and not form.price:
        raise malformed(f"price is required for orderType {kind.value if kind else ''}")
    if kind in STOPPED and not form.stop_price:
        raise malformed(f"stopPrice is required for orderType {kind.value if kind else ''}")
    if kind in TRAILING and not form.stop_offset:
        raise malformed(f"stopPriceOffset is required for orderType {kind.value if kind else ''}")


def _unsaid(legs: tuple[LegForm, ...]) -> ComplexStrategy:
    return ComplexStrategy(facts.COMPLEX_STRATEGY_UNSAID) if len(legs) > 1 else ComplexStrategy.NONE


def _units(given: Mapping[str, Any], legs: tuple[LegForm, ...]) -> Decimal:
    """Return how many units are ordered: as said where that divides all legs, else the most."""
    most = Decimal(reduce(gcd, (int(leg.quantity) for leg in legs)))
    said = _number(given, "quantity")
    if said and said % 1 == 0 and len(legs) > 1 and all(leg.quantity % said == 0 for leg in legs):
        return said
    return most


def _quantity(given: Mapping[str, Any]) -> Decimal:
    kind = given.get("quantityType")
    if kind not in {None, "SHARES"}:
        raise invalid_value(kind)
    quantity = _number(given, "quantity")
    if quantity is None or quantity <= 0 or quantity % 1:
        raise malformed("quantity must be a positive whole number in each leg")
    return quantity.quantize(_ONE)


def _price(given: Mapping[str, Any], name: str) -> Decimal | None:
    price = _number(given, name)
    if price is None:
        return None
    if price < 0:
        raise malformed(f"{name} must not be negative")
    digits = facts.PRICE_DIGITS if price >= 1 else facts.SMALL_PRICE_DIGITS
    if price != price.quantize(Decimal(1).scaleb(-digits)):
        raise malformed(f"{name} {price:f} has more than {digits} decimals")
    return price


def _number(given: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a number that is written as one or as text."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise malformed(f"{name} must be a number")
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if not _NUMBER.fullmatch(text.strip()):
        raise malformed(f"{name} must be a number")
    return Decimal(text.strip())


def _refuse_constant(name: str) -> Decimal:
    raise ValueError(name)


def _objects(given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = given.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise malformed(f"{name} must be a list of objects")
    return value


def _word(given: Mapping[str, Any], name: str, words: type[E]) -> E:
    found = _optional_word(given, name, words)
    if found is None:
        raise malformed(f"{name} is required")
    return found


def _optional_word(given: Mapping[str, Any], name: str, words: type[E]) -> E | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        return words(value)
    except (ValueError, TypeError):
        raise invalid_value(str(value)[:60]) from None


def _one_of(given: Mapping[str, Any], name: str, words: frozenset[str]) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value not in words:
        raise invalid_value(str(value)[:60])
    return value
