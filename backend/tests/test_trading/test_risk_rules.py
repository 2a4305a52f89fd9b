"""Each rule of the risk gate at its boundary: one contract, cent, tick or moment on either side."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from math import erf, exp, log, pi, sqrt
from typing import Any

import pytest
from risk_world import DAY, MONTH, NEXT_WEEK, NOON_NS, SECOND, TODAY, World, limits, option

from engine.limits import DayTrades
from engine.risk import RULES
from engine.risk_account import AccountReport, policy_of
from models.order_groups import OneCancelsOther, Trigger
from models.order_terms import PositionEffect
from utils.clock import to_ns
from utils.market_calendar import new_york

C600, C605, C610 = option(600), option(605), option(610)
P595, P590 = option(595, "P"), option(590, "P")
CLOSING = PositionEffect.CLOSING


def chain(world: World, *symbols: str, mid: float = 5.0, wide: float = 0.10) -> World:
    for symbol in symbols:
        world.quote(symbol, round(mid - wide / 2, 4), round(mid + wide / 2, 4))
    return world


def test_there_are_as_many_rules_as_the_documentation_names() -> None:
    names = [rule.__name__ for rule in RULES]
    assert len(names) == len(set(names)) == 30


def test_restricted() -> None:
    world = chain(World(limits(restricted=("QQQ",))), C600)
    assert world.rule(world.order(("QQQ", 1))) == "restricted"
    assert world.rule(world.order((C600, 1))) == "restricted"
    assert chain(World(limits(restricted=("SPY",))), C600).rule(world.order((C600, 1))) is None
    world.hold("QQQ", 1, 600)
    assert world.rule(world.order(("QQQ", -1))) is None


@pytest.mark.parametrize(("units", "rule"), [(10, None), (11, "size")])
def test_size(units: int, rule: str | None) -> None:
    world = chain(World(limits(max_contracts=10, max_shares=10)), C600)
    assert world.rule(world.order((C600, units))) == rule
    assert world.rule(world.order((C600, 1), quantity=units)) == rule
    assert world.rule(world.order(("QQQ", units))) == rule


@pytest.mark.parametrize(("bid", "rule"), [(5.00, None), (5.02, "notional")])
def test_notional_to_the_cent(bid: float, rule: str | None) -> None:
    world = World(limits(max_notional=1_000))
    world.quote(C600, bid, round(10 - 5.00 - 0.00, 2))
    world.quote(C600, bid, 5.00 if bid == 5.00 else 5.02)
    assert world.rule(world.order((C600, 2), effect=PositionEffect.OPENING)) == rule


def test_notional_counts_the_limit_where_it_is_dearer() -> None:
    world = chain(World(limits(max_notional=1_000)), C600, mid=5, wide=0)
    assert world.rule(world.order((C600, 2), limit="5.00")) is None
    assert world.rule(world.order((C600, 2), limit="5.01")) == "notional"


@pytest.mark.parametrize(("limit", "rule"), [("5.25", None), ("5.26", "price_collar")])
def test_price_collar_of_a_purchase(limit: str, rule: str | None) -> None:
    world = World(limits(price_collar="0.05"))
    world.quote(C600, 4.90, 5.00)
    assert world.rule(world.order((C600, 1), limit=limit)) == rule


@pytest.mark.parametrize(("limit", "rule"), [("4.75", None), ("4.74", "price_collar")])
def test_price_collar_of_a_sale_also_to_close(limit: str, rule: str | None) -> None:
    world = World(limits(price_collar="0.05"))
    world.quote(C600, 5.00, 5.10)
    assert world.rule(world.order((C600, -1), limit=limit)) == rule
    world.hold(C600, 1, 5)
    assert world.rule(world.order((C600, -1), limit=limit, effect=CLOSING)) == rule


@pytest.mark.parametrize(("limit", "rule"), [("0.60", None), ("0.61", "price_collar")])
def test_price_collar_is_ten_cents_at_least_and_of_the_package(
    limit: str, rule: str | None
) -> None:
    world = World(limits(price_collar="0.05"))
    world.quote(C600, 4.90, 5.00)
    world.quote(C605, 4.50, 4.60)
    assert world.rule(world.order((C600, 1), (C605, -1), limit=limit)) == rule


@pytest.mark.parametrize(("working", "rule"), [(2, None), (3, "open_orders")])
def test_open_orders(working: int, rule: str | None) -> None:
    world = chain(World(limits(max_open_orders=3)), C600)
    for _ in range(working):
        world.work(world.order(("QQQ", 1), limit="500"))
    assert world.rule(world.order((C600, 1))) == rule
    world.hold(C610, 1, 5)
    world.quote(C610, 5, 5.1)
    assert world.rule(world.order((C610, -1), effect=CLOSING)) is None


@pytest.mark.parametrize(("held", "rule"), [(2, None), (3, "positions")])
def test_positions(held: int, rule: str | None) -> None:
    world = chain(World(limits(max_positions=3)), C600)
    for strike in range(held):
        world.hold(option(500 + strike), 1, 100)
    assert world.rule(world.order((C600, 1))) == rule


def test_positions_count_what_works() -> None:
    world = chain(World(limits(max_positions=2)), C600, C605)
    world.work(world.order((C605, 1), limit="4"))
    assert world.rule(world.order((C600, 1))) is None
    world.work(world.order((P595, 1), limit="4"))
    assert world.rule(world.order((C600, 1))) == "positions"


@pytest.mark.parametrize(("limit", "rule"), [("-1.00", None), ("-0.99", "max_loss")])
def test_max_loss_of_a_credit_spread_to_the_cent(limit: str, rule: str | None) -> None:
    world = chain(World(limits(max_loss=400, naked_shorts=False)), C600, C605)
    assert world.rule(world.order((C600, -1), (C605, 1), limit=limit)) == rule


@pytest.mark.parametrize(("limit", "rule"), [("4.00", None), ("4.01", "max_loss")])
def test_max_loss_of_a_purchase_to_the_cent(limit: str, rule: str | None) -> None:
    world = chain(World(limits(max_loss=400)), C600)
    assert world.rule(world.order((C600, 1), limit=limit)) == rule


def test_max_loss_of_a_condor_is_that_of_its_wider_side() -> None:
    world = World(limits(max_loss=400))
    chain(world, C600, P595, mid=1.0)
    chain(world, C605, P590, mid=0.5)
    condor = (P590, 1), (P595, -1), (C600, -1), (C605, 1)
    assert world.rule(world.order(*condor, limit="-1.00")) is None
    assert world.rule(world.order(*condor, limit="-0.99")) == "max_loss"


def test_a_single_short_is_naked() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, P595)
    assert world.rule(world.order((C600, -1))) == "naked_short"
    assert world.rule(world.order((P595, -1))) == "naked_short"
    assert chain(World(), C600).rule(world.order((C600, -1))) is None


@pytest.mark.parametrize(("shares", "rule"), [(100, None), (99, "naked_short")])
def test_shares_cover_a_call_a_hundred(shares: int, rule: str | None) -> None:
    world = chain(World(limits(naked_shorts=False)), C600)
    world.hold("QQQ", shares, 600)
    assert world.rule(world.order((C600, -1))) == rule


@pytest.mark.parametrize(
    ("long", "rule"),
    [(option(700), None), (option(700, expires=NEXT_WEEK), "naked_short"), (P590, "naked_short")],
)
def test_a_long_option_covers_what_expires_with_it_or_before(long: str, rule: str | None) -> None:
    world = chain(World(limits(naked_shorts=False)), C600)
    world.hold(long, 1, 1)
    assert world.rule(world.order((C600, -1))) == rule


def test_shares_sold_short_cover_a_put_and_are_not_bought_back_before_it() -> None:
    world = chain(World(limits(naked_shorts=False)), P595)
    world.hold("QQQ", -200, 600)
    assert world.rule(world.order((P595, -2))) is None
    world.hold(P595, -1, 5)
    assert world.rule(world.order(("QQQ", 100), effect=CLOSING)) is None
    assert world.rule(world.order(("QQQ", 101), effect=CLOSING)) == "naked_short"


def test_a_ratio_spread_is_naked_per_leg() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, C605)
    assert world.rule(world.order((C600, 1), (C605, -1), limit="0.15")) is None
    assert world.rule(world.order((C600, 1), (C605, -2), limit="-4")) == "naked_short"


def test_cover_that_only_works_is_none_and_a_working_sale_counts() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, C605)
    bought = world.work(world.order((C605, 1), limit="5"))
    assert world.rule(world.order((C600, -1))) == "naked_short"
    world.cancelled(bought)
    world.hold(C605, 1, 5)
    assert world.rule(world.order((C600, -1))) is None
    sold = world.work(world.order((C610, -1), limit="6"))
    assert world.rule(world.order((C600, -1))) == "naked_short"
    world.cancelled(sold)
    assert world.rule(world.order((C600, -1))) is None


def test_a_package_that_works_covers_itself_and_nothing_else() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, C605, C610)
    package = world.work(world.order((C605, -1), (C610, 1), limit="-1"))
    assert world.rule(world.order((C600, -1))) == "naked_short"
    assert world.rule(world.order((C600, -1), (C610, 1), limit="-1")) is None
    world.cancelled(package)
    assert world.rule(world.order((C600, -1))) == "naked_short"


def test_what_covers_a_short_is_not_sold_before_it_even_to_close() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, C605)
    world.hold(C600, -1, 5)
    world.hold(C605, 1, 4)
    assert world.rule(world.order((C605, -1), effect=CLOSING)) == "naked_short"
    assert world.rule(world.order((C600, 1), effect=CLOSING)) is None
    assert world.rule(world.order((C600, 1), (C605, -1), limit="0.15", effect=CLOSING)) is None
    world.hold(C605, -1, 4)  # it has become naked, whatever led to it: buying back must pass
    assert world.rule(world.order((C600, 1), effect=CLOSING)) is None


def test_orders_that_wait_for_another_are_judged_too() -> None:
    world = chain(World(limits(naked_shorts=False)), C600, P595)
    share = world.order(("QQQ", 1), limit="600")
    naked = world.order((C600, -1), limit="5")
    assert world.rule(Trigger(first=share, then=naked)) == "naked_short"
    pair = OneCancelsOther(orders=(world.order(("QQQ", 1), limit="600"), naked))
    assert world.rule(pair) == "naked_short"
    bought = world.order((P595, 1), limit="5")
    out = world.order((P595, -1), limit="6", effect=CLOSING)
    assert world.rule(Trigger(first=bought, then=out)) is None


@pytest.mark.parametrize(
    ("clock", "symbol", "rule"),
    [
        (time(9, 29, 59), "QQQ", "market_hours"),
        (time(9, 30), "QQQ", None),
        (time(15, 59, 59), "QQQ", None),
        (time(16), "QQQ", "market_hours"),
        (time(16, 14, 59), option(600), None),
        (time(16, 15), option(600), "market_hours"),
        (time(15, 59, 59), option(600, expires=TODAY), None),
        (time(16), option(600, expires=TODAY), "market_hours"),
    ],
)
def test_market_hours(clock: time, symbol: str, rule: str | None) -> None:
    world = World(now_ns=to_ns(new_york(DAY, clock)))
    world.quote(symbol, 5, 5.1)
    assert world.rule(world.order((symbol, 1))) == rule
    world.hold(symbol, 1, 5)
    assert world.rule(world.order((symbol, -1), effect=CLOSING)) is None


@pytest.mark.parametrize(
    ("day", "clock", "expires", "root", "rule"),
    [
        (DAY, time(15, 30), TODAY, "QQQ", None),
        (DAY, time(15, 30, 1), TODAY, "QQQ", "expires_soon"),
        (DAY, time(15, 30, 1), NEXT_WEEK, "QQQ", None),
        (date(2026, 11, 27), time(12, 30), NEXT_WEEK, "QQQ", None),
        (date(2026, 11, 27), time(12, 30, 1), NEXT_WEEK, "QQQ", "expires_soon"),
        (date(2026, 12, 17), time(15, 45), MONTH, "SPX", None),
        (date(2026, 12, 17), time(15, 45, 1), MONTH, "SPX", "expires_soon"),
    ],
)
def test_no_openings_before_the_last_trade(
    day: date, clock: time, expires: str, root: str, rule: str | None
) -> None:
    world = World(limits(no_openings_minutes=30), now_ns=to_ns(new_york(day, clock)))
    symbol = option(600, expires=expires, root=root)
    world.quote("SPX", 6000, 6000.1)
    world.quote(symbol, 5, 5.1)
    assert world.rule(world.order((symbol, 1))) == rule


def test_nothing_opens_that_the_0dte_desk_would_close_at_once() -> None:
    world = World(
        limits(flatten="shorts", flatten_minutes=20), now_ns=to_ns(new_york(DAY, time(15, 40, 1)))
    )
    symbol = option(600, expires=TODAY)
    world.quote(symbol, 5, 5.1)
    assert world.rule(world.order((symbol, 1))) == "expires_soon"


def test_no_quote() -> None:
    world = World()
    assert world.rule(world.order((C600, 1))) == "no_quote"
    assert chain(world, C600).rule(world.order((C600, 1))) is None
    del world.engine.market.quotes["QQQ"]
    assert world.rule(world.order((C600, 1))) == "no_quote"
    world.hold(C605, 1, 1)
    assert world.rule(world.order((C605, -1), effect=CLOSING)) is None


@pytest.mark.parametrize(
    ("option_age_ns", "share_age_ns", "rule"),
    [
        (10 * SECOND, 2 * SECOND, None),
        (10 * SECOND + 1_000, 0, "stale_quote"),
        (0, 2 * SECOND + 1_000, "stale_quote"),
    ],
)
def test_stale_quotes_of_legs_and_underlyings(
    option_age_ns: int, share_age_ns: int, rule: str | None
) -> None:
    world = World(limits(max_age_s=10, max_underlying_age_s=2))
    world.quote(C600, 5, 5.1, time_ns=NOON_NS - option_age_ns)
    world.quote("QQQ", 600, 600.01, time_ns=NOON_NS - share_age_ns)
    assert world.rule(world.order((C600, 1))) == rule
    world.hold(C600, 1, 5)
    assert world.rule(world.order((C600, -1), effect=CLOSING)) is None


def test_ages_are_those_of_the_feed_where_a_simulator_plays_fast() -> None:
    world = World(limits(max_age_s=10))
    world.gate.speed = 60.0
    world.quote(C600, 5, 5.1, time_ns=NOON_NS - 600 * SECOND)
    assert world.rule(world.order((C600, 1))) is None
    world.quote(C600, 5, 5.1, time_ns=NOON_NS - 601 * SECOND)
    assert world.rule(world.order((C600, 1))) == "stale_quote"


@pytest.mark.parametrize(
    ("flag", "rule"), [("delayed", "delayed_quote"), ("halted", "halted_market")]
)
def test_delayed_and_halted_instruments_are_not_opened(flag: str, rule: str) -> None:
    world = chain(World(), C600)
    world.quote("QQQ", 600, 600.01, **{flag: True})
    assert world.rule(world.order((C600, 1))) == rule
    world.quote("QQQ", 600, 600.01)
    assert world.rule(world.order((C600, 1))) is None
    world.quote(C600, 5, 5.1, **{flag: True})
    assert world.rule(world.order((C600, 1))) == rule
    world.hold(C600, 1, 5)
    assert world.rule(world.order((C600, -1), effect=CLOSING)) is None


def test_delayed_quotes_may_be_allowed() -> None:
    world = World(limits(delayed_quotes=True))
    world.quote(C600, 5, 5.1, delayed=True)
    assert world.rule(world.order((C600, 1))) is None


@pytest.mark.parametrize(
    ("bid", "ask", "rule"),
    [
        (5.0, 5.1, None),
        (None, 5.1, "one_sided_quote"),
        (0.0, 5.1, "one_sided_quote"),
        (5.0, None, "one_sided_quote"),
        (5.0, 5.0, None),
        (5.01, 5.0, "crossed_quote"),
    ],
)
def test_one_sided_and_crossed_quotes(
    bid: float | None, ask: float | None, rule: str | None
) -> None:
    world = World()
    world.quote(C600, bid, ask)
    assert world.rule(world.order((C600, 1))) == rule
    world.hold(C600, 1, 5)
    assert world.rule(world.order((C600, -1), effect=CLOSING)) is None


@pytest.mark.parametrize(
    ("bid", "ask", "rule"),
    [
        (4.50, 5.50, None),
        (4.495, 5.505, "spread_width"),
        (0.10, 0.35, None),
        (0.10, 0.36, "spread_width"),
    ],
)
def test_spread_width(bid: float, ask: float, rule: str | None) -> None:
    world = World(limits(max_spread="0.2", max_spread_usd="0.25"))
    world.quote(C600, bid, ask)
    assert world.rule(world.order((C600, 1))) == rule


@pytest.mark.parametrize(("mark", "rule"), [(590.00, None), (589.99, "daily_loss")])
def test_daily_loss_to_the_cent_and_closing_goes_on(mark: float, rule: str | None) -> None:
    world = World(limits(max_daily_loss=1_000))
    world.gate.see(world.engine)
    world.hold("QQQ", 100, 600)
    world.quote("QQQ", mark, mark)
    assert world.rule(world.order(("QQQ", 1))) == rule
    assert world.rule(world.order(("QQQ", -100), effect=CLOSING)) is None
    next_day = to_ns(new_york(date(2026, 11, 23), time(12)))
    world.engine.market.now_ns = next_day
    world.quote("QQQ", mark, mark)
    assert world.rule(world.order(("QQQ", 1))) is None


@pytest.mark.parametrize(("mark", "rule"), [(600.00, None), (599.99, "drawdown")])
def test_drawdown_is_measured_from_the_best(mark: float, rule: str | None) -> None:
    world = World(limits(max_drawdown=1_000))
    world.hold("QQQ", 100, 600)
    world.quote("QQQ", 610, 610)
    world.gate.see(world.engine)
    world.quote("QQQ", mark, mark)
    assert world.rule(world.order(("QQQ", 1))) == rule
    assert world.rule(world.order(("QQQ", -100), effect=CLOSING)) is None


@pytest.mark.parametrize(("units", "rule"), [(50, None), (51, "net_delta")])
def test_net_delta(units: int, rule: str | None) -> None:
    world = World(limits(max_delta_usd=60_000))
    world.hold("QQQ", 50, 600)
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order(("QQQ", units))) == rule
    world.work(world.order(("QQQ", 1), limit="600"))
    assert world.rule(world.order(("QQQ", 50))) == "net_delta"


def test_what_brings_a_greek_nearer_to_its_limit_passes() -> None:
    world = World(limits(max_delta_usd=60_000))
    world.hold(C600, 1, 5)
    world.hold("QQQ", 200, 600)
    chain(world, C600, P595)
    assert world.rule(world.order((P595, 1))) is None
    assert world.rule(world.order((C605, 1))) == "no_quote"
    chain(world, C605)
    assert world.rule(world.order((C605, 1))) == "net_delta"


def greeks_of_one_call(world: World) -> dict[str, float]:
    """Return what one bought C600 adds, by a formula that is not the gate's."""
    years = (to_ns(new_york(date(2026, 12, 18), time(16))) - NOON_NS) / (525_600 * 60e9)

    def call(vol: float) -> float:
        v = vol * sqrt(years)
        d1 = log(600 / 600) / v + v / 2
        cdf = lambda d: (1 + erf(d / sqrt(2))) / 2  # noqa: E731
        return 600 * cdf(d1) - 600 * cdf(d1 - v)

    low, high = 0.001, 3.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if call(middle) < 5.0 else (low, middle)
    vol, v = low, low * sqrt(years)
    density = exp(-((v / 2) ** 2) / 2) / sqrt(2 * pi)
    return {
        "gamma": 100 * density / (600 * v) * 600 * 600 * 0.01,
        "vega": 100 * 600 * density * sqrt(years) / 100,
        "theta": 100 * 600 * density * vol / (2 * sqrt(years)) / 365,
    }


