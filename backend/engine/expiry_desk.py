"""The 0DTE desk: what a run holds is out of the market before it expires, and a person is warned.

At T minus some minutes working openings of a contract are cancelled, and the gate lets no new one
pass; at T minus fewer what the limits say is closed (`RiskLimits.flatten`). T is the end of the
contract's last trading day: 16:00, 16:15 or the early close, by product. AM-settled contracts stop
on the day before. Alarms: the underlying stands near the strike of a short option (pin risk), a
short call is worth less above its intrinsic value than the dividend of tomorrow (early
assignment), nobody quotes the side that is needed, a short option in the money stands at the
cut-off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.closing import Closer, by_danger, extrinsic, in_the_money
from engine.early_assignment import due_tomorrow
from engine.exposure import price_of
from engine.instruments import instrument_of
from engine.limits import Flatten
from engine.trading_hours import day_of
from models.order_terms import PositionEffect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from engine.core import Engine
    from engine.early_assignment import Dividend
    from engine.exposure import HeldUnits
    from engine.risk import RiskGate
    from models.events import Halt
    from models.trading import Order

_MINUTE_NS = 60_000_000_000
_ROUNDING = 1e-9
BY = "0dte_desk"
"""Who closes and cancels, in the journal."""


class ExpiryDesk:
    """The `engine.core.Overseer` of a run; it closes for the kill switch too.

    Attributes:
        every_s: Market seconds between two looks.
    """

    every_s = 5.0

    def __init__(self, gate: RiskGate, dividends: Mapping[str, Dividend] | None = None) -> None:
        """Take a run's gate, whose limits count.

        Args:
            gate: Of the run.
            dividends: The next one by underlying, where it is known.
        """
        self._gate = gate
        self._dividends = dividends or {}
        self._closer = Closer(gate)
        self._alarmed: set[tuple[str, str, date]] = set()
        self._flatten_for = ""

    def look(self, engine: Engine) -> None:
        """Look at holdings, orders and the time, and ask for what is due."""
        gate, now_ns = self._gate, engine.market.now_ns
        gate.see(engine)
        held = gate.holdings.of(engine.portfolio)
        if self._flatten_for:
            self._close(engine, list(held), self._flatten_for)
            return
        if gate.halted is not None:
            return  # closing is asked for by a person alone
        for order in engine.book.working():
            if self._too_late(order, now_ns):
                engine.cancel(order.client_order_id, BY)
        options = {name: each for name, each in held.items() if each.instrument.is_option}
        if options:
            self._warn(engine, options)
            self._close(engine, self._due(engine, options), BY)

    def halt(self, engine: Engine, told: Halt) -> None:
        """Stop everything, or let it go on, as the kill switch says."""
        if told.reason:
            self._gate.halted = told.reason
            for order in by_danger(engine.book.working(), engine.market.quotes):
                engine.cancel(order.client_order_id, told.by)
            self._flatten_for = told.by if told.flatten else ""
            self.look(engine)
        else:
            self._flatten_for = ""
            self._gate.resume()

    def _too_late(self, order: Order, now_ns: int) -> bool:
        """Return whether an order would open a contract in its last minutes."""
        limit_ns = round(self._gate.limits.closed_minutes * _MINUTE_NS)
        return any(
            leg.position_effect is PositionEffect.OPENING
            and (last_ns := instrument_of(leg.symbol).last_ns) > 0
            and last_ns - now_ns < limit_ns
            for leg in order.legs
        )

    def _due(self, engine: Engine, options: Mapping[str, HeldUnits]) -> list[str]:
        """Return what must be closed by now."""
        limits, now_ns = self._gate.limits, engine.market.now_ns
        if limits.flatten is Flatten.NONE:
            return []
        limit_ns = round(limits.flatten_minutes * _MINUTE_NS)
        due = [
            name
            for name, each in options.items()
            if 0 < each.instrument.last_ns - now_ns <= limit_ns
        ]
        if limits.flatten is Flatten.ALL:
            return due
        shorts = [name for name in due if options[name].units < 0]
        if limits.flatten is Flatten.SHORTS:
            return shorts
        return [name for name in shorts if self._near(engine, options[name])]

    def _near(self, engine: Engine, each: HeldUnits) -> bool:
        """Return whether an option is in the money, or within the pin distance of it."""
        instrument = each.instrument
        spot = price_of(engine.market.quotes.get(instrument.underlying))
        reach = self._gate.limits.pin_distance * instrument.strike
        gain = spot - instrument.strike if instrument.is_call else instrument.strike - spot
        return not gain < -reach  # not known counts as near

    def _close(self, engine: Engine, symbols: list[str], by: str) -> None:
        for stuck in self._closer.look(engine, symbols, by):
            said = f"nobody quotes the side that closes {stuck.units:+f} {stuck.symbol}"
            self._alarm(engine, "cannot_close", stuck.symbol, said)

    def _warn(self, engine: Engine, options: Mapping[str, HeldUnits]) -> None:
        limits, now_ns = self._gate.limits, engine.market.now_ns
        for name, each in options.items():
            instrument = each.instrument
            left_ns = instrument.last_ns - now_ns
            if each.units >= 0 or left_ns <= 0:
                continue
            quotes = engine.market.quotes
            spot = price_of(quotes.get(instrument.underlying))
            if left_ns <= round(limits.closed_minutes * _MINUTE_NS):
                away = abs(spot - instrument.strike)
                if away <= limits.pin_distance * instrument.strike + _ROUNDING:
                    said = (
                        f"{instrument.underlying} stands {away:.2f} USD from a short strike: {name}"
                    )
                    self._alarm(engine, "pin_risk", name, said)
            if left_ns <= round(self.every_s * 1e9) and in_the_money(name, spot) > 0:
                said = f"{each.units:+g} {name} stands in the money at its last trade"
                self._alarm(engine, "short_at_cut_off", name, said)
            self._warn_of_assignment(engine, name, each)

    def _warn_of_assignment(self, engine: Engine, name: str, each: HeldUnits) -> None:
        """Warn of a short option whose holder does best to exercise it; see `early_assignment`."""
        instrument = each.instrument
        if instrument.american and not instrument.is_call:
            spot = price_of(engine.market.quotes.get(instrument.underlying))
            if in_the_money(name, spot) > 0 and extrinsic(name, engine.market.quotes) <= _ROUNDING:
                said = f"{name} is worth no more than exercised: it may be assigned tonight"
                self._alarm(engine, "early_assignment", name, said)
            return
        dividend = self._dividends.get(instrument.underlying)
        if dividend is None or not (instrument.american and instrument.is_call):
            return
        today = day_of(engine.market.now_ns)
        if not today < dividend.ex_date <= day_of(instrument.last_ns):
            return
        left = extrinsic(name, engine.market.quotes)
        spot = price_of(engine.market.quotes.get(instrument.underlying))
        due = due_tomorrow(dividend, today)
        if due and in_the_money(name, spot) > 0 and left < float(dividend.amount) - _ROUNDING:
            said = (
                f"{name} is worth {left:.2f} USD above its intrinsic value, less than the dividend "
                f"of {dividend.amount} on {dividend.ex_date}: it may be assigned tonight"
            )
            self._alarm(engine, "early_assignment", name, said)

    def _alarm(self, engine: Engine, code: str, symbol: str, message: str) -> None:
        """Raise an alarm, once a day for each instrument."""
        key = code, symbol, day_of(engine.market.now_ns)
        if key not in self._alarmed:
            self._alarmed.add(key)
            engine.alarm(code, symbol, message)
