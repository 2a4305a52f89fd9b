"""Greeks of all that is held: shares, priced options, and options without a price of their own."""

from __future__ import annotations

import numpy as np
import pytest
from risk_world import MONTH, World, option

from black_scholes import calculator
from engine.net_greeks import NetGreeks, net_greeks

STRIKES = range(580, 621, 5)


@pytest.fixture
def world() -> World:
    """A month's contracts, quoted two cents wide around prices of one volatility."""
    made = World()
    years = 28 / 365
    for right in "CP":
        price = calculator.price(
            600.0, np.array(STRIKES, float), years, 0.04, 0.2, is_call=right == "C"
        )
        for strike, middle in zip(STRIKES, price.tolist(), strict=True):
            made.quote(option(strike, right, MONTH), middle - 0.01, middle + 0.01)
    return made


def told(world: World) -> NetGreeks:
    found = net_greeks(world.engine.market, world.engine.portfolio)
    assert found is not None
    return found


def test_nothing_held_has_no_greeks(world: World) -> None:
    assert net_greeks(world.engine.market, world.engine.portfolio) is None


def test_an_option_without_a_side_counts_as_its_neighbours(world: World) -> None:
    call = option(605, "C", MONTH)
    world.hold("QQQ", 100, 598.0)
    world.hold(call, -1, 11.0)
    before = told(world)
    assert 0 < before.delta < 100
    world.quote(call, 10.0, None)
    after = told(world)
    assert after.delta == pytest.approx(before.delta, abs=0.3)
    assert after.gamma == pytest.approx(before.gamma, rel=0.05)
    assert after.theta_per_day == pytest.approx(before.theta_per_day, rel=0.05)
    assert after.vega_per_point == pytest.approx(before.vega_per_point, rel=0.05)


def test_without_neighbours_nobody_knows(world: World) -> None:
    call = option(605, "C", MONTH)
    world.hold(call, -1, 11.0)
    for strike in STRIKES:
        world.quote(option(strike, "C", MONTH), 10.0, None)
    assert net_greeks(world.engine.market, world.engine.portfolio) is None


def test_an_option_that_was_never_quoted_is_not_counted_as_nothing(world: World) -> None:
    world.hold(option(602, "C", MONTH), -1, 11.0)
    assert net_greeks(world.engine.market, world.engine.portfolio) is None
