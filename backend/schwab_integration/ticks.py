"""The steps in which prices move, and prices as exact texts. Pure.

Rules of the exchanges: an option of a penny class moves by 0.01 below 3 USD and by 0.05 from there
on, of any other class by 0.05 and 0.10, and of a few funds by 0.01 throughout; a share moves by
0.01, below 1 USD by 0.0001. A package of several legs moves by 0.01, one of index options by 0.05
(Schwab: "Spread orders for SPX options must be priced in 5-cent increments").
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

from models.errors import DataError
from models.options import OptionContract
from models.order_terms import AssetType
from models.trading import Leg


class TickClass(StrEnum):
    """How the contracts of an option root are quoted."""

    PENNY_THROUGHOUT = "PENNY_THROUGHOUT"
    PENNY = "PENNY"
    NICKEL = "NICKEL"


KNOWN_CLASSES: Final[Mapping[str, TickClass]] = dict.fromkeys(
    ("QQQ", "SPY", "IWM", "XSP"), TickClass.PENNY_THROUGHOUT
) | dict.fromkeys(
    ("SPX", "SPXW", "NDX", "NDXP", "RUT", "RUTW", "VIX", "VIXW", "DJX", "OEX", "XEO"),
    TickClass.NICKEL,
)
"""Option roots whose class is the same every day. A root that is not named counts as a penny class,
which most that trade much are; a chain's `isPennyPilot` tells of the others."""

_CENT: Final = Decimal("0.01")
_NICKEL: Final = Decimal("0.05")
_DIME: Final = Decimal("0.10")
_FINE: Final = Decimal("0.0001")
_THREE: Final = Decimal(3)
_ONE: Final = Decimal(1)


def tick_size(price: Decimal, legs: Sequence[Leg], classes: Mapping[str, TickClass]) -> Decimal:
    """Return the step of a price; USD.

    Args:
        price: Without sign; it decides where steps widen.
        legs: What is traded at it, one instrument or a package.
        classes: Option root -> class; a root that is missing is a penny class.
    """
    if len(legs) > 1:
        nickels = (_class(leg, classes) is TickClass.NICKEL for leg in legs)
        return _NICKEL if any(nickels) else _CENT
    if legs[0].asset_type is AssetType.EQUITY:
        return _FINE if price < _ONE else _CENT
    kind = _class(legs[0], classes)
    if kind is TickClass.PENNY_THROUGHOUT:
        return _CENT
    if kind is TickClass.PENNY:
        return _CENT if price < _THREE else _NICKEL
    return _NICKEL if price < _THREE else _DIME


def check_price(
    name: str, price: Decimal, legs: Sequence[Leg], classes: Mapping[str, TickClass]
) -> None:
    """Refuse a price between two steps.

    Args:
        name: Of the field, for the sentence.
        price: Without sign, USD.
        legs: What is traded at it.
        classes: Option root -> class.

    Raises:
        DataError: It is off the steps; the sentence names the nearest ones.
    """
    step = tick_size(price, legs, classes)
    below = price // step * step
    if below == price:
        return
    what = f"{len(legs)} legs together" if len(legs) > 1 else legs[0].symbol
    nearest = [price_text(near) for near in (below, below + step) if near]
    message = (
        f"{name} {price.normalize():f} is off the tick of {step}: {what} can be priced at "
        f"{' or '.join(nearest)}"
    )
    raise DataError(message)


def price_text(price: Decimal) -> str:
    """Return a price as an exact text with two decimals, or more where it has more."""
    return f"{price:.2f}" if price == price.quantize(_CENT) else f"{price.normalize():f}"


def _class(leg: Leg, classes: Mapping[str, TickClass]) -> TickClass | None:
    if leg.asset_type is AssetType.EQUITY:
        return None
    return classes.get(OptionContract.from_occ(leg.symbol).root, TickClass.PENNY)
