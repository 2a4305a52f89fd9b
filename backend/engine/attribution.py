"""Where a day's gain came from: greeks at the beginning of each step times what moved in it. Pure.

Of what was held at the beginning of a step, with greeks of that moment: delta x dS + 1/2 gamma x dS^2
+ theta x dt + vega x d(volatility), and what that leaves unexplained of the change of its marks, the
residual (Taylor's theorem; cross terms and the third order are in the residual). What traded within
the step gained the difference between its price and the mark at the step's end, and cost fees. All
parts sum to the total exactly, in whole millionths of a dollar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.trading_hours import day_of
from models.symbols import OCC_LENGTH
from models.trading import underlying_of

if TYPE_CHECKING:
    from datetime import date

    from engine.market import Market
    from ports.strategy import ChainView
    from utils.portfolio_tracker import Holding, PortfolioTracker

_ZERO = Decimal(0)
_MILLIONTH = Decimal("0.000001")
_DAY_NS = 86_400 * 10**9


@dataclass
class Attributed:
    """USD gained with one underlying in one session, by what it came from.

    Attributes:
        delta: By the underlying's moves.
        gamma: By their squares.
        theta: By time.
        vega: By changes of implied volatility.
        trading: Between the prices of fills and the marks at the end of the step.
        fees: Negative.
        residual: What none of these explains.
    """

    delta: Decimal = _ZERO
    gamma: Decimal = _ZERO
    theta: Decimal = _ZERO
    vega: Decimal = _ZERO
    trading: Decimal = _ZERO
    fees: Decimal = _ZERO
    residual: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """USD of all."""
        return sum((getattr(self, each.name) for each in fields(self)), _ZERO)

    def add(self, other: Attributed) -> None:
        """Add another one's parts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class _Leg(NamedTuple):
    """One instrument at one moment; greeks of a share, NaN where they are not known."""

    units: float
    quantity: Decimal
    mark: Decimal | None
    multiplier: Decimal
    delta: float
    gamma: float
    theta: float
    vega: float
    volatility: float


class _Moment(NamedTuple):
    """What is held of one underlying at one moment, and what it has brought so far."""

    now_ns: int
    spot: float
    legs: dict[str, _Leg]
    worth: Decimal
    fees: Decimal


class Attribution:
    """Attributes the gain of a portfolio, step by step.

    Attributes:
        days: By session and underlying.
    """

    def __init__(self) -> None:
        """Begin before the first step."""
        self.days: dict[tuple[date, str], Attributed] = {}
        self._before: dict[str, _Moment] = {}

    def step(self, market: Market, portfolio: PortfolioTracker, *, carried: bool = False) -> None:
        """End a step at the market's newest quotes, and begin the next one.

        Args:
            market: Has marks, and greeks of quoted options.
            portfolio: What is held, and was.
            carried: What is there has been there before: nothing of it was gained in this step.
        """
        held: dict[str, list[Holding]] = {}
        for each in portfolio.holdings.values():
            held.setdefault(underlying_of(each.symbol), []).append(each)
        day = day_of(market.now_ns)
        for underlying, holdings in held.items():
            before = self._before.get(underlying)
            now = _moment(market, underlying, holdings, before)
            if before is None:  # from nothing, or from what there was
                worth, fees = (now.worth, now.fees) if carried else (_ZERO, _ZERO)
                before = _Moment(now.now_ns, now.spot, {}, worth, fees)
            gained = _between(before, now, market)
            self.days.setdefault((day, underlying), Attributed()).add(gained)
            self._before[underlying] = now


def _between(before: _Moment, now: _Moment, market: Market) -> Attributed:
    made = Attributed()
    moved = now.spot - before.spot if _known(now.spot, before.spot) else 0.0
    days = (now.now_ns - before.now_ns) / _DAY_NS
    revalued = _ZERO
    for symbol, leg in before.legs.items():
        later = now.legs.get(symbol)
        mark = later.mark if later is not None else _mark(market, symbol, leg.mark)
        if mark is not None and leg.mark is not None:
            revalued += (mark - leg.mark) * leg.quantity * leg.multiplier
        if len(symbol) != OCC_LENGTH:
            if mark is not None and leg.mark is not None:  # a share's own mark, all of it
                made.delta += (mark - leg.mark) * leg.quantity * leg.multiplier
            continue
        made.delta += _money(leg.units * leg.delta * moved)
        made.gamma += _money(0.5 * leg.units * leg.gamma * moved * moved)
        made.theta += _money(leg.units * leg.theta * days)
        volatility = math.nan if later is None else later.volatility
        made.vega += _money(leg.units * leg.vega * (volatility - leg.volatility) * 100)
    made.fees = before.fees - now.fees
    made.residual = revalued - made.delta - made.gamma - made.theta - made.vega
    made.trading = now.worth - before.worth - made.fees - revalued
    return made


def _moment(
    market: Market, underlying: str, holdings: list[Holding], before: _Moment | None
) -> _Moment:
    options = any(len(each.symbol) == OCC_LENGTH and each.quantity for each in holdings)
    chain = market.chain(underlying) if options else None
    place = {} if chain is None else {name: at for at, name in enumerate(chain.occ_symbol)}
    legs, worth, fees = {}, _ZERO, _ZERO
    for each in holdings:
        fees += each.fees
        open_fees = sum((lot.fees for lot in each.lots), _ZERO)
        worth += each.realized_pnl - open_fees
        if not each.quantity:
            continue
        old = None if before is None else before.legs.get(each.symbol)
        mark = _mark(market, each.symbol, None if old is None else old.mark)
        if mark is not None:
            for lot in each.lots:
                worth += lot.quantity * (mark - lot.price) * each.multiplier
        legs[each.symbol] = _leg(each, mark, chain, place.get(each.symbol))
    spot = math.nan if chain is None else chain.spot
    return _Moment(market.now_ns, spot, legs, worth, fees)


def _leg(held: Holding, mark: Decimal | None, chain: ChainView | None, at: int | None) -> _Leg:
    units = float(held.quantity * held.multiplier)
    found = [math.nan] * 5
    if chain is not None and at is not None:
        columns = (
            chain.delta,
            chain.gamma,
            chain.theta_per_day,
            chain.vega_per_point,
            chain.implied_volatility,
        )
        found = [float(column[at]) for column in columns]
    return _Leg(units, held.quantity, mark, held.multiplier, *found)


def _mark(market: Market, symbol: str, known: Decimal | None) -> Decimal | None:
    mark = market.mark(symbol)
    return known if mark is None else mark


def _known(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


def _money(value: float) -> Decimal:
    """Return USD in whole millionths; what is not known counts as nothing."""
    return Decimal(repr(value)).quantize(_MILLIONTH) if math.isfinite(value) else _ZERO