@pytest.mark.parametrize("greek", ["gamma", "vega", "theta"])
def test_caps_of_the_other_greeks(greek: str) -> None:
    world = chain(World(), C600)
    world.quote("QQQ", 600, 600)
    one = greeks_of_one_call(world)[greek]
    for factor, rule in ((1.000001, None), (0.999999, f"net_{greek}")):
        tight = limits(**{f"max_{greek}_usd": f"{3 * one * factor:.6f}"})
        world.gate.limits = tight
        assert world.rule(world.order((C600, 3))) == rule
    world.gate.limits = limits(**{f"max_{greek}_usd": f"{3 * one * 1.000001:.6f}"})
    assert world.rule(world.order((C600, -3))) is None
    assert world.rule(world.order((C600, 4))) == f"net_{greek}"


@pytest.mark.parametrize(("units", "rule"), [(100, None), (101, "shock_loss")])
def test_shock_loss_of_ten_percent(units: int, rule: str | None) -> None:
    world = World(limits(max_shock_loss=6_000))
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order(("QQQ", units))) == rule
    assert world.rule(world.order(("QQQ", -units))) == rule
    world.work(world.order(("QQQ", 1), limit="600"))
    assert world.rule(world.order(("QQQ", 100))) == "shock_loss"


@pytest.mark.parametrize(("sigma", "rule"), [(0.05, None), (0.05001, "shock_loss")])
def test_shock_loss_of_three_sigma(sigma: float, rule: str | None) -> None:
    world = World(limits(max_shock_loss=9_000, least_day_sigma=sigma))
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order(("QQQ", 100))) == rule


