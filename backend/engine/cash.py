"""Whether an account's cash is what the journal and the broker's fills say. Pure.

A broker's cash moves by trades, by what options bring at their end, by fees, and by what a person or
the broker does (deposits, dividends, interest). Of fees a live fill tells nothing: they may take up to
`most_fees`. What these do not explain, the broker's own list of transactions must.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.reconciliation import SAME_TIME_NS
from models.decisions import Ended, Heard
from models.symbols import OCC_LENGTH
from utils.portfolio_tracker import PortfolioTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.decisions import Decision
    from models.trading import Trade

_ZERO: Final = Decimal(0)
_CENT: Final = Decimal("0.01")
_A_CONTRACT: Final = Decimal(2)
"""USD: commission, regulatory and exchange fees of any option are less."""
_OF_SHARES: Final = Decimal("0.0002")
"""Of what shares cost: section 31 and trading activity fees are less."""
_AN_EXECUTION: Final = Decimal("0.05")
"""USD: each fee is rounded to a cent."""


class CashMove(NamedTuple):
    """One transaction of the broker's list.

    Attributes:
        time_ns: When, UTC.
        usd: What it moved.
    """

    time_ns: int
    usd: Decimal


class CashFlow(NamedTuple):
    """What trades did to an account's cash.

    Attributes:
        gross: USD without fees.
        most_fees: USD that fees of them can be at most.
    """

    gross: Decimal = _ZERO
    most_fees: Decimal = _ZERO


def flow_of(trades: Iterable[Trade]) -> CashFlow:
    """Return what trades did to the cash."""
    gross, fees = _ZERO, _ZERO
    for each in trades:
        option = len(each.symbol) == OCC_LENGTH
        usd = each.signed_quantity * each.price * (100 if option else 1)
        gross -= usd
        fees += abs(each.signed_quantity) * _A_CONTRACT if option else abs(usd) * _OF_SHARES
        fees += _AN_EXECUTION
    return CashFlow(gross, fees)


def gross_flow(portfolio: PortfolioTracker) -> Decimal:
    """Return what all that was booked did to the cash, fees left out, USD."""
    fees = sum((each.fees for each in portfolio.holdings.values()), _ZERO)
    return portfolio.cash_flow + fees


def gross_before(decisions: Iterable[Decision]) -> Decimal:
    """Return the same of all that a journal's decisions booked."""
    portfolio = PortfolioTracker()
    for decision in decisions:
        if isinstance(decision, Heard):
            for fill in decision.update.fills:
                portfolio.book(fill)
        elif isinstance(decision, Ended):
            portfolio.settle(decision.settlement)
    return gross_flow(portfolio)


def sums_since(moves: Sequence[CashMove], at_ns: int) -> list[Decimal]:
    """Return what transactions since a moment moved: of those close to it any may belong to before.

    Args:
        moves: All since a little while before the moment.
        at_ns: The moment, UTC; the broker's times have whole seconds, and a clock of their own.
    """
    ordered = sorted(moves, key=lambda each: each.time_ns)
    left = sum((each.usd for each in ordered), _ZERO)
    sums = [left]
    for each in ordered:
        if each.time_ns > at_ns + SAME_TIME_NS:
            break
        left -= each.usd
        sums.append(left)
    return sums


def unexplained_cash(
    before: Decimal, now: Decimal, flow: CashFlow, moved: Iterable[Decimal] = ()
) -> Decimal:
    """Return USD by which the cash is more (or, negative, less) than anything explains; 0: all is.

    Args:
        before: Cash when it was last explained.
        now: Cash as the broker tells it.
        flow: Of all trades and ends of options since then, ours and those of others.
        moved: Sums of the broker's own transactions since then, of which one must fit where the
            trades alone do not explain it; several, since times near the beginning may mean either.
    """
    over = now - before - flow.gross
    if -flow.most_fees - _CENT <= over <= _CENT:
        return _ZERO
    if any(abs(now - before - each) <= _CENT for each in moved):
        return _ZERO
    return over
