"""Expirations against an oracle: nobody gains or loses by exercise itself, and costs roll over."""

from __future__ import annotations

import os
import random
from decimal import Decimal

import pytest

from engine.ledger import change, contract_of, expire
from engine.paper_state import AccountState

CASES = 1000 if os.environ.get("PROVE") else 50
"""Of each of ten seeds: 10,000 at full size."""

STRIKES = range(480, 521, 5)


def a_book(chance: random.Random, root: str) -> AccountState:
    state = AccountState(Decimal(100_000), Decimal(100_000))
    for _ in range(chance.randrange(1, 6)):
        right, strike = chance.choice("CP"), chance.choice(STRIKES)
        symbol = f"{root:6}251219{right}{strike * 1000:08d}"
        count = chance.choice([-7, -2, -1, 1, 2, 5])
        price = Decimal(chance.randrange(1, 2000)) / 100
        change(state, symbol, count, count * 100 * price, 100)
        state.cash -= count * 100 * price
    if root == "QQQ" and chance.random() < 0.5:
        shares = chance.choice([-250, -100, 100, 130])
        change(state, "QQQ", shares, shares * Decimal(500), 1)
        state.cash -= shares * Decimal(500)
    return state


@pytest.mark.parametrize("seed", range(10))
def test_expirations_equal_the_oracle(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(CASES):
        root = chance.choice(["QQQ", "SPXW"])
        state = a_book(chance, root)
        spot = Decimal(chance.choice([chance.randrange(47_000, 53_000), 50_000, 50_001])) / 100
        before = dict(state.holdings)
        cash, shares = state.cash, before["QQQ"].quantity if "QQQ" in before else 0
        for symbol, holding in before.items():
            if symbol == "QQQ":
                continue
            contract = contract_of(symbol)
            inner = spot - contract.strike if contract.right == "C" else contract.strike - spot
            if inner < Decimal("0.01"):
                continue
            if root == "SPXW":
                cash += inner * 100 * holding.quantity
            else:
                moved = holding.quantity * (100 if contract.right == "C" else -100)
                shares += moved
                cash -= moved * contract.strike
        for symbol in list(before):
            if symbol != "QQQ":
                expire(state, symbol, spot, 0)
        assert state.cash == cash
        assert {s: h.quantity for s, h in state.holdings.items()} == (
            {"QQQ": shares} if shares else {}
        )
        cost = sum((h.cost for h in state.holdings.values()), Decimal(0))
        gains = sum(state.realized.values(), Decimal(0))
        assert state.cash + cost == 100_000 + gains
