"""Closing what is held at the touch, and which orders are the most dangerous ones.

The program's own hand, for the 0DTE desk and the kill switch: shorts first, what covers them only
when they are gone, each leg by a limit at the natural price that follows the market.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from engine.exposure import price_of
from engine.instruments import instrument_of
from engine.risk_rules import natural_of, worst_loss
from models.order_terms import PositionEffect, Side
from models.trading import Leg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.core import Engine
    from engine.risk import RiskGate
    from models.events import Quote
    from models.trading import Order


class Unclosed(NamedTuple):
    """What nobody's quote lets out.

    Attributes:
        symbol: Of the holding.
        units: Short negative.
    """

    symbol: str
    units: Decimal


def by_danger(orders: Iterable[Order], quotes: Mapping[str, Quote]) -> list[Order]:
    """Return orders, the most dangerous first: what opens before what closes, what can lose most first.

    Args:
        orders: That work.
        quotes: Newest by symbol, for those without a limit.
    """

    def danger(order: Order) -> tuple[bool, float, float]:
        closes = all(leg.position_effect is PositionEffect.CLOSING for leg in order.legs)
        loss = worst_loss(order, natural_of(order, quotes))
        shares = sum(float(leg.quantity * leg.multiplier) for leg in order.legs)
        size = float(order.remaining_quantity) * shares
        return closes, -(math.inf if loss is None else loss), -size

    return sorted(orders, key=danger)


class Closer:
    """Closes holdings of a run, look by look."""

    def __init__(self, gate: RiskGate) -> None:
        """Begin.

        Args:
            gate: Lets pass what this sends.
        """
        self._gate = gate

    def look(self, engine: Engine, symbols: Iterable[str], by: str) -> list[Unclosed]:
        """Send, or move to the market, what closes holdings; return what nobody takes now.

        Orders of others on the same instruments are cancelled first, unless they close at the touch.

        Args:
            engine: The run.
            symbols: What is to be closed.
            by: Said in the journal.
        """
        held = {s: units for s in symbols if (units := engine.portfolio.quantity(s))}
        shorts = {s: units for s, units in held.items() if units < 0 and instrument_of(s).is_option}
        waiting = {instrument_of(s).underlying for s in shorts}
        stuck = []
        for symbol in sorted(held, key=lambda s: (s not in shorts, s)):
            if symbol not in shorts and instrument_of(symbol).underlying in waiting:
                continue  # it covers what is not closed yet
            if not self._close(engine, symbol, held[symbol], by):
                stuck.append(Unclosed(symbol, held[symbol]))
        return stuck

    def _close(self, engine: Engine, symbol: str, units: Decimal, by: str) -> bool:
        """Have one holding closed; return whether somebody quotes the side that is needed."""
        side = Side.BUY if units < 0 else Side.SELL
        leg = Leg(symbol=symbol, side=side, position_effect=PositionEffect.CLOSING)
        quote = engine.market.quotes.get(symbol)
        touch = None if quote is None else quote.ask if units < 0 else quote.bid
        limit = Decimal(repr(touch)) if touch else None
        working = [
            each for each in engine.book.working() if any(own.symbol == symbol for own in each.legs)
        ]
        for order in working:
            name = order.client_order_id
            if name in engine.book.awaited:
                continue
            if name not in self._gate.own:
                engine.cancel(name, by)
            elif limit is not None and _worse(order.limit_price, limit, side):
                self._gate.own.add(engine.desk.replace(name, limit))
        if not working and limit is not None:
            why = {"by": by}
            self._gate.own.add(engine.desk.close((leg,), abs(units), limit_price=limit, why=why))
        return limit is not None


def _worse(limit: Decimal | None, touch: Decimal, side: Side) -> bool:
    """Return whether an order's limit does not reach the touch any more."""
    if limit is None:
        return False
    return limit < touch if side is Side.BUY else limit > touch


def extrinsic(symbol: str, quotes: Mapping[str, Quote]) -> float:
    """Return what an option's mid is above what it is worth exercised now, USD; NaN unknown."""
    each = instrument_of(symbol)
    spot = price_of(quotes.get(each.underlying))
    return price_of(quotes.get(symbol)) - in_the_money(symbol, spot)


def in_the_money(symbol: str, spot: float) -> float:
    """Return what an option is worth exercised now, USD a share."""
    each = instrument_of(symbol)
    gain = spot - each.strike if each.is_call else each.strike - spot
    return max(gain, 0.0)
