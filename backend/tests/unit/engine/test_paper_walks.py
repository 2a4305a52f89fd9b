"""Random lives of paper accounts: orders, quotes and times in any order; a million under PROVE."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from paper_walk import Walk

STEPS = 400
WALKS = 125 if os.environ.get("PROVE") else 3
"""Of each of 20 seeds: 20 x 125 x 400 = 1,000,000 events."""


def walked(seed: int) -> Walk:
    walk = Walk(random.Random(seed))
    for step in range(STEPS):
        walk.step()
        if step % 100 == 50:
            walk.check_books()
    if seed % 2:
        walk.expire()
    return walk


@pytest.mark.parametrize("seed", range(20))
def test_random_lives_keep_every_promise(seed: int) -> None:
    for number in range(WALKS):
        walk = walked(seed * 1_000_000 + number)
        walk.check_books()
        walk.check_same_future(30)
        walk.check_books()


def test_the_same_calls_give_the_same_answers() -> None:
    first, second = walked(7), walked(7)
    assert first.told == second.told
    assert first.account.snapshot() == second.account.snapshot()


def test_the_walks_reach_every_state_and_kind() -> None:
    """A test that rejects everything would prove nothing."""
    states = set()
    fills = expired = packages = 0
    for seed in range(40):
        walk = walked(seed)
        states |= set(walk.states.values())
        fills += len(walk.account.state.fills)
        expired += len(walk.account.state.expired)
        packages += sum(1 for update in walk.told if len(update.fills) > 1)
    assert {str(s) for s in states} >= {
        "WAITING",
        "WORKING",
        "FILLED",
        "CANCELED",
        "REPLACED",
        "REJECTED",
        "EXPIRED",
    }
    assert fills > 500
    assert packages > 20
    assert expired > 20


class Machine(RuleBasedStateMachine):
    """The same steps, chosen by hypothesis, so that a failure shrinks."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.walk = Walk(random.Random(seed))

    @rule(seed=st.integers(0, 2**32))
    def step(self, seed: int) -> None:
        self.walk.chance.seed(seed)
        self.walk.step()

    @rule(seed=st.integers(0, 2**32))
    def restored(self, seed: int) -> None:
        self.walk.chance.seed(seed)
        self.walk.check_same_future(3)

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "walk"):
            self.walk.check_books()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=200 if os.environ.get("PROVE") else 25, stateful_step_count=40, deadline=None
)
