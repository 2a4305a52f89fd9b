"""Rules about the account as a whole: losses, greeks, shocks, money, day trades, the sign-in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.core import Denial
from engine.exposure import (
    DELTA,
    GAMMA,
    HELD,
    SHOCKS,
    THETA,
    VEGA,
    WITH_BOTH,
    WITH_TICKET,
    WITH_WORKING,
    price_of,
)
from engine.instruments import instrument_of
from engine.ledger import contract_of
from engine.limits import DayTrades
from engine.margin import INITIAL_SHARES, OptionHolding, option_requirement
from engine.trading_hours import day_of
from models.order_terms import Side
from models.symbols import INDICES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.core import Engine
    from engine.risk import Question
    from models.trading import Order

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3_600 * _SECOND_NS
_WEEK_NS = 7 * 24 * _HOUR_NS
_ROUNDING = 1e-6
_LENT_LONG, _LENT_SHORT = float(1 - INITIAL_SHARES), float(1 + INITIAL_SHARES)

LEGACY_UNTIL = date(2026, 6, 4)
"""From this day on intraday margin replaces the counting of day trades (SR-FINRA-2025-017, approved
on 14 April 2026, release 34-105226) ..."""

PHASED_IN = date(2027, 10, 20)
"""... and until this one brokers may go on with the old rule."""

LEGACY_TRADES = 3
"""Day trades in five sessions that FINRA 4210(f)(8)(B) lets pass; the fourth marks the account."""

LEGACY_EQUITY = Decimal(25_000)
"""USD of equity from which their number does not matter."""


class AccountReport(NamedTuple):
    """What the broker says of an account.

    Attributes:
        round_trips: Day trades in the last five sessions; None where it does not count them.
        day_trader: Whether it is marked as a pattern day trader; None where it does not say.
        at_ns: When it said so, UTC.
    """

    round_trips: int | None = None
    day_trader: bool | None = None
    at_ns: int = 0


class Means:
    """The money that is free, asked of the broker at most once a second of the market."""

    def __init__(self) -> None:
        """Begin before anything was asked."""
        self._key: tuple[int, int] = (-1, -1)
        self._free = self._excess = self.equity = 0.0
        self._spent = 0.0
        self.needed = 0.0

    def look(self, engine: Engine) -> None:
        """Ask the broker, if a second has gone or something was booked."""
        key = (engine.market.now_ns // _SECOND_NS, engine.portfolio.version)
        if key != self._key:
            self._key = key
            balances = engine.broker.balances()
            self.equity = float(balances.liquidation_value)
            self._excess = self.equity - float(balances.maintenance_requirement)
            self._free = min(float(balances.buying_power), self._excess)
            self._spent = 0.0

    @property
    def free(self) -> float:
        """USD that orders may require."""
        return self._free - self._spent

    @property
    def excess(self) -> float:
        """USD of equity above what the holdings require."""
        return self._excess

    def spend(self, asked: Question) -> None:
        """Take off what a ticket requires that leaves, until the broker's figures have it."""
        self.look(asked.engine)
        self._spent += self.needed
        self.needed = 0.0


def daily_loss(asked: Question) -> Denial | None:
    """Nothing opens on a day that has lost enough."""
    if not asked.opening:
        return None
    most = asked.limits.max_daily_loss
    lost = -asked.worth  # which begins the day, if it is a new one
    lost += asked.gate.day_worth
    if lost > float(most) + _ROUNDING:
        said = f"{lost:,.2f} USD are lost today, more than {most:,.2f}: closing only"
        return Denial("daily_loss", str(most), f"{lost:.2f}", said)
    return None


def drawdown(asked: Question) -> Denial | None:
    """Nothing opens when the run lies too far below the most that it had gained."""
    if not asked.opening:
        return None
    most = asked.limits.max_drawdown
    below = asked.gate.most_worth - asked.worth
    if below > float(most) + _ROUNDING:
        said = f"the run lies {below:,.2f} USD below its best, more than {most:,.2f}: closing only"
        return Denial("drawdown", str(most), f"{below:.2f}", said)
    return None


def _greek(code: str, column: int, unit: str) -> Callable[[Question], Denial | None]:
    """Return the rule of one greek: what brings it nearer to its limit passes."""
    name = f"max_{code}_usd"

    def rule(asked: Question) -> Denial | None:
        if not asked.opening:
            return None
        most = float(getattr(asked.limits, name))
        for found in asked.exposures:
            for before, after in ((HELD, WITH_TICKET), (WITH_WORKING, WITH_BOTH)):
                was, now = abs(found[before][column]), found[after][column]
                if abs(now) > most + _ROUNDING and abs(now) > was + _ROUNDING:
                    said = f"the {code} of all holdings would be {now:,.0f} {unit}, more than {most:,.0f}"
                    return Denial(f"net_{code}", f"{most:g}", f"{now:.2f}", said)
        return None

    rule.__name__ = f"net_{code}"
    rule.__doc__ = f"The {code} of all holdings together, working openings counted and not."
    return rule