def test_shock_loss_of_a_bought_option_is_at_most_its_price() -> None:
    world = chain(World(limits(max_shock_loss=500)), option(600, "P"))
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order((option(600, "P"), 1))) is None
    assert world.rule(world.order((option(600, "P"), -1))) == "shock_loss"


@pytest.mark.parametrize(("cash", "rule"), [(400, None), (399, "buying_power")])
def test_buying_power_of_a_spread_is_its_greatest_loss(cash: int, rule: str | None) -> None:
    world = chain(World(limits(), cash=cash), C600, C605)
    assert world.rule(world.order((C600, -1), (C605, 1), limit="-1.00")) == rule


@pytest.mark.parametrize(("cash", "rule"), [(500, None), (499, "buying_power")])
def test_buying_power_of_an_option_is_its_price(cash: int, rule: str | None) -> None:
    world = chain(World(limits(), cash=cash), C600)
    assert world.rule(world.order((C600, 1), limit="5.00")) == rule


@pytest.mark.parametrize(("cash", "rule"), [(30_000, None), (29_999, "buying_power")])
def test_buying_power_of_shares_is_half(cash: int, rule: str | None) -> None:
    world = World(limits(), cash=cash)
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order(("QQQ", 100), limit="600")) == rule


@pytest.mark.parametrize(("cash", "rule"), [(12_000, None), (11_999, "buying_power")])
def test_buying_power_of_a_naked_call_is_that_of_the_margin_manual(
    cash: int, rule: str | None
) -> None:
    # 20 % of 600 USD x 100, and its own value, which its sale brings in.
    world = chain(World(limits(), cash=cash), C600, mid=5, wide=0)
    world.quote("QQQ", 600, 600)
    assert world.rule(world.order((C600, -1), limit="5.00")) == rule


