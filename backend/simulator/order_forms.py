"""An order as a client fills it in: what the wire said, checked and typed, before it has an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.schwab_order_terms import OrderStrategy, WireOrderType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from models.schwab_order_terms import (
        ComplexStrategy,
        Duration,
        Instruction,
        LinkBasis,
        LinkType,
        Session,
        WireAsset,
    )

PRICED = frozenset(
    {
        WireOrderType.LIMIT,
        WireOrderType.STOP_LIMIT,
        WireOrderType.LIMIT_ON_CLOSE,
        WireOrderType.NET_DEBIT,
        WireOrderType.NET_CREDIT,
    }
)
"""Types that need a price; of a NET_ZERO it is 0 and may be left out."""

STOPPED = frozenset({WireOrderType.STOP, WireOrderType.STOP_LIMIT})
"""Types that need a stop price."""

TRAILING = frozenset({WireOrderType.TRAILING_STOP, WireOrderType.TRAILING_STOP_LIMIT})
"""Types that need a stop's distance."""


@dataclass(frozen=True, slots=True)
class LegForm:
    """One leg.

    Attributes:
        symbol: OCC symbol, or ticker as QQQ or BRK.B.
        wire_symbol: As Schwab spells it.
        asset: EQUITY or OPTION.
        instruction: BUY_TO_OPEN, SELL, ...
        quantity: Contracts or shares, in all.
    """

    symbol: str
    wire_symbol: str
    asset: WireAsset
    instruction: Instruction
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderForm:
    """One order, or the node of an OCO, which has children alone.

    Attributes:
        strategy: SINGLE, TRIGGER or OCO.
        order_type: LIMIT, NET_DEBIT, ...; None of an OCO, as everything below.
        session: NORMAL, ...
        duration: DAY, ...
        complex_strategy: VERTICAL, ...
        quantity: Units: what one leg counts, or how often a spread is wanted.
        legs: What is traded.
        price: USD a unit as the wire has it, never negative.
        price_basis: Price that a linked price follows.
        price_unit: Unit of its distance.
        stop_price: USD.
        stop_basis: Price that a trailing stop follows.
        stop_unit: Unit of its distance.
        stop_offset: Its distance.
        stop_type: Which price touches a stop.
        special_instruction: ALL_OR_NONE, ...
        tax_lot_method: FIFO, ...
        destination: Venue that was asked for.
        children: Of TRIGGER one, of OCO two.
    """

    strategy: OrderStrategy
    order_type: WireOrderType | None = None
    session: Session | None = None
    duration: Duration | None = None
    complex_strategy: ComplexStrategy | None = None
    quantity: Decimal | None = None
    legs: tuple[LegForm, ...] = ()
    price: Decimal | None = None
    price_basis: LinkBasis | None = None
    price_unit: LinkType | None = None
    stop_price: Decimal | None = None
    stop_basis: LinkBasis | None = None
    stop_unit: LinkType | None = None
    stop_offset: Decimal | None = None
    stop_type: str | None = None
    special_instruction: str | None = None
    tax_lot_method: str | None = None
    destination: str | None = None
    children: tuple[OrderForm, ...] = ()

    @property
    def is_pair(self) -> bool:
        """Whether it is an OCO's node, which trades nothing itself."""
        return self.strategy is OrderStrategy.OCO

    def walk(self) -> Iterator[OrderForm]:
        """Yield this form and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()
