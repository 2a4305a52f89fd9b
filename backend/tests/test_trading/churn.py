"""A strategy that always has something on its way: for runs that are killed. Not one to trade with."""

from __future__ import annotations

import random
from decimal import Decimal

from models import spreads
from models.order_terms import OrderType, PositionEffect, Side
from models.trading import Leg
from ports.strategy import Needs, Parameters, Strategy

_CENT = Decimal("0.01")


class ChurnParameters(Parameters):
    """What a run draws its orders from."""

    seed: int = 0
    """Of the choices."""

    every_s: float = 0.25
    """Seconds between two of them."""


class Churn(Strategy):
    """Shares of two tickers, in and out, in orders of every kind."""

    name = "churn"
    parameters_type = ChurnParameters

    def __init__(self, parameters: ChurnParameters) -> None:
        self._set = parameters
        self._chance = random.Random(parameters.seed)

    def needs(self) -> Needs:
        return Needs(("QQQ", "SPY"))

    def start(self) -> None:
        if self._set.every_s > 0:
            self.desk.call_every(self._set.every_s, "act")

    def on_timer(self, name: str) -> None:  # noqa: ARG002 - there is one timer
        symbol = self._chance.choice(("QQQ", "SPY"))
        quote = self.desk.quote(symbol)
        if quote is None or quote.ask is None or quote.bid is None:
            return
        working = self.desk.orders()
        if working and self._chance.random() < 0.5:
            self._change(working[0].client_order_id)
            return
        held = self.desk.position(symbol)
        if held > 0 and self._chance.random() < 0.5:
            leg = Leg(symbol=symbol, side=Side.SELL, position_effect=PositionEffect.CLOSING)
            self.desk.close([leg], min(held, Decimal(self._chance.randint(1, 3))))
        elif held <= 12:
            self._buy(symbol, Decimal(str(quote.ask)).quantize(_CENT))

    def _change(self, name: str) -> None:
        order = next(each for each in self.desk.orders() if each.client_order_id == name)
        if order.limit_price is not None and self._chance.random() < 0.5:
            self.desk.replace(name, order.limit_price + _CENT)
        else:
            self.desk.cancel(name)

    def _buy(self, symbol: str, ask: Decimal) -> None:
        leg = Leg(symbol=symbol, side=Side.BUY, position_effect=PositionEffect.OPENING)
        units = self._chance.randint(1, 3)
        kind = self._chance.choice(("market", "limit", "far", "bracket"))
        if kind == "market":
            self.desk.open([leg], units)
        elif kind == "limit":
            self.desk.open([leg], units, limit_price=ask + Decimal("0.05"))
        elif kind == "far":
            self.desk.open([leg], units, limit_price=ask - Decimal("0.60"))
        else:
            out = leg.model_copy(
                update={"side": Side.SELL, "position_effect": PositionEffect.CLOSING}
            )
            entry, target, stop = (
                self.desk.order(legs=(leg,), quantity=units, order_type=OrderType.MARKET),
                self.desk.order(
                    legs=(out,), quantity=units, order_type=OrderType.LIMIT, limit_price=ask * 2
                ),
                self.desk.order(
                    legs=(out,),
                    quantity=units,
                    order_type=OrderType.STOP,
                    stop_price=(ask / 2).quantize(_CENT),
                ),
            )
            self.desk.place(spreads.bracket(entry, take_profit=target, stop_loss=stop))
