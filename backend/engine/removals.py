"""Options that left an account without an order, parted into ours and those of others. Pure.

Where both hold a contract of which only some units leave, ours are taken to leave first: a person
is better told of too much than of too little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from models.options import OptionContract

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from decimal import Decimal

    from models.events import Settlement


class Removals(NamedTuple):
    """What left.

    Attributes:
        ours: Our part of each settlement that is not booked yet, oldest first.
        own_change: What they change of our holdings, units by symbol.
        other_change: What the rest changes of everything else that the account holds.
    """

    ours: list[Settlement]
    own_change: dict[str, Decimal]
    other_change: dict[str, Decimal]


def part(
    settlements: Iterable[Settlement],
    held: Mapping[str, Decimal],
    booked: Mapping[str, Decimal],
    seen: Collection[str] = (),
) -> Removals:
    """Part what left an account.

    Args:
        settlements: As the broker tells them, of the whole account.
        held: Our units by symbol, short negative, without those that are not booked yet.
        booked: Settlement id -> units of it that are booked as ours.
        seen: Ids of those whose effect on the rest of the account is known.
    """
    left = dict(held)
    found = Removals([], {}, {})
    for told in sorted(settlements, key=lambda each: (each.time_ns, each.settlement_id)):
        own = booked.get(told.settlement_id)
        if own is None:
            own = _common(left.get(told.symbol), told.quantity)
            if own:
                left[told.symbol] -= own
                found.ours.append(_units(told, own))
                _leave(found.own_change, found.ours[-1])
        if own != told.quantity and told.settlement_id not in seen:
            _leave(found.other_change, _units(told, told.quantity - own))
    return found


def _common(held: Decimal | None, leaves: Decimal) -> Decimal:
    """Return how many of the units that leave are ours, signed as they are."""
    if not held or held * leaves <= 0:
        return leaves * 0
    return held if abs(held) < abs(leaves) else leaves


def _units(told: Settlement, units: Decimal) -> Settlement:
    """Return a settlement of so many of its units."""
    if units == told.quantity:
        return told
    return msgspec.structs.replace(told, quantity=units, shares=told.shares * units / told.quantity)


def _leave(change: dict[str, Decimal], settlement: Settlement) -> None:
    symbol = settlement.symbol
    change[symbol] = change.get(symbol, 0) - settlement.quantity
    if settlement.shares:
        underlying = OptionContract.from_occ(symbol).underlying
        change[underlying] = change.get(underlying, 0) + settlement.shares
