"""How an account stood when its day began: what initial balances tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.trading import Balances, Position


@dataclass(slots=True)
class Morning:
    """Balances and holdings of a morning, USD; short values negative.

    Attributes:
        cash: Settled or not.
        long_options: Market value.
        short_options: Market value.
        long_shares: Market value.
        short_shares: Market value.
        buying_power: Free for options.
        maintenance: What must be kept.
        quantities: Units held by symbol, short negative.
    """

    cash: Decimal
    long_options: Decimal = Decimal(0)
    short_options: Decimal = Decimal(0)
    long_shares: Decimal = Decimal(0)
    short_shares: Decimal = Decimal(0)
    buying_power: Decimal = Decimal(0)
    maintenance: Decimal = Decimal(0)
    quantities: dict[str, Decimal] = field(default_factory=dict)


def morning_of(balances: Balances, positions: Iterable[Position]) -> Morning:
    """Return how an account stands now, to be kept for the day."""
    morning = Morning(
        balances.cash,
        buying_power=balances.buying_power,
        maintenance=balances.maintenance_requirement,
    )
    for held in positions:
        morning.quantities[held.symbol] = held.signed_quantity
        value = held.market_value or held.cost_basis
        option = held.symbol != held.underlying
        if option and value > 0:
            morning.long_options += value
        elif option:
            morning.short_options += value
        elif value > 0:
            morning.long_shares += value
        else:
            morning.short_shares += value
    return morning
