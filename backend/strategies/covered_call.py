"""Hold shares and sell calls against them, a call for each hundred, rolled before they expire.

What it does: it buys the shares that it lacks, sells the call nearest to a delta at the expiration
nearest to a number of days ahead, and buys it back when few days are left, when it has become cheap,
or when its delta says that the shares are about to be called away; the next look sells the next one.

Assumptions, plainly: the shares carry the risk of the market and the calls give away its best days.
Early assignment, most likely the day before an ex-dividend date, is not foreseen; if it happens the
shares are gone and are bought again. Calls of expirations that the data does not show are not sold.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from models.options import OptionContract
from models.order_terms import PositionEffect, Side
from models.symbols import OCC_LENGTH
from models.trading import Leg
from ports.strategy import Needs, Parameters, Strategy
from strategies.package_price import package_price

if TYPE_CHECKING:
    from models.trading import Order, Position

_CENT = Decimal("0.01")
_LOT = 100
_LOOK = "look"


class CoveredCallParameters(Parameters):
    """What can be set of the covered call."""

    symbol: str = "QQQ"
    """Underlying."""

    lots: Annotated[int, Field(ge=1)] = 1
    """Hundreds of shares."""

    delta: Annotated[float, Field(gt=0, lt=1)] = 0.30
    """At which a call is sold."""

    days: Annotated[int, Field(ge=1)] = 30
    """Calendar days to expiration that are aimed at."""

    roll_days: Annotated[int, Field(ge=0)] = 5
    """Calendar days to expiration at which a call is bought back."""

    roll_delta: Annotated[float, Field(gt=0, le=1)] = 0.65
    """Delta at which it is bought back."""

    take_profit: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Share of its premium that is enough."""

    look_s: Annotated[float, Field(gt=0)] = 60
    """Seconds of the market between two looks; at each a limit moves to the natural price."""


class CoveredCall(Strategy):
    """Shares, and a call sold on each hundred of them."""

    name = "covered_call"
    parameters_type = CoveredCallParameters

    def __init__(self, parameters: CoveredCallParameters) -> None:
        """Take the parameters; nothing begins yet."""
        super().__init__(parameters)
        self._set = parameters

    def needs(self) -> Needs:
        """The underlying, and its contracts up to twice the days aimed at."""
        return Needs((self._set.symbol,), {self._set.symbol: 2 * self._set.days})

    def start(self) -> None:
        """Look at the market every minute."""
        self.desk.call_every(self._set.look_s, _LOOK)

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        """Buy shares, sell a call, buy one back, or move the order that works."""
        if self.desk.waits:
            return
        working = self.desk.orders()
        if working:
            self._press(working[0])
            return
        wanted = self._set.lots * _LOT
        shares = int(self.desk.position(self._set.symbol))
        sold = self._sold()
        if shares < wanted:
            leg = Leg(symbol=self._set.symbol, side=Side.BUY)
            self.desk.open([leg], wanted - shares, why={"reason": "shares"})
        elif sold is None:
            self._sell(shares // _LOT)
        elif reason := self._to_roll(sold):
            self._buy_back(sold, reason)

    def _sold(self) -> Position | None:
        """Return the call that is sold, or None."""
        for position in self.desk.positions().values():
            own = position.underlying == self._set.symbol and len(position.symbol) == OCC_LENGTH
            if own and position.signed_quantity < 0:
                return position
        return None

    def _sell(self, calls: int) -> None:
        chain = self.desk.chain(self._set.symbol)
        today = np.datetime64(self.desk.now.date(), "D")
        days = (chain.expiration - today).astype(int)
        good = (
            chain.is_call
            & np.isfinite(chain.delta)
            & (chain.bid > 0)
            & (days > self._set.roll_days)
        )
        if not good.any():
            return
        nearest = days[good][np.argmin(np.abs(days[good] - self._set.days))]
        rows = np.flatnonzero(good & (days == nearest))
        row = int(rows[np.argmin(np.abs(chain.delta[rows] - self._set.delta))])
        leg = Leg(symbol=chain.occ_symbol[row], side=Side.SELL)
        mid = Decimal(str((chain.bid[row] + chain.ask[row]) / 2)).quantize(_CENT, ROUND_FLOOR)
        why = {"delta": float(chain.delta[row]), "days": int(nearest)}
        self.desk.open([leg], calls, limit_price=max(mid, _CENT), why=why)

    def _to_roll(self, sold: Position) -> str | None:
        """Return why a call is to be bought back now, or None."""
        contract = OptionContract.from_occ(sold.symbol)
        if (contract.expiration - self.desk.now.date()).days <= self._set.roll_days:
            return "days"
        quote = self.desk.quote(sold.symbol)
        if quote is None or quote.ask is None:
            return None
        if quote.ask <= float(sold.average_price) * (1 - self._set.take_profit):
            return "profit"
        chain = self.desk.chain(self._set.symbol)
        if sold.symbol in chain.occ_symbol:
            delta = chain.delta[chain.occ_symbol.index(sold.symbol)]
            if np.isfinite(delta) and delta >= self._set.roll_delta:
                return "delta"
        return None

    def _buy_back(self, sold: Position, reason: str) -> None:
        leg = Leg(symbol=sold.symbol, side=Side.BUY, position_effect=PositionEffect.CLOSING)
        price = package_price(self.desk, [leg])
        if price is not None:
            limit = max(price.mid.quantize(_CENT, ROUND_CEILING), _CENT)
            self.desk.close([leg], -sold.signed_quantity, limit_price=limit, why={"reason": reason})

    def _press(self, order: Order) -> None:
        """Move the limit of the order that works to the natural price."""
        price = None if order.limit_price is None else package_price(self.desk, order.legs)
        limit = None if price is None else abs(price.natural)
        if limit and limit != order.limit_price:
            self.desk.replace(order.client_order_id, limit)
