"""What positions require: strategy-based margin in the manner of Regulation T, and cash rules.

The option of `available`: how much of an account's money is free, with long options worth nothing
as collateral (they are paid in full), short ones requiring what the rules ask, shares lent on.

Sources. Regulation T (12 CFR 220.12): 50 % initial for shares. FINRA Rule 4210(c): maintenance 25 %
of long shares, 30 % of short ones; 4210(f)(2): uncovered options, spreads. The percentages of
uncovered options (20 % of the underlying, 15 % of a broad index, less what the option is out of the
money, at least 10 % of the underlying for calls or of the strike for puts, plus the option's
value) are as Cboe's margin manual has them: from memory, the put formulas seen again in a public
copy of a broker's page. That a spread requires its maximum possible loss, found at the strikes, is
Regulatory Notice 12-44's rule (read in summary). A broker may ask more: concentration, volatility
and leveraged products are not modelled.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from models.symbols import Right  # noqa: TC001 - NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_ZERO = Decimal(0)
INITIAL_SHARES = Decimal("0.50")
"""Of the value of shares, long or short, when they are bought or sold short (Regulation T)."""
_LENT_LONG, _LENT_SHORT = 1 - INITIAL_SHARES, 1 + INITIAL_SHARES
MAINTENANCE_LONG = Decimal("0.25")
"""Of the value of long shares (FINRA 4210(c)(1))."""
MAINTENANCE_SHORT = Decimal("0.30")
"""Of the value of short shares (FINRA 4210(c)(3), shares of 16.67 USD and above)."""
UNCOVERED_EQUITY = Decimal("0.20")
"""Of the underlying's value (FINRA 4210(f)(2)(E), from memory)."""
UNCOVERED_INDEX = Decimal("0.15")
"""Of a broad index's value (the same)."""
UNCOVERED_LEAST = Decimal("0.10")
"""Of the underlying (calls) or the strike (puts), at least (the same)."""


class OptionHolding(NamedTuple):
    """Options of one contract that are held.

    Attributes:
        right: C or P.
        strike: USD.
        expiration: Day.
        quantity: Contracts, short negative.
        mark: USD a share.
        multiplier: Shares a contract.
    """

    right: Right
    strike: Decimal
    expiration: date
    quantity: int
    mark: Decimal
    multiplier: int


class Requirement(NamedTuple):
    """What the options on one underlying require.

    Attributes:
        amount: USD, value of uncovered short options included.
        naked_calls: Short calls that nothing covers.
        naked_puts: Short puts that nothing covers.
        spreads: Short options that long ones cover.
        covered: Short options that shares cover.
    """

    amount: Decimal = _ZERO
    naked_calls: int = 0
    naked_puts: int = 0
    spreads: int = 0
    covered: int = 0


NOTHING_REQUIRED = Requirement()
"""Of long options."""


class _Pair(NamedTuple):
    """A short option and the long one that covers it, `quantity` times."""

    short: OptionHolding
    long: OptionHolding
    quantity: int


def uncovered(option: OptionHolding, spot: Decimal | None, *, index: bool) -> Decimal:
    """Return what one uncovered short contract requires, its own value included, USD.

    max(20 % of the underlying - out of the money, 10 % of the underlying or of a put's strike) +
    the option's value; 15 % for a broad index. Without a known underlying the strike stands for it.
    """
    price = option.strike if spot is None else spot
    call = option.right == "C"
    out = option.strike - price if call else price - option.strike
    asked = (UNCOVERED_INDEX if index else UNCOVERED_EQUITY) * price
    if out > 0:
        asked -= out
    least = UNCOVERED_LEAST * (price if call else option.strike)
    return (max(asked, least) + option.mark) * option.multiplier


def option_requirement(
    options: Sequence[OptionHolding],
    shares: int,
    spot: Decimal | None,
    *,
    index: bool = False,
    cash_rules: bool = False,
) -> Requirement:
    """Return what the options on one underlying require, paired so that they require little.

    Shares cover first (100 long shares a short call; short shares a short put), then long options
    that live at least as long cover short ones, each time the pair that saves most. Pairs whose
    short options expire on the same day require their greatest loss at any price together, so that
    an iron condor requires one side alone. Of uncovered calls and puts (a strangle) the dearer
    side counts in full and the other at its value.

    Args:
        options: Those held, long and short.
        shares: Of the underlying, short negative.
        spot: The underlying's price, USD; None where it is not known.
        index: Whether it is a broad index.
        cash_rules: Of cash accounts and IRAs: an uncovered put requires its whole strike.
    """
    shorts = [option for option in options if option.quantity < 0]
    if not shorts:
        return NOTHING_REQUIRED
    alone = [
        option.strike * option.multiplier
        if cash_rules and option.right == "P"
        else uncovered(option, spot, index=index)
        for option in shorts
    ]
    left = [-option.quantity for option in shorts]
    covered = _cover_with_shares(shorts, left, alone, shares) if shares else 0
    pairs = _pair(shorts, left, alone, [option for option in options if option.quantity > 0])
    amount = _pairs_requirement(pairs)
    if any(left):
        naked: dict[str, Decimal] = {"C": _ZERO, "P": _ZERO}
        marks: dict[str, Decimal] = {"C": _ZERO, "P": _ZERO}
        for option, count, price in zip(shorts, left, alone, strict=True):
            naked[option.right] += count * price
            marks[option.right] += count * option.mark * option.multiplier
        if cash_rules:
            amount += naked["C"] + naked["P"]
        else:
            amount += max(naked["C"] + marks["P"], naked["P"] + marks["C"])
    counts = {"C": 0, "P": 0}
    for option, count in zip(shorts, left, strict=True):
        counts[option.right] += count
    return Requirement(
        amount, counts["C"], counts["P"], sum(pair.quantity for pair in pairs), covered
    )