def shock_loss(asked: Question) -> Denial | None:
    """What all holdings lose at once where the underlyings move by sigmas of a day or by 10 %."""
    if not asked.opening:
        return None
    most = float(asked.limits.max_shock_loss)
    for found in asked.exposures:
        for before, after in ((HELD, WITH_TICKET), (WITH_WORKING, WITH_BOTH)):
            was, now = -min(found[before][SHOCKS:]), -min(found[after][SHOCKS:])
            if now > most + _ROUNDING and now > was + _ROUNDING:
                said = f"a shock would cost {now:,.2f} USD, more than {most:,.2f}"
                return Denial("shock_loss", f"{most:g}", f"{now:.2f}", said)
    return None


def buying_power(asked: Question) -> Denial | None:
    """What an opening requires by Regulation T must be free."""
    if not asked.opening:
        return None
    means = asked.gate.means
    means.look(asked.engine)
    means.needed = max(needed_usd(asked, case) for case in asked.cases)
    free = max(0.0, means.free * float(asked.limits.max_buying_power))
    if means.needed > free + _ROUNDING:
        said = f"the order needs {means.needed:,.2f} USD, {free:,.2f} are free for it"
        return Denial("buying_power", f"{free:.2f}", f"{means.needed:.2f}", said)
    return None


def needed_usd(asked: Question, orders: tuple[Order, ...]) -> float:
    """Return USD of free money that orders take: what they cost and what they require to be kept.

    A spread that its own legs cover requires its greatest loss, a purchase of options its price, one
    of shares half of it; anything else what the holdings on its underlying require after it more
    than before (`engine.margin`).
    """
    return sum(_needed(asked, order) for order in orders)


def _needed(asked: Question, order: Order) -> float:
    if order.client_order_id not in asked.openers:
        return 0.0
    natural = asked.natural(order)
    loss = asked.loss(order)
    if loss is not None and not _leans(order):
        return loss
    units = asked.facts(order).units
    price = natural if order.limit_price is None else order.limit_price
    if len(order.legs) == 1:
        leg = order.legs[0]
        paid = float(price or 0) * float(leg.quantity) * (1 if leg.side is Side.BUY else -1)
        if order.limit_price is None and natural is not None:
            paid = float(natural)
    else:
        paid = float(price or 0)
    cost = paid * float(order.quantity * max(leg.multiplier for leg in order.legs))
    underlying = instrument_of(order.legs[0].symbol).underlying
    held = asked.held.by_underlying.get(underlying, {})
    after = dict(held)
    for symbol, (count, _) in units.items():
        after[symbol] = after.get(symbol, 0.0) + count
    return max(0.0, cost + _kept(asked, underlying, after) - _kept(asked, underlying, held))


def _leans(order: Order) -> bool:
    """Return whether a short leg is one alone: its cover, if any, is held already."""
    return len(order.legs) == 1 and order.legs[0].side is Side.SELL