def test_buying_power_is_spent_by_what_left_a_moment_ago() -> None:
    world = chain(World(limits(), cash=1_000), C600, C605)
    assert world.rule(world.order((C600, 1), limit="5.00")) is None
    assert world.rule(world.order((C605, 1), limit="5.01")) == "buying_power"
    assert world.rule(world.order((C605, 1), limit="5.00")) is None


def test_a_share_of_the_buying_power() -> None:
    world = chain(World(limits(max_buying_power="0.5"), cash=1_000), C600)
    assert world.rule(world.order((C600, 1), limit="5.00")) is None
    world = chain(World(limits(max_buying_power="0.5"), cash=999), C600)
    assert world.rule(world.order((C600, 1), limit="5.00")) == "buying_power"


@pytest.mark.parametrize(("trips", "rule"), [(2, None), (3, "day_trades")])
def test_the_legacy_rule_lets_three_day_trades_pass(trips: int, rule: str | None) -> None:
    world = World(limits(day_trades="legacy_pdt"), cash=24_999)
    world.gate.account = AccountReport(round_trips=trips, day_trader=False)
    assert world.rule(world.order(("QQQ", 1))) == rule
    rich = World(limits(day_trades="legacy_pdt"), cash=25_000)
    rich.gate.account = world.gate.account
    assert rich.rule(rich.order(("QQQ", 1))) is None