def _cover_with_shares(
    shorts: Sequence[OptionHolding], left: list[int], alone: Sequence[Decimal], shares: int
) -> int:
    """Take what shares cover out of what is left of the short options, the dearest first.

    Returns:
        How many were covered.
    """
    right = "C" if shares > 0 else "P"
    free = abs(shares)
    covered = 0
    fitting = [number for number, option in enumerate(shorts) if option.right == right]
    for number in sorted(fitting, key=alone.__getitem__, reverse=True):
        multiplier = shorts[number].multiplier
        count = min(left[number], free // multiplier)
        left[number] -= count
        free -= count * multiplier
        covered += count
    return covered


def _pair(
    shorts: Sequence[OptionHolding],
    left: list[int],
    alone: Sequence[Decimal],
    longs: Sequence[OptionHolding],
) -> list[_Pair]:
    """Pair short options with long ones, the greatest saving first; take them out of `left`."""
    candidates = []
    for at, (short, price) in enumerate(zip(shorts, alone, strict=True)):
        if not left[at]:
            continue
        for number, long in enumerate(longs):
            if long.right == short.right and long.expiration >= short.expiration:
                saving = price - pair_requirement(short, long)
                if saving > 0:
                    candidates.append((-saving, short[:3], long[:3], at, number))
    candidates.sort()
    free = [option.quantity for option in longs]
    pairs = []
    for _, _, _, at, number in candidates:
        count = min(left[at], free[number])
        if count > 0:
            left[at] -= count
            free[number] -= count
            pairs.append(_Pair(shorts[at], longs[number], count))
    return pairs


def pair_requirement(short: OptionHolding, long: OptionHolding) -> Decimal:
    """Return what a short option requires that a long one covers: how much worse the long is."""
    worse = long.strike - short.strike if short.right == "C" else short.strike - long.strike
    return worse * short.multiplier if worse > 0 else _ZERO


def _pairs_requirement(pairs: Sequence[_Pair]) -> Decimal:
    """Return the greatest loss of the pairs, those of one expiration of the shorts together."""
    if len(pairs) == 1:  # it loses most where both are in the money
        return pair_requirement(pairs[0].short, pairs[0].long) * pairs[0].quantity
    groups: dict[date, list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.short.expiration, []).append(pair)
    return sum((_greatest_loss(group) for group in groups.values()), _ZERO)


def _greatest_loss(pairs: Sequence[_Pair]) -> Decimal:
    """Return the greatest loss at expiration over all prices: it lies at a strike or at 0."""
    prices = {_ZERO} | {option.strike for pair in pairs for option in pair[:2]}
    worst = _ZERO
    for price in prices:
        value = _ZERO
        for short, long, quantity in pairs:
            gain = intrinsic(long, price) - intrinsic(short, price)
            if gain:
                value += gain * quantity * short.multiplier
        worst = min(worst, value)
    return -worst


def intrinsic(option: OptionHolding, price: Decimal) -> Decimal:
    """Return what an option is worth at expiration, USD a share."""
    gain = price - option.strike if option.right == "C" else option.strike - price
    return gain if gain > 0 else _ZERO


def shares_available(value: Decimal, *, cash_rules: bool) -> Decimal:
    """Return what shares add to the free money: half of a long value, minus 150 % of a short one.

    Args:
        value: USD at the mark, short negative.
        cash_rules: Of cash accounts and IRAs: shares are no collateral.
    """
    if value > 0:
        return _ZERO if cash_rules else value * _LENT_LONG
    return value * _LENT_SHORT


def shares_maintenance(value: Decimal, *, cash_rules: bool) -> Decimal:
    """Return what shares require to be kept, USD: 25 % of a long value, 30 % of a short one."""
    if value > 0:
        return _ZERO if cash_rules else value * MAINTENANCE_LONG
    return -value * MAINTENANCE_SHORT
