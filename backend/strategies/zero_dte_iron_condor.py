"""Sell an iron condor that expires today, and be out of it before the market closes.

What it does: once a session, within the hours given, it sells the put and the call nearest to a
delta and buys one of each farther out, within a width, as one package at a credit. The limit
begins at the middle of the market and concedes step by step up to the natural price; if nobody
takes that, it rests and tries again. It buys the condor back at a share of the credit, at a multiple
of it, or some minutes before the close, whatever comes first; nothing sold is left to expire where
the market lets it out.

Assumptions, plainly: selling premium has small, frequent gains and rare, large losses; nothing here
says that the gains are larger. The stop is a look at the quotes every few seconds, not a promise: a
gap goes through it, and what is lost at worst is the width less the credit. A leg that nobody bids
for is left to expire.
"""

from __future__ import annotations

from datetime import time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from models.order_terms import PositionEffect, Side
from models.spreads import iron_condor
from models.trading import Leg
from ports.strategy import Needs, Parameters, Strategy
from strategies.package_price import PackagePrice, package_price
from utils.market_calendar import NEW_YORK, session_until

if TYPE_CHECKING:
    from datetime import date, datetime

    from numpy.typing import NDArray

    from models.events import OrderUpdate
    from models.spreads import Legs
    from models.trading import Order
    from ports.strategy import ChainView

_CENT = Decimal("0.01")
_LOOK = "look"


