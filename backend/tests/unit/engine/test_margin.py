"""Requirements by hand."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.margin import (
    OptionHolding,
    option_requirement,
    shares_available,
    shares_maintenance,
)

DECEMBER, JANUARY = date(2025, 12, 19), date(2026, 1, 16)
SPOT = Decimal(500)


def option(
    right: str, strike: int, quantity: int, mark: str = "5", expiration: date = DECEMBER
) -> OptionHolding:
    assert right in ("C", "P")
    return OptionHolding(right, Decimal(strike), expiration, quantity, Decimal(mark), 100)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "shares", "amount"),
    [
        ([option("C", 500, 3)], 0, "0"),
        # 20 % of 500 = 100, at the money, + 5
        ([option("C", 500, -1)], 0, "10500"),
        # 100 - 20 out of the money = 80 + 1
        ([option("C", 520, -1, "1")], 0, "8100"),
        # 100 - 80 = 20, but 10 % of the underlying = 50; + 0.10
        ([option("C", 580, -1, "0.10")], 0, "5010"),
        # 100 - 80 = 20, but 10 % of the strike = 42
        ([option("P", 420, -1, "0.10")], 0, "4210"),
        # covered by shares; a second one is not
        ([option("C", 500, -1)], 100, "0"),
        ([option("C", 500, -2)], 100, "10500"),
        ([option("P", 500, -1)], -100, "0"),
        # verticals: the width of a credit spread, nothing for a debit spread
        ([option("P", 490, -1), option("P", 485, 1, "3")], 0, "500"),
        ([option("C", 500, 1), option("C", 505, -1, "3")], 0, "0"),
        # iron condor: the wider side alone
        (
            [
                option("P", 485, 1, "3"),
                option("P", 490, -1),
                option("C", 510, -1),
                option("C", 520, 1, "2"),
            ],
            0,
            "1000",
        ),
        # butterfly, bought: nothing more
        ([option("C", 490, 1), option("C", 500, -2), option("C", 510, 1)], 0, "0"),
        # calendar: a longer option covers a shorter one of the same strike, never the reverse
        ([option("C", 500, -1), option("C", 500, 1, "9", JANUARY)], 0, "0"),
        ([option("C", 500, 1), option("C", 500, -1, "9", JANUARY)], 0, "10900"),
        # a long option so far away that the pair would require more than the short one alone
        ([option("P", 400, -1, "0.10"), option("P", 300, 1, "0.05")], 0, "4010"),
        # strangle: the dearer side and the other's value: put 100 - 10 + 5, call value 4
        ([option("P", 490, -1, "5"), option("C", 520, -1, "4")], 0, "9900"),
        # ratio spread: one pair, one uncovered (100 - 5 + 3)
        ([option("C", 500, 1), option("C", 505, -2, "3")], 0, "9800"),
    ],
)
def test_requirements(held: list[OptionHolding], shares: int, amount: str) -> None:
    assert option_requirement(held, shares, SPOT).amount == Decimal(amount)


def test_a_broad_index_requires_15_percent() -> None:
    held = [option("P", 500, -1)]
    assert option_requirement(held, 0, SPOT, index=True).amount == 8000


def test_cash_rules_require_the_whole_strike_of_a_put() -> None:
    found = option_requirement([option("P", 480, -2)], 0, SPOT, cash_rules=True)
    assert (found.amount, found.naked_puts) == (96_000, 2)


def test_what_is_uncovered_is_counted() -> None:
    held = [option("C", 500, 1), option("C", 505, -3, "3"), option("P", 450, -1, "1")]
    found = option_requirement(held, 100, SPOT)
    assert (found.naked_calls, found.naked_puts, found.spreads, found.covered) == (1, 1, 1, 1)


def test_without_an_underlying_price_the_strike_stands_for_it() -> None:
    assert option_requirement([option("C", 500, -1)], 0, None).amount == 10_500


def test_shares() -> None:
    assert shares_available(Decimal(1000), cash_rules=False) == 500
    assert shares_available(Decimal(1000), cash_rules=True) == 0
    assert shares_available(Decimal(-1000), cash_rules=False) == -1500
    assert shares_maintenance(Decimal(1000), cash_rules=False) == 250
    assert shares_maintenance(Decimal(-1000), cash_rules=False) == 300


@given(
    st.lists(
        st.tuples(
            st.sampled_from("CP"),
            st.sampled_from(range(450, 560, 10)),
            st.integers(-2, 3).filter(bool),
        ),
        max_size=6,
        unique_by=lambda leg: leg[:2],
    )
)
def test_a_requirement_covers_the_greatest_loss_of_what_is_paired(
    legs: list[tuple[str, int, int]],
) -> None:
    """With no short option uncovered, it is at least the worst payoff and at most all widths."""
    held = [option(right, strike, quantity) for right, strike, quantity in legs]
    found = option_requirement(held, 0, SPOT)
    if found.naked_calls or found.naked_puts:
        return
    worst = Decimal(0)
    for price in range(0, 700, 10):
        value = Decimal(0)
        for leg in held:
            gain = price - leg.strike if leg.right == "C" else leg.strike - price
            value += max(gain, Decimal(0)) * leg.quantity * 100
        worst = min(worst, value)
    assert found.amount >= -worst


def test_the_order_of_holdings_does_not_matter() -> None:
    held = [
        option("P", 485, 1, "3"),
        option("P", 490, -2),
        option("C", 510, -1),
        option("C", 520, 1, "2"),
    ]
    amounts = {option_requirement(p, 0, SPOT).amount for p in itertools.permutations(held)}
    assert len(amounts) == 1