def test_a_marked_account_does_not_open_below_the_equity_and_closes() -> None:
    world = World(limits(day_trades="legacy_pdt"), cash=24_999)
    world.gate.account = AccountReport(round_trips=0, day_trader=True)
    assert world.rule(world.order(("QQQ", 1))) == "day_trades"
    world.hold("QQQ", 1, 600)
    assert world.rule(world.order(("QQQ", -1), effect=CLOSING)) is None


def test_our_own_day_trades_since_the_report_count() -> None:
    world = World(limits(day_trades="legacy_pdt"), cash=24_999)
    world.gate.account = AccountReport(round_trips=2, day_trader=False, at_ns=NOON_NS - SECOND)
    assert world.rule(world.order(("QQQ", 1))) is None
    for units in (5, -2, -3):
        fill = world.work(world.order(("QQQ", units), limit="600"))
        world.filled(fill)
    assert world.rule(world.order(("QQQ", 1))) == "day_trades"


@pytest.mark.parametrize(("cash", "rule"), [(0, None), (-1, "day_trades")])
def test_nothing_opens_in_an_intraday_margin_deficit(cash: int, rule: str | None) -> None:
    world = chain(World(limits(day_trades="intraday_margin")), C600)
    world.hold("QQQ", 100, 600)
    world.paper.state.cash = Decimal(cash)
    # It brings in more than it requires: the equity alone stands against it.
    assert world.rule(world.order((C600, -1), limit="5")) == rule
    world.gate.limits = limits(day_trades="off")
    assert world.rule(world.order((C600, -1), limit="5")) is None
    world.gate.limits = limits(day_trades="intraday_margin")
    assert world.rule(world.order(("QQQ", -1), effect=CLOSING)) is None