def _kept(asked: Question, underlying: str, units: Mapping[str, float]) -> float:
    """Return USD that holdings on an underlying require, less what they lend on shares."""
    spot = price_of(asked.quote(underlying))
    known = spot == spot  # noqa: PLR0124 - NaN
    options, shares, short = [], 0, False
    for symbol, count in units.items():
        each = instrument_of(symbol)
        if not each.is_option:
            shares += int(count)
        elif count:
            options.append((symbol, int(count)))
            short = short or count < 0
    required = 0.0
    if short:  # long options require nothing
        # Shares cover by the hundred: most tickets of shares leave what the options require as it is.
        key = (tuple(options), max(shares, 0) // 100, max(-shares, 0) // 100)
        found = asked.required.get(key)
        if found is None:
            found = option_requirement(
                [_holding(asked, symbol, count) for symbol, count in options],
                shares,
                Decimal(repr(spot)) if known else None,
                index=underlying in INDICES,
            ).amount
            asked.required[key] = found
        required = float(found)
    value = shares * spot if known else 0.0
    lent = value * _LENT_LONG if value > 0 else value * _LENT_SHORT
    return required - lent


def _holding(asked: Question, symbol: str, count: int) -> OptionHolding:
    contract = contract_of(symbol)
    # What long options are worth does not count.
    mark = price_of(asked.quote(symbol)) if count < 0 else 0.0
    return OptionHolding(
        contract.right,
        contract.strike,
        contract.expiration,
        count,
        Decimal(repr(mark)) if mark == mark else Decimal(0),  # noqa: PLR0124 - NaN
        100,
    )


def day_trades(asked: Question) -> Denial | None:
    """Day trades by the rule that counts for the account: legacy PDT, intraday margin, or none."""
    if not asked.opening:
        return None
    report = asked.gate.account
    policy = policy_of(asked.limits.day_trades, day_of(asked.now_ns), report)
    means = asked.gate.means
    means.look(asked.engine)
    if policy is DayTrades.INTRADAY_MARGIN and means.excess < -_ROUNDING:
        said = f"the account lacks {-means.excess:,.2f} USD of equity: closing only"
        return Denial("day_trades", "no intraday margin deficit", f"{means.excess:.2f}", said)
    if policy is not DayTrades.LEGACY_PDT or means.equity >= float(LEGACY_EQUITY):
        return None
    if report is not None and report.day_trader:
        said = f"the account is marked as a day trader's and has less than {LEGACY_EQUITY:,} USD"
        return Denial("day_trades", f"{LEGACY_EQUITY} USD", f"{means.equity:.2f}", said)
    since_ns = 0 if report is None else report.at_ns
    trades = (report.round_trips or 0 if report else 0) + own_day_trades(asked.engine, since_ns)
    if trades >= LEGACY_TRADES:
        said = (
            f"{trades} day trades in five sessions with less than {LEGACY_EQUITY:,} USD: one more "
            "would mark the account"
        )
        return Denial("day_trades", str(LEGACY_TRADES - 1), str(trades), said)
    return None


def policy_of(chosen: DayTrades, today: date, report: AccountReport | None) -> DayTrades:
    """Return the rule about day trades that counts: the chosen one, or by date and report.

    While brokers move from one to the other, the old rule counts where the account still reports
    round trips or a mark, the new one where it does not.
    """
    if chosen is not DayTrades.AUTO:
        return chosen
    if today < LEGACY_UNTIL:
        return DayTrades.LEGACY_PDT
    reports = report is not None and (
        report.round_trips is not None or report.day_trader is not None
    )
    return DayTrades.LEGACY_PDT if reports and today < PHASED_IN else DayTrades.INTRADAY_MARGIN


def own_day_trades(engine: Engine, since_ns: int) -> int:
    """Return how many day trades our fills of today made after a time.

    One is counted each time that units which were opened today begin to be closed.
    """
    today = day_of(engine.market.now_ns)
    fills = sorted(
        (fill for state in engine.book.states.values() for fill in state.fills.values()),
        key=lambda fill: (fill.time_ns, fill.execution_id),
    )
    opened: dict[str, Decimal] = {}
    closing: set[str] = set()
    trades = 0
    for fill in fills:
        if day_of(fill.time_ns) != today:
            continue
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        held = opened.get(fill.symbol, Decimal(0))
        if held * signed < 0:
            trades += fill.symbol not in closing and fill.time_ns > since_ns
            closing.add(fill.symbol)
        else:
            closing.discard(fill.symbol)
        opened[fill.symbol] = held + signed
    return trades


def sign_in(asked: Question) -> Denial | None:
    """The broker's sign-in must outlast what is opened, where a new one would.

    It lives seven days: of a contract that expires within them it must outlast the last trade, of
    anything else it must last some hours.
    """
    until_ns = asked.gate.sign_in_until_ns
    if until_ns is None or not asked.opening:
        return None
    least_h = asked.limits.least_sign_in_hours
    left_h = (until_ns - asked.now_ns) / _HOUR_NS
    for leg in asked.opened:
        last_ns = instrument_of(leg.symbol).last_ns
        if last_ns and last_ns - asked.now_ns <= _WEEK_NS and until_ns < last_ns:
            said = f"the sign-in ends before {leg.symbol} does: sign in again first"
            return Denial("sign_in", "until the last trade", f"{left_h:.1f} h", said)
        if left_h < least_h and not (last_ns and until_ns >= last_ns):
            said = f"the sign-in ends in {left_h:.1f} hours, less than {least_h:g}: sign in again"
            return Denial("sign_in", f"{least_h:g} h", f"{left_h:.1f} h", said)
    return None


ACCOUNT_RULES: tuple[Callable[[Question], Denial | None], ...] = (
    sign_in,
    daily_loss,
    drawdown,
    _greek("delta", DELTA, "USD"),
    _greek("gamma", GAMMA, "USD for 1 %"),
    _greek("vega", VEGA, "USD a point"),
    _greek("theta", THETA, "USD a day"),
    shock_loss,
    buying_power,
    day_trades,
)
"""In the order in which they are asked."""
