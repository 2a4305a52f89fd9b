"""What a strategy's desk says of its book, beside the calculator's greeks of each holding."""

from __future__ import annotations

from risk_world import MONTH, World, option

from black_scholes.calculator import greeks
from black_scholes.implied_vol import implied_volatility
from engine.ledger import contract_of
from engine.trading_hours import expiry_ns


def test_the_desk_tells_how_its_book_moves() -> None:
    world = World()
    world.engine.start(world.now_ns)
    call = option(605, "C", MONTH)
    world.quote(call, 11.90, 12.10)
    world.hold("QQQ", 50, 598.0)
    world.hold(call, -3, 11.0)
    found = world.engine.strategy.desk.greeks()

    years = (expiry_ns(contract_of(call)) - world.now_ns) / (365 * 86_400 * 1e9)
    vol = implied_volatility(12.0, 600.0, 605.0, years, 0.0, is_call=True).vol
    one = greeks(600.0, 605.0, years, 0.0, vol, is_call=True)
    units = -300
    assert abs(found.delta - 600.0 * (50 + units * one.delta)) < 1.0
    assert abs(found.vega - units * one.vega / 100) < 0.01
    assert abs(found.theta - units * one.theta / 365) < 0.05
    assert abs(found.gamma / (units * one.gamma * 600.0 * 6.0) - 1) < 0.001

    world.quote("QQQ", 609.99, 610.01)
    world.quote(call, 14.90, 15.10)
    assert world.engine.strategy.desk.greeks().delta < found.delta