@pytest.mark.parametrize(
    ("today", "report", "policy"),
    [
        (date(2026, 6, 3), None, DayTrades.LEGACY_PDT),
        (date(2026, 6, 4), None, DayTrades.INTRADAY_MARGIN),
        (date(2026, 6, 4), AccountReport(round_trips=0), DayTrades.LEGACY_PDT),
        (date(2026, 6, 4), AccountReport(day_trader=False), DayTrades.LEGACY_PDT),
        (date(2026, 6, 4), AccountReport(), DayTrades.INTRADAY_MARGIN),
        (date(2027, 10, 19), AccountReport(round_trips=0), DayTrades.LEGACY_PDT),
        (date(2027, 10, 20), AccountReport(round_trips=0), DayTrades.INTRADAY_MARGIN),
    ],
)
def test_which_day_trade_rule_counts_when(
    today: date, report: AccountReport | None, policy: DayTrades
) -> None:
    assert policy_of(DayTrades.AUTO, today, report) is policy
    assert policy_of(DayTrades.OFF, today, report) is DayTrades.OFF


@pytest.mark.parametrize(
    ("until", "symbol", "rule"),
    [
        (time(16), option(600, expires=TODAY), None),
        (time(15, 59, 59), option(600, expires=TODAY), "sign_in"),
        (time(18), C600, None),
        (time(17, 59, 59), C600, "sign_in"),
        (time(17, 59, 59), "QQQ", "sign_in"),
    ],
)
def test_the_sign_in_outlasts_what_is_opened(until: time, symbol: str, rule: str | None) -> None:
    world = chain(World(limits(least_sign_in_hours=6)), symbol, mid=5)
    world.gate.sign_in_until_ns = to_ns(new_york(DAY, until))
    assert world.rule(world.order((symbol, 1))) == rule
    world.hold(symbol, 1, 5)
    assert world.rule(world.order((symbol, -1), effect=CLOSING)) is None