class ZeroDteIronCondorParameters(Parameters):
    """What can be set of the 0DTE iron condor."""

    symbol: str = "QQQ"
    """Underlying."""

    quantity: Annotated[int, Field(ge=1)] = 1
    """Condors."""

    short_delta: Annotated[float, Field(gt=0, lt=0.5)] = 0.16
    """Size of the delta at which put and call are sold."""

    width: Annotated[float, Field(gt=0)] = 3.0
    """USD between the sold and the bought strike, at most: the farthest that has a market."""

    enter_after: time = time(10, 0)
    """New York."""

    enter_until: time = time(15, 15)
    """New York: no order opens later, one that works is cancelled."""

    flatten_minutes: Annotated[float, Field(ge=1)] = 15
    """Minutes before the close from which it gets out at any price of the market."""

    take_profit: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the credit at which it is content."""

    stop_loss: Annotated[float, Field(gt=0)] = 1.5
    """Loss at which it gives up, as a multiple of the credit."""

    least_credit: Annotated[Decimal, Field(gt=0)] = Decimal("0.10")
    """USD a share below which it is not worth the risk."""

    look_s: Annotated[float, Field(gt=0)] = 10
    """Seconds of the market between two looks; at each a limit moves on one step."""

    steps: Annotated[int, Field(ge=1)] = 4
    """Steps from the middle of the market to the natural price."""

    rest_minutes: Annotated[float, Field(ge=0)] = 5
    """Minutes between an order that nobody took and the next one."""


class ZeroDteIronCondor(Strategy):
    """One condor a session, opened and closed the same day."""

    name = "zero_dte_iron_condor"
    parameters_type = ZeroDteIronCondorParameters

    def __init__(self, parameters: ZeroDteIronCondorParameters) -> None:
        """Take the parameters; nothing begins yet."""
        super().__init__(parameters)
        self._set = parameters
        self._legs: Legs = ()
        self._steps_gone = 0
        self._credit = Decimal(0)
        self._day: date | None = None
        self._done = False
        self._rest_until: datetime | None = None

    def needs(self) -> Needs:
        """The underlying, and its contracts that expire today."""
        return Needs((self._set.symbol,), {self._set.symbol: 0})

    def start(self) -> None:
        """Look at the market every few seconds; take up a condor that an earlier run left."""
        held = [
            position
            for position in self.desk.positions().values()
            if position.underlying == self._set.symbol and position.symbol != self._set.symbol
        ]
        if held:
            self._legs = tuple(
                Leg(
                    symbol=position.symbol,
                    side=Side.BUY if position.signed_quantity > 0 else Side.SELL,
                    position_effect=PositionEffect.OPENING,
                )
                for position in held
            )
            self._credit = self._received()
        self.desk.call_every(self._set.look_s, _LOOK)

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        """Open, manage or close, as the time and the market ask for."""
        if self.desk.now.date() != self._day:
            self._begin_day()
        if self.desk.waits:
            return
        working = self.desk.orders()
        if working and _closes(working[0]):
            self._press(working[0])
        elif working:
            self._chase(working[0])
        elif self._held():
            self._manage()
        elif not self._done:
            self._seek()

    def _begin_day(self) -> None:
        """Forget yesterday: what expired is gone, and orders of the day have ended."""
        self._day, self._done = self.desk.now.date(), False

    def _held(self) -> bool:
        """Return whether something sold is held; a bought leg alone is left to expire."""
        return any(self.desk.position(leg.symbol) < 0 for leg in self._legs)

    # In.

    def _seek(self) -> None:
        now = self.desk.now
        if not self._set.enter_after <= now.time() < self._set.enter_until:
            return
        resting = self._rest_until is not None and now < self._rest_until
        if resting or now >= self._flatten_at():
            return
        legs = self._choose(self.desk.chain(self._set.symbol))
        price = package_price(self.desk, legs) if legs else None
        if legs is None or price is None or -price.mid < self._set.least_credit:
            return
        self._legs, self._steps_gone = legs, 0
        self._open(price)

    def _open(self, price: PackagePrice) -> None:
        limit = self._conceded(price)
        if limit < 0:
            why = {"credit_at_mid": str(-price.mid), "natural": str(-price.natural)}
            self.desk.open(self._legs, self._set.quantity, limit_price=limit, why=why)

    def _chase(self, order: Order) -> None:
        """Concede one step more, or give up."""
        price = package_price(self.desk, order.legs)
        late = self.desk.now.time() >= self._set.enter_until
        self._steps_gone += 1
        limit = Decimal(0) if price is None else self._conceded(price)
        if late or self._steps_gone > self._set.steps or limit >= 0:
            self._rest_until = self.desk.now + timedelta(minutes=self._set.rest_minutes)
            self.desk.cancel(order.client_order_id)
        elif limit != order.limit_price:
            self.desk.replace(order.client_order_id, limit)

    def _conceded(self, price: PackagePrice) -> Decimal:
        """Return the limit of a step on the way from the middle to the natural price; 0: too much.

        In a wide market a condor that is got at the natural price may stand at its stop at once.
        """
        way = Decimal(min(self._steps_gone, self._set.steps)) / self._set.steps
        exact = price.mid + (price.natural - price.mid) * way
        limit = exact.quantize(_CENT, ROUND_FLOOR)
        worth_it = -limit >= self._set.least_credit and price.mid > self._stop_at(limit)
        return limit if worth_it else Decimal(0)

    def _stop_at(self, limit: Decimal) -> Decimal:
        """Return the middle, a credit negative, at which a condor opened at this limit is given up."""
        return limit * Decimal(1 + self._set.stop_loss)

    def _choose(self, chain: ChainView) -> Legs | None:
        """Return the legs nearest to the delta and the width, or None where there are none."""
        today = np.datetime64(self.desk.now.date(), "D")
        good = (chain.expiration == today) & np.isfinite(chain.delta)
        good &= np.isfinite(chain.bid) & np.isfinite(chain.ask) & (chain.bid > 0)
        call = _nearest(good & chain.is_call, chain.delta, self._set.short_delta)
        put = _nearest(good & ~chain.is_call, chain.delta, -self._set.short_delta)
        if call is None or put is None:
            return None
        far_call = _wing(chain, good & chain.is_call, chain.strike[call], self._set.width)
        far_put = _wing(chain, good & ~chain.is_call, chain.strike[put], -self._set.width)
        if far_call is None or far_put is None or chain.strike[put] > chain.strike[call]:
            return None
        return iron_condor(
            put_buy=chain.occ_symbol[far_put],
            put_sell=chain.occ_symbol[put],
            call_sell=chain.occ_symbol[call],
            call_buy=chain.occ_symbol[far_call],
        )

    # Out.

    def _manage(self) -> None:
        legs = self._undone()
        price = package_price(self.desk, legs) if legs else None
        if price is None:
            return
        if self.desk.now >= self._flatten_at():
            self._close(legs, price.natural, "flatten", price)
        elif price.mid >= self._credit * Decimal(1 + self._set.stop_loss):
            self._close(legs, price.natural, "stop", price)
        elif price.mid <= self._credit * Decimal(1 - self._set.take_profit):
            self._close(legs, price.mid, "profit", price)

    def _press(self, order: Order) -> None:
        """Move the limit of a closing order to where the market is."""
        price = package_price(self.desk, order.legs)
        if price is not None and order.limit_price != (limit := _upward(price.natural)):
            self.desk.replace(order.client_order_id, limit)

    def _close(self, legs: Legs, limit: Decimal, reason: str, price: PackagePrice) -> None:
        credit = str(self._credit.normalize())
        why = {"reason": reason, "cost_at_mid": str(price.mid), "credit_received": credit}
        self.desk.close(legs, self._units(legs), limit_price=_upward(limit), why=why)

    def _undone(self) -> Legs:
        """Return the legs that close what is held; a bought one that nobody bids for stays."""
        legs = []
        for leg in self._legs:
            held = self.desk.position(leg.symbol)
            if not held:
                continue
            quote = self.desk.quote(leg.symbol)
            if held > 0 and (quote is None or not quote.bid):
                continue
            side = Side.SELL if held > 0 else Side.BUY
            change = {"side": side, "position_effect": PositionEffect.CLOSING}
            legs.append(leg.model_copy(update=change))
        return tuple(legs)

    def _flatten_at(self) -> datetime:
        """Return when it gets out, New York; the close is early on half days."""
        close = session_until(self.desk.now.date()).close.astimezone(NEW_YORK)
        return close - timedelta(minutes=self._set.flatten_minutes)

    # News.

    def on_update(self, update: OrderUpdate) -> None:
        """Remember what an opening brought in; a session whose condor is closed is done."""
        if update.fills and self._held():
            self._credit = self._received()
        elif update.fills:
            self._done = True

    def _received(self) -> Decimal:
        """Return what a unit of the condor that is held brought in, USD a share."""
        positions = self.desk.positions()
        held = [positions[leg.symbol] for leg in self._legs if leg.symbol in positions]
        paid = sum(each.average_price * each.signed_quantity for each in held)
        return -paid / self._units(self._legs)

    def _units(self, legs: Legs) -> Decimal:
        """Return how many whole packages of these legs are held; 1 at least."""
        held = [abs(self.desk.position(leg.symbol)) for leg in legs]
        return max(Decimal(1), min((each for each in held if each), default=Decimal(1)))


def _closes(order: Order) -> bool:
    return order.legs[0].position_effect is PositionEffect.CLOSING


def _upward(price: Decimal) -> Decimal:
    """Return a price that buys at least as well, to the cent."""
    return price.quantize(_CENT, ROUND_CEILING)


def _nearest(among: NDArray[np.bool_], values: NDArray[np.float64], wanted: float) -> int | None:
    """Return the row, of those given, whose value is nearest to one wanted."""
    rows = np.flatnonzero(among)
    return int(rows[np.argmin(np.abs(values[rows] - wanted))]) if len(rows) else None


def _wing(chain: ChainView, among: NDArray[np.bool_], strike: float, width: float) -> int | None:
    """Return the row farthest out, of those given, within a width of a strike; None without any."""
    away = (chain.strike - strike) * np.sign(width)
    rows = np.flatnonzero(among & (away > 0) & (away <= abs(width) + 1e-6))
    return int(rows[np.argmax(away[rows])]) if len(rows) else None
