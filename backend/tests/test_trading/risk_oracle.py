"""What the risk gate ought to say, written from `docs/risk.md` alone and by other means.

Money in Decimal, cover by counting what lives as long or longer (Hall's theorem), greeks and shocks by
the error function and bisection, positions as plain dictionaries. The Regulation-T requirement of
what leans on holdings is `engine.margin`'s, which has tests of its own.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from engine.margin import OptionHolding, option_requirement
from models.options import OptionContract
from models.order_terms import PositionEffect, Side
from utils.clock import to_time
from utils.market_calendar import (
    NEW_YORK,
    expiry_moment,
    last_trading_session,
    option_close,
    session,
)

if TYPE_CHECKING:
    from datetime import datetime

    from risk_world import World

    from models.events import Quote
    from models.trading import Order

Units = dict[str, int]
CLOSE = 1e-6


@cache
def contract(symbol: str) -> OptionContract | None:
    return OptionContract.from_occ(symbol) if len(symbol) == 21 else None


@cache
def last_trade(symbol: str) -> datetime | None:
    each = contract(symbol)
    if each is None:
        return None
    day = last_trading_session(each.root, each.expiration).day
    return option_close(each.root, day, expiring=True)


@cache
def expires(symbol: str) -> datetime:
    each = contract(symbol)
    assert each is not None
    return expiry_moment(each.expiration, root=each.root)


def under(symbol: str) -> str:
    each = contract(symbol)
    return symbol if each is None else each.underlying


def normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def black(spot: float, strike: float, years: float, vol: float, call: bool) -> float:
    v = vol * math.sqrt(years)
    if v <= 0:
        return max(spot - strike, 0) if call else max(strike - spot, 0)
    d = math.log(spot / strike) / v + v / 2
    price = spot * normal(d) - strike * normal(d - v)
    return price if call else price - spot + strike


@lru_cache(maxsize=50_000)
def implied(price: float, spot: float, strike: float, years: float, call: bool) -> float:
    """Return the volatility by bisection; 0 where the price has none."""
    inner = max(spot - strike, 0) if call else max(strike - spot, 0)
    share = (price - inner) / min(spot, strike)
    if not (1e-12 < share < 1 - 1e-9) or years <= 0:
        return 0.0
    low, high = 1e-6, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if black(spot, strike, years, middle, call) < price else (low, middle)
        )
    return low


def mid(quote: Quote | None) -> float | None:
    if quote is None:
        return None
    if quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2
    if quote.last is not None:
        return quote.last
    return quote.ask / 2 if quote.ask is not None else quote.bid


def naked(units: Units, extra: list[tuple[str, datetime, int]]) -> int:
    """Return the short options without cover, by the worst shortage at any expiration."""
    total = 0
    shares = sum(n for s, n in units.items() if contract(s) is None)
    for right in "CP":
        rows = [
            (expires(s), n) for s, n in units.items() if (c := contract(s)) and c.right == right
        ]
        rows += [(at, -n) for r, at, n in extra if r == right]
        worst = max((-sum(n for at, n in rows if at >= since) for since, _ in rows), default=0)
        lots = max(shares if right == "C" else -shares, 0) // 100
        total += max(worst, 0) - min(max(worst, 0), lots)
    return total


class Oracle:
    """One order before one world."""

    def __init__(self, world: World, order: Order, spent: Decimal) -> None:
        self.world, self.order, self.limits, self.spent = world, order, world.gate.limits, spent
        self.now = to_time(world.engine.market.now_ns)
        self.quotes = world.engine.market.quotes
        self.held: Units = {
            s: int(h.quantity) for s, h in world.engine.portfolio.holdings.items() if h.quantity
        }
        self.working = world.engine.book.working()
        self.opened = [leg.symbol for leg in order.legs if self.opens(leg)]
        self.relied = {*self.opened, *map(under, self.opened)}

    def opens(self, leg: Any) -> bool:
        if leg.position_effect is PositionEffect.OPENING:
            return True
        held = self.held.get(leg.symbol, 0)
        for each in self.working:
            for own in each.legs:
                signed = int(own.signed_quantity * each.remaining_quantity)
                if own.symbol == leg.symbol and signed * held < 0:
                    held += signed
        signed = int(leg.signed_quantity * self.order.quantity)
        return held * signed >= 0 or abs(signed) > abs(held)

    def denies(self, rule: str) -> bool | None:
        """Return whether a rule denies the order; None where it is too close to tell by floats."""
        if not self.opened and rule not in {"size", "price_collar", "naked_short"}:
            return False
        return getattr(self, rule)()  # type: ignore[no-any-return]

    @staticmethod
    def above(value: float, most: float) -> bool | None:
        slack = 1e-6 * max(1.0, abs(most))
        return None if abs(value - most) <= slack else value > most

    def duplicate(self) -> bool:
        def words(order: Order) -> str:
            legs = sorted(f"{leg.symbol} {leg.side} {leg.quantity}" for leg in order.legs)
            return f"{legs} {order.quantity} {order.limit_price}"

        return words(self.order) in map(words, self.working)

    def restricted(self) -> bool:
        return any(under(s) in self.limits.restricted for s in self.opened)

    def size(self) -> bool:
        return any(
            leg.quantity * self.order.quantity
            > (self.limits.max_contracts if contract(leg.symbol) else self.limits.max_shares)
            for leg in self.order.legs
        )

    def notional(self) -> bool | None:
        total = 0.0
        for leg in self.order.legs:
            quote = self.quotes.get(leg.symbol)
            sides = [x for x in (quote.bid, quote.ask) if x is not None] if quote else []
            price = sum(sides) / len(sides) if sides else None
            if len(self.order.legs) == 1 and self.order.limit_price is not None:
                price = max(price or 0.0, float(self.order.limit_price))
            total += (price or 0.0) * float(leg.quantity * leg.multiplier * self.order.quantity)
        return self.above(total, float(self.limits.max_notional))

    def natural(self) -> Decimal | None:
        total = Decimal(0)
        for leg in self.order.legs:
            quote = self.quotes.get(leg.symbol)
            side = quote and (quote.ask if leg.side is Side.BUY else quote.bid)
            if side is None:
                return None
            total += leg.signed_quantity * Decimal(str(side))
        return total

    def cost(self) -> Decimal | None:
        """Return what a unit costs at worst: the limit or the touch; a credit is negative."""
        limit = self.order.limit_price
        if limit is None:
            return self.natural()
        single_sale = len(self.order.legs) == 1 and self.order.legs[0].side is Side.SELL
        return -limit if single_sale else limit

    def price_collar(self) -> bool:
        natural = self.natural()
        if natural is None or self.order.limit_price is None:
            return False
        reach = max(abs(natural) * self.limits.price_collar, Decimal("0.1"))
        return self.cost() > natural + reach  # type: ignore[operator]

    def open_orders(self) -> bool:
        return len(self.working) + 1 > self.limits.max_open_orders

    def positions(self) -> bool:
        names = set(self.held) | {leg.symbol for leg in self.order.legs}
        names |= {leg.symbol for each in self.working for leg in each.legs}
        return len(names) > self.limits.max_positions

    def loss(self) -> Decimal | None:
        """Return the greatest loss at expiration, over zero and all strikes; None: unbounded."""
        cost = self.cost()
        legs = [(contract(leg.symbol), leg.signed_quantity) for leg in self.order.legs]
        if cost is None or any(each is None for each, _ in legs):
            return None
        if sum(n for each, n in legs if each and each.right == "C") < 0:
            return None
        worst = Decimal(0)
        for spot in [Decimal(0), *(each.strike for each, _ in legs if each)]:
            value = sum(
                n
                * max((spot - each.strike) if each.right == "C" else each.strike - spot, Decimal(0))
                for each, n in legs
                if each
            )
            worst = max(worst, cost - value)
        return worst * 100 * self.order.quantity

    def max_loss(self) -> bool:
        loss = self.loss()
        return loss is not None and loss > self.limits.max_loss

    def naked_short(self) -> bool:
        if self.limits.naked_shorts:
            return False
        for name in {under(leg.symbol) for leg in self.order.legs}:
            units = {s: n for s, n in self.held.items() if under(s) == name}
            extra: list[tuple[str, datetime, int]] = []
            for each in self.working:
                own = {
                    leg.symbol: int(leg.signed_quantity * each.remaining_quantity)
                    for leg in each.legs
                    if under(leg.symbol) == name
                }
                if len(each.legs) == 1:
                    for s, n in own.items():
                        units[s] = units.get(s, 0) + min(n, 0)
                else:
                    extra += _residue(own)
            after = dict(units)
            for leg in self.order.legs:
                if under(leg.symbol) == name:
                    n = int(leg.signed_quantity * self.order.quantity)
                    after[leg.symbol] = after.get(leg.symbol, 0) + n
            found = naked(after, extra)
            if found > naked(units, extra) and found > 0:
                return True
        return False

    def market_hours(self) -> bool:
        day = session(self.now.astimezone(NEW_YORK).date())
        for s in self.opened:
            each = contract(s)
            last = last_trade(s)
            close = day.close
            if each is not None and last is not None:
                expiring = last_trading_session(each.root, each.expiration).day == day.day
                close = option_close(each.root, day.day, expiring=expiring)
            if not day.open <= self.now < close:
                return True
        return False

    def expires_soon(self) -> bool:
        minutes = self.limits.no_openings_minutes
        if self.limits.flatten != "none":
            minutes = max(minutes, self.limits.flatten_minutes)
        ends = [last_trade(s) for s in self.opened]
        return any(end and end - self.now < timedelta(minutes=minutes) for end in ends)

    def no_quote(self) -> bool:
        return any(s not in self.quotes for s in self.relied)

    def _quotes(self, symbols: Any) -> list[Quote]:
        return [self.quotes[s] for s in symbols if s in self.quotes]

    def halted_market(self) -> bool:
        return any(q.halted for q in self._quotes(self.relied))

    def delayed_quote(self) -> bool:
        return not self.limits.delayed_quotes and any(q.delayed for q in self._quotes(self.relied))

    def stale_quote(self) -> bool | None:
        for quote in self._quotes(self.relied):
            most = (
                self.limits.max_age_s
                if contract(quote.symbol)
                else self.limits.max_underlying_age_s
            )
            if (self.world.engine.market.now_ns - quote.time_ns) / 1e9 > most:
                return True
        return False

    def one_sided_quote(self) -> bool:
        return any(not q.bid or not q.ask for q in self._quotes(self.opened))

    def crossed_quote(self) -> bool:
        return any(q.bid and q.ask and q.bid > q.ask for q in self._quotes(self.opened))

    def spread_width(self) -> bool:
        for q in self._quotes(self.opened):
            if q.bid is not None and q.ask is not None:
                wide = q.ask - q.bid
                share = float(self.limits.max_spread) * (q.bid + q.ask) / 2
                if wide > max(share, float(self.limits.max_spread_usd)) + 1e-8:
                    return True
        return False

    def sign_in(self) -> bool:
        until_ns = self.world.gate.sign_in_until_ns
        if until_ns is None:
            return False
        until = to_time(until_ns)
        for s in self.opened:
            end = last_trade(s)
            short_lived = end is not None and end - self.now <= timedelta(days=7)
            if short_lived and end is not None and until < end:
                return True
            soon = until - self.now < timedelta(hours=self.limits.least_sign_in_hours)
            if soon and not (end is not None and until >= end):
                return True
        return False

    def worth(self) -> float:
        portfolio = self.world.engine.portfolio
        total = float(portfolio.cash_flow)
        for s, n in self.held.items():
            holding = portfolio.holdings[s]
            price = mid(self.quotes.get(s))
            total += (
                n
                * float(holding.multiplier)
                * (float(holding.average_price) if price is None else price)
            )
        return total

    def daily_loss(self) -> bool | None:
        return self.above(self.world.day_worth - self.worth(), float(self.limits.max_daily_loss))

    def drawdown(self) -> bool | None:
        best = max(self.world.best_worth, self.worth())
        return self.above(best - self.worth(), float(self.limits.max_drawdown))

    def book(self, *, ticket: bool, working: bool) -> Units:
        units = dict(self.held)
        orders = [self.order] if ticket else []
        if working:
            orders += [
                each
                for each in self.working
                if any(leg.position_effect is not PositionEffect.CLOSING for leg in each.legs)
            ]
        for each in orders:
            for leg in each.legs:
                n = int(leg.signed_quantity * each.remaining_quantity)
                units[leg.symbol] = units.get(leg.symbol, 0) + n
        return units

    def figures(self, units: Units) -> dict[str, float]:
        everything = self.book(ticket=True, working=True)
        vols: dict[str, float] = {}
        nearest: dict[str, tuple[float, float]] = {}
        for s in everything:
            each, spot, price = contract(s), mid(self.quotes.get(under(s))), mid(self.quotes.get(s))
            if each is None or spot is None:
                continue
            years = max((expires(s) - self.now).total_seconds(), 0) / (365 * 86_400)
            strike = float(each.strike)
            vols[s] = (
                0.0 if price is None else implied(price, spot, strike, years, each.right == "C")
            )
            away = abs(spot / strike - 1)
            if vols[s] and away < nearest.get(each.underlying, (math.inf, 0.0))[0]:
                nearest[each.underlying] = away, vols[s]
        total = dict.fromkeys(("delta", "gamma", "vega", "theta"), 0.0)
        shocks = [(k, 0.0) for k in (-3, -2, -1, 1, 2, 3)] + [(0, -0.1), (0, 0.1)]
        changes = [0.0] * len(shocks)
        for s, n in units.items():
            spot = mid(self.quotes.get(under(s)))
            if spot is None or not n:
                continue
            each = contract(s)
            at_money = nearest.get(under(s), (0.0, 0.0))[1]
            sigma = max(at_money / math.sqrt(252), self.limits.least_day_sigma)
            moves = [spot * (1 + k * sigma + share) for k, share in shocks]
            if each is None:
                total["delta"] += n * spot
                changes = [c + n * (m - spot) for c, m in zip(changes, moves, strict=True)]
                continue
            vol, strike, call = vols[s] or at_money, float(each.strike), each.right == "C"
            years = max((expires(s) - self.now).total_seconds(), 0) / (365 * 86_400)
            count = n * 100
            base = black(spot, strike, years, vol, call)
            changes = [
                c + count * (black(m, strike, years, vol, call) - base)
                for c, m in zip(changes, moves, strict=True)
            ]
            v = vol * math.sqrt(years)
            if v <= 0:
                total["delta"] += (
                    count * spot * ((spot > strike) + (spot == strike) / 2 - (not call))
                )
                continue
            d = math.log(spot / strike) / v + v / 2
            density = math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
            total["delta"] += count * spot * (normal(d) - (not call))
            total["gamma"] += count * density / (spot * v) * spot * spot / 100
            total["vega"] += count * spot * density * math.sqrt(years) / 100
            total["theta"] -= count * spot * density * vol / (2 * math.sqrt(years)) / 365
        return total | {"shock": -min(changes)}

    def _cap(self, name: str, most: float) -> bool | None:
        unsure = False
        for working in (False, True):
            was = self.figures(self.book(ticket=False, working=working))[name]
            now = self.figures(self.book(ticket=True, working=working))[name]
            if name != "shock":
                was, now = abs(was), abs(now)
            over, worse = self.above(now, most), self.above(now, was)
            if over and worse:
                return True
            unsure = unsure or (over is not False and worse is not False)
        return None if unsure else False

    def net_delta(self) -> bool | None:
        return self._cap("delta", float(self.limits.max_delta_usd))

    def net_gamma(self) -> bool | None:
        return self._cap("gamma", float(self.limits.max_gamma_usd))

    def net_vega(self) -> bool | None:
        return self._cap("vega", float(self.limits.max_vega_usd))

    def net_theta(self) -> bool | None:
        return self._cap("theta", float(self.limits.max_theta_usd))

    def shock_loss(self) -> bool | None:
        return self._cap("shock", float(self.limits.max_shock_loss))

    def needed(self) -> Decimal:
        if not self.opened:
            return Decimal(0)
        loss = self.loss()
        leans = len(self.order.legs) == 1 and self.order.legs[0].side is Side.SELL
        if loss is not None and not leans:
            return max(loss, Decimal(0))
        name = under(self.order.legs[0].symbol)
        before = {s: n for s, n in self.held.items() if under(s) == name}
        after = dict(before)
        for leg in self.order.legs:
            n = int(leg.signed_quantity * self.order.quantity)
            after[leg.symbol] = after.get(leg.symbol, 0) + n
        multiplier = max(leg.multiplier for leg in self.order.legs)
        unit = self.cost() or Decimal(0)
        if len(self.order.legs) == 1:
            unit = unit if self.order.limit_price is None else unit * self.order.legs[0].quantity
        cost = unit * self.order.quantity * multiplier
        return max(Decimal(0), cost + self._kept(name, after) - self._kept(name, before))

    def _kept(self, name: str, units: Units) -> Decimal:
        price = mid(self.quotes.get(name))
        spot = None if price is None else Decimal(repr(price))
        shares = sum(n for s, n in units.items() if contract(s) is None)
        options = [
            OptionHolding(
                c.right,
                c.strike,
                c.expiration,
                n,
                Decimal(repr(mid(self.quotes.get(s)) or 0.0)),
                100,
            )
            for s, n in units.items()
            if n and (c := contract(s))
        ]
        value = shares * (spot or Decimal(0))
        lent = value * Decimal("0.5" if value > 0 else "1.5")
        return option_requirement(options, shares, spot, index=name == "SPX").amount - lent

    def buying_power(self) -> bool | None:
        free = (Decimal(self.world.cash) - self.spent) * self.limits.max_buying_power
        return self.above(float(self.needed()), max(0.0, float(free)))

    def day_trades(self) -> bool:
        report, policy = self.world.gate.account, self.limits.day_trades
        if policy != "legacy_pdt" or self.world.cash >= 25_000 or report is None:
            return False
        return bool(report.day_trader) or (report.round_trips or 0) >= 3


def _residue(units: Units) -> list[tuple[str, datetime, int]]:
    """Return right, end and number of the shorts that an order's own longs do not cover."""
    left = []
    for right in "CP":
        longs = [
            (expires(s), n)
            for s, n in units.items()
            if n > 0 and (c := contract(s)) and c.right == right
        ]
        shorts = [
            (expires(s), -n)
            for s, n in units.items()
            if n < 0 and (c := contract(s)) and c.right == right
        ]
        free = [at for at, n in longs for _ in range(n)]
        for at, n in sorted(shorts, reverse=True):
            for _ in range(n):
                fitting = [each for each in free if each >= at]
                if fitting:
                    free.remove(min(fitting))
                else:
                    left.append((right, at, 1))
    return left