@pytest.mark.parametrize(("orders", "rule"), [(4, None), (5, "order_rate")])
def test_orders_a_second(orders: int, rule: str | None) -> None:
    world = World(limits(max_orders_per_s=5))
    for number in range(orders):
        assert world.rule(world.order(("QQQ", 1 + number))) is None
    assert world.at(0.999).rule(world.order(("QQQ", 50))) == rule
    world.hold("QQQ", 10, 600)
    assert world.rule(world.order(("QQQ", -1), effect=CLOSING)) is None
    assert world.at(1.0).rule(world.order(("QQQ", 51))) is None


@pytest.mark.parametrize(("orders", "rule"), [(4, None), (5, "order_rate")])
def test_orders_a_minute_and_twice_as_many_to_close(orders: int, rule: str | None) -> None:
    world = World(limits(max_orders_per_minute=5))
    for number in range(orders):
        assert world.at(number * 2).rule(world.order(("QQQ", 1))) is None
    world.at(59.9).quote("QQQ", 600, 600.01)
    assert world.rule(world.order(("QQQ", 1))) == rule
    world.hold("QQQ", 10, 600)
    closed = 0
    while world.rule(world.order(("QQQ", -1), effect=CLOSING)) is None:
        closed += 1
    assert closed == 5


def test_a_strategy_that_runs_away_is_stopped_until_a_person_lets_it_go_on() -> None:
    world = World(limits(max_attempts_per_minute=20, max_orders_per_s=5))
    codes = [world.rule(world.order(("QQQ", 1), limit="600")) for _ in range(30)]
    assert codes.count(None) == 5
    assert codes[19:22] == ["order_rate", "runaway", "halted"]
    world.hold("QQQ", 1, 600)
    assert world.at(600).rule(world.order(("QQQ", -1), effect=CLOSING)) == "halted"
    own = world.order(("QQQ", -1), effect=CLOSING)
    world.gate.own.add(own.client_order_id)
    assert world.rule(own) is None
    world.gate.resume()
    world.quote("QQQ", 600, 600.01)
    assert world.rule(world.order(("QQQ", 1), limit="600")) is None


