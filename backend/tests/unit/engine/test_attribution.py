"""Where gains came from: against prices of Black and Scholes whose every move is known."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

from black_scholes import calculator
from engine.attribution import Attribution
from engine.market import Market
from models.events import Fill, Quote
from models.order_terms import Side
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK, year_fractions
from utils.portfolio_tracker import PortfolioTracker

START_NS = to_ns(datetime(2026, 3, 2, 10, 0, tzinfo=NEW_YORK))
MINUTE_NS = 60 * 10**9
STRIKES = range(560, 645, 5)
EXPIRATION = "260320"


def symbol(right: str, strike: int) -> str:
    return f"QQQ   {EXPIRATION}{right}{strike * 1000:08d}"


CALL = symbol("C", 600)


def show(market: Market, at_ns: int, spot: float, volatility: float) -> None:
    """Quote a whole chain at model prices, a hundredth of a cent wide."""
    market.now_ns = at_ns
    market.quotes["QQQ"] = Quote("QQQ", at_ns, spot - 0.005, spot + 0.005, 100, 100, spot)
    years = float(year_fractions(np.array([at_ns]), np.array(["2026-03-20"], "datetime64[D]"))[0])
    for strike in STRIKES:
        for right in "CP":
            price = float(
                calculator.price(spot, float(strike), years, 0.0, volatility, is_call=right == "C")
            )
            name = symbol(right, strike)
            market.quotes[name] = Quote(name, at_ns, price - 5e-5, price + 5e-5, 10, 10)


def trade(name: str, what: str, signed: int, price: float, fees: str = "0") -> Fill:
    return Fill(
        execution_id=name, symbol=what, side=Side.BUY if signed > 0 else Side.SELL,
        quantity=Decimal(abs(signed)), price=Decimal(repr(round(price, 4))), time_ns=START_NS,
        fees=Decimal(fees),
    )  # fmt: skip


def run(path: list[tuple[float, float]], fills: dict[int, list[Fill]]) -> tuple[Attribution, float]:
    """Walk spot and volatility minute by minute; return the parts, and what was really gained."""
    market, portfolio, made = Market(), PortfolioTracker(), Attribution()
    for minute, (spot, volatility) in enumerate(path):
        show(market, START_NS + minute * MINUTE_NS, spot, volatility)
        for each in fills.get(minute, []):
            portfolio.book(each)
        made.step(market, portfolio)
    marks = {name: market.mark(name) or Decimal(0) for name in portfolio.holdings}
    value = sum(
        (
            each.quantity * marks[each.symbol] * each.multiplier
            for each in portfolio.holdings.values()
        ),
        Decimal(0),
    )
    return made, float(portfolio.cash_flow + value)


def parts(made: Attribution) -> dict[str, float]:
    (gained,) = made.days.values()
    return {name: float(getattr(gained, name)) for name in vars(gained)} | {
        "total": float(gained.total)
    }


def opened(quantity: int, volatility: float = 0.2, spot: float = 600.0) -> list[Fill]:
    market = Market()
    show(market, START_NS, spot, volatility)
    mark = market.mark(CALL)
    assert mark is not None
    return [trade("f1", CALL, quantity, float(mark), "1.32")]


def test_all_parts_sum_to_what_was_gained() -> None:
    chance = np.random.default_rng(3)
    path = [(600.0, 0.2)]
    for _ in range(30):
        spot, volatility = path[-1]
        path.append((spot + chance.normal(0, 0.4), volatility + chance.normal(0, 0.001)))
    later = [trade("f2", CALL, -1, 9.0, "0.66"), trade("f3", "QQQ", 50, 600.5)]
    made, gained = run(path, {0: opened(2), 10: later})
    assert parts(made)["total"] == pytest.approx(gained, abs=1e-4)
    assert parts(made)["fees"] == pytest.approx(-1.98)
    assert abs(parts(made)["residual"]) < 0.05 * abs(parts(made)["delta"])


def test_a_move_is_delta_and_gamma() -> None:
    made, gained = run([(600.0, 0.2), (601.0, 0.2)], {0: opened(10)})
    found = parts(made)
    assert found["delta"] == pytest.approx(10 * 100 * 0.51, rel=0.05)
    assert found["gamma"] > 0
    assert found["total"] == pytest.approx(gained, abs=1e-4)
    assert abs(found["vega"]) < 2
    assert abs(found["residual"]) < 0.02 * found["delta"]


def test_a_change_of_volatility_is_vega() -> None:
    made, _ = run([(600.0, 0.2), (600.0, 0.21)], {0: opened(10)})
    found = parts(made)
    assert found["vega"] == pytest.approx(
        10 * 100 * 600 * 0.3989 * (18.3 / 365) ** 0.5 * 0.01, rel=0.05
    )
    assert abs(found["delta"]) < 0.02 * found["vega"]
    assert abs(found["residual"]) < 0.02 * found["vega"]


def test_time_is_theta() -> None:
    made, _ = run([(600.0, 0.2)] * 61, {0: opened(-10)})
    found = parts(made)
    assert found["theta"] > 0
    assert abs(found["residual"]) < 0.2 * found["theta"]  # marks are whole hundredths of a cent
    assert found["theta"] == pytest.approx(found["total"] - found["fees"], rel=0.2)


def test_what_was_there_before_is_not_gained_now() -> None:
    market, portfolio, made = Market(), PortfolioTracker(), Attribution()
    portfolio.book(trade("f1", CALL, 10, 1.0, "6.60"))
    show(market, START_NS, 600.0, 0.2)
    made.step(market, portfolio, carried=True)
    assert parts(made)["total"] == 0
    show(market, START_NS + MINUTE_NS, 601.0, 0.2)
    made.step(market, portfolio)
    assert parts(made)["delta"] > 100
    assert parts(made)["trading"] == pytest.approx(0, abs=1e-6)


def test_a_fill_better_than_the_mark_is_trading() -> None:
    cheap = opened(1)[0]
    better = trade("f1", CALL, 1, float(cheap.price) - 0.05)
    made, gained = run([(600.0, 0.2), (600.0, 0.2)], {0: [better]})
    assert parts(made)["trading"] == pytest.approx(5.0, abs=0.02)
    assert parts(made)["total"] == pytest.approx(gained, abs=1e-4)


def test_shares_are_all_delta() -> None:
    market, portfolio, made = Market(), PortfolioTracker(), Attribution()
    portfolio.book(trade("f1", "QQQ", 100, 600.0))
    for minute, spot in enumerate((600.0, 601.5)):
        show(market, START_NS + minute * MINUTE_NS, spot, 0.2)
        made.step(market, portfolio)
    assert parts(made)["delta"] == pytest.approx(150)
    assert parts(made)["residual"] == 0