def test_an_equal_order_that_works_or_left_a_moment_ago_is_a_duplicate() -> None:
    world = World(limits(duplicate_s=1))
    first = world.order(("QQQ", 1), limit="600")
    assert world.rule(first) is None
    assert world.at(0.999).rule(world.order(("QQQ", 1), limit="600")) == "duplicate"
    assert world.rule(world.order(("QQQ", 1), limit="600.01")) is None
    assert world.at(1).rule(world.order(("QQQ", 1), limit="600")) is None
    world.work(world.order(("QQQ", 2), limit="600"))
    assert world.at(50).rule(world.order(("QQQ", 2), limit="600")) == "duplicate"
    standing = world.engine.book.working()[0].client_order_id
    assert world.rule(world.order(("QQQ", 2), limit="600"), replaces=standing) is None


def test_what_is_closed_twice_would_open() -> None:
    world = chain(World(limits(naked_shorts=False)), C600)
    world.hold(C600, 1, 5)
    assert world.rule(world.order((C600, -1))) is None
    world.work(world.order((C600, -1), limit="6"))
    assert world.rule(world.order((C600, -1))) == "naked_short"


def test_halted_means_that_nothing_leaves() -> None:
    world = World()
    world.gate.halted = "because"
    found: Any = world.denial(world.order(("QQQ", 1)))
    assert (found.rule, found.message) == ("halted", "stopped: because")
